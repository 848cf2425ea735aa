//! A far end that sends and receives plain RTP.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// One RTP packet, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

impl Packet {
    /// RFC 3550 section 5.1, without padding, extension and contributing sources.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, self.payload_type];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// Whether `words` occur in the payload.
    pub fn says(&self, words: &[u8]) -> bool {
        self.payload.windows(words.len()).any(|part| part == words)
    }

    /// The other way round; `None` for RTCP and whatever else is no RTP.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, payload) = bytes.split_at_checked(12)?;
        let is_rtcp = (192..224).contains(&header[1]);
        (header[0] >> 6 == 2 && !is_rtcp).then(|| Self {
            payload_type: header[1] & 0x7f,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload: payload.to_vec(),
        })
    }
}

/// A socket with an outgoing stream of 20 ms PCMU packets.
#[derive(Debug)]
pub struct RtpPeer {
    socket: UdpSocket,
    next: Packet,
}

impl RtpPeer {
    /// A peer on a port of its own.
    pub fn new(address: IpAddr, ssrc: u32) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0)).expect("a port for the peer");
        Self {
            socket,
            next: Packet {
                payload_type: 0,
                sequence: 1000,
                timestamp: 160_000,
                ssrc,
                payload: Vec::new(),
            },
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound peer")
    }

    /// The next packet of its stream: 20 ms that say `words` again and again, so that they are found wherever the relay cuts.
    pub fn next_packet(&mut self, words: &[u8]) -> Packet {
        let mut packet = self.next.clone();
        packet.payload = words.iter().copied().cycle().take(160).collect();
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.next.timestamp = self.next.timestamp.wrapping_add(160);
        packet
    }

    /// Sends the next packet of its stream.
    pub fn speak(&mut self, to: SocketAddr, words: &[u8]) {
        let packet = self.next_packet(words);
        self.send(to, &packet.bytes());
    }

    /// Sends bytes as they are.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.socket
            .send_to(bytes, to)
            .expect("a datagram from the peer");
    }

    /// The next datagram, or `None` when none comes in time.
    pub fn receive(&self, patience: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        self.socket
            .set_read_timeout(Some(patience))
            .expect("a timeout for the peer");
        let mut buffer = vec![0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                buffer.truncate(len);
                Some((buffer, from))
            }
            Err(error) => {
                let kind = error.kind();
                let is_late = matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(is_late, "the peer cannot receive: {error}");
                None
            }
        }
    }

    /// The next RTP packet that says `words`; others are passed over.
    pub fn hear(&self, words: &[u8], patience: Duration) -> Option<(Packet, SocketAddr)> {
        let end = std::time::Instant::now() + patience;
        loop {
            let left = end.checked_duration_since(std::time::Instant::now())?;
            let (bytes, from) = self.receive(left.max(Duration::from_millis(1)))?;
            if let Some(packet) = Packet::parse(&bytes)
                && packet.says(words)
            {
                return Some((packet, from));
            }
        }
    }
}

/// `count` datagrams of random length and content. Half of them begin like STUN, DTLS, RTP or RTCP, so that they get further
/// than the first byte.
pub fn rubbish(count: usize, seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..count).map(move |number| {
        let len = match number % 3 {
            0 => random.random_range(0..16),
            1 => random.random_range(0..200),
            _ => random.random_range(0..1500),
        };
        let mut datagram = vec![0; len];
        random.fill(&mut datagram[..]);
        let beginnings: [&[u8]; 6] = [
            &[0, 1],
            &[1, 1],
            &[22, 254, 253],
            &[0x80, 0],
            &[0x90, 111],
            &[0x81, 200],
        ];
        if let Some(beginning) = beginnings.get(number % 12)
            && let Some(start) = datagram.get_mut(..beginning.len())
        {
            start.copy_from_slice(beginning);
        }
        datagram
    })
}
