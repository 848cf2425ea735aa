//! What is different when we are the lite agent (RFC 8445 section 2.5): we answer checks and send none, so a check of the peer
//! with the right integrity is all the proof of a pair that we ever get. The peer controls, unless it is lite too.

use std::time::Instant;

use super::agent::IceAgent;
use super::check_list::PairIndex;

impl IceAgent {
    /// As lite agent: the peer has checked this pair. Media may use it at once; a nomination settles it.
    pub(super) fn peer_checked(&mut self, now: Instant, index: PairIndex) {
        self.check_list.pair_mut(index).is_valid = true;
        self.became_valid(now, index);
    }

    /// Two lite agents check nothing (RFC 8445 section 6.1.1 and 8.2): both take the pair of the highest priority on trust.
    pub(super) fn select_between_lite_agents(&mut self, now: Instant) {
        if !self.local.lite || !self.is_remote_lite() || self.selected.is_some() {
            return;
        }
        if let Some(best) = self.check_list.best() {
            let pair = self.check_list.pair_mut(best);
            pair.is_valid = true;
            pair.is_nominated = true;
            self.became_valid(now, best);
        }
    }
}
