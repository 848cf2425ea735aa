//! Recording on demand: keys that a party presses to begin, end or pause the recording of its call (vertical service codes).
//!
//! A party may do so when its description said `recording-vsc`. The keys pass to the others as all keys do.

use std::time::{Duration, Instant};

use ng_protocol::flags::{RecordingCodes, RecordingOrder};
use relay_media::TelephoneEvent;

use crate::leg::LegId;

/// Keys that are further apart belong to different codes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parties of a call that may record it, and what they pressed last.
#[derive(Debug, Default)]
pub(crate) struct ServiceCodes {
    parties: Vec<Party>,
}

#[derive(Debug)]
struct Party {
    leg: LegId,
    codes: RecordingCodes,
    pressed: String,
    last_at: Option<Instant>,
}

impl ServiceCodes {
    /// A party may record the call by these codes from now on.
    pub(crate) fn allow(&mut self, leg: LegId, codes: RecordingCodes) {
        match self.parties.iter_mut().find(|party| party.leg == leg) {
            Some(party) => party.codes = codes,
            None => self.parties.push(Party {
                leg,
                codes,
                pressed: String::new(),
                last_at: None,
            }),
        }
    }

    /// Forgets everybody of whom this is not true.
    pub(crate) fn retain(&mut self, is_there: impl Fn(LegId) -> bool) {
        self.parties.retain(|party| is_there(party.leg));
    }

    /// The codes of a party.
    pub(crate) fn of(&self, leg: LegId) -> Option<&RecordingCodes> {
        let party = self.parties.iter().find(|party| party.leg == leg)?;
        Some(&party.codes)
    }

    /// A party pressed a key: what it has ordered by it, if a code is complete.
    pub(crate) fn press(&mut self, now: Instant, leg: LegId, event: u8) -> Option<RecordingOrder> {
        let party = self.parties.iter_mut().find(|party| party.leg == leg)?;
        let digit = TelephoneEvent {
            event,
            end: true,
            volume: 0,
            duration: 0,
        };
        let is_late = |at: Instant| now.saturating_duration_since(at) > PATIENCE;
        if party.last_at.is_some_and(is_late) {
            party.pressed.clear();
        }
        party.last_at = Some(now);
        party.pressed.push(digit.digit()?);
        // Of two codes of which one ends like the other, the longer is meant.
        let complete = party
            .codes
            .iter()
            .filter(|(_, code)| party.pressed.ends_with(code));
        let ordered = complete.max_by_key(|(_, code)| code.len());
        let ordered = ordered.map(|(order, _)| order);
        let longest = party.codes.iter().map(|(_, code)| code.len()).max();
        if ordered.is_some() {
            party.pressed.clear();
        }
        while party.pressed.len() > longest.unwrap_or_default() {
            party.pressed.remove(0);
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: LegId = LegId(1);

    fn codes(pairs: &[(RecordingOrder, &str)]) -> ServiceCodes {
        let mut codes = RecordingCodes::default();
        for (order, code) in pairs {
            assert!(codes.set(*order, code));
        }
        let mut parties = ServiceCodes::default();
        parties.allow(CALLER, codes);
        parties
    }

    /// Presses keys a second apart.
    fn orders(codes: &mut ServiceCodes, now: &mut Instant, keys: &str) -> Vec<RecordingOrder> {
        let mut ordered = Vec::new();
        for key in keys.chars() {
            *now += Duration::from_secs(1);
            let event = "0123456789*#ABCD".find(key).unwrap() as u8;
            ordered.extend(codes.press(*now, CALLER, event));
        }
        ordered
    }

    #[test]
    fn a_code_counts_once_wherever_it_stands_and_the_longer_one_wins() {
        use RecordingOrder::{Pause, Start, Stop};
        let mut codes = codes(&[(Start, "*9"), (Stop, "#*9"), (Pause, "5")]);
        let mut now = crate::testing::epoch();
        assert_eq!(orders(&mut codes, &mut now, "1*9"), [Start]);
        assert_eq!(orders(&mut codes, &mut now, "9"), []);
        assert_eq!(orders(&mut codes, &mut now, "*#*9"), [Stop]);
        assert_eq!(orders(&mut codes, &mut now, "*59"), [Pause]);
        assert_eq!(orders(&mut codes, &mut now, &"12".repeat(500)), []);
        assert!(codes.parties[0].pressed.len() <= 3);
    }

    #[test]
    fn keys_that_are_far_apart_are_no_code() {
        let mut codes = codes(&[(RecordingOrder::Start, "*9")]);
        let mut now = crate::testing::epoch();
        assert_eq!(orders(&mut codes, &mut now, "*"), []);
        now += PATIENCE;
        assert_eq!(orders(&mut codes, &mut now, "9"), []);
    }

    #[test]
    fn only_those_who_may_are_heard() {
        let mut codes = codes(&[(RecordingOrder::Start, "5")]);
        let now = crate::testing::epoch();
        assert_eq!(codes.press(now, LegId(2), 5), None);
        codes.retain(|leg| leg != CALLER);
        assert_eq!(codes.press(now, CALLER, 5), None);
        assert_eq!(codes.of(CALLER), None);
    }
}
