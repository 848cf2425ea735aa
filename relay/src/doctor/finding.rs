//! What was found, one line each, in the order in which it was looked at.

use std::io::Write;

/// How it stands with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Calls will suffer under some circumstances.
    Doubtful,
    /// Calls will fail.
    Wrong,
    /// Could not be looked at from here.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Doubtful => "doubt",
            Self::Wrong => "WRONG",
            Self::Unknown => "?",
        }
    }
}

/// Prints findings as they come.
#[derive(Debug)]
pub(super) struct Report<W> {
    out: W,
    doubtful: usize,
    wrong: usize,
    unknown: usize,
}

impl<W: Write> Report<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            doubtful: 0,
            wrong: 0,
            unknown: 0,
        }
    }

    /// `what` was looked at; `found` is a sentence about it, `advice` what can be done.
    pub(super) fn add(&mut self, verdict: Verdict, what: &str, found: &str, advice: Option<&str>) {
        match verdict {
            Verdict::Good | Verdict::Note => {}
            Verdict::Doubtful => self.doubtful += 1,
            Verdict::Wrong => self.wrong += 1,
            Verdict::Unknown => self.unknown += 1,
        }
        // Nobody listens when the pipe is closed; the exit status still tells.
        let _ = writeln!(self.out, "{:<6}{what}: {found}", verdict.word());
        if let Some(advice) = advice {
            let _ = writeln!(self.out, "      -> {advice}");
        }
    }

    /// Prints the sum, and gives how many things are wrong.
    pub(super) fn end(&mut self) -> usize {
        let _ = writeln!(
            self.out,
            "\n{} wrong, {} doubtful, {} could not be looked at from here",
            self.wrong, self.doubtful, self.unknown
        );
        self.wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_and_only_what_is_wrong_counts_as_wrong() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.add(Verdict::Good, "clock", "is in step", None);
        report.add(Verdict::Wrong, "ports", "are taken", Some("free them"));
        report.add(Verdict::Unknown, "name", "not asked", None);
        assert_eq!(report.end(), 1);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ok    clock: is in step\nWRONG ports: are taken\n      -> free them\n?     name: not asked\n\n\
             1 wrong, 0 doubtful, 1 could not be looked at from here\n"
        );
    }
}
