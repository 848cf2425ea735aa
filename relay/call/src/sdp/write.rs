//! [`SessionDescription`] to bytes, every line ended by CRLF (RFC 8866 §5).

use std::fmt;

use super::bytes_of;
use super::description::{Line, MediaDescription, SessionDescription};

/// Room for what most descriptions have.
const TYPICAL: usize = 1024;

impl SessionDescription {
    /// The description as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes_of(self.text())
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(TYPICAL);
        self.lines.iter().for_each(|line| line.write(&mut text));
        self.media.iter().for_each(|media| media.write(&mut text));
        text
    }
}

impl Line {
    fn write(&self, text: &mut String) {
        text.push(self.letter);
        text.push('=');
        text.push_str(&self.value);
        text.push_str("\r\n");
    }
}

impl MediaDescription {
    fn write(&self, text: &mut String) {
        text.push_str("m=");
        text.push_str(&self.kind);
        text.push(' ');
        text.push_str(&self.port.to_string());
        if let Some(count) = self.port_count {
            text.push('/');
            text.push_str(&count.to_string());
        }
        text.push(' ');
        text.push_str(&self.protocol);
        for format in &self.formats {
            text.push(' ');
            text.push_str(format);
        }
        text.push_str("\r\n");
        self.lines.iter().for_each(|line| line.write(text));
    }
}

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
