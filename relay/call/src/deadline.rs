//! When a call ends by itself.
//!
//! A call that nobody answers, one without media, one on hold for an hour, and, if wished, one that is simply too old: each has
//! its timeout. A single live stream keeps a call.

use std::time::{Duration, Instant};

use crate::config::Timeouts;
use crate::event::EndReason;
use crate::leg::Legs;
use crate::live::Live;

/// The moments that timeouts count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) created: Instant,
    pub(crate) last_signal: Instant,
    /// The last answer, or the last packet or ICE check since.
    pub(crate) last_life: Instant,
}

impl Deadlines {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            created: now,
            last_signal: now,
            last_life: now,
        }
    }

    /// An offer or an answer succeeded.
    pub(crate) fn signalled(&mut self, now: Instant, answered: bool) {
        self.last_signal = now;
        if answered {
            self.last_life = now;
        }
    }

    /// A media packet arrived.
    pub(crate) fn media(&mut self, now: Instant) {
        self.last_life = now;
    }

    /// Media was last seen at `at` by somebody who takes it in our place.
    pub(crate) fn media_elsewhere(&mut self, at: Instant) {
        self.last_life = self.last_life.max(at);
    }

    /// The timeout that comes first, and what it means.
    fn nearest(
        &self,
        timeouts: &Timeouts,
        legs: &Legs,
        live: &Live,
    ) -> Option<(Instant, EndReason)> {
        let rule = |from: Instant, after: Duration, reason| {
            (after > Duration::ZERO).then(|| (from + after, reason))
        };
        let idle = if !legs.subscriptions.any_answered() {
            rule(self.last_signal, timeouts.offer, EndReason::OfferTimeout)
        } else if live.expects_media() {
            rule(self.last_life, timeouts.media, EndReason::Timeout)
        } else {
            rule(self.last_life, timeouts.silent, EndReason::SilentTimeout)
        };
        let last = rule(self.created, timeouts.last, EndReason::FinalTimeout);
        [idle, last].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// When the call would end.
    pub(crate) fn next(&self, timeouts: &Timeouts, legs: &Legs, live: &Live) -> Option<Instant> {
        self.nearest(timeouts, legs, live).map(|(at, _)| at)
    }

    /// Whether the call is over, and why. A peer that answers ICE checks is alive, whatever it sends; that is looked up only
    /// when it decides.
    pub(crate) fn expired(
        &mut self,
        now: Instant,
        timeouts: &Timeouts,
        legs: &Legs,
        live: &Live,
    ) -> Option<EndReason> {
        let due = |deadlines: &Self| {
            deadlines
                .nearest(timeouts, legs, live)
                .filter(|(at, _)| *at <= now)
                .map(|(_, reason)| reason)
        };
        due(self)?;
        if let Some(activity) = live.last_ice_activity() {
            self.last_life = self.last_life.max(activity);
        }
        due(self)
    }
}
