//! Candidate pairs: who could reach whom (RFC 8445 section 6.1.2).
//!
//! Every socket of ours is paired with every candidate of the peer of the same family. Pairs are numbered and never removed
//! within one ICE session, so that a transaction can name its pair.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::candidate::{Candidate, CandidateKind, MAX_REMOTE_CANDIDATES};
use super::role::IceRole;

/// RFC 8445 section 6.1.2.5 recommends a limit of 100; two sockets of one family may double it.
const MAX_PAIRS: usize = 2 * MAX_REMOTE_CANDIDATES;

/// Names a socket by its place among the transport's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalIndex(pub(super) usize);

/// Names a pair for the life of one ICE session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PairIndex(pub(super) usize);

/// One of our sockets with one candidate of the peer.
#[derive(Debug)]
pub(super) struct CandidatePair {
    pub(super) local: LocalIndex,
    remote: usize,
    /// RFC 8445 section 6.1.2.3.
    pub(super) priority: u64,
    /// A check of ours succeeded (as lite agent: a check of the peer came in).
    pub(super) is_valid: bool,
    pub(super) is_nominated: bool,
    /// The peer has nominated the pair before our own check of it succeeded.
    pub(super) nominate_when_valid: bool,
    /// A check of the peer came in: ours goes first (RFC 8445 section 7.3.1.4).
    pub(super) is_triggered: bool,
    pub(super) checked_at: Option<Instant>,
    /// When the peer nominated last.
    pub(super) nominated_at: Option<Instant>,
    /// The newest check of the peer did not nominate, so it does not nominate with every check.
    pub(super) checked_without_nomination: bool,
    pub(super) round_trip: Option<Duration>,
    pub(super) replied_at: Option<Instant>,
    /// What the peer saw us as, if that is not what we advertise: a NAT stands between.
    pub(super) seen_as: Option<SocketAddr>,
}

/// The peer's candidates and the pairs that they form with our sockets.
#[derive(Debug, Default)]
pub(super) struct CheckList {
    remotes: Vec<Candidate>,
    pairs: Vec<CandidatePair>,
}

impl CheckList {
    pub(super) fn remotes(&self) -> &[Candidate] {
        &self.remotes
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(super) fn pair(&self, index: PairIndex) -> &CandidatePair {
        &self.pairs[index.0]
    }

    pub(super) fn pair_mut(&mut self, index: PairIndex) -> &mut CandidatePair {
        &mut self.pairs[index.0]
    }

    /// The peer's candidate in a pair.
    pub(super) fn remote_of(&self, index: PairIndex) -> &Candidate {
        &self.remotes[self.pairs[index.0].remote]
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = PairIndex> + use<> {
        (0..self.pairs.len()).map(PairIndex)
    }

    /// The pair of a socket and an address, if there is one.
    pub(super) fn find(
        &self,
        local: LocalIndex,
        remote: std::net::SocketAddr,
    ) -> Option<PairIndex> {
        self.indices().find(|index| {
            self.pair(*index).local == local && self.remote_of(*index).address == remote
        })
    }

    /// Takes a candidate of the peer and pairs it with the sockets given, each with the priority of its own candidate.
    /// `false` when there is no room for another.
    ///
    /// RFC 8445 section 7.3.1.3: one that was found peer-reflexive and is signalled later becomes what the signalling says.
    pub(super) fn add(
        &mut self,
        candidate: Candidate,
        locals: impl IntoIterator<Item = (LocalIndex, u32)>,
        role: IceRole,
    ) -> bool {
        let known = self
            .remotes
            .iter()
            .position(|known| known.address == candidate.address);
        let remote = match known {
            Some(remote) => {
                let is_better_known = self.remotes[remote].kind == CandidateKind::PeerReflexive
                    && candidate.kind != CandidateKind::PeerReflexive;
                if is_better_known {
                    self.remotes[remote] = candidate;
                }
                remote
            }
            None if self.remotes.len() < MAX_REMOTE_CANDIDATES => {
                self.remotes.push(candidate);
                self.remotes.len() - 1
            }
            None => return false,
        };
        let remote_priority = self.remotes[remote].priority;
        for (local, local_priority) in locals {
            let exists = |pair: &CandidatePair| pair.local == local && pair.remote == remote;
            if self.pairs.len() >= MAX_PAIRS || self.pairs.iter().any(exists) {
                continue;
            }
            self.pairs.push(CandidatePair {
                local,
                remote,
                priority: pair_priority(local_priority, remote_priority, role),
                is_valid: false,
                is_nominated: false,
                nominate_when_valid: false,
                is_triggered: false,
                checked_at: None,
                nominated_at: None,
                checked_without_nomination: false,
                round_trip: None,
                replied_at: None,
                seen_as: None,
            });
        }
        true
    }

    /// RFC 8445 section 7.3.1.1: the roles have changed, and pair priorities depend on them.
    pub(super) fn recompute_priorities(
        &mut self,
        role: IceRole,
        local_priority: impl Fn(LocalIndex) -> u32,
    ) {
        for pair in &mut self.pairs {
            let remote = self.remotes[pair.remote].priority;
            pair.priority = pair_priority(local_priority(pair.local), remote, role);
        }
    }

    /// The pair that most deserves a check: triggered ones first, then those that waited longest, then by priority.
    /// Valid pairs and those checked less than `spacing` ago are left alone.
    pub(super) fn next_to_check(&self, now: Instant, spacing: Duration) -> Option<PairIndex> {
        self.indices()
            .filter(|index| {
                let pair = self.pair(*index);
                let is_rested = pair.checked_at.is_none_or(|at| now >= at + spacing);
                !pair.is_valid && (pair.is_triggered || is_rested)
            })
            .min_by_key(|index| {
                let pair = self.pair(*index);
                // `None` orders before every instant: what was never checked comes first.
                (
                    !pair.is_triggered,
                    pair.checked_at,
                    std::cmp::Reverse(pair.priority),
                )
            })
    }

    /// The valid pair of the highest priority.
    pub(super) fn best_valid(&self) -> Option<PairIndex> {
        self.indices()
            .filter(|index| self.pair(*index).is_valid)
            .max_by_key(|index| self.pair(*index).priority)
    }

    /// The pair of the highest priority, valid or not.
    pub(super) fn best(&self) -> Option<PairIndex> {
        self.indices()
            .max_by_key(|index| self.pair(*index).priority)
    }

    pub(super) fn has_unchecked(&self) -> bool {
        self.pairs.iter().any(|pair| !pair.is_valid)
    }

    /// Consent is gone: every pair has to prove itself again.
    pub(super) fn invalidate(&mut self) {
        for pair in &mut self.pairs {
            pair.is_valid = false;
            pair.is_nominated = false;
            pair.nominate_when_valid = false;
        }
    }
}

/// RFC 8445 section 6.1.2.3: 2^32 * MIN(G,D) + 2 * MAX(G,D) + (G > D ? 1 : 0), G being the controlling agent's.
fn pair_priority(local: u32, remote: u32, role: IceRole) -> u64 {
    let (controlling, controlled) = match role {
        IceRole::Controlling => (local, remote),
        IceRole::Controlled => (remote, local),
    };
    let low = u64::from(controlling.min(controlled));
    let high = u64::from(controlling.max(controlled));
    (low << 32) + 2 * high + u64::from(controlling > controlled)
}

#[cfg(test)]
mod tests {
    use super::super::candidate::Component;
    use super::*;

    fn candidate(text: &str, priority: u32) -> Candidate {
        Candidate::peer_reflexive(Component::Rtp, priority, text.parse().unwrap())
    }

    #[test]
    fn both_agents_compute_the_same_pair_priority() {
        let ours = pair_priority(5, 9, IceRole::Controlling);
        assert_eq!(ours, pair_priority(9, 5, IceRole::Controlled));
        assert_eq!(
            pair_priority(9, 5, IceRole::Controlling),
            (5 << 32) + 18 + 1
        );
    }

    #[test]
    fn those_that_waited_longest_come_first() {
        let now = crate::testing::epoch();
        let spacing = Duration::from_millis(1);
        let mut list = CheckList::default();
        for (address, priority) in [("192.0.2.1:1", 10), ("192.0.2.2:1", 20)] {
            assert!(list.add(
                candidate(address, priority),
                [(LocalIndex(0), 99)],
                IceRole::Controlling
            ));
        }
        let first = list.next_to_check(now, spacing).unwrap();
        assert_eq!(list.remote_of(first).priority, 20);
        list.pair_mut(first).checked_at = Some(now);
        let second = list.next_to_check(now, spacing).unwrap();
        assert_eq!(list.remote_of(second).priority, 10);
        list.pair_mut(second).checked_at = Some(now);
        assert_eq!(list.next_to_check(now, spacing), None);
        list.pair_mut(second).is_triggered = true;
        assert_eq!(list.next_to_check(now, spacing), Some(second));
    }

    #[test]
    fn the_number_of_candidates_is_bounded() {
        let mut list = CheckList::default();
        for port in 1..=200 {
            let remote = candidate(&format!("192.0.2.1:{port}"), 1);
            let taken = list.add(remote, [(LocalIndex(0), 1)], IceRole::Controlled);
            assert_eq!(taken, usize::from(port as u8) <= MAX_REMOTE_CANDIDATES);
        }
        assert_eq!(list.len(), MAX_REMOTE_CANDIDATES);
    }

    #[test]
    fn a_known_address_is_not_paired_twice() {
        let mut list = CheckList::default();
        let remote = candidate("192.0.2.1:1", 1);
        assert!(list.add(remote.clone(), [(LocalIndex(0), 1)], IceRole::Controlled));
        let signalled = Candidate {
            kind: CandidateKind::Host,
            ..remote
        };
        assert!(list.add(signalled, [(LocalIndex(0), 1)], IceRole::Controlled));
        assert_eq!(list.len(), 1);
        assert_eq!(list.remotes()[0].kind, CandidateKind::Host);
    }
}
