//! The sound of keys, for a receiver who knows no telephone-events: it takes the place of what is said meanwhile.

use std::time::{Duration, Instant};

use super::{Coded, Refusal, Transcoder, Turn, rescale, ticks_of};
use crate::key_tone::{KeyTone, Sound};
use crate::telephone_event::TelephoneEvent;

/// One packet of an event makes for so much sound at most, however many before it were lost.
const MAX_SOUND: Duration = Duration::from_millis(200);
/// So many packets of speech without one of the event mean that the event is over and its end was lost.
const SPEECH_AFTER_KEY: u8 = 3;

/// A packet of a telephone-event, for a receiver who knows none and is to hear its sound.
#[derive(Clone, Copy, Debug)]
pub struct KeyPacket {
    pub sequence: u16,
    pub timestamp: u32,
    pub event: TelephoneEvent,
    /// What its duration is counted in.
    pub clock_hz: u32,
    /// What is heard in its place; the sound of its key, if nothing else is.
    pub disguise: Option<Sound>,
}

/// The sound of one event.
#[derive(Debug)]
pub(super) struct Sounding {
    /// That of all its packets (RFC 4733 §2.5.1.2).
    timestamp: u32,
    tone: KeyTone,
    /// Samples made so far.
    made: usize,
    ended: bool,
    /// Packets of speech since its last packet.
    speech_since: u8,
}

impl Transcoder {
    /// Takes a packet of an event and makes the sound of its key.
    ///
    /// # Errors
    /// Why it came to nothing.
    pub fn press(
        &mut self,
        now: Instant,
        packet: KeyPacket,
        emit: &mut dyn FnMut(Coded<'_>),
    ) -> Result<(), Refusal> {
        let turn = Turn::Key {
            timestamp: packet.timestamp,
            event: packet.event,
            clock_hz: packet.clock_hz,
            disguise: packet.disguise,
        };
        self.take(now, packet.sequence, turn, &[], emit)
    }

    /// The sound of an event, as far as this packet of it says that it has lasted.
    pub(super) fn sound(
        &mut self,
        timestamp: u32,
        event: TelephoneEvent,
        clock_hz: u32,
        disguise: Option<Sound>,
        emit: &mut dyn FnMut(Coded<'_>),
    ) -> Result<(), Refusal> {
        let rate_hz = self.encoder.rate_hz();
        let known = self.key.take().filter(|key| key.timestamp == timestamp);
        let mut key = match known {
            Some(key) => key,
            None => {
                // Beside speech that passes as it is, the timestamps are those of the sender.
                if self.expected.is_none() {
                    self.timestamp = Some(timestamp);
                }
                let own = Sound::Key {
                    event: event.event,
                    volume: event.volume,
                };
                let tone = KeyTone::of(disguise.unwrap_or(own), rate_hz);
                Sounding {
                    timestamp,
                    tone: tone.ok_or(Refusal::Invalid)?,
                    made: 0,
                    ended: false,
                    speech_since: 0,
                }
            }
        };
        if !key.ended {
            // What was lost before this packet is made up for by it.
            self.missing = 0;
            key.speech_since = 0;
            key.ended = event.end;
            let lasted = rescale(usize::from(event.duration), clock_hz, rate_hz) as usize;
            let most = ticks_of(MAX_SOUND, rate_hz) as usize;
            let count = lasted.saturating_sub(key.made).min(most);
            key.tone.push(count, event.end, &mut self.waiting);
            key.made = lasted.max(key.made);
            self.ahead += rescale(count, rate_hz, self.target.clock_hz);
        }
        self.key = Some(key);
        self.encode(emit);
        Ok(())
    }

    /// Whether speech just now is what somebody says while a key sounds in its place.
    pub(super) fn is_covered_by_a_key(&mut self) -> bool {
        let Some(key) = self.key.as_mut().filter(|key| !key.ended) else {
            return false;
        };
        key.speech_since += 1;
        key.ended = key.speech_since >= SPEECH_AFTER_KEY;
        !key.ended
    }
}
