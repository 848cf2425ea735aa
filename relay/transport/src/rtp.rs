//! RTP packets (RFC 3550 section 5): the words that may not be confused, the header, and what a receiver counts.
//!
//! Nothing here allocates; a header is read from and written to the bytes of the packet.

mod bursts;
mod extension;
mod header;
mod reception;
mod sequence;

pub use bursts::{BurstMetrics, GMIN};
pub use extension::{ExtensionElement, ExtensionElements};
pub use header::{RtpHeader, RtpHeaderMut};
pub use reception::{Continued, Interval, Loss, Reception, ReceptionStats};
pub use sequence::{ExtendedSequence, RtpTimestamp, SequenceNumber};

use std::fmt;

/// Names one stream of packets within a session (RFC 3550 section 3, "synchronization source").
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The number by which a packet says what it carries; 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// A payload type, or `None` above 127.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 128 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The lower seven bits of the second byte of an RTP header; the upper one is the marker.
    pub const fn from_header_byte(byte: u8) -> Self {
        Self(byte & 0x7f)
    }

    /// The number, 0 to 127.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
