//! Codecs, transcoding, silence, telephone-events, the sound of keys and repacketising.
//!
//! This crate knows payloads: what a frame of a codec looks like, how long it lasts, what silence is, how speech in one codec
//! becomes speech in another. It knows no RTP header, no address, no file and no time of day.
//!
//! C code is linked here alone, behind the feature `opus`: libopus. Without it Opus passes, and is not transcoded.

mod audio_format;
mod codec;
mod concealment;
mod decoder;
mod encoder;
mod g711;
mod g722;
mod jitter_buffer;
mod key_tone;
#[cfg(feature = "opus")]
mod opus_codec;
mod opus_packet;
mod repacketizer;
mod resampler;
mod telephone_event;
#[cfg(test)]
mod testing;
mod transcoder;

pub use audio_format::AudioFormat;
pub use codec::Codec;
pub use decoder::{Decoder, InvalidFrame, NotTranscodable};
pub use encoder::{Encoder, EncoderSettings};
pub use key_tone::{KeyHeard, KeyTone, ToneDetector};
pub use opus_packet::{OpusPacket, OpusPacketError};
pub use repacketizer::{Reframed, Repacketizer};
pub use resampler::Resampler;
pub use telephone_event::TelephoneEvent;
pub use transcoder::{Coded, Heard, KeyPacket, Refusal, Transcoder};
