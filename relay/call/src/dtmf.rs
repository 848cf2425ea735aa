//! A pressed key as others are told of it: a line for the log, an object for the controller.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ng_protocol::{CallId, Dictionary, Encoding, Tag, Value};
use relay_media::TelephoneEvent;

/// How a pressed key reached us, each a metric label. Keys in SIP INFO never do: they are the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyWay {
    /// As a telephone-event (RFC 4733).
    Event,
    /// As its sound in speech.
    InBand,
    /// By the controller's `play DTMF`.
    Request,
}

impl KeyWay {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Event, Self::InBand, Self::Request];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Event => "rfc4733",
            Self::InBand => "in_band",
            Self::Request => "request",
        }
    }
}

/// A telephone-event that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtmfReport {
    /// The tag of the party that pressed the key.
    pub source_tag: Option<Tag>,
    /// The operator's name for it.
    pub source_label: Option<String>,
    /// Where its media comes from.
    pub source_ip: Option<IpAddr>,
    /// Every tag of the call.
    pub tags: Vec<Tag>,
    /// When it ended, since 1970.
    pub at: Duration,
    /// RFC 4733 §3.2: 0 to 15.
    pub event: u8,
    /// For how long.
    pub duration_ms: u32,
    /// Below 0 dBm0, in dB.
    pub volume: u8,
    /// How it reached us.
    pub way: KeyWay,
    /// Who asked to be told (`DTMF-log-dest`).
    pub destination: Option<SocketAddr>,
}

impl DtmfReport {
    /// The name that other events give the party that pressed the key.
    pub fn source_name(&self) -> String {
        let tag = || self.source_tag.as_ref().map(ToString::to_string);
        self.source_label.clone().or_else(tag).unwrap_or_default()
    }

    /// The notification as a datagram: one JSON object.
    pub fn to_json(&self, call_id: &CallId) -> Vec<u8> {
        let mut json = Vec::new();
        Encoding::Json.encode(&self.to_dictionary(call_id), &mut json);
        json
    }

    /// The notification as a message of the control protocol, which answers nothing and wants no answer.
    pub fn to_message(&self, call_id: &CallId) -> Vec<u8> {
        let told = Dictionary::new()
            .with("notify", "onDTMF")
            .with("data", self.to_dictionary(call_id));
        let mut message = Vec::new();
        Encoding::Bencode.encode(&told, &mut message);
        message
    }

    fn to_dictionary(&self, call_id: &CallId) -> Dictionary<'static> {
        let bytes = |tag: &Tag| tag.as_bytes().to_vec();
        let tags: Vec<Value<'static>> = self.tags.iter().map(|tag| bytes(tag).into()).collect();
        let source = self.source_tag.as_ref().map(bytes).unwrap_or_default();
        Dictionary::new()
            .with("callid", call_id.as_bytes().to_vec())
            .with("source_tag", source)
            .with_some("source_label", self.source_label.clone())
            .with("tags", tags)
            .with("type", "DTMF")
            .with("timestamp", self.at.as_secs())
            .with_some("source_ip", self.source_ip.map(|ip| ip.to_string()))
            .with("event", u32::from(self.event))
            .with("duration", self.duration_ms)
            .with("volume", u32::from(self.volume))
    }
}

impl fmt::Display for DtmfReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = TelephoneEvent {
            event: self.event,
            end: true,
            volume: self.volume,
            duration: 0,
        };
        let tag = self.source_tag.as_ref().map(ToString::to_string);
        write!(
            f,
            "{}: DTMF event {} ({}), {} ms, -{} dB",
            tag.unwrap_or_default(),
            self.event,
            event.digit().unwrap_or('?'),
            self.duration_ms,
            self.volume
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_has_the_members_that_controllers_read() {
        let report = DtmfReport {
            source_tag: Some("A".into()),
            source_label: Some("caller".into()),
            source_ip: Some(IpAddr::from([198, 51, 100, 7])),
            tags: vec!["A".into(), "B".into()],
            at: Duration::from_millis(1_795_290_000_900),
            event: 11,
            duration_ms: 160,
            volume: 10,
            way: KeyWay::Event,
            destination: None,
        };
        let json = report.to_json(&CallId::from("call"));
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"callid":"call","source_tag":"A","source_label":"caller","tags":["A","B"],"type":"DTMF","timestamp":1795290000,"source_ip":"198.51.100.7","event":11,"duration":160,"volume":10}"#
        );
        assert_eq!(report.to_string(), "A: DTMF event 11 (#), 160 ms, -10 dB");
        let message = report.to_message(&CallId::from("call"));
        let message = String::from_utf8_lossy(&message);
        assert!(
            message.starts_with("d6:notify6:onDTMF4:datad6:callid4:call10:source_tag"),
            "{message}"
        );
    }
}
