//! From a dictionary to a [`Request`]: templates first, then the keys in their order, each in whichever spelling.

use std::borrow::Cow;

use super::{Request, SipMessageType};
use crate::command::Command;
use crate::error::NgError;
use crate::frame;
use crate::rtpp_flags::{self, Templates, Token};
use crate::spelling::{Report, Spelled, canonical, keyword, names, text};
use crate::value::{Dictionary, Value};

impl Request {
    /// Reads a payload in either encoding.
    pub fn parse(payload: &[u8]) -> Result<Self, NgError> {
        Self::from_dictionary(&frame::decode(payload)?, &Templates::default())
    }

    /// Reads a decoded dictionary: first the templates that apply to it, then its own keys in their order.
    pub fn from_dictionary(
        dictionary: &Dictionary<'_>,
        templates: &Templates,
    ) -> Result<Self, NgError> {
        let mut entries = Vec::with_capacity(dictionary.len());
        for (key, value) in dictionary.iter() {
            entries.push((String::from_utf8_lossy(key), value));
        }
        let is = |wanted: &'static str| {
            move |(key, _): &&(Cow<'_, str>, &Value<'_>)| canonical(key) == wanted
        };
        let (_, command) = entries
            .iter()
            .find(is("command"))
            .ok_or(NgError::NoCommand)?;
        let name = text(command).unwrap_or_default();
        let command = Command::parse(&name).ok_or_else(|| NgError::UnrecognizedCommand {
            command: name.chars().take(100).collect(),
        })?;

        let mut request = Self::new(command);
        let mut report = Report::default();
        for name in ["default", command.name()] {
            if let Some(flags) = templates.get(name) {
                request.apply_string(flags, &mut report)?;
            }
        }
        for (key, value) in entries.iter().filter(is("template")) {
            match text(value).and_then(|name| templates.get(&name)) {
                Some(flags) => request.apply_string(flags, &mut report)?,
                None => report.unknown(key, value),
            }
        }
        for (key, value) in &entries {
            match canonical(key).as_str() {
                "command" | "template" => {}
                "flags" => {
                    for word in names("flags", value, &mut report) {
                        request.apply_word(&word, &mut report)?;
                    }
                }
                "rtpp-flags" => match text(value) {
                    Some(flags) => request.apply_string(&flags, &mut report)?,
                    None => report.unknown(key, value),
                },
                canonical => request.apply_key(key, canonical, value, &mut report)?,
            }
        }
        request.inert = report.inert;
        request.unknown = report.unknown;
        Ok(request)
    }

    /// A flags string.
    fn apply_string(&mut self, flags: &str, report: &mut Report) -> Result<(), NgError> {
        for token in rtpp_flags::tokens(flags) {
            match token {
                Token::Word(word) => self.apply_word(word, report)?,
                Token::Pair(key, value) => self.apply_pair(key, &value, report)?,
            }
        }
        Ok(())
    }

    /// `key=value` of a flags string, where some keys mean a little more than in a dictionary.
    fn apply_pair(
        &mut self,
        key: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> Result<(), NgError> {
        match (canonical(key).as_str(), value) {
            ("direction", Value::String(_)) => {
                let name = value.to_string();
                self.flags.addressing.push_interface(&name, report);
            }
            ("from-tag", _) => {
                self.apply_key(key, "from-tag", value, report)?;
                self.flags.selection.directional = true;
            }
            ("to-tag", _) => {
                self.apply_key(key, "to-tag", value, report)?;
                self.flags.selection.to_tag = true;
            }
            ("flags", _) => {
                for word in names("flags", value, report) {
                    self.apply_plain_word(&word, report);
                }
            }
            // A string within a string within a string has no end.
            ("command" | "rtpp-flags" | "template", _) => report.unknown(key, value),
            (canonical, _) => self.apply_key(key, canonical, value, report)?,
        }
        Ok(())
    }

    /// A flag word; `key=value` among the words counts as in a flags string.
    fn apply_word(&mut self, word: &str, report: &mut Report) -> Result<(), NgError> {
        let spelled = Spelled::new(word.trim());
        if self.flags.apply_word(&spelled, report) {
            return Ok(());
        }
        match word.split_once('=') {
            Some((key, value)) if !key.is_empty() && canonical(key) != "flags" => {
                let unfolded = rtpp_flags::unfold(value);
                self.apply_pair(key, &unfolded.unwrap_or_else(|| value.into()), report)
            }
            _ => {
                report.unknown("flags", word);
                Ok(())
            }
        }
    }

    fn apply_plain_word(&mut self, word: &str, report: &mut Report) {
        if !self.flags.apply_word(&Spelled::new(word.trim()), report) {
            report.unknown("flags", word);
        }
    }

    /// A key, as written and in canonical spelling, and its value.
    fn apply_key(
        &mut self,
        key: &str,
        canonical: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> Result<(), NgError> {
        let known = self.apply_identity(canonical, value, report)
            || self.apply_command_key(canonical, value, report)
            || self.flags.apply_key(canonical, value, report)?;
        if !known {
            report.unknown(key, value);
        }
        Ok(())
    }

    /// The keys that say which call and which parties are meant.
    fn apply_identity(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
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
    fn apply_command_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
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
                    match canonical(&feature).as_str() {
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
            "db-id" => integer(&mut self.playback.db_id, report),
            "repeat-times" => integer(&mut self.playback.repeat_times, report),
            "repeat-duration" => integer(&mut self.playback.repeat_duration_ms, report),
            "start-pos" => integer(&mut self.playback.start_position_ms, report),
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

/// The event code of a key of the telephone (RFC 4733 section 3.2), written as the key or as the code.
fn event_code(text: &str) -> Option<u8> {
    match text {
        "*" => Some(10),
        "#" => Some(11),
        "A" | "a" => Some(12),
        "B" | "b" => Some(13),
        "C" | "c" => Some(14),
        "D" | "d" => Some(15),
        _ => text.parse().ok().filter(|code| *code <= 15),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::{CallId, Tag};
    use crate::testing::{offer, offer_of_string, unknown};

    #[test]
    fn commands_are_spelt_exactly() {
        assert_eq!(Command::parse("CLI"), Some(Command::Cli));
        for name in ["PING", "block_DTMF", "block dtmf", ""] {
            assert_eq!(Command::parse(name), None, "{name}");
        }
        assert_eq!(
            Request::parse(b"d7:command4:PINGe"),
            Err(NgError::UnrecognizedCommand {
                command: "PING".to_owned()
            })
        );
        assert_eq!(Request::parse(b"de"), Err(NgError::NoCommand));
    }

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
    fn the_first_command_and_the_last_of_everything_else_count() {
        let request =
            Request::parse(br#"{"command":"offer","call-id":"a","call-id":"b","command":"ping"}"#)
                .unwrap();
        assert_eq!(request.command, Command::Offer);
        assert_eq!(request.call_id, Some(CallId::from("b")));
        let request =
            Request::parse(br#"{"command":"query","call-id":"a","call-id":"b"}"#).unwrap();
        assert_eq!(request.call_id, Some(CallId::from("a")));
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
    fn tags_in_a_flags_string_also_set_the_flags_of_their_name() {
        let request = offer_of_string("from-tag=f to-tag=t");
        assert_eq!(request.from_tag, Some(Tag::from("f")));
        assert_eq!(request.to_tag, Some(Tag::from("t")));
        assert!(request.flags.selection.directional && request.flags.selection.to_tag);
        let request = offer_of_string("to-tag");
        assert_eq!(request.to_tag, None);
        assert!(request.flags.selection.to_tag);
    }

    #[test]
    fn flags_strings_and_dictionaries_give_the_same_request() {
        for (string, keys) in [
            (
                "replace-origin transport-protocol=RTP/SAVP DTLS=off SDES=[only-AES_CM_128_HMAC_SHA1_80 pad] \
                 codec=[strip=[PCMA] transcode=[G722]] label=callee ICE=remove rtcp-mux-offer",
                r#""replace":["origin"],"transport-protocol":"RTP/SAVP","DTLS":"off",
                   "SDES":["only-AES_CM_128_HMAC_SHA1_80","pad"],
                   "codec":{"strip":["PCMA"],"transcode":["G722"]},"label":"callee","ICE":"remove",
                   "rtcp-mux":["offer"]"#,
            ),
            (
                "trust-address generate-mid via-branch=b1 direction=a direction=b TOS=184 delete-delay=3",
                r#""flags":["trust-address","generate-mid"],"via-branch":"b1","direction":["a","b"],"TOS":184,
                   "delete delay":3"#,
            ),
            (
                "received-from=[IP4 192.0.2.1] address-family=IP6 endpoint-learning=off ptime=20 WebRTC",
                r#""received-from":["IP4","192.0.2.1"],"address family":"IP6","endpoint-learning":"off","ptime":20,
                   "flags":["WebRTC"]"#,
            ),
            (
                "frobnicate ICE=bogus nonsense=1",
                r#""flags":["frobnicate"],"ICE":"bogus","nonsense":"1""#,
            ),
        ] {
            assert_eq!(offer_of_string(string), offer(keys), "{string}");
        }
    }

    #[test]
    fn a_string_cannot_contain_itself() {
        assert_eq!(
            unknown(r#""rtpp-flags":"rtpp-flags=x command=ping flags=flags=x template=y""#),
            [
                "rtpp-flags=x",
                "command=ping",
                "flags=flags=x",
                "template=y"
            ]
        );
        assert_eq!(unknown(r#""flags":["flags=fatal"]"#), ["flags=flags=fatal"]);
    }

    #[test]
    fn unknown_words_are_kept_once_and_cut_to_size() {
        let long = "x".repeat(5000);
        let request = offer(&format!(r#""{long}":"{long}","flags":["symm","symm"]"#));
        assert_eq!(request.unknown.len(), 2);
        assert!(request.unknown[0].value.len() < 300);
        assert!(request.unknown[0].key.len() < 300);
        let many: Vec<_> = (0..5000).map(|n| format!(r#""w{n}""#)).collect();
        let request = offer(&format!(r#""flags":[{}]"#, many.join(",")));
        assert_eq!(request.unknown.len(), 64);
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

    /// Words from which scripts are made, whole and in parts.
    const WORDS: &[&str] = &[
        "ICE",
        "=",
        "[",
        "]",
        " ",
        "-",
        "force",
        "codec",
        "strip",
        "transcode",
        "PCMU",
        "sdp-attr",
        "audio",
        "add",
        "remove",
        "substitute",
        ">",
        "a",
        "direction",
        "SDES",
        "only",
        "RTP/SAVP",
        "DTLS",
        "rtcp-mux",
        "offer",
        ",",
        "flags",
        "to-tag",
        "é",
        "--",
        "..",
        "T.38",
        "replace",
        "bundle",
        "rtpp-flags",
        "endpoint-learning",
        "all",
    ];

    proptest! {
        #[test]
        fn any_flags_string_is_accepted(words in prop::collection::vec(prop::sample::select(WORDS), 0..30)) {
            let flags = words.concat();
            let keys = Dictionary::new().with("command", "offer").with("rtpp-flags", flags.as_str());
            // Only a misspelt edit may be refused.
            let result = Request::from_dictionary(&keys, &Templates::default());
            let accepted = matches!(result, Ok(_) | Err(NgError::BadValue { .. }));
            prop_assert!(accepted);
            let keys = Dictionary::new().with("command", "offer").with("flags", flags.as_str());
            prop_assert!(Request::from_dictionary(&keys, &Templates::default()).is_ok() || flags.contains("sdp-attr"));
        }

        #[test]
        fn a_word_means_the_same_in_the_list_and_in_the_string(
            words in prop::collection::vec("(ICE|SDES|codec|rtcp-mux|replace|DTLS)-(force|off|strip-PCMU|offer|origin)", 0..6),
        ) {
            let list: Value<'_> = words.iter().map(String::as_str).collect();
            let string = words.join(" ");
            let from = |key, value: Value<'_>| {
                let keys = Dictionary::new().with("command", "offer").with(key, value.into_owned());
                Request::from_dictionary(&keys, &Templates::default())
            };
            prop_assert_eq!(from("flags", list), from("rtpp-flags", string.as_str().into()));
        }

        #[test]
        fn any_value_of_any_key_is_accepted(
            key in prop::sample::select(WORDS),
            value in "[\\[\\]{}\",:0-9a-z -]{0,40}",
        ) {
            let text = format!(r#"{{"command":"offer","{key}":{value}}}"#);
            let _ = Request::parse(text.as_bytes());
            let bytes = format!("d7:command5:offer{}:{key}{value}e", key.len());
            let _ = Request::parse(bytes.as_bytes());
        }
    }
}
