//! The options about recordings.

use ng_protocol::flags::{RecordingCodes, RecordingOrder};
use relay_call::config::RecordedStreams;

use super::ConfigError;
use super::settings::{Settings, bad};
use crate::recording::{AudioForm, Channels, Content, FileFormat, LinkType, RecordingSettings};

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
    let format = match settings.last("recording-audio-format").unwrap_or("wav") {
        "wav" => FileFormat::Wav,
        #[cfg(feature = "opus")]
        "opus" => FileFormat::Opus,
        value => {
            let problem = "wav is expected, or opus where it was built in".to_owned();
            return Err(bad("recording-audio-format", value, problem));
        }
    };
    let audio = |channels| Some(AudioForm { channels, format });
    let audio = match settings.last("recording-audio").unwrap_or("off") {
        "off" => None,
        "mixed" => audio(Channels::Mixed),
        "stereo" => audio(Channels::Stereo),
        value => {
            let problem = "mixed, stereo or off is expected".to_owned();
            return Err(bad("recording-audio", value, problem));
        }
    };
    let vcon = match settings.last("recording-vcon").unwrap_or("off") {
        "off" => None,
        "inline" => Some(Content::Inline),
        value => match value.trim_end_matches('/') {
            url if is_https(url) => Some(Content::Linked(url.to_owned())),
            _ => {
                let problem =
                    "inline, off, or a URL that begins with https:// is expected".to_owned();
                return Err(bad("recording-vcon", value, problem));
            }
        },
    };
    if vcon.is_some() && audio.is_none() {
        let value = settings.last("recording-vcon").unwrap_or_default();
        let problem = "it needs audio: set recording-audio to mixed or stereo".to_owned();
        return Err(bad("recording-vcon", value, problem));
    }
    let codes = codes(settings)?;
    let egress = settings.switch("record-egress", false)?;
    let streams = match settings.switch("record-both", false)? {
        true => RecordedStreams::Both,
        false if egress => RecordedStreams::Egress,
        false => RecordedStreams::Ingress,
    };
    let packets = match settings.last("recording-method").unwrap_or("pcap") {
        "pcap" | "all" => Some(link_type),
        // Whoever wants recordings and cannot have them in this way is better served with files than with nothing.
        "proc" => audio.is_none().then_some(link_type),
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
    Ok(Some(RecordingSettings {
        directory: parts.flat_map(|part| ["/", part]).collect(),
        streams,
        packets,
        audio,
        vcon,
        codes,
    }))
}

/// The keys by which parties may order recordings. Without an option there is no code.
fn codes(settings: &Settings) -> Result<RecordingCodes, ConfigError> {
    let mut codes = RecordingCodes::default();
    for order in RecordingOrder::ALL {
        let code = settings.last(order.key()).unwrap_or_default();
        if !codes.set(order, code) {
            let problem = "keys of a telephone are expected, such as *97".to_owned();
            return Err(bad(order.key(), code, problem));
        }
    }
    Ok(codes)
}

/// Whether this may stand before the path of a file: draft-ietf-vcon-vcon-core allows HTTPS alone.
fn is_https(url: &str) -> bool {
    let rest = url.strip_prefix("https://");
    let printable = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_graphic());
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && printable(rest) && !rest.contains(['?', '#'])
    })
}

/// What the operator should know about recordings that he does not get.
pub(super) fn remarks(settings: &Settings) -> Option<String> {
    let method = settings.last("recording-method")?;
    // Without a folder nothing is recorded, and nobody expects it.
    settings.last("recording-dir")?;
    let audio = settings.last("recording-audio").unwrap_or("off") != "off";
    let means = match method {
        "proc" if audio => "recordings are audio alone",
        "proc" | "all" => "calls are recorded as with pcap alone",
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
            streams: RecordedStreams::Ingress,
            packets: Some(link_type),
            audio: None,
            vcon: None,
            codes: RecordingCodes::default(),
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
    fn what_is_sent_may_be_recorded_in_place_of_what_comes_in_or_with_it() {
        let streams = |line: &str| {
            let (made, _) = read(&format!("--recording-dir=/r {line}"));
            made.unwrap().unwrap().streams
        };
        assert_eq!(streams(""), RecordedStreams::Ingress);
        assert_eq!(streams("--record-egress"), RecordedStreams::Egress);
        assert_eq!(streams("--record-egress=false"), RecordedStreams::Ingress);
        let both = streams("--record-egress --record-both");
        assert_eq!(both, RecordedStreams::Both);
    }

    #[test]
    fn in_place_of_the_recording_daemon_there_are_files_with_packets_and_the_log_says_so() {
        for method in ["proc", "all"] {
            let (made, remark) = read(&format!("--recording-dir=/r --recording-method={method}"));
            assert!(made.unwrap().unwrap().packets.is_some(), "{method}");
            let remark = remark.unwrap();
            assert!(
                remark.ends_with("calls are recorded as with pcap alone"),
                "{remark}"
            );
        }
    }

    #[test]
    fn audio_may_come_with_the_packets_or_alone() {
        let made = |line: &str| read(line).0.unwrap().map(|made| (made.packets, made.audio));
        let form = |channels, format| Some(AudioForm { channels, format });
        let both = made("--recording-dir=/r --recording-audio=mixed");
        let mixed = form(Channels::Mixed, FileFormat::Wav);
        assert_eq!(both, Some((Some(LinkType::RawIp), mixed)));
        let line = "--recording-audio=stereo --recording-audio-format=opus --recording-method=proc";
        let alone = made(&format!("--recording-dir=/r {line}"));
        let stereo = form(Channels::Stereo, FileFormat::Opus);
        assert_eq!(alone, Some((None, stereo)));
    }

    #[test]
    fn parties_may_order_recordings_by_keys_that_have_a_code() {
        let (made, _) = read("--recording-dir=/r --vsc-start-rec=*9 --vsc-pause-resume-rec=*7");
        let codes = made.unwrap().unwrap().codes;
        let codes: Vec<_> = codes.iter().collect();
        let expected = [
            (RecordingOrder::Start, "*9"),
            (RecordingOrder::PauseResume, "*7"),
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_vcon_has_its_audio_inside_or_at_a_url() {
        let made = |line: &str| {
            let line = format!("--recording-dir=/r --recording-audio=mixed {line}");
            read(&line).0.map(|made| made.unwrap().vcon)
        };
        assert_eq!(made("--recording-vcon=off"), Ok(None));
        let inline = made("--recording-vcon=inline");
        assert_eq!(inline, Ok(Some(Content::Inline)));
        let linked = made("--recording-vcon=https://rec.example.com/calls/");
        let url = "https://rec.example.com/calls".to_owned();
        assert_eq!(linked, Ok(Some(Content::Linked(url))));
        for url in [
            "http://x",
            "https://",
            "https:///x",
            "https://x/?y",
            "x",
            "",
        ] {
            let refused = made(&format!("--recording-vcon={url}")).unwrap_err();
            assert!(refused.contains("https://"), "{refused}");
        }
    }

    #[test]
    fn a_value_that_means_nothing_is_named() {
        for (line, words) in [
            ("--recording-dir=rec", "option recording-dir: `rec`: a path"),
            ("--recording-method=tape", "option recording-method: `tape`"),
            ("--recording-audio=loud", "option recording-audio: `loud`"),
            (
                "--recording-audio-format=mp3",
                "option recording-audio-format: `mp3`: wav is expected",
            ),
            (
                "--recording-vcon=inline",
                "option recording-vcon: `inline`: it needs audio",
            ),
            ("--vsc-stop-rec=x", "option vsc-stop-rec: `x`: keys"),
            ("--recording-format=ogg", "option recording-format: `ogg`"),
        ] {
            let refused = read(line).0.unwrap_err();
            assert!(refused.starts_with(words), "{refused}");
        }
    }
}
