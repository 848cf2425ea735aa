//! The description for the party that did not send this one: what each section says, and the lines above them.

use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ng_protocol::Request;
use ng_protocol::flags::SdpSection;
use rand::RngExt;
use relay_transport::dtls::{DtlsRole, FingerprintHash};
use relay_transport::ice::{Candidate, Component};
use relay_transport::rtp::Ssrc;

use crate::command::bundle;
use crate::draft::{Draft, Exchange};
use crate::error::RequestError;
use crate::event::SectionSummary;
use crate::leg::{LegId, SectionId};
use crate::negotiate::sdes;
use crate::sdp::attribute::RtcpAttribute;
use crate::sdp::rewrite::{
    AttributeEdits, DtlsOutput, IceOutput, SectionOutput, SessionOutput, compose,
};
use crate::sdp::{Direction, Origin, Protocol, RemoteMedia, SessionDescription, Setup, text_of};
use crate::section::MediaSection;

/// How RTCP is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RtcpForm {
    /// Not at all: the transport is not RTP.
    Absent,
    /// A port of its own.
    Separate,
    /// rtcp-mux, with the port to use if it is refused.
    MuxWithFallback,
    /// rtcp-mux.
    Mux,
}

impl RtcpForm {
    /// Whether RTCP has, or may fall back on, a port of its own.
    pub(crate) fn has_own_port(self) -> bool {
        matches!(self, Self::Separate | Self::MuxWithFallback)
    }
}

/// A section as it is offered to its party, with what passes through from the sender.
pub(crate) fn offered(
    draft: &Draft<'_>,
    request: &Request,
    id: SectionId,
    sender: &RemoteMedia,
    rtcp: RtcpForm,
) -> SectionOutput {
    let mut output = common(draft, request, id, sender, rtcp);
    let Some(section) = draft.section(id) else {
        return output;
    };
    if let Some(ptime) = section.ptime_ms {
        output.ptime = Some(ptime.to_string());
    }
    if section.dtls.offered {
        output.dtls = dtls(draft, request, section, Setup::ActPass);
    }
    if section.offers_keys() {
        output.crypto = crypto_texts(request, section);
    }
    output.ice = ice(
        draft,
        id,
        rtcp.has_own_port(),
        usize::MAX,
        request.flags.ice.trickle,
    );
    if section.carrier.is_some() {
        bundle::leave_to_carrier(&mut output);
        output.bundle_only = section.bundle_only;
        if section.bundle_only {
            // RFC 9143 §6: an answerer that knows no bundles refuses the section.
            output.port = 0;
        }
    }
    output
}

/// A section as it is answered to its party, with what passes through from the answerer.
pub(crate) fn answered(
    draft: &Draft<'_>,
    request: &Request,
    id: SectionId,
    answerer: &RemoteMedia,
) -> SectionOutput {
    let rtcp = match draft.section(id) {
        Some(section) if section.is_opaque() => RtcpForm::Absent,
        Some(section) if section.mux.in_use => RtcpForm::Mux,
        _ => RtcpForm::Separate,
    };
    let mut output = common(draft, request, id, answerer, rtcp);
    let Some(section) = draft.section(id) else {
        return output;
    };
    // An answer has a mid only if the offer had one (RFC 5888 §9.2).
    output.mid = section.remote.as_ref().and_then(|r| r.mid.clone());
    let offered = section.remote.as_ref().and_then(|r| r.ptime.clone());
    let asked = section.ptime_ms.map(|ptime| ptime.to_string());
    output.ptime = asked.or(output.ptime).or(offered);
    let setup = match section.dtls.role {
        _ if section.dtls.on_hold => Some(Setup::HoldConn),
        Some(DtlsRole::Client) => Some(Setup::Active),
        Some(DtlsRole::Server) => Some(Setup::Passive),
        None => None,
    };
    if let Some(setup) = setup {
        output.dtls = dtls(draft, request, section, setup);
    } else if section.sdes.in_use() {
        output.crypto = crypto_texts(request, section);
    }
    // RFC 8838 §4.2: only an offerer that trickles is told so.
    let offered = section.remote.as_ref().and_then(|r| r.ice.as_ref());
    let trickle = offered.is_some_and(|ice| ice.options.iter().any(|word| word == "trickle"));
    output.ice = ice(draft, id, rtcp.has_own_port(), 2, trickle);
    if section.carrier.is_some() {
        bundle::leave_to_carrier(&mut output);
    }
    output
}

/// What offers and answers have in common.
pub(crate) fn common(
    draft: &Draft<'_>,
    request: &Request,
    id: SectionId,
    other: &RemoteMedia,
    rtcp: RtcpForm,
) -> SectionOutput {
    let flags = &request.flags.sdp;
    let mut output = foreign(other);
    output.rtcp_mux = matches!(rtcp, RtcpForm::Mux | RtcpForm::MuxWithFallback);
    let Some((section, leg)) = draft.section(id).zip(draft.legs.get(id.leg)) else {
        return output;
    };
    output.protocol = section.protocol.to_string();
    output.mid.clone_from(&section.mid);
    output.codecs.clone_from(&section.told);
    output
        .extmaps
        .retain(|extmap| !is_stripped(request, extmap));
    output.extmap_allow_mixed &= !output.extmaps.is_empty();
    output.bundle_only = false;

    let home = section.carrier.and_then(|index| leg.sections.get(index));
    let primary = home.unwrap_or(section).ports.primary();
    output.port = primary.map_or(0, |socket| socket.address.port());
    let music = other.direction_with_music();
    let held = other.is_held_by_address() && !flags.replace.zero_address && music.is_none();
    if let Some(primary) = primary {
        output.connection = leg.media_address.unwrap_or(primary.advertised);
        if held {
            output.connection = unspecified(primary.advertised);
        }
    }
    let rtcp_port = match rtcp {
        RtcpForm::Mux => output.port,
        _ => section
            .ports
            .rtcp
            .first()
            .map_or(output.port, |socket| socket.address.port()),
    };
    let wanted = rtcp != RtcpForm::Absent && !flags.no_rtcp_attribute;
    output.rtcp = wanted.then_some(RtcpAttribute {
        port: rtcp_port,
        address: flags.full_rtcp_attribute.then_some(output.connection),
    });
    let direction = if other.is_held_by_address() {
        Direction::of(other.direction.sends(), false)
    } else {
        other.direction
    };
    output.direction = match music {
        Some(direction) => Some(direction),
        None if flags.original_sendrecv => other.written_direction,
        None => Some(direction),
    };
    if speaks_with_own_ssrc(section) {
        output.other = with_own_ssrc(&other.other, section.ssrc);
    }
    output
}

/// Whether the party hears one SSRC of ours instead of the sender's.
pub(crate) fn speaks_with_own_ssrc(section: &MediaSection) -> bool {
    section.is_secure() && !section.passthrough && section.kind.eq_ignore_ascii_case("audio")
}

/// `a=ssrc` (RFC 5576) announces what will be heard, so its number becomes ours. What describes more than one source has no
/// counterpart in our one stream.
fn with_own_ssrc(attributes: &[String], ours: Ssrc) -> Vec<String> {
    let ssrc_of = |attribute: &str| -> Option<String> {
        let value = attribute.strip_prefix("ssrc:")?;
        Some(value.split_ascii_whitespace().next()?.to_owned())
    };
    let first = attributes.iter().find_map(|a| ssrc_of(a));
    attributes
        .iter()
        .filter(|a| !a.starts_with("ssrc-group:"))
        .filter_map(|attribute| match ssrc_of(attribute) {
            None => Some(attribute.clone()),
            Some(theirs) if Some(&theirs) == first.as_ref() => {
                Some(attribute.replacen(&theirs, &ours.0.to_string(), 1))
            }
            Some(_) => None,
        })
        .collect()
}

fn is_stripped(request: &Request, extmap: &str) -> bool {
    let flags = &request.flags.sdp;
    let uri = extmap.split_ascii_whitespace().nth(1).unwrap_or_default();
    flags.strip_extmap
        || flags
            .extmap_strip
            .iter()
            .chain(&flags.extmap_mask)
            .any(|wanted| wanted.eq_ignore_ascii_case("all") || wanted == uri)
}

fn crypto_texts(request: &Request, section: &MediaSection) -> Vec<String> {
    let flags = &request.flags.crypto.sdes;
    section
        .sdes
        .local
        .iter()
        .map(|line| sdes::line_text(line, flags))
        .collect()
}

fn dtls(
    draft: &Draft<'_>,
    request: &Request,
    section: &MediaSection,
    setup: Setup,
) -> Option<DtlsOutput> {
    let hash = section.dtls.hash.unwrap_or(FingerprintHash::Sha256);
    Some(DtlsOutput {
        setup,
        fingerprint: draft.config.identity.fingerprint(hash).to_string(),
        tls_id: section
            .dtls
            .tls_id
            .clone()
            .filter(|_| !request.flags.sdp.no_tls_id),
    })
}

/// The ICE lines. `limit` candidates of a component at most: Meta wants one of each family.
fn ice(
    draft: &Draft<'_>,
    id: SectionId,
    with_rtcp: bool,
    limit: usize,
    trickle: bool,
) -> Option<IceOutput> {
    let section = draft.section(id)?;
    let media_address = draft.legs.get(id.leg).and_then(|leg| leg.media_address);
    let credentials = section.ice.local.as_ref().filter(|_| section.ice.offered)?;
    let mut candidates = Vec::new();
    let mut list = |sockets: &[relay_transport::LocalSocket], component| {
        for (index, socket) in sockets.iter().take(limit).enumerate() {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let mut address = socket.advertised_address();
            if let Some(media) = media_address.filter(|m| m.is_ipv4() == address.is_ipv4()) {
                address.set_ip(media);
            }
            let candidate = Candidate::host(index, component, address);
            candidates.push(candidate.to_string());
        }
    };
    list(&section.ports.rtp, Component::Rtp);
    if with_rtcp {
        list(&section.ports.rtcp, Component::Rtcp);
    }
    Some(IceOutput {
        ufrag: credentials.ufrag().to_owned(),
        pwd: credentials.pwd().to_owned(),
        trickle,
        ice2: section.ice.ice2,
        candidates,
        remote_candidates: None,
    })
}

/// A section passed on as it came, addresses and all.
pub(crate) fn foreign(remote: &RemoteMedia) -> SectionOutput {
    SectionOutput {
        kind: remote.kind.clone(),
        port: remote.port,
        protocol: remote.protocol.to_string(),
        formats: remote.formats.clone(),
        title: remote.title.clone(),
        connection: remote.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        bandwidths: remote.bandwidths.clone(),
        mid: remote.mid.clone(),
        label: remote.label.clone(),
        bundle_only: false,
        codecs: Vec::new(),
        feedback: remote.feedback.clone(),
        extmap_allow_mixed: remote.extmap_allow_mixed,
        extmaps: remote.extmaps.clone(),
        other: remote.other.clone(),
        direction: remote.written_direction,
        rtcp: None,
        rtcp_mux: false,
        crypto: Vec::new(),
        dtls: None,
        ptime: remote.ptime.clone(),
        maxptime: remote.maxptime.clone(),
        ice: None,
    }
}

/// A section with port 0, in answer to, or because of, what the other party said.
pub(crate) fn rejected(draft: &Draft<'_>, id: SectionId, other: &RemoteMedia) -> SectionOutput {
    let mut output = foreign(other);
    output.port = 0;
    output.connection = other
        .address
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), unspecified);
    if let Some(section) = draft.section(id) {
        output.mid = section.mid.clone().or(output.mid);
    }
    output
}

/// A section with port 0 of which the other party says nothing any more.
pub(crate) fn ended(section: &MediaSection) -> SectionOutput {
    let nothing = SessionDescription {
        lines: Vec::new(),
        media: vec![crate::sdp::MediaDescription {
            kind: section.kind.clone(),
            port: 0,
            port_count: None,
            protocol: section.protocol.to_string(),
            formats: match (&section.protocol, section.remote.as_ref()) {
                (_, Some(remote)) => remote.formats.clone(),
                (Protocol::Rtp(_), None) => vec!["0".into()],
                (Protocol::Other(_), None) => Vec::new(),
            },
            lines: Vec::new(),
        }],
    };
    // unwrap: the description has exactly this one section.
    let mut output = foreign(&RemoteMedia::read(&nothing, 0).expect("one section"));
    output.mid.clone_from(&section.mid);
    output
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// Writes the whole description for `receiver`, and remembers it for the options that keep parts of it constant.
pub(crate) fn write(
    draft: &mut Draft<'_>,
    request: &Request,
    source: &SessionDescription,
    sender: LegId,
    receiver: LegId,
    sections: Vec<SectionOutput>,
) -> Result<Exchange, RequestError> {
    let flags = &request.flags.sdp;
    let written = sections.iter().find(|s| s.port != 0).or(sections.first());
    let written = written.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |s| s.connection);
    let fresh: u32 = draft.rng.random();
    let Some(leg) = draft.legs.get_mut(receiver) else {
        return Err(RequestError::Dialogue);
    };
    // A held stream has no address in `c=`; `o=` has ours all the same.
    let bound = leg.sections.iter().find_map(|s| s.ports.primary());
    let address = match bound {
        Some(bound) if written.is_unspecified() => leg.media_address.unwrap_or(bound.advertised),
        _ => written,
    };
    let own_origin = || Origin {
        username: "-".into(),
        session_id: fresh.to_string(),
        version: "1".into(),
        address: crate::sdp::Connection { address }.to_string(),
    };
    let first_origin = leg.printed.first_origin.as_deref();
    let mut session = SessionOutput {
        origin: source
            .origin()
            .or_else(|| first_origin.cloned())
            .unwrap_or_else(own_origin),
        name: source
            .line('s')
            .unwrap_or(&draft.config.software)
            .to_owned(),
        loop_mark: flags.loop_protect.then(|| draft.config.instance.clone()),
        ice_lite: leg.sections.iter().any(|s| s.ice.offered && s.ice.lite),
        bundle: bundle::group(leg, source, &sections),
    };
    let replace = flags.replace;
    if replace.origin || replace.origin_full {
        session.origin.set_address(address);
    }
    if let Some(first) = first_origin {
        if replace.username {
            session.origin.username.clone_from(&first.username);
        }
        if replace.origin_full {
            session.origin = Origin {
                version: session.origin.version,
                ..first.clone()
            };
        }
    }
    if let Some(first) = &leg.printed.first_name
        && replace.session_name
    {
        session.name = first.to_string();
    }

    let mut description = compose(source, &session, &sections);
    apply_edits(request, &mut description);
    let mut body = description.to_bytes();
    let digest = digest(&body);
    if (replace.sdp_version || replace.origin_full || replace.force_increment)
        && let Some(last) = &leg.printed.last_origin
    {
        let changed = leg.printed.last_body != Some(digest) || replace.force_increment;
        let version: u64 = last.version.parse().unwrap_or(0);
        session.origin.version = version.saturating_add(u64::from(changed)).to_string();
        if let Some(line) = description.lines.iter_mut().find(|line| line.letter == 'o') {
            line.value = session.origin.to_string();
        }
        body = description.to_bytes();
    }
    leg.printed.last_body = Some(digest);
    let origin = Arc::new(session.origin);
    leg.printed
        .first_origin
        .get_or_insert_with(|| Arc::clone(&origin));
    leg.printed.last_origin = Some(origin);
    leg.printed
        .first_name
        .get_or_insert_with(|| session.name.into());
    Ok(Exchange {
        body,
        sender,
        receiver,
        sections: sections
            .into_iter()
            .map(|section| SectionSummary {
                kind: section.kind,
                protocol: section.protocol,
                address: section.connection,
                port: section.port,
            })
            .collect(),
    })
}

/// By this a description is known again, whatever its `o=` line says.
fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let lines = body.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"o="))
        .for_each(|line| hasher.write(line));
    hasher.finish()
}

fn apply_edits(request: &Request, description: &mut SessionDescription) {
    let text = |s: &String| text_of(s.as_bytes()).into_owned();
    for wanted in &request.flags.sdp.attribute_edits {
        let edits = AttributeEdits {
            add: wanted.add.iter().map(text).collect(),
            remove: wanted.remove.iter().map(text).collect(),
            substitute: wanted
                .substitute
                .iter()
                .map(|(from, to)| (text(from), text(to)))
                .collect(),
        };
        match &wanted.section {
            SdpSection::Session => edits.apply(&mut description.lines),
            SdpSection::Media(kind) => description
                .media
                .iter_mut()
                .filter(|media| media.kind.eq_ignore_ascii_case(kind))
                .for_each(|media| edits.apply(&mut media.lines)),
        }
    }
}
