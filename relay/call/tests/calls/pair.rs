//! Two plain parties, `a` on interface `priv` and `b` on `pub`, and the packets between them.

use std::net::SocketAddr;
use std::time::Duration;

use relay_call::{CallEvent, Interface};
use relay_packet::{Outbox, PacketBuf, Received, Transmit};
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::support::{Desk, interface, sdp};
use crate::whatsapp::exchange;

pub(crate) const A: &str = "192.0.2.55:4000";
pub(crate) const B: &str = "203.0.113.55:5000";
pub(crate) const INTERFACES: &str = "direction=priv direction=pub";

/// The description of `a`, as the inside of a JSON string.
pub(crate) fn of_a(lines: &str) -> String {
    description("192.0.2.55", lines)
}

/// The description of `b`.
pub(crate) fn of_b(lines: &str) -> String {
    description("203.0.113.55", lines)
}

pub(crate) fn description(address: &str, lines: &str) -> String {
    let family = if address.contains(':') { "IP6" } else { "IP4" };
    let head =
        format!("v=0\no=- 1 1 IN {family} {address}\ns=-\nc=IN {family} {address}\nt=0 0\n{lines}");
    head.replace('\n', "\\r\\n")
}

pub(crate) fn interfaces() -> Vec<Interface> {
    vec![
        interface("priv", &["192.0.2.1"]),
        interface("pub", &["203.0.113.1"]),
    ]
}

/// Two parties and the relay between them.
pub(crate) struct Pair {
    pub(crate) desk: Desk,
    pub(crate) out: Outbox,
    pub(crate) sent: Vec<Transmit>,
    pub(crate) events: Vec<CallEvent>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::on(Desk::new(interfaces()))
    }

    pub(crate) fn on(desk: Desk) -> Self {
        Self {
            desk,
            out: Outbox::new(16),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A call of G.711 and events that is answered; `flags` were in the offer and in the answer.
    pub(crate) fn talking(flags: &str) -> Self {
        Self::new().answered(flags)
    }

    pub(crate) fn answered(self, flags: &str) -> Self {
        let mut pair = self;
        let audio =
            |port| format!("m=audio {port} RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n");
        pair.offer(&of_a(&audio(4000)), &format!("{INTERFACES} {flags}"));
        pair.answer(&of_b(&audio(5000)), flags);
        pair
    }

    pub(crate) fn ask(
        &mut self,
        command: &str,
        sdp_in: &str,
        tags: [&str; 2],
        flags: &str,
    ) -> String {
        let request = exchange(command, sdp_in, tags, flags);
        let response = self
            .desk
            .call
            .handle_request(self.desk.now, &request, &mut self.desk.ports);
        assert_eq!(response.error_reason(), None, "{command} {flags}");
        self.run(Duration::ZERO);
        sdp(&response)
    }

    /// What `b` is offered.
    pub(crate) fn offer(&mut self, sdp: &str, flags: &str) -> String {
        self.ask("offer", sdp, ["a", ""], flags)
    }

    /// What `a` is answered.
    pub(crate) fn answer(&mut self, sdp: &str, flags: &str) -> String {
        self.ask("answer", sdp, ["a", "b"], flags)
    }

    /// Lets time pass, firing what is due at its time.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.desk.now + duration;
        for _ in 0..1_000_000 {
            match self.desk.call.poll_timeout() {
                Some(at) if at <= end => {
                    self.desk.now = at.max(self.desk.now);
                    self.desk.call.handle_timeout(self.desk.now, &mut self.out);
                    self.collect();
                }
                _ => {
                    self.desk.now = end;
                    return;
                }
            }
        }
        panic!("the call never rests");
    }

    fn collect(&mut self) {
        self.sent.extend(self.out.drain());
        self.events.extend(self.desk.drain());
    }

    /// A datagram from `source` to the port with this address.
    pub(crate) fn receive(&mut self, local: &str, source: &str, bytes: &[u8]) {
        let local: SocketAddr = local.parse().unwrap();
        let found = self.desk.ports.open.iter().find(|(_, at)| **at == local);
        let socket = *found.unwrap_or_else(|| panic!("{local} is not open")).0;
        let received = Received {
            socket,
            source: source.parse().unwrap(),
            packet: PacketBuf::from_slice(bytes).unwrap(),
        };
        self.desk
            .call
            .handle_datagram(self.desk.now, received, &mut self.out);
        self.collect();
    }

    /// What was sent to an address since the last look.
    pub(crate) fn heard_at(&mut self, address: &str) -> Vec<Vec<u8>> {
        let address: SocketAddr = address.parse().unwrap();
        let (here, rest) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|t: &Transmit| t.destination == address);
        self.sent = rest;
        here.iter().map(|t| t.packet.to_vec()).collect()
    }

    /// How many of the packets from `source` reach `listener`, of three.
    pub(crate) fn passes(&mut self, local: &str, source: &str, listener: &str) -> usize {
        self.heard_at(listener);
        for sequence in 0..3 {
            self.receive(local, source, &rtp(0, sequence, 7));
        }
        self.heard_at(listener).len()
    }
}

pub(crate) fn rtp(payload_type: u8, sequence: u16, ssrc: u32) -> Vec<u8> {
    let header = RtpHeader::new(
        PayloadType::new(payload_type).unwrap(),
        SequenceNumber(sequence),
        RtpTimestamp(u32::from(sequence) * 160),
        Ssrc(ssrc),
    );
    let mut packet = PacketBuf::new();
    assert!(header.write(&[0x55; 160], &mut packet));
    packet.to_vec()
}

/// The `m=` and `c=` address of a section.
pub(crate) fn place(sdp: &str, index: usize) -> String {
    let section = sdp.split("m=").nth(index + 1).unwrap();
    let port = section.split(' ').nth(1).unwrap();
    let address = section
        .lines()
        .find_map(|line| line.strip_prefix("c=IN "))
        .and_then(|line| line.split(' ').nth(1))
        .unwrap();
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}
