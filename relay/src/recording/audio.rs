//! What the parties of a call said, as a file: one channel for both, or one for each side.
//!
//! Each sender's packets are brought into order, decoded and put where they belong on the time line of the recording: the first by
//! the time at which it came, those behind it by their timestamps, so that neither jitter nor a pause shifts anything. A sender
//! whose clock has gone far from ours, or who began to count anew, is put back to the time of arrival.

mod sink;

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use relay_call::recording::Speech;
use relay_media::{AudioFormat, Codec, Coded, EncoderSettings, Heard, Transcoder};

use super::{Folders, vcon};
pub use sink::FileFormat;
use sink::Sink;

/// Samples a second in the file: what a wide-band codec gives. The narrow ones are brought to it.
pub(super) const RATE_HZ: u32 = 16_000;
/// Samples wait so long for others of the same time: longer than a packet is waited for, and than two workers' batches are apart.
const WINDOW: Duration = Duration::from_millis(500);
/// The difference between a sender's timestamps and the time of arrival that is taken for jitter.
const TOLERANCE: Duration = Duration::from_millis(300);
/// How often the file is brought up to date.
const UPDATE: u64 = 5 * RATE_HZ as u64;

/// How many channels, and for whom (`recording-audio`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// One for everybody.
    #[default]
    Mixed,
    /// The caller left, all others right.
    Stereo,
}

impl Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mixed => "mixed",
            Self::Stereo => "stereo",
        })
    }
}

/// What a file with audio is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioForm {
    /// How many channels, and for whom.
    pub channels: Channels,
    /// And in what.
    pub format: FileFormat,
}

/// The audio of a recording, which begins with the first packet that is heard: what is missing before it is silence.
pub(super) enum Audio {
    /// There is none.
    None,
    /// Nothing was heard yet.
    Wanted(PathBuf),
    /// It is being written.
    Written(PathBuf, Box<AudioFile>),
    /// It could not be written any more.
    Broken(PathBuf),
}

impl Audio {
    /// Takes a packet. After an error no more are taken.
    pub(super) fn hear(
        &mut self,
        folders: &Folders,
        form: AudioForm,
        at: Duration,
        speech: &Speech,
        payload: &[u8],
    ) -> Result<(), (PathBuf, io::Error)> {
        if let Self::Wanted(path) = self {
            let path = std::mem::take(path);
            let made = folders.prepare(&path);
            match made.and_then(|()| AudioFile::create(&path, form, at)) {
                Ok(file) => *self = Self::Written(path, Box::new(file)),
                Err(error) => {
                    *self = Self::None;
                    return Err((path, error));
                }
            }
        }
        let Self::Written(path, file) = self else {
            return Ok(());
        };
        if let Err(error) = file.push(at, speech, payload) {
            let path = std::mem::take(path);
            *self = Self::Broken(path.clone());
            return Err((path, error));
        }
        Ok(())
    }

    /// Writes the rest; what there is then, if anything was heard. A file that broke off earlier has been told of.
    pub(super) fn finish(self) -> Result<Finished, (PathBuf, io::Error)> {
        match self {
            Self::Written(path, file) => {
                let (channels, started) = (file.channels, file.started);
                match file.finish() {
                    Ok(duration) => Ok(Finished::Whole(vcon::Audio {
                        path,
                        channels,
                        started,
                        duration,
                    })),
                    Err(error) => Err((path, error)),
                }
            }
            Self::None | Self::Broken(_) => Ok(Finished::Missing),
            Self::Wanted(_) => Ok(Finished::Silent),
        }
    }

    /// Gives the file up; where it is, if it is one of ours.
    pub(super) fn into_path(self) -> Option<PathBuf> {
        match self {
            Self::Written(path, _) | Self::Broken(path) => Some(path),
            Self::None | Self::Wanted(_) => None,
        }
    }
}

/// What became of the audio of a recording that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// A file with all of it.
    Whole(vcon::Audio),
    /// Nobody was heard.
    Silent,
    /// It was not wanted, or could not be written.
    Missing,
}

/// A file that is being written.
pub(super) struct AudioFile {
    file: Sink,
    channels: Channels,
    /// The time line, by both clocks.
    started: Duration,
    origin: Instant,
    sides: [Side; 2],
    /// Samples of both sides behind what is written.
    window: VecDeque<[i32; 2]>,
    /// Frames in the file.
    written: u64,
    updated: u64,
}

/// Whoever is heard on one channel.
#[derive(Default)]
struct Side {
    senders: Vec<Sender>,
}

/// Senders of one side at the same time: several streams, or a sender that changed its number. The oldest is forgotten.
const MOST_SENDERS: usize = 4;

struct Sender {
    ssrc: u32,
    transcoder: Transcoder,
    /// Where on the time line which timestamp of the decoded samples is.
    anchor: Option<(i64, u32)>,
}

impl AudioFile {
    /// Makes a file that is not there yet, of a recording that starts at this time since 1970.
    pub(super) fn create(path: &Path, form: AudioForm, started: Duration) -> io::Result<Self> {
        let file = Sink::create(path, form)?;
        Ok(Self {
            file,
            channels: form.channels,
            started,
            origin: Instant::now(),
            sides: Default::default(),
            window: VecDeque::new(),
            written: 0,
            updated: 0,
        })
    }

    /// How long it is.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_micros(self.written * 1_000_000 / u64::from(RATE_HZ))
    }

    /// Takes a packet that came at `at`. What cannot be decoded is left out.
    pub(super) fn push(&mut self, at: Duration, speech: &Speech, payload: &[u8]) -> io::Result<()> {
        let since = at.saturating_sub(self.started);
        let now = self.origin + since;
        let arrived = frames(since);
        let tolerance = frames(TOLERANCE);
        // First, so that after a long silence the window is not longer than ever.
        self.advance(since.saturating_sub(WINDOW))?;
        let number = usize::from(!speech.is_callers);
        let (written, window) = (self.written, &mut self.window);
        if let Some(Sender {
            transcoder, anchor, ..
        }) = self.sides[number].sender(speech)
        {
            let mut put = |coded: Coded<'_>| {
                let count = (coded.payload.len() / 2) as i64;
                let here = arrived - count;
                let there = anchor.map(|(position, timestamp)| {
                    position + i64::from(coded.timestamp.wrapping_sub(timestamp) as i32)
                });
                let position = there.filter(|there| (there - here).abs() <= tolerance);
                let position = position.unwrap_or(here).max(0);
                *anchor = Some((position, coded.timestamp));
                for (index, sample) in coded.payload.as_chunks().0.iter().enumerate() {
                    let behind = position + index as i64 - written as i64;
                    // What is written already is too late.
                    let Ok(behind) = usize::try_from(behind) else {
                        continue;
                    };
                    if behind >= window.len() {
                        window.resize(behind + 1, [0; 2]);
                    }
                    // RFC 3551 section 4.5.11: most significant byte first.
                    window[behind][number] += i32::from(i16::from_be_bytes(*sample));
                }
            };
            if speech.format.is_transcodable() {
                let heard = Heard {
                    sequence: speech.sequence,
                    timestamp: speech.timestamp,
                    format: speech.format,
                    payload,
                };
                // A packet that came too late, or is none of its codec, is one of those that are left out.
                let _ = transcoder.push(now, heard, &mut put);
            } else {
                transcoder.pass(now, speech.sequence, &mut put);
            }
            transcoder.handle_timeout(now, &mut put);
        }
        Ok(())
    }

    /// Writes what waits, and closes the file.
    pub(super) fn finish(mut self) -> io::Result<Duration> {
        self.write(self.window.len())?;
        let duration = self.duration();
        self.file.finish()?;
        Ok(duration)
    }

    /// Writes everything before this time, silence where nobody spoke.
    fn advance(&mut self, until: Duration) -> io::Result<()> {
        let until = frames(until) as u64;
        self.write(until.saturating_sub(self.written) as usize)?;
        if self.written >= self.updated + UPDATE {
            self.updated = self.written;
            self.file.flush()?;
        }
        Ok(())
    }

    fn write(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let [left, right] = self.window.pop_front().unwrap_or_default();
            match self.channels {
                Channels::Mixed => self.file.put(&[clipped(left + right)]),
                Channels::Stereo => self.file.put(&[clipped(left), clipped(right)]),
            }?;
            self.written += 1;
        }
        Ok(())
    }
}

impl Side {
    /// The sender of a packet; `None` if its first packets are none of speech.
    fn sender(&mut self, speech: &Speech) -> Option<&mut Sender> {
        let known = |sender: &Sender| sender.ssrc == speech.ssrc;
        if let Some(index) = self.senders.iter().position(known) {
            return self.senders.get_mut(index);
        }
        let linear = AudioFormat {
            codec: Codec::L16,
            clock_hz: RATE_HZ,
            channels: 1,
        };
        let settings = EncoderSettings::default();
        let transcoder = Transcoder::new(speech.format, linear, 20, &settings).ok()?;
        if self.senders.len() == MOST_SENDERS {
            self.senders.remove(0);
        }
        self.senders.push(Sender {
            ssrc: speech.ssrc,
            transcoder,
            anchor: None,
        });
        self.senders.last_mut()
    }
}

fn frames(time: Duration) -> i64 {
    let frames = time.as_micros() * u128::from(RATE_HZ) / 1_000_000;
    i64::try_from(frames).unwrap_or(i64::MAX)
}

fn clipped(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests;
