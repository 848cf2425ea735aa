//! What a call adds to the sums over all calls.

use std::net::IpAddr;
use std::sync::Arc;

use relay_packet::DropReason;

use super::Counter;

/// Where something was counted. Several interfaces may share an address, and one may have several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The interface, by its name.
    pub interface: Arc<str>,
    /// The local address.
    pub address: IpAddr,
}

/// What is sampled once for every report about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Figure {
    /// The mean opinion score, 1 to 5.
    Mos,
    /// Jitter that parties report, in milliseconds.
    Jitter,
    /// Round trip from end to end, in microseconds.
    RttEndToEnd,
    /// Round trip between us and one party, in microseconds.
    RttLeg,
    /// Loss in percent.
    PacketLoss,
    /// Jitter that we measure, in milliseconds.
    JitterMeasured,
}

impl Figure {
    /// Every figure, in the order of statistics.
    pub const ALL: [Self; 6] = [
        Self::Mos,
        Self::Jitter,
        Self::RttEndToEnd,
        Self::RttLeg,
        Self::PacketLoss,
        Self::JitterMeasured,
    ];

    /// The name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mos => "mos",
            Self::Jitter => "jitter",
            Self::RttEndToEnd => "rtt_e2e",
            Self::RttLeg => "rtt_dsct",
            Self::PacketLoss => "packetloss",
            Self::JitterMeasured => "jitter_measured",
        }
    }
}

/// Sums over samples of one figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Samples {
    /// Of the values.
    pub total: f64,
    /// Of their squares.
    pub squares: f64,
    /// How many there are.
    pub count: u64,
}

impl Samples {
    pub(crate) fn note(&mut self, value: f64) {
        self.total += value;
        self.squares += value * value;
        self.count += 1;
    }

    /// The mean; zero without samples.
    pub fn average(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.total / self.count as f64
        }
    }

    /// The standard deviation; zero without samples.
    pub fn deviation(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let average = self.average();
        (self.squares / self.count as f64 - average * average)
            .max(0.0)
            .sqrt()
    }
}

/// Packets, losses and samples; everything only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// RTP that came in.
    pub rtp_in: Counter,
    /// RTCP that came in.
    pub rtcp_in: Counter,
    /// RTP that left.
    pub rtp_out: Counter,
    /// RTCP that left.
    pub rtcp_out: Counter,
    /// RTP that was sent and never came.
    pub lost: u64,
    /// RTP that came twice.
    pub duplicates: u64,
    /// How often numbers were skipped.
    pub skips: u64,
    /// How often a sender started again.
    pub restarts: u64,
    /// RTP that came after newer RTP.
    pub reordered: u64,
    /// By [`Figure`].
    pub samples: [Samples; Figure::ALL.len()],
    /// Packets that went nowhere, by [`DropReason`].
    pub drops: [u64; DropReason::ALL.len()],
}

impl Tally {
    /// The samples of one figure.
    pub fn of(&self, figure: Figure) -> &Samples {
        &self.samples[figure as usize]
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.rtp_in = self.rtp_in.plus(other.rtp_in);
        self.rtcp_in = self.rtcp_in.plus(other.rtcp_in);
        self.rtp_out = self.rtp_out.plus(other.rtp_out);
        self.rtcp_out = self.rtcp_out.plus(other.rtcp_out);
        for (sum, count) in self.losses_mut().into_iter().zip(other.losses()) {
            *sum += count;
        }
        for (sum, samples) in self.samples.iter_mut().zip(other.samples) {
            sum.total += samples.total;
            sum.squares += samples.squares;
            sum.count += samples.count;
        }
        for (sum, count) in self.drops.iter_mut().zip(other.drops) {
            *sum += count;
        }
    }

    /// What has come since it was `told` last, which is brought up to date. A packet that was lost and came after all is not
    /// taken back: sums over all calls may only grow.
    pub fn news(&self, told: &mut Self) -> Self {
        let mut news = *self;
        news.rtp_in = self.rtp_in.since(told.rtp_in);
        news.rtcp_in = self.rtcp_in.since(told.rtcp_in);
        news.rtp_out = self.rtp_out.since(told.rtp_out);
        news.rtcp_out = self.rtcp_out.since(told.rtcp_out);
        for (new, before) in news.losses_mut().into_iter().zip(told.losses()) {
            *new = new.saturating_sub(before);
        }
        for (new, before) in news.samples.iter_mut().zip(told.samples) {
            new.total -= before.total;
            new.squares -= before.squares;
            new.count -= before.count;
        }
        for (new, before) in news.drops.iter_mut().zip(told.drops) {
            *new = new.saturating_sub(before);
        }
        told.add(&news);
        news
    }

    fn losses(&self) -> [u64; 5] {
        [
            self.lost,
            self.duplicates,
            self.skips,
            self.restarts,
            self.reordered,
        ]
    }

    fn losses_mut(&mut self) -> [&mut u64; 5] {
        [
            &mut self.lost,
            &mut self.duplicates,
            &mut self.skips,
            &mut self.restarts,
            &mut self.reordered,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_add_up_to_the_whole_and_take_no_loss_back() {
        let mut tally = Tally::default();
        let (mut told, mut sum) = (Tally::default(), Tally::default());
        for (packets, lost, score) in [(5, 2, 4.0), (9, 1, 3.0), (12, 4, 2.0)] {
            tally.rtp_in.packets = packets;
            tally.lost = lost;
            tally.samples[Figure::Mos as usize].note(score);
            tally.drops[3] += 1;
            sum.add(&tally.news(&mut told));
        }
        assert_eq!(sum, tally);
        tally.lost = 1;
        assert_eq!(tally.news(&mut told).lost, 0);
        assert_eq!(told.lost, 4);
        assert_eq!(sum.of(Figure::Mos).average(), 3.0);
        assert!((sum.of(Figure::Mos).deviation() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-9);
        assert_eq!(sum.of(Figure::Jitter).deviation(), 0.0);
    }
}
