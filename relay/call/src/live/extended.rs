//! Extended reports of our own (RFC 3611), where reports end at the relay and the party asks for them.
//!
//! Where reports pass from one party to the other, extended ones pass with them, translated; these say how the relay hears a
//! party: how long the way to it takes even if it sends nothing, and how its stream sounds.

use std::time::{Duration, Instant};

use relay_packet::PacketBuf;
use relay_transport::rtcp::{Compound, ExtendedReport, NtpTime, ReferenceDelay, VoipMetrics};
use relay_transport::rtp::GMIN;

use super::LiveSection;
use crate::stats::{Mos, rating};

/// A packet that came late is waited for so long at most, where speech is decoded: what relay-media's jitter buffer grants.
const LONGEST_WAIT: Duration = Duration::from_millis(80);
/// The packet time of nearly all voice: what a packet of a burst or a gap is taken for.
const PACKET_TIME: Duration = Duration::from_millis(20);

impl LiveSection {
    /// What the peer's extended reports say about time.
    pub(super) fn note_extended_reports(&mut self, now: Instant, packet: &PacketBuf) {
        let Some(compound) = Compound::parse(packet) else {
            return;
        };
        if let Some((sender, time)) = compound.reference_times().last() {
            self.last_reference_time = Some((sender, time, now));
        }
        let own = self.egress.ssrc();
        for delay in compound.reference_delays().filter(|d| d.ssrc == own) {
            self.quality.note_delay(now, &delay);
        }
    }

    /// What an extended report that leaves now says; nothing, unless the party asked for some.
    pub(super) fn extended_report(&mut self, now: Instant, ntp: NtpTime) -> ExtendedReport {
        let wanted = self.extended_reports;
        if !wanted.any() {
            return ExtendedReport::default();
        }
        let delay = self.last_reference_time.map(|(ssrc, time, at)| {
            ReferenceDelay::new(ssrc, time, now.saturating_duration_since(at))
        });
        ExtendedReport {
            reference_time: wanted.round_trip.then_some(ntp),
            reference_delay: delay,
            voip_metrics: wanted.voip_metrics.then(|| self.voip_metrics()).flatten(),
        }
    }

    /// How the stream of the party sounds.
    fn voip_metrics(&mut self) -> Option<VoipMetrics> {
        let round_trip = self.round_trip();
        let decoded = self.paths.iter().any(|path| path.program.is_transcoding());
        let source = self.ingress.latest_mut()?;
        let stats = &source.stats;
        if stats.packets() == 0 {
            return None;
        }
        let loss = stats.loss();
        let share = |whole: u64| (loss.lost * whole).checked_div(loss.expected).unwrap_or(0);
        let percent = share(100) as u32;
        let (bursts, jitter) = (stats.bursts(), stats.jitter_time());
        let score = |round_trip| Mos::of(round_trip, jitter, percent).tenths() as u8;
        Some(VoipMetrics {
            ssrc: source.ssrc,
            loss_rate: share(256).min(255) as u8,
            // What comes late is lost to those who hear it, and counted so by them: nothing is thrown away here.
            discard_rate: 0,
            burst_density: bursts.burst_density,
            gap_density: bursts.gap_density,
            burst_duration: packets(bursts.burst_packets),
            gap_duration: packets(bursts.gap_packets),
            round_trip: round_trip.map_or(0, milliseconds),
            end_system_delay: 0,
            gmin: GMIN,
            r_factor: Some(rating(round_trip.unwrap_or_default(), jitter, percent) as u8),
            mos_lq: Some(score(Duration::ZERO)),
            // Without the way there is no score for talking.
            mos_cq: round_trip.map(score),
            decoded,
            jitter_buffer_max: if decoded {
                milliseconds(LONGEST_WAIT)
            } else {
                0
            },
        })
    }
}

/// So many packets last, in milliseconds, as far as they fit.
fn packets(count: u64) -> u16 {
    let ms = count.saturating_mul(PACKET_TIME.as_millis() as u64);
    u16::try_from(ms).unwrap_or(u16::MAX)
}

fn milliseconds(time: Duration) -> u16 {
    u16::try_from(time.as_millis()).unwrap_or(u16::MAX)
}
