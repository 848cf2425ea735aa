//! Keys that change what becomes of the keys after them: `trigger` and its end (a menu that asks for a card number, say).
//!
//! A trigger works once for each party. The keys that begin or end it are treated as a whole: the last key of `trigger` passes,
//! the last one of `trigger-end` does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::leg::LegId;
use crate::restriction::{Events, Scope};

/// What keys begin and end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trigger {
    /// The keys that begin it, as events of RFC 4733 §3.2; at least one.
    pub keys: Vec<u8>,
    /// What becomes of events from then on.
    pub then: Events,
    /// The keys that end it; none, if keys do not.
    pub end_keys: Vec<u8>,
    /// How long it lasts at most.
    pub end_after: Option<Duration>,
    /// How many keys it lasts at most.
    pub end_count: Option<u32>,
    /// What becomes of events afterwards.
    pub afterwards: Events,
}

/// A trigger, and how far the parties are that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    scope: Scope,
    trigger: Arc<Trigger>,
    parties: Vec<Progress>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Progress {
    party: LegId,
    phase: Phase,
    /// The last keys, as many as the longer of the two sequences has.
    pressed: VecDeque<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    /// It has begun then, and so many keys were pressed since.
    Begun(Instant, u32),
    Over,
}

/// A trigger as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct SwitchSnapshot {
    scope: Scope,
    trigger: Trigger,
    parties: Vec<(LegId, PhaseSnapshot, VecDeque<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum PhaseSnapshot {
    Waiting,
    Begun(u32),
    Over,
}

impl Switch {
    pub(crate) fn new(scope: Scope, trigger: Arc<Trigger>) -> Self {
        Self {
            scope,
            trigger,
            parties: Vec::new(),
        }
    }

    /// The trigger as plain data, with how far everybody is.
    pub(crate) fn snapshot(&self) -> SwitchSnapshot {
        let parties = self.parties.iter().map(|progress| {
            let phase = match progress.phase {
                Phase::Waiting => PhaseSnapshot::Waiting,
                Phase::Begun(_, count) => PhaseSnapshot::Begun(count),
                Phase::Over => PhaseSnapshot::Over,
            };
            (progress.party, phase, progress.pressed.clone())
        });
        SwitchSnapshot {
            scope: self.scope,
            trigger: (*self.trigger).clone(),
            parties: parties.collect(),
        }
    }

    /// Goes on with what was written down. When it had begun is not in it, so that it rather lasts too long than too short.
    pub(crate) fn resume(now: Instant, snapshot: SwitchSnapshot) -> Self {
        let parties = snapshot.parties.into_iter();
        let parties = parties.map(|(party, phase, pressed)| Progress {
            party,
            phase: match phase {
                PhaseSnapshot::Waiting => Phase::Waiting,
                PhaseSnapshot::Begun(count) => Phase::Begun(now, count),
                PhaseSnapshot::Over => Phase::Over,
            },
            pressed,
        });
        Self {
            scope: snapshot.scope,
            trigger: Arc::new(snapshot.trigger),
            parties: parties.collect(),
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn forget(&mut self, party: LegId) {
        self.parties.retain(|progress| progress.party != party);
    }

    /// What becomes of a party's events because of this; `None` while the trigger was not pressed.
    pub(crate) fn events(&self, party: LegId) -> Option<&Events> {
        let mut parties = self.parties.iter();
        match parties.find(|progress| progress.party == party)?.phase {
            Phase::Waiting => None,
            Phase::Begun(..) => Some(&self.trigger.then),
            Phase::Over => Some(&self.trigger.afterwards),
        }
    }

    /// A key was pressed and released; whether that began or ended something.
    pub(crate) fn press(&mut self, now: Instant, party: LegId, event: u8) -> bool {
        // Whatever the scope covers of a party, it covers for every listener.
        if !self.scope.covers(party, party) {
            return false;
        }
        let known = self.parties.iter().position(|known| known.party == party);
        let at = known.unwrap_or_else(|| {
            self.parties.push(Progress {
                party,
                phase: Phase::Waiting,
                pressed: VecDeque::new(),
            });
            self.parties.len() - 1
        });
        let trigger = &self.trigger;
        let progress = &mut self.parties[at];
        progress.pressed.push_back(event);
        while progress.pressed.len() > trigger.keys.len().max(trigger.end_keys.len()) {
            progress.pressed.pop_front();
        }
        let ends_with = |keys: &[u8]| {
            let last = progress.pressed.iter().rev();
            !keys.is_empty()
                && keys.len() <= progress.pressed.len()
                && last
                    .zip(keys.iter().rev())
                    .all(|(pressed, key)| pressed == key)
        };
        progress.phase = match progress.phase {
            Phase::Waiting if ends_with(&trigger.keys) => Phase::Begun(now, 0),
            Phase::Begun(since, count) => {
                let count = count + 1;
                if ends_with(&trigger.end_keys) || trigger.end_count.is_some_and(|n| count >= n) {
                    Phase::Over
                } else {
                    progress.phase = Phase::Begun(since, count);
                    return false;
                }
            }
            Phase::Waiting | Phase::Over => return false,
        };
        progress.pressed.clear();
        true
    }

    /// Time has passed; whether that ended something.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some(after) = self.trigger.end_after else {
            return false;
        };
        let mut changed = false;
        for progress in &mut self.parties {
            if let Phase::Begun(since, _) = progress.phase
                && now >= since + after
            {
                progress.phase = Phase::Over;
                changed = true;
            }
        }
        changed
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let after = self.trigger.end_after?;
        let begun = self
            .parties
            .iter()
            .filter_map(|progress| match progress.phase {
                Phase::Begun(since, _) => Some(since),
                Phase::Waiting | Phase::Over => None,
            });
        begun.min().map(|since| since + after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restriction::Restrictions;
    use crate::testing::epoch;

    const CALLER: LegId = LegId(1);
    const CALLEE: LegId = LegId(2);

    fn trigger(end_keys: &[u8], end_after: Option<u64>, end_count: Option<u32>) -> Trigger {
        Trigger {
            keys: vec![5, 5],
            then: Events::Drop,
            end_keys: end_keys.to_vec(),
            end_after: end_after.map(Duration::from_millis),
            end_count,
            afterwards: Events::Pass,
        }
    }

    /// What becomes of each key of a party that presses them a second apart.
    fn events(restrictions: &mut Restrictions, party: LegId, keys: &str) -> String {
        let other = LegId(3 - party.0);
        let mut now = epoch();
        let mut told = String::new();
        for key in keys.bytes() {
            now += Duration::from_secs(1);
            restrictions.handle_timeout(now);
            told.push(match restrictions.of_flow(party, other).events {
                Events::Pass => 'p',
                _ => '-',
            });
            restrictions.press(now, party, key - b'0');
        }
        told
    }

    #[test]
    fn a_trigger_blocks_what_follows_it_until_its_end() {
        for (trigger, expected) in [
            (trigger(&[1, 1], None, None), "ppp-----pp"),
            (trigger(&[], None, None), "ppp-------"),
            (trigger(&[], None, Some(2)), "ppp--ppppp"),
            (trigger(&[], Some(2_500), None), "ppp--ppppp"),
            (trigger(&[7], None, Some(3)), "ppp---pppp"),
        ] {
            let mut restrictions = Restrictions::default();
            restrictions.arm(Scope::Call, Some(Arc::new(trigger)));
            assert_eq!(
                events(&mut restrictions, CALLER, "4551231155"),
                expected,
                "{restrictions:?}"
            );
        }
    }

    #[test]
    fn it_is_for_each_party_by_itself_and_works_once() {
        let mut restrictions = Restrictions::default();
        restrictions.arm(Scope::Call, Some(Arc::new(trigger(&[1], None, None))));
        assert_eq!(events(&mut restrictions, CALLER, "55215521"), "pp--pppp");
        assert_eq!(events(&mut restrictions, CALLEE, "5521"), "pp--");
        restrictions.remove(CALLER);
        assert_eq!(
            events(&mut restrictions, CALLER, "5521"),
            "pp--",
            "a new party"
        );
        restrictions.disarm_all();
        assert_eq!(restrictions, Restrictions::default());
        let scope = Scope::From(CALLEE);
        restrictions.arm(scope, Some(Arc::new(trigger(&[1], None, None))));
        assert_eq!(events(&mut restrictions, CALLER, "5521"), "pppp");
        assert_eq!(events(&mut restrictions, CALLEE, "5521"), "pp--");
        restrictions.arm(scope, None);
        assert_eq!(restrictions, Restrictions::default());
    }

    #[test]
    fn it_takes_the_place_of_the_block_that_it_came_with_and_of_no_other() {
        let mut restrictions = Restrictions::default();
        restrictions.change(Scope::Call, |r| r.events = Events::Drop);
        let until_pressed = Trigger {
            then: Events::Pass,
            ..trigger(&[], None, None)
        };
        restrictions.arm(Scope::Call, Some(Arc::new(until_pressed)));
        assert_eq!(events(&mut restrictions, CALLER, "1552"), "---p");
        restrictions.change(Scope::From(CALLER), |r| r.events = Events::Drop);
        assert_eq!(events(&mut restrictions, CALLER, "2"), "-");
    }
}
