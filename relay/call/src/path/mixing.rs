//! The way of a speaker into a mix: what it says becomes linear samples at the mixer's rate.
//!
//! A transcoder does the work, so that order, losses, pauses and keys are treated as they are where nobody mixes.

use std::time::Instant;

use relay_media::{AudioFormat, Codec, Coded, EncoderSettings, Heard, KeyPacket};
use relay_media::{TelephoneEvent, Transcoder};
use relay_packet::DropReason;
use relay_transport::rtp::{RtpHeader, Ssrc};

use super::Format;
use super::transcoding::reason;

/// The packets of linear samples between speaker and mixer, in milliseconds.
const STEP_MS: u32 = 20;

/// One speaker's way into a mix. Its codecs are made when they are needed first.
#[derive(Debug, Default)]
pub struct MixInput {
    transcoder: Option<Box<Transcoder>>,
    source: Option<Ssrc>,
}

/// What the packets of a speaker are, and what they are to become.
#[derive(Clone, Copy, Debug)]
pub struct MixFormats<'a> {
    /// The speaker's numbers.
    pub received: &'a [Format],
    /// What the mixer takes.
    pub linear: AudioFormat,
    /// Keys are to be heard, because the listener knows no events.
    pub sounds_keys: bool,
}

impl MixInput {
    /// Takes a packet, and gives the samples that it makes for.
    ///
    /// # Errors
    /// Why it made for none.
    pub fn hear(
        &mut self,
        now: Instant,
        packet: &[u8],
        formats: MixFormats<'_>,
        give: &mut dyn FnMut(&mut dyn Iterator<Item = i16>),
    ) -> Result<(), DropReason> {
        let header = RtpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let payload = header.payload(packet).ok_or(DropReason::Malformed)?;
        // Of two formats with one number the later is the one that the speaker was told.
        let mut known = formats.received.iter().rev();
        let format = known.find(|format| format.payload_type == header.payload_type);
        let format = format.ok_or(DropReason::UnknownPayloadType)?;
        let (audio, sequence) = (format.audio(), header.sequence.0);
        let transcoder = match &mut self.transcoder {
            Some(made) if made.target() == formats.linear => made,
            slot => {
                // Keys may be what comes first.
                let from = if audio.is_transcodable() {
                    audio
                } else {
                    formats.linear
                };
                let settings = EncoderSettings::default();
                let made = Transcoder::new(from, formats.linear, STEP_MS, &settings);
                slot.insert(Box::new(made.map_err(|_| DropReason::NotWanted)?))
            }
        };
        if self.source.is_some_and(|source| source != header.ssrc) {
            transcoder.restart();
        }
        self.source = Some(header.ssrc);
        let mut emit = |coded: Coded<'_>| give(&mut samples(coded.payload));
        let heard = match audio.codec {
            Codec::TelephoneEvent => {
                let event = TelephoneEvent::parse(payload).ok_or(DropReason::Malformed)?;
                if formats.sounds_keys && event.digit().is_some() {
                    let pressed = KeyPacket {
                        sequence,
                        timestamp: header.timestamp.0,
                        event,
                        clock_hz: format.clock_hz,
                        disguise: None,
                    };
                    transcoder.press(now, pressed, &mut emit)
                } else {
                    transcoder.pass(now, sequence, &mut emit);
                    Ok(())
                }
            }
            Codec::ComfortNoise => transcoder.rest(now, sequence, payload, &mut emit),
            _ if audio.is_transcodable() => {
                let heard = Heard {
                    sequence,
                    timestamp: header.timestamp.0,
                    format: audio,
                    payload,
                };
                transcoder.push(now, heard, &mut emit)
            }
            _ => return Err(DropReason::NotWanted),
        };
        heard.map_err(reason)
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transcoder.as_ref()?.poll_timeout()
    }

    /// Time has passed: what waited for late packets does so no longer, and pauses are filled.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        give: &mut dyn FnMut(&mut dyn Iterator<Item = i16>),
    ) {
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.handle_timeout(now, &mut |coded| give(&mut samples(coded.payload)));
        }
    }
}

/// RFC 3551 §4.5.11: network byte order.
fn samples(payload: &[u8]) -> impl Iterator<Item = i16> {
    let (octets, _) = payload.as_chunks();
    octets.iter().map(|&octets| i16::from_be_bytes(octets))
}
