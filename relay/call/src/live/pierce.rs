//! Empty RTP packets that open a NAT between us and a party (`pierce-NAT`), until the party is heard.

use std::time::{Duration, Instant};

use relay_packet::Outbox;
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use super::LiveSection;
use crate::section::MediaSection;

/// Between two packets at first, and as long as [`EAGER_FOR`]: a caller should not notice that a way had to be opened.
const EAGER: Duration = Duration::from_millis(200);
const EAGER_FOR: Duration = Duration::from_secs(5);
/// Between two packets later on, to keep the way open.
const PATIENT: Duration = Duration::from_secs(1);
/// The payload type that rtpengine uses for this; nobody negotiates it.
const NOTHING: u8 = 127;

impl LiveSection {
    pub(super) fn schedule_piercing(&mut self, now: Instant, section: &MediaSection) {
        let wanted = section.way.pierces
            && !section.ice.in_use
            && !section.passes_unread()
            && self.last_rtp.is_none();
        self.pierce_at = wanted.then(|| self.pierce_at.unwrap_or(now));
    }

    pub(super) fn pierce(&mut self, now: Instant, out: &mut Outbox) {
        if self.pierce_at.is_none_or(|at| at > now) {
            return;
        }
        if self.last_rtp.is_some() {
            self.pierce_at = None;
            return;
        }
        let answered = self.answered_at.unwrap_or(now);
        let eager = now.saturating_duration_since(answered) < EAGER_FOR;
        self.pierce_at = Some(now + if eager { EAGER } else { PATIENT });
        let Some(payload_type) = PayloadType::new(NOTHING) else {
            return;
        };
        let header = RtpHeader::new(payload_type, SequenceNumber(0), RtpTimestamp(0), Ssrc(0));
        let mut packet = out.take();
        if header.write(&[], &mut packet) {
            // Without keys or an address there is nothing to open yet; it is tried again.
            let _counted_by_the_transport = self.rtp.send_rtp(packet, out);
        } else {
            out.recycle(packet);
        }
    }
}
