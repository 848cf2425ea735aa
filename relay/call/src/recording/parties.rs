//! Who took part in a recorded call, for those who describe the recording to others.

use crate::leg::{Leg, LegId, Legs};

/// Parties that are kept of a call, so that one with endless forks has an end.
const MOST_PARTIES: usize = 64;

/// Somebody who took part in a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The controller's name for it (`label`).
    pub label: Option<String>,
}

/// Everybody who took part so far, whether or not they are still there. The first is whoever made the call.
#[derive(Debug)]
pub(crate) struct Parties(Vec<(LegId, Party)>);

impl Default for Parties {
    fn default() -> Self {
        Self(vec![(LegId::CALLER, Party::default())])
    }
}

impl Parties {
    /// Takes over what is known now: those who have sent a description and do not just listen.
    pub(crate) fn note(&mut self, legs: &Legs) {
        let listens = |leg: &Leg| legs.subscriptions.is_subscriber(leg.id);
        for leg in legs.iter().filter(|leg| leg.has_spoken && !listens(leg)) {
            if let Some(position) = self.position(leg.id)
                && let Some((_, party)) = self.0.get_mut(position)
            {
                party.label.clone_from(&leg.label);
            }
        }
    }

    /// The number of a party, from 0; it gets one if it has none.
    pub(crate) fn position(&mut self, leg: LegId) -> Option<usize> {
        let known = self.0.iter().position(|(known, _)| *known == leg);
        if known.is_none() && self.0.len() < MOST_PARTIES {
            self.0.push((leg, Party::default()));
            return Some(self.0.len() - 1);
        }
        known
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<Party> {
        self.0.iter().map(|(_, party)| party.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_keep_their_numbers_and_stay_when_they_are_gone() {
        let now = crate::testing::epoch();
        let mut legs = Legs::default();
        let caller = legs.add(Some("a".into()), "pub".into(), now);
        let callee = legs.add(Some("b".into()), "priv".into(), now);
        let silent = legs.add(None, "priv".into(), now);
        for (leg, label) in [(caller, None), (callee, Some("agent"))] {
            let leg = legs.get_mut(leg).unwrap();
            leg.has_spoken = true;
            leg.label = label.map(str::to_owned);
        }
        let mut parties = Parties::default();
        parties.note(&legs);
        legs.clear();
        parties.note(&legs);
        let labels: Vec<Option<String>> = parties.list().into_iter().map(|p| p.label).collect();
        assert_eq!(labels, [None, Some("agent".to_owned())]);
        assert_eq!(parties.position(caller), Some(0));
        assert_eq!(parties.position(silent), Some(2));
        assert_eq!(parties.position(callee), Some(1));
    }

    #[test]
    fn a_call_with_endless_forks_has_an_end() {
        let mut parties = Parties::default();
        for number in 0..1000 {
            parties.position(LegId(number));
        }
        assert_eq!(parties.list().len(), MOST_PARTIES);
    }
}
