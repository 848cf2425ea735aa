//! vCons: a document about each recorded conversation, as draft-ietf-vcon-vcon-core describes it.
//!
//! It says who spoke, when, for how long, which keys were pressed and what the controller knows about the call
//! ([`facts`]), and has the recording inside or links to it.
//! A thread of its own writes it, because an hour of speech has to be read again for it, and the recordings that go on must not
//! wait for that. A document appears whole under its name, or not at all.

mod content;
mod document;
mod facts;
mod uuid;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ng_protocol::CallId;
use relay_call::recording::Party;
use tracing::error;

use super::{Channels, RecordingCounters, RecordingSettings, count_problem};
use document::Document;
use uuid::Uuids;

/// Conversations that may wait to be described: those that end in a few seconds of a busy relay. They are without their audio.
const WAITING: usize = 1024;
/// Keys that are kept of a conversation.
pub(super) const MOST_KEYS: usize = 1000;
/// Where Linux keeps the name of the machine.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// How a vCon comes by its audio (`recording-vcon`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It has it inside.
    Inline,
    /// It names it by a URL that begins with this, which stands for the folder of recordings; without a slash at its end.
    Linked(String),
}

/// A recording that is over, as it is to be described.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    /// Where the document is to lie.
    pub(super) path: PathBuf,
    /// Where it lies until it is whole.
    pub(super) before: PathBuf,
    pub(super) call_id: CallId,
    /// What was heard; `None` if nothing was.
    pub(super) audio: Option<Audio>,
    pub(super) call_created: Duration,
    /// Whether the call was ever answered.
    pub(super) answered: bool,
    /// The controller's text.
    pub(super) metadata: Option<String>,
    /// Who took part, whoever made the call first.
    pub(super) parties: Vec<Party>,
    pub(super) keys: Vec<Key>,
}

/// A file with audio that is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    pub(super) path: PathBuf,
    pub(super) channels: Channels,
    pub(super) started: Duration,
    pub(super) duration: Duration,
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) released: Duration,
    pub(super) held: Duration,
    pub(super) party: usize,
    /// RFC 4733 section 3.2.
    pub(super) event: u8,
}

/// The way to the thread that writes vCons.
#[derive(Clone, Debug)]
pub(super) struct Vcons {
    waiting: SyncSender<Conversation>,
    counters: Arc<RecordingCounters>,
}

impl Vcons {
    /// Starts the thread, if vCons are wished; it ends when there are no ways to it any more, and then drops `running`.
    pub(super) fn start<R: Send + 'static>(
        settings: &RecordingSettings,
        instance: &str,
        counters: &Arc<RecordingCounters>,
        running: R,
    ) -> io::Result<Option<Self>> {
        let Some(content) = settings.vcon.clone() else {
            return Ok(None);
        };
        let host = fs::read_to_string(HOST_NAME).unwrap_or_default();
        let host = match host.trim() {
            "" => "localhost",
            host => host,
        };
        let writer = VconWriter {
            directory: PathBuf::from(&settings.directory),
            content,
            // The draft allows a subdomain of the host, and two relays may run on one.
            uuids: Uuids::of(&format!("{instance}.{host}")),
            counters: Arc::clone(counters),
        };
        let (waiting, conversations) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("vcon".to_owned())
            .spawn(move || {
                writer.run(&conversations);
                drop(running);
            })?;
        Ok(Some(Self {
            waiting,
            counters: Arc::clone(counters),
        }))
    }

    /// Has a conversation described, and does not wait for it.
    pub(super) fn describe(&self, conversation: Conversation) {
        let path = match self.waiting.try_send(conversation) {
            Ok(()) => return,
            Err(TrySendError::Full(it) | TrySendError::Disconnected(it)) => it.path,
        };
        tell(&self.counters, &path, "too many vCons wait for the disk");
    }
}

/// Writes vCons.
struct VconWriter {
    directory: PathBuf,
    content: Content,
    uuids: Uuids,
    counters: Arc<RecordingCounters>,
}

impl VconWriter {
    fn run(mut self, conversations: &Receiver<Conversation>) {
        for conversation in conversations {
            if let Err(error) = self.write(&conversation) {
                tell(&self.counters, &conversation.path, error);
            }
        }
    }

    fn write(&mut self, conversation: &Conversation) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let content = match &conversation.audio {
            Some(audio) => Some(self.content_of(&audio.path)?),
            None => None,
        };
        let document = Document::new(self.uuids.draw(now), now, conversation, content.as_ref());
        let before = &conversation.before;
        let written = write_whole(before, &document)
            .and_then(|()| match &content {
                Some(content) => content.outcome(),
                None => Ok(()),
            })
            .and_then(|()| publish(before, &conversation.path));
        if written.is_err() {
            // Half a document is of no use, least of all on a full disk. It may not even be there.
            let _ = fs::remove_file(before);
        }
        written
    }

    fn content_of(&self, audio: &Path) -> io::Result<content::Audio> {
        match &self.content {
            Content::Inline => content::Audio::inline(audio),
            Content::Linked(url) => content::Audio::linked(audio, &self.directory, url),
        }
    }
}

fn write_whole(path: &Path, document: &Document<'_>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, document)?;
    file.write_all(b"\n")?;
    let file: File = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    // So that the name is never there without the content, not even after a loss of power.
    file.sync_all()
}

/// Gives the document its name. A file of that name stays as it is: it is none of ours, whose names are never used twice.
fn publish(before: &Path, path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(before, path)
}

fn tell(counters: &RecordingCounters, path: &Path, problem: impl std::fmt::Display) {
    if let Some(count) = count_problem(&counters.failed) {
        let path = path.display();
        error!("problem number {count} with recordings: {path}: {problem}");
    }
}

#[cfg(test)]
mod tests;
