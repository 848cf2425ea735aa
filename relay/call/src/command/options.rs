//! What an offer or an answer says about the two parties themselves, apart from their media: interface, address family, label,
//! echo.

use std::net::IpAddr;
use std::sync::Arc;

use ng_protocol::flags::{AddressFamily, DtlsEngine, MediaEcho};
use ng_protocol::{Request, Tag};
use relay_transport::TransportConfig;

use crate::config::EngineChoice;
use crate::draft::Draft;
use crate::leg::{Echo, LegId};
use crate::sdp::{RemoteMedia, SessionDescription};

/// Takes note of what a request says about the two parties themselves.
pub(crate) fn note_options(
    draft: &mut Draft<'_>,
    request: &Request,
    sender: LegId,
    receiver: LegId,
    source: &SessionDescription,
) {
    let addressing = &request.flags.addressing;
    let from = draft.interface_of_leg(sender, addressing.from_interface.as_deref());
    let to = draft.interface_of_leg(receiver, addressing.to_interface.as_deref());
    let family = source
        .media
        .iter()
        .find_map(|m| m.connection())
        .or_else(|| source.connection())
        .map(|c| family_of(c.address));
    let by_source = addressing
        .sip_source_address
        .unwrap_or(draft.config.sip_source);
    let family = match addressing.received_from {
        Some(source) if by_source => Some(family_of(source)),
        _ => family,
    };
    if let Some(leg) = draft.legs.get_mut(sender) {
        leg.interface = from;
        leg.family = leg.family.or(family);
        leg.has_spoken = true;
        leg.delete_at = None;
        let selection = &request.flags.selection;
        if let Some(label) = selection.set_label.as_ref().or(selection.label.as_ref()) {
            leg.label = Some(label.clone());
        }
        if selection.metadata.is_some() {
            leg.metadata = selection.metadata.clone();
        }
        // What was accepted once is remembered: a bundle in use does not fall apart because a re-INVITE lacks the word.
        let bundle = request.flags.sdp.bundle;
        leg.bundle_accepted = (bundle.accept || leg.bundle_accepted) && !bundle.reject;
    }
    let has_riders = draft.has_riders(receiver);
    if let Some(leg) = draft.legs.get_mut(receiver) {
        let bundle = request.flags.sdp.bundle;
        leg.bundle_offered = bundle.offer || bundle.require || has_riders;
        leg.interface = to;
        leg.family = addressing.address_family.or(leg.family).or(family);
        leg.media_address = addressing.media_address.or(leg.media_address);
        leg.delete_at = None;
    }
    note_engine(draft, request, receiver);
    note_echo(draft, request, sender, receiver);
    note_rtcp(draft, request, &[sender, receiver]);
}

/// `dtls-engine` is about the party that gets our description, and stays until another one is named.
fn note_engine(draft: &mut Draft<'_>, request: &Request, receiver: LegId) {
    let wanted = match request.flags.crypto.dtls_engine {
        None => return,
        Some(DtlsEngine::Auto) => EngineChoice::Auto,
        Some(DtlsEngine::Dimpl) => EngineChoice::Dimpl,
        Some(DtlsEngine::Openssl) => EngineChoice::Openssl,
    };
    let Some(leg) = draft.legs.get_mut(receiver) else {
        return;
    };
    let usual = draft.config.transport_on(&leg.interface);
    match usual.dtls.with_engine(wanted) {
        Ok(dtls) => {
            let dtls = TransportConfig {
                dtls,
                ..(**usual).clone()
            };
            leg.transport = Some(Arc::new(dtls));
        }
        Err(problem) => draft
            .warnings
            .push(format!("dtls-engine={wanted} is not followed: {problem}")),
    }
}

/// `generate-RTCP` is about both parties and stays until it is switched off.
pub(crate) fn note_rtcp(draft: &mut Draft<'_>, request: &Request, parties: &[LegId]) {
    let Some(wanted) = request.flags.media.generate_rtcp else {
        return;
    };
    for &leg in parties {
        if let Some(leg) = draft.legs.get_mut(leg) {
            leg.generates_rtcp = wanted;
        }
    }
}

/// Takes note of what an answer says about the way back to the offerer. The answerer has its ports already and keeps them.
pub(crate) fn note_answer(draft: &mut Draft<'_>, request: &Request, offerer: LegId) {
    note_engine(draft, request, offerer);
    let addressing = &request.flags.addressing;
    let interface = draft.interface_of_leg(offerer, addressing.to_interface.as_deref());
    if let Some(leg) = draft.legs.get_mut(offerer) {
        leg.interface = interface;
        leg.family = addressing.address_family.or(leg.family);
        leg.media_address = addressing.media_address.or(leg.media_address);
    }
}

/// Finds or makes a party that a request is about alone, on the interface that is `asked` for, with the request's address family,
/// address and a name for operators.
pub(crate) fn lone_party(
    draft: &mut Draft<'_>,
    request: &Request,
    tag: &Tag,
    asked: Option<&str>,
    label: Option<&String>,
) -> LegId {
    let known = draft.legs.by_tag(tag);
    let present = known.and_then(|id| draft.legs.get(id));
    let present = present.map(|leg| leg.interface.clone());
    let interface = draft.interface_name(asked, present.as_deref());
    let id = known.unwrap_or_else(|| {
        let tag = Some(tag.clone());
        draft.legs.add(tag, interface.clone(), draft.now)
    });
    let addressing = &request.flags.addressing;
    if let Some(leg) = draft.legs.get_mut(id) {
        leg.interface = interface;
        leg.family = addressing.address_family.or(leg.family);
        leg.media_address = addressing.media_address.or(leg.media_address);
        leg.delete_at = None;
        if let Some(label) = label {
            leg.label = Some(label.clone());
        }
    }
    note_engine(draft, request, id);
    note_rtcp(draft, request, &[id]);
    id
}

/// `media-echo`: `forward` sends the receiver's media back to it, `backwards` the sender's; the other party is not heard.
pub(crate) fn note_echo(draft: &mut Draft<'_>, request: &Request, sender: LegId, receiver: LegId) {
    let Some(wanted) = request.flags.media.media_echo else {
        return;
    };
    let (of_sender, of_receiver) = match wanted {
        MediaEcho::Blackhole => (Echo::Nowhere, Echo::Nowhere),
        MediaEcho::Forward => (Echo::Nowhere, Echo::Back),
        MediaEcho::Backwards => (Echo::Back, Echo::Nowhere),
        MediaEcho::Both => (Echo::Back, Echo::Back),
    };
    for (leg, echo) in [(sender, of_sender), (receiver, of_receiver)] {
        if let Some(leg) = draft.legs.get_mut(leg) {
            leg.echo = Some(echo);
        }
    }
}

fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Ip4
    } else {
        AddressFamily::Ip6
    }
}

/// Remembers what the sender's partner is to hear on hold; a request that does not mention it changes nothing.
pub(crate) fn note_hold_music(draft: &mut Draft<'_>, request: &Request, sender: LegId) {
    if let (Some(music), Some(leg)) = (&request.hold_music, draft.legs.get_mut(sender)) {
        leg.hold_music = Some(music.clone());
    }
}

/// Marks what a party says with what its partner is to be told of a hold.
pub(crate) fn show_hold_music(draft: &Draft<'_>, party: LegId, said: &mut [Arc<RemoteMedia>]) {
    let music = draft
        .legs
        .get(party)
        .and_then(|leg| leg.hold_music.as_ref());
    let Some(music) = music else { return };
    let audio = said
        .iter_mut()
        .filter(|media| media.kind.eq_ignore_ascii_case("audio"));
    for media in audio {
        Arc::make_mut(media).hold_mode = Some(music.mode);
    }
}
