//! A request in typed form: what is asked, about which call and party, with which options.
//!
//! A `Request` owns all it needs, so that it can cross from the control side to the worker that owns the call.

use std::fmt;
use std::sync::Arc;

use crate::flags::Flags;

/// Declares a newtype over opaque bytes: compared and hashed, never interpreted, cheap to clone.
macro_rules! opaque_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<[u8]>);

        impl $name {
            /// The bytes as received.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<&[u8]> for $name {
            fn from(bytes: &[u8]) -> Self {
                Self(bytes.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.as_bytes().into())
            }
        }

        impl fmt::Display for $name {
            /// Bytes that are not UTF-8 are shown as replacement characters.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&String::from_utf8_lossy(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), String::from_utf8_lossy(&self.0))
            }
        }
    };
}

opaque_bytes!(
    /// The name of a call: the SIP Call-ID (RFC 3261 section 20.8), opaque to us.
    CallId
);
opaque_bytes!(
    /// The name of a party: a SIP From or To tag (RFC 3261 section 19.3), opaque to us.
    Tag
);
opaque_bytes!(
    /// What separates the branches of a forked offer: a Via branch parameter, opaque to us.
    ViaBranch
);

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
            sdp: None,
            flags: Flags::default(),
            limit: None,
            supports_load_limit: false,
            sip_message_type: None,
            sip_code: None,
            delete_delay: None,
            cli_body: None,
            playback: Playback::default(),
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// A word of a request that did nothing, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// The key, or `flags` for a flag word.
    pub key: String,
    /// The value, or the flag word.
    pub value: String,
}
