//! A walk over the packets of a compound packet (RFC 3550 section 6.1 and appendix A.2).

use super::NtpTime;
use super::extended_report::{ReferenceDelay, reference_delays, reference_times};
use super::packet_type::GOODBYE;
use super::report::{ReportBlock, SenderReport};
use crate::rtp::Ssrc;

/// Bytes of a packet's first word.
pub(super) const HEADER_LEN: usize = 4;

/// Packets one behind the other, whose lengths add up.
///
/// The first one need not be a report: RFC 5506 allows reduced-size packets.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

/// One packet of a compound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpPacket<'a> {
    /// See [`super::packet_type`].
    pub packet_type: u8,
    /// The five bits beside the version: a number of blocks, or the format of a feedback message.
    pub count: u8,
    /// What follows the first word, without padding.
    pub body: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks versions and lengths; `None` when they are wrong.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (packet, len) = RtcpPacket::parse(rest)?;
            rest = &rest[len..];
            // RFC 3550 section 6.4.1: only the last packet may have padding.
            if packet.body.len() + HEADER_LEN < len && !rest.is_empty() {
                return None;
            }
        }
        (!bytes.is_empty()).then_some(Self { bytes })
    }

    /// The packets in their order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (packet, len) = RtcpPacket::parse(rest)?;
            rest = &rest[len..];
            Some(packet)
        })
    }

    /// The sender reports.
    pub fn sender_reports(&self) -> impl Iterator<Item = SenderReport> + use<'a> {
        self.packets()
            .filter_map(|packet| SenderReport::read(&packet))
    }

    /// The report blocks of all sender and receiver reports.
    pub fn report_blocks(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.packets()
            .flat_map(|packet| ReportBlock::read_all(&packet))
    }

    /// The report blocks together with who reports.
    pub fn reports(&self) -> impl Iterator<Item = (Ssrc, ReportBlock)> + use<'a> {
        let of_sender = |packet: RtcpPacket<'a>| packet.sender().map(|sender| (sender, packet));
        let reports = self.packets().filter_map(of_sender);
        reports.flat_map(|(sender, packet)| {
            ReportBlock::read_all(&packet).map(move |block| (sender, block))
        })
    }

    /// The reference times in extended reports, with who says so (RFC 3611 section 4.4).
    pub fn reference_times(&self) -> impl Iterator<Item = (Ssrc, NtpTime)> + use<'a> {
        let of_sender = |packet: RtcpPacket<'a>| packet.sender().map(|sender| (sender, packet));
        let reports = self.packets().filter_map(of_sender);
        reports.flat_map(|(sender, packet)| reference_times(&packet).map(move |t| (sender, t)))
    }

    /// How long ago reference times were heard (RFC 3611 section 4.5).
    pub fn reference_delays(&self) -> impl Iterator<Item = ReferenceDelay> + use<'a> {
        self.packets().flat_map(|packet| reference_delays(&packet))
    }

    /// The streams that end (RFC 3550 section 6.6).
    pub fn goodbyes(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let byes = self
            .packets()
            .filter(|packet| packet.packet_type == GOODBYE);
        byes.flat_map(|packet| {
            let sources = packet
                .body
                .as_chunks::<4>()
                .0
                .iter()
                .take(usize::from(packet.count));
            sources.map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
        })
    }
}

impl<'a> RtcpPacket<'a> {
    /// The packet at the front, and its length with padding.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let first: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let words = usize::from(u16::from_be_bytes([first[2], first[3]]));
        let len = HEADER_LEN + 4 * words;
        let mut body = bytes.get(HEADER_LEN..len)?;
        if first[0] & 0x20 != 0 {
            let padding = usize::from(*body.last()?);
            // The padding is itself a multiple of four bytes (RFC 3550 section 6.4.1).
            let kept = body
                .len()
                .checked_sub(padding)
                .filter(|_| padding > 0 && padding.is_multiple_of(4))?;
            body = &body[..kept];
        }
        let packet = Self {
            packet_type: first[1],
            count: first[0] & 0x1f,
            body,
        };
        (first[0] >> 6 == 2).then_some((packet, len))
    }

    /// The SSRC behind the first word, which most types have: the sender's.
    pub fn sender(&self) -> Option<Ssrc> {
        self.body
            .first_chunk()
            .map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECEIVER_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 7];
    const BYE: [u8; 12] = [0x82, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8];

    #[test]
    fn walks_over_the_packets() {
        let bytes = [&RECEIVER_REPORT[..], &BYE].concat();
        let compound = Compound::parse(&bytes).unwrap();
        let types: Vec<_> = compound
            .packets()
            .map(|packet| packet.packet_type)
            .collect();
        assert_eq!(types, [201, 203]);
        assert!(compound.goodbyes().eq([Ssrc(7), Ssrc(8)]));
        assert_eq!(compound.packets().next().unwrap().sender(), Some(Ssrc(7)));
    }

    #[test]
    fn lengths_must_add_up() {
        let bytes = [&RECEIVER_REPORT[..], &BYE].concat();
        for len in (0..bytes.len()).filter(|len| *len != RECEIVER_REPORT.len()) {
            assert!(Compound::parse(&bytes[..len]).is_none(), "{len}");
        }
        let mut wrong_version = bytes.clone();
        wrong_version[8] = 0x42;
        assert!(Compound::parse(&wrong_version).is_none());
    }

    #[test]
    fn padding_is_left_out_of_the_last_packet() {
        let padded = [0xa0, 201, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4];
        let compound = Compound::parse(&padded).unwrap();
        assert_eq!(compound.packets().next().unwrap().body, [0, 0, 0, 7]);
        assert!(Compound::parse(&[&padded[..], &BYE].concat()).is_none());
        for wrong in [0, 3, 12] {
            let mut padded = padded;
            padded[11] = wrong;
            assert!(Compound::parse(&padded).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), len in 0u8..20) {
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head = [head[0] & 0x3f | 0x80, head[1] % 10 + 199, 0, len];
            }
            if let Some(compound) = Compound::parse(&bytes) {
                let _ = compound.sender_reports().count();
                let _ = compound.report_blocks().count();
                let _ = compound.goodbyes().count();
            }
        }
    }
}
