//! A call on its worker: what is remembered about it besides itself, and its story in the log.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_call::{Call, CallDirection, CallEvent, EndReason, Failure, Place, Tally, Transcoded};
use relay_packet::DropReason;
use tracing::{debug, info, warn};

use super::counters::WorkerCounters;
use super::handle::Happening;
use super::meta_limits::Watch;
use super::trunks::Trunks;
use crate::control::directory::Ticket;
use crate::live_page::{CallView, History, Sparklines, State, finds, milliseconds};
use crate::logging;

/// One call.
pub(super) struct LiveCall {
    pub(super) call: Call,
    /// The newest request about it.
    pub(super) ticket: Ticket,
    /// What the worker's counters have of it, by interface and address.
    told: Vec<(Place, Tally)>,
    /// The same of what was transcoded.
    told_transcoded: Vec<Transcoded>,
    /// Legs that were heard.
    heard: Vec<String>,
    /// As what it is counted, from the first offer on.
    counted: Option<Counted>,
    /// What leaves for WhatsApp.
    watch: Watch,
    /// What happened, for the operator who asks about this call.
    story: VecDeque<Happening>,
    /// What the page shows of it.
    memory: Option<Memory>,
    /// Why its first offer was refused, which is why it is over.
    refusal: Option<String>,
    /// Everything about it is logged.
    debugged: Option<Debugged>,
    /// It has changed since it was last written down.
    pub(super) changed: bool,
}

/// What is kept for the page, if there is one.
struct Memory {
    history: Arc<History>,
    names: Vec<String>,
    quality: Sparklines,
}

/// As what a call is counted. It stays, whoever joins or leaves.
struct Counted {
    direction: CallDirection,
    trunk: String,
    answered: bool,
}

/// The log's note that everything about a call is wanted (`debug`); it goes with the call.
struct Debugged(String);

impl Drop for Debugged {
    fn drop(&mut self) {
        logging::debug_call(&self.0, false);
    }
}

/// The newest sentences of a call's story that are kept. A call has about ten.
const LONGEST_STORY: usize = 40;

impl LiveCall {
    /// A call that goes to the history when it is over.
    pub(super) fn new(call: Call, ticket: Ticket, history: Option<Arc<History>>) -> Self {
        Self {
            call,
            ticket,
            told: Vec::new(),
            told_transcoded: Vec::new(),
            heard: Vec::new(),
            counted: None,
            watch: Watch::default(),
            story: VecDeque::new(),
            memory: history.map(|history| Memory {
                history,
                names: Vec::new(),
                quality: Sparklines::default(),
            }),
            refusal: None,
            debugged: None,
            changed: false,
        }
    }

    /// Its first offer was refused for this reason.
    pub(super) fn refused(&mut self, reason: &str) {
        self.refusal = Some(reason.to_owned());
    }

    /// A call of another process, which has counted what happened there: here only what comes is counted.
    pub(super) fn inherited(
        call: Call,
        ticket: Ticket,
        history: Option<Arc<History>>,
        counters: &mut WorkerCounters,
    ) -> Self {
        let mut live = Self::new(call, ticket, history);
        live.told = live.call.tallies();
        live.heard = live.call.heard_legs();
        let (direction, trunk) = (live.call.direction(), live.call.trunk().to_owned());
        counters.trunks.of_mut(&trunk);
        live.counted = Some(Counted {
            direction,
            trunk,
            answered: live.call.is_answered(),
        });
        if let Some(memory) = &mut live.memory {
            memory.names = live.call.names();
        }
        live
    }

    /// Has everything about it logged from now on, if the log has room for one more such call.
    pub(super) fn debug(&mut self) {
        if self.debugged.is_none() {
            let call = self.call.id().to_string();
            if logging::debug_call(&call, true) {
                self.debugged = Some(Debugged(call));
            }
        }
    }

    /// Adds what the call has counted since the last look to the worker's counters.
    pub(super) fn look(&mut self, now: Instant, counters: &mut WorkerCounters) {
        let after = now.saturating_duration_since(self.call.created());
        for (place, tally) in self.call.tallies() {
            let known = self.told.iter().position(|(known, _)| *known == place);
            let position = known.unwrap_or_else(|| {
                // A call has one or two local addresses.
                self.told.reserve_exact(1);
                self.told.push((place.clone(), Tally::default()));
                self.told.len() - 1
            });
            let news = tally.news(&mut self.told[position].1);
            for (sum, count) in counters.drops.iter_mut().zip(news.drops) {
                *sum += count;
            }
            if let Some(memory) = &mut self.memory {
                memory.quality.note(&place.interface, after, &news);
            }
            counters.media.entry(place).or_default().add(&news);
        }
        let transcoded = self.call.transcoded();
        for (index, now) in transcoded.iter().enumerate() {
            counters.note_transcoded(now, self.told_transcoded.get(index));
        }
        if self.told_transcoded != transcoded {
            self.told_transcoded = transcoded.to_vec();
        }
    }

    /// Counts the call among those that there are now. Gives whether it wants to be looked at again although nothing happens.
    pub(super) fn count_present(&mut self, now: Instant, trunks: &mut Trunks) -> bool {
        let Some(counted) = &self.counted else {
            return false;
        };
        let trunk = trunks.of_mut(&counted.trunk);
        let calls = &mut trunk.calls[counted.direction as usize];
        if counted.answered {
            calls.talking += 1;
        } else {
            calls.ringing += 1;
        }
        if let Some(limit) = self.watch.look(now, self.call.sent_to_whatsapp()) {
            trunk.at_risk[limit as usize] += 1;
            let call = self.call.id();
            warn!(call = %call, "nothing leaves for WhatsApp: Meta will end the call ({} limit)", limit.label());
        }
        self.watch.is_waiting()
    }

    /// Counts an offer or an answer for its interface and direction, each once.
    fn count_exchange(&mut self, answered: bool, trunks: &mut Trunks) {
        let call = &self.call;
        let counted = self.counted.get_or_insert_with(|| {
            let (direction, trunk) = (call.direction(), call.trunk().to_owned());
            trunks.of_mut(&trunk).calls[direction as usize].offered_ever += 1;
            Counted {
                direction,
                trunk,
                answered: false,
            }
        });
        if answered && !counted.answered {
            counted.answered = true;
            let trunk = trunks.of_mut(&counted.trunk);
            trunk.calls[counted.direction as usize].answered_ever += 1;
        }
    }

    /// What happened so far, the oldest first.
    pub(super) fn story(&self) -> Vec<Happening> {
        self.story.iter().cloned().collect()
    }

    fn remember(&mut self, event: CallEvent, now: Instant) {
        if matches!(event, CallEvent::PortsReleased(_)) {
            return;
        }
        if self.story.len() == LONGEST_STORY {
            self.story.pop_front();
        }
        self.story.push_back(Happening {
            after: now.saturating_duration_since(self.call.created()),
            event,
        });
    }

    /// Counts an event and writes its line.
    pub(super) fn tell(&mut self, event: CallEvent, now: Instant, counters: &mut WorkerCounters) {
        counters.note(&event, now, self.call.created());
        counters.trunks.note(&self.call, &event);
        match event {
            CallEvent::Offered { .. } => self.count_exchange(false, &mut counters.trunks),
            CallEvent::Answered { .. } => self.count_exchange(true, &mut counters.trunks),
            CallEvent::Ended(_) => {
                self.look(now, counters);
                for (place, tally) in &self.told {
                    counters.trunks.note_quality(&place.interface, tally);
                }
            }
            _ => {}
        }
        let call = self.call.id();
        match &event {
            CallEvent::PortsReleased(_) | CallEvent::Ended(EndReason::Refused) => {
                debug!(call = %call, "{event}");
            }
            CallEvent::Warning(_) => warn!(call = %call, "{event}"),
            // The part of the relay is the line's target, so that `log-level-ice` finds it.
            CallEvent::Failure { kind, .. } => match kind {
                Failure::IceStalled | Failure::ConsentLost => {
                    warn!(target: "ice", call = %call, "{event}");
                }
                Failure::Dtls | Failure::Fingerprint => {
                    warn!(target: "crypto", call = %call, "{event}");
                }
                Failure::Authentication => warn!(target: "srtp", call = %call, "{event}"),
                _ => warn!(call = %call, "{event}"),
            },
            CallEvent::PairSelected { .. } => info!(target: "ice", call = %call, "{event}"),
            CallEvent::DtlsConnected { .. } => info!(target: "crypto", call = %call, "{event}"),
            CallEvent::Ended(_) => {
                let mut traffic = Traffic::default();
                for (_, tally) in &self.told {
                    traffic.0.add(tally);
                }
                let lasted = now.saturating_duration_since(self.call.created());
                match self.heard.len() {
                    0 => counters.unheard += 1,
                    1 => counters.heard_one_way += 1,
                    _ => {}
                }
                info!(call = %call, "{event} after {}; {}", Seconds(lasted), traffic);
            }
            CallEvent::FirstPacketIn { leg, .. } => {
                if !self.heard.contains(leg) {
                    self.heard.push(leg.clone());
                }
                info!(call = %call, "{event}");
            }
            _ => info!(call = %call, "{event}"),
        }
        let exchanged = matches!(
            event,
            CallEvent::Offered { .. } | CallEvent::Answered { .. }
        );
        let ended = matches!(event, CallEvent::Ended(_));
        self.remember(event, now);
        if let Some(memory) = &mut self.memory
            && exchanged
        {
            memory.names = self.call.names();
        }
        if let Some(memory) = &self.memory
            && ended
        {
            let view = CallView {
                state: State::Over,
                ..self.whole_view(now)
            };
            match &self.refusal {
                None => memory.history.push(view),
                Some(reason) => memory.history.push_refused(view.refused(reason)),
            }
        }
    }

    /// Whether a search, which is in lower case, finds it.
    pub(super) fn is_found_by(&self, search: &str) -> bool {
        let Some(memory) = &self.memory else {
            return false;
        };
        finds(search, &self.call.id().to_string(), &memory.names)
    }

    /// The call as the page lists it: of its story, what was offered and answered, what went wrong last, and what it was warned
    /// of last.
    pub(super) fn view(&self, now: Instant) -> CallView {
        let is_failure = |event: &CallEvent| matches!(event, CallEvent::Failure { .. });
        let is_warning = |event: &CallEvent| matches!(event, CallEvent::Warning(_));
        let last = |is_meant: fn(&CallEvent) -> bool| {
            let mut newest_first = self.story.iter().rev();
            newest_first
                .find(|happening| is_meant(&happening.event))
                .cloned()
        };
        let is_exchange = |happening: &&Happening| {
            let event = &happening.event;
            matches!(
                event,
                CallEvent::Offered { .. } | CallEvent::Answered { .. }
            )
        };
        let exchanged = self.story.iter().filter(is_exchange).cloned();
        let told = [last(is_failure), last(is_warning)];
        self.bare_view(now)
            .told(exchanged.chain(told.into_iter().flatten()))
    }

    /// The call as the page shows it.
    pub(super) fn whole_view(&self, now: Instant) -> CallView {
        self.bare_view(now).told(self.story.iter().cloned())
    }

    fn bare_view(&self, now: Instant) -> CallView {
        let created = self.call.created();
        let counted = self.counted.as_ref();
        let memory = self.memory.as_ref();
        let answered = counted.is_some_and(|counted| counted.answered);
        let view = CallView {
            id: self.call.id().to_string(),
            started_ms: milliseconds(self.call.config().clock.unix_at(created)),
            lasted_ms: milliseconds(now.saturating_duration_since(created)),
            state: if answered {
                State::Talking
            } else {
                State::Ringing
            },
            answered,
            direction: counted
                .map_or(CallDirection::Other, |c| c.direction)
                .label(),
            interface: counted.map_or_else(String::new, |c| c.trunk.clone()),
            about: memory
                .map(|memory| memory.names.clone())
                .unwrap_or_default(),
            quality: memory
                .map(|memory| memory.quality.clone())
                .unwrap_or_default(),
            ..CallView::default()
        };
        view.shortened()
    }
}

/// What a call has moved, for the log.
#[derive(Default)]
struct Traffic(Tally);

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RTP packets: {} received, {} sent",
            self.0.rtp_in.packets, self.0.rtp_out.packets
        )?;
        let mut separator = ", dropped: ";
        for (reason, count) in DropReason::ALL.into_iter().zip(self.0.drops) {
            if count > 0 {
                write!(f, "{separator}{} {count}", reason.label())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_names_the_reasons_that_occurred() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.to_string(), "RTP packets: 0 received, 0 sent");
        traffic.0.rtp_in.packets = 615;
        traffic.0.rtp_out.packets = 610;
        traffic.0.drops[DropReason::GateClosed as usize] = 3;
        traffic.0.drops[DropReason::SrtpReplay as usize] = 2;
        assert_eq!(
            traffic.to_string(),
            "RTP packets: 615 received, 610 sent, dropped: srtp_replay 2, gate_closed 3"
        );
    }
}
