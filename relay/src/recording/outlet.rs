//! A worker's end of the way to the writer: what its calls hand out is gathered, and handed over several times a second.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use relay_call::Call;
use relay_call::recording::{Part, Recorded};
use tracing::warn;

use super::{RecordingCounters, count_problem};

/// How long parts are gathered: each time they are handed over, the writer may have to be woken.
const GATHER: Duration = Duration::from_millis(100);
/// What is handed over earlier.
const ENOUGH_BYTES: usize = 64 << 10;
/// What may wait in a worker for a writer that is behind. Packets come at 10 kB a second and call.
const MOST_BYTES: usize = 4 << 20;
/// What a part costs beside its content.
const OVERHEAD: usize = 128;
/// How often, and after which pauses, the last parts of a worker that ends are offered to the writer.
const LAST_ATTEMPTS: usize = 100;
const LAST_PAUSE: Duration = Duration::from_millis(10);

/// Takes recordings from calls and hands them to the writer, without ever waiting for it.
#[derive(Clone, Debug)]
pub struct Outlet {
    batches: SyncSender<Vec<Recorded>>,
    counters: Arc<RecordingCounters>,
    waiting: Vec<Recorded>,
    bytes: usize,
    /// When to hand over what waits.
    due: Option<Instant>,
}

impl Outlet {
    pub(super) fn new(
        batches: SyncSender<Vec<Recorded>>,
        counters: Arc<RecordingCounters>,
    ) -> Self {
        Self {
            batches,
            counters,
            waiting: Vec::new(),
            bytes: 0,
            due: None,
        }
    }

    /// Takes what a call has to hand out.
    pub fn take_from(&mut self, call: &mut Call, now: Instant) {
        while let Some(recorded) = call.poll_recorded() {
            self.push(recorded, now);
        }
    }

    /// When [`hand_over`](Self::hand_over) has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what was gathered, when it is time to.
    pub fn hand_over(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.flush(now);
        }
    }

    /// Hands over the last parts before the worker ends.
    pub fn finish(&mut self) {
        for _ in 0..LAST_ATTEMPTS {
            self.flush(Instant::now());
            if self.waiting.is_empty() {
                return;
            }
            std::thread::sleep(LAST_PAUSE);
        }
        self.lose_all();
    }

    fn flush(&mut self, now: Instant) {
        self.due = None;
        if self.waiting.is_empty() {
            return;
        }
        match self.batches.try_send(std::mem::take(&mut self.waiting)) {
            Ok(()) => self.bytes = 0,
            Err(TrySendError::Full(batch)) => {
                self.waiting = batch;
                self.due = Some(now + GATHER);
            }
            // The writer ends after the workers, unless it ended in a panic.
            Err(TrySendError::Disconnected(batch)) => {
                self.waiting = batch;
                self.lose_all();
            }
        }
    }

    fn push(&mut self, recorded: Recorded, now: Instant) {
        let bytes = OVERHEAD
            + match &recorded.part {
                Part::Datagram { bytes, .. } => bytes.len(),
                Part::Description { sdp, .. } => sdp.len(),
                Part::Beginning { files, .. } => files.paths().map(str::len).sum(),
                Part::Key { .. } => 0,
                Part::End {
                    metadata, parties, ..
                } => {
                    let labels = parties.iter().filter_map(|party| party.label.as_ref());
                    labels.chain(metadata).map(String::len).sum()
                }
            };
        // An end is always kept, so that a file is closed; there are no more of them than recordings that have begun.
        let is_end = matches!(recorded.part, Part::End { .. });
        if self.bytes + bytes > MOST_BYTES && !is_end {
            self.lose();
            return;
        }
        // While the writer is behind, more does not make it faster.
        let was_enough = self.bytes >= ENOUGH_BYTES;
        self.bytes += bytes;
        self.waiting.push(recorded);
        if self.bytes >= ENOUGH_BYTES && !was_enough {
            self.due = Some(now);
        } else {
            self.due.get_or_insert(now + GATHER);
        }
    }

    fn lose_all(&mut self) {
        for _ in std::mem::take(&mut self.waiting) {
            self.lose();
        }
        self.bytes = 0;
    }

    fn lose(&self) {
        if let Some(count) = count_problem(&self.counters.lost) {
            warn!(
                "recordings come faster than they are written: {count} packets or descriptions are lost"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn recorded(part: Part) -> Recorded {
        Recorded {
            recording: "call-0".into(),
            part,
        }
    }

    fn packet() -> Recorded {
        let address = "192.0.2.1:4000".parse().unwrap();
        recorded(Part::Datagram {
            at: Duration::ZERO,
            source: address,
            destination: address,
            speech: None,
            bytes: vec![0; 1000].into(),
        })
    }

    fn end() -> Recorded {
        recorded(Part::End {
            with_call: true,
            deleted_at: None,
            metadata: None,
            parties: Vec::new(),
            answered: false,
            discard: false,
        })
    }

    #[test]
    fn parts_are_gathered_for_a_while_unless_there_are_many() {
        let (batches, writer) = sync_channel(9);
        let mut outlet = Outlet::new(batches, Arc::default());
        let start = Instant::now();
        assert_eq!(outlet.due(), None);
        outlet.push(packet(), start);
        outlet.push(packet(), start + GATHER / 2);
        assert_eq!(outlet.due(), Some(start + GATHER));
        outlet.hand_over(start + GATHER / 2);
        assert!(writer.try_recv().is_err());
        outlet.hand_over(start + GATHER);
        assert_eq!(writer.try_recv().unwrap().len(), 2);
        assert_eq!(outlet.due(), None);
        while outlet.due().is_none_or(|due| due > start) {
            outlet.push(packet(), start);
        }
        outlet.hand_over(start);
        assert!((50..70).contains(&writer.try_recv().unwrap().len()));
    }

    #[test]
    fn a_writer_that_is_behind_costs_packets_and_neither_memory_nor_ends() {
        let counters = Arc::new(RecordingCounters::default());
        let (batches, writer) = sync_channel(1);
        let mut outlet = Outlet::new(batches, Arc::clone(&counters));
        let now = Instant::now();
        outlet.push(packet(), now);
        outlet.hand_over(now + GATHER);
        for _ in 0..10_000 {
            outlet.push(packet(), now);
            outlet.hand_over(now);
        }
        // It is tried again later, and not in every round.
        assert_eq!(outlet.due(), Some(now + GATHER));
        let lost = counters.figures().lost;
        let kept = outlet.waiting.len();
        assert!(lost > 1000 && kept * 1000 <= MOST_BYTES, "{lost} {kept}");
        assert_eq!(lost as usize + kept, 10_000);
        outlet.push(end(), now);
        assert_eq!(writer.recv().unwrap().len(), 1);
        outlet.hand_over(now + GATHER);
        let batch = writer.recv().unwrap();
        assert_eq!(batch.len(), kept + 1);
        assert_eq!(batch.last(), Some(&end()));
        // And there is room again.
        outlet.push(packet(), now);
        assert_eq!(counters.figures().lost, lost);
    }

    #[test]
    fn without_a_writer_what_is_recorded_is_counted_as_lost() {
        let counters = Arc::new(RecordingCounters::default());
        let (batches, writer) = sync_channel(1);
        let mut outlet = Outlet::new(batches, Arc::clone(&counters));
        drop(writer);
        outlet.push(packet(), Instant::now());
        outlet.finish();
        assert_eq!(outlet.due(), None);
        assert_eq!(counters.figures().lost, 1);
    }
}
