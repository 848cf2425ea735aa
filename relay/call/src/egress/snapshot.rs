//! An egress written down. What it holds back, and keys or tones in progress, are not in it: they are over by the time that somebody
//! goes on.

use std::time::{Duration, Instant};

use relay_transport::rtp::{ExtendedSequence, RtpTimestamp, SequenceNumber};
use serde::{Deserialize, Serialize};

use super::continuity::ContinuityProgress;
use super::{Egress, Stream};
use crate::config::WallClock;
use crate::snapshot::moment;

/// How far an egress is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressProgress {
    numbers: ContinuityProgress,
    packets: u64,
    octets: u64,
    bytes: u64,
    filled: u64,
    last: Option<(ExtendedSequence, RtpTimestamp)>,
    first_sent_at: Option<Duration>,
}

impl Egress {
    /// How far it is. `numbered`: a path that feeds it numbers its packets itself.
    pub(crate) fn progress(&self, clock: &WallClock, numbered: bool) -> EgressProgress {
        EgressProgress {
            numbers: self.continuity.progress(clock, numbered),
            packets: self.stats.packets,
            octets: self.stats.octets,
            bytes: self.stats.bytes,
            filled: self.stats.filled,
            last: self.stats.last,
            first_sent_at: self.stats.first_sent_at.map(|at| clock.unix_at(at)),
        }
    }

    /// Goes on with what was written down; up to `skip` packets may have left since. Gives how many numbers are left out: none
    /// where somebody else's numbers pass and nothing forbids that one is seen twice.
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        progress: &EgressProgress,
        clock: &WallClock,
        skip: u16,
        encrypts: bool,
    ) -> u16 {
        let follows = progress.numbers.follows_a_source() && !encrypts;
        let skip = match self.config.stream {
            Stream::Transparent => 0,
            Stream::Adopted if follows => 0,
            Stream::Adopted | Stream::Ours { .. } => skip,
        };
        self.continuity.go_on(now, &progress.numbers, clock, skip);
        self.stats.packets = progress.packets;
        self.stats.octets = progress.octets;
        self.stats.bytes = progress.bytes;
        self.stats.filled = progress.filled;
        self.stats.last = progress.last.map(|(sequence, timestamp)| {
            let ahead = SequenceNumber(sequence.low().0.wrapping_add(skip));
            (sequence.nearest(ahead), timestamp)
        });
        self.stats.first_sent_at = progress.first_sent_at.map(|at| moment(clock, at, now));
        skip
    }
}
