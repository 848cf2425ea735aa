//! What a worker does with requests about its calls.
//!
//! They come from the control sockets, or through the queue from another worker or from the control side; a `play media` waits
//! outside until its recording is open, so that no disk is in the way of media.

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::{Command, Request, Response};
use relay_call::{Call, EndReason, Recording};
use tracing::error;

use super::handle::{Handled, ReplyTo, WorkerCommand};
use super::live_call::LiveCall;
use super::{Worker, makes_a_call};
use crate::control::directory::Ticket;
use crate::control::udp::{Listener, Reply, Taken, Yours};

/// Requests taken in one round from each control socket; the other workers may take the rest.
const REQUESTS: usize = 8;
/// How long a worker that was woken in vain leaves the control sockets to the others.
const STAND_BACK: Duration = Duration::from_millis(50);

/// A worker that is woken sooner has not slept: what woke it was there already.
const NO_SLEEP: Duration = Duration::from_micros(5);

impl Worker {
    /// Carries out requests that wait; they came after the worker had slept for so long.
    pub(super) fn take_requests(&mut self, now: Instant, slept: Duration) {
        let Some(listener) = self.listener.clone() else {
            return;
        };
        self.active = true;
        let mut in_vain = true;
        for socket in 0..listener.sockets().len() {
            // To look for a second one that is not there costs a system call. Where there is one, the next sleep is none.
            let most = if slept < NO_SLEEP { REQUESTS } else { 1 };
            let mut left = most;
            while left > 0 {
                let taken = listener.take(socket, self.number, &mut self.request);
                let Some(taken) = taken else { break };
                left -= 1;
                in_vain &= matches!(taken, Taken::Passed);
                match taken {
                    Taken::Yours(yours) if self.opens(&yours.request) => {
                        let Yours { request, exchange } = *yours;
                        let ticket = exchange.ticket();
                        let reply = ReplyTo::Proxy(Box::new(exchange));
                        self.open(now, Box::new(request), ticket, reply);
                    }
                    Taken::Yours(yours) => {
                        let handled = self.carry_out(now, &yours.request, yours.exchange.ticket());
                        self.answer(yours.exchange.give(&handled));
                    }
                    Taken::Answered(reply) => self.answer(reply),
                    Taken::Served | Taken::Passed => {}
                }
            }
            in_vain &= left > 0 || most == 1;
        }
        if in_vain && listener.waiting().leave() {
            self.stand_back(&listener, now);
        }
    }

    /// With few requests about, one worker is enough for the control sockets. When the next request comes before it sleeps again,
    /// the kernel wakes another, which can only pass the request on, and a call costs half as much again.
    fn stand_back(&mut self, listener: &Listener, now: Instant) {
        for socket in listener.sockets() {
            // The only error is that we do not listen on it.
            let _ = self.backend.stop_listening(socket.socket().as_fd());
        }
        self.back_at = Some(now + STAND_BACK);
    }

    /// Ends [`Self::stand_back`] when it is time.
    pub(super) fn come_back(&mut self, now: Instant) {
        if self.back_at.is_some_and(|back_at| now >= back_at)
            && let Some(listener) = self.listener.take()
        {
            self.back_at = None;
            self.listen(listener);
        }
    }

    pub(super) fn answer(&mut self, reply: Reply) {
        if let Some(before) = self.reply.replace(reply) {
            before.send();
        }
    }

    pub(super) fn listen(&mut self, listener: Arc<Listener>) {
        for socket in listener.sockets() {
            if let Err(error) = self.backend.listen(socket.socket().as_fd()) {
                let (address, number) = (socket.address(), self.number);
                error!("worker {number} cannot listen on control port {address}: {error}");
            }
        }
        listener.waiting().join();
        self.listener = Some(listener);
    }

    /// Whether a request has to wait until what it names is open.
    pub(super) fn opens(&self, request: &Request) -> bool {
        let names_something = request.playback.names_something();
        let known = request.call_id.as_ref();
        let known = known.is_some_and(|call_id| self.by_id.contains_key(call_id));
        request.command == Command::PlayMedia && names_something && known
    }

    /// Has a recording opened, and goes on with the request when it is.
    pub(super) fn open(
        &mut self,
        now: Instant,
        request: Box<Request>,
        ticket: Ticket,
        reply: ReplyTo,
    ) {
        let prepared = match self.prompts.prepare(&request.playback) {
            Ok(prepared) => prepared,
            Err(why) => return self.play(now, &request, ticket, reply, Err(why)),
        };
        let (commands, waker) = self.own.clone();
        prepared.open(move |recording| {
            let command = WorkerCommand::Play {
                request,
                ticket,
                reply,
                recording,
            };
            // A worker that is behind is so for milliseconds; one that has ended needs nothing any more.
            if commands.send(command).is_ok() {
                waker.wake();
            }
        });
    }

    /// Carries out a `play media` whose recording is open, or cannot be.
    pub(super) fn play(
        &mut self,
        now: Instant,
        request: &Request,
        ticket: Ticket,
        reply: ReplyTo,
        recording: Result<Box<dyn Recording>, String>,
    ) {
        let handled = self.act(now, request, ticket, Some(recording));
        if let Some(reply) = reply.give(handled) {
            self.answer(reply);
        }
    }

    pub(super) fn carry_out(&mut self, now: Instant, request: &Request, ticket: Ticket) -> Handled {
        self.act(now, request, ticket, None)
    }

    fn act(
        &mut self,
        now: Instant,
        request: &Request,
        ticket: Ticket,
        recording: Option<Result<Box<dyn Recording>, String>>,
    ) -> Handled {
        let Some(call_id) = &request.call_id else {
            // The dispatcher asks for it first.
            return Handled {
                response: Response::error(ng_protocol::reason::NO_CALL_ID),
                exists: false,
            };
        };
        let known = self.by_id.get(call_id).copied();
        let number = match known {
            Some(number) => number,
            None if makes_a_call(request.command) => {
                let seed = self.seeds.draw();
                let call = Call::new(call_id.clone(), Arc::clone(&self.config), now, seed);
                self.insert(
                    call_id.clone(),
                    LiveCall::new(call, ticket, self.history.clone()),
                )
            }
            None => {
                return Handled {
                    response: crate::control::dispatch::unknown_call(request),
                    exists: false,
                };
            }
        };
        self.before_request(number, request.command, now);
        let Some(live) = self.calls.get_mut(number as usize).and_then(Option::as_mut) else {
            // `by_id` names live calls only.
            return Handled {
                response: Response::error("internal error"),
                exists: false,
            };
        };
        // Requests that came by different sockets may overtake each other on their way here.
        live.ticket = live.ticket.max(ticket);
        if request.flags.media.debug {
            live.debug();
        }
        let mut ports = self
            .ports
            .of_call(number, self.backend.as_mut(), &mut self.sockets);
        let acted = catch_unwind(AssertUnwindSafe(|| match recording {
            Some(recording) => live.call.play_media(now, request, recording),
            None => live.call.handle_request(now, request, &mut ports),
        }));
        let response = match acted {
            Ok(response) => {
                if known.is_none()
                    && let Some(reason) = response.error_reason()
                {
                    live.refused(reason);
                    if !live.call.is_finished() {
                        // A first offer that failed leaves no call behind.
                        live.call.terminate(EndReason::Refused);
                    }
                }
                self.hear_out(number, now);
                self.note_change(number);
                response
            }
            Err(_) => {
                self.abandon(number);
                Response::error("internal error; the call was given up")
            }
        };
        for (address, kind) in self.ports.take_refusals() {
            error!(call = %call_id, "cannot bind {address}: {kind}");
        }
        // The reply says whether the call is there, so a farewell for it would only say it twice; unless a newer request was here
        // before: the directory forgets the call on that one's ticket only.
        self.gone_later
            .retain(|gone| gone.call_id != *call_id || gone.ticket != ticket);
        Handled {
            response,
            exists: self.by_id.contains_key(call_id),
        }
    }
}
