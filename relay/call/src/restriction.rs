//! What the controller keeps from passing: blocked media, silenced media, blocked DTMF.
//!
//! A restriction is put on the whole call, on what one party says, on what one party hears, or on one flow between two.
//! They are kept apart, so that lifting one does not lift another: a call that is unblocked keeps the block of a single party.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::leg::LegId;
use crate::trigger::{Switch, SwitchSnapshot, Trigger};

/// What is done to a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Restriction {
    /// Nothing passes but telephone-events.
    pub blocked: bool,
    /// Speech becomes silence.
    pub silenced: bool,
    /// What becomes of telephone-events.
    pub events: Events,
    /// How much later they are heard than they were pressed.
    pub delay: Duration,
}

/// What becomes of telephone-events (RFC 4733).
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Events {
    /// They pass.
    #[default]
    Pass,
    /// Nothing is sent in their place.
    Drop,
    /// Silence is sent in their place.
    Silence,
    /// One of these tones is heard in their place.
    Tone {
        /// In Hz; at least one.
        #[serde(with = "crate::snapshot::shared")]
        frequencies: Arc<[u16]>,
        /// Below 0 dBm0, in dB.
        volume: u8,
    },
    /// Each becomes a digit that is drawn by lot.
    Random,
    /// Each becomes this one.
    Key(u8),
}

impl Restriction {
    /// Both at once.
    fn and(self, other: &Self) -> Self {
        Self {
            blocked: self.blocked || other.blocked,
            silenced: self.silenced || other.silenced,
            events: self.events.max(other.events.clone()),
            delay: self.delay.max(other.delay),
        }
    }
}

/// What a restriction is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Scope {
    /// Everything.
    Call,
    /// What a party says, whoever hears it.
    From(LegId),
    /// What a party hears, whoever says it.
    Towards(LegId),
    /// What one party hears of another.
    Flow {
        /// Who speaks.
        from: LegId,
        /// Who hears.
        to: LegId,
    },
}

impl Scope {
    pub(crate) fn covers(self, from: LegId, to: LegId) -> bool {
        match self {
            Self::Call => true,
            Self::From(leg) => leg == from,
            Self::Towards(leg) => leg == to,
            Self::Flow { .. } => self == Self::Flow { from, to },
        }
    }

    fn names(self, leg: LegId) -> bool {
        match self {
            Self::Call => false,
            Self::From(named) | Self::Towards(named) => named == leg,
            Self::Flow { from, to } => from == leg || to == leg,
        }
    }
}

/// Every restriction of a call. There are as many entries as scopes that are restricted now: none, in nearly all calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    entries: Vec<(Scope, Restriction)>,
    /// Blocks of events that begin and end by keys; one a scope.
    switches: Vec<Switch>,
}

/// Restrictions as they are written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct RestrictionsSnapshot {
    entries: Vec<(Scope, Restriction)>,
    switches: Vec<SwitchSnapshot>,
}

impl Restrictions {
    /// Changes the restriction of one scope.
    pub fn change(&mut self, scope: Scope, change: impl FnOnce(&mut Restriction)) {
        let known = self.entries.iter().position(|(known, _)| *known == scope);
        let at = known.unwrap_or_else(|| {
            self.entries.push((scope, Restriction::default()));
            self.entries.len() - 1
        });
        change(&mut self.entries[at].1);
        self.tidy();
    }

    /// Changes the restrictions of every scope that has any.
    pub fn change_all(&mut self, change: impl Fn(&mut Restriction)) {
        for (_, restriction) in &mut self.entries {
            change(restriction);
        }
        self.tidy();
    }

    /// From now on these keys of a party of that scope change what becomes of its events; `None` ends that.
    pub fn arm(&mut self, scope: Scope, trigger: Option<Arc<Trigger>>) {
        self.switches.retain(|switch| switch.scope() != scope);
        self.switches
            .extend(trigger.map(|trigger| Switch::new(scope, trigger)));
    }

    /// No key changes anything any more.
    pub fn disarm_all(&mut self) {
        self.switches.clear();
    }

    /// A party has pressed a key; whether that changes what becomes of its events.
    pub fn press(&mut self, now: Instant, party: LegId, event: u8) -> bool {
        let mut changed = false;
        for switch in &mut self.switches {
            changed |= switch.press(now, party, event);
        }
        changed
    }

    /// Time has passed; whether that changes what becomes of somebody's events.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for switch in &mut self.switches {
            changed |= switch.handle_timeout(now);
        }
        changed
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.switches.iter().filter_map(Switch::poll_timeout).min()
    }

    fn tidy(&mut self) {
        self.entries
            .retain(|(_, restriction)| *restriction != Restriction::default());
    }

    /// What is done to the flow from one party to another.
    pub fn of_flow(&self, from: LegId, to: LegId) -> Restriction {
        let mut sum = Restriction::default();
        for (scope, one) in self
            .entries
            .iter()
            .filter(|(scope, _)| scope.covers(from, to))
        {
            let mut switches = self.switches.iter();
            let switched = switches.any(|s| s.scope() == *scope && s.events(from).is_some());
            let mut one = one.clone();
            if switched {
                one.events = Events::Pass;
            }
            sum = sum.and(&one);
        }
        for switch in self.switches.iter().filter(|s| s.scope().covers(from, to)) {
            if let Some(events) = switch.events(from) {
                sum.events = sum.events.max(events.clone());
            }
        }
        sum
    }

    /// Whether the keys that a party presses are kept from anybody.
    pub fn withhold_events(&self, from: LegId) -> bool {
        self.entries.iter().any(|(scope, restriction)| {
            let concerned = match *scope {
                Scope::Call => true,
                Scope::From(leg) | Scope::Flow { from: leg, .. } => leg == from,
                Scope::Towards(leg) => leg != from,
            };
            concerned && restriction.events != Events::Pass
        })
    }

    /// The restrictions as plain data.
    pub(crate) fn snapshot(&self) -> RestrictionsSnapshot {
        RestrictionsSnapshot {
            entries: self.entries.clone(),
            switches: self.switches.iter().map(Switch::snapshot).collect(),
        }
    }

    /// What was written down holds again. A trigger that lasts a while does so from `now` on.
    pub(crate) fn resume(now: Instant, snapshot: RestrictionsSnapshot) -> Self {
        let switches = snapshot.switches.into_iter();
        Self {
            entries: snapshot.entries,
            switches: switches.map(|switch| Switch::resume(now, switch)).collect(),
        }
    }

    /// Forgets a party.
    pub fn remove(&mut self, leg: LegId) {
        self.entries.retain(|(scope, _)| !scope.names(leg));
        self.switches.retain(|switch| !switch.scope().names(leg));
        self.switches
            .iter_mut()
            .for_each(|switch| switch.forget(leg));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: LegId = LegId(1);
    const CALLEE: LegId = LegId(2);

    fn blocked(restrictions: &Restrictions) -> [bool; 2] {
        [(CALLER, CALLEE), (CALLEE, CALLER)]
            .map(|(from, to)| restrictions.of_flow(from, to).blocked)
    }

    #[test]
    fn scopes_are_lifted_one_by_one_or_all_at_once() {
        let mut restrictions = Restrictions::default();
        restrictions.change(Scope::Call, |r| r.blocked = true);
        restrictions.change(Scope::From(CALLER), |r| r.blocked = true);
        assert_eq!(blocked(&restrictions), [true, true]);
        restrictions.change(Scope::Call, |r| r.blocked = false);
        assert_eq!(blocked(&restrictions), [true, false]);
        restrictions.change_all(|r| r.blocked = false);
        assert_eq!(restrictions, Restrictions::default());
    }

    #[test]
    fn a_party_is_restricted_in_either_direction_and_forgotten_when_it_goes() {
        let mut restrictions = Restrictions::default();
        restrictions.change(Scope::Towards(CALLER), |r| r.blocked = true);
        assert_eq!(blocked(&restrictions), [false, true]);
        let flow = Scope::Flow {
            from: CALLER,
            to: CALLEE,
        };
        restrictions.change(flow, |r| r.silenced = true);
        assert!(restrictions.of_flow(CALLER, CALLEE).silenced);
        assert!(!restrictions.of_flow(CALLEE, CALLER).silenced);
        restrictions.remove(CALLER);
        assert_eq!(restrictions, Restrictions::default());
    }

    #[test]
    fn of_two_ways_to_treat_events_the_one_that_keeps_the_stream_going_wins() {
        let mut restrictions = Restrictions::default();
        restrictions.change(Scope::Call, |r| r.events = Events::Drop);
        restrictions.change(Scope::From(CALLER), |r| r.events = Events::Silence);
        assert_eq!(restrictions.of_flow(CALLER, CALLEE).events, Events::Silence);
        assert_eq!(restrictions.of_flow(CALLEE, CALLER).events, Events::Drop);
    }

    #[test]
    fn keys_are_withheld_if_anybody_does_not_get_them() {
        let withheld = |scope| {
            let mut restrictions = Restrictions::default();
            restrictions.change(scope, |r| r.blocked = true);
            assert!(!restrictions.withhold_events(CALLER));
            restrictions.change(scope, |r| r.events = Events::Drop);
            [CALLER, CALLEE].map(|party| restrictions.withhold_events(party))
        };
        assert_eq!(withheld(Scope::Call), [true, true]);
        assert_eq!(withheld(Scope::From(CALLER)), [true, false]);
        assert_eq!(withheld(Scope::Towards(CALLER)), [false, true]);
    }
}
