//! What a worker thread asks of the scheduler.

use std::io;
use std::num::NonZeroU64;

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

/// Lets this thread's sleeps end when asked: the default slack of 50 microseconds would blur a nap of 128.
pub fn sharpen_timers() -> io::Result<()> {
    Ok(set_current_timer_slack(NonZeroU64::new(1))?)
}

/// Keeps this thread on one processor.
pub fn pin_to(processor: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    if processor >= CpuSet::MAX_CPU {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slack_is_the_smallest_there_is() {
        std::thread::spawn(|| {
            sharpen_timers().unwrap();
            assert_eq!(rustix::thread::current_timer_slack().unwrap(), 1);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_processor_that_cannot_exist_is_refused() {
        assert!(pin_to(usize::MAX).is_err());
    }
}
