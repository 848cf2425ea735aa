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
    /// A command that nobody carries out here.
    pub fn unsupported(command: Command) -> Self {
        Self::Unsupported(command.name().to_owned())
    }
}

impl From<RequestError> for Response {
    fn from(error: RequestError) -> Self {
        Response::error(error.to_string())
    }
}
