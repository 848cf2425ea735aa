//! A stream of RTP that needs nothing but other addresses and numbers: what a call and a back-end that forwards it tell each other.

use std::net::SocketAddr;
use std::time::Instant;

/// All that has to be known about a stream to forward it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainStream {
    /// Where its packets come from.
    pub source: SocketAddr,
    /// The port of ours that they come to, as it is bound.
    pub arrives_at: SocketAddr,
    /// The port of ours that they leave from, likewise.
    pub leaves_from: SocketAddr,
    /// Where they go.
    pub destination: SocketAddr,
    /// The synchronisation source that they have, and the one they get.
    pub ssrc: (u32, u32),
    /// Added to their sequence numbers, wrapping.
    pub sequence_offset: u16,
    /// Added to their timestamps, wrapping.
    pub timestamp_offset: u32,
    /// The payload types that may be forwarded, each with the one it becomes; all have the same clock.
    pub payload_types: Vec<(u8, u8)>,
    /// The clock of its timestamps, in Hz.
    pub clock_hz: u32,
    /// What its packets are marked with; `None` stands for what all are marked with.
    pub tos: Option<u8>,
}

/// How far a stream has come at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamProgress {
    /// Packets that were forwarded.
    pub packets: u64,
    /// Octets of their payload.
    pub octets: u64,
    /// How often numbers were skipped.
    pub skips: u32,
    /// The last sequence number, with the lower half of the count of its wraps above it (RFC 3550 appendix A.1).
    pub sequence: u32,
    /// The timestamp that came with it.
    pub timestamp: u32,
    /// The interarrival jitter, 16-fold (RFC 3550 appendix A.8).
    pub jitter_scaled: u32,
    /// When the last packet came.
    pub at: Instant,
}
