//! [`SessionDescription`] to bytes, every line ended by CRLF (RFC 8866 §5).

use std::fmt;

use super::bytes_of;
use super::description::{Line, MediaDescription, SessionDescription};

impl SessionDescription {
    /// The description as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes_of(&self.to_string())
    }
}

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            line.fmt(f)?;
        }
        for media in &self.media {
            media.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}\r\n", self.letter, self.value)
    }
}

impl fmt::Display for MediaDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(count) = self.port_count {
            write!(f, "/{count}")?;
        }
        write!(f, " {}", self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        for line in &self.lines {
            line.fmt(f)?;
        }
        Ok(())
    }
}
