//! RTCP of a section: what passes from one party to the other, and what we add of our own (RFC 3550 §6).
//!
//! Reports pass translated, because the streams they speak of have other numbers on the other side. A leg that must never
//! fall silent gets reports of ours whenever no other passed for a while. With `generate-RTCP`, and where speech is transcoded,
//! reports end here, and each party gets ours alone.

use std::time::{Duration, Instant};

use relay_packet::{DropReason, Outbox, PacketBuf};
use relay_transport::rtcp::{
    Compound, NtpTime, ReportBlock, ReportedStream, SenderInfo, SentStream, Translation,
    append_extended_report, translate, write_report,
};
use relay_transport::rtp::Ssrc;

use super::{Live, LiveSection};
use crate::config::CallConfig;
use crate::egress::{Egress, Stream};

/// While nothing can be sent, look again soon.
const RETRY: Duration = Duration::from_millis(500);

impl Live {
    /// Passes RTCP on to those who hear the section.
    pub(super) fn forward_rtcp(
        &mut self,
        now: Instant,
        position: usize,
        packet: &PacketBuf,
        out: &mut Outbox,
    ) {
        self.judge_reports(now, position, packet);
        let speaker = &mut self.sections[position];
        speaker.note_reports(now, packet);
        let hearing = speaker.paths.iter().map(|path| (path.to, false));
        let mirrors = speaker.mirrors.iter().map(|&to| (to, true));
        let listeners: Vec<(usize, bool)> = hearing.chain(mirrors).collect();
        for (to, mirrored) in listeners {
            if self.sections.get(to).is_none_or(|live| live.generates) {
                continue;
            }
            if self.is_transcoded(position, to) {
                // What the speaker reports of its stream and of the one it hears is not true of those on the other side,
                // where reports of ours have begun.
                continue;
            }
            let Ok([speaker, listener]) = self.sections.get_disjoint_mut([position, to]) else {
                continue;
            };
            let mut copy = out.copy_of(packet);
            let allowed = listener
                .may_report()
                .and_then(|()| translated(&mut copy, speaker, listener, mirrored));
            let result = match allowed {
                Ok(()) => self.send_rtcp(now, to, copy, out),
                Err(reason) => {
                    out.recycle(copy);
                    Err(reason)
                }
            };
            if let Err(reason) = result {
                self.sections[position].count_drop(reason);
            }
        }
    }
}

impl Live {
    /// Whether speech between two sections is transcoded, either way.
    fn is_transcoded(&self, one: usize, other: usize) -> bool {
        let leads = |from: usize, to: usize| {
            let mut paths = self.sections[from].paths.iter();
            paths.any(|path| path.to == to && path.program.is_transcoding())
        };
        leads(one, other) || leads(other, one)
    }

    /// A listener lost so much of what it was sent: who encodes for it may spend redundancy on that.
    pub(super) fn note_loss(&mut self, listener: usize, fraction_lost: u8) {
        let percent = (u16::from(fraction_lost) * 100 / 256) as u8;
        let hears = self.sections.get_mut(listener);
        if let Some(mixing) = hears.and_then(|live| live.mixing.as_mut()) {
            mixing.expect_loss(percent);
        }
        for live in &mut self.sections {
            for path in live.paths.iter_mut().filter(|path| path.to == listener) {
                path.program.expect_loss(percent);
            }
        }
    }
}

/// Rewrites RTCP of the speaker for the listener, or, where it is `mirrored`, for somebody who hears no stream of the speaker's.
fn translated(
    packet: &mut PacketBuf,
    speaker: &LiveSection,
    listener: &LiveSection,
    mirrored: bool,
) -> Result<(), DropReason> {
    if mirrored && matches!(listener.stream, Stream::Ours { .. }) {
        // A leg that is to hear one SSRC for the whole call hears of no other either.
        return Err(DropReason::RtcpFiltered);
    }
    let as_it_is = |ssrc| {
        Some(SentStream {
            ssrc,
            timestamp_offset: 0,
        })
    };
    translate(
        packet,
        &Translation {
            sent: &|ssrc| match mirrored {
                true => as_it_is(ssrc),
                false => sent(&listener.egress, ssrc),
            },
            reported: &|ssrc| reported(&speaker.egress, ssrc),
            // Feedback is for those who have agreed on it (RFC 4585); between two who have not it is their own affair.
            feedback: listener.feedback || !speaker.feedback,
            transport_wide: speaker.egress.is_transparent(),
        },
    )
}

/// How the listener knows a stream of the speaker. A speaker that has sent no RTP yet is known by the SSRC it will have.
fn sent(egress: &Egress, ssrc: Ssrc) -> Option<SentStream> {
    if egress.is_transparent() {
        return Some(SentStream {
            ssrc,
            timestamp_offset: 0,
        });
    }
    match egress.translation() {
        Some(translation) if translation.source == ssrc => Some(SentStream {
            ssrc: translation.ssrc,
            timestamp_offset: translation.timestamp_offset,
        }),
        Some(_) => None,
        None => Some(SentStream {
            ssrc: egress.ssrc(),
            timestamp_offset: 0,
        }),
    }
}

/// Which stream of the listener the speaker hears under an SSRC of ours.
fn reported(egress: &Egress, ssrc: Ssrc) -> Option<ReportedStream> {
    if egress.is_transparent() {
        return Some(ReportedStream {
            ssrc,
            sequence_offset: 0,
        });
    }
    let translation = egress.translation().filter(|t| t.ssrc == ssrc)?;
    Some(ReportedStream {
        ssrc: translation.source,
        sequence_offset: translation.sequence_offset.into(),
    })
}

impl LiveSection {
    /// Remembers the peer's sender report: our next report refers to it.
    fn note_reports(&mut self, now: Instant, packet: &PacketBuf) {
        let reports = Compound::parse(packet);
        if let Some(report) = reports.and_then(|r| r.sender_reports().last()) {
            self.last_sender_report = Some((report.sender, report.info.ntp, now));
        }
        self.note_extended_reports(now, packet);
    }

    /// Whether RTCP may leave for the party: not before it was answered.
    fn may_report(&self) -> Result<(), DropReason> {
        if self.egress.is_open() {
            Ok(())
        } else {
            Err(DropReason::GateClosed)
        }
    }

    /// Sends RTCP through the port of `carrier`, or else through one of its own.
    pub(super) fn send_rtcp(
        &mut self,
        now: Instant,
        packet: PacketBuf,
        carrier: Option<&mut LiveSection>,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let len = packet.len();
        let transport = match (&mut self.rtcp, carrier) {
            (_, Some(carrier)) => &mut carrier.rtp,
            (Some(transport), None) if !self.mux => transport,
            _ if self.mux => &mut self.rtp,
            _ => {
                out.recycle(packet);
                return Err(DropReason::NoDestination);
            }
        };
        let reports = Compound::parse(&packet);
        let report = reports.and_then(|reports| reports.sender_reports().last());
        // To one who sends nothing the reference time of an extended report is what a sender report is to others.
        let reference = reports.and_then(|reports| reports.reference_times().last());
        let ntp = report.map(|report| report.info.ntp);
        let ntp = ntp.or(reference.map(|(_, ntp)| ntp));
        transport.send_rtcp(packet, out)?;
        if let Some(ntp) = ntp {
            self.quality.report_sent(now, ntp);
        }
        self.rtcp_out.add(len);
        if self.report_at.is_some() {
            self.report_at = Some(now + self.report_interval);
        }
        Ok(())
    }

    /// The leg was answered: our own reports begin, if it is one that must not fall silent, or that gets no others.
    pub(super) fn schedule_reports(&mut self, now: Instant) {
        if (self.generates || self.fills && self.wants) && !self.opaque {
            self.report_at.get_or_insert(now + self.first_report());
        } else {
            self.report_at = None;
        }
    }

    /// RFC 3550 §6.2: the first one comes after half the interval.
    fn first_report(&self) -> Duration {
        self.report_interval / 2
    }

    /// The party hears reports of ours from now on: its speech is transcoded, or what it hears.
    pub(super) fn begin_reports(&mut self, now: Instant) {
        if self.report_at.is_none() && self.wants && !self.opaque {
            self.report_at = Some(now + self.first_report());
        }
    }

    /// A report of our own when none has passed for a while.
    pub(super) fn report(
        &mut self,
        now: Instant,
        config: &CallConfig,
        out: &mut Outbox,
    ) -> Option<PacketBuf> {
        if self.report_at.is_none_or(|at| at > now) {
            return None;
        }
        self.report_at = Some(now + RETRY);
        if self.may_report().is_err() {
            return None;
        }
        let ntp = NtpTime::from_unix(config.clock.unix_at(now));
        let stats = self.egress.stats();
        let info = self
            .egress
            .timestamp_at(now)
            .map(|rtp_timestamp| SenderInfo {
                ntp,
                rtp_timestamp,
                // RFC 3550 §6.4.1: counts of 32 bits, which may wrap.
                packets: stats.packets as u32,
                octets: stats.octets as u32,
            });
        let last = self.last_sender_report;
        let blocks: Vec<ReportBlock> = self
            .ingress
            .latest_mut()
            .filter(|source| source.stats.packets() > 0)
            .map(|source| {
                let last = last
                    .filter(|(sender, _, _)| *sender == source.ssrc)
                    .map(|(_, ntp, at)| (ntp, now.saturating_duration_since(at)));
                ReportBlock::about(source.ssrc, &mut source.stats, last)
            })
            .into_iter()
            .collect();
        let mut packet = out.take();
        let ssrc = self.egress.ssrc();
        let extended = self.extended_report(now, ntp);
        if write_report(&mut packet, ssrc, info.as_ref(), &blocks, &self.cname)
            && append_extended_report(&mut packet, ssrc, &extended)
        {
            Some(packet)
        } else {
            out.recycle(packet);
            None
        }
    }
}
