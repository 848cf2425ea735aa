//! Which sections of a party share one port (BUNDLE, RFC 9143).
//!
//! A bundle is settled by the answer, with either party by itself: an offerer that bundles is answered with its bundle if the
//! operator accepts it, a party that was offered a bundle may have taken it. The first section of a bundle carries the others;
//! those give their ports back, and have neither ICE nor keys of their own.

use crate::draft::Draft;
use crate::error::RequestError;
use crate::leg::{Leg, LegId, SectionId};
use crate::negotiate::mux;
use crate::placement::Need;
use crate::sdp::{SectionOutput, SessionDescription};
use crate::section::{DtlsState, IceState, MediaSection, SdesState};

impl Draft<'_> {
    /// Whether a section goes on sharing the port of another, which must still be there. One that does not is on its own again.
    pub(crate) fn keeps_riding(&mut self, id: SectionId, bundled: bool) -> bool {
        let leg = self.legs.get(id.leg);
        let carrier = leg.and_then(|leg| leg.sections.get(leg.sections.get(id.index)?.carrier?));
        let rides = bundled && carrier.is_some_and(|c| c.is_live() && c.carrier.is_none());
        if let Some(section) = self.section_mut(id).filter(|_| !rides) {
            section.carrier = None;
            section.bundle_only = false;
        }
        rides
    }

    /// The section that carries a further one: the first of the bundle that the party described.
    pub(crate) fn carrier_of(&self, id: SectionId) -> Option<usize> {
        let sections = &self.legs.get(id.leg)?.sections;
        let carries = |section: &MediaSection| {
            section.is_live()
                && section.protocol.rtp().is_some()
                && section.mux.in_use
                && section.carrier.is_none()
                && section.remote.as_ref().is_some_and(|r| r.bundled)
        };
        sections.iter().take(id.index).position(carries)
    }

    /// The first live RTP section of a party before this one: what carries a section that is offered on a bundle alone.
    pub(crate) fn first_before(&self, id: SectionId) -> Option<usize> {
        let sections = &self.legs.get(id.leg)?.sections;
        let carries =
            |s: &MediaSection| s.is_live() && s.protocol.rtp().is_some() && s.carrier.is_none();
        sections.iter().take(id.index).position(carries)
    }

    /// Lets a section share the port of another; its own go back.
    pub(crate) fn ride(&mut self, id: SectionId, carrier: usize) {
        let Some(section) = self.section_mut(id) else {
            return;
        };
        section.carrier = Some(carrier);
        section.bundle_only = false;
        // RFC 9143 §9.3: who bundles multiplexes.
        section.mux.in_use = true;
        section.ice = IceState::default();
        section.dtls = DtlsState::default();
        section.sdes = SdesState::default();
        let ports = std::mem::take(&mut section.ports);
        self.released.extend(ports.all().map(|port| port.id));
    }

    /// A section that shares no port has one of its own: opened now, if it was offered on the port of a bundle that did not come
    /// about in this way, or if the answer names another interface than the offer did.
    pub(crate) fn live_alone(&mut self, id: SectionId) -> Result<(), RequestError> {
        let Some(section) = self.section_mut(id) else {
            return Ok(());
        };
        section.carrier = None;
        let need = Need {
            every_address: section.ice.local.is_some(),
            one_per_family: true,
            shared: mux::is_settled(&section.mux),
        };
        self.open_ports(id, need)
    }

    /// Whether an offerer is to be answered with a bundle of several sections, which multiplex RTCP then (RFC 9143 §9.3).
    pub(crate) fn bundles(&self, leg: LegId) -> bool {
        let bundled = |s: &&MediaSection| {
            let asked = s.remote.as_ref().is_some_and(|r| r.bundled);
            s.is_live() && s.protocol.rtp().is_some() && asked
        };
        self.legs.get(leg).is_some_and(|leg| {
            leg.bundle_accepted && leg.sections.iter().filter(bundled).count() > 1
        })
    }

    /// Whether the sections of a party share ports.
    pub(crate) fn has_riders(&self, leg: LegId) -> bool {
        let leg = self.legs.get(leg);
        leg.is_some_and(|leg| {
            leg.sections
                .iter()
                .any(|s| s.is_live() && s.carrier.is_some())
        })
    }
}

/// Takes out what RFC 9143 §7.1.3 wants said by the tagged section alone.
pub(crate) fn leave_to_carrier(output: &mut SectionOutput) {
    output.rtcp = None;
    output.rtcp_mux = false;
    output.crypto.clear();
    output.dtls = None;
    output.ice = None;
}

/// The mids of `a=group:BUNDLE` in a description for this party, the tagged section first.
pub(crate) fn group(
    leg: &Leg,
    source: &SessionDescription,
    outputs: &[SectionOutput],
) -> Vec<String> {
    if leg.sections.iter().any(|s| s.passthrough) {
        // Which sections share a transport is then between the parties.
        let bundle = source.attributes("group").find_map(|group| {
            let (kind, mids) = group.split_once(' ')?;
            kind.eq_ignore_ascii_case("BUNDLE").then_some(mids)
        });
        let mids = bundle.unwrap_or_default().split_ascii_whitespace();
        return mids.map(str::to_owned).collect();
    }
    let answers = leg.sections.iter().any(|s| s.we_answered);
    let wanted = if answers {
        leg.bundle_accepted
    } else {
        leg.bundle_offered
    };
    if !wanted {
        return Vec::new();
    }
    let mut mids = Vec::new();
    for output in outputs.iter().filter(|o| o.port != 0 || o.bundle_only) {
        let Some(mid) = &output.mid else { continue };
        let known = leg.sections.iter().find(|s| s.mid.as_ref() == Some(mid));
        let is_member = known.is_some_and(|section| {
            let asked = section.remote.as_ref().is_some_and(|r| r.bundled);
            let joins = !answers || (asked && (mids.is_empty() || section.carrier.is_some()));
            section.protocol.rtp().is_some() && joins
        });
        if is_member {
            mids.push(mid.clone());
        }
    }
    mids
}
