//! STUN, ICE, DTLS, SRTP, RTP and RTCP on one local port. Pure: no sockets, no clock.
//!
//! The object that a call uses is [`MediaTransport`]: one local port (one ICE component) with everything that happens on it.
//! It is composed of parts that can be read, and tested, one at a time:
//!
//! ```text
//!                      MediaTransport
//!        demux (RFC 7983, RFC 5761)  |  source learning
//!   stun -> ice            dtls            srtp -> rtp, rtcp
//! ```
//!
//! Nothing here opens a socket, reads a clock, knows SDP or an NG word, or looks into a codec's payload.
//!
//! # The three contracts
//!
//! Every stateful object speaks with the same verbs: `handle_datagram`, `handle_timeout`, `poll_timeout`, `poll_event`.
//! For all of them:
//!
//! 1. **Drain after every mutation.** After any `handle_*` or setter: `poll_event` until `None`, then ask `poll_timeout`.
//!    A deadline may have moved to "now", so that the next `handle_timeout` sends what the setter had no `out` for.
//! 2. **Time is an argument.** `now` never goes backwards; tests invent it.
//! 3. **The packet path returns nothing to collect.** Datagrams to send go straight into the [`relay_packet::Outbox`] that
//!    was handed in; there is no allocation per packet and no queue of packets inside an object. Slow things (events) are
//!    polled.
//!
//! And one rule about strangers: **no state before authentication.** A datagram from the network may cost a counter and, for
//! STUN, a reply; it creates an entry in a table only after its integrity was verified, and every table has a size.

pub mod demux;
pub mod dtls;
pub mod ice;
mod local_socket;
mod media_transport;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod stun;
#[cfg(test)]
pub(crate) mod testing;

pub use local_socket::LocalSocket;
pub use media_transport::{
    DropCounts, DtlsStatus, Incoming, Learning, LearningMode, MediaTransport, Sent,
    TransportConfig, TransportEvent, TransportProgress, TransportSnapshot, TransportStatus,
};
