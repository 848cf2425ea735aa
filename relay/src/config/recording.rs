//! The options about recordings.

use super::ConfigError;
use super::settings::{Settings, bad};
use crate::recording::{LinkType, RecordingSettings};

/// Makes sense of them. Nothing is recorded without a folder.
pub(super) fn recording(settings: &Settings) -> Result<Option<RecordingSettings>, ConfigError> {
    let link_type = match settings.last("recording-format").unwrap_or("raw") {
        "raw" => LinkType::RawIp,
        "eth" => LinkType::Ethernet,
        value => {
            let problem = "raw or eth is expected".to_owned();
            return Err(bad("recording-format", value, problem));
        }
    };
    let writes = match settings.last("recording-method").unwrap_or("pcap") {
        "pcap" | "all" => true,
        "proc" => false,
        value => {
            let problem = "pcap, proc or all is expected".to_owned();
            return Err(bad("recording-method", value, problem));
        }
    };
    let Some(directory) = settings
        .last("recording-dir")
        .filter(|path| !path.is_empty())
    else {
        return Ok(None);
    };
    if !directory.starts_with('/') {
        // Paths are told to controllers, which are not where we are.
        let problem = "a path that begins with / is expected".to_owned();
        return Err(bad("recording-dir", directory, problem));
    }
    let parts = directory
        .split('/')
        .filter(|part| !matches!(*part, "" | "."));
    Ok(writes.then(|| RecordingSettings {
        directory: parts.flat_map(|part| ["/", part]).collect(),
        link_type,
    }))
}

/// What the operator should know about recordings that he does not get.
pub(super) fn remarks(settings: &Settings) -> Option<String> {
    let method = settings.last("recording-method")?;
    let means = match method {
        "proc" => "nothing is recorded",
        "all" => "calls are recorded as with pcap alone",
        _ => return None,
    };
    Some(format!(
        "recording-method={method}: packets are not handed to rtpengine's recording daemon; {means}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{self, Wish};
    use super::*;

    fn read(line: &str) -> (Result<Option<RecordingSettings>, String>, Option<String>) {
        let words = line.split_whitespace().map(str::to_owned);
        let Ok(Wish::Run(settings)) = arguments::read(words) else {
            panic!("nothing to run");
        };
        let read = recording(&settings).map_err(|error| error.to_string());
        (read, remarks(&settings))
    }

    #[test]
    fn a_folder_is_all_it_takes() {
        let settings = |directory: &str, link_type| RecordingSettings {
            directory: directory.to_owned(),
            link_type,
        };
        assert_eq!(read("--foreground"), (Ok(None), None));
        assert_eq!(read("--recording-method=pcap"), (Ok(None), None));
        let made = read("--recording-dir=/var//rec/./x/");
        assert_eq!(
            made,
            (Ok(Some(settings("/var/rec/x", LinkType::RawIp))), None)
        );
        let (made, _) = read("--recording-dir=/r --recording-format=eth --recording-method=pcap");
        assert_eq!(made, Ok(Some(settings("/r", LinkType::Ethernet))));
    }

    #[test]
    fn the_method_of_the_recording_daemon_is_told_to_do_nothing() {
        let (made, remark) = read("--recording-dir=/r --recording-method=proc");
        assert_eq!(made, Ok(None));
        assert!(remark.unwrap().ends_with("nothing is recorded"));
        let (made, remark) = read("--recording-dir=/r --recording-method=all");
        assert!(made.unwrap().is_some() && remark.is_some());
    }

    #[test]
    fn a_value_that_means_nothing_is_named() {
        for (line, words) in [
            ("--recording-dir=rec", "option recording-dir: `rec`: a path"),
            ("--recording-method=tape", "option recording-method: `tape`"),
            ("--recording-format=ogg", "option recording-format: `ogg`"),
        ] {
            let refused = read(line).0.unwrap_err();
            assert!(refused.starts_with(words), "{refused}");
        }
    }
}
