//! `delete`: which parties go, and when.

use std::time::{Duration, Instant};

use ng_protocol::Request;

use crate::config::Timeouts;
use crate::leg::{LegId, Legs};

/// What a `delete` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The entire call.
    Everybody,
    /// One party, and whoever has nobody left then.
    Party(LegId),
    /// Nobody: the tags or the branch match none.
    Nobody,
}

/// Finds out what is to be deleted. Without a from-tag it is the entire call, which is what OpenSIPS always asks for.
pub(crate) fn target(legs: &Legs, request: &Request) -> Target {
    if legs.is_empty() {
        return Target::Nobody;
    }
    let Some(from_tag) = &request.from_tag else {
        return Target::Everybody;
    };
    let honoured = request
        .to_tag
        .as_ref()
        .filter(|_| request.flags.selection.to_tag);
    let branch = request.via_branch.as_ref();
    let by_branch = || branch.and_then(|branch| legs.by_branch(branch));
    let first = if honoured.is_none() {
        by_branch()
    } else {
        None
    };
    let found = first
        .or_else(|| legs.by_tag(honoured.unwrap_or(from_tag)))
        .or_else(by_branch);
    if let Some(leg) = found {
        return Target::Party(leg);
    }
    // A reply named a tag that no answer brought: the offer is still open, and it is the offer that ends.
    let Some(offerer) = honoured.and_then(|_| legs.by_tag(from_tag)) else {
        return Target::Nobody;
    };
    match legs.subscriptions.partners(offerer)[..] {
        [partner] if legs.get(partner).is_some_and(|leg| leg.tag.is_none()) => {
            Target::Party(offerer)
        }
        _ => Target::Nobody,
    }
}

/// How long the parties go on relaying.
pub(crate) fn delay(request: &Request, timeouts: &Timeouts) -> Duration {
    match request.delete_delay.map(u64::try_from) {
        Some(Ok(seconds)) => Duration::from_secs(seconds.min(MAX_DELAY)),
        Some(Err(_)) | None => timeouts.delete_delay,
    }
}

/// Nobody waits longer than a day for a call to go.
const MAX_DELAY: u64 = 24 * 3600;

/// Who would be gone.
pub(crate) fn victims(legs: &Legs, target: &Target) -> Vec<LegId> {
    match target {
        Target::Everybody => legs.iter().map(|leg| leg.id).collect(),
        Target::Party(leg) => legs
            .clone()
            .remove(*leg)
            .into_iter()
            .map(|l| l.id)
            .collect(),
        Target::Nobody => Vec::new(),
    }
}

/// Schedules the end of parties; a repeated `delete` does not put it off.
pub(crate) fn schedule(legs: &mut Legs, victims: &[LegId], at: Instant) {
    for &id in victims {
        if let Some(leg) = legs.get_mut(id) {
            leg.delete_at = Some(leg.delete_at.map_or(at, |earlier| earlier.min(at)));
        }
    }
}
