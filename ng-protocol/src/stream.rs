//! Where a message ends in a stream of bytes.
//!
//! Over TCP the messages follow each other without separators, so the end of one is found by walking over its dictionary: the
//! bencoded one by its own lengths, the JSON one by its brackets and quotes.
//! The walk goes on where it stopped when the next bytes arrive, so that a client that sends byte by byte costs no more than one
//! that sends everything at once.
//! It only finds the end; whether the message makes sense is for [`Request::parse`](crate::Request::parse) to say.

use std::ops::Range;

use crate::value::MAX_DEPTH;

/// The longest cookie over a stream. The proxies' have about twenty bytes.
pub const MAX_COOKIE: usize = 1024;

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A message stands here; the next one begins after it.
    Message(Range<usize>),
    /// The end has not arrived yet.
    Incomplete,
    /// No message can begin like this, and where another one would begin cannot be told. The range is everything from the
    /// cookie on, or from where a cookie should have been.
    Broken(Range<usize>),
}

/// The walk over one message, and then over the next.
#[derive(Clone, Debug, Default)]
pub struct Boundary {
    /// How far the walk has come.
    position: usize,
    /// Where the cookie begins.
    start: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Line ends between messages are skipped: people write messages with `echo`.
    #[default]
    Before,
    Cookie,
    /// The first byte of the dictionary.
    Opening,
    Bencode {
        depth: usize,
        token: Token,
    },
    Json {
        depth: usize,
        quote: Quote,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Between values.
    None,
    /// In the number of `iNe`.
    Integer,
    /// In the length before a string; `left` is what it says so far.
    Length { length: usize },
    /// In a string of which so much is left.
    String { left: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// What one byte, or a run of them, means for the walk.
enum Step {
    On(State),
    /// The message ends with this byte.
    End,
    Broken,
}

impl Boundary {
    /// Walks on. `bytes` begins where the previous message ended, and contains everything since, also what was walked over before.
    /// After a message the walk begins anew: remove its bytes, and all before it, from the front.
    pub fn find(&mut self, bytes: &[u8]) -> Found {
        while let Some(&byte) = bytes.get(self.position) {
            if let State::Bencode {
                depth,
                token: Token::String { left },
            } = self.state
            {
                // Nothing in a string matters.
                let here = left.min(bytes.len() - self.position);
                self.position += here;
                let token = match left - here {
                    0 => Token::None,
                    left => Token::String { left },
                };
                self.state = State::Bencode { depth, token };
                continue;
            }
            match self.step(byte) {
                Step::On(state) => {
                    if self.state == State::Before && state == State::Cookie {
                        self.start = self.position;
                    }
                    self.state = state;
                    self.position += 1;
                }
                Step::End => {
                    let message = self.start..self.position + 1;
                    *self = Self::default();
                    return Found::Message(message);
                }
                Step::Broken => {
                    let start = match self.state {
                        State::Before => self.position,
                        _ => self.start,
                    };
                    return Found::Broken(start..bytes.len());
                }
            }
        }
        Found::Incomplete
    }

    /// Whether nothing of a message has arrived yet.
    pub fn is_between_messages(&self) -> bool {
        self.state == State::Before
    }

    fn step(&self, byte: u8) -> Step {
        match self.state {
            State::Before => match byte {
                b'\r' | b'\n' => Step::On(State::Before),
                b' ' => Step::Broken,
                _ => Step::On(State::Cookie),
            },
            State::Cookie => match byte {
                b' ' => Step::On(State::Opening),
                _ if self.position - self.start >= MAX_COOKIE => Step::Broken,
                _ => Step::On(State::Cookie),
            },
            State::Opening => match byte {
                b'd' => Step::On(State::Bencode {
                    depth: 1,
                    token: Token::None,
                }),
                b'{' => Step::On(State::Json {
                    depth: 1,
                    quote: Quote::Outside,
                }),
                _ => Step::Broken,
            },
            State::Bencode { depth, token } => bencode(byte, depth, token),
            State::Json { depth, quote } => json(byte, depth, quote),
        }
    }
}

fn bencode(byte: u8, depth: usize, token: Token) -> Step {
    let on = |depth, token| Step::On(State::Bencode { depth, token });
    let digit = usize::from(byte.wrapping_sub(b'0'));
    match (token, byte) {
        (Token::None, b'd' | b'l') if depth < MAX_DEPTH => on(depth + 1, Token::None),
        (Token::None, b'e') if depth == 1 => Step::End,
        (Token::None, b'e') => on(depth - 1, Token::None),
        (Token::None, b'i') => on(depth, Token::Integer),
        (Token::None, b'0'..=b'9') => on(depth, Token::Length { length: digit }),
        (Token::Integer, b'-' | b'0'..=b'9') => on(depth, Token::Integer),
        (Token::Integer, b'e') => on(depth, Token::None),
        (Token::Length { length }, b'0'..=b'9') => {
            match length
                .checked_mul(10)
                .and_then(|length| length.checked_add(digit))
            {
                Some(length) => on(depth, Token::Length { length }),
                None => Step::Broken,
            }
        }
        (Token::Length { length: 0 }, b':') => on(depth, Token::None),
        (Token::Length { length }, b':') => on(depth, Token::String { left: length }),
        _ => Step::Broken,
    }
}

fn json(byte: u8, depth: usize, quote: Quote) -> Step {
    let on = |depth, quote| Step::On(State::Json { depth, quote });
    match (quote, byte) {
        (Quote::Escaped, _) => on(depth, Quote::Inside),
        (Quote::Inside, b'\\') => on(depth, Quote::Escaped),
        (Quote::Inside, b'"') => on(depth, Quote::Outside),
        (Quote::Inside, _) => on(depth, Quote::Inside),
        (Quote::Outside, b'"') => on(depth, Quote::Inside),
        (Quote::Outside, b'{' | b'[') if depth < MAX_DEPTH => on(depth + 1, Quote::Outside),
        (Quote::Outside, b'{' | b'[') => Step::Broken,
        (Quote::Outside, b'}' | b']') if depth == 1 => Step::End,
        (Quote::Outside, b'}' | b']') => on(depth - 1, Quote::Outside),
        (Quote::Outside, _) => on(depth, Quote::Outside),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{self, Encoding, Frame};
    use crate::value::Dictionary;

    /// Cuts a stream that arrives in pieces of `piece` bytes; the last entry says how it ended.
    fn cut(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Found) {
        let (mut boundary, mut buffer, mut messages) =
            (Boundary::default(), Vec::new(), Vec::new());
        let mut last = Found::Incomplete;
        for bytes in stream.chunks(piece) {
            buffer.extend_from_slice(bytes);
            loop {
                last = boundary.find(&buffer);
                let Found::Message(range) = &last else {
                    break;
                };
                messages.push(buffer[range.clone()].to_vec());
                buffer.drain(..range.end);
            }
            if matches!(last, Found::Broken(_)) {
                break;
            }
        }
        (messages, last)
    }

    #[test]
    fn messages_are_cut_wherever_the_packets_end() {
        let first = b"c1 d3:sdp5:v=0ee4:listli-7e0:d1:a1:bee7:command4:pinge".as_slice();
        let second = br#"c2 {"command":"ping","x":["}\"]{",{"y":1}]}"#.as_slice();
        let stream = [first, b"\r\n", second, first, b"\n"].concat();
        for piece in 1..stream.len() {
            let (messages, end) = cut(&stream, piece);
            assert_eq!(messages, [first, second, first], "pieces of {piece}");
            assert_eq!(end, Found::Incomplete);
        }
    }

    #[test]
    fn what_cannot_be_a_message_is_known_at_once() {
        for bytes in [
            b" d7:command4:pinge".as_slice(),
            b"c xyz",
            b"c  d7:command4:pinge",
            b"c d7:commandXe",
            b"c dxe",
            b"c d99999999999999999999999:",
            b"c di1:ee",
        ] {
            let (messages, end) = cut(bytes, 1);
            assert!(messages.is_empty());
            let shown = String::from_utf8_lossy(bytes);
            assert!(matches!(end, Found::Broken(_)), "{shown}: {end:?}");
        }
        let mut boundary = Boundary::default();
        assert_eq!(
            boundary.find(b"\nc xyz"),
            Found::Broken(1..6),
            "the cookie can still be found"
        );
    }

    #[test]
    fn a_cookie_has_an_end() {
        let mut stream = vec![b'x'; MAX_COOKIE];
        assert_eq!(cut(&stream, 100).1, Found::Incomplete);
        stream.push(b'x');
        assert!(matches!(cut(&stream, 100).1, Found::Broken(_)));
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        for opening in [b"l".as_slice(), b"["] {
            let mut stream = match opening {
                b"l" => b"c d1:a".to_vec(),
                _ => b"c {\"a\":".to_vec(),
            };
            stream.extend(opening.repeat(100));
            assert!(matches!(cut(&stream, 7).1, Found::Broken(_)));
        }
    }

    #[test]
    fn the_start_of_a_message_is_told_from_silence() {
        let mut boundary = Boundary::default();
        assert_eq!(boundary.find(b"\r\n"), Found::Incomplete);
        assert!(boundary.is_between_messages());
        assert_eq!(boundary.find(b"\r\nc"), Found::Incomplete);
        assert!(!boundary.is_between_messages());
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_cut_where_it_ends(
            values in prop::collection::vec((any::<bool>(), "[a-z\"{}\\[\\]\\\\: ]{0,20}"), 1..5),
            piece in 1usize..50,
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (number, (json, text)) in values.iter().enumerate() {
                let encoding = if *json { Encoding::Json } else { Encoding::Bencode };
                let dictionary = Dictionary::new().with("k", text.as_str());
                let message = frame::encode(number.to_string().as_bytes(), &dictionary, encoding);
                stream.extend_from_slice(&message);
                expected.push(message);
            }
            prop_assert_eq!(cut(&stream, piece), (expected, Found::Incomplete));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..20) {
            let (messages, _) = cut(&bytes, piece);
            for message in messages {
                prop_assert!(Frame::split(&message).is_ok());
            }
        }
    }
}
