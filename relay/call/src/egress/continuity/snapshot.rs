//! Where a stream is, written down, and the same stream going on in another process.

use std::time::{Duration, Instant};

use relay_transport::rtp::{RtpTimestamp, SequenceNumber, Ssrc};
use serde::{Deserialize, Serialize};

use super::{Continuity, Sent, Source};
use crate::config::WallClock;
use crate::snapshot::moment;

/// Where a stream is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinuityProgress {
    ssrc: Ssrc,
    first: (SequenceNumber, RtpTimestamp),
    /// Numbers of the last packet, and when it left.
    last: Option<(SequenceNumber, RtpTimestamp, Duration)>,
    source: Option<SourceProgress>,
}

/// Who feeds it, and by which offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SourceProgress {
    ssrc: Ssrc,
    highest: SequenceNumber,
    timestamp: RtpTimestamp,
    seen_at: Duration,
    sequence_offset: u16,
    timestamp_offset: u32,
    interrupted: bool,
}

impl ContinuityProgress {
    /// Whether the numbers are those of a source that goes on counting whatever becomes of us.
    pub(crate) fn follows_a_source(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| !source.interrupted)
    }
}

impl Continuity {
    /// Where the stream is. `numbered`: what feeds it numbers its packets in this process, and will begin anew in another.
    pub(crate) fn progress(&self, clock: &WallClock, numbered: bool) -> ContinuityProgress {
        let last = self.last;
        let source = self.source.filter(|_| !numbered);
        ContinuityProgress {
            ssrc: self.ssrc,
            first: (self.first_sequence, self.first_timestamp),
            last: last.map(|sent| (sent.sequence, sent.timestamp, clock.unix_at(sent.at))),
            source: source.map(|source| SourceProgress {
                ssrc: source.ssrc,
                highest: source.highest,
                timestamp: source.timestamp,
                seen_at: clock.unix_at(source.seen_at),
                sequence_offset: source.sequence_offset,
                timestamp_offset: source.timestamp_offset,
                interrupted: source.interrupted,
            }),
        }
    }

    /// Goes on behind what was written down and `skip` packets more. Timestamps follow the clock, as if nothing had been.
    pub(crate) fn go_on(
        &mut self,
        now: Instant,
        progress: &ContinuityProgress,
        clock: &WallClock,
        skip: u16,
    ) {
        let ahead = |sequence: SequenceNumber| SequenceNumber(sequence.0.wrapping_add(skip));
        self.ssrc = progress.ssrc;
        (self.first_sequence, self.first_timestamp) = progress.first;
        self.last = progress.last.map(|(sequence, timestamp, at)| Sent {
            sequence: ahead(sequence),
            timestamp,
            at: moment(clock, at, now),
        });
        self.source = progress.source.as_ref().map(|source| Source {
            ssrc: source.ssrc,
            first: source.highest,
            highest: source.highest,
            timestamp: source.timestamp,
            seen_at: moment(clock, source.seen_at, now),
            sequence_offset: source.sequence_offset.wrapping_add(skip),
            timestamp_offset: source.timestamp_offset,
            interrupted: source.interrupted,
            event: None,
        });
    }
}
