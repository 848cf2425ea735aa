//! The dictionary that `query` and `delete` reply with: times, parties, media, streams, sources, totals.
//!
//! Keys and nesting are those of rtpengine, spaces and all, because controllers pick values out by name.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ng_protocol::flags::RecordingCodes;
use ng_protocol::{Dictionary, Value};
use relay_transport::dtls::DtlsRole;
use relay_transport::{DtlsStatus, LocalSocket, MediaTransport};

use super::Counter;
use super::source::source;
use crate::config::{QualityReports, WallClock};
use crate::leg::{Leg, LegId, Legs, SectionId};
use crate::live::{Live, LiveSection, egress_ssrc};
use crate::sdp::{PayloadFormat, address_text};
use crate::section::{MediaSection, SectionState};

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported<'a> {
    pub(crate) legs: &'a Legs,
    pub(crate) live: &'a Live,
    pub(crate) clock: WallClock,
    pub(crate) quality: QualityReports,
    pub(crate) created: Instant,
    pub(crate) last_signal: Instant,
}

impl Reported<'_> {
    /// The whole report; `only` restricts the parties that are listed.
    pub(crate) fn dictionary(&self, only: Option<&[LegId]>) -> Dictionary<'static> {
        let created = self.clock.unix_at(self.created);
        let mut tags = Dictionary::new();
        for (index, leg) in self.legs.iter().enumerate() {
            if only.is_some_and(|only| !only.contains(&leg.id)) {
                continue;
            }
            let key = match &leg.tag {
                Some(tag) => tag.as_bytes().to_vec(),
                // Its place among all parties; the offerer has place 0.
                None => format!("<untagged {index}>").into_bytes(),
            };
            tags.push(key, self.party(leg));
        }
        let metadata = self.legs.iter().find_map(|leg| leg.metadata.clone());
        Dictionary::with_capacity(10)
            .with("created", created.as_secs())
            .with("created_us", created.subsec_micros())
            .with("created_ts", micros(created))
            .with("last signal", self.seconds(self.last_signal))
            .with("last redis update", 0_i64)
            .with_some("metadata", metadata)
            .with_some("SSRC", self.quality.global.then(|| self.sources()))
            .with("tags", tags)
            .with("totals", self.totals())
            .with_some("recording", self.recording())
    }

    fn seconds(&self, instant: Instant) -> u64 {
        self.clock.unix_at(instant).as_secs()
    }

    /// Every source of every party, keyed by its number.
    fn sources(&self) -> Dictionary<'static> {
        let mut sources = Dictionary::new();
        for live in &self.live.sections {
            for known in live.ingress.sources() {
                let ssrc = known.ssrc.0.to_string();
                sources.push(ssrc.into_bytes(), source(known, self.clock));
            }
        }
        sources
    }

    /// Only of a call that was recorded at some time.
    fn recording(&self) -> Option<Dictionary<'static>> {
        let recorder = &self.live.recorder;
        (recorder.begun() > 0).then(|| {
            Dictionary::new()
                .with("call recording", u32::from(recorder.is_running()))
                .with("forwarding", 0_u32)
        })
    }

    fn totals(&self) -> Dictionary<'static> {
        let tally = self.live.tally();
        Dictionary::new()
            .with("RTP", counter(tally.rtp_in))
            .with("RTCP", counter(tally.rtcp_in))
    }

    fn party(&self, leg: &Leg) -> Dictionary<'static> {
        let named = |legs: Vec<LegId>, kind: &'static str| {
            let legs = legs.into_iter().filter_map(|id| self.legs.get(id));
            let entry = |leg| {
                Dictionary::new()
                    .with("tag", tag_of(leg))
                    .with("type", kind)
            };
            legs.map(|leg| Value::from(entry(leg))).collect::<Vec<_>>()
        };
        let who = &self.legs.subscriptions;
        let mut subscriptions = named(who.partners(leg.id), "offer/answer");
        let mut subscribers = subscriptions.clone();
        subscriptions.extend(named(who.sources(leg.id), "pub/sub"));
        subscribers.extend(named(who.subscribers(leg.id), "pub/sub"));
        let aliases: Vec<Value<'static>> = leg
            .aliases
            .iter()
            .map(|alias| alias.as_bytes().to_vec().into())
            .collect();
        let medias: Vec<Value<'static>> = leg
            .sections
            .iter()
            .enumerate()
            .map(|(index, section)| self.media(leg, index, section).into())
            .collect();
        let excluded = self.live.recorder.is_excluded(leg.id).then(|| {
            Dictionary::new()
                .with("excluded", 1_u32)
                .with("forwarding", 0_u32)
        });
        let branch = leg.via_branch.as_ref().map(|b| b.as_bytes().to_vec());
        Dictionary::with_capacity(10)
            .with("tag", tag_of(leg))
            .with_some("via-branch", branch)
            .with_some("tag-aliases", (!aliases.is_empty()).then_some(aliases))
            .with_some("label", leg.label.clone())
            .with("created", self.seconds(leg.created))
            .with_some("metadata", leg.metadata.clone())
            .with("subscriptions", subscriptions)
            .with("subscribers", subscribers)
            .with("medias", medias)
            .with("VSC", self.service_codes(leg))
            .with_some("recording", excluded)
    }

    /// The keys by which a party may order a recording.
    fn service_codes(&self, leg: &Leg) -> Vec<Value<'static>> {
        let codes = self.live.recorder.codes.of(leg.id);
        let codes = codes.into_iter().flat_map(RecordingCodes::iter);
        codes
            .map(|(order, code)| {
                Dictionary::new()
                    .with("type", order.key())
                    .with("trigger", code.to_owned())
                    .with("active", 1_u32)
                    .into()
            })
            .collect()
    }

    fn media(&self, leg: &Leg, index: usize, section: &MediaSection) -> Dictionary<'static> {
        let live = self.live.section(SectionId { leg: leg.id, index });
        // Named once it has been heard.
        let heard = live.is_some_and(|live| live.last_rtp.is_some());
        let mut formats = section.sent_formats().filter(|_| heard);
        let codec = formats
            .find(|format| format.is_speech())
            .and_then(PayloadFormat::mapping);
        let ingress: Vec<Value<'static>> = live
            .iter()
            .flat_map(|live| live.ingress.sources())
            .map(|known| {
                let mut entry = Dictionary::new().with("SSRC", known.ssrc.0);
                if self.quality.inline {
                    entry.extend(source(known, self.clock));
                }
                entry.into()
            })
            .collect();
        let egress: Vec<Value<'static>> = live
            .filter(|live| live.egress.stats().packets > 0)
            .map(|live| {
                let stats = live.egress.stats();
                Dictionary::new()
                    .with("SSRC", egress_ssrc(live).0)
                    .with("bytes", stats.bytes)
                    .with("packets", stats.packets)
                    .with_some(
                        "last RTP timestamp",
                        stats.last.map(|(_, timestamp)| timestamp.0),
                    )
                    .with_some(
                        "last RTP seq",
                        stats.last.map(|(sequence, _)| sequence.report()),
                    )
                    .into()
            })
            .into_iter()
            .collect();
        Dictionary::with_capacity(8)
            .with("index", index + 1)
            .with("type", section.kind.clone())
            .with("protocol", section.protocol.to_string())
            .with_some("codec", codec)
            .with("streams", self.streams(leg, section, live))
            .with("flags", words(media_flags(section, leg)))
            .with("ingress SSRCs", ingress)
            .with("egress SSRCs", egress)
    }

    fn streams(
        &self,
        leg: &Leg,
        section: &MediaSection,
        live: Option<&LiveSection>,
    ) -> Vec<Value<'static>> {
        if section.state != SectionState::Live {
            return Vec::new();
        }
        let mux = section.mux.in_use;
        let suite = section
            .sdes
            .outbound
            .as_ref()
            .or(section.sdes.local.first())
            .map(|line| line.key.profile().sdes_name());
        let rtcp_endpoint = if mux {
            section.rtp_endpoint
        } else {
            section.rtcp_endpoint
        };
        let rtp = Stream {
            port: section.ports.rtp.first(),
            transport: live.map(|live| &live.rtp),
            signalled: section.rtp_endpoint,
            last: live.and_then(|live| live.last_rtp),
            counters: live.map(|live| (live.rtp_in, live.rtp_out)),
            flags: if mux { &["RTP", "RTCP"] } else { &["RTP"] },
        };
        let rtcp = Stream {
            port: section.ports.rtcp.first(),
            transport: live.and_then(|live| live.rtcp.as_ref()),
            signalled: rtcp_endpoint,
            last: live.and_then(|live| live.last_rtcp),
            counters: live.map(|live| (live.rtcp_in, live.rtcp_out)),
            flags: if mux {
                &["RTCP", "fallback RTCP"]
            } else {
                &["RTCP"]
            },
        };
        let ssrc = live
            .and_then(|live| live.ingress.first())
            .map(|ssrc| ssrc.0);
        let primary = section.ports.primary().map(|local| local.address.ip());
        vec![
            self.stream(leg, section, &rtp, suite, primary, ssrc).into(),
            self.stream(
                leg,
                section,
                &rtcp,
                suite,
                primary,
                ssrc.filter(|_| rtcp.last.is_some()),
            )
            .into(),
        ]
    }

    fn stream(
        &self,
        leg: &Leg,
        section: &MediaSection,
        stream: &Stream<'_>,
        suite: Option<&'static str>,
        local: Option<IpAddr>,
        ssrc: Option<u32>,
    ) -> Dictionary<'static> {
        let status = stream.transport.map(MediaTransport::status);
        let destination = status.as_ref().and_then(|s| s.destination);
        let last = self.seconds(stream.last.unwrap_or(leg.created));
        let (input, output) = stream.counters.unwrap_or_default();
        let dtls = status.as_ref().and_then(|s| s.dtls.as_ref());
        let agreed = dtls.map(|dtls| dtls.profile.sdes_name());
        let mut flags = Vec::with_capacity(5);
        flags.extend_from_slice(stream.flags);
        if stream.signalled.is_some() {
            flags.push("filled");
        }
        if section.ice.in_use {
            flags.push("ICE");
        }
        if dtls.is_some() {
            flags.push("DTLS fingerprint verified");
        }
        Dictionary::with_capacity(14)
            .with_some("local port", stream.port.map(|p| p.address.port()))
            .with_some("local address", local.map(address_text))
            .with_some("family", local.map(family_name))
            .with("endpoint", endpoint(destination.or(stream.signalled)))
            .with("advertised endpoint", endpoint(stream.signalled))
            .with_some("crypto suite", agreed.or(suite))
            .with_some("DTLS", dtls.map(association))
            .with("last packet", last)
            .with("last kernel packet", 0_i64)
            .with("last user packet", last)
            .with_some("SSRC", ssrc)
            .with("flags", words(flags))
            .with("stats", counter(input))
            .with("stats_out", counter(output))
    }
}

/// One of the two streams of a media section.
struct Stream<'a> {
    port: Option<&'a LocalSocket>,
    transport: Option<&'a MediaTransport>,
    signalled: Option<SocketAddr>,
    last: Option<Instant>,
    counters: Option<(Counter, Counter)>,
    flags: &'a [&'static str],
}

fn tag_of(leg: &Leg) -> Vec<u8> {
    leg.tag
        .as_ref()
        .map_or_else(Vec::new, |tag| tag.as_bytes().to_vec())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn words(flags: Vec<&'static str>) -> Vec<Value<'static>> {
    flags.into_iter().map(Value::from).collect()
}

fn counter(counter: Counter) -> Dictionary<'static> {
    Dictionary::with_capacity(3)
        .with("packets", counter.packets)
        .with("bytes", counter.bytes)
        .with("errors", counter.errors)
}

fn family_name(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}

/// What was agreed with the far end of a DTLS association, and which library holds it; rtpengine has no such key.
fn association(dtls: &DtlsStatus) -> Dictionary<'static> {
    let role = match dtls.role {
        DtlsRole::Client => "active",
        DtlsRole::Server => "passive",
    };
    Dictionary::new()
        .with("role", role)
        .with("version", dtls.version.clone())
        .with("cipher", dtls.cipher.clone())
        .with("engine", dtls.engine)
}

fn endpoint(address: Option<SocketAddr>) -> Dictionary<'static> {
    match address {
        Some(address) => Dictionary::with_capacity(3)
            .with("family", family_name(address.ip()))
            .with("address", address_text(address.ip()))
            .with("port", address.port()),
        None => Dictionary::new(),
    }
}

/// RFC 8445 section 6.1.1: who offers controls, unless only the other one is a full agent. Where ICE is not spoken of at all,
/// rtpengine names the role all the same, by who offered.
fn controls_ice(section: &MediaSection, lite_peer: bool) -> bool {
    if section.ice.offered || section.ice.in_use {
        return (lite_peer || section.ice.we_offered) && !section.ice.lite;
    }
    !section.told.is_empty() && !section.we_answered
}

fn media_flags(section: &MediaSection, leg: &Leg) -> Vec<&'static str> {
    let remote = section.remote.as_ref();
    let lite_peer = remote.and_then(|r| r.ice.as_ref()).is_some_and(|i| i.lite);
    let mut flags = Vec::new();
    let mut flag = |name, present: bool| {
        if present {
            flags.push(name);
        }
    };
    flag("initialized", remote.is_some());
    flag("send", section.wants_media());
    flag("recv", remote.is_none() || section.sends_media());
    flag("rtcp-mux", section.mux.in_use);
    flag("DTLS-SRTP", section.dtls.in_use());
    let undecided = section.dtls.offered && section.dtls.role.is_none();
    let role = section.dtls.role;
    flag(
        "DTLS role active",
        undecided || role == Some(DtlsRole::Client),
    );
    flag(
        "DTLS role passive",
        undecided || role == Some(DtlsRole::Server),
    );
    flag("SDES", !section.sdes.local.is_empty());
    flag("passthrough", section.passthrough);
    flag("ICE", section.ice.in_use);
    flag("ICE controlling", controls_ice(section, lite_peer));
    flag("ICE-lite peer", lite_peer && section.ice.in_use);
    flag("ICE-lite self", section.ice.lite && section.ice.offered);
    flag(
        "RTCP feedback",
        section.protocol.rtp().is_some_and(|p| p.feedback),
    );
    flag("RTCP generator", leg.generates_rtcp);
    flags
}
