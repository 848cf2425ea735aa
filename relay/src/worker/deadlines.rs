//! When which call wants to be called.
//!
//! Deadlines are rounded up to whole milliseconds, so that the many of a busy worker fall together instead of waking it one by
//! one.
//! A deadline that moves away keeps its place until it comes up and is asked again: most packets move a deadline a little
//! further, and a packet must not pay for a tree.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The deadlines of one worker's calls.
#[derive(Debug)]
pub struct Deadlines {
    epoch: Instant,
    queue: BTreeSet<(u64, u32)>,
    /// What stands in the queue for each call.
    queued: Vec<Option<u64>>,
}

impl Deadlines {
    /// None yet; `epoch` lies before every deadline.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            queue: BTreeSet::new(),
            queued: Vec::new(),
        }
    }

    /// Call number `call` wants to be called at `deadline`, or not at all. What is due at `now` already is due in this round, not
    /// a millisecond later.
    pub fn set(&mut self, call: u32, deadline: Option<Instant>, now: Instant) {
        let tick = deadline.map(|deadline| {
            if deadline <= now {
                self.tick(now).saturating_sub(1)
            } else {
                self.tick(deadline)
            }
        });
        let index = call as usize;
        if index >= self.queued.len() {
            self.queued.resize(index + 1, None);
        }
        let queued = &mut self.queued[index];
        match (*queued, tick) {
            (None, None) => {}
            // Later than what stands: it will be asked again when that comes up.
            (Some(old), Some(new)) if old <= new => {}
            (old, new) => {
                if let Some(old) = old {
                    self.queue.remove(&(old, call));
                }
                if let Some(new) = new {
                    self.queue.insert((new, call));
                }
                *queued = new;
            }
        }
    }

    /// When the first one is due.
    pub fn next(&self) -> Option<Instant> {
        let &(tick, _) = self.queue.first()?;
        Some(self.epoch + Duration::from_millis(tick))
    }

    /// Takes the first call that is due. Its deadline is gone; ask the call for the next one.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let &(tick, call) = self.queue.first()?;
        if self.epoch + Duration::from_millis(tick) > now {
            return None;
        }
        self.queue.pop_first();
        self.queued[call as usize] = None;
        Some(call)
    }

    fn tick(&self, deadline: Instant) -> u64 {
        let since = deadline.saturating_duration_since(self.epoch);
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        micros.div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: Instant, micros: u64) -> Instant {
        epoch + Duration::from_micros(micros)
    }

    #[test]
    fn calls_come_up_in_the_order_of_their_deadlines() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        deadlines.set(1, Some(at(epoch, 5000)), epoch);
        deadlines.set(2, Some(at(epoch, 3000)), epoch);
        deadlines.set(3, None, epoch);
        assert_eq!(deadlines.next(), Some(at(epoch, 3000)));
        assert_eq!(deadlines.pop_due(at(epoch, 2999)), None);
        assert_eq!(deadlines.pop_due(at(epoch, 9000)), Some(2));
        assert_eq!(deadlines.pop_due(at(epoch, 9000)), Some(1));
        assert_eq!(deadlines.pop_due(at(epoch, 9000)), None);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn neighbours_fall_together_and_nobody_is_called_early() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        deadlines.set(1, Some(at(epoch, 2100)), epoch);
        deadlines.set(2, Some(at(epoch, 2900)), epoch);
        assert_eq!(deadlines.pop_due(at(epoch, 2950)), None);
        assert_eq!(deadlines.pop_due(at(epoch, 3000)), Some(1));
        assert_eq!(deadlines.pop_due(at(epoch, 3000)), Some(2));
    }

    #[test]
    fn a_nearer_deadline_counts_at_once_and_a_farther_one_when_the_old_comes_up() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        deadlines.set(1, Some(at(epoch, 9000)), epoch);
        deadlines.set(1, Some(at(epoch, 4000)), epoch);
        assert_eq!(deadlines.next(), Some(at(epoch, 4000)));
        deadlines.set(1, Some(at(epoch, 8000)), epoch);
        assert_eq!(deadlines.pop_due(at(epoch, 4000)), Some(1));
        deadlines.set(1, Some(at(epoch, 8000)), epoch);
        assert_eq!(deadlines.next(), Some(at(epoch, 8000)));
    }

    #[test]
    fn what_is_due_already_is_served_in_the_same_round() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        for micros in [0, 5000, 5300] {
            let now = at(epoch, micros);
            deadlines.set(1, Some(now), now);
            assert_eq!(deadlines.pop_due(now), Some(1), "{micros}");
        }
    }

    #[test]
    fn a_call_that_is_gone_wants_nothing() {
        let epoch = Instant::now();
        let mut deadlines = Deadlines::new(epoch);
        deadlines.set(7, Some(at(epoch, 1000)), epoch);
        deadlines.set(7, None, epoch);
        assert_eq!(deadlines.next(), None);
        assert_eq!(deadlines.pop_due(at(epoch, 5000)), None);
    }
}
