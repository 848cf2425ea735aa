//! A call as the page shows it.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use relay_call::event::SectionSummary;
use relay_call::{CallEvent, EndReason};
use serde::Serialize;

use super::Sparklines;
use crate::worker::Happening;

/// What of a name, a sentence or a Call-ID is shown.
const LONGEST_TEXT: usize = 400;

/// What a call is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Offered.
    #[default]
    Ringing,
    /// Answered.
    Talking,
    /// Ended.
    Over,
}

/// A call as the page shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallView {
    /// Its name: the SIP Call-ID, which on WhatsApp's side is the wacid.
    pub id: String,
    /// When it began, since 1970.
    pub started_ms: u64,
    /// How long it has lasted.
    pub lasted_ms: u64,
    /// What it is at.
    pub state: State,
    /// Whether it was answered.
    pub answered: bool,
    /// How keys are exchanged with WhatsApp, if they are.
    pub keys: Option<Keys>,
    /// Who called.
    pub direction: &'static str,
    /// The interface towards WhatsApp.
    pub interface: String,
    /// Why it ended, in words.
    pub end: Option<&'static str>,
    /// What went wrong last, in words.
    pub failure: Option<String>,
    /// What will not do for long or for everybody, in words.
    pub warning: Option<String>,
    /// Tags, labels and metadata of its parties.
    pub about: Vec<String>,
    /// How it sounded.
    pub quality: Sparklines,
    /// What happened.
    pub timeline: Vec<Moment>,
}

/// How the two ends of an encrypted leg get their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Keys {
    /// By a handshake (RFC 5763).
    Dtls,
    /// In the description (RFC 4568).
    Sdes,
}

impl Keys {
    fn of(sections: &[SectionSummary]) -> Option<Self> {
        let mut keys = sections.iter().filter_map(|section| {
            let protocol = section.protocol.as_str();
            match protocol {
                _ if protocol.starts_with("UDP/TLS/") => Some(Self::Dtls),
                _ if protocol.contains("/SAVP") => Some(Self::Sdes),
                _ => None,
            }
        });
        keys.next()
    }
}

/// Something that happened in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Since the call began.
    pub after_ms: u64,
    /// What kind of thing.
    pub kind: &'static str,
    /// In words.
    pub text: String,
}

/// A line of the list.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    started_ms: u64,
    lasted_ms: u64,
    state: State,
    answered: bool,
    keys: Option<Keys>,
    direction: &'static str,
    interface: &'a str,
    end: Option<&'static str>,
    failure: Option<&'a str>,
    warning: Option<&'a str>,
    about: &'a [String],
    score: Option<u32>,
}

#[derive(Serialize)]
struct List<'a> {
    /// All that there are, also those that the list leaves out.
    sessions: usize,
    now: Vec<Line<'a>>,
    over: Vec<Line<'a>>,
}

impl CallView {
    /// The same without what is too long.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        shorten(&mut self.id);
        self.about.iter_mut().for_each(shorten);
        self.about.truncate(16);
        self
    }

    /// Whether a search, which is in lower case, finds it.
    pub fn is_found_by(&self, search: &str) -> bool {
        finds(search, &self.id, &self.about)
    }

    /// What happened, and with it what went wrong and how the call ended.
    #[must_use]
    pub fn told(mut self, story: impl Iterator<Item = Happening>) -> Self {
        let answered = self.answered;
        for happening in story {
            match &happening.event {
                CallEvent::Offered {
                    towards_receiver: sections,
                    ..
                }
                | CallEvent::Answered {
                    towards_offerer: sections,
                    ..
                } => self.keys = self.keys.or(Keys::of(sections)),
                CallEvent::Ended(reason) => self.end = Some(words(*reason, answered)),
                failure @ CallEvent::Failure { .. } => {
                    let mut text = failure.to_string();
                    shorten(&mut text);
                    self.failure = Some(text);
                }
                CallEvent::Warning(text) => {
                    let mut text = text.clone();
                    shorten(&mut text);
                    self.warning = Some(text);
                }
                _ => {}
            }
            self.timeline.push(Moment::of(&happening, answered));
        }
        self
    }

    /// A call that never was one: its first offer was refused for this reason.
    #[must_use]
    pub fn refused(mut self, reason: &str) -> Self {
        let mut text = format!("the first offer was refused: {reason}");
        shorten(&mut text);
        // The end is the last moment.
        let at = self.timeline.len().saturating_sub(1);
        self.timeline.insert(
            at,
            Moment {
                after_ms: self.lasted_ms,
                kind: "failure",
                text: text.clone(),
            },
        );
        self.failure = Some(text);
        self
    }

    /// As JSON.
    pub(super) fn whole(&self) -> Bytes {
        to_json(self)
    }

    fn line(&self) -> Line<'_> {
        Line {
            id: &self.id,
            started_ms: self.started_ms,
            lasted_ms: self.lasted_ms,
            state: self.state,
            answered: self.answered,
            keys: self.keys,
            direction: self.direction,
            interface: &self.interface,
            end: self.end,
            failure: self.failure.as_deref(),
            warning: self.warning.as_deref(),
            about: &self.about,
            score: self.quality.worst(),
        }
    }
}

/// Whether a search, which is in lower case, finds a call of this name.
pub(crate) fn finds(search: &str, id: &str, about: &[String]) -> bool {
    let has = |text: &str| text.to_lowercase().contains(search);
    search.is_empty() || has(id) || about.iter().any(|text| has(text))
}

/// The list as JSON.
pub(super) fn list(sessions: usize, now: &[CallView], over: &[Arc<CallView>]) -> Bytes {
    to_json(&List {
        sessions,
        now: now.iter().map(CallView::line).collect(),
        over: over.iter().map(|view| view.line()).collect(),
    })
}

fn to_json(value: &impl Serialize) -> Bytes {
    // Nothing in here has keys that are no strings, which is the only thing that JSON cannot say.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn shorten(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('\u{2026}');
    }
}

impl Moment {
    fn of(happening: &Happening, answered: bool) -> Self {
        let event = &happening.event;
        let kind = match event {
            CallEvent::Offered { .. } => "offer",
            CallEvent::Answered { .. } => "answer",
            CallEvent::Subscribed { .. } => "listener",
            CallEvent::PairSelected { .. } => "ice",
            CallEvent::DtlsConnected { .. } => "dtls",
            CallEvent::FirstPacketIn { .. } => "first in",
            CallEvent::FirstPacketOut { .. } => "first out",
            CallEvent::Hold { .. } => "hold",
            CallEvent::Dtmf(_) => "dtmf",
            CallEvent::Recording { .. } => "recording",
            CallEvent::PlaybackBegan { .. } | CallEvent::PlaybackEnded { .. } => "playback",
            CallEvent::Failure { .. } => "failure",
            CallEvent::Warning(_) => "warning",
            CallEvent::Ended(_) => "end",
            _ => "other",
        };
        let mut text = match event {
            // Somebody may have typed a card number.
            CallEvent::Dtmf(report) => format!(
                "{}: a key, {} ms ({})",
                report.source_name(),
                report.duration_ms,
                report.way.label()
            ),
            CallEvent::Ended(reason) => words(*reason, answered).to_owned(),
            event => event.to_string(),
        };
        shorten(&mut text);
        Self {
            after_ms: milliseconds(happening.after),
            kind,
            text,
        }
    }
}

/// Whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Why a call ended, for somebody who does not know our labels.
fn words(reason: EndReason, answered: bool) -> &'static str {
    match reason {
        EndReason::Terminated if !answered => "the proxy ended it before anybody answered",
        EndReason::Terminated => "the proxy ended it",
        EndReason::ForceTerminated => "an operator ended it, or the relay was stopped",
        EndReason::Timeout => "no media came from anybody for too long (timeout)",
        EndReason::SilentTimeout => "it was on hold for too long (silent-timeout)",
        EndReason::OfferTimeout => {
            "nobody answered, and nobody said that it was over (offer-timeout)"
        }
        EndReason::FinalTimeout => "it lasted longer than any call may (final-timeout)",
        EndReason::Refused => "its first offer was refused",
    }
}

#[cfg(test)]
mod tests {
    use relay_call::dtmf::DtmfReport;
    use relay_call::{Failure, KeyWay};

    use super::*;

    fn at(after_ms: u64, event: CallEvent) -> Happening {
        Happening {
            after: Duration::from_millis(after_ms),
            event,
        }
    }

    fn key(event: u8) -> CallEvent {
        CallEvent::Dtmf(DtmfReport {
            source_tag: Some("meta".into()),
            source_label: None,
            source_ip: None,
            tags: Vec::new(),
            at: Duration::ZERO,
            event,
            duration_ms: 120,
            volume: 10,
            way: KeyWay::Event,
            destination: None,
        })
    }

    #[test]
    fn a_story_becomes_a_timeline_with_the_reason_in_words() {
        let failure = CallEvent::Failure {
            leg: "meta".into(),
            kind: Failure::IceStalled,
            silence: None,
            text: "no check was answered".into(),
        };
        let ended = CallEvent::Ended(EndReason::Timeout);
        let view = CallView::default().told([at(5_000, failure), at(60_000, ended)].into_iter());
        let failure = "meta: no check was answered";
        assert_eq!(view.failure.as_deref(), Some(failure));
        let end = "no media came from anybody for too long (timeout)";
        assert_eq!(view.end, Some(end));
        let told: Vec<_> = view
            .timeline
            .iter()
            .map(|m| (m.after_ms, m.kind, m.text.as_str()))
            .collect();
        assert_eq!(told, [(5_000, "failure", failure), (60_000, "end", end)]);
    }

    #[test]
    fn how_keys_are_exchanged_is_read_from_the_offer_or_the_answer() {
        let keys = |offered: &str, answered: &str| {
            let section = |protocol: &str| SectionSummary {
                kind: "audio".into(),
                protocol: protocol.into(),
                address: [192, 0, 2, 1].into(),
                port: 30_000,
            };
            let offered = CallEvent::Offered {
                from: "a".into(),
                towards_receiver: vec![section(offered)],
            };
            let answered = CallEvent::Answered {
                by: "b".into(),
                towards_offerer: vec![section(answered)],
            };
            let story = [at(0, offered), at(1, answered)];
            CallView::default().told(story.into_iter()).keys
        };
        let dtls = Some(Keys::Dtls);
        assert_eq!(keys("RTP/AVP", "UDP/TLS/RTP/SAVPF"), dtls);
        assert_eq!(keys("UDP/TLS/RTP/SAVPF", "RTP/AVP"), dtls);
        assert_eq!(keys("RTP/AVP", "RTP/SAVP"), Some(Keys::Sdes));
        assert_eq!(keys("RTP/AVP", "RTP/AVP"), None);
    }

    #[test]
    fn a_call_that_nobody_answered_is_told_from_one_that_was() {
        let end = |answered| {
            let view = CallView {
                answered,
                ..CallView::default()
            };
            let ended = at(1, CallEvent::Ended(EndReason::Terminated));
            view.told([ended].into_iter()).end
        };
        assert_eq!(end(true), Some("the proxy ended it"));
        let unanswered = "the proxy ended it before anybody answered";
        assert_eq!(end(false), Some(unanswered));
    }

    #[test]
    fn a_refused_offer_says_why() {
        let ended = at(1, CallEvent::Ended(EndReason::Refused));
        let view = CallView::default().told([ended].into_iter());
        let view = view.refused("no port is free");
        let failure = "the first offer was refused: no port is free";
        assert_eq!(view.failure.as_deref(), Some(failure));
        let told: Vec<_> = view.timeline.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(told, [failure, "its first offer was refused"]);
    }

    #[test]
    fn a_warning_is_in_the_list_too() {
        let warning = CallEvent::Warning("DTLS=passive is not followed".into());
        let view = CallView::default().told([at(1, warning)].into_iter());
        assert_eq!(view.line().warning, Some("DTLS=passive is not followed"));
        assert_eq!(view.line().failure, None);
    }

    #[test]
    fn which_keys_were_pressed_is_not_shown() {
        let one = CallView::default().told([at(1, key(1))].into_iter());
        let other = CallView::default().told([at(1, key(9))].into_iter());
        assert_eq!(one.timeline, other.timeline);
        assert_eq!(one.timeline[0].text, "meta: a key, 120 ms (rfc4733)");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let view = CallView {
            id: "\u{e4}".repeat(60_000),
            about: vec!["x".repeat(60_000); 100],
            ..CallView::default()
        };
        let view = view.shortened();
        assert!(view.id.len() <= LONGEST_TEXT + 4);
        assert!(view.whole().len() < 16 * 450 + 2_000);
    }

    #[test]
    fn a_search_looks_at_names_of_the_call_and_its_parties() {
        let view = CallView {
            id: "wacid.HBgN".into(),
            about: vec!["+49 30 123".into()],
            ..CallView::default()
        };
        for (search, found) in [("", true), ("hbgn", true), ("30 123", true), ("pbx", false)] {
            assert_eq!(view.is_found_by(search), found, "{search}");
        }
    }
}
