//! A STUN message: parsed in place, written in place (RFC 8489 sections 5 and 6).
//!
//! Parsing checks the form and FINGERPRINT, not who sent it: that is [`Message::verify`], with the key that fits.
//! RFC 8445 section 7.1 wants FINGERPRINT in every check. One that is wrong makes the datagram no STUN at all; a message
//! without one is still read, because MESSAGE-INTEGRITY, which we insist on, proves more.

use std::net::SocketAddr;

use relay_packet::PacketBuf;

use super::attribute::{AttributeKind, ErrorCode, read_xor_address, write_xor_address};
use super::integrity::{INTEGRITY_LEN, IntegrityKey, fingerprint};

pub(super) const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER_LEN: usize = 20;
const BINDING: u16 = 0x0001;
/// How many unknown attributes are remembered for the 420 reply.
const MAX_UNKNOWN: usize = 4;
/// More attributes than any ICE agent sends; what has more is not read to its end.
const MAX_ATTRIBUTES: usize = 32;

/// The 96 bits that tie a response to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// What a message is for (RFC 8489 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// ICE-CONTROLLING or ICE-CONTROLLED with its tie-breaker (RFC 8445 section 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleAttribute {
    Controlling(u64),
    Controlled(u64),
}

/// Why a datagram is no Binding message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("the header is not that of a STUN message")]
    Header,
    #[error("the method is not Binding")]
    Method,
    #[error("an attribute does not fit, or its value has the wrong form")]
    Attribute,
    #[error("the fingerprint is wrong")]
    Fingerprint,
}

/// A Binding message whose form and fingerprint are right.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    pub class: Class,
    pub transaction: TransactionId,
    pub username: Option<&'a [u8]>,
    pub priority: Option<u32>,
    pub use_candidate: bool,
    pub role: Option<RoleAttribute>,
    pub mapped_address: Option<SocketAddr>,
    pub error_code: Option<ErrorCode>,
    /// Where MESSAGE-INTEGRITY begins.
    integrity_at: Option<usize>,
    unknown: [u16; MAX_UNKNOWN],
    unknown_len: usize,
}

impl<'a> Message<'a> {
    /// Parses a datagram that holds one Binding message and nothing else.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, _) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Header)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if kind & 0xc000 != 0
            || cookie != MAGIC_COOKIE
            || len % 4 != 0
            || HEADER_LEN + len != bytes.len()
        {
            return Err(ParseError::Header);
        }
        let (class, method) = split_type(kind);
        if method != BINDING {
            return Err(ParseError::Method);
        }
        let mut transaction = TransactionId([0; 12]);
        transaction.0.copy_from_slice(&header[8..]);
        let mut message = Self {
            bytes,
            class,
            transaction,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            mapped_address: None,
            error_code: None,
            integrity_at: None,
            unknown: [0; MAX_UNKNOWN],
            unknown_len: 0,
        };
        message.read_attributes()?;
        Ok(message)
    }

    fn read_attributes(&mut self) -> Result<(), ParseError> {
        let mut at = HEADER_LEN;
        for _ in 0..MAX_ATTRIBUTES {
            if at == self.bytes.len() {
                return Ok(());
            }
            let rest = &self.bytes[at..];
            let (head, rest) = rest.split_first_chunk::<4>().ok_or(ParseError::Attribute)?;
            let kind = AttributeKind(u16::from_be_bytes([head[0], head[1]]));
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let padded = len.next_multiple_of(4);
            if padded > rest.len() {
                return Err(ParseError::Attribute);
            }
            if kind == AttributeKind::FINGERPRINT {
                // RFC 8489 section 14.7: it is the last attribute.
                let expected = fingerprint(&self.bytes[..at]).to_be_bytes();
                let is_last = rest.len() == padded;
                return if is_last && rest[..len] == expected {
                    Ok(())
                } else {
                    Err(ParseError::Fingerprint)
                };
            }
            // RFC 8489 section 14.5: whatever else stands behind MESSAGE-INTEGRITY is ignored, nobody has signed it.
            if self.integrity_at.is_none() {
                self.read_attribute(kind, &rest[..len], at)?;
            }
            at += 4 + padded;
        }
        Err(ParseError::Attribute)
    }

    /// RFC 8489 section 14: of an attribute that appears twice, the first counts.
    fn read_attribute(
        &mut self,
        kind: AttributeKind,
        value: &'a [u8],
        at: usize,
    ) -> Result<(), ParseError> {
        match kind {
            AttributeKind::USERNAME => {
                self.username.get_or_insert(value);
            }
            AttributeKind::MESSAGE_INTEGRITY => {
                if value.len() != INTEGRITY_LEN {
                    return Err(ParseError::Attribute);
                }
                self.integrity_at = Some(at);
            }
            AttributeKind::PRIORITY => {
                let value = value.try_into().map_err(|_| ParseError::Attribute)?;
                self.priority.get_or_insert(u32::from_be_bytes(value));
            }
            AttributeKind::USE_CANDIDATE => self.use_candidate = true,
            AttributeKind::ICE_CONTROLLING | AttributeKind::ICE_CONTROLLED => {
                let value = value.try_into().map_err(|_| ParseError::Attribute)?;
                let tie_breaker = u64::from_be_bytes(value);
                self.role
                    .get_or_insert(if kind == AttributeKind::ICE_CONTROLLING {
                        RoleAttribute::Controlling(tie_breaker)
                    } else {
                        RoleAttribute::Controlled(tie_breaker)
                    });
            }
            AttributeKind::XOR_MAPPED_ADDRESS => {
                let address =
                    read_xor_address(value, self.transaction).ok_or(ParseError::Attribute)?;
                self.mapped_address.get_or_insert(address);
            }
            AttributeKind::ERROR_CODE => {
                let code = ErrorCode::read(value).ok_or(ParseError::Attribute)?;
                self.error_code.get_or_insert(code);
            }
            _ if kind.is_comprehension_required() && !kind.is_known() => {
                if let Some(slot) = self.unknown.get_mut(self.unknown_len) {
                    *slot = kind.0;
                    self.unknown_len += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the message carries a MESSAGE-INTEGRITY at all.
    pub fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether the message carries a MESSAGE-INTEGRITY made with this key.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        self.integrity_at.is_some_and(|at| {
            let value = &self.bytes[at + 4..at + 4 + INTEGRITY_LEN];
            key.verify(&self.bytes[..at], value)
        })
    }

    /// The first few attributes that we would have to understand and do not.
    pub fn unknown_attributes(&self) -> &[u16] {
        &self.unknown[..self.unknown_len]
    }
}

/// RFC 8489 section 5: the class bits stand between those of the method.
fn split_type(kind: u16) -> (Class, u16) {
    let class = match (kind >> 7) & 2 | (kind >> 4) & 1 {
        0 => Class::Request,
        1 => Class::Indication,
        2 => Class::Success,
        _ => Class::Error,
    };
    let method = (kind & 0x000f) | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2;
    (class, method)
}

/// Writes a Binding message into a packet buffer, attribute by attribute, then [`Self::finish`].
#[derive(Debug)]
pub struct MessageWriter<'a> {
    packet: &'a mut PacketBuf,
    transaction: TransactionId,
    fits: bool,
}

impl<'a> MessageWriter<'a> {
    /// Begins a message; what was in `packet` is gone.
    pub fn new(packet: &'a mut PacketBuf, class: Class, transaction: TransactionId) -> Self {
        let class_bits: u16 = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&(BINDING | class_bits).to_be_bytes());
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&transaction.0);
        let fits = packet.copy_from(&header);
        Self {
            packet,
            transaction,
            fits,
        }
    }

    /// USERNAME of a check (RFC 8445 section 7.2.2): the receiver's fragment, a colon, the sender's.
    pub fn username(&mut self, receiver: &str, sender: &str) -> &mut Self {
        let len = receiver.len() + 1 + sender.len();
        self.head(AttributeKind::USERNAME, len);
        self.push(receiver.as_bytes());
        self.push(b":");
        self.push(sender.as_bytes());
        self.pad(len)
    }

    pub fn priority(&mut self, priority: u32) -> &mut Self {
        self.attribute(AttributeKind::PRIORITY, &priority.to_be_bytes())
    }

    pub fn use_candidate(&mut self) -> &mut Self {
        self.attribute(AttributeKind::USE_CANDIDATE, &[])
    }

    pub fn role(&mut self, role: RoleAttribute) -> &mut Self {
        let (kind, tie_breaker) = match role {
            RoleAttribute::Controlling(value) => (AttributeKind::ICE_CONTROLLING, value),
            RoleAttribute::Controlled(value) => (AttributeKind::ICE_CONTROLLED, value),
        };
        self.attribute(kind, &tie_breaker.to_be_bytes())
    }

    pub fn mapped_address(&mut self, address: SocketAddr) -> &mut Self {
        let mut value = [0; 20];
        let len = write_xor_address(address, self.transaction, &mut value);
        self.attribute(AttributeKind::XOR_MAPPED_ADDRESS, &value[..len])
    }

    pub fn error_code(&mut self, code: ErrorCode) -> &mut Self {
        let mut value = [0; 32];
        let len = code.write(&mut value);
        self.attribute(AttributeKind::ERROR_CODE, &value[..len])
    }

    pub fn unknown_attributes(&mut self, kinds: &[u16]) -> &mut Self {
        self.head(AttributeKind::UNKNOWN_ATTRIBUTES, kinds.len() * 2);
        for kind in kinds {
            self.push(&kind.to_be_bytes());
        }
        self.pad(kinds.len() * 2)
    }

    /// Any attribute, by its bytes.
    pub fn attribute(&mut self, kind: AttributeKind, value: &[u8]) -> &mut Self {
        self.head(kind, value.len());
        self.push(value);
        self.pad(value.len())
    }

    /// Adds MESSAGE-INTEGRITY, when there is a key, and FINGERPRINT. `false` when the message did not fit its buffer.
    #[must_use]
    pub fn finish(&mut self, key: Option<&IntegrityKey>) -> bool {
        if let Some(key) = key {
            let value = key.sign(self.packet);
            self.attribute(AttributeKind::MESSAGE_INTEGRITY, &value);
        }
        // RFC 8489 section 14.7: the length already counts the 8 bytes of FINGERPRINT when the CRC is taken.
        let len = (self.packet.len() - HEADER_LEN + 8) as u16;
        self.packet[2..4].copy_from_slice(&len.to_be_bytes());
        let value = fingerprint(self.packet);
        self.attribute(AttributeKind::FINGERPRINT, &value.to_be_bytes());
        self.fits
    }

    fn head(&mut self, kind: AttributeKind, len: usize) {
        self.push(&kind.0.to_be_bytes());
        self.push(&(len as u16).to_be_bytes());
    }

    fn pad(&mut self, len: usize) -> &mut Self {
        self.push(&[0; 3][..len.next_multiple_of(4) - len]);
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        self.fits &= self.packet.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 section 2.1: a request with software, priority, ICE-CONTROLLED, username, integrity and fingerprint.
    const SAMPLE_REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
        \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
        \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
        \x80\x28\x00\x04\xe5\x7a\x3b\xcf";
    /// RFC 5769 section 2.2: a response with an IPv4 address.
    const SAMPLE_IPV4_RESPONSE: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
        \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
        \x80\x28\x00\x04\xc0\x7d\x4c\x96";
    /// RFC 5769 section 2.3: a response with an IPv6 address.
    const SAMPLE_IPV6_RESPONSE: &[u8] = b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0btest vector\x20\x00\x20\x00\x14\x00\x02\xa1\x47\
        \x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
        \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
        \x80\x28\x00\x04\xc8\xfb\x0b\x4c";
    const SAMPLE_PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn key() -> IntegrityKey {
        IntegrityKey::new(SAMPLE_PASSWORD)
    }

    #[test]
    fn rfc_5769_request() {
        let message = Message::parse(SAMPLE_REQUEST).unwrap();
        assert_eq!(message.class, Class::Request);
        assert_eq!(message.username, Some(b"evtj:h6vY".as_slice()));
        assert_eq!(message.priority, Some(0x6e00_01ff));
        assert_eq!(
            message.role,
            Some(RoleAttribute::Controlled(0x932f_f9b1_5126_3b36))
        );
        assert!(!message.use_candidate);
        assert!(message.verify(&key()));
        assert!(!message.verify(&IntegrityKey::new("VOkJxbRl1RmTxUk/WvJxBu")));
    }

    #[test]
    fn rfc_5769_responses() {
        let message = Message::parse(SAMPLE_IPV4_RESPONSE).unwrap();
        assert_eq!(message.class, Class::Success);
        assert_eq!(
            message.mapped_address,
            Some("192.0.2.1:32853".parse().unwrap())
        );
        assert!(message.verify(&key()));

        let message = Message::parse(SAMPLE_IPV6_RESPONSE).unwrap();
        let address = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        assert_eq!(message.mapped_address, Some(address.parse().unwrap()));
        assert!(message.verify(&key()));
    }

    #[test]
    fn every_changed_bit_of_a_signed_message_is_noticed() {
        // Up to FINGERPRINT, the last 8 bytes, which nobody signs.
        for at in 0..(SAMPLE_REQUEST.len() - 8) * 8 {
            let mut bytes = SAMPLE_REQUEST.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            let is_taken = Message::parse(&bytes).is_ok_and(|message| message.verify(&key()));
            assert!(!is_taken, "bit {at}");
        }
    }

    #[test]
    fn what_we_write_we_can_read() {
        let mut packet = PacketBuf::new();
        let transaction = TransactionId(*b"0123456789ab");
        let mut writer = MessageWriter::new(&mut packet, Class::Request, transaction);
        writer
            .username("theirs", "ours")
            .priority(7)
            .role(RoleAttribute::Controlling(9))
            .use_candidate();
        assert!(writer.finish(Some(&key())));
        let message = Message::parse(&packet).unwrap();
        assert_eq!(message.transaction, transaction);
        assert_eq!(message.username, Some(b"theirs:ours".as_slice()));
        assert_eq!(message.priority, Some(7));
        assert_eq!(message.role, Some(RoleAttribute::Controlling(9)));
        assert!(message.use_candidate);
        assert!(message.verify(&key()));
    }

    #[test]
    fn unknown_attributes_below_8000_are_remembered_and_those_above_skipped() {
        let mut packet = PacketBuf::new();
        let mut writer = MessageWriter::new(&mut packet, Class::Request, TransactionId([1; 12]));
        writer
            .attribute(AttributeKind(0x7001), b"abc")
            .attribute(AttributeKind(0xc057), b"network cost");
        assert!(writer.finish(Some(&key())));
        let message = Message::parse(&packet).unwrap();
        assert_eq!(message.unknown_attributes(), [0x7001]);
        assert!(message.verify(&key()));
    }

    #[test]
    fn what_stands_behind_the_integrity_is_not_believed() {
        let mut packet = PacketBuf::new();
        let mut writer = MessageWriter::new(&mut packet, Class::Request, TransactionId([1; 12]));
        let signature = key().sign(writer.packet);
        writer
            .attribute(AttributeKind::MESSAGE_INTEGRITY, &signature)
            .use_candidate();
        assert!(writer.finish(None));
        let message = Message::parse(&packet).unwrap();
        assert!(message.verify(&key()));
        assert!(!message.use_candidate);
    }

    #[test]
    fn a_missing_fingerprint_is_forgiven_and_a_wrong_one_is_not() {
        let mut bytes = SAMPLE_REQUEST.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(Message::parse(&bytes).unwrap_err(), ParseError::Fingerprint);
        bytes.truncate(bytes.len() - 8);
        bytes[3] -= 8;
        assert!(Message::parse(&bytes).unwrap().verify(&key()));
    }

    #[test]
    fn other_datagrams_are_no_binding_messages() {
        let parse = |bytes: &[u8]| Message::parse(bytes).unwrap_err();
        assert_eq!(parse(b""), ParseError::Header);
        assert_eq!(parse(&SAMPLE_REQUEST[..40]), ParseError::Header);
        let mut allocate = SAMPLE_REQUEST.to_vec();
        allocate[1] = 3;
        assert_eq!(parse(&allocate), ParseError::Method);
    }

    #[test]
    fn error_replies_carry_their_code_and_the_unknown_attributes() {
        let mut packet = PacketBuf::new();
        let mut writer = MessageWriter::new(&mut packet, Class::Error, TransactionId([1; 12]));
        writer
            .error_code(ErrorCode::UNKNOWN_ATTRIBUTE)
            .unknown_attributes(&[0x7001]);
        assert!(writer.finish(None));
        let message = Message::parse(&packet).unwrap();
        assert_eq!(message.error_code, Some(ErrorCode::UNKNOWN_ATTRIBUTE));
        assert!(!message.has_integrity());
    }
}
