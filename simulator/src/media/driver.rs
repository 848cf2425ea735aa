//! A media endpoint in real time: a tokio task with one or two UDP sockets.
//!
//! The task owns the [`MetaMedia`]; a [`MediaHandle`] speaks to it through a queue. Datagrams pass an impaired
//! [`Link`] in each direction, so that real calls can be given a bad road too.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::media::config::MediaConfig;
use crate::media::endpoint::{MetaMedia, SetupError};
use crate::media::event::MediaEvent;
use crate::media::impairment::{Impairment, Link};
use crate::media::report::MediaReport;
use crate::sdp::SdpRejected;

/// Where the sockets are bound and what the roads are like.
#[derive(Clone, Debug, Default)]
pub struct DriverConfig {
    /// The address written into the description if it is not the bound one.
    pub advertised_ipv4: Option<std::net::Ipv4Addr>,
    /// Whether the IPv6 candidate is only written: what a business without IPv6 makes of it.
    pub is_ipv6_unreachable: bool,
    /// From the business to Meta.
    pub inbound: Impairment,
    /// From Meta to the business.
    pub outbound: Impairment,
}

/// The endpoint cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// No socket.
    #[error("the media socket cannot be bound: {0}")]
    Socket(#[from] io::Error),
    /// No OpenSSL or Opus.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// The task behind the handle has ended, which it does only when told to or when its sockets fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media task has ended")]
pub struct Gone;

enum Order {
    Offer(oneshot::Sender<String>),
    Answer(String, oneshot::Sender<Result<String, SdpRejected>>),
    RemoteSdp(String, oneshot::Sender<Result<(), SdpRejected>>),
    Answered(Instant),
    PromptStarted(Instant),
    Digits(String),
    Report(oneshot::Sender<MediaReport>),
    Stop(oneshot::Sender<MediaReport>),
}

/// A running endpoint. Dropping it ends the task.
#[derive(Debug)]
pub struct MediaHandle {
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<MediaEvent>,
    ipv4: SocketAddrV4,
}

/// Orders that may wait, and events that may wait: more are not kept.
const QUEUE: usize = 256;

impl MediaHandle {
    /// Binds sockets at the configured addresses (port 0: any) and starts the task.
    pub async fn start(
        mut config: MediaConfig,
        driver: DriverConfig,
        seed: u64,
    ) -> Result<Self, DriverError> {
        let ipv4 = UdpSocket::bind(config.ipv4).await?;
        if let SocketAddr::V4(bound) = ipv4.local_addr()? {
            config.ipv4 =
                SocketAddrV4::new(driver.advertised_ipv4.unwrap_or(*bound.ip()), bound.port());
        }
        let ipv6 = match config.ipv6 {
            None => None,
            Some(_) if driver.is_ipv6_unreachable => None,
            Some(address) => {
                let socket = UdpSocket::bind(address).await?;
                if let SocketAddr::V6(bound) = socket.local_addr()? {
                    config.ipv6 = Some(SocketAddrV6::new(*bound.ip(), bound.port(), 0, 0));
                }
                Some(socket)
            }
        };
        let address = config.ipv4;
        let (orders, order_queue) = mpsc::channel(QUEUE);
        let (event_queue, events) = mpsc::channel(QUEUE);
        let task = Task {
            media: MetaMedia::new(config, seed)?,
            ipv4,
            ipv6,
            inbound: Link::new(driver.inbound, seed ^ 0x1),
            outbound: Link::new(driver.outbound, seed ^ 0x2),
            orders: order_queue,
            events: event_queue,
        };
        tokio::spawn(task.run());
        Ok(Self {
            orders,
            events,
            ipv4: address,
        })
    }

    /// The IPv4 candidate as it stands in the description.
    pub fn ipv4(&self) -> SocketAddrV4 {
        self.ipv4
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    async fn tell(&self, order: Order) -> Result<(), Gone> {
        self.orders.send(order).await.map_err(|_| Gone)
    }

    /// See [`MetaMedia::local_sdp_offer`].
    pub async fn local_sdp_offer(&self) -> Result<String, Gone> {
        self.order(Order::Offer).await
    }

    /// See [`MetaMedia::local_sdp_answer`].
    pub async fn local_sdp_answer(&self, offer: &str) -> Result<Result<String, SdpRejected>, Gone> {
        let offer = offer.to_owned();
        self.order(|reply| Order::Answer(offer, reply)).await
    }

    /// See [`MetaMedia::set_remote_sdp`].
    pub async fn set_remote_sdp(&self, sdp: &str) -> Result<Result<(), SdpRejected>, Gone> {
        let sdp = sdp.to_owned();
        self.order(|reply| Order::RemoteSdp(sdp, reply)).await
    }

    /// See [`MetaMedia::call_answered`].
    pub async fn call_answered(&self) -> Result<(), Gone> {
        self.tell(Order::Answered(Instant::now())).await
    }

    /// See [`MetaMedia::prompt_started`].
    pub async fn prompt_started(&self, at: Instant) -> Result<(), Gone> {
        self.tell(Order::PromptStarted(at)).await
    }

    /// See [`MetaMedia::send_digits`].
    pub async fn send_digits(&self, digits: &str) -> Result<(), Gone> {
        self.tell(Order::Digits(digits.to_owned())).await
    }

    /// The next event; `None` when the task has ended. Safe to drop while waiting.
    pub async fn next_event(&mut self) -> Option<MediaEvent> {
        self.events.recv().await
    }

    /// See [`MetaMedia::report`].
    pub async fn report(&self) -> Result<MediaReport, Gone> {
        self.order(Order::Report).await
    }

    /// Ends the task and returns the last report.
    pub async fn stop(self) -> Result<MediaReport, Gone> {
        self.order(Order::Stop).await
    }
}

struct Task {
    media: MetaMedia,
    ipv4: UdpSocket,
    ipv6: Option<UdpSocket>,
    inbound: Link<(SocketAddr, Vec<u8>)>,
    outbound: Link<(SocketAddr, Vec<u8>)>,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<MediaEvent>,
}

/// Larger datagrams are cut off; nothing in a call comes near.
const LARGEST_DATAGRAM: usize = 2048;
/// How long to sleep when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

impl Task {
    async fn run(mut self) {
        let mut ipv4_buffer = vec![0; LARGEST_DATAGRAM];
        let mut ipv6_buffer = vec![0; LARGEST_DATAGRAM];
        loop {
            self.settle().await;
            let deadline = [
                self.media.poll_timeout(),
                self.inbound.poll_timeout(),
                self.outbound.poll_timeout(),
            ]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return,
                    Some(Order::Stop(reply)) => {
                        // The handle may be gone already; then nobody wants the report.
                        let _ = reply.send(self.media.report(Instant::now()));
                        return;
                    }
                    Some(order) => self.obey(order),
                },
                received = self.ipv4.recv_from(&mut ipv4_buffer) => self.arrived(received, &ipv4_buffer),
                received = receive(self.ipv6.as_ref(), &mut ipv6_buffer) => self.arrived(received, &ipv6_buffer),
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
        }
    }

    fn arrived(&mut self, received: io::Result<(usize, SocketAddr)>, buffer: &[u8]) {
        match received {
            // A refused port of an earlier datagram is reported here (ICMP); it says nothing about this one.
            Err(error) => debug!(%error, "media socket"),
            Ok((length, source)) => {
                let source = SocketAddr::new(canonical(source.ip()), source.port());
                let bytes = buffer.get(..length).unwrap_or_default();
                self.inbound
                    .push(Instant::now(), bytes, (source, bytes.to_vec()));
            }
        }
    }

    fn obey(&mut self, order: Order) {
        // A reply nobody waits for is no failure, hence the ignored results.
        match order {
            Order::Offer(reply) => drop(reply.send(self.media.local_sdp_offer())),
            Order::Answer(offer, reply) => drop(reply.send(self.media.local_sdp_answer(&offer))),
            Order::RemoteSdp(sdp, reply) => {
                drop(reply.send(self.media.set_remote_sdp(Instant::now(), &sdp)));
            }
            Order::Answered(at) => self.media.call_answered(at),
            Order::PromptStarted(at) => self.media.prompt_started(at),
            Order::Digits(digits) => self.media.send_digits(&digits),
            Order::Report(reply) => drop(reply.send(self.media.report(Instant::now()))),
            Order::Stop(_) => {}
        }
    }

    /// Carries everything that is due to where it belongs.
    async fn settle(&mut self) {
        let now = Instant::now();
        while let Some((source, bytes)) = self.inbound.pop(now) {
            self.media.handle_datagram(now, source, &bytes);
        }
        if self.media.poll_timeout().is_some_and(|due| due <= now) {
            self.media.handle_timeout(now);
        }
        while let Some((destination, bytes)) = self.media.poll_transmit() {
            self.outbound
                .push(now, &bytes, (destination, bytes.clone()));
        }
        while let Some((destination, bytes)) = self.outbound.pop(now) {
            let socket = match destination {
                SocketAddr::V4(_) => Some(&self.ipv4),
                SocketAddr::V6(_) => self.ipv6.as_ref(),
            };
            if let Some(socket) = socket
                && let Err(error) = socket.send_to(&bytes, destination).await
            {
                debug!(%error, %destination, "media not sent");
            }
        }
        while let Some(event) = self.media.poll_event() {
            // Whoever does not read events loses them; the report keeps the facts.
            let _ = self.events.try_send(event);
        }
    }
}

/// Waits for ever where there is no socket.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::config::{KeyExchange, SrtpProfile};
    use crate::media::prompt::CountedPrompt;
    use crate::media::rtp::RtpPacket;
    use crate::media::srtp::{MasterKey, SrtpSession};
    use crate::sdp::{Codec, RemoteDescription};

    /// The only test with real sockets and real time: a call with SDES over loopback.
    #[tokio::test]
    async fn a_call_over_real_sockets_is_answered_with_speech() {
        let config = MediaConfig {
            keys: KeyExchange::Sdes,
            ipv4: "127.0.0.1:0".parse().expect("an address"),
            ..MediaConfig::default()
        };
        let mut meta = MediaHandle::start(config, DriverConfig::default(), 7)
            .await
            .expect("started");
        let offer = meta.local_sdp_offer().await.expect("running");
        let offer = RemoteDescription::parse(&offer).expect("Meta's own SDP");
        assert_eq!(offer.address, SocketAddr::V4(meta.ipv4()));

        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let key = MasterKey {
            key: vec![1; 16],
            salt: vec![2; 14],
        };
        let answer = format!(
            "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {} RTP/SAVP 111 126\r\n\
             a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\na=rtpmap:111 opus/48000/2\r\n",
            socket.local_addr().expect("bound").port(),
            key.to_inline()
        );
        meta.set_remote_sdp(&answer)
            .await
            .expect("running")
            .expect("accepted");
        meta.call_answered().await.expect("running");

        let theirs = MasterKey::from_inline(&offer.crypto[0].key_and_salt).expect("Meta's key");
        let mut srtp =
            SrtpSession::new(SrtpProfile::Aes128CmSha1_80, &theirs, &key).expect("a session");
        let payload = CountedPrompt::payload(Codec::Opus, 0);
        let packet = RtpPacket {
            payload_type: 111,
            has_marker: true,
            sequence: 1,
            timestamp: 0,
            ssrc: 9,
            payload: &payload,
        };
        let sealed = srtp.protect_rtp(&packet.to_bytes()).expect("sealed");
        socket.send_to(&sealed, offer.address).await.expect("sent");

        let mut buffer = [0; LARGEST_DATAGRAM];
        for _ in 0..3 {
            let (length, _) = socket.recv_from(&mut buffer).await.expect("Meta speaks");
            let plain = srtp.unprotect_rtp(&buffer[..length]).expect("authentic");
            assert_eq!(
                RtpPacket::parse(&plain).map(|packet| packet.payload_type),
                Some(111)
            );
        }
        assert!(matches!(
            meta.next_event().await,
            Some(MediaEvent::FirstPacket { .. })
        ));
        let report = meta.stop().await.expect("running");
        assert_eq!(
            (report.received.packets, report.violations),
            (1, Vec::new())
        );
    }
}
