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

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::Process;

/// Changes the level of a running process.
#[derive(Clone, Debug)]
pub struct LogLevel {
    handle: Option<reload::Handle<LevelFilter, Registry>>,
    level: u8,
}

impl LogLevel {
    /// One level less (`-1`) or more (`1`), within 0 to 7.
    pub fn change(&mut self, by: i8) {
        self.level = self.level.saturating_add_signed(by).min(7);
        if let Some(handle) = &self.handle {
            // Fails only when the subscriber is gone, and then there is nothing to change.
            let _ = handle.modify(|filter| *filter = filter_for(self.level));
        }
        tracing::warn!("log level is now {}", self.level);
    }
}

/// Starts logging as the configuration says.
pub fn start(process: &Process) -> LogLevel {
    let (filter, handle) = reload::Layer::new(filter_for(process.log_level));
    let form = Form::of(process);
    let writer = match form.place {
        Place::Stderr => BoxMakeWriter::new(io::stderr),
        Place::Syslog => match Syslog::connect() {
            Ok(syslog) => BoxMakeWriter::new(move || syslog.clone()),
            Err(_) => BoxMakeWriter::new(io::stderr),
        },
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(form)
        .with_writer(writer);
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init();
    // A defect of ours must be found where the operator looks, also in the background.
    std::panic::set_hook(Box::new(|defect| {
        tracing::error!("defect in {}: {defect}", thread_name());
    }));
    LogLevel {
        handle: started.is_ok().then_some(handle),
        level: process.log_level,
    }
}

fn thread_name() -> String {
    let thread = std::thread::current();
    format!("thread {}", thread.name().unwrap_or("without a name"))
}

/// Syslog's 0 to 3 are errors, 4 warnings, 5 and 6 the story of a call, 7 everything.
fn filter_for(level: u8) -> LevelFilter {
    match level {
        0..=3 => LevelFilter::ERROR,
        4 => LevelFilter::WARN,
        5 | 6 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    place: Place,
    /// `<4>` in front, for the journal and for syslog.
    number: bool,
    time: bool,
    level: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Stderr,
    Syslog,
}

impl Form {
    fn of(process: &Process) -> Self {
        if !process.foreground && !process.log_stderr {
            return Self {
                place: Place::Syslog,
                number: true,
                time: false,
                level: false,
            };
        }
        let journal = std::env::var_os("JOURNAL_STREAM").is_some();
        Self {
            place: Place::Stderr,
            number: journal,
            time: process.log_timestamps && !journal,
            level: !journal,
        }
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
        let level = *event.metadata().level();
        if self.number {
            write!(line, "<{}>", self.priority(level))?;
        }
        if self.place == Place::Syslog {
            write!(line, "tandem[{}]: ", std::process::id())?;
        }
        if self.time {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            write!(line, "{} ", UtcTime(now.unwrap_or_default()))?;
        }
        if self.level {
            // Padded by hand: `Level` does not obey a width everywhere.
            let name = level.as_str();
            write!(line, "{name:<5} ")?;
        }
        let mut parts = Parts::default();
        event.record(&mut parts);
        if !parts.call.is_empty() {
            write!(line, "[{}] ", Printable(&parts.call))?;
        }
        writeln!(
            line,
            "{}{}",
            Printable(&parts.message),
            Printable(&parts.rest)
        )
    }
}

impl Form {
    fn priority(self, level: Level) -> u8 {
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        match self.place {
            Place::Stderr => severity,
            // Facility daemon (3), RFC 5424 section 6.2.1.
            Place::Syslog => 3 * 8 + severity,
        }
    }
}

/// The fields of an event: the call, the sentence, and whatever else as `name=value`.
#[derive(Debug, Default)]
struct Parts {
    call: String,
    message: String,
    rest: String,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "call" => self.call = format!("{value:?}"),
            "message" => self.message = format!("{value:?}"),
            name => self.rest.push_str(&format!(" {name}={value:?}")),
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

/// Time since 1970 as `2026-11-21 22:10:03.123`, in UTC because a relay serves more than one time zone.
struct UtcTime(Duration);

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil_date(seconds / 86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}",
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            self.0.subsec_millis()
        )
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

/// The system's log socket (RFC 3164 in the form that every Unix system listens to at `/dev/log`).
#[derive(Clone, Debug)]
struct Syslog {
    socket: Arc<UnixDatagram>,
}

impl Syslog {
    fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect("/dev/log")?;
        // A log daemon that does not read must not stop calls.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Arc::new(socket),
        })
    }
}

impl io::Write for Syslog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A lost log line is nobody's reason to fail.
        let _ = self.socket.send(line.trim_ascii_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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

    const PLAIN: Form = Form {
        place: Place::Stderr,
        number: false,
        time: false,
        level: true,
    };

    #[test]
    fn a_line_has_level_call_and_sentence() {
        let line = logged(PLAIN, || {
            tracing::info!(call = %"4f2a@pbx", "answer from {}", "b7");
        });
        assert_eq!(line, "INFO  [4f2a@pbx] answer from b7\n");
        let line = logged(PLAIN, || tracing::warn!(count = 3, "sending failed"));
        assert_eq!(line, "WARN  sending failed count=3\n");
    }

    #[test]
    fn the_journal_gets_the_level_as_a_number() {
        let journal = Form {
            number: true,
            level: false,
            ..PLAIN
        };
        let line = logged(journal, || tracing::error!("no"));
        assert_eq!(line, "<3>no\n");
    }

    #[test]
    fn a_call_id_cannot_forge_a_line() {
        let line = logged(PLAIN, || {
            tracing::info!(call = %"x\nERROR [y] all is lost\u{1b}[2J", "offer");
        });
        assert_eq!(line.lines().count(), 1);
        assert!(
            line.contains("x\\nERROR") && line.contains("\\u{1b}"),
            "{line}"
        );
    }

    #[test]
    fn times_are_civil() {
        let at = |seconds: u64| UtcTime(Duration::from_millis(seconds * 1000 + 7)).to_string();
        assert_eq!(at(0), "1970-01-01 00:00:00.007");
        assert_eq!(at(951_827_696), "2000-02-29 12:34:56.007");
        assert_eq!(at(1_795_299_003), "2026-11-21 22:10:03.007");
    }

    #[test]
    fn levels_are_syslogs() {
        assert_eq!(filter_for(3), LevelFilter::ERROR);
        assert_eq!(filter_for(4), LevelFilter::WARN);
        assert_eq!(filter_for(6), LevelFilter::INFO);
        assert_eq!(filter_for(7), LevelFilter::DEBUG);
    }
}
