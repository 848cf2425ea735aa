//! The thread that writes. What the disk does not take is kept, once for each call, and tried again.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use relay_call::CallSnapshot;
use tracing::{info, warn};

use super::folder::Progress;
use super::{Folder, Name, Word, WrittenClock};

/// How often progress is written, and what failed is tried again.
const ROUND: Duration = Duration::from_secs(2);
/// How often a disk that takes nothing is complained about.
const COMPLAINT: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    folder: Folder,
    /// By worker, and whether there is anything new.
    progress: HashMap<usize, (Progress, bool)>,
    /// What the disk did not take.
    unwritten: HashMap<Name, (WrittenClock, Box<CallSnapshot>)>,
    complained_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(folder: Folder) -> Self {
        Self {
            folder,
            progress: HashMap::new(),
            unwritten: HashMap::new(),
            complained_at: None,
        }
    }

    /// Writes until everybody who could say something is gone.
    pub(super) fn run(mut self, words: &Receiver<Word>) {
        let mut round_at = Instant::now() + ROUND;
        loop {
            let left = round_at.saturating_duration_since(Instant::now());
            match words.recv_timeout(left) {
                Ok(word) => self.take(word),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= round_at {
                self.round();
                round_at = Instant::now() + ROUND;
            }
        }
        self.round();
    }

    fn take(&mut self, word: Word) {
        match word {
            Word::Keep {
                name,
                written_by,
                snapshot,
            } => {
                // What it knows itself is newer than what waits.
                for (progress, _) in self.progress.values_mut() {
                    progress.remove(&name);
                }
                self.keep(name, written_by, snapshot);
            }
            Word::Progress { worker, calls } => {
                let (progress, news) = self.progress.entry(worker).or_default();
                progress.extend(calls);
                *news = true;
            }
            Word::Gone { worker, name } => {
                self.unwritten.remove(&name);
                self.folder.forget(&name);
                if let Some((progress, news)) = self.progress.get_mut(&worker) {
                    *news |= progress.remove(&name).is_some();
                }
            }
        }
    }

    fn keep(&mut self, name: Name, written_by: WrittenClock, snapshot: Box<CallSnapshot>) {
        match self.folder.keep(&name, &written_by, &snapshot) {
            Ok(()) => _ = self.unwritten.remove(&name),
            Err(error) => {
                self.unwritten.insert(name, (written_by, snapshot));
                self.complain(&error);
            }
        }
    }

    /// Progress, and what could not be written before.
    fn round(&mut self) {
        let waited = std::mem::take(&mut self.unwritten);
        let some = !waited.is_empty();
        for (name, (written_by, snapshot)) in waited {
            self.keep(name, written_by, snapshot);
        }
        if some && self.unwritten.is_empty() {
            info!("the state of all calls is written again");
            self.complained_at = None;
        }
        let mut failed = None;
        for (worker, (progress, news)) in &mut self.progress {
            if std::mem::take(news)
                && let Err(error) = self.folder.note(*worker, progress)
            {
                *news = true;
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        let due = |at: Instant| now.saturating_duration_since(at) >= COMPLAINT;
        if self.complained_at.is_none_or(due) {
            self.complained_at = Some(now);
            warn!(
                "the state of calls cannot be written, so that they would not outlive the process: {error}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use ng_protocol::CallId;
    use relay_call::Call;

    use super::*;
    use crate::config::Config;
    use crate::persistence::{Boot, Kept, PersistenceError};

    /// A folder of the test with this name, and what is in it at first.
    fn folder(name: &str) -> (PathBuf, Folder) {
        let path = std::env::temp_dir().join(format!("tandem-state-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let folder = Folder::open(&path, None).unwrap();
        (path, folder)
    }

    fn keep(call_id: &str) -> (Name, Word) {
        let config = Config::on([127, 0, 0, 1].into());
        let config = Arc::new(crate::call_config::make(&config).unwrap());
        let now = Instant::now();
        let call = Call::new(CallId::from(call_id), Arc::clone(&config), now, 1);
        let name = Name::of(call.id());
        let word = Word::Keep {
            name: name.clone(),
            written_by: Boot::now().unwrap().clock(now, &config.clock),
            snapshot: Box::new(call.snapshot(now)),
        };
        (name, word)
    }

    fn names(kept: Vec<Kept>) -> Vec<String> {
        let mut names: Vec<_> = kept
            .iter()
            .map(|kept| kept.snapshot.id().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_kept_is_found_and_what_is_over_is_not() {
        let (path, folder) = folder("found");
        let mut writer = Writer::new(folder);
        let (_, one) = keep("one");
        let (name, other) = keep("other");
        writer.take(one);
        writer.take(other);
        assert_eq!(names(writer.folder.read_all()), ["one", "other"]);
        writer.take(Word::Gone { worker: 0, name });
        assert_eq!(names(writer.folder.read_all()), ["one"]);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_the_disk_does_not_take_is_written_when_it_does() {
        let (path, folder) = folder("disk");
        let mut writer = Writer::new(folder);
        std::fs::remove_dir_all(path.join("calls")).unwrap();
        let (_, one) = keep("one");
        let (name, gone) = keep("gone");
        writer.take(one);
        writer.take(gone);
        writer.take(Word::Gone { worker: 0, name });
        writer.round();
        assert_eq!(writer.unwritten.len(), 1);
        std::fs::create_dir(path.join("calls")).unwrap();
        writer.round();
        assert!(writer.unwritten.is_empty());
        assert_eq!(names(writer.folder.read_all()), ["one"]);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_damaged_file_is_taken_away_and_costs_only_its_own_call() {
        let (path, folder) = folder("damaged");
        let mut writer = Writer::new(folder);
        writer.take(keep("one").1);
        let (name, other) = keep("other");
        writer.take(other);
        let file = path.join("calls").join(format!("call-{name}"));
        let content = std::fs::read(&file).unwrap();
        for damaged in [&content[..content.len() / 2], b"", b"{}\n{}", b"\xff\n\xff"] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(names(writer.folder.read_all()), ["one"]);
            assert!(!file.exists());
        }
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_folder_is_of_one_process() {
        let (path, folder) = folder("lock");
        let second = Folder::open(&path, None);
        assert!(matches!(second, Err(PersistenceError::InUse(_))));
        drop(folder);
        assert!(Folder::open(&path, None).is_ok());
        std::fs::remove_dir_all(path).unwrap();
    }
}
