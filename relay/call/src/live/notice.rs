//! What happens on the packet side, told as events of the call. The failures carry the sentence an operator needs.

use std::time::{Duration, Instant};

use relay_packet::Outbox;
use relay_transport::TransportEvent;
use relay_transport::dtls::DtlsRole;
use relay_transport::ice::CheckCounts;

use super::{Live, LiveSection};
use crate::event::{CallEvent, Failure, Silence};
use crate::leg::Legs;

/// A party that has not sent anything so long after the answer is worth a line. Meta hangs up after 20 s.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// So many packets in a row that fail to authenticate are no accident.
const SUSPICIOUS: u64 = 50;

impl Live {
    /// Collects what the section with this position has to tell, and sends what has become possible.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        position: usize,
        legs: &Legs,
        out: &mut Outbox,
        events: &mut impl Extend<CallEvent>,
    ) {
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        // Names are made only for what is told: this runs for every packet.
        let name = |live: &LiveSection| {
            legs.get(live.id.leg)
                .map_or_else(String::new, |leg| leg.name())
        };
        let mut writable = false;
        loop {
            let event = live
                .transports()
                .find_map(|transport| transport.poll_event());
            let Some(event) = event else { break };
            writable |= event == TransportEvent::Writable;
            events.extend(told(event, || name(live)));
        }
        if writable {
            self.speak(now, position, out);
        }
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        if let Some(position) = live.played.take() {
            let leg = name(live);
            events.extend([CallEvent::PlaybackEnded { leg, position }]);
        }
        if let Some(event) = live.first_out(|live| name(live)) {
            events.extend([event]);
        }
        if let Some(event) = live.suspicion(|live| name(live)) {
            events.extend([event]);
        }
    }
}

impl Live {
    /// Tells of parties from which nothing has come for a while after the answer.
    pub(crate) fn note_silence(
        &mut self,
        now: Instant,
        legs: &Legs,
        events: &mut impl Extend<CallEvent>,
    ) {
        for live in &mut self.sections {
            if live.silence_at().is_none_or(|at| at > now) {
                continue;
            }
            live.told_silence = true;
            let leg = legs.get(live.id.leg).map_or_else(String::new, |l| l.name());
            let (silence, text) = live.why_silent();
            events.extend([CallEvent::Failure {
                leg,
                kind: Failure::NoMedia,
                silence: Some(silence),
                text,
            }]);
        }
    }
}

impl LiveSection {
    /// When the silence of a party is worth a line; `None` when it has spoken, need not speak, or was told of already.
    pub(super) fn silence_at(&self) -> Option<Instant> {
        if self.told_silence || !self.sends || self.last_rtp.is_some() {
            return None;
        }
        self.answered_at.map(|at| at + SILENT_FOR)
    }

    fn why_silent(&self) -> (Silence, String) {
        let status = self.rtp.status();
        let seconds = SILENT_FOR.as_secs();
        let sent = self.egress.stats().packets;
        if self.rtp.requires_keys() && status.inbound_profile.is_none() {
            let (silence, stage) = match &status.ice {
                Some(ice) if ice.selected.is_none() => {
                    (Silence::IceUnanswered, "ICE has no pair yet")
                }
                _ => (
                    Silence::DtlsUnfinished,
                    "the DTLS handshake is not done: no ClientHello came, or ours is not answered (setup and fingerprint of the \
                     last description decide who begins)",
                ),
            };
            return (
                silence,
                format!("no media {seconds} s after the answer: {stage}"),
            );
        }
        let silence = match (&status.ice, self.secure) {
            (Some(ice), _) if ice.selected.is_none() => Silence::IceUnanswered,
            (_, true) => Silence::WhatsAppSilent,
            (_, false) => Silence::PbxSilent,
        };
        let drops: Vec<String> = status
            .drops
            .iter()
            .map(|(reason, count)| format!("{count} {}", reason.label()))
            .collect();
        let dropped = if drops.is_empty() {
            String::new()
        } else {
            format!("; dropped: {}", drops.join(", "))
        };
        let text = format!(
            "no media {seconds} s after the answer, {sent} packets were sent: the peer does not send, or a firewall or NAT keeps \
             its packets from us (is the advertised address right?){dropped}"
        );
        (silence, text)
    }

    fn first_out(&mut self, name: impl Fn(&Self) -> String) -> Option<CallEvent> {
        if self.told_first_out {
            return None;
        }
        let stats = self.egress.stats();
        let first = stats.first_sent_at?;
        self.told_first_out = true;
        let answered = self.answered_at.unwrap_or(first);
        Some(CallEvent::FirstPacketOut {
            leg: name(self),
            encrypted: self.secure,
            after_answer: first.saturating_duration_since(answered),
            clipped: stats.clipped,
            held: self.egress.waiting(),
        })
    }

    fn suspicion(&mut self, name: impl Fn(&Self) -> String) -> Option<CallEvent> {
        if self.told_authentication || self.authentication_failures < SUSPICIOUS {
            return None;
        }
        self.told_authentication = true;
        Some(CallEvent::Failure {
            leg: name(self),
            kind: Failure::Authentication,
            silence: None,
            text: format!(
                "{} SRTP packets could not be authenticated: the peer encrypts with another key than the one in its description \
                 (a re-sent or altered a=crypto line, or SDP of another call)",
                self.authentication_failures
            ),
        })
    }
}

fn told(event: TransportEvent, name: impl Fn() -> String) -> Option<CallEvent> {
    let failure = |kind, text| {
        Some(CallEvent::Failure {
            leg: name(),
            kind,
            silence: None,
            text,
        })
    };
    match event {
        TransportEvent::PairSelected { pair, after } => Some(CallEvent::PairSelected {
            leg: name(),
            local: pair.local,
            remote: pair.remote,
            after,
        }),
        TransportEvent::IceStalled { counts, after } => {
            failure(Failure::IceStalled, stalled(counts, after))
        }
        TransportEvent::ConsentLost => failure(
            Failure::ConsentLost,
            "the peer has not answered ICE checks for 30 s: it is gone, or the network between is; the call is kept until the \
             media timeout"
                .into(),
        ),
        TransportEvent::ConsentRestored => {
            Some(CallEvent::Warning(format!("{}: ICE checks are answered again", name())))
        }
        TransportEvent::DtlsConnected { status, after, .. } => Some(CallEvent::DtlsConnected {
            leg: name(),
            engine: status.engine,
            as_client: status.role == DtlsRole::Client,
            version: status.version,
            cipher: status.cipher,
            profile: status.profile.to_string(),
            after,
        }),
        TransportEvent::DtlsStalled { role, heard, after } => {
            failure(Failure::Dtls, handshake_stalled(role, heard, after))
        }
        TransportEvent::DtlsFailed { reason } => {
            let kind = if reason.contains("certificate is") {
                Failure::Fingerprint
            } else {
                Failure::Dtls
            };
            failure(kind, format!("DTLS failed: {reason}"))
        }
        TransportEvent::Writable => None,
        TransportEvent::FirstPacket { source } => Some(CallEvent::FirstPacketIn {
            leg: name(),
            source,
        }),
        TransportEvent::SourceLearned { from, to } => Some(CallEvent::SourceLearned {
            leg: name(),
            from,
            to,
        }),
    }
}

/// Why there are no keys, as far as what came from the peer tells.
fn handshake_stalled(role: DtlsRole, heard: bool, after: Duration) -> String {
    let why = match (role, heard) {
        (_, true) => {
            "the peer sends DTLS and the handshake does not come to an end: flights are lost, or it refuses ours"
        }
        (DtlsRole::Client, false) => {
            "our ClientHello is not answered: the peer is no DTLS server here (was its description a=setup:active?)"
        }
        (DtlsRole::Server, false) => {
            "the peer sends no ClientHello, and we wait for it: both sides are passive (a=setup), never use DTLS=passive \
             towards WhatsApp"
        }
    };
    format!("no DTLS keys after {} s: {why}", after.as_secs())
}

/// Why no pair works, as far as the numbers tell.
fn stalled(counts: CheckCounts, after: Duration) -> String {
    let seconds = after.as_secs();
    let why = if counts.pairs == 0 {
        "none of the peer's candidates has an address family that this interface has; add an address of that family".to_owned()
    } else if counts.unauthenticated > 0 {
        "the peer answers with 401: it does not know our ufrag or password, so it has another description than the one we wrote"
            .to_owned()
    } else if counts.role_conflicts > 0 {
        "the peer answers with 487: both sides think they have the same ICE role".to_owned()
    } else if counts.replies == 0 && counts.requests > 0 {
        "checks of the peer arrive and ours are not answered: the way out is blocked".to_owned()
    } else if counts.replies == 0 {
        "no check was answered: a firewall drops UDP to or from these ports, the advertised address is wrong, or the peer never \
         got the answer"
            .to_owned()
    } else {
        "checks are answered and no pair was chosen".to_owned()
    };
    format!(
        "ICE has no pair after {seconds} s ({} checks sent, {} answered, {} received): {why}",
        counts.sent, counts.replies, counts.requests
    )
}
