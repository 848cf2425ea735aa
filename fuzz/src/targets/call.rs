//! A whole call: requests, datagrams on its open ports and the passing of time, in any order.
//!
//! Whatever happens, no port is closed twice, a refused request opens none, and the end of a call closes all.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use ng_protocol::{Command, Encoding, Request, Response};
use relay_call::sdp::{RemoteMedia, SessionDescription, parse};
use relay_call::{
    Call, CallConfig, CallEvent, EndpointLearning, Interface, InterfaceAddress, LeaseError,
    LeasedPort, PortCount, PortLeaser, QualityReports, Timeouts, WallClock,
};
use relay_packet::{Outbox, PacketBuf, Received, SocketId};
use relay_transport::TransportConfig;
use relay_transport::dtls::DtlsIdentity;
use relay_transport::srtp::SrtpContext;
use relay_transport::srtp::sdes::CryptoAttribute;
use relay_transport::stun::{
    Class, IntegrityKey, Message, MessageWriter, RoleAttribute, TransactionId,
};

use crate::{Target, recorded, script};

/// This target.
pub const TARGET: Target = Target {
    name: "call",
    run: target,
    seeds,
    words: &[
        script::SEPARATOR,
        b"\n--\nt\x05",
        b"\n--\nt\x80",
        b"\n--\nt\xff",
        b"\n--\ni\x00\x00\n--\na",
        b"\n--\nd\x01\x01\x80\x6f\x00\x01\x00\x00\x03\xc0\x00\x00\x11\x11speech",
        b"\n--\nd\x02\x01\x80\xc8\x00\x06",
        b"\n--\ns\x00\x00\x80\x6f\x00\x02\x00\x00\x03\xc0\x00\x00\x22\x22speech",
        b"\n--\nr{\"command\":\"delete\",\"call-id\":\"x\",\"delete-delay\":0}",
        b"\n--\nr{\"command\":\"delete\",\"call-id\":\"x\"}",
        b"\n--\nr{\"command\":\"query\",\"call-id\":\"x\"}",
        b"\\r\\na=",
        b"\\r\\na=sendonly",
        b"\\r\\na=inactive",
        b"\\r\\na=rtcp-mux",
        b"\\r\\na=ice-lite",
        b"\\r\\na=bundle-only",
        b"\\r\\na=setup:passive",
        b"\\r\\nc=IN IP4 0.0.0.0",
        b"\\r\\nc=IN IP6 2001:db8::5",
        b"\\r\\nm=audio 0 RTP/AVP 0",
        b"\\r\\nm=audio 9 UDP/TLS/RTP/SAVPF 111 126",
        b"\\r\\nm=image 5000 udptl t38",
        b"\\r\\nm=video 5002 RTP/AVPF 96",
        b"\\u000d\\u000a",
        b"\"to-tag\":\"fork\",",
        b"\"via-branch\":\"b\",",
        b"\"rtpp-flags\":\"",
        b"ICE=force ",
        b"ICE=remove ",
        b"DTLS=passive ",
        b"DTLS=off ",
        b"SDES-off ",
        b"RTP/SAVP ",
        b"rtcp-mux-demux ",
        b"rtcp-mux-require ",
        b"reset ",
        b"port-latching ",
        b"address-family=IP6 ",
        b"direction=pub direction=priv ",
        b"media-address=192.0.2.9 ",
        b"sdp-attr-add-audio-x ",
        b"codec-strip-all ",
        b"ptime=60 ",
        b"strict-source media-handover ",
        b"original-sendrecv inactive ",
    ],
};

/// A run ends after this many timeouts.
const MAX_TIMEOUTS: usize = 4000;
/// What is remembered of addresses, keys and checks.
const MAX_KNOWN: usize = 8;

/// The first byte limits the ports, zero does not; every record is something that happens.
pub fn target(data: &[u8]) {
    let Some((&capacity, rest)) = data.split_first() else {
        return;
    };
    let mut desk = Desk::new(usize::from(capacity));
    for record in script::records(rest) {
        if let Some((&what, details)) = record.split_first() {
            desk.happen(what, details);
        }
        if desk.timeouts > MAX_TIMEOUTS {
            break;
        }
    }
    desk.close();
}

/// A call, its ports, and what its peers have learned from the descriptions.
struct Desk {
    now: Instant,
    call: Call,
    ports: Ports,
    out: Outbox,
    timeouts: usize,
    /// Where the peers are, by their descriptions.
    endpoints: VecDeque<SocketAddr>,
    /// The key under which a peer said that it sends.
    sealer: Option<SrtpContext>,
    /// Username fragment and password of a peer, and those it was told of us.
    theirs: (String, String),
    ours: (String, String),
    /// Checks that the call has sent and nobody has answered.
    checks: VecDeque<(SocketId, SocketAddr, TransactionId)>,
}

impl Desk {
    fn new(capacity: usize) -> Self {
        let now = script::epoch();
        Self {
            now,
            call: Call::new("call".into(), config(), now, 7),
            ports: Ports::new(if capacity == 0 { 256 } else { capacity }),
            out: Outbox::new(64),
            timeouts: 0,
            endpoints: ["198.51.100.10:3480", "192.0.2.55:40000", "[2001:db8::5]:9"]
                .map(|text| text.parse().expect("an address"))
                .into(),
            sealer: None,
            theirs: Default::default(),
            ours: Default::default(),
            checks: VecDeque::new(),
        }
    }

    fn happen(&mut self, what: u8, details: &[u8]) {
        let byte = |index: usize| usize::from(details.get(index).copied().unwrap_or(0));
        let rest = details.get(2..).unwrap_or_default();
        match what {
            b'r' => {
                if let Ok(request) = Request::parse(details) {
                    self.ask(&request);
                }
            }
            b't' => self.pass(Duration::from_millis((byte(0) as u64).pow(2))),
            b'd' => self.receive(byte(0), byte(1), PacketBuf::from_slice(rest)),
            b's' => {
                let mut packet = PacketBuf::from_slice(rest);
                if let (Some(sealer), Some(packet)) = (&mut self.sealer, &mut packet) {
                    let rtcp = packet.get(1).is_some_and(|kind| (192..224).contains(kind));
                    let _ = match rtcp {
                        true => sealer.protect_rtcp(packet),
                        false => sealer.protect_rtp(packet),
                    };
                }
                self.receive(byte(0), byte(1), packet);
            }
            b'i' => {
                let packet = self.check(rest.is_empty());
                self.receive(byte(0), byte(1), packet);
            }
            b'a' => self.answer_checks(),
            _ => {}
        }
    }

    fn ask(&mut self, request: &Request) -> Response {
        self.study(request.sdp.as_deref(), Whose::Peer);
        let before = self.ports.open.clone();
        let response = self.call.handle_request(self.now, request, &mut self.ports);
        let refused = response.error_reason().is_some();
        if refused && matches!(request.command, Command::Offer | Command::Answer) {
            assert_eq!(self.ports.open, before, "a refused request opens nothing");
        }
        for encoding in [Encoding::Bencode, Encoding::Json] {
            assert!(!response.encode(encoding).is_empty());
        }
        if let Some(body) = response.sdp_body() {
            if body.len() <= parse::MAX_BYTES {
                let parsed = SessionDescription::parse(body);
                assert!(parsed.is_ok(), "{parsed:?}: {}", body.escape_ascii());
            }
            self.study(Some(body), Whose::Ours);
        }
        self.follow();
        response
    }

    /// Reads what a description says about keys and addresses.
    fn study(&mut self, sdp: Option<&[u8]>, whose: Whose) {
        let Some(Ok(description)) = sdp.map(SessionDescription::parse) else {
            return;
        };
        for media in RemoteMedia::read_all(&description).iter().take(MAX_KNOWN) {
            if let Some(ice) = &media.ice {
                let credentials = (ice.ufrag.clone(), ice.pwd.clone());
                match whose {
                    Whose::Ours => self.ours = credentials,
                    Whose::Peer => self.theirs = credentials,
                }
            }
            if let Whose::Peer = whose {
                let key = media.crypto.first();
                let key = key.and_then(|text| text.parse::<CryptoAttribute>().ok());
                self.sealer = key
                    .map(|crypto| SrtpContext::new(&crypto.key))
                    .or(self.sealer.take());
                self.endpoints.extend(media.rtp_endpoint());
                self.endpoints.extend(media.rtcp_endpoint());
            }
        }
        let superfluous = self.endpoints.len().saturating_sub(MAX_KNOWN);
        self.endpoints.drain(..superfluous);
    }

    fn receive(&mut self, port: usize, source: usize, packet: Option<PacketBuf>) {
        let mut open = self.ports.open.iter().cycle();
        let local = open.nth(port % self.ports.open.len().max(1));
        let source = self.endpoints.get(source % self.endpoints.len().max(1));
        if let (Some((&socket, local)), Some(&source), Some(packet)) = (local, source, packet)
            && local.is_ipv4() == source.is_ipv4()
        {
            let received = Received {
                socket,
                source,
                packet,
            };
            self.call.handle_datagram(self.now, received, &mut self.out);
            self.follow();
        }
    }

    /// A connectivity check of a peer.
    fn check(&self, nominates: bool) -> Option<PacketBuf> {
        let mut packet = PacketBuf::new();
        let mut writer = MessageWriter::new(&mut packet, Class::Request, TransactionId([7; 12]));
        writer.username(&self.ours.0, &self.theirs.0).priority(1);
        writer.role(match nominates {
            true => RoleAttribute::Controlling(1),
            false => RoleAttribute::Controlled(1),
        });
        if nominates {
            writer.use_candidate();
        }
        let fits = writer.finish(Some(&IntegrityKey::new(&self.ours.1)));
        fits.then_some(packet)
    }

    /// The peers answer the checks that they have received.
    fn answer_checks(&mut self) {
        for (socket, peer, transaction) in std::mem::take(&mut self.checks) {
            let Some(&local) = self.ports.open.get(&socket) else {
                continue;
            };
            let mut packet = PacketBuf::new();
            let fits = MessageWriter::new(&mut packet, Class::Success, transaction)
                .mapped_address(local)
                .finish(Some(&IntegrityKey::new(&self.theirs.1)));
            if fits {
                let received = Received {
                    socket,
                    source: peer,
                    packet,
                };
                self.call.handle_datagram(self.now, received, &mut self.out);
                self.follow();
            }
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut still = 0;
        while self.timeouts <= MAX_TIMEOUTS {
            let Some(at) = self.call.poll_timeout().filter(|at| *at <= end) else {
                break;
            };
            still = if at > self.now { 0 } else { still + 1 };
            assert!(still < 100, "the call never rests");
            self.now = self.now.max(at);
            self.call.handle_timeout(self.now, &mut self.out);
            self.timeouts += 1;
            self.follow();
        }
        self.now = end;
    }

    /// What the daemon does after everything: send, close ports, log, and drop a call that is over.
    fn follow(&mut self) {
        for transmit in self.out.drain() {
            let local = self.ports.open.get(&transmit.socket);
            let local = local.expect("nothing is sent from a closed port");
            assert_eq!(local.is_ipv4(), transmit.destination.is_ipv4());
            if let Ok(message) = Message::parse(&transmit.packet)
                && message.class == Class::Request
            {
                self.checks.truncate(MAX_KNOWN - 1);
                let check = (transmit.socket, transmit.destination, message.transaction);
                self.checks.push_front(check);
            }
        }
        while let Some(event) = self.call.poll_event() {
            assert!(!event.to_string().is_empty());
            if let CallEvent::PortsReleased(sockets) = event {
                sockets
                    .into_iter()
                    .for_each(|socket| self.ports.release(socket));
            }
        }
        if self.call.is_finished() {
            assert!(self.ports.open.is_empty(), "a call that is over has ports");
            assert_eq!(self.call.poll_timeout(), None);
            self.call = Call::new("call".into(), config(), self.now, 8);
        }
    }

    /// The end: whoever is left is deleted.
    fn close(&mut self) {
        let delete = br#"{"command":"delete","call-id":"call","delete-delay":0}"#;
        let delete = Request::parse(delete).expect("a request that we wrote");
        self.ask(&delete);
        assert!(self.ports.open.is_empty(), "a deleted call has ports");
    }
}

/// Who wrote a description.
#[derive(Clone, Copy)]
enum Whose {
    Peer,
    Ours,
}

/// Ports that count upwards, each of them opened once and closed once.
struct Ports {
    capacity: usize,
    opened: u32,
    open: BTreeMap<SocketId, SocketAddr>,
}

impl Ports {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            opened: 0,
            open: BTreeMap::new(),
        }
    }
}

impl PortLeaser for Ports {
    fn lease(
        &mut self,
        interface: &str,
        ip: IpAddr,
        count: PortCount,
    ) -> Result<Vec<LeasedPort>, LeaseError> {
        let config = config();
        let mut interfaces = config.interfaces.iter();
        assert!(interfaces.any(|known| known.name == interface));
        let mut addresses = config.interfaces.iter().flat_map(|known| &known.addresses);
        assert!(addresses.any(|known| known.address == ip));
        let wanted = match count {
            PortCount::Pair => 2,
            PortCount::Single => 1,
        };
        if self.open.len() + wanted > self.capacity {
            return Err(LeaseError::Exhausted);
        }
        self.opened += self.opened % 2;
        let leased = (0..wanted).map(|_| {
            let number = self.opened;
            self.opened += 1;
            let socket = SocketId(number);
            let address = SocketAddr::new(ip, 30_000 + (number % 30_000) as u16);
            self.open.insert(socket, address);
            LeasedPort { socket, address }
        });
        Ok(leased.collect())
    }

    fn release(&mut self, socket: SocketId) {
        assert!(
            self.open.remove(&socket).is_some(),
            "a port is closed twice"
        );
    }
}

fn config() -> Arc<CallConfig> {
    static CONFIG: OnceLock<Arc<CallConfig>> = OnceLock::new();
    let make = || {
        let unix = Duration::from_secs(1_780_000_000);
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            aliases: Vec::new(),
            addresses: addresses
                .iter()
                .map(|text| text.parse().expect("an address"))
                .map(|address| InterfaceAddress {
                    address,
                    advertised: address,
                })
                .collect(),
        };
        let identity = DtlsIdentity::generate(SystemTime::UNIX_EPOCH + unix);
        Arc::new(CallConfig {
            interfaces: vec![
                interface("priv", &["192.0.2.1"]),
                interface("pub", &["203.0.113.1", "2001:db8::1"]),
            ],
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
            clock: WallClock {
                at: script::epoch(),
                unix,
            },
            identity: Arc::new(identity.expect("a certificate")),
            transport: Arc::new(TransportConfig::default()),
            transport_by_interface: Vec::new(),
        })
    };
    Arc::clone(CONFIG.get_or_init(make))
}

/// The recorded calls, with media, checks and time between their requests.
fn seeds() -> Vec<Vec<u8>> {
    let speech = b"d\x00\x00\x80\x6f\x00\x01\x00\x00\x03\xc0\x00\x00\x11\x11speech";
    let event = b"d\x02\x01\x80\x7e\x00\x02\x00\x00\x03\xc0\x00\x00\x11\x11\x01\x0a\x00\xa0";
    let sealed = b"s\x00\x00\x80\x6f\x00\x02\x00\x00\x03\xc0\x00\x00\x22\x22speech";
    let report = b"s\x01\x00\x80\xc9\x00\x01\x00\x00\x22\x22";
    let between: [&[u8]; 8] = [
        speech,
        event,
        sealed,
        report,
        b"i\x00\x00",
        b"t\x10",
        b"a",
        b"t\x40",
    ];
    let query: &[u8] = br#"r{"command":"query","call-id":"call"}"#;
    recorded::calls()
        .into_iter()
        .map(|requests| {
            let mut records: Vec<Vec<u8>> = Vec::new();
            for request in requests {
                records.push([&b"r"[..], &request].concat());
                records.extend(between.iter().map(|record| record.to_vec()));
            }
            records.push(query.to_vec());
            let mut seed = vec![0];
            seed.extend(records.join(script::SEPARATOR));
            seed
        })
        .filter(|seed| seed.len() < 60_000)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_relay_media() {
        let (mut opened, mut heard) = (0, 0);
        for seed in seeds() {
            let mut desk = Desk::new(0);
            let mut most = (0, 0);
            for record in script::records(&seed[1..]) {
                desk.happen(record[0], &record[1..]);
                let (rtp, _) = desk.call.totals();
                most = (most.0.max(desk.ports.open.len()), most.1.max(rtp.packets));
            }
            opened += usize::from(most.0 > 0);
            heard += usize::from(most.1 > 0);
        }
        assert!(
            opened > 100 && heard > 50,
            "{opened} calls, {heard} with media"
        );
    }
}
