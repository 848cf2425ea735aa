//! Where one SIP message ends and the next begins in a stream (RFC 3261 §18.3, §7.5).
//!
//! Bytes go in, messages come out. Keep-alive line ends between messages (RFC 5626 §3.5.1) are
//! swallowed and reported, so that the connection can answer them.

use thiserror::Error;

use super::headers::same_name;
use super::message::{BODY_LIMIT, HEAD_LIMIT, Message, ParseError};

/// Why a stream can no longer be followed; the connection has to be closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FramingError {
    /// No end of the head within the limit.
    #[error("the head of a message is longer than {HEAD_LIMIT} bytes")]
    HeadTooLong,
    /// The body is announced longer than the limit.
    #[error("a body of {0} bytes was announced, more than {BODY_LIMIT}")]
    BodyTooLong(usize),
    /// RFC 3261 §18.3 makes the header mandatory on streams.
    #[error("a message without a readable Content-Length on a stream connection")]
    NoContentLength,
    /// The message itself cannot be read.
    #[error(transparent)]
    Message(#[from] ParseError),
}

/// One thing found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Box<Message>),
    /// A double line end between messages: the peer wants a single one back.
    Ping,
}

/// Bytes received and not yet understood.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    /// Adds what was read from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or `None` until more bytes have come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.drain(..4);
            return Ok(Some(Frame::Ping));
        }
        if self.buffer == b"\r\n\r" || self.buffer == b"\r\n" || self.buffer == b"\r" {
            return Ok(None);
        }
        let blank = self
            .buffer
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.buffer.drain(..blank);
        let window = &self.buffer[..self.buffer.len().min(HEAD_LIMIT)];
        let Some(head_length) = window.windows(4).position(|end| end == b"\r\n\r\n") else {
            if self.buffer.len() >= HEAD_LIMIT {
                return Err(FramingError::HeadTooLong);
            }
            return Ok(None);
        };
        let body_length = content_length(&self.buffer[..head_length])?;
        if body_length > BODY_LIMIT {
            return Err(FramingError::BodyTooLong(body_length));
        }
        let end = head_length + 4 + body_length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let body = self.buffer[head_length + 4..end].to_vec();
        let message = Message::parse(&self.buffer[..head_length], body)?;
        self.buffer.drain(..end);
        Ok(Some(Frame::Message(Box::new(message))))
    }
}

fn content_length(head: &[u8]) -> Result<usize, FramingError> {
    let head = std::str::from_utf8(head).map_err(|_| ParseError::NotText)?;
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| same_name(name.trim(), "Content-Length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or(FramingError::NoContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "OPTIONS sip:wa.meta.vc SIP/2.0\r\n\
        Via: SIP/2.0/TLS a;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n\
        Call-ID: x\r\nCSeq: 1 OPTIONS\r\nl: 3\r\n\r\nabc";

    #[test]
    fn messages_come_out_whole_however_the_bytes_are_cut() {
        let stream = format!("\r\n\r\n{MESSAGE}\r\n{MESSAGE}");
        for size in [1, 2, 3, 7, 50, stream.len()] {
            let mut framer = Framer::default();
            let (mut messages, mut pings) = (0, 0);
            for chunk in stream.as_bytes().chunks(size) {
                framer.push(chunk);
                while let Some(frame) = framer.next_frame().unwrap() {
                    match frame {
                        Frame::Ping => pings += 1,
                        Frame::Message(message) => {
                            messages += 1;
                            let Message::Request(request) = *message else {
                                panic!("not a request");
                            };
                            assert_eq!(request.body, b"abc");
                        }
                    }
                }
            }
            assert_eq!((messages, pings), (2, 1), "chunks of {size}");
        }
    }

    #[test]
    fn endless_heads_and_huge_bodies_end_the_stream() {
        let mut framer = Framer::default();
        framer.push(&vec![b'a'; HEAD_LIMIT]);
        assert_eq!(framer.next_frame(), Err(FramingError::HeadTooLong));
        let mut framer = Framer::default();
        framer.push(MESSAGE.replace("l: 3", "l: 99999999").as_bytes());
        assert_eq!(
            framer.next_frame(),
            Err(FramingError::BodyTooLong(99_999_999))
        );
    }

    #[test]
    fn a_message_without_content_length_ends_the_stream() {
        for replacement in ["Subject: 3", "l: -3", "l: 99999999999999999999999"] {
            let mut framer = Framer::default();
            framer.push(MESSAGE.replace("l: 3", replacement).as_bytes());
            assert_eq!(framer.next_frame(), Err(FramingError::NoContentLength));
        }
    }
}
