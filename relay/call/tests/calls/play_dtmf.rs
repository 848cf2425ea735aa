//! `play DTMF`: a key pressed in the name of a party, as its partner gets it.

use std::time::Duration;

use relay_call::{CallEvent, KeyWay};
use relay_media::EncoderSettings;
use relay_packet::PacketBuf;
use relay_transport::rtp::RtpHeader;

use crate::keys_in_speech::keys_in;
use crate::media::{FRAME, Line, SPEECH};
use crate::pair::{INTERFACES, Pair, of_a, of_b};
use crate::restrict::{PBX, about, ask, packets_at, talking};
use crate::stream::{self, G722, L16, OPUS, PCMA, PCMU};
use crate::transcoded::{Party, call as call_between};

/// Both speak while the keys are played; what Meta and the PBX get.
fn conversation(line: &mut Line) -> (Vec<(RtpHeader, Vec<u8>)>, Vec<PacketBuf>) {
    line.heard_by_meta();
    packets_at(line, PBX);
    for sequence in 100..150 {
        line.pbx_says(sequence);
        line.meta_says(111, sequence);
        line.run(FRAME);
    }
    (line.heard_by_meta(), packets_at(line, PBX))
}

#[test]
fn meta_gets_one_event_in_its_clock_and_no_gap_in_its_stream() {
    let mut line = talking();
    let keys = r##""from-tag":"pbx","code":"#","duration":"200","volume":-12"##;
    assert_eq!(ask(&mut line, "play DTMF", keys), None);
    let (heard, _) = conversation(&mut line);
    let numbers: Vec<u16> = heard.iter().map(|(h, _)| h.sequence.0).collect();
    assert!(
        numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1)),
        "{numbers:?}"
    );
    let is_event = |(header, _): &&(RtpHeader, Vec<u8>)| header.payload_type.number() == 126;
    let events: Vec<_> = heard.iter().filter(is_event).collect();
    // Ten packets of 20 ms, the last of them three times; 8000 Hz is what Meta counts events in.
    assert_eq!(events.len(), 12);
    assert!(events[0].0.marker && events[1..].iter().all(|(header, _)| !header.marker));
    assert!(
        events
            .iter()
            .all(|(h, _)| h.timestamp == events[0].0.timestamp)
    );
    let payloads: Vec<&[u8]> = events.iter().map(|(_, payload)| &payload[..]).collect();
    assert_eq!(payloads[0], [11, 12, 0, 160]);
    assert_eq!(payloads[8], [11, 12, 5, 160]);
    assert_eq!(payloads[9..], [[11, 0x8c, 6, 64]; 3]);
    // Nothing else is said meanwhile, and then the words go on in their own time.
    let first = heard.iter().position(|h| is_event(&h)).unwrap();
    assert!(heard[first..first + 12].iter().all(|h| is_event(&h)));
    let next = &heard[first + 12];
    assert_eq!(next.1, SPEECH);
    let passed = next.0.timestamp.distance_from(events[0].0.timestamp);
    assert!((9_600..=15_360).contains(&passed), "{passed}");
}

#[test]
fn keys_of_a_dial_string_follow_each_other_after_their_pause() {
    let mut line = talking();
    for key in ["1", "2", "D"] {
        let keys = format!(r#""from-tag":"meta","code":"{key}","duration":100"#);
        let (now, ports) = (line.desk.now, &mut line.desk.ports);
        let reply = line
            .desk
            .call
            .handle_request(now, &about("play DTMF", &keys), ports);
        assert_eq!(reply.error_reason(), None);
        line.collect();
    }
    let (_, packets) = conversation(&mut line);
    let headers: Vec<_> = packets
        .iter()
        .map(|p| RtpHeader::parse(p).unwrap())
        .collect();
    let events: Vec<u8> = packets
        .iter()
        .zip(&headers)
        .filter(|(_, header)| header.payload_type.number() == 126)
        .map(|(packet, _)| packet[12])
        .collect();
    assert_eq!(events, [[1; 7], [2; 7], [15; 7]].concat());
    let numbers: Vec<u16> = headers.iter().map(|h| h.sequence.0).collect();
    assert!(
        numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1)),
        "{numbers:?}"
    );
    let stamps: Vec<u32> = headers.iter().map(|h| h.timestamp.0).collect();
    assert!(stamps.windows(2).all(|w| w[1] >= w[0]), "{stamps:?}");
    let told =
        |event: &&CallEvent| matches!(event, CallEvent::Dtmf(key) if key.way == KeyWay::Request);
    assert_eq!(line.events.iter().filter(told).count(), 3);
}

#[test]
fn what_cannot_be_played_is_named() {
    let mut line = talking();
    let table = [
        (r#""code":"5""#, "No participant party specified"),
        (
            r#""from-tag":"x","code":"5""#,
            "From-tag given, but no such tag exists",
        ),
        (
            r#""label":"x","code":"5""#,
            "No monologue matching the given label",
        ),
        (r#""from-tag":"pbx""#, "Out of range 'code' specified"),
        (
            r#""from-tag":"pbx","code":"16""#,
            "Out of range 'code' specified",
        ),
    ];
    for (keys, reason) in table {
        assert_eq!(
            ask(&mut line, "play DTMF", keys).as_deref(),
            Some(reason),
            "{keys}"
        );
    }
    let mut ringing = Line::ringing();
    let keys = r#""from-tag":"meta","code":"5""#;
    assert_eq!(
        ask(&mut ringing, "play DTMF", keys).as_deref(),
        Some("No SSRC context present for DTMF injection")
    );
    ringing.run(Duration::from_secs(1));
    assert!(ringing.sent.is_empty());
}

/// One who knows no events hears the keys of a dial string, and then again what is said.
#[test]
fn a_party_without_events_hears_the_keys() {
    for heard_by in [PCMU, PCMA, G722, L16, OPUS] {
        let other = if heard_by == PCMA { PCMU } else { PCMA };
        let (mut pair, mut a, mut b) = call_between(other, heard_by, false);
        let silence = stream::packets(other, &[0; 160], 20, &EncoderSettings::default());
        let silence = silence[0].payload.clone();
        let mut say = |pair: &mut _, b: &mut Party, packets| {
            for _ in 0..packets {
                a.say(pair, Some(&silence));
                pair.run(FRAME);
                b.listen(pair);
            }
        };
        say(&mut pair, &mut b, 5);
        for key in ["1", "#", "D"] {
            let keys = format!(r#""from-tag":"a","code":"{key}","duration":"200","pause":"100""#);
            let request = about("play DTMF", &keys);
            let (now, ports) = (pair.desk.now, &mut pair.desk.ports);
            let reply = pair.desk.call.handle_request(now, &request, ports);
            assert_eq!(reply.error_reason(), None, "{heard_by:?}");
        }
        say(&mut pair, &mut b, 60);
        let keys = keys_in(&b);
        let events: Vec<u8> = keys.iter().map(|(event, _)| *event).collect();
        assert_eq!(events, [1, 11, 15], "{heard_by:?}");
        for (_, duration) in keys {
            // A G.722 decoder follows a new encoder after a while, which is allowed for.
            let most = if heard_by == G722 { 100 } else { 30 };
            let wrong = duration.abs_diff(Duration::from_millis(200));
            assert!(
                wrong <= Duration::from_millis(most),
                "{heard_by:?}: {duration:?}"
            );
        }
        for two in b.heard.windows(2) {
            assert_eq!(two[0].ssrc, two[1].ssrc, "{heard_by:?}");
            assert_eq!(two[0].sequence.next(), two[1].sequence, "{heard_by:?}");
            let step = two[1].timestamp.distance_from(two[0].timestamp);
            let packet = (heard_by.clock_hz / 50) as i32;
            // The words that were said beneath the keys take up again where the clock has come to.
            assert!((1..=packet * 6).contains(&step), "{heard_by:?}: {step}");
        }
    }
}

#[test]
fn a_party_whose_codec_nobody_can_encode_hears_no_key() {
    let mut pair = Pair::new();
    let of = |port| format!("m=audio {port} RTP/AVP 18\n");
    pair.offer(&of_a(&of(4000)), INTERFACES);
    pair.answer(&of_b(&of(5000)), "");
    let request = about("play DTMF", r#""from-tag":"a","code":"1""#);
    let (now, ports) = (pair.desk.now, &mut pair.desk.ports);
    let reply = pair.desk.call.handle_request(now, &request, ports);
    assert_eq!(
        reply.error_reason(),
        Some("Monologue has no media capable of DTMF injection")
    );
}
