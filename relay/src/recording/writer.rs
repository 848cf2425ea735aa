//! Writes recordings. Whatever goes wrong with a file is counted and told, and concerns that recording alone.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relay_call::recording::{Part, Recorded};
use tracing::error;

use super::growing_file::GrowingFile;
use super::metadata::{self, Tail};
use super::pcap::{self, LinkType};
use super::{Folders, RecordingCounters, count_problem};

/// Owns the files of recordings that are running.
pub(super) struct Writer {
    folders: Folders,
    link_type: LinkType,
    counters: Arc<RecordingCounters>,
    running: HashMap<Arc<str>, Running>,
    /// A packet with its headers, before it goes into the file.
    packet: Vec<u8>,
}

struct Running {
    path: PathBuf,
    /// Gone after an error.
    pcap: Option<GrowingFile>,
    packets: u64,
    call_created: Duration,
}

impl Writer {
    pub(super) fn new(
        folders: Folders,
        link_type: LinkType,
        counters: Arc<RecordingCounters>,
    ) -> Self {
        Self {
            folders,
            link_type,
            counters,
            running: HashMap::new(),
            packet: Vec::new(),
        }
    }

    /// Writes until there are no workers any more.
    pub(super) fn run(mut self, batches: &Receiver<Vec<Recorded>>) {
        for batch in batches {
            for recorded in batch {
                self.write(recorded);
            }
            let running = self.running.len() as u64;
            self.counters.running.store(running, Ordering::Relaxed);
        }
        // Their ends were lost.
        let names: Vec<Arc<str>> = self.running.keys().cloned().collect();
        for name in names {
            self.end(&name, true, Duration::ZERO, None, false);
        }
    }

    fn write(&mut self, Recorded { recording, part }: Recorded) {
        match part {
            Part::Beginning { pcap, call_created } => {
                self.begin(recording, pcap.into(), call_created);
            }
            Part::Description { at, answers, sdp } => {
                if let Some(running) = self.running.get(&recording) {
                    let number = running.packets + 1;
                    let text = metadata::description(at, answers, number, &sdp);
                    let path = self.folders.metadata_before(&recording);
                    let written = append(&path, &text);
                    self.note(&path, written);
                }
            }
            Part::Datagram {
                at,
                source,
                local,
                bytes,
            } => {
                self.packet.clear();
                let ends = [source, local];
                pcap::append(&mut self.packet, self.link_type, at, ends, &bytes);
                self.packet(&recording);
            }
            Part::End {
                with_call,
                deleted_at,
                metadata,
                discard,
            } => {
                let deleted_at = deleted_at.unwrap_or_default();
                self.end(&recording, with_call, deleted_at, metadata, discard);
            }
        }
    }

    fn begin(&mut self, recording: Arc<str>, path: PathBuf, call_created: Duration) {
        let opened = self.folders.prepare(&path);
        let opened = opened.and_then(|()| GrowingFile::create(&path));
        let Some(mut pcap) = self.note(&path, opened) else {
            return;
        };
        // Written at once, so that a file without packets is one that can be read.
        let begun = pcap.append(&pcap::file_header(self.link_type));
        let begun = begun.and_then(|()| pcap.flush());
        let pcap = self.note(&path, begun).map(|()| pcap);
        let head = metadata::head(&path.to_string_lossy());
        let before = self.folders.metadata_before(&recording);
        let opened = GrowingFile::create(&before).and_then(|mut file| {
            file.append(head.as_bytes())?;
            file.flush()
        });
        self.note(&before, opened);
        let running = Running {
            path,
            pcap,
            packets: 0,
            call_created,
        };
        self.running.insert(recording, running);
    }

    fn packet(&mut self, recording: &str) {
        let Some(running) = self.running.get_mut(recording) else {
            return;
        };
        let Some(pcap) = &mut running.pcap else {
            return;
        };
        let written = pcap.append(&self.packet);
        if written.is_ok() {
            running.packets += 1;
            self.counters.packets.fetch_add(1, Ordering::Relaxed);
        } else {
            running.pcap = None;
            let path = running.path.clone();
            self.note(&path, written);
        }
    }

    fn end(
        &mut self,
        recording: &str,
        with_call: bool,
        deleted_at: Duration,
        metadata: Option<String>,
        discard: bool,
    ) {
        let Some(mut running) = self.running.remove(recording) else {
            return;
        };
        let before = self.folders.metadata_before(recording);
        if discard {
            for path in [running.path, before] {
                let removed = fs::remove_file(&path);
                self.note(&path, removed);
            }
            return;
        }
        if let Some(pcap) = &mut running.pcap {
            let written = pcap.flush();
            self.note(&running.path, written);
        }
        let ended = SystemTime::now().duration_since(UNIX_EPOCH);
        let ended = ended.unwrap_or_default();
        let tail = Tail {
            terminated: match deleted_at {
                Duration::ZERO if with_call => ended,
                deleted_at => deleted_at,
            },
            call_created: running.call_created,
            ended,
            metadata,
        };
        let written = append(&before, tail.text().as_bytes());
        if self.note(&before, written).is_some() {
            let after = self.folders.metadata_after(recording);
            let moved = fs::rename(&before, &after);
            self.note(&after, moved);
        }
    }

    /// Counts and tells what went wrong with a file.
    fn note<T>(&self, path: &Path, outcome: io::Result<T>) -> Option<T> {
        outcome
            .map_err(|error| {
                if let Some(count) = count_problem(&self.counters.failed) {
                    let path = path.display();
                    error!("problem number {count} with recordings: {path}: {error}");
                }
            })
            .ok()
    }
}

fn append(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .open(path)?
        .write_all(content)
}

#[cfg(test)]
mod tests;
