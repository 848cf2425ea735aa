//! Which pair carries media: valid pairs, nomination (RFC 8445 section 8), and the loss of consent.
//!
//! Media uses the first pair that works and then stays where it is. It moves when the controlling side nominates another, not
//! because a pair of a higher priority has become valid a little later: a stream that hops between addresses in its first
//! second helps nobody.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_packet::SocketId;

use super::agent::{IceAgent, Nomination, Path};
use super::check_list::{LocalIndex, PairIndex};
use super::consent::Consent;
use super::role::IceRole;
use super::status::IceEvent;

/// A peer that nominates with every check has moved on from a pair that it has not nominated for so long.
const NOMINATION_IS_OLD: Duration = Duration::from_secs(1);

impl IceAgent {
    /// A pair has proved itself, or has been nominated after it had.
    pub(super) fn became_valid(&mut self, now: Instant, index: PairIndex) {
        if self
            .selected
            .is_none_or(|current| self.is_better(now, index, current))
        {
            self.select(now, index);
        }
        let is_nominated = self.check_list.pair(index).is_nominated;
        if is_nominated {
            self.nomination = None;
        } else if self.role == IceRole::Controlling && !self.is_remote_lite() && !self.local.lite {
            self.plan_nomination(now);
        }
    }

    /// The peer, controlling, nominates a pair (RFC 8445 section 7.3.1.5).
    pub(super) fn peer_nominated(&mut self, now: Instant, index: PairIndex) {
        let pair = self.check_list.pair_mut(index);
        pair.nominated_at = Some(now);
        pair.checked_without_nomination = false;
        if pair.is_valid {
            pair.is_nominated = true;
            self.became_valid(now, index);
        } else {
            pair.nominate_when_valid = true;
        }
    }

    /// Whether media moves from the current pair to this one.
    fn is_better(&self, now: Instant, index: PairIndex, current: PairIndex) -> bool {
        let (pair, current_pair) = (self.check_list.pair(index), self.check_list.pair(current));
        if index == current || !pair.is_nominated {
            return false;
        }
        if !current_pair.is_nominated {
            return true;
        }
        // Two nominated pairs. Ours: the first one stays. The peer's: the latest counts, unless the peer nominates with
        // every check; then the priority decides (RFC 5245 section 8.1.1.2), which is how both sides arrive at the same.
        let is_old = |at: Instant| now.saturating_duration_since(at) > NOMINATION_IS_OLD;
        self.role == IceRole::Controlled
            && (pair.priority > current_pair.priority
                || current_pair.checked_without_nomination
                || current_pair.nominated_at.is_none_or(is_old))
    }

    fn select(&mut self, now: Instant, index: PairIndex) {
        self.selected = Some(index);
        self.stalled_at = None;
        self.early.clear();
        if !self.local.lite {
            let spread = self.draw_spread();
            self.consent = Some(Consent::granted(now, self.config.consent_expiry, spread));
        }
        if std::mem::take(&mut self.is_consent_lost) {
            self.tell(IceEvent::ConsentRestored);
        }
        let pair = self.describe(index);
        let path = Path {
            socket: pair.socket,
            remote: pair.remote,
        };
        if self.path.replace(path) != Some(path) {
            let began_at = self.began_at.unwrap_or(now);
            let after = now.saturating_duration_since(began_at);
            self.tell(IceEvent::PairSelected { pair, after });
        }
    }

    /// We control a full peer: nominate when the best pair works, or a little later the best that does.
    fn plan_nomination(&mut self, now: Instant) {
        let best_works = self.check_list.best() == self.check_list.best_valid();
        let next_at = if best_works {
            now
        } else {
            now + self.config.nomination_delay
        };
        match &mut self.nomination {
            Some(planned) => planned.next_at = planned.next_at.min(next_at),
            None => {
                self.nomination = Some(Nomination {
                    began_at: now,
                    next_at,
                });
            }
        }
    }

    /// An authentic SRTP packet of the peer came from `source`. Whoever speaks to us over the selected pair is there and has not
    /// hung up, and that is worth as much as a reply to a check: no call must end because a lite peer has stopped answering
    /// STUN after the beginning. RFC 7675 counts replies alone; what it guards against is media to somebody who never agreed,
    /// and that is no holder of our keys. Gives whether consent was lost before.
    pub fn peer_sent_media(&mut self, now: Instant, socket: SocketId, source: SocketAddr) -> bool {
        if self.path != Some((socket, source).into()) {
            return false;
        }
        if let Some(consent) = &mut self.consent {
            consent.renew(now);
            return false;
        }
        let local = self.locals.iter().position(|local| local.id == socket);
        let pair = local.and_then(|local| self.check_list.find(LocalIndex(local), source));
        let Some(pair) = pair.filter(|_| self.is_consent_lost) else {
            return false;
        };
        self.check_list.pair_mut(pair).is_valid = true;
        self.became_valid(now, pair);
        true
    }

    /// RFC 7675 section 5.1: nobody answers on the selected pair any more and no media comes from there. Nothing is sent until
    /// that changes; meanwhile every pair is checked again. Whether the call ends is not decided here.
    pub(super) fn lose_consent(&mut self, now: Instant) {
        self.consent = None;
        self.nomination = None;
        self.selected = None;
        self.is_consent_lost = true;
        self.check_list.invalidate();
        self.schedule.wake(now);
        self.tell(IceEvent::ConsentLost);
    }
}
