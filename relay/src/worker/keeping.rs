//! What a worker hands over so that its calls outlive the process, and how it goes on with calls of another.
//!
//! A call that changed is written as a whole a tenth of a second later, so that offer and answer are often one. How far the
//! streams are is told every two seconds, a few calls at a time.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::CallId;
use relay_call::{Call, CallConfig, CallSnapshot, PortLeaser, WallClock};
use tracing::{info, warn};

use super::Worker;
use super::live_call::LiveCall;
use crate::control::directory::Ticket;
use crate::persistence::{Keeper, Name};

/// From one look to the next.
const TICK: Duration = Duration::from_millis(100);
/// Looks until each call's progress was told once.
const TICKS: usize = 20;
/// Calls written as a whole at one look, so that media does not wait for many at once.
const MOST_CALLS: usize = 100;

/// A call for this worker to go on with.
#[derive(Debug)]
pub struct Inherited {
    /// Its number in the directory.
    pub ticket: Ticket,
    /// The clock it was written by.
    pub written_by: WallClock,
    /// The call.
    pub snapshot: Box<CallSnapshot>,
}

/// What is to be told.
#[derive(Debug)]
pub(super) struct Keeping {
    keeper: Keeper,
    /// Calls that have changed.
    changed: Vec<u32>,
    /// Calls that are over, if the thread was behind.
    gone: Vec<Name>,
    /// The next one whose progress is told.
    cursor: usize,
    tick_at: Instant,
}

impl Keeping {
    pub(super) fn new(keeper: Keeper, now: Instant) -> Self {
        Self {
            keeper,
            changed: Vec::new(),
            gone: Vec::new(),
            cursor: 0,
            tick_at: now,
        }
    }

    /// When there is something to tell; never while there are no calls.
    pub(super) fn due(&self, calls: usize) -> Option<Instant> {
        (calls > 0 || !self.gone.is_empty()).then_some(self.tick_at)
    }
}

impl Worker {
    /// A call has changed in a way that another process would have to know.
    pub(super) fn note_change(&mut self, number: u32) {
        let Some(keeping) = &mut self.keeping else {
            return;
        };
        let live = self.calls.get_mut(number as usize).and_then(Option::as_mut);
        if let Some(live) = live
            && !std::mem::replace(&mut live.changed, true)
        {
            keeping.changed.push(number);
        }
    }

    /// A call is over.
    pub(super) fn note_end(&mut self, call: &Call) {
        if let Some(keeping) = &mut self.keeping {
            let name = Name::of(call.id());
            if !keeping.keeper.gone(name.clone()) {
                keeping.gone.push(name);
            }
        }
    }

    /// Tells what there is to tell, if it is time.
    pub(super) fn keep_calls(&mut self, now: Instant) {
        let Some(keeping) = self
            .keeping
            .as_mut()
            .filter(|keeping| keeping.tick_at <= now)
        else {
            return;
        };
        keeping.tick_at = now + TICK;
        while let Some(name) = keeping.gone.pop() {
            if !keeping.keeper.gone(name.clone()) {
                keeping.gone.push(name);
                return;
            }
        }
        for _ in 0..MOST_CALLS {
            let Some(number) = keeping.changed.pop() else {
                break;
            };
            let live = self.calls.get_mut(number as usize).and_then(Option::as_mut);
            // The place may be another call's by now, which is as good.
            let Some(live) = live.filter(|live| live.changed) else {
                continue;
            };
            let clock = live.call.config().clock;
            let snapshot = live.call.snapshot(now);
            if !keeping.keeper.keep(now, &clock, snapshot, false) {
                keeping.changed.push(number);
                return;
            }
            live.changed = false;
        }
        let part = self.calls.len().div_ceil(TICKS).max(1);
        let end = (keeping.cursor + part).min(self.calls.len());
        let calls = self.calls[keeping.cursor.min(end)..end].iter().flatten();
        let progress = calls.map(|live| (Name::of(live.call.id()), live.call.progress(now)));
        let progress: Vec<_> = progress.collect();
        if progress.is_empty() || keeping.keeper.progress(progress) {
            keeping.cursor = if end >= self.calls.len() { 0 } else { end };
        }
    }

    /// The last word about every call: the process ends, and they go on in another.
    pub(super) fn leave_calls(&mut self, now: Instant) {
        let Some(keeping) = self.keeping.take() else {
            return;
        };
        for number in 0..self.calls.len() as u32 {
            // What the kernel passed on of them is known to the call only when it is asked for.
            self.take_back(number, now);
            let Some(live) = self.calls[number as usize].as_mut() else {
                continue;
            };
            let clock = live.call.config().clock;
            let mut snapshot = live.call.snapshot(now);
            snapshot.advance(live.call.progress(now).stopped());
            keeping.keeper.keep(now, &clock, snapshot, true);
            if let Some(recordings) = &mut self.recordings {
                live.call.end_recording();
                recordings.take_from(&mut live.call, now);
            }
        }
    }

    /// Goes on with calls of another process. Gives those that cannot.
    pub(super) fn inherit(&mut self, now: Instant, calls: Vec<Inherited>) -> Vec<CallId> {
        let mut refused = Vec::new();
        // Calls whose parties know the same certificate share a configuration.
        let mut configs: HashMap<_, Arc<CallConfig>> = HashMap::new();
        for call in calls {
            let snapshot = call.snapshot;
            let identity = snapshot.identity().cloned();
            let config = configs.get(&identity).unwrap_or(&self.config).clone();
            let number = self.unused.last().copied();
            let number = number.unwrap_or(self.calls.len() as u32);
            let mut ports = self
                .ports
                .of_call(number, self.backend.as_mut(), &mut self.sockets);
            let restored = catch_unwind(AssertUnwindSafe(|| {
                Call::restore(&snapshot, call.written_by, &config, now, &mut ports)
            }));
            let problem = match restored {
                Ok(Ok(restored)) => {
                    configs.insert(identity, restored.shared_config());
                    let call_id = restored.id().clone();
                    let live = LiveCall::inherited(
                        restored,
                        call.ticket,
                        self.history.clone(),
                        &mut self.counters,
                    );
                    let number = self.insert(call_id, live);
                    self.note_change(number);
                    self.hear_out(number, now);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "a defect of the relay; please report the lines above".to_owned(),
            };
            for socket in self.sockets.of(number).to_vec() {
                self.ports
                    .of_call(number, self.backend.as_mut(), &mut self.sockets)
                    .release(socket);
            }
            warn!(call = %snapshot.id(), "the call cannot go on: {problem}");
            refused.push(snapshot.id().clone());
        }
        self.active = true;
        info!(
            "worker {} goes on with {} calls",
            self.number, self.counters.calls
        );
        refused
    }
}
