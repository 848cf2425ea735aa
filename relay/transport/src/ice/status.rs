//! What the agent tells about itself: events as they happen, and a status for `query` and the log.

use std::net::SocketAddr;
use std::time::Duration;

use relay_packet::SocketId;

use super::candidate::CandidateKind;
use super::role::IceRole;

/// The pair that media uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectedPair {
    /// The socket to send from.
    pub socket: SocketId,
    /// The address that we advertise for it.
    pub local: SocketAddr,
    /// Peer-reflexive when the peer saw another address than the advertised one: a NAT that nobody configured.
    pub local_kind: CandidateKind,
    /// What the peer sees us as, if that is another address than the advertised one.
    pub seen_as: Option<SocketAddr>,
    /// Where to send.
    pub remote: SocketAddr,
    /// Peer-reflexive when the address stood in no SDP.
    pub remote_kind: CandidateKind,
    /// Whether the controlling side has settled on it.
    pub is_nominated: bool,
    /// Of the newest answered check.
    pub round_trip: Option<Duration>,
}

/// Numbers that tell why there is, or is not, a valid pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckCounts {
    /// Pairs that could be checked: 0 means that no candidate of the peer has a family that we have a socket for.
    pub pairs: u32,
    /// Candidates of the peer that were left out: another family or component, or too many.
    pub ignored_candidates: u32,
    /// Checks that we sent.
    pub sent: u32,
    /// Successful replies to them.
    pub replies: u32,
    /// Replies with error 401: the peer has other credentials than its SDP says.
    pub unauthenticated: u32,
    /// Replies with error 487: both sides think that they have the same role.
    pub role_conflicts: u32,
    /// Replies with any other error.
    pub other_errors: u32,
    /// Checks of the peer that had the right credentials.
    pub requests: u32,
    /// Checks that had not: wrong username, wrong password or none.
    pub refused_requests: u32,
}

/// Something worth telling happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IceEvent {
    /// Media goes over this pair from now on.
    PairSelected {
        pair: SelectedPair,
        /// Since the checks began.
        after: Duration,
    },
    /// There is no valid pair although the checks have been running for long; told once.
    Stalled {
        counts: CheckCounts,
        after: Duration,
    },
    /// The peer has neither answered nor spoken for the whole consent period (RFC 7675). Nothing is sent until it does; whether
    /// the call ends is not for this module to say.
    ConsentLost,
    /// The peer answers again.
    ConsentRestored,
}

/// A look at the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceStatus {
    pub role: IceRole,
    /// We are the lite one.
    pub is_lite: bool,
    /// The peer is.
    pub is_remote_lite: bool,
    pub selected: Option<SelectedPair>,
    pub counts: CheckCounts,
}
