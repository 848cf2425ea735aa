//! Bytes to [`SessionDescription`], tolerantly (RFC 8866 §5).
//!
//! Real peers end lines with CRLF or LF, write `c=` below `m=` attributes, leave out `o=`, `s=` or `t=`, and invent
//! attributes. All of that is accepted and kept. What is refused is text that is no SDP at all, and more of it than anybody sends.

use thiserror::Error;

use super::description::{Line, MediaDescription, SessionDescription};
use super::text_of;

/// The longest description taken, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The largest number of lines taken.
pub const MAX_LINES: usize = 1000;
/// The largest number of media sections taken.
pub const MAX_SECTIONS: usize = 64;

/// Why a text is no session description. The line number counts from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SdpError {
    /// Nothing there.
    #[error("the description is empty")]
    Empty,
    /// Longer than [`MAX_BYTES`].
    #[error("the description has {0} bytes, at most {MAX_BYTES} are taken")]
    TooLong(usize),
    /// More than [`MAX_LINES`].
    #[error("the description has more than {MAX_LINES} lines")]
    TooManyLines,
    /// More than [`MAX_SECTIONS`].
    #[error("line {0}: more than {MAX_SECTIONS} media sections")]
    TooManySections(usize),
    /// Not of the form `letter=value`.
    #[error("line {0}: {1:?} is not of the form letter=value")]
    NotALine(usize, String),
    /// The first line is not `v=0`.
    #[error("line {0}: {1:?} stands where v=0 is expected")]
    NoVersion(usize, String),
    /// An `m=` line that cannot be read.
    #[error("line {0}: {1:?} is no media line: {2}")]
    BadMediaLine(usize, String, &'static str),
}

/// How much of an offending line is quoted.
const QUOTED: usize = 80;

impl SessionDescription {
    /// Reads a description. A blank line ends it; what follows is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        let description = Self::read(bytes, true)?;
        if description.lines.is_empty() {
            return Err(SdpError::Empty);
        }
        Ok(description)
    }

    /// Reads a trickle-ICE fragment (RFC 8840 §9), which has no `v=` line and may begin with a media section.
    pub(super) fn parse_fragment(bytes: &[u8]) -> Result<Self, SdpError> {
        let fragment = Self::read(bytes, false)?;
        if fragment.lines.is_empty() && fragment.media.is_empty() {
            return Err(SdpError::Empty);
        }
        Ok(fragment)
    }

    fn read(bytes: &[u8], is_whole: bool) -> Result<Self, SdpError> {
        if bytes.len() > MAX_BYTES {
            return Err(SdpError::TooLong(bytes.len()));
        }
        let mut description = SessionDescription::default();
        for (index, raw) in bytes.split(|&b| b == b'\n').enumerate() {
            let number = index + 1;
            let line = text_of(raw.strip_suffix(b"\r").unwrap_or(raw));
            if line.is_empty() {
                break;
            }
            if number > MAX_LINES {
                return Err(SdpError::TooManyLines);
            }
            let (letter, value) =
                split(&line).ok_or_else(|| SdpError::NotALine(number, quote(&line)))?;
            if is_whole && number == 1 && (letter != 'v' || value.trim() != "0") {
                return Err(SdpError::NoVersion(number, quote(&line)));
            }
            if letter == 'm' {
                if description.media.len() == MAX_SECTIONS {
                    return Err(SdpError::TooManySections(number));
                }
                let media = media_line(value)
                    .map_err(|why| SdpError::BadMediaLine(number, quote(&line), why))?;
                description.media.push(media);
                continue;
            }
            let lines = match description.media.last_mut() {
                Some(media) => &mut media.lines,
                None => &mut description.lines,
            };
            lines.push(Line::new(letter, value));
        }
        Ok(description)
    }
}

fn split(line: &str) -> Option<(char, &str)> {
    let (letter, value) = line.split_once('=')?;
    let mut letters = letter.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_lowercase() => Some((letter, value)),
        _ => None,
    }
}

fn media_line(value: &str) -> Result<MediaDescription, &'static str> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next().ok_or("no media type")?;
    let port = words.next().ok_or("no port")?;
    let protocol = words.next().ok_or("no transport")?;
    let (port, count) = match port.split_once('/') {
        Some((port, count)) => (
            port,
            Some(count.parse().map_err(|_| "bad number of ports")?),
        ),
        None => (port, None),
    };
    Ok(MediaDescription {
        kind: kind.to_owned(),
        port: port.parse().map_err(|_| "bad port")?,
        port_count: count,
        protocol: protocol.to_owned(),
        formats: words.map(str::to_owned).collect(),
        lines: Vec::new(),
    })
}

fn quote(line: &str) -> String {
    line.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_lf_and_crlf_alike() {
        let unix = b"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 4000/2 RTP/AVP 0 101\na=ptime:20\n";
        let dos: Vec<u8> = String::from_utf8_lossy(unix)
            .replace('\n', "\r\n")
            .into_bytes();
        let description = SessionDescription::parse(unix).unwrap();
        assert_eq!(description, SessionDescription::parse(&dos).unwrap());
        let media = &description.media[0];
        assert_eq!((media.port, media.port_count), (4000, Some(2)));
        assert_eq!(media.formats, ["0", "101"]);
        assert_eq!(media.attribute("PTIME"), Some("20"));
    }

    #[test]
    fn a_connection_line_below_the_attributes_is_found() {
        let text = b"v=0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\nc=IN IP4 192.0.2.7\r\n";
        let media = &SessionDescription::parse(text).unwrap().media[0];
        assert_eq!(
            media.connection().unwrap().address,
            std::net::IpAddr::from([192, 0, 2, 7])
        );
        assert_eq!(media.direction(), Some(crate::sdp::Direction::SendOnly));
    }

    #[test]
    fn a_blank_line_ends_the_description() {
        let text = b"v=0\r\ns=-\r\n\r\n--boundary\r\n";
        assert_eq!(SessionDescription::parse(text).unwrap().lines.len(), 2);
    }

    #[test]
    fn an_error_names_the_line_and_quotes_it() {
        let error = SessionDescription::parse(b"v=0\r\nnonsense\r\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: \"nonsense\" is not of the form letter=value"
        );
        let error = SessionDescription::parse(b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: \"m=audio 70000 RTP/AVP 0\" is no media line: bad port"
        );
        let error = SessionDescription::parse(b"this is not SDP").unwrap_err();
        assert!(error.to_string().starts_with("line 1:"));
        assert_eq!(SessionDescription::parse(b""), Err(SdpError::Empty));
    }

    #[test]
    fn sizes_are_limited() {
        let long = vec![b'a'; MAX_BYTES + 1];
        assert_eq!(
            SessionDescription::parse(&long),
            Err(SdpError::TooLong(MAX_BYTES + 1))
        );
        let lines = format!("v=0\n{}", "a=x\n".repeat(MAX_LINES));
        assert_eq!(
            SessionDescription::parse(lines.as_bytes()),
            Err(SdpError::TooManyLines)
        );
        let sections = format!("v=0\n{}", "m=audio 1 RTP/AVP 0\n".repeat(MAX_SECTIONS + 1));
        assert_eq!(
            SessionDescription::parse(sections.as_bytes()),
            Err(SdpError::TooManySections(MAX_SECTIONS + 2))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = SessionDescription::parse(&bytes);
        }

        #[test]
        fn what_was_read_is_written_back(lines in proptest::collection::vec("[a-ln-z]=[ -~\u{80}-\u{ff}]{0,40}", 0..20)) {
            let mut text = String::from("v=0\r\n");
            for line in &lines {
                text.push_str(line);
                text.push_str("\r\n");
            }
            let bytes = crate::sdp::bytes_of(text);
            let description = SessionDescription::parse(&bytes).unwrap();
            prop_assert_eq!(description.to_bytes(), bytes);
        }
    }
}
