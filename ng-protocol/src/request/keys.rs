//! The keys that are no options: which call and which parties are meant, what a command is about, and who asks.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{HoldMode, HoldMusic, Request, SipMessageType};
use crate::command::Command;
use crate::flags::dtmf::event_code;
use crate::spelling::{Report, canonical, keyword, names, pairs, text};
use crate::value::Value;

impl Request {
    /// The keys that say which call and which parties are meant.
    pub(super) fn apply_identity(
        &mut self,
        key: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> bool {
        match key {
            "call-id" => {
                // `query` looks its call up before it walks the dictionary: the first one wins.
                let keep = self.command == Command::Query && self.call_id.is_some();
                if !keep {
                    self.call_id = opaque(key, value, report);
                }
            }
            "from-tag" => self.from_tag = opaque(key, value, report),
            "to-tag" => self.to_tag = opaque(key, value, report),
            "via-branch" => self.via_branch = opaque(key, value, report),
            "from-tags" => {
                self.from_tags = match value {
                    Value::List(tags) => tags
                        .iter()
                        .filter_map(|tag| opaque(key, tag, report))
                        .collect(),
                    single => opaque(key, single, report).into_iter().collect(),
                }
            }
            "sdp" => match value.as_bytes() {
                Some(sdp) => self.sdp = Some(sdp.to_vec()),
                None => report.unknown(key, value),
            },
            _ => return false,
        }
        true
    }

    /// The keys of single commands, and those about the client and its SIP message.
    pub(super) fn apply_command_key(
        &mut self,
        key: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> bool {
        let integer = |slot: &mut Option<i64>, report: &mut Report| match value.as_integer() {
            Some(number) => *slot = Some(number),
            None => report.unknown(key, value),
        };
        let string = |slot: &mut Option<String>, report: &mut Report| match text(value) {
            Some(text) => *slot = Some(text.into_owned()),
            None => report.unknown(key, value),
        };
        match key {
            "limit" => integer(&mut self.limit, report),
            "delete-delay" => integer(&mut self.delete_delay, report),
            "supports" => {
                for feature in names(key, value, report) {
                    match canonical(&feature).as_ref() {
                        "load-limit" => self.supports_load_limit = true,
                        _ => report.unknown(key, feature),
                    }
                }
            }
            "sip-message-type" => match keyword(value).as_deref() {
                Some("sip-request" | "request") => {
                    self.sip_message_type = Some(SipMessageType::Request);
                }
                Some("sip-reply" | "reply" | "sip-response" | "response") => {
                    self.sip_message_type = Some(SipMessageType::Reply);
                }
                _ => report.unknown(key, value),
            },
            "sip-code" | "sip-response-code" => {
                match value.as_integer().and_then(|code| code.try_into().ok()) {
                    Some(code) => self.sip_code = Some(code),
                    None => report.unknown(key, value),
                }
            }
            "body" => string(&mut self.cli_body, report),
            "file" => string(&mut self.playback.file, report),
            "blob" => self.playback.blob = value.as_bytes().map(<[u8]>::to_vec),
            "blob64" => match value.as_bytes().map(|text| BASE64_STANDARD.decode(text)) {
                Some(Ok(blob)) => self.playback.blob = Some(blob),
                _ => report.unknown(key, value),
            },
            "db-id" => integer(&mut self.playback.db_id, report),
            "repeat-times" => integer(&mut self.playback.repeat_times, report),
            "repeat-duration" => integer(&mut self.playback.repeat_duration_ms, report),
            "start-pos" => integer(&mut self.playback.start_position_ms, report),
            "moh" => self.hold_music = hold_music(key, value, report),
            "code" | "digit" => {
                self.dtmf.code = text(value).and_then(|text| event_code(text.trim()));
                self.dtmf.code_out_of_range = self.dtmf.code.is_none();
            }
            "duration" => integer(&mut self.dtmf.duration_ms, report),
            "volume" => integer(&mut self.dtmf.volume, report),
            "pause" => match keyword(value).as_deref() {
                Some("yes" | "on" | "true") => self.flags.selection.pause = true,
                Some("no" | "off" | "false") => self.flags.selection.pause = false,
                _ => integer(&mut self.dtmf.pause_ms, report),
            },
            "output-destination"
            | "output-dest"
            | "output-file"
            | "recording-destination"
            | "recording-dest"
            | "recording-file" => string(&mut self.recording.destination, report),
            "recording-dir"
            | "recording-directory"
            | "recording-path"
            | "recording-folder"
            | "output-dir"
            | "output-directory"
            | "output-path"
            | "output-folder" => {
                string(&mut self.recording.directory, report);
            }
            "recording-pattern" | "output-pattern" => string(&mut self.recording.pattern, report),
            _ => return false,
        }
        true
    }
}

/// Music on hold. Without anything to play there is none.
fn hold_music(key: &str, value: &Value<'_>, report: &mut Report) -> Option<HoldMusic> {
    let mut music = HoldMusic::default();
    let playback = &mut music.playback;
    for (name, value) in pairs(key, value, report) {
        match name.as_str() {
            "file" => playback.file = text(&value).map(|text| text.into_owned()),
            "blob" => playback.blob = value.as_bytes().map(<[u8]>::to_vec),
            "repeat-times" => playback.repeat_times = value.as_integer(),
            "repeat-duration" => playback.repeat_duration_ms = value.as_integer(),
            "start-pos" => playback.start_position_ms = value.as_integer(),
            "mode" => match keyword(&value).as_deref() {
                Some("sendonly") => music.mode = HoldMode::SendOnly,
                Some("sendrecv") => music.mode = HoldMode::SendRecv,
                _ => report.unknown(key, &value),
            },
            "connection" => report.inert(key, &value),
            _ => report.unknown(key, name),
        }
    }
    music.playback.names_something().then_some(music)
}

/// A name for a call, a party or a branch. Clients may write numbers; an empty name is none.
fn opaque<T>(key: &str, value: &Value<'_>, report: &mut Report) -> Option<T>
where
    T: for<'a> From<&'a [u8]>,
{
    match value {
        Value::String(bytes) if bytes.is_empty() => None,
        Value::String(bytes) => Some(T::from(bytes)),
        Value::Integer(number) => Some(T::from(number.to_string().as_bytes())),
        Value::List(_) | Value::Dictionary(_) => {
            report.unknown(key, value);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CallId, Tag};
    use crate::testing::{offer, unknown};

    #[test]
    fn keys_are_taken_in_every_spelling() {
        let expected =
            offer(r#""call-id":"c","from-tag":"f","to-tag":"t","via-branch":"b","sdp":"v=0""#);
        for keys in [
            r#""call_id":"c","from_tag":"f","to_tag":"t","via_branch":"b","SDP":"v=0""#,
            r#""call id":"c","from tag":"f","to tag":"t","via branch":"b","Sdp":"v=0""#,
            r#""Call-ID":"c","From-Tag":"f","To-Tag":"t","Via-Branch":"b","sdp":"v=0""#,
        ] {
            assert_eq!(offer(keys), expected, "{keys}");
        }
    }

    #[test]
    fn names_are_opaque_bytes_and_empty_ones_are_none() {
        let request =
            Request::parse(b"d7:command5:query7:call-id3:\xff\x00\xe98:from-tag0:e").unwrap();
        assert_eq!(
            request.call_id,
            Some(CallId::from(b"\xff\x00\xe9".as_slice()))
        );
        assert_eq!(request.from_tag, None);
        assert_eq!(offer(r#""call-id":17"#).call_id, Some(CallId::from("17")));
    }

    #[test]
    fn integers_may_be_strings_and_nonsense_is_the_default() {
        assert_eq!(offer(r#""limit":"3""#).limit, Some(3));
        assert_eq!(offer(r#""limit":3"#).limit, Some(3));
        assert_eq!(offer(r#""limit":2.7"#).limit, None);
        assert_eq!(unknown(r#""limit":"x""#), ["limit=x"]);
        for key in ["delete delay", "delete-delay", "delete_delay"] {
            assert_eq!(offer(&format!(r#""{key}":"0""#)).delete_delay, Some(0));
        }
    }

    #[test]
    fn the_kind_of_the_sip_message_is_told() {
        let request =
            offer(r#""sip_message_type":"sip_reply","sip_code":"200","supports":"load limit""#);
        assert_eq!(request.sip_message_type, Some(SipMessageType::Reply));
        assert_eq!(request.sip_code, Some(200));
        assert!(request.supports_load_limit);
    }

    #[test]
    fn events_are_named_by_key_or_code() {
        let code = |keys| offer(keys).dtmf;
        assert_eq!(code(r#""code":"5""#).code, Some(5));
        assert_eq!(code(r#""code":11"#).code, Some(11));
        assert_eq!(code(r##""digit":"#""##).code, Some(11));
        assert_eq!(code(r#""code":"D""#).code, Some(15));
        assert!(code(r#""code":"16""#).code_out_of_range);
        assert!(!code("").code_out_of_range);
    }

    #[test]
    fn pausing_is_a_duration_or_a_switch() {
        assert_eq!(offer(r#""pause":"150""#).dtmf.pause_ms, Some(150));
        assert!(offer(r#""pause":"yes""#).flags.selection.pause);
        assert!(offer(r#""flags":["pause"]"#).flags.selection.pause);
    }

    #[test]
    fn playing_and_recording_have_their_keys() {
        let request = offer(
            r#""file":"/a.wav","repeat-times":"2","start-pos":5,"output-file":"/o","recording-path":"/d",
               "output-pattern":"%s","from-tags":["a","b"],"body":"list totals""#,
        );
        assert_eq!(request.playback.file.as_deref(), Some("/a.wav"));
        assert_eq!(request.playback.repeat_times, Some(2));
        assert_eq!(request.recording.destination.as_deref(), Some("/o"));
        assert_eq!(request.recording.directory.as_deref(), Some("/d"));
        assert_eq!(request.from_tags, [Tag::from("a"), Tag::from("b")]);
        assert_eq!(request.cli_body.as_deref(), Some("list totals"));
        assert_eq!(request.unknown, []);
    }
}
