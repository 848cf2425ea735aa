//! Streams of this worker's calls that the kernel forwards, where the data path has that.
//!
//! Every call is looked at once a second, a tenth of them at a time: how far its streams have come is noted, those that are no
//! longer what they were are taken back, and new ones begin.
//! Before anything else happens to a call its streams are taken back, and what the kernel has done is noted, so that the call
//! goes on from there. Before a timer, and for what changes nothing (RTCP, STUN, a `query`), noting is enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ng_protocol::Command;
use relay_net::{Forwarded, KernelPath};
use relay_packet::{PlainStream, Received, StreamProgress};

use super::Worker;

/// How often a part of the calls is looked at.
const STEP: Duration = Duration::from_millis(100);
/// So many parts there are.
const PARTS: u32 = 10;
/// A stream that has not been heard for so long is not worth a place in the kernel.
const RECENT: Duration = Duration::from_millis(500);

/// What the kernel has of a worker.
pub(super) struct Kernel {
    path: KernelPath,
    /// What packets are marked with, unless their call has a mark of its own.
    tos: Option<u8>,
    by_call: HashMap<u32, Vec<Bypass>>,
    /// The part of the calls that is looked at next, and when.
    part: u32,
    due: Instant,
}

/// A stream in the kernel.
struct Bypass {
    stream: PlainStream,
    forwarded: Forwarded,
    /// How far its call knows that it has come.
    noted: StreamProgress,
}

/// What the kernel path did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Streams in the kernel now.
    pub streams: u64,
    /// Packets that it has forwarded.
    pub packets: u64,
    /// Octets of their payload.
    pub octets: u64,
    /// Streams that it was given.
    pub begun: u64,
    /// Streams that it refused.
    pub refused: u64,
}

impl KernelCounters {
    /// Adds another worker's.
    pub(super) fn add(&mut self, other: &Self) {
        self.streams += other.streams;
        self.packets += other.packets;
        self.octets += other.octets;
        self.begun += other.begun;
        self.refused += other.refused;
    }
}

impl Kernel {
    pub(super) fn new(path: KernelPath, tos: Option<u8>, now: Instant) -> Self {
        Self {
            path,
            tos,
            by_call: HashMap::new(),
            part: 0,
            due: now,
        }
    }
}

impl Worker {
    /// When the kernel is to be asked next.
    pub(super) fn kernel_due(&self) -> Option<Instant> {
        let kernel = self.kernel.as_ref()?;
        (self.counters.calls > 0).then_some(kernel.due)
    }

    /// Looks at a part of the calls, if it is time.
    pub(super) fn look_into_kernel(&mut self, now: Instant) {
        let Some(kernel) = self.kernel.as_mut().filter(|kernel| kernel.due <= now) else {
            return;
        };
        kernel.due = now + STEP;
        kernel.part = (kernel.part + 1) % PARTS;
        let part = kernel.part;
        if kernel.path.has_moved() {
            let numbers: Vec<u32> = kernel.by_call.keys().copied().collect();
            for number in numbers {
                self.take_back(number, now);
            }
        }
        for number in (part..self.calls.len() as u32).step_by(PARTS as usize) {
            self.note_bypassed(number, now);
            self.follow_into_kernel(number, now);
        }
    }

    /// A datagram is about to reach its call.
    pub(super) fn before_datagram(&mut self, number: u32, received: &Received, now: Instant) {
        if !self.is_bypassed(number) {
            return;
        }
        let live = self.calls.get(number as usize).and_then(Option::as_ref);
        if live.is_some_and(|live| live.call.passes_on(received)) {
            self.take_back(number, now);
        } else {
            self.note_bypassed(number, now);
        }
    }

    /// A request is about to reach its call.
    pub(super) fn before_request(&mut self, number: u32, command: Command, now: Instant) {
        if command == Command::Query {
            self.note_bypassed(number, now);
        } else {
            self.take_back(number, now);
        }
    }

    /// A timer of a call was served: streams that are no longer what they were are taken back.
    pub(super) fn after_timeout(&mut self, number: u32, now: Instant) {
        if !self.is_bypassed(number) {
            return;
        }
        self.drop_changed(number, now);
    }

    /// All streams of a call come to its sockets from now on, and it knows how far they have come.
    pub(super) fn take_back(&mut self, number: u32, now: Instant) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let Some(streams) = kernel.by_call.remove(&number) else {
            return;
        };
        let mut noted = Vec::with_capacity(streams.len());
        for bypass in streams {
            let last = kernel.path.end(now, bypass.forwarded);
            noted.push((bypass.stream, bypass.noted, last.unwrap_or(bypass.noted)));
        }
        self.counters.kernel.streams -= noted.len() as u64;
        self.note(number, now, &noted);
    }

    /// The call hears how far its streams have come.
    pub(super) fn note_bypassed(&mut self, number: u32, now: Instant) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let Some(streams) = kernel.by_call.get_mut(&number) else {
            return;
        };
        let mut noted = Vec::with_capacity(streams.len());
        let mut is_whole = true;
        for bypass in streams {
            match kernel.path.progress(now, &bypass.forwarded) {
                Some(after) => {
                    let before = std::mem::replace(&mut bypass.noted, after);
                    noted.push((bypass.stream.clone(), before, after));
                }
                None => is_whole = false,
            }
        }
        self.note(number, now, &noted);
        if !is_whole {
            // Somebody has emptied the map; packets come to the sockets already.
            self.take_back(number, now);
        }
    }

    fn note(
        &mut self,
        number: u32,
        now: Instant,
        noted: &[(PlainStream, StreamProgress, StreamProgress)],
    ) {
        for (_, before, after) in noted {
            self.counters.kernel.packets += after.packets.wrapping_sub(before.packets);
            self.counters.kernel.octets += after.octets.wrapping_sub(before.octets);
        }
        self.active = true;
        self.let_act(number, now, |call, _| {
            for (stream, before, after) in noted {
                call.note_bypassed(now, stream, before, after);
            }
        });
    }

    fn is_bypassed(&self, number: u32) -> bool {
        let kernel = self.kernel.as_ref();
        kernel.is_some_and(|kernel| kernel.by_call.contains_key(&number))
    }

    /// Streams of which the call says something else by now are taken back, all of them.
    fn drop_changed(&mut self, number: u32, now: Instant) {
        let live = self.calls.get(number as usize).and_then(Option::as_ref);
        let streams = self
            .kernel
            .as_ref()
            .and_then(|kernel| kernel.by_call.get(&number));
        let (Some(live), Some(streams)) = (live, streams) else {
            return self.take_back(number, now);
        };
        let wanted: Vec<PlainStream> = live.call.plain_streams().map(|(s, _)| s).collect();
        let is_same = |bypass: &Bypass| wanted.contains(&bypass.stream);
        if !streams.iter().all(is_same) {
            self.take_back(number, now);
        }
    }

    /// Gives the kernel what it may have of a call.
    fn follow_into_kernel(&mut self, number: u32, now: Instant) {
        if self.is_bypassed(number) {
            self.drop_changed(number, now);
        }
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        let live = self.calls.get(number as usize).and_then(Option::as_ref);
        for (stream, progress) in live.iter().flat_map(|live| live.call.plain_streams()) {
            let known = kernel.by_call.get(&number);
            let is_known = known.is_some_and(|known| known.iter().any(|b| b.stream == stream));
            let silent = now.saturating_duration_since(progress.at);
            if is_known || silent > RECENT {
                continue;
            }
            let marked = PlainStream {
                tos: stream.tos.or(kernel.tos),
                ..stream.clone()
            };
            match kernel.path.begin(&marked, &progress) {
                Ok(forwarded) => {
                    self.counters.kernel.begun += 1;
                    self.counters.kernel.streams += 1;
                    kernel.by_call.entry(number).or_default().push(Bypass {
                        stream,
                        forwarded,
                        noted: progress,
                    });
                }
                Err(_) => self.counters.kernel.refused += 1,
            }
        }
    }
}
