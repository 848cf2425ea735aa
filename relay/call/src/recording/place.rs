//! Names of recordings, and where their files lie: as rtpengine has them, or where a request wants them inside the same folder.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ng_protocol::{CallId, RecordingOutput};

use super::pattern;
use crate::error::RequestError;

/// The longest encoded call-id in a name: with what stands around it, a name of a file has at most 255 bytes.
const LONGEST_CALL_ID: usize = 219;

/// The name of a recording as rtpengine makes it: the call-id with `%` for everything but letters, digits, `-`, `_`, `.` and `~`, and 64
/// random bits. No call-id makes one that has a `/` or is `..`.
pub fn name(call_id: &CallId, random: u64) -> Arc<str> {
    let mut name = String::new();
    for &byte in call_id.as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if name.len() + if plain { 1 } else { 3 } > LONGEST_CALL_ID {
            break;
        }
        if plain {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    let _ = write!(name, "-{random:016x}");
    name.into()
}

/// What a recording is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Title<'a> {
    /// Its name: see [`name`].
    pub(crate) name: &'a str,
    /// Which of the call's recordings it is, from 1.
    pub(crate) number: u64,
    /// When it begins, since 1970.
    pub(crate) at: Duration,
}

/// A file of a recording: in the folder that those of its kind have, or where a request wants it.
///
/// `output-destination` names the file, or `recording-pattern` tells how its name is made; of it an ending that we would write ourselves is taken away; `recording-dir` names its
/// folder. Both are inside `directory`, absolute or relative to it. The second and later recordings of a call have their `number`
/// behind such a name, for a file is never written twice.
pub(crate) fn file(
    directory: &str,
    output: &RecordingOutput,
    title: Title<'_>,
    (kinds_folder, ending): (&str, &str),
) -> Result<String, RequestError> {
    let folder = match &output.directory {
        Some(wanted) => Some(inside(directory, directory, "recording-dir", wanted)?),
        None => None,
    };
    let (key, wanted) = match (&output.destination, &output.pattern) {
        (Some(wanted), _) => ("output-destination", wanted.clone()),
        (None, Some(pattern)) => {
            let expanded = pattern::expanded(pattern, title.name, title.at)?;
            ("recording-pattern", expanded)
        }
        (None, None) => {
            let usual = || format!("{directory}/{kinds_folder}");
            let folder = folder.unwrap_or_else(usual);
            return Ok(format!("{folder}/{}.{ending}", title.name));
        }
    };
    let from = folder.as_deref().unwrap_or(directory);
    let mut stem = inside(directory, from, key, &wanted)?;
    if stem == from || wanted.ends_with('/') {
        let problem = format!("{key}=\"{wanted}\" names a folder and not a file");
        return Err(RequestError::Recording(problem));
    }
    let ours = [".pcap", ".wav", ".opus", ".vcon"];
    if let Some(bare) = ours.iter().find_map(|ending| stem.strip_suffix(ending)) {
        stem.truncate(bare.len());
    }
    if title.number > 1 {
        let _ = write!(stem, "-{}", title.number);
    }
    Ok(format!("{stem}.{ending}"))
}

/// The path that the value of a key means: absolute, or relative to `from`. It lies inside `directory`, by its text: nobody but the
/// operator makes links there.
fn inside(directory: &str, from: &str, key: &str, value: &str) -> Result<String, RequestError> {
    let refuse = |problem: &str| {
        let problem = format!("{key}=\"{}\" {problem}", value.escape_debug());
        Err(RequestError::Recording(problem))
    };
    let path = if value.starts_with('/') {
        value.to_owned()
    } else {
        format!("{from}/{value}")
    };
    if path.contains('\0') || path.split('/').any(|part| part == "..") {
        return refuse("may contain neither `..` nor zero bytes");
    }
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let path: String = parts.flat_map(|part| ["/", part]).collect();
    match path.strip_prefix(directory) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(path),
        _ => refuse(&format!(
            "is outside of {directory}, the folder of option recording-dir"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_call_id_encoded_with_random_digits_behind_it() {
        let of = |id: &[u8]| name(&CallId::from(id), 0x16c0_0366_ab9c_13a1).to_string();
        assert_eq!(of(b"call/1@x"), "call%2F1%40x-16c00366ab9c13a1");
        assert_eq!(
            of("a b\n%é~_-.".as_bytes()),
            "a%20b%0A%25%C3%A9~_-.-16c00366ab9c13a1"
        );
        assert_eq!(of(b".."), "..-16c00366ab9c13a1");
        assert_eq!(
            of(b"../../etc/passwd"),
            "..%2F..%2Fetc%2Fpasswd-16c00366ab9c13a1"
        );
        assert_eq!(of(b"\0\xff"), "%00%FF-16c00366ab9c13a1");
    }

    #[test]
    fn a_long_call_id_is_cut_between_its_bytes_and_makes_no_name_that_is_too_long_for_a_file() {
        for id in [vec![b'x'; 1000], vec![b'/'; 1000]] {
            let name = name(&CallId::from(&id[..]), 1).to_string();
            let longest = format!("rtpengine-meta-{name}.txt");
            assert!((250..=255).contains(&longest.len()), "{}", longest.len());
            let (encoded, _) = name.split_once('-').unwrap();
            assert!(
                encoded.len() % 3 == 0 || !encoded.contains('%'),
                "{encoded}"
            );
        }
    }

    const TITLE: Title<'_> = Title {
        name: "call-0",
        number: 1,
        at: Duration::ZERO,
    };

    fn placed(directory: Option<&str>, destination: Option<&str>) -> Result<String, String> {
        let output = RecordingOutput {
            directory: directory.map(str::to_owned),
            destination: destination.map(str::to_owned),
            pattern: None,
        };
        let placed = file("/var/rec", &output, TITLE, ("pcaps", "pcap"));
        placed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_may_choose_a_place_inside_the_folder() {
        let at = |directory, destination| placed(directory, destination).unwrap();
        assert_eq!(at(None, None), "/var/rec/pcaps/call-0.pcap");
        assert_eq!(
            at(Some("/var/rec/sales"), None),
            "/var/rec/sales/call-0.pcap"
        );
        assert_eq!(
            at(Some("sales//2026/"), None),
            "/var/rec/sales/2026/call-0.pcap"
        );
        assert_eq!(at(Some("/var/rec/"), None), "/var/rec/call-0.pcap");
        assert_eq!(at(None, Some("one.pcap")), "/var/rec/one.pcap");
        assert_eq!(
            at(None, Some("/var/rec/./a/one.wav")),
            "/var/rec/a/one.pcap"
        );
        assert_eq!(
            at(Some("sales"), Some("one.v2")),
            "/var/rec/sales/one.v2.pcap"
        );
        assert_eq!(at(Some("sales"), Some("/var/rec/two")), "/var/rec/two.pcap");
    }

    #[test]
    fn a_place_outside_of_the_folder_is_refused_by_key_and_value() {
        for value in [
            "/etc",
            "/var/recordings",
            "/var/rec/../x",
            "..",
            "a/../../x",
            "/",
            "a\0b",
        ] {
            let refused = placed(Some(value), None).unwrap_err();
            let named = format!("recording-dir=\"{}\"", value.escape_debug());
            assert!(refused.contains(&named), "{refused}");
            let refused = placed(None, Some(value)).unwrap_err();
            assert!(refused.contains("output-destination=\""), "{refused}");
        }
        let refused = placed(None, Some("/etc/passwd")).unwrap_err();
        assert!(refused.contains("is outside of /var/rec"), "{refused}");
        for folder in ["", "/var/rec", "sales/"] {
            let refused = placed(None, Some(folder)).unwrap_err();
            assert!(refused.contains("names a folder"), "{refused}");
        }
    }

    #[test]
    fn a_second_recording_of_a_call_does_not_want_the_file_of_the_first() {
        let output = RecordingOutput {
            destination: Some("one.pcap".to_owned()),
            ..RecordingOutput::default()
        };
        let title = Title { number: 2, ..TITLE };
        let second = file("/var/rec", &output, title, ("audio", "wav"));
        assert_eq!(second.unwrap(), "/var/rec/one-2.wav");
    }

    #[test]
    fn a_pattern_makes_a_name_inside_the_folder_or_none() {
        let of = |directory: Option<&str>, pattern: &str| {
            let output = RecordingOutput {
                directory: directory.map(str::to_owned),
                destination: None,
                pattern: Some(pattern.to_owned()),
            };
            let placed = file("/var/rec", &output, TITLE, ("audio", "wav"));
            placed.map_err(|error| error.to_string())
        };
        let placed = of(Some("sales"), "%Y/%c-%r.wav");
        assert_eq!(placed.unwrap(), "/var/rec/sales/1970/call-0.wav");
        for pattern in ["/etc/%c", "../%c", "%c/", ""] {
            let refused = of(None, pattern).unwrap_err();
            assert!(refused.contains("recording-pattern=\""), "{refused}");
        }
    }
}
