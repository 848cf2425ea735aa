//! A call on its worker: what is remembered about it besides itself, and its story in the log.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use relay_call::{Call, CallEvent, Counter, EndReason, Failure};
use relay_packet::DropReason;
use tracing::{debug, info, warn};

use super::counters::WorkerCounters;
use super::handle::Happening;
use crate::control::directory::Ticket;

/// One call.
pub(super) struct LiveCall {
    pub(super) call: Call,
    /// The newest request about it.
    pub(super) ticket: Ticket,
    /// Packets so far, as of the last look: a call that ended has forgotten them.
    traffic: Traffic,
    /// Legs that were heard.
    heard: Vec<String>,
    /// What happened, for the operator who asks about this call.
    story: VecDeque<Happening>,
}

/// The newest sentences of a call's story that are kept. A call has about ten.
const LONGEST_STORY: usize = 40;

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    received: Counter,
    sent: Counter,
    dropped: [u64; DropReason::ALL.len()],
}

impl LiveCall {
    pub(super) fn new(call: Call, ticket: Ticket) -> Self {
        Self {
            call,
            ticket,
            traffic: Traffic::default(),
            heard: Vec::new(),
            story: VecDeque::new(),
        }
    }

    /// Looks at what the call has moved, and adds what it dropped since the last look to the worker's counters.
    pub(super) fn look(&mut self, counters: &mut WorkerCounters) {
        if self.call.is_finished() {
            return;
        }
        self.traffic.received = self.call.totals().0;
        self.traffic.sent = self.call.totals_out().0;
        for (reason, count) in self.call.drops() {
            let seen = &mut self.traffic.dropped[reason as usize];
            counters.drops[reason as usize] += count.saturating_sub(*seen);
            *seen = count;
        }
    }

    /// What happened so far, the oldest first.
    pub(super) fn story(&self) -> Vec<Happening> {
        self.story.iter().cloned().collect()
    }

    fn remember(&mut self, event: &CallEvent, now: Instant) {
        if matches!(event, CallEvent::PortsReleased(_)) {
            return;
        }
        if self.story.len() == LONGEST_STORY {
            self.story.pop_front();
        }
        self.story.push_back(Happening {
            after: now.saturating_duration_since(self.call.created()),
            text: event.to_string(),
        });
    }

    /// Counts an event and writes its line.
    pub(super) fn tell(&mut self, event: &CallEvent, now: Instant, counters: &mut WorkerCounters) {
        counters.note(event, now, self.call.created());
        self.remember(event, now);
        let call = self.call.id();
        match event {
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
                let lasted = now.saturating_duration_since(self.call.created());
                match self.heard.len() {
                    0 => counters.unheard += 1,
                    1 => counters.heard_one_way += 1,
                    _ => {}
                }
                info!(call = %call, "{event} after {}; {}", Seconds(lasted), self.traffic);
            }
            CallEvent::FirstPacketIn { leg, .. } => {
                if !self.heard.contains(leg) {
                    self.heard.push(leg.clone());
                }
                info!(call = %call, "{event}");
            }
            _ => info!(call = %call, "{event}"),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RTP packets: {} received, {} sent",
            self.received.packets, self.sent.packets
        )?;
        let mut separator = ", dropped: ";
        for (reason, count) in DropReason::ALL.into_iter().zip(self.dropped) {
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
        traffic.received.packets = 615;
        traffic.sent.packets = 610;
        traffic.dropped[DropReason::GateClosed as usize] = 3;
        traffic.dropped[DropReason::SrtpReplay as usize] = 2;
        assert_eq!(
            traffic.to_string(),
            "RTP packets: 615 received, 610 sent, dropped: srtp_replay 2, gate_closed 3"
        );
    }
}
