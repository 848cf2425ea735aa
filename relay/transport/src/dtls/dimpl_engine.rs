//! The DTLS association of one transport, over the `dimpl` library. Nothing outside this file and its folder names the library.
//!
//! The library keeps the cryptography and the order of the handshake; what belongs to the path is ours:
//!
//! - **The clock.** Its timers double without a limit and give up after a number of attempts. So its clock stands still, and is
//!   moved to its next timer whenever our own schedule ([`super::driver`]) says so.
//! - **What comes in.** Every error of the library is the end of the association. It gets whole handshake messages in order, each
//!   once ([`super::reassembly`]), and nothing at all after the handshake: stray, late and repeated records cannot kill what is finished.
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

use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, Error, Output};

use self::outcome::{Negotiated, explain, refused, server_objection};
use self::settings::{LIBRARY_IDLE, MAX_REPEATS, new_library};
use super::driver::{Driver, Handshake, Library, Phase};
use super::reassembly::Message;
use super::record::{
    CHANGE_CIPHER_SPEC, CLIENT_KEY_EXCHANGE, HANDSHAKE, HELLO_VERIFY_REQUEST, Record, SERVER_HELLO,
    handshake_record, records, server_hello_cipher,
};
use super::{DtlsIdentity, DtlsRole, DtlsVersions};

#[cfg(feature = "openssl")]
pub(super) use self::objection::{objection, suits};
pub(super) use self::settings::DimplSettings;

/// Hellos that the library refused, after which the peer is refused.
const HELLO_ATTEMPTS: u32 = 3;

/// The engine over `dimpl`.
pub(super) type DimplEngine = Driver<DimplLibrary>;

/// The library, its clock, and what it has told.
pub(super) struct DimplLibrary {
    settings: DimplSettings,
    identity: Arc<DtlsIdentity>,
    library: Dtls,
    clock: Instant,
    /// The library's next timer, on its own clock; `None` when it waits for nothing.
    timer: Option<Instant>,
    change_cipher_spec_seen: bool,
    hello_attempts: u32,
    /// It failed after the handshake, which costs nothing but its answers.
    is_dead: bool,
    negotiated: Negotiated,
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
            library: DimplLibrary {
                library: new_library(settings, identity, role, now),
                settings: settings.clone(),
                identity: Arc::clone(identity),
                clock: now,
                timer: None,
                change_cipher_spec_seen: false,
                hello_attempts: 0,
                is_dead: false,
                negotiated: Negotiated::default(),
            },
            handshake: Handshake::new(role, now),
        };
        if role == DtlsRole::Server {
            // The library's server wants to know the time before its first datagram.
            engine.library.move_clock(now, now, &mut engine.handshake);
        }
        engine
    }
}

impl DimplLibrary {
    /// Lets the library see `clock`, which may make it send.
    fn move_clock(&mut self, now: Instant, clock: Instant, handshake: &mut Handshake) {
        self.clock = clock;
        let result = self.library.handle_timeout(clock);
        self.collect(now, handshake);
        if let Err(error) = result {
            self.failed(now, &error, handshake);
        }
    }

    /// Gives the library one record.
    fn feed(&mut self, now: Instant, record: &[u8], handshake: &mut Handshake) {
        if handshake.phase != Phase::Handshaking {
            return;
        }
        let result = self.library.handle_packet(record);
        self.collect(now, handshake);
        if let Err(error) = result {
            self.failed(now, &error, handshake);
        }
    }

    /// Takes everything out of the library.
    fn collect(&mut self, now: Instant, handshake: &mut Handshake) {
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
                    handshake.outgoing.push_back(datagram.to_vec());
                }
                Output::PeerCert(der) => self.negotiated.peer_certificate_der = der.to_vec(),
                Output::KeyingMaterial(material, profile) => {
                    self.negotiated.material = Some((material.to_vec(), profile));
                }
                Output::Connected => connected = true,
                Output::Timeout(timer) => {
                    let ahead = timer.saturating_duration_since(handshake.created_at);
                    self.timer = (ahead < LIBRARY_IDLE).then_some(timer);
                    break;
                }
                // Nothing the library sends exceeds the buffer; a loop without an end would be worse than a lost datagram.
                Output::BufferTooSmall { .. } => break,
                _ => {}
            }
        }
        if let Some(mark) = mark {
            match &mut handshake.flight {
                Some(flight) if flight.mark == mark => flight.repeated(now),
                _ => handshake.flight_sent(mark, now),
            }
            handshake.started_at.get_or_insert(now);
        }
        if connected && handshake.phase == Phase::Handshaking {
            let outcome = self.negotiated.event(handshake.role, &self.library);
            handshake.finish(outcome);
        }
    }

    /// The library is of no more use. What it refused first may have been a stray datagram, so a server waits for another hello.
    fn failed(&mut self, now: Instant, error: &Error, handshake: &mut Handshake) {
        if handshake.phase != Phase::Handshaking {
            self.is_dead = true;
            self.timer = None;
            return;
        }
        self.hello_attempts += 1;
        let only_hello = handshake.role == DtlsRole::Server && handshake.flight.is_none();
        if only_hello && self.hello_attempts < HELLO_ATTEMPTS {
            self.start_over(now, handshake);
        } else {
            handshake.fail(explain(error, handshake.role));
        }
    }

    fn is_version_13(&self) -> bool {
        self.library.protocol_version() == Some(dimpl::ProtocolVersion::DTLS1_3)
    }
}

impl Library for DimplLibrary {
    const NAME: &'static str = "DimplEngine";

    fn begin(&mut self, now: Instant, handshake: &mut Handshake) {
        self.move_clock(now, now, handshake);
    }

    fn start_over(&mut self, now: Instant, handshake: &mut Handshake) {
        handshake.start_over();
        self.library = new_library(&self.settings, &self.identity, handshake.role, now);
        self.clock = now;
        self.timer = None;
        self.change_cipher_spec_seen = false;
        self.negotiated = Negotiated::default();
        self.move_clock(now, now, handshake);
    }

    fn take_message(&mut self, now: Instant, message: Message, handshake: &mut Handshake) {
        note_message(&mut self.negotiated, &message);
        if message.message_type == SERVER_HELLO
            && let Some(reason) = server_objection(&message.body)
        {
            // Said now the peer can still be told; at the end of the handshake it would be content.
            handshake.fail(reason);
        }
        self.feed(now, &message.record, handshake);
    }

    fn take_record(&mut self, now: Instant, record: &Record<'_>, handshake: &mut Handshake) {
        match (record.content_type, record.epoch) {
            // A second one would only fill the library's queue.
            (CHANGE_CIPHER_SPEC, 0)
                if !self.change_cipher_spec_seen && handshake.reassembly.has_begun() =>
            {
                self.change_cipher_spec_seen = true;
                self.feed(now, record.bytes, handshake);
            }
            // Without a ChangeCipherSpec before it, it belongs to another association.
            (HANDSHAKE, 1) if self.change_cipher_spec_seen => handshake.hold(record),
            _ => {}
        }
    }

    /// The library forgets what it cannot decrypt yet and ignores what it has seen, so all of it is offered each time.
    fn work_off_held(&mut self, now: Instant, handshake: &mut Handshake) {
        for held in std::mem::take(&mut handshake.held) {
            self.feed(now, &held, handshake);
            if handshake.phase == Phase::Handshaking {
                handshake.held.push_back(held);
            }
        }
    }

    fn repeat_flight(&mut self, now: Instant, handshake: &mut Handshake) {
        match handshake.phase {
            Phase::Handshaking => {
                let Some(timer) = self.timer else {
                    return;
                };
                let repeats = handshake.flight.map_or(0, |flight| flight.repeats as usize);
                if repeats < MAX_REPEATS {
                    self.move_clock(now, timer, handshake);
                } else if handshake.role == DtlsRole::Client && !handshake.reassembly.has_begun() {
                    self.start_over(now, handshake);
                } else {
                    handshake.fail(
                        "the peer stopped answering in the middle of the DTLS handshake".into(),
                    );
                }
            }
            Phase::Connected if self.is_version_13() => {
                if let Some(timer) = self.timer {
                    self.move_clock(now, timer, handshake);
                }
            }
            Phase::Connected if handshake.role == DtlsRole::Server => {
                // The library repeats its last flight only for a peer that repeats its own, and not too often: let its pause be
                // over, and show it a repeated ClientKeyExchange.
                if let Some(timer) = self.timer {
                    self.move_clock(now, timer, handshake);
                }
                let repeated = handshake_record(0, CLIENT_KEY_EXCHANGE, 0, &[]);
                // An error would be the end of the library, but not of the keys.
                if self.library.handle_packet(&repeated).is_ok() {
                    self.collect(now, handshake);
                }
            }
            Phase::Connected | Phase::Failed => {}
        }
    }

    fn repeats(&self, handshake: &Handshake) -> bool {
        match handshake.phase {
            Phase::Handshaking => self.timer.is_some(),
            // DTLS 1.3 acknowledges its last flight.
            Phase::Connected if self.is_version_13() => self.timer.is_some(),
            Phase::Connected => handshake.repeats_last_flight(),
            Phase::Failed => false,
        }
    }

    /// With a choice of versions the library has to see what comes as it came.
    fn take_unfiltered(
        &mut self,
        now: Instant,
        datagram: &[u8],
        handshake: &mut Handshake,
    ) -> bool {
        if self.settings.versions != DtlsVersions::UpTo13 {
            return false;
        }
        let hello = records(datagram).any(|record| {
            let mut fragments = record.handshake_fragments();
            record.content_type == HANDSHAKE
                && record.epoch == 0
                && fragments.any(|fragment| {
                    matches!(fragment.message_type, SERVER_HELLO | HELLO_VERIFY_REQUEST)
                })
        });
        // Until the version is known, anything else ends a client of the library.
        let undecided =
            handshake.role == DtlsRole::Client && self.library.protocol_version().is_none();
        if handshake.phase == Phase::Failed || self.is_dead || undecided && !hello {
            return true;
        }
        if handshake.role == DtlsRole::Client && handshake.phase == Phase::Handshaking {
            for record in records(datagram) {
                note_server_hello(&mut self.negotiated, &record);
            }
        }
        let result = self.library.handle_packet(datagram);
        self.collect(now, handshake);
        if let Err(error) = result {
            self.failed(now, &error, handshake);
        }
        true
    }

    fn refused(&self, description: u8, role: DtlsRole) -> String {
        refused(description, role)
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
