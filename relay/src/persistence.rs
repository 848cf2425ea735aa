//! Calls on the disk, so that they outlive the process: a crash, a restart, an upgrade (`state-dir`).
//!
//! ```text
//!  DIR/calls/NAME        a call: keys, ports, everything (`CallSnapshot`); written when it changes
//!  DIR/calls/progress-N  how far the calls of worker N are, every two seconds
//!  DIR/lock              held by the process that uses the folder
//! ```
//!
//! One thread writes for the whole daemon. Workers hand over what they have and never wait; when the disk is full or slow, the
//! newest state of each call is kept and written later, and the calls go on. Every file is written beside its place and then put
//! there, so that whoever reads finds the old one or the new one whole. Nothing is forced to the platter: a process that ends
//! leaves the kernel with what it has written, and with a machine that loses its power the calls are lost anyway.

mod boot;
mod folder;
mod seal;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::time::{Duration, Instant};

use ng_protocol::CallId;
use relay_call::{CallProgress, CallSnapshot, WallClock};
use thiserror::Error;
use tracing::warn;

pub use boot::{Boot, WrittenClock};
pub use folder::{Folder, Kept, Name};
pub use seal::Seal;
use writer::Writer;

/// What may wait for the thread. Workers keep what does not fit and offer it again.
const WAITING: usize = 4096;
/// How long the end of the daemon waits for the disk.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where calls are kept (`state-dir`, `state-key-file`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistenceSettings {
    /// The folder.
    pub directory: PathBuf,
    /// A file with the key that everything in it is sealed with.
    pub key_file: Option<PathBuf>,
}

/// Why calls cannot be kept.
#[derive(Debug, Error)]
pub enum PersistenceError {
    /// The folder cannot be made, read or written to.
    #[error("option state-dir: {}: {error}", path.display())]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// The kernel's reason.
        error: io::Error,
    },
    /// Another process has it.
    #[error("option state-dir: {} is used by another process", .0.display())]
    InUse(PathBuf),
    /// There is no key in the file.
    #[error("option state-key-file: {}: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// What workers tell the thread.
#[derive(Debug)]
enum Word {
    Keep {
        name: Name,
        written_by: WrittenClock,
        snapshot: Box<CallSnapshot>,
    },
    Progress {
        worker: usize,
        calls: Vec<(Name, CallProgress)>,
    },
    Gone {
        worker: usize,
        name: Name,
    },
}

/// A worker's end of the thread.
#[derive(Clone, Debug)]
pub struct Keeper {
    words: SyncSender<Word>,
    worker: usize,
    boot: Arc<Boot>,
}

impl Keeper {
    /// Hands a call over; `false` if the thread is behind. Waits for it if `must` is set, for the last word of a worker.
    pub(crate) fn keep(
        &self,
        now: Instant,
        clock: &WallClock,
        snapshot: CallSnapshot,
        must: bool,
    ) -> bool {
        let word = Word::Keep {
            name: Name::of(snapshot.id()),
            written_by: self.boot.clock(now, clock),
            snapshot: Box::new(snapshot),
        };
        if must {
            return self.words.send(word).is_ok();
        }
        self.offer(word)
    }

    /// Hands over how far calls are; `false` if the thread is behind.
    pub(crate) fn progress(&self, calls: Vec<(Name, CallProgress)>) -> bool {
        let worker = self.worker;
        self.offer(Word::Progress { worker, calls })
    }

    /// A call is over; `false` if the thread is behind.
    pub(crate) fn gone(&self, name: Name) -> bool {
        let worker = self.worker;
        self.offer(Word::Gone { worker, name })
    }

    fn offer(&self, word: Word) -> bool {
        // A thread that has ended takes nothing any more, and that is as good as taken.
        !matches!(self.words.try_send(word), Err(TrySendError::Full(_)))
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct PersistenceThread {
    words: SyncSender<Word>,
    boot: Arc<Boot>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl PersistenceThread {
    /// Takes the folder for this process, and starts to write. Gives what it found there, too.
    pub fn start(settings: &PersistenceSettings) -> Result<(Self, Vec<Kept>), PersistenceError> {
        let seal = settings.key_file.as_deref().map(Seal::read).transpose()?;
        let folder = Folder::open(&settings.directory, seal)?;
        let kept = folder.read_all();
        let failed = |error| PersistenceError::Folder {
            path: settings.directory.clone(),
            error,
        };
        let boot = Arc::new(Boot::now().map_err(failed)?);
        let (words, receiver) = sync_channel(WAITING);
        let (running, ended) = channel::<()>();
        std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || {
                Writer::new(folder).run(&receiver);
                drop(running);
            })
            .map_err(failed)?;
        let thread = Self { words, boot, ended };
        Ok((thread, kept))
    }

    /// Whether calls could be kept, as far as one can know without making anything: whoever asks may be another user.
    pub fn check(settings: &PersistenceSettings) -> Result<(), PersistenceError> {
        settings.key_file.as_deref().map(Seal::read).transpose()?;
        let path = &settings.directory;
        if path.exists() && !path.is_dir() {
            return Err(PersistenceError::Folder {
                path: path.clone(),
                error: io::ErrorKind::NotADirectory.into(),
            });
        }
        Ok(())
    }

    /// For one more worker.
    pub fn keeper(&self, worker: usize) -> Keeper {
        Keeper {
            words: self.words.clone(),
            worker,
            boot: Arc::clone(&self.boot),
        }
    }

    /// The clock that something was written by, as the present one counts.
    pub fn clock_of(&self, now: Instant, written_by: &WrittenClock, clock: WallClock) -> WallClock {
        self.boot.clock_of(now, written_by).unwrap_or(clock)
    }

    /// This call cannot go on and is to be forgotten.
    pub fn forget(&self, call_id: &CallId) {
        let name = Name::of(call_id);
        // The thread has nothing else to do yet; and a file that stays is refused again at the next start.
        let _ = self.words.try_send(Word::Gone { worker: 0, name });
    }

    /// Waits until everything is written; the workers have ended before.
    pub fn end(self) {
        drop(self.words);
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            warn!(
                "the disk does not take the state of calls; those that changed last will not go on"
            );
        }
    }
}
