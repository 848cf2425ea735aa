//! Speech of one format made into speech of another, packet by packet.
//!
//! ```text
//!   packets ──► jitter buffer ──► decoder (or what conceals a loss) ──► resampler, rarely ──► samples ──► encoder ──► frames
//! ```
//!
//! The output is paced by what comes in: a frame leaves in the moment in which its last sample arrived. So the two clocks
//! cannot drift apart, and nothing is delayed but by the codecs themselves and by packets that are to be longer than those that
//! come. Lost packets are made up for when the one behind them is there, whose redundancy helps; timestamps keep the distances
//! of the sender's, so that a pause stays a pause. A pause of which the sender says how it sounds is filled ([`rest`]), and keys
//! are heard by those who know no events ([`key`]). To a receiver that knows comfort noise a pause is described instead.

use std::time::{Duration, Instant};

use crate::Codec;
use crate::audio_format::{AudioFormat, rates};
use crate::decoder::{Decoder, NotTranscodable};
use crate::encoder::{Encoder, EncoderSettings};
use crate::jitter_buffer::{Admission, JitterBuffer};
use crate::key_tone::Sound;
use crate::resampler::Resampler;
use crate::telephone_event::TelephoneEvent;

mod key;
mod rest;

pub use key::KeyPacket;
use key::Sounding;
use rest::Rest;

/// What is made up for lost packets at most; it has faded long before.
const MAX_CONCEALED: Duration = Duration::from_millis(120);
/// An Opus frame this short begins or renews a pause (RFC 6716 §2.1.9; libopus makes none shorter of speech).
const DTX_FRAME: usize = 2;
/// A sender that changes its codec keeps the state of so many at most.
const MAX_VOICES: usize = 4;

/// A packet of speech as it came.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    pub sequence: u16,
    pub timestamp: u32,
    pub format: AudioFormat,
    pub payload: &'a [u8],
}

/// A packet of speech as it leaves.
#[derive(Clone, Copy, Debug)]
pub struct Coded<'a> {
    /// In the clock of the target format.
    pub timestamp: u32,
    /// It begins a new talk spurt: there was a pause before it.
    pub marker: bool,
    pub duration: Duration,
    /// The payload says what a pause sounds like (RFC 3389) and is no frame of the target format.
    pub noise: bool,
    pub payload: &'a [u8],
}

/// Why a packet was not made into anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its time was over, or it was a repetition.
    TooLate,
    /// Its payload is none of its format.
    Invalid,
}

/// The state of one direction.
#[derive(Debug)]
pub struct Transcoder {
    target: AudioFormat,
    encoder: Encoder,
    packet_samples: usize,
    buffer: JitterBuffer<Turn>,
    voices: Vec<Voice>,
    /// Packets missing since the last that was decoded.
    missing: u32,
    /// The timestamp at which the sender's next packet begins, and how long the last was, in its clock.
    expected: Option<(u32, u32)>,
    /// The timestamp of the first waiting sample, in ours.
    timestamp: Option<u32>,
    /// What was sent beyond what the sender's timestamps say, in ours.
    ahead: u32,
    marker: bool,
    /// The key that sounds, or sounded last.
    key: Option<Sounding>,
    /// The pause that is being filled.
    rest: Option<Rest>,
    /// The receiver wants to be told of pauses, rather than to be sent them.
    describes_pauses: bool,
    decoded: Vec<i16>,
    waiting: Vec<i16>,
    payload: Vec<u8>,
}

/// What has its turn in the order of packets.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Speech {
        timestamp: u32,
        format: AudioFormat,
    },
    /// A key, which is to be heard.
    Key {
        timestamp: u32,
        event: TelephoneEvent,
        clock_hz: u32,
        disguise: Option<Sound>,
    },
    /// What a pause sounds like (RFC 3389): so many dB below the loudest.
    Noise {
        level: u8,
    },
    /// Something else, which takes another way.
    Other,
}

/// How one of the sender's formats becomes samples of the encoder's rate.
#[derive(Debug)]
struct Voice {
    format: AudioFormat,
    decoder: Decoder,
    resampler: Option<Resampler>,
}

impl Transcoder {
    /// A transcoder from what is expected to come to `target`, in packets of `packet_time_ms` or the nearest that the target
    /// knows.
    ///
    /// # Errors
    /// When one of them cannot be transcoded.
    pub fn new(
        source: AudioFormat,
        target: AudioFormat,
        packet_time_ms: u32,
        settings: &EncoderSettings,
    ) -> Result<Self, NotTranscodable> {
        let refused = NotTranscodable(source.codec, source.clock_hz);
        let (_, encoded_hz) = rates(source, target).ok_or(refused)?;
        let encoder = Encoder::new(target, encoded_hz, settings)?;
        let packet_time_ms = target.packet_time_ms(packet_time_ms);
        let mut transcoder = Self {
            target,
            encoder,
            packet_samples: (encoded_hz * packet_time_ms / 1_000) as usize,
            buffer: JitterBuffer::default(),
            voices: Vec::new(),
            missing: 0,
            expected: None,
            timestamp: None,
            ahead: 0,
            marker: false,
            key: None,
            rest: None,
            describes_pauses: false,
            decoded: Vec::new(),
            waiting: Vec::new(),
            payload: Vec::new(),
        };
        transcoder.voice(source)?;
        Ok(transcoder)
    }

    /// The receiver knows comfort noise (RFC 3389): pauses of which the decoder knows the sound are described to it from now on.
    pub fn describe_pauses(&mut self) {
        self.describes_pauses = true;
    }

    /// What the frames that leave are.
    pub fn target(&self) -> AudioFormat {
        self.target
    }

    /// The far end loses so many per cent of what it is sent.
    pub fn expect_loss(&mut self, percent: u8) {
        self.encoder.expect_loss(percent);
    }

    /// Takes a packet of speech.
    ///
    /// # Errors
    /// Why it came to nothing.
    pub fn push(
        &mut self,
        now: Instant,
        heard: Heard<'_>,
        emit: &mut dyn FnMut(Coded<'_>),
    ) -> Result<(), Refusal> {
        let turn = Turn::Speech {
            timestamp: heard.timestamp,
            format: heard.format,
        };
        self.take(now, heard.sequence, turn, heard.payload, emit)
    }

    /// A packet of the sender went another way, or was kept back: it is not missing here.
    pub fn pass(&mut self, now: Instant, sequence: u16, emit: &mut dyn FnMut(Coded<'_>)) {
        // A repetition of an event is none of this object's business.
        let _ = self.take(now, sequence, Turn::Other, &[], emit);
    }

    /// Another sender takes over.
    pub fn restart(&mut self) {
        self.buffer.clear();
        self.begin_anew();
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let rest = self.rest.as_ref().map(Rest::due);
        [self.buffer.due(), rest].into_iter().flatten().min()
    }

    /// Gives up what was waited for in vain, and fills pauses.
    pub fn handle_timeout(&mut self, now: Instant, emit: &mut dyn FnMut(Coded<'_>)) {
        while let Some((queued, missing)) = self.buffer.release(now) {
            // Nobody is there to be told that a payload was invalid.
            let _ = self.play(now, queued.what, missing, &queued.payload, emit);
            self.buffer.recycle(queued.payload);
        }
        self.fill_rest(now, emit);
    }

    fn take(
        &mut self,
        now: Instant,
        sequence: u16,
        turn: Turn,
        payload: &[u8],
        emit: &mut dyn FnMut(Coded<'_>),
    ) -> Result<(), Refusal> {
        let result = match self.buffer.admit(now, sequence) {
            Admission::TooLate => return Err(Refusal::TooLate),
            Admission::Wait => {
                self.buffer.hold(now, sequence, turn, payload);
                Ok(())
            }
            Admission::Restart => {
                self.begin_anew();
                self.play(now, turn, 0, payload, emit)
            }
            Admission::Play { missing } => self.play(now, turn, missing, payload, emit),
        };
        self.handle_timeout(now, emit);
        result
    }

    /// The sender's numbers mean nothing any more; what we send goes on.
    fn begin_anew(&mut self) {
        self.expected = None;
        self.missing = 0;
        self.ahead = 0;
        self.key = None;
        self.rest = None;
        self.waiting.clear();
    }

    fn play(
        &mut self,
        now: Instant,
        turn: Turn,
        missing: u16,
        payload: &[u8],
        emit: &mut dyn FnMut(Coded<'_>),
    ) -> Result<(), Refusal> {
        self.missing += u32::from(missing);
        let (timestamp, format) = match turn {
            Turn::Speech { timestamp, format } => (timestamp, format),
            Turn::Key {
                timestamp,
                event,
                clock_hz,
                disguise,
            } => return self.sound(timestamp, event, clock_hz, disguise, emit),
            Turn::Noise { level } => {
                self.rest_in_noise(now, level);
                return Ok(());
            }
            Turn::Other => return Ok(()),
        };
        self.rest = None;
        let index = self.voice(format).map_err(|_| Refusal::Invalid)?;
        self.bridge(timestamp, index, payload, emit);
        self.decoded.clear();
        let voice = &mut self.voices[index];
        if voice.decoder.decode(payload, &mut self.decoded).is_err() {
            self.missing += 1;
            return Err(Refusal::Invalid);
        }
        self.missing = 0;
        let ticks = rescale(self.decoded.len(), voice.decoder.rate_hz(), format.clock_hz);
        self.expected = Some((timestamp.wrapping_add(ticks), ticks));
        self.timestamp.get_or_insert(timestamp);
        if self.is_covered_by_a_key() {
            self.leave_out(rescale(
                ticks as usize,
                format.clock_hz,
                self.target.clock_hz,
            ));
            return Ok(());
        }
        self.add_decoded(index);
        self.encode(emit);
        if format.codec == Codec::Opus && payload.len() <= DTX_FRAME {
            self.rest_in_decoder(now, index);
        }
        Ok(())
    }

    /// So many ticks of what came are not sent, because something else was sent in their place, or is to be.
    fn leave_out(&mut self, ticks: u32) {
        let covered = self.ahead.min(ticks);
        self.ahead -= covered;
        if let Some(timestamp) = &mut self.timestamp {
            *timestamp = timestamp.wrapping_add(ticks - covered);
        }
    }

    /// Between what came last and a packet with this timestamp: makes up what was lost, leaves out what was a pause.
    fn bridge(
        &mut self,
        timestamp: u32,
        index: usize,
        payload: &[u8],
        emit: &mut dyn FnMut(Coded<'_>),
    ) {
        let Some((expected, last_ticks)) = self.expected else {
            return;
        };
        let distance = timestamp.wrapping_sub(expected) as i32;
        let Ok(mut distance @ 1..) = u32::try_from(distance) else {
            return;
        };
        let voice = &mut self.voices[index];
        let (clock_hz, rate_hz) = (voice.format.clock_hz, voice.decoder.rate_hz());
        let lost = last_ticks.saturating_mul(self.missing).min(distance);
        let lost = lost.min(ticks_of(MAX_CONCEALED, clock_hz));
        let whole = lost == distance;
        if lost > 0 {
            self.decoded.clear();
            let count = rescale(lost as usize, clock_hz, rate_hz) as usize;
            // The copy in the next packet is of what was directly before it.
            voice
                .decoder
                .conceal(count, whole.then_some(payload), &mut self.decoded);
            self.add_decoded(index);
            self.encode(emit);
            distance -= lost;
        }
        if distance > 0 {
            self.pause(
                rescale(distance as usize, clock_hz, self.target.clock_hz),
                index,
                emit,
            );
        }
    }

    /// The sender made a pause of so many ticks of our clock: what waits for more is completed, and timestamps jump.
    fn pause(&mut self, ticks: u32, index: usize, emit: &mut dyn FnMut(Coded<'_>)) {
        let mut completed = 0;
        if !self.waiting.is_empty() {
            let rest = self.packet_samples - self.waiting.len();
            while self.waiting.len() < self.packet_samples {
                self.decoded.clear();
                let voice = &mut self.voices[index];
                let step = (voice.decoder.rate_hz() / 100) as usize;
                voice.decoder.conceal(step, None, &mut self.decoded);
                self.add_decoded(index);
            }
            self.waiting.truncate(self.packet_samples);
            self.encode(emit);
            completed = rescale(rest, self.encoder.rate_hz(), self.target.clock_hz);
        }
        // A completed packet may reach beyond the pause; that is made good in the next.
        let sent = self.ahead + completed;
        self.ahead = sent.saturating_sub(ticks);
        let jump = ticks.saturating_sub(sent);
        if let Some(timestamp) = &mut self.timestamp {
            *timestamp = timestamp.wrapping_add(jump);
        }
        self.marker = jump > 0;
    }

    /// Decoded samples join those that wait for a whole packet.
    fn add_decoded(&mut self, index: usize) {
        match &mut self.voices[index].resampler {
            Some(resampler) => resampler.push(&self.decoded, &mut self.waiting),
            None => self.waiting.extend_from_slice(&self.decoded),
        }
    }

    /// Sends every packet that is whole.
    fn encode(&mut self, emit: &mut dyn FnMut(Coded<'_>)) {
        let mut done = 0;
        while let Some(samples) = self.waiting.get(done..done + self.packet_samples) {
            done += self.packet_samples;
            self.payload.clear();
            let encoded = self.encoder.encode(samples, &mut self.payload);
            let ticks = rescale(samples.len(), self.encoder.rate_hz(), self.target.clock_hz);
            let timestamp = self.timestamp.get_or_insert(0);
            if encoded {
                emit(Coded {
                    timestamp: *timestamp,
                    marker: std::mem::take(&mut self.marker),
                    duration: Duration::from_micros(
                        1_000_000 * samples.len() as u64 / u64::from(self.encoder.rate_hz()),
                    ),
                    noise: false,
                    payload: &self.payload,
                });
            }
            *timestamp = timestamp.wrapping_add(ticks);
        }
        self.waiting.drain(..done);
    }

    /// The decoder of a format; made when it is first met.
    fn voice(&mut self, format: AudioFormat) -> Result<usize, NotTranscodable> {
        if let Some(known) = self.voices.iter().position(|voice| voice.format == format) {
            return Ok(known);
        }
        let refused = NotTranscodable(format.codec, format.clock_hz);
        let encoded_hz = self.encoder.rate_hz();
        let decoded_hz = format.rate_near(encoded_hz).ok_or(refused)?;
        let voice = Voice {
            format,
            decoder: Decoder::new(format, decoded_hz)?,
            resampler: if decoded_hz == encoded_hz {
                None
            } else {
                Some(Resampler::new(decoded_hz, encoded_hz).ok_or(refused)?)
            },
        };
        if self.voices.len() >= MAX_VOICES {
            self.voices.remove(0);
        }
        // There is nearly always one.
        self.voices.reserve_exact(1);
        self.voices.push(voice);
        Ok(self.voices.len() - 1)
    }
}

/// A count at one rate, counted at another.
fn rescale(count: usize, from_hz: u32, to_hz: u32) -> u32 {
    let scaled = count as u64 * u64::from(to_hz) / u64::from(from_hz.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

fn ticks_of(duration: Duration, clock_hz: u32) -> u32 {
    rescale(duration.as_micros() as usize, 1_000_000, clock_hz)
}
