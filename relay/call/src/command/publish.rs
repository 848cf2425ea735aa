//! `publish`: a party that only speaks. Its offer is answered by us, and others subscribe to it.

use std::sync::Arc;

use ng_protocol::{Request, Tag, reason};

use crate::command::describe;
use crate::command::offer::{
    circumstances, described_sections, description, endpoints, note_sender,
};
use crate::command::options::lone_party;
use crate::command::subscribe::own_tag;
use crate::draft::{Draft, Exchange};
use crate::error::RequestError;
use crate::leg::{LegId, SectionId};
use crate::negotiate::{crypto, ice, mux};
use crate::placement::Need;
use crate::sdp::rewrite::SectionOutput;
use crate::sdp::{Direction, RemoteMedia, SessionDescription};
use crate::section::{Opportunistic, SectionState};

/// Carries out a `publish`. The tag is the publisher's, ours if it brought none.
pub(crate) fn publish(
    draft: &mut Draft<'_>,
    request: &Request,
) -> Result<(Exchange, Tag), RequestError> {
    let source = description(request)?;
    if request.call_id.is_none() {
        return Err(RequestError::Missing(reason::NO_CALL_ID));
    }
    let tag = request.from_tag.clone().unwrap_or_else(|| own_tag(draft));
    let publisher = publisher(draft, request, &tag)?;
    let remotes = RemoteMedia::read_all(&source);
    let indexes = described_sections(draft, publisher, remotes.len());
    let mut outputs = Vec::new();
    for (remote, &index) in remotes.iter().zip(&indexes) {
        draft.extend_sections(publisher, index);
        let id = SectionId {
            leg: publisher,
            index,
        };
        outputs.push(publish_section(draft, request, id, remote)?);
    }
    draft.legs.subscriptions.published(publisher);
    let nothing = SessionDescription {
        lines: Vec::new(),
        media: Vec::new(),
    };
    let exchange = describe::write(draft, request, &nothing, publisher, publisher, outputs)?;
    Ok((exchange, tag))
}

fn publisher(draft: &mut Draft<'_>, request: &Request, tag: &Tag) -> Result<LegId, RequestError> {
    let known = draft.legs.by_tag(tag);
    if known.is_some_and(|leg| {
        let subscriptions = &draft.legs.subscriptions;
        !subscriptions.partners(leg).is_empty() || subscriptions.is_subscriber(leg)
    }) {
        return Err(RequestError::Dialogue);
    }
    let addressing = &request.flags.addressing;
    let asked = addressing.interface.as_deref();
    let asked = asked.or(addressing.from_interface.as_deref());
    let selection = &request.flags.selection;
    let label = selection.set_label.as_ref().or(selection.label.as_ref());
    let publisher = lone_party(draft, request, tag, asked, label);
    if let Some(leg) = draft.legs.get_mut(publisher) {
        leg.has_spoken = true;
    }
    Ok(publisher)
}

/// Answers one stream: we receive it, in one codec, and send nothing.
fn publish_section(
    draft: &mut Draft<'_>,
    request: &Request,
    id: SectionId,
    remote: &Arc<RemoteMedia>,
) -> Result<SectionOutput, RequestError> {
    let flags = &request.flags;
    if remote.is_rejected() || remote.protocol.rtp().is_none() {
        draft.reject(id);
        if let Some(section) = draft.section_mut(id) {
            section.kind.clone_from(&remote.kind);
            section.protocol = remote.protocol.clone();
            section.state = SectionState::Rejected;
        }
        return Ok(describe::rejected(draft, id, remote));
    }
    let (rtp_endpoint, rtcp_endpoint) = endpoints(draft, request, remote);
    crypto::check_offer(remote).map_err(|e| RequestError::Crypto(e.0))?;
    note_sender(draft, request, id, remote, (rtp_endpoint, rtcp_endpoint));
    let settled = remote.rtcp_mux && !flags.rtcp_mux.reject;
    draft.open_ports(
        id,
        Need {
            every_address: remote.ice.is_some() && !flags.ice.reject,
            one_per_family: true,
            shared: settled,
        },
    )?;
    let passive_by_default = draft.config.dtls_passive;
    let rng = &mut draft.rng;
    let Some(section) = draft.legs.section_mut(id) else {
        return Err(RequestError::Dialogue);
    };
    mux::answer(&mut section.mux, true, flags.rtcp_mux);
    ice::answer(section, &flags.ice);
    let warning = crypto::answer(
        section,
        Opportunistic::default(),
        &flags.crypto,
        circumstances(request),
        passive_by_default,
        rng,
    )
    .map_err(|e| RequestError::Crypto(e.0))?;
    let speech = remote.codecs.iter().find(|format| format.is_speech());
    section.told = speech
        .or(remote.codecs.first())
        .cloned()
        .into_iter()
        .collect();
    section.we_answered = true;
    draft.warnings.extend(warning.map(str::to_owned));
    draft.close_superfluous(id);
    // RFC 3264 §6.1: a stream that its sender holds is held in the answer.
    let direction = Direction::of(false, remote.direction.sends());
    let answered = RemoteMedia {
        direction,
        written_direction: Some(direction),
        extmaps: Vec::new(),
        extmap_allow_mixed: false,
        label: None,
        other: Vec::new(),
        ..(**remote).clone()
    };
    Ok(describe::answered(draft, request, id, &answered))
}
