//! STUN that arrives: checks of the peer (RFC 8445 section 7.3) and replies to ours (section 7.2.5).
//!
//! Nothing is remembered about a sender before its MESSAGE-INTEGRITY was verified. Replies leave at once.

use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng;
use relay_packet::{DropReason, Outbox, PacketBuf, SocketId};

use super::agent::{EarlyCheck, IceAgent, MAX_EARLY, host_priority};
use super::candidate::{Candidate, is_routable};
use super::check_list::{LocalIndex, PairIndex};
use super::role::{IceRole, RoleVerdict};
use crate::stun::{Class, ErrorCode, IntegrityKey, Message, MessageWriter};

impl IceAgent {
    /// A datagram that looks like STUN came in on one of our sockets.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let message = Message::parse(datagram).map_err(|_| DropReason::Malformed)?;
        let local = self.locals.iter().position(|local| local.id == socket);
        let local = LocalIndex(local.ok_or(DropReason::NoCall)?);
        match message.class {
            Class::Request => self.handle_request(now, local, source, &message, out),
            Class::Success | Class::Error => {
                self.handle_response(now, local, source, &message, out)
            }
            // RFC 8445 section 11: a keepalive. It changes nothing, so nobody has to sign it.
            Class::Indication => Ok(()),
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        local: LocalIndex,
        source: SocketAddr,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let (key, is_current) = match self.key_of_request(message) {
            Ok(found) => found,
            Err(code) => {
                // RFC 8489 section 9.1.3: refusals are not signed, there is no key to sign them with.
                self.counts.refused_requests = self.counts.refused_requests.saturating_add(1);
                let mut packet = out.take();
                let fits = MessageWriter::new(&mut packet, Class::Error, message.transaction)
                    .error_code(code)
                    .finish(None);
                self.reply(local, source, packet, fits, out);
                return Err(DropReason::StunUnauthenticated);
            }
        };
        self.counts.requests = self.counts.requests.saturating_add(1);
        self.last_activity = Some(now);
        if !message.unknown_attributes().is_empty() {
            let mut packet = out.take();
            let fits = MessageWriter::new(&mut packet, Class::Error, message.transaction)
                .error_code(ErrorCode::UNKNOWN_ATTRIBUTE)
                .unknown_attributes(message.unknown_attributes())
                .finish(Some(&key));
            self.reply(local, source, packet, fits, out);
            return Ok(());
        }
        match self.role.verdict(self.tie_breaker, message.role) {
            // A lite agent is never in conflict (RFC 8445 section 7.3.1.1 is for full ones), and we lead a lite peer.
            RoleVerdict::Switch if is_current && !self.local.lite && !self.is_remote_lite() => {
                self.switch_role(now, self.role.other());
            }
            RoleVerdict::Conflict if is_current && !self.local.lite => {
                let mut packet = out.take();
                let fits = MessageWriter::new(&mut packet, Class::Error, message.transaction)
                    .error_code(ErrorCode::ROLE_CONFLICT)
                    .finish(Some(&key));
                self.reply(local, source, packet, fits, out);
                return Ok(());
            }
            _ => {}
        }
        let mut packet = out.take();
        let fits = MessageWriter::new(&mut packet, Class::Success, message.transaction)
            .mapped_address(source)
            .finish(Some(&key));
        self.reply(local, source, packet, fits, out);
        // Under retired credentials the peer is answered, so that it does not give up, and learns us nothing.
        if is_current {
            let check = EarlyCheck {
                local,
                source,
                // RFC 8445 section 7.1.1: always there. A peer that leaves it out gets the priority of a last resort.
                priority: message.priority.unwrap_or(1),
                use_candidate: message.use_candidate,
            };
            if let Some(pair) = self.heard_from(now, check)
                && !self.local.lite
                && !self.check_list.pair(pair).is_valid
            {
                self.send_triggered(now, pair, out);
            }
        }
        Ok(())
    }

    /// The key that a request was made with (RFC 8489 section 9.1.3) and whether it is that of our present credentials, or
    /// the error that the request deserves.
    fn key_of_request(&self, message: &Message<'_>) -> Result<(IntegrityKey, bool), ErrorCode> {
        let username = message.username.filter(|_| message.has_integrity());
        let username = username.ok_or(ErrorCode::BAD_REQUEST)?;
        // RFC 8445 section 7.3: the part before the colon is ours. What stands behind it may be news to us.
        let ours = username
            .split(|byte| *byte == b':')
            .next()
            .unwrap_or_default();
        [(Some(&self.local), true), (self.retired.as_ref(), false)]
            .into_iter()
            .filter_map(|(local, is_current)| Some((local?, is_current)))
            .find(|(local, _)| {
                local.credentials.ufrag().as_bytes() == ours && message.verify(&local.key)
            })
            .map(|(local, is_current)| (local.key.clone(), is_current))
            .ok_or(ErrorCode::UNAUTHENTICATED)
    }

    /// The peer has proved that it is at `source`. Gives the pair that its check has travelled on, if there is a session yet.
    pub(super) fn heard_from(&mut self, now: Instant, check: EarlyCheck) -> Option<PairIndex> {
        if self.remote.is_none() {
            let is_known = self.early.iter().any(|early| early.source == check.source);
            if !is_known && self.early.len() < MAX_EARLY {
                self.early.push(check);
            }
            return None;
        }
        if self.check_list.find(check.local, check.source).is_none() && is_routable(check.source) {
            // RFC 8445 section 7.3.1.3.
            let candidate = Candidate::peer_reflexive(self.component, check.priority, check.source);
            let local = (check.local, host_priority(check.local, self.component));
            self.check_list.add(candidate, [local], self.role);
            self.counts.pairs = self.check_list.len() as u32;
            if self.schedule.round_at().is_none() {
                self.schedule.wake(now);
            }
        }
        let index = self.check_list.find(check.local, check.source)?;
        if self.local.lite {
            self.peer_checked(now, index);
        }
        if self.role == IceRole::Controlled {
            if check.use_candidate {
                self.peer_nominated(now, index);
            } else {
                self.check_list.pair_mut(index).checked_without_nomination = true;
            }
        }
        Some(index)
    }

    fn handle_response(
        &mut self,
        now: Instant,
        local: LocalIndex,
        source: SocketAddr,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let stranger = DropReason::StunUnauthenticated;
        let transaction = self
            .transactions
            .find(message.transaction)
            .ok_or(stranger)?;
        let index = transaction.pair;
        // RFC 8445 section 7.2.5.2.1: a reply comes back the way that its check went.
        let remote = self.check_list.remote_of(index).address;
        if remote != source || self.check_list.pair(index).local != local {
            return Err(stranger);
        }
        let key = self.remote.as_ref().map(|remote| &remote.key);
        let is_signed = key.is_some_and(|key| message.verify(key));
        if message.class == Class::Error {
            self.count_error(message.error_code);
            let is_conflict = message.error_code == Some(ErrorCode::ROLE_CONFLICT);
            if is_conflict && is_signed && !self.is_remote_lite() && transaction.role == self.role {
                // RFC 8445 section 7.2.5.1: give way, with a new tie-breaker, and try again.
                self.tie_breaker = self.rng.next_u64();
                self.switch_role(now, self.role.other());
                self.send_triggered(now, index, out);
            }
            return Ok(());
        }
        if !is_signed {
            return Err(stranger);
        }
        // RFC 8489 section 6.3.3: a success with attributes that we must and do not understand is no success.
        if !message.unknown_attributes().is_empty() {
            return Err(DropReason::Malformed);
        }
        self.counts.replies = self.counts.replies.saturating_add(1);
        self.last_activity = Some(now);
        let advertised = self.locals[local.0].advertised_address();
        let pair = self.check_list.pair_mut(index);
        let was_valid = std::mem::replace(&mut pair.is_valid, true);
        pair.replied_at = Some(now);
        pair.round_trip = Some(now.saturating_duration_since(transaction.sent_at));
        pair.seen_as = message
            .mapped_address
            .filter(|address| *address != advertised);
        let nominated_by_us =
            transaction.use_candidate && transaction.role == self.role && !pair.is_nominated;
        let nominated_by_peer =
            self.role == IceRole::Controlled && std::mem::take(&mut pair.nominate_when_valid);
        pair.is_nominated |= nominated_by_us || nominated_by_peer;
        if !was_valid || nominated_by_us || nominated_by_peer {
            self.became_valid(now, index);
        }
        if self.selected == Some(index)
            && let Some(consent) = &mut self.consent
        {
            consent.renew(now);
        }
        Ok(())
    }

    fn count_error(&mut self, code: Option<ErrorCode>) {
        let counter = match code {
            Some(ErrorCode::UNAUTHENTICATED) => &mut self.counts.unauthenticated,
            Some(ErrorCode::ROLE_CONFLICT) => &mut self.counts.role_conflicts,
            _ => &mut self.counts.other_errors,
        };
        *counter = counter.saturating_add(1);
    }

    fn switch_role(&mut self, now: Instant, role: IceRole) {
        self.role = role;
        self.nomination = None;
        let component = self.component;
        self.check_list
            .recompute_priorities(role, |local| host_priority(local, component));
        if let Some(selected) = self.selected {
            // Whoever controls now has to nominate.
            self.became_valid(now, selected);
        }
    }

    /// Sends a reply to where the request came from. What we write fits in a packet buffer; the rest is caution.
    fn reply(
        &self,
        local: LocalIndex,
        source: SocketAddr,
        packet: PacketBuf,
        fits: bool,
        out: &mut Outbox,
    ) {
        if fits {
            out.send(self.locals[local.0].id, source, packet);
        } else {
            out.recycle(packet);
        }
    }
}
