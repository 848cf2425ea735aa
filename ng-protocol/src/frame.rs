//! The frame around a message: `COOKIE SP DICTIONARY`, one a datagram.
//!
//! The cookie is every byte before the first space. It names the request: a client that hears nothing repeats the
//! datagram with the same cookie and expects the same reply.
//! The first byte of the dictionary tells its encoding, and the reply uses the encoding of the request.

use crate::bencode;
use crate::error::{NgError, NoCookie};
use crate::json;
use crate::value::{Dictionary, Value};

/// The largest payload that fits into one UDP datagram over IPv4.
pub const MAX_DATAGRAM: usize = 65_507;

/// One message, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The name of the request, opaque, never empty.
    pub cookie: &'a [u8],
    /// The dictionary, in either encoding.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Separates cookie and payload.
    pub fn split(datagram: &'a [u8]) -> Result<Self, NoCookie> {
        match datagram.iter().position(|byte| *byte == b' ') {
            None | Some(0) => Err(NoCookie),
            Some(space) => Ok(Self {
                cookie: &datagram[..space],
                payload: &datagram[space + 1..],
            }),
        }
    }

    /// The encoding a reply must have.
    pub fn encoding(&self) -> Encoding {
        Encoding::of_reply_to(self.payload)
    }

    /// Reads the payload.
    pub fn decode(&self) -> Result<Dictionary<'a>, NgError> {
        decode(self.payload)
    }
}

/// How a dictionary is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Begins with `d`.
    Bencode,
    /// Begins with `{`.
    Json,
}

impl Encoding {
    /// The encoding for the reply to this payload: its own, or bencode if it has none that we know.
    pub fn of_reply_to(payload: &[u8]) -> Self {
        match payload.first() {
            Some(b'{') => Self::Json,
            _ => Self::Bencode,
        }
    }

    /// Appends a dictionary in this encoding.
    pub fn encode(self, dictionary: &Dictionary<'_>, out: &mut Vec<u8>) {
        self.encode_pairs(dictionary.iter(), out);
    }

    /// Appends a dictionary of these pairs in this encoding.
    pub fn encode_pairs<'d, 'v: 'd>(
        self,
        pairs: impl Iterator<Item = (&'d [u8], &'d Value<'v>)>,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Bencode => bencode::encode_pairs(pairs, out),
            Self::Json => json::encode_pairs(pairs, out),
        }
    }
}

/// Reads a dictionary in whichever encoding it has.
pub fn decode(payload: &[u8]) -> Result<Dictionary<'_>, NgError> {
    match payload.first() {
        None => Err(NgError::NoPayload),
        Some(b'd') => bencode::decode(payload),
        Some(b'{') => json::decode(payload),
        Some(first) => Err(NgError::UnknownFormat { first: *first }),
    }
}

/// Writes a whole datagram.
pub fn encode(cookie: &[u8], dictionary: &Dictionary<'_>, encoding: Encoding) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(cookie.len() + 256);
    datagram.extend_from_slice(cookie);
    datagram.push(b' ');
    encoding.encode(dictionary, &mut datagram);
    datagram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_ends_at_the_first_space() {
        let frame = Frame::split(b"4811_1 d7:command10:block DTMFe").unwrap();
        assert_eq!(frame.cookie, b"4811_1");
        assert_eq!(frame.payload, b"d7:command10:block DTMFe");
    }

    #[test]
    fn a_datagram_without_a_cookie_is_no_frame() {
        assert_eq!(Frame::split(b"d7:command4:pinge"), Err(NoCookie));
        assert_eq!(Frame::split(b" d7:command4:pinge"), Err(NoCookie));
        assert_eq!(Frame::split(b""), Err(NoCookie));
    }

    #[test]
    fn both_encodings_give_the_same_dictionary_and_name_the_reply() {
        let bencode = Frame::split(b"c d7:command4:pinge").unwrap();
        let json = Frame::split(br#"c {"command":"ping"}"#).unwrap();
        assert_eq!(bencode.decode().unwrap(), json.decode().unwrap());
        assert_eq!(bencode.encoding(), Encoding::Bencode);
        assert_eq!(json.encoding(), Encoding::Json);
        for frame in [bencode, json] {
            let again = encode(frame.cookie, &frame.decode().unwrap(), frame.encoding());
            assert_eq!(Frame::split(&again), Ok(frame));
        }
    }

    #[test]
    fn nothing_and_nonsense_are_answered_in_bencode() {
        let empty = Frame::split(b"c ").unwrap();
        assert_eq!(empty.decode(), Err(NgError::NoPayload));
        assert_eq!(empty.encoding(), Encoding::Bencode);
        let second_space = Frame::split(b"c  d7:command4:pinge").unwrap();
        assert_eq!(
            second_space.decode(),
            Err(NgError::UnknownFormat { first: b' ' })
        );
        assert_eq!(second_space.encoding(), Encoding::Bencode);
    }
}
