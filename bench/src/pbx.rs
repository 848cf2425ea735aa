//! The PBX side of many calls on one socket: plain RTP, 50 packets a second a call, each payload a numbered piece of a prompt.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use simulator::media::prompt::CountedPrompt;

const PACKET_TIME: Duration = Duration::from_millis(20);

/// All PBX legs of a run.
#[derive(Debug)]
pub(crate) struct Pbx {
    socket: UdpSocket,
    address: SocketAddr,
    calls: Vec<Speaker>,
    by_source: HashMap<SocketAddr, usize>,
    received: u64,
}

#[derive(Debug)]
struct Speaker {
    relay: SocketAddr,
    payload_type: u8,
    clock_hz: u32,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    next_at: Instant,
    prompt: CountedPrompt,
    heard: u64,
}

impl Pbx {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = crate::bank::wide_socket()?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            calls: Vec::new(),
            by_source: HashMap::new(),
            received: 0,
        })
    }

    /// What the PBX offers or answers: Opus and key presses, or PCMA.
    pub(crate) fn sdp(&self, opus: bool) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let formats = if opus {
            "111 126\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:126 telephone-event/8000"
        } else {
            "8\r\na=rtpmap:8 PCMA/8000"
        };
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\na=sendrecv\r\na=ptime:20\r\n"
        )
    }

    /// A leg begins to speak at `at` to the relay's port; returns its number.
    pub(crate) fn speak(&mut self, relay: SocketAddr, opus: bool, at: Instant) -> usize {
        let number = self.calls.len();
        self.by_source.insert(relay, number);
        self.calls.push(Speaker {
            relay,
            payload_type: if opus { 111 } else { 8 },
            clock_hz: if opus { 48_000 } else { 8_000 },
            ssrc: 0x5000_0000 + number as u32,
            sequence: 1,
            timestamp: 0,
            next_at: at,
            prompt: CountedPrompt::new(),
            heard: 0,
        });
        number
    }

    /// Packets that arrived at any leg.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Packets that arrived at one leg.
    pub(crate) fn heard(&self, number: usize) -> u64 {
        self.calls[number].heard
    }

    /// Sends what is due and takes in what has arrived; gives the number of packets sent.
    pub(crate) fn pump(&mut self, now: Instant) -> u64 {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            // RTCP shares nothing with the count of media packets (RFC 5761 §4).
            if length >= 12 && !(192..=223).contains(&buffer[1]) {
                self.received += 1;
                if let Some(&number) = self.by_source.get(&source) {
                    self.calls[number].heard += 1;
                }
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
        let mut packet = vec![0x80, self.payload_type];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        if self.payload_type == 8 {
            packet.resize(12 + 160, 0x2a);
        } else {
            packet.extend_from_slice(&self.prompt.next_payload());
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.clock_hz / 50);
        self.next_at += PACKET_TIME;
        packet
    }
}
