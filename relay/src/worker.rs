//! The loop of one media worker.
//!
//! A worker is a plain thread that owns calls, their sockets and their deadlines; nobody else can reach them, so nothing is
//! locked on the way of a packet.
//! Each round it waits, takes a bounded batch of datagrams, a bounded batch of commands and the deadlines that are due, and
//! sends what the calls have queued.
//! The bounds are what keeps a flood of one kind from starving the others.

pub mod counters;
pub mod deadlines;
pub mod handle;
mod live_call;
pub mod ports;
pub mod seeds;
pub mod sockets;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ng_protocol::{CallId, Command, Request, Response};
use relay_call::{Call, CallConfig, CallEvent, EndReason, PortLeaser, Recording};
use relay_net::{Backend, PerPort, Waker, Woken, affinity};
use relay_packet::{DropReason, Outbox, Received};
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::control::directory::Ticket;
use crate::control::udp::{self, Listener, Reply, Taken, Yours};
use crate::notify::Notification;
use crate::prompts::Prompts;
use crate::recording::Outlet;
use counters::WorkerCounters;
use deadlines::Deadlines;
pub use handle::{
    CallGone, Handled, Happening, ReplyTo, Session, Undelivered, WorkerCommand, WorkerHandle,
    WorkerSettings,
};
use live_call::LiveCall;
use ports::WorkerPorts;
use seeds::Seeds;
use sockets::Sockets;

/// Datagrams taken in one round.
const DATAGRAMS: usize = 256;
/// Commands taken in one round.
const COMMANDS: usize = 32;
/// Requests taken in one round from each control socket; the other workers may take the rest.
const REQUESTS: usize = 8;
/// Deadlines served in one round.
const DEADLINES: usize = 256;
/// Unused packet buffers kept, 2 KiB each.
const BUFFERS: usize = 512;
/// Commands that may wait for the worker.
const COMMAND_QUEUE: usize = 1024;
/// How often counters are published.
const PUBLISH: Duration = Duration::from_secs(1);

/// Starts a worker thread. Calls that end by themselves are told through `gone`.
pub fn start(settings: WorkerSettings, gone: mpsc::Sender<CallGone>) -> io::Result<WorkerHandle> {
    let backend = PerPort::new(settings.sockets, settings.coalesce)?;
    let waker = backend.waker();
    let (commands, receiver) = sync_channel(COMMAND_QUEUE);
    let published = Arc::new(Mutex::new(WorkerCounters::default()));
    let own = (commands.clone(), waker.clone());
    let name = format!("media-{}", settings.number);
    let pin = settings.pin.then_some(settings.number);
    let worker = Worker::new(
        settings,
        backend,
        own,
        receiver,
        gone,
        Arc::clone(&published),
    )?;
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        // Without sharp timers a nap is 50 microseconds longer: not worth refusing to start.
        let _ = affinity::sharpen_timers();
        if let Some(processor) = pin
            && let Err(error) = affinity::pin_to(processor)
        {
            warn!("worker {processor} cannot be kept on its processor: {error}");
        }
        worker.run();
    })?;
    Ok(WorkerHandle {
        commands,
        waker,
        published,
        thread: Mutex::new(Some(thread)),
    })
}

struct Worker {
    number: usize,
    backend: PerPort,
    /// Where requests come from over UDP, once the control side is there.
    listener: Option<Arc<Listener>>,
    /// A datagram with a request.
    request: Box<[u8]>,
    /// The newest reply, which leaves when the next one is there, or last in the round: a proxy asks on at once, and whoever is
    /// still busy then makes the kernel wake another worker, which has to pass the request on.
    reply: Option<Reply>,
    commands: Receiver<WorkerCommand>,
    gone: mpsc::Sender<CallGone>,
    notifier: mpsc::Sender<Notification>,
    /// Pressed keys are told to every connection for the control protocol.
    tells_connections: bool,
    /// Takes what calls record.
    recordings: Option<Outlet>,
    /// Who opens recordings, and how it finds back here.
    prompts: Prompts,
    own: (SyncSender<WorkerCommand>, Waker),
    /// Farewells that the control side had no room for yet.
    gone_later: VecDeque<CallGone>,
    calls: Vec<Option<LiveCall>>,
    unused: Vec<u32>,
    by_id: HashMap<CallId, u32>,
    sockets: Sockets,
    ports: WorkerPorts,
    deadlines: Deadlines,
    out: Outbox,
    batch: Vec<Received>,
    config: Arc<CallConfig>,
    seeds: Seeds,
    counters: WorkerCounters,
    published: Arc<Mutex<WorkerCounters>>,
    published_at: Instant,
    /// Something happened since the counters were published.
    active: bool,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    /// There are more commands than one round takes.
    Again,
    Stop,
}

/// Whether a command about a call that is not known makes one.
pub(crate) fn makes_a_call(command: Command) -> bool {
    matches!(command, Command::Offer | Command::Publish)
}

impl Worker {
    fn new(
        settings: WorkerSettings,
        backend: PerPort,
        own: (SyncSender<WorkerCommand>, Waker),
        commands: Receiver<WorkerCommand>,
        gone: mpsc::Sender<CallGone>,
        published: Arc<Mutex<WorkerCounters>>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let mut seeds = Seeds::new(settings.seed, settings.number)?;
        let port_seed = seeds.draw();
        let mut ports = WorkerPorts::new(
            &settings.ports,
            settings.number,
            settings.workers,
            port_seed,
        );
        for interface in &settings.interface_ports {
            ports.add_interface(interface, seeds.draw());
        }
        Ok(Self {
            number: settings.number,
            backend,
            listener: None,
            request: vec![0; udp::LONGEST].into_boxed_slice(),
            reply: None,
            commands,
            gone,
            notifier: settings.notifier,
            recordings: settings.recordings,
            tells_connections: settings.tells_connections,
            prompts: settings.prompts,
            own,
            gone_later: VecDeque::new(),
            calls: Vec::new(),
            unused: Vec::new(),
            by_id: HashMap::new(),
            sockets: Sockets::default(),
            ports,
            deadlines: Deadlines::new(now),
            out: Outbox::new(BUFFERS),
            batch: Vec::with_capacity(DATAGRAMS),
            config: settings.calls,
            seeds,
            counters: WorkerCounters {
                port_range: Some((*settings.ports.start(), *settings.ports.end())),
                ..WorkerCounters::default()
            },
            published,
            published_at: now,
            active: true,
        })
    }

    fn run(mut self) {
        let mut next = Next::Wait;
        let mut now = Instant::now();
        while next != Next::Stop {
            let idle_from = Instant::now();
            self.counters.busy += idle_from - now;
            let timeout = match next {
                Next::Again => Some(Duration::ZERO),
                _ => self.time_to_wait(idle_from),
            };
            let woken = self.backend.wait(timeout).unwrap_or_else(|error| {
                // Nothing that this loop can mend; it must not spin either.
                error!("waiting for datagrams failed: {error}");
                std::thread::sleep(Duration::from_millis(100));
                Woken {
                    called: true,
                    ..Woken::default()
                }
            });
            now = Instant::now();
            self.take_datagrams(now);
            if woken.asked {
                self.take_requests(now);
            }
            next = if woken.called || next == Next::Again {
                self.take_commands(now)
            } else {
                Next::Wait
            };
            self.serve_deadlines(now);
            self.backend.flush(&mut self.out);
            if let Some(recordings) = &mut self.recordings {
                recordings.hand_over(now);
            }
            self.say_farewell();
            if now >= self.published_at + PUBLISH {
                self.publish(now);
            }
            if let Some(reply) = self.reply.take() {
                reply.send();
            }
        }
        self.end();
    }

    /// Until the next deadline; and until counters are due, unless nothing has changed since: an idle worker sleeps.
    fn time_to_wait(&self, now: Instant) -> Option<Duration> {
        let recordings = self.recordings.as_ref().and_then(Outlet::due);
        let deadline = self.deadlines.next().into_iter().chain(recordings).min();
        let due = if self.active || !self.gone_later.is_empty() {
            let publish = self.published_at + PUBLISH;
            Some(deadline.map_or(publish, |deadline| deadline.min(publish)))
        } else {
            deadline
        };
        due.map(|due| due.saturating_duration_since(now))
    }

    fn take_datagrams(&mut self, now: Instant) {
        let mut batch = std::mem::take(&mut self.batch);
        self.backend
            .receive(now, DATAGRAMS, &mut self.out, &mut batch);
        self.active |= !batch.is_empty();
        for received in batch.drain(..) {
            let Some(number) = self.sockets.owner(received.socket) else {
                self.counters.drops[DropReason::NoCall as usize] += 1;
                self.out.recycle(received.packet);
                continue;
            };
            self.with_call(number, now, |call, out| {
                call.handle_datagram(now, received, out);
            });
        }
        self.batch = batch;
    }

    fn take_requests(&mut self, now: Instant) {
        let Some(listener) = self.listener.clone() else {
            return;
        };
        self.active = true;
        for socket in 0..listener.sockets().len() {
            for _ in 0..REQUESTS {
                match listener.take(socket, self.number, &mut self.request) {
                    Some(Taken::Yours(yours)) if self.opens(&yours.request) => {
                        let Yours { request, exchange } = *yours;
                        let ticket = exchange.ticket();
                        let reply = ReplyTo::Proxy(Box::new(exchange));
                        self.open(now, Box::new(request), ticket, reply);
                    }
                    Some(Taken::Yours(yours)) => {
                        let handled = self.carry_out(now, &yours.request, yours.exchange.ticket());
                        self.answer(yours.exchange.give(&handled));
                    }
                    Some(Taken::Answered(reply)) => self.answer(reply),
                    Some(Taken::Served) => {}
                    None => break,
                }
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        if let Some(before) = self.reply.replace(reply) {
            before.send();
        }
    }

    fn listen(&mut self, listener: Arc<Listener>) {
        for socket in listener.sockets() {
            if let Err(error) = self.backend.listen(socket.socket().as_fd()) {
                let (address, number) = (socket.address(), self.number);
                error!("worker {number} cannot listen on control port {address}: {error}");
            }
        }
        self.listener = Some(listener);
    }

    fn take_commands(&mut self, now: Instant) -> Next {
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
                    let _ = reply.send(live.and_then(Option::as_ref).map(LiveCall::story));
                }
                Ok(WorkerCommand::Configure(config)) => self.configure(now, config),
                Ok(WorkerCommand::Stop) | Err(TryRecvError::Disconnected) => return Next::Stop,
                Err(TryRecvError::Empty) => return Next::Wait,
            }
        }
        Next::Again
    }

    fn serve_deadlines(&mut self, now: Instant) {
        for _ in 0..DEADLINES {
            let Some(number) = self.deadlines.pop_due(now) else {
                return;
            };
            self.active = true;
            self.with_call(number, now, |call, out| call.handle_timeout(now, out));
        }
    }

    /// Lets a call do something, and then hears it out: its events, its next deadline, its end.
    fn with_call(&mut self, number: u32, now: Instant, act: impl FnOnce(&mut Call, &mut Outbox)) {
        let Some(live) = self.calls.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let out = &mut self.out;
        // A mistake of ours in one call must not end the other thousand on this thread.
        let acted = catch_unwind(AssertUnwindSafe(|| act(&mut live.call, out)));
        if acted.is_err() {
            self.abandon(number);
        } else {
            self.hear_out(number, now);
        }
    }

    fn hear_out(&mut self, number: u32, now: Instant) {
        let Some(live) = self.calls.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        while let Some(event) = live.call.poll_event() {
            if let CallEvent::PortsReleased(released) = &event {
                let mut ports = self
                    .ports
                    .of_call(number, &mut self.backend, &mut self.sockets);
                for &socket in released {
                    ports.release(socket);
                }
            }
            if let CallEvent::Dtmf(report) = &event
                && (self.tells_connections || report.destination.is_some())
            {
                let notification = Notification {
                    call_id: live.call.id().clone(),
                    report: report.clone(),
                };
                if self.notifier.try_send(notification).is_err() {
                    warn!(call = %live.call.id(), "too many keys are pressed at once: a notification is lost");
                }
            }
            live.tell(&event, now, &mut self.counters);
        }
        if let Some(recordings) = &mut self.recordings {
            recordings.take_from(&mut live.call, now);
        }
        if live.call.is_finished() {
            let gone = self.remove(number);
            self.gone_later.extend(gone);
        } else {
            let deadline = live.call.poll_timeout();
            self.deadlines.set(number, deadline, now);
        }
    }

    /// Whether a request has to wait until what it names is open.
    fn opens(&self, request: &Request) -> bool {
        let names_something = request.playback.names_something();
        let known = request.call_id.as_ref();
        let known = known.is_some_and(|call_id| self.by_id.contains_key(call_id));
        request.command == Command::PlayMedia && names_something && known
    }

    /// Has a recording opened, and goes on with the request when it is.
    fn open(&mut self, now: Instant, request: Box<Request>, ticket: Ticket, reply: ReplyTo) {
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
    fn play(
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

    fn carry_out(&mut self, now: Instant, request: &Request, ticket: Ticket) -> Handled {
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
                self.insert(call_id.clone(), LiveCall::new(call, ticket))
            }
            None => {
                return Handled {
                    response: crate::control::dispatch::unknown_call(request),
                    exists: false,
                };
            }
        };
        let Some(live) = self.calls.get_mut(number as usize).and_then(Option::as_mut) else {
            // `by_id` names live calls only.
            return Handled {
                response: Response::error("internal error"),
                exists: false,
            };
        };
        // Requests that came by different sockets may overtake each other on their way here.
        live.ticket = live.ticket.max(ticket);
        let mut ports = self
            .ports
            .of_call(number, &mut self.backend, &mut self.sockets);
        let acted = catch_unwind(AssertUnwindSafe(|| match recording {
            Some(recording) => live.call.play_media(now, request, recording),
            None => live.call.handle_request(now, request, &mut ports),
        }));
        let response = match acted {
            Ok(response) => {
                let refused = known.is_none() && response.error_reason().is_some();
                if refused && !live.call.is_finished() {
                    // A first offer that failed leaves no call behind.
                    live.call.terminate(EndReason::Refused);
                }
                self.hear_out(number, now);
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

    fn insert(&mut self, call_id: CallId, live: LiveCall) -> u32 {
        let number = match self.unused.pop() {
            Some(number) => number,
            None => {
                self.calls.push(None);
                // A worker cannot have four billion calls: each has a socket.
                (self.calls.len() - 1) as u32
            }
        };
        self.calls[number as usize] = Some(live);
        self.by_id.insert(call_id, number);
        self.counters.calls += 1;
        self.counters.calls_created += 1;
        number
    }

    /// Forgets a call and closes whatever it has not given back itself.
    fn remove(&mut self, number: u32) -> Option<CallGone> {
        let live = self.calls.get_mut(number as usize)?.take()?;
        for socket in self.sockets.of(number).to_vec() {
            self.ports
                .of_call(number, &mut self.backend, &mut self.sockets)
                .release(socket);
        }
        self.deadlines.set(number, None, self.published_at);
        self.by_id.remove(live.call.id());
        self.unused.push(number);
        self.counters.calls -= 1;
        Some(CallGone {
            call_id: live.call.id().clone(),
            ticket: live.ticket,
        })
    }

    /// A call broke one of our own rules and panicked.
    fn abandon(&mut self, number: u32) {
        self.counters.abandoned += 1;
        if let Some(live) = self.calls.get_mut(number as usize).and_then(Option::as_mut)
            && let Some(recordings) = &mut self.recordings
        {
            live.call.end_recording();
            recordings.take_from(&mut live.call, Instant::now());
        }
        if let Some(gone) = self.remove(number) {
            error!(call = %gone.call_id, "a defect of the relay ended this call; please report the lines above");
            self.gone_later.push_back(gone);
        }
    }

    fn say_farewell(&mut self) {
        while let Some(gone) = self.gone_later.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(gone)) = self.gone.try_send(gone) {
                self.gone_later.push_front(gone);
                return;
            }
        }
    }

    fn publish(&mut self, now: Instant) {
        let received_before = self.counters.net.received;
        let before = self.counters.media_in();
        let errors_before = self.counters.errors();
        let seconds = (now - self.published_at).as_secs_f64().max(0.001);
        let failed_before = self.counters.net.send_failed;
        self.counters.net = self.backend.counters().clone();
        self.counters.answered = 0;
        self.counters.heard_sections = 0;
        for live in self.calls.iter_mut().flatten() {
            live.look(&mut self.counters);
            self.counters.answered += u64::from(live.call.is_answered());
            self.counters.heard_sections += live.call.heard_sections() as u64;
        }
        let rate = |count: u64| (count as f64 / seconds).round() as u64;
        self.counters.drops[DropReason::SendFailed as usize] = self.counters.net.send_failed;
        let after = self.counters.media_in();
        self.counters.packet_rate = rate(after.packets - before.packets);
        self.counters.byte_rate = rate(after.bytes - before.bytes);
        self.counters.error_rate = rate(self.counters.errors().saturating_sub(errors_before));
        self.counters.ports_used = self.ports.used();
        self.counters.ports_size = self.ports.size();
        let failed = self.counters.net.send_failed - failed_before;
        if failed > 0
            && let Some(last) = self.counters.net.last_send_error
        {
            let error = io::Error::from_raw_os_error(last.errno);
            warn!(
                "{failed} packets could not be sent, the last one to {}: {error}",
                last.destination
            );
        }
        // Once the rates are back to zero there is nothing new to tell until something happens.
        self.active = self.counters.net.received > received_before;
        self.published_at = now;
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = self.counters.clone();
    }

    fn end(&mut self) {
        let now = Instant::now();
        for number in 0..self.calls.len() as u32 {
            self.with_call(number, now, |call, _| {
                call.terminate(EndReason::ForceTerminated);
            });
        }
        self.backend.flush(&mut self.out);
        if let Some(recordings) = &mut self.recordings {
            recordings.finish();
        }
        self.publish(now);
        for command in self.commands.try_iter() {
            if let WorkerCommand::Request { reply, .. } | WorkerCommand::Play { reply, .. } =
                command
            {
                let reply = reply.give(Handled::by_nobody());
                reply.iter().for_each(Reply::send);
            }
        }
    }
}

#[cfg(test)]
mod tests;
