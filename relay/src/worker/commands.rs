//! What the control side and other workers ask of a worker, through its queue.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use ng_protocol::CallId;
use relay_call::{CallConfig, EndReason};

use super::handle::{Session, WorkerCommand};
use super::live_call::LiveCall;
use super::{Next, Worker};
use crate::live_page::{CallView, LONGEST_LIST};

/// Commands taken in one round.
const COMMANDS: usize = 32;

impl Worker {
    pub(super) fn take_commands(&mut self, now: Instant) -> Next {
        for _ in 0..COMMANDS {
            match self.commands.try_recv() {
                Ok(WorkerCommand::Request {
                    request,
                    ticket,
                    reply,
                }) => {
                    self.active = true;
                    if self.opens(&request) {
                        self.open(now, request, ticket, reply);
                        continue;
                    }
                    let handled = self.carry_out(now, &request, ticket);
                    if let Some(reply) = reply.give(handled) {
                        self.answer(reply);
                    }
                }
                Ok(WorkerCommand::Play {
                    request,
                    ticket,
                    reply,
                    recording,
                }) => {
                    self.active = true;
                    self.play(now, &request, ticket, reply, recording);
                }
                Ok(WorkerCommand::HoldMusic {
                    call_id,
                    holder,
                    recording,
                }) => {
                    self.active = true;
                    self.play_hold_music(now, &call_id, holder, recording);
                }
                Ok(WorkerCommand::Listen(listener)) => self.listen(listener),
                Ok(WorkerCommand::Terminate { call_id, reply }) => {
                    self.active = true;
                    let _ = reply.send(self.terminate(now, call_id.as_ref()));
                }
                Ok(WorkerCommand::Sessions(reply)) => {
                    let _ = reply.send(self.sessions());
                }
                Ok(WorkerCommand::Story { call_id, reply }) => {
                    let number = self.by_id.get(&call_id);
                    let live = number.and_then(|number| self.calls.get(*number as usize));
                    let _ = reply.send(live.and_then(Option::as_deref).map(LiveCall::story));
                }
                Ok(WorkerCommand::ComeRound(reply)) => {
                    let _ = reply.send(());
                }
                Ok(WorkerCommand::Views { search, reply }) => {
                    let _ = reply.send(self.views(now, &search));
                }
                Ok(WorkerCommand::View { call_id, reply }) => {
                    let number = self.by_id.get(&call_id);
                    let live = number.and_then(|number| self.calls.get(*number as usize));
                    let live = live.and_then(Option::as_deref);
                    let _ = reply.send(live.map(|live| live.whole_view(now)));
                }
                Ok(WorkerCommand::Inherit { calls, reply }) => {
                    // Whoever asked may have given up.
                    let _ = reply.send(self.inherit(now, calls));
                }
                Ok(WorkerCommand::Configure(config)) => self.configure(now, config),
                Ok(WorkerCommand::Stop) => return Next::Stop,
                // Empty, for the worker keeps a sender itself.
                Err(_) => return Next::Wait,
            }
        }
        Next::Again
    }

    fn sessions(&self) -> Vec<Session> {
        let calls = self.calls.iter().flatten();
        calls
            .map(|live| Session {
                call_id: live.call.id().clone(),
                created: self.config.clock.unix_at(live.call.created()),
                deleted: live.call.is_deleted(),
            })
            .collect()
    }

    /// The newest calls that a search finds. Views are made only of those: the media of all others waits meanwhile.
    fn views(&self, now: Instant, search: &str) -> Vec<CallView> {
        let calls = self.calls.iter().flatten();
        let mut found: Vec<&LiveCall> = calls
            .map(|live| &**live)
            .filter(|live| live.is_found_by(search))
            .collect();
        if found.len() > LONGEST_LIST {
            let newest = |live: &&LiveCall| Reverse(live.call.created());
            found.select_nth_unstable_by_key(LONGEST_LIST, newest);
            found.truncate(LONGEST_LIST);
        }
        found.into_iter().map(|live| live.view(now)).collect()
    }

    /// New calls are made with `config`; its timeouts hold for all.
    fn configure(&mut self, now: Instant, config: Arc<CallConfig>) {
        if config.timeouts != self.config.timeouts {
            for (number, live) in (0..).zip(&mut self.calls) {
                if let Some(live) = live {
                    live.call.set_timeouts(config.timeouts);
                    self.deadlines.set(number, live.call.poll_timeout(), now);
                }
            }
        }
        self.config = config;
    }

    /// Ends the call of this name, or all calls.
    fn terminate(&mut self, now: Instant, only: Option<&CallId>) -> usize {
        let numbers: Vec<u32> = match only {
            Some(call_id) => self.by_id.get(call_id).copied().into_iter().collect(),
            None => self.by_id.values().copied().collect(),
        };
        for &number in &numbers {
            self.with_call(number, now, |call, _| {
                call.terminate(EndReason::ForceTerminated);
            });
        }
        numbers.len()
    }
}
