//! The packet side written down, and going on in another process.
//!
//! Paths are not in it, because they are compiled from what signalling has settled; neither is what began with a packet and ends
//! with one: transcoders, recordings that are played, mixes and statistics of sources begin anew.

use std::time::{Duration, Instant};

use relay_transport::srtp::Skipped;
use relay_transport::{Learning, TransportProgress, TransportSnapshot};
use serde::{Deserialize, Serialize};

use super::{Live, LiveSection};
use crate::config::{CallConfig, WallClock};
use crate::egress::EgressProgress;
use crate::leg::{Legs, SectionId};
use crate::path::ForwardPath;
use crate::snapshot::moment;
use crate::stats::Counter;

/// What of a section changes a few times in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SectionSnapshot {
    id: SectionId,
    answered: bool,
    /// Which DTLS association was last put into effect.
    association: Option<u32>,
    cname: String,
    rtp: TransportSnapshot,
    rtcp: Option<TransportSnapshot>,
}

/// What of a section changes with every packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SectionProgress {
    id: SectionId,
    egress: EgressProgress,
    rtp: TransportProgress,
    rtcp: Option<TransportProgress>,
    /// RTP in and out, RTCP in and out.
    counters: [Counter; 4],
    last_rtp: Option<Duration>,
    last_rtcp: Option<Duration>,
}

impl SectionSnapshot {
    /// Whether our certificate belongs to the section.
    pub(crate) fn has_dtls(&self) -> bool {
        self.rtp.has_dtls() || self.rtcp.as_ref().is_some_and(TransportSnapshot::has_dtls)
    }
}

impl Live {
    /// The sections as plain data, keys and all.
    pub(crate) fn snapshot(&self) -> Vec<SectionSnapshot> {
        let sections = self.sections.iter().map(|live| SectionSnapshot {
            id: live.id,
            answered: live.answered_at.is_some(),
            association: live.applied.as_ref().map(|applied| applied.association),
            cname: live.cname.clone(),
            rtp: live.rtp.snapshot(),
            rtcp: live.rtcp.as_ref().map(|rtcp| rtcp.snapshot()),
        });
        sections.collect()
    }

    /// How far the sections are.
    pub(crate) fn progress(&self, clock: &WallClock) -> Vec<SectionProgress> {
        let sections = self.sections.iter().enumerate();
        let sections = sections.map(|(position, live)| SectionProgress {
            id: live.id,
            egress: live.egress.progress(clock, self.is_numbered(position)),
            rtp: live.rtp.progress(),
            rtcp: live.rtcp.as_ref().map(|rtcp| rtcp.progress()),
            counters: [live.rtp_in, live.rtp_out, live.rtcp_in, live.rtcp_out],
            last_rtp: live.last_rtp.map(|at| clock.unix_at(at)),
            last_rtcp: live.last_rtcp.map(|at| clock.unix_at(at)),
        });
        sections.collect()
    }

    /// Whether what leads to this section has numbers of its own, which begin anew in another process.
    fn is_numbered(&self, position: usize) -> bool {
        let paths = self.sections.iter().flat_map(|live| &live.paths);
        let mut programs = paths
            .filter(|path| path.to == position)
            .map(|path| &path.program);
        programs.any(ForwardPath::renumbers) || self.sections[position].mixing.is_some()
    }

    /// Goes on with what was written down; [`Self::follow`] comes first. Up to `skip` packets of a stream may have left since.
    #[expect(clippy::too_many_arguments, reason = "once a call, from one place")]
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        snapshots: &[SectionSnapshot],
        progress: &[SectionProgress],
        clock: &WallClock,
        legs: &Legs,
        config: &CallConfig,
        learning: Learning,
        skip: u16,
    ) {
        for live in &mut self.sections {
            let Some(snapshot) = snapshots.iter().find(|section| section.id == live.id) else {
                continue;
            };
            let Some(leg) = legs.get(live.id.leg) else {
                continue;
            };
            if snapshot.answered
                && let Some(section) = leg.sections.get(live.id.index)
            {
                live.generates = leg.generates_rtcp && !live.egress.is_transparent();
                live.activate(now, section, config, learning);
            }
            let progress = progress.iter().find(|section| section.id == live.id);
            live.resume(now, snapshot, progress, clock, config, skip);
        }
    }
}

impl LiveSection {
    fn resume(
        &mut self,
        now: Instant,
        snapshot: &SectionSnapshot,
        progress: Option<&SectionProgress>,
        clock: &WallClock,
        config: &CallConfig,
        skip: u16,
    ) {
        if let (Some(applied), Some(association)) = (&mut self.applied, snapshot.association) {
            applied.association = association;
        }
        self.cname.clone_from(&snapshot.cname);
        let mut skipped = Skipped {
            rtp: 0,
            rtcp: skip.into(),
        };
        if let Some(progress) = progress {
            let encrypts = snapshot.rtp.encrypts();
            let left_out = self
                .egress
                .resume(now, &progress.egress, clock, skip, encrypts);
            skipped.rtp = left_out.into();
            [self.rtp_in, self.rtp_out, self.rtcp_in, self.rtcp_out] = progress.counters;
            self.last_rtp = progress.last_rtp.map(|at| moment(clock, at, now));
            self.last_rtcp = progress.last_rtcp.map(|at| moment(clock, at, now));
        }
        self.told_first_out = self.egress.stats().packets > 0;
        let (rtp, rtcp) = progress.map_or((None, None), |progress| {
            (Some(&progress.rtp), progress.rtcp.as_ref())
        });
        let fresh = TransportProgress::default();
        let identity = &config.identity;
        let rtp = rtp.unwrap_or(&fresh);
        self.rtp.resume(now, &snapshot.rtp, rtp, identity, skipped);
        if let (Some(transport), Some(snapshot)) = (&mut self.rtcp, &snapshot.rtcp) {
            let rtcp = rtcp.unwrap_or(&fresh);
            transport.resume(now, snapshot, rtcp, identity, skipped);
        }
    }
}
