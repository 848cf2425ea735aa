//! The bounded buffer for what cannot be sent yet, and the pace at which it is worked off.
//!
//! Meta needs a moment before it answers checks and DTLS; the PBX speaks at once. What it says is held, newest kept, and sent
//! as soon as there are keys: faster than real time, so that the call does not stay late, but not as one burst that a
//! jitter buffer would throw away.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use relay_packet::{Outbox, PacketBuf};

use crate::path::Frame;

/// Packets leave this many times faster than they were spoken: a second of audio is worked off in a third of a second.
const SPEED: u32 = 4;
/// Silence is left out only while more than this waits.
const KEEP_SILENCE_BELOW: Duration = Duration::from_millis(40);
/// More packets than this are never held, however short they are.
const MAX_PACKETS: usize = 512;

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) arrived: Instant,
    pub(crate) packet: PacketBuf,
    pub(crate) frame: Frame,
}

/// The buffer.
#[derive(Debug)]
pub(crate) struct Hold {
    limit: Duration,
    queue: VecDeque<Held>,
    next_at: Option<Instant>,
    clipped: Duration,
}

impl Hold {
    /// A buffer for the newest `limit` of audio; zero holds nothing.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            queue: VecDeque::new(),
            next_at: None,
            clipped: Duration::ZERO,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How much audio was thrown away because it did not fit.
    pub(crate) fn clipped(&self) -> Duration {
        self.clipped
    }

    /// How much audio waits.
    pub(crate) fn waiting(&self) -> Duration {
        self.queue.iter().map(|held| held.frame.duration).sum()
    }

    /// Adds a packet; the oldest make room and are counted. `true` when something was thrown away.
    pub(crate) fn push(&mut self, held: Held, out: &mut Outbox) -> bool {
        let newest = held.arrived;
        self.queue.push_back(held);
        let before = self.queue.len();
        self.keep_newer_than(newest, self.limit, out);
        while self.queue.len() > MAX_PACKETS {
            self.drop_oldest(out);
        }
        self.queue.len() < before
    }

    /// Throws away what arrived more than `age` before `now`, and counts it as clipped.
    pub(crate) fn keep_newer_than(&mut self, now: Instant, age: Duration, out: &mut Outbox) {
        while self
            .queue
            .front()
            .is_some_and(|oldest| now.saturating_duration_since(oldest.arrived) >= age)
        {
            self.drop_oldest(out);
        }
    }

    /// Begins to count at `now`: what arrived more than `age` before was not meant for the receiver, and is no loss.
    pub(crate) fn begin(&mut self, now: Instant, age: Duration, out: &mut Outbox) {
        self.keep_newer_than(now, age, out);
        self.clipped = Duration::ZERO;
    }

    fn drop_oldest(&mut self, out: &mut Outbox) {
        if let Some(oldest) = self.queue.pop_front() {
            self.clipped += oldest.frame.duration;
            out.recycle(oldest.packet);
        }
    }

    /// When the next packet is due, while any waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.queue.is_empty() {
            None
        } else {
            self.next_at
        }
    }

    /// The next packet, when it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Held> {
        if self.next_at.is_some_and(|at| now < at) {
            return None;
        }
        let held = self.queue.pop_front()?;
        let from = self.next_at.unwrap_or(now);
        // A late timer does not slow the pace down, but it does not cause a burst of more than a packet time either.
        let from = from.max(now.checked_sub(held.frame.duration).unwrap_or(now));
        self.next_at = Some(from + held.frame.duration / SPEED);
        Some(held)
    }

    /// Whether the next packet is silence that may be left out to catch up.
    pub(crate) fn next_is_spare(&self) -> bool {
        self.queue.front().is_some_and(|next| next.frame.silent)
            && self.waiting() > KEEP_SILENCE_BELOW
    }

    /// Takes the next packet out without sending it, when [`Self::next_is_spare`].
    pub(crate) fn skip(&mut self) -> Option<Held> {
        self.queue.pop_front()
    }

    /// Ends the pacing; the next packet that is pushed starts it anew.
    pub(crate) fn idle(&mut self) {
        self.next_at = None;
    }
}
