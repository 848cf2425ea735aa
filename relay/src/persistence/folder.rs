//! The folder: names, files that appear whole, and what is found at the start.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use ng_protocol::CallId;
use relay_call::{CallProgress, CallSnapshot};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{PersistenceError, Seal, WrittenClock};

/// The name of a call's file. Call-ids are long, and may have any bytes in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name(String);

impl Name {
    /// Of the call with this id.
    pub fn of(call_id: &CallId) -> Self {
        let digest = digest::digest(&digest::SHA256, call_id.as_bytes());
        let digits = digest.as_ref().iter().take(16);
        Self(digits.map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A call that was found.
#[derive(Debug)]
pub struct Kept {
    /// By which clock it was written.
    pub written_by: WrittenClock,
    /// The call, with the newest progress that is known.
    pub snapshot: CallSnapshot,
}

/// How far the calls of one worker are.
pub(super) type Progress = HashMap<Name, CallProgress>;

/// Files with calls begin so; those of progress do not.
const CALL: &str = "call-";
const PROGRESS: &str = "progress-";
/// Files that are not finished end so.
const UNFINISHED: &str = ".new";

/// The folder, while this process has it.
#[derive(Debug)]
pub struct Folder {
    calls: PathBuf,
    seal: Option<Seal>,
    /// Held as long as this lives.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, readable for nobody else, and takes it for this process.
    pub fn open(directory: &Path, seal: Option<Seal>) -> Result<Self, PersistenceError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |error| PersistenceError::Folder { path, error }
        };
        let calls = directory.join("calls");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&calls).map_err(failed(&calls))?;
        let lock = directory.join("lock");
        let file = private().open(&lock).map_err(failed(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(PersistenceError::InUse(directory.to_owned()));
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(&lock)(error)),
        }
        Ok(Self {
            calls,
            seal,
            _lock: file,
        })
    }

    /// Everything that is there. What cannot be read is told, and taken away.
    pub fn read_all(&self) -> Vec<Kept> {
        let Ok(entries) = fs::read_dir(&self.calls) else {
            return Vec::new();
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        let mut progress = Progress::new();
        for name in names.iter().filter(|name| name.starts_with(PROGRESS)) {
            let known = self.read(name).ok().filter(|_| !name.ends_with(UNFINISHED));
            let known = known.and_then(|bytes| serde_json::from_slice::<Progress>(&bytes).ok());
            progress.extend(known.into_iter().flatten());
        }
        let mut kept = Vec::new();
        for name in names.iter().filter(|name| name.starts_with(CALL)) {
            if name.ends_with(UNFINISHED) {
                self.remove(name);
                continue;
            }
            match self.read(name).and_then(|bytes| call(&bytes)) {
                Ok(mut call) => {
                    let known = progress.remove(&Name::of(call.snapshot.id()));
                    known
                        .into_iter()
                        .for_each(|known| call.snapshot.advance(known));
                    kept.push(call);
                }
                Err(problem) => {
                    warn!(
                        "a call cannot go on: {}: {problem}",
                        self.calls.join(name).display()
                    );
                    self.remove(name);
                }
            }
        }
        kept
    }

    /// Writes a call: a line with the clock, and one with everything else.
    pub(super) fn keep(
        &self,
        name: &Name,
        written_by: &WrittenClock,
        snapshot: &CallSnapshot,
    ) -> io::Result<()> {
        let call = snapshot.encode().map_err(io::Error::other)?;
        let clock = serde_json::to_vec(written_by)?;
        let content = [&clock[..], b"\n", &call].concat();
        self.write(&format!("{CALL}{name}"), &content)
    }

    /// Takes a call away. One that is not there has never been written.
    pub(super) fn forget(&self, name: &Name) {
        self.remove(&format!("{CALL}{name}"));
    }

    /// Writes how far the calls of a worker are.
    pub(super) fn note(&self, worker: usize, progress: &Progress) -> io::Result<()> {
        let content = serde_json::to_vec(progress)?;
        self.write(&format!("{PROGRESS}{worker}"), &content)
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let sealed = match &self.seal {
            Some(seal) => seal.seal(name, content),
            None => None,
        };
        if self.seal.is_some() && sealed.is_none() {
            return Err(io::Error::other("it cannot be sealed"));
        }
        let unfinished = self.calls.join(format!("{name}{UNFINISHED}"));
        let mut file = private().truncate(true).open(&unfinished)?;
        file.write_all(sealed.as_deref().unwrap_or(content))?;
        fs::rename(&unfinished, self.calls.join(name))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let bytes = fs::read(self.calls.join(name)).map_err(|error| error.to_string())?;
        match &self.seal {
            Some(seal) => seal
                .open(name, &bytes)
                .ok_or_else(|| "it was not sealed with the present key".to_owned()),
            None => Ok(bytes),
        }
    }

    fn remove(&self, name: &str) {
        // The file may never have been there.
        let _ = fs::remove_file(self.calls.join(name));
    }
}

/// Files that nobody else may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn call(bytes: &[u8]) -> Result<Kept, String> {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (clock, call) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let clock = serde_json::from_slice(clock).map_err(|error| error.to_string())?;
    let snapshot = CallSnapshot::decode(call).map_err(|error| error.to_string())?;
    Ok(Kept {
        written_by: clock,
        snapshot,
    })
}
