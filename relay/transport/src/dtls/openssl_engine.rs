//! The DTLS association of one transport, over OpenSSL: for peers and certificates that the first engine does not know. Nothing
//! outside this file and its folder names the library.
//!
//! As with the first engine, the library keeps the cryptography and the order of the handshake; what belongs to the path is ours:
//!
//! - **The clock.** OpenSSL looks at the system's clock whenever it reads, and repeats a flight when a second is over. What it
//!   repeats is thrown away ([`Outbound`] lets each message out once), so that clock has no effect; the last flight is kept and
//!   repeated on our own schedule ([`super::driver`]).
//! - **What comes in.** It gets whole handshake messages in order, each once ([`super::reassembly`]), and no alert of anybody.
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

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use openssl::ssl::{ErrorCode, Ssl, SslContext, SslStream};

use self::finished::FinishedSealer;
use self::outbound::Outbound;
use self::outcome::{Offer, connected, explain, refused};
use super::driver::{Driver, Handshake, Library, Phase};
use super::reassembly::Message;
use super::record::{
    CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC_RECORD, HANDSHAKE, Record, SERVER_HELLO_DONE,
};
use super::{DtlsIdentity, DtlsRole};

pub(super) use self::certificate::self_signed;
pub(super) use self::context::{ContextCache, OpensslSettings};

/// The engine over OpenSSL.
pub(super) type OpensslEngine = Driver<OpensslLibrary>;

/// The library, and what goes in and out of it.
pub(super) struct OpensslLibrary {
    settings: Arc<OpensslSettings>,
    context: Option<SslContext>,
    /// Gone when the handshake is over.
    library: Option<SslStream<Wire>>,
    /// What the peer's hello said, for sentences.
    offer: Offer,
    turn: Turn,
    outbound: Outbound,
    /// The server has agreed to nothing that the first engine does not know.
    suits_first: bool,
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
            library: OpensslLibrary {
                settings: Arc::clone(settings),
                context: None,
                library: None,
                offer: Offer::default(),
                turn: Turn::Messages,
                outbound: Outbound::new(settings.mtu()),
                suits_first: false,
            },
            handshake: Handshake::new(role, now),
        };
        match identity.openssl.context(settings, identity) {
            Ok(context) => engine.library.context = Some(context),
            Err(error) => engine.handshake.fail(error.to_string()),
        }
        engine.library.start_over(now, &mut engine.handshake);
        engine
    }

    /// Whether the library is gone, with the memory it takes.
    #[cfg(test)]
    fn is_released(&self) -> bool {
        self.library.library.is_none()
    }

    /// Whether, as client, the first engine would have done too; known when the handshake is done.
    pub(super) fn suits_first(&self) -> bool {
        self.library.suits_first
    }
}

impl OpensslLibrary {
    /// Gives the library one record.
    fn feed(&mut self, now: Instant, record: Vec<u8>, handshake: &mut Handshake) {
        if let Some(library) = &mut self.library {
            library.get_mut().incoming = Some(record);
            self.step(now, handshake);
        }
    }

    /// Lets the library go as far as it can.
    fn step(&mut self, now: Instant, handshake: &mut Handshake) {
        let Some(library) = &mut self.library else {
            return;
        };
        let result = library.do_handshake();
        self.collect(now, handshake);
        let Some(library) = &self.library else { return };
        match result {
            Ok(()) => {
                let outcome = connected(library.ssl(), handshake.role, &self.offer);
                if outcome.is_ok() {
                    let certificate = library.ssl().peer_certificate();
                    self.suits_first =
                        certificate.is_some_and(|certificate| self.offer.suits_first(&certificate));
                }
                handshake.finish(outcome);
                self.library = None;
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(error) => {
                handshake.fail(explain(&error, handshake.role, &self.offer));
                self.library = None;
            }
        }
    }

    /// Takes what the library has written.
    fn collect(&mut self, now: Instant, handshake: &mut Handshake) {
        let Some(library) = &mut self.library else {
            return;
        };
        let written = std::mem::take(&mut library.get_mut().written);
        let taken = self.outbound.take(&written);
        if taken.is_new_flight {
            if handshake.role == DtlsRole::Client
                && let Some(record) = self.outbound.finished()
            {
                // The server that has it, but whose answer is lost, takes no copy of it for a repetition.
                let sealer = FinishedSealer::new(library.ssl(), record);
                self.outbound.set_sealer(sealer);
            }
            handshake.outgoing.extend(self.outbound.datagrams());
            handshake.flight_sent((0, 0, 0), now);
        }
        handshake.outgoing.extend(taken.alert);
    }
}

impl Library for OpensslLibrary {
    const NAME: &'static str = "OpensslEngine";

    fn begin(&mut self, now: Instant, handshake: &mut Handshake) {
        handshake.started_at = Some(now);
        self.step(now, handshake);
    }

    fn start_over(&mut self, _now: Instant, handshake: &mut Handshake) {
        handshake.start_over();
        self.offer = Offer::default();
        self.turn = Turn::Messages;
        self.outbound.start_over();
        self.library = None;
        let Some(context) = &self.context else { return };
        match new_library(context, handshake.role, self.settings.mtu()) {
            Ok(library) => self.library = Some(library),
            Err(error) => handshake.fail(format!("cannot set up DTLS: {error}")),
        }
    }

    fn take_message(&mut self, now: Instant, message: Message, handshake: &mut Handshake) {
        self.offer.note(message.message_type, &message.body);
        self.feed(now, message.record, handshake);
        let last = match handshake.role {
            DtlsRole::Client => SERVER_HELLO_DONE,
            DtlsRole::Server => CERTIFICATE_VERIFY,
        };
        if message.message_type == last {
            self.turn = Turn::ChangeCipherSpec;
        }
    }

    /// What is not of this association OpenSSL cannot decrypt, and ignores.
    fn take_record(&mut self, _now: Instant, record: &Record<'_>, handshake: &mut Handshake) {
        if (record.content_type, record.epoch) == (HANDSHAKE, 1) {
            handshake.hold(record);
        }
    }

    fn work_off_held(&mut self, now: Instant, handshake: &mut Handshake) {
        if self.turn == Turn::ChangeCipherSpec && !handshake.held.is_empty() {
            self.turn = Turn::Finished;
            self.feed(now, CHANGE_CIPHER_SPEC_RECORD.to_vec(), handshake);
        }
        if self.turn == Turn::Finished {
            for held in std::mem::take(&mut handshake.held) {
                self.feed(now, held, handshake);
            }
        }
    }

    fn repeat_flight(&mut self, now: Instant, handshake: &mut Handshake) {
        if handshake.phase == Phase::Failed || !self.outbound.has_flight() {
            return;
        }
        if self.outbound.wants_fresh_finished() {
            // Only OpenSSL can seal this cipher suite again, and it does so by its own clock.
            self.step(now, handshake);
        }
        handshake.outgoing.extend(self.outbound.datagrams());
        if let Some(flight) = &mut handshake.flight {
            flight.repeated(now);
        }
    }

    fn repeats(&self, handshake: &Handshake) -> bool {
        match handshake.phase {
            Phase::Handshaking => true,
            Phase::Connected => handshake.repeats_last_flight(),
            Phase::Failed => false,
        }
    }

    fn give_up(&mut self) {
        self.library = None;
    }

    fn refused(&self, description: u8, _role: DtlsRole) -> String {
        refused(description)
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
