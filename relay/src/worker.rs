//! The loop of one media worker.
//!
//! A worker is a plain thread that owns calls, their sockets and their deadlines; nobody else can reach them, so nothing is
//! locked on the way of a packet.
//! Each round it waits, takes a bounded batch of datagrams, a bounded batch of commands and the deadlines that are due, and
//! sends what the calls have queued.
//! The bounds are what keeps a flood of one kind from starving the others.

mod commands;
pub mod counters;
pub mod deadlines;
pub mod handle;
mod hold_music;
pub mod keeping;
pub mod kernel;
mod live_call;
pub mod meta_limits;
pub mod ports;
mod requests;
pub mod seeds;
pub mod sockets;
pub mod trunks;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ng_protocol::{CallId, Command};
use relay_call::{Call, CallConfig, CallEvent, EndReason, PortLeaser};
use relay_net::{Backend, Waker, Woken, affinity};
use relay_packet::{DropReason, Outbox, Received};
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::control::udp::{self, Listener, Reply};
use crate::live_page::History;
use crate::notify::{News, Notification};
use crate::prompts::Prompts;
use crate::recording::Outlet;
use counters::WorkerCounters;
use deadlines::Deadlines;
pub use handle::{
    CallGone, Handled, Happening, ReplyTo, Session, Undelivered, WorkerCommand, WorkerHandle,
    WorkerSettings,
};
use hold_music::HoldMusic;
use keeping::Keeping;
use kernel::Kernel;
use live_call::LiveCall;
use ports::WorkerPorts;
use seeds::Seeds;
use sockets::Sockets;

/// Datagrams taken in one round.
const DATAGRAMS: usize = 256;
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
    let backend = settings
        .data_path
        .backend(settings.sockets, settings.coalesce)?;
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
    backend: Box<dyn Backend + Send>,
    /// Streams that the kernel forwards, where that is wanted.
    kernel: Option<Kernel>,
    /// Where requests come from over UDP, once the control side is there.
    listener: Option<Arc<Listener>>,
    /// When we listen again, if we left that to the others.
    back_at: Option<Instant>,
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
    /// Takes calls that are over, for the page.
    history: Option<Arc<History>>,
    own: (SyncSender<WorkerCommand>, Waker),
    /// Farewells that the control side had no room for yet.
    gone_later: VecDeque<CallGone>,
    /// Boxed: places of calls that are over stay.
    calls: Vec<Option<Box<LiveCall>>>,
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
    /// What is told so that calls outlive the process.
    keeping: Option<Keeping>,
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
        backend: Box<dyn Backend + Send>,
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
        let kernel = settings.data_path.kernel_path()?;
        let counters = WorkerCounters {
            tier: Some(settings.data_path.tier()),
            ports: ports.figures(),
            ..WorkerCounters::default()
        };
        // So that nobody who asks in the first second finds no ports.
        published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&counters);
        Ok(Self {
            number: settings.number,
            backend,
            kernel: kernel.map(|path| Kernel::new(path, settings.sockets.tos, now)),
            listener: None,
            back_at: None,
            request: vec![0; udp::LONGEST].into_boxed_slice(),
            reply: None,
            commands,
            gone,
            notifier: settings.notifier,
            recordings: settings.recordings,
            tells_connections: settings.tells_connections,
            prompts: settings.prompts,
            history: settings.history,
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
            counters,
            published,
            published_at: now,
            keeping: settings.keeper.map(|keeper| Keeping::new(keeper, now)),
            active: true,
        })
    }

    fn run(mut self) {
        let mut next = Next::Wait;
        let mut now = Instant::now();
        let mut took_datagrams = false;
        while next != Next::Stop {
            let idle_from = Instant::now();
            self.counters.busy += idle_from - now;
            if took_datagrams {
                self.counters.rounds.note(idle_from - now);
            }
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
            self.come_back(now);
            took_datagrams = self.take_datagrams(now);
            if woken.asked {
                self.take_requests(now, now - idle_from);
            }
            next = if woken.called || next == Next::Again {
                self.take_commands(now)
            } else {
                Next::Wait
            };
            self.serve_deadlines(now);
            self.look_into_kernel(now);
            self.keep_calls(now);
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
        let deadlines = self.deadlines.next().into_iter();
        let keeping = self.keeping.as_ref();
        let keeping = keeping.and_then(|keeping| keeping.due(self.by_id.len()));
        let others = [self.back_at, self.kernel_due(), keeping];
        let others = others.into_iter().flatten();
        let deadline = deadlines.chain(recordings).chain(others).min();
        let due = if self.active || !self.gone_later.is_empty() {
            let publish = self.published_at + PUBLISH;
            Some(deadline.map_or(publish, |deadline| deadline.min(publish)))
        } else {
            deadline
        };
        due.map(|due| due.saturating_duration_since(now))
    }

    /// Whether there were any.
    fn take_datagrams(&mut self, now: Instant) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        self.backend
            .receive(now, DATAGRAMS, &mut self.out, &mut batch);
        let some = !batch.is_empty();
        self.active |= some;
        for received in batch.drain(..) {
            let Some(number) = self.sockets.owner(received.socket) else {
                self.counters.drops[DropReason::NoCall as usize] += 1;
                self.out.recycle(received.packet);
                continue;
            };
            self.before_datagram(number, &received, now);
            self.let_act(number, now, |call, out| {
                call.handle_datagram(now, received, out);
            });
        }
        self.batch = batch;
        some
    }

    fn serve_deadlines(&mut self, now: Instant) {
        for _ in 0..DEADLINES {
            let Some(number) = self.deadlines.pop_due(now) else {
                return;
            };
            self.active = true;
            self.note_bypassed(number, now);
            self.let_act(number, now, |call, out| call.handle_timeout(now, out));
            self.after_timeout(number, now);
        }
    }

    /// Lets a call do something that may change anything about it.
    fn with_call(&mut self, number: u32, now: Instant, act: impl FnOnce(&mut Call, &mut Outbox)) {
        self.take_back(number, now);
        self.let_act(number, now, act);
    }

    /// Lets a call do something, and then hears it out: its events, its next deadline, its end.
    fn let_act(&mut self, number: u32, now: Instant, act: impl FnOnce(&mut Call, &mut Outbox)) {
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
        let mut changed = false;
        while let Some(event) = live.call.poll_event() {
            changed |= !matches!(event, CallEvent::Rtcp(_) | CallEvent::Dtmf(_));
            if let CallEvent::PortsReleased(released) = &event {
                let mut ports =
                    self.ports
                        .of_call(number, self.backend.as_mut(), &mut self.sockets);
                for &socket in released {
                    ports.release(socket);
                }
            }
            let news = match &event {
                CallEvent::Dtmf(report) => {
                    let wanted = self.tells_connections || report.destination.is_some();
                    wanted.then(|| News::Key(Box::new(report.clone())))
                }
                CallEvent::Rtcp(seen) => Some(News::Rtcp(seen.clone())),
                CallEvent::TimedOut { tags, callback } => Some(News::TimedOut {
                    tags: tags.clone(),
                    callback: *callback,
                }),
                _ => None,
            };
            if let Some(news) = news {
                let call_id = live.call.id().clone();
                if self
                    .notifier
                    .try_send(Notification { call_id, news })
                    .is_err()
                {
                    warn!(call = %live.call.id(), "too much happens at once: a notification is lost");
                }
            }
            if matches!(event, CallEvent::Rtcp(_) | CallEvent::TimedOut { .. }) {
                continue;
            }
            if let CallEvent::HoldMusic { holder, playback } = &event {
                let wanted = HoldMusic {
                    call_id: live.call.id().clone(),
                    holder: *holder,
                };
                match self.prompts.prepare(playback) {
                    Ok(prepared) => wanted.open(prepared, self.own.clone()),
                    Err(why) => live.call.play_hold_music(now, *holder, Err(why)),
                }
                // Its story is told when it is heard; what is to be heard may be large.
                continue;
            }
            live.tell(event, now, &mut self.counters);
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
            if changed {
                self.note_change(number);
            }
        }
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
        self.calls[number as usize] = Some(Box::new(live));
        self.by_id.insert(call_id, number);
        self.counters.calls += 1;
        self.counters.calls_created += 1;
        number
    }

    /// Forgets a call and closes whatever it has not given back itself.
    fn remove(&mut self, number: u32) -> Option<CallGone> {
        let live = self.calls.get_mut(number as usize)?.take()?;
        // Whoever has the place next has other streams.
        self.take_back(number, self.published_at);
        for socket in self.sockets.of(number).to_vec() {
            self.ports
                .of_call(number, self.backend.as_mut(), &mut self.sockets)
                .release(socket);
        }
        self.deadlines.set(number, None, self.published_at);
        self.note_end(&live.call);
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
        let beside_before = self.counters.net.beside_hub;
        self.counters.net = self.backend.counters().clone();
        self.counters.heard_sections = 0;
        self.counters.forget_streams();
        self.counters.trunks.forget_present();
        let mut watching = false;
        for live in self.calls.iter_mut().flatten() {
            live.look(now, &mut self.counters);
            watching |= live.count_present(now, &mut self.counters.trunks);
            self.counters.heard_sections += live.call.heard_sections() as u64;
            for chain in live.call.transcoding() {
                if let Some(counters) = self.counters.chain(chain) {
                    counters.streams += 1;
                }
            }
        }
        let rate = |count: u64| (count as f64 / seconds).round() as u64;
        self.counters.drops[DropReason::SendFailed as usize] = self.counters.net.send_failed;
        let after = self.counters.media_in();
        self.counters.packet_rate = rate(after.packets - before.packets);
        self.counters.byte_rate = rate(after.bytes - before.bytes);
        self.counters.error_rate = rate(self.counters.errors().saturating_sub(errors_before));
        self.counters.ports = self.ports.figures();
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
        if self.counters.net.beside_hub > 0 && beside_before == 0 {
            warn!(
                "packets come past the hub: the steering program was detached; media goes on, at a higher cost"
            );
        }
        // Once the rates are back to zero there is nothing new to tell until something happens.
        self.active = watching || self.counters.net.received > received_before;
        self.published_at = now;
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = self.counters.clone();
    }

    fn end(&mut self) {
        let now = Instant::now();
        let go_on = self.keeping.is_some();
        self.leave_calls(now);
        // What goes on elsewhere is neither ended nor told of.
        let ending = if go_on { 0 } else { self.calls.len() as u32 };
        for number in 0..ending {
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
