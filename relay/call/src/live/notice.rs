//! What happens on the packet side, told as events of the call. The failures carry the sentence an operator needs.

use std::net::SocketAddr;
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
            events.extend(misled(&event, || name(live)));
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
                    (Silence::IceUnanswered, unanswered(ice.counts))
                }
                _ => (
                    Silence::DtlsUnfinished,
                    "the DTLS handshake is not done: no ClientHello came, or ours is not answered (setup and fingerprint of the \
                     last description decide who begins)"
                        .to_owned(),
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
        let told = self.rtp.locals().first().map_or_else(String::new, |local| {
            SocketAddr::new(local.advertised, local.address.port()).to_string()
        });
        let (side, advice) = match self.secure {
            true => (
                "WhatsApp's side",
                "a firewall or NAT keeps its packets from us, the world does not know us by that address, or it does not send",
            ),
            false => (
                "the PBX's side",
                "it does not send, does not reach that address, or a firewall is between",
            ),
        };
        let text = format!(
            "no media {seconds} s after the answer from {side}, which was told to send to {told}: {advice}; packets sent to it: \
             {sent}{dropped}"
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

/// What is wrong although ICE has a pair: the peer answers to where a check comes from, whatever our description says.
fn misled(event: &TransportEvent, name: impl Fn() -> String) -> Option<CallEvent> {
    let TransportEvent::PairSelected { pair, .. } = event else {
        return None;
    };
    let seen_as = pair.seen_as?;
    let what = match seen_as.ip() == pair.local.ip() {
        true => "something on the way changes the port",
        false => {
            "the advertised address is wrong, or the peer reaches us by a NAT that nobody configured"
        }
    };
    Some(CallEvent::Warning(format!(
        "{}: the peer was told to send to {} and sees us as {seen_as}: {what}. ICE makes up for it; calls without ICE (SDES) would not be \
         heard",
        name(),
        pair.local
    )))
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

/// Why no pair works, and since when.
fn stalled(counts: CheckCounts, after: Duration) -> String {
    format!("ICE has no pair after {} s{}", after.as_secs(), why(counts))
}

/// The same where it is said already when.
fn unanswered(counts: CheckCounts) -> String {
    format!("ICE has no pair{}", why(counts))
}

/// The numbers, and why no pair works as far as they tell.
fn why(counts: CheckCounts) -> String {
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
        "no check was answered: a firewall drops UDP to or from these ports, the peer never got the answer, or, unless it is \
         ICE-lite as WhatsApp is, the advertised address is wrong"
            .to_owned()
    } else {
        "checks are answered and no pair was chosen".to_owned()
    };
    format!(
        " ({} checks sent, {} answered, {} received): {why}",
        counts.sent, counts.replies, counts.requests
    )
}

#[cfg(test)]
mod tests {
    use relay_packet::SocketId;
    use relay_transport::ice::{CandidateKind, SelectedPair};

    use super::*;

    fn selected(seen_as: Option<&str>) -> TransportEvent {
        let address = |text: &str| text.parse().unwrap();
        TransportEvent::PairSelected {
            pair: SelectedPair {
                socket: SocketId(1),
                local: address("192.0.2.7:30000"),
                local_kind: CandidateKind::Host,
                seen_as: seen_as.map(address),
                remote: address("203.0.113.5:3478"),
                remote_kind: CandidateKind::Host,
                is_nominated: true,
                round_trip: None,
            },
            after: Duration::from_millis(60),
        }
    }

    #[test]
    fn an_advertised_address_that_is_not_ours_is_warned_of_although_ice_makes_up_for_it() {
        let told = |seen_as| {
            misled(&selected(seen_as), || "meta".to_owned()).map(|event| event.to_string())
        };
        assert_eq!(told(None), None);
        let other_address = told(Some("198.51.100.7:30000")).unwrap();
        assert!(other_address.starts_with(
            "meta: the peer was told to send to 192.0.2.7:30000 and sees us as 198.51.100.7:30000: the advertised address is wrong"
        ));
        let other_port = told(Some("192.0.2.7:61000")).unwrap();
        assert!(
            other_port.contains("something on the way changes the port"),
            "{other_port}"
        );
    }
}
