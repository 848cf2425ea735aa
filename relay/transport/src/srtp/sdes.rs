//! Keys in SDP: `a=crypto` (RFC 4568).
//!
//! ```text
//! 1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4 FEC_ORDER=FEC_SRTP
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Mki, SrtpKey, SrtpKeyError, SrtpProfile};

/// Senders disagree about the padding of keys, so both forms are read. Without it is what most write.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BASE64_PADDED: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(true),
);

/// RFC 4568 section 9.1: the tag has at most nine digits.
const MAX_TAG: u32 = 999_999_999;

/// For how many packets a key is good (RFC 4568 section 6.1). It is kept for printing; we never come near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Lifetime {
    /// Written as a number of packets.
    Packets(u64),
    /// Written as a power of two.
    PowerOfTwo(u8),
}

/// One `a=crypto` line, without the name of the attribute.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CryptoAttribute {
    /// Ties the answer to one of the offered lines.
    pub tag: u32,
    /// Profile, key, salt and identifier.
    pub key: SrtpKey,
    pub lifetime: Option<Lifetime>,
    /// What follows the key, each as it was written, such as `UNENCRYPTED_SRTCP` or `WSH=64`.
    pub session_params: Vec<String>,
}

/// Why a line cannot be used. The line is then no reason to refuse the offer; another one may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdesError {
    #[error("a=crypto has no tag, suite and key")]
    Incomplete,
    #[error("the tag of a=crypto is not a number of at most nine digits: {0:?}")]
    Tag(String),
    #[error("crypto suite {0:?} is not supported")]
    UnknownSuite(String),
    #[error("the key method of a=crypto is not \"inline:\"")]
    Method,
    #[error("a=crypto has more than one key, of which we can use only one")]
    SeveralKeys,
    #[error("the key of a=crypto is not base64")]
    Base64,
    #[error("the key of a=crypto does not fit its suite: {0}")]
    Key(#[from] SrtpKeyError),
    #[error("a=crypto has a lifetime or MKI that is none: {0:?}")]
    LifetimeOrMki(String),
}

impl CryptoAttribute {
    /// A line with nothing but tag, suite and key.
    pub fn new(tag: u32, key: SrtpKey) -> Self {
        Self {
            tag,
            key,
            lifetime: None,
            session_params: Vec::new(),
        }
    }

    /// Whether a session parameter of that name is present (`UNENCRYPTED_SRTP`, `WSH`, ...).
    pub fn has_session_param(&self, name: &str) -> bool {
        let mut names = self
            .session_params
            .iter()
            .map(|param| param.split_once('=').map_or(&**param, |(name, _)| name));
        names.any(|present| present.eq_ignore_ascii_case(name))
    }

    /// The line with a padded key, for peers that insist on it (`SDES-pad`).
    pub fn padded(&self) -> impl fmt::Display + '_ {
        Line {
            attribute: self,
            engine: &BASE64_PADDED,
        }
    }
}

impl FromStr for CryptoAttribute {
    type Err = SdesError;

    /// Reads what follows `a=crypto:`.
    fn from_str(text: &str) -> Result<Self, SdesError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(key_params)) = (words.next(), words.next(), words.next())
        else {
            return Err(SdesError::Incomplete);
        };
        let number = tag
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| tag.parse().ok());
        let Some(tag) = number.flatten().filter(|tag| *tag <= MAX_TAG) else {
            return Err(SdesError::Tag(excerpt(tag)));
        };
        let profile = SrtpProfile::from_sdes_name(suite)
            .ok_or_else(|| SdesError::UnknownSuite(excerpt(suite)))?;
        if key_params.trim_end_matches(';').contains(';') {
            return Err(SdesError::SeveralKeys);
        }
        let (key, lifetime) = key_param(profile, key_params.trim_end_matches(';'))?;
        Ok(Self {
            tag,
            key,
            lifetime,
            session_params: words.map(str::to_owned).collect(),
        })
    }
}

/// RFC 4568 section 6.1: `inline:<key and salt>["|" lifetime]["|" MKI ":" length]`.
fn key_param(profile: SrtpProfile, text: &str) -> Result<(SrtpKey, Option<Lifetime>), SdesError> {
    let (method, info) = text.split_once(':').ok_or(SdesError::Method)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(SdesError::Method);
    }
    let mut parts = info.split('|');
    let encoded = parts.next().unwrap_or_default();
    // The longest key has 46 bytes, which are 64 digits; nothing longer is worth decoding.
    let material = (encoded.len() <= 128)
        .then(|| BASE64.decode(encoded).ok())
        .flatten();
    let key = SrtpKey::from_material(profile, &material.ok_or(SdesError::Base64)?)?;
    let (mut lifetime, mut mki) = (None, None);
    for part in parts {
        let invalid = || SdesError::LifetimeOrMki(excerpt(part));
        if let Some((value, len)) = part.split_once(':').filter(|_| mki.is_none()) {
            let value = value.parse().ok();
            let len = len.parse().ok();
            mki = Some(
                value
                    .zip(len)
                    .and_then(|(value, len)| Mki::new(value, len))
                    .ok_or_else(invalid)?,
            );
        } else if lifetime.is_none() && mki.is_none() {
            lifetime = Some(part.parse().map_err(|()| invalid())?);
        } else {
            return Err(invalid());
        }
    }
    Ok((key.with_mki(mki), lifetime))
}

/// As much of a stranger's text as belongs in an error.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

impl FromStr for Lifetime {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix("2^") {
            Some(power) => {
                let power = power.parse().map_err(|_| ())?;
                if power < 64 {
                    Ok(Self::PowerOfTwo(power))
                } else {
                    Err(())
                }
            }
            None => text.parse().map(Self::Packets).map_err(|_| ()),
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(packets) => write!(f, "{packets}"),
            Self::PowerOfTwo(power) => write!(f, "2^{power}"),
        }
    }
}

impl fmt::Display for CryptoAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Line {
            attribute: self,
            engine: &BASE64,
        };
        line.fmt(f)
    }
}

/// A line being written in one of the two forms of base64.
struct Line<'a> {
    attribute: &'a CryptoAttribute,
    engine: &'static GeneralPurpose,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CryptoAttribute {
            tag,
            key,
            lifetime,
            session_params,
        } = self.attribute;
        let material = [key.master_key(), key.master_salt()].concat();
        let key_text = self.engine.encode(material);
        write!(f, "{tag} {} inline:{key_text}", key.profile().sdes_name())?;
        if let Some(lifetime) = lifetime {
            write!(f, "|{lifetime}")?;
        }
        if let Some(mki) = key.mki() {
            write!(f, "|{}:{}", mki.value(), mki.wire_len())?;
        }
        for param in session_params {
            write!(f, " {param}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From RFC 4568 section 10.1 and 6.1.
    const PLAIN: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    const FULL: &str = "2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32 FEC_ORDER=FEC_SRTP";

    fn error(text: &str) -> String {
        text.parse::<CryptoAttribute>().unwrap_err().to_string()
    }

    #[test]
    fn lines_of_the_rfc_survive_reading_and_writing() {
        for line in [PLAIN, FULL] {
            let attribute: CryptoAttribute = line.parse().unwrap();
            assert_eq!(attribute.to_string(), line);
        }
        let attribute: CryptoAttribute = FULL.parse().unwrap();
        assert_eq!(attribute.tag, 2);
        assert_eq!(attribute.key.profile(), SrtpProfile::Aes128CmSha1_32);
        assert_eq!(attribute.key.master_key(), b"70xwPH5@/,L:S1wY");
        assert_eq!(attribute.lifetime, Some(Lifetime::PowerOfTwo(20)));
        assert_eq!(attribute.key.mki(), Mki::new(1, 32));
        assert!(attribute.has_session_param("fec_order"));
        assert!(!attribute.has_session_param("WSH"));
    }

    #[test]
    fn padding_is_read_either_way_and_written_on_request() {
        let key = SrtpKey::from_material(SrtpProfile::AeadAes256Gcm, &[7; 44]).unwrap();
        let attribute = CryptoAttribute::new(3, key);
        let (without, with) = (attribute.to_string(), attribute.padded().to_string());
        assert!(!without.contains('=') && with.ends_with('='));
        assert_eq!(without.parse(), Ok(attribute.clone()));
        assert_eq!(with.parse(), Ok(attribute));
    }

    #[test]
    fn lifetime_and_identifier_may_stand_alone() {
        let with = |suffix: &str| format!("{PLAIN}{suffix}").parse::<CryptoAttribute>();
        assert_eq!(
            with("|4096").unwrap().lifetime,
            Some(Lifetime::Packets(4096))
        );
        let only_mki = with("|1:4").unwrap();
        assert_eq!(
            (only_mki.lifetime, only_mki.key.mki()),
            (None, Mki::new(1, 4))
        );
        for wrong in [
            "|",
            "|2^",
            "|2^64",
            "|1:0",
            "|256:1",
            "|1:4|1:4",
            "|1:4|2^20",
            "|x:4",
        ] {
            assert!(
                matches!(with(wrong), Err(SdesError::LifetimeOrMki(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(
            error("1 AES_CM_128_HMAC_SHA1_80"),
            "a=crypto has no tag, suite and key"
        );
        assert_eq!(
            error("1 F8_128_HMAC_SHA1_80 inline:aaaa"),
            "crypto suite \"F8_128_HMAC_SHA1_80\" is not supported"
        );
        assert_eq!(
            error(&format!(
                "{PLAIN};inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
            )),
            "a=crypto has more than one key, of which we can use only one"
        );
        assert_eq!(
            error("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA"),
            "the key of a=crypto does not fit its suite: AES_CM_128_HMAC_SHA1_80 needs 30 bytes of key and salt, not 3"
        );
        assert_eq!(
            error("1 AES_CM_128_HMAC_SHA1_80 inline:!!"),
            "the key of a=crypto is not base64"
        );
        assert_eq!(
            error("1 AES_CM_128_HMAC_SHA1_80 uri:AAAA"),
            "the key method of a=crypto is not \"inline:\""
        );
        for tag in ["+1", "1000000000", "x"] {
            assert!(
                error(&PLAIN.replacen('1', tag, 1)).contains("the tag of a=crypto"),
                "{tag}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[0-9]{1,3} AES_CM_128_HMAC_SHA1_80 inline:.{0,60}") {
            let _ = text.parse::<CryptoAttribute>();
        }
    }
}
