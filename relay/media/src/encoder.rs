//! Samples to frames: one voice, mono, 16 bits.

use crate::Codec;
use crate::audio_format::AudioFormat;
use crate::decoder::NotTranscodable;
use crate::g711::Law;
use crate::g722::G722Encoder;
#[cfg(feature = "opus")]
use crate::opus_codec::OpusEncoder;

/// How a voice is encoded, where the codec leaves a choice. All but Opus leave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Bits per second, if somebody asked for a number.
    pub bitrate: Option<u32>,
    /// The most that the receiver takes (RFC 7587 §6.1, `maxaveragebitrate`).
    pub max_bitrate: Option<u32>,
    /// The receiver can use in-band redundancy (`useinbandfec`). It is spent as far as packets are lost.
    pub fec: bool,
    /// The receiver prefers to be sent next to nothing during pauses (`usedtx`).
    pub dtx: bool,
    /// libopus's complexity, 0 to 10.
    pub complexity: u8,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            bitrate: None,
            max_bitrate: None,
            fec: false,
            dtx: false,
            complexity: 5,
        }
    }
}

/// Turns samples of one rate into frames of one format.
#[derive(Debug)]
pub struct Encoder {
    kind: Kind,
    rate_hz: u32,
}

#[derive(Debug)]
enum Kind {
    G711(Law),
    G722(Box<G722Encoder>),
    Linear {
        channels: usize,
    },
    #[cfg(feature = "opus")]
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder that takes `rate_hz` samples a second.
    ///
    /// # Errors
    /// When the format is none that is known here, or has another rate.
    pub fn new(
        format: AudioFormat,
        rate_hz: u32,
        settings: &EncoderSettings,
    ) -> Result<Self, NotTranscodable> {
        let refused = NotTranscodable(format.codec, rate_hz);
        if format.rate_near(rate_hz) != Some(rate_hz) {
            return Err(refused);
        }
        let kind = match format.codec {
            Codec::Pcmu => Kind::G711(Law::Mu),
            Codec::Pcma => Kind::G711(Law::A),
            Codec::G722 => Kind::G722(Box::default()),
            Codec::L16 => Kind::Linear {
                channels: usize::from(format.channels.max(1)),
            },
            #[cfg(feature = "opus")]
            Codec::Opus => Kind::Opus(OpusEncoder::new(rate_hz, settings).map_err(|_| refused)?),
            _ => return Err(refused),
        };
        #[cfg(not(feature = "opus"))]
        let _ = settings;
        Ok(Self { kind, rate_hz })
    }

    /// Samples per second.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Appends the frame of `samples`, which last a packet time of this codec. `false` when the codec has none so long.
    pub fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) -> bool {
        match &mut self.kind {
            Kind::G711(law) => law.encode(samples, payload),
            Kind::G722(encoder) => encoder.encode(samples, payload),
            Kind::Linear { channels } => {
                let octets = samples
                    .iter()
                    .flat_map(|sample| std::iter::repeat_n(sample.to_be_bytes(), *channels));
                payload.extend(octets.flatten());
            }
            #[cfg(feature = "opus")]
            Kind::Opus(encoder) => return encoder.encode(samples, payload).is_ok(),
        }
        true
    }

    /// The far end loses so many per cent of what it is sent.
    pub fn expect_loss(&mut self, percent: u8) {
        match &mut self.kind {
            #[cfg(feature = "opus")]
            Kind::Opus(encoder) => encoder.expect_loss(percent),
            _ => {
                let _ = percent;
            }
        }
    }
}

impl AudioFormat {
    /// The packet time nearest to `wanted_ms` (10 to 60 ms) that frames of this format can have.
    pub fn packet_time_ms(self, wanted_ms: u32) -> u32 {
        const OPUS: [u32; 4] = [60, 40, 20, 10];
        let wanted = wanted_ms.clamp(10, 60) / 10 * 10;
        match self.codec {
            Codec::Opus => OPUS.into_iter().find(|&ms| ms <= wanted).unwrap_or(20),
            // A datagram ends at 1500 octets.
            Codec::L16 => {
                let octets_per_ms = self.clock_hz * 2 * u32::from(self.channels.max(1)) / 1_000;
                let longest = 1_400 / octets_per_ms.max(1);
                wanted
                    .min(longest / 10 * 10)
                    .max(if longest < 10 { 5 } else { 10 })
            }
            _ => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_times_are_those_that_the_codec_has() {
        let of = |codec, clock_hz, channels| AudioFormat {
            codec,
            clock_hz,
            channels,
        };
        let opus = of(Codec::Opus, 48_000, 2);
        assert_eq!(
            [5, 10, 30, 50, 120].map(|ms| opus.packet_time_ms(ms)),
            [10, 10, 20, 40, 60]
        );
        let pcma = of(Codec::Pcma, 8_000, 1);
        assert_eq!(
            [5, 24, 30, 120].map(|ms| pcma.packet_time_ms(ms)),
            [10, 20, 30, 60]
        );
        assert_eq!(of(Codec::L16, 16_000, 1).packet_time_ms(60), 40);
        assert_eq!(of(Codec::L16, 44_100, 2).packet_time_ms(20), 5);
    }
}
