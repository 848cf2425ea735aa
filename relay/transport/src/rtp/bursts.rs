//! Bursts and gaps: how the losses of a stream lie in time (RFC 3611 section 4.7.2 and appendix A.2).
//!
//! A gap is a stretch in which fewer packets are lost than one in [`GMIN`]; a burst is what lies between gaps. Ten losses in a
//! row are heard, ten in an hour are not.

use super::Reception;

/// So many packets in a row must arrive between two losses for the second to be one of a gap (RFC 3611 section 4.7.2).
pub const GMIN: u8 = 16;

/// Counts transitions, as the RFC does: 1 is a gap, 3 a burst, and in it 2 what arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Bursts {
    /// Packets that arrived since the last loss.
    run: u64,
    /// Losses since the last run that was long enough for a gap.
    losses: u64,
    c11: u64,
    c13: u64,
    c14: u64,
    c22: u64,
    c23: u64,
    c33: u64,
}

/// Densities in 256ths, lengths in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BurstMetrics {
    pub burst_density: u8,
    pub gap_density: u8,
    pub burst_packets: u64,
    pub gap_packets: u64,
}

impl Bursts {
    /// Notes how a packet came.
    pub(super) fn note(&mut self, reception: Reception) {
        if let Reception::InOrder { lost } = reception {
            for _ in 0..lost {
                self.lose();
            }
            self.run += 1;
        }
    }

    /// Notes packets of which it is not known between which of them those that were lost lie: it is taken for one place.
    pub(super) fn note_run(&mut self, received: u64, lost: u64) {
        self.run += received / 2;
        // So many at most may be skipped between two packets, and a run is a second.
        for _ in 0..lost.min(u64::from(u16::MAX)) {
            self.lose();
        }
        self.run += received - received / 2;
    }

    fn lose(&mut self) {
        if self.run >= u64::from(GMIN) {
            if self.losses == 1 {
                self.c14 += 1;
            } else {
                self.c13 += 1;
            }
            self.losses = 1;
            self.c11 += self.run;
        } else {
            self.losses += 1;
            if self.run == 0 {
                self.c33 += 1;
            } else {
                self.c23 += 1;
                self.c22 += self.run - 1;
            }
        }
        self.run = 0;
    }

    /// The metrics since the stream began.
    pub(super) fn metrics(&self) -> BurstMetrics {
        let (c31, c32) = (self.c13, self.c23);
        let c11 = self.c11 + self.run;
        let share = |part: u64, whole: u64| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let p32 = share(c32, c31 + c32 + self.c33);
        let p23 = 1.0 - share(self.c22, self.c22 + self.c23);
        let density = |share: f64| (share * 256.0).min(255.0) as u8;
        let bursts = self.c13;
        let in_gaps = c11 + self.c14 + self.c13;
        let all = in_gaps + self.c22 + self.c23 + c31 + c32 + self.c33;
        let gap_packets = in_gaps / bursts.max(1);
        BurstMetrics {
            burst_density: if bursts == 0 {
                0
            } else {
                density(p23 / (p23 + p32))
            },
            gap_density: density(share(self.c14, c11 + self.c14)),
            burst_packets: all
                .checked_div(bursts)
                .map_or(0, |mean| mean.saturating_sub(gap_packets)),
            gap_packets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(losses: impl IntoIterator<Item = (u64, u16)>) -> BurstMetrics {
        let mut bursts = Bursts::default();
        for (arrived, lost) in losses {
            for _ in 0..arrived {
                bursts.note(Reception::InOrder { lost: 0 });
            }
            bursts.note(Reception::InOrder { lost });
        }
        bursts.metrics()
    }

    #[test]
    fn without_loss_there_is_one_gap() {
        let metrics = after([(499, 0)]);
        assert_eq!((metrics.gap_packets, metrics.gap_density), (500, 0));
        assert_eq!((metrics.burst_packets, metrics.burst_density), (0, 0));
    }

    #[test]
    fn single_losses_far_apart_are_of_gaps() {
        let metrics = after((0..20).map(|_| (99, 1)));
        assert!(metrics.burst_packets <= 2, "{metrics:?}");
        // One in a hundred.
        assert!((2..=3).contains(&metrics.gap_density), "{metrics:?}");
    }

    #[test]
    fn losses_together_are_a_burst() {
        // Ten bursts of ten, a second and a half apart (75 packets of 20 ms).
        let metrics = after((0..10).map(|_| (74, 10)));
        assert!(metrics.burst_density > 200, "{metrics:?}");
        assert!((8..=12).contains(&metrics.burst_packets), "{metrics:?}");
        assert!((65..=80).contains(&metrics.gap_packets), "{metrics:?}");
        assert_eq!(metrics.gap_density, 0);
    }
}
