//! Block, silence, DTMF: what the controller asks for is heard, or rather not heard, by the parties.

use std::time::Duration;

use ng_protocol::Request;
use relay_call::CallEvent;
use relay_packet::{PacketBuf, Received};

use crate::media::{FRAME, Line, META, SPEECH, rtp};
use crate::support::request;

pub(crate) const PBX: &str = "192.0.2.55:40000";
/// Key 5, 20 ms, and its end.
const PRESSED: [u8; 4] = [5, 10, 0, 160];
const RELEASED: [u8; 4] = [5, 0x8a, 3, 0x20];

/// A command about the call of a [`Line`], whose parties are `meta` (label `wa`) and `pbx`.
pub(crate) fn ask(line: &mut Line, command: &str, keys: &str) -> Option<String> {
    let response = line.desk.ask(&about(command, keys));
    response.error_reason().map(str::to_owned)
}

pub(crate) fn about(command: &str, keys: &str) -> Request {
    let comma = if keys.is_empty() { "" } else { "," };
    request(&format!(
        r#""command":"{command}","call-id":"call"{comma}{keys}"#
    ))
}

/// A call in which both have spoken.
pub(crate) fn talking() -> Line {
    let mut line = Line::answered();
    for sequence in 0..3 {
        line.pbx_says(sequence);
        line.meta_says(111, sequence);
        line.run(FRAME);
    }
    heard(&mut line, 3);
    line
}

/// Whether Meta hears the PBX's words, and the PBX Meta's; `sequence` is the number they are said with.
pub(crate) fn heard(line: &mut Line, sequence: u16) -> [bool; 2] {
    line.run(Duration::from_millis(300));
    line.heard_by_meta();
    line.heard_at(PBX);
    line.pbx_says(sequence);
    line.meta_says(111, sequence);
    let by_meta = line.heard_by_meta();
    [
        by_meta.iter().any(|(_, payload)| *payload == SPEECH),
        !line.heard_at(PBX).is_empty(),
    ]
}

#[test]
fn media_is_blocked_for_everybody_one_party_or_one_flow() {
    let mut line = talking();
    let mut sequence = 10;
    // The command, its keys, and whether then Meta hears the PBX and the PBX Meta.
    let table: &[(&str, &str, [bool; 2])] = &[
        ("block media", "", [false, false]),
        ("unblock media", "", [true, true]),
        (
            "block media",
            r#""from-tag":"pbx","flags":["directional"]"#,
            [false, true],
        ),
        // The block of a party outlives that of the call, unless everything is lifted.
        ("block media", "", [false, false]),
        ("unblock media", "", [false, true]),
        ("unblock media", r#""flags":["all"]"#, [true, true]),
        ("block media", r#""from-tag":"pbx""#, [false, false]),
        ("unblock media", r#""all":"all""#, [true, true]),
        ("block media", r#""address":"192.0.2.55""#, [false, true]),
        ("unblock media", r#""address":"192.0.2.55""#, [true, true]),
        (
            "block media",
            r#""from-tag":"pbx","to-tag":"meta","flags":["directional"]"#,
            [false, true],
        ),
        // A party and a flow of it are two things.
        (
            "unblock media",
            r#""from-tag":"pbx","flags":["directional"]"#,
            [false, true],
        ),
        (
            "unblock media",
            r#""from-tag":"pbx","to-tag":"meta","flags":["directional"]"#,
            [true, true],
        ),
        (
            "block media",
            r#""from-tag":"pbx","flags":["directional","egress"]"#,
            [true, false],
        ),
        (
            "unblock media",
            r#""from-tag":"pbx","flags":["directional","block-egress"]"#,
            [true, true],
        ),
        (
            "block media",
            r#""from-tag":"meta","all":"offer-answer","flags":["directional"]"#,
            [true, false],
        ),
        ("block media", r#""all":"flows""#, [false, false]),
        ("unblock media", r#""all":"offer-answer""#, [true, true]),
    ];
    for (command, keys, expected) in table {
        assert_eq!(ask(&mut line, command, keys), None, "{command} {keys}");
        sequence += 1;
        assert_eq!(heard(&mut line, sequence), *expected, "{command} {keys}");
    }
}

#[test]
fn labels_select_and_what_is_not_there_is_named() {
    let mut line = talking();
    let table = [
        (
            r#""label":"nobody""#,
            "No monologue matching the given label",
        ),
        (r#""address":"nowhere""#, "Failed to parse network address"),
        (
            r#""address":"192.0.2.99""#,
            "Failed to match address to any tag",
        ),
        (
            r#""from-tag":"x","flags":["directional"]"#,
            "From-tag given, but no such tag exists",
        ),
        (
            r#""from-tag":"pbx","to-tag":"x","flags":["directional"]"#,
            "Media flow not found (to-tag not found)",
        ),
        (
            r#""from-tag":"pbx","to-label":"x","flags":["directional"]"#,
            "Media flow not found (to-label not found)",
        ),
        (
            r#""from-tag":"pbx","to-tag":"pbx","flags":["directional"]"#,
            "Media flow not found (to-tag not subscribed)",
        ),
        (
            r#""from-tag":"pbx","all":"except-offer-answer","flags":["directional"]"#,
            "No eligible media subscriptions found",
        ),
    ];
    for (keys, reason) in table {
        for command in ["block media", "silence media"] {
            assert_eq!(
                ask(&mut line, command, keys).as_deref(),
                Some(reason),
                "{keys}"
            );
        }
    }
    assert_eq!(heard(&mut line, 9), [true, true]);
}

#[test]
fn a_whatsapp_leg_that_must_not_hear_the_pbx_hears_silence_without_a_gap() {
    let mut line = talking();
    ask(&mut line, "block media", "");
    line.heard_by_meta();
    line.heard_at(PBX);
    for sequence in 50..150 {
        line.pbx_says(sequence);
        line.meta_says(111, sequence);
        line.run(FRAME);
    }
    assert_eq!(press(&mut line, 150), [126, 126, 126], "keys are not media");
    let heard = line.heard_by_meta();
    assert!((90..=104).contains(&heard.len()), "{}", heard.len());
    assert!(
        heard
            .iter()
            .all(|(_, payload)| *payload == [0xf8, 0xff, 0xfe])
    );
    let numbers: Vec<u16> = heard.iter().map(|(h, _)| h.sequence.0).collect();
    assert!(numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1)));
    assert!(line.heard_at(PBX).is_empty(), "a plain leg hears nothing");
    ask(&mut line, "unblock media", "");
    assert_eq!(self::heard(&mut line, 200), [true, true]);
}

#[test]
fn silenced_speech_keeps_its_packets_and_their_length() {
    let mut line = talking();
    ask(
        &mut line,
        "silence media",
        r#""from-tag":"meta","flags":["directional"]"#,
    );
    line.meta_says(111, 10);
    line.meta_says(126, 11);
    let packets = packets_at(&mut line, PBX);
    assert_eq!(packets[0][12..], [0xf8, 0xff, 0xfe]);
    assert_eq!(packets[1][12..], SPEECH, "events are no speech");
    line.heard_by_meta();
    line.pbx_says(10);
    assert_eq!(line.heard_by_meta().last().unwrap().1, SPEECH);
    ask(&mut line, "unsilence media", r#""flags":["all"]"#);
    line.meta_says(111, 12);
    assert_eq!(packets_at(&mut line, PBX)[0][12..], SPEECH);
}

pub(crate) fn packets_at(line: &mut Line, address: &str) -> Vec<PacketBuf> {
    let (here, rest) = std::mem::take(&mut line.sent)
        .into_iter()
        .partition(|t| t.destination.to_string() == address);
    line.sent = rest;
    here.into_iter()
        .map(|t: relay_packet::Transmit| t.packet)
        .collect()
}

/// Both ends of a key press by Meta, and what the PBX gets.
pub(crate) fn press(line: &mut Line, sequence: u16) -> Vec<u8> {
    packets_at(line, PBX);
    for (offset, payload) in [(0, PRESSED), (1, RELEASED), (2, RELEASED)] {
        let mut packet = rtp(126, sequence + offset, 0x2222, &payload);
        // One event has one timestamp.
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
        line.from_meta.protect_rtp(&mut packet).unwrap();
        let received = Received {
            socket: line.towards_meta,
            source: META.parse().unwrap(),
            packet,
        };
        line.desk
            .call
            .handle_datagram(line.desk.now, received, &mut line.out);
        line.collect();
        line.run(FRAME);
    }
    let packets = packets_at(line, PBX);
    packets.iter().map(|packet| packet[1] & 0x7f).collect()
}

#[test]
fn blocked_keys_are_dropped_or_covered_by_silence_and_told_all_the_same() {
    let mut line = talking();
    assert_eq!(press(&mut line, 100), [126, 126, 126]);
    ask(&mut line, "block DTMF", "");
    assert!(press(&mut line, 110).is_empty());
    ask(&mut line, "unblock DTMF", "");
    let one = r#""from-tag":"meta","flags":["directional"],"DTMF-security":"#;
    ask(&mut line, "block DTMF", &format!(r#"{one}"silence""#));
    assert_eq!(press(&mut line, 120), [111, 111, 111]);
    ask(&mut line, "unblock DTMF", "");
    assert_eq!(press(&mut line, 130), [111, 111, 111], "of one party");
    ask(
        &mut line,
        "unblock DTMF",
        r#""from-tag":"meta","flags":["directional"]"#,
    );
    assert_eq!(press(&mut line, 140), [126, 126, 126]);
    ask(
        &mut line,
        "block DTMF",
        r#""from-tag":"pbx","flags":["directional"]"#,
    );
    assert_eq!(press(&mut line, 150), [126, 126, 126], "somebody else's");

    let told: Vec<_> = line
        .events
        .iter()
        .filter_map(|event| match event {
            CallEvent::Dtmf(report) => Some((report.event, report.duration_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(5, 100); 6]);
}

#[test]
fn a_report_of_a_key_names_party_call_and_destination() {
    let mut line = talking();
    press(&mut line, 100);
    let report = line.events.iter().find_map(|event| match event {
        CallEvent::Dtmf(report) => Some(report),
        _ => None,
    });
    let report = report.unwrap();
    assert_eq!(report.source_tag, Some("meta".into()));
    assert_eq!(report.source_ip, Some("198.51.100.10".parse().unwrap()));
    assert_eq!(report.tags, ["meta".into(), "pbx".into()]);
    assert_eq!(report.volume, 10);
    assert_eq!(report.destination, None);
}

#[test]
fn what_is_not_done_is_named_with_what_to_use_instead() {
    let mut line = talking();
    let table: &[(&str, &str, Option<&str>)] = &[
        ("start recording", "", None),
        ("stop recording", r#""flags":["pause"]"#, None),
        ("pause recording", "", None),
        (
            "start forwarding",
            r#""from-tag":"x""#,
            Some("unsupported: start forwarding; `subscribe request`"),
        ),
        (
            "stop forwarding",
            r#""from-tag":"x","flags":["directional"]"#,
            Some("From-tag given, but no such tag exists"),
        ),
        (
            "stop forwarding",
            "",
            Some("unsupported: stop forwarding; `subscribe request`"),
        ),
        (
            "inject start",
            "",
            Some("unsupported: inject start; `play media`"),
        ),
        (
            "inject stop",
            "",
            Some("unsupported: inject stop; `play media`"),
        ),
        (
            "create answer",
            "",
            Some("unsupported: create answer; a call begins with `offer`"),
        ),
    ];
    for (command, keys, expected) in table {
        let reason = ask(&mut line, command, keys);
        let is_expected = match expected {
            Some(start) => reason.as_ref().is_some_and(|it| it.starts_with(start)),
            None => reason.is_none(),
        };
        assert!(is_expected, "{command} {keys}: {reason:?}");
    }
}
