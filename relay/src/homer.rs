//! What Homer is told of: the RTCP that comes in and the messages of the control protocol, as HEP over UDP or TCP.
//!
//! Homer is told and never waited for: what cannot be sent is lost, and the log says so.

mod hep;
mod rtcp_json;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ng_protocol::CallId;
use relay_call::event::ReceivedRtcp;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::config::Homer;

/// What may wait for Homer.
const WAITING: usize = 256;
/// A connection that is not there after this time is tried again later.
const CONNECT: Duration = Duration::from_secs(2);
/// So long after a failure nothing is tried over TCP.
const REST: Duration = Duration::from_secs(10);

/// Something that Homer hears of.
#[derive(Debug)]
enum Sight {
    /// RTCP of this call came in.
    Rtcp(CallId, Box<ReceivedRtcp>),
    /// A message of the control protocol came in or left.
    Control(Box<ControlMessage>),
}

/// A message of the control protocol, a request or a reply.
#[derive(Debug)]
struct ControlMessage {
    source: SocketAddr,
    destination: SocketAddr,
    at: Duration,
    /// The call it is about; the cookie, if it is about none.
    correlation: Vec<u8>,
    datagram: Vec<u8>,
}

/// For everybody who sees something: hands it to the task that tells Homer.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    settings: Homer,
    sights: mpsc::Sender<Sight>,
}

impl Reporter {
    /// A reporter, and the task that it needs to be heard. Homer may hang for as long as a connection takes.
    pub(crate) fn new(settings: Homer) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sights, mut seen) = mpsc::channel(WAITING);
        let task = async move {
            let mut exporter = Exporter::new(settings);
            while let Some(sight) = seen.recv().await {
                exporter.tell(&sight).await;
            }
        };
        (Self { settings, sights }, task)
    }

    /// RTCP came in.
    pub(crate) fn rtcp(&self, call_id: CallId, seen: Box<ReceivedRtcp>) {
        if self.settings.rtcp {
            self.hand_over(Sight::Rtcp(call_id, seen));
        }
    }

    /// Whether Homer hears of the control protocol (`homer-enable-ng`).
    pub(crate) fn hears_control(&self) -> bool {
        self.settings.control.is_some()
    }

    /// A datagram of the control protocol came in or leaves.
    pub(crate) fn control(
        &self,
        [source, destination]: [SocketAddr; 2],
        correlation: &[u8],
        datagram: &[u8],
    ) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        self.hand_over(Sight::Control(Box::new(ControlMessage {
            source,
            destination,
            at: at.unwrap_or_default(),
            correlation: correlation.to_vec(),
            datagram: datagram.to_vec(),
        })));
    }

    fn hand_over(&self, sight: Sight) {
        // A Homer that is behind misses some; nobody waits for it.
        let _ = self.sights.try_send(sight);
    }
}

/// The way to Homer.
#[derive(Debug)]
struct Exporter {
    settings: Homer,
    line: Line,
    rests_until: Option<Instant>,
    failures: u64,
}

#[derive(Debug)]
enum Line {
    None,
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Exporter {
    fn new(settings: Homer) -> Self {
        Self {
            settings,
            line: Line::None,
            rests_until: None,
            failures: 0,
        }
    }

    /// Tells of it, unless it is RTCP that reports nothing.
    async fn tell(&mut self, sight: &Sight) {
        let Some(packet) = self.packet(sight) else {
            return;
        };
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        if let Err(error) = self.send(&packet).await {
            self.line = Line::None;
            self.rests_until = self.settings.tcp.then(|| Instant::now() + REST);
            self.failures += 1;
            // The first one tells the operator; a Homer that is gone must not fill the log.
            if self.failures.is_power_of_two() {
                warn!(
                    "report number {} that Homer at {} does not get: {error}",
                    self.failures, self.settings.address
                );
            }
        }
    }

    fn packet(&self, sight: &Sight) -> Option<Vec<u8>> {
        let agent = self.settings.agent;
        match sight {
            Sight::Rtcp(call_id, seen) => hep::packet(&hep::Captured {
                source: seen.source,
                destination: seen.local,
                at: seen.at,
                kind: hep::RTCP_JSON,
                agent,
                correlation: call_id.as_bytes(),
                payload: &rtcp_json::json(&seen.packet)?,
            }),
            Sight::Control(message) => hep::packet(&hep::Captured {
                source: message.source,
                destination: message.destination,
                at: message.at,
                kind: self.settings.control?,
                agent,
                correlation: &message.correlation,
                payload: &message.datagram,
            }),
        }
    }

    async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        if matches!(self.line, Line::None) {
            self.line = self.connect().await?;
        }
        match &mut self.line {
            Line::Udp(socket) => socket.send(packet).await.map(drop),
            Line::Tcp(stream) => timeout(CONNECT, stream.write_all(packet)).await?,
            Line::None => Ok(()),
        }
    }

    async fn connect(&self) -> io::Result<Line> {
        let address = self.settings.address;
        if self.settings.tcp {
            let stream = timeout(CONNECT, TcpStream::connect(address)).await??;
            return Ok(Line::Tcp(stream));
        }
        let any: SocketAddr = if address.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Line::Udp(socket))
    }
}
