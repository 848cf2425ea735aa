//! When the next round of checks is due.
//!
//! ```text
//! remote known   start                3 s                 23 s
//!   | background   | dense             | sparse            | rare
//!   | every 500 ms | every 20 ms       | every 200 ms      | every second
//! ```
//!
//! The peer can answer only after it has processed our SDP, and nobody tells us when that is. Checks before `start` (the
//! telephone is ringing) are a courtesy and use up nothing: the dense phase begins at `start`, however long that took.

use std::time::{Duration, Instant};

/// The paces, and how long they last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckPace {
    /// Before `start`.
    pub background: Duration,
    /// From `start` on.
    pub dense: Duration,
    /// How long the dense phase lasts.
    pub dense_for: Duration,
    /// After the dense phase.
    pub sparse: Duration,
    /// How long the sparse phase lasts.
    pub sparse_for: Duration,
    /// After that, for as long as the call lives.
    pub rare: Duration,
}

impl Default for CheckPace {
    fn default() -> Self {
        Self {
            background: Duration::from_millis(500),
            dense: Duration::from_millis(20),
            dense_for: Duration::from_secs(3),
            sparse: Duration::from_millis(200),
            sparse_for: Duration::from_secs(20),
            rare: Duration::from_secs(1),
        }
    }
}

/// The clock of the checks.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: CheckPace,
    /// When the dense phase began, if it has.
    dense_from: Option<Instant>,
    round_at: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(pace: CheckPace) -> Self {
        Self {
            pace,
            dense_from: None,
            round_at: None,
        }
    }

    /// Begins the dense phase, again if need be, with a round at once.
    pub(super) fn start(&mut self, now: Instant) {
        self.dense_from = Some(now);
        self.round_at = Some(now);
    }

    pub(super) fn is_started(&self) -> bool {
        self.dense_from.is_some()
    }

    /// A round at once; the phase stays.
    pub(super) fn wake(&mut self, now: Instant) {
        self.round_at = Some(now);
    }

    pub(super) fn round_at(&self) -> Option<Instant> {
        self.round_at
    }

    /// Whether a round is due; the next one is set, an interval after this one *was due*, so that lateness does not add up.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let Some(due) = self.round_at.filter(|due| *due <= now) else {
            return false;
        };
        let interval = self.interval(now);
        let next = due + interval;
        self.round_at = Some(if next > now { next } else { now + interval });
        true
    }

    fn interval(&self, now: Instant) -> Duration {
        let Some(from) = self.dense_from else {
            return self.pace.background;
        };
        let age = now.saturating_duration_since(from);
        if age < self.pace.dense_for {
            self.pace.dense
        } else if age < self.pace.dense_for + self.pace.sparse_for {
            self.pace.sparse
        } else {
            self.pace.rare
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds_between(schedule: &mut Schedule, from: Instant, to: Instant) -> usize {
        let mut count = 0;
        while let Some(due) = schedule.round_at().filter(|due| *due < to) {
            assert!(due >= from);
            assert!(schedule.take_due(due));
            count += 1;
        }
        count
    }

    #[test]
    fn the_pace_slows_down_in_steps() {
        let start = crate::testing::epoch();
        let second = Duration::from_secs(1);
        let mut schedule = Schedule::new(CheckPace::default());
        schedule.start(start);
        assert_eq!(
            rounds_between(&mut schedule, start, start + 3 * second),
            150
        );
        let dense_end = start + 3 * second;
        assert_eq!(
            rounds_between(&mut schedule, dense_end, start + 23 * second),
            100
        );
        let sparse_end = start + 23 * second;
        assert_eq!(
            rounds_between(&mut schedule, sparse_end, start + 33 * second),
            10
        );
    }

    #[test]
    fn ringing_uses_up_nothing() {
        let ringing = crate::testing::epoch();
        let mut schedule = Schedule::new(CheckPace::default());
        schedule.wake(ringing);
        let answered = ringing + Duration::from_secs(12);
        assert_eq!(rounds_between(&mut schedule, ringing, answered), 24);
        schedule.start(answered);
        let later = answered + Duration::from_secs(3);
        assert_eq!(rounds_between(&mut schedule, answered, later), 150);
    }

    #[test]
    fn a_late_worker_is_not_flooded_by_what_it_missed() {
        let start = crate::testing::epoch();
        let mut schedule = Schedule::new(CheckPace::default());
        schedule.start(start);
        let late = start + Duration::from_millis(500);
        assert!(schedule.take_due(late));
        assert!(!schedule.take_due(late));
        assert_eq!(schedule.round_at(), Some(late + Duration::from_millis(20)));
    }
}
