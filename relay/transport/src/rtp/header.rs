//! The RTP header (RFC 3550 section 5.1): read without copying, changed in place.
//!
//! Nothing here looks at the payload, so it serves encrypted packets too: only [`RtpHeader::payload`] reads the padding count,
//! which is the last byte of the payload and encrypted with it.

use std::ops::Range;

use relay_packet::PacketBuf;

use super::{ExtensionElements, PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

/// Length of a header without contributing sources and extension.
pub(crate) const FIXED_LEN: usize = 12;
/// RFC 3550 section 5.1: the version, in the upper two bits of the first byte.
const VERSION: u8 = 2 << 6;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The last byte of the payload counts padding bytes.
    pub padding: bool,
    /// The marker bit; for audio the first packet after silence.
    pub marker: bool,
    pub payload_type: PayloadType,
    pub sequence: SequenceNumber,
    pub timestamp: RtpTimestamp,
    pub ssrc: Ssrc,
    /// Number of contributing sources, 0 to 15.
    pub csrc_count: u8,
    extension: Option<Extension>,
    len: usize,
}

/// Where the extension lies and which form it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extension {
    profile: u16,
    start: usize,
}

impl RtpHeader {
    /// A header without contributing sources and extension.
    pub fn new(
        payload_type: PayloadType,
        sequence: SequenceNumber,
        timestamp: RtpTimestamp,
        ssrc: Ssrc,
    ) -> Self {
        Self {
            padding: false,
            marker: false,
            payload_type,
            sequence,
            timestamp,
            ssrc,
            csrc_count: 0,
            extension: None,
            len: FIXED_LEN,
        }
    }

    /// Reads the header at the front of `packet`; `None` when it is no RTP or shorter than it claims.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk()?;
        if fixed[0] & 0xc0 != VERSION {
            return None;
        }
        let csrc_count = fixed[0] & 0x0f;
        let mut len = FIXED_LEN + 4 * usize::from(csrc_count);
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let head: &[u8; 4] = packet.get(len..)?.first_chunk()?;
            let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
            extension = Some(Extension {
                profile: u16::from_be_bytes([head[0], head[1]]),
                start: len + 4,
            });
            len += 4 + 4 * words;
        }
        (packet.len() >= len).then_some(Self {
            padding: fixed[0] & 0x20 != 0,
            marker: fixed[1] & 0x80 != 0,
            payload_type: PayloadType::from_header_byte(fixed[1]),
            sequence: SequenceNumber(u16::from_be_bytes([fixed[2], fixed[3]])),
            timestamp: RtpTimestamp(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]])),
            ssrc: Ssrc(u32::from_be_bytes([
                fixed[8], fixed[9], fixed[10], fixed[11],
            ])),
            csrc_count,
            extension,
            len,
        })
    }

    /// Length of the header with contributing sources and extension; the payload begins here.
    pub fn header_len(&self) -> usize {
        self.len
    }

    /// The contributing sources, read from the packet this header was parsed from.
    pub fn csrcs<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = Ssrc> + 'a {
        let end = FIXED_LEN + 4 * usize::from(self.csrc_count);
        let list = packet.get(FIXED_LEN..end).unwrap_or_default();
        list.as_chunks()
            .0
            .iter()
            .map(|chunk| Ssrc(u32::from_be_bytes(*chunk)))
    }

    /// The elements of the extension, read from the packet this header was parsed from.
    pub fn extension_elements<'a>(&self, packet: &'a [u8]) -> ExtensionElements<'a> {
        match self.extension {
            Some(Extension { profile, start }) => {
                ExtensionElements::new(profile, packet.get(start..self.len).unwrap_or_default())
            }
            None => ExtensionElements::new(0, &[]),
        }
    }

    /// Where the payload of this unencrypted packet lies, its padding cut off; `None` when the padding count is wrong.
    pub fn payload_range(&self, packet: &[u8]) -> Option<Range<usize>> {
        let mut end = packet.len();
        if self.padding {
            let count = usize::from(*packet.get(self.len..)?.last()?);
            if count == 0 || count > end - self.len {
                return None;
            }
            end -= count;
        }
        (self.len <= end).then_some(self.len..end)
    }

    /// The payload of this unencrypted packet; `None` when the padding count is wrong.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        packet.get(self.payload_range(packet)?)
    }

    /// Replaces the contents of `packet` by this header (fixed part only) and `payload`; `false` when it does not fit.
    #[must_use]
    pub fn write(&self, payload: &[u8], packet: &mut PacketBuf) -> bool {
        let mut fixed = [0; FIXED_LEN];
        fixed[0] = VERSION;
        fixed[1] = u8::from(self.marker) << 7 | self.payload_type.number();
        fixed[2..4].copy_from_slice(&self.sequence.0.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        packet.copy_from(&fixed) && packet.extend_from_slice(payload)
    }
}

/// Changes fields of a header in the packet itself.
#[derive(Debug)]
pub struct RtpHeaderMut<'a> {
    fixed: &'a mut [u8; FIXED_LEN],
}

impl<'a> RtpHeaderMut<'a> {
    /// The header at the front of `packet`; `None` when it is no RTP.
    pub fn new(packet: &'a mut [u8]) -> Option<Self> {
        let fixed: &mut [u8; FIXED_LEN] = packet.first_chunk_mut()?;
        (fixed[0] & 0xc0 == VERSION).then_some(Self { fixed })
    }

    /// The payload ends with the packet: its padding has been cut off.
    pub fn clear_padding(&mut self) {
        self.fixed[0] &= !0x20;
    }

    pub fn set_marker(&mut self, marker: bool) {
        self.fixed[1] = self.fixed[1] & 0x7f | u8::from(marker) << 7;
    }

    pub fn set_payload_type(&mut self, payload_type: PayloadType) {
        self.fixed[1] = self.fixed[1] & 0x80 | payload_type.number();
    }

    pub fn set_sequence(&mut self, sequence: SequenceNumber) {
        self.fixed[2..4].copy_from_slice(&sequence.0.to_be_bytes());
    }

    pub fn set_timestamp(&mut self, timestamp: RtpTimestamp) {
        self.fixed[4..8].copy_from_slice(&timestamp.0.to_be_bytes());
    }

    pub fn set_ssrc(&mut self, ssrc: Ssrc) {
        self.fixed[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Version 2, padding, extension, two sources; marker, type 111.
    const FULL: [u8; 36] = [
        0xb2, 0xef, 0x12, 0x34, 0, 0, 3, 192, 0xde, 0xad, 0xbe, 0xef, // fixed part
        0, 0, 0, 7, 0, 0, 0, 8, // contributing sources
        0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0, // extension
        b'a', b'b', b'c', b'd', b'e', 0, 0, 3, // payload, padding
    ];

    #[test]
    fn reads_every_part_of_a_header() {
        let header = RtpHeader::parse(&FULL).unwrap();
        assert!(header.marker && header.padding);
        assert_eq!(header.payload_type.number(), 111);
        assert_eq!(header.sequence, SequenceNumber(0x1234));
        assert_eq!(header.timestamp, RtpTimestamp(960));
        assert_eq!(header.ssrc, Ssrc(0xdead_beef));
        assert_eq!(header.header_len(), 28);
        assert!(header.csrcs(&FULL).eq([Ssrc(7), Ssrc(8)]));
        let elements: Vec<_> = header.extension_elements(&FULL).collect();
        assert_eq!(elements.len(), 1);
        assert_eq!((elements[0].id, elements[0].value), (1, &[0x55][..]));
        assert_eq!(header.payload(&FULL), Some(&b"abcde"[..]));
    }

    #[test]
    fn agrees_with_what_it_writes() {
        let mut header = RtpHeader::new(
            PayloadType::new(8).unwrap(),
            SequenceNumber(65535),
            RtpTimestamp(1),
            Ssrc(2),
        );
        header.marker = true;
        let mut packet = PacketBuf::new();
        assert!(header.write(b"payload", &mut packet));
        assert_eq!(RtpHeader::parse(&packet), Some(header));
        assert_eq!(header.payload(&packet), Some(&b"payload"[..]));
    }

    #[test]
    fn setters_change_their_field_only() {
        let mut packet = FULL;
        let mut header = RtpHeaderMut::new(&mut packet).unwrap();
        header.set_payload_type(PayloadType::new(0).unwrap());
        header.set_marker(false);
        header.set_sequence(SequenceNumber(1));
        header.set_timestamp(RtpTimestamp(2));
        header.set_ssrc(Ssrc(3));
        header.clear_padding();
        assert_eq!(packet[..12], [0x92, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
        assert_eq!(packet[12..], FULL[12..]);
    }

    #[test]
    fn refuses_lengths_that_contradict_the_packet() {
        for len in 0..28 {
            assert_eq!(RtpHeader::parse(&FULL[..len]), None, "{len}");
        }
        let mut wrong_version = FULL;
        wrong_version[0] &= 0x3f;
        assert_eq!(RtpHeader::parse(&wrong_version), None);
        assert!(RtpHeaderMut::new(&mut wrong_version).is_none());
        for padding in [0, 9, 255] {
            let mut packet = FULL;
            packet[35] = padding;
            let header = RtpHeader::parse(&packet).unwrap();
            assert_eq!(header.payload(&packet), None, "{padding}");
        }
        let empty = RtpHeader::parse(&FULL[..28]).unwrap();
        assert_eq!(empty.payload(&FULL[..28]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), rtp in any::<bool>()) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (rtp, bytes.first_mut()) {
                *first = *first & 0x3f | 0x80;
            }
            if let Some(header) = RtpHeader::parse(&bytes) {
                prop_assert!(header.header_len() <= bytes.len());
                prop_assert!(header.csrcs(&bytes).count() <= 15);
                let elements: usize = header.extension_elements(&bytes).map(|e| e.value.len()).sum();
                prop_assert!(elements <= bytes.len());
                let _ = header.payload(&bytes);
            }
        }
    }
}
