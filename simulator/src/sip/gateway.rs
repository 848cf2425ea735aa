//! The gateway: Meta's TLS server, its connections, and the way from a message to its call.
//!
//! Responses and requests find their call by Call-ID, whichever connection brought them: the
//! business opens a connection of its own for its requests inside a call that Meta began. What
//! belongs to no call is answered here, and remembered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::report::{Finding, Findings};

use super::connection::{Arrival, Connection, Opener};
use super::message::{Message, Method, Request};
use super::random;
use super::reply::reply_to_stray;
use super::tls::{Client, Server, TlsError, TlsFacts};

/// Arrivals that may wait for the dispatcher, and messages that may wait for a call.
const QUEUE: usize = 256;
/// Handshakes that take longer are given up, on either side.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Connections served at a time; more are closed at once.
const CONNECTION_LIMIT: u64 = 512;

/// A message for a call.
#[derive(Debug)]
pub struct Arrived {
    /// The message.
    pub message: Message,
    /// The connection that brought it; replies go back there.
    pub connection: Connection,
    /// When.
    pub at: Instant,
}

/// An INVITE that begins a call.
#[derive(Debug)]
pub struct Invitation {
    /// The INVITE.
    pub request: Request,
    /// The connection that brought it.
    pub connection: Connection,
    /// When.
    pub at: Instant,
    /// Everything that follows in this call.
    pub inbox: Inbox,
}

/// Where a call's messages arrive. Dropping it takes the call out of the gateway.
#[derive(Debug)]
pub struct Inbox {
    call_id: String,
    messages: mpsc::Receiver<Arrived>,
    shared: Arc<Shared>,
}

impl Inbox {
    /// The next message; `None` never comes while the gateway lives. Safe to drop while waiting.
    pub async fn next(&mut self) -> Option<Arrived> {
        self.messages.recv().await
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        locked(&self.shared.calls).remove(&self.call_id);
    }
}

#[derive(Debug)]
struct Shared {
    client: Client,
    calls: Mutex<HashMap<String, mpsc::Sender<Arrived>>>,
    findings: Mutex<Findings>,
    arrivals: mpsc::Sender<Arrival>,
    connections: AtomicU64,
    open: AtomicU64,
}

/// Nothing is left half-done under these locks, so a poisoned one is as good as new.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Meta's SIP gateway on the network.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    local: SocketAddr,
    // Aborted when the gateway is dropped, and with them every connection ends.
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts listening. Invitations come out of the receiver; when it is dropped, they get 480.
    pub async fn start(
        server: Server,
        listen: SocketAddr,
        client: Client,
    ) -> std::io::Result<(Self, mpsc::Receiver<Invitation>)> {
        let listener = TcpListener::bind(listen).await?;
        let local = listener.local_addr()?;
        let (arrivals, arrived) = mpsc::channel(QUEUE);
        let (invitations, invited) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            client,
            calls: Mutex::new(HashMap::new()),
            findings: Mutex::new(Findings::new(Instant::now())),
            arrivals,
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&shared)));
        tasks.spawn(dispatch(arrived, invitations, Arc::clone(&shared)));
        let gateway = Self {
            shared,
            local,
            _tasks: tasks,
        };
        Ok((gateway, invited))
    }

    /// The address it listens on.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Opens a connection to the business. The facts are filled as far as the handshake got.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        facts: &mut TlsFacts,
    ) -> Result<Connection, TlsError> {
        let shared = &self.shared;
        let limit = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in 10 s");
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, TcpStream::connect(address))
            .await
            .map_err(limit)??;
        let stream =
            tokio::time::timeout(HANDSHAKE_LIMIT, shared.client.connect(stream, name, facts))
                .await
                .map_err(limit)??;
        let id = shared.connections.fetch_add(1, Ordering::Relaxed);
        let arrivals = shared.arrivals.clone();
        let connection = Connection::start(id, stream, Opener::Meta, facts.clone(), arrivals)?;
        shared.open.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    /// Announces a call that Meta begins.
    pub fn open_call(&self, call_id: &str) -> Inbox {
        self.shared.open_call(call_id)
    }

    /// What was found outside any call so far.
    pub fn findings(&self) -> Vec<Finding> {
        locked(&self.shared.findings).list().to_vec()
    }
}

impl Shared {
    fn open_call(self: &Arc<Self>, call_id: &str) -> Inbox {
        let (sender, messages) = mpsc::channel(QUEUE);
        locked(&self.calls).insert(call_id.to_owned(), sender);
        Inbox {
            call_id: call_id.to_owned(),
            messages,
            shared: Arc::clone(self),
        }
    }

    fn violation(&self, text: impl Into<String>) {
        locked(&self.findings).violation(text);
    }

    fn note(&self, text: impl Into<String>) {
        locked(&self.findings).note(text);
    }
}

async fn accept(listener: TcpListener, server: Server, shared: Arc<Shared>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: waiting is better than spinning.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if shared.open.load(Ordering::Relaxed) >= CONNECTION_LIMIT {
            shared.violation(format!(
                "more than {CONNECTION_LIMIT} connections are open; {peer} was turned away"
            ));
            continue;
        }
        tokio::spawn(admit(stream, peer, server.clone(), Arc::clone(&shared)));
    }
}

async fn admit(stream: TcpStream, peer: SocketAddr, server: Server, shared: Arc<Shared>) {
    let mut facts = TlsFacts::default();
    let handshake = server.accept(stream, &mut facts);
    let outcome = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await;
    let stream = match outcome {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) if facts.alpn.iter().any(|name| name == "sip") => {
            shared.violation(format!(
                "a TLS client ({peer}) offered the ALPN protocol sip; Meta refuses it with alert \
                 120 (no_application_protocol): offer no ALPN"
            ));
            return;
        }
        Ok(Err(TlsError::NoHello)) => {
            tracing::debug!(%peer, "connection closed before TLS began");
            return;
        }
        Ok(Err(error)) => {
            shared.violation(format!(
                "the TLS handshake of a client ({peer}) failed: {error}; does it trust the \
                 authority that signed this server's certificate, and does it expect the name \
                 wa.meta.vc?"
            ));
            return;
        }
        Err(_) => {
            shared.note(format!(
                "a client ({peer}) did not finish its TLS handshake"
            ));
            return;
        }
    };
    if facts.server_name.is_none() {
        shared.note("a TLS client sent no server name (SNI); send wa.meta.vc");
    } else if facts.server_name.as_deref() != Some(super::identity::DOMAIN) {
        shared.note(format!(
            "a TLS client sent the server name {:?} instead of wa.meta.vc",
            facts.server_name.as_deref().unwrap_or("")
        ));
    }
    let id = shared.connections.fetch_add(1, Ordering::Relaxed);
    shared.open.fetch_add(1, Ordering::Relaxed);
    let arrivals = shared.arrivals.clone();
    if let Err(error) = Connection::start(id, stream, Opener::Business, facts, arrivals) {
        shared.open.fetch_sub(1, Ordering::Relaxed);
        tracing::debug!(%error, "connection ended before it began");
    }
}

async fn dispatch(
    mut arrived: mpsc::Receiver<Arrival>,
    invitations: mpsc::Sender<Invitation>,
    shared: Arc<Shared>,
) {
    while let Some(arrival) = arrived.recv().await {
        match arrival {
            Arrival::Message(message, connection) => {
                deliver(message, connection, &invitations, &shared);
            }
            Arrival::Garbage(reason, connection) => {
                shared.open.fetch_sub(1, Ordering::Relaxed);
                shared.violation(format!(
                    "the connection with {} carried something that is no SIP: {reason}",
                    connection.peer()
                ));
            }
            Arrival::Closed(connection) => {
                shared.open.fetch_sub(1, Ordering::Relaxed);
                tracing::debug!(?connection, "closed by the business");
            }
        }
    }
}

fn deliver(
    message: Message,
    connection: Connection,
    invitations: &mpsc::Sender<Invitation>,
    shared: &Arc<Shared>,
) {
    let at = Instant::now();
    let call_id = message.call_id().to_owned();
    let known = locked(&shared.calls).get(&call_id).cloned();
    let message = match known {
        None => message,
        Some(call) => {
            let arrived = Arrived {
                message,
                connection,
                at,
            };
            match call.try_send(arrived) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    shared.violation(format!("call {call_id} was flooded with messages"));
                    return;
                }
                // The call has just ended: the message is a stray now.
                Err(mpsc::error::TrySendError::Closed(arrived)) => {
                    return stray(arrived.message, &arrived.connection, shared);
                }
            }
        }
    };
    match message {
        Message::Request(request)
            if request.method == Method::Invite
                && request.to_tag().is_none()
                && !invitations.is_closed() =>
        {
            let invitation = Invitation {
                request,
                connection,
                at,
                inbox: shared.open_call(&call_id),
            };
            if let Err(refused) = invitations.try_send(invitation) {
                let Invitation {
                    request,
                    connection,
                    ..
                } = refused.into_inner();
                stray(Message::Request(request), &connection, shared);
            }
        }
        other => stray(other, &connection, shared),
    }
}

fn stray(message: Message, connection: &Connection, shared: &Shared) {
    match message {
        Message::Response(response) => shared.note(format!(
            "a {} for a call that does not exist or has ended came from {}",
            response.status,
            connection.peer()
        )),
        Message::Request(request) => {
            let tag = random::hex::<8>();
            let Some(stray) = reply_to_stray(&request, connection.peer(), &tag) else {
                return;
            };
            connection.send_response(&stray.response);
            if let Some(violation) = stray.violation {
                shared.violation(violation);
            }
        }
    }
}
