//! The PBX side of many calls on one socket: plain RTP, 50 packets a second a call, each payload a numbered piece of a prompt.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use simulator::media::config::Codec;
use simulator::media::prompt::CountedPrompt;

const PACKET_TIME: Duration = Duration::from_millis(20);

/// All PBX legs of a run.
#[derive(Debug)]
pub(crate) struct Pbx {
    socket: UdpSocket,
    address: SocketAddr,
    calls: Vec<Speaker>,
    received: u64,
}

#[derive(Debug)]
struct Speaker {
    relay: SocketAddr,
    codec: Codec,
    ssrc: u32,
    spoken: u32,
    next_at: Instant,
}

impl Pbx {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = crate::bank::wide_socket()?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            calls: Vec::new(),
            received: 0,
        })
    }

    /// What the PBX offers or answers: Opus, both laws of G.711, and key presses.
    pub(crate) fn sdp(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 111 0 8 126\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:126 telephone-event/8000\r\na=sendrecv\r\na=ptime:20\r\n"
        )
    }

    /// A leg begins to speak at `at` to the relay's port.
    pub(crate) fn speak(&mut self, relay: SocketAddr, codec: Codec, at: Instant) {
        let number = self.calls.len() as u32;
        self.calls.push(Speaker {
            relay,
            codec,
            ssrc: 0x5000_0000 + number,
            spoken: 0,
            next_at: at,
        });
    }

    /// Packets that arrived at any leg.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Sends what is due and takes in what has arrived; gives the number of packets sent.
    pub(crate) fn pump(&mut self, now: Instant) -> u64 {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            // RTCP shares nothing with the count of media packets (RFC 5761 §4).
            if length >= 12 && !(192..=223).contains(&buffer[1]) {
                self.received += 1;
            }
        }
        let mut sent = 0;
        for speaker in &mut self.calls {
            while speaker.next_at <= now {
                let packet = speaker.next_packet();
                sent += u64::from(self.socket.send_to(&packet, speaker.relay).is_ok());
            }
        }
        sent
    }
}

impl Speaker {
    fn next_packet(&mut self) -> Vec<u8> {
        let (payload_type, ticks) = match self.codec {
            Codec::Opus => (111, 960),
            Codec::Pcmu => (0, 160),
            Codec::Pcma => (8, 160),
        };
        let mut packet = vec![0x80, payload_type];
        packet.extend((self.spoken as u16).to_be_bytes());
        packet.extend(self.spoken.wrapping_mul(ticks).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(CountedPrompt::payload(self.codec, self.spoken));
        self.spoken += 1;
        self.next_at += PACKET_TIME;
        packet
    }
}
