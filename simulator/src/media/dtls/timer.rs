//! What is known of OpenSSL's retransmission timer, and which of its repetitions are let out.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::media::config::Clock;

/// OpenSSL's timer in invented time. It counts as expired 15 ms early, so ten milliseconds remain.
pub(super) const INVENTED_TIMER: Duration = Duration::from_millis(25);
/// Each unwanted repetition doubles it up to here: on a busy machine much real time passes within one invented
/// instant, and OpenSSL gives up after twelve.
pub(super) const LONGEST_INVENTED_TIMER: Duration = Duration::from_millis(400);

/// What OpenSSL's timer callback, the datagram queue and the association share.
#[derive(Debug, Default)]
pub(super) struct Timer {
    clock: Clock,
    retransmissions: Vec<Duration>,
    /// How many flights were begun.
    flights: AtomicU32,
    /// How often the current one was repeated in earnest.
    repetitions: AtomicU32,
    /// The next repetition is the one we asked for.
    pub(super) is_wanted: AtomicBool,
    /// How often OpenSSL repeated the current flight by its own clock.
    pub(super) unwanted: AtomicU32,
    /// Records of the current flight.
    records: AtomicU32,
    /// Records of an unwanted repetition still to be thrown away.
    muted_records: AtomicU32,
}

impl Timer {
    pub(super) fn new(clock: Clock, retransmissions: Vec<Duration>) -> Self {
        Self {
            clock,
            retransmissions,
            ..Self::default()
        }
    }

    pub(super) fn position(&self) -> (u32, u32) {
        (
            self.flights.load(Ordering::Relaxed),
            self.repetitions.load(Ordering::Relaxed),
        )
    }

    /// A flight begins: how long until OpenSSL thinks of repeating it.
    pub(super) fn flight_begun(&self) -> Duration {
        self.flights.fetch_add(1, Ordering::Relaxed);
        for counter in [
            &self.repetitions,
            &self.unwanted,
            &self.records,
            &self.muted_records,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.current()
    }

    /// OpenSSL is about to repeat: how long until the next time.
    pub(super) fn expired(&self) -> Duration {
        if self.clock == Clock::Invented && !self.is_wanted.load(Ordering::Relaxed) {
            self.unwanted.fetch_add(1, Ordering::Relaxed);
            self.muted_records
                .store(self.records.load(Ordering::Relaxed), Ordering::Relaxed);
        } else {
            self.repetitions.fetch_add(1, Ordering::Relaxed);
        }
        self.current()
    }

    fn current(&self) -> Duration {
        match self.clock {
            Clock::Invented => {
                let doublings = self.unwanted.load(Ordering::Relaxed).min(8);
                (INVENTED_TIMER * (1 << doublings)).min(LONGEST_INVENTED_TIMER)
            }
            Clock::System => spacing(
                &self.retransmissions,
                self.repetitions.load(Ordering::Relaxed),
            ),
        }
    }

    /// Whether a datagram OpenSSL writes is meant for the peer.
    pub(super) fn lets_out(&self, datagram: &[u8]) -> bool {
        let records = count_records(datagram);
        let muted = self.muted_records.load(Ordering::Relaxed);
        if muted > 0 {
            self.muted_records
                .store(muted.saturating_sub(records), Ordering::Relaxed);
            return false;
        }
        if !self.is_wanted.load(Ordering::Relaxed) {
            self.records.fetch_add(records, Ordering::Relaxed);
        }
        true
    }
}

/// RFC 6347 §4.1: thirteen octets of header, the last two of them the length.
fn count_records(datagram: &[u8]) -> u32 {
    let mut rest = datagram;
    let mut count = 0;
    while let Some(header) = rest.get(..13) {
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        rest = rest.get(13 + length..).unwrap_or_default();
        count += 1;
    }
    count
}

pub(super) fn spacing(retransmissions: &[Duration], repetition: u32) -> Duration {
    retransmissions
        .get(repetition as usize)
        .or(retransmissions.last())
        .copied()
        .unwrap_or(Duration::from_secs(1))
}
