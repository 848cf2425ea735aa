//! RTP packets, read and written (RFC 3550 §5.1), and telephone-events (RFC 4733 §2.3).

/// An RTP packet without encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpPacket<'a> {
    pub(crate) payload_type: u8,
    pub(crate) has_marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..12)?;
        if header[0] >> 6 != 2 {
            return None;
        }
        let mut payload_start = 12 + 4 * usize::from(header[0] & 0x0f);
        if header[0] & 0x10 != 0 {
            let extension = bytes.get(payload_start..payload_start + 4)?;
            payload_start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        let padding = if header[0] & 0x20 != 0 {
            usize::from(*bytes.last()?)
        } else {
            0
        };
        let payload_end = bytes.len().checked_sub(padding)?;
        Some(Self {
            payload_type: header[1] & 0x7f,
            has_marker: header[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload: bytes.get(payload_start..payload_end)?,
        })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + self.payload.len());
        bytes.push(0x80);
        bytes.push(self.payload_type | if self.has_marker { 0x80 } else { 0 });
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(self.payload);
        bytes
    }
}

/// One report of a key held down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TelephoneEvent {
    pub(crate) event: u8,
    pub(crate) is_end: bool,
    /// In units of the event's own clock, which at Meta is 8 kHz although the timestamps count 48 kHz.
    pub(crate) duration: u16,
}

impl TelephoneEvent {
    const VOLUME: u8 = 10;

    /// The event number of a key (RFC 4733 §3.2).
    pub(crate) fn number_of(digit: char) -> Option<u8> {
        match digit {
            '0'..='9' => Some(digit as u8 - b'0'),
            '*' => Some(10),
            '#' => Some(11),
            'A'..='D' => Some(12 + digit as u8 - b'A'),
            _ => None,
        }
    }

    pub(crate) fn to_payload(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        let end = if self.is_end { 0x80 } else { 0 };
        [self.event, end | Self::VOLUME, high, low]
    }

    #[cfg(test)]
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let payload: [u8; 4] = payload.try_into().ok()?;
        Some(Self {
            event: payload[0],
            is_end: payload[1] & 0x80 != 0,
            duration: u16::from_be_bytes([payload[2], payload[3]]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_survives_writing_and_reading() {
        let packet = RtpPacket {
            payload_type: 111,
            has_marker: true,
            sequence: 65_535,
            timestamp: 0xfeed_f00d,
            ssrc: 613_000_001,
            payload: b"words",
        };
        assert_eq!(RtpPacket::parse(&packet.to_bytes()), Some(packet));
    }

    #[test]
    fn contributors_extension_and_padding_are_stepped_over() {
        let mut bytes = vec![0x80 | 0x20 | 0x10 | 1, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([0, 0, 0, 9]);
        bytes.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        bytes.extend(b"words");
        bytes.extend([0, 0, 3]);
        assert_eq!(
            RtpPacket::parse(&bytes).map(|packet| packet.payload),
            Some(&b"words"[..])
        );
        assert_eq!(RtpPacket::parse(&bytes[..18]), None);
    }

    #[test]
    fn an_event_survives_writing_and_reading() {
        let event = TelephoneEvent {
            event: TelephoneEvent::number_of('#').expect("a key"),
            is_end: true,
            duration: 800,
        };
        assert_eq!(TelephoneEvent::parse(&event.to_payload()), Some(event));
        assert_eq!(TelephoneEvent::number_of('x'), None);
    }
}
