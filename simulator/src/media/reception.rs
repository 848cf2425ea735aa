//! Listening to the business: is it one steady stream of 20 ms frames, and is the right thing in it?
//!
//! Loss is counted as in RFC 3550 appendix A.1 and A.3, from extended sequence numbers. Audio is decoded as it
//! arrives; there is no jitter buffer, because what is measured is the network side of the ear.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opus::{Channels, Decoder};

use crate::media::config::Expectation;
use crate::media::g711;
use crate::media::prompt::{CountedPrompt, PromptKind, PromptTally, SteppedPrompt};
use crate::media::report::ReceivedReport;
use crate::media::rtp::RtpPacket;
use crate::media::tone::{self, FRAME, SAMPLE_RATE};
use crate::media::violations::Violations;
use crate::sdp::{Codec, PayloadTypes};

/// A pause longer than this can be heard.
const GAP: Duration = Duration::from_millis(60);
/// The share of energy from which a frame counts as the expected tone.
const TONE_SHARE: f64 = 0.5;
/// A tone has to last this long to be found.
const TONE_MS: f64 = 100.0;
/// Sequence numbers remembered to know duplicates by.
const REMEMBERED: u64 = 1000;
/// Other SSRCs remembered by name.
const OTHERS: usize = 16;
/// The longest Opus packet, 120 ms at our rate.
const LONGEST: usize = 6 * FRAME;

/// The ear of Meta's user.
#[derive(Debug)]
pub(crate) struct Listener {
    expectation: Expectation,
    decoder: Decoder,
    stream: Option<Stream>,
    others: BTreeSet<u32>,
    prompt: Option<PromptTally>,
    payload_types: BTreeMap<u8, u64>,
    frame_lengths: BTreeMap<u32, u64>,
    report: ReceivedReport,
    /// The timestamp of the newest telephone-event.
    last_key_at: Option<u32>,
}

/// The first stream, which is the only one that is heard.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    /// Extended sequence numbers: the first and the highest.
    base: u64,
    highest: u64,
    seen: BTreeSet<u64>,
    last_arrival: Instant,
    /// Sequence and timestamp of the last audio packet.
    last_audio: Option<(u64, u32)>,
}

impl Stream {
    fn new(now: Instant, packet: &RtpPacket<'_>) -> Self {
        // One cycle of head room, so that a packet before the first has a number too.
        let base = (1 << 16) + u64::from(packet.sequence);
        Self {
            ssrc: packet.ssrc,
            base,
            highest: base,
            seen: BTreeSet::new(),
            last_arrival: now,
            last_audio: None,
        }
    }

    /// RFC 3550 appendix A.1: the number nearest to the highest so far.
    fn extend(&self, sequence: u16) -> u64 {
        let distance = i64::from(sequence.wrapping_sub(self.highest as u16) as i16);
        self.highest.saturating_add_signed(distance)
    }
}

impl Listener {
    pub(crate) fn new(expectation: Expectation) -> opus::Result<Self> {
        let prompt = match expectation {
            Expectation::CountedPrompt => Some(PromptTally::new(PromptKind::Counted)),
            Expectation::SteppedPrompt => Some(PromptTally::new(PromptKind::Stepped)),
            Expectation::Nothing | Expectation::Tone(_) => None,
        };
        Ok(Self {
            expectation,
            decoder: Decoder::new(SAMPLE_RATE, Channels::Mono)?,
            stream: None,
            others: BTreeSet::new(),
            prompt,
            payload_types: BTreeMap::new(),
            frame_lengths: BTreeMap::new(),
            report: ReceivedReport::default(),
            last_key_at: None,
        })
    }

    pub(crate) fn prompt_started(&mut self, at: Instant) {
        if let Some(prompt) = &mut self.prompt {
            prompt.started(at);
        }
    }

    /// The stream heard, its highest extended sequence number and its loss, for reports to the sender.
    pub(crate) fn reception(&self) -> Option<(u32, u32, u32)> {
        let stream = self.stream.as_ref()?;
        Some((
            stream.ssrc,
            (stream.highest - (1 << 16)) as u32,
            self.lost() as u32,
        ))
    }

    fn lost(&self) -> u64 {
        self.stream.as_ref().map_or(0, |stream| {
            (stream.highest - stream.base + 1).saturating_sub(self.report.packets)
        })
    }

    /// What the business said over RTCP is kept beside what it said over RTP.
    pub(crate) fn handle_rtcp(&mut self, heard: &crate::media::rtcp::Heard) {
        self.report.rtcp_packets += 1;
        self.report.sender_reports += heard.sender_reports;
        self.report.receiver_reports += heard.receiver_reports;
        self.report.rtcp_byes += heard.byes;
        if heard.cname.is_some() {
            self.report.cname.clone_from(&heard.cname);
        }
        if heard.loss.is_some() {
            self.report.reported_loss_of_ours = heard.loss;
        }
    }

    /// An authentic packet.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        payload_types: &PayloadTypes,
        violations: &mut Violations,
    ) {
        let stream = self.stream.get_or_insert_with(|| Stream::new(now, packet));
        if packet.ssrc != stream.ssrc {
            if self.others.len() < OTHERS && self.others.insert(packet.ssrc) {
                self.report.ssrc_changes += 1;
                violations.note(format!(
                    "second SSRC {:#010x} from the business",
                    packet.ssrc
                ));
            }
            return;
        }

        let number = stream.extend(packet.sequence);
        if !stream.seen.insert(number) {
            self.report.duplicates += 1;
            return;
        }
        let oldest = stream.highest.saturating_sub(REMEMBERED);
        stream.seen.retain(|seen| *seen >= oldest);
        let is_in_order = number >= stream.highest;
        stream.base = stream.base.min(number);
        stream.highest = stream.highest.max(number);
        let pause = now.saturating_duration_since(stream.last_arrival);
        stream.last_arrival = now;

        let report = &mut self.report;
        report.packets += 1;
        report.octets += packet.payload.len() as u64;
        report.reordered += u64::from(!is_in_order);
        report.gaps += u64::from(pause > GAP);
        report.longest_gap_ms = report.longest_gap_ms.max(pause.as_secs_f64() * 1000.0);
        let octets = packet.payload.len() as u64;
        report.payload_octets_max = report.payload_octets_max.max(octets);
        report.payload_octets_min = match report.packets {
            1 => octets,
            _ => report.payload_octets_min.min(octets),
        };
        *self.payload_types.entry(packet.payload_type).or_default() += 1;

        if packet.payload_type == payload_types.telephone_event {
            self.report.telephone_events += 1;
            self.note_key(packet);
        } else if let Some(codec) = payload_types.codec_of(packet.payload_type) {
            self.handle_audio(now, number, is_in_order, packet, codec, violations);
        } else {
            violations.note(format!(
                "payload type {} was not agreed",
                packet.payload_type
            ));
        }
    }

    /// All packets of one event carry its timestamp (RFC 4733 §2.5.1.2).
    fn note_key(&mut self, packet: &RtpPacket<'_>) {
        const KEYS: &[u8; 16] = b"0123456789*#ABCD";
        let event = packet.payload.first();
        let Some(&key) = event.and_then(|&event| KEYS.get(usize::from(event))) else {
            return;
        };
        if self.last_key_at.replace(packet.timestamp) != Some(packet.timestamp) {
            self.report.keys.push(key.into());
        }
    }

    fn handle_audio(
        &mut self,
        now: Instant,
        number: u64,
        is_in_order: bool,
        packet: &RtpPacket<'_>,
        codec: Codec,
        violations: &mut Violations,
    ) {
        let length_ms = match frame_length_ms(codec, packet.payload) {
            Some(length_ms) => length_ms,
            None => {
                self.report.undecodable_packets += 1;
                violations.note("a packet holds no Opus that can be read");
                return;
            }
        };
        *self.frame_lengths.entry(length_ms).or_default() += 1;
        if length_ms != 20 {
            violations.note(format!("a packet holds {length_ms} ms of audio, not 20"));
        }
        self.follow_timestamps(number, is_in_order, packet.timestamp, codec);
        if let Some(number) = CountedPrompt::read(codec, packet.payload)
            && let Some(prompt) = self
                .prompt
                .as_mut()
                .filter(|prompt| prompt.kind() == PromptKind::Counted)
        {
            prompt.number(now, number);
            return;
        }
        // A late packet would be played out of turn; the ear has gone on.
        if is_in_order {
            self.hear(now, codec, packet.payload);
        }
    }

    /// Timestamps run with the sequence numbers as long as packets have one length; anything else is a jump.
    fn follow_timestamps(&mut self, number: u64, is_in_order: bool, timestamp: u32, codec: Codec) {
        let Some(stream) = self.stream.as_mut().filter(|_| is_in_order) else {
            return;
        };
        if let Some((last_number, last_timestamp)) = stream.last_audio {
            let expected = ((number - last_number) as u32).wrapping_mul(codec.samples_per_packet());
            if timestamp.wrapping_sub(last_timestamp) != expected {
                self.report.timestamp_jumps += 1;
            }
        }
        stream.last_audio = Some((number, timestamp));
    }

    fn hear(&mut self, now: Instant, codec: Codec, payload: &[u8]) {
        let samples = match codec {
            Codec::Opus => {
                let mut samples = vec![0; LONGEST];
                match self.decoder.decode(payload, &mut samples, false) {
                    Ok(length) => samples.truncate(length),
                    Err(_) => {
                        self.report.undecodable_packets += 1;
                        return;
                    }
                }
                samples
            }
            Codec::Pcmu | Codec::Pcma => g711::decode(codec, payload),
        };
        for frame in samples.chunks(FRAME) {
            self.listen_to(now, frame);
        }
    }

    fn listen_to(&mut self, now: Instant, frame: &[i16]) {
        let length_ms = frame.len() as f64 * 1000.0 / f64::from(SAMPLE_RATE);
        self.report.audio_ms += length_ms;
        if tone::loudness(frame) < tone::SILENCE {
            self.report.silence_ms += length_ms;
            return;
        }
        match self.expectation {
            Expectation::Tone(hertz) if tone::share_of(hertz, frame) > TONE_SHARE => {
                self.report.tone_ms += length_ms
            }
            Expectation::SteppedPrompt => {
                if let Some((prompt, step)) = self.prompt.as_mut().zip(SteppedPrompt::read(frame)) {
                    prompt.step(now, step);
                }
            }
            Expectation::Nothing | Expectation::Tone(_) | Expectation::CountedPrompt => {}
        }
    }

    pub(crate) fn report(&self) -> ReceivedReport {
        ReceivedReport {
            lost: self.lost(),
            ssrc: self
                .stream
                .as_ref()
                .map(|stream| format!("{:#010x}", stream.ssrc)),
            payload_types: self
                .payload_types
                .iter()
                .map(|(pt, count)| (*pt, *count))
                .collect(),
            ptime_ms: self
                .frame_lengths
                .iter()
                .max_by_key(|(_, count)| **count)
                .map(|(length, _)| f64::from(*length)),
            is_tone_found: self.report.tone_ms >= TONE_MS,
            prompt: self.prompt.as_ref().map(PromptTally::report),
            ..self.report.clone()
        }
    }
}

fn frame_length_ms(codec: Codec, payload: &[u8]) -> Option<u32> {
    match codec {
        Codec::Opus => {
            let samples = opus::packet::get_nb_samples(payload, 48_000).ok()?;
            u32::try_from(samples / 48)
                .ok()
                .filter(|length| *length > 0)
        }
        Codec::Pcmu | Codec::Pcma => u32::try_from(payload.len() / 8)
            .ok()
            .filter(|length| *length > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::config::VoiceConfig;
    use crate::media::voice::Voice;
    use crate::testing::epoch;

    struct Scene {
        listener: Listener,
        violations: Violations,
        payload_types: PayloadTypes,
        now: Instant,
    }

    fn scene(expectation: Expectation) -> Scene {
        Scene {
            listener: Listener::new(expectation).expect("a decoder"),
            violations: Violations::default(),
            payload_types: PayloadTypes::of_meta(&[Codec::Pcmu]),
            now: epoch(),
        }
    }

    impl Scene {
        fn hear(&mut self, packet: &RtpPacket<'_>) {
            self.listener
                .handle(self.now, packet, &self.payload_types, &mut self.violations);
        }

        fn hear_number(&mut self, sequence: u16) {
            let payload = CountedPrompt::payload(Codec::Opus, u32::from(sequence));
            self.hear(&RtpPacket {
                payload_type: 111,
                has_marker: false,
                sequence,
                timestamp: u32::from(sequence).wrapping_mul(960),
                ssrc: 1,
                payload: &payload,
            });
        }
    }

    #[test]
    fn loss_reordering_and_repetition_are_told_apart() {
        let mut scene = scene(Expectation::Nothing);
        for sequence in [100, 101, 103, 102, 103, 106] {
            scene.hear_number(sequence);
            scene.now += Duration::from_millis(20);
        }
        let report = scene.listener.report();
        assert_eq!((report.packets, report.lost), (5, 2));
        assert_eq!((report.reordered, report.duplicates), (1, 1));
        assert_eq!(report.timestamp_jumps, 0);
    }

    #[test]
    fn sequence_numbers_run_over() {
        let mut scene = scene(Expectation::Nothing);
        for sequence in [65_534, 65_535, 0, 1] {
            scene.hear_number(sequence);
        }
        assert_eq!(scene.listener.report().lost, 0);
    }

    #[test]
    fn a_pause_is_a_gap() {
        let mut scene = scene(Expectation::Nothing);
        scene.hear_number(1);
        scene.now += Duration::from_millis(60);
        scene.hear_number(2);
        scene.now += Duration::from_millis(150);
        scene.hear_number(3);
        let report = scene.listener.report();
        assert_eq!((report.gaps, report.longest_gap_ms), (1, 150.0));
    }

    #[test]
    fn a_second_ssrc_is_a_violation_in_words() {
        let mut scene = scene(Expectation::Nothing);
        scene.hear_number(1);
        let payload = CountedPrompt::payload(Codec::Opus, 2);
        scene.hear(&RtpPacket {
            payload_type: 111,
            has_marker: false,
            sequence: 2,
            timestamp: 0,
            ssrc: 0xbeef,
            payload: &payload,
        });
        assert_eq!(
            scene.violations.texts(),
            ["second SSRC 0x0000beef from the business"]
        );
        assert_eq!(scene.listener.report().ssrc_changes, 1);
    }

    #[test]
    fn frames_of_another_length_and_unknown_payload_types_are_violations() {
        let mut scene = scene(Expectation::Nothing);
        let mut packet = RtpPacket {
            payload_type: 0,
            has_marker: false,
            sequence: 1,
            timestamp: 0,
            ssrc: 1,
            payload: &[0xff; 240],
        };
        scene.hear(&packet);
        packet.sequence = 2;
        packet.payload_type = 96;
        scene.hear(&packet);
        assert_eq!(
            scene.violations.texts(),
            [
                "a packet holds 30 ms of audio, not 20",
                "payload type 96 was not agreed"
            ]
        );
    }

    #[test]
    fn the_expected_tone_is_found_and_another_is_not() {
        for (spoken, is_found) in [(700.0, true), (1000.0, false)] {
            let mut scene = scene(Expectation::Tone(700.0));
            let config = VoiceConfig {
                tone_hz: spoken,
                ..VoiceConfig::default()
            };
            let mut voice =
                Voice::new(config, 1, 1, 1, scene.payload_types.clone()).expect("an encoder");
            for _ in 0..20 {
                for packet in voice.next_packets() {
                    scene.hear(&RtpPacket::parse(&packet).expect("a packet"));
                }
                scene.now += Duration::from_millis(20);
            }
            let report = scene.listener.report();
            assert_eq!(report.is_tone_found, is_found, "{report:?}");
            assert_eq!((report.audio_ms, report.ptime_ms), (400.0, Some(20.0)));
        }
    }

    #[test]
    fn a_stepped_prompt_survives_opus() {
        let mut scene = scene(Expectation::SteppedPrompt);
        scene.listener.prompt_started(scene.now);
        let mut encoder = opus::Encoder::new(SAMPLE_RATE, Channels::Mono, opus::Application::Voip)
            .expect("an encoder");
        encoder
            .set_bitrate(opus::Bitrate::Bits(20_000))
            .expect("a bitrate");
        let mut prompt = SteppedPrompt::default();
        for number in 0..250u16 {
            let payload = encoder
                .encode_vec(&prompt.next_frame(), 400)
                .expect("encoded");
            // The first 400 ms never arrive.
            if number >= 20 {
                scene.hear(&RtpPacket {
                    payload_type: 111,
                    has_marker: false,
                    sequence: number,
                    timestamp: u32::from(number) * 960,
                    ssrc: 1,
                    payload: &payload,
                });
            }
            scene.now += Duration::from_millis(20);
        }
        let prompt = scene.listener.report().prompt.expect("a prompt");
        assert!((380.0..=440.0).contains(&prompt.clipped_ms), "{prompt:?}");
        assert!(
            prompt.lost_ms <= 60.0 && prompt.heard_ms >= 4500.0,
            "{prompt:?}"
        );
    }
}
