//! Sealing what lies on the disk: AES-256 in Galois/counter mode with a random nonce, under a key from a file.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::PersistenceError;

/// Before everything that is sealed.
const MARK: &[u8; 8] = b"sealed1\n";
const KEY_LEN: usize = 32;

/// A key.
pub struct Seal(RandomizedNonceKey);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Reads the key: 64 hexadecimal digits, as `openssl rand -hex 32` writes them.
    pub fn read(path: &Path) -> Result<Self, PersistenceError> {
        let failed = |problem: String| PersistenceError::Key {
            path: path.to_owned(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let key = from_hex(text.trim());
        let key = key.ok_or_else(|| failed("64 hexadecimal digits are expected".to_owned()))?;
        Self::new(&key).ok_or_else(|| failed("the key is of no use".to_owned()))
    }

    fn new(key: &[u8; KEY_LEN]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, key).ok().map(Self)
    }

    /// Seals the content of the file with this name; `None` if there is no randomness.
    pub fn seal(&self, name: &str, content: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = content.to_vec();
        let aad = Aad::from(name.as_bytes());
        let nonce = self.0.seal_in_place_append_tag(aad, &mut sealed).ok()?;
        Some([&MARK[..], nonce.as_ref(), &sealed].concat())
    }

    /// Opens it; `None` if it was sealed with another key, under another name, or not at all.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, content) = sealed
            .strip_prefix(MARK)?
            .split_first_chunk::<NONCE_LEN>()?;
        let mut content = content.to_vec();
        let nonce = Nonce::from(nonce);
        let aad = Aad::from(name.as_bytes());
        let opened = self.0.open_in_place(nonce, aad, &mut content).ok()?.len();
        content.truncate(opened);
        Some(content)
    }
}

fn from_hex(text: &str) -> Option<[u8; KEY_LEN]> {
    let mut key = [0; KEY_LEN];
    if text.len() != 2 * KEY_LEN || !text.is_ascii() {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_name_open_what_was_sealed() {
        let key = from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let seal = Seal::new(&key).unwrap();
        let sealed = seal.seal("a", b"secret words").unwrap();
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_ne!(seal.seal("a", b"secret words").unwrap(), sealed);
        assert_eq!(seal.open("a", &sealed).unwrap(), b"secret words");
        assert_eq!(seal.open("b", &sealed), None);
        let other = Seal::new(&[7; KEY_LEN]).unwrap();
        assert_eq!(other.open("a", &sealed), None);
        for damaged in [
            &b""[..],
            b"plain",
            &sealed[..12],
            &sealed[..sealed.len() - 1],
        ] {
            assert_eq!(seal.open("a", damaged), None);
        }
    }

    #[test]
    fn a_key_is_sixty_four_digits() {
        assert!(from_hex(&"aB".repeat(32)).is_some());
        for wrong in [
            "",
            "ab",
            &"zz".repeat(32),
            &"ab".repeat(33),
            &"é".repeat(32),
        ] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
