//! Why a packet was not forwarded.

/// A dropped packet is not an error, it is a number: every variant is a label of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// The first byte belongs to no protocol of RFC 7983.
    UnknownKind,
    /// Too short for what it claims to be, or its lengths contradict each other.
    Malformed,
    /// STUN without the right username, integrity or fingerprint.
    StunUnauthenticated,
    /// DTLS from an address that is no candidate of the peer, or where no DTLS is expected.
    DtlsUnexpected,
    /// SRTP or SRTCP whose authentication tag is wrong.
    SrtpAuthentication,
    /// SRTP or SRTCP that was seen before, or is older than the replay window.
    SrtpReplay,
    /// SRTP or SRTCP before there are keys, or plain RTP where SRTP was agreed.
    SrtpNoKeys,
    /// More synchronisation sources than one leg may have.
    TooManySsrcs,
    /// From another address than the one that was learned (`strict-source`).
    SourceMismatch,
    /// No address of the receiver is known yet.
    NoDestination,
    /// The receiver has not been answered yet.
    GateClosed,
    /// Held for a receiver without keys, and pushed out by newer audio.
    HoldOverflow,
    /// Media the receiver does not want (direction, rejected section) or the controller blocked.
    NotWanted,
    /// A payload type that was not negotiated.
    UnknownPayloadType,
    /// Older than what has been sent already, after a switch of sources.
    TooLate,
    /// RTCP that the receiver must not see, or that carries nothing after filtering.
    RtcpFiltered,
    /// No call owns the port any more.
    NoCall,
    /// The kernel refused to send it.
    SendFailed,
}

impl DropReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [DropReason; 18] = [
        Self::UnknownKind,
        Self::Malformed,
        Self::StunUnauthenticated,
        Self::DtlsUnexpected,
        Self::SrtpAuthentication,
        Self::SrtpReplay,
        Self::SrtpNoKeys,
        Self::TooManySsrcs,
        Self::SourceMismatch,
        Self::NoDestination,
        Self::GateClosed,
        Self::HoldOverflow,
        Self::NotWanted,
        Self::UnknownPayloadType,
        Self::TooLate,
        Self::RtcpFiltered,
        Self::NoCall,
        Self::SendFailed,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::UnknownKind => "unknown_kind",
            Self::Malformed => "malformed",
            Self::StunUnauthenticated => "stun_unauthenticated",
            Self::DtlsUnexpected => "dtls_unexpected",
            Self::SrtpAuthentication => "srtp_authentication",
            Self::SrtpReplay => "srtp_replay",
            Self::SrtpNoKeys => "srtp_no_keys",
            Self::TooManySsrcs => "too_many_ssrcs",
            Self::SourceMismatch => "source_mismatch",
            Self::NoDestination => "no_destination",
            Self::GateClosed => "gate_closed",
            Self::HoldOverflow => "hold_overflow",
            Self::NotWanted => "not_wanted",
            Self::UnknownPayloadType => "unknown_payload_type",
            Self::TooLate => "too_late",
            Self::RtcpFiltered => "rtcp_filtered",
            Self::NoCall => "no_call",
            Self::SendFailed => "send_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_labels_are_unique() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            let same = DropReason::ALL
                .iter()
                .filter(|r| r.label() == reason.label());
            assert_eq!(same.count(), 1, "{}", reason.label());
        }
    }
}
