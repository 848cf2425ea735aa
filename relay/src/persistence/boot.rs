//! Time that goes on from one process to the next, although somebody may set the clock in between.
//!
//! How much time has passed since a call was written down decides how many numbers of its streams are left out, so it must not
//! depend on the clock on the wall. The kernel's uptime goes on as long as the machine does.

use std::io;
use std::time::{Duration, Instant};

use relay_call::WallClock;
use serde::{Deserialize, Serialize};

/// This run of the machine, and how long it had run at some moment.
#[derive(Debug)]
pub struct Boot {
    id: String,
    at: Instant,
    uptime: Duration,
}

/// What a clock showed when the machine had run so long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenClock {
    boot: String,
    uptime: Duration,
    unix: Duration,
}

impl Boot {
    /// Asks the kernel.
    pub fn now() -> io::Result<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let uptime = std::fs::read_to_string("/proc/uptime")?;
        let seconds = uptime
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok());
        let uptime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let uptime = uptime.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            id: id.trim().to_owned(),
            at: Instant::now(),
            uptime,
        })
    }

    fn uptime(&self, now: Instant) -> Duration {
        self.uptime + now.saturating_duration_since(self.at)
    }

    /// A clock of this process, written down.
    pub(super) fn clock(&self, now: Instant, clock: &WallClock) -> WrittenClock {
        WrittenClock {
            boot: self.id.clone(),
            uptime: self.uptime(now),
            unix: clock.unix_at(now),
        }
    }

    /// The clock that was written down, in terms of this process; `None` if the machine has been started since.
    pub(super) fn clock_of(&self, now: Instant, written: &WrittenClock) -> Option<WallClock> {
        let passed = self.uptime(now).checked_sub(written.uptime)?;
        (written.boot == self.id).then(|| WallClock {
            at: now,
            unix: written.unix + passed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_in_another_process_and_not_after_another_boot() {
        let before = Boot::now().unwrap();
        let after = Boot::now().unwrap();
        let now = Instant::now();
        let clock = WallClock {
            at: now,
            unix: Duration::from_secs(1_000),
        };
        let mut written = before.clock(now, &clock);
        let later = now + Duration::from_secs(5);
        let restored = after.clock_of(later, &written).unwrap();
        let passed = restored.unix_at(later) - clock.unix;
        // The kernel tells its uptime in hundredths of a second.
        assert!(passed.abs_diff(Duration::from_secs(5)) < Duration::from_millis(50));
        written.boot.push('x');
        assert!(after.clock_of(later, &written).is_none());
    }
}
