//! What a PBX says and hears that knows A-law and nothing else.

use std::collections::VecDeque;
use std::f64::consts::TAU;

/// Samples of 20 ms.
const FRAME: u32 = 160;

/// The voice and the ear.
#[derive(Debug)]
pub(crate) struct Alaw {
    /// The tone that it plays.
    pub(crate) tone_hz: f64,
    /// What it heard, and the timestamps of the packets.
    pub(crate) heard: Vec<i16>,
    pub(crate) timestamps: Vec<u32>,
    /// The keys it was told of, each once.
    pub(crate) keys: Vec<u8>,
    last_key_at: Option<u32>,
    spoken: u32,
    /// Events to send in place of the next packets: key, whether the end, duration; and the timestamp they all have.
    pressing: VecDeque<(u8, bool, u16)>,
    pressed_at: u32,
}

impl Alaw {
    pub(crate) fn new(tone_hz: f64) -> Self {
        Self {
            tone_hz,
            heard: Vec::new(),
            timestamps: Vec::new(),
            keys: Vec::new(),
            last_key_at: None,
            spoken: 0,
            pressing: VecDeque::new(),
            pressed_at: 0,
        }
    }

    pub(crate) fn sdp_lines() -> &'static str {
        "RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    }

    /// Presses a key for 100 ms.
    pub(crate) fn press(&mut self, key: u8) {
        let steps = (1..=5).map(|n| (key, false, n * 160));
        self.pressing
            .extend(steps.chain(std::iter::repeat_n((key, true, 800), 3)));
    }

    /// Payload type, timestamp and payload of the next packet.
    pub(crate) fn speak(&mut self) -> (u8, u32, Vec<u8>) {
        let timestamp = self.spoken * FRAME;
        self.spoken += 1;
        if let Some((key, end, duration)) = self.pressing.pop_front() {
            if duration == 160 {
                self.pressed_at = timestamp;
            }
            let [high, low] = duration.to_be_bytes();
            let payload = vec![key, u8::from(end) << 7 | 10, high, low];
            return (101, self.pressed_at, payload);
        }
        let sample = |n: u32| 8_000.0 * (f64::from(n) * self.tone_hz * TAU / 8_000.0).sin();
        let samples = (timestamp..timestamp + FRAME).map(|n| code_of(sample(n) as i32));
        (8, timestamp, samples.collect())
    }

    pub(crate) fn hear(&mut self, timestamp: u32, payload: &[u8]) {
        self.timestamps.push(timestamp);
        self.heard
            .extend(payload.iter().map(|&code| sample_of(code) as i16));
    }

    pub(crate) fn hear_event(&mut self, timestamp: u32, payload: &[u8]) {
        if self.last_key_at != Some(timestamp) {
            self.last_key_at = Some(timestamp);
            self.keys.push(payload[0]);
        }
    }

    /// The share of a tone in the power of what was heard last.
    pub(crate) fn share_of(&self, hz: f64, samples: usize) -> f64 {
        let heard = &self.heard[self.heard.len() - samples..];
        let (mut re, mut im, mut total) = (0.0, 0.0, 1e-9);
        for (n, &sample) in heard.iter().enumerate() {
            let angle = n as f64 * hz * TAU / 8_000.0;
            re += f64::from(sample) * angle.cos();
            im += f64::from(sample) * angle.sin();
            total += f64::from(sample).powi(2);
        }
        2.0 * (re * re + im * im) / samples as f64 / total
    }
}

/// ITU-T G.711, table 1a.
fn sample_of(code: u8) -> i32 {
    let code = code ^ 0x55;
    let (segment, interval) = (i32::from(code >> 4 & 7), i32::from(code & 15));
    let magnitude = match segment {
        0 => interval * 16 + 8,
        _ => (interval * 16 + 264) << (segment - 1),
    };
    if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The code nearest to a sample.
fn code_of(sample: i32) -> u8 {
    (0..=255)
        .min_by_key(|&code| (sample_of(code) - sample).abs())
        .unwrap()
}
