//! Whether there is ICE with a party, and in which role (RFC 8445, RFC 8839 §4).

use ng_protocol::flags::{Ice, IceFlags};
use rand::Rng;
use relay_transport::ice::{Candidate, CandidateError, IceCredentials, RemoteIce};

use crate::sdp::{RemoteIceDescription, RemoteMedia};
use crate::section::{IceState, MediaSection};

/// Takes note of the ICE in a sender's offer. Credentials of ours change only when the peer restarts (RFC 8445 §9), or with
/// `reset`.
pub fn note_offer(
    sender: &mut MediaSection,
    remote: &RemoteMedia,
    flags: &IceFlags,
    reset: bool,
    rng: &mut impl Rng,
) {
    let before = sender.remote.as_ref().and_then(|r| r.ice.as_ref());
    let restarted = match (before, &remote.ice) {
        (Some(before), Some(now)) => before.ufrag != now.ufrag || before.pwd != now.pwd,
        _ => false,
    };
    let ice = &mut sender.ice;
    ice.refuse = flags.reject;
    let Some(description) = &remote.ice else {
        return;
    };
    // A lite agent needs a full one opposite (RFC 8445 §6.1.1).
    ice.lite = !description.lite && flags.lite.map_or(ice.lite, |lite| lite.towards_sender());
    if !flags.reject && (restarted || reset || ice.local.is_none()) {
        ice.local = Some(IceCredentials::generate(rng));
        ice.we_offered = false;
    }
}

/// Decides whether the receiver of an offer is offered ICE.
pub fn offer(
    receiver: &mut IceState,
    sender_has_ice: bool,
    flags: &IceFlags,
    reset: bool,
    rng: &mut impl Rng,
) -> bool {
    if reset {
        *receiver = IceState::default();
    }
    let wanted = match flags.mode.unwrap_or_default() {
        Ice::Remove => false,
        // A re-offer that says nothing does not end what is in use. `reject-ICE` is about the answer to the sender alone.
        Ice::Default => sender_has_ice || receiver.in_use,
        // Passing the sender's candidates through beside ours would take the relay out of the media; ours alone are written.
        Ice::Force | Ice::Optional | Ice::ForceRelay => true,
    };
    receiver.offered = wanted && !receiver.declined;
    if !receiver.offered {
        return false;
    }
    receiver.ice2 |= flags.ice2;
    if let Some(lite) = flags.lite {
        receiver.lite = lite.towards_receiver();
    }
    if receiver.local.is_none() {
        receiver.local = Some(IceCredentials::generate(rng));
        receiver.we_offered = true;
    }
    true
}

/// Settles ICE with the party that answered. A re-offer that forgot ICE does not end it with a party that goes on using it:
/// the proxy may have kept our description to itself and repeated an old answer.
pub fn note_answer(answerer: &mut IceState, remote: &RemoteMedia) {
    answerer.in_use = (answerer.offered || answerer.in_use) && remote.ice.is_some();
    if answerer.offered && remote.ice.is_none() {
        answerer.declined = true;
    }
    if remote.ice.as_ref().is_some_and(|r| r.lite) {
        answerer.lite = false;
    }
}

/// Decides whether the offerer is answered with ICE: if it offered it, and nothing forbids it.
pub fn answer(offerer: &mut MediaSection, flags: &IceFlags) -> bool {
    let offered = offerer.remote.as_ref().is_some_and(|r| r.ice.is_some());
    let forbidden = offerer.ice.refuse || flags.reject || flags.mode == Some(Ice::Remove);
    offerer.ice.in_use = offered && !forbidden && offerer.ice.local.is_some();
    offerer.ice.offered = offerer.ice.in_use;
    offerer.ice.in_use
}

/// What the transport must know about the peer; candidates that are of no use are left out.
pub fn remote_ice(description: &RemoteIceDescription, we_offered: bool) -> Option<RemoteIce> {
    let credentials = IceCredentials::new(&description.ufrag, &description.pwd).ok()?;
    Some(RemoteIce {
        credentials,
        candidates: candidates(description).filter_map(Result::ok).collect(),
        lite: description.lite,
        we_offered,
    })
}

/// The peer's candidates, or why one cannot be used.
pub fn candidates(
    description: &RemoteIceDescription,
) -> impl Iterator<Item = Result<Candidate, CandidateError>> + '_ {
    description
        .candidates
        .iter()
        .map(|line| Candidate::parse(line))
}
