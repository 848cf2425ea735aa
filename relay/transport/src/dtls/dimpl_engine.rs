//! The DTLS association of one transport, over the `dimpl` library. Nothing outside this file and its folder names the library.
//!
//! The library keeps the cryptography and the order of the handshake; what belongs to the path is ours:
//!
//! - **The clock.** Its timers double without a limit and give up after a number of attempts. So its clock stands still, and is
//!   moved to its next timer whenever our own schedule ([`Flight`]) says so.
//! - **What comes in.** Every error of the library is the end of the association. It gets whole handshake messages in order, each
//!   once ([`Reassembly`]), and nothing at all after the handshake: stray, late and repeated records cannot kill what is finished.
//! - **A client that starts again.** A ClientHello with another random, in the middle of a handshake, begins a new one.
//! - **The last flight.** As server we repeat it until the peer's first SRTP shows that it has arrived.
//!
//! ```text
//! client                                  server
//! ClientHello             ------->
//!                         <-------        ServerHello .. ServerHelloDone
//! Certificate .. Finished ------->
//!                         <-------        ChangeCipherSpec, Finished     (the last flight)
//! SRTP                    <------>        SRTP
//! ```

#[cfg(feature = "openssl")]
mod objection;
mod outcome;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, Error, Output};
use relay_packet::PacketBuf;

use self::outcome::{Negotiated, explain, refused, server_objection};
use self::settings::{LIBRARY_IDLE, MAX_REPEATS, new_library};
use super::reassembly::{Message, Placed, Reassembly};
use super::record::{
    ALERT, CHANGE_CIPHER_SPEC, CLIENT_KEY_EXCHANGE, HANDSHAKE, HELLO_VERIFY_REQUEST, RANDOM_LEN,
    Record, SERVER_HELLO, client_hello_random, handshake_record, records, server_hello_cipher,
};
use super::retransmission::{ALERT_GRACE, Flight, GIVE_UP_AFTER, LAST_FLIGHT_REPEATS};
use super::{DtlsEngine, DtlsEvent, DtlsIdentity, DtlsRole, DtlsVersions};

#[cfg(feature = "openssl")]
pub(super) use self::objection::{objection, suits};
pub(super) use self::settings::DimplSettings;

/// Hellos that the library refused, after which the peer is refused.
const HELLO_ATTEMPTS: u32 = 3;
/// Encrypted records that may wait for the ChangeCipherSpec's turn.
const MAX_HELD: usize = 4;

/// The engine over `dimpl`.
pub(super) struct DimplEngine {
    settings: DimplSettings,
    identity: Arc<DtlsIdentity>,
    role: DtlsRole,
    phase: Phase,
    library: Dtls,
    library_clock: Instant,
    /// The library's next timer, on its own clock; `None` when it waits for nothing.
    library_timer: Option<Instant>,
    reassembly: Reassembly,
    /// The random of the ClientHello that the peer's handshake began with.
    client_random: Option<[u8; RANDOM_LEN]>,
    change_cipher_spec_seen: bool,
    held: VecDeque<Vec<u8>>,
    flight: Option<Flight>,
    created_at: Instant,
    /// Since when a handshake has been under way.
    started_at: Option<Instant>,
    hello_attempts: u32,
    /// It failed after the handshake, which costs nothing but its answers.
    library_is_dead: bool,
    peer_authenticated: bool,
    refusal: Option<(u8, Instant)>,
    negotiated: Negotiated,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Connected,
    Failed,
}

impl DimplEngine {
    /// An association in that role. As client it sends nothing before the first `handle_timeout`.
    pub(super) fn new(
        settings: &DimplSettings,
        identity: &Arc<DtlsIdentity>,
        role: DtlsRole,
        now: Instant,
    ) -> Self {
        let mut engine = Self {
            library: new_library(settings, identity, role, now),
            settings: settings.clone(),
            identity: Arc::clone(identity),
            role,
            phase: Phase::Handshaking,
            library_clock: now,
            library_timer: None,
            reassembly: Reassembly::new(role.other()),
            client_random: None,
            change_cipher_spec_seen: false,
            held: VecDeque::new(),
            flight: None,
            created_at: now,
            started_at: None,
            hello_attempts: 0,
            library_is_dead: false,
            peer_authenticated: false,
            refusal: None,
            negotiated: Negotiated::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        };
        if role == DtlsRole::Server {
            // The library's server wants to know the time before its first datagram.
            engine.move_library_clock(now, now);
        }
        engine
    }

    /// Begins again with a new association.
    fn start_over(&mut self, now: Instant) {
        self.library = new_library(&self.settings, &self.identity, self.role, now);
        self.library_clock = now;
        self.library_timer = None;
        self.reassembly = Reassembly::new(self.role.other());
        self.client_random = None;
        self.change_cipher_spec_seen = false;
        self.held.clear();
        self.flight = None;
        self.negotiated = Negotiated::default();
        self.move_library_clock(now, now);
    }

    /// Lets the library see `clock`, which may make it send.
    fn move_library_clock(&mut self, now: Instant, clock: Instant) {
        self.library_clock = clock;
        let result = self.library.handle_timeout(clock);
        self.collect(now);
        if let Err(error) = result {
            self.library_failed(now, &error);
        }
    }

    /// Gives the library one record.
    fn feed(&mut self, now: Instant, record: &[u8]) {
        if self.phase != Phase::Handshaking {
            return;
        }
        let result = self.library.handle_packet(record);
        self.collect(now);
        if let Err(error) = result {
            self.library_failed(now, &error);
        }
    }

    /// Takes everything out of the library.
    fn collect(&mut self, now: Instant) {
        let mut buffer = [0; 4096];
        let mut mark = None;
        let mut connected = false;
        loop {
            match self.library.poll_output(&mut buffer) {
                Output::Packet(datagram) => {
                    mark = mark.or(Some(flight_mark(datagram)));
                    for record in records(datagram) {
                        note_server_hello(&mut self.negotiated, &record);
                    }
                    self.outgoing.push_back(datagram.to_vec());
                }
                Output::PeerCert(der) => self.negotiated.peer_certificate_der = der.to_vec(),
                Output::KeyingMaterial(material, profile) => {
                    self.negotiated.material = Some((material.to_vec(), profile));
                }
                Output::Connected => connected = true,
                Output::Timeout(timer) => {
                    let ahead = timer.saturating_duration_since(self.created_at);
                    self.library_timer = (ahead < LIBRARY_IDLE).then_some(timer);
                    break;
                }
                // Nothing the library sends exceeds the buffer; a loop without an end would be worse than a lost datagram.
                Output::BufferTooSmall { .. } => break,
                _ => {}
            }
        }
        if let Some(mark) = mark {
            match &mut self.flight {
                Some(flight) if flight.mark == mark => flight.repeated(now),
                _ => {
                    self.flight = Some(Flight::sent(mark, now));
                    self.refusal = None;
                }
            }
            self.started_at.get_or_insert(now);
        }
        if connected && self.phase == Phase::Handshaking {
            self.connected();
        }
    }

    fn connected(&mut self) {
        let event = match self.negotiated.event(self.role, &self.library) {
            Ok(event) => {
                self.phase = Phase::Connected;
                event
            }
            Err(reason) => {
                self.phase = Phase::Failed;
                DtlsEvent::Failed { reason }
            }
        };
        self.held.clear();
        self.events.push_back(event);
    }

    fn fail(&mut self, reason: String) {
        if self.phase == Phase::Handshaking {
            self.phase = Phase::Failed;
            self.events.push_back(DtlsEvent::Failed { reason });
        }
    }

    /// The library is of no more use. What it refused first may have been a stray datagram, so a server waits for another hello.
    fn library_failed(&mut self, now: Instant, error: &Error) {
        if self.phase != Phase::Handshaking {
            self.library_is_dead = true;
            self.library_timer = None;
            return;
        }
        self.hello_attempts += 1;
        let only_hello = self.role == DtlsRole::Server && self.flight.is_none();
        if only_hello && self.hello_attempts < HELLO_ATTEMPTS {
            self.start_over(now);
        } else {
            self.fail(explain(error, self.role));
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
                        self.start_over(now);
                        self.client_random = Some(random);
                    }
                    repeated |= self.reassembly.add(&fragment) == Placed::FlightRepeated;
                }
                while let Some(message) = self.reassembly.next_message() {
                    note_message(&mut self.negotiated, &message);
                    if message.message_type == SERVER_HELLO
                        && let Some(reason) = server_objection(&message.body)
                    {
                        // Said now the peer can still be told; at the end of the handshake it would be content.
                        self.fail(reason);
                    }
                    self.feed(now, &message.record);
                }
            }
            // A second one would only fill the library's queue.
            (CHANGE_CIPHER_SPEC, 0)
                if !self.change_cipher_spec_seen && self.reassembly.has_begun() =>
            {
                self.change_cipher_spec_seen = true;
                self.feed(now, record.bytes);
            }
            // Without a ChangeCipherSpec before it, it belongs to another association.
            (HANDSHAKE, 1) if self.change_cipher_spec_seen => {
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
        // The library forgets what it cannot decrypt yet and ignores what it has seen, so all of it is offered each time.
        for held in std::mem::take(&mut self.held) {
            self.feed(now, &held);
            if self.phase == Phase::Handshaking {
                self.held.push_back(held);
            }
        }
        repeated
    }

    /// With a choice of versions the library has to see what comes as it came.
    fn handle_unfiltered(&mut self, now: Instant, datagram: &[u8]) {
        let hello = records(datagram).any(|record| {
            let mut fragments = record.handshake_fragments();
            record.content_type == HANDSHAKE
                && record.epoch == 0
                && fragments.any(|fragment| {
                    matches!(fragment.message_type, SERVER_HELLO | HELLO_VERIFY_REQUEST)
                })
        });
        // Until the version is known, anything else ends a client of the library.
        let undecided = self.role == DtlsRole::Client && self.library.protocol_version().is_none();
        if self.phase == Phase::Failed || self.library_is_dead || undecided && !hello {
            return;
        }
        if self.role == DtlsRole::Client && self.phase == Phase::Handshaking {
            for record in records(datagram) {
                note_server_hello(&mut self.negotiated, &record);
            }
        }
        let result = self.library.handle_packet(datagram);
        self.collect(now);
        if let Err(error) = result {
            self.library_failed(now, &error);
        }
    }

    /// Sends the last flight once more.
    fn repeat_flight(&mut self, now: Instant) {
        match self.phase {
            Phase::Handshaking => {
                let Some(timer) = self.library_timer else {
                    return;
                };
                let repeats = self.flight.map_or(0, |flight| flight.repeats as usize);
                if repeats < MAX_REPEATS {
                    self.move_library_clock(now, timer);
                } else if self.role == DtlsRole::Client && !self.reassembly.has_begun() {
                    self.start_over(now);
                } else {
                    self.fail(
                        "the peer stopped answering in the middle of the DTLS handshake".into(),
                    );
                }
            }
            Phase::Connected if self.is_version_13() => {
                if let Some(timer) = self.library_timer {
                    self.move_library_clock(now, timer);
                }
            }
            Phase::Connected if self.role == DtlsRole::Server => {
                // The library repeats its last flight only for a peer that repeats its own, and not too often: let its pause be
                // over, and show it a repeated ClientKeyExchange.
                if let Some(timer) = self.library_timer {
                    self.move_library_clock(now, timer);
                }
                let repeated = handshake_record(0, CLIENT_KEY_EXCHANGE, 0, &[]);
                // An error would be the end of the library, but not of the keys.
                if self.library.handle_packet(&repeated).is_ok() {
                    self.collect(now);
                }
            }
            Phase::Connected | Phase::Failed => {}
        }
    }

    /// When the last flight is to be repeated unasked.
    fn repeat_due(&self) -> Option<Instant> {
        let flight = self.flight.as_ref()?;
        let waiting = match self.phase {
            Phase::Handshaking => self.library_timer.is_some(),
            // DTLS 1.3 acknowledges its last flight.
            Phase::Connected if self.is_version_13() => self.library_timer.is_some(),
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

    fn is_version_13(&self) -> bool {
        self.library.protocol_version() == Some(dimpl::ProtocolVersion::DTLS1_3)
    }

    fn awaits_start(&self) -> bool {
        self.role == DtlsRole::Client
            && self.started_at.is_none()
            && self.phase == Phase::Handshaking
    }
}

impl DtlsEngine for DimplEngine {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        if self.settings.versions == DtlsVersions::UpTo13 {
            self.handle_unfiltered(now, datagram);
            return;
        }
        let mut repeated = false;
        for record in records(datagram) {
            repeated |= match self.phase {
                Phase::Handshaking => self.handle_record(now, &record),
                Phase::Connected => record.content_type == HANDSHAKE,
                Phase::Failed => false,
            };
        }
        if repeated && self.flight.is_some_and(|flight| flight.may_answer(now)) {
            self.repeat_flight(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.awaits_start() {
            self.move_library_clock(now, now);
            return;
        }
        if self.fails_at().is_some_and(|at| now >= at) {
            let reason = match self.refusal {
                Some((description, _)) => refused(description, self.role),
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

impl fmt::Debug for DimplEngine {
    /// Never shows key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DimplEngine")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("flight", &self.flight)
            .finish_non_exhaustive()
    }
}

/// What tells a flight from the one before it.
fn flight_mark(datagram: &[u8]) -> (u8, u8, u16) {
    let Some(record) = records(datagram).next() else {
        return (0, 0, 0);
    };
    let message = (record.content_type == HANDSHAKE && record.epoch == 0)
        .then(|| record.handshake_fragments().next())
        .flatten();
    match message {
        Some(message) => (
            record.content_type,
            message.message_type,
            message.message_seq,
        ),
        None => (record.content_type, 0, 0),
    }
}

/// Our own ServerHello says which cipher suite we chose.
fn note_server_hello(negotiated: &mut Negotiated, record: &Record<'_>) {
    if record.content_type == HANDSHAKE && record.epoch == 0 {
        let mut fragments = record.handshake_fragments();
        if let Some(hello) = fragments.find(|fragment| fragment.message_type == SERVER_HELLO) {
            negotiated.cipher = server_hello_cipher(hello.body);
        }
    }
}

/// And the peer's ServerHello which one it chose.
fn note_message(negotiated: &mut Negotiated, message: &Message) {
    if message.message_type == SERVER_HELLO {
        negotiated.cipher = server_hello_cipher(&message.body);
    }
}
