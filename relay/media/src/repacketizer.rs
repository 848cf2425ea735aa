//! Bringing packets to another length without decoding them.
//!
//! WhatsApp offers `a=maxptime:20`; a PBX may send 10, 30, 40 or 60 ms. G.711 can be cut anywhere, Opus between its frames
//! (RFC 6716 §3.2). An Opus frame of 40 or 60 ms cannot be cut; it passes as it is.

use std::time::Duration;

use crate::opus_packet::{frame_duration, write_packet};
use crate::{Codec, OpusPacket};

/// What is kept back at most, in case a source never completes a packet: one long packet's worth.
const MAX_PENDING: Duration = Duration::from_millis(120);

/// Joins and cuts the packets of one stream to packets of one length.
#[derive(Debug)]
pub struct Repacketizer {
    codec: Codec,
    clock_hz: u32,
    target: Duration,
    /// Bytes (G.711) or one Opus frame an entry, waiting for a whole packet.
    pending: Vec<Vec<u8>>,
    pending_duration: Duration,
    configuration: u8,
    /// RTP timestamp of the first pending byte.
    timestamp: u32,
}

/// A packet of the wanted length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reframed {
    /// RTP timestamp in the clock of the source.
    pub timestamp: u32,
    pub payload: Vec<u8>,
}

impl Repacketizer {
    /// A repacketizer to packets of `target`; `None` when packets of `codec` cannot be cut or joined.
    pub fn new(codec: Codec, clock_hz: u32, target: Duration) -> Option<Self> {
        let cuttable = matches!(codec, Codec::Opus | Codec::Pcmu | Codec::Pcma);
        (cuttable && !target.is_zero()).then(|| Self {
            codec,
            clock_hz,
            target,
            pending: Vec::new(),
            pending_duration: Duration::ZERO,
            configuration: 0,
            timestamp: 0,
        })
    }

    /// Whether `payload` has the wanted length already and nothing waits in front of it: the common case, for which nothing is copied.
    pub fn passes(&self, payload: &[u8]) -> bool {
        self.pending.is_empty() && self.codec.duration(payload) == Some(self.target)
    }

    /// Takes a packet and appends what it completes to `out`.
    ///
    /// What does not fit together (a gap in the timestamps, another Opus configuration) ends the packet that was being
    /// filled: it leaves short rather than wrong.
    pub fn push(&mut self, timestamp: u32, payload: &[u8], out: &mut Vec<Reframed>) {
        let expected = self
            .timestamp
            .wrapping_add(self.ticks(self.pending_duration));
        if !self.pending.is_empty() && timestamp != expected {
            self.flush(out);
        }
        if self.pending.is_empty() {
            self.timestamp = timestamp;
        }
        match self.codec {
            Codec::Opus => match OpusPacket::parse(payload) {
                Ok(packet) => self.push_opus(&packet, timestamp, out),
                // Nothing is known of it, so nothing may be done to it.
                Err(_) => out.push(Reframed {
                    timestamp,
                    payload: payload.to_vec(),
                }),
            },
            _ => self.push_octets(payload, out),
        }
    }

    fn push_opus(&mut self, packet: &OpusPacket<'_>, timestamp: u32, out: &mut Vec<Reframed>) {
        if packet.configuration() != self.configuration {
            self.flush(out);
            self.configuration = packet.configuration();
            self.timestamp = timestamp;
        }
        for frame in packet.frames() {
            self.pending.push(frame.to_vec());
            self.pending_duration += packet.frame_duration();
            if self.pending_duration >= self.target {
                self.flush(out);
            }
        }
    }

    fn push_octets(&mut self, payload: &[u8], out: &mut Vec<Reframed>) {
        let octets_per_packet = octets(self.target);
        let mut waiting = self.pending.pop().unwrap_or_default();
        waiting.extend_from_slice(&payload[..payload.len().min(octets(MAX_PENDING))]);
        let mut rest = waiting.as_slice();
        while let Some((packet, after)) = rest.split_at_checked(octets_per_packet) {
            out.push(Reframed {
                timestamp: self.timestamp,
                payload: packet.to_vec(),
            });
            self.timestamp = self.timestamp.wrapping_add(self.ticks(self.target));
            rest = after;
        }
        self.pending_duration = Duration::from_micros(125 * rest.len() as u64);
        if !rest.is_empty() {
            self.pending.push(rest.to_vec());
        }
    }

    /// Sends what waits, however short.
    fn flush(&mut self, out: &mut Vec<Reframed>) {
        if self.pending.is_empty() {
            return;
        }
        let mut payload = Vec::new();
        let duration = match self.codec {
            Codec::Opus => {
                write_packet(self.configuration, &self.pending, &mut payload);
                frame_duration(self.configuration)
                    * u32::try_from(self.pending.len()).unwrap_or(u32::MAX)
            }
            _ => {
                payload = self.pending.concat();
                self.pending_duration
            }
        };
        out.push(Reframed {
            timestamp: self.timestamp,
            payload,
        });
        self.timestamp = self.timestamp.wrapping_add(self.ticks(duration));
        self.pending.clear();
        self.pending_duration = Duration::ZERO;
    }

    fn ticks(&self, duration: Duration) -> u32 {
        let ticks = duration.as_micros() * u128::from(self.clock_hz) / 1_000_000;
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// How many octets of G.711 last `duration`.
fn octets(duration: Duration) -> usize {
    usize::try_from(duration.as_micros() / 125).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(20);

    fn run(codec: Codec, clock: u32, packets: &[(u32, Vec<u8>)]) -> Vec<Reframed> {
        let mut repacketizer = Repacketizer::new(codec, clock, TARGET).unwrap();
        let mut out = Vec::new();
        for (timestamp, payload) in packets {
            repacketizer.push(*timestamp, payload, &mut out);
        }
        out
    }

    #[test]
    fn thirty_milliseconds_of_g711_become_twenty() {
        let packets: Vec<_> = (0u32..4).map(|n| (n * 240, vec![n as u8; 240])).collect();
        let out = run(Codec::Pcma, 8_000, &packets);
        assert_eq!(out.len(), 6);
        let timestamps: Vec<_> = out.iter().map(|packet| packet.timestamp).collect();
        assert_eq!(timestamps, [0, 160, 320, 480, 640, 800]);
        let all: Vec<u8> = out.into_iter().flat_map(|packet| packet.payload).collect();
        let sent: Vec<u8> = packets
            .into_iter()
            .flat_map(|(_, payload)| payload)
            .collect();
        assert_eq!(all, sent);
    }

    #[test]
    fn ten_milliseconds_of_opus_are_joined_and_decode_as_before() {
        let mut encoder =
            opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let mut whole = opus::Decoder::new(16_000, opus::Channels::Mono).unwrap();
        let mut joined = opus::Decoder::new(16_000, opus::Channels::Mono).unwrap();
        let mut packets = Vec::new();
        let mut expected = Vec::new();
        for n in 0..20usize {
            let samples: Vec<i16> = (0..160)
                .map(|k| (((n * 160 + k) as f32 * 0.17).sin() * 9000.0) as i16)
                .collect();
            let packet = encoder.encode_vec(&samples, 1275).unwrap();
            let mut decoded = [0i16; 160];
            whole.decode(&packet, &mut decoded, false).unwrap();
            expected.extend_from_slice(&decoded);
            packets.push((n as u32 * 480, packet));
        }
        let out = run(Codec::Opus, 48_000, &packets);
        assert_eq!(out.len(), 10);
        let mut heard = Vec::new();
        for packet in &out {
            assert_eq!(Codec::Opus.duration(&packet.payload), Some(TARGET));
            let mut decoded = [0i16; 320];
            assert_eq!(
                joined.decode(&packet.payload, &mut decoded, false).unwrap(),
                320
            );
            heard.extend_from_slice(&decoded);
        }
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_gap_sends_the_short_packet_rather_than_joining_across_it() {
        let packets = [(0, vec![1; 80]), (320, vec![2; 160])];
        let out = run(Codec::Pcmu, 8_000, &packets);
        assert_eq!(out[0].payload.len(), 80);
        assert_eq!(
            out[1],
            Reframed {
                timestamp: 320,
                payload: vec![2; 160]
            }
        );
    }

    #[test]
    fn a_frame_of_sixty_milliseconds_passes_whole() {
        // Configuration 11: SILK, wide band, 60 ms.
        let packet = vec![11 << 3, 1, 2, 3];
        let out = run(Codec::Opus, 48_000, &[(7, packet.clone())]);
        assert_eq!(
            out,
            [Reframed {
                timestamp: 7,
                payload: packet
            }]
        );
    }

    #[test]
    fn twenty_milliseconds_pass_without_a_copy() {
        let repacketizer = Repacketizer::new(Codec::Pcmu, 8_000, TARGET).unwrap();
        assert!(repacketizer.passes(&[0; 160]));
        assert!(!repacketizer.passes(&[0; 240]));
        assert!(Repacketizer::new(Codec::G722, 8_000, TARGET).is_none());
    }
}
