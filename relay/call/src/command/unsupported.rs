//! Commands that a call cannot carry out: why a script fails.

use ng_protocol::{Command, Request};

use crate::command::select::{self, FromTag};
use crate::error::RequestError;
use crate::leg::Legs;

/// Why a command fails: it is about nobody, or nothing does what it asks for.
pub(crate) fn refusal(legs: &Legs, request: &Request) -> RequestError {
    let selected = match request.command {
        Command::StartForwarding | Command::StopForwarding => {
            select::party(legs, request, FromTag::SelectsIfDirectional).map(drop)
        }
        _ => Ok(()),
    };
    let unsupported = || RequestError::unsupported(request.command);
    selected.err().unwrap_or_else(unsupported)
}
