//! A codec as signalling names it, and the sample rates at which it can be decoded and encoded.

use crate::Codec;

/// Sample rates of linear PCM that are met; others would make big filters.
const LINEAR_RATES: [u32; 8] = [
    8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];
/// RFC 7587 §4.1: the rates at which Opus can be decoded and encoded, whatever its clock says.
const OPUS_RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// A codec with its clock and channels, as `a=rtpmap` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AudioFormat {
    pub codec: Codec,
    /// The RTP clock, which for G.722 and Opus is not the sample rate.
    pub clock_hz: u32,
    pub channels: u8,
}

impl AudioFormat {
    /// Whether speech in this format can be turned into samples and back.
    pub fn is_transcodable(self) -> bool {
        self.rate_near(8_000).is_some()
    }

    /// The sample rate of this format that is nearest to `hz`, from above where there is one; `None` when it cannot be
    /// transcoded.
    pub fn rate_near(self, hz: u32) -> Option<u32> {
        match self.codec {
            Codec::Opus if cfg!(feature = "opus") => {
                let enough = OPUS_RATES.into_iter().find(|&rate| rate >= hz);
                Some(enough.unwrap_or(48_000))
            }
            Codec::Pcmu | Codec::Pcma => {
                (self.clock_hz == 8_000 && self.channels <= 1).then_some(8_000)
            }
            Codec::G722 => (self.clock_hz == 8_000 && self.channels <= 1).then_some(16_000),
            Codec::L16 => {
                let known = LINEAR_RATES.contains(&self.clock_hz) && self.channels <= 2;
                known.then_some(self.clock_hz)
            }
            Codec::Opus | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other => None,
        }
    }
}

/// The rates at which to decode one format and encode another. They are equal wherever the formats allow it, and then nothing
/// needs to be resampled: Opus works at the rate of the other side.
pub(crate) fn rates(from: AudioFormat, to: AudioFormat) -> Option<(u32, u32)> {
    if from.codec == Codec::Opus && to.codec == Codec::Opus {
        return from.rate_near(16_000).map(|rate| (rate, rate));
    }
    if from.codec == Codec::Opus {
        let encoded = to.rate_near(8_000)?;
        return Some((from.rate_near(encoded)?, encoded));
    }
    let decoded = from.rate_near(8_000)?;
    Some((decoded, to.rate_near(decoded)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(codec: Codec, clock_hz: u32, channels: u8) -> AudioFormat {
        AudioFormat {
            codec,
            clock_hz,
            channels,
        }
    }

    #[test]
    #[cfg(feature = "opus")]
    fn opus_runs_at_the_rate_of_the_other_side() {
        let opus = format(Codec::Opus, 48_000, 2);
        for (codec, clock, rate) in [
            (Codec::Pcma, 8_000, 8_000),
            (Codec::G722, 8_000, 16_000),
            (Codec::L16, 24_000, 24_000),
        ] {
            let other = format(codec, clock, 1);
            assert_eq!(rates(opus, other), Some((rate, rate)));
            assert_eq!(rates(other, opus), Some((rate, rate)));
        }
        assert_eq!(
            rates(opus, format(Codec::L16, 44_100, 1)),
            Some((48_000, 44_100))
        );
    }

    #[test]
    fn what_is_not_understood_is_not_transcoded() {
        assert!(!format(Codec::Other, 8_000, 1).is_transcodable());
        assert!(!format(Codec::TelephoneEvent, 8_000, 1).is_transcodable());
        assert!(!format(Codec::L16, 44_101, 1).is_transcodable());
        assert!(!format(Codec::Pcmu, 16_000, 1).is_transcodable());
    }
}
