//! Log lines for the person who reads them at night: time, level, call, sentence.
//!
//! ```text
//! 2026-11-21 22:10:03.123 INFO  [4f2a@pbx] answer from b7: offerer is answered audio UDP/TLS/RTP/SAVPF 198.51.100.7:30000
//! ```
//!
//! Levels are syslog's numbers, as rtpengine's `log-level` has them.
//! Under systemd the journal keeps the time and wants the level as a number in front; it is recognised by its environment
//! variable.
//! Nothing is ever logged per packet.

mod level;
mod syslog;

use std::fmt::{self, Write};
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use relay_call::UtcTime;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Process};
pub use level::{Subsystem, change_all, debug_call, follow, level, set_level};
pub use syslog::Facility;
use syslog::Syslog;

/// Starts logging as the configuration says.
pub fn start(process: &Process) {
    follow(&process.log);
    let mut form = Form::of(process);
    let writer = match form.place {
        Place::Stderr => BoxMakeWriter::new(io::stderr),
        Place::Syslog => match Syslog::connect() {
            Ok(syslog) => BoxMakeWriter::new(move || syslog.clone()),
            Err(_) => {
                // A machine without a log daemon: the line must go somewhere, in the form for people.
                form.write_to_stderr(process);
                BoxMakeWriter::new(io::stderr)
            }
        },
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(form)
        .with_writer(writer);
    // Fails only when somebody logs already, who then does it for us.
    let _ = tracing_subscriber::registry()
        .with(level::Wanted)
        .with(layer)
        .try_init();
    // A defect of ours must be found where the operator looks, also in the background.
    std::panic::set_hook(Box::new(|defect| {
        tracing::error!("defect in {}: {defect}", thread_name());
    }));
}

fn thread_name() -> String {
    let thread = std::thread::current();
    format!("thread {}", thread.name().unwrap_or("without a name"))
}

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    place: Place,
    /// `<4>` in front, for the journal and for syslog.
    number: bool,
    time: bool,
    level: bool,
    facility: Facility,
    /// Our name in syslog.
    name: String,
    format: LogFormat,
    /// What stands around a call-id.
    mark: (String, String),
    /// Several lines for a message of several lines.
    split: bool,
    longest_line: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Stderr,
    Syslog,
}

impl Form {
    fn of(process: &Process) -> Self {
        let log = &process.log;
        let mut form = Self {
            place: Place::Syslog,
            number: true,
            time: false,
            level: false,
            facility: log.facility,
            name: log.name.clone(),
            format: log.format,
            mark: log.mark.clone(),
            split: log.split,
            longest_line: log.longest_line,
        };
        if process.foreground || log.stderr {
            form.write_to_stderr(process);
        }
        form
    }

    fn write_to_stderr(&mut self, process: &Process) {
        let journal = std::env::var_os("JOURNAL_STREAM").is_some();
        self.place = Place::Stderr;
        self.number = journal;
        // What reads JSON does not ask the journal.
        let whole = self.format == LogFormat::Json || !journal;
        self.time = process.log.timestamps && whole;
        self.level = whole;
    }
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let mut head = String::new();
        if self.format == LogFormat::Json {
            self.write_origin(&mut head, *event.metadata().level())?;
            return writeln!(
                line,
                "{head}{}",
                self.object(*event.metadata().level(), parts)
            );
        }
        self.write_head(&mut head, *event.metadata().level(), &parts.call)?;
        let longest = self.longest_line.unwrap_or(usize::MAX);
        for message in self.messages(&parts.message) {
            let mut body = Printable(message).to_string();
            for (name, value) in &parts.rest {
                write!(body, " {name}={}", Printable(value))?;
            }
            for piece in pieces(&body, longest.saturating_sub(head.len())) {
                writeln!(line, "{head}{piece}")?;
            }
        }
        Ok(())
    }
}

impl Form {
    /// What the journal or syslog wants in front of a line.
    fn write_origin(&self, head: &mut dyn fmt::Write, level: Level) -> fmt::Result {
        if self.number {
            write!(head, "<{}>", self.priority(level))?;
        }
        if self.place == Place::Syslog {
            write!(head, "{}[{}]: ", self.name, std::process::id())?;
        }
        Ok(())
    }

    /// An event for programs. It is never split or cut: half an object is none.
    fn object(&self, level: Level, parts: Parts) -> Value {
        let mut object = Map::new();
        if self.time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let time = UtcTime(now.unwrap_or_default()).rfc3339();
            object.insert("time".to_owned(), time.into());
        }
        let level = level.as_str().to_ascii_lowercase();
        object.insert("level".to_owned(), level.into());
        if !parts.call.is_empty() {
            object.insert("call".to_owned(), parts.call.into());
        }
        object.insert("message".to_owned(), parts.message.into());
        for (name, value) in parts.rest {
            object.insert(name.to_owned(), value.into());
        }
        Value::Object(object)
    }

    /// What stands before the sentence.
    fn write_head(&self, head: &mut dyn fmt::Write, level: Level, call: &str) -> fmt::Result {
        self.write_origin(head, level)?;
        if self.time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            write!(head, "{} ", UtcTime(now.unwrap_or_default()))?;
        }
        if self.level {
            // Padded by hand: `Level` does not obey a width everywhere.
            let name = level.as_str();
            write!(head, "{name:<5} ")?;
        }
        if call.is_empty() {
            return Ok(());
        }
        let (before, after) = &self.mark;
        let call = Printable(call);
        if self.format == LogFormat::Parsable {
            write!(head, "ID=\"{before}{call}{after}\": ")
        } else {
            write!(head, "[{before}{call}{after}] ")
        }
    }

    /// The message as one line, or line by line if the operator wants it split.
    fn messages<'a>(&self, message: &'a str) -> Vec<&'a str> {
        if self.split {
            message.lines().collect()
        } else {
            vec![message]
        }
    }

    fn priority(&self, level: Level) -> u8 {
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        match self.place {
            Place::Stderr => severity,
            Place::Syslog => self.facility.priority(severity),
        }
    }
}

/// A text in pieces of at most `longest` bytes, or a little more where a character would break.
fn pieces(text: &str, longest: usize) -> Vec<&str> {
    let longest = longest.max(20);
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > longest {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(longest));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// The fields of an event: the call, the sentence, and whatever else there is.
#[derive(Debug, Default)]
struct Parts {
    call: String,
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "call" => self.call = format!("{value:?}"),
            "message" => self.message = format!("{value:?}"),
            name => self.rest.push((name, format!("{value:?}"))),
        }
    }
}

/// Text from outside on one line: control characters would let a call-id forge log lines or move a terminal's cursor.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.chars().any(char::is_control) {
            return f.write_str(self.0);
        }
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: Form, say: impl FnOnce()) -> String {
        let memory = Memory::default();
        let copy = memory.clone();
        let subscriber = tracing_subscriber::registry().with(
            tracing_subscriber::fmt::layer()
                .event_format(form)
                .with_writer(move || copy.clone()),
        );
        tracing::subscriber::with_default(subscriber, say);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn plain() -> Form {
        Form {
            place: Place::Stderr,
            number: false,
            time: false,
            level: true,
            facility: Facility::default(),
            name: "tandem".to_owned(),
            format: LogFormat::Plain,
            mark: Default::default(),
            split: false,
            longest_line: None,
        }
    }

    #[test]
    fn a_line_has_level_call_and_sentence() {
        let line = logged(plain(), || {
            tracing::info!(call = %"4f2a@pbx", "answer from {}", "b7");
        });
        assert_eq!(line, "INFO  [4f2a@pbx] answer from b7\n");
        let line = logged(plain(), || tracing::warn!(count = 3, "sending failed"));
        assert_eq!(line, "WARN  sending failed count=3\n");
    }

    #[test]
    fn the_journal_gets_the_level_as_a_number() {
        let journal = Form {
            number: true,
            level: false,
            ..plain()
        };
        let line = logged(journal, || tracing::error!("no"));
        assert_eq!(line, "<3>no\n");
    }

    #[test]
    fn programs_get_an_object_a_line() {
        let json = Form {
            format: LogFormat::Json,
            time: true,
            longest_line: Some(30),
            ..plain()
        };
        let line = logged(json, || {
            tracing::warn!(call = %"4f2a\"@pbx", count = 3, "not\nsent");
        });
        assert_eq!(line.lines().count(), 1);
        let mut object: Value = serde_json::from_str(&line).unwrap();
        let time = object.as_object_mut().unwrap().remove("time").unwrap();
        let time = time.as_str().unwrap();
        assert!(time.contains('T') && time.ends_with('Z'), "{time}");
        let expected = serde_json::json!({
            "level": "warn", "call": "4f2a\"@pbx", "message": "not\nsent", "count": "3"
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn a_call_id_cannot_forge_a_line() {
        let line = logged(plain(), || {
            tracing::info!(call = %"x\nERROR [y] all is lost\u{1b}[2J", "offer");
        });
        assert_eq!(line.lines().count(), 1);
        assert!(
            line.contains("x\\nERROR") && line.contains("\\u{1b}"),
            "{line}"
        );
    }

    #[test]
    fn syslog_gets_facility_name_and_process() {
        let syslog = Form {
            place: Place::Syslog,
            number: true,
            level: false,
            facility: Facility::parse("local1").unwrap(),
            name: "relay".to_owned(),
            ..plain()
        };
        let line = logged(syslog, || tracing::warn!("no"));
        let id = std::process::id();
        assert_eq!(line, format!("<{}>relay[{id}]: no\n", 17 * 8 + 4));
    }

    #[test]
    fn the_call_is_marked_and_parsable_as_wished() {
        let form = Form {
            format: LogFormat::Parsable,
            mark: ("{".to_owned(), "}".to_owned()),
            ..plain()
        };
        let line = logged(form, || tracing::info!(call = %"4f2a", "offer"));
        assert_eq!(line, "INFO  ID=\"{4f2a}\": offer\n");
    }

    #[test]
    fn long_and_many_lined_messages_are_split_on_request() {
        let form = Form {
            split: true,
            longest_line: Some(30),
            ..plain()
        };
        let text = format!("first\n{}", "x".repeat(40));
        let lines = logged(form, || tracing::info!("{text}"));
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[0], "INFO  first");
        assert_eq!(lines[1], format!("INFO  {}", "x".repeat(24)));
        assert_eq!(lines[2], format!("INFO  {}", "x".repeat(16)));
        assert_eq!(logged(plain(), || tracing::info!("a\nb")), "INFO  a\\nb\n");
    }
}
