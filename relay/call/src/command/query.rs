//! `query`: the counters of a call.

use ng_protocol::{Request, Response};

use crate::error::RequestError;
use crate::leg::LegId;
use crate::stats::report::Reported;

/// Carries out a `query`. A tag restricts the parties that are listed to its own and its partners.
pub(crate) fn query(reported: &Reported<'_>, request: &Request) -> Response {
    let legs = reported.legs;
    if legs.is_empty() {
        return RequestError::UnknownCall.into();
    }
    let tag = request.to_tag.as_ref().or(request.from_tag.as_ref());
    let only: Option<Vec<LegId>> = tag.map(|tag| {
        let Some(leg) = legs.by_tag(tag) else {
            return Vec::new();
        };
        let mut parties = legs.subscriptions.partners(leg);
        parties.push(leg);
        parties
    });
    Response::from_body(reported.dictionary(only.as_deref()))
}
