//! Telephone-events as they arrive: each is told once, when it has ended (RFC 4733 §2.5.1).

use relay_media::TelephoneEvent;
use relay_transport::rtp::{RtpHeader, RtpTimestamp, Ssrc};

use crate::dtmf::KeyWay;

/// The events of the sixteen keys; larger numbers are other things.
const LAST_KEY: u8 = 15;

/// A key that was pressed and released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pressed {
    /// RFC 4733 §3.2: 0 to 9 digits, 10 `*`, 11 `#`, 12 to 15 A to D.
    pub(crate) event: u8,
    /// For how long.
    pub(crate) duration_ms: u32,
    /// Below 0 dBm0, in dB.
    pub(crate) volume: u8,
    /// How it reached us.
    pub(crate) way: KeyWay,
}

/// The event in progress at one party.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    ssrc: Ssrc,
    timestamp: RtpTimestamp,
    event: TelephoneEvent,
    clock_hz: u32,
    told: bool,
}

impl Keypad {
    /// Notes a packet. What has ended by it is added to `pressed`: the event itself, or the one before whose end was lost.
    pub(super) fn note(
        &mut self,
        header: &RtpHeader,
        event: TelephoneEvent,
        clock_hz: u32,
        pressed: &mut Vec<Pressed>,
    ) {
        if event.event > LAST_KEY {
            return;
        }
        if let Some(current) = &mut self.current
            && current.ssrc == header.ssrc
        {
            let later = header.timestamp.distance_from(current.timestamp);
            if later < 0 {
                return;
            }
            if later == 0 {
                if event.duration >= current.event.duration {
                    current.event = event;
                }
                current.event.end |= event.end;
                current.tell(pressed);
                return;
            }
        }
        let next = Current {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            event,
            clock_hz,
            told: false,
        };
        if let Some(mut before) = self.current.replace(next) {
            before.event.end = true;
            before.tell(pressed);
        }
        if let Some(current) = &mut self.current {
            current.tell(pressed);
        }
    }
}

impl Current {
    fn tell(&mut self, pressed: &mut Vec<Pressed>) {
        if self.told || !self.event.end {
            return;
        }
        self.told = true;
        pressed.push(Pressed {
            event: self.event.event,
            duration_ms: u32::from(self.event.duration) * 1000 / self.clock_hz.max(1),
            volume: self.event.volume,
            way: KeyWay::Event,
        });
    }
}

#[cfg(test)]
mod tests {
    use relay_transport::rtp::{PayloadType, SequenceNumber};

    use super::*;

    fn packet(
        keypad: &mut Keypad,
        timestamp: u32,
        event: u8,
        duration: u16,
        end: bool,
    ) -> Vec<Pressed> {
        let header = RtpHeader::new(
            PayloadType::from_header_byte(101),
            SequenceNumber(1),
            RtpTimestamp(timestamp),
            Ssrc(7),
        );
        let event = TelephoneEvent {
            event,
            end,
            volume: 10,
            duration,
        };
        let mut pressed = Vec::new();
        keypad.note(&header, event, 8_000, &mut pressed);
        pressed
    }

    fn key(event: u8, duration_ms: u32) -> Pressed {
        Pressed {
            event,
            duration_ms,
            volume: 10,
            way: KeyWay::Event,
        }
    }

    #[test]
    fn an_event_is_told_once_at_its_end() {
        let mut keypad = Keypad::default();
        assert_eq!(packet(&mut keypad, 0, 5, 160, false), []);
        assert_eq!(packet(&mut keypad, 0, 5, 320, false), []);
        assert_eq!(packet(&mut keypad, 0, 5, 480, true), [key(5, 60)]);
        assert_eq!(packet(&mut keypad, 0, 5, 480, true), []);
        assert_eq!(packet(&mut keypad, 0, 5, 320, false), [], "late");
        assert_eq!(packet(&mut keypad, 1_000, 5, 160, true), [key(5, 20)]);
    }

    #[test]
    fn an_event_whose_end_was_lost_is_told_when_the_next_begins() {
        let mut keypad = Keypad::default();
        assert_eq!(packet(&mut keypad, 0, 1, 800, false), []);
        assert_eq!(packet(&mut keypad, 2_000, 2, 160, false), [key(1, 100)]);
        assert_eq!(packet(&mut keypad, 2_000, 2, 320, true), [key(2, 40)]);
        assert_eq!(packet(&mut keypad, 0, 1, 800, true), [], "long told");
    }

    #[test]
    fn what_is_no_key_is_not_told() {
        assert_eq!(packet(&mut Keypad::default(), 0, 36, 800, true), []);
    }
}
