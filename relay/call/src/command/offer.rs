//! `offer`: the first half of an exchange. Reads the sender's description, decides what the receiver is offered, opens ports
//! for both, and writes the description for the receiver.
//!
//! Nothing that is in use changes here: keys, ICE and addresses of a running call take effect with the `answer`.

use std::net::SocketAddr;
use std::sync::Arc;

use ng_protocol::flags::TransportProtocol;
use ng_protocol::{Request, reason};

use crate::command::describe::{self, RtcpForm};
use crate::command::options::{note_hold_music, note_options, show_hold_music};
use crate::command::passthrough;
use crate::draft::{Draft, Exchange};
use crate::error::RequestError;
use crate::leg::{LegId, SectionId};
use crate::negotiate::codecs::CodecOffer;
use crate::negotiate::crypto::Circumstances;
use crate::negotiate::mux::MuxOffer;
use crate::negotiate::{codecs, crypto, ice, mux, sdes};
use crate::placement::Need;
use crate::sdp::protocol::RtpProfile;
use crate::sdp::rewrite::SectionOutput;
use crate::sdp::{Protocol, RemoteMedia, SessionDescription};
use crate::section::SectionState;

/// Carries out an `offer`.
pub(crate) fn offer(draft: &mut Draft<'_>, request: &Request) -> Result<Exchange, RequestError> {
    let source = description(request)?;
    let (sender, receiver) = parties(draft, request)?;
    note_options(draft, request, sender, receiver, &source);
    if request.flags.sdp.loop_protect
        && source
            .attributes("rtpengine")
            .any(|mark| mark == draft.config.instance)
    {
        return Ok(Exchange {
            body: source.to_bytes(),
            sender,
            receiver,
            sections: Vec::new(),
        });
    }

    if sdes::asks_for_weakness(&request.flags.crypto.sdes) {
        draft.warnings.push(
            "SDES options that ask for media without encryption or authentication are not followed"
                .into(),
        );
    }
    note_hold_music(draft, request, sender);
    let mut remotes = RemoteMedia::read_all(&source);
    show_hold_music(draft, sender, &mut remotes);
    let indexes = described_sections(draft, sender, remotes.len());
    let mut outputs = Vec::new();
    for (remote, &index) in remotes.into_iter().zip(&indexes) {
        draft.extend_sections(sender, index);
        draft.extend_sections(receiver, index);
        let ids = (
            SectionId { leg: sender, index },
            SectionId {
                leg: receiver,
                index,
            },
        );
        outputs.extend(offer_section(draft, request, ids, remote)?);
    }
    outputs.extend(drop_missing(draft, sender, receiver, &indexes));
    draft.legs.subscriptions.offered(sender, receiver);
    describe::write(draft, request, &source, sender, receiver, outputs)
}

/// What a request says about keys besides its crypto options.
pub(crate) fn circumstances(request: &Request) -> Circumstances {
    Circumstances {
        reset: request.flags.media.reset,
        no_tls_id: request.flags.sdp.no_tls_id,
    }
}

/// The description of a request.
pub(crate) fn description(request: &Request) -> Result<SessionDescription, RequestError> {
    let body = request
        .sdp
        .as_deref()
        .ok_or(RequestError::Missing(reason::NO_SDP))?;
    Ok(SessionDescription::parse(body)?)
}

/// Which of a leg's sections the sections of its description are: those it was shown, then new ones.
pub(crate) fn described_sections(draft: &Draft<'_>, leg: LegId, count: usize) -> Vec<usize> {
    let sections = draft.legs.get(leg).map_or(&[][..], |leg| &leg.sections);
    let shown = (0..sections.len()).filter(|&index| !sections[index].hidden);
    shown.chain(sections.len()..).take(count).collect()
}

/// Finds or makes the two parties: the sender by its tag, the receiver by tag, by branch, or as the sender's partner.
fn parties(draft: &mut Draft<'_>, request: &Request) -> Result<(LegId, LegId), RequestError> {
    let from_tag = request
        .from_tag
        .as_ref()
        .ok_or(RequestError::Missing(reason::NO_FROM_TAG))?;
    let known_receiver = match &request.to_tag {
        Some(tag) if tag == from_tag => return Err(RequestError::Dialogue),
        Some(tag) => draft.legs.by_tag(tag),
        None => None,
    };
    let sender = match draft.legs.by_tag(from_tag) {
        Some(sender) => sender,
        None => {
            // A party that was only offered to so far, and now offers itself, brings its tag along.
            let untagged =
                known_receiver.and_then(|receiver| untagged_partner(draft, receiver, request));
            let sender = untagged.unwrap_or_else(|| {
                let interface = draft.interface_name(None, None);
                draft.legs.add(None, interface, draft.now)
            });
            if let Some(leg) = draft.legs.get_mut(sender) {
                leg.tag = Some(from_tag.clone());
            }
            sender
        }
    };
    let receiver = known_receiver
        .or_else(|| partner_of_branch(draft, sender, request))
        .unwrap_or_else(|| {
            let interface = draft.interface_name(None, None);
            draft.legs.add(None, interface, draft.now)
        });
    if receiver == sender {
        return Err(RequestError::Dialogue);
    }
    if let Some(leg) = draft.legs.get_mut(receiver) {
        if leg.tag.is_none() {
            leg.tag = request.to_tag.clone();
        }
        if leg.via_branch.is_none() {
            leg.via_branch = request.via_branch.clone();
        }
    }
    Ok((sender, receiver))
}

fn untagged_partner(draft: &Draft<'_>, leg: LegId, request: &Request) -> Option<LegId> {
    let partners = draft.legs.subscriptions.partners(leg);
    let mut untagged = partners
        .into_iter()
        .filter(|&id| draft.legs.get(id).is_some_and(|leg| leg.tag.is_none()));
    match &request.via_branch {
        Some(branch) => untagged.find(|&id| {
            draft.legs.get(id).is_some_and(|leg| {
                leg.via_branch.is_none() || leg.via_branch.as_ref() == Some(branch)
            })
        }),
        None => untagged.next(),
    }
}

/// The receiver when its tag does not tell: the partner of that branch, or without a branch the present partner.
/// A tag that nobody has yet names an untagged partner, or a new one.
fn partner_of_branch(draft: &Draft<'_>, sender: LegId, request: &Request) -> Option<LegId> {
    let partners = draft.legs.subscriptions.partners(sender);
    let with = |test: &dyn Fn(LegId) -> bool| partners.iter().copied().find(|&id| test(id));
    if let Some(branch) = &request.via_branch {
        let of_branch = with(&|id| {
            draft
                .legs
                .get(id)
                .is_some_and(|leg| leg.via_branch.as_ref() == Some(branch))
        });
        if of_branch.is_some() || request.to_tag.is_none() {
            return of_branch;
        }
    }
    if request.to_tag.is_some() {
        return untagged_partner(draft, sender, request);
    }
    draft.legs.subscriptions.current(sender)
}

/// Where a party wants RTP and RTCP, after `SIP-source-address`.
pub(crate) fn endpoints(
    draft: &Draft<'_>,
    request: &Request,
    remote: &RemoteMedia,
) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let addressing = &request.flags.addressing;
    let by_source = addressing
        .sip_source_address
        .unwrap_or(draft.config.sip_source);
    let (rtp, rtcp) = (remote.rtp_endpoint(), remote.rtcp_endpoint());
    match addressing.received_from {
        Some(source) if by_source && remote.ice.is_none() => {
            let moved = |endpoint: Option<SocketAddr>, port: u16| {
                let port = endpoint.map_or(port, |e| e.port());
                (port != 0).then(|| SocketAddr::new(source, port))
            };
            (
                moved(rtp, remote.port),
                moved(rtcp, remote.port.checked_add(1).unwrap_or(0)),
            )
        }
        _ => (rtp, rtcp),
    }
}

/// Decides about one section. `None` when the receiver is not to see it.
fn offer_section(
    draft: &mut Draft<'_>,
    request: &Request,
    (sender, receiver): (SectionId, SectionId),
    remote: Arc<RemoteMedia>,
) -> Result<Option<SectionOutput>, RequestError> {
    let flags = &request.flags;
    let hidden = flags
        .sdp
        .media_remove
        .iter()
        .any(|kind| kind.eq_ignore_ascii_case(&remote.kind));
    if let Some(section) = draft.section_mut(receiver) {
        section.hidden = hidden;
    }
    let accepts_bundle = draft
        .legs
        .get(sender.leg)
        .is_some_and(|leg| leg.bundle_accepted);
    // RFC 9143 §7.3.3: what lives on the port of a bundle alone dies without one.
    let homeless = remote.bundle_only && !accepts_bundle;
    if remote.is_rejected() || hidden || homeless {
        refuse(draft, (sender, receiver), &remote);
        return Ok((!hidden).then(|| describe::rejected(draft, receiver, &remote)));
    }
    let opaque = remote.protocol.is_opaque();
    if remote.protocol.rtp().is_none() && !opaque {
        return Ok(Some(pass_foreign(draft, (sender, receiver), remote)));
    }
    let (rtp_endpoint, rtcp_endpoint) = endpoints(draft, request, &remote);
    let has_candidates = remote
        .ice
        .as_ref()
        .is_some_and(|i| !i.candidates.is_empty());
    if remote.address.is_none() && rtp_endpoint.is_none() && !has_candidates {
        return Err(RequestError::NoAddress(sender.index + 1));
    }
    let passes = passthrough::wanted(draft, request, sender, &remote);
    if !passes {
        crypto::check_offer(&remote).map_err(|e| RequestError::Crypto(e.0))?;
    }
    let offered = if opaque {
        CodecOffer::default()
    } else {
        let before = draft.section(receiver).map_or(&[][..], |s| &s.told);
        codecs::offer(&remote.codecs, before, &flags.codec).map_err(|e| RequestError::Codec(e.0))?
    };
    if offered.refused {
        refuse(draft, (sender, receiver), &remote);
        return Ok(Some(describe::rejected(draft, receiver, &remote)));
    }
    draft.warnings.extend(offered.warning);
    if passes {
        let ids = (sender, receiver);
        return passthrough::offer(draft, request, ids, &remote, offered.formats).map(Some);
    }

    note_sender(
        draft,
        request,
        sender,
        &remote,
        (rtp_endpoint, rtcp_endpoint),
    );
    let settled = draft
        .section(sender)
        .is_some_and(|s| mux::is_settled(&s.mux));
    let sender_has_ice = remote.ice.is_some() && !flags.ice.reject;
    let rides = draft.keeps_riding(sender, accepts_bundle && remote.bundled);
    if !rides && !remote.bundle_only {
        draft.open_ports(
            sender,
            Need {
                every_address: sender_has_ice,
                one_per_family: true,
                shared: settled,
            },
        )?;
    }
    let offers_bundle = draft
        .legs
        .get(receiver.leg)
        .is_some_and(|leg| leg.bundle_offered);
    let rides = draft.keeps_riding(receiver, offers_bundle && !opaque);
    let carrier = draft
        .first_before(receiver)
        .filter(|_| flags.sdp.bundle.require && !opaque && !rides);
    if let Some(carrier) = carrier {
        draft.ride(receiver, carrier);
    }

    let rng = &mut draft.rng;
    let Some(section) = draft.legs.section_mut(receiver) else {
        return Err(RequestError::Dialogue);
    };
    let in_use = section.is_live() && section.remote.is_some();
    let present = section.profile.filter(|_| in_use).map(Protocol::Rtp);
    let wanted = flags.crypto.transport_protocol;
    let protocol = receiver_protocol(&remote.protocol, present, wanted);
    section.kind.clone_from(&remote.kind);
    section.state = SectionState::Live;
    section.passthrough = false;
    section.set_protocol(protocol);
    if section.mid.is_none() {
        let needs_mid = flags.sdp.generate_mid || offers_bundle;
        section.mid = remote
            .mid
            .clone()
            .or_else(|| needs_mid.then(|| (receiver.index + 1).to_string()));
    }
    section.ptime_ms = flags.codec.ptime_ms.or(section.ptime_ms);
    section.note_encoding(flags.codec.set.iter().chain(&flags.codec.transcode));
    section.always_transcodes = flags.codec.force_transcoding;
    section.told.clone_from(&offered.formats);
    section.we_answered = false;
    let mux_offer = if opaque {
        MuxOffer::None
    } else {
        let mut wanted = flags.rtcp_mux;
        // RFC 9143 §9.3: who bundles multiplexes.
        wanted.offer |= offers_bundle;
        mux::offer(&mut section.mux, remote.rtcp_mux, wanted)
    };
    if rides || carrier.is_some() {
        section.bundle_only = carrier.is_some();
        let rtcp = RtcpForm::Mux;
        return Ok(Some(describe::offered(
            draft, request, receiver, &remote, rtcp,
        )));
    }
    let reset = flags.media.reset;
    let has_ice = ice::offer(
        &mut section.ice,
        remote.ice.is_some(),
        &flags.ice,
        reset,
        rng,
    );
    let circumstances = circumstances(request);
    crypto::offer(section, &remote, &flags.crypto, circumstances, rng)
        .map_err(|e| RequestError::Crypto(e.0))?;
    draft.open_ports(
        receiver,
        Need {
            every_address: has_ice,
            one_per_family: false,
            shared: mux_offer == MuxOffer::Only,
        },
    )?;
    let rtcp = match mux_offer {
        _ if opaque => RtcpForm::Absent,
        MuxOffer::None => RtcpForm::Separate,
        MuxOffer::WithFallback => RtcpForm::MuxWithFallback,
        MuxOffer::Only => RtcpForm::Mux,
    };
    Ok(Some(describe::offered(
        draft, request, receiver, &remote, rtcp,
    )))
}

/// Takes down what the sender says; what of it is used is decided by the answer.
pub(crate) fn note_sender(
    draft: &mut Draft<'_>,
    request: &Request,
    sender: SectionId,
    remote: &Arc<RemoteMedia>,
    (rtp_endpoint, rtcp_endpoint): (Option<SocketAddr>, Option<SocketAddr>),
) {
    let flags = &request.flags;
    let rng = &mut draft.rng;
    if let Some(section) = draft.legs.section_mut(sender) {
        section.kind.clone_from(&remote.kind);
        section.state = SectionState::Live;
        section.passthrough = false;
        section.set_protocol(remote.protocol.clone());
        section.mid = remote.mid.clone().or(section.mid.take());
        section.rtp_endpoint = rtp_endpoint;
        section.rtcp_endpoint = rtcp_endpoint;
        section.way.note(&flags.media);
        section.ptime_ms = flags.codec.ptime_reverse_ms.or(section.ptime_ms);
        section.note_encoding(flags.codec.set.iter());
        section.always_transcodes = flags.codec.force_transcoding;
        section.accepted = codecs::accepted(&flags.codec);
        crypto::note_offer(section, remote, &flags.crypto);
        if !section.is_opaque() {
            mux::note_offer(&mut section.mux, remote, flags.rtcp_mux);
        }
        ice::note_offer(section, remote, &flags.ice, flags.media.reset, rng);
        section.remote = Some(remote.clone());
    }
}

/// The transport towards the receiver: what the operator wants, else the one that is in use with it, else the sender's.
/// What is not RTP is passed on as it is.
pub(crate) fn receiver_protocol(
    offered: &Protocol,
    present: Option<Protocol>,
    wanted: Option<TransportProtocol>,
) -> Protocol {
    if offered.is_opaque() {
        return offered.clone();
    }
    match wanted {
        Some(TransportProtocol::RtpAvp) => Protocol::Rtp(RtpProfile::AVP),
        Some(TransportProtocol::RtpAvpf) => Protocol::Rtp(RtpProfile::AVPF),
        Some(TransportProtocol::RtpSavp) => Protocol::Rtp(RtpProfile::SAVP),
        Some(TransportProtocol::RtpSavpf) => Protocol::Rtp(RtpProfile::SAVPF),
        Some(TransportProtocol::UdpTlsRtpSavp) => Protocol::Rtp(RtpProfile::DTLS_SAVP),
        Some(TransportProtocol::UdpTlsRtpSavpf) => Protocol::Rtp(RtpProfile::DTLS_SAVPF),
        Some(TransportProtocol::Udptl | TransportProtocol::Accept) | None => {
            present.unwrap_or_else(|| offered.clone())
        }
    }
}

/// A stream that the sender refuses or ends is closed on both sides (RFC 3264 §8.2).
fn refuse(
    draft: &mut Draft<'_>,
    (sender, receiver): (SectionId, SectionId),
    remote: &Arc<RemoteMedia>,
) {
    for id in [sender, receiver] {
        draft.reject(id);
        if let Some(section) = draft.section_mut(id) {
            section.kind.clone_from(&remote.kind);
            section.protocol = remote.protocol.clone();
        }
    }
    if let Some(section) = draft.section_mut(sender) {
        section.mid = remote.mid.clone().or(section.mid.take());
        section.remote = Some(remote.clone());
    }
    if let Some(section) = draft.section_mut(receiver) {
        section.mid = section.mid.take().or_else(|| remote.mid.clone());
    }
}

/// A transport that a media relay does not carry passes with its addresses.
fn pass_foreign(
    draft: &mut Draft<'_>,
    (sender, receiver): (SectionId, SectionId),
    remote: Arc<RemoteMedia>,
) -> SectionOutput {
    for id in [sender, receiver] {
        draft.reject(id);
        if let Some(section) = draft.section_mut(id) {
            section.kind.clone_from(&remote.kind);
            section.protocol = remote.protocol.clone();
            section.state = SectionState::Foreign;
        }
    }
    let output = describe::foreign(&remote);
    if let Some(section) = draft.section_mut(sender) {
        section.remote = Some(remote);
    }
    output
}

/// A description with fewer sections than before ends the others (RFC 3264 §8 forbids it, some do it).
fn drop_missing(
    draft: &mut Draft<'_>,
    sender: LegId,
    receiver: LegId,
    described: &[usize],
) -> Vec<SectionOutput> {
    let count = draft.legs.get(sender).map_or(0, |leg| leg.sections.len());
    let mut outputs = Vec::new();
    for index in (0..count).filter(|index| !described.contains(index)) {
        draft.reject(SectionId { leg: sender, index });
        let id = SectionId {
            leg: receiver,
            index,
        };
        draft.reject(id);
        if let Some(section) = draft.section(id).filter(|section| !section.hidden) {
            outputs.push(describe::ended(section));
        }
    }
    outputs
}
