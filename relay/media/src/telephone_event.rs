//! Named telephone events (RFC 4733): the four octets of a DTMF packet.

/// The payload of one telephone-event packet (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// 0 to 9 digits, 10 `*`, 11 `#`, 12 to 15 A to D; larger numbers are other events.
    pub event: u8,
    /// The last packet (and its repeats) of the event.
    pub end: bool,
    /// Power below 0 dBm0, in dB, 0 to 63.
    pub volume: u8,
    /// How long the event has lasted, in units of the event format's clock rate.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads the first event of `payload`, or `None` when it is shorter than four octets.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low, ..] = payload else {
            return None;
        };
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The four octets.
    pub fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [
            self.event,
            u8::from(self.end) << 7 | self.volume & 0x3f,
            high,
            low,
        ]
    }

    /// The same event counted by another clock; a duration that no longer fits is cut at the largest (RFC 4733 §2.5.1.3).
    pub fn rescaled(self, from_hz: u32, to_hz: u32) -> Self {
        let duration = u64::from(self.duration) * u64::from(to_hz) / u64::from(from_hz.max(1));
        Self {
            duration: u16::try_from(duration).unwrap_or(u16::MAX),
            ..self
        }
    }

    /// The key on a telephone, or `None` when the event is not one of the sixteen.
    pub fn digit(self) -> Option<char> {
        const KEYS: [char; 16] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
        ];
        KEYS.get(usize::from(self.event)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_octets_of_the_rfc() {
        let bytes = [11, 0x8a, 0x03, 0x20];
        let event = TelephoneEvent::parse(&bytes).unwrap();
        assert_eq!(
            event,
            TelephoneEvent {
                event: 11,
                end: true,
                volume: 10,
                duration: 800
            }
        );
        assert_eq!(event.digit(), Some('#'));
        assert_eq!(event.to_bytes(), bytes);
        assert_eq!(TelephoneEvent::parse(&bytes[..3]), None);
    }

    #[test]
    fn a_duration_follows_the_clock_and_never_wraps() {
        let event = TelephoneEvent {
            event: 5,
            end: false,
            volume: 10,
            duration: 9600,
        };
        assert_eq!(event.rescaled(48_000, 8_000).duration, 1600);
        assert_eq!(event.rescaled(8_000, 48_000).duration, 57_600);
        assert_eq!(event.rescaled(8_000, 96_000).duration, u16::MAX);
    }
}
