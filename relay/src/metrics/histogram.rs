//! How often something had which size.

use std::time::Duration;

/// The most bounds that a scale may have.
const MOST: usize = 16;

/// Upper bounds, the smallest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale(&'static [f64]);

impl Scale {
    /// One scale for everything that is timed, from a request (tens of microseconds) to a call that Meta gives up (20 s), so that
    /// any two can be laid side by side.
    pub const SECONDS: Self = Self(&[
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
        5.0, 20.0,
    ]);
    /// Mean opinion scores: below 3.5 people complain, about 4.3 is usual.
    pub const SCORES: Self = Self(&[1.5, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 4.1, 4.2, 4.3, 4.5]);
    /// Shares of a whole, where small ones matter.
    pub const SHARES: Self = Self(&[
        0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0,
    ]);
}

// unwrap: checked when it is compiled.
const _: () = assert!(
    Scale::SECONDS.0.len() <= MOST
        && Scale::SCORES.0.len() <= MOST
        && Scale::SHARES.0.len() <= MOST
);

/// Counts by size.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    scale: Scale,
    counts: [u64; MOST],
    beyond: u64,
    sum: f64,
}

impl Default for Histogram {
    /// Of durations.
    fn default() -> Self {
        Self::on(Scale::SECONDS)
    }
}

impl Histogram {
    /// An empty one.
    pub fn on(scale: Scale) -> Self {
        Self {
            scale,
            counts: [0; MOST],
            beyond: 0,
            sum: 0.0,
        }
    }

    /// Counts a duration, in seconds.
    pub fn note(&mut self, took: Duration) {
        self.note_value(took.as_secs_f64());
    }

    /// Counts a value.
    pub fn note_value(&mut self, value: f64) {
        match self.scale.0.iter().position(|&bound| value <= bound) {
            Some(bucket) => self.counts[bucket] += 1,
            None => self.beyond += 1,
        }
        self.sum += value;
    }

    /// Adds the counts of another one of the same scale.
    pub fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.scale, other.scale);
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.beyond += other.beyond;
        self.sum += other.sum;
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Each bound with the number of those that are not larger.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.scale.0.iter().copied().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_counts_all_that_took_no_longer() {
        let mut histogram = Histogram::default();
        for micros in [100, 101, 3_000, 30_000_000] {
            histogram.note(Duration::from_micros(micros));
        }
        let mut both = Histogram::default();
        both.add(&histogram);
        both.add(&histogram);
        let cumulative: Vec<(f64, u64)> = both.cumulative().collect();
        assert_eq!(cumulative[..2], [(0.0001, 2), (0.00025, 4)]);
        assert_eq!(cumulative[5], (0.005, 6));
        assert_eq!(cumulative.last(), Some(&(20.0, 6)));
        assert_eq!(both.count(), 8);
        assert!((both.sum() - 60.006_402).abs() < 1e-9);
    }

    #[test]
    fn a_scale_of_scores_has_bounds_where_scores_are() {
        let mut scores = Histogram::on(Scale::SCORES);
        for score in [4.4, 4.3, 3.4, 1.0] {
            scores.note_value(score);
        }
        let below = |limit: f64| scores.cumulative().find(|(bound, _)| *bound == limit);
        assert_eq!(below(3.5), Some((3.5, 2)));
        assert_eq!(below(4.3), Some((4.3, 3)));
        assert_eq!(below(4.5), Some((4.5, 4)));
    }
}
