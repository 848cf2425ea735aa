//! Recordings on the disk: what calls hand out ([`relay_call::recording`]) becomes files as rtpengine's method `pcap` writes them.
//!
//! ```text
//!  DIR/pcaps/CALL-RANDOM.pcap                         the packets, readable with Wireshark
//!  DIR/audio/CALL-RANDOM.wav, .opus                   what is heard, if wished
//!  DIR/vcon/CALL-RANDOM.vcon                          a document about the conversation, if wished
//!  DIR/tmp/rtpengine-meta-CALL-RANDOM.tmp             while the call lives
//!  DIR/metadata/rtpengine-meta-CALL-RANDOM.txt        afterwards
//! ```
//!
//! One thread writes for the whole daemon. Workers hand over what they have once a round and never wait: when the disk is too
//! slow, packets are missing in the recording, and a counter says so; the calls go on.
//! A request may choose another place for the packets, inside the same folder (`relay_call::recording`).

mod audio;
mod folders;
mod growing_file;
mod metadata;
mod outlet;
mod pcap;
mod vcon;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::Duration;

use ng_protocol::flags::RecordingCodes;
use relay_call::config::RecordedStreams;
use relay_call::recording::Recorded;
use tracing::warn;

use crate::StartError;
pub use audio::{AudioForm, Channels, FileFormat};
pub use folders::Folders;
pub use outlet::Outlet;
pub use pcap::LinkType;
pub use vcon::Content;
use vcon::Vcons;
use writer::Writer;

/// Batches that may wait for the writer. Each is limited, too: see [`Outlet`].
const BATCHES: usize = 16;
/// How long the end of the daemon waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where and how calls are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSettings {
    /// The folder (`recording-dir`), without a slash at its end.
    pub directory: String,
    /// Of which streams (`record-egress`, `record-both`).
    pub streams: RecordedStreams,
    /// Packets are written, beginning with this (`recording-format`).
    pub packets: Option<LinkType>,
    /// What is heard in them is written, in this form (`recording-audio`, `recording-audio-format`).
    pub audio: Option<AudioForm>,
    /// A document about the conversation is written, which comes by the audio so (`recording-vcon`).
    pub vcon: Option<Content>,
    /// Keys by which parties that may do so order recordings (`vsc-...`).
    pub codes: RecordingCodes,
}

/// What is counted about recordings.
#[derive(Debug, Default)]
pub struct RecordingCounters {
    running: AtomicU64,
    packets: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingFigures {
    /// Recordings that are being written.
    pub running: u64,
    /// Packets written.
    pub packets: u64,
    /// Files that could not be made or written.
    pub failed: u64,
    /// Packets and descriptions that the writer was too slow for.
    pub lost: u64,
}

impl RecordingCounters {
    /// The values now.
    pub fn figures(&self) -> RecordingFigures {
        RecordingFigures {
            running: self.running.load(Ordering::Relaxed),
            packets: self.packets.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct RecordingThread {
    batches: SyncSender<Vec<Recorded>>,
    counters: Arc<RecordingCounters>,
    /// Closed when the thread has ended, and that of the vCons after it.
    ended: Receiver<()>,
}

impl RecordingThread {
    /// Makes the folders and starts to write. `instance` tells this process from all others.
    pub fn start(
        settings: &RecordingSettings,
        instance: &str,
        counters: Arc<RecordingCounters>,
    ) -> Result<Self, StartError> {
        let folders = Folders::make(settings)
            .map_err(|(path, error)| StartError::Recording { path, error })?;
        let (running, ended) = channel::<()>();
        let vcons = Vcons::start(settings, instance, &counters, running.clone())?;
        let writer = Writer::new(folders, settings, Arc::clone(&counters), vcons);
        let (batches, receiver) = sync_channel(BATCHES);
        std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || {
                writer.run(&receiver);
                drop(running);
            })?;
        Ok(Self {
            batches,
            counters,
            ended,
        })
    }

    /// For one more worker.
    pub fn outlet(&self) -> Outlet {
        Outlet::new(self.batches.clone(), Arc::clone(&self.counters))
    }

    /// Waits until everything is written; the workers have ended before.
    pub fn end(self) {
        drop(self.batches);
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            warn!("the disk does not take the recordings; their ends are missing");
        }
    }
}

/// Counts a problem, and whether an operator should read of this one: the first, the second, the fourth, so that a full disk
/// does not fill the log.
fn count_problem(counter: &AtomicU64) -> Option<u64> {
    let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
    count.is_power_of_two().then_some(count)
}

/// Why a folder cannot be used, with its path.
type FolderProblem = (std::path::PathBuf, io::Error);
