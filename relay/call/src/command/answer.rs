//! `answer`: the second half of an exchange. What both parties said is now in effect: keys, ICE, addresses, codecs.
//!
//! `from-tag` names the offerer and `to-tag` the answerer, whose description is in the request.

use std::sync::Arc;

use ng_protocol::flags::TransportProtocol;
use ng_protocol::{Request, Tag, reason};

use crate::command::describe;
use crate::command::offer::{circumstances, described_sections, description, endpoints};
use crate::command::options::{
    note_answer, note_echo, note_hold_music, note_rtcp, show_hold_music,
};
use crate::command::passthrough;
use crate::draft::{Draft, Exchange};
use crate::error::RequestError;
use crate::leg::{LegId, SectionId};
use crate::negotiate::{codecs, crypto, ice, mux};
use crate::sdp::protocol::RtpProfile;
use crate::sdp::rewrite::SectionOutput;
use crate::sdp::{Direction, Protocol, RemoteMedia};
use crate::section::SectionState;

/// Carries out an `answer`.
pub(crate) fn answer(draft: &mut Draft<'_>, request: &Request) -> Result<Exchange, RequestError> {
    let source = description(request)?;
    let (offerer, answerer) = parties(draft, request)?;
    note_answer(draft, request, offerer);
    note_hold_music(draft, request, answerer);
    let mut remotes = RemoteMedia::read_all(&source);
    show_hold_music(draft, answerer, &mut remotes);
    let indexes = described_sections(draft, answerer, remotes.len());
    let count = draft.legs.get(offerer).map_or(0, |leg| leg.sections.len());
    let mut outputs = Vec::new();
    for index in 0..count {
        let said = indexes
            .iter()
            .position(|&i| i == index)
            .map(|at| &remotes[at]);
        let ids = (
            SectionId {
                leg: offerer,
                index,
            },
            SectionId {
                leg: answerer,
                index,
            },
        );
        outputs.extend(answer_section(draft, request, ids, said)?);
    }
    if let Some(leg) = draft.legs.get_mut(answerer) {
        let selection = &request.flags.selection;
        if let Some(label) = selection.set_label.as_ref().or(selection.label.as_ref()) {
            leg.label = Some(label.clone());
        }
    }
    for leg in [offerer, answerer] {
        if let Some(leg) = draft.legs.get_mut(leg) {
            leg.has_spoken = true;
            leg.delete_at = None;
        }
    }
    note_echo(draft, request, answerer, offerer);
    note_rtcp(draft, request, &[offerer, answerer]);
    draft.legs.subscriptions.answered(offerer, answerer);
    describe::write(draft, request, &source, answerer, offerer, outputs)
}

/// The offerer by its tag; the answerer by its tag, by branch, or as the offerer's present partner, which then gets the tag.
fn parties(draft: &mut Draft<'_>, request: &Request) -> Result<(LegId, LegId), RequestError> {
    let from_tag = request
        .from_tag
        .as_ref()
        .ok_or(RequestError::Missing(reason::NO_FROM_TAG))?;
    let to_tag = request
        .to_tag
        .as_ref()
        .ok_or(RequestError::Missing(reason::NO_TO_TAG))?;
    if from_tag == to_tag {
        return Err(RequestError::Dialogue);
    }
    let offerer = draft.legs.by_tag(from_tag).ok_or(RequestError::Dialogue)?;
    let partners = draft.legs.subscriptions.partners(offerer);
    let by_branch = || {
        let branch = request.via_branch.as_ref()?;
        partners.iter().copied().find(|&id| {
            draft
                .legs
                .get(id)
                .is_some_and(|leg| leg.via_branch.as_ref() == Some(branch))
        })
    };
    let answerer = draft
        .legs
        .by_tag(to_tag)
        .or_else(by_branch)
        .or_else(|| draft.legs.subscriptions.current(offerer))
        .ok_or(RequestError::Dialogue)?;
    if answerer == offerer || !partners.contains(&answerer) {
        return Err(RequestError::Dialogue);
    }
    name(draft, answerer, to_tag);
    Ok((offerer, answerer))
}

/// Gives a party its tag. A party that has one already was forked behind the proxy: all forks were told the same port, so they
/// stay one party, and the older tag becomes another name for it.
fn name(draft: &mut Draft<'_>, leg: LegId, tag: &Tag) {
    let Some(leg) = draft.legs.get_mut(leg) else {
        return;
    };
    if leg.tag.as_ref() == Some(tag) {
        return;
    }
    leg.aliases.retain(|alias| alias != tag);
    if let Some(old) = leg.tag.replace(tag.clone()) {
        leg.aliases.push(old);
    }
    // A stranger cannot grow this list: each entry took a reply through the proxy. Still it has an end.
    if leg.aliases.len() > MAX_ALIASES {
        leg.aliases.remove(0);
    }
}

/// More forks of one branch than this are not remembered.
const MAX_ALIASES: usize = 16;

/// Decides about one section. `None` when the offerer was not shown it.
fn answer_section(
    draft: &mut Draft<'_>,
    request: &Request,
    (offerer, answerer): (SectionId, SectionId),
    said: Option<&Arc<RemoteMedia>>,
) -> Result<Option<SectionOutput>, RequestError> {
    let Some(section) = draft.section(offerer) else {
        return Ok(None);
    };
    if section.hidden {
        return Ok(None);
    }
    let Some(offered) = section.remote.clone() else {
        return Ok(Some(describe::ended(section)));
    };
    match (section.state, said) {
        (SectionState::Foreign, Some(said)) => return Ok(Some(describe::foreign(said))),
        (SectionState::Live, Some(said))
            if !said.is_rejected() && is_at_home(draft, answerer, said) =>
        {
            let ids = (offerer, answerer);
            // Another fork may have been offered keys of ours.
            let passes = |id| draft.section(id).is_some_and(|s| s.passthrough);
            if passes(offerer) && passes(answerer) {
                return passthrough::answer(draft, request, ids, said).map(Some);
            }
            accept(draft, request, ids, said)?;
            return settle_offerer(draft, request, ids, said).map(Some);
        }
        _ => {}
    }
    // Refused by either side, or not mentioned in the answer.
    for id in [offerer, answerer] {
        draft.reject(id);
    }
    let mut output = describe::rejected(draft, offerer, said.unwrap_or(&offered));
    output.protocol = offered.protocol.to_string();
    output.kind.clone_from(&offered.kind);
    output.formats.clone_from(&offered.formats);
    output.mid.clone_from(&offered.mid);
    Ok(Some(output))
}

/// Whether an accepted section has a port: one that was offered on a bundle alone has none outside of it.
fn is_at_home(draft: &Draft<'_>, answerer: SectionId, said: &RemoteMedia) -> bool {
    let section = draft.section(answerer);
    let bundle_only = section.is_some_and(|section| section.bundle_only);
    !bundle_only || (said.bundled && draft.carrier_of(answerer).is_some())
}

/// Settles everything with the party that answered.
pub(crate) fn accept(
    draft: &mut Draft<'_>,
    request: &Request,
    (_, answerer): (SectionId, SectionId),
    said: &Arc<RemoteMedia>,
) -> Result<(), RequestError> {
    let (rtp_endpoint, rtcp_endpoint) = endpoints(draft, request, said);
    let has_candidates = said.ice.as_ref().is_some_and(|i| !i.candidates.is_empty());
    if said.address.is_none() && rtp_endpoint.is_none() && !has_candidates {
        return Err(RequestError::NoAddress(answerer.index + 1));
    }
    let offered_bundle = draft
        .legs
        .get(answerer.leg)
        .is_some_and(|leg| leg.bundle_offered);
    let carrier = draft
        .carrier_of(answerer)
        .filter(|_| offered_bundle && said.bundled && said.protocol.rtp().is_some());
    let Some(section) = draft.section_mut(answerer) else {
        return Err(RequestError::Dialogue);
    };
    section.state = SectionState::Live;
    section.rtp_endpoint = rtp_endpoint;
    section.rtcp_endpoint = rtcp_endpoint;
    section.way.note(&request.flags.media);
    section.mid = section.mid.take().or_else(|| said.mid.clone());
    if !section.is_opaque() {
        mux::note_answer(&mut section.mux, said);
    }
    if let Some(carrier) = carrier {
        section.remote = Some(said.clone());
        draft.ride(answerer, carrier);
        return Ok(());
    }
    section.carrier = None;
    ice::note_answer(&mut section.ice, said);
    crypto::note_answer(section, said, circumstances(request))
        .map_err(|e| RequestError::Crypto(e.0))?;
    section.remote = Some(said.clone());
    draft.close_superfluous(answerer);
    Ok(())
}

/// Settles everything with the offerer, and says what it is answered.
fn settle_offerer(
    draft: &mut Draft<'_>,
    request: &Request,
    (offerer, answerer): (SectionId, SectionId),
    said: &RemoteMedia,
) -> Result<SectionOutput, RequestError> {
    let flags = &request.flags;
    let (accepted_mux, opportunistic, told) = draft
        .section(answerer)
        .map(|s| (s.mux.in_use, s.opportunistic, s.told.clone()))
        .unwrap_or_default();
    let passive_by_default = draft.config.dtls_passive;
    let carrier = draft.carrier_of(offerer).filter(|_| {
        let leg = draft.legs.get(offerer.leg);
        let remote = draft.section(offerer).and_then(|s| s.remote.as_ref());
        leg.is_some_and(|leg| leg.bundle_accepted)
            && remote.is_some_and(|r| r.bundled && r.protocol.rtp().is_some())
    });
    let bundles = draft.bundles(offerer.leg);
    match carrier {
        Some(carrier) => draft.ride(offerer, carrier),
        None => draft.live_alone(offerer)?,
    }
    let rng = &mut draft.rng;
    let Some(section) = draft.legs.section_mut(offerer) else {
        return Err(RequestError::Dialogue);
    };
    section.passthrough = false;
    let wanted = flags.crypto.transport_protocol;
    let protocol = offerer_protocol(&section.protocol, said, wanted)?;
    section.set_protocol(protocol);
    if !section.is_opaque() {
        let mut wanted = flags.rtcp_mux;
        wanted.accept |= bundles;
        mux::answer(&mut section.mux, accepted_mux, wanted);
    }
    let warning = if section.carrier.is_some() {
        None
    } else {
        ice::answer(section, &flags.ice);
        crypto::answer(
            section,
            opportunistic,
            &flags.crypto,
            circumstances(request),
            passive_by_default,
            rng,
        )
        .map_err(|e| RequestError::Crypto(e.0))?
    };
    let offered = section.remote.iter().flat_map(|r| r.codecs.clone());
    let offered: Vec<_> = offered.collect();
    let accepted = &section.accepted;
    section.told = codecs::answer(&offered, &told, &said.codecs, accepted, &flags.codec)
        .map_err(|e| RequestError::Codec(e.0))?;
    section.we_answered = true;
    draft.warnings.extend(warning.map(str::to_owned));
    draft.close_superfluous(offerer);
    let mut output = describe::answered(draft, request, offerer, said);
    let wished = |id| draft.section(id).is_some_and(|s| s.ptime_ms.is_some());
    if wished(answerer) && !wished(offerer) {
        // The answerer speaks of the packets that the operator wished upon it.
        let own = draft.section(offerer).and_then(|s| s.remote.as_ref());
        output.ptime = own.and_then(|remote| remote.ptime.clone());
    }
    let offered = draft.section(offerer).and_then(|s| s.remote.as_ref());
    if let Some(offered) = offered.filter(|offered| offered.direction_with_music().is_some()) {
        // RFC 3264 §6.1: who offered to hear nothing is answered so, whatever the other was told.
        let answers = said.direction;
        let sends = answers.sends() && offered.direction.receives();
        let receives = answers.receives() && offered.direction.sends();
        output.direction = Some(Direction::of(sends, receives));
    }
    Ok(output)
}

/// The transport in the answer: what the offerer offered, whatever the answerer wrote, unless the operator names another one
/// that is encrypted alike.
fn offerer_protocol(
    offered: &Protocol,
    said: &RemoteMedia,
    wanted: Option<TransportProtocol>,
) -> Result<Protocol, RequestError> {
    let named = match wanted {
        _ if offered.is_opaque() => return Ok(offered.clone()),
        None | Some(TransportProtocol::Udptl) => return Ok(offered.clone()),
        Some(TransportProtocol::Accept) => said.protocol.clone(),
        Some(wanted) => Protocol::Rtp(RtpProfile {
            secure: wanted.is_srtp(),
            feedback: wanted.is_avpf(),
            dtls: wanted.is_dtls(),
        }),
    };
    if named.is_secure() == offered.is_secure() {
        return Ok(named);
    }
    if wanted == Some(TransportProtocol::Accept) {
        return Ok(offered.clone());
    }
    Err(RequestError::Crypto(format!(
        "transport-protocol {named} in the answer to an offer of {offered}"
    )))
}
