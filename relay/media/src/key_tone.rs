//! The sound of the sixteen keys (ITU-T Q.23): made for those who know no telephone-events, found in the speech of those who
//! send none (ITU-T Q.24).

use std::f32::consts::TAU;
use std::time::Duration;

/// ITU-T Q.23: the rows and columns of the keypad, in Hz.
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// The events (RFC 4733 §3.2) of the keys, row by row.
const EVENTS: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];
/// The amplitude of a sine at 0 dBm0 (ITU-T G.711: the loudest sine has 3.14 dBm0).
const ZERO_DBM0: f32 = 22_830.0;
/// Louder than this the two sines of a key would be clipped together.
const LOUDEST_DB: u8 = 4;
/// Softer than this nobody may be able to tell a key.
const SOFTEST_DB: u8 = 24;
/// The highest pitch that is made, as a share of the sample rate.
const HIGHEST_PITCH: f32 = 0.45;
/// A tone begins and ends within this time, so that it does not click.
const RAMP: Duration = Duration::from_millis(2);

/// A sound that is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// That of the key of an event.
    Key {
        /// RFC 4733 §3.2: 0 to 15.
        event: u8,
        /// Below 0 dBm0, in dB.
        volume: u8,
    },
    /// One frequency.
    Pitch {
        hz: u16,
        /// Below 0 dBm0, in dB.
        volume: u8,
    },
}

/// Makes the sound of a key, or of one frequency.
#[derive(Clone, Debug)]
pub struct KeyTone {
    phases: [f32; 2],
    steps: [f32; 2],
    amplitude: f32,
    made: usize,
    ramp: usize,
}

impl KeyTone {
    /// The tone of an event from 0 to 15, `volume` dB below 0 dBm0; `None` for other events.
    pub fn new(event: u8, volume: u8, rate_hz: u32) -> Option<Self> {
        let of_event = |row: &[u8; 4]| row.iter().position(|&known| known == event);
        let (row, column) = EVENTS
            .iter()
            .enumerate()
            .find_map(|(row, events)| Some((row, of_event(events)?)))?;
        let rate = rate_hz as f32;
        let volume = volume.clamp(LOUDEST_DB, SOFTEST_DB);
        Some(Self {
            phases: [0.0; 2],
            steps: [ROWS[row] / rate, COLUMNS[column] / rate],
            amplitude: ZERO_DBM0 * 10f32.powf(-f32::from(volume) / 20.0),
            made: 0,
            ramp: (rate * RAMP.as_secs_f32()) as usize,
        })
    }

    /// What `sound` sounds like; `None` for events without a sound. A pitch that the rate cannot carry is lowered to one that it
    /// can.
    pub fn of(sound: Sound, rate_hz: u32) -> Option<Self> {
        match sound {
            Sound::Key { event, volume } => Self::new(event, volume, rate_hz),
            Sound::Pitch { hz, volume } => {
                let rate = rate_hz as f32;
                Some(Self {
                    phases: [0.0; 2],
                    // A phase that stands still adds nothing.
                    steps: [(f32::from(hz) / rate).min(HIGHEST_PITCH), 0.0],
                    amplitude: ZERO_DBM0 * 10f32.powf(-f32::from(volume) / 20.0),
                    made: 0,
                    ramp: (rate * RAMP.as_secs_f32()) as usize,
                })
            }
        }
    }

    /// Appends `count` samples; with `last` the tone fades out in them.
    pub fn push(&mut self, count: usize, last: bool, samples: &mut Vec<i16>) {
        for left in (0..count).rev() {
            let from_edge = if last { self.made.min(left) } else { self.made };
            let gain = (from_edge as f32 / self.ramp.max(1) as f32).min(1.0);
            let mut sum = 0.0;
            for (phase, step) in self.phases.iter_mut().zip(self.steps) {
                sum += (*phase * TAU).sin();
                *phase = (*phase + step).fract();
            }
            samples.push((sum * gain * self.amplitude) as i16);
            self.made = self.made.saturating_add(1);
        }
    }
}

/// What is heard of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeard {
    /// A key is being pressed, and has been for about [`ToneDetector::LATENCY`].
    Down {
        event: u8,
        /// Below 0 dBm0, in dB.
        volume: u8,
    },
    /// It was released.
    Up {
        event: u8,
        /// For how long it was pressed, give or take a block.
        duration: Duration,
    },
}

/// Samples are judged in blocks of this length: short enough that two lie within the shortest key (40 ms), long enough to tell
/// the frequencies apart.
const BLOCK: Duration = Duration::from_micros(13_000);
/// So many blocks in a row make a key, and so many without it end it.
const BLOCKS_DOWN: u32 = 2;
const BLOCKS_UP: u32 = 2;
/// ITU-T Q.24: keys at -25 dBm0 a frequency are recognised.
const LEAST_AMPLITUDE: f32 = ZERO_DBM0 * 0.04;
/// One frequency may be louder than the other by this factor in power: 8 dB.
const TWIST: f32 = 6.3;
/// The two must be louder than each other frequency by this factor in power: 8 dB.
const ABOVE_OTHERS: f32 = 6.3;
/// They must have this share of all power: speech has much else in it.
const SHARE: f32 = 0.75;

/// Finds keys in speech.
#[derive(Clone, Debug)]
pub struct ToneDetector {
    block: usize,
    coefficients: [f32; 8],
    states: [[f32; 2]; 8],
    energy: f32,
    count: usize,
    /// What the last block was, and for how many blocks in a row.
    last: Option<(u8, u8)>,
    in_a_row: u32,
    /// The key that is down, and for how many blocks; and how many blocks lack it.
    down: Option<(u8, u32)>,
    lacking: u32,
}

impl ToneDetector {
    /// How long a key is pressed before it is told of.
    pub const LATENCY: Duration = Duration::from_millis(39);

    /// A detector for samples of this rate.
    pub fn new(rate_hz: u32) -> Self {
        let rate = rate_hz as f32;
        let mut coefficients = [0.0; 8];
        for (coefficient, hz) in coefficients.iter_mut().zip(ROWS.into_iter().chain(COLUMNS)) {
            *coefficient = 2.0 * (hz / rate * TAU).cos();
        }
        Self {
            block: ((rate * BLOCK.as_secs_f32()) as usize).max(1),
            coefficients,
            states: [[0.0; 2]; 8],
            energy: 0.0,
            count: 0,
            last: None,
            in_a_row: 0,
            down: None,
            lacking: 0,
        }
    }

    /// Whether a key is down.
    pub fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Listens to samples; what is heard is handed to `tell`.
    pub fn hear(&mut self, samples: &[i16], tell: &mut dyn FnMut(KeyHeard)) {
        for &sample in samples {
            let sample = f32::from(sample);
            // Goertzel: one resonator for each frequency.
            for (state, coefficient) in self.states.iter_mut().zip(self.coefficients) {
                let next = sample + coefficient * state[0] - state[1];
                *state = [next, state[0]];
            }
            self.energy += sample * sample;
            self.count += 1;
            if self.count == self.block {
                let heard = self.judge();
                self.states = [[0.0; 2]; 8];
                self.energy = 0.0;
                self.count = 0;
                self.note(heard, tell);
            }
        }
    }

    /// The key and its volume, if the block that has ended is one.
    fn judge(&self) -> Option<(u8, u8)> {
        let mut powers = [0.0f32; 8];
        for ((power, [last, before]), coefficient) in
            powers.iter_mut().zip(self.states).zip(self.coefficients)
        {
            *power = last * last + before * before - coefficient * last * before;
        }
        let loudest = |powers: &[f32]| {
            let mut best = 0;
            for (index, power) in powers.iter().enumerate() {
                if *power > powers[best] {
                    best = index;
                }
            }
            best
        };
        let (row, column) = (loudest(&powers[..4]), loudest(&powers[4..]));
        let (low, high) = (powers[row], powers[4 + column]);
        // A sine with amplitude A gives (A n / 2)^2.
        let half = self.block as f32 / 2.0;
        let least = (LEAST_AMPLITUDE * half).powi(2);
        let balanced = low < high * TWIST && high < low * TWIST;
        let clear = |powers: &[f32], best: usize| {
            let mut others = powers
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != best);
            others.all(|(_, power)| power * ABOVE_OTHERS < powers[best])
        };
        let stands_out = clear(&powers[..4], row) && clear(&powers[4..], column);
        let share = (low + high) / (self.energy * half).max(1.0);
        if low < least || high < least || !balanced || !stands_out || share < SHARE {
            return None;
        }
        let amplitude = (low.max(high)).sqrt() / half;
        let volume = -20.0 * (amplitude / ZERO_DBM0).log10();
        Some((EVENTS[row][column], volume.clamp(0.0, 36.0) as u8))
    }

    fn note(&mut self, heard: Option<(u8, u8)>, tell: &mut dyn FnMut(KeyHeard)) {
        let same = heard.map(|(event, _)| event) == self.last.map(|(event, _)| event);
        self.in_a_row = if same { self.in_a_row + 1 } else { 1 };
        self.last = heard;
        if let Some((event, blocks)) = &mut self.down {
            *blocks = blocks.saturating_add(1);
            if heard.map(|(event, _)| event) == Some(*event) {
                self.lacking = 0;
                return;
            }
            self.lacking += 1;
            if self.lacking < BLOCKS_UP {
                return;
            }
            let (event, pressed) = (*event, blocks.saturating_sub(self.lacking));
            self.down = None;
            tell(KeyHeard::Up {
                event,
                duration: BLOCK * pressed,
            });
        }
        if let Some((event, volume)) = heard
            && self.in_a_row >= BLOCKS_DOWN
        {
            self.down = Some((event, self.in_a_row));
            self.lacking = 0;
            tell(KeyHeard::Down { event, volume });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 3] = [8_000, 16_000, 48_000];

    fn ms(rate_hz: u32, ms: usize) -> usize {
        rate_hz as usize * ms / 1_000
    }

    fn hear(rate_hz: u32, samples: &[i16]) -> Vec<KeyHeard> {
        let mut detector = ToneDetector::new(rate_hz);
        let mut heard = Vec::new();
        for frame in samples.chunks(ms(rate_hz, 20)) {
            detector.hear(frame, &mut |key| heard.push(key));
        }
        heard
    }

    fn keys(heard: &[KeyHeard]) -> Vec<u8> {
        let events = heard.iter().filter_map(|key| match key {
            KeyHeard::Down { event, .. } => Some(*event),
            KeyHeard::Up { .. } => None,
        });
        events.collect()
    }

    /// Keys of so many milliseconds with pauses of so many.
    fn dialled(rate_hz: u32, events: &[u8], volume: u8, on: usize, off: usize) -> Vec<i16> {
        let mut samples = vec![0; ms(rate_hz, 33)];
        for &event in events {
            let mut tone = KeyTone::new(event, volume, rate_hz).unwrap();
            tone.push(ms(rate_hz, on), true, &mut samples);
            samples.resize(samples.len() + ms(rate_hz, off), 0);
        }
        samples
    }

    #[test]
    fn every_key_is_found_at_every_rate_and_volume() {
        let all: Vec<u8> = (0..16).collect();
        for rate in RATES {
            for volume in [4, 10, 20] {
                // ITU-T Q.24: 40 ms are a key, and so are two with 40 ms between them. The ramps take their part.
                for (on, off) in [(45, 45), (100, 70), (500, 200)] {
                    let heard = hear(rate, &dialled(rate, &all, volume, on, off));
                    assert_eq!(keys(&heard), all, "{rate} Hz, -{volume} dBm0, {on} ms");
                    assert_eq!(heard.len(), 32, "each is released");
                }
            }
        }
    }

    #[test]
    fn the_length_and_the_volume_are_about_right() {
        let heard = hear(8_000, &dialled(8_000, &[5], 12, 200, 100));
        let [
            KeyHeard::Down { event: 5, volume },
            KeyHeard::Up { event: 5, duration },
        ] = heard[..]
        else {
            panic!("{heard:?}");
        };
        assert!((11..=13).contains(&volume), "{volume}");
        let wrong = duration.abs_diff(Duration::from_millis(200));
        assert!(wrong <= Duration::from_millis(26), "{duration:?}");
    }

    #[test]
    fn what_is_shorter_than_a_key_is_none() {
        for offset in 0..13 {
            let mut samples = vec![0; offset * 8];
            samples.extend(dialled(8_000, &[1], 6, 20, 60));
            assert_eq!(hear(8_000, &samples), [], "{offset}");
        }
    }

    #[test]
    fn noise_and_single_tones_are_no_keys() {
        let mut state = 5u32;
        let noise: Vec<i16> = (0..80_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 18) as i16 - 8_192
            })
            .collect();
        assert_eq!(hear(8_000, &noise), []);
        for hz in [400.0, 697.0, 1_209.0, 1_633.0] {
            let tone: Vec<i16> = (0..16_000)
                .map(|n| (8_000.0 * (n as f32 * hz / 8_000.0 * TAU).sin()) as i16)
                .collect();
            assert_eq!(hear(8_000, &tone), [], "{hz}");
        }
    }

    #[test]
    fn a_pitch_is_one_frequency_as_loud_as_asked() {
        for rate in RATES {
            let mut samples = Vec::new();
            let pitch = Sound::Pitch {
                hz: 941,
                volume: 10,
            };
            let mut tone = KeyTone::of(pitch, rate).unwrap();
            tone.push(ms(rate, 200), true, &mut samples);
            let power = |hz: f32| {
                let (mut real, mut imaginary) = (0.0f32, 0.0f32);
                for (n, sample) in samples.iter().enumerate() {
                    let angle = n as f32 * hz / rate as f32 * TAU;
                    real += f32::from(*sample) * angle.cos();
                    imaginary += f32::from(*sample) * angle.sin();
                }
                real.hypot(imaginary) * 2.0 / samples.len() as f32
            };
            let amplitude = ZERO_DBM0 * 10f32.powf(-0.5);
            assert!((power(941.0) / amplitude - 1.0).abs() < 0.05, "{rate} Hz");
            assert!(power(1_336.0) < amplitude / 50.0, "{rate} Hz");
            assert_eq!(hear(rate, &samples), [], "it is no key");
        }
    }

    #[test]
    fn other_events_have_no_sound() {
        assert!(KeyTone::new(16, 10, 8_000).is_none());
    }
}
