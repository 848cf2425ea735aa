//! A session description as the list of lines it is (RFC 8866 §5).

use super::attribute::{Connection, Direction, Origin};

/// A whole session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionDescription {
    /// The lines before the first `m=`, in order.
    pub lines: Vec<Line>,
    /// The media sections, in order.
    pub media: Vec<MediaDescription>,
}

/// One `letter=value` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What kind of line it is.
    pub letter: char,
    /// What stands behind the equals sign, without the line end; see [`super::text_of`].
    pub value: String,
}

impl Line {
    /// The line `letter=value`.
    pub fn new(letter: char, value: impl Into<String>) -> Self {
        Self {
            letter,
            value: value.into(),
        }
    }

    /// Name and value of an `a=` line; the value of a property attribute is empty.
    pub fn attribute(&self) -> Option<(&str, &str)> {
        if self.letter != 'a' {
            return None;
        }
        Some(self.value.split_once(':').unwrap_or((&self.value, "")))
    }

    /// The value of an `a=` line of this name. Every section is asked for some thirty of them.
    fn value_of(&self, name: &str) -> Option<&str> {
        let (head, rest) = self.value.as_bytes().split_at_checked(name.len())?;
        if self.letter != 'a' || !head.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        match rest.first() {
            None => Some(""),
            Some(b':') => self.value.get(name.len() + 1..),
            Some(_) => None,
        }
    }
}

/// One `m=` line and what belongs to it (RFC 8866 §5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaDescription {
    /// `audio`, `video`, `image`, ...
    pub kind: String,
    /// The port; 0 rejects or ends the stream (RFC 3264 §5.1, §8.2).
    pub port: u16,
    /// The number of ports, when it was written (`4000/2`).
    pub port_count: Option<u16>,
    /// The transport, such as `RTP/AVP`.
    pub protocol: String,
    /// The formats; payload type numbers for RTP.
    pub formats: Vec<String>,
    /// The lines below the `m=` line, in order.
    pub lines: Vec<Line>,
}

impl SessionDescription {
    /// The first session line of a kind.
    pub fn line(&self, letter: char) -> Option<&str> {
        first_line(&self.lines, letter)
    }

    /// The value of the first session attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        first_attribute(&self.lines, name)
    }

    /// All values of the session attributes of this name.
    pub fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        all_attributes(&self.lines, name)
    }

    /// The originator, when the line is there and can be read.
    pub fn origin(&self) -> Option<Origin> {
        self.line('o').and_then(Origin::parse)
    }

    /// The session's connection address.
    pub fn connection(&self) -> Option<Connection> {
        self.line('c').and_then(Connection::parse)
    }

    /// The session's direction attribute.
    pub fn direction(&self) -> Option<Direction> {
        direction_of(&self.lines)
    }
}

impl MediaDescription {
    /// The first line of a kind.
    pub fn line(&self, letter: char) -> Option<&str> {
        first_line(&self.lines, letter)
    }

    /// The value of the first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        first_attribute(&self.lines, name)
    }

    /// All values of the attributes of this name.
    pub fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        all_attributes(&self.lines, name)
    }

    /// The section's own connection address. Some write `c=` below the attributes, which is why the whole section is searched.
    pub fn connection(&self) -> Option<Connection> {
        self.line('c').and_then(Connection::parse)
    }

    /// The section's own direction attribute.
    pub fn direction(&self) -> Option<Direction> {
        direction_of(&self.lines)
    }
}

fn first_line(lines: &[Line], letter: char) -> Option<&str> {
    lines
        .iter()
        .find(|l| l.letter == letter)
        .map(|l| l.value.as_str())
}

fn first_attribute<'a>(lines: &'a [Line], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.value_of(name))
}

fn all_attributes<'a>(lines: &'a [Line], name: &'a str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter_map(move |line| line.value_of(name))
}

fn direction_of(lines: &[Line]) -> Option<Direction> {
    lines
        .iter()
        .filter_map(Line::attribute)
        .filter(|(_, value)| value.is_empty())
        .rev()
        .find_map(|(name, _)| Direction::parse(name))
}
