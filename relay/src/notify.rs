//! Notifications: datagrams that tell a controller what happened in a call, such as a pressed key.
//!
//! Workers hand them over and go on; the control thread sends them. Nobody answers, and nobody waits.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::warn;

/// Notifications that may wait for the control thread.
pub(crate) const WAITING: usize = 1024;

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Who asked for it.
    pub destination: SocketAddr,
    /// What it says.
    pub body: Vec<u8>,
}

/// Sends notifications for as long as there are workers.
pub(crate) async fn send(mut notifications: mpsc::Receiver<Notification>) {
    let mut sockets: [Option<UdpSocket>; 2] = [None, None];
    let mut failures: u64 = 0;
    while let Some(Notification { destination, body }) = notifications.recv().await {
        let socket = &mut sockets[usize::from(destination.is_ipv6())];
        if let Err(error) = send_one(socket, destination, &body).await {
            failures += 1;
            // The first one tells the operator; a place that is gone must not fill the log.
            if failures.is_power_of_two() {
                warn!(
                    "notification number {failures} that cannot be sent, to {destination}: {error}"
                );
            }
        }
    }
}

async fn send_one(
    socket: &mut Option<UdpSocket>,
    destination: SocketAddr,
    body: &[u8],
) -> std::io::Result<()> {
    let socket = match socket {
        Some(socket) => socket,
        None => {
            let any = if destination.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            socket.insert(UdpSocket::bind(any).await?)
        }
    };
    socket.send_to(body, destination).await.map(drop)
}
