//! What Meta's user says, once the business was heard: audio, digits, sender reports.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::MetaMedia;
use crate::media::event::MediaEvent;
use crate::media::rtcp::{OwnReport, Reception};
use crate::media::srtp::SrtpSession;
use crate::sdp::KeyExchange;

/// The length of a packet in time.
const FRAME: Duration = Duration::from_millis(20);
/// When the caller comes later than this, missed packets are skipped and not sent in a burst.
const STALLED: Duration = Duration::from_secs(1);
/// Seconds from the year 1900 to some moment: the wall clock of sender reports, which only have to be consistent.
const NTP_EPOCH: u64 = 3_990_000_000;

impl MetaMedia {
    /// Meta's user is silent until the business was heard.
    pub(super) fn begin_to_speak(&mut self, now: Instant) {
        self.next_frame.get_or_insert(now);
        self.next_report
            .get_or_insert(now + self.config.rtcp_interval);
        self.handle_timeout(now);
    }

    pub(super) fn speak(&mut self, now: Instant) {
        while let Some(due) = self.next_frame.filter(|due| *due <= now) {
            let is_stalled = now - due > STALLED;
            self.next_frame = Some(if is_stalled { now } else { due + FRAME });
            let was_playing_digits = self.voice.is_playing_digits();
            for packet in self.voice.next_packets() {
                self.send_sealed(&packet, SrtpSession::protect_rtp);
            }
            if was_playing_digits && !self.voice.is_playing_digits() {
                self.push_event(MediaEvent::DigitsSent);
            }
        }
    }

    pub(super) fn send_report(&mut self, now: Instant) {
        let since_answer = self.after_answer(now);
        let fraction = (u64::from(since_answer.subsec_nanos()) << 32) / 1_000_000_000;
        let report = OwnReport {
            ssrc: self.voice.ssrc(),
            cname: &self.credentials.cname,
            ntp_timestamp: ((NTP_EPOCH + since_answer.as_secs()) << 32) | fraction,
            rtp_timestamp: self.voice.timestamp(),
            packets: self.voice.packets as u32,
            octets: self.voice.octets as u32,
            about: self
                .listener
                .reception()
                .map(|(ssrc, highest_sequence, lost)| Reception {
                    ssrc,
                    highest_sequence,
                    lost,
                }),
        };
        if let Some(bytes) = report.to_bytes() {
            self.counters.sent.rtcp_packets += 1;
            self.send_sealed(&bytes, SrtpSession::protect_rtcp);
        }
    }

    fn send_sealed(&mut self, plain: &[u8], seal: fn(&mut SrtpSession, &[u8]) -> Option<Vec<u8>>) {
        let sealed = self.srtp.as_mut().and_then(|srtp| seal(srtp, plain));
        if let (Some(sealed), Some(destination)) = (sealed, self.media_destination()) {
            self.transmit(destination, sealed);
        }
    }

    fn media_destination(&self) -> Option<SocketAddr> {
        match self.config.keys {
            KeyExchange::Dtls => self.ice.selected(),
            KeyExchange::Sdes if self.config.is_symmetric => self.media_source,
            KeyExchange::Sdes => self.agreement.as_ref().map(|agreement| agreement.address),
        }
    }
}
