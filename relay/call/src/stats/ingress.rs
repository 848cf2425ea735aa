//! What a section receives, by synchronisation source.

use std::time::Instant;

use relay_transport::rtp::{Interval, ReceptionStats, RtpHeader, Ssrc};

use super::quality::Quality;

/// Sources of one section that are told apart; a well-behaved party has one or two in the life of a call.
const MAX_SOURCES: usize = 16;

/// The sources of a section, in the order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Ingress {
    sources: Vec<Source>,
}

/// One source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) ssrc: Ssrc,
    /// Octets of whole RTP packets that came from it.
    pub(crate) bytes: u64,
    /// What came from it.
    pub(crate) stats: ReceptionStats,
    /// How good the call is for it.
    pub(crate) quality: Quality,
    /// Since its loss was looked at for its quality.
    pub(crate) judged: Interval,
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
        if let Some(source) = self.find_or_add(header.ssrc, clock_hz) {
            if source.stats.packets() == 0 {
                // It may have reported before it spoke.
                source.stats.set_clock_rate(clock_hz);
            }
            source.bytes += (header.header_len() + payload_len) as u64;
            source.stats.receive(now, header, payload_len);
        }
    }

    /// The source of this name.
    pub(crate) fn source(&self, ssrc: Ssrc) -> Option<&Source> {
        self.sources.iter().find(|source| source.ssrc == ssrc)
    }

    /// The same, to be changed.
    pub(crate) fn source_mut(&mut self, ssrc: Ssrc) -> Option<&mut Source> {
        self.sources.iter_mut().find(|source| source.ssrc == ssrc)
    }

    /// The sources.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// The source that spoke last, to be reported on.
    pub(crate) fn latest_mut(&mut self) -> Option<&mut Source> {
        self.sources
            .iter_mut()
            .max_by_key(|source| source.stats.last_arrival())
    }

    /// Whom a report is from: its sender; a party that sends none of its own, or reports under another name than it speaks, is
    /// the one that spoke last.
    pub(crate) fn reporter(&mut self, sender: Ssrc) -> Option<&mut Source> {
        let known = self.sources.iter().any(|source| source.ssrc == sender);
        if known || self.sources.is_empty() {
            return self.find_or_add(sender, 1);
        }
        self.latest_mut()
    }

    /// The first source: the one that `query` names beside the stream.
    pub(crate) fn first(&self) -> Option<Ssrc> {
        self.sources.first().map(|source| source.ssrc)
    }

    fn find_or_add(&mut self, ssrc: Ssrc, clock_hz: u32) -> Option<&mut Source> {
        let known = self.sources.iter().position(|source| source.ssrc == ssrc);
        let position = match known {
            Some(position) => position,
            None if self.sources.len() < MAX_SOURCES => {
                // One is what there nearly always is.
                self.sources.reserve_exact(1);
                self.sources.push(Source {
                    ssrc,
                    bytes: 0,
                    stats: ReceptionStats::new(clock_hz),
                    quality: Quality::default(),
                    judged: Interval::default(),
                });
                self.sources.len() - 1
            }
            None => return None,
        };
        self.sources.get_mut(position)
    }
}
