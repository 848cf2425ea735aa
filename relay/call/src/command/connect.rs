//! `connect`: two parties of a call hear each other from now on, and nobody else.

use ng_protocol::{Request, reason};

use crate::error::RequestError;
use crate::leg::Legs;
use crate::section::MediaSection;

/// Carries out a `connect`. The text tells of a wish that is not followed.
pub(crate) fn connect(legs: &mut Legs, request: &Request) -> Result<Option<String>, RequestError> {
    let elsewhere = request.flags.selection.to_call_id.as_ref();
    if elsewhere.is_some_and(|id| Some(id) != request.call_id.as_ref()) {
        // The two calls may live on two threads, and a call never moves.
        return Err(RequestError::Unsupported(
            "connect of parties of two calls (to-call-id)".into(),
        ));
    }
    let from = request.from_tag.as_ref();
    let from = from.ok_or(RequestError::Missing(reason::NO_FROM_TAG))?;
    let to = request.to_tag.as_ref();
    let to = to.ok_or(RequestError::Missing(reason::NO_TO_TAG))?;
    let from = legs
        .by_tag(from)
        .ok_or(RequestError::Selection(reason::NO_MATCHING_TAG))?;
    let to = legs
        .by_tag(to)
        .ok_or(RequestError::Selection(reason::TO_TAG_NOT_FOUND))?;
    if from == to {
        return Err(RequestError::Dialogue);
    }
    let formats = |leg| {
        let sections = legs.get(leg).map_or(&[][..], |leg| &leg.sections);
        sections
            .iter()
            .filter(|section| section.is_live() && section.remote.is_some())
            .flat_map(MediaSection::sent_formats)
            .filter(|format| format.is_speech())
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (formats(from), formats(to));
    if !ours
        .iter()
        .any(|a| theirs.iter().any(|b| a.same_encoding(b)))
    {
        return Err(RequestError::Codec(
            "the two parties have no codec in common".into(),
        ));
    }
    legs.subscriptions.connect(from, to);
    let one_way = request.flags.selection.directional;
    Ok(one_way.then(|| "connect joins both directions; directional has no effect".into()))
}
