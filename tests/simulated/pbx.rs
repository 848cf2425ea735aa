//! A PBX that speaks a counted prompt in plain RTP and counts what it hears.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use simulator::media::config::Codec;
use simulator::media::prompt::CountedPrompt;

use crate::alaw::Alaw;

const PACKET_TIME: Duration = Duration::from_millis(20);

/// One PBX leg.
#[derive(Debug)]
pub(crate) struct Pbx {
    pub(crate) address: SocketAddr,
    /// Where the relay told it to send.
    pub(crate) relay: Option<SocketAddr>,
    pub(crate) ssrc: u32,
    speaking_at: Option<Instant>,
    spoken: u32,
    sent: u16,
    /// Audio packets heard, and the sources they came from.
    pub(crate) heard: u64,
    pub(crate) heard_ssrcs: Vec<u32>,
    pub(crate) heard_events: u64,
    /// It knows A-law alone, and this is what it says and hears in it.
    pub(crate) alaw: Option<Alaw>,
}

impl Pbx {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            relay: None,
            ssrc: 0x0050_b0b0,
            speaking_at: None,
            spoken: 0,
            sent: 0,
            heard: 0,
            heard_ssrcs: Vec::new(),
            heard_events: 0,
            alaw: None,
        }
    }

    pub(crate) fn sdp(&self, direction: &str) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        if self.alaw.is_some() {
            return format!(
                "v=0\r\no=pbx 7 {port} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {}a={direction}\r\n",
                Alaw::sdp_lines()
            );
        }
        format!(
            "v=0\r\no=pbx 7 {port} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 96 101\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na={direction}\r\n"
        )
    }

    pub(crate) fn speak_from(&mut self, at: Instant) {
        self.speaking_at = Some(at);
    }

    pub(crate) fn fall_silent(&mut self) {
        self.speaking_at = None;
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.speaking_at.filter(|_| self.relay.is_some())
    }

    /// The next packet, when it is due.
    pub(crate) fn speak(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        let (relay, due) = (self.relay?, self.speaking_at?);
        if now < due {
            return None;
        }
        self.speaking_at = Some(due + PACKET_TIME);
        let (payload_type, timestamp, payload) = match &mut self.alaw {
            Some(alaw) => alaw.speak(),
            None => {
                let payload = CountedPrompt::payload(Codec::Opus, self.spoken);
                (96, self.spoken * 960, payload)
            }
        };
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sent.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.spoken += 1;
        self.sent = self.sent.wrapping_add(1);
        Some((relay, packet))
    }

    pub(crate) fn hear(&mut self, packet: &[u8]) {
        let is_rtcp = packet
            .get(1)
            .is_some_and(|second| (192..=223).contains(second));
        if packet.len() < 12 || is_rtcp {
            return;
        }
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        match (packet[1] & 0x7f, &mut self.alaw) {
            (8, Some(alaw)) => alaw.hear(timestamp, &packet[12..]),
            (101, Some(alaw)) => alaw.hear_event(timestamp, &packet[12..]),
            (96, None) => self.heard += 1,
            (101, None) => self.heard_events += 1,
            (other, _) => panic!("payload type {other} was never offered to the PBX"),
        }
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        if !self.heard_ssrcs.contains(&ssrc) {
            self.heard_ssrcs.push(ssrc);
        }
    }
}
