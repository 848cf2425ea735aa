//! What a description says about the recording of its party: whether it may be heard in it, and whether it may order it by keys.

use std::fmt;

use crate::spelling::{Report, Spelled, text};
use crate::value::Value;

/// The recording options of a party.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingFlags {
    /// The sender may order recordings by the keys of its telephone (`recording-vsc`).
    pub by_keys: bool,
    /// The codes for it that differ from the daemon's (`vsc-...`).
    pub codes: RecordingCodes,
    /// What the sender says is not recorded (`exclude-recording`).
    pub exclude: bool,
}

/// What a code orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingOrder {
    /// Record.
    Start,
    /// Record no more.
    Stop,
    /// Stop for a while.
    Pause,
    /// One or the other, whichever it is not.
    StartStop,
    /// Stop for a while, or go on; nothing if there is no recording.
    PauseResume,
    /// Record, stop for a while, go on.
    StartPauseResume,
}

impl RecordingOrder {
    /// Every order.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Stop,
        Self::Pause,
        Self::StartStop,
        Self::PauseResume,
        Self::StartPauseResume,
    ];

    /// The key, and the option, that sets its code.
    pub fn key(self) -> &'static str {
        match self {
            Self::Start => "vsc-start-rec",
            Self::Stop => "vsc-stop-rec",
            Self::Pause => "vsc-pause-rec",
            Self::StartStop => "vsc-start-stop-rec",
            Self::PauseResume => "vsc-pause-resume-rec",
            Self::StartPauseResume => "vsc-start-pause-resume-rec",
        }
    }
}

/// The longest code.
const LONGEST: usize = 32;

/// Keys for each order that has any.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordingCodes([Option<Box<str>>; RecordingOrder::ALL.len()]);

impl fmt::Debug for RecordingCodes {
    /// Those that are set, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<_> = self.iter().collect();
        write!(f, "{set:?}")
    }
}

impl RecordingCodes {
    /// Sets the code of an order, one or more of `0-9*#A-D`; none if it is empty. `false` if it is no code.
    #[must_use]
    pub fn set(&mut self, order: RecordingOrder, code: &str) -> bool {
        let code = code.trim().to_ascii_uppercase();
        let is_key = |byte: u8| byte.is_ascii_digit() || b"*#ABCD".contains(&byte);
        if code.len() > LONGEST || !code.bytes().all(is_key) {
            return false;
        }
        self.0[order as usize] = (!code.is_empty()).then(|| code.into());
        true
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (RecordingOrder, &str)> {
        let all = RecordingOrder::ALL.into_iter().zip(&self.0);
        all.filter_map(|(order, code)| Some((order, code.as_deref()?)))
    }

    /// These, and those of others where there is none.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        let mut codes = self.clone();
        for (code, other) in codes.0.iter_mut().zip(&others.0) {
            if code.is_none() {
                code.clone_from(other);
            }
        }
        codes
    }
}

impl RecordingFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        let mut orders = RecordingOrder::ALL.into_iter();
        let Some(order) = orders.find(|order| order.key() == key) else {
            return false;
        };
        if !text(value).is_some_and(|code| self.codes.set(order, &code)) {
            report.unknown(key, value);
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>) -> bool {
        match word.canonical.as_ref() {
            "recording-vsc" => self.by_keys = true,
            "exclude-recording" => self.exclude = true,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, unknown};

    #[test]
    fn a_party_may_have_codes_of_its_own() {
        let recording = offer(
            r#""flags":["recording VSC"],"vsc-start-rec":"*9a","vsc pause-resume rec":77,"vsc-stop-rec":"""#,
        )
        .flags
        .recording;
        assert!(recording.by_keys && !recording.exclude);
        let codes: Vec<_> = recording.codes.iter().collect();
        let expected = [
            (RecordingOrder::Start, "*9A"),
            (RecordingOrder::PauseResume, "77"),
        ];
        assert_eq!(codes, expected);
        let mut daemons = RecordingCodes::default();
        assert!(daemons.set(RecordingOrder::Start, "1") && daemons.set(RecordingOrder::Stop, "2"));
        let codes = recording.codes.or(&daemons);
        let codes: Vec<_> = codes.iter().map(|(_, code)| code).collect();
        assert_eq!(codes, ["*9A", "2", "77"]);
    }

    #[test]
    fn what_is_no_key_is_no_code() {
        assert_eq!(unknown(r#""vsc-start-rec":"*9x""#), ["vsc-start-rec=*9x"]);
        let long = "1".repeat(LONGEST + 1);
        assert!(!RecordingCodes::default().set(RecordingOrder::Stop, &long));
    }
}
