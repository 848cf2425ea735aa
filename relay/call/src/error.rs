//! Why a request was refused.

use ng_protocol::{Command, Response, reason};
use thiserror::Error;

use crate::ports::LeaseError;
use crate::sdp::SdpError;

/// A refused request. The text becomes `error-reason`; proxies match some of the texts, so those stand alone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// A key that the command needs is missing.
    #[error("{0}")]
    Missing(&'static str),
    /// The party or the flow that the command is about cannot be found.
    #[error("{0}")]
    Selection(&'static str),
    /// A recording cannot be played: the words of rtpengine, and why.
    #[error("{0}: {1}")]
    Playback(&'static str, String),
    /// The call is not known.
    #[error("{}", reason::UNKNOWN_CALL_ID)]
    UnknownCall,
    /// The description cannot be read.
    #[error("{text}: {0}", text = reason::FAILED_TO_PARSE_SDP)]
    Sdp(#[from] SdpError),
    /// A stream has no address.
    #[error("{text}: media section {0} has no usable c= line", text = reason::INCOMPLETE_SDP)]
    NoAddress(usize),
    /// The tags do not make a dialogue.
    #[error("{}", reason::INVALID_DIALOGUE)]
    Dialogue,
    /// No port could be had.
    #[error(transparent)]
    Ports(#[from] LeaseError),
    /// Encryption was asked for and there is no way to agree on keys.
    #[error("{text}: {0}", text = reason::NO_USABLE_CRYPTO)]
    Crypto(String),
    /// The parties have no codec in common and the relay does not transcode between theirs.
    #[error("transcoding is not available: {0}")]
    Codec(String),
    /// A `subscribe answer` that does not fit what was offered.
    #[error("{text}: {0}", text = reason::SUBSCRIBE_ANSWER_FAILED)]
    Subscription(String),
    /// A recording is to lie where it must not.
    #[error("cannot record: {0}")]
    Recording(String),
    /// The command is not one a call can carry out (yet).
    #[error("{text}: {0}", text = reason::UNSUPPORTED)]
    Unsupported(String),
}

impl RequestError {
    /// A command that nobody carries out here, and what does something of the kind.
    pub fn unsupported(command: Command) -> Self {
        let name = command.name();
        let instead = match command {
            Command::StartForwarding | Command::StopForwarding => {
                "`subscribe request` hands media out, `start recording` keeps it"
            }
            Command::InjectStart | Command::InjectStop => {
                "`play media` lets a party hear a file, `subscribe request` with `bidirectional` somebody else"
            }
            Command::Create | Command::CreateAnswer => {
                "a call begins with `offer`, that of a party alone with `publish`"
            }
            Command::Mesh => {
                "`connect` joins two parties, `subscribe request` with `mix` lets one hear several"
            }
            Command::Transform => {
                "`offer` and `answer` with `codec-transcode` transcode between two parties"
            }
            _ => return Self::Unsupported(name.to_owned()),
        };
        Self::Unsupported(format!("{name}; {instead}"))
    }
}

impl From<RequestError> for Response {
    fn from(error: RequestError) -> Self {
        Response::error(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_not_carried_out_is_named_with_what_to_use_instead() {
        for command in [
            Command::StartForwarding,
            Command::StopForwarding,
            Command::InjectStart,
            Command::InjectStop,
            Command::Create,
            Command::CreateAnswer,
            Command::Mesh,
            Command::Transform,
        ] {
            let response = Response::from(RequestError::unsupported(command));
            let reason = response.error_reason().unwrap();
            let rest = reason.strip_prefix(&format!("unsupported: {}; ", command.name()));
            assert!(rest.is_some_and(|rest| rest.contains('`')), "{reason}");
        }
    }
}
