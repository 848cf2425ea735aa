//! Plain calls that another process goes on with, and what the controller has asked for them.

use std::time::Duration;

use ng_protocol::flags::RecordingCodes;
use relay_call::CallEvent;
use relay_call::config::{RecordedStreams, RecordingPlan};
use relay_call::recording::Part;

use crate::pair::{A, B, INTERFACES, Pair, interfaces, of_a, of_b, rtp};
use crate::restrict::about;
use crate::support::{Desk, config, epoch};

const FRAME: Duration = Duration::from_millis(20);
const DOWNTIME: Duration = Duration::from_millis(400);
const FOR_A: &str = "192.0.2.1:30000";
const FOR_B: &str = "203.0.113.1:30000";

/// Sequence number, timestamp and SSRC.
fn numbers(packet: &[u8]) -> (u16, u32, u32) {
    let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
    (u16::from_be_bytes([packet[2], packet[3]]), word(4), word(8))
}

/// How many of three packets from `source`, of which this is the first, reach `listener`.
fn passes(pair: &mut Pair, source: &str, first: u16, listener: &str) -> usize {
    let local = if source == A { FOR_A } else { FOR_B };
    pair.heard_at(listener);
    for sequence in first..first + 3 {
        pair.receive(local, source, &rtp(0, sequence, 7));
    }
    pair.heard_at(listener).len()
}

/// `a` says so many packets, beginning with this number.
fn says(pair: &mut Pair, source: &str, first: u16, count: u16) {
    for sequence in first..first + count {
        let local = if source == A { FOR_A } else { FOR_B };
        pair.receive(local, source, &rtp(0, sequence, 7));
        pair.run(FRAME);
    }
}

fn restart(pair: &mut Pair) {
    pair.desk.restart(DOWNTIME);
    pair.run(Duration::ZERO);
}

#[test]
fn a_plain_stream_keeps_its_own_numbers() {
    let mut pair = Pair::talking("");
    says(&mut pair, A, 1000, 50);
    pair.heard_at(B);
    restart(&mut pair);
    // The speaker has gone on meanwhile.
    says(&mut pair, A, 1070, 3);
    let heard: Vec<_> = pair
        .heard_at(B)
        .iter()
        .map(|packet| numbers(packet))
        .collect();
    let expected = [1070, 1071, 1072].map(|n: u16| (n, u32::from(n) * 160, 7));
    assert_eq!(heard, expected);
}

#[test]
fn an_address_that_was_learned_stays_and_nobody_else_can_take_its_place() {
    let moved = "203.0.113.77:6000";
    let mut pair = Pair::talking("");
    says(&mut pair, moved, 1, 3);
    pair.run(Duration::from_secs(5));
    says(&mut pair, moved, 4, 1);
    restart(&mut pair);
    assert_eq!(passes(&mut pair, "198.51.100.66:6666", 10, A), 0);
    assert_eq!(passes(&mut pair, A, 10, moved), 3);
    assert_eq!(passes(&mut pair, moved, 10, A), 3);
}

#[test]
fn what_was_blocked_stays_blocked_until_it_is_lifted() {
    let mut pair = Pair::talking("");
    assert_eq!(passes(&mut pair, A, 10, B), 3);
    pair.desk.ask(&about("block media", r#""from-tag":"a""#));
    restart(&mut pair);
    assert_eq!(passes(&mut pair, A, 20, B), 0);
    pair.desk.ask(&about("unblock media", r#""from-tag":"a""#));
    assert_eq!(passes(&mut pair, A, 30, B), 3);
}

#[test]
fn counters_go_on_and_a_deletion_takes_effect_when_it_was_to() {
    let mut pair = Pair::talking("");
    says(&mut pair, A, 1, 10);
    let delete = about("delete", r#""delete-delay":10"#);
    assert_eq!(pair.desk.ask(&delete).error_reason(), None);
    restart(&mut pair);
    assert!(pair.desk.call.is_deleted());
    assert_eq!(pair.desk.call.totals().0.packets, 10);
    says(&mut pair, A, 30, 5);
    assert_eq!(pair.desk.call.totals().0.packets, 15);
    pair.run(Duration::from_secs(9));
    assert!(!pair.desk.call.is_finished());
    pair.run(Duration::from_secs(1));
    assert!(pair.desk.call.is_finished());
    assert!(pair.desk.ports.open.is_empty());
}

#[test]
fn a_call_that_rang_is_answered_afterwards() {
    let audio = |port| format!("m=audio {port} RTP/AVP 0\n");
    let mut pair = Pair::new();
    pair.offer(&of_a(&audio(4000)), &format!("{INTERFACES} TOS=184"));
    restart(&mut pair);
    let marks: Vec<_> = pair.desk.ports.tos.values().collect();
    assert!(!marks.is_empty() && marks.iter().all(|tos| **tos == Some(184)));
    assert!(!pair.desk.call.is_answered());
    pair.answer(&of_b(&audio(5000)), "");
    assert_eq!(passes(&mut pair, A, 10, B), 3);
    assert_eq!(passes(&mut pair, B, 10, A), 3);
}

#[test]
fn a_recorded_call_is_recorded_in_another_file() {
    let now = epoch();
    let mut config = config(now, interfaces());
    config.recording = Some(RecordingPlan {
        directory: "/var/rec".into(),
        packets: true,
        audio: None,
        vcon: false,
        streams: RecordedStreams::Ingress,
        codes: RecordingCodes::default(),
    });
    let mut pair = Pair::on(Desk::with(now, config)).answered("record-call=on");
    let file = |pair: &mut Pair| {
        let parts = std::iter::from_fn(|| pair.desk.call.poll_recorded());
        let begun = parts.filter_map(|recorded| match recorded.part {
            Part::Beginning { files, .. } => files.pcap,
            _ => None,
        });
        begun.collect::<Vec<_>>()
    };
    let before = file(&mut pair);
    restart(&mut pair);
    let after = file(&mut pair);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
}

#[test]
fn music_on_hold_begins_again() {
    let g711 = "m=audio 5000 RTP/AVP 0\n";
    let mut pair = Pair::new();
    pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), INTERFACES);
    pair.answer(&of_b(g711), "moh=[file=/music.wav]");
    let holds = of_b(&format!("{g711}a=sendonly\n"));
    pair.ask("offer", &holds, ["b", "a"], "");
    let answer = of_a("m=audio 4000 RTP/AVP 0\na=recvonly\n");
    pair.ask("answer", &answer, ["b", "a"], "");
    pair.events.clear();
    restart(&mut pair);
    let asked = pair.events.iter().filter_map(|event| match event {
        CallEvent::HoldMusic { playback, .. } => playback.file.clone(),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), ["/music.wav"]);
}
