//! Feedback messages (RFC 4585), and which of them may pass a relay.

use super::packet_type::{PAYLOAD_FEEDBACK, TRANSPORT_FEEDBACK};

/// RFC 4585 section 6.2.1: the packets named by number that the sender should repeat.
pub(super) const GENERIC_NACK: u8 = 1;
/// RFC 4585 section 6.3.1: picture loss.
const PICTURE_LOSS: u8 = 1;

/// Whether a feedback message keeps its meaning when both SSRCs and, in a NACK, the numbers are translated. The others speak of
/// what the relay ends itself: bandwidth of one hop, transport-wide numbers, further SSRCs in their body.
pub(super) fn may_pass(packet_type: u8, format: u8) -> bool {
    matches!(
        (packet_type, format),
        (TRANSPORT_FEEDBACK, GENERIC_NACK) | (PAYLOAD_FEEDBACK, PICTURE_LOSS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_estimates_end_at_the_relay() {
        assert!(may_pass(TRANSPORT_FEEDBACK, GENERIC_NACK));
        assert!(may_pass(PAYLOAD_FEEDBACK, PICTURE_LOSS));
        // Transport-wide congestion control and REMB.
        assert!(!may_pass(TRANSPORT_FEEDBACK, 15));
        assert!(!may_pass(PAYLOAD_FEEDBACK, 15));
    }
}
