//! The folders of recordings, and the names of the files in them.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{FolderProblem, RecordingSettings};

/// Where recordings are.
#[derive(Clone, Debug)]
pub struct Folders {
    directory: String,
}

impl Folders {
    /// Makes what is not there yet, and tries whether files can be made in it. The folder above must be there: a slip of the pen is
    /// not to make a tree.
    pub fn make(settings: &RecordingSettings) -> Result<Self, FolderProblem> {
        let directory = &settings.directory;
        let folders = Self {
            directory: directory.clone(),
        };
        make(Path::new(directory))?;
        let audio = settings.audio.map(|_| "audio");
        let vcon = settings.vcon.as_ref().map(|_| "vcon");
        let wished = audio.into_iter().chain(vcon);
        for name in ["metadata", "pcaps", "tmp"].into_iter().chain(wished) {
            make(&Path::new(directory).join(name))?;
        }
        Ok(folders)
    }

    /// Whether they could be made, without making them: whoever checks may be somebody else than the relay.
    pub fn check(settings: &RecordingSettings) -> Result<(), FolderProblem> {
        let directory = Path::new(&settings.directory);
        let checked = match fs::metadata(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = directory.parent().unwrap_or(directory);
                fs::metadata(above).map(drop)
            }
            Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            found => found.and_then(|_| try_out(directory)),
        };
        checked.map_err(|error| (directory.to_owned(), error))
    }

    /// Makes the folder that a request has chosen for a file; those that are always there are not made again, because when they are
    /// gone somebody has taken the disk away.
    pub fn prepare(&self, file: &Path) -> io::Result<()> {
        let Some(parent) = file.parent() else {
            return Ok(());
        };
        let directory = Path::new(&self.directory);
        let ours = ["", "pcaps", "audio", "vcon"].map(|name| directory.join(name));
        if ours.iter().any(|ours| parent == ours) {
            return Ok(());
        }
        fs::metadata(directory)?;
        fs::create_dir_all(parent)
    }

    /// What is said about a recording that is running.
    pub fn metadata_before(&self, recording: &str) -> PathBuf {
        format!("{}/tmp/rtpengine-meta-{recording}.tmp", self.directory).into()
    }

    /// A document about a conversation that is being written.
    pub fn vcon_before(&self, recording: &str) -> PathBuf {
        format!("{}/tmp/{recording}.vcon", self.directory).into()
    }

    /// What is said about a recording that is over.
    pub fn metadata_after(&self, recording: &str) -> PathBuf {
        format!("{}/metadata/rtpengine-meta-{recording}.txt", self.directory).into()
    }
}

fn make(path: &Path) -> Result<(), FolderProblem> {
    let made = match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    made.and_then(|()| try_out(path))
        .map_err(|error| (path.to_owned(), error))
}

/// Permissions can be read, but a read-only file system or a quota cannot: only a file tells.
fn try_out(path: &Path) -> io::Result<()> {
    let trial = path.join(format!(".tandem-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&trial)?;
    fs::remove_file(trial)
}
