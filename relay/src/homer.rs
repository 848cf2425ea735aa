//! Reports for Homer: the RTCP that comes in, as HEP over UDP or TCP.
//!
//! Homer is told and never waited for: what cannot be sent is lost, and the log says so.

mod hep;
mod rtcp_json;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use relay_call::event::ReceivedRtcp;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::config::Homer;

/// A connection that is not there after this time is tried again later.
const CONNECT: Duration = Duration::from_secs(2);
/// So long after a failure nothing is tried over TCP.
const REST: Duration = Duration::from_secs(10);

/// The way to Homer.
#[derive(Debug)]
pub(crate) struct Exporter {
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
    pub(crate) fn new(settings: Homer) -> Self {
        Self {
            settings,
            line: Line::None,
            rests_until: None,
            failures: 0,
        }
    }

    /// Tells of a packet of RTCP, if it reports anything.
    pub(crate) async fn tell(&mut self, call_id: &[u8], seen: &ReceivedRtcp) {
        let Some(json) = rtcp_json::json(&seen.packet) else {
            return;
        };
        let captured = hep::Captured {
            source: seen.source,
            destination: seen.local,
            at: seen.at,
            kind: hep::RTCP_JSON,
            agent: self.settings.agent,
            correlation: call_id,
            payload: &json,
        };
        let Some(packet) = hep::packet(&captured) else {
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
