//! One TLS connection that carries SIP.
//!
//! Two tasks serve it: one reads and hands every message on, one writes what is queued. Whoever
//! holds a [`Connection`] can send on it; the connection ends when the peer closes it, when its
//! bytes stop being SIP, or when the gateway is dropped.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;

use super::framing::{Frame, Framer};
use super::message::{Message, Request, Response};
use super::tls::TlsFacts;

/// Messages waiting to be written; a peer that does not read loses its connection.
const QUEUE: usize = 64;
/// A round trip and the patience of a slow server: how long the last messages of a call may take.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

/// Who opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// The simulator, as Meta's TLS client.
    Meta,
    /// The business, towards Meta's TLS server.
    Business,
}

/// A handle to send on a connection.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    opener: Opener,
    facts: TlsFacts,
    queue: mpsc::Sender<Outgoing>,
    is_over: AtomicBool,
}

/// What the writing task is asked to do.
enum Outgoing {
    Bytes(Vec<u8>),
    Close,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared {
            id, peer, opener, ..
        } = &*self.shared;
        write!(
            formatter,
            "Connection {id} with {peer}, opened by {opener:?}"
        )
    }
}

/// What a connection tells the gateway.
#[derive(Debug)]
pub enum Arrival {
    /// A message came.
    Message(Message, Connection),
    /// The bytes could not be read as SIP; the connection is closed.
    Garbage(String, Connection),
    /// The peer closed, or the connection broke.
    Closed(Connection),
}

impl Connection {
    /// Starts serving a stream whose handshake is done.
    pub(super) fn start(
        id: u64,
        stream: TlsStream<TcpStream>,
        opener: Opener,
        facts: TlsFacts,
        arrivals: mpsc::Sender<Arrival>,
    ) -> std::io::Result<Self> {
        let (tcp, _) = stream.get_ref();
        // Small messages that wait for each other's acknowledgements would distort every timing.
        tcp.set_nodelay(true)?;
        let (queue, queued) = mpsc::channel(QUEUE);
        let connection = Self {
            shared: Arc::new(Shared {
                id,
                peer: tcp.peer_addr()?,
                local: tcp.local_addr()?,
                opener,
                facts,
                queue,
                is_over: AtomicBool::new(false),
            }),
        };
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(write_queued(writer, queued));
        tokio::spawn(read_messages(reader, connection.clone(), arrivals));
        Ok(connection)
    }

    /// A number that tells connections apart.
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.shared.peer
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.shared.local
    }

    /// Who opened it.
    pub fn opener(&self) -> Opener {
        self.shared.opener
    }

    /// What the handshake showed.
    pub fn facts(&self) -> &TlsFacts {
        &self.shared.facts
    }

    /// Whether messages can still be queued.
    pub fn is_open(&self) -> bool {
        !self.shared.is_over.load(Ordering::Relaxed) && !self.shared.queue.is_closed()
    }

    /// Queues a request; `false` when the connection is gone or its peer does not read.
    pub fn send_request(&self, request: &Request) -> bool {
        tracing::debug!(connection = self.id(), method = %request.method, uri = request.uri, "request out");
        self.send(request.to_bytes())
    }

    /// Queues a response; `false` when the connection is gone or its peer does not read.
    pub fn send_response(&self, response: &Response) -> bool {
        tracing::debug!(
            connection = self.id(),
            status = response.status,
            reason = response.reason,
            "response out"
        );
        self.send(response.to_bytes())
    }

    fn send(&self, bytes: Vec<u8>) -> bool {
        tracing::trace!(text = %String::from_utf8_lossy(&bytes), "out");
        self.is_open() && self.shared.queue.try_send(Outgoing::Bytes(bytes)).is_ok()
    }

    /// Closes the connection when a call's last messages, which may still be on their way, are over.
    pub fn close_soon(&self) {
        let connection = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_MESSAGES).await;
            connection.close();
        });
    }

    /// Closes the connection after what is queued.
    pub fn close(&self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // A full queue belongs to a peer that does not read; it notices when we are gone.
        let _ = self.shared.queue.try_send(Outgoing::Close);
    }
}

async fn write_queued(
    mut writer: tokio::io::WriteHalf<TlsStream<TcpStream>>,
    mut queued: mpsc::Receiver<Outgoing>,
) {
    while let Some(Outgoing::Bytes(bytes)) = queued.recv().await {
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    // Errors do not matter any more: the other end is gone or about to be.
    let _ = writer.shutdown().await;
}

async fn read_messages(
    mut reader: tokio::io::ReadHalf<TlsStream<TcpStream>>,
    connection: Connection,
    arrivals: mpsc::Sender<Arrival>,
) {
    let mut framer = Framer::default();
    let mut chunk = [0; 4096];
    loop {
        let length = tokio::select! {
            read = reader.read(&mut chunk) => read.unwrap_or(0),
            () = arrivals.closed() => return,
        };
        if length == 0 {
            break;
        }
        framer.push(&chunk[..length]);
        loop {
            let arrival = match framer.next_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Ping)) => {
                    connection.send(b"\r\n".to_vec());
                    continue;
                }
                Ok(Some(Frame::Message(message))) => Arrival::Message(*message, connection.clone()),
                Err(error) => {
                    let garbage = Arrival::Garbage(error.to_string(), connection.clone());
                    // The gateway may be gone, then nobody wants to know.
                    let _ = arrivals.send(garbage).await;
                    connection.close();
                    return;
                }
            };
            if arrivals.send(arrival).await.is_err() {
                return;
            }
        }
    }
    connection.close();
    let _ = arrivals.send(Arrival::Closed(connection)).await;
}
