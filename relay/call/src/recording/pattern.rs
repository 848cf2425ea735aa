//! Names of files from a pattern (`recording-pattern`), as rtpengine's recording daemon has it.
//!
//! ```text
//!  %c      the call-id, encoded as in every name          %Y %m %d   the date
//!  %r      the random digits of the recording             %H %M %S   the time of day, in UTC
//!  %t      what is in the file: `mix`                     %%         a per cent sign
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::RequestError;
use crate::utc_time::UtcTime;

/// The longest name that a pattern may make: as much as a path may have.
const LONGEST: usize = 4096;

/// What a pattern makes of a recording's name ([`name`](super::name)), which began at this time since 1970.
pub(super) fn expanded(pattern: &str, name: &str, at: Duration) -> Result<String, RequestError> {
    let (call_id, random) = name.rsplit_once('-').unwrap_or((name, ""));
    let (date, time) = UtcTime(at).date_and_time();
    let mut text = String::new();
    let mut rest = pattern.chars();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match rest.next() {
            Some('%') => write!(text, "%"),
            Some('c') => write!(text, "{call_id}"),
            Some('r') => write!(text, "{random}"),
            Some('t') => write!(text, "mix"),
            Some('Y') => write!(text, "{:04}", date[0]),
            Some('m') => write!(text, "{:02}", date[1]),
            Some('d') => write!(text, "{:02}", date[2]),
            Some('H') => write!(text, "{:02}", time[0]),
            Some('M') => write!(text, "{:02}", time[1]),
            Some('S') => write!(text, "{:02}", time[2]),
            other => {
                let other = other.map_or(String::new(), |c| c.escape_debug().to_string());
                return refuse(
                    pattern,
                    &format!(
                        "has %{other}, which stands for nothing: %c %r %t %Y %m %d %H %M %S %% do"
                    ),
                );
            }
        };
        if text.len() > LONGEST {
            return refuse(pattern, "makes a name that is too long");
        }
    }
    Ok(text)
}

fn refuse(pattern: &str, problem: &str) -> Result<String, RequestError> {
    let shown: String = pattern.chars().take(100).collect();
    let shown = shown.escape_debug();
    Err(RequestError::Recording(format!(
        "recording-pattern=\"{shown}\" {problem}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Result<String, String> {
        let at = Duration::from_secs(1_795_330_304);
        let made = expanded(pattern, "call%2F1-x-16c00366ab9c13a1", at);
        made.map_err(|error| error.to_string())
    }

    #[test]
    fn a_pattern_has_the_call_the_time_and_random_digits() {
        let made = of("%Y/%m/%d/%H-%M-%S_%c_%r_%t_100%%.é").unwrap();
        let expected = "2026/11/22/06-51-44_call%2F1-x_16c00366ab9c13a1_mix_100%.é";
        assert_eq!(made, expected);
    }

    #[test]
    fn a_letter_that_stands_for_nothing_is_named_and_length_has_an_end() {
        for (pattern, words) in [
            ("%s", "recording-pattern=\"%s\" has %s, which"),
            ("a%", "has %, which"),
            ("%\n", "has %\\n, which"),
        ] {
            let refused = of(pattern).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        let refused = of(&"%c".repeat(10_000)).unwrap_err();
        assert!(
            refused.ends_with("too long") && refused.len() < 300,
            "{refused}"
        );
    }
}
