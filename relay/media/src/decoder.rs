//! Frames to samples: one voice, mono, 16 bits.

use thiserror::Error;

use crate::Codec;
use crate::audio_format::AudioFormat;
use crate::concealment::Concealment;
use crate::g711::Law;
use crate::g722::G722Decoder;
#[cfg(feature = "opus")]
use crate::opus_codec::OpusDecoder;

/// A format has no decoder or no encoder here, or not at that rate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0:?} at {1} Hz cannot be transcoded")]
pub struct NotTranscodable(pub Codec, pub u32);

/// A payload is not what its format says.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the payload is no valid frame of its codec")]
pub struct InvalidFrame;

/// The longest payload that is decoded: 120 ms of linear stereo at 48 kHz do not fit into a datagram anyway.
const MAX_PAYLOAD: usize = 8_192;

/// Turns frames of one format into samples of one rate, and fills in for what is lost.
#[derive(Debug)]
pub struct Decoder {
    kind: Kind,
    /// Opus conceals by itself.
    concealment: Option<Concealment>,
    rate_hz: u32,
}

#[derive(Debug)]
enum Kind {
    G711(Law),
    G722(Box<G722Decoder>),
    Linear {
        channels: usize,
    },
    #[cfg(feature = "opus")]
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder that gives `rate_hz` samples a second.
    ///
    /// # Errors
    /// When the format is none that is known here, or has another rate.
    pub fn new(format: AudioFormat, rate_hz: u32) -> Result<Self, NotTranscodable> {
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
            Codec::Opus => Kind::Opus(OpusDecoder::new(rate_hz).map_err(|_| refused)?),
            _ => return Err(refused),
        };
        let own = format.codec == Codec::Opus;
        Ok(Self {
            kind,
            concealment: (!own).then(|| Concealment::new(rate_hz)),
            rate_hz,
        })
    }

    /// Samples per second.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Appends the samples of a frame.
    ///
    /// # Errors
    /// When the payload is none of this codec.
    pub fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), InvalidFrame> {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            return Err(InvalidFrame);
        }
        let start = samples.len();
        match &mut self.kind {
            Kind::G711(law) => law.decode(payload, samples),
            Kind::G722(decoder) => decoder.decode(payload, samples),
            Kind::Linear { channels } => {
                let octets = 2 * *channels;
                if !payload.len().is_multiple_of(octets) {
                    return Err(InvalidFrame);
                }
                // RFC 3551 §4.5.11: network byte order; channels take turns. Two become their mean.
                samples.extend(payload.chunks_exact(octets).map(|sample| {
                    let values = sample
                        .as_chunks()
                        .0
                        .iter()
                        .map(|&octets| i32::from(i16::from_be_bytes(octets)));
                    (values.sum::<i32>() / *channels as i32) as i16
                }));
            }
            #[cfg(feature = "opus")]
            Kind::Opus(decoder) => decoder.decode(payload, samples).map_err(|_| InvalidFrame)?,
        }
        if let Some(concealment) = &mut self.concealment {
            concealment.hear(&mut samples[start..]);
        }
        Ok(())
    }

    /// Appends `count` samples in place of lost ones. `next` is the payload after the gap, if it is there: an Opus packet may
    /// carry a copy of the one before it.
    pub fn conceal(&mut self, count: usize, next: Option<&[u8]>, samples: &mut Vec<i16>) {
        match (&mut self.kind, &mut self.concealment) {
            #[cfg(feature = "opus")]
            (Kind::Opus(decoder), _) => decoder.conceal(count, next, samples),
            (_, Some(concealment)) => concealment.conceal(count, samples),
            (_, None) => samples.resize(samples.len() + count, 0),
        }
        #[cfg(not(feature = "opus"))]
        let _ = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_stereo_is_mixed_down() {
        let format = AudioFormat {
            codec: Codec::L16,
            clock_hz: 44_100,
            channels: 2,
        };
        let mut decoder = Decoder::new(format, 44_100).unwrap();
        let mut samples = Vec::new();
        decoder
            .decode(&[0x10, 0x00, 0x20, 0x00], &mut samples)
            .unwrap();
        assert_eq!(samples.len(), 1);
        assert_eq!(decoder.decode(&[1, 2, 3], &mut samples), Err(InvalidFrame));
        assert_eq!(decoder.decode(&[], &mut samples), Err(InvalidFrame));
    }

    #[test]
    fn a_rate_that_a_codec_does_not_have_is_refused() {
        let format = AudioFormat {
            codec: Codec::Pcmu,
            clock_hz: 8_000,
            channels: 1,
        };
        assert!(Decoder::new(format, 16_000).is_err());
        assert!(
            Decoder::new(
                AudioFormat {
                    codec: Codec::Other,
                    ..format
                },
                8_000
            )
            .is_err()
        );
    }
}
