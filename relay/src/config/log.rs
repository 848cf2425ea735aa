//! The options about the log.

use super::ConfigError;
use super::settings::{Settings, bad};
use crate::logging::{Facility, Subsystem};

/// How a line of the log is put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The call in brackets.
    #[default]
    Plain,
    /// The call as `ID="..."`.
    Parsable,
    /// An object of JSON a line.
    Json,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// 0 to 7, as in syslog.
    pub level: u8,
    /// Parts of the relay with a level of their own.
    pub levels: Vec<(Subsystem, u8)>,
    /// Log to stderr even in the background.
    pub stderr: bool,
    /// Begin lines with the time.
    pub timestamps: bool,
    /// The facility in syslog.
    pub facility: Facility,
    /// Our name in syslog.
    pub name: String,
    /// How a line is put together.
    pub format: LogFormat,
    /// What stands around a call-id.
    pub mark: (String, String),
    /// Several lines for a message of several lines.
    pub split: bool,
    /// The longest line, in bytes.
    pub longest_line: Option<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: 6,
            levels: Vec::new(),
            stderr: false,
            timestamps: true,
            facility: Facility::default(),
            name: "tandem".to_owned(),
            format: LogFormat::default(),
            mark: Default::default(),
            split: false,
            longest_line: None,
        }
    }
}

/// The log as the options say.
pub(super) fn log(settings: &Settings) -> Result<Log, ConfigError> {
    let mut levels = Vec::new();
    for subsystem in Subsystem::ALL {
        let option = subsystem.option();
        // A level below zero is rtpengine's for "as the others".
        let level = settings.number(option, -1..=7, -1)?;
        if let Ok(level) = u8::try_from(level) {
            levels.push((subsystem, level));
        }
    }
    let facility = match settings.last("log-facility") {
        None => Facility::default(),
        Some(name) => Facility::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Facility::names().collect();
            bad(
                "log-facility",
                name,
                format!("one of {} is expected", known.join(", ")),
            )
        })?,
    };
    let format = match settings.last("log-format") {
        None | Some("default") => LogFormat::Plain,
        Some("parsable") => LogFormat::Parsable,
        Some("json") => LogFormat::Json,
        Some(other) => {
            let expected = "default, parsable or json is expected".to_owned();
            return Err(bad("log-format", other, expected));
        }
    };
    let text = |option| settings.last(option).unwrap_or_default().to_owned();
    let longest_line: usize = settings.number("max-log-line-length", 0..=1 << 20, 0)?;
    Ok(Log {
        level: settings.number("log-level", 0..=7, 6)?,
        levels,
        stderr: settings.switch("log-stderr", false)?,
        timestamps: !settings.switch("no-log-timestamps", false)?,
        facility,
        name: settings.last("log-name").unwrap_or("tandem").to_owned(),
        format,
        mark: (text("log-mark-prefix"), text("log-mark-suffix")),
        split: settings.switch("split-logs", false)?,
        longest_line: (longest_line > 0).then_some(longest_line),
    })
}
