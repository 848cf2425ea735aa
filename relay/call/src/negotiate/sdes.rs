//! Keys in SDP (RFC 4568): which `a=crypto` lines are offered, which of the peer's is accepted.
//!
//! Keys are always our own: one that a party chose is never shown to another, and one that we gave a party stays.

use ng_protocol::flags::Sdes;
use relay_transport::srtp::sdes::{CryptoAttribute, Lifetime};
use relay_transport::srtp::{SrtpKey, SrtpProfile};

use crate::sdp::RemoteMedia;
use crate::section::SdesState;

/// What is offered when the operator does not say: counter mode with 128 bits, and Galois/counter mode.
const DEFAULT_SUITES: [SrtpProfile; 4] = [
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::Aes128CmSha1_80,
    SrtpProfile::Aes128CmSha1_32,
];

/// The lines of `a=crypto` that can be used.
pub fn usable_lines(remote: &RemoteMedia) -> Vec<CryptoAttribute> {
    remote
        .crypto
        .iter()
        .filter_map(|line| line.parse::<CryptoAttribute>().ok())
        .filter(|line| line.session_params.iter().all(|param| is_harmless(param)))
        .collect()
}

/// RFC 4568 section 6.3: a line whose session parameters we do not follow must not be accepted. What would send media without
/// encryption or authentication is refused for good, and so is a derivation rate (`KDR`), which nobody uses. The parameters
/// that tell something about the sender alone, and those it marks as optional by a hyphen, change nothing for us.
fn is_harmless(param: &str) -> bool {
    const KNOWN: [&str; 3] = ["WSH", "FEC_ORDER", "FEC_KEY"];
    let (name, value) = param.split_once('=').unwrap_or((param, ""));
    name.starts_with('-')
        || KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
        || (name.eq_ignore_ascii_case("KDR") && value == "0")
}

/// Whether a request asks for media that is not encrypted or not authenticated (`SDES-unencrypted_srtp` and its like).
pub fn asks_for_weakness(flags: &Sdes) -> bool {
    let wishes = [
        flags.unencrypted_srtp,
        flags.unencrypted_srtcp,
        flags.unauthenticated_srtp,
    ];
    wishes.contains(&Some(true))
}

/// Our `a=crypto` lines: the sender's suites first and under its tags, then those the sender did not have.
pub fn offered_lines(sender: &RemoteMedia, flags: &Sdes) -> Vec<CryptoAttribute> {
    let mut lines: Vec<CryptoAttribute> = Vec::new();
    for received in usable_lines(sender) {
        let profile = received.key.profile();
        let known = lines
            .iter()
            .any(|l| l.key.profile() == profile || l.tag == received.tag);
        if !known && flags.allows(profile.sdes_name()) {
            lines.push(own_line(received.tag, profile, flags));
        }
    }
    if !flags.nonew || lines.is_empty() {
        for profile in SrtpProfile::ALL {
            let is_named = flags
                .only
                .iter()
                .chain(&flags.order)
                .any(|name| name.eq_ignore_ascii_case(profile.sdes_name()));
            let wanted = is_named || DEFAULT_SUITES.contains(&profile);
            let known = lines.iter().any(|l| l.key.profile() == profile);
            if wanted && !known && flags.allows(profile.sdes_name()) {
                let tag = lines.iter().map(|l| l.tag).max().unwrap_or(0) + 1;
                lines.push(own_line(tag, profile, flags));
            }
        }
    }
    lines.sort_by_key(|line| {
        flags
            .order
            .iter()
            .position(|name| name.eq_ignore_ascii_case(line.key.profile().sdes_name()))
            .unwrap_or(usize::MAX)
    });
    lines
}

/// The lines for a party that has SDES in use and is to see the other suites too (`reset`): the line in use, then the others.
pub fn widened_lines(
    in_use: &CryptoAttribute,
    sender: &RemoteMedia,
    flags: &Sdes,
) -> Vec<CryptoAttribute> {
    let mut lines = vec![in_use.clone()];
    for mut line in offered_lines(sender, flags) {
        if line.key.profile() == in_use.key.profile() {
            continue;
        }
        if lines.iter().any(|known| known.tag == line.tag) {
            line.tag = lines.iter().map(|l| l.tag).max().unwrap_or(0) + 1;
        }
        lines.push(line);
    }
    lines
}

fn own_line(tag: u32, profile: SrtpProfile, flags: &Sdes) -> CryptoAttribute {
    let mut line = CryptoAttribute::new(tag, SrtpKey::generate(profile));
    line.lifetime = flags.lifetime.then_some(Lifetime::PowerOfTwo(31));
    line
}

/// The text of a line, padded if asked.
pub fn line_text(line: &CryptoAttribute, flags: &Sdes) -> String {
    if flags.pad {
        line.padded().to_string()
    } else {
        line.to_string()
    }
}

/// The line of ours that an answer has accepted, and the answer's.
pub fn accepted(
    ours: &[CryptoAttribute],
    answer: &RemoteMedia,
) -> Option<(CryptoAttribute, CryptoAttribute)> {
    usable_lines(answer).into_iter().find_map(|theirs| {
        let ours = ours
            .iter()
            .find(|ours| ours.tag == theirs.tag && ours.key.profile() == theirs.key.profile())?;
        Some((ours.clone(), theirs))
    })
}

/// Accepts one line of an offerer: of the suite in use, else of the operator's preference, else the first allowed, else the
/// first. Our key has no identifier whatever the peer's has: RFC 4568 §6.1, each describes what its writer sends.
pub fn answer(before: &SdesState, lines: &[CryptoAttribute], flags: &Sdes) -> Option<SdesState> {
    let in_use = before.outbound.as_ref().map(|o| o.key.profile());
    let preferred = flags
        .offerer_pref
        .iter()
        .chain(&flags.order)
        .filter_map(|name| SrtpProfile::from_sdes_name(name));
    let chosen = in_use
        .into_iter()
        .chain(preferred)
        .find_map(|profile| lines.iter().find(|l| l.key.profile() == profile))
        .or_else(|| {
            lines
                .iter()
                .find(|l| flags.allows(l.key.profile().sdes_name()))
        })
        .or_else(|| lines.first())?
        .clone();
    let kept = before
        .outbound
        .clone()
        .filter(|ours| ours.key.profile() == chosen.key.profile());
    let mut ours = kept.unwrap_or_else(|| own_line(chosen.tag, chosen.key.profile(), flags));
    ours.tag = chosen.tag;
    let negotiated = |param: &&String| !param.starts_with('-');
    ours.session_params = chosen
        .session_params
        .iter()
        .filter(negotiated)
        .cloned()
        .collect();
    Some(SdesState {
        local: vec![ours.clone()],
        outbound: Some(ours),
        inbound: Some(chosen),
    })
}

/// What two requests of one exchange wish together: the offer's word counts for the answer to its sender too.
pub fn wishes(offer: &Sdes, answer: &Sdes) -> Sdes {
    let either = |answer: &[String], offer: &[String]| {
        if answer.is_empty() { offer } else { answer }.to_vec()
    };
    Sdes {
        only: either(&answer.only, &offer.only),
        no: [&offer.no[..], &answer.no[..]].concat(),
        offerer_pref: either(&answer.offerer_pref, &offer.offerer_pref),
        order: either(&answer.order, &offer.order),
        prefer: answer.prefer || offer.prefer,
        ..answer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_parameters_are_followed_or_the_line_is_refused() {
        for harmless in ["WSH=64", "fec_order=FEC_SRTP", "-FUTURE=1", "KDR=0"] {
            assert!(is_harmless(harmless), "{harmless}");
        }
        for refused in [
            "UNENCRYPTED_SRTP",
            "UNENCRYPTED_SRTCP",
            "UNAUTHENTICATED_SRTP",
            "KDR=2",
            "FUTURE=1",
        ] {
            assert!(!is_harmless(refused), "{refused}");
        }
    }
}
