//! SIP requests and responses (RFC 3261 §7): reading and writing them.
//!
//! The reader takes the bytes of one message head; `framing` decides where a message ends in a
//! stream. Nothing that comes in can make it panic, and sizes are limited before anything is kept.

use std::fmt;

use thiserror::Error;

use super::headers::Headers;
use super::uri::{NameAddress, SipUri, Via};

/// The largest head (start line and headers) that is read.
pub const HEAD_LIMIT: usize = 32 * 1024;
/// The largest body that is read.
pub const BODY_LIMIT: usize = 64 * 1024;
/// The largest number of header fields.
const FIELD_LIMIT: usize = 256;

/// Why a piece of text is no SIP message.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// The head is not UTF-8 (RFC 3261 §7).
    #[error("the message head is not UTF-8 text")]
    NotText,
    /// The first line is neither a request line nor a status line.
    #[error("the first line is neither a request nor a status line: {0:?}")]
    StartLine(String),
    /// A header line has no colon.
    #[error("a header line without a colon: {0:?}")]
    HeaderLine(String),
    /// Too many header fields.
    #[error("more than {FIELD_LIMIT} header fields")]
    TooManyFields,
    /// A header every message needs is absent or unreadable.
    #[error("the header {0} is missing or cannot be read")]
    Missing(&'static str),
}

/// A request method (RFC 3261 §7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Notify,
    Other(String),
}

impl Method {
    /// The method's name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Notify => "NOTIFY",
            Self::Other(name) => name,
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "NOTIFY" => Self::Notify,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// The Request-URI exactly as written.
    pub uri: String,
    /// Its header fields.
    pub headers: Headers,
    /// Its body, empty when there is none.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// Its header fields.
    pub headers: Headers,
    /// Its body, empty when there is none.
    pub body: Vec<u8>,
}

/// Either of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// The number and method of a `CSeq` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSequence {
    /// The number.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl Message {
    /// Reads a head (without the empty line) and joins it with a body.
    pub fn parse(head: &[u8], body: Vec<u8>) -> Result<Self, ParseError> {
        let head = std::str::from_utf8(head).map_err(|_| ParseError::NotText)?;
        let mut lines = head.split('\n').map(|line| line.trim_end_matches('\r'));
        let start = lines.next().unwrap_or("");
        let mut headers = Headers::default();
        for line in lines.filter(|line| !line.is_empty()) {
            if line.starts_with([' ', '\t']) {
                if !headers.continue_last(line.trim()) {
                    return Err(ParseError::HeaderLine(excerpt(line)));
                }
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| ParseError::HeaderLine(excerpt(line)))?;
            if headers.len() == FIELD_LIMIT {
                return Err(ParseError::TooManyFields);
            }
            headers.push(name.trim(), value.trim());
        }
        let bad_start = || ParseError::StartLine(excerpt(start));
        let message = if let Some(rest) = start.strip_prefix("SIP/2.0 ") {
            let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let status: u16 = status.parse().map_err(|_| bad_start())?;
            if !(100..700).contains(&status) {
                return Err(bad_start());
            }
            Self::Response(Response {
                status,
                reason: reason.to_owned(),
                headers,
                body,
            })
        } else {
            let mut words = start.split(' ');
            let (Some(method), Some(uri), Some("SIP/2.0"), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(bad_start());
            };
            if method.is_empty() || uri.is_empty() {
                return Err(bad_start());
            }
            Self::Request(Request {
                method: Method::parse(method),
                uri: uri.to_owned(),
                headers,
                body,
            })
        };
        message.check_mandatory()?;
        Ok(message)
    }

    /// RFC 3261 §8.1.1: without these a message cannot be matched to anything.
    fn check_mandatory(&self) -> Result<(), ParseError> {
        let headers = self.headers();
        if headers.first("Call-ID").is_none_or(str::is_empty) {
            return Err(ParseError::Missing("Call-ID"));
        }
        for (name, found) in [
            ("From", name_address(headers, "From").is_some()),
            ("To", name_address(headers, "To").is_some()),
            ("CSeq", command_sequence(headers).is_some()),
            ("Via", top_via(headers).is_some()),
        ] {
            if !found {
                return Err(ParseError::Missing(name));
            }
        }
        Ok(())
    }

    /// The header fields of either kind.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The call this message belongs to.
    pub fn call_id(&self) -> &str {
        self.headers().first("Call-ID").unwrap_or("")
    }
}

/// A header as a name-address.
pub fn name_address(headers: &Headers, name: &str) -> Option<NameAddress> {
    headers.first(name).and_then(NameAddress::parse)
}

/// The `CSeq` header.
pub fn command_sequence(headers: &Headers) -> Option<CommandSequence> {
    let mut words = headers.first("CSeq")?.split_whitespace();
    Some(CommandSequence {
        number: words.next()?.parse().ok()?,
        method: Method::parse(words.next()?),
    })
}

/// The topmost `Via`.
pub fn top_via(headers: &Headers) -> Option<Via> {
    headers
        .elements("Via")
        .first()
        .and_then(|text| Via::parse(text))
}

impl Request {
    /// A request without headers.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Self {
            method,
            uri: uri.into(),
            headers: Headers::default(),
            body: Vec::new(),
        }
    }

    /// The Request-URI taken apart.
    pub fn sip_uri(&self) -> Option<SipUri> {
        SipUri::parse(&self.uri)
    }

    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("{} {} SIP/2.0", self.method, self.uri);
        write(&start, &self.headers, &self.body)
    }

    /// The branch of the topmost `Via`.
    pub fn branch(&self) -> Option<String> {
        top_via(&self.headers).and_then(|via| via.branch().map(str::to_owned))
    }

    /// The `CSeq` number; parsed messages always have one.
    pub fn sequence(&self) -> u32 {
        command_sequence(&self.headers).map_or(0, |sequence| sequence.number)
    }

    /// The tag of `From`.
    pub fn from_tag(&self) -> Option<String> {
        tag(&self.headers, "From")
    }

    /// The tag of `To`.
    pub fn to_tag(&self) -> Option<String> {
        tag(&self.headers, "To")
    }
}

impl Response {
    /// The bytes to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("SIP/2.0 {} {}", self.status, self.reason);
        write(&start, &self.headers, &self.body)
    }

    /// The `CSeq` header; parsed messages always have one.
    pub fn sequence(&self) -> Option<CommandSequence> {
        command_sequence(&self.headers)
    }

    /// The branch of the topmost `Via`.
    pub fn branch(&self) -> Option<String> {
        top_via(&self.headers).and_then(|via| via.branch().map(str::to_owned))
    }

    /// The tag of `To`.
    pub fn to_tag(&self) -> Option<String> {
        tag(&self.headers, "To")
    }
}

fn tag(headers: &Headers, name: &str) -> Option<String> {
    name_address(headers, name).and_then(|address| address.tag().map(str::to_owned))
}

fn write(start: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(1024);
    text.push_str(start);
    text.push_str("\r\n");
    for field in headers.iter() {
        text.push_str(&field.name);
        text.push_str(": ");
        text.push_str(&field.value);
        text.push_str("\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The first characters of something unexpected, for a report.
pub fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "BYE sip:+49@wa.meta.vc;transport=tls;ob SIP/2.0\r\n\
        v: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n\
        f: <sip:+1@sbc.example.com>;tag=a\r\n\
        t: <sip:+49@wa.meta.vc>;tag=b\r\n\
        Call-ID: outgoing:wacid.ABC==\r\n\
        CSeq: 7\r\n BYE\r\n";

    fn parse(text: &str) -> Result<Message, ParseError> {
        Message::parse(text.as_bytes(), Vec::new())
    }

    #[test]
    fn a_request_with_compact_and_folded_headers_is_read() {
        let Ok(Message::Request(request)) = parse(HEAD) else {
            panic!("not a request");
        };
        assert_eq!(request.method, Method::Bye);
        assert_eq!(request.sequence(), 7);
        assert_eq!(request.from_tag().as_deref(), Some("a"));
        assert_eq!(request.branch().as_deref(), Some("z9hG4bK1"));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let Ok(Message::Request(mut request)) = parse(HEAD) else {
            panic!("not a request");
        };
        request.body = b"v=0\r\n".to_vec();
        let bytes = request.to_bytes();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("Content-Length: 5"));
        let again = Message::parse(head.as_bytes(), body.as_bytes().to_vec()).unwrap();
        assert_eq!(again.call_id(), "outgoing:wacid.ABC==");
    }

    #[test]
    fn a_response_needs_a_status_in_range() {
        let tail = HEAD.split_once("\r\n").unwrap().1;
        assert!(matches!(
            parse(&format!(
                "SIP/2.0 407 Proxy Authentication Required\r\n{tail}"
            )),
            Ok(Message::Response(Response { status: 407, .. }))
        ));
        for start in ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 -1 x", "SIP/2.0"] {
            assert!(matches!(
                parse(&format!("{start}\r\n{tail}")),
                Err(ParseError::StartLine(_))
            ));
        }
    }

    #[test]
    fn each_missing_header_is_named() {
        for (letter, name) in [
            ("v:", "Via"),
            ("f:", "From"),
            ("t:", "To"),
            ("CSeq:", "CSeq"),
        ] {
            let broken = HEAD.replace(letter, "X-Nothing:");
            assert_eq!(parse(&broken), Err(ParseError::Missing(name)));
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic() {
        let mut state = 1_u32;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"INVTE sip:@;<>\"\\ \r\n=,\xff"[(state >> 24) as usize % 22]
                })
                .collect();
            assert!(Message::parse(&bytes, Vec::new()).is_err());
        }
        // Every truncation of a good message is refused or read, never worse.
        for end in 0..HEAD.len() {
            let _ = parse(&HEAD[..end]);
        }
    }
}
