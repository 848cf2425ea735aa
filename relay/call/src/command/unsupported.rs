//! Commands that a call cannot carry out: what scripts are told, and what the operator is told.

use ng_protocol::flags::All;
use ng_protocol::{Command, Request, reason};

use crate::command::select::{self, FromTag};
use crate::error::RequestError;
use crate::leg::Legs;

/// Accepts a command of which a script must not fail, with a line for the log, or says why it fails.
pub(crate) fn accept(legs: &Legs, request: &Request) -> Result<String, RequestError> {
    match request.command {
        // Scripts forward on the side; a call must not fail because nobody listens.
        Command::StartForwarding | Command::StopForwarding => {
            select::party(legs, request, FromTag::SelectsIfDirectional)?;
        }
        Command::PlayMedia => {
            participant(legs, request)?;
            let playback = &request.playback;
            let named = playback.file.is_some() || playback.blob.is_some();
            return Err(RequestError::Selection(
                if named || playback.db_id.is_some() {
                    reason::PLAYBACK_FAILED
                } else {
                    reason::NO_MEDIA_FILE
                },
            ));
        }
        Command::StopMedia => {
            participant(legs, request)?;
            return Err(RequestError::Selection(reason::NOT_PLAYING));
        }
        other => return Err(RequestError::unsupported(other)),
    }
    Ok(format!(
        "{} is accepted and nothing is forwarded",
        request.command.name()
    ))
}

/// Playback is for somebody.
fn participant(legs: &Legs, request: &Request) -> Result<(), RequestError> {
    let party = select::party(legs, request, FromTag::Selects)?;
    let all = request.flags.selection.all == Some(All::All);
    if party.is_none() && !all {
        return Err(RequestError::Selection(reason::NO_PARTY));
    }
    Ok(())
}
