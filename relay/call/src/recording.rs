//! Recording: what a call hands out of what it hears and of what controllers are told, in the order in which it happened.
//!
//! The call decides when it is recorded and under which name; whoever runs it takes the parts with
//! [`Call::poll_recorded`](crate::Call::poll_recorded) and writes them down.
//! A call that is not recorded copies nothing and keeps nothing.

mod place;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::WallClock;
pub use place::name;
pub(crate) use place::{pcap_path, stem};

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
        /// The file for the packets.
        pcap: String,
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
    /// A datagram came in: RTP or RTCP, without its encryption, or what passes as it is.
    Datagram {
        /// When.
        at: Duration,
        /// From where.
        source: SocketAddr,
        /// To which address of ours.
        local: SocketAddr,
        /// Its content.
        bytes: Box<[u8]>,
    },
    /// It ends.
    End {
        /// The call ends with it.
        with_call: bool,
        /// When the deletion of the call was asked for.
        deleted_at: Option<Duration>,
        /// The controller's text (`metadata`).
        metadata: Option<String>,
        /// Nothing is to be kept (`discard-recording`).
        discard: bool,
    },
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
    parts: VecDeque<Recorded>,
}

#[derive(Debug)]
struct Running {
    name: Arc<str>,
    pcap: String,
    clock: WallClock,
}

impl Recorder {
    /// Whether a recording is running.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The file for the packets of the recording that is running.
    pub(crate) fn pcap(&self) -> Option<&str> {
        self.running.as_ref().map(|running| &*running.pcap)
    }

    /// How many recordings there were.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Begins a recording.
    pub(crate) fn begin(
        &mut self,
        name: Arc<str>,
        pcap: String,
        clock: WallClock,
        created: Instant,
    ) {
        self.begun += 1;
        self.running = Some(Running {
            name,
            pcap: pcap.clone(),
            clock,
        });
        self.push(|clock| Part::Beginning {
            pcap,
            call_created: clock.unix_at(created),
        });
    }

    /// Keeps a copy of a datagram.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        local: SocketAddr,
        bytes: &[u8],
    ) {
        self.push(|clock| Part::Datagram {
            at: clock.unix_at(now),
            source,
            local,
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

    /// Ends the recording, if there is one.
    pub(crate) fn end(&mut self, with_call: bool, discard: bool) {
        let end = Part::End {
            with_call,
            deleted_at: self.deleted_at,
            metadata: self.metadata.clone(),
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
        recorder.datagram(crate::testing::epoch(), address, address, b"rtp");
        recorder.description(crate::testing::epoch(), false, b"v=0");
        recorder.end(true, false);
        assert_eq!(recorder.poll(), None);
        assert_eq!(recorder.parts.capacity(), 0);
    }
}
