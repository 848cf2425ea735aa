//! The engine that finds out which engine it has to be.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::PacketBuf;

use super::super::dimpl_engine::{DimplEngine, objection};
use super::super::hello::ClientHello;
use super::super::openssl_engine::OpensslEngine;
use super::super::reassembly::Reassembly;
use super::super::record::{CLIENT_HELLO, HANDSHAKE, fatal_alert, records};
use super::super::{DtlsConfig, DtlsEngine, DtlsEvent, DtlsIdentity, DtlsRole, Verdict};

/// How long the first engine may still turn out to be the right one after a refusal in the clear.
const DOUBT: Duration = Duration::from_secs(2);
const HANDSHAKE_FAILURE: u8 = 40;

/// The first engine, or the second, or not yet any.
pub(super) struct ChoosingEngine {
    config: DtlsConfig,
    identity: Arc<DtlsIdentity>,
    role: DtlsRole,
    peer: Option<IpAddr>,
    stage: Stage,
    is_connected: bool,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

enum Stage {
    /// A server that has not seen a whole ClientHello.
    AwaitingHello(Reassembly),
    First(Box<dyn DtlsEngine>),
    Second(Box<OpensslEngine>),
    /// The second is at work; an alert that may be forged has stopped the first.
    Doubtful {
        first: Box<dyn DtlsEngine>,
        second: Box<OpensslEngine>,
        until: Instant,
    },
}

impl ChoosingEngine {
    pub(super) fn new(
        config: &DtlsConfig,
        identity: &Arc<DtlsIdentity>,
        role: DtlsRole,
        peer: Option<IpAddr>,
        now: Instant,
    ) -> Self {
        let verdict = peer.and_then(|peer| config.memory.verdict(peer, now));
        let mut choosing = Self {
            config: config.clone(),
            identity: Arc::clone(identity),
            role,
            peer,
            stage: Stage::AwaitingHello(Reassembly::new(DtlsRole::Client)),
            is_connected: false,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        };
        match (role, verdict) {
            (DtlsRole::Client, Some(Verdict::Suits)) => {
                choosing.stage = Stage::First(choosing.first(now));
            }
            (DtlsRole::Client, _) | (DtlsRole::Server, Some(Verdict::Fails)) => {
                choosing.stage = Stage::Second(choosing.second(now));
            }
            (DtlsRole::Server, _) => {}
        }
        choosing
    }

    fn first(&self, now: Instant) -> Box<dyn DtlsEngine> {
        let settings = &self.config.dimpl;
        Box::new(DimplEngine::new(settings, &self.identity, self.role, now))
    }

    fn second(&self, now: Instant) -> Box<OpensslEngine> {
        let settings = &self.config.openssl;
        Box::new(OpensslEngine::new(settings, &self.identity, self.role, now))
    }

    fn note_peer(&self, verdict: Verdict, now: Instant) {
        if let Some(peer) = self.peer {
            self.config.memory.note(peer, verdict, now);
        }
    }

    /// Takes fragments of a ClientHello until it is whole, and gives it to the engine it asks for.
    fn choose(&mut self, now: Instant, datagram: &[u8]) {
        let Stage::AwaitingHello(reassembly) = &mut self.stage else {
            return;
        };
        for record in records(datagram) {
            if record.content_type == HANDSHAKE && record.epoch == 0 {
                for fragment in record.handshake_fragments() {
                    if fragment.message_type == CLIENT_HELLO {
                        reassembly.add(&fragment);
                    }
                }
            }
        }
        let Some(message) = reassembly.next_message() else {
            return;
        };
        let hello = ClientHello::parse(&message.body);
        let suits_first = hello.is_some_and(|hello| objection(&hello).is_none());
        self.stage = if suits_first {
            let mut first = self.first(now);
            first.handle_datagram(now, &message.record);
            Stage::First(first)
        } else {
            let mut second = self.second(now);
            second.handle_datagram(now, &message.record);
            Stage::Second(second)
        };
    }

    /// Looks at what has become of the engine. `heard` when something came in, and not merely time passed.
    fn settle(&mut self, now: Instant, heard: bool) {
        if let Stage::Second(second) = &mut self.stage {
            let event = second.poll_event();
            if second.suits_first() && event.is_some() {
                self.note_peer(Verdict::Suits, now);
            }
            self.events.extend(event);
        }
        let Stage::First(first) = &mut self.stage else {
            return;
        };
        while let Some(event) = first.poll_event() {
            if !heard || !matches!(event, DtlsEvent::Failed { .. }) {
                // A peer that says nothing will not say more to another engine.
                self.events.push_back(event);
                continue;
            }
            drain(first.as_mut(), &mut self.outgoing);
            self.note_peer(Verdict::Fails, now);
            if self.role == DtlsRole::Server {
                // It is the client that begins again, and then with the second engine.
                self.events.push_back(event);
                return;
            }
            // The server is in the middle of a handshake that nobody will finish: it should know, and be ready for another.
            self.outgoing
                .push_back(fatal_alert(HANDSHAKE_FAILURE).to_vec());
            let mut second = self.second(now);
            second.handle_timeout(now);
            self.stage = Stage::Second(second);
            return;
        }
        if self.role == DtlsRole::Client && first.is_refused() {
            self.note_peer(Verdict::Fails, now);
            let mut second = self.second(now);
            second.handle_timeout(now);
            let refused = std::mem::replace(
                &mut self.stage,
                Stage::AwaitingHello(Reassembly::new(self.role)),
            );
            if let Stage::First(first) = refused {
                self.stage = Stage::Doubtful {
                    first,
                    second,
                    until: now + DOUBT,
                };
            }
        }
    }

    /// Ends the doubt for one of the two.
    fn decide(&mut self, for_first: bool) {
        let awaiting = Stage::AwaitingHello(Reassembly::new(self.role));
        if let Stage::Doubtful { first, second, .. } = std::mem::replace(&mut self.stage, awaiting)
        {
            self.stage = if for_first {
                if let Some(peer) = self.peer {
                    self.config.memory.forget(peer);
                }
                Stage::First(first)
            } else {
                Stage::Second(second)
            };
        }
    }

    /// Somebody answers: the first engine's hello, or the second's?
    fn handle_doubtful(&mut self, now: Instant, datagram: &[u8]) {
        let Stage::Doubtful { first, second, .. } = &mut self.stage else {
            return;
        };
        let mut answers = VecDeque::new();
        drain(first.as_mut(), &mut answers);
        answers.clear();
        first.handle_datagram(now, datagram);
        drain(first.as_mut(), &mut answers);
        let goes_on = answers.iter().any(|answer| !is_client_hello(answer));
        let has_failed = first.poll_event().is_some();
        if goes_on && !has_failed {
            self.decide(true);
            self.outgoing.extend(answers);
            return;
        }
        let mut from_second = VecDeque::new();
        second.handle_datagram(now, datagram);
        drain(second.as_mut(), &mut from_second);
        if has_failed {
            self.outgoing.extend(from_second);
            self.decide(false);
            return;
        }
        match second.poll_event() {
            // The signature was not over its random: it is the first that is meant, and the peer must not hear of it.
            Some(DtlsEvent::Failed { .. }) => self.decide(true),
            Some(event) => {
                self.outgoing.extend(from_second);
                self.events.push_back(event);
                self.decide(false);
            }
            None => self.outgoing.extend(from_second),
        }
    }

    fn engine(&self) -> Option<&dyn DtlsEngine> {
        match &self.stage {
            Stage::AwaitingHello(_) => None,
            Stage::First(engine) => Some(&**engine),
            Stage::Second(engine) => Some(&**engine),
            Stage::Doubtful { second, .. } => Some(&**second),
        }
    }

    fn engine_mut(&mut self) -> Option<&mut (dyn DtlsEngine + 'static)> {
        match &mut self.stage {
            Stage::AwaitingHello(_) => None,
            Stage::First(engine) => Some(&mut **engine),
            Stage::Second(engine) => Some(&mut **engine),
            Stage::Doubtful { second, .. } => Some(&mut **second),
        }
    }
}

impl DtlsEngine for ChoosingEngine {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        match &mut self.stage {
            Stage::AwaitingHello(_) => self.choose(now, datagram),
            Stage::First(engine) => engine.handle_datagram(now, datagram),
            Stage::Second(engine) => engine.handle_datagram(now, datagram),
            Stage::Doubtful { .. } => self.handle_doubtful(now, datagram),
        }
        self.settle(now, true);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Stage::Doubtful { until, .. } = &self.stage
            && *until <= now
        {
            self.decide(false);
        }
        if let Some(engine) = self.engine_mut()
            && engine.poll_timeout().is_some_and(|at| at <= now)
        {
            engine.handle_timeout(now);
        }
        self.settle(now, false);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let doubt = match &self.stage {
            Stage::Doubtful { until, .. } => Some(*until),
            _ => None,
        };
        let engine = self.engine().and_then(DtlsEngine::poll_timeout);
        engine.into_iter().chain(doubt).min()
    }

    fn poll_datagram(&mut self, packet: &mut PacketBuf) -> bool {
        match self.outgoing.pop_front() {
            Some(datagram) => packet.copy_from(&datagram),
            None => self
                .engine_mut()
                .is_some_and(|engine| engine.poll_datagram(packet)),
        }
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        let event = self.events.pop_front();
        let event = event.or_else(|| self.engine_mut()?.poll_event())?;
        self.is_connected |= matches!(event, DtlsEvent::Connected { .. });
        if let (Stage::Second(_), DtlsEvent::Failed { .. }, Some(peer)) =
            (&self.stage, &event, self.peer)
        {
            // It is not the engine, then.
            self.config.memory.forget(peer);
        }
        Some(event)
    }

    fn is_refused(&self) -> bool {
        self.engine().is_some_and(DtlsEngine::is_refused)
    }
}

impl Drop for ChoosingEngine {
    /// A server may have met the first engine's hello with silence, because it has changed and cannot use it any more. The next
    /// association should not try that again.
    fn drop(&mut self) {
        if let (DtlsRole::Client, Stage::First(_), false, Some(peer)) =
            (self.role, &self.stage, self.is_connected, self.peer)
        {
            self.config.memory.forget(peer);
        }
    }
}

impl fmt::Debug for ChoosingEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ChoosingEngine");
        match &self.stage {
            Stage::AwaitingHello(_) => shown.field("stage", &"awaiting a ClientHello"),
            Stage::First(engine) => shown.field("first", engine),
            Stage::Second(engine) => shown.field("second", engine),
            Stage::Doubtful { first, second, .. } => {
                shown.field("refused", first).field("second", second)
            }
        };
        shown.finish_non_exhaustive()
    }
}

/// Takes everything that an engine has to send.
fn drain(engine: &mut dyn DtlsEngine, into: &mut VecDeque<Vec<u8>>) {
    let mut packet = PacketBuf::new();
    while engine.poll_datagram(&mut packet) {
        into.push_back(packet.to_vec());
    }
}

fn is_client_hello(datagram: &[u8]) -> bool {
    records(datagram)
        .flat_map(|record| record.handshake_fragments())
        .any(|fragment| fragment.message_type == CLIENT_HELLO)
}
