//! Meta's patience: it ends a call to which nothing has come 20 s after the answer, or nothing more for 30 s.
//!
//! The relay fills silence, so neither should happen. A call that comes half-way is counted, while it can still be asked why.

use std::time::{Duration, Instant};

/// A limit of Meta's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MetaLimit {
    /// 20 s from the answer to the first packet.
    FirstPacket,
    /// 30 s without RTP and RTCP.
    Silence,
}

impl MetaLimit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::FirstPacket, Self::Silence];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::FirstPacket => "20s",
            Self::Silence => "30s",
        }
    }

    /// So long nothing may leave for WhatsApp before the call is counted.
    fn half(self) -> Duration {
        match self {
            Self::FirstPacket => Duration::from_secs(10),
            Self::Silence => Duration::from_secs(15),
        }
    }
}

/// What has left for WhatsApp in one call, as far as it was looked at.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// How many packets, and when there was one more.
    sent: Option<(u64, Instant)>,
    told: bool,
}

impl Watch {
    /// Looks at the number of packets sent so far, which is there from the answer on. Gives the limit that has come near, once.
    pub(super) fn look(&mut self, now: Instant, sent: Option<u64>) -> Option<MetaLimit> {
        let sent = sent?;
        let (_, since) = match self.sent {
            Some(before) if before.0 == sent => before,
            _ => {
                self.told = false;
                *self.sent.insert((sent, now))
            }
        };
        let limit = if sent == 0 {
            MetaLimit::FirstPacket
        } else {
            MetaLimit::Silence
        };
        if self.told || now.saturating_duration_since(since) < limit.half() {
            return None;
        }
        self.told = true;
        Some(limit)
    }

    /// Whether it has to be looked at again although nothing happens.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent.is_some() && !self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_is_counted_once_for_each_silence() {
        let start = Instant::now();
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for second in 0..100 {
            // Answered after 5 s; the first packet after 25 s, the last one after 40 s, one more after 80 s.
            let sent = match second {
                0..5 => None,
                5..25 => Some(0),
                25..40 => Some(second),
                40..80 => Some(40),
                _ => Some(41),
            };
            let limit = watch.look(start + SECOND * second as u32, sent);
            told.extend(limit.map(|limit| (second, limit)));
        }
        assert_eq!(
            told,
            [
                (15, MetaLimit::FirstPacket),
                (55, MetaLimit::Silence),
                (95, MetaLimit::Silence)
            ]
        );
        assert!(!watch.is_waiting());
    }

    #[test]
    fn a_call_without_whatsapp_is_not_watched() {
        let start = Instant::now();
        let mut watch = Watch::default();
        assert_eq!(watch.look(start, None), None);
        assert_eq!(watch.look(start + SECOND * 60, None), None);
        assert!(!watch.is_waiting());
        assert_eq!(watch.look(start + SECOND * 61, Some(3)), None);
        assert!(watch.is_waiting());
    }
}
