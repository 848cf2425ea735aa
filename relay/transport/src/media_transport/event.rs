//! What a transport tells: events as they happen, and a status when asked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_packet::DropReason;

use crate::dtls::DtlsRole;
use crate::ice::{CheckCounts, IceStatus, SelectedPair};
use crate::srtp::SrtpProfile;

/// Something worth telling happened. Durations count from [`super::MediaTransport::start`], or from the moment when the peer's
/// ICE became known if that was later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// ICE: media goes over this pair from now on.
    PairSelected { pair: SelectedPair, after: Duration },
    /// ICE: no pair works although the checks have been running for five seconds.
    IceStalled {
        counts: CheckCounts,
        after: Duration,
    },
    /// ICE: the peer has not answered for the consent period (RFC 7675). Sending goes on.
    ConsentLost,
    /// ICE: it answers again.
    ConsentRestored,
    /// The handshake is done and the peer's certificate is the announced one.
    DtlsConnected {
        status: DtlsStatus,
        after: Duration,
        /// From the first datagram of the handshake.
        handshake: Duration,
    },
    /// Five seconds after the handshake could have begun there are no keys. It goes on.
    DtlsStalled {
        role: DtlsRole,
        /// Whether the peer has sent any DTLS: if not, and we are the server, both sides wait for the other's ClientHello.
        heard: bool,
        after: Duration,
    },
    /// A handshake came to nothing; another may be tried.
    DtlsFailed { reason: String },
    /// From now on packets can be sent.
    Writable,
    /// The first packet of the far end that was authentic (where it can be).
    FirstPacket { source: SocketAddr },
    /// Without ICE: packets come from another address than signalled, and we send there now.
    SourceLearned {
        from: Option<SocketAddr>,
        to: SocketAddr,
    },
}

/// What a handshake came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsStatus {
    /// The library that holds it.
    pub engine: &'static str,
    pub role: DtlsRole,
    pub version: String,
    pub cipher: String,
    pub profile: SrtpProfile,
}

/// A look at the transport, for `query` and the log.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportStatus {
    /// Where packets go at the moment.
    pub destination: Option<SocketAddr>,
    /// What SDP said.
    pub signalled: Option<SocketAddr>,
    /// When ICE is used.
    pub ice: Option<IceStatus>,
    /// When the handshake is done.
    pub dtls: Option<DtlsStatus>,
    /// Of packets that we open.
    pub inbound_profile: Option<SrtpProfile>,
    /// Of packets that we seal.
    pub outbound_profile: Option<SrtpProfile>,
    /// When the far end last sent RTP or RTCP that was taken.
    pub last_packet_in: Option<Instant>,
    /// When the far end last sent STUN with the right integrity.
    pub last_ice_activity: Option<Instant>,
    /// Dropped packets, both directions.
    pub drops: DropCounts,
}

/// A counter for every [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }

    pub(super) fn add(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }
}
