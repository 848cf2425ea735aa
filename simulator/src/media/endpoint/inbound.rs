//! What arrives: checks, the handshake, media.

use std::net::SocketAddr;
use std::time::Instant;

use super::MetaMedia;
use crate::media::dtls::{DtlsAssociation, DtlsOutcome};
use crate::media::event::MediaEvent;
use crate::media::ice_lite::Checked;
use crate::media::impairment::is_rtcp;
use crate::media::rtcp;
use crate::media::rtp::RtpPacket;
use crate::media::srtp::SrtpSession;
use crate::media::violations::CONTROLLED;

impl MetaMedia {
    pub(super) fn handle_stun(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        match self.ice.handle(source, bytes) {
            Checked::Ignored => {}
            Checked::Refused(reason) => {
                self.counters.checks_refused += 1;
                self.violations.note(format!("a check with {reason}"));
            }
            Checked::RoleConflict { reply } => {
                self.counters.role_conflicts += 1;
                self.violations.note(CONTROLLED);
                self.transmit(source, reply);
            }
            Checked::Answered {
                reply,
                is_first,
                selected_now,
                shortcomings,
            } => {
                self.counters.checks_answered += 1;
                self.transmit(source, reply);
                for shortcoming in shortcomings {
                    self.violations.note(shortcoming);
                }
                if is_first {
                    self.moments.first_check = Some(now);
                    let after = self.after_answer(now);
                    self.push_event(MediaEvent::CheckAnswered { source, after });
                }
                if selected_now.is_some()
                    && self.moments.dtls.is_none()
                    && self.dtls_source.is_none()
                {
                    self.dtls_source = selected_now;
                    let outcome = self.dtls.as_mut().map(|dtls| dtls.start(now));
                    self.follow_dtls(now, outcome);
                }
            }
        }
    }

    pub(super) fn handle_dtls(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        // Before a check Meta drops DTLS, which is why early ClientHellos help nobody.
        if !self.ice.has_passed(source) {
            self.counters.dtls_before_check += 1;
            return;
        }
        self.dtls_source = Some(source);
        let outcome = self
            .dtls
            .as_mut()
            .map(|dtls| dtls.handle_datagram(now, bytes));
        self.follow_dtls(now, outcome);
    }

    pub(super) fn follow_dtls(&mut self, now: Instant, outcome: Option<DtlsOutcome>) {
        match outcome {
            None | Some(DtlsOutcome::Nothing) => {}
            Some(DtlsOutcome::Connected(keys)) => {
                self.srtp = SrtpSession::new(keys.profile, &keys.inbound, &keys.outbound);
                self.moments.dtls = Some(now);
                self.counters.dtls_version = Some(keys.version.clone());
                self.counters.dtls_cipher = Some(keys.cipher.clone());
                self.counters.srtp_profile = Some(keys.profile_name.clone());
                let after = self.after_answer(now);
                self.push_event(MediaEvent::DtlsConnected {
                    version: keys.version,
                    cipher: keys.cipher,
                    profile: keys.profile_name,
                    after,
                });
            }
            Some(DtlsOutcome::Failed(reason)) => {
                self.violations.note(format!("DTLS failed: {reason}"));
                self.push_event(MediaEvent::DtlsFailed { reason });
            }
            Some(DtlsOutcome::Closed) => self.push_event(MediaEvent::DtlsClosed),
        }
        let Some(destination) = self.dtls_source else {
            return;
        };
        while let Some(datagram) = self.dtls.as_mut().and_then(DtlsAssociation::poll_datagram) {
            self.transmit(destination, datagram);
        }
    }

    pub(super) fn handle_media(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        if self.moments.answered.is_none() {
            self.moments.early.get_or_insert(now);
        }
        let is_rtcp = is_rtcp(bytes);
        let plain = self.srtp.as_mut().and_then(|srtp| match is_rtcp {
            true => srtp.unprotect_rtcp(bytes),
            false => srtp.unprotect_rtp(bytes),
        });
        let Some(plain) = plain else {
            self.counters.unauthenticated += 1;
            return;
        };
        self.media_source = Some(source);
        self.moments.last_media = Some(now);
        if is_rtcp {
            self.hear_rtcp(&plain);
        } else if let Some(packet) = RtpPacket::parse(&plain) {
            if self.moments.first_srtp.is_none() {
                self.moments.first_srtp = Some(now);
                let after = self.after_answer(now);
                self.push_event(MediaEvent::FirstPacket { source, after });
                if self.moments.answered.is_some() {
                    self.begin_to_speak(now);
                }
            }
            self.listener
                .handle(now, &packet, &self.own_payload_types, &mut self.violations);
        }
    }

    fn hear_rtcp(&mut self, plain: &[u8]) {
        let heard = rtcp::read(plain, self.voice.ssrc());
        if !heard.is_whole {
            self.violations
                .note("an RTCP packet of the business cannot be read");
        }
        if heard.byes > 0 {
            self.push_event(MediaEvent::RtcpBye);
        }
        self.listener.handle_rtcp(&heard);
    }
}
