//! Third parties that listen: recorders, and those who hear a published source.

use std::time::Duration;

use ng_protocol::{Encoding, Request, Response, Value};
use relay_call::{CallEvent, EndReason};
use relay_packet::{PacketBuf, SocketId};
use relay_transport::rtcp::write_report;
use relay_transport::rtp::{RtpHeader, Ssrc};
use relay_transport::srtp::SrtpContext;
use relay_transport::srtp::sdes::CryptoAttribute;

use crate::media::{FRAME, Line, SPEECH, rtp};
use crate::pair::{A, Pair, description, place};
use crate::restrict::{PBX, about, heard, packets_at, talking};
use crate::support::{Desk, interface, request, sdp};

const RECORDER: &str = "192.0.2.77";
const PLAIN: &str = r#""transport-protocol":"RTP/AVP""#;

/// What a recorder says: one section for each port, 0 refuses.
fn recorder(ports: &[u16], protocol: &str, more: &str) -> String {
    let sections: String = ports
        .iter()
        .map(|port| {
            format!(
                "m=audio {port} {protocol} 111 126\\r\\na=rtpmap:111 opus/48000/2\\r\\n\
                 a=rtpmap:126 telephone-event/8000\\r\\n{more}a=recvonly\\r\\n"
            )
        })
        .collect();
    format!(
        "v=0\\r\\no=srs 1 1 IN IP4 {RECORDER}\\r\\ns=-\\r\\nc=IN IP4 {RECORDER}\\r\\nt=0 0\\r\\n{sections}"
    )
}

fn answer(tag: &str, sdp: &str) -> Request {
    about(
        "subscribe answer",
        &format!(r#""to-tag":"{tag}","sdp":"{sdp}""#),
    )
}

fn reason(line: &mut Line, request: &Request) -> Option<String> {
    let response = line.desk.ask(request);
    response.error_reason().map(str::to_owned)
}

/// Subscribes a plain recorder that listens on these ports.
fn record(line: &mut Line, tag: &str, who: &str, ports: &[u16]) {
    let keys = format!(r#"{who},"to-tag":"{tag}",{PLAIN}"#);
    let offered = sdp(&line.desk.ask(&about("subscribe request", &keys)));
    assert_eq!(offered.matches("m=audio").count(), ports.len(), "{offered}");
    let answer = answer(tag, &recorder(ports, "RTP/AVP", ""));
    assert_eq!(reason(line, &answer), None);
    line.run(Duration::ZERO);
}

/// How many packets arrive at each port of the recorder when both parties speak.
fn recorded(line: &mut Line, sequence: u16, ports: &[u16]) -> Vec<usize> {
    line.sent.clear();
    line.pbx_says(sequence);
    line.meta_says(111, sequence);
    let at = |port: &u16| packets_at(line, &format!("{RECORDER}:{port}")).len();
    ports.iter().map(at).collect()
}

const BOTH: &str = r#""from-tags":["meta","pbx"]"#;

#[test]
fn a_recorder_is_offered_every_stream_with_its_label() {
    let mut line = talking();
    let keys = format!(r#""flags":["all","siprec"],{PLAIN}"#);
    let response = line.desk.ask(&about("subscribe request", &keys));
    let offered = sdp(&response);
    let starts = |start: &str| offered.lines().filter(|l| l.starts_with(start)).count();
    assert_eq!(starts("m=audio "), 2);
    assert_eq!(starts("a=sendonly"), 2);
    assert!(
        offered.contains("a=label:0\n") && offered.contains("a=label:1\n"),
        "{offered}"
    );
    for secret in [
        "a=crypto",
        "a=ssrc",
        "a=ice",
        "127.0.0.1",
        "198.51.100.10",
        "RTP/SAVP",
    ] {
        assert!(!offered.contains(secret), "{secret} in\n{offered}");
    }
    let body: Value<'_> = response.body().clone().into();
    let text = |keys: &[&str]| {
        let mut value = body.clone();
        for key in keys {
            value = match key.parse::<usize>() {
                Ok(index) if value.as_list().is_some() => value.as_list().unwrap()[index].clone(),
                _ => value.as_dictionary().unwrap().get(key).unwrap().clone(),
            };
        }
        value.to_string()
    };
    assert_eq!(text(&["tag-medias", "0", "tag"]), "meta");
    assert_eq!(text(&["tag-medias", "1", "medias", "0", "label"]), "1");
    assert_eq!(
        text(&["tag-medias", "1", "medias", "0", "mode"]),
        "sendrecv"
    );
    assert_eq!(text(&["media-labels", "0", "tag"]), "meta");
    assert_eq!(text(&["media-labels", "1", "type"]), "audio");
    assert_eq!(text(&["from-tags", "1"]), "pbx");
    let tag = text(&["to-tag"]);
    assert!(
        tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit()),
        "{tag}"
    );
    assert!(response.body().get("from-tag").is_none(), "there are two");
    let again = line.desk.ask(&about(
        "subscribe request",
        r#""from-tag":"pbx","flags":["siprec"]"#,
    ));
    assert!(
        sdp(&again).contains("a=label:1\n"),
        "a stream keeps its label"
    );
    assert!(again.body().get("from-tag").is_some());
}

#[test]
fn a_recorder_hears_both_and_disturbs_nobody() {
    let mut line = talking();
    record(&mut line, "srs", BOTH, &[7000, 7002]);
    assert_eq!(recorded(&mut line, 10, &[7000, 7002]), [1, 1]);
    line.meta_says(111, 11);
    let plain = packets_at(&mut line, &format!("{RECORDER}:7000"));
    assert_eq!(plain[0][12..], SPEECH, "Meta's words, decrypted");
    assert_eq!(heard(&mut line, 12), [true, true]);
    // Another one, who never answers, gets nothing and holds nobody up.
    let request = about(
        "subscribe request",
        &format!(r#"{BOTH},"to-tag":"dead",{PLAIN}"#),
    );
    sdp(&line.desk.ask(&request));
    assert_eq!(recorded(&mut line, 13, &[7000, 7002]), [1, 1]);
    assert_eq!(heard(&mut line, 14), [true, true]);
    let query = line.desk.ask(&about("query", r#""from-tag":"srs""#));
    let text = String::from_utf8(query.encode(Encoding::Json)).unwrap();
    assert!(
        text.contains(r#"{"tag":"meta","type":"pub/sub"}"#),
        "{text}"
    );
}

#[test]
fn a_recorder_with_keys_of_its_own_hears_the_same_words() {
    let mut line = talking();
    // Without a transport of its own the recorder is offered that of the source: Meta's is SRTP.
    let keys = r#""from-tag":"meta","to-tag":"srs","DTLS":"off""#;
    let offered = sdp(&line.desk.ask(&about("subscribe request", keys)));
    assert!(offered.contains(" RTP/SAVP 111 126\n"), "{offered}");
    let ours = offered.lines().filter_map(|l| l.strip_prefix("a=crypto:"));
    let ours: Vec<CryptoAttribute> = ours.map(|l| l.parse().unwrap()).collect();
    let ours = ours
        .iter()
        .find(|l| l.key.profile().sdes_name() == "AES_CM_128_HMAC_SHA1_80");
    let ours = ours.unwrap();
    let theirs = format!(
        "a=crypto:{} AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\\r\\n",
        ours.tag
    );
    let answer = answer("srs", &recorder(&[7000], "RTP/SAVP", &theirs));
    assert_eq!(reason(&mut line, &answer), None);
    line.run(FRAME);
    line.sent.clear();
    line.meta_says(111, 10);
    line.run(FRAME * 5);
    let mut context = SrtpContext::new(&ours.key);
    let opened: Vec<Vec<u8>> = packets_at(&mut line, &format!("{RECORDER}:7000"))
        .into_iter()
        .filter_map(|mut packet| {
            context.unprotect_rtp(&mut packet).ok()?;
            let header = RtpHeader::parse(&packet)?;
            header.payload(&packet).map(<[u8]>::to_vec)
        })
        .collect();
    assert!(
        opened.iter().any(|payload| *payload == SPEECH),
        "{opened:?}"
    );
}

#[test]
fn a_second_request_replaces_what_is_heard_and_keeps_the_port() {
    let mut line = talking();
    record(&mut line, "srs", BOTH, &[7000, 7002]);
    let first = sdp(&line.desk.ask(&about(
        "subscribe request",
        &format!(r#"{BOTH},"to-tag":"srs",{PLAIN}"#),
    )));
    let second = sdp(&line.desk.ask(&about(
        "subscribe request",
        &format!(r#""from-tag":"pbx","to-tag":"srs",{PLAIN}"#),
    )));
    let port_lines = |sdp: &str| -> Vec<String> {
        sdp.lines()
            .filter(|l| l.starts_with("m="))
            .map(str::to_owned)
            .collect()
    };
    let (first, second) = (port_lines(&first), port_lines(&second));
    assert_eq!(first[0], second[0]);
    assert!(second[1].starts_with("m=audio 0 "), "{second:?}");
    let answer = answer("srs", &recorder(&[7004, 0], "RTP/AVP", ""));
    assert_eq!(reason(&mut line, &answer), None);
    line.run(Duration::ZERO);
    assert_eq!(recorded(&mut line, 20, &[7000, 7002, 7004]), [0, 0, 1]);
}

#[test]
fn subscriptions_end_one_by_one_and_with_the_call() {
    let mut line = talking();
    let before = line.desk.ports.open.len();
    record(&mut line, "one", BOTH, &[7000, 7002]);
    record(&mut line, "two", BOTH, &[7010, 7012]);
    let ports = [7000, 7002, 7010, 7012];
    assert_eq!(recorded(&mut line, 10, &ports), [1, 1, 1, 1]);
    let partly = about(
        "unsubscribe",
        r#""to-tag":"one","from-tag":"meta","flags":["directional"]"#,
    );
    assert_eq!(reason(&mut line, &partly), None);
    assert_eq!(recorded(&mut line, 11, &ports), [0, 1, 1, 1]);
    let wholly = about("unsubscribe", r#""to-tag":"one""#);
    assert_eq!(reason(&mut line, &wholly), None);
    assert_eq!(
        reason(&mut line, &wholly).as_deref(),
        Some("To-tag not found")
    );
    assert_eq!(recorded(&mut line, 12, &ports), [0, 0, 1, 1]);
    let by_tag = about("delete", r#""from-tag":"two","delete-delay":0"#);
    assert_eq!(reason(&mut line, &by_tag), None);
    assert_eq!(recorded(&mut line, 13, &ports), [0, 0, 0, 0]);
    assert_eq!(line.desk.ports.open.len(), before);
    assert_eq!(heard(&mut line, 14), [true, true]);

    record(&mut line, "three", BOTH, &[7000, 7002]);
    assert_eq!(
        reason(&mut line, &about("delete", r#""delete-delay":0"#)),
        None
    );
    assert!(line.desk.call.is_finished());
    assert!(line.desk.ports.open.is_empty());
}

#[test]
fn a_party_that_leaves_takes_its_listeners_along() {
    let mut line = talking();
    record(&mut line, "srs", r#""from-tag":"pbx""#, &[7000]);
    let gone = about("delete", r#""from-tag":"pbx","delete-delay":0"#);
    assert_eq!(reason(&mut line, &gone), None);
    assert!(line.desk.call.is_finished() && line.desk.ports.open.is_empty());
}

#[test]
fn an_inactive_subscription_hears_nothing() {
    let mut line = talking();
    let keys = format!(r#"{BOTH},"to-tag":"srs","flags":["inactive"],{PLAIN}"#);
    let offered = sdp(&line.desk.ask(&about("subscribe request", &keys)));
    assert_eq!(offered.matches("a=inactive\n").count(), 2, "{offered}");
    let sdp = recorder(&[7000, 7002], "RTP/AVP", "").replace("recvonly", "inactive");
    assert_eq!(reason(&mut line, &answer("srs", &sdp)), None);
    line.run(FRAME);
    assert_eq!(recorded(&mut line, 10, &[7000, 7002]), [0, 0]);
}

#[test]
fn a_recorder_that_reports_keeps_no_dead_call_alive() {
    let mut line = talking();
    let before: Vec<SocketId> = line.desk.ports.open.keys().copied().collect();
    record(&mut line, "srs", r#""from-tag":"pbx""#, &[7000]);
    let new = line
        .desk
        .ports
        .open
        .keys()
        .copied()
        .find(|id| !before.contains(id));
    for _ in 0..13 {
        line.run(Duration::from_secs(5));
        if line.desk.call.is_finished() {
            break;
        }
        let mut report = PacketBuf::new();
        assert!(write_report(&mut report, Ssrc(5), None, &[], "srs"));
        line.receive(new.unwrap(), &format!("{RECORDER}:7000"), report);
        let speech = rtp(111, 1, 5, &SPEECH);
        line.receive(new.unwrap(), &format!("{RECORDER}:7000"), speech);
    }
    assert_eq!(
        line.events.last(),
        Some(&CallEvent::Ended(EndReason::Timeout))
    );
}

#[test]
fn what_cannot_be_subscribed_is_named() {
    let mut line = talking();
    let table = [
        (
            "subscribe request",
            String::new(),
            "No medias found (no monologues matched)",
        ),
        (
            "subscribe request",
            r#""from-tags":["x"]"#.into(),
            "No medias found (no monologues matched)",
        ),
        (
            "subscribe request",
            r#""from-tag":"x""#.into(),
            "From-tag given, but no such tag exists",
        ),
        (
            "subscribe request",
            r#""label":"x""#.into(),
            "No monologue matching the given label",
        ),
        (
            "subscribe request",
            r#""from-tag":"pbx","to-tag":"pbx""#.into(),
            "Invalid dialogue association",
        ),
        (
            "subscribe request",
            r#""from-tag":"pbx","to-tag":"meta""#.into(),
            "Invalid dialogue association",
        ),
        (
            "subscribe answer",
            r#""to-tag":"x""#.into(),
            "No SDP body in message",
        ),
        ("unsubscribe", String::new(), "No to-tag in message"),
        ("unsubscribe", r#""to-tag":"x""#.into(), "To-tag not found"),
        (
            "unsubscribe",
            r#""to-tag":"pbx""#.into(),
            "To-tag not found",
        ),
    ];
    for (command, keys, expected) in table {
        let reason = reason(&mut line, &about(command, &keys));
        assert_eq!(reason.as_deref(), Some(expected), "{command} {keys}");
    }
    let stranger = answer("x", &recorder(&[7000], "RTP/AVP", ""));
    assert_eq!(
        reason(&mut line, &stranger).as_deref(),
        Some("To-tag not found")
    );
    sdp(&line.desk.ask(&about(
        "subscribe request",
        &format!(r#""from-tag":"pbx","to-tag":"srs",{PLAIN}"#),
    )));
    let other = recorder(&[7000], "RTP/AVP", "").replace("opus/48000/2", "speex/16000");
    for sdp in [other, recorder(&[7000, 7002], "RTP/AVP", "")] {
        let reason = reason(&mut line, &answer("srs", &sdp)).unwrap();
        assert!(
            reason.starts_with("Failed to process subscription answer"),
            "{reason}"
        );
    }
    let fits = answer("srs", &recorder(&[7000], "RTP/AVP", ""));
    assert_eq!(
        reason(&mut line, &fits),
        None,
        "a refused answer changed nothing"
    );
}

/// A call made by `publish`, and the reply.
fn published(keys: &str) -> (Desk, Response) {
    let mut desk = Desk::new(vec![interface("priv", &["192.0.2.1"])]);
    let source = "v=0\\r\\no=x 1 1 IN IP4 192.0.2.5\\r\\ns=-\\r\\nc=IN IP4 192.0.2.5\\r\\nt=0 0\\r\\n\
        m=audio 6000 RTP/AVP 8 0 101\\r\\na=rtpmap:101 telephone-event/8000\\r\\na=sendonly\\r\\n";
    let publish = request(&format!(
        r#""command":"publish","call-id":"call"{keys},"sdp":"{source}""#
    ));
    let response = desk.ask(&publish);
    (desk, response)
}

#[test]
fn a_published_source_is_answered_in_one_codec_and_can_be_subscribed_to() {
    let (mut desk, response) = published("");
    let answered = sdp(&response);
    assert!(answered.contains("m=audio 30000 RTP/AVP 8\n"), "{answered}");
    assert!(answered.contains("a=recvonly\n"), "{answered}");
    let tag = response.body().get("from-tag").unwrap().to_string();
    assert_eq!(tag.len(), 64);
    let subscribe = format!(r#""from-tag":"{tag}","to-tag":"ear""#);
    let offered = sdp(&desk.ask(&about("subscribe request", &subscribe)));
    assert!(
        offered.contains("RTP/AVP 8\n") && offered.contains("a=sendonly\n"),
        "{offered}"
    );

    let (_, response) = published(r#","from-tag":"source""#);
    assert_eq!(
        response.body().get("from-tag").unwrap().to_string(),
        "source"
    );
    let (desk, response) = published(r#","transport-protocol":"RTP/SAVP""#);
    assert_eq!(response.error_reason(), None);
    assert!(!desk.call.is_finished());
}

#[test]
fn connected_parties_hear_each_other_and_nobody_else() {
    let mut line = talking();
    // A second branch of the same call: an attendant.
    let offer = crate::whatsapp::exchange(
        "offer",
        &crate::whatsapp::pbx(41000, 1, "sendrecv").replace("192.0.2.55", "192.0.2.66"),
        ["attendant", ""],
        "",
    );
    sdp(&line.desk.ask(&offer));
    let answer = crate::whatsapp::exchange(
        "answer",
        &crate::whatsapp::pbx(42000, 1, "sendrecv").replace("192.0.2.55", "192.0.2.67"),
        ["attendant", "extension"],
        "",
    );
    sdp(&line.desk.ask(&answer));
    line.run(FRAME);
    let connect = about("connect", r#""from-tag":"meta","to-tag":"attendant""#);
    assert_eq!(reason(&mut line, &connect), None);
    line.sent.clear();
    line.meta_says(111, 50);
    assert_eq!(packets_at(&mut line, "192.0.2.66:41000").len(), 1);
    assert!(packets_at(&mut line, PBX).is_empty());
    assert!(!heard(&mut line, 51)[0], "the PBX is not heard any more");
    let table = [
        (r#""from-tag":"meta""#, "No to-tag in message"),
        (r#""to-tag":"meta""#, "No from-tag in message"),
        (
            r#""from-tag":"x","to-tag":"meta""#,
            "From-tag given, but no such tag exists",
        ),
        (r#""from-tag":"meta","to-tag":"x""#, "To-tag not found"),
        (
            r#""from-tag":"meta","to-tag":"meta""#,
            "Invalid dialogue association",
        ),
        (
            r#""from-tag":"meta","to-tag":"x","to-call-id":"other""#,
            "unsupported: connect of parties of two calls (to-call-id)",
        ),
    ];
    for (keys, expected) in table {
        let reason = reason(&mut line, &about("connect", keys));
        assert_eq!(reason.as_deref(), Some(expected), "{keys}");
    }
}

/// What a listener lacks, the source should know: a picture that is lost, a road that is bad.
#[test]
fn what_a_subscriber_reports_goes_to_its_source_if_that_is_wanted() {
    let (a_rtcp, b_rtcp) = ("192.0.2.55:4001", "203.0.113.55:5001");
    for (flags, expected) in [("", 0), ("RTCP-mirror", 1)] {
        let mut pair = Pair::talking("");
        let keys = format!(r#""from-tag":"a","to-tag":"ear","rtpp-flags":"{flags}""#);
        let offered = sdp(&pair.desk.ask(&about("subscribe request", &keys)));
        assert_eq!(place(&offered, 0), "192.0.2.1:30002");
        let ear = description("192.0.2.99", "m=audio 6000 RTP/AVP 0\na=recvonly\n");
        let answered = pair.desk.ask(&answer("ear", &ear));
        assert_eq!(answered.error_reason(), None);
        pair.run(Duration::ZERO);
        pair.receive("192.0.2.1:30000", A, &crate::pair::rtp(0, 1, 7));
        assert_eq!(pair.heard_at("192.0.2.99:6000").len(), 1);

        // RFC 3550 section 6.4.2: a receiver report of source 9 about source 7.
        let report = [&[0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 7][..], &[0; 20]].concat();
        pair.receive("192.0.2.1:30003", "192.0.2.99:6001", &report);
        let to_a = pair.heard_at(a_rtcp);
        assert_eq!(to_a.len(), expected, "{flags}");
        assert!(to_a.iter().all(|packet| packet[..12] == report[..12]));
        assert_eq!(pair.heard_at(b_rtcp).len(), 0);
    }
}
