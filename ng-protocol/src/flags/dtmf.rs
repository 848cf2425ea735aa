//! How DTMF is kept from the other side, from the start or from the moment in which certain keys are pressed.

use crate::spelling::{Report, keyword, names, text};
use crate::value::Value;

/// So many keys, and so many frequencies, are taken at most; nobody writes more.
const MOST: usize = 32;

/// The DTMF options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DtmfFlags {
    /// What stands in for blocked events.
    pub security: Option<DtmfSecurity>,
    /// Tones for [`DtmfSecurity::Tone`], in Hz; of several one is drawn for each event.
    pub frequencies: Vec<u16>,
    /// The keys that switch to [`Self::security_trigger`], as event codes.
    pub trigger: Vec<u8>,
    /// The keys that end what the trigger began.
    pub trigger_end: Vec<u8>,
    /// How long it lasts at most, in milliseconds.
    pub trigger_end_time_ms: Option<i64>,
    /// How many keys it lasts at most.
    pub trigger_end_digits: Option<i64>,
    /// What stands in for events once the trigger was pressed.
    pub security_trigger: Option<DtmfSecurity>,
    /// What stands in for events once that is over.
    pub security_trigger_end: Option<DtmfSecurity>,
    /// How much later events are heard, in milliseconds.
    pub delay_ms: Option<i64>,
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
    fn read(key: &str, value: &Value<'_>, report: &mut Report) -> Option<Self> {
        let mode = match keyword(value).as_deref() {
            Some("off" | "no" | "none" | "disabled") => Self::Off,
            Some("drop") => Self::Drop,
            Some("silence") => Self::Silence,
            Some("tone") => Self::Tone,
            Some("random") => Self::Random,
            Some("zero") => Self::Zero,
            Some("dtmf") => Self::Dtmf,
            _ => {
                report.unknown(key, value);
                return None;
            }
        };
        Some(mode)
    }
}

impl DtmfFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        let integer = |slot: &mut Option<i64>, report: &mut Report| match value.as_integer() {
            Some(number) => *slot = Some(number),
            None => report.unknown(key, value),
        };
        let mode = |slot: &mut Option<DtmfSecurity>, report: &mut Report| {
            if let Some(mode) = DtmfSecurity::read(key, value, report) {
                *slot = Some(mode);
            }
        };
        match key {
            "dtmf-security" => mode(&mut self.security, report),
            "dtmf-security-trigger" => mode(&mut self.security_trigger, report),
            "dtmf-security-trigger-end" => mode(&mut self.security_trigger_end, report),
            "trigger" => self.trigger = keys(key, value, report),
            "trigger-end" => self.trigger_end = keys(key, value, report),
            "trigger-end-time" => integer(&mut self.trigger_end_time_ms, report),
            "trigger-end-digits" => integer(&mut self.trigger_end_digits, report),
            "dtmf-delay" => integer(&mut self.delay_ms, report),
            "frequency" | "frequencies" => {
                let listed = match value {
                    Value::Integer(hz) => vec![hz.to_string().into()],
                    _ => names(key, value, report),
                };
                for name in listed.into_iter().take(MOST) {
                    match name.trim().parse() {
                        Ok(hz) if hz > 0 => self.frequencies.push(hz),
                        _ => report.unknown(key, name),
                    }
                }
            }
            _ => return false,
        }
        true
    }
}

/// Keys of the telephone one after another; without the others, if one of them is none.
fn keys(key: &str, value: &Value<'_>, report: &mut Report) -> Vec<u8> {
    let text = text(value).unwrap_or_default();
    let codes: Option<Vec<u8>> = text
        .trim()
        .chars()
        .map(|character| event_code(character.encode_utf8(&mut [0; 4])))
        .collect();
    match codes {
        Some(codes) if (1..=MOST).contains(&codes.len()) => codes,
        _ => {
            report.unknown(key, value);
            Vec::new()
        }
    }
}

/// The event code of a key of the telephone (RFC 4733 section 3.2), written as the key or as the code.
pub(crate) fn event_code(text: &str) -> Option<u8> {
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
    use super::*;
    use crate::testing::{offer, offer_of_string, unknown};

    #[test]
    fn every_mode_is_read() {
        for (name, mode) in [
            ("off", DtmfSecurity::Off),
            ("drop", DtmfSecurity::Drop),
            ("silence", DtmfSecurity::Silence),
            ("tone", DtmfSecurity::Tone),
            ("random", DtmfSecurity::Random),
            ("zero", DtmfSecurity::Zero),
            ("DTMF", DtmfSecurity::Dtmf),
        ] {
            let keys = format!(
                r#""DTMF-security":"{name}","DTMF security trigger":"{name}","DTMF-security-trigger-end":"{name}""#
            );
            let read = offer(&keys).flags.dtmf;
            let modes = [
                read.security,
                read.security_trigger,
                read.security_trigger_end,
            ];
            assert_eq!(modes, [Some(mode); 3]);
        }
        assert_eq!(unknown(r#""DTMF security":"loud""#), ["dtmf-security=loud"]);
    }

    #[test]
    fn keys_of_a_trigger_are_event_codes() {
        let read =
            offer_of_string("trigger=*9A trigger-end=# trigger-end-time=500 trigger-end-digits=4");
        assert_eq!(read.flags.dtmf.trigger, [10, 9, 12]);
        assert_eq!(read.flags.dtmf.trigger_end, [11]);
        assert_eq!(read.flags.dtmf.trigger_end_time_ms, Some(500));
        assert_eq!(read.flags.dtmf.trigger_end_digits, Some(4));
        assert_eq!(offer(r#""trigger":55"#).flags.dtmf.trigger, [5, 5]);
        assert!(offer(r#""trigger":"5x""#).flags.dtmf.trigger.is_empty());
        assert_eq!(unknown(r#""trigger":"5x""#), ["trigger=5x"]);
    }

    #[test]
    fn frequencies_are_one_or_several() {
        let of = |keys: &str| offer(keys).flags.dtmf.frequencies;
        assert_eq!(of(r#""frequency":400"#), [400]);
        assert_eq!(of(r#""frequencies":["400","500"]"#), [400, 500]);
        assert_eq!(of(r#""frequencies":"400,500""#), [400, 500]);
        assert_eq!(unknown(r#""frequency":"high""#), ["frequency=high"]);
    }
}
