//! G.711: the two companding laws (ITU-T G.711, tables 1a to 2b).
//!
//! A code stands for one sample of 8 kHz. Decoding is a table of 256 samples; encoding finds the segment by its leading bit.

/// One of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// µ-law, PCMU.
    Mu,
    /// A-law, PCMA.
    A,
}

static MU: [i16; 256] = table(Law::Mu);
static A: [i16; 256] = table(Law::A);

/// µ-law: added before the segment is sought, so that every segment begins at a power of two.
const BIAS: i32 = 0x84;
/// µ-law: the largest magnitude that has a code.
const CLIP: i32 = 32_635;

impl Law {
    /// Appends the samples of `codes`.
    pub(crate) fn decode(self, codes: &[u8], samples: &mut Vec<i16>) {
        let table = match self {
            Self::Mu => &MU,
            Self::A => &A,
        };
        samples.extend(codes.iter().map(|&code| table[usize::from(code)]));
    }

    /// Appends the codes of `samples`.
    pub(crate) fn encode(self, samples: &[i16], codes: &mut Vec<u8>) {
        match self {
            Self::Mu => codes.extend(samples.iter().map(|&sample| mu_code(sample))),
            Self::A => codes.extend(samples.iter().map(|&sample| a_code(sample))),
        }
    }
}

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => mu_sample(code as u8),
            Law::A => a_sample(code as u8),
        };
        code += 1;
    }
    table
}

const fn mu_sample(code: u8) -> i16 {
    let code = !code;
    let segment = (code >> 4 & 7) as i32;
    let magnitude = ((((code as i32 & 15) << 3) + BIAS) << segment) - BIAS;
    (if code & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

const fn a_sample(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4 & 7) as i32;
    let interval = (code as i32 & 15) << 4;
    let magnitude = match segment {
        0 => interval + 8,
        _ => (interval + 0x108) << (segment - 1),
    };
    (if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

fn mu_code(sample: i16) -> u8 {
    let sample = i32::from(sample);
    let sign = if sample < 0 { 0x80 } else { 0 };
    let biased = sample.abs().min(CLIP) + BIAS;
    // The leading bit is bit 7 in the first segment and bit 14 in the last.
    let segment = 24 - biased.leading_zeros() as i32;
    let interval = biased >> (segment + 3) & 15;
    !(sign | (segment << 4) as u8 | interval as u8)
}

fn a_code(sample: i16) -> u8 {
    let sample = i32::from(sample);
    let (sign, magnitude) = if sample < 0 {
        (0, !sample)
    } else {
        (0x80, sample)
    };
    // The first two segments have the same step; from there on the leading bit tells.
    let segment = (24 - (magnitude | 0xff).leading_zeros() as i32).max(0);
    let interval = magnitude >> if segment == 0 { 4 } else { segment + 3 } & 15;
    (sign | (segment << 4) as u8 | interval as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(law: Law, code: u8) -> i16 {
        let mut samples = Vec::new();
        law.decode(&[code], &mut samples);
        samples[0]
    }

    fn encoded(law: Law, sample: i16) -> u8 {
        let mut codes = Vec::new();
        law.encode(&[sample], &mut codes);
        codes[0]
    }

    #[test]
    fn the_ends_and_the_middle_are_those_of_the_recommendation() {
        // G.711 table 2a and 1a, scaled to 16 bits: the largest decoder outputs are 8031 * 4 and 4032 * 8.
        assert_eq!(decoded(Law::Mu, 0x80), 32_124);
        assert_eq!(decoded(Law::Mu, 0x00), -32_124);
        assert_eq!(decoded(Law::Mu, 0xff), 0);
        assert_eq!(decoded(Law::A, 0xaa), 32_256);
        assert_eq!(decoded(Law::A, 0x2a), -32_256);
        assert_eq!(decoded(Law::A, 0xd5), 8);
        assert_eq!(decoded(Law::A, 0x55), -8);
    }

    #[test]
    fn every_code_survives_a_round_trip() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255 {
                let again = encoded(law, decoded(law, code));
                // µ-law has two codes for zero.
                let zero = law == Law::Mu && code == 0x7f;
                assert_eq!(again, if zero { 0xff } else { code }, "{law:?} {code:#x}");
            }
        }
    }

    #[test]
    fn every_sample_gets_the_nearest_code_or_where_steps_change_the_next_one() {
        for law in [Law::Mu, Law::A] {
            let all: Vec<i32> = (0..=255)
                .map(|code| i32::from(decoded(law, code)))
                .collect();
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let got = (i32::from(decoded(law, encoded(law, sample))) - i32::from(sample)).abs();
                let best = all
                    .iter()
                    .map(|v| (v - i32::from(sample)).abs())
                    .min()
                    .unwrap();
                // Where a segment ends, the recommendation decides in the middle of the smaller step.
                assert!(
                    got <= 2 * best + 1,
                    "{law:?} {sample}: {got} instead of {best}"
                );
            }
        }
    }
}
