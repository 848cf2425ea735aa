//! One request and its reply, whatever carried them.
//!
//! A listener hands over what arrived; here the cookie is looked up, the request is carried out once, and the reply is kept for
//! whoever asks again.
//! The streams wait for an `Exchange`; over UDP whoever has the reply sends it, as often as copies of the request came
//! ([`super::udp`]).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ng_protocol::error::NoCookie;
use ng_protocol::{CallId, Command, Encoding, Frame, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, oneshot};
use tokio::task::JoinHandle;
use tracing::error;

use super::dispatch::{Answer, Dispatch, Pending};
use super::retransmission::{RequestId, RetransmissionCache, Seen};
use crate::cli::{self, Console};
use crate::notify;

/// Requests that may wait for workers at the same time.
const MOST_PENDING: usize = 4096;

/// What all listeners share.
#[derive(Clone, Debug)]
pub struct Control {
    dispatch: Arc<Dispatch>,
    console: Arc<Console>,
    cache: Arc<Mutex<RetransmissionCache>>,
    pending: Arc<Semaphore>,
    /// Connections are told of pressed keys.
    notices: Option<notify::Connections>,
}

/// Both ends of a connection, as far as they name its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Who asks.
    pub(crate) client: IpAddr,
    /// Which of our addresses.
    pub(crate) local: SocketAddr,
}

impl Control {
    /// Answers with the help of `dispatch` and, for operators' commands, of `console`.
    pub(crate) fn new(
        dispatch: Arc<Dispatch>,
        console: Arc<Console>,
        notices: Option<notify::Connections>,
    ) -> Self {
        Self {
            dispatch,
            console,
            cache: Arc::new(Mutex::new(RetransmissionCache::new())),
            pending: Arc::new(Semaphore::new(MOST_PENDING)),
            notices,
        }
    }

    /// What a connection is told without having asked, if that is wanted.
    pub(super) fn notices(&self) -> Option<broadcast::Receiver<Arc<[u8]>>> {
        self.notices.as_ref().map(notify::Connections::subscribe)
    }

    pub(crate) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, RetransmissionCache> {
        // Every change of the cache is whole before anything can panic.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what a payload asks for, or says what is wrong with it.
    pub(super) fn read(
        &self,
        client: IpAddr,
        payload: &[u8],
        at: Instant,
    ) -> Result<(Request, Asked), Response> {
        let request = self.dispatch.parse(payload).map_err(|error| {
            self.dispatch.note_undecodable(client, &error);
            Response::from(&error)
        })?;
        let asked = Asked {
            command: request.command,
            call_id: request.call_id.clone(),
            client,
            at,
        };
        Ok((request, asked))
    }

    /// Begins to carry a request out. Requests of one call are carried out in the order of these calls.
    pub(super) fn begin(&self, mut request: Request, asked: Asked) -> Begun {
        let place = Arc::clone(&self.pending).try_acquire_owned();
        let work = match place {
            Err(_) => Err(Response::error("too many requests at once")),
            Ok(place) if request.command == Command::Cli => match request.cli_body.take() {
                Some(line) => Ok((Work::Console(line), place)),
                None => Err(Response::error("the key body with the command is missing")),
            },
            Ok(place) => match self.dispatch.begin(request) {
                Answer::Ready(response) => Err(response),
                Answer::Pending(pending) => Ok((Work::Worker(pending), place)),
            },
        };
        match work {
            Ok((work, place)) => Begun::Underway(Underway {
                control: self.clone(),
                asked,
                work,
                _place: place,
            }),
            Err(response) => {
                self.note(&asked, &response);
                Begun::Done(response)
            }
        }
    }

    /// [`Self::read`] and [`Self::begin`].
    fn read_and_begin(&self, client: IpAddr, payload: &[u8], at: Instant) -> Begun {
        match self.read(client, payload, at) {
            Ok((request, asked)) => self.begin(request, asked),
            Err(response) => Begun::Done(response),
        }
    }

    pub(super) fn note(&self, asked: &Asked, response: &Response) {
        self.dispatch.note(
            asked.command,
            asked.call_id.as_ref(),
            asked.client,
            asked.at.elapsed(),
            response,
        );
    }

    /// Takes a message with a cookie that came over a stream or as a message of its own.
    pub(crate) fn take(&self, ends: Ends, message: &[u8]) -> Result<Exchange, NoCookie> {
        let at = Instant::now();
        let frame = Frame::split(message).inspect_err(|_| {
            self.dispatch.note_no_cookie(ends.client);
        })?;
        let id = RequestId {
            // Without the port: a client whose connection broke asks again over another one.
            client: SocketAddr::new(ends.client, 0),
            local: ends.local,
            cookie: frame.cookie.into(),
        };
        let reply = {
            let mut cache = self.cache();
            match cache.look_up(at, &id) {
                Seen::New => None,
                Seen::InProgress => Some(Reply::OfTheFirst(cache.wait_for(&id))),
                Seen::Answered(reply) => Some(Reply::There(reply)),
            }
        };
        if let Some(reply) = reply {
            return Ok(Exchange(reply));
        }
        let encoding = frame.encoding();
        Ok(Exchange(
            match self.read_and_begin(ends.client, frame.payload, at) {
                Begun::Done(response) => Reply::There(self.keep(&id, encoding, &response)),
                Begun::Underway(underway) => {
                    let control = self.clone();
                    // In a task of its own: a client that hangs up must not stop a request half-way.
                    Reply::Soon(tokio::spawn(async move {
                        let response = underway.finish().await;
                        control.keep(&id, encoding, &response)
                    }))
                }
            },
        ))
    }

    /// The reply to a message that never became whole, if it has a cookie. It is kept for nobody: the client will ask again under
    /// the same cookie with the whole message.
    pub(crate) fn refuse(&self, client: IpAddr, message: &[u8]) -> Option<Exchange> {
        let Ok(frame) = Frame::split(message) else {
            self.dispatch.note_no_cookie(client);
            return None;
        };
        let error = frame.decode().err()?;
        self.dispatch.note_undecodable(client, &error);
        let reply = Response::from(&error).to_datagram(frame.cookie, frame.encoding());
        Some(Exchange(Reply::There(reply.into())))
    }

    /// Takes a message without a cookie: it is carried out each time it comes.
    pub(crate) fn take_plain(&self, client: IpAddr, payload: &[u8]) -> Exchange {
        let encoding = Encoding::of_reply_to(payload);
        Exchange(match self.read_and_begin(client, payload, Instant::now()) {
            Begun::Done(response) => Reply::There(response.encode(encoding).into()),
            Begun::Underway(underway) => Reply::Soon(tokio::spawn(async move {
                underway.finish().await.encode(encoding).into()
            })),
        })
    }

    /// Takes a command of an operator.
    pub(crate) fn take_command(&self, line: &str) -> Exchange {
        let (console, line) = (Arc::clone(&self.console), line.to_owned());
        Exchange(Reply::Soon(tokio::spawn(async move {
            let text = cli::execute(&console, &line).await;
            text.into_bytes().into()
        })))
    }

    /// Encodes a reply and keeps it for those who ask again.
    fn keep(&self, id: &RequestId, encoding: Encoding, response: &Response) -> Arc<[u8]> {
        let reply: Arc<[u8]> = response.to_datagram(&id.cookie, encoding).into();
        self.cache().answered(id, &reply);
        reply
    }
}

/// What is known about a request after its answer, for the counters and the log.
#[derive(Debug)]
pub(super) struct Asked {
    command: Command,
    pub(super) call_id: Option<CallId>,
    client: IpAddr,
    at: Instant,
}

/// A request that was carried out, or is being carried out.
#[derive(Debug)]
pub(super) enum Begun {
    Done(Response),
    Underway(Underway),
}

/// A request that somebody else carries out.
#[derive(Debug)]
pub(super) struct Underway {
    control: Control,
    asked: Asked,
    work: Work,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Work {
    Worker(Pending),
    Console(String),
}

impl Underway {
    /// Waits for the reply. To be driven to its end: the directory of calls depends on what the worker says.
    pub(super) async fn finish(self) -> Response {
        let response = match self.work {
            Work::Worker(pending) => self.control.dispatch.finish(pending).await,
            Work::Console(line) => {
                let text = cli::execute(&self.control.console, &line).await;
                Response::ok().with("response", text)
            }
        };
        self.control.note(&self.asked, &response);
        response
    }
}

/// A message that was taken, and its reply to come.
#[derive(Debug)]
pub(crate) struct Exchange(Reply);

#[derive(Debug)]
enum Reply {
    There(Arc<[u8]>),
    Soon(JoinHandle<Arc<[u8]>>),
    OfTheFirst(oneshot::Receiver<Arc<[u8]>>),
}

impl Exchange {
    /// Bytes that are their own reply.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Reply::There(bytes.into()))
    }

    /// Waits for the reply; may be given up and asked again. `None` if a defect of ours prevented it.
    pub(crate) async fn reply(&mut self) -> Option<Arc<[u8]>> {
        match &mut self.0 {
            Reply::There(reply) => Some(Arc::clone(reply)),
            Reply::OfTheFirst(reply) => reply.await.ok(),
            Reply::Soon(task) => task
                .await
                .inspect_err(|error| error!("a request met a defect of the relay: {error}"))
                .ok(),
        }
    }
}

/// The exchanges of one connection: replies leave in the order of the requests.
#[derive(Debug, Default)]
pub(crate) struct InOrder(VecDeque<Exchange>);

impl InOrder {
    /// Requests of one connection that may be under way; then nothing more is read from it.
    const MOST: usize = 64;

    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < Self::MOST
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, exchange: Exchange) {
        self.0.push_back(exchange);
    }

    /// The next reply; waits for ever when nothing is under way. `None` if a defect of ours prevented it.
    pub(crate) async fn next(&mut self) -> Option<Arc<[u8]>> {
        let Some(first) = self.0.front_mut() else {
            return std::future::pending().await;
        };
        let reply = first.reply().await;
        self.0.pop_front();
        reply
    }
}
