//! Tones in place of words: made sample by sample, found again with Goertzel's filter.

use std::f64::consts::TAU;

/// The rate at which the simulator speaks and listens: what Meta's Opus carries.
pub(crate) const SAMPLE_RATE: u32 = 16_000;
/// One packet of 20 ms.
pub(crate) const FRAME: usize = 320;
/// Below this root mean square a frame is silence.
pub(crate) const SILENCE: f64 = 40.0;

/// A sine that goes on from frame to frame without a click.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tone {
    phase: f64,
}

impl Tone {
    pub(crate) fn fill(&mut self, hertz: f64, amplitude: f64, samples: &mut [i16]) {
        let step = TAU * hertz / f64::from(SAMPLE_RATE);
        for sample in samples {
            *sample = (self.phase.sin() * amplitude.clamp(0.0, 1.0) * f64::from(i16::MAX)) as i16;
            self.phase = (self.phase + step) % TAU;
        }
    }
}

/// Root mean square of a frame.
pub(crate) fn loudness(samples: &[i16]) -> f64 {
    (energy(samples) / samples.len().max(1) as f64).sqrt()
}

fn energy(samples: &[i16]) -> f64 {
    samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum()
}

/// The share of a frame's energy that lies at a frequency: 1.0 for that tone alone, 0.0 for anything else.
pub(crate) fn share_of(hertz: f64, samples: &[i16]) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / f64::from(SAMPLE_RATE)).cos();
    let (last, before) = samples.iter().fold((0.0, 0.0), |(last, before), sample| {
        (f64::from(*sample) + coefficient * last - before, last)
    });
    let power = last * last + before * before - coefficient * last * before;
    let total = energy(samples) * samples.len() as f64 / 2.0;
    if total > 0.0 { power / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_at_its_frequency_and_not_at_another() {
        let mut frame = [0; FRAME];
        Tone::default().fill(700.0, 0.3, &mut frame);
        assert!(share_of(700.0, &frame) > 0.95);
        assert!(share_of(1000.0, &frame) < 0.05);
        assert!(loudness(&frame) > SILENCE);
    }

    #[test]
    fn silence_holds_no_tone() {
        assert_eq!(share_of(700.0, &[0; FRAME]), 0.0);
        assert!(loudness(&[0; FRAME]) < SILENCE);
    }
}
