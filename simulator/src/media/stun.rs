//! STUN messages as connectivity checks use them (RFC 8489 §5, §14; RFC 8445 §7.1).
//!
//! Written for the simulator alone, so that it shares no mistake with the relay's own. Nothing is believed before
//! MESSAGE-INTEGRITY and FINGERPRINT are right. The tests hold it against the vectors of RFC 5769 and `stun-rs`.

use std::net::{IpAddr, SocketAddr};

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// RFC 8489 §14.7.
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// The message types of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageType {
    Request,
    Success,
    Error,
}

impl MessageType {
    fn number(self) -> u16 {
        match self {
            Self::Request => 0x0001,
            Self::Success => 0x0101,
            Self::Error => 0x0111,
        }
    }
}

/// A message whose FINGERPRINT, if it has one, is right.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) message_type: MessageType,
    pub(crate) transaction: [u8; 12],
    bytes: &'a [u8],
    attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Attribute<'a> {
    number: u16,
    /// Where its header begins in the message.
    offset: usize,
    value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a Binding message; `None` if it is not one or is damaged.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let message_type = match u16::from_be_bytes([header[0], header[1]]) {
            0x0001 => MessageType::Request,
            0x0101 => MessageType::Success,
            0x0111 => MessageType::Error,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[4..8] != MAGIC_COOKIE || bytes.len() != HEADER + length {
            return None;
        }
        let mut attributes = Vec::new();
        let mut offset = HEADER;
        while offset < bytes.len() {
            let head = bytes.get(offset..offset + 4)?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            attributes.push(Attribute {
                number: u16::from_be_bytes([head[0], head[1]]),
                offset,
                value: bytes.get(offset + 4..offset + 4 + length)?,
            });
            offset += 4 + length.next_multiple_of(4);
        }
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..HEADER]);
        let message = Self {
            message_type,
            transaction,
            bytes,
            attributes,
        };
        message.is_fingerprint_right().then_some(message)
    }

    fn attribute(&self, number: u16) -> Option<&Attribute<'a>> {
        self.attributes
            .iter()
            .find(|attribute| attribute.number == number)
    }

    fn is_fingerprint_right(&self) -> bool {
        let Some(fingerprint) = self.attribute(FINGERPRINT) else {
            return true;
        };
        let expected = crc32(&self.bytes[..fingerprint.offset]) ^ FINGERPRINT_MASK;
        fingerprint.value == expected.to_be_bytes()
    }

    /// Whether it carries a FINGERPRINT, which RFC 8445 §7.1.1 demands of a check.
    pub(crate) fn has_fingerprint(&self) -> bool {
        self.attribute(FINGERPRINT).is_some()
    }

    /// Whether it carries a MESSAGE-INTEGRITY made with this password (RFC 8489 §14.5).
    pub(crate) fn is_authentic(&self, password: &str) -> bool {
        let Some(integrity) = self.attribute(MESSAGE_INTEGRITY) else {
            return false;
        };
        let mut covered = self.bytes[..integrity.offset].to_vec();
        set_length(&mut covered, integrity.offset + 24 - HEADER);
        hmac_sha1(password.as_bytes(), &covered).is_some_and(|expected| integrity.value == expected)
    }

    pub(crate) fn username(&self) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(USERNAME)?.value).ok()
    }

    pub(crate) fn is_nominating(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    pub(crate) fn is_controlled(&self) -> bool {
        self.attribute(ICE_CONTROLLED).is_some()
    }

    pub(crate) fn is_controlling(&self) -> bool {
        self.attribute(ICE_CONTROLLING).is_some()
    }

    pub(crate) fn has_priority(&self) -> bool {
        self.attribute(PRIORITY).is_some()
    }

    /// The code of an error response (RFC 8489 §14.8).
    #[cfg(test)]
    pub(crate) fn error_code(&self) -> Option<u16> {
        let value = self.attribute(ERROR_CODE)?.value;
        Some(u16::from(value.get(2)? & 7) * 100 + u16::from(*value.get(3)?))
    }
}

/// Writes one message, attribute by attribute.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(message_type: MessageType, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(message_type.number().to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(transaction);
        Self { bytes }
    }

    fn attribute(&mut self, number: u16, value: &[u8]) {
        self.bytes.extend(number.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// RFC 8489 §14.2.
    pub(crate) fn xor_mapped_address(mut self, address: SocketAddr) -> Self {
        let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
        let port = address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
        value.extend(port.to_be_bytes());
        // The mask is the cookie and, for IPv6, the transaction behind it, as both stand in the header.
        let mask = self.bytes[4..HEADER].to_vec();
        let octets = match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        value.extend(octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
        self.attribute(XOR_MAPPED_ADDRESS, &value);
        self
    }

    /// RFC 8489 §14.8.
    pub(crate) fn error(mut self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend(reason.as_bytes());
        self.attribute(ERROR_CODE, &value);
        self
    }

    /// MESSAGE-INTEGRITY and FINGERPRINT, which come last.
    pub(crate) fn seal(mut self, password: &str) -> Vec<u8> {
        let length = self.bytes.len() + 24 - HEADER;
        set_length(&mut self.bytes, length);
        // OpenSSL refuses HMAC-SHA1 only where policy forbids SHA-1; a message without it is then simply not believed.
        let integrity = hmac_sha1(password.as_bytes(), &self.bytes).unwrap_or_default();
        self.attribute(MESSAGE_INTEGRITY, &integrity);
        let length = self.bytes.len() + 8 - HEADER;
        set_length(&mut self.bytes, length);
        let fingerprint = crc32(&self.bytes) ^ FINGERPRINT_MASK;
        self.attribute(FINGERPRINT, &fingerprint.to_be_bytes());
        self.bytes
    }
}

/// What a full agent writes; the simulator itself never sends checks.
#[cfg(test)]
impl Writer {
    pub(crate) fn username(mut self, username: &str) -> Self {
        self.attribute(USERNAME, username.as_bytes());
        self
    }

    pub(crate) fn controlling(mut self, tie_breaker: u64) -> Self {
        self.attribute(ICE_CONTROLLING, &tie_breaker.to_be_bytes());
        self
    }

    pub(crate) fn controlled(mut self, tie_breaker: u64) -> Self {
        self.attribute(ICE_CONTROLLED, &tie_breaker.to_be_bytes());
        self
    }

    pub(crate) fn nominating(mut self) -> Self {
        self.attribute(USE_CANDIDATE, &[]);
        self
    }

    pub(crate) fn priority(mut self, priority: u32) -> Self {
        self.attribute(PRIORITY, &priority.to_be_bytes());
        self
    }
}

fn set_length(bytes: &mut [u8], length: usize) {
    let length = (length as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
}

fn hmac_sha1(key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let key = PKey::hmac(key).ok()?;
    let mut signer = Signer::new(MessageDigest::sha1(), &key).ok()?;
    signer.sign_oneshot_to_vec(bytes).ok()
}

/// The CRC of ITU V.42, bit by bit: a check is a hundred octets.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stun_rs::attributes::stun::{ErrorCode, XorMappedAddress};
    use stun_rs::{DecoderContextBuilder, HMACKey, MessageDecoder, MessageDecoderBuilder};

    /// RFC 5769 §2.1.
    const SAMPLE_REQUEST: &[u8] =
        b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
        \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09\
        \x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\x00\x08\x00\x14\
        \x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
        \x80\x28\x00\x04\xe5\x7a\x3b\xcf";
    const SAMPLE_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn stranger(password: &str) -> MessageDecoder {
        let key = HMACKey::new_short_term(password).expect("a key");
        let context = DecoderContextBuilder::default()
            .with_key(key)
            .with_validation()
            .build();
        MessageDecoderBuilder::default()
            .with_context(context)
            .build()
    }

    #[test]
    fn the_request_of_rfc_5769_is_authentic() {
        let message = Message::parse(SAMPLE_REQUEST).expect("the RFC's own request");
        assert_eq!(message.message_type, MessageType::Request);
        assert_eq!(message.username(), Some("evtj:h6vY"));
        assert!(message.is_authentic(SAMPLE_PASSWORD) && message.has_fingerprint());
        assert!(message.is_controlled() && message.has_priority() && !message.is_nominating());
    }

    #[test]
    fn another_password_or_a_changed_octet_is_not_believed() {
        let message = Message::parse(SAMPLE_REQUEST).expect("the RFC's own request");
        assert!(!message.is_authentic("another"));
        let mut changed = SAMPLE_REQUEST.to_vec();
        changed[30] ^= 1;
        assert!(
            Message::parse(&changed).is_none(),
            "the fingerprint no longer fits"
        );
    }

    #[test]
    fn a_message_without_integrity_is_not_authentic() {
        let bare = Writer::new(MessageType::Request, [1; 12])
            .username("a:b")
            .bytes;
        let message = Message::parse(&bare);
        // Its length field was never set: only the sealed form is a whole message.
        assert!(message.is_none());
        let mut whole = bare;
        let length = whole.len() - HEADER;
        set_length(&mut whole, length);
        let message = Message::parse(&whole).expect("well formed");
        assert!(!message.is_authentic("password"));
    }

    #[test]
    fn a_stranger_reads_our_success_response() {
        for address in [
            "192.0.2.1:32853",
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            let bytes = Writer::new(MessageType::Success, [7; 12])
                .xor_mapped_address(address)
                .seal(SAMPLE_PASSWORD);
            let (message, length) = stranger(SAMPLE_PASSWORD)
                .decode(&bytes)
                .expect("valid to a stranger");
            assert_eq!(length, bytes.len());
            let mapped = message.get::<XorMappedAddress>().expect("the address");
            let mapped = mapped.as_xor_mapped_address().expect("the address");
            assert_eq!(mapped.socket_address(), &address);
        }
    }

    #[test]
    fn a_stranger_reads_our_role_conflict() {
        let bytes = Writer::new(MessageType::Error, [7; 12])
            .error(487, "Role Conflict")
            .seal(SAMPLE_PASSWORD);
        let (message, _) = stranger(SAMPLE_PASSWORD)
            .decode(&bytes)
            .expect("valid to a stranger");
        let error = message.get::<ErrorCode>().expect("the code");
        assert_eq!(
            error
                .as_error_code()
                .expect("the code")
                .error_code()
                .error_code(),
            487
        );
        assert_eq!(
            Message::parse(&bytes).and_then(|message| message.error_code()),
            Some(487)
        );
    }
}
