//! A new file that grows by whole pieces: when the disk is full it ends after one, so that readers can use what is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// What is gathered before it is written: some forty packets.
const ENOUGH: usize = 8 << 10;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct GrowingFile {
    file: File,
    /// Not written yet.
    gathered: Vec<u8>,
    /// Written for certain.
    length: u64,
}

impl GrowingFile {
    /// Makes a file that is not there yet: nothing that somebody put in its place is followed or overwritten.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self::new(file))
    }

    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            gathered: Vec::new(),
            length: 0,
        }
    }

    /// Appends a piece. After an error nothing more can be.
    pub(super) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.gathered.extend(piece);
        if self.gathered.len() < ENOUGH {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.gathered);
        if written.is_ok() {
            self.length += self.gathered.len() as u64;
        } else {
            // All pieces of this time are given up, the one that was cut off among them; should that fail, too, a reader finds
            // half a packet at the end.
            let _ = self.file.set_len(self.length);
        }
        self.gathered.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_an_error_when_enough_was_gathered() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = GrowingFile::new(full);
        file.append(&[0; 100]).unwrap();
        let error = file.append(&[0; ENOUGH]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_was_cut_off_is_taken_back() {
        let path = std::env::temp_dir().join(format!("tandem-growing-{}", std::process::id()));
        let mut file = GrowingFile::create(&path).unwrap();
        file.append(b"whole").unwrap();
        file.flush().unwrap();
        assert!(GrowingFile::create(&path).is_err());
        // As a write leaves it that fails halfway.
        file.file.write_all(b"ha").unwrap();
        file.file = File::open(&path).unwrap();
        assert!(file.append(&[b'x'; ENOUGH]).is_err());
        assert_eq!(file.length, 5);
        std::fs::remove_file(path).unwrap();
    }
}
