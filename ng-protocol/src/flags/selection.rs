//! Which party, branch or flow a command is about, and how `delete` behaves.

use std::net::IpAddr;

/// The words that select a party or modify a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectionFlags {
    /// Act on everything, or on flows of one origin.
    pub all: Option<All>,
    /// Honour `from-tag` in block and forward commands.
    pub directional: bool,
    /// Honour `to-tag` in `delete`.
    pub to_tag: bool,
    /// Name of the party whose SDP is in the request (`label`, `from-label`).
    pub label: Option<String>,
    /// A new name for the selected party.
    pub set_label: Option<String>,
    /// Name of the other party.
    pub to_label: Option<String>,
    /// The media address by which to find the party.
    pub address: Option<IpAddr>,
    /// Free text that is passed on to recordings and statistics.
    pub metadata: Option<String>,
    /// `delete`: an unknown call or tag is an error.
    pub fatal: bool,
    /// `delete`: no statistics in the reply.
    pub fast: bool,
    /// `delete`, `stop recording`: drop what was recorded.
    pub discard_recording: bool,
    /// `stop recording`: only pause.
    pub pause: bool,
    /// The answer belongs to a new branch, whatever its tag says.
    pub new_branch: bool,
    /// The answer is not final: a changed to-tag renames the party.
    pub provisional: bool,
}

/// The values of `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum All {
    /// Everything.
    All,
    /// Flows that offer and answer made.
    OfferAnswer,
    /// Flows that offer and answer did not make.
    ExceptOfferAnswer,
    /// Every flow, singly.
    Flows,
}
