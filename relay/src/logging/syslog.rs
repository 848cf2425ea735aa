//! The system's log (RFC 3164 in the form that every Unix system listens to at `/dev/log`).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// A facility of syslog (RFC 5424 section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

/// The names that `log-facility` knows, with their numbers.
const FACILITIES: [(&str, u8); 20] = [
    ("auth", 4),
    ("authpriv", 10),
    ("cron", 9),
    ("daemon", 3),
    ("ftp", 11),
    ("kern", 0),
    ("lpr", 6),
    ("mail", 2),
    ("news", 7),
    ("syslog", 5),
    ("user", 1),
    ("uucp", 8),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Facility {
    /// The facility of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let known = FACILITIES.iter().find(|(known, _)| *known == name);
        known.map(|(_, number)| Self(*number))
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FACILITIES.iter().map(|(name, _)| *name)
    }

    /// The number in front of a message.
    pub(super) fn priority(self, severity: u8) -> u8 {
        self.0 * 8 + severity
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self(3)
    }
}

/// The log socket of the system.
#[derive(Clone, Debug)]
pub(super) struct Syslog {
    socket: Arc<UnixDatagram>,
}

impl Syslog {
    pub(super) fn connect() -> io::Result<Self> {
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
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // One datagram a line.
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii_end();
            if !line.is_empty() {
                // A lost log line is nobody's reason to fail.
                let _ = self.socket.send(line);
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_their_numbers() {
        assert_eq!(Facility::default(), Facility::parse("daemon").unwrap());
        assert_eq!(Facility::parse("local7").unwrap().priority(6), 23 * 8 + 6);
        assert_eq!(Facility::parse("local8"), None);
        assert_eq!(Facility::names().count(), 20);
    }
}
