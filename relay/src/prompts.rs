//! Recordings for `play media`: files and blobs, opened and decoded by a thread of their own.
//!
//! ```text
//!   worker ── play media ──► this thread: opens, decodes the first pieces ──► the worker again, which replies
//!   worker ◄── pieces, a bounded queue for each listener ── this thread
//! ```
//!
//! A slow disk or a damaged file delays whoever asked for it, and no media. What is decoded ahead is bounded for each listener,
//! however long the file is; short recordings are kept decoded, because a greeting is played in every call.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, channel,
    sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ng_protocol::request::Playback;
use relay_media::{Piece, Recording, SampleSource, Supply};
use tracing::warn;

mod cache;
mod stream;

use cache::Cache;
use stream::{Source, Stream};

/// Requests that may wait for the thread.
const WAITING: usize = 256;
/// Pieces that are decoded ahead for a listener.
const AHEAD: usize = 8;
/// How often listeners are given more, well before they have heard what is ahead.
const ROUND: Duration = Duration::from_millis(400);
/// Listeners at once.
const LISTENERS: usize = 2_000;

/// Who hears what became of a request.
type Opened = Box<dyn FnOnce(Result<Box<dyn Recording>, String>) + Send>;

enum Job {
    Open {
        wanted: Wanted,
        opened: Opened,
        /// For the recording, which will want more of the thread.
        jobs: Jobs,
    },
    Listen(Arc<Wanted>, SyncSender<Arc<Piece>>),
}

/// What is to be played, and how.
#[derive(Clone, Debug)]
struct Wanted {
    source: Source,
    /// Where to begin.
    from: Duration,
    /// How often it is heard.
    times: u64,
}

/// The queue of the thread.
#[derive(Clone)]
struct Jobs {
    sender: Sender<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Jobs {
    fn have_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < WAITING
    }

    /// Never waits: it is called by those who must not.
    fn send(&self, job: Job) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The thread lives as long as there are senders.
        let _ = self.sender.send(job);
    }
}

/// The way to the thread; its copies lead to the same one, which ends with the last of them.
#[derive(Clone)]
pub struct Prompts {
    jobs: Jobs,
    folder: Option<Arc<Path>>,
}

impl fmt::Debug for Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompts in {:?}", self.folder)
    }
}

impl Prompts {
    /// Starts the thread. With a `folder`, files outside it are refused.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(folder: Option<PathBuf>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let jobs = Jobs {
            sender,
            waiting: Arc::clone(&waiting),
        };
        let thread = std::thread::Builder::new().name("prompts".to_owned());
        thread.spawn(move || Thread::default().run(&receiver, &waiting))?;
        Ok(Self {
            jobs,
            folder: folder.map(Arc::from),
        })
    }

    /// What a request names, ready to be opened; or why it cannot be tried.
    pub(crate) fn prepare(&self, playback: &Playback) -> Result<Prepared, String> {
        let wanted = self.wanted(playback)?;
        if !self.jobs.have_room() {
            return Err("too many files are to be opened at once".into());
        }
        Ok(Prepared {
            wanted,
            jobs: self.jobs.clone(),
        })
    }

    fn wanted(&self, playback: &Playback) -> Result<Wanted, String> {
        let file = playback.file.as_deref().filter(|file| !file.is_empty());
        let blob = playback.blob.as_ref().filter(|blob| !blob.is_empty());
        let source = match (file, blob) {
            (Some(file), _) => Source::File {
                named: file.into(),
                folder: self.folder.clone(),
            },
            (None, Some(blob)) => Source::Blob(blob.as_slice().into()),
            (None, None) => return Err("recordings in a database are not supported".into()),
        };
        let positive = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok());
        let lasts = positive(playback.repeat_duration_ms).is_some_and(|ms| ms > 0);
        // A duration alone means as often as it takes.
        let usual = if lasts { u64::MAX } else { 1 };
        Ok(Wanted {
            source,
            from: Duration::from_millis(positive(playback.start_position_ms).unwrap_or(0)),
            times: positive(playback.repeat_times).unwrap_or(usual).max(1),
        })
    }
}

/// A recording that the thread is still to open.
pub(crate) struct Prepared {
    wanted: Wanted,
    jobs: Jobs,
}

impl Prepared {
    /// Has it opened; `opened` hears of it on the thread.
    pub(crate) fn open(
        self,
        opened: impl FnOnce(Result<Box<dyn Recording>, String>) + Send + 'static,
    ) {
        let Self { wanted, jobs } = self;
        let opened = Box::new(opened);
        let own = jobs.clone();
        jobs.send(Job::Open {
            wanted,
            opened,
            jobs: own,
        });
    }
}

/// A recording that the thread has opened.
struct Opening {
    wanted: Arc<Wanted>,
    rate_hz: u32,
    duration: Option<Duration>,
    jobs: Jobs,
    /// The pieces for the first listener, some of which are there already.
    first: Mutex<Option<Receiver<Arc<Piece>>>>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({:?}, {} Hz)", self.wanted, self.rate_hz)
    }
}

impl Recording for Opening {
    fn duration(&self) -> Option<Duration> {
        self.duration
    }

    fn listen(&self) -> Box<dyn SampleSource> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let pieces = first.unwrap_or_else(|| {
            let (sender, pieces) = sync_channel(AHEAD);
            // For a thread that has too much to do the recording is over before it began.
            if self.jobs.have_room() {
                let wanted = Arc::clone(&self.wanted);
                self.jobs.send(Job::Listen(wanted, sender));
            }
            pieces
        });
        Box::new(Pieces {
            pieces,
            rate_hz: self.rate_hz,
        })
    }
}

/// What one listener is given.
#[derive(Debug)]
struct Pieces {
    pieces: Receiver<Arc<Piece>>,
    rate_hz: u32,
}

impl SampleSource for Pieces {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn poll(&mut self) -> Supply {
        match self.pieces.try_recv() {
            Ok(piece) => Supply::Piece(piece),
            Err(TryRecvError::Empty) => Supply::Later,
            Err(TryRecvError::Disconnected) => Supply::End,
        }
    }
}

/// The thread: listeners that are being given pieces, and recordings that are kept.
#[derive(Default)]
struct Thread {
    streams: Vec<(Stream, SyncSender<Arc<Piece>>)>,
    cache: Cache,
}

impl Thread {
    fn run(mut self, jobs: &Receiver<Job>, waiting: &AtomicUsize) {
        loop {
            let job = if self.streams.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(ROUND)
            };
            if job.is_ok() {
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
            match job {
                Ok(Job::Open {
                    wanted,
                    opened,
                    jobs,
                }) => {
                    let recording = self.open(wanted, jobs);
                    opened(recording);
                }
                Ok(Job::Listen(wanted, sender)) => match self.stream(&wanted) {
                    Ok(stream) => self.feed_first(stream, sender),
                    Err(why) => warn!("a recording ends before it began: {why}"),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.feed();
        }
    }

    fn open(&mut self, wanted: Wanted, jobs: Jobs) -> Result<Box<dyn Recording>, String> {
        let stream = self.stream(&wanted)?;
        let (rate_hz, duration) = (stream.rate_hz(), stream.duration());
        let (sender, first) = sync_channel(AHEAD);
        self.feed_first(stream, sender);
        Ok(Box::new(Opening {
            wanted: Arc::new(wanted),
            rate_hz,
            duration,
            jobs,
            first: Mutex::new(Some(first)),
        }))
    }

    fn stream(&mut self, wanted: &Wanted) -> Result<Stream, String> {
        if self.streams.len() >= LISTENERS {
            return Err(format!("{LISTENERS} recordings are played already"));
        }
        Stream::open(&wanted.source, wanted.from, wanted.times, &mut self.cache)
    }

    fn feed_first(&mut self, stream: Stream, sender: SyncSender<Arc<Piece>>) {
        let mut listener = (stream, sender);
        if feed(&mut listener, &mut self.cache) {
            self.streams.push(listener);
        }
    }

    fn feed(&mut self) {
        let cache = &mut self.cache;
        self.streams.retain_mut(|listener| feed(listener, cache));
    }
}

/// Gives a listener as many pieces as it has room for; `false` when there are no more, or nobody listens.
fn feed((stream, sender): &mut (Stream, SyncSender<Arc<Piece>>), cache: &mut Cache) -> bool {
    loop {
        let Some(piece) = stream.next(cache) else {
            return false;
        };
        match sender.try_send(piece) {
            Ok(()) => {}
            Err(TrySendError::Full(piece)) => {
                stream.put_back(piece);
                return true;
            }
            Err(TrySendError::Disconnected(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
