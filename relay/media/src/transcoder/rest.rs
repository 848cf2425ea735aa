//! Pauses of a sender that says what they sound like: comfort noise (RFC 3389), or the discontinuous transmission of Opus.
//!
//! The receiver gets an unbroken stream, paced by our clock until the sender speaks again; timestamps then continue behind what
//! was made up. A receiver that knows comfort noise itself is told how the discontinuous transmission sounds, and gets nothing else.

use std::time::{Duration, Instant};

use super::{Coded, Transcoder, rescale};

/// Comfort noise may be described once for a whole pause. One that lasts longer is no pause but an end.
const LONGEST_NOISE: Duration = Duration::from_secs(60);
/// Opus describes its noise every 400 ms; a sender that stays away longer has stopped.
const LONGEST_DTX: Duration = Duration::from_secs(1);

/// A sender that does send its frames all through the pause is waited for so long.
const GRACE: Duration = Duration::from_millis(20);
/// A pause is described again when it has become louder or quieter by so many dB.
const AUDIBLE: u8 = 3;

/// A pause that is being filled.
#[derive(Debug)]
pub(super) struct Rest {
    next_at: Instant,
    until: Instant,
    sound: Sound,
    /// The level that the receiver was told.
    described: Option<u8>,
    /// How long the receiver has been sent nothing, in ticks of the target's clock.
    silent: u32,
}

#[derive(Debug)]
enum Sound {
    /// White noise with this largest value.
    Noise { peak: f32, random: u32 },
    /// What the decoder of a voice makes up.
    Decoder(usize),
}

impl Rest {
    pub(super) fn due(&self) -> Instant {
        match self.sound {
            Sound::Noise { .. } => self.next_at,
            Sound::Decoder(_) => self.next_at + GRACE,
        }
    }
}

/// RFC 3389 §3: the level is in dB below the loudest square wave. Uniform noise has its peak at the square root of three of it.
fn peak(level: u8) -> f32 {
    32_768.0 * 10f32.powf(-f32::from(level.clamp(30, 127)) / 20.0) * 3f32.sqrt()
}

/// The level of noise as RFC 3389 §3.1 counts it: in dB below the loudest square wave.
fn level(samples: &[i16]) -> u8 {
    let power: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    let mean = (power / samples.len().max(1) as f64).sqrt();
    (-20.0 * (mean / 32_768.0).max(1e-7).log10())
        .clamp(0.0, 127.0)
        .round() as u8
}

impl Transcoder {
    /// Takes a packet that says what a pause sounds like (RFC 3389): the first octet is the level.
    pub fn rest(
        &mut self,
        now: Instant,
        sequence: u16,
        payload: &[u8],
        emit: &mut dyn FnMut(Coded<'_>),
    ) -> Result<(), super::Refusal> {
        let &level = payload.first().ok_or(super::Refusal::Invalid)?;
        let turn = super::Turn::Noise {
            level: level & 0x7f,
        };
        self.take(now, sequence, turn, &[], emit)
    }

    pub(super) fn rest_in_noise(&mut self, now: Instant, level: u8) {
        self.missing = 0;
        let new = peak(level);
        let until = now + LONGEST_NOISE;
        match &mut self.rest {
            Some(Rest {
                until: end,
                sound: Sound::Noise { peak, .. },
                ..
            }) => {
                (*peak, *end) = (new, until);
            }
            _ => {
                let sound = Sound::Noise {
                    peak: new,
                    random: u32::from(level) + 1,
                };
                self.rest = Some(Rest {
                    next_at: now,
                    until,
                    sound,
                    described: None,
                    silent: 0,
                });
            }
        }
    }

    /// The sender's last frame was one of a pause, whose noise its decoder knows.
    pub(super) fn rest_in_decoder(&mut self, now: Instant, index: usize) {
        self.rest = Some(Rest {
            next_at: now + self.packet_time(),
            until: now + LONGEST_DTX,
            sound: Sound::Decoder(index),
            described: None,
            silent: 0,
        });
    }

    /// Describes a pause, of which only the decoder of a voice knows the sound; so much of it is over then.
    fn describe_rest(&mut self, rest: &mut Rest, index: usize, emit: &mut dyn FnMut(Coded<'_>)) {
        let Some(voice) = self.voices.get_mut(index) else {
            return;
        };
        let rate_hz = voice.decoder.rate_hz();
        let step = (rate_hz / 50) as usize;
        self.decoded.clear();
        voice.decoder.conceal(step, None, &mut self.decoded);
        let level = level(&self.decoded);
        if rest
            .described
            .is_none_or(|told| told.abs_diff(level) >= AUDIBLE)
        {
            rest.described = Some(level);
            emit(Coded {
                timestamp: self.timestamp.unwrap_or(0).wrapping_add(rest.silent),
                marker: false,
                duration: Duration::from_millis(20),
                noise: true,
                payload: &[level],
            });
        }
        rest.silent += rescale(step, rate_hz, self.target.clock_hz);
        rest.next_at += Duration::from_millis(20);
    }

    fn packet_time(&self) -> Duration {
        let rate_hz = u64::from(self.encoder.rate_hz());
        Duration::from_micros(1_000_000 * self.packet_samples as u64 / rate_hz)
    }

    /// Sends what the pause sounds like, a packet at a time.
    pub(super) fn fill_rest(&mut self, now: Instant, emit: &mut dyn FnMut(Coded<'_>)) {
        while let Some(mut rest) = self.rest.take_if(|rest| rest.due() <= now) {
            if rest.next_at >= rest.until {
                return;
            }
            if let Sound::Decoder(index) = rest.sound
                && self.describes_pauses
                && self.waiting.is_empty()
            {
                self.describe_rest(&mut rest, index, emit);
                self.rest = Some(rest);
                continue;
            }
            let before = self.waiting.len();
            let count = self.packet_samples.saturating_sub(before);
            match &mut rest.sound {
                Sound::Noise { peak, random } => {
                    let noise = std::iter::repeat_with(|| {
                        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let unit = (*random >> 8) as f32 / 8_388_608.0 - 1.0;
                        (unit * *peak) as i16
                    });
                    self.waiting.extend(noise.take(count));
                }
                Sound::Decoder(index) => {
                    let Some(voice) = self.voices.get_mut(*index) else {
                        return;
                    };
                    let step = (voice.decoder.rate_hz() / 50) as usize;
                    self.decoded.clear();
                    voice.decoder.conceal(step, None, &mut self.decoded);
                    self.add_decoded(*index);
                }
            }
            let made = self.waiting.len() - before;
            let rate_hz = self.encoder.rate_hz();
            self.ahead += rescale(made, rate_hz, self.target.clock_hz);
            rest.next_at += Duration::from_micros(1_000_000 * made as u64 / u64::from(rate_hz));
            self.encode(emit);
            if made > 0 {
                self.rest = Some(rest);
            }
        }
    }
}
