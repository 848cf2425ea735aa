//! When a flight is sent again (RFC 6347 section 4.2.4), on our own clock.
//!
//! The RFC's one second is made for strangers on the Internet; here somebody listens who has just picked up. The steps are 50,
//! 100, 200 ms and then 400 ms, in both roles. A handshake that has begun and is not done after twelve seconds of that is on a
//! very bad road. The steps become longer then, but it is not given up: a peer that repeats its own flight after 1, 2, 4, 8 s, as
//! OpenSSL does, still waits for us, and to that peer a new handshake would be a stranger.

use std::time::{Duration, Instant};

/// The first step.
const FIRST: Duration = Duration::from_millis(50);
/// The steps double up to this one.
const LONGEST: Duration = Duration::from_millis(400);
/// After so many repetitions, about twelve seconds, they come every [`RESIGNED`].
const IMPATIENT: u32 = 30;
/// The step on a road that seems dead.
const RESIGNED: Duration = Duration::from_secs(2);
/// A peer's repetition is answered at once, but not twice within this time: its flight may fill several datagrams.
const LEAST_GAP: Duration = Duration::from_millis(20);
/// So many repetitions of one flight are answered at once; then the peer waits for [`LONGEST`] like everybody.
const PROMPT_ANSWERS: u32 = 8;

/// A handshake that has not ended by then will not end.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// A fatal alert in the clear may be forged or left over, so the handshake goes on for a moment.
pub(super) const ALERT_GRACE: Duration = Duration::from_secs(2);
/// How often the server repeats its last flight unasked. OpenSSL as client fails when it sees more than twelve.
pub(super) const LAST_FLIGHT_REPEATS: u32 = 7;

/// The flight that was sent last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// Tells this flight from others: content type, handshake type and message number at its front.
    pub(super) mark: (u8, u8, u16),
    sent_at: Instant,
    /// How often it has been repeated.
    pub(super) repeats: u32,
}

impl Flight {
    pub(super) fn sent(mark: (u8, u8, u16), now: Instant) -> Self {
        Self {
            mark,
            sent_at: now,
            repeats: 0,
        }
    }

    /// Notes that the same flight has left once more.
    pub(super) fn repeated(&mut self, now: Instant) {
        self.sent_at = now;
        self.repeats += 1;
    }

    /// When to repeat it unasked; `is_begun` once the peer has shown itself.
    pub(super) fn due(&self, is_begun: bool) -> Instant {
        if is_begun && self.repeats >= IMPATIENT {
            return self.sent_at + RESIGNED;
        }
        let doubled = FIRST * 2_u32.pow(self.repeats.min(8));
        self.sent_at + doubled.min(LONGEST)
    }

    /// Whether a repetition by the peer is to be answered now.
    pub(super) fn may_answer(&self, now: Instant) -> bool {
        let gap = if self.repeats < PROMPT_ANSWERS {
            LEAST_GAP
        } else {
            LONGEST
        };
        now >= self.sent_at + gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_up_to_their_limit() {
        let start = crate::testing::epoch();
        let mut flight = Flight::sent((22, 1, 0), start);
        let mut steps = Vec::new();
        for _ in 0..6 {
            let due = flight.due(false);
            steps.push((due - flight.sent_at).as_millis());
            flight.repeated(due);
        }
        assert_eq!(steps, [50, 100, 200, 400, 400, 400]);
    }

    #[test]
    fn a_flood_of_repetitions_is_not_answered_in_kind() {
        let start = crate::testing::epoch();
        let mut flight = Flight::sent((22, 1, 0), start);
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            if flight.may_answer(now) {
                flight.repeated(now);
            }
        }
        assert_eq!(flight.repeats, 8 + (10_000 - 8 * 20) / 400);
    }
}
