//! How long to nap before draining the sockets.
//!
//! What a busy relay pays for is being woken, not the system calls: a worker that wakes for every packet spends three quarters
//! of its time on waking.
//! So after the first packet of a round it naps for a moment and then takes everything that has arrived meanwhile.
//! The nap is as long as 32 packets need to arrive, at most a millisecond (a packet carries 20), and nothing at all while the
//! worker is small, so that a small system has no added delay.
//!
//! This file only does the arithmetic; the back-end sleeps.

use std::time::{Duration, Instant};

/// The nap aims at this many packets a round.
const PACKETS_PER_ROUND: u32 = 32;
/// A worker with fewer streams does not nap.
const FEWEST_STREAMS: u32 = 50;
/// How often rate and streams are measured anew. Long enough to see every stream that sends a packet each 20 to 60 ms, too
/// short to count a port that only gets an RTCP report each five seconds.
const WINDOW: Duration = Duration::from_millis(250);

/// Measures the packet rate of one worker and derives the nap from it.
#[derive(Debug)]
pub struct Coalescer {
    longest: Duration,
    window_start: Option<Instant>,
    window: u32,
    packets: u32,
    streams: u32,
    nap: Duration,
}

impl Coalescer {
    /// Naps of at most `longest`; zero switches them off.
    pub fn new(longest: Duration) -> Self {
        Self {
            longest,
            window_start: None,
            window: 0,
            packets: 0,
            streams: 0,
            nap: Duration::ZERO,
        }
    }

    /// How long to nap after the first packet of a round.
    pub fn nap(&self) -> Duration {
        self.nap
    }

    /// The number of the current window. A socket that remembers the window of its last packet knows whether the next one is
    /// the first of a new window, and then reports [`Self::note_stream`].
    pub fn window(&self) -> u32 {
        self.window
    }

    /// A socket received its first packet of this window.
    pub fn note_stream(&mut self) {
        self.streams += 1;
    }

    /// A round took `packets` datagrams.
    pub fn note_round(&mut self, now: Instant, packets: usize) {
        self.packets = self
            .packets
            .saturating_add(u32::try_from(packets).unwrap_or(u32::MAX));
        let start = *self.window_start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start);
        if elapsed < WINDOW {
            return;
        }
        self.nap = nap_for(self.packets, elapsed, self.streams, self.longest);
        self.window_start = Some(now);
        self.window = self.window.wrapping_add(1);
        self.packets = 0;
        self.streams = 0;
    }
}

/// `clamp(32 packets / rate, 0, longest)`, and nothing below 50 streams.
fn nap_for(packets: u32, elapsed: Duration, streams: u32, longest: Duration) -> Duration {
    if streams < FEWEST_STREAMS || packets == 0 {
        return Duration::ZERO;
    }
    (elapsed * PACKETS_PER_ROUND / packets).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(1);

    /// One second of `streams` streams of 50 packets, in rounds of a millisecond.
    fn after_one_second(streams: u32, longest: Duration) -> Duration {
        let start = Instant::now();
        let mut coalescer = Coalescer::new(longest);
        let mut seen = coalescer.window().wrapping_sub(1);
        for millisecond in 0..1000 {
            if seen != coalescer.window() {
                seen = coalescer.window();
                (0..streams).for_each(|_| coalescer.note_stream());
            }
            let now = start + Duration::from_millis(millisecond);
            coalescer.note_round(now, (streams / 20) as usize);
        }
        coalescer.nap()
    }

    #[test]
    fn a_small_worker_does_not_nap() {
        assert_eq!(after_one_second(40, LONGEST), Duration::ZERO);
    }

    #[test]
    fn a_middling_worker_naps_as_long_as_it_may() {
        assert_eq!(after_one_second(500, LONGEST), LONGEST);
    }

    #[test]
    fn a_busy_worker_naps_for_thirty_two_packets() {
        // 5000 streams are 250 packets a millisecond: 32 of them take 128 microseconds.
        let nap = after_one_second(5000, LONGEST);
        assert!((120..136).contains(&nap.as_micros()), "{nap:?}");
    }

    #[test]
    fn naps_can_be_switched_off() {
        assert_eq!(after_one_second(500, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn naps_end_when_the_streams_do() {
        let start = Instant::now();
        let mut coalescer = Coalescer::new(LONGEST);
        (0..100).for_each(|_| coalescer.note_stream());
        coalescer.note_round(start, 100);
        coalescer.note_round(start + WINDOW, 100);
        assert_eq!(coalescer.nap(), LONGEST);
        coalescer.note_round(start + WINDOW * 2, 1);
        assert_eq!(coalescer.nap(), Duration::ZERO);
    }
}
