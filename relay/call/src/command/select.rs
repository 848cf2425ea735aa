//! Which party a command is about: by label, by the address of its media, or by its tag.

use ng_protocol::{Request, Tag, reason};

use crate::error::RequestError;
use crate::leg::{LegId, Legs};

/// When `from-tag` selects a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromTag {
    /// Always.
    Selects,
    /// Only together with the flag `directional`: block and silence commands are for the whole call otherwise.
    SelectsIfDirectional,
}

/// The party that a request names, if it names one.
pub(crate) fn party(
    legs: &Legs,
    request: &Request,
    from_tag: FromTag,
) -> Result<Option<LegId>, RequestError> {
    let selection = &request.flags.selection;
    if let Some(label) = &selection.label {
        let found = by_label(legs, label);
        return found
            .map(Some)
            .ok_or(RequestError::Selection(reason::NO_MATCHING_LABEL));
    }
    if selection.address_unreadable {
        return Err(RequestError::Selection(reason::BAD_ADDRESS));
    }
    if let Some(address) = selection.address {
        let is_there = |id: &LegId| {
            legs.get(*id).is_some_and(|leg| {
                leg.sections.iter().any(|section| {
                    let endpoint = section.rtp_endpoint.map(|endpoint| endpoint.ip());
                    let written = section.remote.as_ref().and_then(|remote| remote.address);
                    endpoint == Some(address) || written == Some(address)
                })
            })
        };
        let found = legs.iter().map(|leg| leg.id).find(is_there);
        return found
            .map(Some)
            .ok_or(RequestError::Selection(reason::NO_MATCHING_ADDRESS));
    }
    let honoured = from_tag == FromTag::Selects || selection.directional;
    match request.from_tag.as_ref().filter(|_| honoured) {
        Some(tag) => by_tag(legs, tag).map(Some),
        None => Ok(None),
    }
}

/// The party of that label.
pub(crate) fn by_label(legs: &Legs, label: &str) -> Option<LegId> {
    legs.iter()
        .find(|leg| leg.label.as_deref() == Some(label))
        .map(|leg| leg.id)
}

/// The party of that tag, which has to be there.
pub(crate) fn by_tag(legs: &Legs, tag: &Tag) -> Result<LegId, RequestError> {
    legs.by_tag(tag)
        .ok_or(RequestError::Selection(reason::NO_MATCHING_TAG))
}
