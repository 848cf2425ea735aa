//! `play media` and `stop media`: who hears a recording in place of the others.

use ng_protocol::flags::All;
use ng_protocol::request::Playback;
use ng_protocol::{Request, reason};

use crate::command::select::{self, FromTag};
use crate::error::RequestError;
use crate::leg::{LegId, Legs};

/// The parties that a request is about.
pub(crate) fn parties(legs: &Legs, request: &Request) -> Result<Vec<LegId>, RequestError> {
    if request.flags.selection.all == Some(All::All) {
        let parties = legs.iter().map(|leg| leg.id);
        let parties = parties.filter(|&id| !legs.subscriptions.is_subscriber(id));
        return Ok(parties.collect());
    }
    let party = select::party(legs, request, FromTag::Selects)?;
    Ok(vec![
        party.ok_or(RequestError::Selection(reason::NO_PARTY))?,
    ])
}

/// What rtpengine says when the source that a request names cannot be played.
pub(crate) fn failure(playback: &Playback) -> Result<&'static str, RequestError> {
    if playback.file.as_ref().is_some_and(|file| !file.is_empty()) {
        Ok(reason::PLAYBACK_FAILED)
    } else if playback.blob.as_ref().is_some_and(|blob| !blob.is_empty()) {
        Ok(reason::PLAYBACK_OF_BLOB_FAILED)
    } else if playback.db_id.is_some() {
        Ok(reason::PLAYBACK_OF_RECORD_FAILED)
    } else {
        Err(RequestError::Selection(reason::NO_MEDIA_FILE))
    }
}
