//! Recording: what a call hands out of what it hears and of what controllers are told, in the order in which it happened.
//!
//! The call decides when it is recorded and under which name; whoever runs it takes the parts with
//! [`Call::poll_recorded`](crate::Call::poll_recorded) and writes them down.
//! A call that is not recorded copies nothing and keeps nothing.

mod parties;
mod pattern;
mod place;
mod service_codes;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::{CallId, RecordingOutput};
use relay_media::AudioFormat;

use crate::config::{RecordedStreams, WallClock};
use crate::leg::{LegId, Legs};
use crate::snapshot::RecordingSnapshot;
use parties::Parties;
pub use parties::Party;
pub use place::name;
pub(crate) use place::{Title, file};
use service_codes::ServiceCodes;

/// A part of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The name of the recording; see [`name`].
    pub recording: Arc<str>,
    /// What it is.
    pub part: Part,
}

/// What a recording consists of. Times are since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It begins.
    Beginning {
        /// The call.
        call_id: CallId,
        /// Its files.
        files: Files,
        /// When the call was made.
        call_created: Duration,
    },
    /// A controller was given a description.
    Description {
        /// When.
        at: Duration,
        /// It answers an offer.
        answers: bool,
        /// The description.
        sdp: Vec<u8>,
    },
    /// A datagram came in or left: RTP or RTCP, without its encryption, or what passes as it is.
    Datagram {
        /// When.
        at: Duration,
        /// From where.
        source: SocketAddr,
        /// Where to; one of the two is an address of ours.
        destination: SocketAddr,
        /// What is heard in it, for a file with audio.
        speech: Option<Speech>,
        /// Its content.
        bytes: Box<[u8]>,
    },
    /// A party pressed and released a key that was not kept from the others.
    Key {
        /// When it was released.
        at: Duration,
        /// For how long it was held.
        held: Duration,
        /// Which of the parties that the end lists, from 0.
        party: usize,
        /// RFC 4733 section 3.2: 0 to 9 digits, 10 `*`, 11 `#`, 12 to 15 A to D.
        event: u8,
    },
    /// It ends.
    End {
        /// The call ends with it.
        with_call: bool,
        /// When the deletion of the call was asked for.
        deleted_at: Option<Duration>,
        /// The controller's text (`metadata`).
        metadata: Option<String>,
        /// Who took part, whoever made the call first; empty if nobody wants to know.
        parties: Vec<Party>,
        /// Whether the call was ever answered.
        answered: bool,
        /// Nothing is to be kept (`discard-recording`).
        discard: bool,
    },
}

/// The files of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// For the packets.
    pub pcap: Option<String>,
    /// For what is heard in them.
    pub audio: Option<String>,
    /// For the document about the conversation.
    pub vcon: Option<String>,
}

impl Files {
    /// Their paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let Self { pcap, audio, vcon } = self;
        pcap.iter().chain(audio).chain(vcon).map(String::as_str)
    }
}

/// A packet of RTP that is speech, or an event between speech.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    /// Whose: of the party that made the call, or of another. What that party is sent is another's.
    pub is_callers: bool,
    /// The sender's number.
    pub ssrc: u32,
    /// The packet's.
    pub sequence: u16,
    /// When it was spoken, in the clock of the format.
    pub timestamp: u32,
    /// What the payload is.
    pub format: AudioFormat,
    /// Where it is in the datagram.
    pub payload: Range<usize>,
}

/// The recording of one call.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    running: Option<Running>,
    /// How many recordings there were.
    begun: u64,
    /// The controller's newest text about the call.
    pub(crate) metadata: Option<String>,
    /// When the deletion of the call was asked for.
    pub(crate) deleted_at: Option<Duration>,
    /// Whether the deletion takes the recording with it.
    pub(crate) discards: bool,
    /// Those who may order a recording by keys.
    pub(crate) codes: ServiceCodes,
    /// Where one that they order is to lie.
    pub(crate) output: RecordingOutput,
    /// The last recording was ended for a while only.
    pub(crate) is_paused: bool,
    /// Parties of which nothing is recorded (`exclude-recording`).
    excluded: Vec<LegId>,
    /// Who takes part in the call, while it is recorded for a document.
    parties: Parties,
    /// Whether it was ever answered.
    answered: bool,
    parts: VecDeque<Recorded>,
}

#[derive(Debug)]
struct Running {
    name: Arc<str>,
    files: Files,
    streams: RecordedStreams,
    clock: WallClock,
}

impl Recorder {
    /// Whether a recording is running.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The files of the recording that is running.
    pub(crate) fn files(&self) -> Option<&Files> {
        self.running.as_ref().map(|running| &running.files)
    }

    /// The streams that are recorded, while there is a recording.
    pub(crate) fn streams(&self) -> Option<RecordedStreams> {
        self.running.as_ref().map(|running| running.streams)
    }

    /// How many recordings there were.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// What somebody who goes on with the call needs to know.
    pub(crate) fn snapshot(&self) -> RecordingSnapshot {
        RecordingSnapshot {
            runs: self.is_running(),
            begun: self.begun,
            metadata: self.metadata.clone(),
            excluded: self.excluded.clone(),
        }
    }

    /// Goes on with that; whether there is to be a recording is decided elsewhere.
    pub(crate) fn resume(&mut self, snapshot: &RecordingSnapshot) {
        self.begun = snapshot.begun;
        self.metadata.clone_from(&snapshot.metadata);
        self.excluded.clone_from(&snapshot.excluded);
    }

    /// Begins a recording.
    pub(crate) fn begin(
        &mut self,
        call_id: CallId,
        name: Arc<str>,
        files: Files,
        streams: RecordedStreams,
        clock: WallClock,
        created: Instant,
    ) {
        self.begun += 1;
        self.is_paused = false;
        self.running = Some(Running {
            name,
            files: files.clone(),
            streams,
            clock,
        });
        self.push(|clock| Part::Beginning {
            call_id,
            files,
            call_created: clock.unix_at(created),
        });
    }

    /// Keeps a copy of a datagram.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        [source, destination]: [SocketAddr; 2],
        speech: Option<Speech>,
        bytes: &[u8],
    ) {
        self.push(|clock| Part::Datagram {
            at: clock.unix_at(now),
            source,
            destination,
            speech,
            bytes: bytes.into(),
        });
    }

    /// Keeps a copy of a description.
    pub(crate) fn description(&mut self, now: Instant, answers: bool, sdp: &[u8]) {
        self.push(|clock| Part::Description {
            at: clock.unix_at(now),
            answers,
            sdp: sdp.to_vec(),
        });
    }

    /// From now on nothing of this party is recorded.
    pub(crate) fn exclude(&mut self, leg: LegId) {
        if !self.is_excluded(leg) {
            self.excluded.push(leg);
        }
    }

    /// Whether nothing of this party is recorded.
    pub(crate) fn is_excluded(&self, leg: LegId) -> bool {
        self.excluded.contains(&leg)
    }

    /// Forgets what was said of parties that are gone.
    pub(crate) fn follow(&mut self, legs: &Legs) {
        let is_there = |leg: LegId| legs.get(leg).is_some();
        self.excluded.retain(|&leg| is_there(leg));
        self.codes.retain(is_there);
    }

    /// Takes over who takes part in the call now, if a document is to say so.
    pub(crate) fn note_parties(&mut self, legs: &Legs) {
        if self.describes() {
            self.parties.note(legs);
            self.answered |= legs.subscriptions.any_answered();
        }
    }

    /// Keeps a key that a party pressed, if a document is to say so.
    pub(crate) fn key(&mut self, now: Instant, leg: LegId, event: u8, held: Duration) {
        if self.describes()
            && !self.is_excluded(leg)
            && let Some(party) = self.parties.position(leg)
        {
            self.push(|clock| Part::Key {
                at: clock.unix_at(now),
                held,
                party,
                event,
            });
        }
    }

    fn describes(&self) -> bool {
        self.files().is_some_and(|files| files.vcon.is_some())
    }

    /// Ends the recording, if there is one.
    pub(crate) fn end(&mut self, with_call: bool, discard: bool) {
        let end = Part::End {
            with_call,
            deleted_at: self.deleted_at,
            metadata: self.metadata.clone(),
            parties: match self.describes() {
                true => self.parties.list(),
                false => Vec::new(),
            },
            answered: self.answered,
            discard: discard || (with_call && self.discards),
        };
        self.push(|_| end);
        self.running = None;
    }

    fn push(&mut self, part: impl FnOnce(&WallClock) -> Part) {
        if let Some(running) = &self.running {
            let part = part(&running.clock);
            self.parts.push_back(Recorded {
                recording: Arc::clone(&running.name),
                part,
            });
        }
    }

    /// The next part.
    pub(crate) fn poll(&mut self) -> Option<Recorded> {
        self.parts.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_recording_nothing_is_kept() {
        let mut recorder = Recorder::default();
        let address = SocketAddr::from(([192, 0, 2, 1], 9));
        recorder.datagram(crate::testing::epoch(), [address; 2], None, b"rtp");
        recorder.description(crate::testing::epoch(), false, b"v=0");
        recorder.end(true, false);
        assert_eq!(recorder.poll(), None);
        assert_eq!(recorder.parts.capacity(), 0);
    }
}
