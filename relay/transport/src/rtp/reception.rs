//! What a receiver knows about one stream (RFC 3550 appendix A.1, A.3 and A.8).

use std::time::{Duration, Instant};

use super::bursts::{BurstMetrics, Bursts};
use super::{ExtendedSequence, RtpHeader, RtpTimestamp, SequenceNumber};

/// RFC 3550 appendix A.1, MAX_DROPOUT: a jump of more than this forward is a restart of the sender, not loss.
const MAX_DROPOUT: i16 = 3000;
/// RFC 3550 appendix A.1, MAX_MISORDER: so far back a late packet may lie; before that the sender has restarted.
const MAX_MISORDER: i16 = 100;

/// How a packet stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Newer than all before it; `lost` numbers were skipped.
    InOrder { lost: u16 },
    /// Older than the newest one, and not seen before.
    Reordered,
    /// Seen before.
    Duplicate,
    /// A jump that the next packet must confirm (RFC 3550 appendix A.1); it is not counted.
    Jump,
    /// The second packet after a jump: the sender has started again, and so have the figures of the current cycle.
    Restarted,
}

/// The figures of one synchronisation source.
#[derive(Clone, Debug)]
pub struct ReceptionStats {
    clock_rate: u32,
    started: bool,
    base: ExtendedSequence,
    highest: ExtendedSequence,
    /// The 64 numbers up to `highest`; bit 0 is `highest` itself.
    seen: u64,
    after_jump: Option<SequenceNumber>,
    received: u64,
    octets: u64,
    duplicates: u64,
    reordered: u64,
    skips: u64,
    restarts: u64,
    /// Losses of the runs before the sender's last restart.
    lost_before_restart: i64,
    received_before_restart: u64,
    reported: Interval,
    bursts: Bursts,
    jitter: Jitter,
    last_arrival: Option<Instant>,
    last_timestamp: Option<RtpTimestamp>,
}

/// Where an interval of [`ReceptionStats`] began, kept by whoever looks at it from time to time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    restarts: u64,
    expected: u64,
    received: u64,
}

/// What an interval brought (RFC 3550 appendix A.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Packets that the numbers promised.
    pub expected: u64,
    /// Those among them that did not come.
    pub lost: u64,
}

/// How far somebody else has come who receives a stream in our place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continued {
    /// Packets since it took over.
    pub received: u64,
    /// Bytes of their payload.
    pub octets: u64,
    /// How often numbers were skipped.
    pub skips: u32,
    /// The lower half of the extended highest sequence number.
    pub sequence: u32,
    /// The timestamp of that packet.
    pub timestamp: RtpTimestamp,
    /// The jitter, 16-fold (RFC 3550 appendix A.8).
    pub jitter_scaled: u32,
    /// When the last packet came.
    pub at: Instant,
}

impl ReceptionStats {
    /// Figures of a stream whose timestamps count `clock_rate` units a second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            started: false,
            base: ExtendedSequence(0),
            highest: ExtendedSequence(0),
            seen: 0,
            after_jump: None,
            received: 0,
            octets: 0,
            duplicates: 0,
            reordered: 0,
            skips: 0,
            restarts: 0,
            lost_before_restart: 0,
            received_before_restart: 0,
            reported: Interval::default(),
            bursts: Bursts::default(),
            jitter: Jitter::default(),
            last_arrival: None,
            last_timestamp: None,
        }
    }

    /// Notes a packet with `payload_len` bytes of payload, and says how it stands to those before it.
    pub fn receive(&mut self, now: Instant, header: &RtpHeader, payload_len: usize) -> Reception {
        let reception = self.place(header.sequence);
        self.bursts.note(reception);
        match reception {
            Reception::Duplicate => {
                self.duplicates += 1;
                return reception;
            }
            Reception::Jump => return reception,
            Reception::Reordered => self.reordered += 1,
            Reception::InOrder { lost } => self.skips += u64::from(lost > 0),
            Reception::Restarted => self.restarts += 1,
        }
        self.received += 1;
        self.octets += payload_len as u64;
        self.last_arrival = Some(now);
        if reception == Reception::Restarted {
            self.jitter.forget_transit();
        }
        self.jitter.note(now, header.timestamp, self.clock_rate);
        if reception != Reception::Reordered {
            self.last_timestamp = Some(header.timestamp);
        }
        reception
    }

    /// Somebody else has received the stream for a while, from where [`Self::continued`] says on: its next packets, and none
    /// that was late or doubled. How the losses lie in time is known for one run only.
    pub fn receive_elsewhere(&mut self, before: &Continued, after: &Continued) {
        let received = after.received.wrapping_sub(before.received);
        if received == 0 {
            return;
        }
        let advanced = u64::from(after.sequence.wrapping_sub(before.sequence));
        let lost = advanced.saturating_sub(received);
        self.highest = ExtendedSequence(self.highest.0 + advanced);
        // A number that was lost and comes after all is taken for a doubled one; late packets are few.
        self.seen = u64::MAX;
        self.received += received;
        self.octets += after.octets.wrapping_sub(before.octets);
        self.skips += u64::from(after.skips.wrapping_sub(before.skips));
        self.bursts.note_run(received, lost);
        self.last_arrival = Some(after.at);
        self.last_timestamp = Some(after.timestamp);
        self.jitter.scaled = u64::from(after.jitter_scaled);
        self.jitter.previous = Some((after.at, after.timestamp));
    }

    /// Where somebody else has to go on; `None` before the first packet.
    pub fn continued(&self) -> Option<Continued> {
        Some(Continued {
            received: 0,
            octets: 0,
            skips: 0,
            sequence: self.highest.0 as u32,
            timestamp: self.last_timestamp?,
            jitter_scaled: u32::try_from(self.jitter.scaled).unwrap_or(u32::MAX),
            at: self.last_arrival?,
        })
    }

    /// Another clock from here on, when the payload type changed to one with another rate. The jitter starts over, since
    /// its unit has changed.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if clock_rate != self.clock_rate && clock_rate > 0 {
            self.clock_rate = clock_rate;
            self.jitter = Jitter::default();
        }
    }

    /// The clock that its timestamps count in.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Where `sequence` belongs, with the window moved accordingly.
    fn place(&mut self, sequence: SequenceNumber) -> Reception {
        if !self.started {
            self.started = true;
            self.restart_at(sequence);
            return Reception::InOrder { lost: 0 };
        }
        let distance = sequence.distance_from(self.highest.low());
        if !(-MAX_MISORDER..=MAX_DROPOUT).contains(&distance) {
            return self.place_after_jump(sequence);
        }
        if distance > 0 {
            self.highest = self.highest.nearest(sequence);
            self.seen = shift_left(self.seen, distance as u32) | 1;
            // What follows the old numbers again refutes the jump.
            self.after_jump = None;
            return Reception::InOrder {
                lost: distance as u16 - 1,
            };
        }
        let back = u32::from(distance.unsigned_abs());
        let Some(bit) = 1u64.checked_shl(back) else {
            // Behind the bitmap it cannot be known whether it was seen; late is likelier than doubled.
            return Reception::Reordered;
        };
        if self.seen & bit != 0 {
            return Reception::Duplicate;
        }
        self.seen |= bit;
        Reception::Reordered
    }

    fn place_after_jump(&mut self, sequence: SequenceNumber) -> Reception {
        if self.after_jump != Some(sequence) {
            self.after_jump = Some(sequence.next());
            return Reception::Jump;
        }
        self.lost_before_restart = self.cumulative_lost_unclamped();
        self.received_before_restart = self.received;
        self.restart_at(sequence);
        Reception::Restarted
    }

    fn restart_at(&mut self, sequence: SequenceNumber) {
        self.base = ExtendedSequence::first(sequence);
        self.highest = self.base;
        self.seen = 1;
        self.after_jump = None;
    }

    fn expected(&self) -> u64 {
        if self.started {
            self.highest.0 - self.base.0 + 1
        } else {
            0
        }
    }

    fn received_since_restart(&self) -> u64 {
        self.received - self.received_before_restart
    }

    fn cumulative_lost_unclamped(&self) -> i64 {
        self.lost_before_restart + self.expected() as i64 - self.received_since_restart() as i64
    }

    /// Packets received, duplicates not counted.
    pub fn packets(&self) -> u64 {
        self.received
    }

    /// Bytes of payload received.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that came after a newer one.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// How often numbers were skipped, many at once or one.
    pub fn skips(&self) -> u64 {
        self.skips
    }

    /// How often the sender started again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The "extended highest sequence number received".
    pub fn extended_highest(&self) -> ExtendedSequence {
        self.highest
    }

    /// The "cumulative number of packets lost", as it fits the 24 signed bits of a report block (RFC 3550 section 6.4.1).
    pub fn cumulative_lost(&self) -> i32 {
        self.cumulative_lost_unclamped()
            .clamp(-0x80_0000, 0x7f_ffff) as i32
    }

    /// The "fraction lost" since this was last asked, in 256ths (RFC 3550 appendix A.3). It starts a new interval.
    pub fn take_fraction_lost(&mut self) -> u8 {
        let mut since = self.reported;
        let Loss { expected, lost } = self.loss_since(&mut since);
        self.reported = since;
        // With nothing expected nothing is lost. All lost would be 256, which does not fit.
        (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8
    }

    /// What was lost since `interval` began. It starts a new interval. What the sender's last restart broke off is left out.
    pub fn loss_since(&self, interval: &mut Interval) -> Loss {
        let now = Interval {
            restarts: self.restarts,
            expected: self.expected(),
            received: self.received_since_restart(),
        };
        let before = std::mem::replace(interval, now);
        let before = if before.restarts == now.restarts {
            before
        } else {
            Interval::default()
        };
        let expected = now.expected.saturating_sub(before.expected);
        let received = now.received.saturating_sub(before.received);
        Loss {
            expected,
            lost: expected.saturating_sub(received),
        }
    }

    /// Packets that the numbers promised since the beginning, and those that did not come.
    pub fn loss(&self) -> Loss {
        let expected = self.received_before_restart + self.expected();
        Loss {
            expected,
            lost: u64::try_from(self.cumulative_lost_unclamped()).unwrap_or(0),
        }
    }

    /// How the losses lie in time, since the beginning.
    pub fn bursts(&self) -> BurstMetrics {
        self.bursts.metrics()
    }

    /// The interarrival jitter in units of the timestamp (RFC 3550 appendix A.8).
    pub fn jitter(&self) -> u32 {
        self.jitter.units()
    }

    /// The interarrival jitter as a time.
    pub fn jitter_time(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.jitter()) / f64::from(self.clock_rate))
    }

    /// When the last packet came.
    pub fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// The timestamp of the newest packet.
    pub fn last_timestamp(&self) -> Option<RtpTimestamp> {
        self.last_timestamp
    }
}

/// RFC 3550 appendix A.8: the mean deviation of the difference in transit time, kept 16-fold in integers.
#[derive(Clone, Debug, Default)]
struct Jitter {
    scaled: u64,
    previous: Option<(Instant, RtpTimestamp)>,
}

impl Jitter {
    fn note(&mut self, now: Instant, timestamp: RtpTimestamp, clock_rate: u32) {
        if let Some((arrival, earlier)) = self.previous {
            let elapsed = now.saturating_duration_since(arrival);
            let units = (elapsed.as_secs_f64() * f64::from(clock_rate)).round() as i64;
            let difference = units - i64::from(timestamp.distance_from(earlier));
            self.scaled += difference.unsigned_abs();
            self.scaled -= (self.scaled - difference.unsigned_abs() + 8) >> 4;
        }
        self.previous = Some((now, timestamp));
    }

    /// A sender that starts again draws new timestamps; the step to them is not jitter.
    fn forget_transit(&mut self) {
        self.previous = None;
    }

    fn units(&self) -> u32 {
        u32::try_from(self.scaled >> 4).unwrap_or(u32::MAX)
    }
}

fn shift_left(bits: u64, by: u32) -> u64 {
    bits.checked_shl(by).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{PayloadType, Ssrc};
    use super::*;

    /// A stream of 20 ms packets at 8 kHz.
    struct Stream {
        start: Instant,
        stats: ReceptionStats,
    }

    impl Stream {
        fn new() -> Self {
            let start = crate::testing::epoch();
            Self {
                start,
                stats: ReceptionStats::new(8000),
            }
        }

        /// Receives packet `number` of the stream `late_ms` after its time.
        fn receive(&mut self, number: u32, late_ms: u64) -> Reception {
            let header = RtpHeader::new(
                PayloadType::new(8).unwrap(),
                SequenceNumber(number as u16),
                RtpTimestamp(number.wrapping_mul(160)),
                Ssrc(1),
            );
            let now = self.start + Duration::from_millis(u64::from(number) * 20 + late_ms);
            self.stats.receive(now, &header, 160)
        }
    }

    #[test]
    fn counts_loss_reordering_and_duplicates() {
        let mut stream = Stream::new();
        assert_eq!(stream.receive(10, 0), Reception::InOrder { lost: 0 });
        assert_eq!(stream.receive(11, 0), Reception::InOrder { lost: 0 });
        assert_eq!(stream.receive(14, 0), Reception::InOrder { lost: 2 });
        assert_eq!(stream.receive(12, 60), Reception::Reordered);
        assert_eq!(stream.receive(12, 61), Reception::Duplicate);
        assert_eq!(stream.stats.packets(), 4);
        assert_eq!(stream.stats.octets(), 640);
        assert_eq!(stream.stats.cumulative_lost(), 1);
        assert_eq!(stream.stats.reordered(), 1);
        assert_eq!(stream.stats.duplicates(), 1);
        assert_eq!(stream.stats.take_fraction_lost(), 51);
        assert_eq!(stream.stats.take_fraction_lost(), 0);
    }

    #[test]
    fn extends_the_sequence_over_the_wrap() {
        let mut stream = Stream::new();
        for number in 65530..65540 {
            stream.receive(number, 0);
        }
        assert_eq!(stream.stats.extended_highest(), ExtendedSequence(65539));
        assert_eq!(stream.stats.cumulative_lost(), 0);
    }

    #[test]
    fn a_restarted_sender_keeps_the_sums() {
        let mut stream = Stream::new();
        for number in [0, 1, 3] {
            stream.receive(number, 0);
        }
        assert_eq!(stream.receive(20000, 0), Reception::Jump);
        assert_eq!(stream.receive(20001, 0), Reception::Restarted);
        assert_eq!(stream.receive(20002, 0), Reception::InOrder { lost: 0 });
        assert_eq!(stream.stats.cumulative_lost(), 1);
        assert_eq!((stream.stats.skips(), stream.stats.restarts()), (1, 1));
        assert_eq!(stream.stats.packets(), 5);
        assert_eq!(stream.stats.take_fraction_lost(), 0);
    }

    #[test]
    fn two_who_look_have_intervals_of_their_own() {
        let mut stream = Stream::new();
        let mut interval = Interval::default();
        stream.receive(1, 0);
        stream.receive(4, 0);
        let all = Loss {
            expected: 4,
            lost: 2,
        };
        assert_eq!(stream.stats.loss_since(&mut interval), all);
        stream.receive(5, 0);
        let one = Loss {
            expected: 1,
            lost: 0,
        };
        assert_eq!(stream.stats.loss_since(&mut interval), one);
        assert_eq!(stream.stats.take_fraction_lost(), 102);
        stream.receive(20_000, 0);
        stream.receive(20_001, 0);
        assert_eq!(stream.stats.loss_since(&mut interval), one);
    }

    #[test]
    fn one_stray_packet_is_no_restart() {
        let mut stream = Stream::new();
        stream.receive(0, 0);
        assert_eq!(stream.receive(30000, 0), Reception::Jump);
        assert_eq!(stream.receive(1, 0), Reception::InOrder { lost: 0 });
        assert_eq!(stream.receive(30001, 0), Reception::Jump);
        assert_eq!(stream.stats.cumulative_lost(), 0);
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let mut stream = Stream::new();
        for number in 0..2000 {
            // Every second packet is 10 ms late: the transit time changes by 80 units each time.
            stream.receive(number, u64::from(number % 2) * 10);
        }
        let jitter = stream.stats.jitter();
        assert!((78..=80).contains(&jitter), "{jitter}");
        assert_eq!(stream.stats.jitter_time().as_millis(), 9);
    }

    #[test]
    fn figures_go_on_after_somebody_else_has_received_the_stream() {
        let (mut here, mut there) = (Stream::new(), Stream::new());
        for number in 65_500..65_530 {
            here.receive(number, 0);
            there.receive(number, 0);
        }
        let before = there.stats.continued().unwrap();
        let mut after = before;
        for number in (65_530..65_560).filter(|number| !(65_540..65_543).contains(number)) {
            here.receive(number, u64::from(number % 2) * 10);
            // As the kernel counts.
            let mut jitter = Jitter {
                scaled: u64::from(after.jitter_scaled),
                previous: Some((after.at, after.timestamp)),
            };
            after.received += 1;
            after.octets += 160;
            after.skips += u32::from(number == 65_543);
            after.sequence = number;
            after.timestamp = RtpTimestamp(number.wrapping_mul(160));
            let late = u64::from(number % 2) * 10;
            after.at = there.start + Duration::from_millis(u64::from(number) * 20 + late);
            jitter.note(after.at, after.timestamp, 8000);
            after.jitter_scaled = jitter.scaled as u32;
        }
        there.stats.receive_elsewhere(&before, &after);
        for number in 65_560..65_570 {
            assert_eq!(here.receive(number, 0), there.receive(number, 0));
        }
        let figures = |stats: &mut ReceptionStats| {
            (
                [stats.packets(), stats.octets(), stats.skips()],
                stats.cumulative_lost(),
                stats.extended_highest(),
                stats.take_fraction_lost(),
                stats.jitter(),
                stats.bursts(),
            )
        };
        assert_eq!(figures(&mut there.stats), figures(&mut here.stats));
        assert_eq!(there.receive(65_569, 0), Reception::Duplicate);
    }

    #[test]
    fn a_steady_stream_has_no_jitter() {
        let mut stream = Stream::new();
        for number in 0..100 {
            stream.receive(number, 5);
        }
        assert_eq!(stream.stats.jitter(), 0);
    }
}
