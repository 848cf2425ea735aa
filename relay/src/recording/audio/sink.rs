//! The file that a recording's samples go into: WAV, or Opus in Ogg.

use std::fmt::{self, Display};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};
#[cfg(feature = "opus")]
use relay_media::OpusFile;

use super::{AudioForm, Channels, RATE_HZ};

/// The header of a WAV file counts its bytes in 32 bits; a little is left for itself. That is 17 hours of two channels.
const MOST_BYTES: u64 = 0xf000_0000;

/// What files with audio are (`recording-audio-format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// Samples as they are: 115 MB an hour and channel.
    #[default]
    Wav,
    /// Opus in Ogg (RFC 7845): 13 MB an hour and channel.
    #[cfg(feature = "opus")]
    Opus,
}

impl FileFormat {
    /// How the names of such files end.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            #[cfg(feature = "opus")]
            Self::Opus => "opus",
        }
    }
}

impl Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ending())
    }
}

pub(super) enum Sink {
    Wav(WavWriter<BufWriter<File>>),
    #[cfg(feature = "opus")]
    Opus(Box<OpusFile<BufWriter<File>>>),
}

impl Sink {
    /// Makes a file that is not there yet, and can be opened although nothing was heard.
    pub(super) fn create(path: &Path, form: AudioForm) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let file = BufWriter::new(file);
        let channels = match form.channels {
            Channels::Mixed => 1,
            Channels::Stereo => 2,
        };
        let mut sink = match form.format {
            FileFormat::Wav => {
                let spec = WavSpec {
                    channels,
                    sample_rate: RATE_HZ,
                    bits_per_sample: 16,
                    sample_format: SampleFormat::Int,
                };
                Self::Wav(WavWriter::new(file, spec).map_err(in_io)?)
            }
            #[cfg(feature = "opus")]
            FileFormat::Opus => Self::Opus(Box::new(OpusFile::new(file, channels as u8, RATE_HZ)?)),
        };
        sink.flush()?;
        Ok(sink)
    }

    /// One sample of each channel.
    pub(super) fn put(&mut self, frame: &[i16]) -> io::Result<()> {
        match self {
            #[cfg(feature = "opus")]
            Self::Opus(file) => file.push(frame),
            Self::Wav(file) => {
                for &sample in frame {
                    file.write_sample(sample).map_err(in_io)?;
                }
                if u64::from(file.len()) * 2 > MOST_BYTES {
                    let problem = "no WAV file can be longer; what follows is left out";
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
                }
                Ok(())
            }
        }
    }

    /// Brings the file up to date, for those who listen while the call goes on, and for the end of power.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Wav(file) => file.flush().map_err(in_io),
            #[cfg(feature = "opus")]
            Self::Opus(file) => file.flush(),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Wav(file) => file.finalize().map_err(in_io),
            #[cfg(feature = "opus")]
            Self::Opus(file) => file.finish().map(drop),
        }
    }
}

fn in_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    }
}
