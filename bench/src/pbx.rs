//! The PBX side of many calls on one socket: plain RTP, 50 packets a second a call, each payload a numbered piece of a prompt that
//! ends with the time at which it was sent.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use simulator::media::config::Codec;
use simulator::media::prompt::CountedPrompt;

/// The upper bits of a time in a payload: what others send does not end so.
const STAMPED: u64 = 0x7469_0000_0000_0000;
const PACKET_TIME: Duration = Duration::from_millis(20);

/// All PBX legs of a run.
#[derive(Debug)]
pub(crate) struct Pbx {
    socket: UdpSocket,
    address: SocketAddr,
    calls: Vec<Speaker>,
    /// What times count from.
    epoch: Instant,
    heard: Heard,
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Packets of media.
    pub(crate) packets: u64,
    /// Those among them that say something else than was said.
    pub(crate) broken: u64,
    /// How long packets of other PBX legs were under way, in microseconds.
    pub(crate) delays_us: Vec<u32>,
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
    /// Legs on this address, whose times count from now: those of others, too, if they are [`Self::beside`] these.
    pub(crate) fn new(ip: Ipv4Addr) -> io::Result<Self> {
        let socket = crate::bank::wide_socket(ip)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            calls: Vec::new(),
            epoch: Instant::now(),
            heard: Heard::default(),
        })
    }

    /// More legs on the same address.
    pub(crate) fn beside(&self) -> io::Result<Self> {
        let IpAddr::V4(ip) = self.address.ip() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        Ok(Self {
            epoch: self.epoch,
            ..Self::new(ip)?
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

    /// What has arrived at any leg since this was last asked.
    pub(crate) fn take_heard(&mut self) -> Heard {
        std::mem::take(&mut self.heard)
    }

    /// Sends what is due and takes in what has arrived; gives the number of packets sent.
    pub(crate) fn pump(&mut self, now: Instant) -> u64 {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            // RTCP shares nothing with the count of media packets (RFC 5761 §4).
            if length >= 12 && !(192..=223).contains(&buffer[1]) {
                let arrived = self.epoch.elapsed();
                self.heard
                    .note(buffer[1] & 0x7f, &buffer[12..length], arrived);
            }
        }
        let mut sent = 0;
        for speaker in &mut self.calls {
            while speaker.next_at <= now {
                let packet = speaker.next_packet(self.epoch);
                sent += u64::from(self.socket.send_to(&packet, speaker.relay).is_ok());
            }
        }
        sent
    }
}

impl Heard {
    /// Packets of other PBX legs that say what was said.
    pub(crate) fn intact(&self) -> u64 {
        (self.delays_us.len() as u64).saturating_sub(self.broken)
    }

    fn note(&mut self, payload_type: u8, payload: &[u8], arrived: Duration) {
        let codec = match payload_type {
            111 => Codec::Opus,
            0 => Codec::Pcmu,
            _ => Codec::Pcma,
        };
        self.packets += 1;
        let stamp = payload.last_chunk().map(|end| u64::from_be_bytes(*end));
        if let Some(stamp) = stamp.filter(|stamp| stamp >> 48 == STAMPED >> 48) {
            self.broken += u64::from(CountedPrompt::read(codec, payload).is_none());
            let delay = (arrived.as_micros() as u64).saturating_sub(stamp ^ STAMPED);
            self.delays_us
                .push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
    }
}

impl Speaker {
    fn next_packet(&mut self, epoch: Instant) -> Vec<u8> {
        let (payload_type, ticks) = match self.codec {
            Codec::Opus => (111, 960),
            Codec::Pcmu => (0, 160),
            Codec::Pcma => (8, 160),
        };
        let mut packet = vec![0x80, payload_type];
        packet.extend((self.spoken as u16).to_be_bytes());
        packet.extend(self.spoken.wrapping_mul(ticks).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        let mut payload = CountedPrompt::payload(self.codec, self.spoken);
        if let Some(end) = payload.last_chunk_mut() {
            *end = (epoch.elapsed().as_micros() as u64 | STAMPED).to_be_bytes();
        }
        packet.extend(payload);
        self.spoken += 1;
        self.next_at += PACKET_TIME;
        packet
    }
}
