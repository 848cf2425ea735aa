//! Something that codecs take for speech, µ-law, and the distance between two sounds.

use std::f64::consts::{PI, TAU};

/// What a side of a call speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    Opus,
    Pcmu,
}

/// Harmonics of a gliding pitch below three formants, in syllables with rests between; nothing above 3.4 kHz.
pub(crate) fn speech(rate_hz: u32, seconds: usize) -> Vec<i16> {
    const FORMANTS: [(f64, f64); 3] = [(600.0, 120.0), (1_300.0, 160.0), (2_500.0, 250.0)];
    let mut phases = [0.0f64; 40];
    (0..rate_hz as usize * seconds)
        .map(|n| {
            let t = n as f64 / f64::from(rate_hz);
            let pitch = 120.0 + 25.0 * (t * 0.7 * TAU).sin();
            // Four syllables a second, none as loud as the next; every eighth is a rest.
            let number = (t * 4.0) as u64;
            let loudness = match number % 8 {
                7 => 0.0,
                _ => (0.4 + 0.1 * (number % 7) as f64) * ((t * 4.0).fract() * PI).sin().powi(2),
            };
            let vowel = 1.0 + 0.25 * (t * 1.3 * TAU).sin();
            let mut sum = 0.0;
            for (index, phase) in phases.iter_mut().enumerate() {
                let hz = pitch * (index + 1) as f64;
                *phase = (*phase + hz / f64::from(rate_hz)).fract();
                if hz > 3_400.0 {
                    continue;
                }
                let gain: f64 = FORMANTS
                    .iter()
                    .map(|(at, width)| 1.0 / (1.0 + ((hz - at * vowel) / width).powi(2)))
                    .sum();
                sum += gain * (*phase * TAU).sin();
            }
            (sum * loudness * 3_000.0) as i16
        })
        .collect()
}

/// ITU-T G.711, table 2a.
pub(crate) fn sample_of(code: u8) -> i16 {
    let code = !code;
    let (segment, interval) = (code >> 4 & 7, i32::from(code & 15));
    let magnitude = (((interval << 3) + 132) << segment) - 132;
    (if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

/// The code of the interval that a sample lies in.
pub(crate) fn code_of(sample: i16) -> u8 {
    let magnitude = (i32::from(sample).abs() + 132).min(32_767);
    let segment = (magnitude >> 7).ilog2();
    let interval = magnitude >> (segment + 3) & 15;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment as u8) << 4 | interval as u8)
}

/// Samples in which a spectrum is taken: 32 ms of 8 kHz.
const WINDOW: usize = 256;
/// The middles of the bands that are compared, in Hz: a telephone's.
const BANDS: [f64; 16] = [
    350.0, 450.0, 570.0, 700.0, 840.0, 1_000.0, 1_170.0, 1_370.0, 1_600.0, 1_850.0, 2_050.0,
    2_250.0, 2_450.0, 2_700.0, 2_950.0, 3_250.0,
];

/// How far the spectrum of what is heard is from that of what was said, in dB, over the frames in which something was said
/// (8 kHz). What is heard comes later, by `longest_delay` samples at most.
pub(crate) fn spectral_distance(said: &[i16], heard: &[i16], longest_delay: usize) -> Option<f64> {
    let delay = delay(said, heard, longest_delay)?;
    let heard = heard.get(delay..)?;
    let mut sum = 0.0;
    let mut frames = 0;
    for (one, other) in said.chunks_exact(WINDOW).zip(heard.chunks_exact(WINDOW)) {
        let power: f64 = one.iter().map(|&s| f64::from(s).powi(2)).sum();
        if power < WINDOW as f64 * 200.0 * 200.0 {
            continue;
        }
        let (one, other) = (spectrum(one), spectrum(other));
        let squares = one.iter().zip(other).map(|(a, b)| (a - b).powi(2));
        sum += (squares.sum::<f64>() / BANDS.len() as f64).sqrt();
        frames += 1;
    }
    (frames > 0).then(|| sum / f64::from(frames))
}

/// The delay at which two sounds are most alike, by a second out of the middle.
fn delay(said: &[i16], heard: &[i16], longest: usize) -> Option<usize> {
    let start = said.len() / 2;
    let part = said.get(start..(start + 8_000).min(said.len()))?;
    let alike = |delay: usize| {
        let other = heard.get(start + delay..).unwrap_or(&[]);
        let pairs = part.iter().zip(other);
        pairs
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
    };
    (0..longest).max_by(|&a, &b| alike(a).total_cmp(&alike(b)))
}

/// The power in each band, in dB, above a floor that nobody hears.
fn spectrum(samples: &[i16]) -> [f64; BANDS.len()] {
    BANDS.map(|hz| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            let window = 0.5 - 0.5 * (n as f64 / WINDOW as f64 * TAU).cos();
            let angle = n as f64 * hz / 8_000.0 * TAU;
            re += f64::from(sample) * window * angle.cos();
            im += f64::from(sample) * window * angle.sin();
        }
        let amplitude = (re * re + im * im).sqrt() * 4.0 / WINDOW as f64;
        20.0 * (amplitude + 10.0).log10()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_comes_back_as_itself() {
        for code in 0..=255u8 {
            // There are two zeros.
            if code != 0x7f {
                assert_eq!(code_of(sample_of(code)), code, "{}", sample_of(code));
            }
        }
    }

    #[test]
    fn a_delayed_sound_is_no_distance_away_and_another_is() {
        let said = speech(8_000, 3);
        let mut later = vec![0; 333];
        later.extend(&said);
        assert!(spectral_distance(&said, &later, 1_000).unwrap() < 0.01);
        let coarse: Vec<i16> = later.iter().map(|s| s / 1_024 * 1_024).collect();
        assert!(spectral_distance(&said, &coarse, 1_000).unwrap() > 2.0);
    }
}
