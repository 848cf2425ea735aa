//! One synchronisation source for life: how the numbers of whatever feeds an egress become the numbers of one unbroken stream.
//!
//! While one source speaks, its sequence numbers and timestamps keep their distances: loss stays visible, jitter stays
//! measurable. Where the source changes, restarts, or resumes after packets of our own, the offsets are chosen anew so that
//! the receiver hears one stream (RFC 3550 §5.1 asks for nothing more).

use std::time::{Duration, Instant};

use relay_media::Codec;
use relay_packet::DropReason;
use relay_transport::rtp::{RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::path::Frame;

mod snapshot;

pub(crate) use snapshot::ContinuityProgress;

/// A jump in sequence numbers beyond this is a restart of the source, not loss (20 s of voice).
const MAX_SEQUENCE_JUMP: i16 = 1_000;
/// A timestamp further than this from where the clock says it should be is a restart, not jitter or a pause.
const MAX_TIMESTAMP_JUMP: Duration = Duration::from_secs(3);

/// Numbers for the next packets of one outgoing stream.
#[derive(Debug)]
pub(crate) struct Continuity {
    ssrc: Ssrc,
    /// Take over the numbers of the first source instead of our own, so that a plain relayed call passes unchanged.
    adopt: bool,
    last: Option<Sent>,
    source: Option<Source>,
    first_sequence: SequenceNumber,
    first_timestamp: RtpTimestamp,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: SequenceNumber,
    timestamp: RtpTimestamp,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: Ssrc,
    /// Its first number under the present offsets; what is older came too late.
    first: SequenceNumber,
    highest: SequenceNumber,
    timestamp: RtpTimestamp,
    seen_at: Instant,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Packets of our own went out since it last spoke.
    interrupted: bool,
    /// The telephone-event in progress: its timestamp at the source, and ours.
    event: Option<(RtpTimestamp, RtpTimestamp)>,
}

/// The numbers a packet gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) sequence: SequenceNumber,
    pub(crate) timestamp: RtpTimestamp,
    /// The first packet after a seam: receivers may adjust their playout here.
    pub(crate) marker: bool,
}

/// The source that feeds the stream now, and how its numbers became ours; RTCP must be translated the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The source's own SSRC.
    pub source: Ssrc,
    /// Ours, under which the receiver knows it.
    pub ssrc: Ssrc,
    /// Added to its sequence numbers, wrapping.
    pub sequence_offset: u16,
    /// Added to its timestamps, wrapping.
    pub timestamp_offset: u32,
}

impl Continuity {
    pub(crate) fn new(
        ssrc: Ssrc,
        sequence: SequenceNumber,
        timestamp: RtpTimestamp,
        adopt: bool,
    ) -> Self {
        Self {
            ssrc,
            adopt,
            last: None,
            source: None,
            first_sequence: sequence,
            first_timestamp: timestamp,
        }
    }

    pub(crate) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    pub(crate) fn translation(&self) -> Option<Translation> {
        self.source.map(|source| Translation {
            source: source.ssrc,
            ssrc: self.ssrc,
            sequence_offset: source.sequence_offset,
            timestamp_offset: source.timestamp_offset,
        })
    }

    /// How the numbers of the source become ours, while it speaks without interruption.
    pub(crate) fn steady(&self) -> Option<Translation> {
        self.source.filter(|source| !source.interrupted)?;
        self.translation()
    }

    /// Somebody else has passed packets of the source on as [`Self::steady`] says; the last one had these numbers at the source.
    pub(crate) fn passed_elsewhere(
        &mut self,
        at: Instant,
        sequence: SequenceNumber,
        timestamp: RtpTimestamp,
    ) -> Option<Numbers> {
        let source = self.source.as_mut()?;
        source.reach(at, sequence);
        source.timestamp = timestamp;
        let numbers = Numbers {
            sequence: SequenceNumber(sequence.0.wrapping_add(source.sequence_offset)),
            timestamp: timestamp.offset_by(source.timestamp_offset),
            marker: false,
        };
        self.sent(at, &numbers);
        Some(numbers)
    }

    /// The source's numbers mean nothing any more: whatever comes next continues behind what was sent last.
    pub(crate) fn forget_source(&mut self) {
        self.source = None;
    }

    /// The timestamp that stands for `now`, and `None` before anything was sent.
    pub(crate) fn timestamp_at(&self, now: Instant, clock_hz: u32) -> Option<RtpTimestamp> {
        self.last.map(|last| {
            last.timestamp
                .offset_by(ticks(now.saturating_duration_since(last.at), clock_hz))
        })
    }

    /// Numbers for a packet of a source that arrived at `arrived`.
    pub(crate) fn map(
        &mut self,
        arrived: Instant,
        header: &RtpHeader,
        frame: &Frame,
    ) -> Result<Numbers, DropReason> {
        let known = self
            .source
            .filter(|source| !source.restarted_by(arrived, header, frame));
        let Some(mut source) = known else {
            return Ok(self.begin(arrived, header, frame));
        };
        if source.first.is_after(header.sequence) {
            return Err(DropReason::TooLate);
        }
        let advances = header.sequence.is_after(source.highest);
        let mut seam = false;
        if source.interrupted && !advances {
            return Err(DropReason::TooLate);
        }
        if source.interrupted {
            seam = self.resume(&mut source, arrived, header, frame);
        }
        let sequence = SequenceNumber(header.sequence.0.wrapping_add(source.sequence_offset));
        let timestamp = match frame.codec {
            Codec::TelephoneEvent => self.event_timestamp(&mut source, arrived, header, frame),
            _ => header.timestamp.offset_by(source.timestamp_offset),
        };
        if advances {
            source.reach(arrived, header.sequence);
            if frame.codec != Codec::TelephoneEvent {
                source.timestamp = header.timestamp;
            }
        }
        self.source = Some(source);
        Ok(Numbers {
            sequence,
            timestamp,
            marker: header.marker || seam,
        })
    }

    /// A source that is new, or has restarted: it continues right behind what was sent last.
    fn begin(&mut self, arrived: Instant, header: &RtpHeader, frame: &Frame) -> Numbers {
        if self.last.is_none() && self.adopt {
            self.ssrc = header.ssrc;
            self.first_sequence = header.sequence;
            self.first_timestamp = header.timestamp;
        }
        let (sequence, timestamp) = match self.last {
            Some(last) => (last.sequence.next(), last.after(arrived, frame)),
            None => (self.first_sequence, self.first_timestamp),
        };
        let event = (frame.codec == Codec::TelephoneEvent).then_some((header.timestamp, timestamp));
        self.source = Some(Source {
            ssrc: header.ssrc,
            first: header.sequence,
            highest: header.sequence,
            timestamp: header.timestamp,
            seen_at: arrived,
            sequence_offset: sequence.0.wrapping_sub(header.sequence.0),
            timestamp_offset: timestamp.0.wrapping_sub(header.timestamp.0),
            interrupted: false,
            event,
        });
        Numbers {
            sequence,
            timestamp,
            marker: header.marker || self.last.is_some(),
        }
    }

    /// The source speaks again after packets of our own: its numbers move up behind them, its clock only if it must.
    fn resume(
        &self,
        source: &mut Source,
        arrived: Instant,
        header: &RtpHeader,
        frame: &Frame,
    ) -> bool {
        source.interrupted = false;
        let Some(last) = self.last else {
            return false;
        };
        source.first = header.sequence;
        source.sequence_offset = last.sequence.next().0.wrapping_sub(header.sequence.0);
        let kept = header.timestamp.offset_by(source.timestamp_offset);
        let ahead = i64::from(kept.distance_from(last.timestamp));
        if ahead < i64::from(ticks(frame.duration, frame.clock_hz)) {
            let timestamp = last.after(arrived, frame);
            source.timestamp_offset = timestamp.0.wrapping_sub(header.timestamp.0);
        }
        true
    }

    /// All packets of one event carry the timestamp at which it began (RFC 4733 §2.5.1.2), counted by the receiver's audio
    /// clock whatever clock the sender counted in.
    fn event_timestamp(
        &self,
        source: &mut Source,
        arrived: Instant,
        header: &RtpHeader,
        frame: &Frame,
    ) -> RtpTimestamp {
        match source.event {
            Some((at_source, ours)) if at_source == header.timestamp => ours,
            _ => {
                let ours = match self.last {
                    Some(last) => last.after(arrived, frame),
                    None => self.first_timestamp,
                };
                source.event = Some((header.timestamp, ours));
                ours
            }
        }
    }

    /// Numbers for a packet of our own that lasts `frame` and leaves at `now`.
    pub(crate) fn next_own(&mut self, now: Instant, frame: &Frame) -> Numbers {
        if let Some(source) = &mut self.source {
            source.interrupted = true;
        }
        match self.last {
            Some(last) => Numbers {
                sequence: last.sequence.next(),
                timestamp: last.after(now, frame),
                marker: false,
            },
            None => Numbers {
                sequence: self.first_sequence,
                timestamp: self.first_timestamp,
                marker: true,
            },
        }
    }

    /// Numbers for a further packet of our own that shares the timestamp of an earlier one.
    pub(crate) fn next_at(&mut self, timestamp: RtpTimestamp) -> Numbers {
        if let Some(source) = &mut self.source {
            source.interrupted = true;
        }
        Numbers {
            sequence: self
                .last
                .map_or(self.first_sequence, |last| last.sequence.next()),
            timestamp,
            marker: false,
        }
    }

    /// A packet of the source, the next in order, is left out on purpose: what follows moves up into its place.
    pub(crate) fn close_gap(&mut self, frame: &Frame) {
        if let Some(source) = &mut self.source {
            source.sequence_offset = source.sequence_offset.wrapping_sub(1);
            source.timestamp_offset = source
                .timestamp_offset
                .wrapping_sub(ticks(frame.duration, frame.clock_hz));
        }
    }

    /// A packet left with these numbers.
    pub(crate) fn sent(&mut self, at: Instant, numbers: &Numbers) {
        match &mut self.last {
            Some(last) if last.sequence.is_after(numbers.sequence) => {}
            Some(last) => {
                last.sequence = numbers.sequence;
                if numbers.timestamp.distance_from(last.timestamp) > 0 {
                    last.timestamp = numbers.timestamp;
                    last.at = at;
                }
            }
            None => {
                self.last = Some(Sent {
                    sequence: numbers.sequence,
                    timestamp: numbers.timestamp,
                    at,
                });
            }
        }
    }
}

impl Sent {
    /// The timestamp of a packet that follows at `now`: as much later as time has passed, one packet time at least.
    fn after(&self, now: Instant, frame: &Frame) -> RtpTimestamp {
        let passed = now.saturating_duration_since(self.at).max(frame.duration);
        // Half a packet of jitter must not move the clock of a steady stream of our own.
        let whole = passed.as_nanos() / frame.duration.as_nanos().max(1);
        let passed = frame.duration * u32::try_from(whole).unwrap_or(u32::MAX);
        self.timestamp.offset_by(ticks(passed, frame.clock_hz))
    }
}

impl Source {
    /// A packet with this number has come, the newest so far.
    fn reach(&mut self, at: Instant, sequence: SequenceNumber) {
        self.highest = sequence;
        self.seen_at = at;
        // It follows at a distance: half a wrap behind, everything that comes would count as older.
        if sequence.distance_from(self.first) > MAX_SEQUENCE_JUMP {
            self.first = sequence.offset_by(-i32::from(MAX_SEQUENCE_JUMP));
        }
    }

    fn restarted_by(&self, arrived: Instant, header: &RtpHeader, frame: &Frame) -> bool {
        if header.ssrc != self.ssrc {
            return true;
        }
        let jump = header.sequence.distance_from(self.highest);
        if jump.unsigned_abs() > MAX_SEQUENCE_JUMP.unsigned_abs() {
            return true;
        }
        if jump <= 0 || frame.codec == Codec::TelephoneEvent {
            return false;
        }
        let clock = i64::from(frame.clock_hz);
        let expected = i64::from(ticks(
            arrived.saturating_duration_since(self.seen_at),
            frame.clock_hz,
        ));
        let advanced = i64::from(header.timestamp.distance_from(self.timestamp));
        (advanced - expected).abs() > clock * MAX_TIMESTAMP_JUMP.as_secs() as i64
    }
}

/// `duration` in units of a clock of `clock_hz`.
pub(crate) fn ticks(duration: Duration, clock_hz: u32) -> u32 {
    let ticks = duration.as_micros() * u128::from(clock_hz) / 1_000_000;
    // A pause so long that it wraps is longer than any call; the low bits are as good as any.
    ticks as u32
}

#[cfg(test)]
mod tests {
    use relay_transport::rtp::PayloadType;

    use super::*;
    use crate::testing::epoch;

    const FRAME: Frame = Frame {
        codec: Codec::Opus,
        clock_hz: 48_000,
        duration: Duration::from_millis(20),
        silent: false,
    };

    fn header(ssrc: u32, sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader::new(
            PayloadType::from_header_byte(111),
            SequenceNumber(sequence),
            RtpTimestamp(timestamp),
            Ssrc(ssrc),
        )
    }

    fn ours() -> Continuity {
        Continuity::new(Ssrc(1), SequenceNumber(100), RtpTimestamp(5_000), false)
    }

    fn pass(continuity: &mut Continuity, at: Instant, header: &RtpHeader) -> Numbers {
        let numbers = continuity.map(at, header, &FRAME).unwrap();
        continuity.sent(at, &numbers);
        numbers
    }

    /// The numbers of a source wrap after 22 minutes of speech; half of them are behind its first one after eleven.
    #[test]
    fn a_source_may_speak_for_an_hour() {
        let (mut continuity, start) = (ours(), epoch());
        for number in 0..180_000_u32 {
            let at = start + Duration::from_millis(20) * number;
            let numbers = pass(&mut continuity, at, &header(7, number as u16, number * 960));
            assert_eq!(numbers.sequence.0, (number as u16).wrapping_add(100));
        }
    }

    #[test]
    fn a_source_goes_on_after_an_hour_that_somebody_else_passed_on() {
        let (mut continuity, start) = (ours(), epoch());
        pass(&mut continuity, start, &header(7, 0, 0));
        let at = |number: u32| start + Duration::from_millis(20) * number;
        for second in 1..=3600_u32 {
            let number = second * 50;
            let sequence = SequenceNumber(number as u16);
            let timestamp = RtpTimestamp(number * 960);
            let numbers = continuity.passed_elsewhere(at(number), sequence, timestamp);
            assert_eq!(
                numbers.unwrap().sequence.0,
                (number as u16).wrapping_add(100)
            );
        }
        let number = 3600 * 50 + 1;
        let next = header(7, number as u16, number * 960);
        let numbers = pass(&mut continuity, at(number), &next);
        assert_eq!(numbers.sequence.0, (number as u16).wrapping_add(100));
        assert!(!numbers.marker);
    }

    #[test]
    fn distances_of_one_source_are_kept() {
        let (mut continuity, start) = (ours(), epoch());
        let first = pass(&mut continuity, start, &header(7, 65_535, 960));
        let later = pass(
            &mut continuity,
            start + Duration::from_millis(60),
            &header(7, 2, 960 * 4),
        );
        assert_eq!((first.sequence.0, first.timestamp.0), (100, 5_000));
        assert_eq!(
            (later.sequence.0, later.timestamp.0),
            (103, 5_000 + 3 * 960)
        );
        let reordered = pass(
            &mut continuity,
            start + Duration::from_millis(61),
            &header(7, 1, 960 * 3),
        );
        assert_eq!(reordered.sequence.0, 102);
    }

    #[test]
    fn a_new_source_continues_the_stream() {
        let (mut continuity, start) = (ours(), epoch());
        pass(&mut continuity, start, &header(7, 10, 0));
        let next = pass(
            &mut continuity,
            start + Duration::from_millis(20),
            &header(8, 40_000, 77),
        );
        assert_eq!((next.sequence.0, next.timestamp.0), (101, 5_960));
        assert!(next.marker);
        assert_eq!(continuity.ssrc(), Ssrc(1));
    }

    #[test]
    fn a_source_that_resumes_after_our_silence_moves_up_behind_it() {
        let (mut continuity, start) = (ours(), epoch());
        pass(&mut continuity, start, &header(7, 10, 0));
        for n in 1..=5u32 {
            let at = start + Duration::from_millis(20) * n;
            let own = continuity.next_own(at, &FRAME);
            continuity.sent(at, &own);
            assert_eq!(
                (own.sequence.0, own.timestamp.0),
                (100 + n as u16, 5_000 + 960 * n)
            );
        }
        // Its clock ran on while it was silent: the timestamp is the true one.
        let at = start + Duration::from_millis(120);
        let resumed = pass(&mut continuity, at, &header(7, 11, 960 * 6));
        assert_eq!(
            (resumed.sequence.0, resumed.timestamp.0),
            (106, 5_000 + 960 * 6)
        );
        // A packet from before the silence comes too late.
        let late = continuity.map(at, &header(7, 10, 0), &FRAME);
        assert_eq!(late, Err(DropReason::TooLate));
    }

    #[test]
    fn a_source_whose_clock_stood_still_is_moved_forward() {
        let (mut continuity, start) = (ours(), epoch());
        pass(&mut continuity, start, &header(7, 10, 0));
        for n in 1..=5u32 {
            let at = start + Duration::from_millis(20) * n;
            let own = continuity.next_own(at, &FRAME);
            continuity.sent(at, &own);
        }
        let at = start + Duration::from_millis(120);
        let resumed = pass(&mut continuity, at, &header(7, 11, 960));
        assert_eq!(
            (resumed.sequence.0, resumed.timestamp.0),
            (106, 5_000 + 960 * 6)
        );
    }

    #[test]
    fn a_restart_with_the_same_ssrc_is_hidden() {
        let (mut continuity, start) = (ours(), epoch());
        pass(&mut continuity, start, &header(7, 10, 0));
        let at = start + Duration::from_millis(20);
        let restarted = pass(&mut continuity, at, &header(7, 9_000, 4_000_000_000));
        assert_eq!((restarted.sequence.0, restarted.timestamp.0), (101, 5_960));
    }

    #[test]
    fn an_adopted_source_passes_unchanged() {
        let mut continuity = Continuity::new(Ssrc(1), SequenceNumber(1), RtpTimestamp(1), true);
        let numbers = pass(&mut continuity, epoch(), &header(7, 10, 960));
        assert_eq!((numbers.sequence.0, numbers.timestamp.0), (10, 960));
        assert_eq!(continuity.ssrc(), Ssrc(7));
    }

    #[test]
    fn one_event_keeps_one_timestamp_in_the_clock_of_the_audio() {
        let (mut continuity, start) = (ours(), epoch());
        let event = Frame {
            codec: Codec::TelephoneEvent,
            ..FRAME
        };
        pass(&mut continuity, start, &header(7, 10, 0));
        // The sender counts its events in another clock than its audio.
        let mut seen = Vec::new();
        for n in 1..=3u16 {
            let at = start + Duration::from_millis(20) * u32::from(n);
            let numbers = continuity
                .map(at, &header(7, 10 + n, 123_456), &event)
                .unwrap();
            continuity.sent(at, &numbers);
            seen.push((numbers.sequence.0, numbers.timestamp.0));
        }
        assert_eq!(seen, [(101, 5_960), (102, 5_960), (103, 5_960)]);
        let audio = pass(
            &mut continuity,
            start + Duration::from_millis(80),
            &header(7, 14, 960 * 4),
        );
        assert_eq!(
            (audio.sequence.0, audio.timestamp.0),
            (104, 5_000 + 960 * 4)
        );
    }
}
