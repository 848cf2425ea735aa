//! Prompts in which time is written, to measure how much of a greeting is lost and how late it runs.
//!
//! Two kinds, for two kinds of relay:
//!
//! * [`CountedPrompt`]: every packet carries its number in the payload. The PBX side sends payload `n` at
//!   20 ms × n after it began; a relay that passes payloads on delivers the numbers. Exact, but does not survive
//!   transcoding. The Opus form begins with a true table-of-contents octet (RFC 6716 §3.1: SILK wide band, 20 ms,
//!   mono, one frame), so that a relay that looks at it sees what it expects.
//! * [`SteppedPrompt`]: real audio whose tone rises every 100 ms through 28 steps and begins again. Survives
//!   any codec; exact to about one frame of 20 ms.
//!
//! Lateness counts from the instant the prompt began, which the test tells (`MetaMedia::prompt_started`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::media::report::PromptReport;
use crate::media::tone::{self, FRAME, Tone};
use crate::sdp::Codec;

/// One piece of a prompt, which is one packet.
const PIECE: Duration = Duration::from_millis(20);
const PIECE_MS: f64 = 20.0;

/// Packets that say which one they are.
///
/// Layout: for Opus the octet 0x48, then in all codecs `T` `P`, the number in four octets, an octet that is the sum
/// of those four, then filling. An Opus payload has 40 octets, a G.711 payload the 160 of 20 ms.
#[derive(Clone, Copy, Debug)]
pub struct CountedPrompt;

impl CountedPrompt {
    /// RFC 6716 §3.1: configuration 9, mono, one frame.
    const OPUS_TOC: u8 = 9 << 3;
    const MARK: [u8; 2] = *b"TP";

    /// The payload of the packet spoken 20 ms × `number` after the beginning.
    pub fn payload(codec: Codec, number: u32) -> Vec<u8> {
        let (mut payload, length) = match codec {
            Codec::Opus => (vec![Self::OPUS_TOC], 40),
            Codec::Pcmu | Codec::Pcma => (Vec::new(), 160),
        };
        payload.extend(Self::MARK);
        payload.extend(number.to_be_bytes());
        payload.push(sum(number));
        payload.resize(length, 0x55);
        payload
    }

    /// The number in a payload, if it is one of a counted prompt.
    pub fn read(codec: Codec, payload: &[u8]) -> Option<u32> {
        let counted = match codec {
            Codec::Opus => payload.strip_prefix(&[Self::OPUS_TOC])?,
            Codec::Pcmu | Codec::Pcma => payload,
        };
        let counted = counted.strip_prefix(&Self::MARK)?;
        let number = u32::from_be_bytes(*counted.first_chunk()?);
        (counted.get(4) == Some(&sum(number))).then_some(number)
    }
}

fn sum(number: u32) -> u8 {
    number
        .to_be_bytes()
        .iter()
        .fold(0, |sum, octet| sum.wrapping_add(*octet))
}

/// Audio that says when it was spoken: tones of 100 ms.
#[derive(Clone, Debug, Default)]
pub struct SteppedPrompt {
    tone: Tone,
    frames: u32,
}

impl SteppedPrompt {
    const STEPS: u32 = 28;
    const FRAMES_PER_STEP: u32 = 5;
    const LOWEST_HZ: f64 = 400.0;
    const SPACING_HZ: f64 = 100.0;
    const AMPLITUDE: f64 = 0.3;

    fn hertz(step: u32) -> f64 {
        Self::LOWEST_HZ + Self::SPACING_HZ * f64::from(step % Self::STEPS)
    }

    /// The next 20 ms, at 16 kHz.
    pub fn next_frame(&mut self) -> [i16; FRAME] {
        let step = self.frames / Self::FRAMES_PER_STEP;
        self.frames += 1;
        let mut frame = [0; FRAME];
        self.tone
            .fill(Self::hertz(step), Self::AMPLITUDE, &mut frame);
        frame
    }

    /// Which of the 28 steps a frame at 16 kHz belongs to.
    pub fn read(frame: &[i16]) -> Option<u32> {
        if tone::loudness(frame) < tone::SILENCE {
            return None;
        }
        (0..Self::STEPS)
            .map(|step| (step, tone::share_of(Self::hertz(step), frame)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
            .filter(|(_, share)| *share > 0.3)
            .map(|(step, _)| step)
    }
}

/// Pieces kept at most: ten minutes.
const KEPT: usize = 30_000;

/// What arrived of a prompt.
#[derive(Debug)]
pub(crate) struct PromptTally {
    kind: PromptKind,
    /// Position in pieces of 20 ms, and when it arrived.
    heard: BTreeMap<u32, Instant>,
    /// Of a stepped prompt, the frames in order of arrival: absolute step and when.
    steps: Vec<(u32, Instant)>,
    started: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PromptKind {
    Counted,
    Stepped,
}

impl PromptTally {
    pub(crate) fn new(kind: PromptKind) -> Self {
        Self {
            kind,
            heard: BTreeMap::new(),
            steps: Vec::new(),
            started: None,
        }
    }

    pub(crate) fn kind(&self) -> PromptKind {
        self.kind
    }

    pub(crate) fn started(&mut self, at: Instant) {
        self.started = Some(at);
    }

    /// A numbered packet came.
    pub(crate) fn number(&mut self, now: Instant, number: u32) {
        if self.heard.len() < KEPT {
            self.heard.entry(number).or_insert(now);
        }
    }

    /// A frame of a stepped prompt came, with its step among the 28.
    pub(crate) fn step(&mut self, now: Instant, step: u32) {
        if self.steps.len() >= KEPT {
            return;
        }
        let period = SteppedPrompt::STEPS;
        // The latest moment at which this tone was spoken: not in the future, and not before what was heard last.
        let latest = match (self.steps.last(), self.started) {
            (_, Some(started)) => {
                let elapsed = now.saturating_duration_since(started).as_millis() as u32 / 100;
                let steps_ago = (elapsed + period - step % period) % period;
                elapsed.checked_sub(steps_ago).unwrap_or(step)
            }
            (Some((last, _)), None) => last + (step + period - last % period) % period,
            (None, None) => step,
        };
        self.steps.push((latest, now));
    }

    pub(crate) fn report(&self) -> PromptReport {
        match self.kind {
            PromptKind::Counted => report(
                &self
                    .heard
                    .iter()
                    .map(|(p, at)| (*p, *at))
                    .collect::<Vec<_>>(),
                self.started,
            ),
            PromptKind::Stepped => report(&self.stepped_pieces(), self.started),
        }
    }

    /// Gives every frame its place: within a step they come one after another, and what a first step lacks it
    /// lacks at its beginning.
    fn stepped_pieces(&self) -> Vec<(u32, Instant)> {
        let per_step = SteppedPrompt::FRAMES_PER_STEP;
        let Some((first, _)) = self.steps.first() else {
            return Vec::new();
        };
        let in_first = self.steps.iter().filter(|(step, _)| step == first).count() as u32;
        let mut position = first * per_step + per_step.saturating_sub(in_first);
        let mut pieces = Vec::new();
        for (step, at) in &self.steps {
            // A frame on the border of two tones may be read as either; only a whole missing step moves us on.
            let earliest = step * per_step;
            if earliest > position + 1 {
                position = earliest;
            }
            pieces.push((position, *at));
            position += 1;
        }
        pieces
    }
}

fn report(pieces: &[(u32, Instant)], started: Option<Instant>) -> PromptReport {
    let (Some((first, first_at)), Some((last, last_at))) = (
        pieces.iter().min_by_key(|(position, _)| *position),
        pieces.iter().max_by_key(|(position, _)| *position),
    ) else {
        return PromptReport::default();
    };
    let missing = (last - first + 1).saturating_sub(pieces.len() as u32);
    let delay = |position: u32, at: Instant| {
        let spoken = started? + PIECE * position;
        Some(at.saturating_duration_since(spoken).as_secs_f64() * 1000.0)
    };
    let one_second_on = pieces
        .iter()
        .filter(|(_, at)| *at >= *first_at + Duration::from_secs(1))
        .min_by_key(|(_, at)| *at);
    PromptReport {
        clipped_ms: f64::from(*first) * PIECE_MS,
        lost_ms: f64::from(missing) * PIECE_MS,
        heard_ms: pieces.len() as f64 * PIECE_MS,
        first_delay_ms: delay(*first, *first_at),
        delay_after_one_second_ms: one_second_on.and_then(|(position, at)| delay(*position, *at)),
        last_delay_ms: delay(*last, *last_at),
        least_delay_ms: pieces
            .iter()
            .filter_map(|(position, at)| delay(*position, *at))
            .min_by(f64::total_cmp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    #[test]
    fn a_number_survives_in_every_codec_and_strangers_are_not_read() {
        for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
            let payload = CountedPrompt::payload(codec, 70_000);
            assert_eq!(CountedPrompt::read(codec, &payload), Some(70_000));
            let mut damaged = payload.clone();
            damaged[4] ^= 1;
            assert_eq!(CountedPrompt::read(codec, &damaged), None);
        }
        assert_eq!(CountedPrompt::read(Codec::Opus, &[0x48, 1, 2]), None);
        let payload = CountedPrompt::payload(Codec::Opus, 1);
        assert_eq!(
            opus::packet::get_nb_samples(&payload, 48_000).ok(),
            Some(960)
        );
    }

    #[test]
    fn what_was_dropped_at_the_beginning_is_clipped_and_what_was_held_is_late() {
        let start = epoch();
        let mut tally = PromptTally::new(PromptKind::Counted);
        tally.started(start);
        // The first ten are gone; the next twenty were held and come at once; two are lost later.
        let opened = start + PIECE * 30;
        for number in 10..30 {
            tally.number(opened, number);
        }
        for number in (30..130).filter(|number| ![60, 61].contains(number)) {
            tally.number(start + PIECE * number + Duration::from_millis(40), number);
        }
        let report = tally.report();
        assert_eq!((report.clipped_ms, report.lost_ms), (200.0, 40.0));
        assert_eq!(report.first_delay_ms, Some(400.0));
        assert_eq!(report.delay_after_one_second_ms, Some(40.0));
        assert_eq!(report.least_delay_ms, Some(20.0));
    }

    #[test]
    fn a_stepped_prompt_read_frame_by_frame_shows_what_was_cut_off() {
        let start = epoch();
        let mut prompt = SteppedPrompt::default();
        let mut tally = PromptTally::new(PromptKind::Stepped);
        tally.started(start);
        for number in 0..400u32 {
            let frame = prompt.next_frame();
            // 340 ms are cut off, and 100 ms are lost later.
            if number < 17 || (100..105).contains(&number) {
                continue;
            }
            let step = SteppedPrompt::read(&frame).expect("a step");
            tally.step(start + PIECE * number + Duration::from_millis(60), step);
        }
        let report = tally.report();
        assert_eq!((report.clipped_ms, report.lost_ms), (340.0, 100.0));
        assert_eq!(report.first_delay_ms, Some(60.0));
        assert_eq!(report.last_delay_ms, Some(60.0));
    }

    #[test]
    fn silence_is_no_step() {
        assert_eq!(SteppedPrompt::read(&[0; FRAME]), None);
    }
}
