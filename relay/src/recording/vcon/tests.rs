//! Documents on the disk, read back.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

/// A folder with the audio of one conversation; gone after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(audio: &[u8]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem-vcon-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a%2F b.wav"), audio).unwrap();
        Self(path)
    }

    fn conversation(&self, channels: Channels) -> Conversation {
        let second = Duration::from_secs(1_795_330_304);
        Conversation {
            path: self.0.join("a.vcon"),
            before: self.0.join("before"),
            call_id: "a/b@example.com".into(),
            audio: Some(Audio {
                path: self.0.join("a%2F b.wav"),
                channels,
                started: second + Duration::from_millis(1_500),
                duration: Duration::from_millis(2_460),
            }),
            call_created: second,
            answered: true,
            metadata: None,
            parties: vec![Party::default(); 2],
            keys: Vec::new(),
        }
    }

    /// Writes it; the document, or nothing, and how many problems there were.
    fn written(&self, conversation: Conversation, content: Content) -> (Option<Value>, u64) {
        let counters = Arc::new(RecordingCounters::default());
        let writer = VconWriter {
            directory: self.0.clone(),
            content,
            uuids: Uuids::of("test"),
            counters: Arc::clone(&counters),
        };
        let path = conversation.path.clone();
        let (sender, receiver) = sync_channel(1);
        sender.send(conversation).unwrap();
        drop(sender);
        writer.run(&receiver);
        assert!(!self.0.join("before").exists());
        let text = fs::read(path).ok();
        let document = text.and_then(|text| serde_json::from_slice(&text).ok());
        (document, counters.figures().failed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_document_says_who_spoke_when_and_has_the_audio_inside() {
    let audio: Vec<u8> = (0..250_000_u32).map(|number| number as u8).collect();
    let scratch = Scratch::new(&audio);
    let mut conversation = scratch.conversation(Channels::Stereo);
    let metadata = "caller:+15551112222|callee:sip:desk@example.com|wacid:wacid.HBg|subject:\"Hi\"";
    conversation.metadata = Some(metadata.to_owned());
    conversation.parties[1].label = Some("agent".to_owned());
    conversation.keys = vec![Key {
        released: Duration::from_millis(1_795_330_306_100),
        held: Duration::from_millis(100),
        party: 0,
        event: 11,
    }];
    let (document, problems) = scratch.written(conversation, Content::Inline);
    assert_eq!(problems, 0);
    let mut document = document.unwrap();
    let body = document["dialog"][0]["body"].take();
    assert_eq!(
        URL_SAFE_NO_PAD.decode(body.as_str().unwrap()).unwrap(),
        audio
    );
    let uuid = document["uuid"].take();
    assert_eq!(uuid.as_str().unwrap().len(), 36);
    let created = document["created_at"].take();
    assert!(created.as_str().unwrap().ends_with('Z'));
    let expected = json!({
        "vcon": "0.4.0",
        "uuid": null,
        "created_at": null,
        "subject": "\"Hi\"",
        "parties": [
            {"tel": "+15551112222"},
            {"sip": "sip:desk@example.com", "name": "agent"},
            {"name": "Tandem", "type": "bot"},
        ],
        "dialog": [{
            "type": "recording",
            "start": "2026-11-22T06:51:45.500Z",
            "duration": 2.46,
            "parties": [0, 1],
            "mediatype": "audio/x-wav",
            "filename": "a%2F b.wav",
            "application": "WhatsApp",
            "party_history": [
                {"party": 0, "time": "2026-11-22T06:51:46Z", "event": "keydown", "button": "#"},
                {"party": 0, "time": "2026-11-22T06:51:46.100Z", "event": "keyup", "button": "#"},
            ],
            "encoding": "base64url",
            "body": null,
        }],
        "attachments": [{
            "purpose": "signalling",
            "start": "2026-11-22T06:51:44Z",
            "party": 2,
            "dialog": 0,
            "mediatype": "application/json",
            "encoding": "json",
            "body": {"call-id": "a/b@example.com", "wacid": "wacid.HBg"},
        }],
    });
    assert_eq!(document, expected);
}

#[test]
fn a_link_has_the_path_below_the_url_and_the_hash_of_the_file() {
    let scratch = Scratch::new(b"abc");
    let content = Content::Linked("https://rec.example.com/calls".to_owned());
    let conversation = scratch.conversation(Channels::Mixed);
    let (document, problems) = scratch.written(conversation, content);
    let dialog = &document.unwrap()["dialog"][0];
    assert_eq!(
        dialog["url"],
        "https://rec.example.com/calls/a%252F%20b.wav"
    );
    // The example of FIPS 180-2 appendix C.1: ddaf35a193617aba cc417349ae204131 ... a54ca49f.
    assert_eq!(
        dialog["content_hash"],
        "sha512-3a81oZNherrMQXNJriBBMRLm-k6JqX6iCp7u5ktV05ohkpkqJ0_BqDa6PCOj_uu9RU1EI2Q86A4qmslPpUyknw"
    );
    assert_eq!((&dialog["body"], problems), (&Value::Null, 0));
}

#[test]
fn each_channel_names_who_is_heard_on_it() {
    let scratch = Scratch::new(b"");
    for (channels, people, expected) in [
        (Channels::Stereo, 0, json!([0, 1])),
        (Channels::Stereo, 4, json!([0, [1, 2, 3]])),
        (Channels::Mixed, 3, json!([0, 1, 2])),
    ] {
        let mut conversation = scratch.conversation(channels);
        conversation.path = scratch.0.join(format!("{people}"));
        conversation.parties = vec![Party::default(); people];
        let (document, _) = scratch.written(conversation, Content::Inline);
        assert_eq!(document.unwrap()["dialog"][0]["parties"], expected);
    }
}

#[test]
fn a_call_in_which_nobody_spoke_is_incomplete() {
    for (answered, disposition) in [(true, "hung-up"), (false, "failed")] {
        let scratch = Scratch::new(b"");
        let mut conversation = scratch.conversation(Channels::Mixed);
        conversation.audio = None;
        conversation.answered = answered;
        let (document, problems) = scratch.written(conversation, Content::Inline);
        let expected = json!({
            "type": "incomplete",
            "start": "2026-11-22T06:51:44Z",
            "parties": [0, 1],
            "disposition": disposition,
        });
        assert_eq!(document.unwrap()["dialog"], json!([expected]));
        assert_eq!(problems, 0);
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind_and_is_counted() {
    let scratch = Scratch::new(b"abc");
    let mut conversation = scratch.conversation(Channels::Mixed);
    fs::write(&conversation.path, "precious").unwrap();
    let (_, problems) = scratch.written(conversation.clone(), Content::Inline);
    assert_eq!(problems, 1);
    assert_eq!(fs::read(&conversation.path).unwrap(), b"precious");
    fs::remove_file(&conversation.path).unwrap();
    // Its audio is gone.
    conversation.audio.as_mut().unwrap().path = scratch.0.join("gone.wav");
    for content in [Content::Inline, Content::Linked("https://x".to_owned())] {
        assert_eq!(scratch.written(conversation.clone(), content), (None, 1));
    }
    // Its audio cannot be read, which shows after half of the document.
    conversation.audio.as_mut().unwrap().path = scratch.0.clone();
    let written = scratch.written(conversation.clone(), Content::Inline);
    assert_eq!(written, (None, 1));
    // The folder is not there.
    conversation.path = scratch.0.join("no/such/folder");
    conversation.audio = None;
    assert_eq!(scratch.written(conversation, Content::Inline), (None, 1));
}
