//! A machine to place calls on: interfaces, ports that count upwards, a clock that stands where it is put.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ng_protocol::{Request, Response};
use relay_call::{
    Call, CallConfig, CallSnapshot, EndpointLearning, Interface, InterfaceAddress, LeaseError,
    LeasedPort, PortCount, PortLeaser, QualityReports, Timeouts, WallClock,
};
use relay_packet::SocketId;
use relay_transport::TransportConfig;
use relay_transport::dtls::DtlsIdentity;

#[expect(
    clippy::disallowed_methods,
    reason = "tests need one real instant to start from"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

/// The epoch second of the recorded examples.
pub(crate) const UNIX: u64 = 1_795_291_200;

fn address(text: &str) -> InterfaceAddress {
    let address: IpAddr = text.parse().unwrap();
    InterfaceAddress {
        address,
        advertised: address,
    }
}

pub(crate) fn interface(name: &str, addresses: &[&str]) -> Interface {
    Interface {
        name: name.to_owned(),
        aliases: Vec::new(),
        addresses: addresses.iter().map(|text| address(text)).collect(),
    }
}

pub(crate) fn config(now: Instant, interfaces: Vec<Interface>) -> CallConfig {
    let unix = Duration::from_secs(UNIX);
    CallConfig {
        interfaces,
        timeouts: Timeouts::default(),
        sip_source: false,
        dtls_passive: false,
        endpoint_learning: EndpointLearning::default(),
        hold: Duration::from_secs(1),
        fill: true,
        dtmf_log: None,
        tells_rtcp: false,
        tells_timeouts: false,
        quality: QualityReports::default(),
        recording: None,
        instance: "0123456789ab".into(),
        report_interval: Duration::from_secs(5),
        software: "tandem".into(),
        clock: WallClock { at: now, unix },
        identity: Arc::new(DtlsIdentity::generate(SystemTime::UNIX_EPOCH + unix).unwrap()),
        transport: Arc::new(TransportConfig::default()),
        transport_by_interface: Vec::new(),
    }
}

/// Ports that count upwards, and who has them.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    next: BTreeMap<IpAddr, u16>,
    next_socket: u32,
    pub(crate) open: BTreeMap<SocketId, SocketAddr>,
    /// How many more ports there are; `None` for no limit.
    pub(crate) left: Option<usize>,
    /// How they were marked.
    pub(crate) tos: BTreeMap<SocketId, Option<u8>>,
}

impl PortLeaser for Ports {
    fn lease(
        &mut self,
        _interface: &str,
        ip: IpAddr,
        count: PortCount,
    ) -> Result<Vec<LeasedPort>, LeaseError> {
        let wanted = match count {
            PortCount::Pair => 2,
            PortCount::Single => 1,
        };
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(wanted).ok_or(LeaseError::Exhausted)?;
        }
        let next = self.next.entry(ip).or_insert(30_000);
        *next += *next % 2 * u16::from(count == PortCount::Pair);
        let opened = (0..wanted).map(|_| {
            self.next_socket += 1;
            let leased = LeasedPort {
                socket: SocketId(self.next_socket),
                address: SocketAddr::new(ip, *next),
            };
            *next += 1;
            self.open.insert(leased.socket, leased.address);
            leased
        });
        Ok(opened.collect())
    }

    fn lease_again(
        &mut self,
        _interface: &str,
        address: SocketAddr,
    ) -> Result<LeasedPort, LeaseError> {
        if self.open.values().any(|open| *open == address) {
            return Err(LeaseError::Taken { address });
        }
        self.next_socket += 1;
        let socket = SocketId(self.next_socket);
        self.open.insert(socket, address);
        Ok(LeasedPort { socket, address })
    }

    fn set_tos(&mut self, socket: SocketId, tos: Option<u8>) {
        self.tos.insert(socket, tos);
    }

    fn release(&mut self, socket: SocketId) {
        self.open.remove(&socket).unwrap();
    }
}

/// A request as the inside of a JSON object.
pub(crate) fn request(keys: &str) -> Request {
    let text = format!("{{{keys}}}");
    Request::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A call and its machine.
pub(crate) struct Desk {
    pub(crate) now: Instant,
    pub(crate) ports: Ports,
    pub(crate) call: Call,
}

impl Desk {
    pub(crate) fn new(interfaces: Vec<Interface>) -> Self {
        let now = epoch();
        Self::with(now, config(now, interfaces))
    }

    pub(crate) fn with(now: Instant, config: CallConfig) -> Self {
        Self {
            now,
            ports: Ports::default(),
            call: Call::new("call".into(), Arc::new(config), now, 7),
        }
    }

    /// Another call on the same machine.
    pub(crate) fn reseed(&mut self, seed: u64) {
        let config = Arc::new(self.call.config().clone());
        self.call = Call::new("call".into(), config, self.now, seed);
    }

    /// `priv` with 192.0.2.1, `pub` with 203.0.113.1 and 2001:db8::1.
    pub(crate) fn of_the_examples() -> Self {
        Self::new(vec![
            interface("priv", &["192.0.2.1"]),
            interface("pub", &["203.0.113.1", "2001:db8::1"]),
        ])
    }

    /// The process ends, and another one goes on with what was written down just before.
    pub(crate) fn restart(&mut self, downtime: Duration) {
        let bytes = self.call.snapshot(self.now).encode().unwrap();
        let config = Arc::new(self.call.config().clone());
        self.ports.open.clear();
        self.ports.tos.clear();
        self.now += downtime;
        let snapshot = CallSnapshot::decode(&bytes).unwrap();
        self.call =
            Call::restore(&snapshot, config.clock, &config, self.now, &mut self.ports).unwrap();
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        let response = self.call.handle_request(self.now, request, &mut self.ports);
        self.drain();
        response
    }

    /// Collects events; closes the ports that come back.
    pub(crate) fn drain(&mut self) -> Vec<relay_call::CallEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.call.poll_event() {
            if let relay_call::CallEvent::PortsReleased(sockets) = &event {
                for &socket in sockets {
                    self.ports.release(socket);
                }
            }
            events.push(event);
        }
        events
    }
}

/// The SDP of a reply, as text with bare line feeds.
pub(crate) fn sdp(response: &Response) -> String {
    let body = response
        .sdp_body()
        .unwrap_or_else(|| panic!("no sdp in {response:?}"));
    String::from_utf8_lossy(body).replace("\r\n", "\n")
}
