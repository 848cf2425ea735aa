//! Sequence numbers and timestamps, which wrap (RFC 3550 section 5.1, RFC 1982 arithmetic).

use std::fmt;

/// The 16-bit sequence number of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number `count` further on (or back, when negative).
    #[must_use]
    pub fn offset_by(self, count: i32) -> Self {
        Self((i32::from(self.0)).wrapping_add(count) as u16)
    }

    /// How far this number lies after `other`, the short way round; negative when it lies before.
    pub fn distance_from(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0) as i16
    }

    /// Whether this number comes after `other`, the short way round.
    pub fn is_after(self, other: Self) -> bool {
        self.distance_from(other) > 0
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The 32-bit media timestamp of a packet, in units of the payload's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The timestamp `units` later.
    #[must_use]
    pub fn offset_by(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// How far this timestamp lies after `other`, the short way round; negative when it lies before.
    pub fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

impl fmt::Display for RtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sequence number with the count of its wraps above it: the "extended highest sequence number" of RFC 3550 section 6.4.1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ExtendedSequence(pub u64);

impl ExtendedSequence {
    /// The first number of a stream, before any wrap.
    pub fn first(sequence: SequenceNumber) -> Self {
        Self(u64::from(sequence.0))
    }

    /// `sequence` extended to the value nearest to this one. Where that would lie before zero, it is taken to lie after.
    #[must_use]
    pub fn nearest(self, sequence: SequenceNumber) -> Self {
        let distance = i64::from(sequence.distance_from(self.low()));
        match self.0.checked_add_signed(distance) {
            Some(extended) => Self(extended),
            None => Self(u64::from(sequence.0)),
        }
    }

    /// The 16 bits that travel in a packet.
    pub fn low(self) -> SequenceNumber {
        SequenceNumber(self.0 as u16)
    }

    /// The 32 bits that travel in a receiver report.
    pub fn report(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        assert!(SequenceNumber(0).is_after(SequenceNumber(65535)));
        assert!(!SequenceNumber(65535).is_after(SequenceNumber(0)));
        assert_eq!(SequenceNumber(2).distance_from(SequenceNumber(65534)), 4);
        assert_eq!(SequenceNumber(65534).next().next(), SequenceNumber(0));
        assert_eq!(SequenceNumber(0).offset_by(-1), SequenceNumber(65535));
        assert_eq!(RtpTimestamp(5).distance_from(RtpTimestamp(u32::MAX)), 6);
        assert_eq!(RtpTimestamp(u32::MAX).offset_by(161), RtpTimestamp(160));
    }

    #[test]
    fn extension_follows_the_wrap_in_both_directions() {
        let before = ExtendedSequence::first(SequenceNumber(65535));
        let after = before.nearest(SequenceNumber(1));
        assert_eq!(after, ExtendedSequence(65537));
        assert_eq!(
            after.nearest(SequenceNumber(65534)),
            ExtendedSequence(65534)
        );
        assert_eq!(after.report(), 0x0001_0001);
        assert_eq!(after.low(), SequenceNumber(1));
    }

    #[test]
    fn nothing_lies_before_the_first_cycle() {
        let start = ExtendedSequence::first(SequenceNumber(3));
        assert_eq!(
            start.nearest(SequenceNumber(65530)),
            ExtendedSequence(65530)
        );
    }
}
