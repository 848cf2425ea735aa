//! G.722 at 64 kbit/s (ITU-T G.722, mode 1): two sub-bands of 4 kHz, each coded by adaptive differential PCM.
//!
//! The names of the steps are those of the recommendation's section 6 (`QUANTL`, `SCALEL`, `UPPOL1`, ...), in comments.
//! One octet stands for two samples of 16 kHz.

/// Coefficients of the quadrature mirror filter, one half of the symmetrical 24 (table 11).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the lower band's quantizer.
const Q6: [i32; 31] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, 0,
];
/// Codes for negative and for positive differences.
const ILN: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
    10, 9, 8, 7, 6, 5, 4,
];
const ILP: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39,
    38, 37, 36, 35, 34, 33, 32,
];
/// Inverse quantizers with two, four and six bits.
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
const QM4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// How a code changes the logarithm of the scale factor.
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const RL42: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const WH: [i32; 3] = [0, -214, 798];
const RH2: [usize; 4] = [2, 1, 2, 1];
/// The antilogarithm of a scale factor's fraction.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// What both directions of one sub-band keep: the adaptive predictor and the scale factor.
#[derive(Clone, Debug)]
struct Band {
    /// The signal estimate, and the part of it from the zeros.
    s: i32,
    sz: i32,
    r: [i32; 3],
    a: [i32; 3],
    p: [i32; 3],
    d: [i32; 7],
    b: [i32; 7],
    /// Logarithmic and linear scale factor.
    nb: i32,
    det: i32,
}

impl Band {
    fn new(det: i32) -> Self {
        Self {
            s: 0,
            sz: 0,
            r: [0; 3],
            a: [0; 3],
            p: [0; 3],
            d: [0; 7],
            b: [0; 7],
            nb: 0,
            det,
        }
    }

    /// LOGSCL and SCALEL of the lower band.
    fn scale_low(&mut self, code: usize) {
        self.nb = (((self.nb * 127) >> 7) + WL[RL42[code]]).clamp(0, 18_432);
        self.det = linear(self.nb, 8);
    }

    /// LOGSCH and SCALEH of the higher band.
    fn scale_high(&mut self, code: usize) {
        self.nb = (((self.nb * 127) >> 7) + WH[RH2[code]]).clamp(0, 22_528);
        self.det = linear(self.nb, 10);
    }

    /// Adapts the predictor to the quantized difference `d` and predicts the next sample.
    fn adapt(&mut self, d: i32) {
        // RECONS, PARREC
        self.d[0] = d;
        self.r[0] = saturate(self.s + d);
        self.p[0] = saturate(self.sz + d);
        // UPPOL2
        let same = |one: i32, other: i32| (one < 0) == (other < 0);
        let fourfold = saturate(self.a[1] << 2);
        let towards = if same(self.p[0], self.p[1]) {
            -fourfold
        } else {
            fourfold
        }
        .min(32_767);
        let step = if same(self.p[0], self.p[2]) {
            128
        } else {
            -128
        };
        let a2 = ((towards >> 7) + step + ((self.a[2] * 32_512) >> 15)).clamp(-12_288, 12_288);
        // UPPOL1
        let step = if same(self.p[0], self.p[1]) {
            192
        } else {
            -192
        };
        let limit = saturate(15_360 - a2);
        let a1 = saturate(step + ((self.a[1] * 32_640) >> 15)).clamp(-limit, limit);
        // UPZERO
        let step = if d == 0 { 0 } else { 128 };
        for i in 1..7 {
            let towards = if same(self.d[i], d) { step } else { -step };
            self.b[i] = saturate(towards + ((self.b[i] * 32_640) >> 15));
        }
        // DELAYA
        self.d.copy_within(0..6, 1);
        self.r.copy_within(0..2, 1);
        self.p.copy_within(0..2, 1);
        self.a = [0, a1, a2];
        // FILTEP, FILTEZ, PREDIC
        let double = |value: i32| saturate(value + value);
        let sp = saturate(((a1 * double(self.r[1])) >> 15) + ((a2 * double(self.r[2])) >> 15));
        let zeros = (1..7).rev().map(|i| (self.b[i] * double(self.d[i])) >> 15);
        self.sz = saturate(zeros.sum());
        self.s = saturate(sp + self.sz);
    }
}

fn linear(nb: i32, exponent: i32) -> i32 {
    let mantissa = ILB[(nb >> 6 & 31) as usize];
    let shift = exponent - (nb >> 11);
    (if shift < 0 {
        mantissa << -shift
    } else {
        mantissa >> shift
    }) << 2
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// Samples of 16 kHz to octets.
#[derive(Clone, Debug)]
pub(crate) struct G722Encoder {
    low: Band,
    high: Band,
    delay: [i32; 24],
}

impl Default for G722Encoder {
    fn default() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
            delay: [0; 24],
        }
    }
}

impl G722Encoder {
    /// Appends the codes of `samples`; an odd one at the end is left out.
    pub(crate) fn encode(&mut self, samples: &[i16], codes: &mut Vec<u8>) {
        codes.extend(samples.as_chunks().0.iter().map(|&pair| self.code(pair)));
    }

    fn code(&mut self, [first, second]: [i16; 2]) -> u8 {
        self.delay.copy_within(2.., 0);
        self.delay[22] = first.into();
        self.delay[23] = second.into();
        let (mut even, mut odd) = (0, 0);
        for (i, pair) in self.delay.as_chunks::<2>().0.iter().enumerate() {
            odd += pair[0] * QMF[i];
            even += pair[1] * QMF[11 - i];
        }
        self.low_code((even + odd) >> 14) | self.high_code((even - odd) >> 14) << 6
    }

    fn low_code(&mut self, sample: i32) -> u8 {
        let band = &mut self.low;
        let difference = saturate(sample - band.s);
        let magnitude = magnitude(difference);
        let level = (1..30)
            .find(|&i| magnitude < (Q6[i] * band.det) >> 12)
            .unwrap_or(30);
        let code = if difference < 0 {
            ILN[level]
        } else {
            ILP[level]
        };
        let coarse = usize::from(code >> 2);
        let quantized = (band.det * QM4[coarse]) >> 15;
        band.scale_low(coarse);
        band.adapt(quantized);
        code
    }

    fn high_code(&mut self, sample: i32) -> u8 {
        let band = &mut self.high;
        let difference = saturate(sample - band.s);
        let large = magnitude(difference) >= (564 * band.det) >> 12;
        let code = match (difference < 0, large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        let quantized = (band.det * QM2[code]) >> 15;
        band.scale_high(code);
        band.adapt(quantized);
        code as u8
    }
}

/// One less for negative numbers, as the recommendation subtracts in one's complement.
fn magnitude(difference: i32) -> i32 {
    if difference < 0 {
        !difference
    } else {
        difference
    }
}

/// Octets to samples of 16 kHz.
#[derive(Clone, Debug)]
pub(crate) struct G722Decoder {
    low: Band,
    high: Band,
    delay: [i32; 24],
}

impl Default for G722Decoder {
    fn default() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
            delay: [0; 24],
        }
    }
}

impl G722Decoder {
    /// Appends the samples of `codes`, two for each.
    pub(crate) fn decode(&mut self, codes: &[u8], samples: &mut Vec<i16>) {
        samples.extend(codes.iter().flat_map(|&code| self.samples(code)));
    }

    fn samples(&mut self, code: u8) -> [i16; 2] {
        let low = self.low_sample(usize::from(code & 63));
        let high = self.high_sample(usize::from(code >> 6));
        self.delay.copy_within(2.., 0);
        self.delay[22] = low + high;
        self.delay[23] = low - high;
        let (mut first, mut second) = (0, 0);
        for (i, pair) in self.delay.as_chunks::<2>().0.iter().enumerate() {
            first += pair[1] * QMF[11 - i];
            second += pair[0] * QMF[i];
        }
        [saturate(first >> 11) as i16, saturate(second >> 11) as i16]
    }

    fn low_sample(&mut self, code: usize) -> i32 {
        let band = &mut self.low;
        let sample = (band.s + ((band.det * QM6[code]) >> 15)).clamp(-16_384, 16_383);
        let coarse = code >> 2;
        let quantized = (band.det * QM4[coarse]) >> 15;
        band.scale_low(coarse);
        band.adapt(quantized);
        sample
    }

    fn high_sample(&mut self, code: usize) -> i32 {
        let band = &mut self.high;
        let quantized = (band.det * QM2[code]) >> 15;
        let sample = (band.s + quantized).clamp(-16_384, 16_383);
        band.scale_high(code);
        band.adapt(quantized);
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_in_either_band_comes_back() {
        for hz in [400.0, 1000.0, 3000.0, 5500.0] {
            let tone = |n: usize| {
                (10_000.0 * (n as f64 * hz * std::f64::consts::TAU / 16_000.0).sin()) as i16
            };
            let samples: Vec<i16> = (0..16_000).map(tone).collect();
            let (mut codes, mut heard) = (Vec::new(), Vec::new());
            G722Encoder::default().encode(&samples, &mut codes);
            assert_eq!(codes.len(), 8_000);
            G722Decoder::default().decode(&codes, &mut heard);
            // Both filters together delay by 22 samples.
            let (mut signal, mut noise) = (0.0, 0.0);
            for n in 1_000..15_000 {
                let (said, got) = (f64::from(samples[n]), f64::from(heard[n + 22]));
                signal += said * said;
                noise += (said - got) * (said - got);
            }
            let snr = 10.0 * (signal / noise).log10();
            assert!(snr > 15.0, "{hz} Hz: {snr:.1} dB");
        }
    }
}
