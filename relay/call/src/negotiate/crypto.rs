//! How keys are agreed on: DTLS (RFC 5763, RFC 8842) or SDES (RFC 4568), which of them where both are possible, and whether at all
//! where the profile does not promise any (opportunistic SRTP, RFC 8643).
//!
//! The relay always has keys of its own towards each party. It never gives one party's key to another, although suites in common
//! would allow it: the streams have numbers of their own, and a key must not protect two of them.

use ng_protocol::flags::{CryptoFlags, Dtls};
use rand::Rng;

use super::{dtls, sdes};
use crate::sdp::RemoteMedia;
use crate::section::{DtlsState, MediaSection, Opportunistic, SdesState};

/// No way to agree on keys is left; the text says which were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoKeys(pub String);

/// What a request says about an exchange besides its crypto options.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// `reset`: what the party was found to support is to be found out again.
    pub reset: bool,
    /// `no-tls-id`.
    pub no_tls_id: bool,
}

/// Whether keys for SRTP are offered. The fingerprint of another protocol, such as that of a data channel, is not for us.
fn has_keys(remote: &RemoteMedia) -> bool {
    remote.protocol.rtp().is_some()
        && (dtls::fingerprint(remote).is_some() || !sdes::usable_lines(remote).is_empty())
}

/// Refuses an encrypted offer that leaves no way to agree on keys.
pub fn check_offer(remote: &RemoteMedia) -> Result<(), NoKeys> {
    if !remote.protocol.is_secure() || has_keys(remote) {
        return Ok(());
    }
    Err(NoKeys(format!(
        "the sender offers {} with {} a=crypto and {} a=fingerprint lines, none of which can be used",
        remote.protocol,
        remote.crypto.len(),
        remote.fingerprints.len()
    )))
}

/// Takes down how a sender offers keys, and what the operator wishes for the answer to it.
pub fn note_offer(sender: &mut MediaSection, remote: &RemoteMedia, flags: &CryptoFlags) {
    sender.opportunistic = match sender.opportunistic {
        _ if remote.protocol.is_secure() || !has_keys(remote) => Opportunistic::No,
        Opportunistic::Agreed => Opportunistic::Agreed,
        _ => Opportunistic::Offered,
    };
    sender.sdes_wishes = flags.sdes.clone();
    // `DTLS-reverse` is the word of rtpengine 10.5 for what later versions call `DTLS` here.
    sender.dtls.passive_wanted = dtls::passive_wanted(
        sender.dtls.passive_wanted,
        flags.dtls_reverse.or(flags.dtls),
    );
}

/// Decides what the receiver of an offer is offered, and keeps what is in use already.
pub fn offer(
    receiver: &mut MediaSection,
    sender: &RemoteMedia,
    flags: &CryptoFlags,
    circumstances: Circumstances,
    rng: &mut impl Rng,
) -> Result<(), NoKeys> {
    receiver.dtls.offered = false;
    offer_opportunistically(receiver, sender, flags);
    if !receiver.offers_keys() {
        return Ok(());
    }
    let fixed = !circumstances.reset;
    let dtls_in_use = receiver.dtls.in_use() && fixed;
    let sdes_in_use = receiver.sdes.in_use() && fixed;
    let with_dtls = dtls_in_use || (!sdes_in_use && flags.dtls != Some(Dtls::Off));
    let with_sdes = sdes_in_use || (!dtls_in_use && !flags.sdes.off);
    if with_dtls {
        dtls::prepare(&mut receiver.dtls, dtls::wanted_hash(flags), rng);
        receiver.dtls.offered = true;
    }
    let state = &mut receiver.sdes;
    if !with_sdes {
        state.local.clear();
    } else if let Some(in_use) = state.outbound.as_ref().filter(|_| circumstances.reset) {
        state.local = sdes::widened_lines(in_use, sender, &flags.sdes);
    } else if state.local.is_empty() {
        state.local = sdes::offered_lines(sender, &flags.sdes);
    }
    if with_dtls || !receiver.sdes.local.is_empty() {
        return Ok(());
    }
    if !receiver.protocol.is_secure() {
        receiver.opportunistic = Opportunistic::No;
        return Ok(());
    }
    Err(NoKeys(format!(
        "{} towards the receiver with DTLS off and no SDES suite left",
        receiver.protocol
    )))
}

/// Whether keys are offered under a profile that promises none: where the sender does so, and the operator names no transport,
/// or where the operator wants it (`OSRTP-offer`). A profile that promises keys stays what it is.
fn offer_opportunistically(receiver: &mut MediaSection, sender: &RemoteMedia, flags: &CryptoFlags) {
    let passed_on =
        !sender.protocol.is_secure() && has_keys(sender) && flags.transport_protocol.is_none();
    receiver.opportunistic = match receiver.opportunistic {
        _ if receiver.protocol.is_secure() || receiver.protocol.rtp().is_none() => {
            Opportunistic::No
        }
        Opportunistic::Agreed if flags.transport_protocol.is_none() || flags.osrtp.offer => {
            Opportunistic::Agreed
        }
        _ if flags.osrtp.offer || passed_on => Opportunistic::Offered,
        _ => Opportunistic::No,
    };
}

/// Settles keys with the party that answered our offer.
pub fn note_answer(
    answerer: &mut MediaSection,
    remote: &RemoteMedia,
    circumstances: Circumstances,
) -> Result<(), NoKeys> {
    if !answerer.offers_keys() {
        forget_keys(answerer);
        return Ok(());
    }
    let opportunistic = answerer.opportunistic != Opportunistic::No;
    if let Some(fingerprint) = dtls::fingerprint(remote).filter(|_| answerer.dtls.offered) {
        dtls::note_identity(
            &mut answerer.dtls,
            remote,
            fingerprint,
            circumstances.no_tls_id,
        );
        dtls::settle_with_answerer(&mut answerer.dtls, remote);
        answerer.sdes = SdesState::default();
    } else if let Some((ours, theirs)) = sdes::accepted(&answerer.sdes.local, remote) {
        answerer.dtls = DtlsState::default();
        let state = &mut answerer.sdes;
        state.local = vec![ours.clone()];
        // A key once given stays: a peer that re-keys changes what comes in, never what goes out.
        if state.outbound.as_ref().map(|line| line.key.profile()) != Some(ours.key.profile()) {
            state.outbound = Some(ours);
        }
        state.inbound = Some(theirs);
    } else if opportunistic {
        // RFC 8643 §3.1: who does not take the keys up gets plain RTP.
        forget_keys(answerer);
        answerer.opportunistic = Opportunistic::Declined;
        return Ok(());
    } else {
        return Err(NoKeys(format!(
            "the answer to {} has neither a usable a=fingerprint nor an a=crypto line that was offered",
            answerer.protocol
        )));
    }
    if opportunistic {
        answerer.opportunistic = Opportunistic::Agreed;
    }
    Ok(())
}

/// A party that turned to plain RTP has no keys any more.
fn forget_keys(section: &mut MediaSection) {
    section.dtls = DtlsState::default();
    section.sdes = SdesState::default();
}

/// Settles keys with the offerer, whose partner has answered. The text tells of a wish that would not work and was not followed.
///
/// Keys that were offered opportunistically are taken up, unless the answerer was offered them too and declined: then the whole
/// call is plain, or, with `OSRTP-accept`, this side of it is encrypted all the same.
pub fn answer(
    offerer: &mut MediaSection,
    answerer: Opportunistic,
    flags: &CryptoFlags,
    circumstances: Circumstances,
    passive_by_default: bool,
    rng: &mut impl Rng,
) -> Result<Option<&'static str>, NoKeys> {
    if offerer.opportunistic != Opportunistic::No {
        offerer.opportunistic = if answerer == Opportunistic::Declined && !flags.osrtp.accept {
            Opportunistic::Declined
        } else {
            Opportunistic::Agreed
        };
    }
    let Some(remote) = offerer.remote.clone().filter(|_| offerer.is_secure()) else {
        forget_keys(offerer);
        return Ok(None);
    };
    let lines = sdes::usable_lines(&remote);
    let wishes = sdes::wishes(&offerer.sdes_wishes, &flags.sdes);
    let sdes_wanted = wishes.prefer || flags.dtls == Some(Dtls::Off) || offerer.sdes.in_use();
    if let Some(theirs) = dtls::fingerprint(&remote).filter(|_| lines.is_empty() || !sdes_wanted) {
        offerer.sdes = SdesState::default();
        let state = &mut offerer.dtls;
        dtls::note_identity(state, &remote, theirs, circumstances.no_tls_id);
        dtls::prepare(state, theirs.hash(), rng);
        state.hash = Some(theirs.hash());
        // The answer goes to the offerer too, so its own word on the role is the last one.
        state.passive_wanted = dtls::passive_wanted(state.passive_wanted, flags.dtls);
        return Ok(dtls::settle_with_offerer(
            state,
            &remote,
            passive_by_default,
        ));
    }
    match sdes::answer(&offerer.sdes, &lines, &wishes) {
        Some(state) => {
            offerer.dtls = DtlsState::default();
            offerer.sdes = state;
            Ok(None)
        }
        None => Err(NoKeys(format!(
            "the offer of {} has no a=crypto line that can be answered",
            remote.protocol
        ))),
    }
}
