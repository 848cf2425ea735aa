//! Offers and answers in general: failing whole, forks, rejected sections, holds.

use proptest::prelude::*;

use crate::support::{Desk, interface, request, sdp};
use crate::whatsapp::{exchange, pbx};
use ng_protocol::Command;

const PLAIN: &str = "direction=priv direction=pub replace-origin";

fn plain_desk() -> Desk {
    Desk::new(vec![
        interface("priv", &["192.0.2.1"]),
        interface("pub", &["203.0.113.1"]),
    ])
}

fn body(lines: &str) -> String {
    let head =
        "v=0\\r\\no=- 1 1 IN IP4 192.0.2.55\\r\\ns=-\\r\\nc=IN IP4 192.0.2.55\\r\\nt=0 0\\r\\n";
    format!("{head}{}", lines.replace('\n', "\\r\\n"))
}

#[test]
fn a_refused_first_offer_leaves_nothing_behind() {
    let mut desk = plain_desk();
    desk.ports.left = Some(3);
    let response = desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        PLAIN,
    ));
    assert_eq!(response.error_reason(), Some("Ran out of ports"));
    assert!(desk.ports.open.is_empty());
    assert!(desk.call.is_finished());
}

#[test]
fn a_refused_re_offer_leaves_the_call_as_it_was() {
    let mut desk = plain_desk();
    let offer = exchange("offer", &pbx(40000, 1, "sendrecv"), ["a", ""], PLAIN);
    let first = sdp(&desk.ask(&offer));
    let ports = desk.ports.open.clone();
    desk.ports.left = Some(1);
    // A second section needs four ports more.
    let wider = format!(
        "{}{}",
        pbx(40000, 2, "sendrecv"),
        "m=audio 40002 RTP/AVP 0\\r\\n"
    );
    let response = desk.ask(&exchange("offer", &wider, ["a", ""], PLAIN));
    assert_eq!(response.error_reason(), Some("Ran out of ports"));
    assert_eq!(desk.ports.open, ports);
    assert!(!desk.call.is_finished());
    assert_eq!(sdp(&desk.ask(&offer)), first);
}

#[test]
fn the_first_missing_key_is_named() {
    let mut desk = plain_desk();
    let reason = |desk: &mut Desk, keys: &str| {
        let response = desk.ask(&request(keys));
        response.error_reason().unwrap().to_owned()
    };
    assert_eq!(
        reason(&mut desk, r#""command":"offer""#),
        "No SDP body in message"
    );
    assert_eq!(
        reason(&mut desk, r#""command":"offer","sdp":"x""#),
        "No call-id in message"
    );
    let keys = r#""command":"offer","sdp":"x","call-id":"c""#;
    assert_eq!(reason(&mut desk, keys), "No from-tag in message");
    let keys = r#""command":"answer","sdp":"x","call-id":"c","from-tag":"a""#;
    assert_eq!(reason(&mut desk, keys), "No to-tag in message");
    let keys = r#""command":"offer","sdp":"x","call-id":"c","from-tag":"a""#;
    let text = reason(&mut desk, keys);
    assert!(text.starts_with("Failed to parse SDP: line 1:"), "{text}");
}

#[test]
fn a_party_cannot_talk_to_itself() {
    let mut desk = plain_desk();
    let offer = exchange("offer", &pbx(40000, 1, "sendrecv"), ["a", "a"], PLAIN);
    assert_eq!(
        desk.ask(&offer).error_reason(),
        Some("Invalid dialogue association")
    );
    desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        PLAIN,
    ));
    let answer = exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["stranger", "b"],
        PLAIN,
    );
    assert_eq!(
        desk.ask(&answer).error_reason(),
        Some("Invalid dialogue association")
    );
}

#[test]
fn encryption_without_a_way_to_agree_on_keys_is_refused() {
    let mut desk = plain_desk();
    let flags = format!("{PLAIN} RTP/SAVP DTLS=off SDES-off");
    let response = desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        &flags,
    ));
    let reason = response.error_reason().unwrap();
    assert!(reason.starts_with("No usable crypto suite"), "{reason}");
    let offered = body(
        "m=audio 4000 RTP/SAVP 0\na=crypto:1 F8_128_HMAC_SHA1_80 inline:WM6NKLjiMAGIK+ofBneFRRMBx0qmJLzY7XId1Zw0\n",
    );
    let mut desk = plain_desk();
    let response = desk.ask(&exchange("offer", &offered, ["a", ""], PLAIN));
    let reason = response.error_reason().unwrap();
    assert!(reason.contains("1 a=crypto"), "{reason}");
}

#[test]
fn branches_have_receivers_of_their_own_and_share_the_sender() {
    let mut desk = plain_desk();
    let offer = |branch: &str| {
        let mut offer = exchange("offer", &pbx(40000, 1, "sendrecv"), ["a", ""], PLAIN);
        offer.via_branch = Some(branch.into());
        offer
    };
    let first = sdp(&desk.ask(&offer("one")));
    assert_eq!(desk.ports.open.len(), 4);
    let second = sdp(&desk.ask(&offer("two")));
    assert_eq!(
        desk.ports.open.len(),
        6,
        "two ports for the second receiver"
    );
    assert_ne!(first, second);
    assert_eq!(
        sdp(&desk.ask(&offer("one"))),
        first,
        "the same branch again is the same party"
    );
    let mut answer = exchange("answer", &pbx(50000, 1, "sendrecv"), ["a", "b2"], PLAIN);
    answer.via_branch = Some("two".into());
    desk.ask(&answer);
    let query = desk.ask(&request(r#""command":"query","call-id":"call""#));
    let tags = query.body().get("tags").unwrap().as_dictionary().unwrap();
    let names: Vec<String> = tags
        .iter()
        .map(|(tag, _)| String::from_utf8_lossy(tag).into())
        .collect();
    assert_eq!(names, ["a", "<untagged 1>", "b2"]);
}

#[test]
fn another_to_tag_without_branch_is_another_name_of_the_same_party() {
    let mut desk = plain_desk();
    desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        PLAIN,
    ));
    let first = sdp(&desk.ask(&exchange(
        "answer",
        &pbx(50000, 1, "sendrecv"),
        ["a", "b1"],
        PLAIN,
    )));
    let second = sdp(&desk.ask(&exchange(
        "answer",
        &pbx(50002, 1, "sendrecv"),
        ["a", "b2"],
        PLAIN,
    )));
    assert_eq!(first, second, "the offerer's port stays");
    let query = desk.ask(&request(r#""command":"query","call-id":"call""#));
    let tags = query.body().get("tags").unwrap().as_dictionary().unwrap();
    let party = tags.get("b2").unwrap().as_dictionary().unwrap();
    let aliases = party.get("tag-aliases").unwrap().as_list().unwrap();
    assert_eq!(aliases[0].as_str(), Some("b1"));
}

#[test]
fn the_callee_may_re_offer_and_everything_is_remembered() {
    let mut desk = plain_desk();
    let offered = sdp(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        PLAIN,
    )));
    let answered = sdp(&desk.ask(&exchange(
        "answer",
        &pbx(50000, 1, "sendrecv"),
        ["a", "b"],
        "replace-origin",
    )));
    let back = sdp(&desk.ask(&exchange(
        "offer",
        &pbx(50000, 2, "sendonly"),
        ["b", "a"],
        "replace-origin",
    )));
    assert_eq!(m_line(&back), m_line(&answered));
    assert!(back.contains("a=sendonly\n"));
    let forth = sdp(&desk.ask(&exchange(
        "answer",
        &pbx(40000, 2, "recvonly"),
        ["b", "a"],
        "replace-origin",
    )));
    assert_eq!(m_line(&forth), m_line(&offered));
    assert!(forth.contains("a=recvonly\n"));
}

fn m_line(sdp: &str) -> &str {
    sdp.lines().find(|line| line.starts_with("m=")).unwrap()
}

#[test]
fn rejected_sections_stay_in_their_place_and_have_no_ports() {
    let mut desk = plain_desk();
    let offer = body("m=audio 4000 RTP/AVP 0\na=mid:a\nm=video 0 RTP/AVP 96\na=mid:v\n");
    let offered = sdp(&desk.ask(&exchange("offer", &offer, ["a", ""], PLAIN)));
    assert!(
        offered.contains("m=video 0 RTP/AVP 96\nc=IN IP4 0.0.0.0\na=mid:v\n"),
        "{offered}"
    );
    assert_eq!(desk.ports.open.len(), 4);
    // The answer does not mention the second section, and refuses the first.
    let answer = body("m=audio 0 RTP/AVP 0\n");
    let answered = sdp(&desk.ask(&exchange("answer", &answer, ["a", "b"], PLAIN)));
    assert!(
        answered.contains("m=audio 0 RTP/AVP 0\nc=IN IP4 0.0.0.0\na=mid:a\nm=video 0 "),
        "{answered}"
    );
    assert!(desk.ports.open.is_empty());
}

#[test]
fn a_live_section_that_the_answer_leaves_out_is_refused() {
    let mut desk = plain_desk();
    let offer = body("m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 96\na=rtpmap:96 VP8/90000\n");
    desk.ask(&exchange("offer", &offer, ["a", ""], PLAIN));
    assert_eq!(desk.ports.open.len(), 8);
    let answered = sdp(&desk.ask(&exchange(
        "answer",
        &body("m=audio 5000 RTP/AVP 0\n"),
        ["a", "b"],
        PLAIN,
    )));
    assert!(answered.contains("m=video 0 RTP/AVP 96\n"), "{answered}");
    assert_eq!(desk.ports.open.len(), 4);
}

#[test]
fn an_offer_of_nothing_but_refused_sections_is_answered() {
    let mut desk = plain_desk();
    let offered = sdp(&desk.ask(&exchange(
        "offer",
        &body("m=audio 0 RTP/AVP 0\n"),
        ["a", ""],
        PLAIN,
    )));
    assert!(offered.contains("m=audio 0 RTP/AVP 0\n"));
    let answered = sdp(&desk.ask(&exchange(
        "answer",
        &body("m=audio 0 RTP/AVP 0\n"),
        ["a", "b"],
        PLAIN,
    )));
    assert!(answered.contains("m=audio 0 RTP/AVP 0\n"));
}

#[test]
fn the_old_hold_by_address_passes_as_sendonly() {
    let mut desk = plain_desk();
    let held = body("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n");
    let offered = sdp(&desk.ask(&exchange("offer", &held, ["a", ""], PLAIN)));
    assert!(
        offered.contains("c=IN IP4 0.0.0.0\n") && offered.contains("a=sendonly\n"),
        "{offered}"
    );
    let flags = format!("{PLAIN} replace-zero-address");
    let offered = sdp(&desk.ask(&exchange("offer", &held, ["a", ""], &flags)));
    assert!(offered.contains("c=IN IP4 203.0.113.1\n"), "{offered}");
}

#[test]
fn removed_media_comes_back_refused() {
    let mut desk = plain_desk();
    let offer = body("m=video 4002 RTP/AVP 96\na=rtpmap:96 VP8/90000\nm=audio 4000 RTP/AVP 0\n");
    let mut asked = exchange("offer", &offer, ["a", ""], PLAIN);
    asked.flags.sdp.media_remove = vec!["video".into()];
    let offered = sdp(&desk.ask(&asked));
    assert!(!offered.contains("video"), "{offered}");
    let answer = body("m=audio 5000 RTP/AVP 0\n");
    let answered = sdp(&desk.ask(&exchange("answer", &answer, ["a", "b"], PLAIN)));
    let kinds: Vec<&str> = answered
        .lines()
        .filter(|l| l.starts_with("m="))
        .map(|l| &l[..10])
        .collect();
    assert_eq!(kinds, ["m=video 0 ", "m=audio 30"], "{answered}");
}

#[test]
fn the_version_grows_exactly_when_the_body_changes() {
    let mut desk = plain_desk();
    let flags = format!("{PLAIN} replace-SDP-version");
    let mut version = |port: u16, version: u32| {
        let offered = sdp(&desk.ask(&exchange(
            "offer",
            &pbx(port, version, "sendrecv"),
            ["a", ""],
            &flags,
        )));
        let origin = offered
            .lines()
            .find(|l| l.starts_with("o="))
            .unwrap()
            .to_owned();
        origin.split(' ').nth(2).unwrap().to_owned()
    };
    assert_eq!(version(40000, 7), "7");
    assert_eq!(
        version(40000, 9),
        "7",
        "the sender's version is not the receiver's business"
    );
    desk = plain_desk();
    desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        &flags,
    ));
    let held = sdp(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 2, "inactive"),
        ["a", ""],
        &flags,
    )));
    assert!(held.starts_with("v=0\no=pbx 4711 2 "), "{held}");
}

#[test]
fn our_own_work_passes_unchanged_when_it_comes_back() {
    let mut desk = plain_desk();
    let flags = format!("{PLAIN} loop-protect");
    let once = sdp(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        &flags,
    )));
    assert!(once.contains("a=rtpengine:0123456789ab\n"));
    let again = once.replace('\n', "\\r\\n");
    let twice = sdp(&desk.ask(&exchange("offer", &again, ["a", ""], &flags)));
    assert_eq!(once, twice);
}

#[test]
fn a_delete_with_a_tag_takes_its_partner_along_and_an_offer_cancels_it() {
    let mut desk = plain_desk();
    desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        PLAIN,
    ));
    let delete = request(r#""command":"delete","call-id":"call","from-tag":"a""#);
    desk.ask(&delete);
    let due = desk.call.poll_timeout().unwrap();
    assert!(due <= desk.now + std::time::Duration::from_secs(30));
    desk.ask(&exchange(
        "offer",
        &pbx(40000, 2, "sendrecv"),
        ["a", ""],
        PLAIN,
    ));
    let mut out = relay_packet::Outbox::new(8);
    desk.call
        .handle_timeout(desk.now + std::time::Duration::from_secs(31), &mut out);
    assert!(!desk.call.is_finished());
    let delete = request(r#""command":"delete","call-id":"call","from-tag":"a","delete-delay":0"#);
    desk.ask(&delete);
    assert!(desk.call.is_finished() && desk.ports.open.is_empty());
}

#[test]
fn an_unknown_tag_is_a_warning_or_an_error_if_wished() {
    let mut desk = plain_desk();
    desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["a", ""],
        PLAIN,
    ));
    let warned = desk.ask(&request(
        r#""command":"delete","call-id":"call","from-tag":"zz""#,
    ));
    assert_eq!(
        warned.body().get("warning").unwrap().as_str(),
        Some("Call-ID not found or tags didn't match")
    );
    let refused = desk.ask(&request(
        r#""command":"delete","call-id":"call","from-tag":"zz","flags":["fatal"]"#,
    ));
    assert_eq!(
        refused.error_reason(),
        Some("Call-ID not found or tags didn't match")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Lines that a description could have, in any order and number, offered and answered.
    #[test]
    fn no_description_makes_a_call_panic(
        offer in proptest::collection::vec(any_line(), 0..30),
        answer in proptest::collection::vec(any_line(), 0..30),
        flags in proptest::sample::select(vec![PLAIN, crate::whatsapp::BIC_DTLS, crate::whatsapp::BIC_SDES, crate::whatsapp::UIC_OFFER]),
        junk in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut desk = Desk::of_the_examples();
        let mut asked = exchange("offer", "v=0", ["a", ""], flags);
        let text = |lines: &[String], junk: &[u8]| {
            let mut bytes = format!("v=0\r\n{}", lines.concat()).into_bytes();
            bytes.extend_from_slice(junk);
            Some(bytes)
        };
        for (command, lines) in [(Command::Offer, &offer), (Command::Answer, &answer), (Command::Offer, &answer)] {
            asked.command = command;
            asked.to_tag = (command == Command::Answer).then(|| "b".into());
            asked.sdp = text(lines, &[]);
            desk.ask(&asked);
            asked.sdp = text(lines, &junk);
            desk.ask(&asked);
        }
        desk.ask(&request(r#""command":"query","call-id":"call""#));
        desk.ask(&request(r#""command":"delete","call-id":"call","delete-delay":0"#));
        prop_assert!(desk.ports.open.is_empty());
    }
}

fn any_line() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "o=- 1 1 IN IP4 192.0.2.1",
        "o=broken",
        "s=",
        "c=IN IP4 192.0.2.9",
        "c=IN IP6 2001:db8::9",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=ice-lite",
        "m=audio 4000 RTP/AVP 0 101",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 126",
        "m=audio 4000/65535 RTP/SAVP 8",
        "m=video 0 RTP/AVP 96",
        "m=image 5000 udptl t38",
        "m=message 5000 TCP/MSRP *",
        "m=audio 65535 RTP/AVP",
        "a=mid:0",
        "a=bundle-only",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:126 telephone-event/8000",
        "a=rtpmap:101 telephone-event/0",
        "a=fmtp:111 x",
        "a=ptime:20",
        "a=maxptime:999999999999999999999",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuv==",
        "a=candidate:1 1 udp 1 192.0.2.9 4000 typ host",
        "a=candidate:nonsense",
        "a=fingerprint:sha-256 0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86",
        "a=fingerprint:md5 00",
        "a=setup:actpass",
        "a=setup:holdconn",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x UNENCRYPTED_SRTP",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=rtcp-mux",
        "a=sendonly",
        "a=inactive",
        "a=ssrc:1 cname:x",
        "a=ssrc:",
        "a=ssrc-group:FID 1 2",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
        "b=AS:64",
    ])
    .prop_map(|line| format!("{line}\r\n"))
}
