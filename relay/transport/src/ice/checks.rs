//! Checks that we send: the rounds, nomination, consent, and the alarm when all of it leads nowhere.

use std::time::{Duration, Instant};

use rand::RngExt;
use relay_packet::Outbox;

use super::agent::IceAgent;
use super::candidate::{CandidateKind, priority};
use super::check_list::PairIndex;
use super::consent::Due;
use super::role::IceRole;
use super::status::IceEvent;
use super::transaction::Transaction;
use crate::stun::{Class, MessageWriter, TransactionId};

/// Checks in one round. A lite peer has one candidate a family, so that each of its pairs is checked in every round.
const LITE_PEER_ROUND: usize = 4;
/// A full peer has more candidates and sends checks itself: at most 100 a second of ours at the dense pace.
const FULL_PEER_ROUND: usize = 2;
/// Never two checks of one pair in the same round.
const SAME_ROUND: Duration = Duration::from_millis(1);
/// A nominating check is repeated like this ...
const NOMINATION_REPEAT: Duration = Duration::from_millis(50);
/// ... for so long ...
const NOMINATION_EAGER_FOR: Duration = Duration::from_secs(1);
/// ... and then like this.
const NOMINATION_SLOW_REPEAT: Duration = Duration::from_millis(500);

impl IceAgent {
    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.stalled_at.is_some_and(|at| at <= now) {
            self.stalled_at = None;
            let began_at = self.began_at.unwrap_or(now);
            self.tell(IceEvent::Stalled {
                counts: self.counts,
                after: now.saturating_duration_since(began_at),
            });
        }
        if self.is_checking() && self.schedule.take_due(now) {
            self.send_round(now, out);
        }
        if self
            .nomination
            .is_some_and(|nomination| nomination.next_at <= now)
        {
            self.send_nomination(now, out);
        }
        self.keep_consent(now, out);
    }

    fn send_round(&mut self, now: Instant, out: &mut Outbox) {
        let (count, spacing) = if self.is_remote_lite() {
            (LITE_PEER_ROUND, SAME_ROUND)
        } else {
            (FULL_PEER_ROUND, self.config.full_peer_spacing)
        };
        for _ in 0..count {
            let Some(pair) = self.check_list.next_to_check(now, spacing) else {
                return;
            };
            self.send_check(now, pair, self.is_remote_lite(), out);
        }
    }

    /// RFC 8445 section 7.3.1.4: the peer's check came through, so ours may come through now.
    pub(super) fn send_triggered(&mut self, now: Instant, index: PairIndex, out: &mut Outbox) {
        let just_checked = |at: Instant| now < at + self.config.pace.dense;
        let pair = self.check_list.pair_mut(index);
        if pair.checked_at.is_some_and(just_checked) {
            pair.is_triggered = true;
        } else {
            self.send_check(now, index, self.is_remote_lite(), out);
        }
    }

    fn send_nomination(&mut self, now: Instant, out: &mut Outbox) {
        let (Some(mut nomination), Some(best)) = (self.nomination, self.check_list.best_valid())
        else {
            self.nomination = None;
            return;
        };
        let is_eager = now < nomination.began_at + NOMINATION_EAGER_FOR;
        nomination.next_at = now
            + if is_eager {
                NOMINATION_REPEAT
            } else {
                NOMINATION_SLOW_REPEAT
            };
        self.nomination = Some(nomination);
        self.send_check(now, best, true, out);
    }

    fn keep_consent(&mut self, now: Instant, out: &mut Outbox) {
        let is_due = |at: Instant| at <= now;
        if !self
            .consent
            .as_ref()
            .is_some_and(|consent| is_due(consent.poll_timeout()))
        {
            return;
        }
        let spread = self.draw_spread();
        let due = self
            .consent
            .as_mut()
            .map(|consent| consent.handle_timeout(now, spread));
        match (due, self.selected) {
            (Some(Due::Ask), Some(selected)) => {
                self.send_check(now, selected, self.is_remote_lite(), out);
            }
            (Some(Due::Withdrawn), _) => self.lose_consent(now),
            _ => {}
        }
    }

    /// One Binding request (RFC 8445 section 7.2.2). Only a controlling agent nominates.
    fn send_check(&mut self, now: Instant, index: PairIndex, nominate: bool, out: &mut Outbox) {
        let Some(remote) = &self.remote else {
            return;
        };
        let use_candidate = nominate && self.role == IceRole::Controlling;
        let id = TransactionId(self.rng.random());
        let destination = self.check_list.remote_of(index).address;
        let pair = self.check_list.pair_mut(index);
        pair.checked_at = Some(now);
        pair.is_triggered = false;
        let local = self.locals[pair.local.0];
        let local_index = u16::try_from(pair.local.0).unwrap_or(u16::MAX);

        let mut packet = out.take();
        let mut writer = MessageWriter::new(&mut packet, Class::Request, id);
        writer
            .username(remote.credentials.ufrag(), self.local.credentials.ufrag())
            // RFC 8445 section 7.1.1: the priority that a peer-reflexive candidate found by this check would have.
            .priority(priority(
                CandidateKind::PeerReflexive,
                local_index,
                self.component,
            ))
            .role(self.role.attribute(self.tie_breaker));
        if use_candidate {
            writer.use_candidate();
        }
        if !writer.finish(Some(&remote.key)) {
            // Credentials have at most 256 characters, so a check always fits; nothing is lost if it should not.
            out.recycle(packet);
            return;
        }
        out.send(local.id, destination, packet);
        self.counts.sent = self.counts.sent.saturating_add(1);
        self.transactions.insert(Transaction {
            id,
            pair: index,
            sent_at: now,
            role: self.role,
            use_candidate,
        });
    }
}
