//! DTLS-SRTP in SDP (RFC 5763, RFC 8842): whose fingerprint, who begins, and when a new association is wanted.

use ng_protocol::flags::{CryptoFlags, Dtls, FingerprintHash as WantedHash};
use rand::Rng;
use relay_transport::dtls::{DtlsRole, Fingerprint, FingerprintHash};

use crate::sdp::{RemoteMedia, Setup};
use crate::section::{DtlsState, PeerIdentity};

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

/// The hash of our fingerprint in offers.
pub fn wanted_hash(flags: &CryptoFlags) -> FingerprintHash {
    match flags.dtls_fingerprint {
        Some(WantedHash::Sha1) => FingerprintHash::Sha1,
        Some(WantedHash::Sha224) => FingerprintHash::Sha224,
        Some(WantedHash::Sha384) => FingerprintHash::Sha384,
        Some(WantedHash::Sha512) => FingerprintHash::Sha512,
        Some(WantedHash::Sha256) | None => FingerprintHash::Sha256,
    }
}

/// Makes sure that there is what our description says about DTLS.
pub fn prepare(dtls: &mut DtlsState, hash: FingerprintHash, rng: &mut impl Rng) {
    dtls.hash.get_or_insert(hash);
    // RFC 8842 §4 wants 20 characters at least.
    dtls.tls_id
        .get_or_insert_with(|| format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()));
}

/// Takes note of who the peer is. Another fingerprint or another `a=tls-id` than before asks for a new association (RFC 8842
/// §4), whose roles are settled anew; a new ICE session alone does not. With `no_tls_id` the proxy wants that attribute to
/// decide nothing.
pub fn note_identity(
    dtls: &mut DtlsState,
    remote: &RemoteMedia,
    fingerprint: Fingerprint,
    no_tls_id: bool,
) {
    let identity = PeerIdentity {
        fingerprint,
        tls_id: remote.tls_id.clone().filter(|_| !no_tls_id),
    };
    let Some(before) = dtls.peer.replace(identity.clone()) else {
        return;
    };
    let other_id = before.tls_id.is_some() && before.tls_id != identity.tls_id && !no_tls_id;
    if dtls.in_use() && (other_id || before.fingerprint != identity.fingerprint) {
        dtls.association += 1;
        dtls.role = None;
        dtls.tls_id = None;
    }
}

/// Our role towards the party that answered our offer. RFC 5763 §5: the answerer of `actpass` is the client unless it says
/// `passive`. Who answers `actpass`, which is forbidden, leaves the choice to us.
pub fn settle_with_answerer(dtls: &mut DtlsState, remote: &RemoteMedia) {
    dtls.on_hold = remote.setup == Some(Setup::HoldConn);
    if dtls.on_hold {
        return;
    }
    dtls.role.get_or_insert(match remote.setup {
        Some(Setup::Passive | Setup::ActPass) => DtlsRole::Client,
        _ => DtlsRole::Server,
    });
}

/// Chooses our role towards an offerer (RFC 5763 §5). One that is settled stays if the offerer leaves us the choice; if it does
/// not, ours is the other one, which an association that is up does not notice (RFC 8842 §5.1). Who offers `holdconn` is answered so, and has no
/// keys until it offers again (RFC 4145 §4.1).
pub fn settle_with_offerer(
    dtls: &mut DtlsState,
    remote: &RemoteMedia,
    passive_by_default: bool,
) -> Option<&'static str> {
    dtls.on_hold = remote.setup == Some(Setup::HoldConn);
    let left_to_us = !matches!(remote.setup, Some(Setup::Active | Setup::Passive));
    if dtls.on_hold || (dtls.role.is_some() && left_to_us) {
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

/// What the operator's word means for the role towards the sender, if the sender leaves us the choice.
pub fn passive_wanted(before: bool, word: Option<Dtls>) -> bool {
    match word {
        Some(Dtls::Passive) => true,
        Some(Dtls::Active) => false,
        Some(Dtls::Off) | None => before,
    }
}
