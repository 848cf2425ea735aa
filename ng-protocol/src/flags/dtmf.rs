//! How DTMF is kept from the other side.

use crate::spelling::{Report, keyword};
use crate::value::Value;

/// The DTMF options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DtmfFlags {
    /// What stands in for blocked events.
    pub security: Option<DtmfSecurity>,
}

/// The values of `DTMF-security`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfSecurity {
    /// Nothing is blocked.
    Off,
    /// Nothing.
    Drop,
    /// Silence.
    Silence,
    /// A tone of one or several frequencies.
    Tone,
    /// Other digits, drawn by lot.
    Random,
    /// The digit zero.
    Zero,
    /// One chosen digit.
    Dtmf,
}

impl DtmfSecurity {
    /// The value as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Drop => "drop",
            Self::Silence => "silence",
            Self::Tone => "tone",
            Self::Random => "random",
            Self::Zero => "zero",
            Self::Dtmf => "DTMF",
        }
    }
}

impl DtmfFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        if key != "dtmf-security" {
            return false;
        }
        let security = match keyword(value).as_deref() {
            Some("off" | "no" | "none" | "disabled") => DtmfSecurity::Off,
            Some("drop") => DtmfSecurity::Drop,
            Some("silence") => DtmfSecurity::Silence,
            Some("tone") => DtmfSecurity::Tone,
            Some("random") => DtmfSecurity::Random,
            Some("zero") => DtmfSecurity::Zero,
            Some("dtmf") => DtmfSecurity::Dtmf,
            _ => {
                report.unknown(key, value);
                return true;
            }
        };
        self.security = Some(security);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, unknown};

    #[test]
    fn every_mode_reads_back_as_it_is_written() {
        for (name, mode) in [
            ("off", DtmfSecurity::Off),
            ("drop", DtmfSecurity::Drop),
            ("silence", DtmfSecurity::Silence),
            ("tone", DtmfSecurity::Tone),
            ("random", DtmfSecurity::Random),
            ("zero", DtmfSecurity::Zero),
            ("DTMF", DtmfSecurity::Dtmf),
        ] {
            let keys = format!(r#""DTMF-security":"{name}""#);
            assert_eq!(offer(&keys).flags.dtmf.security, Some(mode));
            assert_eq!(mode.name(), name);
        }
        assert_eq!(unknown(r#""DTMF security":"loud""#), ["dtmf-security=loud"]);
    }
}
