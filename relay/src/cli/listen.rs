//! The command port: TCP, one line in, the reply out, and the connection is closed.
//!
//! `rtpengine-ctl`, `tandem ctl` and a plain `nc` speak it.
//! It knows no password: whoever reaches the port commands the relay, so it belongs on a loopback address.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tracing::{debug, error};

use super::{Console, execute};

/// The longest line that is a command; call-ids are the longest part of one.
const LONGEST_LINE: usize = 4096;
/// A connection that says nothing is closed after this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at the same time, over all addresses together not many: operators are few.
const MOST_CONNECTIONS: usize = 64;

/// Serves a port until the task is dropped.
pub async fn listen(listener: TcpListener, console: Arc<Console>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            error!("command port: {error}");
            return;
        }
    };
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // Closed only when dropped, and it is ours.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, client)) => {
                let console = Arc::clone(&console);
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &console).await {
                        debug!("command connection of {client}: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly; calls that end give some back.
                error!("command port: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, console: &Console) -> io::Result<()> {
    let line = tokio::time::timeout(PATIENCE, read_line(&mut stream)).await??;
    let reply = execute(console, &line).await;
    tokio::time::timeout(PATIENCE, stream.write_all(reply.as_bytes())).await??;
    stream.shutdown().await
}

/// One line, which also ends with the connection or at its greatest length.
async fn read_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    while bytes.len() < LONGEST_LINE {
        let len = stream.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..len]);
        if len == 0 || buffer[..len].contains(&b'\n') {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
