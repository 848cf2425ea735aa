//! Which packets have been seen (RFC 3711 section 3.3.2).

/// The last 128 indices. It holds the whole 48-bit packet index and not the 16-bit number, so that it needs no notion of a wrap;
/// SRTCP uses it with its 31-bit index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReplayWindow {
    highest: u64,
    /// Bit n is `highest - n`; zero as long as nothing has been seen, since bit 0 is set with the first.
    seen: u128,
}

impl ReplayWindow {
    /// How many indices are remembered. RFC 3711 section 3.3.2 wants 64 at least.
    pub const SIZE: u64 = 128;

    /// A window in which `highest` and everything before it counts as seen.
    pub fn used_up_to(highest: u64) -> Self {
        Self {
            highest,
            seen: u128::MAX,
        }
    }

    /// Bytes of [`Self::encode`].
    pub(super) const ENCODED_LEN: usize = 24;

    pub(super) fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let mut bytes = [0; Self::ENCODED_LEN];
        bytes[..8].copy_from_slice(&self.highest.to_be_bytes());
        bytes[8..].copy_from_slice(&self.seen.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; Self::ENCODED_LEN]) -> Self {
        let mut highest = [0; 8];
        let mut seen = [0; 16];
        highest.copy_from_slice(&bytes[..8]);
        seen.copy_from_slice(&bytes[8..]);
        Self {
            highest: u64::from_be_bytes(highest),
            seen: u128::from_be_bytes(seen),
        }
    }

    /// The highest index seen, or `None` before the first.
    pub fn highest(&self) -> Option<u64> {
        (self.seen != 0).then_some(self.highest)
    }

    /// Whether `index` is new: neither seen nor too old to know.
    pub fn accepts(&self, index: u64) -> bool {
        if self.seen == 0 || index > self.highest {
            return true;
        }
        let back = self.highest - index;
        back < Self::SIZE && self.seen >> back & 1 == 0
    }

    /// Notes that `index` was seen.
    pub fn note(&mut self, index: u64) {
        if self.seen == 0 {
            *self = Self {
                highest: index,
                seen: 1,
            };
        } else if index > self.highest {
            let forward = index - self.highest;
            let shift = u32::try_from(forward).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = index;
        } else if self.highest - index < Self::SIZE {
            self.seen |= 1 << (self.highest - index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_index_may_be_any() {
        let mut window = ReplayWindow::default();
        assert_eq!(window.highest(), None);
        assert!(window.accepts(0));
        window.note(0);
        assert_eq!(window.highest(), Some(0));
        assert!(!window.accepts(0));
        assert!(window.accepts(1));
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut window = ReplayWindow::default();
        window.note(1000);
        assert!(window.accepts(1000 - 127));
        assert!(!window.accepts(1000 - 128));
        window.note(1_000_000_000_000);
        assert!(!window.accepts(1000));
        assert!(window.accepts(999_999_999_999));
    }

    #[test]
    fn a_used_up_window_takes_later_indices_only() {
        let window = ReplayWindow::used_up_to(500);
        assert!(!window.accepts(500));
        assert!(!window.accepts(499));
        assert!(window.accepts(501));
    }

    proptest! {
        /// The plain definition: an index is accepted once, and only within the window.
        #[test]
        fn agrees_with_a_set(indices in prop::collection::vec(0u64..600, 1..300)) {
            let mut window = ReplayWindow::default();
            let mut seen = BTreeSet::new();
            for index in indices {
                let oldest = seen.last().map_or(0, |highest: &u64| (highest + 1).saturating_sub(ReplayWindow::SIZE));
                prop_assert_eq!(window.accepts(index), index >= oldest && !seen.contains(&index));
                if window.accepts(index) {
                    window.note(index);
                    seen.insert(index);
                }
            }
        }
    }
}
