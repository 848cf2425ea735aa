//! Waking a worker that sleeps in the kernel.
//!
//! One eventfd per worker: whoever puts a command into the worker's queue writes to it, and the worker's epoll returns.
//! Writes add up in the kernel, so any number of them before the worker looks cost it one wake-up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// The worker's end: readable when somebody called [`Waker::wake`].
#[derive(Debug)]
pub struct Wake {
    event: Arc<OwnedFd>,
}

/// The other end; as many clones as there are callers.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Wake {
    /// A new pair's worker end; [`Self::waker`] gives the other.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// A handle for those who want to wake this worker.
    pub fn waker(&self) -> Waker {
        Waker {
            event: Arc::clone(&self.event),
        }
    }

    /// Forgets all wake-ups so far.
    pub fn acknowledge(&self) {
        let mut count = [0; 8];
        // EAGAIN means that nobody woke us: nothing to forget.
        let _ = rustix::io::read(&*self.event, &mut count);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Waker {
    /// Wakes the worker, now or at its next wait.
    pub fn wake(&self) {
        // The only failure is a counter that is full (EAGAIN), and then the worker is going to wake anyway.
        let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
    }
}
