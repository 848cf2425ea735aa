//! What the controller keeps from passing: blocked media, silenced media, blocked DTMF.
//!
//! A restriction is put on the whole call, on what one party says, on what one party hears, or on one flow between two.
//! They are kept apart, so that lifting one does not lift another: a call that is unblocked keeps the block of a single party.

use crate::leg::LegId;

/// What is done to a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    /// Nothing passes but telephone-events.
    pub blocked: bool,
    /// Speech becomes silence.
    pub silenced: bool,
    /// What becomes of telephone-events.
    pub events: Events,
}

/// What becomes of telephone-events (RFC 4733).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Events {
    /// They pass.
    #[default]
    Pass,
    /// Nothing is sent in their place.
    Drop,
    /// Silence is sent in their place.
    Silence,
}

impl Restriction {
    /// Both at once.
    fn and(self, other: Self) -> Self {
        Self {
            blocked: self.blocked || other.blocked,
            silenced: self.silenced || other.silenced,
            events: self.events.max(other.events),
        }
    }
}

/// What a restriction is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    fn covers(self, from: LegId, to: LegId) -> bool {
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

    fn tidy(&mut self) {
        self.entries
            .retain(|(_, restriction)| *restriction != Restriction::default());
    }

    /// What is done to the flow from one party to another.
    pub fn of_flow(&self, from: LegId, to: LegId) -> Restriction {
        self.entries
            .iter()
            .filter(|(scope, _)| scope.covers(from, to))
            .fold(Restriction::default(), |sum, (_, one)| sum.and(*one))
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

    /// Forgets a party.
    pub fn remove(&mut self, leg: LegId) {
        self.entries.retain(|(scope, _)| !scope.names(leg));
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
