//! What a party says about one of its media streams: the typed reading of one `m=` section together with the session-level
//! lines that apply to it.
//!
//! Keys, candidates and fingerprints stay text here; `negotiate` reads them with the types of the transport.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ng_protocol::request::HoldMode;

use super::attribute::{Direction, RtcpAttribute, Setup};
use super::bundle::share_transport;
use super::codec::PayloadFormat;
use super::description::{Line, SessionDescription};
use super::protocol::Protocol;

/// One media stream as its owner describes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RemoteMedia {
    /// `audio`, `video`, ...
    pub kind: String,
    /// The transport.
    pub protocol: Protocol,
    /// The port; 0 when the stream is rejected or over.
    pub port: u16,
    /// The connection address, of the section or the session.
    pub address: Option<IpAddr>,
    /// `a=rtcp`.
    pub rtcp: Option<RtcpAttribute>,
    /// `a=rtcp-mux`, or an `a=rtcp` that names the RTP port (RFC 5761 §5.1.1).
    pub rtcp_mux: bool,
    /// The formats as text, for transports that are not RTP.
    pub formats: Vec<String>,
    /// The formats of RTP.
    pub codecs: Vec<PayloadFormat>,
    /// The direction: of the section, else of the session, else sendrecv.
    pub direction: Direction,
    /// The direction attribute of the section itself.
    pub written_direction: Option<Direction>,
    /// `a=mid` (RFC 5888).
    pub mid: Option<String>,
    /// `a=label` (RFC 4574).
    pub label: Option<String>,
    /// `i=`.
    pub title: Option<String>,
    /// `b=` lines of the kinds a relay passes on.
    pub bandwidths: Vec<String>,
    /// `a=ptime` in ms.
    pub ptime: Option<String>,
    /// `a=maxptime` in ms.
    pub maxptime: Option<String>,
    /// `a=rtcp-fb` values that hold for every format (`* ccm fir`, RFC 4585 §4.2).
    pub feedback: Vec<String>,
    /// `a=extmap` values (RFC 8285).
    pub extmaps: Vec<String>,
    /// `a=extmap-allow-mixed`.
    pub extmap_allow_mixed: bool,
    /// ICE, when both credentials are there (RFC 8839).
    pub ice: Option<RemoteIceDescription>,
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// `a=fingerprint` values.
    pub fingerprints: Vec<String>,
    /// `a=tls-id` (RFC 8842).
    pub tls_id: Option<String>,
    /// `a=crypto` values (RFC 4568).
    pub crypto: Vec<String>,
    /// Whether `a=group:BUNDLE` names this section (RFC 9143).
    pub bundled: bool,
    /// `a=bundle-only`.
    pub bundle_only: bool,
    /// The extended reports that it asks for (`a=rtcp-xr`), of the session or its own.
    pub extended_reports: ExtendedReports,
    /// Its partner hears music while it holds it, and is told this.
    pub hold_mode: Option<HoldMode>,
    /// Attributes that a relay neither understands nor replaces, in order.
    pub other: Vec<String>,
}

/// What extended reports a party asks for (RFC 3611 §5.1), of those that are made here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExtendedReports {
    /// `rcvr-rtt`: the means to measure the round trip although one side sends nothing.
    pub round_trip: bool,
    /// `voip-metrics`.
    pub voip_metrics: bool,
}

impl ExtendedReports {
    /// Reads the value of `a=rtcp-xr`.
    fn parse(value: &str) -> Self {
        let asks = |name: &str| {
            let mut words = value.split_ascii_whitespace();
            words.any(|word| word.split('=').next() == Some(name))
        };
        Self {
            round_trip: asks("rcvr-rtt"),
            voip_metrics: asks("voip-metrics"),
        }
    }

    /// Whether any are asked for.
    pub fn any(self) -> bool {
        self.round_trip || self.voip_metrics
    }
}

/// The ICE part of a media section (RFC 8839 §4, §5).
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RemoteIceDescription {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`. Meta's ends in `==`, outside the characters the RFC allows.
    pub pwd: String,
    /// `a=candidate` values.
    pub candidates: Vec<String>,
    /// `a=ice-lite`.
    pub lite: bool,
    /// `a=ice-options`.
    pub options: Vec<String>,
}

impl fmt::Debug for RemoteIceDescription {
    /// Never shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteIceDescription")
            .field("ufrag", &self.ufrag)
            .field("candidates", &self.candidates)
            .field("lite", &self.lite)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Attributes that are read here and written anew, never copied.
const CONSUMED: [&str; 28] = [
    "mid",
    "rtcp",
    "rtcp-mux",
    "rtcp-mux-only",
    "fmtp",
    "rtpmap",
    "rtcp-fb",
    "setup",
    "connection",
    "fingerprint",
    "tls-id",
    "ptime",
    "maxptime",
    "crypto",
    "extmap",
    "extmap-allow-mixed",
    "candidate",
    "remote-candidates",
    "end-of-candidates",
    "ice-mismatch",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "label",
    "bundle-only",
    "rtpengine",
    "group",
];

/// Whether an attribute of this name is replaced by the relay's own.
pub fn is_consumed(name: &str) -> bool {
    CONSUMED.iter().any(|c| c.eq_ignore_ascii_case(name))
        || name
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("ice-"))
}

/// `b=` kinds that are passed on.
const BANDWIDTHS: [&str; 5] = ["AS", "RR", "RS", "CT", "TIAS"];

/// Whether a `b=` value is passed on.
pub fn is_known_bandwidth(value: &str) -> bool {
    value
        .split_once(':')
        .is_some_and(|(kind, _)| BANDWIDTHS.iter().any(|b| b.eq_ignore_ascii_case(kind)))
}

impl RemoteMedia {
    /// Reads the section with this index; `None` when there is none.
    pub fn read(description: &SessionDescription, index: usize) -> Option<Self> {
        let media = description.media.get(index)?;
        let either = |name: &str| {
            media
                .attribute(name)
                .or_else(|| description.attribute(name))
        };
        let protocol = Protocol::parse(&media.protocol);
        let address = media
            .connection()
            .or_else(|| description.connection())
            .map(|c| c.address);
        let rtcp = media.attribute("rtcp").and_then(RtcpAttribute::parse);
        let rtcp_mux = media.attribute("rtcp-mux").is_some()
            || media.attribute("rtcp-mux-only").is_some()
            || rtcp.is_some_and(|r| {
                media.port != 0
                    && r.port == media.port
                    && r.address.is_none_or(|a| Some(a) == address)
            });
        let ice = match (either("ice-ufrag"), either("ice-pwd")) {
            (Some(ufrag), Some(pwd)) if !ufrag.is_empty() && !pwd.is_empty() => {
                Some(RemoteIceDescription {
                    ufrag: ufrag.to_owned(),
                    pwd: pwd.to_owned(),
                    candidates: media.attributes("candidate").map(str::to_owned).collect(),
                    lite: either("ice-lite").is_some(),
                    options: either("ice-options")
                        .unwrap_or_default()
                        .split_ascii_whitespace()
                        .map(str::to_owned)
                        .collect(),
                })
            }
            _ => None,
        };
        let mut fingerprints: Vec<String> =
            media.attributes("fingerprint").map(str::to_owned).collect();
        if fingerprints.is_empty() {
            fingerprints = description
                .attributes("fingerprint")
                .map(str::to_owned)
                .collect();
        }
        let mid = media.attribute("mid").map(str::to_owned);
        let bundled = mid.as_deref().is_some_and(|mid| {
            description.attributes("group").any(|group| {
                let mut words = group.split_ascii_whitespace();
                words
                    .next()
                    .is_some_and(|w| w.eq_ignore_ascii_case("BUNDLE"))
                    && words.any(|word| word == mid)
            })
        });
        let written_direction = media.direction();
        let extended_reports = either("rtcp-xr").map(ExtendedReports::parse);
        Some(Self {
            kind: media.kind.clone(),
            extended_reports: extended_reports.unwrap_or_default(),
            hold_mode: None,
            codecs: match protocol {
                Protocol::Rtp(_) => PayloadFormat::of_section(media),
                Protocol::Other(_) => Vec::new(),
            },
            protocol,
            port: media.port,
            address,
            rtcp,
            rtcp_mux,
            formats: media.formats.clone(),
            direction: written_direction
                .or_else(|| description.direction())
                .unwrap_or_default(),
            written_direction,
            mid,
            label: media.attribute("label").map(str::to_owned),
            title: media.line('i').map(str::to_owned),
            bandwidths: media
                .lines
                .iter()
                .filter(|l| l.letter == 'b' && is_known_bandwidth(&l.value))
                .map(|l| l.value.clone())
                .collect(),
            ptime: media.attribute("ptime").map(str::to_owned),
            maxptime: media.attribute("maxptime").map(str::to_owned),
            feedback: media
                .attributes("rtcp-fb")
                .filter(|value| value.starts_with("* "))
                .map(str::to_owned)
                .collect(),
            extmaps: media.attributes("extmap").map(str::to_owned).collect(),
            extmap_allow_mixed: either("extmap-allow-mixed").is_some(),
            ice,
            setup: either("setup").and_then(Setup::parse),
            fingerprints,
            tls_id: either("tls-id").map(str::to_owned),
            crypto: media.attributes("crypto").map(str::to_owned).collect(),
            bundled,
            bundle_only: media.attribute("bundle-only").is_some(),
            other: match Protocol::parse(&media.protocol) {
                Protocol::Rtp(_) => other_attributes(&media.lines),
                Protocol::Other(_) => attributes_end_to_end(&media.lines),
            },
        })
    }

    /// All sections of a description; those of a bundle say each what the tagged one says for all.
    pub fn read_all(description: &SessionDescription) -> Vec<Arc<Self>> {
        let mut sections: Vec<Self> = (0..description.media.len())
            .filter_map(|index| Self::read(description, index))
            .collect();
        share_transport(description, &mut sections);
        sections.into_iter().map(Arc::new).collect()
    }

    /// Whether the stream is rejected or over (RFC 3264 §6, §8.2). A bundled-only section has port 0 and lives (RFC 9143 §6).
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// Whether the old way of putting a stream on hold was used (RFC 3264 §8.4). The placeholder of trickle ICE, port 9 of
    /// 0.0.0.0, is none (RFC 8840 §4.1.1).
    pub fn is_held_by_address(&self) -> bool {
        self.port != 9 && self.ice.is_none() && self.address.is_some_and(|a| a.is_unspecified())
    }

    /// Whether the party takes nothing: its partner is on hold.
    pub fn holds(&self) -> bool {
        !self.direction.receives() || self.is_held_by_address()
    }

    /// The direction that its partner is told in place of a hold, if it is to hear music.
    pub fn direction_with_music(&self) -> Option<Direction> {
        match self.hold_mode.filter(|_| self.holds())? {
            HoldMode::SendOnly => Some(Direction::SendOnly),
            HoldMode::SendRecv => Some(Direction::SendRecv),
        }
    }

    /// Where RTP is to be sent, when that is a place at all.
    pub fn rtp_endpoint(&self) -> Option<SocketAddr> {
        endpoint(self.address?, self.port)
    }

    /// Where RTCP is to be sent without rtcp-mux: `a=rtcp`, else the next port (RFC 3550 §11, RFC 3605).
    /// Meta writes `a=rtcp:9 IN IP4 0.0.0.0`, which is no place.
    pub fn rtcp_endpoint(&self) -> Option<SocketAddr> {
        match self.rtcp {
            Some(rtcp) => endpoint(rtcp.address.or(self.address)?, rtcp.port),
            None => endpoint(self.address?, self.port.checked_add(1)?),
        }
    }
}

fn endpoint(address: IpAddr, port: u16) -> Option<SocketAddr> {
    (port != 0 && !address.is_unspecified()).then(|| SocketAddr::new(address, port))
}

/// The attributes among `lines` that are passed on as they are.
pub fn other_attributes(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line.attribute().is_some_and(|(name, _)| !is_consumed(name)))
        .map(|line| line.value.clone())
        .collect()
}

/// The attributes of a transport that is not ours to end: who connects, and with which certificate, is between the parties
/// (RFC 4145, RFC 8122).
fn attributes_end_to_end(lines: &[Line]) -> Vec<String> {
    const BETWEEN_PARTIES: [&str; 4] = ["setup", "connection", "fingerprint", "tls-id"];
    let passes = |name: &str| {
        !is_consumed(name) || BETWEEN_PARTIES.iter().any(|b| b.eq_ignore_ascii_case(name))
    };
    lines
        .iter()
        .filter(|line| line.attribute().is_some_and(|(name, _)| passes(name)))
        .map(|line| line.value.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of Meta's user-initiated offer with DTLS.
    const META: &str = "v=0\r\no=- 1790000000123 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
        a=msid-semantic: WMS 5f0c\r\na=ice-lite\r\nm=audio 3480 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 192.0.2.49\r\n\
        a=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1234567890 1 udp 2122260223 192.0.2.49 3480 typ host generation 0 network-cost 50\r\n\
        a=ice-ufrag:Qw3rTy6uIoP9aSdF\r\na=ice-pwd:AAECAwQFBgcICQoLDA0ODw==\r\na=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\n\
        a=mid:audio\r\na=sendrecv\r\na=msid:5f0c WhatsAppTrack1\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
        a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\na=ssrc:613000001 cname:WhatsAppAudioStream1\r\n";

    fn read(text: &str) -> RemoteMedia {
        RemoteMedia::read(&SessionDescription::parse(text.as_bytes()).unwrap(), 0).unwrap()
    }

    #[test]
    fn reads_the_offer_of_meta() {
        let media = read(META);
        assert!(media.rtcp_mux && media.bundled);
        let ice = media.ice.as_ref().unwrap();
        assert!(ice.lite);
        assert_eq!(ice.pwd, "AAECAwQFBgcICQoLDA0ODw==");
        assert_eq!(ice.candidates.len(), 1);
        assert_eq!(media.setup, Some(Setup::ActPass));
        assert_eq!(media.rtp_endpoint().unwrap().to_string(), "192.0.2.49:3480");
        assert_eq!(
            media.rtcp_endpoint(),
            None,
            "0.0.0.0:9 is no place to send to"
        );
        assert_eq!(
            media.other,
            [
                "msid:5f0c WhatsAppTrack1",
                "ssrc:613000001 cname:WhatsAppAudioStream1"
            ]
        );
    }

    #[test]
    fn rtcp_on_the_rtp_port_means_mux() {
        assert!(read("v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.1\na=rtcp:4000\n").rtcp_mux);
        assert!(!read("v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.1\na=rtcp:4001\n").rtcp_mux);
        let plain = read("v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.1\n");
        assert_eq!(plain.rtcp_endpoint().unwrap().port(), 4001);
    }

    #[test]
    fn the_session_direction_counts_when_the_section_has_none() {
        let media = read("v=0\na=inactive\nm=audio 4000 RTP/AVP 0\n");
        assert_eq!(media.direction, Direction::Inactive);
        assert_eq!(media.written_direction, None);
    }

    #[test]
    fn hold_by_address_is_no_trickle_placeholder() {
        assert!(read("v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n").is_held_by_address());
        assert!(!read("v=0\nm=audio 9 RTP/AVP 0\nc=IN IP4 0.0.0.0\n").is_held_by_address());
    }
}
