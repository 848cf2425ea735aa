//! `play media`, `stop media`: a party hears a recording in place of the others, in one unbroken stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ng_protocol::{Response, Value};
use relay_call::{CallEvent, Piece, Recording, SampleSource, Supply};
use relay_transport::rtp::PayloadType;

use crate::media::{FRAME, Line};
use crate::pair::{A, B, Pair, rtp};
use crate::restrict::about;

/// A recording of a constant, in pieces of 100 ms; the last may be shorter.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    milliseconds: u64,
    /// Before this piece there is nothing for a while.
    late_at: Option<u64>,
}

const MILLISECOND: usize = 8;

pub(crate) fn constant(milliseconds: u64) -> Constant {
    Constant {
        milliseconds,
        late_at: None,
    }
}

impl Recording for Constant {
    fn duration(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.milliseconds))
    }

    fn listen(&self) -> Box<dyn SampleSource> {
        let mut supplies = VecDeque::new();
        for start in (0..self.milliseconds).step_by(100) {
            let lasts = (self.milliseconds - start).min(100) as usize;
            if self.late_at == Some(start) {
                supplies.extend([Supply::Later, Supply::Later]);
            }
            supplies.push_back(Supply::Piece(Arc::new(Piece {
                samples: vec![1_000; lasts * MILLISECOND].into(),
                position: Duration::from_millis(start),
            })));
        }
        Box::new(Listener(supplies))
    }
}

#[derive(Debug)]
struct Listener(VecDeque<Supply>);

impl SampleSource for Listener {
    fn rate_hz(&self) -> u32 {
        8_000
    }

    fn poll(&mut self) -> Supply {
        self.0.pop_front().unwrap_or(Supply::End)
    }
}

fn play(pair: &mut Pair, keys: &str, recording: Result<Constant, &str>) -> Response {
    let request = about("play media", keys);
    let recording = recording
        .map(|recording| Box::new(recording) as Box<dyn Recording>)
        .map_err(str::to_owned);
    let now = pair.desk.now;
    let response = pair.desk.call.play_media(now, &request, recording);
    pair.run(Duration::ZERO);
    response
}

fn stop(pair: &mut Pair, keys: &str) -> Response {
    let response = pair.desk.ask(&about("stop media", keys));
    pair.run(Duration::ZERO);
    response
}

fn number(response: &Response, key: &str) -> Option<i64> {
    match response.body().get(key) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}

fn field(packet: &[u8], start: usize) -> u32 {
    u32::from_be_bytes(packet[start..start + 4].try_into().unwrap())
}

#[test]
fn a_recording_is_heard_in_place_of_the_other_party_in_the_same_stream() {
    let mut pair = Pair::talking("");
    pair.receive("203.0.113.1:30000", B, &rtp(0, 1, 7));
    assert_eq!(pair.heard_at(A).len(), 1);
    let keys = r#""from-tag":"a","file":"/a.wav""#;
    let response = play(&mut pair, keys, Ok(constant(250)));
    assert_eq!(response.error_reason(), None);
    assert_eq!(number(&response, "duration"), Some(250));

    // Twelve packets and a half, while the other party speaks all the time.
    for sequence in 2..20 {
        pair.receive("203.0.113.1:30000", B, &rtp(0, sequence, 7));
        pair.run(FRAME);
    }
    let heard = pair.heard_at(A);
    assert!(heard.len() >= 18, "{}", heard.len());
    let loud = |packet: &[u8]| packet[12..].iter().all(|&code| code == 0xce);
    assert!(heard[..12].iter().all(|packet| loud(packet)), "{heard:x?}");
    assert_eq!(heard[12].len(), 172, "the end is filled up");
    assert!(!loud(&heard[12]) && !loud(&heard[13]));
    assert_eq!(heard[0][1], 0x80, "PCMU, and a mark where it begins");
    for two in heard.windows(2) {
        assert_eq!(field(&two[0], 8), field(&two[1], 8), "one SSRC");
        let sequence = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(sequence(&two[1]), sequence(&two[0]).wrapping_add(1));
        assert!(field(&two[1], 4).wrapping_sub(field(&two[0], 4)) < 1_600);
    }
    let steps = heard[..13].windows(2);
    assert!(
        steps
            .map(|two| field(&two[1], 4).wrapping_sub(field(&two[0], 4)))
            .all(|step| step == 160)
    );
    let ended = pair.events.iter().find_map(|event| match event {
        CallEvent::PlaybackEnded { position, .. } => Some(position.as_millis()),
        _ => None,
    });
    assert_eq!(ended, Some(250));
    assert_eq!(
        pair.heard_at(B).len(),
        0,
        "the other party hears nothing of it"
    );
}

#[test]
fn stopping_says_how_far_it_came_and_a_second_recording_takes_over() {
    let mut pair = Pair::talking("");
    let keys = r#""from-tag":"a","file":"/a.wav""#;
    let nothing = stop(&mut pair, r#""from-tag":"a""#);
    assert_eq!(nothing.error_reason(), Some("Not currently playing media"));
    play(&mut pair, keys, Ok(constant(10_000)));
    pair.run(FRAME * 24);
    let stopped = stop(&mut pair, r#""from-tag":"a""#);
    assert_eq!(number(&stopped, "last-frame-pos"), Some(500));
    pair.heard_at(A);
    pair.run(FRAME * 5);
    assert_eq!(pair.heard_at(A).len(), 0);
    // A script that stops what has ended by itself meets no error.
    assert_eq!(stop(&mut pair, r#""from-tag":"a""#).error_reason(), None);

    play(&mut pair, keys, Ok(constant(10_000)));
    pair.run(FRAME * 4);
    play(&mut pair, keys, Ok(constant(60)));
    pair.run(FRAME * 10);
    assert_eq!(pair.heard_at(A).len(), 5 + 3, "of either");
    let refused = play(&mut pair, keys, Err("file=/a.wav: gone"));
    assert_eq!(
        refused.error_reason(),
        Some("Failed to start media playback from file: file=/a.wav: gone")
    );
}

#[test]
fn all_parties_or_one_hear_it_for_as_long_as_wanted() {
    for (keys, expected) in [
        (r#""from-tag":"b","file":"/x""#, [0, 10]),
        (r#""all":"all","file":"/x""#, [10, 10]),
        (r#""address":"203.0.113.55","blob":"x""#, [0, 10]),
        (
            r#""from-tag":"a","file":"/x","repeat-duration":"100""#,
            [5, 0],
        ),
    ] {
        let mut pair = Pair::talking("");
        assert_eq!(
            play(&mut pair, keys, Ok(constant(200))).error_reason(),
            None
        );
        pair.run(FRAME * 40);
        let heard = [A, B].map(|party| pair.heard_at(party).len());
        assert_eq!(heard, expected, "{keys}");
    }
}

#[test]
fn what_cannot_be_played_is_refused_in_the_words_of_rtpengine() {
    for (keys, expected) in [
        (r#""file":"/x""#, "No participant party specified"),
        (
            r#""from-tag":"nobody","file":"/x""#,
            "From-tag given, but no such tag exists",
        ),
        (r#""from-tag":"a""#, "No media file specified"),
        (r#""from-tag":"a","file":"""#, "No media file specified"),
        (r#""from-tag":"a","db-id":"x""#, "No media file specified"),
        (
            r#""from-tag":"a","db-id":1"#,
            "Failed to start media playback from database: db-id=1: there is no database here: name a file, or send a blob",
        ),
        (
            r#""from-tag":"a","blob":"x""#,
            "Failed to start media playback from blob: why",
        ),
        (
            r#""from-tag":"a","file":"/x","blob":"x""#,
            "Failed to start media playback from file: why",
        ),
    ] {
        let mut pair = Pair::talking("");
        let response = play(&mut pair, keys, Err("why"));
        assert_eq!(response.error_reason(), Some(expected), "{keys}");
    }
    // Nobody who could hear it.
    let mut ringing = Line::ringing();
    let request = about("play media", r#""from-tag":"meta","file":"/x""#);
    let recording = Box::new(constant(20));
    let now = ringing.desk.now;
    let response = ringing.desk.call.play_media(now, &request, Ok(recording));
    let reason = response.error_reason().unwrap();
    assert!(
        reason.starts_with("Failed to start media playback from file: the party takes no audio"),
        "{reason}"
    );
}

#[test]
fn meta_hears_opus_of_20_ms_without_a_gap_before_during_and_after() {
    let mut line = Line::answered();
    line.run(FRAME * 10);
    let request = about("play media", r#""from-tag":"meta","file":"/x""#);
    let recording = Box::new(Constant {
        milliseconds: 510,
        late_at: Some(200),
    });
    let now = line.desk.now;
    let response = line.desk.call.play_media(now, &request, Ok(recording));
    assert_eq!(response.error_reason(), None);
    line.run(FRAME * 50);
    let heard = line.heard_by_meta();
    // 60 packet times, two of them silence in the middle; one more or less at the seams.
    assert!((59..=62).contains(&heard.len()), "{}", heard.len());
    for two in heard.windows(2) {
        let (before, after) = (&two[0].0, &two[1].0);
        assert_eq!(before.ssrc, after.ssrc);
        assert_eq!(after.sequence, before.sequence.next());
        let step = after.timestamp.distance_from(before.timestamp);
        assert_eq!(step, 960);
        assert_eq!(Some(after.payload_type), PayloadType::new(111));
    }
    let spoken = heard.iter().filter(|(_, payload)| payload.len() > 3);
    assert!((24..=30).contains(&spoken.count()));
}

#[test]
fn before_the_answer_nobody_can_hear_a_recording() {
    let mut pair = Pair::new();
    pair.offer(
        &crate::pair::of_a("m=audio 4000 RTP/AVP 0\n"),
        crate::pair::INTERFACES,
    );
    let keys = r#""from-tag":"a","file":"/x""#;
    let early = play(&mut pair, keys, Ok(constant(100)));
    assert!(early.error_reason().is_some(), "nobody has answered");
    pair.answer(&crate::pair::of_b("m=audio 5000 RTP/AVP 0\n"), "");
    assert_eq!(
        play(&mut pair, keys, Ok(constant(100))).error_reason(),
        None
    );
    pair.run(FRAME * 20);
    assert_eq!(pair.heard_at(A).len(), 5);
}
