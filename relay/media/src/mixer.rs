//! Several voices in one stream of packets: a monitor that hears both sides at once, a party that hears its partner and somebody
//! who whispers.
//!
//! Unlike a transcoder a mixer has a clock of its own, because no speaker's is everybody's: whoever owns it asks for a packet
//! each packet time. What a voice says waits a little for its turn: as long as its packets have proved to be late, and no
//! longer. A voice that is missed sounds on for a moment, as lost packets do.

use std::collections::VecDeque;
use std::time::Duration;

use crate::concealment::Concealment;
use crate::{AudioFormat, Codec, Encoder, EncoderSettings, NotTranscodable};

/// A voice that came late is granted so much more from then on.
const STEP: Duration = Duration::from_millis(10);
/// The most that a voice is granted.
const MAX_MARGIN: Duration = Duration::from_millis(100);
/// After so many packets without need, the margin is halved: ten seconds.
const CALM: u32 = 500;
/// A voice that returns within so many packets was late; one that returns later had paused.
const LATE: u32 = 5;
/// What waits beyond the margin is left out in a quiet moment, from here on.
const SPARE: Duration = Duration::from_millis(40);
/// What waits beyond this is left out in any moment: the speaker's clock is fast, or it sent a burst.
const MAX_WAITING: Duration = Duration::from_millis(300);
/// Samples below this are a quiet moment: 40 dB below the loudest.
const QUIET: u16 = 328;
/// What is made up for a missing voice has faded after so long.
const FADED: Duration = Duration::from_millis(60);

/// Mixes voices and encodes the sum.
#[derive(Debug)]
pub struct Mixer {
    encoder: Encoder,
    packet_time: Duration,
    /// Samples of a packet.
    packet: usize,
    voices: Vec<Voice>,
    sum: Vec<i32>,
    samples: Vec<i16>,
}

#[derive(Debug)]
struct Voice {
    speaker: u64,
    waiting: VecDeque<i16>,
    concealment: Concealment,
    /// Samples that are to wait while a packet is played.
    margin: usize,
    speaks: bool,
    /// Packets since it was missed.
    missed_for: u32,
    /// Packets since the margin was last changed.
    calm_for: u32,
}

impl Mixer {
    /// A mixer whose packets are of one format and last about `packet_time_ms`.
    ///
    /// # Errors
    /// When the format cannot be encoded.
    pub fn new(
        format: AudioFormat,
        packet_time_ms: u32,
        settings: &EncoderSettings,
    ) -> Result<Self, NotTranscodable> {
        let refused = NotTranscodable(format.codec, format.clock_hz);
        let rate_hz = format.rate_near(16_000).ok_or(refused)?;
        let packet_time_ms = format.packet_time_ms(packet_time_ms);
        let packet = (rate_hz * packet_time_ms / 1_000) as usize;
        Ok(Self {
            encoder: Encoder::new(format, rate_hz, settings)?,
            packet_time: Duration::from_millis(packet_time_ms.into()),
            packet,
            voices: Vec::new(),
            sum: vec![0; packet],
            samples: Vec::with_capacity(packet),
        })
    }

    /// What voices are to be: linear, at the mixer's rate.
    pub fn linear(&self) -> AudioFormat {
        AudioFormat {
            codec: Codec::L16,
            clock_hz: self.encoder.rate_hz(),
            channels: 1,
        }
    }

    /// How long its packets last.
    pub fn packet_time(&self) -> Duration {
        self.packet_time
    }

    /// A speaker says something.
    pub fn hear(&mut self, speaker: u64, samples: impl IntoIterator<Item = i16>) {
        let rate_hz = self.encoder.rate_hz();
        let known = self.voices.iter().position(|v| v.speaker == speaker);
        let at = known.unwrap_or_else(|| {
            self.voices.push(Voice::new(speaker, rate_hz));
            self.voices.len() - 1
        });
        self.voices[at].hear(samples, rate_hz);
    }

    /// The far end loses so many per cent of what it is sent.
    pub fn expect_loss(&mut self, percent: u8) {
        self.encoder.expect_loss(percent);
    }

    /// Appends the next packet to `payload`.
    pub fn next(&mut self, payload: &mut Vec<u8>) {
        let rate_hz = self.encoder.rate_hz();
        self.sum.fill(0);
        for voice in &mut self.voices {
            self.samples.clear();
            voice.say(self.packet, rate_hz, &mut self.samples);
            for (sum, &sample) in self.sum.iter_mut().zip(&self.samples) {
                *sum += i32::from(sample);
            }
        }
        self.samples.clear();
        let loudest = (i32::from(i16::MIN), i32::from(i16::MAX));
        let clipped = self.sum.iter().map(|sum| sum.clamp(&loudest.0, &loudest.1));
        self.samples.extend(clipped.map(|&sample| sample as i16));
        self.encoder.encode(&self.samples, payload);
    }
}

impl Voice {
    fn new(speaker: u64, rate_hz: u32) -> Self {
        Self {
            speaker,
            waiting: VecDeque::new(),
            concealment: Concealment::new(rate_hz),
            margin: 0,
            speaks: false,
            missed_for: u32::MAX,
            calm_for: 0,
        }
    }

    fn hear(&mut self, samples: impl IntoIterator<Item = i16>, rate_hz: u32) {
        self.waiting.extend(samples);
        let most = count(MAX_WAITING, rate_hz);
        if let Some(surplus) = self.waiting.len().checked_sub(most) {
            self.waiting.drain(..surplus);
        }
        if !self.speaks && self.missed_for <= LATE {
            self.margin = (self.margin + count(STEP, rate_hz)).min(count(MAX_MARGIN, rate_hz));
            self.calm_for = 0;
            // It is late once, however many packets it takes to fill the margin.
            self.missed_for = u32::MAX;
        }
    }

    /// Appends what the voice says in a packet of this many samples: nothing, if it does not speak.
    fn say(&mut self, packet: usize, rate_hz: u32, samples: &mut Vec<i16>) {
        self.missed_for = self.missed_for.saturating_add(1);
        self.calm_for += 1;
        if self.calm_for >= CALM {
            self.margin /= 2;
            self.calm_for = 0;
        }
        self.leave_out(packet, rate_hz);
        self.speaks |= self.waiting.len() >= packet + self.margin;
        if self.speaks {
            let there = packet.min(self.waiting.len());
            samples.extend(self.waiting.drain(..there));
            self.concealment.hear(samples);
            if there < packet {
                self.speaks = false;
                self.missed_for = 0;
            }
        }
        let fading = count(FADED, rate_hz).div_ceil(packet.max(1));
        if !self.speaks && (self.missed_for as usize) <= fading {
            self.concealment.conceal(packet - samples.len(), samples);
        }
    }

    /// Speaks a little faster while too much waits and nobody would notice.
    fn leave_out(&mut self, packet: usize, rate_hz: u32) {
        let enough = packet + self.margin + count(SPARE, rate_hz);
        if !self.speaks || self.waiting.len() < enough + packet {
            return;
        }
        let quiet = self.waiting.iter().take(packet);
        if quiet.clone().all(|sample| sample.unsigned_abs() < QUIET) {
            self.waiting.drain(..packet);
        }
    }
}

fn count(duration: Duration, rate_hz: u32) -> usize {
    (duration.as_millis() * u128::from(rate_hz) / 1_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decoder;

    const PCMA: AudioFormat = AudioFormat {
        codec: Codec::Pcma,
        clock_hz: 8_000,
        channels: 1,
    };
    const FRAME: usize = 160;

    fn tone(hz: f64, start: usize, count: usize) -> Vec<i16> {
        let angle = |n: usize| n as f64 * hz * std::f64::consts::TAU / 8_000.0;
        (start..start + count)
            .map(|n| (6_000.0 * angle(n).sin()) as i16)
            .collect()
    }

    /// The amplitude of a tone in what was mixed.
    fn amplitude(samples: &[i16], hz: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            let angle = n as f64 * hz * std::f64::consts::TAU / 8_000.0;
            re += f64::from(sample) * angle.cos();
            im += f64::from(sample) * angle.sin();
        }
        2.0 * (re * re + im * im).sqrt() / samples.len() as f64
    }

    fn mixer() -> (Mixer, Decoder) {
        let mixer = Mixer::new(PCMA, 20, &EncoderSettings::default()).unwrap();
        (mixer, Decoder::new(PCMA, 8_000).unwrap())
    }

    fn next(mixer: &mut Mixer, decoder: &mut Decoder, heard: &mut Vec<i16>) {
        let mut payload = Vec::new();
        mixer.next(&mut payload);
        assert_eq!(payload.len(), FRAME);
        decoder.decode(&payload, heard).unwrap();
    }

    #[test]
    fn two_voices_are_both_heard_and_silence_where_nobody_speaks() {
        let (mut mixer, mut decoder) = mixer();
        let mut heard = Vec::new();
        next(&mut mixer, &mut decoder, &mut heard);
        assert!(heard.iter().all(|sample| sample.unsigned_abs() < 20));
        heard.clear();
        for n in 0..100 {
            mixer.hear(1, tone(500.0, n * FRAME, FRAME));
            if n < 50 {
                mixer.hear(2, tone(1_200.0, n * FRAME, FRAME));
            }
            next(&mut mixer, &mut decoder, &mut heard);
        }
        let (both, one) = heard.split_at(50 * FRAME);
        for (samples, hz, least, most) in [
            (both, 500.0, 5_800.0, 6_200.0),
            (both, 1_200.0, 5_800.0, 6_200.0),
            (one, 500.0, 5_800.0, 6_200.0),
            (&one[4 * FRAME..], 1_200.0, 0.0, 20.0),
        ] {
            let is = amplitude(samples, hz);
            assert!((least..=most).contains(&is), "{hz}: {is}");
        }
    }

    #[test]
    fn loud_voices_together_are_clipped_and_do_not_turn_around() {
        let (mut mixer, mut decoder) = mixer();
        let mut heard = Vec::new();
        for speaker in 1..=3 {
            mixer.hear(speaker, [30_000; FRAME]);
        }
        next(&mut mixer, &mut decoder, &mut heard);
        assert!(heard.iter().all(|&sample| sample > 30_000), "{heard:?}");
    }

    #[test]
    fn a_voice_that_comes_in_bursts_is_missed_a_few_times_and_then_no_more() {
        let (mut mixer, mut decoder) = mixer();
        let mut heard = Vec::new();
        // Three packets at a time, every 60 ms.
        for n in 0..300 {
            if n % 3 == 0 {
                mixer.hear(1, tone(500.0, n * FRAME, 3 * FRAME));
            }
            // Every now and then the burst is one packet late.
            if n % 30 == 29 {
                next(&mut mixer, &mut decoder, &mut heard);
            }
            next(&mut mixer, &mut decoder, &mut heard);
        }
        assert!(mixer.voices[0].margin <= count(MAX_MARGIN, 8_000));
        assert!(mixer.voices[0].waiting.len() <= count(MAX_WAITING, 8_000));
    }

    #[test]
    fn jitter_is_learned() {
        let (mut mixer, mut decoder) = mixer();
        let mut heard = Vec::new();
        let mut arrived = 0;
        let mut misses = Vec::new();
        for n in 0..500usize {
            // Of five packets the last comes with the first of the next five.
            let due = if n % 5 == 4 { n } else { n + 1 };
            while arrived < due {
                mixer.hear(1, tone(500.0, arrived * FRAME, FRAME));
                arrived += 1;
            }
            let spoke = mixer.voices[0].speaks;
            next(&mut mixer, &mut decoder, &mut heard);
            if spoke && !mixer.voices[0].speaks {
                misses.push(n);
            }
        }
        assert!(!misses.is_empty() && misses.len() <= 3, "{misses:?}");
        let late = &heard[200 * FRAME..];
        let (steepest, allowed) = (
            late.windows(2).map(|w| w[1].abs_diff(w[0])).max().unwrap(),
            5_000,
        );
        assert!(steepest < allowed, "{steepest}");
    }

    #[test]
    fn what_waits_is_bounded_and_a_fast_clock_is_made_good_in_quiet_moments() {
        let (mut mixer, mut decoder) = mixer();
        let mut heard = Vec::new();
        mixer.hear(1, vec![100; 80_000]);
        assert_eq!(mixer.voices[0].waiting.len(), count(MAX_WAITING, 8_000));
        for _ in 0..40 {
            mixer.hear(1, vec![100; FRAME]);
            next(&mut mixer, &mut decoder, &mut heard);
        }
        let waiting = mixer.voices[0].waiting.len();
        assert!(waiting <= count(SPARE, 8_000) + 2 * FRAME, "{waiting}");
    }

    #[test]
    fn what_cannot_be_encoded_is_not_mixed() {
        let format = AudioFormat {
            codec: Codec::Other,
            ..PCMA
        };
        assert!(Mixer::new(format, 20, &EncoderSettings::default()).is_err());
    }
}
