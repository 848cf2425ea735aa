//! The control side's end of a worker: what it is started with, what it is told, what it answers.

use std::ops::RangeInclusive;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ng_protocol::{CallId, Request, Response};
use relay_call::leg::LegId;
use relay_call::{CallConfig, CallEvent, Recording};
use relay_net::{DataPath, SocketOptions, Waker};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::counters::WorkerCounters;
use super::keeping::Inherited;
use super::ports::InterfacePorts;
use crate::control::directory::Ticket;
use crate::control::udp::{Listener, Reply, UdpExchange};
use crate::live_page::{CallView, History};
use crate::notify::Notification;
use crate::persistence::Keeper;
use crate::prompts::Prompts;
use crate::recording::Outlet;

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Which of the workers it is, from 0.
    pub number: usize,
    /// How many there are.
    pub workers: usize,
    /// The port range of all of them.
    pub ports: RangeInclusive<u16>,
    /// Interfaces with ports of their own.
    pub interface_ports: Vec<InterfacePorts>,
    /// How packets are moved.
    pub data_path: DataPath,
    /// What sockets are bound with.
    pub sockets: SocketOptions,
    /// The longest nap.
    pub coalesce: Duration,
    /// Stay on one processor.
    pub pin: bool,
    /// What calls are made with.
    pub calls: Arc<CallConfig>,
    /// Where notifications for controllers go.
    pub notifier: mpsc::Sender<Notification>,
    /// Pressed keys are told to every connection for the control protocol (`dtmf-log-ng-tcp`).
    pub tells_connections: bool,
    /// Where recordings go, if calls are recorded.
    pub recordings: Option<Outlet>,
    /// Who opens recordings.
    pub prompts: Prompts,
    /// Where calls that are over are left for the page, if there is one.
    pub history: Option<Arc<History>>,
    /// Who keeps calls on the disk, if anybody does.
    pub keeper: Option<Keeper>,
    /// Where randomness comes from; the system's when `None`.
    pub seed: Option<u64>,
}

/// What a worker is told.
#[derive(Debug)]
pub enum WorkerCommand {
    /// Carry out a request about a call of this worker.
    Request {
        /// The request; it has a call-id.
        request: Box<Request>,
        /// Its number, for the directory.
        ticket: Ticket,
        /// Who waits for the reply.
        reply: ReplyTo,
    },
    /// Carry out `play media`: what it names was opened, or could not be.
    Play {
        /// The request; it has a call-id.
        request: Box<Request>,
        /// Its number, for the directory.
        ticket: Ticket,
        /// Who waits for the reply.
        reply: ReplyTo,
        /// What is to be heard.
        recording: Result<Box<dyn Recording>, String>,
    },
    /// Let those whom a party holds hear this: it was opened, or could not be.
    HoldMusic {
        /// Whose call it is.
        call_id: CallId,
        /// Who holds.
        holder: LegId,
        /// What is to be heard.
        recording: Result<Box<dyn Recording>, String>,
    },
    /// Take requests over UDP, too, together with the other workers.
    Listen(Arc<Listener>),
    /// End this call at once, or all of them.
    Terminate {
        /// Which; all if `None`.
        call_id: Option<CallId>,
        /// Hears how many there were.
        reply: oneshot::Sender<usize>,
    },
    /// Describe all calls.
    Sessions(oneshot::Sender<Vec<Session>>),
    /// Tell what happened in a call.
    Story {
        /// Which.
        call_id: CallId,
        /// Hears it, the oldest first; `None` if there is no such call.
        reply: oneshot::Sender<Option<Vec<Happening>>>,
    },
    /// Say that the thread still comes round.
    ComeRound(oneshot::Sender<()>),
    /// Show the newest calls that a search finds, without their stories.
    Views {
        /// In lower case; empty finds all.
        search: String,
        /// Hears of them.
        reply: oneshot::Sender<Vec<CallView>>,
    },
    /// Show a call with its story.
    View {
        /// Which.
        call_id: CallId,
        /// Hears of it; `None` if there is no such call.
        reply: oneshot::Sender<Option<CallView>>,
    },
    /// Go on with these calls of a process that has ended.
    Inherit {
        /// The calls.
        calls: Vec<Inherited>,
        /// Hears which of them cannot go on.
        reply: std::sync::mpsc::Sender<Vec<CallId>>,
    },
    /// Make calls with this from now on; the timeouts hold for all calls.
    Configure(Arc<CallConfig>),
    /// End all calls and the thread.
    Stop,
}

/// Who waits for a worker.
#[derive(Debug)]
pub enum ReplyTo {
    /// A task of the control side.
    Task(oneshot::Sender<Handled>),
    /// A proxy that asked over UDP: the worker itself answers.
    Proxy(Box<UdpExchange>),
}

impl ReplyTo {
    /// Tells whoever waits; what is for a proxy is still to be sent.
    pub(crate) fn give(self, handled: Handled) -> Option<Reply> {
        match self {
            Self::Task(reply) => {
                // Whoever asked may have given up.
                let _ = reply.send(handled);
                None
            }
            Self::Proxy(exchange) => Some(exchange.give(&handled)),
        }
    }
}

/// A call as an operator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub call_id: CallId,
    /// Since 1970.
    pub created: Duration,
    /// Only waiting for its delay after `delete`.
    pub deleted: bool,
}

/// Something that happened in a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Since the call was made.
    pub after: Duration,
    /// What it was; its text is the sentence in the log.
    pub event: CallEvent,
}

/// What became of a request.
#[derive(Debug)]
pub struct Handled {
    /// The reply.
    pub response: Response,
    /// Whether the worker has a call of that name now.
    pub exists: bool,
}

impl Handled {
    /// The worker has ended, and its calls with it.
    pub(crate) fn by_nobody() -> Self {
        Self {
            response: Response::error("the relay is shutting down"),
            exists: false,
        }
    }
}

/// A call is gone without a request having said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallGone {
    /// Its name.
    pub call_id: CallId,
    /// The newest request about it.
    pub ticket: Ticket,
}

/// A command could not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The worker is behind.
    QueueFull,
    /// The worker has ended.
    Stopped,
}

impl<T> From<&TrySendError<T>> for Undelivered {
    fn from(error: &TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::QueueFull,
            TrySendError::Disconnected(_) => Self::Stopped,
        }
    }
}

/// The control side's end of a worker.
#[derive(Debug)]
pub struct WorkerHandle {
    pub(super) commands: SyncSender<WorkerCommand>,
    pub(super) waker: Waker,
    pub(super) published: Arc<Mutex<WorkerCounters>>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

impl WorkerHandle {
    /// Hands a command over.
    pub fn send(&self, command: WorkerCommand) -> Result<(), Undelivered> {
        self.commands
            .try_send(command)
            .map_err(|error| Undelivered::from(&error))?;
        self.waker.wake();
        Ok(())
    }

    /// Hands a request over, or gives back who waits for the reply.
    pub(crate) fn request(
        &self,
        request: Box<Request>,
        ticket: Ticket,
        reply: ReplyTo,
    ) -> Result<(), (Undelivered, ReplyTo)> {
        let command = WorkerCommand::Request {
            request,
            ticket,
            reply,
        };
        match self.commands.try_send(command) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(error) => {
                let problem = Undelivered::from(&error);
                let (TrySendError::Full(command) | TrySendError::Disconnected(command)) = error;
                match command {
                    WorkerCommand::Request { reply, .. } => Err((problem, reply)),
                    _ => unreachable!("what comes back is what was sent"),
                }
            }
        }
    }

    /// Ends one call or all of them, and waits until it is done. Gives how many there were.
    pub async fn terminate(&self, call_id: Option<CallId>) -> usize {
        let (reply, ended) = oneshot::channel();
        if self
            .send(WorkerCommand::Terminate { call_id, reply })
            .is_err()
        {
            return 0;
        }
        // A worker that stops ends its calls as well, and nobody needs their number any more.
        ended.await.unwrap_or(0)
    }

    /// Describes all calls.
    pub async fn sessions(&self) -> Vec<Session> {
        let (reply, sessions) = oneshot::channel();
        match self.send(WorkerCommand::Sessions(reply)) {
            Ok(()) => sessions.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// What happened in a call, the oldest first.
    pub async fn story(&self, call_id: CallId) -> Option<Vec<Happening>> {
        let (reply, story) = oneshot::channel();
        self.send(WorkerCommand::Story { call_id, reply }).ok()?;
        story.await.ok()?
    }

    /// Waits until the thread comes round to its commands; a thread that hangs or has ended never does, and gives `false`.
    pub(crate) async fn comes_round(&self) -> bool {
        let (reply, came) = oneshot::channel();
        match self.send(WorkerCommand::ComeRound(reply)) {
            Ok(()) => came.await.is_ok(),
            Err(_) => false,
        }
    }

    /// The newest calls that a search finds, as the page lists them.
    pub async fn views(&self, search: String) -> Vec<CallView> {
        let (reply, views) = oneshot::channel();
        match self.send(WorkerCommand::Views { search, reply }) {
            Ok(()) => views.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// A call as the page shows it.
    pub async fn view(&self, call_id: CallId) -> Option<CallView> {
        let (reply, view) = oneshot::channel();
        self.send(WorkerCommand::View { call_id, reply }).ok()?;
        view.await.ok()?
    }

    /// The counters as last published.
    pub fn counters(&self) -> WorkerCounters {
        // A poisoned lock still holds whole counters: they are replaced in one assignment.
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the thread and waits for it.
    pub fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else {
            return;
        };
        // A full queue is emptied by the worker within milliseconds; a stopped one needs no command.
        while self.send(WorkerCommand::Stop) == Err(Undelivered::QueueFull) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.join().is_err() {
            error!("a media worker ended in a panic");
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use relay_net::Backend;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_hangs_or_has_ended_does_not_come_round() {
        let (commands, unread) = sync_channel(1);
        let backend = relay_net::PerPort::new(SocketOptions::default(), Duration::ZERO).unwrap();
        let worker = WorkerHandle {
            commands,
            waker: backend.waker(),
            published: Arc::default(),
            thread: Mutex::new(None),
        };
        let limit = Duration::from_millis(50);
        assert!(
            tokio::time::timeout(limit, worker.comes_round())
                .await
                .is_err()
        );
        drop(unread);
        assert!(!worker.comes_round().await);
    }
}
