//! From one sample rate to another: a polyphase filter, a sinc in a Kaiser window.
//!
//! Opus needs none towards 8, 12, 16, 24 and 48 kHz, because its codec runs at those rates itself. What is left are pairs such
//! as G.711 and G.722, and linear PCM at the rates of compact discs.

/// Taps of each phase, counted at the lower of the two rates. At 8 kHz the filter delays by 24 samples, 3 ms.
const TAPS: usize = 48;
/// Of the Kaiser window: 60 dB beside the band.
const BETA: f64 = 5.7;

/// Changes the rate of a stream of samples.
#[derive(Debug)]
pub struct Resampler {
    /// One row of taps for each of the `up` phases, in the order of the input.
    rows: Box<[Box<[f32]>]>,
    taps: usize,
    down: usize,
    /// The phase of the next output sample.
    phase: usize,
    /// The newest samples that the filter still needs.
    history: Vec<f32>,
}

impl Resampler {
    /// A resampler between two rates in Hz; `None` when they are equal, or so odd that the filter would be a big table.
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        let divisor = greatest_common_divisor(from_hz, to_hz);
        if from_hz == to_hz || divisor == 0 {
            return None;
        }
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        if up > 640 || down > 640 {
            return None;
        }
        // The pass band ends a little below half of the lower rate.
        let cutoff = 0.94 * (f64::from(to_hz) / f64::from(from_hz)).min(1.0);
        let taps = TAPS * down.div_ceil(up);
        Some(Self {
            rows: (0..up).map(|phase| row(phase, up, taps, cutoff)).collect(),
            taps,
            down,
            phase: 0,
            history: vec![0.0; taps - 1],
        })
    }

    /// Appends what `samples` become.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.history
            .extend(samples.iter().map(|&sample| f32::from(sample)));
        let mut start = 0;
        while let Some(window) = self.history.get(start..start + self.taps) {
            let taps = &self.rows[self.phase];
            let sum: f32 = taps
                .iter()
                .zip(window)
                .map(|(tap, sample)| tap * sample)
                .sum();
            // The cast saturates.
            out.push(sum.round() as i16);
            self.phase += self.down;
            start += self.phase / self.rows.len();
            self.phase %= self.rows.len();
        }
        // A step is shorter than the window, so that this never reaches beyond the end.
        self.history.drain(..start.min(self.history.len()));
    }
}

/// The taps for output that lies `phase / up` behind the middle of the window.
fn row(phase: usize, up: usize, taps: usize, cutoff: f64) -> Box<[f32]> {
    let half = taps as f64 / 2.0;
    let tap = |index: usize| {
        let x = index as f64 - (half - 1.0) - phase as f64 / up as f64;
        let angle = std::f64::consts::PI * cutoff * x;
        let sinc = if x == 0.0 { 1.0 } else { angle.sin() / angle };
        let position = (x / half).clamp(-1.0, 1.0);
        sinc * bessel(BETA * (1.0 - position * position).sqrt())
    };
    let row: Vec<f64> = (0..taps).map(tap).collect();
    let sum: f64 = row.iter().sum();
    row.into_iter().map(|tap| (tap / sum) as f32).collect()
}

/// The modified Bessel function of order zero.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signal to noise after a sine of `hz` was fitted to `samples` in amplitude and phase.
    fn purity(samples: &[i16], rate: f64, hz: f64) -> f64 {
        let (mut re, mut im, mut total) = (0.0, 0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            let angle = n as f64 * hz * std::f64::consts::TAU / rate;
            re += f64::from(sample) * angle.cos();
            im += f64::from(sample) * angle.sin();
            total += f64::from(sample).powi(2);
        }
        let tone = 2.0 * (re * re + im * im) / samples.len() as f64;
        10.0 * (tone / (total - tone).max(1e-9)).log10()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_stays_pure() {
        for (from, to) in [
            (8_000, 16_000),
            (16_000, 8_000),
            (44_100, 48_000),
            (44_100, 8_000),
            (11_025, 8_000),
        ] {
            let mut resampler = Resampler::new(from, to).unwrap();
            let mut out = Vec::new();
            let tone = |n: u32| {
                (12_000.0 * (f64::from(n) * 1000.0 * std::f64::consts::TAU / f64::from(from)).sin())
                    as i16
            };
            let samples: Vec<i16> = (0..from).map(tone).collect();
            // Packets of 20 ms, where the rate allows it.
            for packet in samples.chunks((from / 50) as usize) {
                resampler.push(packet, &mut out);
            }
            let missing = i64::from(to) - out.len() as i64;
            assert!(
                (0..=i64::from(to) / 200).contains(&missing),
                "{from} to {to}: {missing}"
            );
            let whole = (to / 2) as usize;
            let snr = purity(&out[out.len() - whole..], f64::from(to), 1000.0);
            assert!(snr > 60.0, "{from} to {to}: {snr:.1} dB");
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_gone() {
        let mut resampler = Resampler::new(16_000, 8_000).unwrap();
        let tone = |n: u32| {
            (12_000.0 * (f64::from(n) * 5_000.0 * std::f64::consts::TAU / 16_000.0).sin()) as i16
        };
        let samples: Vec<i16> = (0..16_000).map(tone).collect();
        let mut out = Vec::new();
        resampler.push(&samples, &mut out);
        let loudest = out[100..].iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(loudest < 60, "{loudest}");
    }

    #[test]
    fn equal_and_absurd_rates_have_no_resampler() {
        assert!(Resampler::new(8_000, 8_000).is_none());
        assert!(Resampler::new(44_101, 8_000).is_none());
        assert!(Resampler::new(0, 0).is_none());
    }
}
