//! Who hears whom, at signalling level. Offer and answer make pairs: each hears the other.
//!
//! Subscribers are tied to single sections and hear, one party or several in each. They may also speak to those they hear.
//!
//! A caller whose INVITE was forked has several partners; from the first answer on it hears the one that answered last.

use crate::leg::{LegId, SectionId};

/// The pairs of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subscriptions {
    pairs: Vec<Pair>,
    /// Who listens without being one of a pair.
    taps: Vec<Tap>,
    /// Parties that speak without being offered to anybody.
    publishers: Vec<LegId>,
}

/// A section of a subscriber, and the one it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Tap {
    speaker: SectionId,
    listener: SectionId,
    back: Back,
}

/// What goes back from a subscriber to the party that it hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Back {
    /// The party is told what the subscriber reports (RFC 3550 §6.4).
    pub reports: bool,
    /// The party hears what the subscriber says, beside whomever it hears.
    pub speech: bool,
}

/// Two parties that offer and answer brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Pair {
    one: LegId,
    other: LegId,
    /// The order of the last exchange between them; the highest is current.
    offered: u64,
    answered: Option<u64>,
}

impl Pair {
    fn partner_of(&self, leg: LegId) -> Option<LegId> {
        if self.one == leg {
            Some(self.other)
        } else if self.other == leg {
            Some(self.one)
        } else {
            None
        }
    }

    fn is_of(&self, a: LegId, b: LegId) -> bool {
        self.partner_of(a) == Some(b)
    }
}

impl Subscriptions {
    /// An offer went from one to the other.
    pub fn offered(&mut self, from: LegId, to: LegId) {
        let number = self.next_number();
        match self.pairs.iter_mut().find(|p| p.is_of(from, to)) {
            Some(pair) => pair.offered = number,
            None => self.pairs.push(Pair {
                one: from,
                other: to,
                offered: number,
                answered: None,
            }),
        }
    }

    /// The offer between them was answered.
    pub fn answered(&mut self, from: LegId, to: LegId) {
        let number = self.next_number();
        if let Some(pair) = self.pairs.iter_mut().find(|p| p.is_of(from, to)) {
            pair.answered = Some(number);
        }
    }

    fn next_number(&self) -> u64 {
        let highest = self
            .pairs
            .iter()
            .flat_map(|p| [Some(p.offered), p.answered])
            .flatten()
            .max();
        highest.map_or(0, |n| n + 1)
    }

    /// Whether anything was ever answered.
    pub fn any_answered(&self) -> bool {
        self.pairs.iter().any(|p| p.answered.is_some()) || !self.publishers.is_empty()
    }

    /// A party speaks without a partner.
    pub fn published(&mut self, leg: LegId) {
        if !self.publishers.contains(&leg) {
            self.publishers.push(leg);
        }
    }

    /// Two parties hear each other from now on, and nobody else.
    pub fn connect(&mut self, one: LegId, other: LegId) {
        let number = self.next_number();
        self.pairs
            .retain(|p| p.partner_of(one).is_none() && p.partner_of(other).is_none());
        self.pairs.push(Pair {
            one,
            other,
            offered: number,
            answered: Some(number),
        });
    }

    /// A section of a subscriber hears a section of a party.
    pub fn tap(&mut self, speaker: SectionId, listener: SectionId, back: Back) {
        self.taps.push(Tap {
            speaker,
            listener,
            back,
        });
    }

    /// Whether a section of a subscriber hears several parties at once.
    pub fn is_mixed(&self, listener: SectionId) -> bool {
        let taps = self.taps.iter();
        taps.filter(|tap| tap.listener == listener).count() > 1
    }

    /// The sections that hear what a section of a subscriber says.
    pub fn spoken_to(&self, listener: SectionId) -> impl Iterator<Item = SectionId> + '_ {
        let taps = self.taps.iter();
        let speaking = taps.filter(move |tap| tap.back.speech && tap.listener == listener);
        speaking.map(|tap| tap.speaker)
    }

    /// The sections that are told what a section of a subscriber reports.
    pub fn reported_to(&self, listener: SectionId) -> impl Iterator<Item = SectionId> + '_ {
        let taps = self.taps.iter();
        let reporting = taps.filter(move |tap| tap.back.reports && tap.listener == listener);
        reporting.map(|tap| tap.speaker)
    }

    /// A subscriber hears a party no more, or nobody any more.
    pub fn untap(&mut self, subscriber: LegId, source: Option<LegId>) {
        self.taps.retain(|tap| {
            tap.listener.leg != subscriber || source.is_some_and(|leg| tap.speaker.leg != leg)
        });
    }

    /// The sections of subscribers that hear this one.
    pub fn taps_on(&self, speaker: SectionId) -> impl Iterator<Item = SectionId> + '_ {
        let taps = self.taps.iter().filter(move |tap| tap.speaker == speaker);
        taps.map(|tap| tap.listener)
    }

    /// Whom a subscriber hears.
    pub fn sources(&self, subscriber: LegId) -> Vec<LegId> {
        let taps = self.taps.iter();
        let heard = taps.filter(|tap| tap.listener.leg == subscriber);
        distinct(heard.map(|tap| tap.speaker.leg))
    }

    /// The subscribers of a party.
    pub fn subscribers(&self, source: LegId) -> Vec<LegId> {
        let taps = self.taps.iter();
        let hearing = taps.filter(|tap| tap.speaker.leg == source);
        distinct(hearing.map(|tap| tap.listener.leg))
    }

    /// Whether a party only listens.
    pub fn is_subscriber(&self, leg: LegId) -> bool {
        self.taps.iter().any(|tap| tap.listener.leg == leg)
    }

    /// Whether a party has nobody to talk or to listen to. A publisher talks to whoever comes.
    pub fn is_alone(&self, leg: LegId) -> bool {
        let talks = self.pairs.iter().any(|p| p.partner_of(leg).is_some());
        !talks && !self.is_subscriber(leg) && !self.publishers.contains(&leg)
    }

    /// Everybody who was brought together with this party, in order.
    pub fn partners(&self, leg: LegId) -> Vec<LegId> {
        self.pairs
            .iter()
            .filter_map(|p| p.partner_of(leg))
            .collect()
    }

    /// The partner of the last offer or answer.
    pub fn current(&self, leg: LegId) -> Option<LegId> {
        self.pairs
            .iter()
            .filter(|p| p.partner_of(leg).is_some())
            .max_by_key(|p| p.answered.unwrap_or(0).max(p.offered))
            .and_then(|p| p.partner_of(leg))
    }

    /// Whether `listener` hears `speaker`: they are a pair, and nobody else answered the listener later.
    pub fn hears(&self, listener: LegId, speaker: LegId) -> bool {
        let last_answer = self
            .pairs
            .iter()
            .filter(|p| p.partner_of(listener).is_some())
            .filter_map(|p| p.answered)
            .max();
        self.pairs.iter().any(|p| {
            p.is_of(listener, speaker) && (last_answer.is_none() || p.answered == last_answer)
        })
    }

    /// Whether what one party says goes to the other, now or once the other is answered.
    pub fn is_connected(&self, listener: LegId, speaker: LegId) -> bool {
        let tapped = |tap: &Tap| tap.listener.leg == listener && tap.speaker.leg == speaker;
        self.pairs.iter().any(|p| p.is_of(listener, speaker)) || self.taps.iter().any(tapped)
    }

    /// Forgets a party.
    pub fn remove(&mut self, leg: LegId) {
        self.pairs.retain(|p| p.partner_of(leg).is_none());
        self.taps
            .retain(|tap| tap.speaker.leg != leg && tap.listener.leg != leg);
        self.publishers.retain(|&publisher| publisher != leg);
    }
}

fn distinct(legs: impl Iterator<Item = LegId>) -> Vec<LegId> {
    let mut seen = Vec::new();
    for leg in legs {
        if !seen.contains(&leg) {
            seen.push(leg);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: LegId = LegId(1);
    const DESK: LegId = LegId(2);
    const MOBILE: LegId = LegId(3);

    #[test]
    fn a_forked_caller_hears_all_branches_until_one_answers() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.offered(CALLER, DESK);
        subscriptions.offered(CALLER, MOBILE);
        assert!(subscriptions.hears(CALLER, DESK) && subscriptions.hears(CALLER, MOBILE));
        assert_eq!(subscriptions.current(CALLER), Some(MOBILE));

        subscriptions.answered(CALLER, DESK);
        assert!(subscriptions.hears(CALLER, DESK));
        assert!(!subscriptions.hears(CALLER, MOBILE));
        assert!(
            subscriptions.hears(MOBILE, CALLER),
            "early media to the other branch is its own matter"
        );
        assert_eq!(subscriptions.current(CALLER), Some(DESK));
    }

    #[test]
    fn a_later_answer_of_another_branch_takes_over() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.offered(CALLER, DESK);
        subscriptions.offered(CALLER, MOBILE);
        subscriptions.answered(CALLER, DESK);
        subscriptions.answered(CALLER, MOBILE);
        assert!(!subscriptions.hears(CALLER, DESK));
        assert!(subscriptions.hears(CALLER, MOBILE));
        subscriptions.remove(MOBILE);
        assert_eq!(subscriptions.partners(CALLER), [DESK]);
    }
}
