//! Writes recordings. Whatever goes wrong with a file is counted and told, and concerns that recording alone.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ng_protocol::CallId;
use relay_call::recording::{Files, Part, Party, Recorded, Speech};
use tracing::error;

use super::audio::{Audio, AudioForm, Finished};
use super::growing_file::GrowingFile;
use super::metadata::{self, Tail};
use super::pcap::{self, LinkType};
use super::vcon::{Conversation, Key, MOST_KEYS, Vcons};
use super::{Folders, RecordingCounters, RecordingSettings, count_problem};

/// Owns the files of recordings that are running.
pub(super) struct Writer {
    folders: Folders,
    link_type: LinkType,
    form: AudioForm,
    counters: Arc<RecordingCounters>,
    vcons: Option<Vcons>,
    running: HashMap<Arc<str>, Running>,
    /// A packet with its headers, before it goes into the file.
    packet: Vec<u8>,
}

struct Running {
    /// Gone after an error.
    pcap: Option<GrowingFile>,
    /// Where it is, or was; it is a file of ours.
    pcap_path: Option<PathBuf>,
    audio: Audio,
    packets: u64,
    call_id: CallId,
    call_created: Duration,
    /// Where the vCon is to be.
    vcon: Option<PathBuf>,
    keys: Vec<Key>,
}

/// What is known when a recording ends.
#[derive(Default)]
struct Ending {
    with_call: bool,
    deleted_at: Option<Duration>,
    metadata: Option<String>,
    parties: Vec<Party>,
    answered: bool,
    discard: bool,
}

impl Writer {
    pub(super) fn new(
        folders: Folders,
        settings: &RecordingSettings,
        counters: Arc<RecordingCounters>,
        vcons: Option<Vcons>,
    ) -> Self {
        Self {
            folders,
            link_type: settings.packets.unwrap_or(LinkType::RawIp),
            form: settings.audio.unwrap_or_default(),
            counters,
            vcons,
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
            let ending = Ending {
                with_call: true,
                ..Ending::default()
            };
            self.end(&name, ending);
        }
    }

    fn write(&mut self, Recorded { recording, part }: Recorded) {
        match part {
            Part::Beginning {
                call_id,
                files,
                call_created,
            } => self.begin(recording, call_id, files, call_created),
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
                destination,
                speech,
                bytes,
            } => {
                if let Some(speech) = speech {
                    self.hear(&recording, at, &speech, &bytes);
                }
                self.packet.clear();
                let ends = [source, destination];
                pcap::append(&mut self.packet, self.link_type, at, ends, &bytes);
                self.packet(&recording);
            }
            Part::Key {
                at,
                held,
                party,
                event,
            } => {
                let running = self.running.get_mut(&recording);
                if let Some(running) = running.filter(|running| running.keys.len() < MOST_KEYS) {
                    running.keys.push(Key {
                        released: at,
                        held,
                        party,
                        event,
                    });
                }
            }
            Part::End {
                with_call,
                deleted_at,
                metadata,
                parties,
                answered,
                discard,
            } => {
                let ending = Ending {
                    with_call,
                    deleted_at,
                    metadata,
                    parties,
                    answered,
                    discard,
                };
                self.end(&recording, ending);
            }
        }
    }

    fn begin(
        &mut self,
        recording: Arc<str>,
        call_id: CallId,
        files: Files,
        call_created: Duration,
    ) {
        let pcap = files.pcap.as_ref().and_then(|path| {
            let path = PathBuf::from(path);
            let begun = self.begin_pcap(&path);
            Some((self.note(&path, begun)?, path))
        });
        if pcap.is_none() && files.audio.is_none() {
            return;
        }
        let (pcap, pcap_path) = pcap.unzip();
        let head = metadata::head(files.paths().next().unwrap_or_default());
        let before = self.folders.metadata_before(&recording);
        let opened = GrowingFile::create(&before).and_then(|mut file| {
            file.append(head.as_bytes())?;
            file.flush()
        });
        self.note(&before, opened);
        let running = Running {
            pcap,
            pcap_path,
            audio: match files.audio {
                Some(path) => Audio::Wanted(path.into()),
                None => Audio::None,
            },
            packets: 0,
            call_id,
            call_created,
            vcon: files.vcon.map(PathBuf::from),
            keys: Vec::new(),
        };
        self.running.insert(recording, running);
    }

    fn begin_pcap(&self, path: &Path) -> io::Result<GrowingFile> {
        self.folders.prepare(path)?;
        let mut pcap = GrowingFile::create(path)?;
        // Written at once, so that a file without packets is one that can be read.
        pcap.append(&pcap::file_header(self.link_type))?;
        pcap.flush()?;
        Ok(pcap)
    }

    fn hear(&mut self, recording: &str, at: Duration, speech: &Speech, bytes: &[u8]) {
        let Some(running) = self.running.get_mut(recording) else {
            return;
        };
        let Some(payload) = bytes.get(speech.payload.clone()) else {
            return;
        };
        let (folders, form) = (&self.folders, self.form);
        if let Err((path, error)) = running.audio.hear(folders, form, at, speech, payload) {
            self.note::<()>(&path, Err(error));
        }
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
            let path = running.pcap_path.clone().unwrap_or_default();
            self.note(&path, written);
        }
    }

    fn end(&mut self, recording: &str, ending: Ending) {
        let Some(mut running) = self.running.remove(recording) else {
            return;
        };
        let before = self.folders.metadata_before(recording);
        if ending.discard {
            for path in running
                .pcap_path
                .into_iter()
                .chain(running.audio.into_path())
                .chain([before])
            {
                let removed = fs::remove_file(&path);
                self.note(&path, removed);
            }
            return;
        }
        if let (Some(pcap), Some(path)) = (&mut running.pcap, &running.pcap_path) {
            let written = pcap.flush();
            self.note(path, written);
        }
        let audio = running.audio.finish().unwrap_or_else(|(path, error)| {
            self.note::<()>(&path, Err(error));
            Finished::Missing
        });
        let ended = SystemTime::now().duration_since(UNIX_EPOCH);
        let ended = ended.unwrap_or_default();
        let tail = Tail {
            terminated: match ending.deleted_at {
                None if ending.with_call => ended,
                deleted_at => deleted_at.unwrap_or_default(),
            },
            call_created: running.call_created,
            ended,
            metadata: ending.metadata.clone(),
        };
        let written = append(&before, tail.text().as_bytes());
        if self.note(&before, written).is_some() {
            let after = self.folders.metadata_after(recording);
            let moved = fs::rename(&before, &after);
            self.note(&after, moved);
        }
        let (Some(path), Some(vcons)) = (running.vcon, &self.vcons) else {
            return;
        };
        let audio = match audio {
            Finished::Whole(audio) => Some(audio),
            Finished::Silent => None,
            // What went wrong was told, and a document that links to half a conversation would not say so.
            Finished::Missing => return,
        };
        let prepared = self.folders.prepare(&path);
        if self.note(&path, prepared).is_some() {
            vcons.describe(Conversation {
                path,
                before: self.folders.vcon_before(recording),
                call_id: running.call_id,
                audio,
                call_created: running.call_created,
                answered: ending.answered,
                metadata: ending.metadata,
                parties: ending.parties,
                keys: running.keys,
            });
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
