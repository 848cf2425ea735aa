//! ice-ufrag and ice-pwd (RFC 8839 section 5.4).
//!
//! The grammar there allows letters, digits, `+` and `/`. Meta's passwords are padded base64 and end in `==`, so the
//! characters of a *received* value are never judged, only its length; the bytes are a key and nothing else.

use std::fmt;

use rand::{Rng, RngExt};

/// RFC 8839 section 5.4: at most 256 characters.
const MAX_LEN: usize = 256;
/// 48 bits; RFC 8445 section 5.3 wants 24 at least.
const UFRAG_LEN: usize = 8;
/// 156 bits; RFC 8445 section 5.3 wants 128 at least.
const PWD_LEN: usize = 26;
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A username fragment and its password.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IceCredentials {
    ufrag: String,
    pwd: String,
}

/// Why credentials were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// `ice-ufrag` is empty or too long.
    #[error("ice-ufrag has {0} characters, 1 to 256 are allowed")]
    UfragLength(usize),
    /// `ice-pwd` is empty or too long.
    #[error("ice-pwd has {0} characters, 1 to 256 are allowed")]
    PwdLength(usize),
}

impl IceCredentials {
    /// Credentials as somebody sent them: any characters, 1 to 256 of them.
    pub fn new(ufrag: impl Into<String>, pwd: impl Into<String>) -> Result<Self, CredentialsError> {
        let (ufrag, pwd) = (ufrag.into(), pwd.into());
        if !(1..=MAX_LEN).contains(&ufrag.len()) {
            return Err(CredentialsError::UfragLength(ufrag.len()));
        }
        if !(1..=MAX_LEN).contains(&pwd.len()) {
            return Err(CredentialsError::PwdLength(pwd.len()));
        }
        Ok(Self { ufrag, pwd })
    }

    /// Fresh credentials of our own: 8 and 26 characters of the ICE alphabet.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let mut draw = |len| {
            (0..len)
                .map(|_| char::from(ICE_CHARS[rng.random_range(0..ICE_CHARS.len())]))
                .collect()
        };
        Self {
            ufrag: draw(UFRAG_LEN),
            pwd: draw(PWD_LEN),
        }
    }

    /// The value of `a=ice-ufrag`.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The value of `a=ice-pwd`.
    pub fn pwd(&self) -> &str {
        &self.pwd
    }
}

/// The password stays out of logs.
impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha12Rng;

    use super::*;

    #[test]
    fn a_padded_base64_password_is_taken() {
        let credentials = IceCredentials::new("Qw3rTy6uIoP9aSdF", "AAECAwQFBgcICQoLDA0ODw==");
        assert_eq!(credentials.unwrap().pwd(), "AAECAwQFBgcICQoLDA0ODw==");
    }

    #[test]
    fn only_lengths_are_refused() {
        assert_eq!(
            IceCredentials::new("", "x"),
            Err(CredentialsError::UfragLength(0))
        );
        assert_eq!(
            IceCredentials::new("x", "y".repeat(257)),
            Err(CredentialsError::PwdLength(257))
        );
    }

    #[test]
    fn ours_have_the_expected_lengths_and_follow_the_seed() {
        let draw = |seed| IceCredentials::generate(&mut ChaCha12Rng::seed_from_u64(seed));
        assert_eq!(draw(1).ufrag().len(), 8);
        assert_eq!(draw(1).pwd().len(), 26);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_password_is_not_printed() {
        let credentials = IceCredentials::new("frag", "secret").unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
