//! How much is logged: a level for each part of the relay, and calls that an operator looks at closely.
//!
//! The parts are rtpengine's, so that `log-level-ice` and `set loglevel ice 7` mean what they always meant.
//! A process has one log, so the levels are the process's and not a value that is handed about.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::config::Log;

/// Calls that are looked at closely at the same time. An operator who forgets one must not fill memory with the next thousand.
const MOST_DEBUGGED: usize = 100;

/// A part of the relay with a log level of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subsystem {
    /// Everything that is none of the others.
    Core,
    /// Transcoding.
    Transcoding,
    /// Negotiation of codecs.
    Codec,
    /// RTCP.
    Rtcp,
    /// ICE.
    Ice,
    /// DTLS, SDES and their keys.
    Crypto,
    /// Packets that cannot be authenticated.
    Srtp,
    /// The inside of the relay.
    Internals,
    /// HTTP and WebSocket.
    Http,
    /// Control protocols and commands.
    Control,
}

impl Subsystem {
    /// All of them, in the order in which rtpengine lists them.
    pub const ALL: [Self; 10] = [
        Self::Core,
        Self::Transcoding,
        Self::Codec,
        Self::Rtcp,
        Self::Ice,
        Self::Crypto,
        Self::Srtp,
        Self::Internals,
        Self::Http,
        Self::Control,
    ];

    /// Name, option and explanation.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Core => (
                "core",
                "log-level-core",
                "Everything that isn't part of another subsystem",
            ),
            Self::Transcoding => (
                "transcoding",
                "log-level-transcoding",
                "Media and RTP transcoding",
            ),
            Self::Codec => ("codec", "log-level-codec", "Codec negotiation"),
            Self::Rtcp => ("rtcp", "log-level-rtcp", "RTCP handling"),
            Self::Ice => ("ice", "log-level-ice", "ICE negotiation"),
            Self::Crypto => (
                "crypto",
                "log-level-crypto",
                "Negotiation of SRTP, crypto suites, DTLS, SDES",
            ),
            Self::Srtp => ("srtp", "log-level-srtp", "SRTP encryption and decryption"),
            Self::Internals => (
                "internals",
                "log-level-internals",
                "Noisy low-level internals",
            ),
            Self::Http => ("http", "log-level-http", "HTTP, HTTPS, Websockets"),
            Self::Control => (
                "control",
                "log-level-control",
                "Control protocols including SDP exchanges, CLI",
            ),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The option for its level.
    pub fn option(self) -> &'static str {
        self.words().1
    }

    /// What it is.
    pub fn explanation(self) -> &'static str {
        self.words().2
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// The part that a log line belongs to: the one its target names, or the module that wrote it.
    fn of(target: &str) -> Self {
        if let Some(named) = Self::parse(target) {
            return named;
        }
        let Some(module) = target.strip_prefix("relay::") else {
            return Self::Core;
        };
        if module.starts_with("control::http") || module.starts_with("control::websocket") {
            Self::Http
        } else if module.starts_with("control") || module.starts_with("cli") {
            Self::Control
        } else {
            Self::Core
        }
    }
}

static LEVELS: [AtomicU8; Subsystem::ALL.len()] =
    [const { AtomicU8::new(6) }; Subsystem::ALL.len()];

/// The level of a part, 0 to 7.
pub fn level(part: Subsystem) -> u8 {
    LEVELS[part as usize].load(Ordering::Relaxed)
}

/// Sets the level of a part; beyond 7 it is 7.
pub fn set_level(part: Subsystem, level: u8) {
    LEVELS[part as usize].store(level.min(7), Ordering::Relaxed);
}

/// Sets all levels as the configuration says.
pub fn follow(log: &Log) {
    for part in Subsystem::ALL {
        set_level(part, log.level);
    }
    for &(part, level) in &log.levels {
        set_level(part, level);
    }
}

/// One level less (`-1`) or more (`1`) for every part, within 0 to 7.
pub fn change_all(by: i8) {
    for part in Subsystem::ALL {
        set_level(part, level(part).saturating_add_signed(by));
    }
    tracing::warn!("log level is now {}", level(Subsystem::Core));
}

static DEBUGGED: RwLock<Option<HashSet<String>>> = RwLock::new(None);
/// Whether any call is looked at closely: asked for every line, unlike the set.
static DEBUGGING: AtomicBool = AtomicBool::new(false);

/// Logs everything about a call, or stops doing so. Gives whether there was room for it.
pub fn debug_call(call: &str, on: bool) -> bool {
    let mut calls = DEBUGGED.write().unwrap_or_else(PoisonError::into_inner);
    let calls = calls.get_or_insert_with(HashSet::new);
    if on && calls.len() >= MOST_DEBUGGED && !calls.contains(call) {
        return false;
    }
    if on {
        calls.insert(call.to_owned());
    } else {
        calls.remove(call);
    }
    DEBUGGING.store(!calls.is_empty(), Ordering::Relaxed);
    true
}

/// Lets lines through as the levels of the process say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted;

/// Syslog's 0 to 3 are errors, 4 warnings, 5 and 6 the story of a call, 7 everything.
fn passes(metadata: &Metadata<'_>) -> bool {
    let needed = match *metadata.level() {
        Level::ERROR => return true,
        Level::WARN => 4,
        Level::INFO => 5,
        _ => 7,
    };
    level(Subsystem::of(metadata.target())) >= needed
}

impl<S: Subscriber> Layer<S> for Wanted {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Levels change, so the answer must be asked for anew.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let may_be_debugged =
            DEBUGGING.load(Ordering::Relaxed) && *metadata.level() <= Level::DEBUG;
        may_be_debugged || passes(metadata)
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if passes(event.metadata()) {
            return true;
        }
        let mut call = CallField(None);
        event.record(&mut call);
        let calls = DEBUGGED.read().unwrap_or_else(PoisonError::into_inner);
        match (call.0, calls.as_ref()) {
            (Some(call), Some(calls)) => calls.contains(&call),
            _ => false,
        }
    }
}

/// The call that a line is about.
struct CallField(Option<String>);

impl Visit for CallField {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "call" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_part_it_names_or_comes_from() {
        for (target, part) in [
            ("ice", Subsystem::Ice),
            ("relay::control::udp", Subsystem::Control),
            ("relay::control::http", Subsystem::Http),
            ("relay::cli::listen", Subsystem::Control),
            ("relay::worker::live_call", Subsystem::Core),
            ("somebody_else", Subsystem::Core),
        ] {
            assert_eq!(Subsystem::of(target), part, "{target}");
        }
    }

    #[test]
    fn names_and_options_belong_together() {
        for part in Subsystem::ALL {
            assert_eq!(part.option(), format!("log-level-{}", part.name()));
            assert_eq!(Subsystem::parse(part.name()), Some(part));
            assert!(crate::config::options::by_name(part.option()).is_some());
        }
    }
}
