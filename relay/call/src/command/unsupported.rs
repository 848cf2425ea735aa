//! Commands that a call cannot carry out: what scripts are told, and what the operator is told.

use ng_protocol::{Command, Response, reason};

use crate::error::RequestError;

/// The reply, and a line for the log where the reply is `ok` all the same.
pub(crate) fn reply(command: Command) -> (Response, Option<String>) {
    match command {
        // Scripts record on the side; a call must not fail because there is no recording.
        Command::StartRecording
        | Command::StopRecording
        | Command::PauseRecording
        | Command::StartForwarding
        | Command::StopForwarding => (
            Response::ok(),
            Some(format!(
                "{} is accepted and nothing is recorded",
                command.name()
            )),
        ),
        Command::PlayMedia => (Response::error(reason::PLAYBACK_FAILED), None),
        Command::StopMedia => (Response::error(reason::NOT_PLAYING), None),
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
            Some("start recording is accepted and nothing is recorded")
        );
        let (response, _) = reply(Command::InjectStart);
        assert_eq!(response.error_reason(), Some("unsupported: inject start"));
    }
}
