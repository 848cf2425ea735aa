//! The relay's core, a simulated Meta, a PBX, and the roads between them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::{CallId, Request};
use relay_call::config::{DtlsIdentity, TransportConfig};
use relay_call::{
    Call, CallConfig, CallSnapshot, EndpointLearning, Interface, InterfaceAddress, LeaseError,
    LeasedPort, PortCount, PortLeaser, QualityReports, RestoreError, Timeouts, WallClock,
};
use relay_packet::{Outbox, PacketBuf, Received, SocketId};
use serde_json::{Value, json};
use simulator::media::impairment::{Impairment, Link};
use simulator::media::{MediaConfig, MediaReport, MetaMedia};

use crate::pbx::Pbx;

/// What travels on a road: from where, to where, what.
type Datagram = (SocketAddr, SocketAddr, Vec<u8>);

/// Everything in one call, and the time.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) call: Call,
    /// What its transports share.
    pub(crate) transport: Arc<TransportConfig>,
    pub(crate) ports: CountingPorts,
    pub(crate) meta: MetaMedia,
    pub(crate) meta_address: SocketAddr,
    /// What Meta offered or answered; the proxy keeps it.
    pub(crate) meta_sdp: String,
    pub(crate) pbx: Pbx,
    pub(crate) log: Vec<String>,
    /// The library that the proxy names for WhatsApp.
    pub(crate) dtls_engine: Option<&'static str>,
    /// SSRC and sequence number of every RTP packet that left for Meta.
    pub(crate) numbers_to_meta: Vec<(u32, u16)>,
    out: Outbox,
    to_meta: Link<Datagram>,
    from_meta: Link<Datagram>,
}

/// Ports that are numbers and nothing else.
#[derive(Debug, Default)]
pub(crate) struct CountingPorts {
    open: HashMap<SocketId, SocketAddr>,
    leased: u32,
}

impl PortLeaser for CountingPorts {
    fn lease(
        &mut self,
        _interface: &str,
        ip: IpAddr,
        count: PortCount,
    ) -> Result<Vec<LeasedPort>, LeaseError> {
        let first = 30_000 + 2 * self.leased;
        let wanted = match count {
            PortCount::Pair => 2,
            PortCount::Single => 1,
        };
        self.leased += 1;
        let ports: Vec<_> = (first..first + wanted)
            .map(|port| LeasedPort {
                socket: SocketId(port),
                address: SocketAddr::new(ip, port as u16),
            })
            .collect();
        self.open
            .extend(ports.iter().map(|port| (port.socket, port.address)));
        Ok(ports)
    }

    fn lease_again(
        &mut self,
        _interface: &str,
        address: SocketAddr,
    ) -> Result<LeasedPort, LeaseError> {
        if self.socket_at(address).is_some() {
            return Err(LeaseError::Taken { address });
        }
        // Another process: sockets have other names.
        let socket = SocketId(100_000 + self.leased);
        self.leased += 1;
        self.open.insert(socket, address);
        Ok(LeasedPort { socket, address })
    }

    fn release(&mut self, socket: SocketId) {
        assert!(
            self.open.remove(&socket).is_some(),
            "{socket:?} was released twice"
        );
    }
}

impl CountingPorts {
    /// Somebody else has this port.
    pub(crate) fn occupy(&mut self, address: SocketAddr) {
        self.open.insert(SocketId(u32::MAX), address);
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    fn socket_at(&self, address: SocketAddr) -> Option<SocketId> {
        self.open
            .iter()
            .find(|(_, open)| **open == address)
            .map(|(socket, _)| *socket)
    }
}

impl World {
    /// A world in which each direction of Meta's road does `road`; `seed` decides all chance.
    pub(crate) fn new(meta: MediaConfig, road: Impairment, seed: u64) -> Self {
        let now = epoch();
        let interface = |name: &str, ip: [u8; 4]| Interface {
            name: name.into(),
            aliases: Vec::new(),
            addresses: vec![InterfaceAddress {
                address: IpAddr::from(ip),
                advertised: IpAddr::from(ip),
            }],
        };
        let transport = Arc::new(TransportConfig::default());
        let config = CallConfig {
            interfaces: vec![
                interface("pub", [198, 51, 100, 7]),
                interface("priv", [10, 0, 0, 7]),
            ],
            timeouts: Timeouts {
                delete_delay: Duration::ZERO,
                ..Timeouts::default()
            },
            sip_source: false,
            dtls_passive: false,
            endpoint_learning: EndpointLearning::Heuristic,
            hold: Duration::from_secs(2),
            fill: true,
            dtmf_log: None,
            tells_rtcp: false,
            tells_timeouts: false,
            quality: QualityReports::default(),
            recording: None,
            instance: "0123456789ab".into(),
            report_interval: Duration::from_secs(5),
            software: "tandem".into(),
            clock: WallClock {
                at: now,
                unix: UNIX_TIME,
            },
            identity: Arc::new(
                DtlsIdentity::generate(std::time::SystemTime::UNIX_EPOCH + UNIX_TIME).unwrap(),
            ),
            transport: Arc::clone(&transport),
            transport_by_interface: Vec::new(),
        };
        let meta_address = SocketAddr::V4(meta.ipv4);
        Self {
            now,
            call: Call::new(CallId::from("simulated"), Arc::new(config), now, seed),
            transport,
            ports: CountingPorts::default(),
            meta: MetaMedia::new(meta, seed).unwrap(),
            meta_address,
            meta_sdp: String::new(),
            pbx: Pbx::new(SocketAddr::from(([10, 0, 0, 55], 40_000))),
            log: Vec::new(),
            dtls_engine: None,
            numbers_to_meta: Vec::new(),
            out: Outbox::new(64),
            to_meta: Link::new(road.clone(), seed),
            from_meta: Link::new(road, seed ^ 0xa5a5),
        }
    }

    /// Sends an NG request to the call and gives the reply as JSON.
    pub(crate) fn request(&mut self, request: &Value) -> Value {
        let text = request.to_string();
        let parsed = Request::parse(text.as_bytes()).unwrap();
        let reply = self.call.handle_request(self.now, &parsed, &mut self.ports);
        self.settle();
        let datagram = reply.to_datagram(b"c", ng_protocol::Encoding::Json);
        let (_, body) = std::str::from_utf8(&datagram)
            .unwrap()
            .split_once(' ')
            .unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// `offer` or `answer` from one of the two parties; gives the rewritten SDP.
    pub(crate) fn exchange(
        &mut self,
        command: &str,
        from: &str,
        to: Option<&str>,
        sdp: &str,
        flags: Value,
    ) -> String {
        let mut request = flags;
        request["command"] = json!(command);
        request["call-id"] = json!("simulated");
        request["from-tag"] = json!(from);
        if let Some(to) = to {
            request["to-tag"] = json!(to);
        }
        request["sdp"] = json!(sdp);
        request["replace"] = json!(["origin"]);
        let reply = self.request(&request);
        assert_eq!(reply["result"], "ok", "{request} -> {reply}");
        reply["sdp"].as_str().unwrap().to_owned()
    }

    /// Lets `duration` pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        // 50 packets a second both ways, checks and timers: far fewer steps than this, or something spins.
        let mut steps = 20_000 + duration.as_millis() * 10;
        loop {
            let next = [
                self.call.poll_timeout(),
                self.meta.poll_timeout(),
                self.to_meta.poll_timeout(),
                self.from_meta.poll_timeout(),
                self.pbx.poll_timeout(),
            ];
            let Some(next) = next.into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.step();
            steps -= 1;
            assert!(steps > 0, "the world spins: call {:?}", self.log.last());
        }
        self.now = end;
    }

    fn step(&mut self) {
        if self.call.poll_timeout().is_some_and(|due| due <= self.now) {
            self.call.handle_timeout(self.now, &mut self.out);
            self.settle();
        }
        if self.meta.poll_timeout().is_some_and(|due| due <= self.now) {
            self.meta.handle_timeout(self.now);
        }
        while let Some((from, _, bytes)) = self.to_meta.pop(self.now) {
            self.meta.handle_datagram(self.now, from, &bytes);
        }
        while let Some((destination, bytes)) = self.meta.poll_transmit() {
            let item = (self.meta_address, destination, bytes.clone());
            self.from_meta.push(self.now, &bytes, item);
        }
        while let Some((from, to, bytes)) = self.from_meta.pop(self.now) {
            self.deliver_to_relay(from, to, &bytes);
        }
        while let Some((to, bytes)) = self.pbx.speak(self.now) {
            self.deliver_to_relay(self.pbx.address, to, &bytes);
        }
    }

    fn deliver_to_relay(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        // A port that was closed meanwhile hears nothing.
        let Some(socket) = self.ports.socket_at(to) else {
            return;
        };
        let received = Received {
            socket,
            source: from,
            packet: PacketBuf::from_slice(bytes).unwrap(),
        };
        self.call.handle_datagram(self.now, received, &mut self.out);
        self.settle();
    }

    /// What the worker does after every touch: events, then datagrams.
    fn settle(&mut self) {
        while let Some(event) = self.call.poll_event() {
            if let relay_call::CallEvent::PortsReleased(sockets) = &event {
                for socket in sockets {
                    self.ports.release(*socket);
                }
            }
            self.log.push(event.to_string());
        }
        for transmit in self.out.queued() {
            let from = self.ports.open.get(&transmit.socket).copied();
            let Some(from) = from else { continue };
            if transmit.destination == self.meta_address {
                let bytes = transmit.packet.to_vec();
                if let [0x80..=0xbf, second, number @ ..] = &bytes[..]
                    && !(192..=223).contains(second)
                    && let [s0, s1, _, _, _, _, a, b, c, d, ..] = number
                {
                    let ssrc = u32::from_be_bytes([*a, *b, *c, *d]);
                    let numbers = (ssrc, u16::from_be_bytes([*s0, *s1]));
                    self.numbers_to_meta.push(numbers);
                }
                self.to_meta.push(
                    self.now,
                    &transmit.packet,
                    (from, transmit.destination, bytes),
                );
            } else if transmit.destination == self.pbx.address {
                self.pbx.hear(&transmit.packet);
            }
        }
        self.out.sent();
    }

    /// The relay's process is killed: its sockets are closed, and whatever is sent to them for so long comes to nothing.
    pub(crate) fn kill(&mut self, downtime: Duration) {
        let config = Arc::new(self.call.config().clone());
        self.call = Call::new(CallId::from("nobody"), config, self.now, 0);
        self.ports.open.clear();
        self.out.sent();
        self.run(downtime);
    }

    /// Another process goes on with what was written down. It has made a certificate of its own at its start, and its clock is
    /// another one.
    pub(crate) fn revive(&mut self, written: &[u8]) -> Result<(), RestoreError> {
        let snapshot = CallSnapshot::decode(written).unwrap();
        let mut config = self.call.config().clone();
        let unix = config.clock.unix_at(self.now);
        let (at, written_by) = (self.now, config.clock);
        // Meanwhile somebody has set the clock.
        config.clock = WallClock {
            at,
            unix: unix + Duration::from_secs(86_400),
        };
        let time = std::time::SystemTime::UNIX_EPOCH + unix;
        config.identity = Arc::new(DtlsIdentity::generate(time).unwrap());
        self.call = Call::restore(
            &snapshot,
            written_by,
            &Arc::new(config),
            self.now,
            &mut self.ports,
        )?;
        self.settle();
        Ok(())
    }

    pub(crate) fn report(&self) -> MediaReport {
        self.meta.report(self.now)
    }
}

/// The media address in an SDP of the relay's.
pub(crate) fn media_address(sdp: &str) -> SocketAddr {
    let port = sdp
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "))
        .unwrap();
    let port = port.split(' ').next().unwrap();
    let ip = sdp
        .lines()
        .find_map(|line| line.strip_prefix("c=IN IP4 "))
        .unwrap();
    format!("{}:{port}", ip.trim()).parse().unwrap()
}

/// The time of day at which invented time begins: 2026-11-21.
const UNIX_TIME: Duration = Duration::from_secs(1_795_291_200);

/// Where invented time begins.
fn epoch() -> Instant {
    Instant::now()
}
