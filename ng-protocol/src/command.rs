//! What a request asks for.

use std::fmt;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `ping`
    Ping,
    /// `offer`
    Offer,
    /// `answer`
    Answer,
    /// `delete`
    Delete,
    /// `query`
    Query,
    /// `list`
    List,
    /// `statistics`
    Statistics,
    /// `start recording`
    StartRecording,
    /// `stop recording`
    StopRecording,
    /// `pause recording`
    PauseRecording,
    /// `start forwarding`
    StartForwarding,
    /// `stop forwarding`
    StopForwarding,
    /// `block DTMF`
    BlockDtmf,
    /// `unblock DTMF`
    UnblockDtmf,
    /// `block media`
    BlockMedia,
    /// `unblock media`
    UnblockMedia,
    /// `silence media`
    SilenceMedia,
    /// `unsilence media`
    UnsilenceMedia,
    /// `play media`
    PlayMedia,
    /// `stop media`
    StopMedia,
    /// `play DTMF`
    PlayDtmf,
    /// `subscribe request`
    SubscribeRequest,
    /// `subscribe answer`
    SubscribeAnswer,
    /// `unsubscribe`
    Unsubscribe,
    /// `publish`
    Publish,
    /// `connect`
    Connect,
    /// `inject start`
    InjectStart,
    /// `inject stop`
    InjectStop,
    /// `create`
    Create,
    /// `create answer`
    CreateAnswer,
    /// `mesh`
    Mesh,
    /// `transform`
    Transform,
    /// `cli`
    Cli,
}

impl Command {
    /// Every command with its name and its short name, in the order of the reference.
    const TABLE: [(Self, &'static str, &'static str); 33] = [
        (Self::Ping, "ping", "ping"),
        (Self::Offer, "offer", "offer"),
        (Self::Answer, "answer", "answer"),
        (Self::Delete, "delete", "delete"),
        (Self::Query, "query", "query"),
        (Self::List, "list", "list"),
        (Self::Statistics, "statistics", "stats"),
        (Self::StartRecording, "start recording", "startrec"),
        (Self::StopRecording, "stop recording", "stoprec"),
        (Self::PauseRecording, "pause recording", "pauserec"),
        (Self::StartForwarding, "start forwarding", "startfwd"),
        (Self::StopForwarding, "stop forwarding", "stopfwd"),
        (Self::BlockDtmf, "block DTMF", "blkdtmf"),
        (Self::UnblockDtmf, "unblock DTMF", "unblkdtmf"),
        (Self::BlockMedia, "block media", "blkmedia"),
        (Self::UnblockMedia, "unblock media", "unblkmedia"),
        (Self::SilenceMedia, "silence media", "slnmedia"),
        (Self::UnsilenceMedia, "unsilence media", "unslnmedia"),
        (Self::PlayMedia, "play media", "playmedia"),
        (Self::StopMedia, "stop media", "stopmedia"),
        (Self::PlayDtmf, "play DTMF", "playdtmf"),
        (Self::SubscribeRequest, "subscribe request", "subreq"),
        (Self::SubscribeAnswer, "subscribe answer", "subans"),
        (Self::Unsubscribe, "unsubscribe", "unsub"),
        (Self::Publish, "publish", "pub"),
        (Self::Connect, "connect", "conn"),
        (Self::InjectStart, "inject start", "injstart"),
        (Self::InjectStop, "inject stop", "injstop"),
        (Self::Create, "create", "create"),
        (Self::CreateAnswer, "create answer", "crtansw"),
        (Self::Mesh, "mesh", "mesh"),
        (Self::Transform, "transform", "trnsfm"),
        (Self::Cli, "cli", "cli"),
    ];

    /// Every command.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TABLE.into_iter().map(|(command, ..)| command)
    }

    /// The command of this name. Names are exact: lower case except `DTMF`, with spaces.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "CLI" {
            return Some(Self::Cli);
        }
        Self::TABLE
            .into_iter()
            .find(|(_, known, _)| *known == name)
            .map(|(command, ..)| command)
    }

    /// The name on the wire, and the label in metrics.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The name that the keys of the `statistics` reply are made of.
    pub fn short_name(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (Self, &'static str, &'static str) {
        // The table has the order of the enumeration, which a test holds it to.
        Self::TABLE[self as usize]
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_commands_follows_the_enumeration() {
        for (index, command) in Command::all().enumerate() {
            assert_eq!(command as usize, index);
            assert_eq!(Command::parse(command.name()), Some(command));
        }
        assert_eq!(Command::BlockDtmf.name(), "block DTMF");
        assert_eq!(Command::CreateAnswer.short_name(), "crtansw");
    }
}
