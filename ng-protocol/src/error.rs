//! What can be wrong with a request, said so that the author of a proxy script can act on it.
//!
//! Two texts exist for each error. [`NgError::reason`] goes on the wire as `error-reason`: where NG clients know a
//! fixed text, it is that text. `Display` goes to the log and tells the offset, the key and the value.

use std::borrow::Cow;
use std::fmt;

use crate::response::{Response, reason};

/// Why a datagram could not be taken as a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NgError {
    /// The datagram ends after the cookie.
    #[error("the message ends after the cookie")]
    NoPayload,
    /// The first byte of the payload is neither `d` nor `{`.
    #[error(
        "a dictionary begins with 'd' (bencode) or '{{' (JSON), this one with byte 0x{first:02x}"
    )]
    UnknownFormat {
        /// That byte.
        first: u8,
    },
    /// The payload is not bencode.
    #[error("bencode at byte {offset}: {problem}")]
    Bencode {
        /// Where in the payload, counted from zero.
        offset: usize,
        /// What is wrong there.
        problem: BencodeProblem,
    },
    /// The payload is not JSON.
    #[error("JSON: {0}")]
    Json(String),
    /// The payload is JSON with a content that NG cannot have.
    #[error("JSON: {0}")]
    JsonContent(String),
    /// There is no key `command`, or its value is no string.
    #[error("the dictionary has no key \"command\"")]
    NoCommand,
    /// There is a key `command` with a value nobody knows.
    #[error("command={command:?} is not known")]
    UnrecognizedCommand {
        /// The value.
        command: String,
    },
    /// A key has a value with which the request would mean something else than its author thinks.
    #[error("{key}={value:?}: expected {expected}")]
    BadValue {
        /// The key, with the path to it if it is nested.
        key: String,
        /// The value.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
}

impl NgError {
    /// The text for `error-reason`.
    pub fn reason(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoPayload => reason::NO_PAYLOAD,
            Self::UnknownFormat { .. } => reason::BAD_FORMAT,
            Self::Bencode { .. } => reason::BAD_BENCODE,
            Self::Json(_) => reason::BAD_JSON,
            Self::JsonContent(_) => reason::BAD_JSON_DICTIONARY,
            Self::NoCommand => reason::NO_COMMAND,
            Self::UnrecognizedCommand { .. } => reason::UNRECOGNIZED_COMMAND,
            Self::BadValue { .. } => return Cow::Owned(self.to_string()),
        })
    }
}

impl From<&NgError> for Response {
    fn from(error: &NgError) -> Self {
        Self::error(error.reason())
    }
}

/// What is wrong at one place of a bencoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BencodeProblem {
    /// The message ends in the middle of a value.
    Truncated,
    /// A byte that begins no value.
    UnexpectedByte(u8),
    /// Something else than digits where a number is expected.
    NotANumber,
    /// More than 64 bits.
    NumberTooLarge,
    /// A string that is announced to be longer than what is left of the message.
    StringTooLong {
        /// Bytes announced.
        announced: usize,
        /// Bytes left.
        left: usize,
    },
    /// Nesting beyond [`MAX_DEPTH`](crate::value::MAX_DEPTH).
    TooDeep,
}

impl fmt::Display for BencodeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the message ends in the middle of a value"),
            Self::UnexpectedByte(byte) => write!(f, "byte 0x{byte:02x} begins no value"),
            Self::NotANumber => f.write_str("expected decimal digits"),
            Self::NumberTooLarge => f.write_str("the number does not fit into 64 bits"),
            Self::StringTooLong { announced, left } => write!(
                f,
                "a string of {announced} bytes is announced, but {left} bytes are left"
            ),
            Self::TooDeep => f.write_str("lists and dictionaries are nested too deeply"),
        }
    }
}

/// Why a datagram has no frame. It gets no reply, because without a cookie nobody could match one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cookie: a message begins with a cookie and a space")]
pub struct NoCookie;
