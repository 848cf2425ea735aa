//! MESSAGE-INTEGRITY (RFC 8489 section 14.5) with short-term credentials, and FINGERPRINT (section 14.7).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Length of the HMAC-SHA1 value.
pub(super) const INTEGRITY_LEN: usize = 20;
/// What FINGERPRINT's CRC is XORed with: "STUN" in ASCII.
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// A password, hashed as far as it goes without a message: verifying costs no key schedule.
#[derive(Clone)]
pub struct IntegrityKey(Hmac<Sha1>);

impl IntegrityKey {
    /// RFC 8489 section 9.1.1: the key is the password. (The OpaqueString profile changes nothing in what ICE sends.)
    pub fn new(password: &str) -> Self {
        // unwrap: HMAC takes keys of every length.
        let mac = Hmac::new_from_slice(password.as_bytes());
        Self(mac.expect("HMAC takes keys of every length"))
    }

    /// The value over `before`, everything in front of the attribute, as if the message ended right behind it.
    pub(super) fn sign(&self, before: &[u8]) -> [u8; INTEGRITY_LEN] {
        self.feed(before).finalize().into_bytes().into()
    }

    /// Whether `value` is that value; takes the same time for every wrong one.
    pub(super) fn verify(&self, before: &[u8], value: &[u8]) -> bool {
        self.feed(before).verify_slice(value).is_ok()
    }

    fn feed(&self, before: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        // The length field counts the attribute itself (4 + 20 bytes) and nothing behind it, whatever stands there now.
        let (head, rest) = before.split_at(before.len().min(4));
        let len = (before.len().saturating_sub(20) + 4 + INTEGRITY_LEN) as u16;
        mac.update(&head[..head.len().min(2)]);
        mac.update(&len.to_be_bytes());
        mac.update(rest);
        mac
    }
}

/// The key stays out of logs.
impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey")
    }
}

/// The value of FINGERPRINT over `before`, whose length field must already count the attribute.
pub(super) fn fingerprint(before: &[u8]) -> u32 {
    crc32fast::hash(before) ^ FINGERPRINT_MASK
}
