//! `block media`, `silence media`, `block DTMF` and what lifts them.

use std::time::Duration;

use ng_protocol::flags::All;
use ng_protocol::{Command, Request, reason};

use crate::command::dtmf_security;
use crate::command::select::{self, FromTag};
use crate::error::RequestError;
use crate::leg::{LegId, Legs};
use crate::restriction::{Events, Restriction, Scope};

/// Carries out one of the commands. The text tells of a wish that is not followed.
pub(crate) fn restrict(
    legs: &mut Legs,
    request: &Request,
) -> Result<Option<&'static str>, RequestError> {
    let all = request.flags.selection.all;
    let about_dtmf = matches!(request.command, Command::BlockDtmf | Command::UnblockDtmf);
    let (trigger, warning) = match dtmf_security::trigger(request) {
        Ok(trigger) => (trigger, None),
        Err(warning) => (None, Some(warning)),
    };
    let trigger = trigger.filter(|_| request.command == Command::BlockDtmf);
    if all == Some(All::All) {
        // The whole call, and where something is lifted every single block with it.
        if lifts(request) {
            legs.restrictions.change_all(change(request));
        } else {
            legs.restrictions.change(Scope::Call, change(request));
        }
        if about_dtmf {
            legs.restrictions.disarm_all();
            legs.restrictions.arm(Scope::Call, trigger);
        }
        return Ok(warning);
    }
    let party = select::party(legs, request, FromTag::SelectsIfDirectional)?;
    let scopes = match party {
        Some(party) if !about_dtmf => scopes(legs, request, party)?,
        Some(party) => vec![Scope::From(party)],
        None => match all {
            Some(origin) if !about_dtmf => {
                let parties: Vec<LegId> = legs.iter().map(|leg| leg.id).collect();
                let flows = parties
                    .into_iter()
                    .flat_map(|party| flows(legs, party, origin, false));
                some(flows.collect())?
            }
            _ => vec![Scope::Call],
        },
    };
    for scope in scopes {
        legs.restrictions.change(scope, change(request));
        if about_dtmf {
            legs.restrictions.arm(scope, trigger.clone());
        }
    }
    Ok(warning)
}

fn lifts(request: &Request) -> bool {
    matches!(
        request.command,
        Command::UnblockMedia | Command::UnsilenceMedia | Command::UnblockDtmf
    )
}

/// What becomes of a restriction.
fn change(request: &Request) -> impl Fn(&mut Restriction) + use<> {
    let events = dtmf_security::events(request);
    let delay = dtmf_security::delay(request);
    let command = request.command;
    move |restriction: &mut Restriction| match command {
        Command::BlockMedia => restriction.blocked = true,
        Command::UnblockMedia => restriction.blocked = false,
        Command::SilenceMedia => restriction.silenced = true,
        Command::UnsilenceMedia => restriction.silenced = false,
        Command::BlockDtmf => {
            restriction.events = events.clone();
            restriction.delay = delay.unwrap_or(restriction.delay);
        }
        _ => {
            restriction.events = Events::Pass;
            restriction.delay = Duration::ZERO;
        }
    }
}

/// What of a party is meant: everything it says, everything it hears (`egress`), or single flows.
fn scopes(legs: &Legs, request: &Request, party: LegId) -> Result<Vec<Scope>, RequestError> {
    let selection = &request.flags.selection;
    let egress = selection.egress || request.flags.media.block_egress;
    let other = if let Some(tag) = &request.to_tag {
        let found = legs.by_tag(tag);
        Some(found.ok_or(RequestError::Selection(reason::FLOW_TO_TAG_NOT_FOUND))?)
    } else if let Some(label) = &selection.to_label {
        let found = select::by_label(legs, label);
        Some(found.ok_or(RequestError::Selection(reason::FLOW_TO_LABEL_NOT_FOUND))?)
    } else {
        None
    };
    if let Some(other) = other {
        let (from, to) = if egress {
            (other, party)
        } else {
            (party, other)
        };
        if !legs.subscriptions.is_connected(to, from) {
            return Err(RequestError::Selection(reason::FLOW_NOT_SUBSCRIBED));
        }
        return Ok(vec![Scope::Flow { from, to }]);
    }
    match selection.all {
        Some(origin) => some(flows(legs, party, origin, egress)),
        None if egress => Ok(vec![Scope::Towards(party)]),
        None => Ok(vec![Scope::From(party)]),
    }
}

/// The flows from a party (or to it) that have this origin.
fn flows(legs: &Legs, party: LegId, origin: All, egress: bool) -> Vec<Scope> {
    let subscriptions = &legs.subscriptions;
    let others = legs.iter().map(|leg| leg.id).filter(|&id| id != party);
    others
        .map(|other| {
            if egress {
                (other, party)
            } else {
                (party, other)
            }
        })
        .filter(|&(from, to)| {
            let negotiated = subscriptions.partners(from).contains(&to);
            match origin {
                All::OfferAnswer => negotiated,
                All::ExceptOfferAnswer => !negotiated && subscriptions.is_connected(to, from),
                All::Flows | All::All => subscriptions.is_connected(to, from),
            }
        })
        .map(|(from, to)| Scope::Flow { from, to })
        .collect()
}

fn some(scopes: Vec<Scope>) -> Result<Vec<Scope>, RequestError> {
    if scopes.is_empty() {
        return Err(RequestError::Selection(reason::NO_SUBSCRIPTIONS));
    }
    Ok(scopes)
}
