//! What is no RTP passes as it is: T.38 in the middle of a call, and other transports beside one.

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b, place, rtp};

const FAX: &str = "m=image PORT udptl t38\na=T38FaxVersion:0\na=T38MaxBitRate:14400\na=T38FaxUdpEC:t38UDPRedundancy\n";

fn fax(port: u16) -> String {
    FAX.replace("PORT", &port.to_string())
}

/// First bytes of UDPTL sequence numbers that look like STUN, DTLS, RTP, RTCP and nothing at all.
const DATAGRAMS: [&[u8]; 5] = [
    &[0x00, 0x01, 0x06, 0x00],
    &[0x16, 0xfe, 0x06, 0x00, 0x01],
    &[
        0x80, 0x00, 0x06, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
    ],
    &[0x80, 0xc8, 0x06, 0x01, 0x02, 0x03, 0x04, 0x05],
    &[0xff],
];

#[test]
fn a_call_turns_to_fax_and_back_on_the_same_ports() {
    let mut pair = Pair::talking("");
    let (ours_a, ours_b) = ("192.0.2.1:30000", "203.0.113.1:30000");
    let ports = pair.desk.ports.open.clone();

    let offered = pair.offer(&of_a(&fax(4000)), "");
    assert!(
        offered.ends_with(
            "m=image 30000 udptl t38\nc=IN IP4 203.0.113.1\na=T38FaxVersion:0\na=T38MaxBitRate:14400\n\
             a=T38FaxUdpEC:t38UDPRedundancy\na=sendrecv\n"
        ),
        "{offered}"
    );
    assert_eq!(
        pair.passes(ours_a, A, B) + pair.passes(ours_b, B, A),
        6,
        "until the other side agrees it is a call"
    );
    let answered = pair.answer(&of_b(&fax(5000)), "");
    assert!(answered.contains("m=image 30000 udptl t38\nc=IN IP4 192.0.2.1\n"));

    for bytes in DATAGRAMS {
        pair.receive(ours_a, A, bytes);
        assert_eq!(pair.heard_at(B), [bytes]);
        pair.receive(ours_b, B, bytes);
        assert_eq!(pair.heard_at(A), [bytes]);
    }

    let audio = "m=audio 4000 RTP/AVP 0\n";
    let offered = pair.offer(&of_a(audio), "");
    assert!(offered.contains("m=audio 30000 RTP/AVP 0\n") && offered.contains("a=rtcp:30001\n"));
    pair.answer(&of_b(&audio.replace('4', "5")), "");
    assert_eq!(pair.desk.ports.open, ports);
    assert_eq!(pair.passes(ours_a, A, B), 3);
    assert_eq!(pair.passes(ours_b, B, A), 3);
}

#[test]
fn a_fax_that_is_refused_leaves_the_call_as_it_was() {
    let mut pair = Pair::talking("");
    // The far end answers 488, of which the relay hears nothing.
    pair.offer(&of_a(&fax(4000)), "");
    assert_eq!(pair.passes("192.0.2.1:30000", A, B), 3);
    assert_eq!(pair.passes("203.0.113.1:30000", B, A), 3);
}

#[test]
fn a_re_offer_of_another_codec_that_is_refused_changes_nothing() {
    let mut pair = Pair::talking("");
    pair.offer(&of_a("m=audio 4000 RTP/AVP 8\n"), "");
    assert_eq!(pair.passes("192.0.2.1:30000", A, B), 3);
    assert_eq!(pair.passes("203.0.113.1:30000", B, A), 3);
}

#[test]
fn fax_in_the_first_offer_and_fax_beside_audio() {
    let mut pair = Pair::new();
    let offered = pair.offer(
        &of_a(&format!("m=audio 4010 RTP/AVP 0\n{}", fax(4000))),
        INTERFACES,
    );
    let towards_b = place(&offered, 1);
    let answered = pair.answer(&of_b(&format!("m=audio 5010 RTP/AVP 0\n{}", fax(5000))), "");
    let towards_a = place(&answered, 1);
    for bytes in DATAGRAMS {
        pair.receive(&towards_a, A, bytes);
        pair.receive(&towards_b, B, bytes);
        assert_eq!(
            (pair.heard_at(B), pair.heard_at(A)),
            (vec![bytes.to_vec()], vec![bytes.to_vec()])
        );
    }
    assert_eq!(
        pair.passes(&place(&answered, 0), "192.0.2.55:4010", "203.0.113.55:5010"),
        3
    );
}

#[test]
fn an_encrypted_leg_turns_to_fax_and_back() {
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} RTP/SAVP DTLS=off");
    pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), &flags);
    let secure = "m=audio 5000 RTP/SAVP 0\n\
        a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\n";
    pair.answer(&of_b(secure), "");
    let offered = pair.offer(&of_a(&fax(4000)), &flags);
    assert!(offered.contains("m=image 30000 udptl t38\n") && !offered.contains("a=crypto"));
    pair.answer(&of_b(&fax(5000)), "");
    pair.sent.clear();
    pair.receive("192.0.2.1:30000", A, DATAGRAMS[0]);
    assert_eq!(pair.heard_at(B), [DATAGRAMS[0]], "as it came, not sealed");
    let offered = pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), "");
    assert!(
        offered.contains("m=audio 30000 RTP/SAVP 0\n") && offered.contains("a=crypto:"),
        "the profile of before is offered again: {offered}"
    );
}

#[test]
fn other_transports_over_udp_are_relayed_and_those_over_tcp_pass_by() {
    let mut pair = Pair::new();
    // A fingerprint that could be checked: it is the peer's business all the same, and none of ours stands beside it.
    let fingerprint = "a=fingerprint:sha-256 0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86";
    let lines = format!(
        "m=application 4006 UDP/BFCP *\na=floorctrl:c-s\n\
        m=application 4008 UDP/DTLS/SCTP webrtc-datachannel\na=setup:actpass\n{fingerprint}\na=sctp-port:5000\n\
        m=message 4004 TCP/MSRP *\na=setup:active\na=path:msrp://x\n"
    );
    let offered = pair.offer(&of_a(&lines), INTERFACES);
    for expected in [
        "m=application 30000 UDP/BFCP *\nc=IN IP4 203.0.113.1\na=floorctrl:c-s\na=sendrecv\n",
        &format!(
            "m=application 30002 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 203.0.113.1\na=setup:actpass\n{fingerprint}\n"
        ),
        "m=message 4004 TCP/MSRP *\nc=IN IP4 192.0.2.55\na=setup:active\na=path:msrp://x\n",
    ] {
        assert!(offered.contains(expected), "no {expected} in\n{offered}");
    }
    assert_eq!(offered.matches("a=fingerprint").count(), 1, "{offered}");
    assert!(!offered.contains("a=crypto"), "{offered}");
    let answer = lines.replace("400", "500").replace("actpass", "active");
    let answered = pair.answer(&of_b(&answer), "");
    assert!(
        answered.contains(&format!("a=setup:active\n{fingerprint}\n")),
        "{answered}"
    );
    assert_eq!(answered.matches("a=fingerprint").count(), 1, "{answered}");
    pair.receive(&place(&answered, 1), "192.0.2.55:4008", &rtp(0, 1, 1));
    pair.receive(&place(&answered, 1), "192.0.2.55:4008", &[0x16, 0xfe, 0xfd]);
    assert_eq!(pair.heard_at("203.0.113.55:5008").len(), 2);
}
