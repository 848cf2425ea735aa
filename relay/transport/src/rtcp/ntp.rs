//! The wall clock of sender reports (RFC 3550 section 4), and round trips measured with it.

use std::time::Duration;

/// Seconds from 1900, where NTP begins, to 1970, where Unix time begins (RFC 5905 figure 4).
const UNIX_EPOCH: u64 = 2_208_988_800;

/// An NTP timestamp: seconds since 1900 in the upper 32 bits, fractions of a second in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The timestamp of a moment given as time since 1970. It wraps in 2036, as RFC 3550 section 4 expects.
    pub fn from_unix(since_1970: Duration) -> Self {
        let seconds = since_1970.as_secs().wrapping_add(UNIX_EPOCH);
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds << 32 | fraction)
    }

    /// The middle 32 bits, in which reports count: 65,536ths of a second.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A time in 65,536ths of a second, as "delay since last SR" wants it; more than 18 hours are cut.
pub(super) fn to_units(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// And back.
pub(super) fn from_units(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_becomes_ntp_time() {
        let half_past = NtpTime::from_unix(Duration::from_millis(1_500));
        assert_eq!(half_past.0, (UNIX_EPOCH + 1) << 32 | 1 << 31);
        assert_eq!(half_past.middle() & 0xffff, 0x8000);
        // 2036-02-07 06:28:16 UTC is the first second of the next era.
        let next_era = NtpTime::from_unix(Duration::from_secs(2_085_978_496));
        assert_eq!(next_era.0, 0);
    }

    #[test]
    fn delays_survive_their_unit() {
        for millis in [0, 1, 20, 1_500, 3_600_000] {
            let time = Duration::from_millis(millis);
            let back = from_units(to_units(time));
            assert!(time - back < Duration::from_micros(16), "{time:?} {back:?}");
        }
        assert_eq!(to_units(Duration::from_secs(1 << 40)), u32::MAX);
    }
}
