//! The packet side of the media sections: transports, egresses, paths, counters.
//!
//! Signalling decides ([`crate::section`]) and this follows: [`Live::follow`] makes what is new and drops what is gone,
//! [`Live::activate`] puts an answered exchange into effect. The same values again change nothing, so that a re-offer on one
//! side is not noticed on the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::reason;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use relay_packet::{DropReason, Outbox, SocketId};
use relay_transport::ice::Component;
use relay_transport::rtcp::NtpTime;
use relay_transport::rtp::Ssrc;
use relay_transport::{Learning, LocalSocket, MediaTransport, TransportConfig};

use crate::command::describe::speaks_with_own_ssrc;
use crate::command::play_dtmf::KeyPress;
use crate::config::CallConfig;
use crate::egress::{Egress, EgressConfig, EgressStats, Form, Stream, Tone};
use crate::leg::{LegId, Legs, SectionId};
use crate::negotiate::{dtls, ice};
use crate::path::Coding;
use crate::recording::Recorder;
use crate::sdp::Protocol;
use crate::sdp::remote::ExtendedReports;
use crate::section::MediaSection;
use crate::stats::{Counter, Ingress, Place, Tally, Transcoded};

mod blocked;
mod bundle;
mod bypass;
mod extended;
mod forward;
mod keypad;
mod mixing;
mod notice;
mod opaque;
mod paths;
mod pierce;
mod playing;
mod quality;
mod reports;
mod snapshot;
mod tape;

use blocked::Delayed;
use bundle::Share;
pub(crate) use forward::Arrival;
use keypad::Keypad;
pub(crate) use keypad::Pressed;
use mixing::Mixing;
use paths::{Path, coding_of, format_of};
use playing::Playing;
use quality::LegQuality;
pub(crate) use snapshot::{SectionProgress, SectionSnapshot};

/// Everything that moves packets in a call.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) sections: Vec<LiveSection>,
    /// What each socket is of; four in most calls.
    sockets: Vec<(SocketId, usize, Component)>,
    /// Parties for which a recording was asked for, whatever came of it.
    players: Vec<LegId>,
    /// Media goes nowhere for the time being (`drop-traffic`).
    pub(crate) drop_traffic: bool,
    /// Takes copies of what comes in, while the call is recorded.
    pub(crate) recorder: Recorder,
    /// RTCP that comes in is to be told of.
    pub(crate) tells_rtcp: bool,
    /// What is not told yet: sender, our address, the packet.
    pub(crate) rtcp_to_tell: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// What closed sections have counted, by interface and address.
    gone: Vec<(Place, Tally)>,
    /// What has been transcoded.
    pub(crate) transcoded: Vec<Transcoded>,
}

/// The packet side of one media section.
#[derive(Debug)]
pub(crate) struct LiveSection {
    pub(crate) id: SectionId,
    pub(crate) rtp: MediaTransport,
    pub(crate) rtcp: Option<MediaTransport>,
    /// What transports of this section are made with.
    shared: Arc<TransportConfig>,
    pub(crate) egress: Egress,
    paths: Vec<Path>,
    /// Who is told what the party reports, besides those who hear it: the positions of sections.
    mirrors: Vec<usize>,
    /// Who else is on the same port.
    share: Share,
    /// RTCP shares the RTP port.
    mux: bool,
    /// Packets must be SRTP, whether or not there are keys yet.
    secure: bool,
    /// Datagrams pass as they are: the answered transport is not RTP, or not ours to look into.
    opaque: bool,
    /// Reports to the party are ours alone (`generate-RTCP`).
    generates: bool,
    feedback: bool,
    pub(crate) sends: bool,
    pub(crate) wants: bool,
    /// What the transports were last told, to know a change from a repetition.
    applied: Option<Applied>,
    pub(crate) answered_at: Option<Instant>,
    told_first_out: bool,
    report_at: Option<Instant>,
    report_interval: Duration,
    /// When an empty packet is to open the way next.
    pierce_at: Option<Instant>,
    stream: Stream,
    /// Silence is filled, with audio and with reports.
    fills: bool,
    /// The peer's last sender report: whose, when by its clock, when by ours.
    last_sender_report: Option<(Ssrc, NtpTime, Instant)>,
    /// The extended reports that the party asks for.
    extended_reports: ExtendedReports,
    /// The peer's last reference time (RFC 3611): whose, when by its clock, when by ours.
    last_reference_time: Option<(Ssrc, NtpTime, Instant)>,
    cname: String,
    pub(crate) ingress: Ingress,
    quality: LegQuality,
    pub(crate) rtp_in: Counter,
    pub(crate) rtp_out: Counter,
    pub(crate) rtcp_in: Counter,
    pub(crate) rtcp_out: Counter,
    pub(crate) last_rtp: Option<Instant>,
    pub(crate) last_rtcp: Option<Instant>,
    /// How speech of ours is encoded for the party.
    coding: Coding,
    /// A recording that it hears in place of the others.
    playing: Option<Box<Playing>>,
    /// Several who are heard at once in place of one.
    mixing: Option<Box<Mixing>>,
    /// Where in a recording it stopped, which is not told of yet.
    played: Option<Duration>,
    /// Speech in shorter packets does not pass (`block-short`).
    shortest: Option<Duration>,
    keypad: Keypad,
    /// Keys that were pressed and are not told of yet.
    pub(crate) pressed: Vec<Pressed>,
    /// Keys of the party that are heard later.
    delayed: Vec<Delayed>,
    /// Draws what stands in for blocked keys.
    random: SmallRng,
    authentication_failures: u64,
    told_authentication: bool,
    told_silence: bool,
    drops: [u64; DropReason::ALL.len()],
}

/// The remote side of a section as its transports know it.
#[derive(Clone, Debug, PartialEq)]
struct Applied {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    ice: Option<relay_transport::ice::RemoteIce>,
    fingerprint: Option<relay_transport::dtls::Fingerprint>,
    /// Which DTLS association with the peer it is.
    association: u32,
}

impl LiveSection {
    fn new(
        id: SectionId,
        section: &MediaSection,
        config: &CallConfig,
        shared: &Arc<TransportConfig>,
        seed: u64,
    ) -> Self {
        let egress = egress_config(section, config);
        Self {
            id,
            rtp: transport(section.ports.rtp.clone(), Component::Rtp, shared, seed),
            rtcp: rtcp_transport(section, shared, seed),
            shared: Arc::clone(shared),
            egress: Egress::new(egress, seed ^ 2),
            paths: Vec::new(),
            mirrors: Vec::new(),
            share: Share::default(),
            mux: false,
            secure: section.is_secure(),
            opaque: false,
            generates: false,
            feedback: false,
            sends: false,
            wants: false,
            applied: None,
            answered_at: None,
            told_first_out: false,
            report_at: None,
            report_interval: config.report_interval,
            pierce_at: None,
            stream: egress.stream,
            fills: egress.fill,
            last_sender_report: None,
            extended_reports: ExtendedReports::default(),
            last_reference_time: None,
            // RFC 7022 §4.2: a name for this session alone.
            cname: format!("{:016x}", seed.rotate_left(17) ^ u64::from(section.ssrc.0)),
            ingress: Ingress::default(),
            quality: LegQuality::new(config.quality.mos),
            rtp_in: Counter::default(),
            rtp_out: Counter::default(),
            rtcp_in: Counter::default(),
            rtcp_out: Counter::default(),
            last_rtp: None,
            last_rtcp: None,
            coding: Coding::default(),
            playing: None,
            mixing: None,
            played: None,
            shortest: None,
            keypad: Keypad::default(),
            pressed: Vec::new(),
            delayed: Vec::new(),
            random: SmallRng::seed_from_u64(seed ^ 3),
            authentication_failures: 0,
            told_authentication: false,
            told_silence: false,
            drops: [0; DropReason::ALL.len()],
        }
    }

    /// Another way to make transports and associations, for those that begin now.
    fn make_with(&mut self, shared: &Arc<TransportConfig>) {
        if Arc::ptr_eq(&self.shared, shared) {
            return;
        }
        self.shared = Arc::clone(shared);
        for transport in self.transports() {
            transport.set_config(Arc::clone(shared));
        }
    }

    /// What signalling has settled about a section that may or may not be answered yet.
    fn follow(&mut self, section: &MediaSection, config: &CallConfig, seed: u64) {
        self.rtp.keep_locals(&section.ports.rtp);
        if section.ports.rtcp.is_empty() {
            self.rtcp = None;
        } else if self.rtcp.is_none() {
            self.rtcp = rtcp_transport(section, &self.shared, seed);
        }
        if let Some(rtcp) = &mut self.rtcp {
            rtcp.keep_locals(&section.ports.rtcp);
        }
        self.secure = section.is_secure();
        // A receiver that is offered another transport than at first (a second try of the proxy) is another kind of listener.
        let egress = egress_config(section, config);
        let unused = self.egress.stats().packets == 0 && !section.passes_unread();
        if egress.stream != self.stream && unused {
            self.egress = Egress::new(egress, seed ^ 2);
            self.stream = egress.stream;
            self.fills = egress.fill;
        }
        // The party may begin with ICE and DTLS before its answer has reached us (RFC 8445 §7.3, RFC 5763 §6.2).
        if section.ice.offered
            && let Some(local) = &section.ice.local
        {
            for transport in self.transports() {
                transport.enable_ice(local.clone(), section.ice.lite);
            }
        }
        if section.dtls.offered && section.sdes.local.is_empty() && section.protocol.is_secure() {
            for transport in self.transports() {
                transport.enable_dtls(Arc::clone(&config.identity));
            }
        }
    }

    /// Puts an answered exchange into effect.
    fn activate(
        &mut self,
        now: Instant,
        section: &MediaSection,
        config: &CallConfig,
        learning: Learning,
    ) {
        let Some(remote) = &section.remote else {
            return;
        };
        let applied = Applied {
            rtp: section.rtp_endpoint,
            rtcp: section.rtcp_endpoint,
            ice: remote
                .ice
                .as_ref()
                .filter(|_| section.ice.in_use)
                .and_then(|description| ice::remote_ice(description, section.ice.we_offered)),
            fingerprint: dtls::fingerprint(remote).filter(|_| section.dtls.in_use()),
            association: section.dtls.association,
        };
        let changed = self.applied.as_ref() != Some(&applied);
        let renewed = self
            .applied
            .as_ref()
            .is_some_and(|before| before.association != applied.association);
        let endpoints = [applied.rtp, applied.rtcp];
        // What shares another's port has no transport to tell.
        let own = usize::from(section.carrier.is_none()) * 2;
        for (transport, endpoint) in self.transports().zip(endpoints).take(own) {
            transport.set_learning(Learning {
                asymmetric: section.way.asymmetric,
                await_source: section.way.waits,
                ..learning
            });
            transport.set_opaque(section.passes_unread());
            transport.set_remote_address(now, endpoint);
            match (&applied.ice, &section.ice.local) {
                (Some(remote), Some(local)) => {
                    transport.enable_ice(local.clone(), section.ice.lite);
                    transport.set_remote_ice(now, remote.clone());
                }
                _ => transport.disable_ice(),
            }
            let sdes = &section.sdes;
            transport.set_sdes(
                sdes.outbound.as_ref().map(|line| line.key),
                sdes.inbound.as_ref().map(|line| line.key),
            );
            match (applied.fingerprint, section.dtls.role) {
                (Some(fingerprint), Some(role)) => {
                    if renewed {
                        transport.renew_dtls(Arc::clone(&config.identity));
                    }
                    transport.enable_dtls(Arc::clone(&config.identity));
                    transport.set_remote_dtls(now, role, fingerprint);
                }
                // Keys are to come, and nothing may pass without them.
                _ if section.dtls.on_hold => transport.enable_dtls(Arc::clone(&config.identity)),
                _ => transport.disable_dtls(),
            }
            if changed {
                transport.start(now);
            }
        }
        self.applied = Some(applied);
        self.schedule_piercing(now, section);
        self.shortest = shortest_speech(section);
        self.mux = section.mux.in_use;
        self.secure = section.is_secure();
        self.opaque = section.passes_unread();
        // RFC 4585 §3.1: both sides have to speak it; a party may have answered AVPF with AVP.
        let speaks_feedback = |protocol: &Protocol| protocol.rtp().is_some_and(|p| p.feedback);
        self.feedback = speaks_feedback(&section.protocol) && speaks_feedback(&remote.protocol);
        self.sends = section.sends_media();
        self.wants = section.wants_media();
        self.answered_at.get_or_insert(now);
        self.egress.set_wanted(self.wants && !self.opaque);
        let mut sent = section.sent_formats();
        let speech = sent.clone().find(|format| format.is_speech());
        let main = speech.or_else(|| sent.next());
        self.quality.clock_hz = main.map_or(8_000, |format| format.clock_rate);
        self.quality.is_audio = section.kind.eq_ignore_ascii_case("audio");
        self.egress.set_format(speech.and_then(format_of));
        self.coding = coding_of(section);
        self.extended_reports = remote.extended_reports;
        self.schedule_reports(now);
    }

    pub(crate) fn transports(&mut self) -> impl Iterator<Item = &mut MediaTransport> {
        std::iter::once(&mut self.rtp).chain(self.rtcp.as_mut())
    }

    /// Counts what the egress has sent since `before`.
    fn count_sent(&mut self, before: &EgressStats) {
        let after = self.egress.stats();
        self.rtp_out.packets += after.packets - before.packets;
        self.rtp_out.bytes += after.bytes - before.bytes;
    }

    fn poll_timeout(&self, sink: &MediaTransport) -> Option<Instant> {
        let rtcp = self.rtcp.as_ref().and_then(MediaTransport::poll_timeout);
        [
            self.rtp.poll_timeout(),
            rtcp,
            self.egress.poll_timeout(sink),
            self.report_at,
            self.pierce_at,
            self.silence_at(),
            self.playing.as_deref().map(Playing::due),
            self.delayed.iter().map(|delayed| delayed.due).min(),
            self.mixing.as_ref().map(|mixing| mixing.due()),
            self.paths
                .iter()
                .flat_map(|path| [path.program.poll_timeout(), path.input.poll_timeout()])
                .flatten()
                .min(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn count_drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
        if reason == DropReason::SrtpAuthentication {
            self.authentication_failures += 1;
        }
    }
}

impl Live {
    /// Nothing that moves yet.
    pub(crate) fn new(tells_rtcp: bool) -> Self {
        Self {
            tells_rtcp,
            ..Self::default()
        }
    }

    /// Makes the packet side of new sections, drops that of closed ones, and compiles the paths anew where they changed.
    ///
    /// A path that is in use is compiled anew only once the exchange is `settled`: an offer that is refused, or never answered,
    /// must not change what is heard.
    pub(crate) fn follow(&mut self, legs: &Legs, config: &CallConfig, seed: u64, settled: bool) {
        let mut before = std::mem::take(&mut self.sections);
        for leg in legs.iter() {
            for (index, section) in leg.sections.iter().enumerate() {
                let has_port = !section.ports.rtp.is_empty() || section.carrier.is_some();
                if !section.is_live() || !has_port {
                    continue;
                }
                let id = SectionId { leg: leg.id, index };
                let seed = seed ^ (u64::from(leg.id.0) << 40) ^ ((index as u64) << 32);
                let shared = leg.transport.as_ref();
                let shared = shared.unwrap_or_else(|| config.transport_on(&leg.interface));
                let known = before
                    .iter()
                    .position(|live| live.id == id && is_on(&live.rtp, &section.ports.rtp));
                let mut live = match known {
                    Some(at) => before.swap_remove(at),
                    None => LiveSection::new(id, section, config, shared, seed),
                };
                live.make_with(shared);
                live.follow(section, config, seed);
                self.sections.push(live);
            }
        }
        for closed in &before {
            closed.add_to(&mut self.gone);
        }
        self.index_sockets();
        self.link(legs);
        self.note_places(legs);
        self.compile(legs, settled);
        self.tap();
    }

    fn index_sockets(&mut self) {
        self.sockets.clear();
        for (index, live) in self.sections.iter().enumerate() {
            let rtp = live.rtp.locals().iter().map(|l| (l, Component::Rtp));
            let rtcp = live.rtcp.iter().flat_map(|t| t.locals());
            for (local, component) in rtp.chain(rtcp.map(|l| (l, Component::Rtcp))) {
                self.sockets.push((local.id, index, component));
            }
        }
    }

    /// Puts an answered exchange between two parties into effect, and lets media flow.
    pub(crate) fn activate(
        &mut self,
        now: Instant,
        legs: &Legs,
        parties: [LegId; 2],
        config: &CallConfig,
        learning: Learning,
    ) {
        for live in &mut self.sections {
            if !parties.contains(&live.id.leg) {
                continue;
            }
            let leg = legs.get(live.id.leg);
            // A stream that passes with its numbers has the reports of its sender.
            live.generates =
                leg.is_some_and(|leg| leg.generates_rtcp) && !live.egress.is_transparent();
            if let Some(section) = leg.and_then(|leg| leg.sections.get(live.id.index)) {
                live.activate(now, section, config, learning);
            }
        }
    }

    /// The party of a section has more candidates. Those of an ICE session that is not in effect yet wait for the answer.
    pub(crate) fn trickle(&mut self, now: Instant, id: SectionId, section: &MediaSection) {
        let live = self.sections.iter_mut().find(|live| live.id == id);
        let remote = section.remote.as_ref().and_then(|r| r.ice.as_ref());
        let remote = remote.and_then(|ice| ice::remote_ice(ice, section.ice.we_offered));
        let (Some(live), Some(remote)) = (live, remote) else {
            return;
        };
        let known = live
            .applied
            .as_mut()
            .and_then(|applied| applied.ice.as_mut());
        let Some(known) = known.filter(|known| known.credentials == remote.credentials) else {
            return;
        };
        known.clone_from(&remote);
        for transport in live.transports() {
            transport.set_remote_ice(now, remote.clone());
        }
    }

    /// Opens the gates of sections that were answered. Apart from [`Self::activate`] because it may send.
    pub(crate) fn open_gates(&mut self, now: Instant, out: &mut Outbox) {
        for live in &mut self.sections {
            if live.answered_at.is_some() && !live.egress.is_open() {
                live.egress.open_gate(now, out);
            }
        }
    }

    /// Time has passed for the section with this position.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        position: usize,
        config: &CallConfig,
        out: &mut Outbox,
    ) {
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        for transport in std::iter::once(&mut live.rtp).chain(live.rtcp.as_mut()) {
            if transport.poll_timeout().is_some_and(|at| at <= now) {
                transport.handle_timeout(now, out);
            }
        }
        live.pierce(now, out);
        let report = live.report(now, config, out);
        self.release_late(now, position, out);
        self.press_delayed(now, position, out);
        self.release_late_of_mixes(now, position);
        self.speak(now, position, out);
        self.play_due(now, position, out);
        self.mix_due(now, position, out);
        if let Some(report) = report {
            // What cannot be sent now is tried again soon.
            let _counted_by_the_transport = self.send_rtcp(now, position, report, out);
        }
    }

    /// When the first section wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = |live: &LiveSection| live.poll_timeout(self.transport(live).unwrap_or(&live.rtp));
        self.sections.iter().filter_map(due).min()
    }

    /// The `at`th section that hears the one with this position.
    pub(crate) fn listener(&self, position: usize, at: usize) -> Option<usize> {
        let path = self.sections.get(position)?.paths.get(at)?;
        Some(path.to)
    }

    /// Has the partners of a party get a key in its name: as a telephone-event, or the sound of it if they know none.
    pub(crate) fn press(&mut self, party: LegId, key: &KeyPress) -> Result<(), &'static str> {
        let speaking = self.sections.iter().filter(|live| live.id.leg == party);
        let paths = speaking.flat_map(|live| &live.paths);
        let capable: Vec<(usize, Form)> = paths
            .filter_map(|path| Some((path.to, path.form_of_key(key.event, key.volume)?)))
            .collect();
        if capable.is_empty() {
            return Err(reason::NO_MEDIA_FOR_DTMF);
        }
        let mut pressed = false;
        for (listener, form) in capable {
            let live = self.sections.get_mut(listener);
            let Some(live) = live.filter(|live| live.egress.stats().packets > 0) else {
                continue;
            };
            pressed = true;
            live.egress.inject(Tone {
                form,
                duration: key.duration,
                pause: key.pause,
            });
        }
        if pressed {
            Ok(())
        } else {
            Err(reason::NO_SSRC_FOR_DTMF)
        }
    }

    /// Whether anybody is supposed to send.
    pub(crate) fn expects_media(&self) -> bool {
        self.sections
            .iter()
            .any(|live| live.answered_at.is_some() && live.sends)
    }

    /// When a peer last showed by ICE that it is there.
    pub(crate) fn last_ice_activity(&self) -> Option<Instant> {
        let transports = self.sections.iter().map(|live| &live.rtp);
        transports
            .filter_map(|t| t.status().last_ice_activity)
            .max()
    }

    /// The packet side of a section.
    pub(crate) fn section(&self, id: SectionId) -> Option<&LiveSection> {
        self.sections.iter().find(|live| live.id == id)
    }
}

/// The shortest packets of speech that pass, if short ones are to be kept back: half of what the party says it sends, or of 20 ms.
fn shortest_speech(section: &MediaSection) -> Option<Duration> {
    if !section.way.blocks_short {
        return None;
    }
    let told = section.remote.as_ref().and_then(|remote| {
        let ms = remote.ptime.as_ref()?.trim().parse::<u64>().ok()?;
        (10..=120).contains(&ms).then_some(ms)
    });
    Some(Duration::from_millis(told.unwrap_or(20)) / 2)
}

/// How the stream towards a party is treated: an encrypted audio leg hears one unbroken stream of ours, a plain one the
/// numbers of whoever speaks, anything but audio what it is sent.
fn egress_config(section: &MediaSection, config: &CallConfig) -> EgressConfig {
    let own = speaks_with_own_ssrc(section);
    let audio = section.kind.eq_ignore_ascii_case("audio");
    EgressConfig {
        stream: match (audio, own) {
            (true, true) => Stream::Ours {
                announced: Some(section.ssrc),
            },
            (true, false) => Stream::Adopted,
            (false, _) => Stream::Transparent,
        },
        hold: if own { config.hold } else { Duration::ZERO },
        fill: own && config.fill,
    }
}

fn transport(
    locals: Vec<LocalSocket>,
    component: Component,
    shared: &Arc<TransportConfig>,
    seed: u64,
) -> MediaTransport {
    let seed = seed ^ u64::from(component.id());
    MediaTransport::new(locals, component, Arc::clone(shared), seed)
}

fn rtcp_transport(
    section: &MediaSection,
    shared: &Arc<TransportConfig>,
    seed: u64,
) -> Option<MediaTransport> {
    let locals = section.ports.rtcp.clone();
    (!locals.is_empty()).then(|| transport(locals, Component::Rtcp, shared, seed))
}

/// Whether a transport lives on these ports; it may have more, which are closed now.
fn is_on(transport: &MediaTransport, ports: &[LocalSocket]) -> bool {
    transport.locals().first().map(|l| l.id) == ports.first().map(|l| l.id)
}

/// The SSRC under which a section's party hears us.
pub(crate) fn egress_ssrc(live: &LiveSection) -> Ssrc {
    live.egress.ssrc()
}
