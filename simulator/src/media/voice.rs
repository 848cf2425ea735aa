//! Meta's own stream: a tone in Opus or G.711, one SSRC, and telephone-events on request.
//!
//! Events share SSRC, sequence and the 48 kHz timestamps with the audio, but count their duration at 8 kHz, as
//! Meta's guide says of `telephone-event/8000` beside Opus (RFC 4733 §2.3.1 would have both at one rate).

use std::collections::VecDeque;

use opus::{Application, Bandwidth, Bitrate, Channels, Encoder};

use crate::media::config::VoiceConfig;
use crate::media::g711;
use crate::media::rtp::{RtpPacket, TelephoneEvent};
use crate::media::tone::{FRAME, SAMPLE_RATE, Tone};
use crate::sdp::{Codec, PayloadTypes};

/// A digit is held for so many packets of 20 ms.
const EVENT_PACKETS: u16 = 5;
/// RFC 4733 §2.5.1.4: the end is sent three times.
const EVENT_ENDS: u32 = 3;
/// Audio between two digits, in packets.
const EVENT_PAUSE: u32 = 3;
/// Event duration of one packet: 20 ms at 8 kHz.
const EVENT_STEP: u16 = 160;
/// Digits that may wait; more are not kept.
const DIGITS: usize = 64;

/// The speaking side of Meta's user.
#[derive(Debug)]
pub(crate) struct Voice {
    config: VoiceConfig,
    encoder: Encoder,
    tone: Tone,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    payload_types: PayloadTypes,
    has_spoken: bool,
    digits: VecDeque<u8>,
    playing: Option<Playing>,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) digits_sent: u64,
}

/// The digit being played.
#[derive(Clone, Copy, Debug)]
struct Playing {
    event: u8,
    started: u32,
    packets: u16,
    pause: Option<u32>,
}

impl Voice {
    pub(crate) fn new(
        config: VoiceConfig,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        payload_types: PayloadTypes,
    ) -> opus::Result<Self> {
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(20_000))?;
        encoder.set_max_bandwidth(Bandwidth::Wideband)?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(5)?;
        // Below five the encoder leaves out forward error correction; above it only costs benches time.
        encoder.set_complexity(5)?;
        Ok(Self {
            config,
            encoder,
            tone: Tone::default(),
            ssrc,
            sequence,
            timestamp,
            payload_types,
            has_spoken: false,
            digits: VecDeque::new(),
            playing: None,
            packets: 0,
            octets: 0,
            digits_sent: 0,
        })
    }

    /// The numbers the business gave, to which it wants to be sent.
    pub(crate) fn set_payload_types(&mut self, payload_types: PayloadTypes) {
        self.payload_types = payload_types;
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of the next audio packet, for sender reports.
    pub(crate) fn timestamp(&self) -> u32 {
        self.timestamp
    }

    pub(crate) fn send_digits(&mut self, digits: &str) {
        let numbers = digits.chars().filter_map(TelephoneEvent::number_of);
        let room = DIGITS - self.digits.len();
        self.digits.extend(numbers.take(room));
    }

    pub(crate) fn is_playing_digits(&self) -> bool {
        self.playing.is_some() || !self.digits.is_empty()
    }

    /// What is sent in the next 20 ms: one packet, or the three ends of an event at once.
    pub(crate) fn next_packets(&mut self) -> Vec<Vec<u8>> {
        let packets = match self.next_event() {
            Some(events) => events,
            None => vec![self.next_audio()],
        };
        // The clock goes on under events too (RFC 4733 §2.5.1.2).
        self.timestamp = self
            .timestamp
            .wrapping_add(self.config.codec.samples_per_packet());
        packets
    }

    fn next_event(&mut self) -> Option<Vec<Vec<u8>>> {
        if self.playing.is_none() {
            let event = self.digits.pop_front()?;
            self.playing = Some(Playing {
                event,
                started: self.timestamp,
                packets: 0,
                pause: None,
            });
        }
        let mut playing = self.playing?;
        if let Some(pause) = playing.pause {
            playing.pause = Some(pause.saturating_sub(1));
            self.playing = (pause > 1).then_some(playing);
            return None;
        }
        playing.packets += 1;
        let is_end = playing.packets == EVENT_PACKETS;
        let payload = TelephoneEvent {
            event: playing.event,
            is_end,
            duration: playing.packets * EVENT_STEP,
        }
        .to_payload();
        if is_end {
            playing.pause = Some(EVENT_PAUSE);
            self.digits_sent += 1;
        }
        self.playing = Some(playing);
        let number = self.payload_types.telephone_event;
        let copies = if is_end { EVENT_ENDS } else { 1 };
        let has_marker = playing.packets == 1;
        Some(
            (0..copies)
                .map(|_| self.packet(number, has_marker, playing.started, &payload))
                .collect(),
        )
    }

    fn next_audio(&mut self) -> Vec<u8> {
        let mut frame = [0; FRAME];
        self.tone
            .fill(self.config.tone_hz, self.config.amplitude, &mut frame);
        let codec = self.config.codec;
        let payload = match codec {
            // An encoder that fails leaves one frame without audio, which a decoder conceals.
            Codec::Opus => self.encoder.encode_vec(&frame, 400).unwrap_or_default(),
            Codec::Pcmu | Codec::Pcma => g711::encode(codec, &frame),
        };
        let number = self
            .payload_types
            .number_of(codec)
            .unwrap_or(self.payload_types.opus);
        let has_marker = !std::mem::replace(&mut self.has_spoken, true);
        let timestamp = self.timestamp;
        self.packet(number, has_marker, timestamp, &payload)
    }

    fn packet(
        &mut self,
        payload_type: u8,
        has_marker: bool,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let packet = RtpPacket {
            payload_type,
            has_marker,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            payload,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload.len() as u64;
        packet.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::share_of;

    fn voice(codec: Codec) -> Voice {
        let config = VoiceConfig {
            codec,
            ..VoiceConfig::default()
        };
        Voice::new(
            config,
            1,
            65_530,
            1000,
            PayloadTypes::of_meta(&[Codec::Pcmu]),
        )
        .expect("an encoder")
    }

    #[test]
    fn opus_is_twenty_milliseconds_at_twenty_kilobits_in_mono_and_holds_the_tone() {
        let mut voice = voice(Codec::Opus);
        let mut decoder = opus::Decoder::new(SAMPLE_RATE, Channels::Mono).expect("a decoder");
        let mut octets = 0;
        for number in 0..50u32 {
            let packets = voice.next_packets();
            let packet = RtpPacket::parse(&packets[0]).expect("a packet");
            assert_eq!(packet.payload_type, 111);
            assert_eq!(packet.has_marker, number == 0);
            assert_eq!(packet.timestamp, 1000 + 960 * number);
            assert_eq!(
                opus::packet::get_nb_samples(packet.payload, 48_000).ok(),
                Some(960)
            );
            assert_eq!(
                opus::packet::get_nb_channels(packet.payload).ok(),
                Some(Channels::Mono)
            );
            octets += packet.payload.len();
            let mut frame = [0; FRAME];
            assert_eq!(
                decoder.decode(packet.payload, &mut frame, false).ok(),
                Some(FRAME)
            );
            if number > 5 {
                assert!(share_of(700.0, &frame) > 0.8);
            }
        }
        assert!(
            (1500..=2750).contains(&octets),
            "{octets} octets in one second"
        );
    }

    #[test]
    fn an_event_has_timestamps_of_48_khz_and_durations_of_8_khz() {
        let mut voice = voice(Codec::Opus);
        voice.next_packets();
        voice.send_digits("5");
        let mut events = Vec::new();
        while voice.is_playing_digits() {
            for packet in voice.next_packets() {
                let packet = RtpPacket::parse(&packet).expect("a packet");
                if packet.payload_type == 126 {
                    let event = TelephoneEvent::parse(packet.payload).expect("an event");
                    events.push((
                        packet.timestamp,
                        event.duration,
                        event.is_end,
                        packet.has_marker,
                    ));
                }
            }
        }
        let at = 1960;
        assert_eq!(
            events,
            [
                (at, 160, false, true),
                (at, 320, false, false),
                (at, 480, false, false),
                (at, 640, false, false),
                (at, 800, true, false),
                (at, 800, true, false),
                (at, 800, true, false),
            ]
        );
        // Audio takes up where the clock has gone: one packet before, five of the event, three of the pause.
        let packets = voice.next_packets();
        let next = RtpPacket::parse(&packets[0]).expect("a packet");
        assert_eq!(next.timestamp, 1000 + 960 * 9);
    }

    #[test]
    fn g711_has_its_own_clock() {
        let mut voice = voice(Codec::Pcmu);
        let timestamps: Vec<u32> = (0..3)
            .map(|_| {
                RtpPacket::parse(&voice.next_packets()[0])
                    .expect("a packet")
                    .timestamp
            })
            .collect();
        assert_eq!(timestamps, [1000, 1160, 1320]);
    }
}
