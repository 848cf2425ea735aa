//! Settings as they were written, and how a value is made sense of.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::file::ConfigFile;
use super::options::{self, Meaning, Opt};
use super::{ConfigError, Place};

/// One value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which option.
    pub option: &'static Opt,
    /// Its value; `true` for a switch that was given.
    pub value: String,
    /// Where it stood.
    pub origin: Origin,
}

/// Where a setting came from. The command line wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// This line of the configuration file.
    File(usize),
    /// The command line.
    CommandLine,
}

/// All settings, in the order they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Known options.
    pub list: Vec<Setting>,
    /// Names nobody knows.
    pub unknown: Vec<Unknown>,
    /// The file, for the sections that options refer to.
    pub file: Option<ConfigFile>,
}

/// A name that is no option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The name, with its dashes if it has any.
    pub name: String,
    /// Where it stood in the file.
    pub place: Option<Place>,
    /// Whether the relay starts all the same: the file may have been written for a newer rtpengine.
    pub tolerated: bool,
}

impl Unknown {
    /// What to say about it.
    fn problem(&self) -> String {
        let meant = options::nearest(&self.name).map(|option| option.name);
        let meant = meant.map(|name| format!("; is {name} meant?"));
        format!(
            "there is no option {}{}",
            self.name,
            meant.unwrap_or_default()
        )
    }
}

impl Settings {
    /// The value that counts of an option that has one.
    pub fn last(&self, name: &str) -> Option<&str> {
        let named = self.list.iter().filter(|s| s.option.name == name);
        // Of equals `max_by_key` gives the last.
        let strongest = named.max_by_key(|setting| setting.origin)?;
        Some(&strongest.value)
    }

    /// The values of an option that has several: those of the command line, or else those of the file.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let named = |wanted: fn(&Setting) -> bool| {
            let values = self
                .list
                .iter()
                .filter(move |s| s.option.name == name && wanted(s));
            let parts = values.flat_map(|setting| setting.value.split(';'));
            let parts = parts.map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        let from_command_line = named(|setting| setting.origin == Origin::CommandLine);
        if from_command_line.is_empty() {
            named(|_| true)
        } else {
            from_command_line
        }
    }

    /// Where an option stands in the file, if it is the file that decides it.
    pub(super) fn place(&self, option: &str) -> Option<Place> {
        let mut named = self.list.iter().rev().filter(|s| s.option.name == option);
        match named.next()?.origin {
            Origin::File(line) => self.file.as_ref().map(|file| file.place(line)),
            Origin::CommandLine => None,
        }
    }

    /// Stops at what no relay should start with: a name that is a slip, an option that cannot be obeyed.
    pub(super) fn refuse(&self) -> Result<(), ConfigError> {
        if let Some(unknown) = self.unknown.iter().find(|unknown| !unknown.tolerated) {
            return Err(ConfigError::Unknown {
                place: unknown.place.clone(),
                problem: unknown.problem(),
            });
        }
        for setting in &self.list {
            if let Meaning::Refused(reason) = setting.option.meaning {
                return Err(bad(setting.option.name, &setting.value, reason.to_owned()));
            }
        }
        Ok(())
    }

    /// What the operator wrote in vain, as sentences for the log.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(file) = &self.file {
            remarks.push(format!("configuration file {}", file.path.display()));
        }
        // One sentence a reason, with all the options that it explains.
        let mut without_effect: Vec<(&str, Vec<&str>)> = Vec::new();
        for setting in &self.list {
            let Meaning::Accepted(reason) = setting.option.meaning else {
                continue;
            };
            let name = setting.option.name;
            match without_effect
                .iter_mut()
                .find(|(known, _)| *known == reason)
            {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => without_effect.push((reason, vec![name])),
            }
        }
        for (reason, names) in without_effect {
            remarks.push(format!("without effect: {} ({reason})", names.join(", ")));
        }
        for unknown in &self.unknown {
            let place = unknown.place.as_ref().map(|place| format!("{place}: "));
            remarks.push(format!(
                "{}{}; ignored",
                place.unwrap_or_default(),
                unknown.problem()
            ));
        }
        remarks
    }

    pub(super) fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        option: &'static str,
        range: RangeInclusive<T>,
        default: T,
    ) -> Result<T, ConfigError> {
        let Some(value) = self.last(option) else {
            return Ok(default);
        };
        // rtpengine reads a number up to the first blank, so that files have remarks behind theirs.
        let word = value.split_whitespace().next().unwrap_or_default();
        match word.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(bad(
                option,
                value,
                format!(
                    "a number from {} to {} is expected",
                    range.start(),
                    range.end()
                ),
            )),
        }
    }

    pub(super) fn seconds(
        &self,
        option: &'static str,
        default: u32,
    ) -> Result<Duration, ConfigError> {
        // A number beyond a century is a slip; the bound also keeps every deadline representable.
        let seconds = self.number(option, 0..=3_155_760_000, default)?;
        Ok(Duration::from_secs(u64::from(seconds)))
    }

    pub(super) fn switch(&self, option: &'static str, default: bool) -> Result<bool, ConfigError> {
        let Some(value) = self.last(option) else {
            return Ok(default);
        };
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(bad(option, value, "true or false is expected".to_owned())),
        }
    }

    pub(super) fn type_of_service(&self, option: &'static str) -> Result<Option<u8>, ConfigError> {
        // rtpengine's way to say "leave it alone" is any value outside of a byte.
        let value: i32 = self.number(option, i32::MIN..=i32::MAX, -1)?;
        Ok(u8::try_from(value).ok())
    }
}

/// A value that means nothing.
pub(super) fn bad(option: &'static str, value: &str, problem: String) -> ConfigError {
    ConfigError::Value {
        place: None,
        option,
        value: value.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::*;

    fn setting(name: &str, value: &str, origin: Origin) -> Setting {
        Setting {
            option: options::by_name(name).unwrap(),
            value: value.to_owned(),
            origin,
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let settings = Settings {
            list: vec![
                setting("timeout", "1", Origin::CommandLine),
                setting("interface", "192.0.2.1", Origin::CommandLine),
                setting("timeout", "2", Origin::File(2)),
                setting("interface", "192.0.2.2", Origin::File(3)),
                setting("listen-ng", "1;2", Origin::File(4)),
            ],
            ..Settings::default()
        };
        assert_eq!(settings.last("timeout"), Some("1"));
        assert_eq!(settings.all("interface"), ["192.0.2.1"]);
        assert_eq!(settings.all("listen-ng"), ["1", "2"]);
    }

    #[test]
    fn what_has_no_effect_is_told_once_with_its_reason() {
        let mut settings = Settings {
            list: vec![
                setting("redis", "127.0.0.1:6379/1", Origin::CommandLine),
                setting("table", "0", Origin::CommandLine),
                setting("redis-write", "127.0.0.1:6379/2", Origin::CommandLine),
                setting("redis", "127.0.0.1:6379/1", Origin::CommandLine),
                setting("timeout", "60", Origin::CommandLine),
            ],
            ..Settings::default()
        };
        settings.unknown.push(Unknown {
            name: "portmin".to_owned(),
            place: None,
            tolerated: true,
        });
        let remarks = settings.remarks();
        assert_eq!(remarks.len(), 3, "{remarks:?}");
        assert!(remarks[0].starts_with("without effect: redis, redis-write (calls are not kept"));
        assert!(remarks[1].starts_with("without effect: table (packets"));
        assert_eq!(
            remarks[2],
            "there is no option portmin; is port-min meant?; ignored"
        );
    }

    #[test]
    fn a_number_ends_at_the_first_blank() {
        let settings = Settings {
            list: vec![setting("timeout", "5 # five", Origin::File(1))],
            ..Settings::default()
        };
        assert_eq!(
            settings.seconds("timeout", 60).unwrap(),
            Duration::from_secs(5)
        );
    }
}
