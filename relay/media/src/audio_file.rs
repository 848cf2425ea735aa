//! Audio files as one voice: WAV, MP3, Ogg with Opus or Vorbis, and what has no header at all.
//!
//! A file is read a packet at a time, mixed down and brought to one of the sample rates of Opus, so that whoever plays it
//! rarely resamples. Nothing of it is believed: a file that promises ten hours is as long as the samples that it gives.
//! Where the bytes come from is the caller's affair; files are opened by the daemon.

use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use thiserror::Error;

use crate::Resampler;

mod container;
mod raw;

use container::Container;
use raw::Raw;

/// RFC 7587 §4.1: the rates at which Opus is encoded without a resampler.
const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// A file that claims to be longer tells nothing about its length.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What is said of a file at which the library that reads it failed.
const DEFECT: &str = "it met a defect of its decoder";

/// What bytes are read from.
pub trait Bytes: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> Bytes for T {}

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum AudioFileError {
    /// It cannot be read, or is none of the known kinds.
    #[error("{0}")]
    Unreadable(String),
    /// There is no audio in it.
    #[error("there is no audio in it")]
    NoAudio,
    /// It is audio of a kind that is not decoded here.
    #[error("its audio cannot be decoded: {0}")]
    Undecodable(String),
    /// Its sample rate or its channels are not those of audio.
    #[error("{rate_hz} Hz with {channels} channels cannot be played")]
    Odd { rate_hz: u32, channels: usize },
    /// It cannot be played from there.
    #[error("it cannot be played from {} ms on: {why}", position.as_millis())]
    Position { position: Duration, why: String },
}

/// An audio file that is being read.
#[derive(Debug)]
pub struct AudioFile {
    input: Input,
    resampler: Option<Resampler>,
    rate_hz: u32,
    duration: Option<Duration>,
    /// What a packet gave, at the file's own rate.
    packet: Vec<i16>,
    /// Samples at the file's own rate that lie before the wanted position.
    skip: u64,
}

#[derive(Debug)]
enum Input {
    Container(Box<Container>),
    Raw(Raw),
}

impl AudioFile {
    /// Begins to read. `name` is what the file is called, as far as that is known: raw samples are told by the ending alone.
    ///
    /// # Errors
    /// When there is no audio in it that can be decoded.
    pub fn open(
        bytes: Box<dyn Bytes>,
        length: Option<u64>,
        name: Option<&str>,
    ) -> Result<Self, AudioFileError> {
        let ending = name.and_then(|name| Some(name.rsplit_once('.')?.1.to_ascii_lowercase()));
        let raw = ending
            .as_deref()
            .and_then(|ending| Raw::of_ending(ending).ok());
        let input = match raw {
            Some(kind) => Input::Raw(Raw::new(kind, bytes, length)?),
            None => {
                let open = || Container::open(bytes, length, ending.as_deref());
                let defect = AudioFileError::Unreadable(DEFECT.to_owned());
                let container = caught(open).unwrap_or(Err(defect))?;
                Input::Container(Box::new(container))
            }
        };
        let (own, duration) = match &input {
            Input::Container(container) => (container.rate_hz(), container.duration()),
            Input::Raw(raw) => (raw.rate_hz(), raw.duration()),
        };
        let rate_hz = RATES.into_iter().find(|&rate| rate >= own);
        let rate_hz = rate_hz.unwrap_or(48_000);
        let resampler = Resampler::new(own, rate_hz);
        if resampler.is_none() && own != rate_hz {
            return Err(AudioFileError::Odd {
                rate_hz: own,
                channels: 1,
            });
        }
        Ok(Self {
            input,
            resampler,
            rate_hz,
            duration: duration.filter(|&duration| duration <= LONGEST),
            packet: Vec::new(),
            skip: 0,
        })
    }

    /// Samples per second of what [`Self::read`] gives.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// How long it is, as far as that shows without reading all of it.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Goes on from that position.
    ///
    /// # Errors
    /// When the file ends before, or is of a kind in which nothing can be found.
    pub fn seek(&mut self, position: Duration) -> Result<(), AudioFileError> {
        let failed = |why: &str| AudioFileError::Position {
            position,
            why: why.to_owned(),
        };
        if self.duration.is_some_and(|duration| position >= duration) {
            return Err(failed("it ends before"));
        }
        let sought = match &mut self.input {
            Input::Container(container) => {
                caught(|| container.seek(position)).unwrap_or(Err(DEFECT.to_owned()))
            }
            Input::Raw(raw) => raw.seek(position),
        };
        self.skip = sought.map_err(|why| failed(&why))?;
        Ok(())
    }

    /// Appends the samples of the next packet; `false` at the end.
    pub fn read(&mut self, samples: &mut Vec<i16>) -> bool {
        self.packet.clear();
        let more = match &mut self.input {
            Input::Container(container) => {
                caught(|| container.read(&mut self.packet)).unwrap_or(false)
            }
            Input::Raw(raw) => raw.read(&mut self.packet),
        };
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let skipped = skipped.min(self.packet.len());
        self.skip -= skipped as u64;
        let heard = &self.packet[skipped..];
        match &mut self.resampler {
            Some(resampler) => resampler.push(heard, samples),
            None => samples.extend_from_slice(heard),
        }
        more
    }
}

/// Runs what reads a stranger's bytes. A mistake in it costs this file alone.
fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

#[cfg(test)]
mod tests;
