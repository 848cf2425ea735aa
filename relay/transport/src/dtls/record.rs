//! Records and handshake messages on the wire of DTLS 1.2 (RFC 6347 section 4.1 and 4.2), as far as they are in the clear.

/// Content types of RFC 5246 section 6.2.1.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;

/// Handshake types of RFC 5246 section 7.4.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(super) const NEW_SESSION_TICKET: u8 = 4;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const CERTIFICATE_STATUS: u8 = 22;

const RECORD_HEADER_LEN: usize = 13;
const MESSAGE_HEADER_LEN: usize = 12;
const DTLS_1_0: [u8; 2] = [0xfe, 0xff];
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];

/// One record of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    /// The record with its header.
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// What follows the header.
    pub(super) fn fragment(&self) -> &'a [u8] {
        &self.bytes[RECORD_HEADER_LEN..]
    }

    /// The handshake fragments in a record of epoch 0; BoringSSL packs several into one.
    pub(super) fn handshake_fragments(
        &self,
    ) -> impl Iterator<Item = HandshakeFragment<'a>> + use<'a> {
        let mut rest = self.fragment();
        std::iter::from_fn(move || {
            let (fragment, behind) = HandshakeFragment::parse(rest)?;
            rest = behind;
            Some(fragment)
        })
    }
}

/// The well-formed records at the front of a datagram. What does not look like DTLS 1.0 or 1.2 ends the walk.
pub(super) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let header: &[u8; RECORD_HEADER_LEN] = rest.first_chunk()?;
        let version = [header[1], header[2]];
        let known = (CHANGE_CIPHER_SPEC..=HANDSHAKE + 1).contains(&header[0])
            && (version == DTLS_1_0 || version == DTLS_1_2);
        let len = RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([header[11], header[12]]));
        if !known || len > rest.len() {
            return None;
        }
        let (bytes, behind) = rest.split_at(len);
        rest = behind;
        Some(Record {
            content_type: header[0],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            bytes,
        })
    })
}

/// A handshake message or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandshakeFragment<'a> {
    pub(super) message_type: u8,
    /// Length of the whole message.
    pub(super) length: usize,
    pub(super) message_seq: u16,
    pub(super) offset: usize,
    pub(super) body: &'a [u8],
}

impl<'a> HandshakeFragment<'a> {
    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<MESSAGE_HEADER_LEN>()?;
        let u24 = |at: usize| {
            usize::from(header[at]) << 16
                | usize::from(header[at + 1]) << 8
                | usize::from(header[at + 2])
        };
        let (length, offset, len) = (u24(1), u24(6), u24(9));
        if len > rest.len() || offset + len > length {
            return None;
        }
        let (body, behind) = rest.split_at(len);
        let fragment = Self {
            message_type: header[0],
            length,
            message_seq: u16::from_be_bytes([header[4], header[5]]),
            offset,
            body,
        };
        Some((fragment, behind))
    }
}

/// A record of epoch 0 with one whole handshake message.
pub(super) fn handshake_record(
    record_sequence: u32,
    message_type: u8,
    message_seq: u16,
    body: &[u8],
) -> Vec<u8> {
    let message_len = body.len() as u32;
    let mut bytes = Vec::with_capacity(RECORD_HEADER_LEN + MESSAGE_HEADER_LEN + body.len());
    bytes.push(HANDSHAKE);
    bytes.extend(DTLS_1_2);
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(record_sequence.to_be_bytes());
    bytes.extend(((MESSAGE_HEADER_LEN + body.len()) as u16).to_be_bytes());
    bytes.push(message_type);
    bytes.extend(&message_len.to_be_bytes()[1..]);
    bytes.extend(message_seq.to_be_bytes());
    bytes.extend([0, 0, 0]);
    bytes.extend(&message_len.to_be_bytes()[1..]);
    bytes.extend(body);
    bytes
}

/// A ChangeCipherSpec (RFC 5246 section 7.1) in a record of epoch 0, its number above all that come before it.
pub(super) const CHANGE_CIPHER_SPEC_RECORD: [u8; 14] = [
    CHANGE_CIPHER_SPEC,
    0xfe,
    0xfd,
    0,
    0,
    0,
    0,
    0,
    0,
    0xff,
    0xff,
    0,
    1,
    1,
];

/// A fatal alert in a record of epoch 0. Its number is far above those of the messages before it, which a peer would take for seen.
pub(super) fn fatal_alert(description: u8) -> [u8; 15] {
    [
        ALERT,
        0xfe,
        0xfd,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        2,
        2,
        description,
    ]
}

/// Gives a record of epoch 0 another number (RFC 6347 section 4.1: what is repeated gets a new one).
pub(super) fn set_record_sequence(record: &mut [u8], sequence: u32) {
    if let Some(number) = record.get_mut(5..RECORD_HEADER_LEN - 2) {
        number[..2].fill(0);
        number[2..].copy_from_slice(&sequence.to_be_bytes());
    }
}

/// The cipher suite in the body of a ServerHello (RFC 5246 section 7.4.1.3).
pub(super) fn server_hello_cipher(body: &[u8]) -> Option<u16> {
    const SESSION_ID_AT: usize = 2 + RANDOM_LEN;
    let session_id_len = usize::from(*body.get(SESSION_ID_AT)?);
    let suite = body
        .get(SESSION_ID_AT + 1 + session_id_len..)?
        .first_chunk()?;
    Some(u16::from_be_bytes(*suite))
}

/// Length of the random in a hello (RFC 5246 section 7.4.1.2).
pub(super) const RANDOM_LEN: usize = 32;

/// The random of a ClientHello; `None` for other messages and for fragments that do not begin it.
pub(super) fn client_hello_random(fragment: &HandshakeFragment<'_>) -> Option<[u8; RANDOM_LEN]> {
    let begins = fragment.message_type == CLIENT_HELLO && fragment.offset == 0;
    let random = fragment.body.get(2..)?.first_chunk()?;
    begins.then_some(*random)
}

/// The name at IANA of the suites that our library knows.
pub(super) fn cipher_name(suite: Option<u16>) -> String {
    match suite {
        Some(0xc02b) => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".into(),
        Some(0xc02c) => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".into(),
        Some(0xcca9) => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256".into(),
        Some(0x1301) => "TLS_AES_128_GCM_SHA256".into(),
        Some(0x1302) => "TLS_AES_256_GCM_SHA384".into(),
        Some(0x1303) => "TLS_CHACHA20_POLY1305_SHA256".into(),
        Some(other) => format!("0x{other:04X}"),
        None => "unknown".into(),
    }
}

/// The name of an alert (RFC 5246 section 7.2) that a handshake can end with.
pub(super) fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        109 => "missing_extension",
        _ => "an unknown alert",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn walks_over_the_records_of_a_datagram() {
        let mut datagram = handshake_record(7, CLIENT_HELLO, 0, b"hello");
        datagram.extend([
            CHANGE_CIPHER_SPEC,
            0xfe,
            0xfd,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            1,
            0,
            1,
            1,
        ]);
        datagram.extend([HANDSHAKE, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9, 9]);
        let found: Vec<_> = records(&datagram).collect();
        let summary: Vec<_> = found.iter().map(|r| (r.content_type, r.epoch)).collect();
        assert_eq!(
            summary,
            [(HANDSHAKE, 0), (CHANGE_CIPHER_SPEC, 0), (HANDSHAKE, 1)]
        );
        let fragments: Vec<_> = found[0].handshake_fragments().collect();
        assert_eq!(fragments.len(), 1);
        assert_eq!(
            (fragments[0].message_type, fragments[0].body),
            (CLIENT_HELLO, &b"hello"[..])
        );
        assert_eq!(found[2].fragment(), [9, 9]);
    }

    #[test]
    fn what_is_no_dtls_has_no_records() {
        assert_eq!(records(&[]).count(), 0);
        assert_eq!(records(&[22; 100]).count(), 0);
        let mut record = handshake_record(0, CLIENT_HELLO, 0, b"hello");
        record.pop();
        assert_eq!(records(&record).count(), 0);
    }

    #[test]
    fn fragments_that_contradict_themselves_are_not_given() {
        let mut record = handshake_record(0, CLIENT_HELLO, 0, b"hello");
        record[13 + 3] = 4;
        let record = records(&record).next().unwrap();
        assert_eq!(record.handshake_fragments().count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), dtls in any::<bool>()) {
            if let (true, Some(head)) = (dtls, bytes.first_chunk_mut()) {
                *head = [HANDSHAKE, 0xfe, 0xfd, 0, 0];
                if let Some(len) = bytes.get_mut(11) { *len = 0; }
            }
            for record in records(&bytes) {
                for fragment in record.handshake_fragments() {
                    let _ = server_hello_cipher(fragment.body);
                }
            }
        }
    }
}
