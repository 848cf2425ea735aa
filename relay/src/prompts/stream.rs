//! One recording on its way to one listener: its pieces one after another, as often as it is to be heard.

use std::fmt;
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use relay_media::{AudioFile, Piece};

use super::cache::{Cache, Decoded, Identity, LONGEST};

/// How long a piece lasts.
const PIECE_MS: usize = 200;

/// Where a recording comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File {
        /// As the request names it.
        named: PathBuf,
        /// Where it has to be.
        folder: Option<Arc<Path>>,
    },
    Blob(Arc<[u8]>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { named, .. } => write!(f, "file={}", named.display()),
            Self::Blob(bytes) => write!(f, "blob of {} bytes", bytes.len()),
        }
    }
}

impl Source {
    /// The file itself. Links and `..` do not lead out of the folder.
    fn path(&self) -> Result<Option<PathBuf>, String> {
        let Self::File { named, folder } = self else {
            return Ok(None);
        };
        let named = match folder {
            Some(folder) => folder.join(named),
            None => named.clone(),
        };
        let unreadable = |error: std::io::Error| format!("{self}: {error}");
        let path = fs::canonicalize(&named).map_err(unreadable)?;
        if let Some(folder) = folder {
            let inside = fs::canonicalize(folder).map_err(unreadable)?;
            if !path.starts_with(&inside) {
                let folder = folder.display();
                return Err(format!("{self} lies outside media-dir={folder}"));
            }
        }
        Ok(Some(path))
    }
}

/// Where pieces come from.
enum Reader {
    File {
        file: Box<AudioFile>,
        /// What was read so far, as long as it may be kept.
        kept: Option<Vec<Arc<Piece>>>,
        identity: Option<Identity>,
        /// Samples that no piece has yet.
        samples: Vec<i16>,
        over: bool,
    },
    Kept {
        decoded: Decoded,
        next: usize,
    },
}

pub(super) struct Stream {
    reader: Reader,
    rate_hz: u32,
    duration: Option<Duration>,
    /// How often more it is to be heard.
    times: u64,
    /// Where the next piece begins.
    position: Duration,
    /// A piece that the listener had no room for.
    waiting: Option<Arc<Piece>>,
    /// The present round gave something: a recording of nothing is not repeated for ever.
    gave: bool,
}

impl Stream {
    pub(super) fn open(
        source: &Source,
        from: Duration,
        times: u64,
        cache: &mut Cache,
    ) -> Result<Self, String> {
        let identity = identity(source)?;
        let known = identity.as_ref().and_then(|identity| cache.find(identity));
        let (mut reader, rate_hz, duration) = match known {
            Some(decoded) => {
                let (rate_hz, duration) = (decoded.rate_hz, decoded.duration);
                (Reader::Kept { decoded, next: 0 }, rate_hz, duration)
            }
            None => {
                let file = open(source, identity.as_ref())?;
                let (rate_hz, duration) = (file.rate_hz(), file.duration());
                let reader = Reader::File {
                    file: Box::new(file),
                    kept: from.is_zero().then(Vec::new),
                    identity,
                    samples: Vec::new(),
                    over: false,
                };
                (reader, rate_hz, duration)
            }
        };
        if !from.is_zero() {
            match &mut reader {
                Reader::File { file, .. } => file.seek(from).map_err(|error| {
                    format!("{source}: start-pos={}: {error}", from.as_millis())
                })?,
                Reader::Kept { decoded, next } => {
                    *next = decoded
                        .pieces
                        .partition_point(|piece| piece.position < from);
                    if *next == decoded.pieces.len() && duration.is_none_or(|all| from >= all) {
                        let ms = from.as_millis();
                        return Err(format!("{source}: start-pos={ms}: it ends before"));
                    }
                    // The piece in which the position lies; it is cut below.
                    *next = next.saturating_sub(1);
                }
            }
        }
        let mut stream = Self {
            reader,
            rate_hz,
            duration,
            times,
            position: from,
            waiting: None,
            gave: false,
        };
        stream.cut(from);
        Ok(stream)
    }

    /// Samples per second.
    pub(super) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// How long the recording is, if that is known.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Begins in the middle of a kept piece.
    fn cut(&mut self, from: Duration) {
        let Reader::Kept { decoded, next } = &mut self.reader else {
            return;
        };
        let Some(piece) = decoded.pieces.get(*next) else {
            return;
        };
        let before = from.saturating_sub(piece.position);
        let before = before.as_micros() * u128::from(self.rate_hz) / 1_000_000;
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        if before > 0 {
            *next += 1;
            self.gave = true;
            self.waiting = piece.samples.get(before..).map(|samples| {
                Arc::new(Piece {
                    samples: samples.into(),
                    position: from,
                })
            });
        }
    }

    /// A piece that could not be handed over.
    pub(super) fn put_back(&mut self, piece: Arc<Piece>) {
        self.waiting = Some(piece);
    }

    /// The next piece; `None` when all was heard as often as it was to be.
    pub(super) fn next(&mut self, cache: &mut Cache) -> Option<Arc<Piece>> {
        if let Some(piece) = self.waiting.take() {
            return Some(piece);
        }
        loop {
            if let Some(piece) = self.read() {
                self.gave = true;
                return Some(piece);
            }
            self.keep(cache);
            self.times -= 1;
            if self.times == 0 || !self.gave || !self.rewind() {
                return None;
            }
            self.gave = false;
        }
    }

    /// The next piece of this round.
    fn read(&mut self) -> Option<Arc<Piece>> {
        let wanted = self.rate_hz as usize * PIECE_MS / 1_000;
        match &mut self.reader {
            Reader::Kept { decoded, next } => {
                let piece = decoded.pieces.get(*next)?;
                *next += 1;
                Some(Arc::clone(piece))
            }
            Reader::File {
                file,
                kept,
                samples,
                over,
                ..
            } => {
                while samples.len() < wanted && !*over {
                    *over = !file.read(samples);
                }
                let count = wanted.min(samples.len());
                if count == 0 {
                    return None;
                }
                let piece = Arc::new(Piece {
                    samples: samples.drain(..count).collect(),
                    position: self.position,
                });
                let lasts = count as u64 * 1_000_000 / u64::from(self.rate_hz);
                self.position += Duration::from_micros(lasts);
                if let Some(pieces) = kept {
                    pieces.push(Arc::clone(&piece));
                    if pieces.len() * wanted > LONGEST {
                        *kept = None;
                    }
                }
                Some(piece)
            }
        }
    }

    /// A file was read to its end: short ones are kept, and this listener goes on with what is kept.
    fn keep(&mut self, cache: &mut Cache) {
        let Reader::File { kept, identity, .. } = &mut self.reader else {
            return;
        };
        let Some(pieces) = kept.take() else {
            return;
        };
        let decoded = Decoded {
            rate_hz: self.rate_hz,
            duration: self.duration.or(Some(self.position)),
            pieces: pieces.into(),
        };
        if let Some(identity) = identity.take() {
            cache.keep(identity, decoded.clone());
        }
        let next = decoded.pieces.len();
        self.reader = Reader::Kept { decoded, next };
    }

    /// Begins again from the beginning.
    fn rewind(&mut self) -> bool {
        self.position = Duration::ZERO;
        match &mut self.reader {
            Reader::Kept { next, .. } => {
                *next = 0;
                true
            }
            Reader::File {
                file,
                samples,
                over,
                ..
            } => {
                samples.clear();
                *over = false;
                file.seek(Duration::ZERO).is_ok()
            }
        }
    }
}

fn identity(source: &Source) -> Result<Option<Identity>, String> {
    let Some(path) = source.path()? else {
        return Ok(None);
    };
    let unreadable = |error: std::io::Error| format!("{source}: {error}");
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    // Opening a pipe or a device may wait for ever.
    if !metadata.is_file() {
        return Err(format!("{source} is no file"));
    }
    Ok(Some(Identity {
        path,
        length: metadata.len(),
        modified: metadata.modified().ok(),
    }))
}

fn open(source: &Source, identity: Option<&Identity>) -> Result<AudioFile, String> {
    let opened = match (source, identity) {
        (Source::Blob(bytes), _) => {
            let length = Some(bytes.len() as u64);
            AudioFile::open(Box::new(Cursor::new(Arc::clone(bytes))), length, None)
        }
        (Source::File { .. }, Some(identity)) => {
            let file = File::open(&identity.path).map_err(|error| format!("{source}: {error}"))?;
            let name = identity.path.to_str();
            AudioFile::open(Box::new(file), Some(identity.length), name)
        }
        (Source::File { .. }, None) => return Err(format!("{source} is no file")),
    };
    opened.map_err(|error| format!("{source}: {error}"))
}
