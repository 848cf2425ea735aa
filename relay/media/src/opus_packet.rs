//! The outside of an Opus packet (RFC 6716 §3): its table-of-contents byte and where its frames lie.
//!
//! Frames can be taken out of one packet and put into another without decoding them, as long as the configuration and the
//! channel count stay the same; that is all the relay needs to bring 10, 40 or 60 ms packets to the 20 ms that WhatsApp wants.

use std::time::Duration;

use thiserror::Error;

/// RFC 6716 §3.2.5: a packet lasts at most 120 ms, which is 48 frames of the shortest kind.
const MAX_FRAMES: u8 = 48;

/// An Opus packet, taken apart. Nothing is copied or allocated: every packet that passes is looked at in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusPacket<'a> {
    /// Configuration and stereo bit of the table-of-contents byte; the two low bits are zero.
    configuration: u8,
    /// How many frames there are.
    count: u8,
    lengths: Lengths<'a>,
    /// The frames, one after the other, and nothing else.
    body: &'a [u8],
}

/// Where in the body a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths<'a> {
    /// All frames are as long as this.
    Equal(usize),
    /// The lengths of all frames but the last, written as RFC 6716 §3.2.1 has it.
    Told(&'a [u8]),
}

/// Why a payload is no Opus packet; the requirement numbers are those of RFC 6716 §3.4.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpusPacketError {
    /// R1.
    #[error("an Opus packet has at least one byte")]
    Empty,
    /// R3, R4, R6 and R7.
    #[error("the lengths inside the Opus packet contradict its size")]
    Lengths,
    /// R5.
    #[error("the Opus packet has no frames or lasts more than 120 ms")]
    FrameCount,
}

impl<'a> OpusPacket<'a> {
    /// Takes `payload` apart.
    ///
    /// # Errors
    /// When it breaks a requirement of RFC 6716 §3.4.
    pub fn parse(payload: &'a [u8]) -> Result<Self, OpusPacketError> {
        let (&toc, rest) = payload.split_first().ok_or(OpusPacketError::Empty)?;
        let (count, lengths, body) = match toc & 3 {
            0 => (1, Lengths::Equal(rest.len()), rest),
            1 => (2, equal(rest, 2)?, rest),
            2 => {
                let (lengths, body) = told(rest, 2)?;
                (2, lengths, body)
            }
            _ => many_frames(rest)?,
        };
        let packet = Self {
            configuration: toc & !3,
            count,
            lengths,
            body,
        };
        if packet.duration() > Duration::from_millis(120) {
            return Err(OpusPacketError::FrameCount);
        }
        Ok(packet)
    }

    /// Configuration number and stereo bit, as they stand in the table-of-contents byte.
    pub fn configuration(&self) -> u8 {
        self.configuration
    }

    /// The compressed frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut lengths = self.lengths;
        let mut body = self.body;
        (1..=self.count).map(move |number| {
            let length = match &mut lengths {
                Lengths::Equal(length) => *length,
                Lengths::Told(_) if number == self.count => body.len(),
                Lengths::Told(bytes) => {
                    // unwrap: `told` has read them all.
                    let (length, rest) = frame_length(bytes).unwrap_or_default();
                    *bytes = rest;
                    length
                }
            };
            let (frame, rest) = body.split_at_checked(length).unwrap_or((body, &[]));
            body = rest;
            frame
        })
    }

    /// How long one frame lasts (RFC 6716 §3.1, table 2).
    pub fn frame_duration(&self) -> Duration {
        frame_duration(self.configuration)
    }

    /// How long the packet lasts.
    pub fn duration(&self) -> Duration {
        self.frame_duration() * u32::from(self.count)
    }
}

/// How long a frame of this configuration lasts.
pub(crate) fn frame_duration(configuration: u8) -> Duration {
    const SILK_MS: [u64; 4] = [10, 20, 40, 60];
    const HYBRID_MS: [u64; 2] = [10, 20];
    const CELT_US: [u64; 4] = [2_500, 5_000, 10_000, 20_000];
    let number = usize::from(configuration >> 3);
    match number {
        0..12 => Duration::from_millis(SILK_MS[number % 4]),
        12..16 => Duration::from_millis(HYBRID_MS[number % 2]),
        _ => Duration::from_micros(CELT_US[number % 4]),
    }
}

/// Appends a packet of `frames` (one to 48, each at most 1275 bytes) to `payload`: code 0 for one frame, code 3 with
/// explicit lengths for more (RFC 6716 §3.2.5). Codes 1 and 2 would save at most two bytes.
pub(crate) fn write_packet(configuration: u8, frames: &[Vec<u8>], payload: &mut Vec<u8>) {
    if let [frame] = frames {
        payload.push(configuration);
        payload.extend_from_slice(frame);
        return;
    }
    const VARIABLE_BIT_RATE: u8 = 0x80;
    payload.push(configuration | 3);
    payload.push(VARIABLE_BIT_RATE | u8::try_from(frames.len()).unwrap_or(u8::MAX) & 0x3f);
    if let Some((_, all_but_last)) = frames.split_last() {
        for frame in all_but_last {
            write_length(frame.len(), payload);
        }
    }
    for frame in frames {
        payload.extend_from_slice(frame);
    }
}

/// RFC 6716 §3.2.1: one byte up to 251, else two.
fn write_length(length: usize, payload: &mut Vec<u8>) {
    if length < 252 {
        payload.push(length as u8);
    } else {
        let first = 252 + (length & 3);
        payload.push(first as u8);
        payload.push(((length - first) >> 2) as u8);
    }
}

/// RFC 6716 §3.2.1: a frame length, and what follows it.
fn frame_length(bytes: &[u8]) -> Result<(usize, &[u8]), OpusPacketError> {
    match *bytes {
        [first, ref rest @ ..] if first < 252 => Ok((usize::from(first), rest)),
        [first, second, ref rest @ ..] => Ok((usize::from(second) * 4 + usize::from(first), rest)),
        _ => Err(OpusPacketError::Lengths),
    }
}

/// As many frames of one length.
fn equal(body: &[u8], count: u8) -> Result<Lengths<'_>, OpusPacketError> {
    let count = usize::from(count);
    if body.len().is_multiple_of(count) {
        Ok(Lengths::Equal(body.len() / count))
    } else {
        Err(OpusPacketError::Lengths)
    }
}

/// The lengths of all frames but the last, and then the frames.
fn told(bytes: &[u8], count: u8) -> Result<(Lengths<'_>, &[u8]), OpusPacketError> {
    let (mut body, mut spoken_for) = (bytes, 0);
    for _ in 1..count {
        let (length, rest) = frame_length(body)?;
        spoken_for += length;
        body = rest;
    }
    if spoken_for > body.len() {
        return Err(OpusPacketError::Lengths);
    }
    let lengths = &bytes[..bytes.len() - body.len()];
    Ok((Lengths::Told(lengths), body))
}

/// RFC 6716 §3.2.5: a frame count, optional padding, constant or variable lengths.
fn many_frames(bytes: &[u8]) -> Result<(u8, Lengths<'_>, &[u8]), OpusPacketError> {
    let (&head, mut rest) = bytes.split_first().ok_or(OpusPacketError::Lengths)?;
    let count = head & 0x3f;
    if count == 0 || count > MAX_FRAMES {
        return Err(OpusPacketError::FrameCount);
    }
    if head & 0x40 != 0 {
        let mut padding = 0;
        loop {
            let (&octet, after) = rest.split_first().ok_or(OpusPacketError::Lengths)?;
            rest = after;
            padding += usize::from(octet.min(254));
            if octet != 255 {
                break;
            }
        }
        let kept = rest
            .len()
            .checked_sub(padding)
            .ok_or(OpusPacketError::Lengths)?;
        rest = &rest[..kept];
    }
    if head & 0x80 != 0 {
        let (lengths, body) = told(rest, count)?;
        Ok((count, lengths, body))
    } else {
        Ok((count, equal(rest, count)?, rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Configuration 9: SILK, wide band, 20 ms, mono.
    const SILK_WB_20_MS: u8 = 9 << 3;

    fn encoded(frame_ms: usize) -> Vec<u8> {
        let mut encoder =
            opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let samples: Vec<i16> = (0..16 * frame_ms)
            .map(|n| ((n as f32 * 0.2).sin() * 8000.0) as i16)
            .collect();
        encoder.encode_vec(&samples, 1275).unwrap()
    }

    #[test]
    fn durations_agree_with_libopus() {
        for ms in [10, 20, 40, 60] {
            let packet = encoded(ms);
            let parsed = OpusPacket::parse(&packet).unwrap();
            assert_eq!(parsed.duration(), Duration::from_millis(ms as u64));
        }
    }

    #[test]
    fn frames_survive_being_written_and_read() {
        let frames = vec![vec![1; 10], vec![2; 300], vec![], vec![3; 251]];
        let mut payload = Vec::new();
        write_packet(SILK_WB_20_MS, &frames, &mut payload);
        let parsed = OpusPacket::parse(&payload).unwrap();
        assert_eq!(parsed.frames().collect::<Vec<_>>(), frames);
        assert_eq!(parsed.duration(), Duration::from_millis(80));
    }

    #[test]
    fn two_frames_share_a_packet_in_both_ways() {
        let alike = [SILK_WB_20_MS | 1, 1, 2, 3, 4];
        let frames =
            |payload| OpusPacket::parse(payload).map(|packet| packet.frames().collect::<Vec<_>>());
        assert_eq!(frames(&alike), Ok(vec![&[1, 2][..], &[3, 4]]));
        let unlike = [SILK_WB_20_MS | 2, 1, 1, 2, 3];
        assert_eq!(frames(&unlike), Ok(vec![&[1][..], &[2, 3]]));
        let longer_than_all = [SILK_WB_20_MS | 2, 4, 1, 2, 3];
        assert_eq!(frames(&longer_than_all), Err(OpusPacketError::Lengths));
    }

    #[test]
    fn broken_packets_are_named() {
        assert_eq!(OpusPacket::parse(&[]), Err(OpusPacketError::Empty));
        assert_eq!(
            OpusPacket::parse(&[SILK_WB_20_MS | 1, 1, 2, 3]),
            Err(OpusPacketError::Lengths)
        );
        assert_eq!(
            OpusPacket::parse(&[SILK_WB_20_MS | 3, 0]),
            Err(OpusPacketError::FrameCount)
        );
        assert_eq!(
            OpusPacket::parse(&[SILK_WB_20_MS | 3, 7]),
            Err(OpusPacketError::FrameCount)
        );
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packet) = OpusPacket::parse(&payload) {
                let total: usize = packet.frames().map(|frame| frame.len()).sum();
                prop_assert!(total < payload.len());
                prop_assert_eq!(total, packet.body.len());
            }
        }
    }
}
