//! Consent freshness (RFC 7675).
//!
//! A peer that stops answering Binding requests has withdrawn its consent to receive media.
//! This module knows when to ask again and when to give up; [`super::IceAgent`] does the asking.

use std::time::{Duration, Instant};

/// RFC 7675 section 5.1: ask about every five seconds, spread out so that calls do not ask in step.
const INTERVAL: Duration = Duration::from_secs(5);

/// Whether the remote end still agrees to receive.
#[derive(Debug)]
pub(super) struct Consent {
    granted_at: Instant,
    ask_at: Instant,
    expiry: Duration,
}

impl Consent {
    /// Consent as a successful check gives it, for `expiry`; RFC 7675 section 5.1 says 30 seconds.
    pub(super) fn granted(now: Instant, expiry: Duration, spread: Spread) -> Self {
        Self {
            granted_at: now,
            ask_at: now + spread.of(INTERVAL),
            expiry,
        }
    }

    pub(super) fn renew(&mut self, now: Instant) {
        self.granted_at = now;
    }

    /// What is due: nothing yet, another request, or the end.
    pub(super) fn handle_timeout(&mut self, now: Instant, spread: Spread) -> Due {
        if now >= self.granted_at + self.expiry {
            return Due::Withdrawn;
        }
        if now < self.ask_at {
            return Due::Nothing;
        }
        self.ask_at = now + spread.of(INTERVAL);
        Due::Ask
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.ask_at.min(self.granted_at + self.expiry)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ask,
    Withdrawn,
}

/// A factor drawn by the caller, 0.8 to 1.2, so that this file needs no random source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread(pub(super) f32);

impl Spread {
    fn of(self, interval: Duration) -> Duration {
        interval.mul_f32(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: Duration = Duration::from_secs(30);

    #[test]
    fn silence_withdraws_consent() {
        let start = crate::testing::epoch();
        let mut consent = Consent::granted(start, EXPIRY, Spread(1.0));

        let almost = start + Duration::from_secs(29);
        assert_eq!(consent.handle_timeout(almost, Spread(1.0)), Due::Ask);
        let late = start + EXPIRY;
        assert_eq!(consent.handle_timeout(late, Spread(1.0)), Due::Withdrawn);
    }

    #[test]
    fn an_answer_renews_it() {
        let start = crate::testing::epoch();
        let mut consent = Consent::granted(start, EXPIRY, Spread(0.8));
        assert_eq!(consent.poll_timeout(), start + INTERVAL.mul_f32(0.8));

        consent.renew(start + Duration::from_secs(20));
        let later = start + Duration::from_secs(31);
        assert_eq!(consent.handle_timeout(later, Spread(1.0)), Due::Ask);
    }
}
