//! A whole call as plain data, so that another process can go on with it.
//!
//! WhatsApp takes no second INVITE: a relay that has forgotten its keys has killed the call for good. What is written here
//! therefore holds everything that the far ends rely on: ports, keys with their counters and replay windows, the pair of ICE and
//! our credentials, our certificate, our stream's SSRC, numbers and clock, and all that signalling has settled.
//!
//! There are two parts, because one of them is small and changes with every packet ([`CallProgress`]), and the other is not and
//! does not ([`CallSnapshot`]). A progress that is a little old is good enough: [`Call::restore`](crate::Call::restore) leaves out as many numbers as
//! may have been used since, so that no index of SRTP is ever used twice (RFC 3711 section 9.1), and few enough for the far
//! end to count on.
//!
//! Not in it: what transcoders, jitter buffers and mixers hold (they begin anew), recordings that are played (they end; music on
//! hold begins again), statistics of sources (they begin anew; counters go on), candidates that came before their description, an
//! unfinished DTLS handshake (it begins anew), keys in progress. A call that is recorded goes on in another file.

pub(crate) mod shared;

mod legs;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ng_protocol::CallId;
use relay_transport::Learning;
use relay_transport::dtls::{DtlsError, IdentitySnapshot};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::WallClock;
use crate::leg::LegId;
use crate::live::{SectionProgress, SectionSnapshot};
use crate::ports::LeaseError;
pub(crate) use legs::LegsSnapshot;

/// Of what is written here. Another version is not read.
pub(crate) const VERSION: u32 = 1;
/// More packets of one stream than these leave in no second: speech in packets of 5 ms.
const PACKETS_A_SECOND: u64 = 200;
/// Besides these, which a burst may have added: held speech that is worked off, a clock that was set by a second.
const BURST: u64 = 400;
/// A call that was stopped in order goes on after this long at most: its parties have hung up by then.
const LONGEST_STOP: Duration = Duration::from_secs(600);
/// Numbers that are left out at most. A receiver takes what is less than half of all numbers ahead for a gap, and counts
/// rollovers on (RFC 3711 section 3.3.1).
const MOST_SKIPPED: u64 = 28_000;

/// A call as plain data, keys and all. Whoever stores it has to guard it as one guards keys.
#[derive(Clone, Serialize, Deserialize)]
pub struct CallSnapshot {
    pub(crate) version: u32,
    pub(crate) id: CallId,
    pub(crate) seed: u64,
    pub(crate) requests: u64,
    pub(crate) created: Duration,
    pub(crate) last_signal: Duration,
    /// Our certificate, where anybody knows its fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<IdentitySnapshot>,
    pub(crate) legs: LegsSnapshot,
    pub(crate) sections: Vec<SectionSnapshot>,
    pub(crate) learning: Learning,
    pub(crate) drop_traffic: bool,
    pub(crate) dtmf_log: Option<SocketAddr>,
    pub(crate) callback: Option<IpAddr>,
    pub(crate) tos: Option<u8>,
    pub(crate) recording: RecordingSnapshot,
    pub(crate) progress: CallProgress,
}

/// How far a call is: what changes with every packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProgress {
    /// When this was so, since 1970.
    pub(crate) at: Duration,
    /// The call stopped then: nothing was sent afterwards.
    pub(crate) stopped: bool,
    /// When anything last showed that the call goes on.
    pub(crate) last_life: Duration,
    pub(crate) sections: Vec<SectionProgress>,
}

/// What is known of recordings of the call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RecordingSnapshot {
    /// One was running.
    pub(crate) runs: bool,
    /// How many there were.
    pub(crate) begun: u64,
    pub(crate) metadata: Option<String>,
    /// Parties of which nothing is recorded.
    pub(crate) excluded: Vec<LegId>,
}

/// Why what was written down cannot be read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// It is damaged, or something else.
    #[error("it cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Another version of this program has written it.
    #[error("it is of version {0}, and this is version {VERSION}")]
    Version(u32),
}

/// Why a call cannot go on.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// Longer ago than streams can be continued safely.
    #[error("it was last seen {} s ago", .0.as_secs())]
    TooOld(Duration),
    /// A port cannot be had.
    #[error(transparent)]
    Ports(#[from] LeaseError),
    /// Our certificate cannot be read.
    #[error("the certificate: {0}")]
    Certificate(#[from] DtlsError),
}

impl fmt::Debug for CallSnapshot {
    /// Shows no key: whole descriptions are in it, with the lines that hold them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSnapshot")
            .field("version", &self.version)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl CallSnapshot {
    /// As bytes.
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        // The version first, so that another one is not called damaged.
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The name of the call.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// Our addresses that it has ports of.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.legs.addresses()
    }

    /// The certificate that its parties know, if any does.
    pub fn identity(&self) -> Option<&IdentitySnapshot> {
        self.identity.as_ref()
    }

    /// Takes over how far the call is by now, unless it knows that better.
    pub fn advance(&mut self, progress: CallProgress) {
        if progress.at >= self.progress.at {
            self.progress = progress;
        }
    }
}

impl CallProgress {
    /// The call is not continued by whoever wrote this.
    #[must_use]
    pub fn stopped(self) -> Self {
        Self {
            stopped: true,
            ..self
        }
    }

    /// How many packets of one stream may have been sent since, at `unix`. It counts the time until somebody went on in, for
    /// nobody knows when the one before ended.
    pub(crate) fn skip(&self, unix: Duration) -> Result<u16, RestoreError> {
        let age = unix.saturating_sub(self.at);
        if self.stopped && age <= LONGEST_STOP {
            return Ok(0);
        }
        let milliseconds = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let sent = milliseconds.saturating_mul(PACKETS_A_SECOND) / 1000 + BURST;
        if sent > MOST_SKIPPED {
            return Err(RestoreError::TooOld(age));
        }
        u16::try_from(sent).map_err(|_| RestoreError::TooOld(age))
    }
}

/// A moment that has been, if clocks are to be trusted; `now`, if they are not.
pub(crate) fn moment(clock: &WallClock, unix: Duration, now: Instant) -> Instant {
    clock.instant_at(unix).map_or(now, |at| at.min(now))
}
