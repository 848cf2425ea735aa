//! A request in typed form: what is asked, about which call and party, with which options.
//!
//! A `Request` owns all it needs, so that it can cross from the control side to the worker that owns the call.

mod keys;
mod parse;

pub use crate::command::Command;
use crate::flags::Flags;
pub use crate::identity::{CallId, Tag, ViaBranch};
pub use crate::spelling::Word;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// The call it is about.
    pub call_id: Option<CallId>,
    /// The party that sent the offer. An empty tag counts as none.
    pub from_tag: Option<Tag>,
    /// The other party. An empty tag counts as none.
    pub to_tag: Option<Tag>,
    /// The branch.
    pub via_branch: Option<ViaBranch>,
    /// `subscribe request`: several sources.
    pub from_tags: Vec<Tag>,
    /// The session description, untouched.
    pub sdp: Option<Vec<u8>>,
    /// All options.
    pub flags: Flags,
    /// `list`: how many call-ids at most.
    pub limit: Option<i64>,
    /// Whether the client understands the reply `load limit`.
    pub supports_load_limit: bool,
    /// Whether the SDP came in a SIP request or a SIP reply.
    pub sip_message_type: Option<SipMessageType>,
    /// The status code of that SIP reply.
    pub sip_code: Option<u16>,
    /// `delete`: seconds to wait; negative means the configured default.
    pub delete_delay: Option<i64>,
    /// `cli`: the command line.
    pub cli_body: Option<String>,
    /// `play media`, `stop media`: what to play.
    pub playback: Playback,
    /// What the sender's partner is to hear while the sender holds it (`moh`).
    pub hold_music: Option<HoldMusic>,
    /// `play DTMF`: which event.
    pub dtmf: DtmfEvent,
    /// `start recording`: where to.
    pub recording: RecordingOutput,
    /// Words that are known and have no effect (yet).
    pub inert: Vec<Word>,
    /// Words nobody knows. They are reported, never refused: old scripts are full of them.
    pub unknown: Vec<Word>,
}

impl Request {
    /// A request of which nothing but the command is known.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            call_id: None,
            from_tag: None,
            to_tag: None,
            via_branch: None,
            from_tags: Vec::new(),
            sdp: None,
            flags: Flags::default(),
            limit: None,
            supports_load_limit: false,
            sip_message_type: None,
            sip_code: None,
            delete_delay: None,
            cli_body: None,
            playback: Playback::default(),
            hold_music: None,
            dtmf: DtmfEvent::default(),
            recording: RecordingOutput::default(),
            inert: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

/// The values of `sip-message-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipMessageType {
    /// `sip_request`
    Request,
    /// `sip_reply`
    Reply,
}

/// What `play media` plays.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Playback {
    /// A path that the daemon can read.
    pub file: Option<String>,
    /// The bytes of an audio file (`blob`).
    pub blob: Option<Vec<u8>>,
    /// The key of a database record.
    pub db_id: Option<i64>,
    /// How often; absent means once.
    pub repeat_times: Option<i64>,
    /// For how long to repeat, in milliseconds.
    pub repeat_duration_ms: Option<i64>,
    /// Where to start, in milliseconds.
    pub start_position_ms: Option<i64>,
}

impl Playback {
    /// Whether there is anything to open: a file, or its bytes.
    pub fn names_something(&self) -> bool {
        let named = self.file.as_ref().is_some_and(|file| !file.is_empty());
        named || self.blob.as_ref().is_some_and(|blob| !blob.is_empty())
    }
}

/// Music on hold (`moh`).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HoldMusic {
    /// What is played.
    pub playback: Playback,
    /// What the party on hold is told.
    pub mode: HoldMode,
}

/// The direction that a party on hold is told, whatever its holder wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HoldMode {
    /// It hears something and need not send.
    #[default]
    SendOnly,
    /// It is not told that it is on hold.
    SendRecv,
}

/// What `play DTMF` sends (RFC 4733).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DtmfEvent {
    /// The event, 0 to 15, if `code` (or `digit`) named one.
    pub code: Option<u8>,
    /// Whether `code` was written but names no event; the command then fails.
    pub code_out_of_range: bool,
    /// How long, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How loud, in dBm0: zero or negative.
    pub volume: Option<i64>,
    /// How long to wait before the next one, in milliseconds.
    pub pause_ms: Option<i64>,
}

/// Where `start recording` writes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingOutput {
    /// The file (`output-destination` and its synonyms).
    pub destination: Option<String>,
    /// The directory (`recording-dir` and its synonyms).
    pub directory: Option<String>,
    /// The pattern of file names (`recording-pattern`).
    pub pattern: Option<String>,
}
