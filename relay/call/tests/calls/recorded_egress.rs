//! Calls of which is recorded what parties are sent (`record-egress`, `record-both`).

use std::time::Duration;

use ng_protocol::flags::RecordingCodes;
use relay_call::config::{RecordedStreams, RecordingPlan};
use relay_call::recording::{Part, Speech};
use relay_transport::rtcp::Compound;

use crate::media::{FRAME, Line, META, SPEECH};
use crate::play_media::constant;
use crate::recording::{START, STOP};
use crate::restrict::about;
use crate::support::sdp;
use crate::whatsapp::{META_SDES, UIC_OFFER, exchange};

const PBX: &str = "192.0.2.55:40000";
const EAR: &str = "192.0.2.99:6000";

/// An answered call that is being recorded.
fn recorded_with(streams: RecordedStreams, keys: &str) -> Line {
    let plan = RecordingPlan {
        directory: "/var/rec".into(),
        packets: true,
        audio: Some("wav"),
        vcon: false,
        streams,
        codes: RecordingCodes::default(),
    };
    let mut line = Line::ringing_with(|config| config.recording = Some(plan));
    let offer = format!("{UIC_OFFER} {keys}");
    line.ask(&exchange("offer", META_SDES, ["meta", ""], &offer));
    line.answer();
    line.tell(START, "");
    line.recorded();
    line
}

/// A recorded datagram: its way, its bytes, what is heard in it.
struct Copy {
    way: [String; 2],
    bytes: Box<[u8]>,
    speech: Option<Speech>,
}

impl Copy {
    /// Whose speech it is said to be, once it is seen that it is speech.
    fn is_callers(&self) -> Option<bool> {
        let speech = self.speech.as_ref()?;
        assert_eq!(self.bytes[speech.payload.clone()], SPEECH);
        Some(speech.is_callers)
    }
}

fn copies(line: &mut Line) -> Vec<Copy> {
    let parts = line.recorded().into_iter().map(|recorded| recorded.part);
    let copy = |part| match part {
        Part::Datagram {
            source,
            destination,
            bytes,
            speech,
            ..
        } => Some(Copy {
            way: [source, destination].map(|address| address.to_string()),
            bytes,
            speech,
        }),
        _ => None,
    };
    parts.filter_map(copy).collect()
}

/// From where to where the copies went, `us` standing for whichever of our addresses.
fn ways(copies: &[Copy]) -> Vec<[&str; 2]> {
    let is_far_end = |address: &str| [META, PBX, EAR].contains(&address);
    let name = |address| if is_far_end(address) { address } else { "us" };
    copies
        .iter()
        .map(|copy| copy.way.each_ref().map(|address| name(address.as_str())))
        .collect()
}

#[test]
fn what_leaves_is_copied_before_it_is_encrypted_and_belongs_to_whoever_is_heard() {
    let mut line = recorded_with(RecordedStreams::Egress, "");
    line.pbx_says(9);
    let copied = copies(&mut line);
    assert_eq!(ways(&copied), [["us", META]]);
    assert_eq!(copied[0].is_callers(), Some(false), "the caller hears it");
    line.meta_says(111, 7);
    let copied = copies(&mut line);
    assert_eq!(ways(&copied), [["us", PBX]]);
    assert_eq!(copied[0].is_callers(), Some(true));
    line.tell(STOP, "");
    line.meta_says(111, 8);
    assert!(copies(&mut line).is_empty());
}

#[test]
fn of_both_sides_there_are_all_packets_and_the_speech_of_one() {
    let mut line = recorded_with(RecordedStreams::Both, "");
    line.meta_says(111, 7);
    let copied = copies(&mut line);
    assert_eq!(ways(&copied), [[META, "us"], ["us", PBX]]);
    assert_eq!(copied[0].is_callers(), None);
    assert_eq!(copied[1].is_callers(), Some(true));
}

#[test]
fn what_the_relay_plays_and_reports_is_in_a_recording_of_what_leaves() {
    let mut line = recorded_with(RecordedStreams::Egress, "");
    let request = about("play media", r#""from-tag":"pbx","file":"/a.wav""#);
    let recording = Ok(Box::new(constant(100)) as Box<_>);
    let now = line.desk.now;
    let played = line.desk.call.play_media(now, &request, recording);
    assert_eq!(played.error_reason(), None);
    line.run(Duration::from_secs(3));
    let copied = copies(&mut line);
    let to_pbx = copied.iter().filter(|copy| copy.way[1] == PBX);
    let heard: Vec<bool> = to_pbx
        .filter_map(|copy| Some(copy.speech.as_ref()?.is_callers))
        .collect();
    assert_eq!(
        heard, [true; 5],
        "five packets of what the caller might have said"
    );
    let reports = copied.iter().filter(|copy| copy.way[1] == META);
    let reports = reports.filter_map(|copy| Compound::parse(&copy.bytes));
    assert!(
        reports
            .filter(|r| r.sender_reports().next().is_some())
            .count()
            > 0
    );
}

#[test]
fn nobody_hears_an_excluded_party_in_a_recording_of_what_leaves() {
    let mut line = recorded_with(RecordedStreams::Egress, "exclude-recording");
    line.meta_says(111, 7);
    line.run(FRAME);
    line.pbx_says(9);
    let copied = copies(&mut line);
    let ways = ways(&copied);
    assert!(
        !ways.is_empty() && ways.iter().all(|way| *way == ["us", META]),
        "{ways:?}"
    );
}

#[test]
fn what_a_mere_listener_is_sent_is_not_recorded_once_more() {
    let mut line = recorded_with(RecordedStreams::Egress, "");
    let response = line.tell(
        "subscribe request",
        r#""from-tag":"meta","to-tag":"ear","transport-protocol":"RTP/AVP""#,
    );
    assert!(sdp(&response).contains("m=audio"));
    let answer = "v=0\\r\\no=- 1 1 IN IP4 192.0.2.99\\r\\ns=-\\r\\nc=IN IP4 192.0.2.99\\r\\nt=0 0\\r\\n\
                  m=audio 6000 RTP/AVP 111\\r\\na=rtpmap:111 opus/48000/2\\r\\na=recvonly\\r\\n";
    let answered = line.tell(
        "subscribe answer",
        &format!(r#""to-tag":"ear","sdp":"{answer}""#),
    );
    assert_eq!(answered.error_reason(), None);
    line.run(Duration::ZERO);
    line.recorded();
    line.sent.clear();
    line.meta_says(111, 7);
    assert_eq!(line.heard_at(EAR).len(), 1);
    assert_eq!(ways(&copies(&mut line)), [["us", PBX]]);
}
