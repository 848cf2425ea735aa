//! What a transport wants of a DTLS association, whatever library is behind it.

use std::fmt;
use std::time::Instant;

use relay_packet::PacketBuf;

use crate::srtp::{SrtpKey, SrtpProfile};

/// Which end of the handshake we are (RFC 5763 section 5: `a=setup:active` is the client).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DtlsRole {
    Client,
    Server,
}

impl DtlsRole {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What the handshake came to.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one a call, moved once")]
pub enum DtlsEvent {
    /// Keys are there. Whether the peer is who its SDP said, `peer_certificate_der` tells.
    Connected {
        /// The library, by its name as `dtls-engine` has it.
        engine: &'static str,
        /// `DTLS 1.2` or `DTLS 1.3`.
        version: String,
        /// The cipher suite's name at IANA.
        cipher: String,
        profile: SrtpProfile,
        /// Opens what the peer sends.
        inbound: SrtpKey,
        /// Seals what we send.
        outbound: SrtpKey,
        peer_certificate_der: Vec<u8>,
    },
    /// There will be no keys; the reason is a sentence for the operator.
    Failed { reason: String },
}

/// A DTLS association without a socket and without a clock.
///
/// After each `handle_*`: datagrams until `false`, events until `None`, then the timeout.
pub trait DtlsEngine: fmt::Debug + Send {
    /// A datagram that the demultiplexer took for DTLS.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]);
    /// Time has passed; the first call as client starts the handshake.
    fn handle_timeout(&mut self, now: Instant);
    /// When to call [`Self::handle_timeout`] next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Writes the next datagram to be sent into `packet`; `false` when there is none.
    fn poll_datagram(&mut self, packet: &mut PacketBuf) -> bool;
    /// What has become known.
    fn poll_event(&mut self) -> Option<DtlsEvent>;
    /// The peer has sent a fatal alert before a hello of its own. It came in the clear, so for a moment the engine goes on all the same.
    fn is_refused(&self) -> bool;
}
