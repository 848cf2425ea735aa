//! What a ClientHello offers and a ServerHello agrees to (RFC 5246 section 7.4.1), as far as it decides about a handshake.
//!
//! Hellos come in the clear and before anything is authenticated; they choose an engine and fill sentences, nothing else.

use std::fmt;

use super::record::RANDOM_LEN;
use crate::srtp::SrtpProfile;

/// Extensions of RFC 5246, 5764, 7627 and 8422.
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const USE_SRTP: u16 = 14;
const EXTENDED_MASTER_SECRET: u16 = 23;

/// The profiles both engines know, by their numbers at IANA (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
const PROFILES: [(u16, SrtpProfile); 4] = [
    (8, SrtpProfile::AeadAes256Gcm),
    (7, SrtpProfile::AeadAes128Gcm),
    (1, SrtpProfile::Aes128CmSha1_80),
    (2, SrtpProfile::Aes128CmSha1_32),
];

/// The profile with that number.
pub(super) fn srtp_profile(number: u16) -> Option<SrtpProfile> {
    let found = PROFILES.iter().find(|(known, _)| *known == number)?;
    Some(found.1)
}

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) version: u16,
    pub(super) cipher_suites: Vec<u16>,
    pub(super) srtp_profiles: Vec<u16>,
    pub(super) extended_master_secret: bool,
    /// Empty when it does not say.
    pub(super) groups: Vec<u16>,
    /// Empty when it does not say.
    pub(super) signature_algorithms: Vec<u16>,
}

/// What a server has agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) version: u16,
    pub(super) cipher_suite: u16,
    pub(super) srtp_profile: Option<u16>,
    pub(super) extended_master_secret: bool,
}

impl ClientHello {
    /// Reads the body of a whole message.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut body = Reader(body);
        let version = body.u16()?;
        body.take(RANDOM_LEN)?;
        body.vector8()?; // session id
        body.vector8()?; // cookie
        let mut hello = Self {
            version,
            cipher_suites: numbers(body.vector16()?),
            ..Self::default()
        };
        body.vector8()?; // compression methods
        for (extension, content) in body.extensions() {
            let mut content = Reader(content);
            match extension {
                SUPPORTED_GROUPS => hello.groups = numbers(content.vector16()?),
                SIGNATURE_ALGORITHMS => hello.signature_algorithms = numbers(content.vector16()?),
                USE_SRTP => hello.srtp_profiles = numbers(content.vector16()?),
                EXTENDED_MASTER_SECRET => hello.extended_master_secret = true,
                _ => {}
            }
        }
        Some(hello)
    }
}

impl ServerHello {
    /// Reads the body of a whole message.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut body = Reader(body);
        let version = body.u16()?;
        body.take(RANDOM_LEN)?;
        body.vector8()?; // session id
        let mut hello = Self {
            version,
            cipher_suite: body.u16()?,
            ..Self::default()
        };
        body.take(1)?; // compression method
        for (extension, content) in body.extensions() {
            let mut content = Reader(content);
            match extension {
                USE_SRTP => hello.srtp_profile = numbers(content.vector16()?).first().copied(),
                EXTENDED_MASTER_SECRET => hello.extended_master_secret = true,
                _ => {}
            }
        }
        Some(hello)
    }
}

/// A list of numbers for a sentence; a hostile hello must not fill the log.
pub(super) struct Listed<'a>(pub(super) &'a [u16]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, number) in self.0.iter().take(SHOWN).enumerate() {
            let before = if index == 0 { "" } else { ", " };
            write!(f, "{before}0x{number:04X}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks();
    pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let len = *self.take(1)?.first()?;
        self.take(usize::from(len))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// The extensions, up to the first that is cut off. There may be none at all.
    fn extensions(&mut self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut list = Reader(self.vector16().unwrap_or_default());
        std::iter::from_fn(move || Some((list.u16()?, list.vector16()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client_hello() -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; RANDOM_LEN]);
        body.extend([0, 1, 0xcc]); // no session, a cookie
        body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
        let extensions = [
            &[0, 23, 0, 0][..],
            &[0, 14, 0, 7, 0, 4, 0, 7, 0, 2, 0],
            &[0, 10, 0, 4, 0, 2, 0, 29],
            &[0, 13, 0, 4, 0, 2, 4, 3],
        ]
        .concat();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        body
    }

    #[test]
    fn what_a_client_offers_is_read() {
        let hello = ClientHello::parse(&client_hello()).unwrap();
        assert_eq!(hello.version, 0xfefd);
        assert_eq!(hello.cipher_suites, [0xc02b, 0xc02f]);
        assert_eq!(hello.srtp_profiles, [7, 2]);
        assert!(hello.extended_master_secret);
        assert_eq!(
            (hello.groups, hello.signature_algorithms),
            (vec![29], vec![0x0403])
        );
    }

    #[test]
    fn what_a_server_agreed_to_is_read() {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; RANDOM_LEN]);
        body.extend([0, 0xc0, 0x2b, 0]);
        let bare = ServerHello::parse(&body).unwrap();
        assert_eq!((bare.cipher_suite, bare.srtp_profile), (0xc02b, None));
        assert!(!bare.extended_master_secret);
        body.extend([0, 13, 0, 14, 0, 5, 0, 2, 0, 2, 0, 0, 23, 0, 0]);
        let hello = ServerHello::parse(&body).unwrap();
        assert_eq!(hello.srtp_profile, Some(2));
        assert!(hello.extended_master_secret);
    }

    #[test]
    fn long_lists_are_cut_in_sentences() {
        assert_eq!(Listed(&[]).to_string(), "none");
        assert_eq!(Listed(&[1, 0xc02b]).to_string(), "0x0001, 0xC02B");
        assert!(Listed(&[9; 300]).to_string().ends_with(" and 288 more"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..120) {
            let _ = (ClientHello::parse(&bytes), ServerHello::parse(&bytes));
            let hello = client_hello();
            let _ = ClientHello::parse(&hello[..cut.min(hello.len())]);
        }
    }
}
