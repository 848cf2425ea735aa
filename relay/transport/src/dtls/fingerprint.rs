//! The hash of a certificate as SDP carries it (RFC 8122 section 5): `sha-256 12:DF:3E:...`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, Algorithm};

/// Longest hash we know, SHA-512.
const MAX_LEN: usize = 64;

/// A hash function of RFC 8122 section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum FingerprintHash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl FingerprintHash {
    const ALL: [Self; 5] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name in SDP, in lower case as everybody writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &digest::SHA224,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl FromStr for FingerprintHash {
    type Err = FingerprintError;

    /// RFC 8122 section 5: hash names are compared without regard to case.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        Self::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| FingerprintError::UnknownHash(text.chars().take(32).collect()))
    }
}

/// What is wrong with the text of a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    #[error("unknown hash function {0:?} in fingerprint")]
    UnknownHash(String),
    #[error("fingerprint has no value after the hash function")]
    NoValue,
    #[error("fingerprint is not a list of hexadecimal bytes with colons between them")]
    NotHex,
    #[error("fingerprint has {found} bytes where {hash} has {expected}")]
    WrongLength {
        hash: &'static str,
        expected: usize,
        found: usize,
    },
}

/// The hash of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint {
    hash: FingerprintHash,
    /// Zero behind the hash's own length.
    value: [u8; MAX_LEN],
}

impl Fingerprint {
    /// The fingerprint of a certificate given as DER.
    pub fn of(hash: FingerprintHash, certificate_der: &[u8]) -> Self {
        let digest = digest::digest(hash.algorithm(), certificate_der);
        let mut value = [0; MAX_LEN];
        value[..digest.as_ref().len()].copy_from_slice(digest.as_ref());
        Self { hash, value }
    }

    /// Whether this is the fingerprint of that certificate.
    pub fn matches(&self, certificate_der: &[u8]) -> bool {
        *self == Self::of(self.hash, certificate_der)
    }

    /// The hash function.
    pub fn hash(&self) -> FingerprintHash {
        self.hash
    }

    fn bytes(&self) -> &[u8] {
        &self.value[..self.hash.algorithm().output_len()]
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads `sha-256 12:DF:...`, in any mixture of cases.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (name, hex) = text
            .trim()
            .split_once([' ', '\t'])
            .ok_or(FingerprintError::NoValue)?;
        let hash: FingerprintHash = name.parse()?;
        let mut value = [0; MAX_LEN];
        let mut found = 0;
        for pair in hex.trim().split(':') {
            let byte = match pair.as_bytes() {
                [high, low] => hex_digit(*high)
                    .zip(hex_digit(*low))
                    .map(|(high, low)| high << 4 | low),
                _ => None,
            };
            let byte = byte.ok_or(FingerprintError::NotHex)?;
            if let Some(slot) = value.get_mut(found) {
                *slot = byte;
            }
            found += 1;
        }
        let expected = hash.algorithm().output_len();
        if found != expected {
            return Err(FingerprintError::WrongLength {
                hash: hash.name(),
                expected,
                found,
            });
        }
        Ok(Self { hash, value })
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (index, byte) in self.bytes().iter().enumerate() {
            let before = if index == 0 { ' ' } else { ':' };
            write!(f, "{before}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 example: the SHA-256 of "abc".
    const ABC: &str = "sha-256 BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:\
                       B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

    #[test]
    fn is_written_as_sdp_writes_it() {
        let fingerprint = Fingerprint::of(FingerprintHash::Sha256, b"abc");
        assert_eq!(fingerprint.to_string(), ABC);
        assert!(fingerprint.matches(b"abc"));
        assert!(!fingerprint.matches(b"abd"));
    }

    #[test]
    fn case_does_not_matter_when_reading() {
        let expected = Fingerprint::of(FingerprintHash::Sha256, b"abc");
        assert_eq!(ABC.parse(), Ok(expected));
        assert_eq!(ABC.to_lowercase().parse(), Ok(expected));
        assert_eq!(ABC.to_uppercase().parse(), Ok(expected));
    }

    #[test]
    fn every_hash_survives_writing_and_reading() {
        for hash in FingerprintHash::ALL {
            let fingerprint = Fingerprint::of(hash, b"certificate");
            let read: Fingerprint = fingerprint.to_string().parse().unwrap();
            assert_eq!(read, fingerprint);
            assert!(read.matches(b"certificate"));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Fingerprint>().unwrap_err().to_string();
        assert_eq!(
            error("sha-256"),
            "fingerprint has no value after the hash function"
        );
        assert_eq!(
            error("md9 AA:BB"),
            "unknown hash function \"md9\" in fingerprint"
        );
        assert_eq!(
            error("sha-1 AA:BB"),
            "fingerprint has 2 bytes where sha-1 has 20"
        );
        for text in [
            "sha-1 AA:B",
            "sha-1 AA::BB",
            "sha-1 AAxBB",
            "sha-1 +A:BB",
            "sha-1 ",
        ] {
            assert!(
                matches!(
                    text.parse::<Fingerprint>(),
                    Err(FingerprintError::NotHex | FingerprintError::NoValue)
                ),
                "{text}"
            );
        }
        let long = format!("sha-1 {}", vec!["00"; 5000].join(":"));
        assert_eq!(
            error(&long),
            "fingerprint has 5000 bytes where sha-1 has 20"
        );
    }
}
