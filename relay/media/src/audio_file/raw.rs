//! Samples without a header; the ending of the name says what they are, as Asterisk and sox name such files.

use std::fmt;
use std::io::{Read, SeekFrom};
use std::time::Duration;

use super::{AudioFileError, Bytes};
use crate::{AudioFormat, Codec, Decoder};

/// Octets read at once: 100 ms of G.711.
const BLOCK: usize = 800;

/// What the octets of a file without a header are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawKind {
    Coded(Codec),
    /// Linear, 16 bits, little-endian.
    Linear {
        rate_hz: u32,
    },
}

/// The ending is none of raw samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherEnding;

pub(super) struct Raw {
    kind: RawKind,
    bytes: Box<dyn Bytes>,
    length: Option<u64>,
    decoder: Option<Decoder>,
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({:?})", self.kind)
    }
}

impl Raw {
    pub(super) fn of_ending(ending: &str) -> Result<RawKind, OtherEnding> {
        Ok(match ending {
            "ul" | "ulaw" | "mulaw" | "pcmu" => RawKind::Coded(Codec::Pcmu),
            "al" | "alaw" | "pcma" => RawKind::Coded(Codec::Pcma),
            "g722" => RawKind::Coded(Codec::G722),
            "raw" | "sln" | "sln8" => RawKind::Linear { rate_hz: 8_000 },
            "sln16" => RawKind::Linear { rate_hz: 16_000 },
            "sln24" => RawKind::Linear { rate_hz: 24_000 },
            "sln48" => RawKind::Linear { rate_hz: 48_000 },
            _ => return Err(OtherEnding),
        })
    }

    pub(super) fn new(
        kind: RawKind,
        bytes: Box<dyn Bytes>,
        length: Option<u64>,
    ) -> Result<Self, AudioFileError> {
        let mut raw = Self {
            kind,
            bytes,
            length,
            decoder: None,
        };
        raw.decoder = raw.make_decoder()?;
        Ok(raw)
    }

    fn make_decoder(&self) -> Result<Option<Decoder>, AudioFileError> {
        let RawKind::Coded(codec) = self.kind else {
            return Ok(None);
        };
        let format = AudioFormat {
            codec,
            clock_hz: 8_000,
            channels: 1,
        };
        let made = Decoder::new(format, self.rate_hz());
        made.map(Some)
            .map_err(|error| AudioFileError::Undecodable(error.to_string()))
    }

    pub(super) fn rate_hz(&self) -> u32 {
        match self.kind {
            RawKind::Coded(Codec::G722) => 16_000,
            RawKind::Coded(_) => 8_000,
            RawKind::Linear { rate_hz } => rate_hz,
        }
    }

    fn octets_per_second(&self) -> u64 {
        match self.kind {
            RawKind::Coded(_) => 8_000,
            RawKind::Linear { rate_hz } => 2 * u64::from(rate_hz),
        }
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        let milliseconds = self.length?.saturating_mul(1_000) / self.octets_per_second();
        Some(Duration::from_millis(milliseconds))
    }

    pub(super) fn seek(&mut self, position: Duration) -> Result<u64, String> {
        let milliseconds = u64::try_from(position.as_millis()).unwrap_or(u64::MAX);
        let octets = milliseconds.saturating_mul(self.octets_per_second()) / 1_000;
        let sought = self.bytes.seek(SeekFrom::Start(octets & !1));
        sought.map_err(|error| error.to_string())?;
        self.decoder = self.make_decoder().map_err(|error| error.to_string())?;
        Ok(0)
    }

    pub(super) fn read(&mut self, samples: &mut Vec<i16>) -> bool {
        let mut block = Vec::with_capacity(BLOCK);
        let limit = BLOCK as u64;
        let whole = self.bytes.by_ref().take(limit).read_to_end(&mut block);
        match &mut self.decoder {
            // The end may be an empty block, which is no frame.
            Some(decoder) => drop(decoder.decode(&block, samples)),
            None => {
                let (pairs, _) = block.as_chunks();
                samples.extend(pairs.iter().map(|&pair| i16::from_le_bytes(pair)));
            }
        }
        whole.is_ok_and(|count| count == BLOCK)
    }
}
