//! The checks that may still be answered.
//!
//! Checks leave at a steady pace whatever is outstanding, so many are open at a time and any of them may be answered, in any
//! order and twice. The window is bounded; the oldest are forgotten.

use std::collections::VecDeque;
use std::time::Instant;

use super::check_list::PairIndex;
use super::role::IceRole;
use crate::stun::TransactionId;

/// Two pairs at 50 checks a second are remembered for over two seconds even if nothing is ever answered.
const MAX_OPEN: usize = 256;

/// A check that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) pair: PairIndex,
    pub(super) sent_at: Instant,
    pub(super) role: IceRole,
    pub(super) use_candidate: bool,
}

/// The newest checks, oldest first.
#[derive(Debug, Default)]
pub(super) struct Transactions(VecDeque<Transaction>);

impl Transactions {
    pub(super) fn insert(&mut self, transaction: Transaction) {
        if self.0.len() == MAX_OPEN {
            self.0.pop_front();
        }
        self.0.push_back(transaction);
    }

    /// The check that a response answers. It stays in the window: the network duplicates packets.
    pub(super) fn find(&self, id: TransactionId) -> Option<Transaction> {
        self.0.iter().rev().find(|open| open.id == id).copied()
    }

    /// Forgets everything: what is still on its way belongs to another session.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let now = crate::testing::epoch();
        let mut transactions = Transactions::default();
        let id = |number: usize| {
            let mut id = TransactionId([0; 12]);
            id.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
            id
        };
        for number in 0..=MAX_OPEN {
            transactions.insert(Transaction {
                id: id(number),
                pair: PairIndex(number),
                sent_at: now,
                role: IceRole::Controlling,
                use_candidate: true,
            });
        }
        assert!(transactions.find(id(0)).is_none());
        assert_eq!(transactions.find(id(1)).unwrap().pair, PairIndex(1));
        assert!(
            transactions.find(id(1)).is_some(),
            "a duplicate finds it too"
        );
    }
}
