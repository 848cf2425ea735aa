//! Connections of proxies, browsers and monitoring: how many there may be, and what all of them have in common.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::error;

use super::exchange::Control;
use super::patience::Patient;

/// Connections at the same time, over all stream listeners together.
pub(crate) const MOST_CONNECTIONS: usize = 512;
/// A client that does not take its reply for this long is disconnected, and one that does not finish what it began to say.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A message, request body or line is at most this long. An SDP has a few thousand bytes.
pub(crate) const LONGEST_MESSAGE: usize = 256 * 1024;
/// How long the relay rests when the kernel has no descriptor for another connection.
const BREATH: Duration = Duration::from_millis(100);

/// A place among the connections; given back when it is dropped.
pub(crate) type Place = Arc<OwnedSemaphorePermit>;

/// What arrives on a listener.
pub(crate) type Stream = Patient<TcpStream>;

/// Both addresses of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// Accepts connections until the task is dropped, and gives each to `serve`.
pub(crate) async fn accept<F>(
    listener: std::net::TcpListener,
    room: Arc<Semaphore>,
    control: Control,
    serve: impl Fn(Stream, Peer, Control, Place) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly there are no descriptors left; calls that end give some back.
                error!("control port {}: {error}", listener.local_addr()?);
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            control.dispatch().note_refused_connection(client);
            continue;
        };
        let Ok(local) = stream.local_addr() else {
            // It is gone already.
            continue;
        };
        // A reply is one small write, and the client waits for it. Without the options it only comes later.
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream, PATIENCE);
        let peer = Peer { client, local };
        tokio::spawn(serve(stream, peer, control.clone(), Arc::new(place)));
    }
}
