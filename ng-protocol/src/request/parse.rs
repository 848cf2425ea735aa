//! From a dictionary to a [`Request`]: templates first, then the keys in their order, each in whichever spelling.
//!
//! What the keys that are no options mean stands in `keys.rs`, the options in [`crate::flags`].

use std::borrow::Cow;

use super::Request;
use crate::command::Command;
use crate::error::NgError;
use crate::frame;
use crate::rtpp_flags::{self, Templates, Token};
use crate::spelling::{Report, Spelled, canonical, names, text};
use crate::value::{Dictionary, Value};
use crate::vocabulary;

impl Request {
    /// Reads a payload in either encoding.
    pub fn parse(payload: &[u8]) -> Result<Self, NgError> {
        Self::from_dictionary(&frame::decode(payload)?, &Templates::default())
    }

    /// Reads a payload in either encoding, with the templates of the configuration.
    pub fn parse_with(payload: &[u8], templates: &Templates) -> Result<Self, NgError> {
        Self::from_dictionary(&frame::decode(payload)?, templates)
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
        // A command that is no string is none at all, as rtpengine has it.
        let Value::String(name) = command else {
            return Err(NgError::NoCommand);
        };
        let name = String::from_utf8_lossy(name);
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
            match canonical(key).as_ref() {
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
        match (canonical(key).as_ref(), value) {
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
        if self.apply_known_word(word, report) {
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
        if !self.apply_known_word(word, report) {
            report.unknown("flags", word);
        }
    }

    /// A word of the language; false if it is none.
    fn apply_known_word(&mut self, word: &str, report: &mut Report) -> bool {
        let spelled = Spelled::new(word.trim());
        if spelled.canonical == "webrtc" {
            self.flags.apply_webrtc(self.command != Command::Answer);
            return true;
        }
        self.flags.apply_word(&spelled, report)
    }

    /// A key, as written and in canonical spelling, and its value.
    fn apply_key(
        &mut self,
        key: &str,
        canonical: &str,
        value: &Value<'_>,
        report: &mut Report,
    ) -> Result<(), NgError> {
        let ignored = vocabulary::is_ignored(canonical);
        if ignored {
            report.inert(key, value);
        }
        let known = self.apply_identity(canonical, value, report)
            || self.apply_command_key(canonical, value, report)
            || self.flags.apply_key(canonical, value, report)?
            || ignored;
        if !known {
            report.unknown(key, value);
        }
        Ok(())
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
        for payload in [&b"de"[..], b"d7:commandl4:pingee", b"d7:commandi1ee"] {
            assert_eq!(Request::parse(payload), Err(NgError::NoCommand));
        }
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
