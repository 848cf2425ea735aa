//! The clockwork of an association that both engines share: when a handshake begins, which flight is repeated when, which
//! messages reach the library, and when it is over. What only one library needs stands with that library.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use relay_packet::PacketBuf;

use super::reassembly::{Message, Placed, Reassembly};
use super::record::{ALERT, HANDSHAKE, RANDOM_LEN, Record, client_hello_random, records};
use super::retransmission::{ALERT_GRACE, Flight, GIVE_UP_AFTER, LAST_FLIGHT_REPEATS};
use super::{DtlsEngine, DtlsEvent, DtlsRole};

/// Encrypted records that may wait for their turn.
const MAX_HELD: usize = 4;

/// How far an association is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Handshaking,
    Connected,
    Failed,
}

/// What the clockwork knows of an association, and its library works on.
pub(super) struct Handshake {
    pub(super) role: DtlsRole,
    pub(super) phase: Phase,
    pub(super) reassembly: Reassembly,
    /// The random of the ClientHello that the peer's handshake began with.
    client_random: Option<[u8; RANDOM_LEN]>,
    /// Encrypted records that came before their turn.
    pub(super) held: VecDeque<Vec<u8>>,
    pub(super) flight: Option<Flight>,
    pub(super) created_at: Instant,
    /// Since when a handshake has been under way.
    pub(super) started_at: Option<Instant>,
    /// A fatal alert in the clear, and when it came.
    refusal: Option<(u8, Instant)>,
    pub(super) outgoing: VecDeque<Vec<u8>>,
    pub(super) events: VecDeque<DtlsEvent>,
}

impl Handshake {
    pub(super) fn new(role: DtlsRole, now: Instant) -> Self {
        Self {
            role,
            phase: Phase::Handshaking,
            reassembly: Reassembly::new(role.other()),
            client_random: None,
            held: VecDeque::new(),
            flight: None,
            created_at: now,
            started_at: None,
            refusal: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Forgets what was said so far: a new association begins.
    pub(super) fn start_over(&mut self) {
        self.reassembly = Reassembly::new(self.role.other());
        self.client_random = None;
        self.held.clear();
        self.flight = None;
    }

    /// A flight has left for the first time.
    pub(super) fn flight_sent(&mut self, mark: (u8, u8, u16), now: Instant) {
        self.flight = Some(Flight::sent(mark, now));
        self.refusal = None;
        self.started_at.get_or_insert(now);
    }

    /// Ends the handshake with keys, or without if they are of no use.
    pub(super) fn finish(&mut self, outcome: Result<DtlsEvent, String>) {
        let event = match outcome {
            Ok(event) => {
                self.phase = Phase::Connected;
                event
            }
            Err(reason) => {
                self.phase = Phase::Failed;
                DtlsEvent::Failed { reason }
            }
        };
        self.held = VecDeque::new();
        self.events.push_back(event);
    }

    /// Ends the handshake without keys; one that is over stays as it is.
    pub(super) fn fail(&mut self, reason: String) {
        if self.phase == Phase::Handshaking {
            self.finish(Err(reason));
        }
    }

    /// Keeps an encrypted record for its turn, in the place of the oldest if there are too many.
    pub(super) fn hold(&mut self, record: &Record<'_>) {
        if self.held.len() == MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(record.bytes.to_vec());
    }

    fn awaits_start(&self) -> bool {
        self.role == DtlsRole::Client
            && self.started_at.is_none()
            && self.phase == Phase::Handshaking
    }

    /// Whether the server repeats its last flight unasked, until it has done so often enough. Whoever hears SRTP before that gives
    /// the engine up.
    pub(super) fn repeats_last_flight(&self) -> bool {
        self.role == DtlsRole::Server
            && self
                .flight
                .is_some_and(|flight| flight.repeats < LAST_FLIGHT_REPEATS)
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
}

/// A library under the clockwork. It has the cryptography and the order of the handshake.
pub(super) trait Library: Send {
    /// Its engine's name, for `Debug`.
    const NAME: &'static str;

    /// As client: says the first word.
    fn begin(&mut self, now: Instant, handshake: &mut Handshake);
    /// Begins again with a new association.
    fn start_over(&mut self, now: Instant, handshake: &mut Handshake);
    /// The next handshake message of the peer, whole and in its order.
    fn take_message(&mut self, now: Instant, message: Message, handshake: &mut Handshake);
    /// A record that is neither a handshake message in the clear nor an alert.
    fn take_record(&mut self, now: Instant, record: &Record<'_>, handshake: &mut Handshake);
    /// After every record: what was held may have its turn now.
    fn work_off_held(&mut self, now: Instant, handshake: &mut Handshake);
    /// Sends the last flight once more.
    fn repeat_flight(&mut self, now: Instant, handshake: &mut Handshake);
    /// Whether the last flight is to be repeated unasked when its time has come.
    fn repeats(&self, handshake: &Handshake) -> bool;
    /// Takes a datagram as it came, if the library wants none of the clockwork's care; whether it did.
    fn take_unfiltered(
        &mut self,
        _now: Instant,
        _datagram: &[u8],
        _handshake: &mut Handshake,
    ) -> bool {
        false
    }
    /// The handshake has failed for a reason outside of the library.
    fn give_up(&mut self) {}
    /// What a fatal alert of the peer means for the operator.
    fn refused(&self, description: u8, role: DtlsRole) -> String;
}

/// An engine: a library and its clockwork.
pub(super) struct Driver<L> {
    pub(super) library: L,
    pub(super) handshake: Handshake,
}

impl<L: Library> Driver<L> {
    fn handle_record(&mut self, now: Instant, record: &Record<'_>) -> bool {
        let Self { library, handshake } = self;
        let mut repeated = false;
        match (record.content_type, record.epoch) {
            (HANDSHAKE, 0) => {
                for fragment in record.handshake_fragments() {
                    if handshake.role == DtlsRole::Server
                        && let Some(random) = client_hello_random(&fragment)
                        && *handshake.client_random.get_or_insert(random) != random
                    {
                        // RFC 6347 section 4.2.8: the client has lost its state and begins again.
                        library.start_over(now, handshake);
                        handshake.client_random = Some(random);
                    }
                    repeated |= handshake.reassembly.add(&fragment) == Placed::FlightRepeated;
                }
                while let Some(message) = handshake.reassembly.next_message() {
                    library.take_message(now, message, handshake);
                }
            }
            (ALERT, 0) => {
                if let [2, description] = record.fragment() {
                    handshake.refusal.get_or_insert((*description, now));
                }
            }
            _ => library.take_record(now, record, handshake),
        }
        library.work_off_held(now, handshake);
        repeated
    }

    /// When the last flight is to be repeated unasked.
    fn repeat_due(&self) -> Option<Instant> {
        let flight = self.handshake.flight.as_ref()?;
        let waiting = self.library.repeats(&self.handshake);
        waiting.then(|| flight.due(self.handshake.reassembly.has_begun()))
    }
}

impl<L: Library> DtlsEngine for Driver<L> {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let Self { library, handshake } = self;
        if library.take_unfiltered(now, datagram, handshake) {
            return;
        }
        let mut repeated = false;
        for record in records(datagram) {
            repeated |= match self.handshake.phase {
                Phase::Handshaking => self.handle_record(now, &record),
                Phase::Connected => {
                    self.handshake.role == DtlsRole::Server && record.content_type == HANDSHAKE
                }
                Phase::Failed => false,
            };
        }
        let flight = self.handshake.flight;
        if repeated && flight.is_some_and(|flight| flight.may_answer(now)) {
            self.library.repeat_flight(now, &mut self.handshake);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Self { library, handshake } = self;
        if handshake.awaits_start() {
            library.begin(now, handshake);
            return;
        }
        if handshake.fails_at().is_some_and(|at| now >= at) {
            let reason = match handshake.refusal {
                Some((description, _)) => library.refused(description, handshake.role),
                None => "the peer did not finish the DTLS handshake within a minute".into(),
            };
            handshake.fail(reason);
            library.give_up();
        }
        if self.repeat_due().is_some_and(|due| now >= due) {
            self.library.repeat_flight(now, &mut self.handshake);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.handshake.awaits_start() {
            return Some(self.handshake.created_at);
        }
        let fails_at = self.handshake.fails_at();
        self.repeat_due().into_iter().chain(fails_at).min()
    }

    fn poll_datagram(&mut self, packet: &mut PacketBuf) -> bool {
        match self.handshake.outgoing.pop_front() {
            Some(datagram) => packet.copy_from(&datagram),
            None => false,
        }
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.handshake.events.pop_front()
    }

    fn is_refused(&self) -> bool {
        let handshake = &self.handshake;
        handshake.phase == Phase::Handshaking
            && handshake.refusal.is_some()
            && !handshake.reassembly.has_begun()
    }
}

impl<L: Library> fmt::Debug for Driver<L> {
    /// Never shows key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(L::NAME)
            .field("role", &self.handshake.role)
            .field("phase", &self.handshake.phase)
            .field("flight", &self.handshake.flight)
            .finish_non_exhaustive()
    }
}
