//! What a section receives, by synchronisation source.

use std::time::Instant;

use relay_transport::rtp::{ReceptionStats, RtpHeader, Ssrc};

/// Sources of one section that are told apart; a well-behaved party has one or two in the life of a call.
const MAX_SOURCES: usize = 16;

/// The sources of a section, in the order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Ingress {
    sources: Vec<(Ssrc, ReceptionStats)>,
}

impl Ingress {
    /// Notes a packet. Sources beyond the limit are relayed and not told apart.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        payload_len: usize,
        clock_hz: u32,
    ) {
        let known = self
            .sources
            .iter()
            .position(|(ssrc, _)| *ssrc == header.ssrc);
        let position = match known {
            Some(position) => position,
            None if self.sources.len() < MAX_SOURCES => {
                self.sources
                    .push((header.ssrc, ReceptionStats::new(clock_hz)));
                self.sources.len() - 1
            }
            None => return,
        };
        self.sources[position].1.receive(now, header, payload_len);
    }

    /// The sources and their figures.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (Ssrc, &ReceptionStats)> {
        self.sources.iter().map(|(ssrc, stats)| (*ssrc, stats))
    }

    /// The source that spoke last, to be reported on.
    pub(crate) fn latest_mut(&mut self) -> Option<(Ssrc, &mut ReceptionStats)> {
        self.sources
            .iter_mut()
            .max_by_key(|(_, stats)| stats.last_arrival())
            .map(|(ssrc, stats)| (*ssrc, stats))
    }

    /// The first source: the one that `query` names beside the stream.
    pub(crate) fn first(&self) -> Option<Ssrc> {
        self.sources.first().map(|(ssrc, _)| *ssrc)
    }
}
