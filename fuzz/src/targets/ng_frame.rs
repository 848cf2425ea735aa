//! Frames and dictionaries: whatever decodes is encoded again to something that decodes to the same.

use ng_protocol::{Encoding, Frame, Response, frame};

use crate::{Target, recorded};

/// This target.
pub const TARGET: Target = Target {
    name: "ng_frame",
    run: target,
    seeds,
    words: &[
        b"d",
        b"l",
        b"i",
        b"e",
        b"0:",
        b"1:a",
        b"i-1e",
        b"99999999999:",
        b"18446744073709551616:",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"null",
        b"true",
        b"1e999",
        b":",
        b",",
        b" ",
        b"llllllllllllllll",
        b"[[[[[[[[[[[[[[[[",
    ],
};

/// A datagram.
pub fn target(data: &[u8]) {
    let Ok(frame) = Frame::split(data) else {
        return;
    };
    let _ = Response::decode(frame.payload);
    let dictionary = match frame.decode() {
        Ok(dictionary) => dictionary,
        Err(error) => {
            assert!(!error.reason().is_empty() && !error.to_string().is_empty());
            return;
        }
    };
    let bencoded = frame::encode(frame.cookie, &dictionary, Encoding::Bencode);
    let again = Frame::split(&bencoded).expect("a frame that we wrote");
    assert_eq!(again.cookie, frame.cookie);
    assert_eq!(again.decode(), Ok(dictionary.clone()));

    // Bytes that are not UTF-8 are replaced on the way to JSON, so the first text may differ, but not the second.
    let json = frame::encode(frame.cookie, &dictionary, Encoding::Json);
    let once = Frame::split(&json).expect("a frame that we wrote");
    let decoded = once.decode().expect("JSON that we wrote");
    assert_eq!(frame::encode(frame.cookie, &decoded, Encoding::Json), json);
}

fn seeds() -> Vec<Vec<u8>> {
    recorded::exchanges()
}
