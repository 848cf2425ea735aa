//! Brings packets into order before they are decoded, and waits no longer for a missing one than has proved useful.
//!
//! Who is sent transcoded speech has a jitter buffer of its own, so that this one need not even out arrival times: it adds
//! nothing to a packet that comes in order, and sends at the pace at which the sender does, whatever either's clock says.
//! Only what comes behind a gap may have to wait. As long as packets are merely lost, it does not; once one came late instead,
//! gaps are waited for as long as that took, at most [`MAX_PATIENCE`].

use std::time::{Duration, Instant};

/// A gap is waited for so long at most.
pub(crate) const MAX_PATIENCE: Duration = Duration::from_millis(80);
/// Patience that was not needed for so long is halved.
const CALM: Duration = Duration::from_secs(10);
/// Less is none.
const LEAST_PATIENCE: Duration = Duration::from_millis(3);
/// No more packets than these wait.
const MAX_HELD: usize = 16;
/// A jump in sequence numbers beyond this is a restart of the sender (20 s of voice).
const MAX_JUMP: i16 = 1_000;

/// A packet that waits for those before it, or has its turn.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    pub(crate) sequence: u16,
    arrived: Instant,
    pub(crate) what: T,
    pub(crate) payload: Vec<u8>,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is played now; so many before it are given up.
    Play { missing: u16 },
    /// It is to wait: [`JitterBuffer::hold`].
    Wait,
    /// It was played already, or given up.
    TooLate,
    /// The sender began anew.
    Restart,
}

/// The order of one stream.
#[derive(Debug)]
pub(crate) struct JitterBuffer<T> {
    next: Option<u16>,
    /// In the order of their sequence numbers.
    held: Vec<Queued<T>>,
    /// Payload buffers to use again.
    spare: Vec<Vec<u8>>,
    patience: Duration,
    /// When patience was needed last.
    needed_at: Option<Instant>,
    /// The newest gap that was given up: the numbers from the first on, how many, and when.
    given_up: Option<(u16, u16, Instant)>,
}

impl<T> Default for JitterBuffer<T> {
    fn default() -> Self {
        Self {
            next: None,
            held: Vec::new(),
            spare: Vec::new(),
            patience: Duration::ZERO,
            needed_at: None,
            given_up: None,
        }
    }
}

impl<T> JitterBuffer<T> {
    /// Decides about a packet that arrived.
    pub(crate) fn admit(&mut self, now: Instant, sequence: u16) -> Admission {
        let Some(next) = self.next else {
            self.next = Some(sequence.wrapping_add(1));
            return Admission::Play { missing: 0 };
        };
        let ahead = sequence.wrapping_sub(next) as i16;
        if ahead.unsigned_abs() > MAX_JUMP.unsigned_abs() {
            self.clear();
            self.next = Some(sequence.wrapping_add(1));
            return Admission::Restart;
        }
        if ahead < 0 {
            self.learn_from_late(now, sequence);
            return Admission::TooLate;
        }
        self.calm_down(now);
        if ahead > 0 && self.patience > Duration::ZERO {
            let known = self.held.iter().any(|held| held.sequence == sequence);
            return if known {
                Admission::TooLate
            } else {
                Admission::Wait
            };
        }
        if ahead == 0
            && let Some(first) = self.held.first()
        {
            // It came after all, while others waited for it.
            let waited = now.saturating_duration_since(first.arrived);
            self.learn(now, waited);
        }
        Admission::Play {
            missing: self.turn_to(now, sequence),
        }
    }

    /// Keeps a packet until those before it came, or their time is over.
    pub(crate) fn hold(&mut self, now: Instant, sequence: u16, what: T, payload: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(payload);
        let next = self.next.unwrap_or(sequence);
        let distance = |sequence: u16| sequence.wrapping_sub(next);
        let place = self
            .held
            .partition_point(|held| distance(held.sequence) < distance(sequence));
        self.held.insert(
            place,
            Queued {
                sequence,
                arrived: now,
                what,
                payload: buffer,
            },
        );
    }

    /// The next packet that waits no longer, and how many before it are given up.
    pub(crate) fn release(&mut self, now: Instant) -> Option<(Queued<T>, u16)> {
        let first = self.held.first()?;
        let in_turn = Some(first.sequence) == self.next;
        let due = self.held.len() > MAX_HELD || self.due().is_some_and(|at| at <= now);
        if !in_turn && !due {
            return None;
        }
        let first = self.held.remove(0);
        let missing = self.turn_to(now, first.sequence);
        Some((first, missing))
    }

    /// Gives the buffer of a released packet back.
    pub(crate) fn recycle(&mut self, payload: Vec<u8>) {
        if self.spare.len() < MAX_HELD {
            self.spare.push(payload);
        }
    }

    /// When a packet has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held
            .iter()
            .map(|held| held.arrived)
            .min()
            .map(|at| at + self.patience)
    }

    /// Forgets the stream, and keeps what was learned about the network.
    pub(crate) fn clear(&mut self) {
        self.next = None;
        self.given_up = None;
        while let Some(held) = self.held.pop() {
            self.recycle(held.payload);
        }
    }

    /// The sequence number has its turn; how many before it never had theirs.
    fn turn_to(&mut self, now: Instant, sequence: u16) -> u16 {
        let next = self.next.unwrap_or(sequence);
        let missing = sequence.wrapping_sub(next);
        if missing > 0 {
            self.given_up = Some((next, missing, now));
        }
        self.next = Some(sequence.wrapping_add(1));
        missing
    }

    /// A packet came too late: had we waited, it would not have.
    fn learn_from_late(&mut self, now: Instant, sequence: u16) {
        if let Some((first, count, at)) = self.given_up
            && sequence.wrapping_sub(first) < count
        {
            let late = now.saturating_duration_since(at) + self.patience;
            self.learn(now, late);
        }
    }

    fn learn(&mut self, now: Instant, waited: Duration) {
        let enough = (waited + waited / 4).max(LEAST_PATIENCE).min(MAX_PATIENCE);
        self.patience = self.patience.max(enough);
        self.needed_at = Some(now);
    }

    fn calm_down(&mut self, now: Instant) {
        if let Some(at) = self.needed_at
            && now.saturating_duration_since(at) >= CALM
        {
            self.patience /= 2;
            self.needed_at = Some(now);
            if self.patience < LEAST_PATIENCE {
                self.patience = Duration::ZERO;
                self.needed_at = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch() -> Instant {
        crate::testing::epoch()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_comes_in_order_or_behind_a_loss_never_waits() {
        let start = epoch();
        let mut buffer = JitterBuffer::<()>::default();
        for (n, missing) in [(7u16, 0), (8, 0), (10, 1), (11, 0), (15, 3)] {
            let now = start + 20 * MS * u32::from(n);
            assert_eq!(buffer.admit(now, n), Admission::Play { missing });
        }
        assert_eq!(buffer.due(), None);
    }

    #[test]
    fn a_late_packet_teaches_patience_and_calm_forgets_it() {
        let start = epoch();
        let mut buffer = JitterBuffer::default();
        assert_eq!(buffer.admit(start, 65_534), Admission::Play { missing: 0 });
        assert_eq!(
            buffer.admit(start + 20 * MS, 0),
            Admission::Play { missing: 1 }
        );
        assert_eq!(buffer.admit(start + 28 * MS, 65_535), Admission::TooLate);
        // From now on 10 ms are granted.
        assert_eq!(buffer.admit(start + 60 * MS, 2), Admission::Wait);
        buffer.hold(start + 60 * MS, 2, 'b', &[2]);
        assert_eq!(buffer.due(), Some(start + 70 * MS));
        assert!(buffer.release(start + 61 * MS).is_none());
        assert_eq!(
            buffer.admit(start + 64 * MS, 1),
            Admission::Play { missing: 0 }
        );
        let (released, missing) = buffer.release(start + 64 * MS).unwrap();
        assert_eq!((released.what, missing), ('b', 0));
        // Nothing came late for a minute.
        for n in 3..3_000u16 {
            let now = start + 20 * MS * u32::from(n);
            assert_eq!(buffer.admit(now, n), Admission::Play { missing: 0 });
        }
        let now = start + 20 * MS * 3_001;
        assert_eq!(buffer.admit(now, 3_001), Admission::Play { missing: 1 });
    }

    #[test]
    fn a_gap_that_is_never_filled_is_given_up_in_time() {
        let start = epoch();
        let mut buffer = JitterBuffer::default();
        buffer.admit(start, 1);
        buffer.admit(start, 3);
        buffer.admit(start + 20 * MS, 2);
        for n in [5u16, 6] {
            let now = start + 20 * MS * u32::from(n);
            assert_eq!(buffer.admit(now, n), Admission::Wait);
            buffer.hold(now, n, (), &[]);
        }
        let at = buffer.due().unwrap();
        assert_eq!(at, start + 125 * MS);
        assert_eq!(
            buffer.release(at).map(|(q, missing)| (q.sequence, missing)),
            Some((5, 1))
        );
        assert_eq!(
            buffer.release(at).map(|(q, missing)| (q.sequence, missing)),
            Some((6, 0))
        );
        assert!(buffer.release(at).is_none());
    }

    #[test]
    fn a_jump_is_a_new_beginning_and_a_repetition_is_not_played() {
        let start = epoch();
        let mut buffer = JitterBuffer::<()>::default();
        buffer.admit(start, 1);
        assert_eq!(buffer.admit(start, 1), Admission::TooLate);
        assert_eq!(buffer.admit(start, 5_000), Admission::Restart);
        assert_eq!(buffer.admit(start, 5_001), Admission::Play { missing: 0 });
    }
}
