//! The document itself: draft-ietf-vcon-vcon-core section 4, in the unsigned form.

use std::path::Path;
use std::time::Duration;

use relay_media::TelephoneEvent;
use serde::Serialize;
use serde_json::{Map, Value};

use super::facts::{Facts, PartyObject};
use super::{Channels, Conversation, Key, content};
use relay_call::UtcTime;

/// Section 4.1.1: deprecated once the draft is an RFC; until then readers ask for it.
const VERSION: &str = "0.4.0";

/// A vCon about one recording.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    vcon: &'static str,
    uuid: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    parties: Vec<PartyObject<'a>>,
    dialog: [Dialog<'a>; 1],
    attachments: [Attachment; 1],
}

/// Section 4.3.
#[derive(Debug, Serialize)]
struct Dialog<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    parties: Vec<Speakers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mediatype: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    party_history: Vec<KeyStroke>,
    /// Last, because it may be long.
    #[serde(flatten)]
    content: Option<&'a content::Audio>,
}

/// Who is heard on a channel.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Speakers {
    One(usize),
    Several(Vec<usize>),
}

/// Section 4.3.13.1.
#[derive(Debug, Serialize)]
struct KeyStroke {
    party: usize,
    time: String,
    event: &'static str,
    button: char,
}

/// Section 4.4.
#[derive(Debug, Serialize)]
struct Attachment {
    purpose: &'static str,
    start: String,
    party: usize,
    dialog: usize,
    mediatype: &'static str,
    encoding: &'static str,
    body: Map<String, Value>,
}

impl<'a> Document<'a> {
    /// About a conversation. Its audio, if there is any, is read when the document is written.
    pub(super) fn new(
        uuid: String,
        now: Duration,
        conversation: &'a Conversation,
        content: Option<&'a content::Audio>,
    ) -> Self {
        let facts = Facts::read(conversation.metadata.as_deref().unwrap_or_default());
        // Section 4.2: one for each participant, even if nothing is known about it; a call has two.
        let people = conversation.parties.len().max(2);
        let mut parties: Vec<PartyObject<'a>> = (0..people)
            .map(|number| facts.party(number, conversation.parties.get(number)))
            .collect();
        // Section 4.4.3: whoever adds an attachment is a party, though not one of the conversation.
        parties.push(PartyObject {
            name: Some("Tandem"),
            kind: Some("bot"),
            ..PartyObject::default()
        });
        let created = UtcTime(conversation.call_created).rfc3339();
        let mut body: Map<String, Value> = facts
            .others()
            .map(|(key, value)| (key, Value::String(value)))
            .collect();
        body.insert(
            "call-id".to_owned(),
            conversation.call_id.to_string().into(),
        );
        Self {
            vcon: VERSION,
            uuid,
            created_at: UtcTime(now).rfc3339(),
            subject: facts.get("subject"),
            parties,
            dialog: [Dialog::new(conversation, &facts, people, content)],
            attachments: [Attachment {
                purpose: "signalling",
                start: created,
                party: people,
                dialog: 0,
                mediatype: "application/json",
                encoding: "json",
                body,
            }],
        }
    }
}

impl<'a> Dialog<'a> {
    fn new(
        conversation: &'a Conversation,
        facts: &Facts<'a>,
        people: usize,
        content: Option<&'a content::Audio>,
    ) -> Self {
        let audio = conversation.audio.as_ref();
        let everybody = || (0..people).map(Speakers::One).collect();
        let parties = match audio.map(|audio| audio.channels) {
            // Section 4.3.4: as many entries as channels.
            Some(Channels::Stereo) if people > 2 => {
                vec![Speakers::One(0), Speakers::Several((1..people).collect())]
            }
            Some(Channels::Stereo | Channels::Mixed) | None => everybody(),
        };
        let started = audio.map_or(conversation.call_created, |audio| audio.started);
        let name = audio.and_then(|audio| audio.path.file_name()?.to_str());
        Self {
            kind: audio.map_or("incomplete", |_| "recording"),
            start: UtcTime(started).rfc3339(),
            duration: audio.map(|audio| audio.duration.as_millis() as f64 / 1000.0),
            parties,
            mediatype: audio.map(|audio| media_type(&audio.path)),
            filename: name,
            // Section 4.3.11; nobody said a word. Whether the other was busy is not known here.
            disposition: match (audio, conversation.answered) {
                (Some(_), _) => None,
                (None, true) => Some("hung-up"),
                (None, false) => Some("failed"),
            },
            application: facts.get("wacid").map(|_| "WhatsApp"),
            party_history: conversation.keys.iter().flat_map(strokes).collect(),
            content,
        }
    }
}

/// Section 4.3.8 has `audio/x-wav`; RFC 7845 section 9 has `audio/ogg`.
fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("wav") => "audio/x-wav",
        Some("opus") => "audio/ogg",
        _ => "application/octet-stream",
    }
}

/// The key goes down and comes up.
fn strokes(key: &Key) -> Vec<KeyStroke> {
    let event = TelephoneEvent {
        event: key.event,
        end: true,
        volume: 0,
        duration: 0,
    };
    let Some(button) = event.digit() else {
        return Vec::new();
    };
    let pressed = key.released.saturating_sub(key.held);
    [("keydown", pressed), ("keyup", key.released)]
        .map(|(event, time)| KeyStroke {
            party: key.party,
            time: UtcTime(time).rfc3339(),
            event,
            button,
        })
        .into()
}
