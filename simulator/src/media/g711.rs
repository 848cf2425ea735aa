//! G.711 (ITU-T G.711), for numbers that have PCMU or PCMA switched on.
//!
//! The simulator speaks and listens at 16 kHz; towards G.711 every second sample is taken, from it each one is
//! repeated. That is crude, and enough for tones.

use crate::sdp::Codec;

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

pub(crate) fn encode(codec: Codec, samples: &[i16]) -> Vec<u8> {
    let every_second = samples.iter().step_by(2).copied();
    match codec {
        Codec::Pcma => every_second.map(to_alaw).collect(),
        Codec::Pcmu | Codec::Opus => every_second.map(to_ulaw).collect(),
    }
}

pub(crate) fn decode(codec: Codec, payload: &[u8]) -> Vec<i16> {
    payload
        .iter()
        .map(|octet| match codec {
            Codec::Pcma => from_alaw(*octet),
            Codec::Pcmu | Codec::Opus => from_ulaw(*octet),
        })
        .flat_map(|sample| [sample, sample])
        .collect()
}

fn to_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(ULAW_CLIP) + ULAW_BIAS;
    let exponent = (magnitude >> 7).ilog2();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

fn from_ulaw(octet: u8) -> i16 {
    let octet = !octet;
    let exponent = (octet >> 4) & 7;
    let magnitude = (((i32::from(octet & 0x0f) << 3) + ULAW_BIAS) << exponent) - ULAW_BIAS;
    let signed = if octet & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    };
    signed as i16
}

fn to_alaw(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 {
        (0x80, i32::from(sample) >> 3)
    } else {
        (0, (-i32::from(sample) - 1) >> 3)
    };
    let magnitude = magnitude.min(0xfff);
    let octet = if magnitude < 32 {
        magnitude >> 1
    } else {
        let exponent = magnitude.ilog2() as i32 - 4;
        (exponent << 4) | ((magnitude >> exponent) & 0x0f)
    };
    (sign | octet as u8) ^ 0x55
}

fn from_alaw(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let exponent = i32::from((octet >> 4) & 7);
    let mantissa = i32::from(octet & 0x0f);
    let magnitude = if exponent == 0 {
        (mantissa << 4) + 8
    } else {
        ((mantissa << 4) + 0x108) << (exponent - 1)
    };
    let signed = if octet & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    };
    signed as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::{FRAME, Tone, share_of};

    #[test]
    fn both_laws_are_near_the_original_at_every_level() {
        for sample in (-32_000..=32_000i16).step_by(37) {
            let tolerance = f64::from(sample).abs() * 0.05 + 16.0;
            for (law, back) in [
                ("u", from_ulaw(to_ulaw(sample))),
                ("A", from_alaw(to_alaw(sample))),
            ] {
                let error = (f64::from(back) - f64::from(sample)).abs();
                assert!(error <= tolerance, "{law}-law made {back} of {sample}");
            }
        }
    }

    #[test]
    fn known_code_words_come_out() {
        assert_eq!((to_ulaw(0), to_alaw(0)), (0xff, 0xd5));
        assert_eq!((from_ulaw(0x00), from_ulaw(0x80)), (-32_124, 32_124));
        assert_eq!((from_alaw(0xaa), from_alaw(0x2a)), (32_256, -32_256));
    }

    #[test]
    fn a_tone_is_still_there_afterwards() {
        let mut frame = [0; FRAME];
        Tone::default().fill(700.0, 0.3, &mut frame);
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let payload = encode(codec, &frame);
            assert_eq!(payload.len(), 160);
            assert!(share_of(700.0, &decode(codec, &payload)) > 0.8);
        }
    }
}
