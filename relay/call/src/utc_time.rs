//! The time of day as people read it, in UTC because a relay serves more than one time zone.

use std::fmt;
use std::time::Duration;

/// Time since 1970; shown as `2026-11-21 22:10:03.123`.
#[derive(Clone, Copy, Debug)]
pub struct UtcTime(pub Duration);

impl UtcTime {
    /// As `2026-11-21T22:10:03`.
    pub fn seconds(self) -> String {
        let [hours, minutes, seconds] = self.time_of_day();
        format!("{}T{hours:02}:{minutes:02}:{seconds:02}", self.date())
    }

    /// As RFC 3339 has it, with milliseconds unless there are none: `2026-11-21T22:10:03.123Z`.
    pub fn rfc3339(self) -> String {
        match self.0.subsec_millis() {
            0 => format!("{}Z", self.seconds()),
            millis => format!("{}.{millis:03}Z", self.seconds()),
        }
    }

    /// Year, month and day; hour, minute and second.
    pub fn date_and_time(self) -> ([u64; 3], [u64; 3]) {
        let (year, month, day) = civil_date(self.0.as_secs() / 86_400);
        ([year, month, day], self.time_of_day())
    }

    fn date(self) -> String {
        let ([year, month, day], _) = self.date_and_time();
        format!("{year:04}-{month:02}-{day:02}")
    }

    fn time_of_day(self) -> [u64; 3] {
        let seconds = self.0.as_secs();
        [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60]
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hours, minutes, seconds] = self.time_of_day();
        let (date, millis) = (self.date(), self.0.subsec_millis());
        write!(f, "{date} {hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
    }
}

/// Days since 1970-01-01 to year, month and day (Hinnant's `civil_from_days`, for dates after 1970).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        let at = |seconds: u64| UtcTime(Duration::from_millis(seconds * 1000 + 7)).to_string();
        assert_eq!(at(0), "1970-01-01 00:00:00.007");
        assert_eq!(at(951_827_696), "2000-02-29 12:34:56.007");
        assert_eq!(at(1_795_299_003), "2026-11-21 22:10:03.007");
        let time = UtcTime(Duration::from_millis(1_795_299_003_999));
        assert_eq!(time.seconds(), "2026-11-21T22:10:03");
        assert_eq!(time.rfc3339(), "2026-11-21T22:10:03.999Z");
        let time = UtcTime(Duration::from_micros(1_795_299_003_000_900));
        assert_eq!(time.rfc3339(), "2026-11-21T22:10:03Z");
    }
}
