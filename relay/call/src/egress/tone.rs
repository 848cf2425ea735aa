//! Keys and tones of our own in an outgoing stream, one at a time: telephone-events with packets every 20 ms and the end three
//! times (RFC 4733 §2.5), or speech of what they sound like.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use relay_media::{Codec, Encoder, EncoderSettings, KeyTone, Sound, TelephoneEvent};
use relay_transport::rtp::{PayloadType, RtpTimestamp};

use crate::path::Format;

/// Packets of an event follow each other at this distance, as those of audio do.
pub(super) const STEP: Duration = Duration::from_millis(20);
/// RFC 4733 §2.5.1.4: the last packet is sent three times.
const ENDS: u8 = 3;
/// ITU-T Q.24: what is shorter than this need not be taken for a key.
const SHORTEST: Duration = Duration::from_millis(40);
/// So long a G.722 decoder may need before it follows another encoder than the one it heard before (both adapt to what they
/// heard): a key is sent for so much longer, lest a short one is missed.
const G722_FOLLOWS: Duration = Duration::from_millis(80);
/// Keys that wait behind the one that is being pressed; a longer dial string is cut.
const MAX_WAITING: usize = 64;

/// A key or a tone to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone {
    pub form: Form,
    pub duration: Duration,
    /// Before the next one.
    pub pause: Duration,
}

/// What it is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A telephone-event (RFC 4733).
    Event {
        /// RFC 4733 §3.2: 0 to 15.
        event: u8,
        /// Below 0 dBm0, in dB.
        volume: u8,
        /// The receiver's number for telephone-events.
        payload_type: PayloadType,
        /// The clock in which its durations are counted, in Hz.
        clock_hz: u32,
    },
    /// A sound in the receiver's speech.
    Sound(Sound),
}

/// Events that are being sent or wait.
#[derive(Debug, Default)]
pub(super) struct Tones {
    waiting: VecDeque<Tone>,
    /// Boxed: most streams never have one.
    playing: Option<Box<Playing>>,
    /// The pause after an event.
    rest_until: Option<Instant>,
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Playing {
    tone: Tone,
    /// What makes the sound, if it is sent as one.
    voice: Option<Voice>,
    /// The timestamp of all its packets, from the first one on.
    timestamp: Option<RtpTimestamp>,
    elapsed: Duration,
    ends: u8,
    next_at: Instant,
}

/// Sounds encoded as the receiver's speech.
#[derive(Debug)]
struct Voice {
    format: Format,
    packet_time: Duration,
    /// What is sent beyond the length that was asked for.
    lead: Duration,
    sound: KeyTone,
    encoder: Encoder,
    samples: Vec<i16>,
}

impl Voice {
    /// `None` for events, and if the receiver's speech is none that can be encoded here.
    fn of(tone: &Tone, format: Option<&Format>) -> Option<Self> {
        let (Form::Sound(sound), Some(format)) = (tone.form, format) else {
            return None;
        };
        let audio = format.audio();
        let rate_hz = audio.rate_near(8_000)?;
        Some(Self {
            format: format.clone(),
            packet_time: Duration::from_millis(
                audio.packet_time_ms(STEP.as_millis() as u32).into(),
            ),
            lead: match audio.codec {
                Codec::G722 => G722_FOLLOWS,
                _ => Duration::ZERO,
            },
            sound: KeyTone::of(sound, rate_hz)?,
            encoder: Encoder::new(audio, rate_hz, &EncoderSettings::default()).ok()?,
            samples: Vec::new(),
        })
    }

    fn encode(&mut self, last: bool, payload: &mut Vec<u8>) {
        let ms = self.packet_time.as_millis() as usize;
        let count = self.encoder.rate_hz() as usize * ms / 1_000;
        self.samples.clear();
        self.sound.push(count, last, &mut self.samples);
        self.encoder.encode(&self.samples, payload);
    }
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Of a telephone-event.
    Event {
        payload_type: PayloadType,
        payload: [u8; 4],
        /// The timestamp of the event; `None` for its first packet.
        timestamp: Option<RtpTimestamp>,
    },
    /// Of a sound.
    Sound {
        payload: &'a [u8],
        /// When it was to leave.
        due: Instant,
        duration: Duration,
        /// It is the first.
        starts: bool,
    },
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

    /// Whether there is none, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.playing.is_none() && self.waiting.is_empty()
    }

    /// When the next packet is due.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.playing {
            Some(playing) => Some(playing.next_at),
            None if self.waiting.is_empty() => None,
            None => self.rest_until,
        }
    }

    /// The packet that is due, if one is. `format` is the receiver's speech.
    pub(super) fn next(&mut self, now: Instant, format: Option<&Format>) -> Option<Piece<'_>> {
        if self.playing.is_none() {
            if self.rest_until.is_some_and(|at| now < at) {
                return None;
            }
            let tone = self.waiting.pop_front()?;
            self.playing = Some(Box::new(Playing {
                tone,
                voice: Voice::of(&tone, format),
                timestamp: None,
                elapsed: Duration::ZERO,
                ends: 0,
                next_at: now,
            }));
        }
        let playing = self.playing.as_mut()?;
        if now < playing.next_at {
            return None;
        }
        let (due, tone) = (playing.next_at, playing.tone);
        let piece = match (tone.form, &mut playing.voice) {
            (
                Form::Event {
                    event,
                    volume,
                    payload_type,
                    clock_hz,
                },
                _,
            ) => {
                playing.elapsed = (playing.elapsed + STEP).min(tone.duration);
                let end = playing.elapsed == tone.duration;
                playing.ends += u8::from(end);
                // The schedule is kept; after a long sleep it starts over.
                playing.next_at = (due + STEP).max(now);
                let ticks = playing.elapsed.as_micros() * u128::from(clock_hz) / 1_000_000;
                let event = TelephoneEvent {
                    event,
                    end,
                    volume,
                    // RFC 4733 §2.5.1.3: an event too long for its clock stays at the longest there is.
                    duration: u16::try_from(ticks).unwrap_or(u16::MAX),
                };
                Piece::Event {
                    payload_type,
                    payload: event.to_bytes(),
                    timestamp: playing.timestamp,
                }
            }
            (Form::Sound(_), Some(voice)) if format == Some(&voice.format) => {
                let starts = playing.elapsed.is_zero();
                playing.elapsed += voice.packet_time;
                let last = playing.elapsed >= tone.duration + voice.lead;
                if last {
                    playing.ends = ENDS;
                }
                playing.next_at = (due + voice.packet_time).max(now);
                self.payload.clear();
                voice.encode(last, &mut self.payload);
                Piece::Sound {
                    payload: &self.payload,
                    due,
                    duration: voice.packet_time,
                    starts,
                }
            }
            // The receiver's speech is none that can be encoded, or it is another than it was.
            (Form::Sound(_), _) => {
                self.playing = None;
                return None;
            }
        };
        if playing.ends == ENDS {
            let over = match piece {
                Piece::Event { .. } => now,
                Piece::Sound { duration, .. } => due.max(now) + duration,
            };
            self.playing = None;
            self.rest_until = Some(over + tone.pause);
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
