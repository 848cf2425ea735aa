//! What a run found out: one record per call, for machines as JSON and for people as a table.
//!
//! A *violation* is something that fails, or may fail, with Meta; it decides the exit status. A
//! *note* is worth reading and decides nothing.

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use crate::media::MediaReport;
use crate::sip::tls::TlsFacts;

/// A call that goes wrong in a loop must not fill the memory with sentences.
const FINDING_LIMIT: usize = 200;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Meta would refuse it, ignore it or end the call for it.
    Violation,
    /// Worth knowing.
    Note,
}

/// One sentence about the business' behaviour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// Milliseconds after the start of the call (or of the run, outside calls).
    pub at_ms: u64,
    /// The sentence.
    pub text: String,
}

/// The findings of one call, in order, each sentence once.
#[derive(Debug)]
pub struct Findings {
    started: Instant,
    list: Vec<Finding>,
}

impl Findings {
    /// Begins a list; times count from here.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            list: Vec::new(),
        }
    }

    /// Records something Meta would not put up with.
    pub fn violation(&mut self, text: impl Into<String>) {
        self.add(Severity::Violation, text.into());
    }

    /// Records something worth knowing.
    pub fn note(&mut self, text: impl Into<String>) {
        self.add(Severity::Note, text.into());
    }

    /// Records what a check returned.
    pub fn extend(&mut self, remarks: Vec<Remark>) {
        for remark in remarks {
            self.add(remark.severity, remark.text);
        }
    }

    fn add(&mut self, severity: Severity, text: String) {
        if self.list.len() >= FINDING_LIMIT || self.list.iter().any(|known| known.text == text) {
            return;
        }
        match severity {
            Severity::Violation => tracing::warn!("violation: {text}"),
            Severity::Note => tracing::info!("note: {text}"),
        }
        self.list.push(Finding {
            severity,
            at_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            text,
        });
    }

    /// Everything found so far.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// Whether a violation is among them.
    pub fn has_violation(&self) -> bool {
        has_violation(&self.list)
    }

    /// Ends the list.
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }
}

fn has_violation(list: &[Finding]) -> bool {
    list.iter()
        .any(|finding| finding.severity == Severity::Violation)
}

/// A finding that has no time yet: what the pure checks return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// How much it weighs.
    pub severity: Severity,
    /// The sentence.
    pub text: String,
}

impl Remark {
    /// Something Meta would not put up with.
    pub fn violation(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Violation,
            text: text.into(),
        }
    }

    /// Something worth knowing.
    pub fn note(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            text: text.into(),
        }
    }
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ender {
    /// The WhatsApp user, or Meta for want of media.
    Meta,
    /// The business.
    Business,
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct CallReport {
    /// `uic` or `bic`.
    pub direction: &'static str,
    /// `dtls` or `sdes`.
    pub keys: &'static str,
    /// The Call-ID, which is the id of the call at Meta too.
    pub call_id: String,
    /// The status that ended the INVITE, 0 when none came.
    pub status: u16,
    /// Its reason phrase, or why there is none.
    pub reason: String,
    /// From the (last) INVITE to its final response.
    pub setup_ms: Option<u64>,
    /// From the 200 OK to the end of the call.
    pub talk_ms: Option<u64>,
    /// Who ended the call.
    pub ended_by: Option<Ender>,
    /// Whether BYE (or CANCEL) and its 200 OK crossed properly.
    pub clean_end: bool,
    /// What TLS looked like.
    pub tls: TlsFacts,
    /// The tone the user had to hear.
    pub expected_tone_hz: Option<f64>,
    /// The media measurements, when media was played and the call got that far.
    pub media: Option<MediaReport>,
    /// What was found, in words.
    pub findings: Vec<Finding>,
    /// Whether the call went as it was meant to and nothing was violated.
    pub pass: bool,
}

impl CallReport {
    /// Whether a violation was found.
    pub fn has_violation(&self) -> bool {
        has_violation(&self.findings)
    }
}

/// A whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunReport {
    /// The calls in the order they ended.
    pub calls: Vec<CallReport>,
    /// What was found outside any call: refused TLS, requests for unknown calls.
    pub outside_calls: Vec<Finding>,
    /// Whether every call passed and nothing was violated outside of them.
    pub pass: bool,
}

impl RunReport {
    /// Sums up.
    pub fn new(calls: Vec<CallReport>, outside_calls: Vec<Finding>) -> Self {
        let pass = !calls.is_empty()
            && calls.iter().all(|call| call.pass)
            && !has_violation(&outside_calls);
        Self {
            calls,
            outside_calls,
            pass,
        }
    }

    /// The table and the sentences below it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut rows = vec![TITLES.map(str::to_owned).to_vec()];
        rows.extend(
            self.calls
                .iter()
                .enumerate()
                .map(|(at, call)| row(at, call)),
        );
        let widths: Vec<usize> = (0..TITLES.len())
            .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
            .collect();
        for row in &rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        for (at, call) in self.calls.iter().enumerate() {
            write_findings(&mut text, &format!("call {}", at + 1), &call.findings);
        }
        write_findings(&mut text, "outside calls", &self.outside_calls);
        text
    }
}

const TITLES: [&str; 13] = [
    "call", "kind", "keys", "status", "ICE ms", "DTLS ms", "SRTP ms", "in", "lost", "out", "tone",
    "hang-up", "verdict",
];

fn row(at: usize, call: &CallReport) -> Vec<String> {
    let milliseconds = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
    let media = call.media.as_ref().filter(|_| call.status == 200);
    let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    vec![
        (at + 1).to_string(),
        call.direction.to_owned(),
        call.keys.to_owned(),
        if call.status == 0 {
            "none".to_owned()
        } else {
            call.status.to_string()
        },
        milliseconds(media.and_then(|media| media.ice_ms)),
        milliseconds(media.and_then(|media| media.dtls_ms)),
        milliseconds(media.and_then(|media| media.first_srtp_ms)),
        number(media.map(|media| media.received.packets)),
        number(media.map(|media| media.received.lost)),
        number(media.map(|media| media.sent.packets)),
        match media {
            _ if call.expected_tone_hz.is_none() => "-",
            None => "-",
            Some(media) if media.received.is_tone_found => "found",
            Some(_) => "no",
        }
        .to_owned(),
        match (call.ended_by, call.clean_end) {
            (None, _) => "-",
            (Some(Ender::Meta), true) => "meta",
            (Some(Ender::Business), true) => "business",
            (Some(_), false) => "unclean",
        }
        .to_owned(),
        if call.pass { "pass" } else { "FAIL" }.to_owned(),
    ]
}

fn write_findings(text: &mut String, title: &str, findings: &[Finding]) {
    for finding in findings {
        let weight = match finding.severity {
            Severity::Violation => "VIOLATION",
            Severity::Note => "note",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{title}, {} ms, {weight}: {}",
            finding.at_ms, finding.text
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(findings: Vec<Finding>, pass: bool) -> CallReport {
        CallReport {
            direction: "uic",
            keys: "sdes",
            call_id: "outgoing:wacid.A==".to_owned(),
            status: 200,
            reason: "OK".to_owned(),
            setup_ms: Some(12),
            talk_ms: Some(5000),
            ended_by: Some(Ender::Meta),
            clean_end: true,
            tls: TlsFacts::default(),
            expected_tone_hz: None,
            media: None,
            findings,
            pass,
        }
    }

    #[test]
    fn a_run_passes_only_when_every_call_did_and_there_was_one() {
        assert!(!RunReport::new(Vec::new(), Vec::new()).pass);
        assert!(RunReport::new(vec![call(Vec::new(), true)], Vec::new()).pass);
        let calls = vec![call(Vec::new(), true), call(Vec::new(), false)];
        assert!(!RunReport::new(calls, Vec::new()).pass);
        let mut findings = Findings::new(Instant::now());
        findings.violation("REGISTER reached Meta");
        assert!(!RunReport::new(vec![call(Vec::new(), true)], findings.into_list()).pass);
    }

    #[test]
    fn the_table_shows_the_sentences_below_the_rows() {
        let mut findings = Findings::new(Instant::now());
        findings.violation("ACK came back with a changed Route set");
        findings.violation("ACK came back with a changed Route set");
        assert_eq!(findings.list().len(), 1, "said once");
        let text = RunReport::new(vec![call(findings.into_list(), false)], Vec::new()).to_text();
        assert!(text.contains("FAIL"), "{text}");
        assert!(
            text.contains("VIOLATION: ACK came back with a changed Route set"),
            "{text}"
        );
    }

    #[test]
    fn findings_have_an_end() {
        let mut findings = Findings::new(Instant::now());
        for number in 0..1000 {
            findings.note(format!("note {number}"));
        }
        assert_eq!(findings.list().len(), FINDING_LIMIT);
    }
}
