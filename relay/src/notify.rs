//! Notifications: datagrams and messages that tell controllers what happened in a call, such as a pressed key.
//!
//! Workers hand them over and go on; the control thread sends them. Nobody answers, and nobody waits.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ng_protocol::{CallId, Tag};
use relay_call::dtmf::DtmfReport;
use relay_call::event::ReceivedRtcp;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc};
use tracing::warn;

use crate::config::Teardown;
use crate::homer;
use crate::teardown::{Teller, TimedOut};

/// Notifications that may wait for the control thread.
pub(crate) const WAITING: usize = 1024;

/// Messages that a connection may be behind before it misses some.
const BEHIND: usize = 256;

/// Something that somebody outside is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// In which call it happened.
    pub call_id: CallId,
    /// What.
    pub news: News,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A key was pressed; the report knows who is told by datagram.
    Key(Box<DtmfReport>),
    /// RTCP came in.
    Rtcp(Box<ReceivedRtcp>),
    /// A timeout ended the call.
    TimedOut {
        /// The parties, the caller first.
        tags: Vec<Tag>,
        /// Who is to be told, if the configuration leaves that open.
        callback: Option<IpAddr>,
    },
}

/// Who is told of what.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// Of keys, besides those whom the calls name.
    pub(crate) connections: Option<Connections>,
    pub(crate) homer: Option<homer::Reporter>,
    pub(crate) teardown: Option<Teardown>,
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
pub(crate) async fn send(mut notifications: mpsc::Receiver<Notification>, audience: Audience) {
    let mut teardown = audience.teardown.map(Teller::start);
    let mut keys = Keys::new(audience.connections);
    while let Some(Notification { call_id, news }) = notifications.recv().await {
        match news {
            News::Key(report) => keys.tell(&call_id, &report).await,
            News::Rtcp(seen) => {
                if let Some(homer) = &audience.homer {
                    homer.rtcp(call_id, seen);
                }
            }
            News::TimedOut { tags, callback } => {
                if let Some(teardown) = &mut teardown {
                    teardown.tell(TimedOut {
                        call_id,
                        tags,
                        callback,
                    });
                }
            }
        }
    }
}

/// Tells of keys.
struct Keys {
    connections: Option<Connections>,
    sockets: [Option<UdpSocket>; 2],
    failures: u64,
    number: u64,
}

impl Keys {
    fn new(connections: Option<Connections>) -> Self {
        Self {
            connections,
            sockets: [None, None],
            failures: 0,
            number: 0,
        }
    }

    async fn tell(&mut self, call_id: &CallId, report: &DtmfReport) {
        if let Some(connections) = &self.connections {
            connections.tell(self.number, &report.to_message(call_id));
            self.number += 1;
        }
        let Some(destination) = report.destination else {
            return;
        };
        let body = report.to_json(call_id);
        let socket = &mut self.sockets[usize::from(destination.is_ipv6())];
        if let Err(error) = send_one(socket, destination, &body).await {
            self.failures += 1;
            // The first one tells the operator; a place that is gone must not fill the log.
            if self.failures.is_power_of_two() {
                warn!(
                    "notification number {} that cannot be sent, to {destination}: {error}",
                    self.failures
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relay_call::KeyWay;
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::config::Homer;

    #[tokio::test]
    async fn a_key_is_told_while_homer_hangs() {
        // A queue of nobody: one connection finds room in it, and those after it hang.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let _first = TcpStream::connect(address).await.unwrap();
        let second = TcpStream::connect(address);
        let second = timeout(Duration::from_millis(100), second).await;
        assert!(second.is_err(), "it does not hang");
        let (homer, task) = homer::Reporter::new(Homer {
            address,
            tcp: true,
            agent: 1,
            rtcp: true,
            control: None,
        });
        tokio::spawn(task);
        let audience = Audience {
            homer: Some(homer),
            ..Audience::default()
        };
        let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = proxy.local_addr().unwrap();
        let report = News::Rtcp(Box::new(ReceivedRtcp {
            source: local,
            local,
            at: Duration::ZERO,
            packet: vec![0x80, 201, 0, 1, 0, 0, 0xaa, 0xaa],
        }));
        let key = News::Key(Box::new(DtmfReport {
            source_tag: None,
            source_label: None,
            source_ip: None,
            tags: Vec::new(),
            at: Duration::ZERO,
            event: 5,
            duration_ms: 100,
            volume: 10,
            way: KeyWay::Event,
            destination: Some(local),
        }));
        let (sender, notifications) = mpsc::channel(2);
        for news in [report, key] {
            let call_id = CallId::from("call");
            sender.try_send(Notification { call_id, news }).unwrap();
        }
        tokio::spawn(send(notifications, audience));
        let mut datagram = [0; 1024];
        // Homer is given up after two seconds.
        let told = timeout(Duration::from_secs(1), proxy.recv(&mut datagram)).await;
        assert!(told.is_ok(), "the key waits for Homer");
    }
}
