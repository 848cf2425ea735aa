//! Which protocol a datagram belongs to: RFC 7983 by the first byte, RFC 5761 section 4 between RTP and RTCP.

/// The protocols that share one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// First byte 0 to 3.
    Stun,
    /// First byte 20 to 63.
    Dtls,
    /// First byte 128 to 191, long enough for an RTP header.
    Rtp,
    /// First byte 128 to 191 and an RTCP packet type in the second.
    Rtcp,
}

/// RFC 3550 section 5.1: the fixed header.
const RTP_HEADER_LEN: usize = 12;
/// RFC 3550 section 6.4: header and sender SSRC.
const RTCP_HEADER_LEN: usize = 8;
/// RFC 5761 section 4: RTP must not use payload types 64 to 95, whose second byte, marker set, is one of these.
const RTCP_PACKET_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// The kind of a datagram, or `None` when no protocol of ours begins like that or it is too short to be one.
pub fn kind_of(datagram: &[u8]) -> Option<Kind> {
    match *datagram.first()? {
        0..=3 => Some(Kind::Stun),
        20..=63 => Some(Kind::Dtls),
        128..=191 if RTCP_PACKET_TYPES.contains(datagram.get(1)?) => {
            (datagram.len() >= RTCP_HEADER_LEN).then_some(Kind::Rtcp)
        }
        128..=191 => (datagram.len() >= RTP_HEADER_LEN).then_some(Kind::Rtp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(first: u8, second: u8, len: usize) -> Option<Kind> {
        let mut datagram = vec![0; len];
        if let Some(byte) = datagram.get_mut(0) {
            *byte = first;
        }
        if let Some(byte) = datagram.get_mut(1) {
            *byte = second;
        }
        kind_of(&datagram)
    }

    #[test]
    fn first_bytes_follow_rfc_7983() {
        assert_eq!(kind(0, 1, 20), Some(Kind::Stun));
        assert_eq!(kind(3, 1, 20), Some(Kind::Stun));
        assert_eq!(kind(22, 254, 40), Some(Kind::Dtls));
        assert_eq!(kind(63, 254, 40), Some(Kind::Dtls));
        assert_eq!(kind(128, 111, 12), Some(Kind::Rtp));
        assert_eq!(kind(191, 111, 12), Some(Kind::Rtp));
        for first in [4, 19, 64, 127, 192, 255] {
            assert_eq!(kind(first, 0, 100), None, "{first}");
        }
    }

    #[test]
    fn rtcp_is_known_by_its_packet_type() {
        assert_eq!(kind(128, 200, 28), Some(Kind::Rtcp));
        assert_eq!(kind(128, 192, 8), Some(Kind::Rtcp));
        assert_eq!(kind(128, 223, 8), Some(Kind::Rtcp));
        // Opus, payload type 111 with the marker bit, is not RTCP.
        assert_eq!(kind(128, 0x80 | 111, 60), Some(Kind::Rtp));
        assert_eq!(kind(128, 224, 60), Some(Kind::Rtp));
    }

    #[test]
    fn short_datagrams_are_nothing() {
        assert_eq!(kind_of(&[]), None);
        assert_eq!(kind(128, 111, 11), None);
        assert_eq!(kind(128, 200, 7), None);
        assert_eq!(kind_of(&[128]), None);
    }
}
