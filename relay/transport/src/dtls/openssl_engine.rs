//! The DTLS association of one transport, over OpenSSL: for peers and certificates that the first engine does not know. Nothing
//! outside this file and its folder names the library.
//!
//! As with the first engine, the library keeps the cryptography and the order of the handshake; what belongs to the path is ours:
//!
//! - **The clock.** OpenSSL looks at the system's clock whenever it reads, and repeats a flight when a second is over. What it
//!   repeats is thrown away ([`Outbound`] lets each message out once), so that clock has no effect; the last flight is kept and
//!   repeated on our own schedule ([`Flight`]).
//! - **What comes in.** It gets whole handshake messages in order, each once ([`Reassembly`]), and no alert of anybody.
//! - **A client that starts again.** A ClientHello with another random, in the middle of a handshake, begins a new one.
//! - **The end.** Once the keys are out the library is dropped, which frees some 50 KB; what is left answers a peer that repeats
//!   itself.

mod certificate;
mod context;
mod finished;
mod outbound;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use openssl::ssl::{ErrorCode, Ssl, SslContext, SslStream};
use relay_packet::PacketBuf;

use self::finished::FinishedSealer;
use self::outbound::Outbound;
use self::outcome::{Offer, connected, explain, refused};
use super::reassembly::{Placed, Reassembly};
use super::record::{
    ALERT, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC_RECORD, HANDSHAKE, RANDOM_LEN, Record,
    SERVER_HELLO_DONE, client_hello_random, records,
};
use super::retransmission::{ALERT_GRACE, Flight, GIVE_UP_AFTER, LAST_FLIGHT_REPEATS};
use super::{DtlsEngine, DtlsEvent, DtlsIdentity, DtlsRole};

pub(super) use self::certificate::self_signed;
pub(super) use self::context::{ContextCache, OpensslSettings};

/// Encrypted records that may wait for their turn.
const MAX_HELD: usize = 4;

/// The engine over OpenSSL.
pub(super) struct OpensslEngine {
    settings: Arc<OpensslSettings>,
    context: Option<SslContext>,
    role: DtlsRole,
    phase: Phase,
    /// Gone when the handshake is over.
    library: Option<SslStream<Wire>>,
    reassembly: Reassembly,
    /// The random of the ClientHello that the peer's handshake began with.
    client_random: Option<[u8; RANDOM_LEN]>,
    /// What the peer's hello said, for sentences.
    offer: Offer,
    turn: Turn,
    held: VecDeque<Vec<u8>>,
    outbound: Outbound,
    flight: Option<Flight>,
    created_at: Instant,
    /// Since when a handshake has been under way.
    started_at: Option<Instant>,
    peer_authenticated: bool,
    /// The server has agreed to nothing that the first engine does not know.
    suits_first: bool,
    refusal: Option<(u8, Instant)>,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Connected,
    Failed,
}

/// How far the peer's flight is: its encrypted Finished must not come before its turn. The ChangeCipherSpec between says nothing
/// that its place does not say, and OpenSSL forgets one that comes early; so it is given one of our making at the right moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Messages,
    ChangeCipherSpec,
    Finished,
}

/// What OpenSSL takes for its socket: one record to be read, and the datagrams it has written.
#[derive(Debug, Default)]
struct Wire {
    incoming: Option<Vec<u8>>,
    written: Vec<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let record = self.incoming.take().ok_or(io::ErrorKind::WouldBlock)?;
        let len = record.len().min(buffer.len());
        buffer[..len].copy_from_slice(&record[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.written.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OpensslEngine {
    /// An association in that role. As client it sends nothing before the first `handle_timeout`.
    pub(super) fn new(
        settings: &Arc<OpensslSettings>,
        identity: &DtlsIdentity,
        role: DtlsRole,
        now: Instant,
    ) -> Self {
        let mut engine = Self {
            settings: Arc::clone(settings),
            context: None,
            role,
            phase: Phase::Handshaking,
            library: None,
            reassembly: Reassembly::new(role.other()),
            client_random: None,
            offer: Offer::default(),
            turn: Turn::Messages,
            held: VecDeque::new(),
            outbound: Outbound::new(settings.mtu()),
            flight: None,
            created_at: now,
            started_at: None,
            peer_authenticated: false,
            suits_first: false,
            refusal: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        };
        match identity.openssl.context(settings, identity) {
            Ok(context) => engine.context = Some(context),
            Err(error) => engine.fail(error.to_string()),
        }
        engine.start_over();
        engine
    }

    /// Whether, as client, the first engine would have done too; known when the handshake is done.
    pub(super) fn suits_first(&self) -> bool {
        self.suits_first
    }

    /// Begins again with a new association of the library.
    fn start_over(&mut self) {
        self.reassembly = Reassembly::new(self.role.other());
        self.client_random = None;
        self.offer = Offer::default();
        self.turn = Turn::Messages;
        self.held.clear();
        self.outbound.start_over();
        self.flight = None;
        self.library = None;
        let Some(context) = &self.context else { return };
        match new_library(context, self.role, self.settings.mtu()) {
            Ok(library) => self.library = Some(library),
            Err(error) => self.fail(format!("cannot set up DTLS: {error}")),
        }
    }

    /// Gives the library one record.
    fn feed(&mut self, now: Instant, record: Vec<u8>) {
        if let Some(library) = &mut self.library {
            library.get_mut().incoming = Some(record);
            self.step(now);
        }
    }

    /// Lets the library go as far as it can.
    fn step(&mut self, now: Instant) {
        let Some(library) = &mut self.library else {
            return;
        };
        let result = library.do_handshake();
        self.collect(now);
        let Some(library) = &self.library else { return };
        match result {
            Ok(()) => {
                let event = match connected(library.ssl(), self.role, &self.offer) {
                    Ok(event) => {
                        self.phase = Phase::Connected;
                        let certificate = library.ssl().peer_certificate();
                        self.suits_first = certificate
                            .is_some_and(|certificate| self.offer.suits_first(&certificate));
                        event
                    }
                    Err(reason) => {
                        self.phase = Phase::Failed;
                        DtlsEvent::Failed { reason }
                    }
                };
                self.events.push_back(event);
                self.library = None;
                self.held = VecDeque::new();
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(error) => self.fail(explain(&error, self.role, &self.offer)),
        }
    }

    /// Takes what the library has written.
    fn collect(&mut self, now: Instant) {
        let Some(library) = &mut self.library else {
            return;
        };
        let written = std::mem::take(&mut library.get_mut().written);
        let taken = self.outbound.take(&written);
        if taken.is_new_flight {
            if self.role == DtlsRole::Client
                && let Some(record) = self.outbound.finished()
            {
                // The server that has it, but whose answer is lost, takes no copy of it for a repetition.
                let sealer = FinishedSealer::new(library.ssl(), record);
                self.outbound.set_sealer(sealer);
            }
            self.outgoing.extend(self.outbound.datagrams());
            self.flight = Some(Flight::sent((0, 0, 0), now));
            self.refusal = None;
            self.started_at.get_or_insert(now);
        }
        self.outgoing.extend(taken.alert);
    }

    fn fail(&mut self, reason: String) {
        if self.phase == Phase::Handshaking {
            self.phase = Phase::Failed;
            self.library = None;
            self.held = VecDeque::new();
            self.events.push_back(DtlsEvent::Failed { reason });
        }
    }

    fn handle_record(&mut self, now: Instant, record: &Record<'_>) -> bool {
        let mut repeated = false;
        match (record.content_type, record.epoch) {
            (HANDSHAKE, 0) => {
                for fragment in record.handshake_fragments() {
                    if self.role == DtlsRole::Server
                        && let Some(random) = client_hello_random(&fragment)
                        && *self.client_random.get_or_insert(random) != random
                    {
                        // RFC 6347 section 4.2.8: the client has lost its state and begins again.
                        self.start_over();
                        self.client_random = Some(random);
                    }
                    repeated |= self.reassembly.add(&fragment) == Placed::FlightRepeated;
                }
                while let Some(message) = self.reassembly.next_message() {
                    self.offer.note(message.message_type, &message.body);
                    self.feed(now, message.record);
                    let last = match self.role {
                        DtlsRole::Client => SERVER_HELLO_DONE,
                        DtlsRole::Server => CERTIFICATE_VERIFY,
                    };
                    if message.message_type == last {
                        self.turn = Turn::ChangeCipherSpec;
                    }
                }
            }
            // What is not of this association OpenSSL cannot decrypt, and ignores.
            (HANDSHAKE, 1) => {
                if self.held.len() == MAX_HELD {
                    self.held.pop_front();
                }
                self.held.push_back(record.bytes.to_vec());
            }
            (ALERT, 0) => {
                if let [2, description] = record.fragment() {
                    self.refusal.get_or_insert((*description, now));
                }
            }
            _ => {}
        }
        if self.turn == Turn::ChangeCipherSpec && !self.held.is_empty() {
            self.turn = Turn::Finished;
            self.feed(now, CHANGE_CIPHER_SPEC_RECORD.to_vec());
        }
        if self.turn == Turn::Finished {
            for held in std::mem::take(&mut self.held) {
                self.feed(now, held);
            }
        }
        repeated
    }

    /// Sends the last flight once more.
    fn repeat_flight(&mut self, now: Instant) {
        if self.phase == Phase::Failed || !self.outbound.has_flight() {
            return;
        }
        if self.outbound.wants_fresh_finished() {
            // Only OpenSSL can seal this cipher suite again, and it does so by its own clock.
            self.step(now);
        }
        self.outgoing.extend(self.outbound.datagrams());
        if let Some(flight) = &mut self.flight {
            flight.repeated(now);
        }
    }

    /// When the last flight is to be repeated unasked.
    fn repeat_due(&self) -> Option<Instant> {
        let flight = self.flight.as_ref()?;
        let waiting = match self.phase {
            Phase::Handshaking => true,
            Phase::Connected => {
                self.role == DtlsRole::Server
                    && !self.peer_authenticated
                    && flight.repeats < LAST_FLIGHT_REPEATS
            }
            Phase::Failed => false,
        };
        waiting.then(|| flight.due(self.reassembly.has_begun()))
    }

    /// When an unfinished handshake is over.
    fn fails_at(&self) -> Option<Instant> {
        let given_up = self.started_at.map(|started| started + GIVE_UP_AFTER);
        let refused = self.refusal.map(|(_, at)| at + ALERT_GRACE);
        let unfinished = self.phase == Phase::Handshaking;
        given_up
            .into_iter()
            .chain(refused)
            .min()
            .filter(|_| unfinished)
    }

    fn awaits_start(&self) -> bool {
        self.role == DtlsRole::Client
            && self.started_at.is_none()
            && self.phase == Phase::Handshaking
    }
}

impl DtlsEngine for OpensslEngine {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let mut repeated = false;
        for record in records(datagram) {
            repeated |= match self.phase {
                Phase::Handshaking => self.handle_record(now, &record),
                Phase::Connected => {
                    self.role == DtlsRole::Server && record.content_type == HANDSHAKE
                }
                Phase::Failed => false,
            };
        }
        if repeated && self.flight.is_some_and(|flight| flight.may_answer(now)) {
            self.repeat_flight(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.awaits_start() {
            self.started_at = Some(now);
            self.step(now);
            return;
        }
        if self.fails_at().is_some_and(|at| now >= at) {
            let reason = match self.refusal {
                Some((description, _)) => refused(description),
                None => "the peer did not finish the DTLS handshake within a minute".into(),
            };
            self.fail(reason);
        }
        if self.repeat_due().is_some_and(|due| now >= due) {
            self.repeat_flight(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.awaits_start() {
            return Some(self.created_at);
        }
        self.repeat_due().into_iter().chain(self.fails_at()).min()
    }

    fn poll_datagram(&mut self, packet: &mut PacketBuf) -> bool {
        match self.outgoing.pop_front() {
            Some(datagram) => packet.copy_from(&datagram),
            None => false,
        }
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    fn is_refused(&self) -> bool {
        self.phase == Phase::Handshaking && self.refusal.is_some() && !self.reassembly.has_begun()
    }

    fn peer_authenticated(&mut self) {
        self.peer_authenticated = true;
    }
}

impl fmt::Debug for OpensslEngine {
    /// Never shows key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpensslEngine")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("flight", &self.flight)
            .finish_non_exhaustive()
    }
}

/// An association of the library, before its first word.
fn new_library(
    context: &SslContext,
    role: DtlsRole,
    mtu: usize,
) -> Result<SslStream<Wire>, openssl::error::ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    ssl.set_mtu(mtu as u32)?;
    match role {
        DtlsRole::Client => ssl.set_connect_state(),
        DtlsRole::Server => ssl.set_accept_state(),
    }
    SslStream::new(ssl, Wire::default())
}
