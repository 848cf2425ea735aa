//! How keys are agreed on: DTLS (RFC 5763, RFC 8842) or SDES (RFC 4568), and which of them where both are possible.
//!
//! The relay always has keys of its own towards each party. It never gives one party's key to another, although suites in common
//! would allow it: the streams have numbers of their own, and a key must not protect two of them.

use ng_protocol::flags::{CryptoFlags, Dtls, FingerprintHash as WantedHash, Sdes};
use rand::Rng;
use relay_transport::dtls::{DtlsRole, Fingerprint, FingerprintHash};
use relay_transport::srtp::sdes::{CryptoAttribute, Lifetime};
use relay_transport::srtp::{SrtpKey, SrtpProfile};

use crate::sdp::{RemoteMedia, Setup};
use crate::section::{DtlsState, MediaSection, SdesState};

/// What is offered when the operator does not say: counter mode with 128 bits, and Galois/counter mode.
const DEFAULT_SUITES: [SrtpProfile; 4] = [
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::Aes128CmSha1_80,
    SrtpProfile::Aes128CmSha1_32,
];

/// No way to agree on keys is left; the text says which were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoKeys(pub String);

/// The peer's fingerprint that is best to check: SHA-256 if it is there.
pub fn fingerprint(remote: &RemoteMedia) -> Option<Fingerprint> {
    let all = || {
        remote
            .fingerprints
            .iter()
            .filter_map(|f| f.parse::<Fingerprint>().ok())
    };
    all()
        .find(|f| f.hash() == FingerprintHash::Sha256)
        .or_else(|| all().next())
}

/// The lines of `a=crypto` that can be used. One that asks for media without encryption or authentication cannot.
pub fn crypto_lines(remote: &RemoteMedia) -> Vec<CryptoAttribute> {
    const REFUSED: [&str; 3] = [
        "UNENCRYPTED_SRTP",
        "UNENCRYPTED_SRTCP",
        "UNAUTHENTICATED_SRTP",
    ];
    remote
        .crypto
        .iter()
        .filter_map(|line| line.parse::<CryptoAttribute>().ok())
        .filter(|line| !REFUSED.iter().any(|name| line.has_session_param(name)))
        .collect()
}

/// Refuses an encrypted offer that leaves no way to agree on keys.
pub fn check_offer(remote: &RemoteMedia) -> Result<(), NoKeys> {
    let secure = remote.protocol.is_secure();
    if !secure || fingerprint(remote).is_some() || !crypto_lines(remote).is_empty() {
        return Ok(());
    }
    Err(NoKeys(format!(
        "the sender offers {} with {} a=crypto and {} a=fingerprint lines, none of which can be used",
        remote.protocol,
        remote.crypto.len(),
        remote.fingerprints.len()
    )))
}

/// Decides what the receiver of an offer is offered, and keeps what is in use already.
pub fn offer(
    receiver: &mut MediaSection,
    sender: &RemoteMedia,
    flags: &CryptoFlags,
    rng: &mut impl Rng,
) -> Result<(), NoKeys> {
    receiver.dtls.offered = false;
    if !receiver.protocol.is_secure() {
        return Ok(());
    }
    let (dtls_in_use, sdes_in_use) = (receiver.dtls.in_use(), receiver.sdes.in_use());
    let dtls = dtls_in_use || (!sdes_in_use && flags.dtls != Some(Dtls::Off));
    let sdes = sdes_in_use || (!dtls_in_use && !flags.sdes.off);
    if dtls {
        prepare_dtls(&mut receiver.dtls, wanted_hash(flags), rng);
        receiver.dtls.offered = true;
    }
    if !sdes {
        receiver.sdes.local.clear();
    } else if receiver.sdes.local.is_empty() {
        receiver.sdes.local = sdes_lines(sender, &flags.sdes);
    }
    if !dtls && receiver.sdes.local.is_empty() {
        return Err(NoKeys(format!(
            "{} towards the receiver with DTLS off and no SDES suite left",
            receiver.protocol
        )));
    }
    Ok(())
}

fn wanted_hash(flags: &CryptoFlags) -> FingerprintHash {
    match flags.dtls_fingerprint {
        Some(WantedHash::Sha1) => FingerprintHash::Sha1,
        Some(WantedHash::Sha224) => FingerprintHash::Sha224,
        Some(WantedHash::Sha384) => FingerprintHash::Sha384,
        Some(WantedHash::Sha512) => FingerprintHash::Sha512,
        Some(WantedHash::Sha256) | None => FingerprintHash::Sha256,
    }
}

fn prepare_dtls(dtls: &mut DtlsState, hash: FingerprintHash, rng: &mut impl Rng) {
    dtls.hash.get_or_insert(hash);
    // RFC 8842 §4 wants 20 characters at least.
    dtls.tls_id
        .get_or_insert_with(|| format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()));
}

/// Our `a=crypto` lines: the sender's suites first and under its tags, then those the sender did not have.
fn sdes_lines(sender: &RemoteMedia, flags: &Sdes) -> Vec<CryptoAttribute> {
    let mut lines: Vec<CryptoAttribute> = Vec::new();
    for received in crypto_lines(sender) {
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

/// Settles keys with the party that answered our offer.
pub fn note_answer(answerer: &mut MediaSection, remote: &RemoteMedia) -> Result<(), NoKeys> {
    if !answerer.protocol.is_secure() {
        forget_keys(answerer);
        return Ok(());
    }
    if answerer.dtls.offered && fingerprint(remote).is_some() {
        // RFC 5763 §5: the answerer of `actpass` is the client unless it says `passive`. Who answers `actpass`, which is
        // forbidden, leaves the choice to us.
        let ours = match remote.setup {
            Some(Setup::Passive | Setup::ActPass) => DtlsRole::Client,
            _ => DtlsRole::Server,
        };
        answerer.dtls.role.get_or_insert(ours);
        answerer.sdes = SdesState::default();
        return Ok(());
    }
    let chosen = crypto_lines(remote).into_iter().find_map(|theirs| {
        let ours =
            answerer.sdes.local.iter().find(|ours| {
                ours.tag == theirs.tag && ours.key.profile() == theirs.key.profile()
            })?;
        Some((ours.clone(), theirs))
    });
    let Some((ours, theirs)) = chosen else {
        return Err(NoKeys(format!(
            "the answer to {} has neither a usable a=fingerprint nor an a=crypto line that was offered",
            answerer.protocol
        )));
    };
    answerer.dtls = DtlsState::default();
    answerer.sdes.local = vec![ours.clone()];
    // A key once given stays: a peer that re-keys changes what comes in, never what goes out.
    answerer.sdes.outbound.get_or_insert(ours);
    answerer.sdes.inbound = Some(theirs);
    Ok(())
}

/// A party that turned to plain RTP has no keys any more.
fn forget_keys(section: &mut MediaSection) {
    section.dtls = DtlsState::default();
    section.sdes = SdesState::default();
}

/// Settles keys with the offerer, whose partner has answered. The text tells of a wish that would not work and was not followed.
pub fn answer(
    offerer: &mut MediaSection,
    flags: &CryptoFlags,
    passive_by_default: bool,
    rng: &mut impl Rng,
) -> Result<Option<&'static str>, NoKeys> {
    let Some(remote) = offerer.remote.clone().filter(|_| offerer.is_secure()) else {
        forget_keys(offerer);
        return Ok(None);
    };
    let lines = crypto_lines(&remote);
    let sdes_wanted = flags.sdes.prefer || flags.dtls == Some(Dtls::Off) || offerer.sdes.in_use();
    match fingerprint(&remote) {
        Some(theirs) if lines.is_empty() || !sdes_wanted => {
            offerer.sdes = SdesState::default();
            prepare_dtls(&mut offerer.dtls, theirs.hash(), rng);
            offerer.dtls.hash = Some(theirs.hash());
            // The answer goes to the offerer too, so its own word on the role is the last one.
            offerer.dtls.passive_wanted = match flags.dtls {
                Some(Dtls::Passive) => true,
                Some(Dtls::Active) => false,
                _ => offerer.dtls.passive_wanted,
            };
            Ok(settle_role(&mut offerer.dtls, &remote, passive_by_default))
        }
        _ => answer_sdes(offerer, lines, &flags.sdes)
            .map(|()| None)
            .ok_or_else(|| {
                NoKeys(format!(
                    "the offer of {} has no a=crypto line that can be answered",
                    remote.protocol
                ))
            }),
    }
}

/// Chooses our role towards an offerer (RFC 5763 §5); one that is settled stays.
fn settle_role(
    dtls: &mut DtlsState,
    remote: &RemoteMedia,
    passive_by_default: bool,
) -> Option<&'static str> {
    if dtls.role.is_some() {
        return None;
    }
    let passive = dtls.passive_wanted || passive_by_default;
    let lite = remote.ice.as_ref().is_some_and(|ice| ice.lite);
    let (role, warning) = match remote.setup {
        Some(Setup::Active) => (DtlsRole::Server, None),
        Some(Setup::Passive) => (DtlsRole::Client, None),
        _ if passive && !lite => (DtlsRole::Server, None),
        _ => (
            DtlsRole::Client,
            passive.then_some(
                "DTLS=passive is not followed towards an ICE-lite peer: it waits for our ClientHello, and the call would stay silent",
            ),
        ),
    };
    dtls.role = Some(role);
    warning
}

/// Accepts one line: of the suite in use, else of the operator's preference, else the first allowed, else the first.
fn answer_sdes(
    offerer: &mut MediaSection,
    lines: Vec<CryptoAttribute>,
    flags: &Sdes,
) -> Option<()> {
    let in_use = offerer.sdes.outbound.as_ref().map(|o| o.key.profile());
    let preferred = flags
        .offerer_pref
        .iter()
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
    let kept = offerer
        .sdes
        .outbound
        .take()
        .filter(|ours| ours.key.profile() == chosen.key.profile());
    let mut ours = kept.unwrap_or_else(|| own_line(chosen.tag, chosen.key.profile(), flags));
    ours.tag = chosen.tag;
    ours.session_params = chosen.session_params.clone();
    ours.key = ours.key.with_mki(chosen.key.mki());
    offerer.dtls = DtlsState::default();
    offerer.sdes = SdesState {
        local: vec![ours.clone()],
        outbound: Some(ours),
        inbound: Some(chosen),
    };
    Some(())
}
