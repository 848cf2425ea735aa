//! How good a call has been for one source, over time.

use std::time::{Duration, Instant};

use super::mos::Mos;

/// Reports that come faster than this are not told apart.
const SPACING: Duration = Duration::from_secs(1);
/// Judgements that are kept; with more of them every second one goes.
const MOST_KEPT: usize = 64;
/// So many parts the progression in a reply has.
const PARTS: u64 = 10;

/// One look at the quality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judgement {
    /// When it was taken.
    pub(crate) at: Instant,
    /// `None` while the round trip from end to end is not known.
    pub(crate) mos: Option<Mos>,
    /// From end to end.
    pub(crate) round_trip: Duration,
    /// Between us and the source.
    pub(crate) round_trip_leg: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss_percent: u32,
}

/// All judgements about one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quality {
    /// What the source last said it had lost altogether.
    reported_lost: Option<i32>,
    /// Of those with a score.
    sums: Sums,
    lowest: Option<Judgement>,
    highest: Option<Judgement>,
    progression: Vec<Judgement>,
    /// The least time between two that are kept.
    spacing: Duration,
    last: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    samples: u32,
    tenths: u32,
    round_trip: Duration,
    round_trip_leg: Duration,
    jitter: Duration,
    loss_percent: u32,
}

/// The mean of all judgements with a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Average {
    pub(crate) samples: u32,
    pub(crate) tenths: u32,
    pub(crate) round_trip: Duration,
    pub(crate) round_trip_leg: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss_percent: u32,
}

impl Quality {
    /// The source reports how much it has lost since it began to listen.
    pub(crate) fn lost(&mut self, cumulative: i32) {
        self.reported_lost = Some(cumulative);
    }

    /// What the source last said it had lost altogether.
    pub(crate) fn reported_lost(&self) -> Option<i32> {
        self.reported_lost
    }

    /// Takes a judgement in, unless one was taken just before.
    pub(crate) fn note(&mut self, judgement: Judgement) {
        let at = judgement.at;
        if self
            .last
            .is_some_and(|last| at.saturating_duration_since(last) < SPACING)
        {
            return;
        }
        self.last = Some(at);
        self.keep(judgement);
        let Some(mos) = judgement.mos else { return };
        let sums = &mut self.sums;
        sums.samples += 1;
        sums.tenths += mos.tenths();
        sums.round_trip += judgement.round_trip;
        sums.round_trip_leg += judgement.round_trip_leg;
        sums.jitter += judgement.jitter;
        sums.loss_percent += judgement.loss_percent;
        if self.lowest.is_none_or(|lowest| judgement.mos < lowest.mos) {
            self.lowest = Some(judgement);
        }
        if self
            .highest
            .is_none_or(|highest| judgement.mos > highest.mos)
        {
            self.highest = Some(judgement);
        }
    }

    fn keep(&mut self, judgement: Judgement) {
        let due = self
            .progression
            .last()
            .is_none_or(|last| judgement.at.saturating_duration_since(last.at) >= self.spacing);
        if !due {
            return;
        }
        if self.progression.len() == MOST_KEPT {
            let mut index = 0;
            self.progression.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.spacing = (self.spacing * 2).max(SPACING * 2);
        }
        self.progression.push(judgement);
    }

    /// The mean; `None` while there is no score.
    pub(crate) fn average(&self) -> Option<Average> {
        let Sums {
            samples,
            tenths,
            round_trip,
            round_trip_leg,
            jitter,
            loss_percent,
        } = self.sums;
        (samples > 0).then(|| Average {
            samples,
            tenths: tenths / samples,
            round_trip: round_trip / samples,
            round_trip_leg: round_trip_leg / samples,
            jitter: jitter / samples,
            loss_percent: loss_percent / samples,
        })
    }

    /// The judgements with the lowest and with the highest score; the first of equals.
    pub(crate) fn extremes(&self) -> Option<[&Judgement; 2]> {
        Some([self.lowest.as_ref()?, self.highest.as_ref()?])
    }

    /// About ten judgements from the first to the last, and the seconds between them.
    pub(crate) fn progression(&self) -> (u64, Vec<&Judgement>) {
        let (Some(first), Some(last)) = (self.progression.first(), self.progression.last()) else {
            return (0, Vec::new());
        };
        let interval = last.at.saturating_duration_since(first.at).as_secs() / PARTS;
        let mut entries: Vec<&Judgement> = Vec::new();
        for judgement in &self.progression {
            let due = entries.last().is_none_or(|before| {
                judgement.at.saturating_duration_since(before.at) >= Duration::from_secs(interval)
            });
            if due {
                entries.push(judgement);
            }
        }
        (interval, entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(start: Instant, seconds: u64, jitter_ms: u64) -> Judgement {
        let jitter = Duration::from_millis(jitter_ms);
        Judgement {
            at: start + Duration::from_secs(seconds),
            mos: Some(Mos::of(Duration::ZERO, jitter, 0)),
            round_trip: Duration::from_millis(seconds),
            round_trip_leg: Duration::ZERO,
            jitter,
            loss_percent: 0,
        }
    }

    #[test]
    fn averages_and_extremes_are_over_what_has_a_score() {
        let start = crate::testing::epoch();
        let mut quality = Quality::default();
        quality.note(Judgement {
            mos: None,
            ..judgement(start, 0, 500)
        });
        assert!(quality.average().is_none() && quality.extremes().is_none());
        for (seconds, jitter) in [(1, 100), (2, 0), (3, 100), (4, 0)] {
            quality.note(judgement(start, seconds, jitter));
        }
        // Too soon after the last one.
        quality.note(Judgement {
            at: start + Duration::from_millis(4_999),
            ..judgement(start, 4, 900)
        });
        let average = quality.average().unwrap();
        assert_eq!(
            (average.samples, average.jitter),
            (4, Duration::from_millis(50))
        );
        assert_eq!(average.round_trip, Duration::from_micros(2_500));
        let [lowest, highest] = quality.extremes().unwrap();
        assert_eq!(
            (lowest.at, highest.at),
            (
                start + Duration::from_secs(1),
                start + Duration::from_secs(2)
            )
        );
        assert_eq!(quality.progression().1.len(), 5);
    }

    #[test]
    fn a_progression_has_about_ten_parts_however_long_the_call() {
        let start = crate::testing::epoch();
        for (length, interval) in [(8, 0), (58, 5), (352, 35), (40_000, 3_999)] {
            let mut quality = Quality::default();
            for seconds in 0..length {
                quality.note(judgement(start, seconds, 0));
            }
            let (seconds, entries) = quality.progression();
            assert!(
                seconds <= interval && seconds >= interval * 9 / 10,
                "{length}: {seconds}"
            );
            assert!(entries.len() <= 12, "{length}: {}", entries.len());
            assert!(entries.len() >= 8, "{length}: {}", entries.len());
            assert!(quality.progression.len() <= MOST_KEPT);
        }
    }
}
