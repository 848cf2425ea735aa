//! How often something took how long.

use std::time::Duration;

/// Upper bounds in seconds. One scale for everything that is timed, from a request (tens of microseconds) to a call that
/// Meta gives up (20 s), so that any two can be laid side by side.
const BOUNDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 20.0,
];

/// Counts of durations by size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len()],
    beyond: u64,
    seconds: f64,
}

impl Histogram {
    /// Counts one.
    pub fn note(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        match BOUNDS.iter().position(|&bound| seconds <= bound) {
            Some(bucket) => self.counts[bucket] += 1,
            None => self.beyond += 1,
        }
        self.seconds += seconds;
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.beyond += other.beyond;
        self.seconds += other.seconds;
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }

    /// Their sum in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Each bound with the number of those that took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.into_iter().scan(0, {
            let mut counts = self.counts.iter();
            move |sum, bound| {
                *sum += counts.next()?;
                Some((bound, *sum))
            }
        })
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
        assert!((both.seconds() - 60.006_402).abs() < 1e-9);
    }
}
