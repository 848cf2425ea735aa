//! Commands that are understood and have no effect yet. Scripts that send them go on working; the log says what did not happen.

use ng_protocol::{Command, Response, reason};

use crate::error::RequestError;

/// The reply, and what the operator should know.
pub(crate) fn reply(command: Command) -> (Response, Option<String>) {
    match command {
        Command::StartRecording
        | Command::StopRecording
        | Command::PauseRecording
        | Command::StartForwarding
        | Command::StopForwarding
        | Command::BlockDtmf
        | Command::UnblockDtmf
        | Command::BlockMedia
        | Command::UnblockMedia
        | Command::SilenceMedia
        | Command::UnsilenceMedia => (
            Response::ok(),
            Some(format!("{} is accepted and has no effect", command.name())),
        ),
        Command::PlayMedia => (Response::error(reason::PLAYBACK_FAILED), None),
        Command::StopMedia => (Response::error(reason::NOT_PLAYING), None),
        Command::PlayDtmf => (Response::error(reason::NO_MEDIA_FOR_DTMF), None),
        other => (
            RequestError::Unsupported(other.name().to_owned()).into(),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ng_protocol::Outcome;

    #[test]
    fn what_is_only_accepted_is_told_to_the_operator() {
        let (response, warning) = reply(Command::StartRecording);
        assert_eq!(response.outcome(), Outcome::Ok);
        assert_eq!(
            warning.as_deref(),
            Some("start recording is accepted and has no effect")
        );
        let (response, _) = reply(Command::Publish);
        assert_eq!(response.error_reason(), Some("unsupported: publish"));
    }
}
