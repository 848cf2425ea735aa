//! Notifications: datagrams and messages that tell controllers what happened in a call, such as a pressed key.
//!
//! Workers hand them over and go on; the control thread sends them. Nobody answers, and nobody waits.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;

use ng_protocol::CallId;
use relay_call::dtmf::DtmfReport;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc};
use tracing::warn;

/// Notifications that may wait for the control thread.
pub(crate) const WAITING: usize = 1024;

/// Messages that a connection may be behind before it misses some.
const BEHIND: usize = 256;

/// A key was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// In which call.
    pub call_id: CallId,
    /// Which, and who is told by datagram.
    pub report: DtmfReport,
}

/// Every connection for the control protocol, as one to be told of keys (`dtmf-log-ng-tcp`).
#[derive(Clone, Debug)]
pub(crate) struct Connections(broadcast::Sender<Arc<[u8]>>);

impl Connections {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    /// What one connection is told from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<[u8]>> {
        self.0.subscribe()
    }

    /// The message with a cookie of its own, which nobody's request has.
    fn tell(&self, number: u64, message: &[u8]) {
        let cookie = RandomState::new().hash_one(number);
        let message = [format!("{cookie:016x} ").as_bytes(), message].concat();
        // It is no failure that nobody is connected.
        let _ = self.0.send(message.into());
    }
}

/// Sends notifications for as long as there are workers.
pub(crate) async fn send(
    mut notifications: mpsc::Receiver<Notification>,
    connections: Option<Connections>,
) {
    let mut sockets: [Option<UdpSocket>; 2] = [None, None];
    let mut failures: u64 = 0;
    let mut number = 0;
    while let Some(Notification { call_id, report }) = notifications.recv().await {
        if let Some(connections) = &connections {
            connections.tell(number, &report.to_message(&call_id));
            number += 1;
        }
        let Some(destination) = report.destination else {
            continue;
        };
        let body = report.to_json(&call_id);
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
