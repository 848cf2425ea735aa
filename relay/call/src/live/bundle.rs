//! Several sections on one port (BUNDLE): whose packet is this, and through which port does a section send (RFC 9143 §9)?

use std::collections::VecDeque;
use std::time::Instant;

use relay_packet::{DropReason, Outbox, PacketBuf};
use relay_transport::MediaTransport;
use relay_transport::rtcp::Compound;
use relay_transport::rtp::{RtpHeader, Ssrc};

use super::{Live, LiveSection};
use crate::leg::{Legs, SectionId};
use crate::section::MediaSection;

/// The header extension that carries the mid (RFC 9143 §15).
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Sources of a section that are remembered; a browser sends a handful (simulcast, repair).
const MAX_SOURCES: usize = 32;

/// What tells the packets of a section from those of others on the same port.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The position of the section on whose port this one lives.
    pub(super) carrier: Option<usize>,
    /// Others live on the port of this one.
    carries: bool,
    mid: Option<String>,
    /// The number that the peer gave to [`MID_URI`].
    extension: Option<u8>,
    payload_types: Vec<u8>,
    /// Sources that belong here, announced or found out; the newest last.
    sources: VecDeque<Ssrc>,
}

impl Share {
    fn follow(&mut self, section: &MediaSection) {
        self.mid.clone_from(&section.mid);
        let formats = section.received_formats();
        self.payload_types = formats.map(|format| format.payload_type).collect();
        let Some(remote) = &section.remote else {
            return;
        };
        self.extension = remote.extmaps.iter().find_map(|extmap| {
            let (number, rest) = extmap.split_once(' ')?;
            let uri = rest.split_ascii_whitespace().next()?;
            let number = number.split('/').next()?;
            (uri == MID_URI).then(|| number.parse().ok())?
        });
        for attribute in &remote.other {
            let announced = attribute
                .strip_prefix("ssrc:")
                .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok());
            if let Some(ssrc) = announced {
                self.note(Ssrc(ssrc));
            }
        }
    }

    fn note(&mut self, ssrc: Ssrc) {
        if self.sources.contains(&ssrc) {
            return;
        }
        if self.sources.len() == MAX_SOURCES {
            self.sources.pop_front();
        }
        self.sources.push_back(ssrc);
    }
}

impl LiveSection {
    /// Whether what comes to its port is for it, and what it sends leaves from there.
    pub(super) fn is_alone_on_its_port(&self) -> bool {
        self.share.carrier.is_none() && !self.share.carries
    }
}

impl Live {
    /// Finds out who lives on whose port. Called whenever the sections have changed.
    pub(super) fn link(&mut self, legs: &Legs) {
        let ids: Vec<SectionId> = self.sections.iter().map(|live| live.id).collect();
        let mut carrying = Vec::new();
        for live in &mut self.sections {
            let Some(section) = legs.section(live.id) else {
                continue;
            };
            let carrier = section.carrier.map(|index| SectionId { index, ..live.id });
            live.share.carrier = carrier.and_then(|id| ids.iter().position(|&i| i == id));
            carrying.extend(live.share.carrier);
            live.share.follow(section);
        }
        for (position, live) in self.sections.iter_mut().enumerate() {
            live.share.carries = carrying.contains(&position);
        }
    }

    /// The sections on the port of one, itself among them.
    pub(super) fn members(&self, carrier: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.sections.len()).filter(move |&at| self.is_on_port_of(at, carrier))
    }

    fn is_on_port_of(&self, position: usize, carrier: usize) -> bool {
        position == carrier || self.sections[position].share.carrier == Some(carrier)
    }

    /// The section that an RTP packet on the port of `carrier` belongs to (RFC 9143 §9.2): by its mid, its source, or, the
    /// first time, its payload type if that is of one section alone.
    pub(super) fn section_of_rtp(&mut self, carrier: usize, packet: &[u8]) -> Option<usize> {
        if !self.sections[carrier].share.carries {
            return Some(carrier);
        }
        let header = RtpHeader::parse(packet)?;
        let share = |at: usize| &self.sections[at].share;
        let mid = header.extension_elements(packet).find_map(|element| {
            let is_mid = |&at: &usize| share(at).extension == Some(element.id);
            let text = std::str::from_utf8(element.value).ok()?;
            let named = |&at: &usize| share(at).mid.as_deref() == Some(text);
            self.members(carrier).filter(is_mid).find(named)
        });
        let by_source = || {
            self.members(carrier)
                .find(|&at| share(at).sources.contains(&header.ssrc))
        };
        let number = header.payload_type.number();
        let by_format = || {
            let mut takers = self
                .members(carrier)
                .filter(|&at| share(at).payload_types.contains(&number));
            takers.next().filter(|_| takers.next().is_none())
        };
        let found = mid.or_else(by_source).or_else(by_format)?;
        // What a mid or a format said is true of the source from now on.
        if !share(found).sources.contains(&header.ssrc) {
            for live in &mut self.sections {
                live.share.sources.retain(|source| *source != header.ssrc);
            }
            self.sections[found].share.note(header.ssrc);
        }
        Some(found)
    }

    /// The sections that an RTCP packet on the port of `carrier` is about: those of its senders, and those whose streams it
    /// reports on. What is about nobody in particular is about the first.
    pub(super) fn sections_of_rtcp(&self, carrier: usize, packet: &[u8]) -> Vec<usize> {
        if !self.sections[carrier].share.carries {
            return vec![carrier];
        }
        let mut about: Vec<Ssrc> = Vec::new();
        if let Some(compound) = Compound::parse(packet) {
            about.extend(compound.report_blocks().map(|block| block.ssrc));
            for part in compound.packets() {
                about.extend(part.sender());
                // RFC 4585 §6.1: the media source of a feedback message.
                let is_feedback = matches!(part.packet_type, 205 | 206);
                let source = part.body.get(4..8).and_then(|b| b.first_chunk::<4>());
                about.extend(
                    source
                        .filter(|_| is_feedback)
                        .map(|bytes| Ssrc(u32::from_be_bytes(*bytes))),
                );
            }
        }
        let is_meant = |&at: &usize| {
            let live = &self.sections[at];
            let sent = |ssrc: &Ssrc| live.egress.ssrc() == *ssrc || self.is_spoken_to(at, *ssrc);
            about
                .iter()
                .any(|ssrc| live.share.sources.contains(ssrc) || sent(ssrc))
        };
        let meant: Vec<usize> = self.members(carrier).filter(is_meant).collect();
        if meant.is_empty() {
            vec![carrier]
        } else {
            meant
        }
    }

    /// Whether somebody who is heard in this section sends under that number.
    pub(super) fn is_spoken_to(&self, listener: usize, ssrc: Ssrc) -> bool {
        self.sections.iter().any(|speaker| {
            speaker.paths.iter().any(|path| path.to == listener)
                && speaker.ingress.sources().any(|source| source.ssrc == ssrc)
        })
    }

    /// A section, and the one through whose port it sends when it has none.
    pub(super) fn sink(
        &mut self,
        position: usize,
    ) -> Option<(&mut LiveSection, Option<&mut LiveSection>)> {
        match self.sections.get(position)?.share.carrier {
            None => Some((self.sections.get_mut(position)?, None)),
            Some(carrier) => {
                let [sink, carrier] = self.sections.get_disjoint_mut([position, carrier]).ok()?;
                Some((sink, Some(carrier)))
            }
        }
    }

    /// The transport that a section sends through.
    pub(super) fn transport(&self, live: &LiveSection) -> Option<&MediaTransport> {
        let carrier = live.share.carrier.and_then(|at| self.sections.get(at));
        carrier.map(|carrier| &carrier.rtp)
    }

    /// Sends what a section and those on its port have waiting.
    pub(super) fn speak(&mut self, now: Instant, position: usize, out: &mut Outbox) {
        for member in 0..self.sections.len() {
            if !self.is_on_port_of(member, position) {
                continue;
            }
            let Some((live, carrier)) = self.sink(member) else {
                continue;
            };
            let before = live.egress.stats();
            let transport = match carrier {
                Some(carrier) => &mut carrier.rtp,
                None => &mut live.rtp,
            };
            live.egress.handle_timeout(now, transport, out);
            live.count_sent(&before);
        }
    }

    /// Sends RTCP to the party of a section.
    pub(super) fn send_rtcp(
        &mut self,
        now: Instant,
        position: usize,
        packet: PacketBuf,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        match self.sink(position) {
            Some((live, carrier)) => live.send_rtcp(now, packet, carrier, out),
            None => {
                out.recycle(packet);
                Err(DropReason::NoDestination)
            }
        }
    }
}
