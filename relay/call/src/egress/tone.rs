//! Telephone-events of our own in an outgoing stream: one at a time, packets every 20 ms, the end three times (RFC 4733 §2.5).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use relay_media::TelephoneEvent;
use relay_transport::rtp::{PayloadType, RtpTimestamp};

/// Packets of an event follow each other at this distance, as those of audio do.
pub(super) const STEP: Duration = Duration::from_millis(20);
/// RFC 4733 §2.5.1.4: the last packet is sent three times.
const ENDS: u8 = 3;
/// ITU-T Q.24: what is shorter than this need not be taken for a key.
const SHORTEST: Duration = Duration::from_millis(40);
/// Keys that wait behind the one that is being pressed; a longer dial string is cut.
const MAX_WAITING: usize = 64;

/// A telephone-event to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone {
    /// RFC 4733 §3.2: 0 to 15.
    pub event: u8,
    /// Below 0 dBm0, in dB.
    pub volume: u8,
    pub duration: Duration,
    /// Before the next one.
    pub pause: Duration,
    /// The receiver's number for telephone-events.
    pub payload_type: PayloadType,
    /// The clock in which its durations are counted, in Hz.
    pub clock_hz: u32,
}

/// Events that are being sent or wait.
#[derive(Debug, Default)]
pub(super) struct Tones {
    waiting: VecDeque<Tone>,
    playing: Option<Playing>,
    /// The pause after an event.
    rest_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Playing {
    tone: Tone,
    /// The timestamp of all its packets, from the first one on.
    timestamp: Option<RtpTimestamp>,
    elapsed: Duration,
    ends: u8,
    next_at: Instant,
}

/// One packet of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) payload_type: PayloadType,
    pub(super) payload: [u8; 4],
    /// The timestamp of the event; `None` for its first packet.
    pub(super) timestamp: Option<RtpTimestamp>,
}

impl Tones {
    /// Adds an event behind those that wait.
    pub(super) fn push(&mut self, tone: Tone) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(tone);
        }
    }

    /// The key that was pressed last is released: its event lasts no longer than it has, if it has begun.
    pub(super) fn release(&mut self) {
        if let Some(tone) = self.waiting.back_mut() {
            tone.duration = tone.duration.min(SHORTEST);
        } else if let Some(playing) = &mut self.playing {
            let lasted = playing.elapsed.max(SHORTEST);
            playing.tone.duration = playing.tone.duration.min(lasted);
        }
    }

    /// Whether an event is being sent: nothing else may be, then.
    pub(super) fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// When the next packet is due.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.playing {
            Some(playing) => Some(playing.next_at),
            None if self.waiting.is_empty() => None,
            None => self.rest_until,
        }
    }

    /// The packet that is due, if one is.
    pub(super) fn next(&mut self, now: Instant) -> Option<Piece> {
        if self.playing.is_none() {
            if self.rest_until.is_some_and(|at| now < at) {
                return None;
            }
            let tone = self.waiting.pop_front()?;
            self.playing = Some(Playing {
                tone,
                timestamp: None,
                elapsed: Duration::ZERO,
                ends: 0,
                next_at: now,
            });
        }
        let playing = self.playing.as_mut()?;
        if now < playing.next_at {
            return None;
        }
        let tone = playing.tone;
        playing.elapsed = (playing.elapsed + STEP).min(tone.duration);
        let end = playing.elapsed == tone.duration;
        playing.ends += u8::from(end);
        // The schedule is kept; after a long sleep it starts over.
        playing.next_at = (playing.next_at + STEP).max(now);
        let ticks = playing.elapsed.as_micros() * u128::from(tone.clock_hz) / 1_000_000;
        let event = TelephoneEvent {
            event: tone.event,
            end,
            volume: tone.volume,
            // RFC 4733 §2.5.1.3: an event too long for its clock stays at the longest there is.
            duration: u16::try_from(ticks).unwrap_or(u16::MAX),
        };
        let piece = Piece {
            payload_type: tone.payload_type,
            payload: event.to_bytes(),
            timestamp: playing.timestamp,
        };
        if playing.ends == ENDS {
            self.playing = None;
            self.rest_until = Some(now + tone.pause);
        }
        Some(piece)
    }

    /// The first packet left with this timestamp; the others carry it too.
    pub(super) fn started(&mut self, timestamp: RtpTimestamp) {
        if let Some(playing) = &mut self.playing {
            playing.timestamp.get_or_insert(timestamp);
        }
    }
}
