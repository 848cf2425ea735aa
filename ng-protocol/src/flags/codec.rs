//! Codec options: what is removed, added, hidden, forced, and how codecs are named.

use crate::spelling::{Report, Spelled, canonical, names, pairs};
use crate::value::Value;

/// The codec options of a request: the `codec` dictionary and the words around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecFlags {
    /// Remove from the SDP towards the receiver.
    pub strip: Vec<CodecSpec>,
    /// Survivors of `strip=all` and `mask=all`.
    pub except: Vec<CodecSpec>,
    /// Like [`Self::except`], and sets the order of the survivors of `strip=all`.
    pub offer: Vec<CodecSpec>,
    /// Add to the offer; transcode if the receiver chooses it.
    pub transcode: Vec<CodecSpec>,
    /// Remove towards the receiver but keep usable towards the sender.
    pub mask: Vec<CodecSpec>,
    /// Like [`Self::mask`], and switches transcoding on by itself.
    pub consume: Vec<CodecSpec>,
    /// Answer the sender with it even if the receiver refuses it.
    pub accept: Vec<CodecSpec>,
    /// Treat as not offered by the sender.
    pub ignore: Vec<CodecSpec>,
    /// Encoder parameters for codecs that are accepted.
    pub set: Vec<CodecSpec>,
    /// `accept=all`.
    pub always_transcode: bool,
    /// Answer: keep the first codec and telephone-event only.
    pub single_codec: bool,
    /// Offer: keep the receiver's list of the earlier offer.
    pub static_codecs: bool,
    /// Keep the earlier order of preference.
    pub reuse_codecs: bool,
    /// `subscribe answer`: a codec that was not offered is no error.
    pub allow_transcoding: bool,
    /// Transcode even where codecs are common.
    pub force_transcoding: bool,
    /// Let payload numbers differ between offer and answer, as they always may here.
    pub allow_asymmetric_codecs: bool,
    /// An empty codec list becomes a rejected section.
    pub allow_no_codec_media: bool,
    /// `a=ptime` towards the receiver, in milliseconds (also from `repacketize`, which only proxies know).
    pub ptime_ms: Option<u32>,
    /// `a=ptime` towards the sender, in milliseconds.
    pub ptime_reverse_ms: Option<u32>,
}

/// A codec as options name it: `name/clock/channels/bitrate/ptime/fmtp/options`, all but the name optional.
///
/// `all` and `full` are names with a meaning of their own in some lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CodecSpec {
    /// The encoding name of `a=rtpmap`, as written; compare without regard to case.
    pub name: String,
    /// RTP clock rate in hertz.
    pub clock_rate: Option<u32>,
    /// Number of audio channels.
    pub channels: Option<u8>,
    /// Encoder bit rate in bits per second.
    pub bitrate: Option<u32>,
    /// Packet time in milliseconds.
    pub ptime_ms: Option<u32>,
    /// Format parameters, as `a=fmtp` would have them.
    pub fmtp: Option<String>,
    /// Options for the codec implementation.
    pub options: Option<String>,
}

impl CodecSpec {
    /// Whether this stands for every codec (`all`, or `full`, which is its stronger form).
    pub fn is_all(&self) -> bool {
        self.name.eq_ignore_ascii_case("all") || self.is_full()
    }

    /// Whether this is `full`: like `all`, but `transcode` of an offered codec makes a new instance.
    pub fn is_full(&self) -> bool {
        self.name.eq_ignore_ascii_case("full")
    }

    /// Whether a codec of an SDP is meant: the name must agree, and every part that was written.
    pub fn matches(&self, name: &str, clock_rate: u32, channels: u8) -> bool {
        self.name.eq_ignore_ascii_case(name)
            && self.clock_rate.is_none_or(|rate| rate == clock_rate)
            && self.channels.is_none_or(|count| count == channels.max(1))
    }
}

impl CodecFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        match key {
            "codec" => {
                for (operation, list) in pairs(key, value, report) {
                    match self.list(&operation) {
                        Some(codecs) => extend(codecs, &operation, &list, report),
                        None => report.unknown("codec", operation),
                    }
                }
            }
            "transcode" => extend(&mut self.transcode, key, value, report),
            "ptime" => match milliseconds(value) {
                Some(ptime) => self.ptime_ms = Some(ptime),
                None => report.unknown(key, value),
            },
            // Known to the proxies only; an explicit ptime wins.
            "repacketize" => match milliseconds(value) {
                Some(ptime) => self.ptime_ms = self.ptime_ms.or(Some(ptime)),
                None => report.unknown(key, value),
            },
            "ptime-reverse" => match milliseconds(value) {
                Some(ptime) => self.ptime_reverse_ms = Some(ptime),
                None => report.unknown(key, value),
            },
            _ => {
                let codecs = key
                    .strip_prefix("codec-")
                    .and_then(|operation| self.list(operation));
                match codecs {
                    Some(codecs) => extend(codecs, key, value, report),
                    None => return false,
                }
            }
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>) -> bool {
        match word.canonical.as_ref() {
            "always-transcode" => self.always_transcode = true,
            "single-codec" => self.single_codec = true,
            "static-codecs" => self.static_codecs = true,
            "reuse-codecs" | "no-codec-renegotiation" => self.reuse_codecs = true,
            "allow-transcoding" => self.allow_transcoding = true,
            "force-transcoding" => self.force_transcoding = true,
            "allow-asymmetric-codecs" => self.allow_asymmetric_codecs = true,
            "allow-no-codec-media" => self.allow_no_codec_media = true,
            // Of old versions; they ask for what happens anyway.
            "asymmetric-codecs" | "symmetric-codecs" | "reorder-codecs" => {}
            _ => return self.apply_prefixed_word(word),
        }
        true
    }

    /// `codec-mask-opus`, `transcode-PCMU`.
    fn apply_prefixed_word(&mut self, word: &Spelled<'_>) -> bool {
        if let Some(name) = word.after("transcode-") {
            self.transcode.extend(CodecSpec::parse(name));
        } else if let Some((operation, name)) = word
            .after("codec-")
            .and_then(|rest| rest.split_once(['-', '_', ' ']))
        {
            match self.list(&canonical(operation)) {
                Some(codecs) => codecs.extend(CodecSpec::parse(name)),
                None => return false,
            }
        } else {
            return false;
        }
        true
    }

    fn list(&mut self, operation: &str) -> Option<&mut Vec<CodecSpec>> {
        Some(match operation {
            "strip" => &mut self.strip,
            "except" => &mut self.except,
            "offer" => &mut self.offer,
            "transcode" => &mut self.transcode,
            "mask" => &mut self.mask,
            "consume" => &mut self.consume,
            "accept" => &mut self.accept,
            "ignore" => &mut self.ignore,
            "set" => &mut self.set,
            _ => return None,
        })
    }
}

fn extend(codecs: &mut Vec<CodecSpec>, key: &str, value: &Value<'_>, report: &mut Report) {
    for name in names(key, value, report) {
        codecs.extend(CodecSpec::parse(&name));
    }
}

/// A packet time; zero, like anything that is no time, is none.
fn milliseconds(value: &Value<'_>) -> Option<u32> {
    value
        .as_integer()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number > 0)
}

impl CodecSpec {
    /// Reads `name/clock/channels/bitrate/ptime/fmtp/options`; nothing if there is no name.
    ///
    /// A part that is no number where one is expected counts as not written.
    /// `--` stands for `=` and `..` for a space, which flags strings could not carry otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().replace("--", "=").replace("..", " ");
        let mut parts = text.splitn(7, '/').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let clock_rate = parts.next().and_then(|part| part.parse().ok());
        let channels = parts.next().and_then(|part| part.parse().ok());
        let bitrate = parts.next().and_then(|part| part.parse().ok());
        let ptime_ms = parts.next().and_then(|part| part.parse().ok());
        let mut rest = parts.map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
        Some(Self {
            name,
            clock_rate: clock_rate.filter(|rate| *rate > 0),
            channels: channels.filter(|count| *count > 0),
            bitrate: bitrate.filter(|rate| *rate > 0),
            ptime_ms: ptime_ms.filter(|ptime| *ptime > 0),
            fmtp: rest.next().flatten(),
            options: rest.next().flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, offer_of_string, unknown};

    #[test]
    fn operations_are_a_dictionary_keys_or_words() {
        let expected = offer(
            r#""codec":{"strip":["PCMA","G722"],"transcode":["opus/48000/2"],"mask":["all"]}"#,
        );
        for keys in [
            r#""codec":{"strip":"PCMA,G722","transcode":"opus/48000/2","mask":"all"}"#,
            r#""codec-strip":"PCMA,G722","transcode":["opus/48000/2"],"codec_mask":["all"]"#,
            r#""flags":["codec-strip-PCMA","codec-strip-G722","transcode-opus/48000/2","codec-mask-all"]"#,
            r#""flags":["codec strip PCMA","CODEC-STRIP-G722","codec-transcode-opus/48000/2","codec-mask=all"]"#,
            r#""codec":"[strip=[PCMA G722] transcode=[opus/48000/2] mask=[all]]""#,
        ] {
            assert_eq!(offer(keys), expected, "{keys}");
        }
        for flags in [
            "codec=[strip=[PCMA G722] transcode=[opus/48000/2] mask=[all]]",
            "codec-strip=PCMA,G722 transcode=opus/48000/2 codec-mask=all",
            "codec-strip=[PCMA G722] codec-transcode-opus/48000/2 codec-mask-all",
        ] {
            assert_eq!(offer_of_string(flags), expected, "{flags}");
        }
    }

    #[test]
    fn a_codec_is_named_with_as_many_parts_as_needed() {
        let spec = |text: &str| CodecSpec::parse(text).unwrap();
        assert_eq!(spec("PCMU").name, "PCMU");
        assert_eq!(
            spec("opus/48000/2/24000/20/useinbandfec--1;..cbr--0/complexity--5"),
            CodecSpec {
                name: "opus".to_owned(),
                clock_rate: Some(48_000),
                channels: Some(2),
                bitrate: Some(24_000),
                ptime_ms: Some(20),
                fmtp: Some("useinbandfec=1; cbr=0".to_owned()),
                options: Some("complexity=5".to_owned()),
            }
        );
        assert_eq!(spec("opus///24000").bitrate, Some(24_000));
        assert_eq!(spec("opus/fast/2").clock_rate, None);
        assert_eq!(CodecSpec::parse(" "), None);
        assert_eq!(CodecSpec::parse("/8000"), None);
    }

    #[test]
    fn only_the_parts_that_were_written_must_agree() {
        let spec = |text: &str| CodecSpec::parse(text).unwrap();
        assert!(spec("pcmu").matches("PCMU", 8000, 1));
        assert!(spec("telephone-event").matches("telephone-event", 48_000, 1));
        assert!(!spec("telephone-event/8000").matches("telephone-event", 48_000, 1));
        assert!(spec("PCMU/8000/1").matches("PCMU", 8000, 0));
        assert!(!spec("opus/48000/1").matches("opus", 48_000, 2));
        assert!(spec("ALL").is_all() && spec("full").is_all() && spec("full").is_full());
    }

    #[test]
    fn an_explicit_packet_time_wins_over_repacketize() {
        let ptime = |keys| offer(keys).flags.codec.ptime_ms;
        assert_eq!(ptime(r#""ptime":"20""#), Some(20));
        assert_eq!(ptime(r#""repacketize":30"#), Some(30));
        assert_eq!(ptime(r#""repacketize":30,"ptime":20"#), Some(20));
        assert_eq!(ptime(r#""ptime":20,"repacketize":30"#), Some(20));
        assert_eq!(ptime(r#""ptime":0"#), None);
        assert_eq!(
            offer(r#""ptime-reverse":"40""#)
                .flags
                .codec
                .ptime_reverse_ms,
            Some(40)
        );
    }

    #[test]
    fn an_unknown_operation_is_reported() {
        assert_eq!(
            unknown(r#""codec":{"frobnicate":["PCMU"]}"#),
            ["codec=frobnicate"]
        );
        assert_eq!(
            unknown(r#""codec":"[transcode=[PCMU""#),
            ["codec=[transcode=[PCMU"]
        );
        assert_eq!(
            unknown(r#""flags":["codec-frobnicate-PCMU"]"#),
            ["flags=codec-frobnicate-PCMU"]
        );
        assert_eq!(unknown(r#""codec":[]"#), [""; 0]);
    }
}
