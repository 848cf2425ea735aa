//! Replies: a result, and before it whatever the command gives back.
//!
//! Keys keep the order in which they were added. `result` comes last, or first where it is bad news, as NG clients have
//! always seen it; no client is known to care.

use crate::error::NgError;
use crate::frame::{self, Encoding};
use crate::value::{Dictionary, Value};

/// The texts that proxies or their operators match on.
pub mod reason {
    /// A session limit is reached; proxies try their next node.
    pub const PARALLEL_SESSION_LIMIT: &str = "Parallel session limit reached";
    /// No free port; proxies try their next node.
    pub const RAN_OUT_OF_PORTS: &str = "Ran out of ports";
    /// A load limit: processor time.
    pub const CPU_LIMIT: &str = "CPU usage limit exceeded";
    /// A load limit: load average.
    pub const LOAD_LIMIT: &str = "Load limit exceeded";
    /// A load limit: bytes per second.
    pub const BANDWIDTH_LIMIT: &str = "Bandwidth limit exceeded";
    /// `answer`, `query` and the recording commands: the call is unknown.
    pub const UNKNOWN_CALL_ID: &str = "Unknown call-id";
    /// `block`, `play` and `subscribe answer`: the call is unknown.
    pub const UNKNOWN_CALL_ID_MEDIA: &str = "Unknown call-ID";
    /// `delete`: warning, or error with the flag `fatal`.
    pub const CALL_ID_NOT_FOUND: &str = "Call-ID not found or tags didn't match";
    /// A required key is missing.
    pub const NO_SDP: &str = "No SDP body in message";
    /// A required key is missing.
    pub const NO_CALL_ID: &str = "No call-id in message";
    /// A required key is missing.
    pub const NO_FROM_TAG: &str = "No from-tag in message";
    /// A required key is missing.
    pub const NO_TO_TAG: &str = "No to-tag in message";
    /// The SDP has a syntax error.
    pub const FAILED_TO_PARSE_SDP: &str = "Failed to parse SDP";
    /// The SDP has no address for a stream.
    pub const INCOMPLETE_SDP: &str = "Incomplete SDP specification";
    /// From-tag equals to-tag, or there is no other side.
    pub const INVALID_DIALOGUE: &str = "Invalid dialogue association";
    /// The SDP could not be written.
    pub const ERROR_REWRITING_SDP: &str = "Error rewriting SDP";
    /// An SRTP protocol was asked for and every way to key it was switched off.
    pub const NO_USABLE_CRYPTO: &str = "No usable crypto suite";
    /// Party selection by label.
    pub const NO_MATCHING_LABEL: &str = "No monologue matching the given label";
    /// Party selection by address: not an address.
    pub const BAD_ADDRESS: &str = "Failed to parse network address";
    /// Party selection by address: nobody there.
    pub const NO_MATCHING_ADDRESS: &str = "Failed to match address to any tag";
    /// Party selection by tag.
    pub const NO_MATCHING_TAG: &str = "From-tag given, but no such tag exists";
    /// `play media` without a party.
    pub const NO_PARTY: &str = "No participant party specified";
    /// `play media` without a file.
    pub const NO_MEDIA_FILE: &str = "No media file specified";
    /// `play media`: the file cannot be played.
    pub const PLAYBACK_FAILED: &str = "Failed to start media playback from file";
    /// `play media`: the bytes cannot be played.
    pub const PLAYBACK_OF_BLOB_FAILED: &str = "Failed to start media playback from blob";
    /// `play media`: there is no such record, or no database.
    pub const PLAYBACK_OF_RECORD_FAILED: &str = "Failed to start media playback from database";
    /// `stop media` while nothing plays.
    pub const NOT_PLAYING: &str = "Not currently playing media";
    /// `play DTMF` with a code that is no event.
    pub const CODE_OUT_OF_RANGE: &str = "Out of range 'code' specified";
    /// `play DTMF` before any media flowed.
    pub const NO_SSRC_FOR_DTMF: &str = "No SSRC context present for DTMF injection";
    /// `play DTMF` without telephone-event or a codec we can write tones in.
    pub const NO_MEDIA_FOR_DTMF: &str = "Monologue has no media capable of DTMF injection";
    /// `list` with a negative limit.
    pub const INVALID_LIMIT: &str = "invalid limit, must be >= 0";
    /// Block or silence one flow: the other tag is unknown.
    pub const FLOW_TO_TAG_NOT_FOUND: &str = "Media flow not found (to-tag not found)";
    /// Block or silence one flow: the other label is unknown.
    pub const FLOW_TO_LABEL_NOT_FOUND: &str = "Media flow not found (to-label not found)";
    /// Block or silence one flow: the two do not hear each other.
    pub const FLOW_NOT_SUBSCRIBED: &str = "Media flow not found (to-tag not subscribed)";
    /// Block or silence: nothing to act on.
    pub const NO_SUBSCRIPTIONS: &str = "No eligible media subscriptions found";
    /// Subscriptions: the subscriber is unknown.
    pub const TO_TAG_NOT_FOUND: &str = "To-tag not found";
    /// `subscribe answer` failed.
    pub const SUBSCRIBE_ANSWER_FAILED: &str = "Failed to process subscription answer";
    /// `subscribe request` failed.
    pub const SUBSCRIBE_REQUEST_FAILED: &str = "Failed to request subscription";
    /// `unsubscribe` failed.
    pub const UNSUBSCRIBE_FAILED: &str = "Failed to unsubscribe";
    /// `subscribe request`: no source.
    pub const NO_MEDIAS: &str = "No medias found (no monologues matched)";
    /// `connect`: one of the calls is unknown.
    pub const UNKNOWN_CALL_IDS: &str = "Unknown call-ID(s)";
    /// `connect`: both calls know the same tag.
    pub const MERGE_TAG_COLLISION: &str = "Failed to merge two calls into one (tag collision)";
    /// A command that is recognised and not provided.
    pub const UNSUPPORTED: &str = "unsupported";
    /// The datagram ends after the cookie.
    pub const NO_PAYLOAD: &str = "Invalid data (no payload)";
    /// Not a bencode dictionary.
    pub const BAD_BENCODE: &str = "Could not decode bencode dictionary";
    /// Not JSON.
    pub const BAD_JSON: &str = "Failed to parse JSON document";
    /// JSON, but not an object we can take.
    pub const BAD_JSON_DICTIONARY: &str = "Could not decode JSON dictionary";
    /// Neither bencode nor JSON.
    pub const BAD_FORMAT: &str = "Invalid NG data format";
    /// No `command`.
    pub const NO_COMMAND: &str = "Dictionary contains no key \"command\"";
    /// A `command` nobody knows.
    pub const UNRECOGNIZED_COMMAND: &str = "Unrecognized command";
    /// A `command` that is known and has nobody to carry it out.
    pub const NO_COMMAND_HANDLER: &str = "No command handler";
}

/// The value of `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `ok`
    Ok,
    /// `error`
    Error,
    /// `pong`, the answer to `ping` alone
    Pong,
    /// `load limit`, for clients that announced it
    LoadLimit,
}

impl Outcome {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Pong => "pong",
            Self::LoadLimit => "load limit",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Ok, Self::Error, Self::Pong, Self::LoadLimit]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    outcome: Outcome,
    body: Dictionary<'static>,
}

impl Response {
    fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            body: Dictionary::new(),
        }
    }

    /// Success; add keys with [`Self::with`].
    pub fn ok() -> Self {
        Self::new(Outcome::Ok)
    }

    /// The answer to `ping`.
    pub fn pong() -> Self {
        Self::new(Outcome::Pong)
    }

    /// Failure, with a text on which a person can act or a proxy can match (see [`reason`]).
    pub fn error(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Error).with("error-reason", reason.into())
    }

    /// Refusal for reasons of load, to a client that announced that it understands this.
    pub fn load_limit(message: impl Into<String>) -> Self {
        Self::new(Outcome::LoadLimit).with("message", message.into())
    }

    /// Refusal for reasons of load, in the form the client understands.
    ///
    /// A client without `supports: ["load limit"]` hears of a session limit whatever the limit was,
    /// because that is the text on which it goes to its next node.
    pub fn overloaded(message: &str, supports_load_limit: bool) -> Self {
        if supports_load_limit {
            Self::load_limit(message)
        } else {
            Self::error(reason::PARALLEL_SESSION_LIMIT)
        }
    }

    /// Success with a rewritten SDP.
    pub fn sdp(body: Vec<u8>) -> Self {
        Self::ok().with("sdp", body)
    }

    /// Success with something the operator should know.
    pub fn warning(text: impl Into<String>) -> Self {
        Self::ok().with("warning", text.into())
    }

    /// Success with the keys of a dictionary, as `query` and `delete` give them.
    pub fn from_body(body: Dictionary<'static>) -> Self {
        Self {
            outcome: Outcome::Ok,
            body,
        }
    }

    /// Appends a key.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value<'static>>) -> Self {
        self.body.push(key.as_bytes(), value);
        self
    }

    /// Appends the whole dictionary as it goes on the wire. The body of a reply may be large and is not copied for it.
    fn write(&self, encoding: Encoding, out: &mut Vec<u8>) {
        let word = Value::from(self.outcome.as_str());
        let result = std::iter::once((b"result".as_slice(), &word));
        match self.outcome {
            Outcome::Ok | Outcome::Pong => {
                encoding.encode_pairs(self.body.iter().chain(result), out);
            }
            Outcome::Error | Outcome::LoadLimit => {
                encoding.encode_pairs(result.chain(self.body.iter()), out);
            }
        }
    }

    /// The reply as a body without a cookie, as HTTP carries it.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut payload = Vec::with_capacity(1024);
        self.write(encoding, &mut payload);
        payload
    }

    /// The reply as a datagram.
    pub fn to_datagram(&self, cookie: &[u8], encoding: Encoding) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(cookie.len() + 4096);
        self.append_datagram(cookie, encoding, &mut datagram);
        datagram
    }

    /// Appends the reply as a datagram to `out`.
    pub fn append_datagram(&self, cookie: &[u8], encoding: Encoding, out: &mut Vec<u8>) {
        out.extend_from_slice(cookie);
        out.push(b' ');
        self.write(encoding, out);
    }

    /// Reads a reply, in either encoding.
    pub fn decode(payload: &[u8]) -> Result<Self, ReplyError> {
        let mut outcome = None;
        let mut body = Dictionary::new();
        for (key, value) in frame::decode(payload)?.iter() {
            if key == b"result" {
                let word = value.as_str().unwrap_or_default();
                outcome = Outcome::parse(word);
                if outcome.is_none() {
                    return Err(ReplyError::BadResult(word.to_owned()));
                }
            } else {
                body.push(key.to_vec(), value.clone().into_owned());
            }
        }
        let outcome = outcome.ok_or_else(|| ReplyError::BadResult(String::new()))?;
        Ok(Self { outcome, body })
    }

    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The keys besides `result`.
    pub fn body(&self) -> &Dictionary<'static> {
        &self.body
    }

    /// The rewritten SDP, if there is one.
    pub fn sdp_body(&self) -> Option<&[u8]> {
        self.body.get("sdp")?.as_bytes()
    }

    /// The text of an error.
    pub fn error_reason(&self) -> Option<&str> {
        self.body.get("error-reason")?.as_str()
    }
}

/// Why a reply could not be understood; only clients, such as tests, meet this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The dictionary cannot be read.
    #[error(transparent)]
    Undecodable(#[from] NgError),
    /// `result` is missing or has a value that is not in the language.
    #[error("result={0:?} is not a result")]
    BadResult(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bencoded(response: &Response) -> String {
        String::from_utf8(response.encode(Encoding::Bencode)).unwrap()
    }

    #[test]
    fn a_reply_carries_the_cookie_in_the_encoding_of_the_request() {
        assert_eq!(
            Response::pong().to_datagram(b"4811_1", Encoding::Bencode),
            b"4811_1 d6:result4:ponge"
        );
        assert_eq!(
            Response::pong().to_datagram(b"4811_2", Encoding::Json),
            br#"4811_2 {"result":"pong"}"#
        );
    }

    #[test]
    fn result_comes_last_with_good_news_and_first_with_bad() {
        assert_eq!(
            bencoded(&Response::warning(reason::CALL_ID_NOT_FOUND)),
            "d7:warning38:Call-ID not found or tags didn't match6:result2:oke"
        );
        assert_eq!(
            bencoded(&Response::error(reason::UNKNOWN_CALL_ID)),
            "d6:result5:error12:error-reason15:Unknown call-ide"
        );
    }

    #[test]
    fn overload_is_told_in_the_form_the_client_understands() {
        assert_eq!(
            bencoded(&Response::overloaded(reason::CPU_LIMIT, true)),
            "d6:result10:load limit7:message24:CPU usage limit exceedede"
        );
        assert_eq!(
            bencoded(&Response::overloaded(reason::CPU_LIMIT, false)),
            "d6:result5:error12:error-reason30:Parallel session limit reachede"
        );
    }

    #[test]
    fn sdp_is_passed_on_byte_by_byte() {
        let response = Response::sdp(b"v=0\r\ns=caf\xe9\r\n".to_vec());
        let payload = response.encode(Encoding::Bencode);
        assert_eq!(payload, b"d3:sdp13:v=0\r\ns=caf\xe9\r\n6:result2:oke");
        assert_eq!(Response::decode(&payload), Ok(response));
    }

    #[test]
    fn a_reply_without_a_known_result_is_not_understood() {
        assert_eq!(
            Response::decode(b"d6:result5:maybee"),
            Err(ReplyError::BadResult("maybe".to_owned()))
        );
        assert_eq!(
            Response::decode(b"de"),
            Err(ReplyError::BadResult(String::new()))
        );
    }
}
