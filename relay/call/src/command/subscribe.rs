//! `subscribe request`, `subscribe answer`, `unsubscribe`: a third party, a recorder mostly (RFC 7866), hears what parties say.
//!
//! The subscriber is a leg like any other, with ports, keys and codecs of its own; each of its sections hears one section of
//! the call, or with `mix` every voice in it. Nobody waits for it. With `bidirectional` those whom a section hears also hear
//! what the subscriber says in it, beside whomever they hear.

use ng_protocol::flags::All;
use ng_protocol::{Dictionary, Request, Response, Tag, Value, reason};
use rand::RngExt;

use crate::command::answer::accept;
use crate::command::describe::{self, RtcpForm};
use crate::command::offer::{circumstances, described_sections, description, receiver_protocol};
use crate::command::options::lone_party;
use crate::command::select::{self, FromTag};
use crate::draft::Draft;
use crate::error::RequestError;
use crate::event::SectionSummary;
use crate::leg::{LegId, Legs, SectionId};
use crate::negotiate::mux::MuxOffer;
use crate::negotiate::{codecs, crypto, ice, mux};
use crate::placement::Need;
use crate::sdp::rewrite::SectionOutput;
use crate::sdp::{Direction, PayloadFormat, Protocol, RemoteMedia, SessionDescription};
use crate::section::{MediaSection, SectionState};
use crate::subscription::Back;

/// What a `subscribe request` came to.
#[derive(Debug)]
pub(crate) struct Subscribed {
    /// The reply.
    pub(crate) response: Response,
    /// The tag of the subscriber.
    pub(crate) subscriber: Tag,
    /// The names of those it is to hear.
    pub(crate) sources: Vec<String>,
    /// What it is offered, in words.
    pub(crate) sections: Vec<SectionSummary>,
}

/// Carries out a `subscribe request`: makes the subscriber, or replaces what it hears, and writes the offer for it.
pub(crate) fn request(
    draft: &mut Draft<'_>,
    request: &Request,
) -> Result<Subscribed, RequestError> {
    let sources = sources(&draft.legs, request)?;
    let tag = request.to_tag.clone().unwrap_or_else(|| own_tag(draft));
    let subscriber = subscriber(draft, request, &tag, &sources)?;
    draft.legs.subscriptions.untap(subscriber, None);

    let mut outputs = Vec::new();
    let mut taps = Vec::new();
    for group in groups(&draft.legs, &sources, request.flags.media.mix) {
        let section = SectionId {
            leg: subscriber,
            index: outputs.len(),
        };
        draft.extend_sections(subscriber, section.index);
        let siprec = request.flags.media.siprec;
        let label = siprec.then(|| label(draft, group[0]));
        outputs.push(offer(draft, request, section, &group, label)?);
        for source in group {
            let back = Back {
                reports: request.flags.media.rtcp_mirror,
                speech: speaks(draft, request, source),
            };
            draft.legs.subscriptions.tap(source, section, back);
            taps.push((source, label));
        }
    }
    if taps.is_empty() {
        return Err(RequestError::Selection(reason::NO_MEDIAS));
    }
    // RFC 3264 §8: a description never gets shorter; what is no longer heard has port 0.
    let count = draft
        .legs
        .get(subscriber)
        .map_or(0, |leg| leg.sections.len());
    for index in outputs.len()..count {
        let id = SectionId {
            leg: subscriber,
            index,
        };
        draft.reject(id);
        outputs.extend(draft.section(id).map(describe::ended));
    }
    // The description is one of ours, of which every change has a version of its own.
    let mut own = request.clone();
    own.flags.sdp.replace.sdp_version = true;
    let nothing = SessionDescription {
        lines: Vec::new(),
        media: Vec::new(),
    };
    let exchange = describe::write(draft, &own, &nothing, subscriber, subscriber, outputs)?;
    Ok(Subscribed {
        response: reply(&draft.legs, exchange.body, &tag, &sources, &taps),
        subscriber: tag,
        sources: names(&draft.legs, &sources),
        sections: exchange.sections,
    })
}

fn names(legs: &Legs, ids: &[LegId]) -> Vec<String> {
    let found = ids.iter().filter_map(|&id| legs.get(id));
    found.map(|leg| leg.name()).collect()
}

/// Whose media is asked for. Tags in a list that nobody has are passed over.
fn sources(legs: &Legs, request: &Request) -> Result<Vec<LegId>, RequestError> {
    let selection = &request.flags.selection;
    let sources: Vec<LegId> = if selection.all == Some(All::All) {
        let speakers = legs.iter().map(|leg| leg.id);
        speakers
            .filter(|&id| !legs.subscriptions.is_subscriber(id))
            .collect()
    } else if request.from_tags.is_empty() {
        select::party(legs, request, FromTag::Selects)?
            .into_iter()
            .collect()
    } else {
        let tags = request.from_tags.iter();
        tags.filter_map(|tag| legs.by_tag(tag)).collect()
    };
    if sources.is_empty() {
        return Err(RequestError::Selection(reason::NO_MEDIAS));
    }
    Ok(sources)
}

/// A tag for a party that the controller left to us to name: 64 hex digits.
pub(crate) fn own_tag(draft: &mut Draft<'_>) -> Tag {
    let digits: String = (0..4)
        .map(|_| format!("{:016x}", draft.rng.random::<u64>()))
        .collect();
    Tag::from(digits.as_str())
}

fn subscriber(
    draft: &mut Draft<'_>,
    request: &Request,
    tag: &Tag,
    sources: &[LegId],
) -> Result<LegId, RequestError> {
    let known = draft.legs.by_tag(tag);
    if let Some(leg) = known {
        // A party of the call has a description of its own in use; it cannot be offered another one here.
        let talks = !draft.legs.subscriptions.partners(leg).is_empty();
        if talks || sources.contains(&leg) {
            return Err(RequestError::Dialogue);
        }
    }
    let addressing = &request.flags.addressing;
    let asked = addressing.interface.as_deref();
    let asked = asked
        .or(addressing.to_interface.as_deref())
        .or(addressing.from_interface.as_deref());
    let selection = &request.flags.selection;
    let label = selection.set_label.as_ref().or(selection.to_label.as_ref());
    Ok(lone_party(draft, request, tag, asked, label))
}

/// The streams of a party that there is something to hear of: RTP, described by the party.
fn streams(legs: &Legs, leg: LegId) -> Vec<SectionId> {
    let sections = legs.get(leg).map_or(&[][..], |leg| &leg.sections);
    (0..sections.len())
        .filter(|&index| {
            let section = &sections[index];
            section.is_live() && section.remote.is_some() && !section.passes_unread()
        })
        .map(|index| SectionId { leg, index })
        .collect()
}

/// The streams that are heard together, each group in a section: all voices if they are to be mixed, else each by itself.
fn groups(legs: &Legs, sources: &[LegId], mixed: bool) -> Vec<Vec<SectionId>> {
    let mut groups: Vec<Vec<SectionId>> = Vec::new();
    let mut voices = None;
    for source in sources.iter().flat_map(|&leg| streams(legs, leg)) {
        let joins = mixed && is_audio(legs, source);
        match voices.filter(|_| joins) {
            Some(at) => {
                let group: &mut Vec<SectionId> = &mut groups[at];
                group.push(source);
            }
            None => {
                if joins {
                    voices = Some(groups.len());
                }
                groups.push(vec![source]);
            }
        }
    }
    groups
}

fn is_audio(legs: &Legs, id: SectionId) -> bool {
    let section = legs.section(id);
    section.is_some_and(|section| section.kind.eq_ignore_ascii_case("audio"))
}

/// Whether a stream's party is to hear what the subscriber says.
fn speaks(draft: &Draft<'_>, request: &Request, source: SectionId) -> bool {
    let media = &request.flags.media;
    media.bidirectional && !media.inactive && is_audio(&draft.legs, source)
}

/// The number under which a recorder knows a stream (RFC 7866 §7.1.1, RFC 4574), the same for every recorder.
fn label(draft: &mut Draft<'_>, source: SectionId) -> u32 {
    let highest = draft
        .legs
        .iter()
        .flat_map(|leg| &leg.sections)
        .filter_map(|section| section.recording_label)
        .max();
    let next = highest.map_or(0, |label| label + 1);
    match draft.section_mut(source) {
        Some(section) => *section.recording_label.get_or_insert(next),
        None => next,
    }
}

/// Decides what a section of the subscriber is offered, and opens its ports.
fn offer(
    draft: &mut Draft<'_>,
    request: &Request,
    id: SectionId,
    sources: &[SectionId],
    label: Option<u32>,
) -> Result<SectionOutput, RequestError> {
    let flags = &request.flags;
    let mut heard = heard(draft, request, sources[0], label)
        .ok_or(RequestError::Selection(reason::SUBSCRIBE_REQUEST_FAILED))?;
    if sources.len() > 1 {
        // A mix is encoded here, whatever its voices are encoded in.
        check_mixable(draft, sources)?;
        let codecs = &mut heard.codecs;
        codecs.retain(|format| format.is_transcodable() || format.is_telephone_event());
    }
    let before = draft.section(id).map_or(&[][..], |section| &section.told);
    let offered =
        codecs::offer(&heard.codecs, before, &flags.codec).map_err(|e| RequestError::Codec(e.0))?;
    draft.warnings.extend(offered.warning);
    let mut formats = offered.formats;
    if sources.len() > 1 || speaks(draft, request, sources[0]) {
        formats.retain(|format| format.is_transcodable() || !format.is_speech());
    }

    let rng = &mut draft.rng;
    let Some(section) = draft.legs.section_mut(id) else {
        return Err(RequestError::Selection(reason::SUBSCRIBE_REQUEST_FAILED));
    };
    let in_use = section.is_live() && section.remote.is_some();
    let present = section.profile.filter(|_| in_use).map(Protocol::Rtp);
    let wanted = flags.crypto.transport_protocol;
    section.set_protocol(receiver_protocol(&heard.protocol, present, wanted));
    section.kind.clone_from(&heard.kind);
    section.state = SectionState::Live;
    if section.mid.is_none() && flags.sdp.generate_mid {
        section.mid = Some((id.index + 1).to_string());
    }
    section.ptime_ms = flags.codec.ptime_ms.or(section.ptime_ms);
    section.note_encoding(flags.codec.set.iter().chain(&flags.codec.transcode));
    section.told = formats;
    section.we_answered = false;
    let mux_offer = mux::offer(&mut section.mux, false, flags.rtcp_mux);
    let has_ice = ice::offer(&mut section.ice, false, &flags.ice, flags.media.reset, rng);
    crypto::offer(section, &heard, &flags.crypto, circumstances(request), rng)
        .map_err(|e| RequestError::Crypto(e.0))?;
    draft.open_ports(
        id,
        Need {
            every_address: has_ice,
            one_per_family: false,
            shared: mux_offer == MuxOffer::Only,
        },
    )?;
    let rtcp = match mux_offer {
        MuxOffer::None => RtcpForm::Separate,
        MuxOffer::WithFallback => RtcpForm::MuxWithFallback,
        MuxOffer::Only => RtcpForm::Mux,
    };
    Ok(describe::offered(draft, request, id, &heard, rtcp))
}

/// Every voice of a mix must be one that can be decoded here.
fn check_mixable(draft: &Draft<'_>, sources: &[SectionId]) -> Result<(), RequestError> {
    for &source in sources {
        let section = draft.section(source);
        let formats = section.into_iter().flat_map(MediaSection::sent_formats);
        if !formats.clone().any(PayloadFormat::is_transcodable) {
            let names = formats.filter_map(PayloadFormat::mapping);
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(RequestError::Codec(format!("{names} cannot be mixed")));
        }
    }
    Ok(())
}

/// The stream of a party as it is described to a subscriber: what it sends, and nothing of how it is connected to us.
fn heard(
    draft: &Draft<'_>,
    request: &Request,
    source: SectionId,
    label: Option<u32>,
) -> Option<RemoteMedia> {
    let section = draft.section(source)?;
    let remote = section.remote.as_ref()?;
    let speaks = speaks(draft, request, source);
    let direction = Direction::of(!request.flags.media.inactive, speaks);
    Some(RemoteMedia {
        codecs: section.sent_formats().cloned().collect(),
        address: None,
        rtcp: None,
        rtcp_mux: false,
        direction,
        written_direction: Some(direction),
        mid: None,
        label: label.map(|label| label.to_string()),
        extmaps: Vec::new(),
        extmap_allow_mixed: false,
        ice: None,
        setup: None,
        fingerprints: Vec::new(),
        tls_id: None,
        crypto: Vec::new(),
        bundled: false,
        bundle_only: false,
        other: Vec::new(),
        ..(**remote).clone()
    })
}

fn reply(
    legs: &Legs,
    body: Vec<u8>,
    tag: &Tag,
    sources: &[LegId],
    taps: &[(SectionId, Option<u32>)],
) -> Response {
    let bytes = |tag: &Tag| tag.as_bytes().to_vec();
    let tags = sources.iter().filter_map(|&id| legs.get(id)?.tag.as_ref());
    let tags: Vec<Value<'static>> = tags.map(|tag| bytes(tag).into()).collect();
    let mut response = Response::sdp(body);
    if let ([(only, _)], [_]) = (taps, sources)
        && let Some(tag) = legs.get(only.leg).and_then(|leg| leg.tag.as_ref())
    {
        response = response.with("from-tag", bytes(tag));
    }
    if taps.iter().any(|(_, label)| label.is_some()) {
        let (tag_medias, media_labels) = labels(legs, sources, taps);
        response = response
            .with("tag-medias", tag_medias)
            .with("media-labels", media_labels);
    }
    response.with("from-tags", tags).with("to-tag", bytes(tag))
}

/// The labels by party and by number.
fn labels(
    legs: &Legs,
    sources: &[LegId],
    taps: &[(SectionId, Option<u32>)],
) -> (Vec<Value<'static>>, Dictionary<'static>) {
    let mut by_party = Vec::new();
    let mut by_number = Dictionary::new();
    for &id in sources {
        let Some(leg) = legs.get(id) else { continue };
        let tag = leg.tag.as_ref().map(|tag| tag.as_bytes().to_vec());
        let tag = tag.unwrap_or_default();
        let mut medias: Vec<Value<'static>> = Vec::new();
        for (source, label) in taps.iter().filter(|(source, _)| source.leg == id) {
            let (Some(section), Some(label)) = (legs.section(*source), label) else {
                continue;
            };
            let label = label.to_string();
            let mode = section.remote.as_ref().map_or("", |r| r.direction.name());
            let index = source.index + 1;
            let media = Dictionary::new()
                .with("index", index)
                .with("type", section.kind.clone())
                .with("label", label.clone())
                .with("mode", mode);
            medias.push(media.into());
            let entry = Dictionary::new()
                .with("tag", tag.clone())
                .with("index", index)
                .with("type", section.kind.clone())
                .with_some("label", leg.label.clone())
                .with("mode", mode);
            // A mix has one number for all its voices.
            if by_number.get(&label).is_none() {
                by_number.push(label.into_bytes(), entry);
            }
        }
        let party = Dictionary::new()
            .with("tag", tag)
            .with_some("label", leg.label.clone())
            .with("medias", medias);
        by_party.push(party.into());
    }
    (by_party, by_number)
}

/// Carries out a `subscribe answer`; from now on the subscriber hears.
pub(crate) fn answer(draft: &mut Draft<'_>, request: &Request) -> Result<LegId, RequestError> {
    let source = description(request)?;
    let subscriber = named_subscriber(&draft.legs, request)?;
    let remotes = RemoteMedia::read_all(&source);
    let count = draft
        .legs
        .get(subscriber)
        .map_or(0, |leg| leg.sections.len());
    let indexes = described_sections(draft, subscriber, remotes.len());
    if remotes.len() > count {
        return Err(failed("it describes more media than was offered"));
    }
    for index in 0..count {
        let id = SectionId {
            leg: subscriber,
            index,
        };
        let said = indexes.iter().position(|&i| i == index);
        let said = said.map(|at| &remotes[at]).filter(|r| !r.is_rejected());
        let Some((section, said)) = draft.section(id).filter(|s| s.is_live()).zip(said) else {
            draft.reject(id);
            continue;
        };
        let speaks = section.told.iter().filter(|format| format.is_speech());
        let mut agreed = speaks.filter(|ours| said.codecs.iter().any(|c| c.same_encoding(ours)));
        let has_speech = section.told.iter().any(|format| format.is_speech());
        let transcoded = request.flags.codec.allow_transcoding
            && said.codecs.iter().any(PayloadFormat::is_transcodable);
        if has_speech && agreed.next().is_none() && !transcoded {
            return Err(failed("it takes none of the codecs that were offered"));
        }
        accept(draft, request, (id, id), said)?;
    }
    if let Some(leg) = draft.legs.get_mut(subscriber) {
        leg.has_spoken = true;
    }
    Ok(subscriber)
}

fn failed(why: &str) -> RequestError {
    RequestError::Subscription(why.to_owned())
}

/// The party of the to-tag, which has to be a subscriber.
fn named_subscriber(legs: &Legs, request: &Request) -> Result<LegId, RequestError> {
    let tag = request.to_tag.as_ref();
    let tag = tag.ok_or(RequestError::Missing(reason::NO_TO_TAG))?;
    legs.by_tag(tag)
        .filter(|&id| legs.subscriptions.is_subscriber(id))
        .ok_or(RequestError::Selection(reason::TO_TAG_NOT_FOUND))
}

/// Carries out an `unsubscribe`. The subscriber is named if it hears nobody any more, and so can go.
pub(crate) fn unsubscribe(
    legs: &mut Legs,
    request: &Request,
) -> Result<Option<LegId>, RequestError> {
    let subscriber = named_subscriber(legs, request)?;
    let source = match &request.from_tag {
        Some(tag) if request.flags.selection.directional => Some(select::by_tag(legs, tag)?),
        _ => None,
    };
    legs.subscriptions.untap(subscriber, source);
    Ok(legs
        .subscriptions
        .is_alone(subscriber)
        .then_some(subscriber))
}
