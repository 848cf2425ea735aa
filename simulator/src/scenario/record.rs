//! What is noted down while a call goes on, and the report it becomes.

use std::time::Instant;

use crate::media::driver::MediaHandle;
use crate::report::{CallReport, Ender, Findings};
use crate::sip::tls::TlsFacts;

use super::CallSettings;
use super::media_leg::conclude;

/// What a call has come to so far; becomes the report.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) direction: &'static str,
    pub(super) call_id: String,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) invited_at: Option<Instant>,
    pub(super) final_at: Option<Instant>,
    pub(super) ended_at: Option<Instant>,
    pub(super) ended_by: Option<Ender>,
    pub(super) clean_end: bool,
    pub(super) tls: TlsFacts,
    pub(super) findings: Findings,
}

impl Record {
    pub(super) fn new(direction: &'static str, call_id: &str) -> Self {
        Self {
            direction,
            call_id: call_id.to_owned(),
            status: 0,
            reason: String::new(),
            invited_at: None,
            final_at: None,
            ended_at: None,
            ended_by: None,
            clean_end: false,
            tls: TlsFacts::default(),
            findings: Findings::new(Instant::now()),
        }
    }

    /// Notes the INVITE's final response.
    pub(super) fn finish_setup(&mut self, status: u16, reason: &str) {
        self.status = status;
        self.reason = reason.to_owned();
        self.final_at = Some(Instant::now());
    }

    /// Notes the end of the call.
    pub(super) fn end(&mut self, by: Ender, is_clean: bool) {
        self.ended_by = Some(by);
        self.clean_end = is_clean;
        self.ended_at.get_or_insert_with(Instant::now);
    }

    /// Ends the media and writes the report.
    pub(super) async fn into_report(
        mut self,
        settings: &CallSettings,
        media: Option<MediaHandle>,
    ) -> CallReport {
        let was_answered = self.status == 200;
        let media = conclude(media, &settings.media, was_answered, &mut self.findings).await;
        let is_expected = self.status == settings.expected_status;
        if !is_expected {
            self.findings.violation(format!(
                "the call ended with {} {}; expected was {}",
                if self.status == 0 {
                    "no final response:".to_owned()
                } else {
                    self.status.to_string()
                },
                self.reason,
                settings.expected_status
            ));
        }
        let between = |from: Option<Instant>, to: Option<Instant>| {
            let span = to?.checked_duration_since(from?)?;
            u64::try_from(span.as_millis()).ok()
        };
        let is_ended = !was_answered || (self.ended_by.is_some() && self.clean_end);
        let pass = is_expected && is_ended && !self.findings.has_violation();
        CallReport {
            direction: self.direction,
            keys: settings.media.keys_name(),
            call_id: self.call_id,
            status: self.status,
            reason: self.reason,
            setup_ms: between(self.invited_at, self.final_at),
            talk_ms: between(
                self.final_at.filter(|_| was_answered),
                self.ended_at.filter(|_| was_answered),
            ),
            ended_by: self.ended_by,
            clean_end: self.clean_end,
            tls: self.tls,
            expected_tone_hz: settings.media.expected_tone_hz(),
            media,
            findings: self.findings.into_list(),
            pass,
        }
    }
}
