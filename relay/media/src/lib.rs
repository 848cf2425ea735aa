//! Codecs, silence, telephone-events and repacketising.
//!
//! This crate knows payloads: what a frame of a codec looks like, how long it lasts, what silence is.
//! It knows no RTP header, no address, no file and no time of day.

mod codec;
mod opus_packet;
mod repacketizer;
mod telephone_event;

pub use codec::Codec;
pub use opus_packet::{OpusPacket, OpusPacketError};
pub use repacketizer::{Reframed, Repacketizer};
pub use telephone_event::TelephoneEvent;
