//! Streams that somebody else may pass on: which ones those are, and that a call goes on as if nobody had.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_packet::{PacketBuf, PlainStream, Received, SocketId, StreamProgress};

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b, rtp};
use crate::restrict::{heard, talking};
use crate::support::request;
use crate::whatsapp::exchange;

const FOR_A: &str = "192.0.2.1:30000";
const FOR_B: &str = "203.0.113.1:30000";
const FRAME: Duration = Duration::from_millis(20);

/// `a` and `b` say what has this number.
fn both_say(pair: &mut Pair, sequence: u16) {
    pair.receive(FOR_A, A, &rtp(0, sequence, 7));
    pair.receive(FOR_B, B, &rtp(0, sequence, 9));
    pair.run(FRAME);
}

/// A call of two plain parties that have spoken: the packets up to number 9.
fn spoken(flags: &str) -> Pair {
    let mut pair = Pair::talking(flags);
    for sequence in 0..10 {
        both_say(&mut pair, sequence);
    }
    pair
}

fn streams(pair: &Pair) -> Vec<(PlainStream, StreamProgress)> {
    pair.desk.call.plain_streams().collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn both_ways_of_a_plain_call_may_be_passed_on_elsewhere() {
    let pair = spoken("");
    let streams = streams(&pair);
    let (stream, progress) = streams
        .iter()
        .find(|(stream, _)| stream.source == address(A))
        .unwrap();
    assert_eq!(
        *stream,
        PlainStream {
            source: address(A),
            arrives_at: address(FOR_A),
            leaves_from: address(FOR_B),
            destination: address(B),
            ssrc: (7, 7),
            sequence_offset: 0,
            timestamp_offset: 0,
            payload_types: vec![(0, 0), (8, 8)],
            clock_hz: 8000,
            tos: None,
        }
    );
    assert_eq!((progress.sequence, progress.timestamp), (9, 9 * 160));
    assert_eq!(progress.at, pair.desk.now - FRAME);
    assert_eq!(streams.len(), 2);
}

#[test]
fn what_is_spoken_counts_and_not_what_could_be() {
    let mut pair = Pair::new();
    let audio = |port| format!("m=audio {port} RTP/AVP 111 0 8\na=rtpmap:111 opus/48000/2\n");
    pair.offer(&of_a(&audio(4000)), INTERFACES);
    pair.answer(&of_b(&audio(5000)), "");
    both_say(&mut pair, 0);
    let (stream, _) = streams(&pair).remove(0);
    assert_eq!(stream.payload_types, [(0, 0), (8, 8)]);
    assert_eq!(stream.clock_hz, 8000);
}

#[test]
fn a_call_that_was_not_heard_yet_stays() {
    let mut pair = Pair::talking("");
    assert!(streams(&pair).is_empty());
    pair.receive(FOR_A, A, &rtp(0, 0, 7));
    assert_eq!(streams(&pair).len(), 1);
}

#[test]
fn where_somebody_has_to_look_at_packets_they_stay() {
    for flags in [
        "force-transcoding",
        "block-short",
        "drop-traffic=start",
        "ptime=40",
        "endpoint-learning=off",
    ] {
        let mut pair = Pair::talking(flags);
        for sequence in 0..10 {
            pair.receive(FOR_A, A, &rtp(0, sequence, 7));
            pair.run(FRAME);
        }
        let of_a = |streams: Vec<(PlainStream, _)>| {
            let mut streams = streams.into_iter();
            streams.any(|(stream, _)| stream.source == address(A))
        };
        assert!(!of_a(streams(&pair)), "{flags}");
    }
}

#[test]
fn an_encrypted_call_stays() {
    let mut line = talking();
    heard(&mut line, 10);
    assert_eq!(line.desk.call.plain_streams().count(), 0);
}

#[test]
fn requests_that_need_the_packets_bring_them_back() {
    for (command, keys) in [
        ("block media", ""),
        ("silence media", ""),
        ("block DTMF", ""),
        ("play DTMF", r#","code":"5""#),
        ("subscribe request", ""),
    ] {
        let mut pair = spoken("");
        assert_eq!(streams(&pair).len(), 2);
        let asked = request(&format!(
            r#""command":"{command}","call-id":"call","from-tag":"a"{keys}"#
        ));
        let response = pair.desk.ask(&asked);
        assert_eq!(response.error_reason(), None, "{command}");
        assert!(streams(&pair).len() < 2, "{command}");
    }
}

#[test]
fn a_party_on_hold_hears_nothing_from_elsewhere() {
    let mut pair = spoken("");
    let held = "m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\na=sendonly\n";
    pair.ask("offer", &of_a(held), ["a", "b"], "");
    let answer = held.replace("4000", "5000").replace("sendonly", "recvonly");
    pair.ask("answer", &of_b(&answer), ["a", "b"], "");
    let left: Vec<SocketAddr> = streams(&pair).iter().map(|(s, _)| s.destination).collect();
    assert!(!left.contains(&address(A)), "{left:?}");
}

/// What a controller learns of a call, without the moment at which it asks.
fn queried(pair: &mut Pair) -> String {
    let query = request(r#""command":"query","call-id":"call""#);
    format!("{:?}", pair.desk.ask(&query))
}

/// The numbers 10 to 59 pass: here, packet by packet, or elsewhere, in two pieces.
fn pass_fifty(pair: &mut Pair, elsewhere: bool) {
    if !elsewhere {
        for sequence in 10..60 {
            both_say(pair, sequence);
        }
        return;
    }
    let mut streams = streams(pair);
    assert_eq!(streams.len(), 2);
    for _ in 0..2 {
        pair.run(FRAME * 25);
        for (stream, before) in &mut streams {
            let after = StreamProgress {
                packets: before.packets + 25,
                octets: before.octets + 25 * 160,
                sequence: before.sequence + 25,
                timestamp: before.timestamp + 25 * 160,
                at: before.at + FRAME * 25,
                ..*before
            };
            let now = pair.desk.now;
            pair.desk.call.note_bypassed(now, stream, before, &after);
            *before = after;
        }
    }
}

#[test]
fn a_call_goes_on_as_if_its_packets_had_come_by() {
    let (mut here, mut there) = (spoken(""), spoken(""));
    there.desk.now = here.desk.now.max(there.desk.now);
    pass_fifty(&mut here, false);
    pass_fifty(&mut there, true);
    let mut heard = Vec::new();
    for pair in [&mut here, &mut there] {
        pair.sent.clear();
        for sequence in 60..65 {
            both_say(pair, sequence);
        }
        heard.push((pair.heard_at(A), pair.heard_at(B)));
    }
    assert_eq!(heard[0], heard[1]);
    let tallies = [&here, &there].map(|pair| pair.desk.call.tallies());
    assert_eq!(tallies[0], tallies[1]);
    assert_eq!(
        tallies[0]
            .iter()
            .map(|(_, t)| t.rtp_in.packets)
            .sum::<u64>(),
        130
    );
    assert_eq!(queried(&mut here), queried(&mut there));
}

#[test]
fn what_passes_elsewhere_keeps_the_call_and_its_silence_ends_it() {
    let mut pair = spoken("");
    let end = Duration::from_secs(60);
    pair.run(end - Duration::from_secs(5));
    let (stream, before) = streams(&pair).remove(0);
    let after = StreamProgress {
        packets: 1,
        octets: 160,
        sequence: before.sequence + 1,
        timestamp: before.timestamp + 160,
        at: pair.desk.now,
        ..before
    };
    let now: Instant = pair.desk.now;
    pair.desk.call.note_bypassed(now, &stream, &before, &after);
    pair.run(Duration::from_secs(50));
    assert!(!pair.desk.call.is_finished());
    // The same again tells nothing new.
    let now = pair.desk.now;
    pair.desk.call.note_bypassed(now, &stream, &after, &after);
    pair.run(Duration::from_secs(15));
    assert!(pair.desk.call.is_finished());
}

#[test]
fn speech_brings_streams_back_and_reports_do_not() {
    let pair = spoken("");
    let received = |bytes: &[u8]| Received {
        socket: SocketId(1),
        source: address(A),
        packet: PacketBuf::from_slice(bytes).unwrap(),
    };
    let call = &pair.desk.call;
    assert!(call.passes_on(&received(&rtp(0, 10, 7))));
    assert!(call.passes_on(&received(b"what nobody knows")));
    assert!(!call.passes_on(&received(&[0x80, 200, 0, 6, 0, 0, 0, 7])));
    assert!(!call.passes_on(&received(&[0, 1, 0, 0])));
}

#[test]
fn an_event_in_between_moves_what_follows_and_not_the_stream() {
    let mut pair = spoken("");
    for (sequence, last) in [(10, false), (11, true)] {
        let mut event = rtp(101, sequence, 7)[..12].to_vec();
        event.extend([5, 10 | u8::from(last) << 7, 0, 160]);
        pair.receive(FOR_A, A, &event);
        pair.run(FRAME);
    }
    let (stream, progress) = streams(&pair)
        .into_iter()
        .find(|(stream, _)| stream.source == address(A))
        .unwrap();
    assert_eq!((stream.sequence_offset, progress.sequence), (0, 11));
}

#[test]
fn an_answer_in_other_words_is_still_plain() {
    // The exchange repeats itself, as a session timer does (RFC 4028).
    let mut pair = spoken("");
    let before = streams(&pair);
    let audio =
        |port| format!("m=audio {port} RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n");
    let again = exchange("offer", &of_a(&audio(4000)), ["a", "b"], "");
    assert_eq!(pair.desk.ask(&again).error_reason(), None);
    pair.answer(&of_b(&audio(5000)), "");
    assert_eq!(streams(&pair), before);
}
