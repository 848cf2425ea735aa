//! Codecs, transcoding, mixing, silence, telephone-events, the sound of keys, repacketising and playing of recordings.
//!
//! This crate knows payloads: what a frame of a codec looks like, how long it lasts, what silence is, how speech in one codec
//! becomes speech in another. It knows no RTP header, no address and no time of day; audio files are bytes that somebody else reads.
//!
//! C code is linked here alone, behind the feature `opus`: libopus. Without it Opus passes, and is not transcoded.
//! Audio files are read behind the feature `audio-files`.

#[cfg(feature = "audio-files")]
mod audio_file;
mod audio_format;
mod codec;
mod concealment;
mod decoder;
mod encoder;
mod g711;
mod g722;
mod jitter_buffer;
mod key_tone;
mod mixer;
#[cfg(feature = "opus")]
mod opus_codec;
#[cfg(feature = "opus")]
mod opus_file;
mod opus_packet;
mod player;
mod repacketizer;
mod resampler;
#[cfg(feature = "opus")]
mod silk_encoder;
mod telephone_event;
#[cfg(test)]
mod testing;
mod transcoder;

#[cfg(feature = "audio-files")]
pub use audio_file::{AudioFile, AudioFileError, Bytes};
pub use audio_format::AudioFormat;
pub use codec::Codec;
pub use decoder::{Decoder, InvalidFrame, NotTranscodable};
pub use encoder::{Encoder, EncoderSettings};
pub use key_tone::{KeyHeard, KeyTone, Sound, ToneDetector};
pub use mixer::Mixer;
#[cfg(feature = "opus")]
pub use opus_file::OpusFile;
pub use opus_packet::{OpusPacket, OpusPacketError};
pub use player::{Piece, Played, Player, Recording, SampleSource, Supply};
pub use repacketizer::{Reframed, Repacketizer};
pub use resampler::Resampler;
pub use telephone_event::TelephoneEvent;
pub use transcoder::{Coded, Heard, KeyPacket, Refusal, Transcoder};
