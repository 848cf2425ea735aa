//! Names that must not repeat: tags, branches, nonces, Call-IDs.
//!
//! They come from the operating system, because a report is useless when two runs share a Call-ID.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // unwrap: OpenSSL's generator is seeded by the kernel when the process starts; without it no
    // TLS connection could have been made either.
    openssl::rand::rand_bytes(&mut bytes).expect("the system has random numbers");
    bytes
}

/// A seed for a generator that a test or a media engine replays.
pub fn seed() -> u64 {
    u64::from_be_bytes(bytes())
}

/// As many lower-case hexadecimal digits as twice the bytes asked for.
pub fn hex<const N: usize>() -> String {
    bytes::<N>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A `Via` branch with the cookie of RFC 3261 §8.1.1.7, in the style of Meta's stack.
pub fn branch() -> String {
    format!("z9hG4bKPj{}", hex::<16>())
}

/// A first `CSeq` number, below 2^31 with room to grow (RFC 3261 §8.1.1.5).
pub fn sequence() -> u32 {
    u32::from(u16::from_be_bytes(bytes())) + 1
}

/// The identifier of a WhatsApp call: base64 that ends in `==`, as real ones may.
pub fn wacid(user: &str) -> String {
    let mut raw = vec![0x1c, 0x18];
    raw.extend_from_slice(user.trim_start_matches('+').as_bytes());
    raw.extend_from_slice(&bytes::<12>());
    while raw.len() % 3 != 1 {
        raw.push(0);
    }
    format!("wacid.{}", STANDARD.encode(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wacid_ends_in_two_equals_signs_whatever_the_number() {
        for user in ["+1", "+4915", "+491512", "CC.12345"] {
            assert!(wacid(user).ends_with("=="), "{}", wacid(user));
        }
        assert_ne!(wacid("+1"), wacid("+1"));
    }
}
