//! Settings as they were written, and how a value is made sense of.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::ConfigError;
use super::options::{Meaning, Opt};

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
    /// The configuration file.
    File,
    /// The command line.
    CommandLine,
}

/// All settings, in the order they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Known options.
    pub list: Vec<Setting>,
    /// Names nobody knows.
    pub unknown: Vec<String>,
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
        let named = |origin| {
            let values = self
                .list
                .iter()
                .filter(move |s| s.option.name == name && s.origin == origin);
            let parts = values.flat_map(|setting| setting.value.split(';'));
            let parts = parts.map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        let from_command_line = named(Origin::CommandLine);
        if from_command_line.is_empty() {
            named(Origin::File)
        } else {
            from_command_line
        }
    }

    /// What the operator wrote in vain, as sentences for the log.
    pub fn remarks(&self) -> Vec<String> {
        let mut inert: Vec<&str> = Vec::new();
        for setting in &self.list {
            if setting.option.meaning == Meaning::Inert && !inert.contains(&setting.option.name) {
                inert.push(setting.option.name);
            }
        }
        let mut unknown = self.unknown.clone();
        unknown.sort_unstable();
        unknown.dedup();
        let mut remarks = Vec::new();
        if !inert.is_empty() {
            remarks.push(format!(
                "these options of rtpengine have no effect here: {}",
                inert.join(", ")
            ));
        }
        if !unknown.is_empty() {
            remarks.push(format!(
                "unknown options are ignored: {}",
                unknown.join(", ")
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
        match value.trim().parse() {
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
        option,
        value: value.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_file() {
        let setting = |name, value: &str, origin| Setting {
            option: options::by_name(name).unwrap(),
            value: value.to_owned(),
            origin,
        };
        let settings = Settings {
            list: vec![
                setting("timeout", "1", Origin::CommandLine),
                setting("interface", "192.0.2.1", Origin::CommandLine),
                setting("timeout", "2", Origin::File),
                setting("interface", "192.0.2.2", Origin::File),
                setting("listen-ng", "1;2", Origin::File),
            ],
            unknown: vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
        };
        assert_eq!(settings.last("timeout"), Some("1"));
        assert_eq!(settings.all("interface"), ["192.0.2.1"]);
        assert_eq!(settings.all("listen-ng"), ["1", "2"]);
        assert_eq!(settings.remarks(), ["unknown options are ignored: a, b"]);
    }
}
