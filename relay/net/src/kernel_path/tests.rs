//! Real packets through the forwarding program, each test in a network namespace of its own.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use relay_packet::Outbox;

use super::*;
use crate::backend::Backend;
use crate::bpf::Steering;
use crate::hub::Hub;
use crate::socket::SocketOptions;
use crate::testing::{Setting, own_network, set_loopback};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
const SSRC: u32 = 0x1122_3344;
const NEW_SSRC: u32 = 0x5566_7788;
const PAYLOAD: usize = 160;

/// The sockets around one stream.
struct Rig {
    path: KernelPath,
    source: UdpSocket,
    arrives_at: UdpSocket,
    leaves_from: UdpSocket,
    destination: UdpSocket,
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket
}

fn path() -> KernelPath {
    KernelPath::new(Arc::new(attach(100).unwrap())).unwrap()
}

impl Rig {
    /// All on one address; `None` where the machine does not allow it.
    fn on(address: &str) -> Option<Self> {
        own_network().then(|| Self {
            path: path(),
            source: socket(address),
            arrives_at: socket(address),
            leaves_from: socket(address),
            destination: socket(address),
        })
    }

    fn stream(&self) -> PlainStream {
        let address = |socket: &UdpSocket| socket.local_addr().unwrap();
        PlainStream {
            source: address(&self.source),
            arrives_at: address(&self.arrives_at),
            leaves_from: address(&self.leaves_from),
            destination: address(&self.destination),
            ssrc: (SSRC, NEW_SSRC),
            sequence_offset: 1000,
            timestamp_offset: 0x8000_0000,
            payload_types: vec![(8, 8), (0, 100)],
            clock_hz: 8000,
            tos: Some(0xb8),
        }
    }

    /// The kernel has the stream, whose packet 65,530 came last, with the timestamp that [`rtp`] gives it.
    fn begin(&mut self) -> Forwarded {
        let stream = self.stream();
        self.path.begin(&stream, &beginning()).unwrap()
    }

    fn send(&self, packet: &[u8]) {
        let to = self.arrives_at.local_addr().unwrap();
        self.source.send_to(packet, to).unwrap();
    }

    /// The packet went to the socket of the relay.
    fn assert_came_up(&self, what: &str, packet: &[u8]) {
        let mut buffer = [0; 2048];
        let (len, _) = self.arrives_at.recv_from(&mut buffer).expect(what);
        assert!(&buffer[..len] == packet, "{what}");
        assert_nothing_at(&self.destination);
    }

    /// The packet went to its destination, and this is what it had become.
    fn passed(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let (len, from) = self.destination.recv_from(&mut buffer).unwrap();
        assert_eq!(from, self.leaves_from.local_addr().unwrap());
        assert_nothing_at(&self.arrives_at);
        buffer[..len].to_vec()
    }
}

fn assert_nothing_at(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    let error = socket.recv_from(&mut [0; 2048]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
}

fn beginning() -> StreamProgress {
    StreamProgress {
        packets: 0,
        octets: 0,
        skips: 0,
        sequence: 65_530,
        timestamp: timestamp(65_530),
        jitter_scaled: 0,
        at: Instant::now(),
    }
}

fn timestamp(number: u32) -> u32 {
    number.wrapping_mul(160)
}

/// Packet `number` of the stream.
fn rtp(payload_type: u8, number: u32, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend((number as u16).to_be_bytes());
    packet.extend(timestamp(number).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..PAYLOAD).map(|at| at as u8 ^ number as u8));
    packet
}

/// What the listener is to get of [`rtp`].
fn rewritten(payload_type: u8, number: u32) -> Vec<u8> {
    let mut packet = rtp(payload_type, number, NEW_SSRC);
    packet[2..4].copy_from_slice(&(number as u16).wrapping_add(1000).to_be_bytes());
    let timestamp = timestamp(number).wrapping_add(0x8000_0000);
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet
}

#[test]
fn the_next_packets_of_a_stream_never_reach_the_relay() {
    for address in ["127.0.0.1", "::1"] {
        thread::spawn(move || {
            let Some(mut rig) = Rig::on(address) else {
                return;
            };
            let forwarded = rig.begin();
            for number in 65_531..65_541 {
                rig.send(&rtp(8, number, SSRC));
                assert_eq!(rig.passed(), rewritten(8, number));
            }
            // The marker stays, and another payload type is mapped.
            rig.send(&rtp(0x80, 65_543, SSRC));
            assert_eq!(rig.passed(), rewritten(0x80 | 100, 65_543));

            let now = Instant::now();
            let progress = rig.path.progress(now, &forwarded).unwrap();
            assert_eq!((progress.packets, progress.octets), (11, 11 * 160));
            assert_eq!((progress.sequence, progress.skips), (65_543, 1));
            assert_eq!(progress.timestamp, timestamp(65_543));
            assert!(now.saturating_duration_since(progress.at) < Duration::from_secs(1));
            // They came all at once, and not 20 ms after each other: that is jitter.
            let jitter = progress.jitter_scaled >> 4;
            assert!((40..=170).contains(&jitter), "{jitter}");

            let last = rig.path.end(now, forwarded).unwrap();
            assert_eq!(
                (last.packets, last.sequence),
                (progress.packets, progress.sequence)
            );
            let next = rtp(8, 65_544, SSRC);
            rig.send(&next);
            rig.assert_came_up("after the end", &next);
        })
        .join()
        .unwrap();
    }
}

#[test]
fn what_is_not_the_next_packet_comes_to_the_relay() {
    let Some(mut rig) = Rig::on("127.0.0.1") else {
        return;
    };
    let forwarded = rig.begin();
    rig.send(&rtp(8, 65_531, SSRC));
    rig.passed();

    let next = || rtp(8, 65_532, SSRC);
    let changed = |at: usize, value: u8| {
        let mut packet = next();
        packet[at] = value;
        packet
    };
    for (what, packet) in [
        ("another source", rtp(8, 65_532, 7)),
        ("a telephone-event", rtp(101, 65_532, SSRC)),
        ("doubled", rtp(8, 65_531, SSRC)),
        ("late", rtp(8, 65_530, SSRC)),
        ("far ahead", rtp(8, 65_531 + 1001, SSRC)),
        ("with an extension", changed(0, 0x90)),
        ("with padding", changed(0, 0xa0)),
        ("STUN", changed(0, 0)),
        ("RTCP", changed(1, 200)),
        ("a timestamp of another time", changed(4, 0x55)),
        (
            "longer than any link must carry",
            [next(), vec![0; 1200]].concat(),
        ),
        ("too short for RTP", next()[..11].to_vec()),
    ] {
        rig.send(&packet);
        rig.assert_came_up(what, &packet);
    }
    let stranger = socket("127.0.0.1");
    let to = rig.arrives_at.local_addr().unwrap();
    stranger.send_to(&next(), to).unwrap();
    rig.assert_came_up("from elsewhere", &next());
    rig.source.set_ttl(31).unwrap();
    rig.send(&next());
    rig.assert_came_up("with few hops left", &next());
    rig.source.set_ttl(64).unwrap();

    let progress = rig.path.progress(Instant::now(), &forwarded).unwrap();
    assert_eq!((progress.packets, progress.sequence), (1, 65_531));
    rig.send(&next());
    assert_eq!(rig.passed(), rewritten(8, 65_532));
}

#[test]
fn a_pause_ends_before_the_relay() {
    let Some(mut rig) = Rig::on("127.0.0.1") else {
        return;
    };
    let stream = rig.stream();
    let long_ago = StreamProgress {
        at: Instant::now() - Duration::from_secs(3),
        ..beginning()
    };
    rig.path.begin(&stream, &long_ago).unwrap();
    let packet = rtp(8, 65_531, SSRC);
    rig.send(&packet);
    rig.assert_came_up("after a pause", &packet);
}

/// What raw sockets send has checksums that were computed, and the receiver's kernel verifies them.
#[test]
fn the_checksums_are_right() {
    for address in ["127.0.0.1", "::1"] {
        thread::spawn(move || {
            let Some(mut rig) = Rig::on(address) else {
                return;
            };
            let steering = Arc::new(Steering::attach(Hub::MOST_HUBS, 100).unwrap());
            let mut hub = Hub::new(steering, SocketOptions::default(), Duration::ZERO).unwrap();
            let any_port = SocketAddr::new(address.parse().unwrap(), 0);
            let (id, bound) = hub.bind(any_port).unwrap();
            let stream = PlainStream {
                source: bound,
                ..rig.stream()
            };
            rig.path.begin(&stream, &beginning()).unwrap();
            let mut out = Outbox::new(16);
            for number in 65_531..65_700 {
                let mut packet = out.take();
                assert!(packet.copy_from(&rtp(8, number, SSRC)));
                out.send(id, rig.arrives_at.local_addr().unwrap(), packet);
                hub.flush(&mut out);
                assert_eq!(rig.passed(), rewritten(8, number));
            }
            assert_eq!(hub.counters().send_retried, 0);
        })
        .join()
        .unwrap();
    }
}

#[test]
fn two_relays_forward_beside_each_other_and_one_ends_alone() {
    let Some(mut rig) = Rig::on("127.0.0.1") else {
        return;
    };
    let mut other = Rig {
        path: path(),
        source: socket("127.0.0.1"),
        arrives_at: socket("127.0.0.1"),
        leaves_from: socket("127.0.0.1"),
        destination: socket("127.0.0.1"),
    };
    rig.begin();
    other.begin();
    for rig in [&rig, &other] {
        rig.send(&rtp(8, 65_531, SSRC));
        assert_eq!(rig.passed(), rewritten(8, 65_531));
    }
    drop(other.path);
    rig.send(&rtp(8, 65_532, SSRC));
    assert_eq!(rig.passed(), rewritten(8, 65_532));
    let packet = rtp(8, 65_532, SSRC);
    let to = other.arrives_at.local_addr().unwrap();
    other.source.send_to(&packet, to).unwrap();
    let mut buffer = [0; 2048];
    let (len, _) = other.arrives_at.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], packet);
}

#[test]
fn what_the_kernel_cannot_have_is_refused() {
    let Some(mut rig) = Rig::on("127.0.0.1") else {
        return;
    };
    let stream = rig.stream();
    let refused = |path: &mut KernelPath, stream: &PlainStream| {
        let error = path.begin(stream, &beginning()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    };
    let other_family = PlainStream {
        destination: "[::1]:4000".parse().unwrap(),
        ..stream.clone()
    };
    refused(&mut rig.path, &other_family);
    let nothing = PlainStream {
        payload_types: Vec::new(),
        ..stream.clone()
    };
    refused(&mut rig.path, &nothing);
    let everywhere = PlainStream {
        arrives_at: "0.0.0.0:4000".parse().unwrap(),
        ..stream.clone()
    };
    refused(&mut rig.path, &everywhere);
    let nowhere = PlainStream {
        destination: "192.0.2.1:4000".parse().unwrap(),
        ..stream
    };
    assert!(rig.path.begin(&nowhere, &beginning()).is_err());
}

#[test]
fn a_change_of_the_network_is_heard_of() {
    let Some(mut rig) = Rig::on("127.0.0.1") else {
        return;
    };
    rig.begin();
    assert!(!rig.path.has_moved());
    set_loopback(Setting::Mtu(1000));
    assert!(rig.path.has_moved());
    assert!(!rig.path.has_moved());
    // A packet that no longer fits is the relay's.
    rig.begin();
    let packet = [rtp(8, 65_531, SSRC), vec![0; 801]].concat();
    rig.send(&packet);
    rig.assert_came_up("longer than the link takes", &packet);
}

/// Runs `ip` in the network namespace of this thread.
fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

/// Both far ends are behind a cable, in another namespace, whose address has to be found first (ARP, RFC 4861).
#[test]
fn a_stream_goes_over_an_interface_of_ethernet() {
    let (tell, told) = channel();
    let (plugged, wait) = channel::<()>();
    let far = thread::spawn(move || {
        if !own_network() {
            return None;
        }
        tell.send(rustix::thread::gettid().as_raw_nonzero())
            .unwrap();
        wait.recv().ok()?;
        assert!(ip("link set far up") && ip("addr add 10.9.0.2/24 dev far"));
        assert!(ip("addr add fd00:9::2/64 dev far nodad"));
        let ends = |address| (socket(address), socket(address));
        Some([ends("10.9.0.2"), ends("fd00:9::2")])
    });
    let Ok(far_thread) = told.recv() else {
        return;
    };
    if !own_network() || !ip("link add near type veth peer name far") {
        println!("skipped: no pair of interfaces");
        return;
    }
    assert!(ip(&format!("link set far netns {far_thread}")));
    assert!(ip("link set near up") && ip("addr add 10.9.0.1/24 dev near"));
    assert!(ip("addr add fd00:9::1/64 dev near nodad"));
    plugged.send(()).unwrap();
    let ends = far.join().unwrap().unwrap();
    for ((source, destination), address) in ends.into_iter().zip(["10.9.0.1", "fd00:9::1"]) {
        let mut rig = Rig {
            path: path(),
            source,
            arrives_at: socket(address),
            leaves_from: socket(address),
            destination,
        };
        let forwarded = rig.begin();
        for number in 65_531..65_540 {
            rig.send(&rtp(8, number, SSRC));
            assert_eq!(rig.passed(), rewritten(8, number));
        }
        let progress = rig.path.end(Instant::now(), forwarded).unwrap();
        assert_eq!(progress.packets, 9);
    }
}
