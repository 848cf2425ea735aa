//! One RTP payload format of a media section: number, name, clock rate, parameters (RFC 8866 §6.6, §6.15).

use std::sync::Arc;

use relay_media::{AudioFormat, Codec};

use super::description::MediaDescription;

/// A payload type number and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PayloadFormat {
    /// The number in the RTP header.
    pub payload_type: u8,
    /// The encoding name, as it was written; empty when a dynamic number came without `a=rtpmap`.
    #[serde(with = "crate::snapshot::shared")]
    pub name: Arc<str>,
    /// The RTP clock rate in Hz; 0 when unknown.
    pub clock_rate: u32,
    /// Channels, 1 unless written.
    pub channels: u8,
    /// The value of `a=fmtp` behind the number.
    #[serde(with = "crate::snapshot::shared::optional")]
    pub fmtp: Option<Arc<str>>,
    /// The values of `a=rtcp-fb` behind the number (RFC 4585 §4.2).
    pub feedback: Vec<String>,
}

/// The static payload types (RFC 3551 §6) that are still met: number, name, clock rate, channels.
const STATIC: [(u8, &str, u32, u8); 14] = [
    (0, "PCMU", 8000, 1),
    (3, "GSM", 8000, 1),
    (4, "G723", 8000, 1),
    (7, "LPC", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (10, "L16", 44100, 2),
    (11, "L16", 44100, 1),
    (12, "QCELP", 8000, 1),
    (13, "CN", 8000, 1),
    (15, "G728", 8000, 1),
    (18, "G729", 8000, 1),
    (31, "H261", 90000, 1),
    (34, "H263", 90000, 1),
];

impl PayloadFormat {
    /// The formats of a media section in the order of its `m=` line. Formats that are no payload type number are left out.
    pub fn of_section(media: &MediaDescription) -> Vec<Self> {
        let mut formats: Vec<Self> = Vec::new();
        for word in &media.formats {
            let Ok(payload_type) = word.parse::<u8>() else {
                continue;
            };
            if payload_type > 127 || formats.iter().any(|f| f.payload_type == payload_type) {
                continue;
            }
            formats.push(Self::of_number(media, payload_type));
        }
        formats
    }

    fn of_number(media: &MediaDescription, payload_type: u8) -> Self {
        let mut format = media
            .attributes("rtpmap")
            .filter_map(|value| for_number(value, payload_type))
            .find_map(|mapping| Self::from_mapping(payload_type, mapping))
            .or_else(|| Self::from_static(payload_type))
            .unwrap_or_else(|| Self::new(payload_type, "", 0, 1));
        format.fmtp = media
            .attributes("fmtp")
            .find_map(|value| for_number(value, payload_type))
            .map(Arc::from);
        format.feedback = media
            .attributes("rtcp-fb")
            .filter_map(|value| for_number(value, payload_type))
            .map(str::to_owned)
            .collect();
        format
    }

    /// A format without parameters.
    pub fn new(payload_type: u8, name: &str, clock_rate: u32, channels: u8) -> Self {
        Self {
            payload_type,
            name: name.into(),
            clock_rate,
            channels,
            fmtp: None,
            feedback: Vec::new(),
        }
    }

    /// Reads `opus/48000/2`.
    pub fn from_mapping(payload_type: u8, mapping: &str) -> Option<Self> {
        let mut parts = mapping.trim().split('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let clock_rate = parts.next()?.trim().parse().ok()?;
        let channels = match parts.next() {
            Some(channels) => channels.trim().parse().ok()?,
            None => 1,
        };
        Some(Self::new(payload_type, name, clock_rate, channels))
    }

    /// The static format of this number.
    pub fn from_static(payload_type: u8) -> Option<Self> {
        STATIC
            .iter()
            .find(|entry| entry.0 == payload_type)
            .map(|&(number, name, rate, channels)| Self::new(number, name, rate, channels))
    }

    /// The static format of this name, for operators who write `PCMU` and nothing else.
    pub fn static_of_name(name: &str) -> Option<Self> {
        STATIC
            .iter()
            .find(|entry| entry.1.eq_ignore_ascii_case(name))
            .map(|&(number, name, rate, channels)| Self::new(number, name, rate, channels))
    }

    /// The value of `a=rtpmap` behind the number; `None` when nothing is known about the number.
    pub fn mapping(&self) -> Option<String> {
        if self.name.is_empty() {
            return None;
        }
        let rate = self.clock_rate.to_string();
        Some(match self.channels {
            0 | 1 => [&*self.name, "/", &rate].concat(),
            channels => [&*self.name, "/", &rate, "/", &channels.to_string()].concat(),
        })
    }

    /// Whether both mean the same encoding: name (any case), clock rate and channels.
    /// Formats of which nothing is known are equal when their numbers are.
    pub fn same_encoding(&self, other: &Self) -> bool {
        if self.name.is_empty() || other.name.is_empty() {
            return self.name == other.name && self.payload_type == other.payload_type;
        }
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock_rate == other.clock_rate
            && self.channels == other.channels
    }

    /// Whether this is RFC 4733 telephone-event, of whatever clock rate.
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    /// Whether this describes pauses (RFC 3389).
    pub fn is_comfort_noise(&self) -> bool {
        self.name.eq_ignore_ascii_case("CN")
    }

    /// Whether this carries what the user says, as opposed to events and comfort noise.
    pub fn is_speech(&self) -> bool {
        !self.is_telephone_event() && !self.is_comfort_noise()
    }
}

impl PayloadFormat {
    /// Whether speech in this format can be made into speech of another.
    pub fn is_transcodable(&self) -> bool {
        let format = AudioFormat {
            codec: Codec::from_encoding_name(&self.name),
            clock_hz: self.clock_rate,
            channels: self.channels,
        };
        format.is_transcodable()
    }
}

/// What stands behind `NUMBER ` when the number is ours.
fn for_number(value: &str, payload_type: u8) -> Option<&str> {
    let (number, rest) = value.trim_start().split_once(' ')?;
    (number.parse::<u8>().ok()? == payload_type).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::SessionDescription;

    fn formats(text: &str) -> Vec<PayloadFormat> {
        let text = format!("v=0\n{text}");
        let description = SessionDescription::parse(text.as_bytes()).unwrap();
        PayloadFormat::of_section(&description.media[0])
    }

    #[test]
    fn reads_maps_parameters_and_feedback_in_the_order_of_the_media_line() {
        let formats = formats(
            "m=audio 1 RTP/AVP 111 126 0\na=rtpmap:126 telephone-event/8000\na=rtpmap:111 opus/48000/2\n\
             a=fmtp:111 useinbandfec=1\na=rtcp-fb:111 transport-cc\n",
        );
        assert_eq!(formats[0].mapping().unwrap(), "opus/48000/2");
        assert_eq!(formats[0].fmtp.as_deref(), Some("useinbandfec=1"));
        assert_eq!(formats[0].feedback, ["transport-cc"]);
        assert!(formats[1].is_telephone_event());
        assert_eq!(formats[2].mapping().unwrap(), "PCMU/8000");
    }

    #[test]
    fn a_dynamic_number_without_map_stays_a_number() {
        let formats = formats("m=audio 1 RTP/AVP 101\n");
        assert_eq!(formats[0].mapping(), None);
        assert!(formats[0].same_encoding(&formats[0]));
    }

    #[test]
    fn repeated_and_impossible_numbers_are_left_out() {
        assert_eq!(formats("m=audio 1 RTP/AVP 0 0 200 x\n").len(), 1);
    }
}
