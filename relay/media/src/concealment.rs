//! What is heard in place of lost samples, for codecs that have nothing of their own (after ITU-T G.711 appendix I).
//!
//! The last pitch period goes on, ever more quietly, and falls silent after 60 ms. Unlike the appendix it delays nothing: the
//! seams are smoothed on the later side.

/// Pitch is sought between these, in samples per 8000 Hz: 66 to 200 Hz.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
/// How much must be remembered to compare two of the longest periods.
const HISTORY: usize = 2 * LONGEST + SHORTEST;
/// Full volume for 10 ms, silence from 60 ms on; in samples per 8000 Hz.
const LOUD: usize = 80;
const SILENT: usize = 480;
/// How long a seam is, in samples per 8000 Hz: 4 ms.
const SEAM: usize = 32;

/// Remembers what was heard, and makes up what follows.
#[derive(Debug)]
pub(crate) struct Concealment {
    /// Samples for each of those above: the rate in units of 8000 Hz.
    scale: usize,
    history: Vec<i16>,
    /// The pitch period that is repeated.
    cycle: Vec<i16>,
    /// Samples made up since the last that was heard.
    lost: usize,
    /// How far the repetition misses the last sample that was heard.
    step: f32,
}

impl Concealment {
    /// Concealment for samples of this rate.
    pub(crate) fn new(rate_hz: u32) -> Self {
        let scale = (rate_hz as usize).div_ceil(8_000).max(1);
        Self {
            scale,
            history: vec![0; HISTORY * scale],
            // Most streams lose nothing, and need no room for it.
            cycle: Vec::new(),
            lost: 0,
            step: 0.0,
        }
    }

    /// Takes note of samples that were heard. Their beginning is blended with what was made up before them.
    pub(crate) fn hear(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            let seam = (SEAM * self.scale).min(samples.len());
            for (n, sample) in samples.iter_mut().take(seam).enumerate() {
                let weight = (n + 1) as f32 / (seam + 1) as f32;
                let made_up = self.made_up(self.lost + n);
                *sample = (f32::from(*sample) * weight + made_up * (1.0 - weight)).round() as i16;
            }
            self.lost = 0;
        }
        remember(&mut self.history, samples);
    }

    /// Appends `count` samples in place of lost ones.
    pub(crate) fn conceal(&mut self, count: usize, samples: &mut Vec<i16>) {
        if self.lost == 0 {
            self.find_cycle();
        }
        let start = samples.len();
        for n in 0..count {
            samples.push(self.made_up(self.lost + n).round() as i16);
        }
        self.lost = self.lost.saturating_add(count);
        remember(&mut self.history, &samples[start..]);
    }

    fn made_up(&self, n: usize) -> f32 {
        let (loud, silent) = (LOUD * self.scale, SILENT * self.scale);
        if self.cycle.is_empty() || n >= silent {
            return 0.0;
        }
        let gain = if n < loud {
            1.0
        } else {
            (silent - n) as f32 / (silent - loud) as f32
        };
        let seam = SEAM * self.scale;
        let step = if n < seam {
            self.step * (1.0 - (n + 1) as f32 / seam as f32)
        } else {
            0.0
        };
        f32::from(self.cycle[n % self.cycle.len()]) * gain + step
    }

    /// Finds the pitch by correlation and cuts out its last period, with an end that leads into its beginning.
    fn find_cycle(&mut self) {
        let window = SHORTEST * self.scale * 2;
        let end = self.history.len();
        let last = &self.history[end - window..];
        let mut best = (f32::MIN, LONGEST * self.scale);
        // At higher rates neighbours differ little: every `scale`th is tried.
        for lag in (SHORTEST * self.scale..=LONGEST * self.scale).step_by(self.scale) {
            let before = &self.history[end - window - lag..end - lag];
            let (mut dot, mut energy) = (0.0f32, 1.0f32);
            for (&one, &other) in last.iter().zip(before) {
                dot += f32::from(one) * f32::from(other);
                energy += f32::from(other) * f32::from(other);
            }
            let likeness = dot / energy.sqrt();
            if likeness > best.0 {
                best = (likeness, lag);
            }
        }
        let period = best.1;
        self.cycle.clear();
        self.cycle.extend_from_slice(&self.history[end - period..]);
        let seam = (SEAM * self.scale).min(period / 2);
        for n in 0..seam {
            let weight = (n + 1) as f32 / (seam + 1) as f32;
            let at = period - seam + n;
            let before_beginning = f32::from(self.history[end - period - seam + n]);
            let blended = f32::from(self.cycle[at]) * (1.0 - weight) + before_beginning * weight;
            self.cycle[at] = blended.round() as i16;
        }
        let heard = f32::from(self.history[end - 1]);
        self.step = heard - f32::from(self.history[end - period - 1]);
    }
}

/// Keeps the newest samples.
fn remember(history: &mut [i16], samples: &[i16]) {
    let len = history.len();
    let fresh = &samples[samples.len().saturating_sub(len)..];
    history.copy_within(fresh.len().., 0);
    history[len - fresh.len()..].copy_from_slice(fresh);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(count: usize) -> Vec<i16> {
        let sample = |n: usize| {
            (8_000.0 * (n as f64 * 200.0 * std::f64::consts::TAU / 8_000.0).sin()) as i16
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn a_lost_packet_of_a_tone_is_hardly_missed() {
        let said = tone(1_600);
        let mut concealment = Concealment::new(8_000);
        let mut heard = Vec::new();
        for (n, packet) in said.chunks(160).enumerate() {
            if n == 5 {
                concealment.conceal(160, &mut heard);
            } else {
                let mut packet = packet.to_vec();
                concealment.hear(&mut packet);
                heard.extend_from_slice(&packet);
            }
        }
        let steepest = |samples: &[i16]| {
            samples
                .windows(2)
                .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs())
                .max()
        };
        let (before, after) = (steepest(&said).unwrap(), steepest(&heard).unwrap());
        assert!(
            after <= before + before / 4,
            "a click of {after}, where the tone itself moves by {before}"
        );
        let lost = &heard[5 * 160..5 * 160 + 80];
        assert!(
            lost.iter().any(|s| s.unsigned_abs() > 6_000),
            "the tone goes on"
        );
    }

    #[test]
    fn a_long_loss_falls_silent_without_a_click() {
        let mut concealment = Concealment::new(16_000);
        let mut said = tone(3_200);
        concealment.hear(&mut said);
        let mut heard = said.clone();
        for _ in 0..5 {
            concealment.conceal(320, &mut heard);
        }
        let steepest = heard
            .windows(2)
            .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs())
            .max()
            .unwrap();
        assert!(steepest < 2_000, "{steepest}");
        assert!(heard[3_200 + 960..].iter().all(|&s| s == 0));
    }
}
