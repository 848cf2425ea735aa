//! The audio of a vCon: inside it, or where it can be read, with a hash that shows when it was changed.
//!
//! A file of any length passes in small pieces.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA512};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

/// Bytes that are read at once; three of them are four characters of Base64.
const PIECE: usize = 48 << 10;

/// The audio of a dialog, as the parameters that stand for it (draft-ietf-vcon-vcon-core sections 2.3 and 2.4).
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Audio {
    /// The file itself.
    Inline { encoding: &'static str, body: Body },
    /// Where it is.
    Linked { url: String, content_hash: String },
}

impl Audio {
    /// Of this file, which is read when the document is written.
    pub(super) fn inline(path: &Path) -> io::Result<Self> {
        Ok(Self::Inline {
            encoding: "base64url",
            body: Body {
                file: RefCell::new(File::open(path)?),
                problem: RefCell::new(None),
            },
        })
    }

    /// Of this file, which is inside a directory that can be read under a URL.
    pub(super) fn linked(path: &Path, directory: &Path, url: &str) -> io::Result<Self> {
        let inside = path.strip_prefix(directory).map_err(io::Error::other)?;
        let mut hash = Context::new(&SHA512);
        let mut file = File::open(path)?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = fill(&mut file, &mut piece)?;
            if length == 0 {
                break;
            }
            hash.update(piece.get(..length).unwrap_or_default());
        }
        let hash = URL_SAFE_NO_PAD.encode(hash.finish());
        Ok(Self::Linked {
            url: format!("{url}/{}", percent_encoded(inside)),
            content_hash: format!("sha512-{hash}"),
        })
    }

    /// Whether all of it was read; asked when the document is written.
    pub(super) fn outcome(&self) -> io::Result<()> {
        match self {
            Self::Inline { body, .. } => match body.problem.take() {
                Some(problem) => Err(problem),
                None => Ok(()),
            },
            Self::Linked { .. } => Ok(()),
        }
    }
}

/// A file as a string of Base64url (RFC 7515 section 2: without padding).
#[derive(Debug)]
pub(super) struct Body {
    file: RefCell<File>,
    problem: RefCell<Option<io::Error>>,
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut file = self.file.borrow_mut();
        let mut piece = vec![0; PIECE];
        let mut text = String::new();
        loop {
            // The error of a formatter may only be one of the place that is written to, so this one is told afterwards.
            let length = fill(&mut file, &mut piece).unwrap_or_else(|error| {
                *self.problem.borrow_mut() = Some(error);
                0
            });
            if length == 0 {
                return Ok(());
            }
            text.clear();
            URL_SAFE_NO_PAD.encode_string(piece.get(..length).unwrap_or_default(), &mut text);
            f.write_str(&text)?;
        }
    }
}

/// Reads until the piece is full or the file ends.
fn fill(file: &mut File, piece: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = piece.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// A path as it stands in a URL (RFC 3986 section 2.1).
fn percent_encoded(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_encoded_already_is_encoded_again() {
        let path = Path::new("audio/a%40b c-é.wav");
        assert_eq!(percent_encoded(path), "audio/a%2540b%20c-%C3%A9.wav");
    }
}
