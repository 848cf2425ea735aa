//! The mean opinion score: what a listener would say of a line with this delay, jitter and loss.
//!
//! A well-known simplification of ITU-T G.107. Jitter counts twice, since a jitter buffer must be about that long, and 10 ms
//! stand for the codecs; delay hurts little up to 160 ms and quickly beyond; each percent of loss costs 2.5. The rating
//! becomes a score by the formula of G.107 appendix B. rtpengine 10.5 gives the same numbers for the same reports.

use std::time::Duration;

/// The rating of a line without delay and loss.
const BEST: f64 = 93.2;

/// A score from 1.0 to 4.3, in tenths, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mos(u32);

impl Mos {
    /// Of a line with this round trip from end to end, this jitter, and this percentage of packets lost.
    pub(crate) fn of(round_trip: Duration, jitter: Duration, loss_percent: u32) -> Self {
        let rating = rating(round_trip, jitter, loss_percent);
        let score = 1.0 + 0.035 * rating + 0.000_007 * rating * (rating - 60.0) * (100.0 - rating);
        // Between 0 and 93.2 the formula stays between 0.98 and 4.42.
        Self((score * 10.0).max(10.0) as u32)
    }

    /// Ten times the score, as NG replies write it.
    pub(crate) fn tenths(self) -> u32 {
        self.0
    }

    /// The score itself.
    pub(crate) fn score(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

/// The rating of such a line ("R factor"), 0 to 93.2.
pub(crate) fn rating(round_trip: Duration, jitter: Duration, loss_percent: u32) -> f64 {
    // In whole milliseconds, as the scores that people compare with were made.
    let delay = (round_trip.as_millis() + 2 * jitter.as_millis() + 10) as f64;
    let rating = if delay < 160.0 {
        BEST - delay / 40.0
    } else {
        BEST - (delay - 120.0) / 10.0
    };
    (rating - 2.5 * f64::from(loss_percent)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rtpengine 10.5 said of the same figures: round trip in microseconds, jitter in ms, loss in percent, score.
    const OBSERVED: [(u64, u64, u32, u32); 22] = [
        (87_658, 0, 0, 43),
        (168_923, 0, 0, 42),
        (267_551, 0, 0, 39),
        (361_087, 0, 0, 35),
        (461_263, 0, 0, 30),
        (668_280, 0, 0, 19),
        (1_061_167, 0, 0, 10),
        (1_873_619, 0, 0, 10),
        (81_371, 20, 0, 43),
        (84_921, 50, 0, 42),
        (81_151, 100, 0, 38),
        (81_007, 200, 0, 28),
        (81_095, 0, 1, 42),
        (81_094, 0, 5, 39),
        (81_247, 0, 10, 34),
        (80_943, 0, 20, 21),
        (81_092, 0, 31, 10),
        (81_212, 0, 99, 10),
        (1_861_086, 1000, 99, 10),
        (86_654, 10, 3, 41),
        (98_856, 20, 10, 33),
        (164_050, 10, 5, 37),
    ];

    #[test]
    fn the_same_figures_give_the_same_score_as_before_the_change() {
        for (round_trip, jitter, loss, tenths) in OBSERVED {
            let mos = Mos::of(
                Duration::from_micros(round_trip),
                Duration::from_millis(jitter),
                loss,
            );
            assert_eq!(
                mos.tenths(),
                tenths,
                "{round_trip} us, {jitter} ms, {loss} %"
            );
        }
    }

    #[test]
    fn nothing_makes_a_score_leave_its_range() {
        for (round_trip, jitter, loss) in
            [(0, 0, 0), (u64::from(u32::MAX), 0, 0), (0, 1 << 40, 255)]
        {
            let mos = Mos::of(
                Duration::from_millis(round_trip),
                Duration::from_millis(jitter),
                loss,
            );
            assert!((10..=44).contains(&mos.tenths()), "{mos:?}");
        }
    }
}
