//! What is said, and how well it was understood.

use std::f64::consts::TAU;

use relay_media::{AudioFormat, Codec, Resampler};

/// A sine at a usual speech level.
pub(crate) fn tone(hz: f64, rate_hz: u32, seconds: f64) -> Vec<i16> {
    let count = (seconds * f64::from(rate_hz)) as usize;
    let sample = |n: usize| 8_000.0 * (n as f64 * hz * TAU / f64::from(rate_hz)).sin();
    (0..count).map(|n| sample(n) as i16).collect()
}

/// The same samples at another rate.
pub(crate) fn at_rate(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    let mut out = Vec::new();
    match Resampler::new(from_hz, to_hz) {
        Some(mut resampler) => resampler.push(samples, &mut out),
        None => out.extend_from_slice(samples),
    }
    out
}

/// Something that codecs take for speech: harmonics of a gliding pitch below three formants, in syllables with rests between.
/// Nothing lies above 3.4 kHz, so that it passes a telephone whole.
pub(crate) fn speech(rate_hz: u32, seconds: f64) -> Vec<i16> {
    const FORMANTS: [(f64, f64); 3] = [(600.0, 120.0), (1_300.0, 160.0), (2_500.0, 250.0)];
    let count = (seconds * f64::from(rate_hz)) as usize;
    let mut phases = [0.0f64; 40];
    (0..count)
        .map(|n| {
            let t = n as f64 / f64::from(rate_hz);
            let pitch = 120.0 + 25.0 * (t * 0.7 * TAU).sin();
            // Four syllables a second; every eighth is a rest.
            let syllable = (t * 4.0).fract();
            let rest = (t * 4.0) as u64 % 8 == 7;
            let loudness = if rest {
                0.0
            } else {
                (syllable * std::f64::consts::PI).sin().powi(2)
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
            (sum * loudness * 2_500.0) as i16
        })
        .collect()
}

/// How much louder what was said is than everything else in what was heard, in dB, at the delay that suits best. Both have
/// 16 kHz; the delay need not be a whole number of samples.
pub(crate) fn signal_to_noise(said: &[i16], heard: &[i16], longest_delay: usize) -> f64 {
    // A second tells the delay well enough; all of it is compared only near there.
    let second = said.len() / 2..said.len().min(said.len() / 2 + 16_000);
    let coarse = (0..longest_delay).map(|delay| {
        let heard = heard.get(second.start..).unwrap_or(&[]);
        (ratio(&said[second.clone()], &[heard], delay), delay)
    });
    let (_, delay) = coarse
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .unwrap();
    let fine = |samples: &[i16]| at_rate(samples, 16_000, 48_000);
    let (said, heard) = (fine(said), fine(heard));
    let around = (delay * 3).saturating_sub(4)..delay * 3 + 4;
    around
        .map(|delay| ratio(&said, &[&heard, &heard[1..]], delay))
        .fold(f64::MIN, f64::max)
}

/// The same at one delay: what was said is sought in up to two series together, each as loud as suits best.
fn ratio(said: &[i16], heard: &[&[i16]], delay: usize) -> f64 {
    let shortest = heard.iter().map(|series| series.len()).min().unwrap_or(0);
    let len = said.len().min(shortest.saturating_sub(delay));
    let (mut own, mut dot, mut product) = (1e-9, [0.0; 2], [[1e-9, 0.0], [0.0, 1e-9]]);
    for n in 0..len {
        let one = f64::from(said[n]);
        own += one * one;
        for (i, series) in heard.iter().enumerate() {
            let other = f64::from(series[delay + n]);
            dot[i] += one * other;
            for (j, series) in heard.iter().enumerate() {
                product[i][j] += other * f64::from(series[delay + n]);
            }
        }
    }
    let explained = if heard.len() == 1 {
        dot[0] * dot[0] / product[0][0]
    } else {
        let determinant = product[0][0] * product[1][1] - product[0][1] * product[1][0];
        let first = (dot[0] * product[1][1] - dot[1] * product[0][1]) / determinant;
        let second = (dot[1] * product[0][0] - dot[0] * product[1][0]) / determinant;
        first * dot[0] + second * dot[1]
    };
    10.0 * (explained / (own - explained).max(1e-9)).log10()
}

/// The ratio between the power at one pitch and everything else, in dB.
pub(crate) fn purity(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let (mut re, mut im, mut total) = (0.0, 0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let angle = n as f64 * hz * TAU / f64::from(rate_hz);
        re += f64::from(sample) * angle.cos();
        im += f64::from(sample) * angle.sin();
        total += f64::from(sample).powi(2);
    }
    let tone = 2.0 * (re * re + im * im) / samples.len().max(1) as f64;
    10.0 * (tone / (total - tone).max(1e-9)).log10()
}

/// The largest step from one sample to the next: a click is larger than what the signal itself does.
pub(crate) fn steepest(samples: &[i16]) -> i32 {
    let steps = samples
        .windows(2)
        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs());
    steps.max().unwrap_or(0)
}

/// The floors, in dB, of one coding: a pure tone, and speech.
pub(crate) fn floors(format: AudioFormat) -> (f64, f64) {
    match format.codec {
        // The logarithmic laws make for 37 dB at most.
        Codec::Pcmu | Codec::Pcma => (33.0, 35.0),
        Codec::G722 => (30.0, 27.0),
        // Exact; but half of the pairs need the resampler, whose filter ends at 3.5 kHz.
        Codec::L16 => (50.0, 33.0),
        // Opus does not keep the waveform; what is left of it is this.
        _ => (30.0, 9.0),
    }
}

/// Two codings in a row: their noises add.
pub(crate) fn floor(one: f64, other: f64) -> f64 {
    let noise = 10f64.powf(-one / 10.0) + 10f64.powf(-other / 10.0);
    -10.0 * noise.log10() - 1.0
}
