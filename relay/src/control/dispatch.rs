//! Who carries a request out: we ourselves, or the worker that owns the call.

mod notes;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ng_protocol::{CallId, Command, NgError, Request, Response, Value, Word, reason};
use relay_call::{CallConfig, CallSnapshot, RequestError, WallClock};
use tokio::sync::oneshot;
use tracing::warn;

use super::directory::{Directory, Ticket};
use super::load::{self, Usage};
use super::udp::Listener;
use crate::live_config::ControlSettings;
use crate::live_page::{CallView, LivePage};
use crate::metrics::{ControlCounters, ProcessFigures, Snapshot, prometheus_text};
use crate::recording::{RecordingCounters, RecordingFigures};
use crate::worker::counters::WorkerCounters;
use crate::worker::keeping::Inherited;
use crate::worker::{
    CallGone, Handled, Happening, ReplyTo, Session, Undelivered, WorkerCommand, WorkerHandle,
    makes_a_call,
};

/// A proxy gives up after a second, so we answer before, whatever happens.
const PATIENCE: Duration = Duration::from_millis(900);
/// `list` without a limit.
const DEFAULT_LIST: i64 = 32;

/// Distributes requests.
#[derive(Debug)]
pub struct Dispatch {
    workers: Vec<WorkerHandle>,
    settings: RwLock<Arc<ControlSettings>>,
    recordings: Arc<RecordingCounters>,
    live_page: LivePage,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    directory: Directory,
    counters: ControlCounters,
    words: HashSet<Word>,
    usage: Usage,
}

/// The answer, or where it will come from.
#[derive(Debug)]
pub enum Answer {
    /// Here it is.
    Ready(Response),
    /// A worker has the request.
    Pending(Pending),
}

/// Who carries a request out.
#[derive(Debug)]
pub(crate) enum Route {
    /// We have.
    Answered(Response),
    /// The worker that owns the call.
    Worker(Owner),
}

/// Where a request about a call belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) worker: usize,
    /// The request's number in the directory.
    pub(crate) ticket: Ticket,
    /// The call is made by this request.
    is_new: bool,
}

/// A request that a worker has.
#[derive(Debug)]
pub struct Pending {
    call_id: CallId,
    ticket: Ticket,
    handled: oneshot::Receiver<Handled>,
}

impl Dispatch {
    /// Distributes to `workers`.
    pub fn new(
        workers: Vec<WorkerHandle>,
        settings: ControlSettings,
        recordings: Arc<RecordingCounters>,
        live_page: LivePage,
    ) -> Self {
        let directory = Directory::new(workers.len());
        Self {
            workers,
            recordings,
            live_page,
            settings: RwLock::new(Arc::new(settings)),
            started: Instant::now(),
            state: Mutex::new(State {
                directory,
                counters: ControlCounters::default(),
                words: HashSet::new(),
                usage: Usage::default(),
            }),
        }
    }

    /// Answers at once, or hands the request to a worker. Requests reach a worker in the order of these calls.
    pub fn begin(&self, request: Request) -> Answer {
        let owner = match self.route(&request, None) {
            Route::Answered(response) => return Answer::Ready(response),
            Route::Worker(owner) => owner,
        };
        let Some(call_id) = request.call_id.clone() else {
            // `route` asks for it.
            return Answer::Ready(Response::error(reason::NO_CALL_ID));
        };
        let (reply, handled) = oneshot::channel();
        match self.deliver(owner, Box::new(request), ReplyTo::Task(reply)) {
            Ok(()) => Answer::Pending(Pending {
                call_id,
                ticket: owner.ticket,
                handled,
            }),
            Err((_, handled)) => {
                self.settle(&call_id, owner.ticket, &handled);
                Answer::Ready(handled.response)
            }
        }
    }

    /// Answers at once, or says which worker carries the request out. The one that asks, if a worker does, may keep a new call.
    pub(crate) fn route(&self, request: &Request, asking: Option<usize>) -> Route {
        self.complain_about_words(request);
        match request.command {
            Command::Ping => Route::Answered(Response::pong()),
            Command::List => Route::Answered(self.list(request.limit)),
            Command::Statistics => Route::Answered(self.statistics()),
            // These need no call, or make one without an offer, and are not provided.
            Command::Cli | Command::Transform | Command::Create | Command::Mesh => {
                Route::Answered(RequestError::unsupported(request.command).into())
            }
            _ => self.find_worker(request, asking),
        }
    }

    fn find_worker(&self, request: &Request, asking: Option<usize>) -> Route {
        if let Some(missing) = missing_key(request) {
            return Route::Answered(Response::error(missing));
        }
        let Some(call_id) = &request.call_id else {
            return Route::Answered(Response::error(reason::NO_CALL_ID));
        };
        let limits = self.settings().limits;
        let mut state = self.state();
        let known = state.directory.find(call_id);
        let (worker, ticket) = match known {
            Some(owner) => owner,
            None if makes_a_call(request.command) => {
                let sessions = state.directory.calls();
                if let Some(text) = load::refusal(&limits, sessions, &state.usage) {
                    // The others are told by their texts; this one has a counter in rtpengine's statistics.
                    state.counters.rejected += u64::from(text == reason::PARALLEL_SESSION_LIMIT);
                    drop(state);
                    warn!(call = %call_id, "{text}: a new call is refused");
                    let response = Response::overloaded(text, request.supports_load_limit);
                    return Route::Answered(response);
                }
                state.directory.assign(call_id, asking)
            }
            None => return Route::Answered(unknown_call(request)),
        };
        Route::Worker(Owner {
            worker,
            ticket,
            is_new: known.is_none(),
        })
    }

    /// Puts a request into its worker's queue. If there is no room, gives back who asked, and what to say.
    pub(crate) fn deliver(
        &self,
        owner: Owner,
        request: Box<Request>,
        reply: ReplyTo,
    ) -> Result<(), (ReplyTo, Handled)> {
        let (problem, reply) =
            match self.workers[owner.worker].request(request, owner.ticket, reply) {
                Ok(()) => return Ok(()),
                Err(undelivered) => undelivered,
            };
        self.state().counters.undelivered += 1;
        let response = Response::error(match problem {
            Undelivered::QueueFull => "the media worker of this call is overloaded",
            Undelivered::Stopped => "the relay is shutting down",
        });
        let exists = !owner.is_new;
        Err((reply, Handled { response, exists }))
    }

    /// Waits for a worker, but never so long that the proxy gives up.
    pub async fn finish(self: &Arc<Self>, mut pending: Pending) -> Response {
        match tokio::time::timeout(PATIENCE, &mut pending.handled).await {
            Ok(handled) => self.hear(&pending, handled),
            Err(_) => {
                // The worker will still say whether there is a call now, and the directory must hear it.
                let dispatch = Arc::clone(self);
                tokio::spawn(async move {
                    let handled = (&mut pending.handled).await;
                    dispatch.hear(&pending, handled);
                });
                Response::error("the media worker did not answer in time")
            }
        }
    }

    fn hear(
        &self,
        pending: &Pending,
        handled: Result<Handled, oneshot::error::RecvError>,
    ) -> Response {
        let handled = handled.unwrap_or_else(|_| Handled::by_nobody());
        self.settle(&pending.call_id, pending.ticket, &handled);
        handled.response
    }

    /// A worker has carried out a request: the directory hears whether there is a call now.
    pub(crate) fn settle(&self, call_id: &CallId, ticket: Ticket, handled: &Handled) {
        if !handled.exists {
            self.state().directory.gone(call_id, ticket);
        }
    }

    /// A worker says that a call is over.
    pub fn call_gone(&self, gone: &CallGone) {
        self.state().directory.gone(&gone.call_id, gone.ticket);
    }

    /// A new sample for the limits.
    pub(super) fn note_usage(&self, usage: Usage) {
        self.state().usage = usage;
    }

    /// How many calls there are.
    pub fn sessions(&self) -> usize {
        self.state().directory.calls()
    }

    /// Which workers do not come round to their commands within `limit`, counted from 0.
    pub(crate) async fn stuck_workers(&self, limit: Duration) -> Vec<usize> {
        let begun = tokio::time::Instant::now();
        let mut stuck = Vec::new();
        for (number, worker) in self.workers.iter().enumerate() {
            let came = tokio::time::timeout_at(begun + limit, worker.comes_round()).await;
            if came != Ok(true) {
                stuck.push(number);
            }
        }
        stuck
    }

    /// The counters of all workers together, as last published.
    pub fn worker_counters(&self) -> WorkerCounters {
        let mut sum = WorkerCounters::default();
        for worker in &self.workers {
            sum.add(&worker.counters());
        }
        sum
    }

    /// Reads a request as the configuration wants it read.
    pub fn parse(&self, payload: &[u8]) -> Result<Request, NgError> {
        Request::parse_with(payload, &self.settings().templates)
    }

    /// What the control side goes by at present.
    pub fn settings(&self) -> Arc<ControlSettings> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&settings)
    }

    /// Requests from now on are treated by these settings.
    pub fn apply(&self, settings: ControlSettings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Ends a call at once, as the operator wishes. Gives whether there was one.
    pub async fn terminate(&self, call_id: &CallId) -> bool {
        let Some((worker, ticket)) = self.state().directory.find(call_id) else {
            return false;
        };
        let ended = self.workers[worker].terminate(Some(call_id.clone())).await;
        self.call_gone(&CallGone {
            call_id: call_id.clone(),
            ticket,
        });
        ended > 0
    }

    /// Ends all calls at once. Gives how many there were.
    pub async fn terminate_all(&self) -> usize {
        let mut ended = 0;
        for worker in &self.workers {
            ended += worker.terminate(None).await;
        }
        ended
    }

    /// Describes all calls.
    pub async fn list_sessions(&self) -> Vec<Session> {
        let mut sessions = Vec::new();
        for worker in &self.workers {
            sessions.extend(worker.sessions().await);
        }
        sessions
    }

    /// What happened in a call, the oldest first.
    pub async fn story(&self, call_id: &CallId) -> Option<Vec<Happening>> {
        let worker = self.state().directory.worker(call_id)?;
        self.workers[worker].story(call_id.clone()).await
    }

    /// The page about calls.
    pub(crate) fn live_page(&self) -> &LivePage {
        &self.live_page
    }

    /// Calls as the page lists them: the newest that a search finds.
    pub async fn call_views(&self, search: &str) -> Vec<CallView> {
        let mut views = Vec::new();
        for worker in &self.workers {
            views.extend(worker.views(search.to_owned()).await);
        }
        views
    }

    /// A call as the page shows it.
    pub async fn call_view(&self, call_id: &CallId) -> Option<CallView> {
        let worker = self.state().directory.worker(call_id)?;
        self.workers[worker].view(call_id.clone()).await
    }

    /// Whether there is such a call.
    pub fn knows(&self, call_id: &CallId) -> bool {
        self.state().directory.contains(call_id)
    }

    /// The proxy that a call came from, and not through which of its ports.
    pub fn proxy(&self, call_id: &CallId) -> Option<IpAddr> {
        self.state().directory.proxy(call_id)
    }

    /// Calls from now on are made with `config`.
    pub fn configure(&self, config: &Arc<CallConfig>) {
        for worker in &self.workers {
            // A worker whose queue is full keeps what it has until the next time.
            let _ = worker.send(WorkerCommand::Configure(Arc::clone(config)));
        }
    }

    /// Has all workers listen for requests over UDP.
    pub(crate) fn listen(&self, listener: &Arc<Listener>) {
        for worker in &self.workers {
            // Its queue is empty: nobody has been listening.
            let _ = worker.send(WorkerCommand::Listen(Arc::clone(listener)));
        }
    }

    /// Ends all workers and waits for them.
    pub fn stop_workers(&self) {
        for worker in &self.workers {
            worker.stop();
        }
    }

    /// Has workers go on with calls of another process, and waits until they do. Gives those that cannot go on.
    pub(crate) fn inherit(
        &self,
        calls: impl Iterator<Item = (usize, WallClock, CallSnapshot)>,
    ) -> Vec<CallId> {
        let mut shares: Vec<Vec<Inherited>> = self.workers.iter().map(|_| Vec::new()).collect();
        for (worker, written_by, snapshot) in calls {
            let ticket = self.state().directory.place(snapshot.id(), worker);
            shares[worker].push(Inherited {
                ticket,
                written_by,
                snapshot: Box::new(snapshot),
            });
        }
        let (reply, refused) = std::sync::mpsc::channel();
        for (worker, calls) in self.workers.iter().zip(shares) {
            let reply = reply.clone();
            // It has just been started: its queue is empty.
            if worker
                .send(WorkerCommand::Inherit { calls, reply })
                .is_err()
            {
                warn!("a worker that has ended cannot go on with calls");
            }
        }
        drop(reply);
        let refused: Vec<CallId> = refused.iter().flatten().collect();
        for call_id in &refused {
            let mut state = self.state();
            if let Some((_, ticket)) = state.directory.find(call_id) {
                state.directory.gone(call_id, ticket);
            }
        }
        refused
    }

    fn list(&self, limit: Option<i64>) -> Response {
        let Ok(limit) = usize::try_from(limit.unwrap_or(DEFAULT_LIST)) else {
            return Response::error(reason::INVALID_LIMIT);
        };
        let call_ids = self.state().directory.call_ids(limit);
        let values = call_ids
            .iter()
            .map(|call_id| Value::from(call_id.as_bytes().to_vec()));
        Response::ok().with("calls", values.collect::<Vec<_>>())
    }

    /// The reply to `statistics`.
    pub fn statistics(&self) -> Response {
        self.with_snapshot(|snapshot| snapshot.response())
    }

    /// The page for Prometheus.
    pub fn prometheus_text(&self) -> String {
        self.with_snapshot(prometheus_text)
    }

    /// What was counted about recordings.
    pub fn recordings(&self) -> RecordingFigures {
        self.recordings.figures()
    }

    fn with_snapshot<T>(&self, tell: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        let workers: Vec<WorkerCounters> =
            self.workers.iter().map(WorkerHandle::counters).collect();
        let settings = self.settings();
        let (sessions, control) = {
            // Copied, because a page takes long to write and the workers need the directory for every request.
            let state = self.state();
            (state.directory.calls(), state.counters.clone())
        };
        tell(&Snapshot {
            uptime: self.started.elapsed(),
            sessions,
            control: &control,
            workers: &workers,
            interfaces: &settings.interfaces,
            limits: settings.limits,
            process: ProcessFigures::now(),
            recordings: self.recordings(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can be left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first key that the command cannot do without, in the order in which proxies have always been told.
fn missing_key(request: &Request) -> Option<&'static str> {
    let (sdp, from_tag, to_tag) = match request.command {
        Command::Offer => (true, true, false),
        Command::Publish => (true, false, false),
        Command::Answer => (true, true, true),
        _ => (false, false, false),
    };
    if sdp && request.sdp.is_none() {
        return Some(reason::NO_SDP);
    }
    if request.call_id.is_none() {
        return Some(reason::NO_CALL_ID);
    }
    if from_tag && request.from_tag.is_none() {
        return Some(reason::NO_FROM_TAG);
    }
    if to_tag && request.to_tag.is_none() {
        return Some(reason::NO_TO_TAG);
    }
    None
}

/// The reply to a request about a call that nobody has.
pub fn unknown_call(request: &Request) -> Response {
    match request.command {
        // Proxies delete a call several times (CANCEL, failure route, BYE); that is no mistake.
        Command::Delete if request.flags.selection.fatal => {
            Response::error(reason::CALL_ID_NOT_FOUND)
        }
        Command::Delete => Response::warning(reason::CALL_ID_NOT_FOUND),
        Command::BlockDtmf
        | Command::UnblockDtmf
        | Command::BlockMedia
        | Command::UnblockMedia
        | Command::SilenceMedia
        | Command::UnsilenceMedia
        | Command::PlayMedia
        | Command::StopMedia
        | Command::PlayDtmf
        | Command::StartForwarding
        | Command::StopForwarding
        | Command::Connect
        | Command::SubscribeRequest
        | Command::SubscribeAnswer
        | Command::Unsubscribe => Response::error(reason::UNKNOWN_CALL_ID_MEDIA),
        Command::CreateAnswer => RequestError::unsupported(Command::CreateAnswer).into(),
        _ => Response::error(reason::UNKNOWN_CALL_ID),
    }
}
