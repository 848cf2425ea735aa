//! Media that passes as it is (`passthrough`, `ICE=optional`, `ICE=force-relay`): the parties agree on ICE and keys with each
//! other, and the relay is an address between them that looks into nothing.
//!
//! What the parties say about ICE, DTLS, SDES and rtcp-mux is passed on; candidates of ours stand beside theirs, behind them in
//! rank. A check that comes to one of our ports goes on to the other side under the other side's credentials, as every datagram
//! does.

use std::sync::Arc;

use ng_protocol::Request;
use ng_protocol::flags::Ice;
use relay_transport::ice::{Candidate, CandidateKind, Component};

use crate::command::describe::{self, RtcpForm};
use crate::command::offer::{endpoints, receiver_protocol};
use crate::draft::Draft;
use crate::error::RequestError;
use crate::leg::SectionId;
use crate::placement::Need;
use crate::sdp::rewrite::{DtlsOutput, IceOutput, SectionOutput};
use crate::sdp::{PayloadFormat, RemoteMedia};
use crate::section::{DtlsState, IceState, MuxState, Opportunistic, SdesState, SectionState};

/// Whether the stream of an offer is to pass as it is. Without ICE `optional` and `force-relay` are `force`.
pub(crate) fn wanted(
    draft: &mut Draft<'_>,
    request: &Request,
    sender: SectionId,
    remote: &Arc<RemoteMedia>,
) -> bool {
    let flags = &request.flags;
    let by_ice = matches!(flags.ice.mode, Some(Ice::Optional | Ice::ForceRelay));
    // What passes goes on passing: nobody but the two parties has their keys.
    let present = draft.section(sender).is_some_and(|s| s.passthrough);
    let wanted = match flags.media.passthrough {
        Some(wanted) => wanted,
        None => present || (by_ice && remote.ice.is_some()),
    };
    if !wanted || remote.protocol.rtp().is_none() {
        return false;
    }
    let protocol = receiver_protocol(&remote.protocol, None, flags.crypto.transport_protocol);
    if protocol != remote.protocol {
        draft.warnings.push(format!(
            "media from {} to {protocol} cannot pass as it is; it is decrypted and encrypted here",
            remote.protocol
        ));
        return false;
    }
    true
}

/// Passes a section of an offer on.
pub(crate) fn offer(
    draft: &mut Draft<'_>,
    request: &Request,
    (sender, receiver): (SectionId, SectionId),
    remote: &Arc<RemoteMedia>,
    mut formats: Vec<PayloadFormat>,
) -> Result<SectionOutput, RequestError> {
    // Nobody transcodes what nobody reads.
    formats.retain(|format| remote.codecs.iter().any(|c| c.same_encoding(format)));
    let (rtp_endpoint, rtcp_endpoint) = endpoints(draft, request, remote);
    for id in [sender, receiver] {
        draft.keeps_riding(id, false);
        settle(draft, id, remote);
    }
    if let Some(section) = draft.section_mut(sender) {
        section.mid = remote.mid.clone().or(section.mid.take());
        section.rtp_endpoint = rtp_endpoint;
        section.rtcp_endpoint = rtcp_endpoint;
        section.way.note(&request.flags.media);
        section.remote = Some(remote.clone());
    }
    if let Some(section) = draft.section_mut(receiver) {
        section.mid.clone_from(&remote.mid);
        section.told = formats;
        section.we_answered = false;
    }
    let need = Need {
        every_address: remote.ice.is_some(),
        one_per_family: false,
        shared: false,
    };
    draft.open_ports(sender, need)?;
    draft.open_ports(receiver, need)?;
    let rtcp = if remote.rtcp_mux {
        RtcpForm::MuxWithFallback
    } else {
        RtcpForm::Separate
    };
    Ok(describe(draft, request, receiver, remote, rtcp))
}

/// Passes a section of an answer on.
pub(crate) fn answer(
    draft: &mut Draft<'_>,
    request: &Request,
    (offerer, answerer): (SectionId, SectionId),
    said: &Arc<RemoteMedia>,
) -> Result<SectionOutput, RequestError> {
    let (rtp_endpoint, rtcp_endpoint) = endpoints(draft, request, said);
    let has_candidates = said.ice.as_ref().is_some_and(|i| !i.candidates.is_empty());
    if said.address.is_none() && rtp_endpoint.is_none() && !has_candidates {
        return Err(RequestError::NoAddress(answerer.index + 1));
    }
    if let Some(section) = draft.section_mut(answerer) {
        section.rtp_endpoint = rtp_endpoint;
        section.rtcp_endpoint = rtcp_endpoint;
        section.way.note(&request.flags.media);
        section.mid = section.mid.take().or_else(|| said.mid.clone());
        section.mux.in_use = said.rtcp_mux;
        section.remote = Some(said.clone());
    }
    if let Some(section) = draft.section_mut(offerer) {
        section.told.clone_from(&said.codecs);
        section.we_answered = true;
        section.mux.in_use = said.rtcp_mux;
        section.ice.lite = is_lite(said);
    }
    let rtcp = if said.rtcp_mux {
        RtcpForm::Mux
    } else {
        RtcpForm::Separate
    };
    let mut output = describe(draft, request, offerer, said, rtcp);
    if let Some(offered) = draft.section(offerer).and_then(|s| s.remote.as_ref()) {
        // RFC 5888 §9.2.
        output.mid.clone_from(&offered.mid);
        output.ptime = output.ptime.or_else(|| offered.ptime.clone());
    }
    Ok(output)
}

/// Nothing of this section is ours to negotiate.
fn settle(draft: &mut Draft<'_>, id: SectionId, remote: &RemoteMedia) {
    let Some(section) = draft.section_mut(id) else {
        return;
    };
    section.kind.clone_from(&remote.kind);
    section.state = SectionState::Live;
    section.set_protocol(remote.protocol.clone());
    section.passthrough = true;
    section.mux = MuxState::default();
    section.dtls = DtlsState::default();
    section.sdes = SdesState::default();
    section.opportunistic = Opportunistic::No;
    section.ice = IceState {
        offered: remote.ice.is_some(),
        lite: is_lite(remote),
        ..IceState::default()
    };
}

fn is_lite(remote: &RemoteMedia) -> bool {
    remote.ice.as_ref().is_some_and(|ice| ice.lite)
}

/// The section with everything that its owner says about ICE and keys.
fn describe(
    draft: &Draft<'_>,
    request: &Request,
    id: SectionId,
    owner: &RemoteMedia,
    rtcp: RtcpForm,
) -> SectionOutput {
    let mut output = describe::common(draft, request, id, owner, rtcp);
    // With `force-relay` media goes through the relay only where nothing else works.
    let relayed = request.flags.ice.mode == Some(Ice::ForceRelay);
    if relayed && let Some(address) = owner.address {
        output.connection = address;
        output.port = owner.port;
        output.rtcp = owner.rtcp.filter(|_| output.rtcp.is_some());
    }
    output.crypto.clone_from(&owner.crypto);
    let mut fingerprints = owner.fingerprints.iter();
    if let Some(setup) = owner.setup {
        output.dtls = fingerprints.next().map(|fingerprint| DtlsOutput {
            setup,
            fingerprint: fingerprint.clone(),
            tls_id: owner.tls_id.clone(),
        });
    }
    let further = fingerprints.map(|fingerprint| format!("fingerprint:{fingerprint}"));
    output.other.extend(further);
    if let Some(ice) = &owner.ice {
        if !ice.options.is_empty() {
            let options = format!("ice-options:{}", ice.options.join(" "));
            output.other.push(options);
        }
        output.ice = Some(IceOutput {
            ufrag: ice.ufrag.clone(),
            pwd: ice.pwd.clone(),
            // Whether more candidates follow its owner has just said.
            trickle: false,
            ice2: false,
            candidates: candidates(draft, id, owner, relayed, rtcp.has_own_port()),
            remote_candidates: None,
        });
    }
    output
}

/// The owner's candidates, and ours behind them: below its lowest kind, or as relayed ones in the place of its own.
fn candidates(
    draft: &Draft<'_>,
    id: SectionId,
    owner: &RemoteMedia,
    relayed: bool,
    with_rtcp: bool,
) -> Vec<String> {
    let theirs = owner.ice.iter().flat_map(|ice| &ice.candidates);
    let kept = theirs.filter(|line| !relayed || !line.contains(" typ relay"));
    let mut lines: Vec<String> = kept.cloned().collect();
    let Some(section) = draft.section(id) else {
        return lines;
    };
    let lowest = lines.iter().filter_map(|line| Candidate::parse(line).ok());
    let lowest = lowest.map(|candidate| candidate.priority >> 24).min();
    let preference = match lowest {
        _ if relayed => 0,
        Some(lowest) => lowest.saturating_sub(1),
        None => 126,
    };
    let media_address = draft.legs.get(id.leg).and_then(|leg| leg.media_address);
    let rtp = section.ports.rtp.iter().map(|s| (s, Component::Rtp));
    let rtcp = section.ports.rtcp.iter().filter(|_| with_rtcp);
    let rtcp = rtcp.map(|s| (s, Component::Rtcp));
    for (index, (socket, component)) in rtp.enumerate().chain(rtcp.enumerate()) {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let mut address = socket.advertised_address();
        if let Some(media) = media_address.filter(|m| m.is_ipv4() == address.is_ipv4()) {
            address.set_ip(media);
        }
        let mut candidate = Candidate::host(index, component, address);
        candidate.priority = candidate.priority & 0x00ff_ffff | preference << 24;
        if relayed {
            candidate.kind = CandidateKind::Relayed;
        }
        lines.push(match relayed {
            // RFC 8839 §5.1: a relayed candidate names the address behind it.
            true => format!(
                "{candidate} raddr {} rport {}",
                address.ip(),
                address.port()
            ),
            false => candidate.to_string(),
        });
    }
    lines
}
