//! Commands that a call cannot carry out: what scripts are told, and what the operator is told.

use ng_protocol::{Command, Request};

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
        other => return Err(RequestError::unsupported(other)),
    }
    Ok(format!(
        "{} is accepted and nothing is forwarded",
        request.command.name()
    ))
}
