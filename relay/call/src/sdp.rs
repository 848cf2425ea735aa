//! The session description protocol (RFC 8866), as far as a relay has to understand it.
//!
//! The parser keeps every line in its order and its bytes; what a relay must understand is read from the lines through typed
//! views ([`attribute`], [`remote`]), and what it must write is laid out by [`rewrite`].
//! Nothing here knows a call, a port pool or a flag.

use std::borrow::Cow;

pub mod attribute;
pub mod bundle;
pub mod codec;
pub mod description;
pub mod fragment;
pub mod parse;
pub mod protocol;
pub mod remote;
pub mod rewrite;
pub mod write;

pub(crate) use attribute::address_text;
pub use attribute::{Connection, Direction, Origin, Setup};
pub use codec::PayloadFormat;
pub use description::{Line, MediaDescription, SessionDescription};
pub use fragment::FragmentSection;
pub use parse::SdpError;
pub use protocol::Protocol;
pub use remote::{RemoteIceDescription, RemoteMedia};
pub use rewrite::{SectionOutput, SessionOutput};

/// Bytes as text, one character per byte.
///
/// SDP is mostly ASCII, but session names and user names come in any character set (RFC 8866 §4.6). Kept this way they can be
/// handled as `str` and still leave as the very bytes that came.
pub fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        // Nearly every line.
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The bytes of a text made by [`text_of`]. Characters beyond one byte, which only text of our own could carry, become `?`.
pub fn bytes_of(text: String) -> Vec<u8> {
    if text.is_ascii() {
        return text.into_bytes();
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect()
}
