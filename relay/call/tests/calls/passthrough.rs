//! Media that passes as it is, with ICE and keys between the parties.

use relay_call::CallEvent;

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b};

const FINGERPRINT: &str = "sha-256 AB:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86";

/// A stream with ICE and DTLS, of whoever lives at this address.
fn secured(name: &str, address: &str, setup: &str) -> String {
    let (ip, port) = address.split_once(':').unwrap();
    format!(
        "m=audio {port} UDP/TLS/RTP/SAVPF 111\na=rtpmap:111 opus/48000/2\na=mid:m\na=rtcp-mux\na=ice-ufrag:{name}\n\
         a=ice-pwd:passwordpasswordpassword\na=candidate:1 1 udp 2130706431 {ip} {port} typ host\n\
         a=candidate:2 1 udp 16777215 198.51.100.9 9999 typ relay raddr {ip} rport {port}\n\
         a=setup:{setup}\na=fingerprint:{FINGERPRINT}\na=ssrc:7 cname:x\n"
    )
}

fn candidates(sdp: &str) -> Vec<&str> {
    let lines = sdp.lines();
    lines
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .collect()
}

/// First bytes of STUN, DTLS, SRTP and SRTCP; of all of which the relay knows nothing here.
const DATAGRAMS: [&[u8]; 4] = [
    &[
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ],
    &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 0xaa, 0xbb],
    &[0x80, 200, 0, 1, 0, 0, 0, 7, 0xaa, 0xbb],
];

#[test]
fn the_parties_agree_with_each_other_and_every_datagram_passes() {
    for flags in ["passthrough", "passthrough=on", "ICE=optional"] {
        let mut pair = Pair::new();
        let to_b = pair.offer(
            &of_a(&secured("aaaa", A, "actpass")),
            &format!("{INTERFACES} {flags}"),
        );
        // The lowest of theirs is a relayed one, of preference 0; ours cannot be below.
        for line in [
            "m=audio 30000 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 203.0.113.1\n",
            "a=ice-ufrag:aaaa\na=ice-pwd:passwordpasswordpassword\n",
            "a=setup:actpass\n",
            &format!("a=fingerprint:{FINGERPRINT}\n"),
            "a=ssrc:7 cname:x\n",
            "a=rtcp-mux\n",
        ] {
            assert!(to_b.contains(line), "{flags}: no {line} in {to_b}");
        }
        let listed = candidates(&to_b);
        assert_eq!(listed.len(), 4, "{to_b}");
        assert!(listed[0].contains("192.0.2.55 4000") && listed[1].contains("198.51.100.9"));
        assert!(listed[2].contains(" 1 UDP 16777215 203.0.113.1 30000 typ host"));
        assert!(listed[3].contains(" 2 UDP 16777214 203.0.113.1 30001 typ host"));
        let to_a = pair.answer(&of_b(&secured("bbbb", B, "active")), "");
        assert!(
            to_a.contains("a=ice-ufrag:bbbb\n") && to_a.contains("a=setup:active\n"),
            "{to_a}"
        );
        assert!(to_a.contains("a=rtcp:30000\na=rtcp-mux\n"), "{to_a}");
        for bytes in DATAGRAMS {
            pair.receive("192.0.2.1:30000", A, bytes);
            pair.receive("203.0.113.1:30000", B, bytes);
            assert_eq!(pair.heard_at(B), [bytes], "{flags}");
            assert_eq!(pair.heard_at(A), [bytes], "{flags}");
        }
        // Nothing but that: no checks, no silence, no reports.
        pair.run(std::time::Duration::from_secs(20));
        assert_eq!(pair.sent.len(), 0, "{flags}");
    }
}

#[test]
fn rtcp_on_a_port_of_its_own_goes_to_the_port_for_rtcp() {
    let mut pair = Pair::new();
    let audio = |port| {
        format!(
            "m=audio {port} RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\n"
        )
    };
    let to_b = pair.offer(&of_a(&audio(4000)), &format!("{INTERFACES} passthrough"));
    assert!(
        to_b.contains("a=rtcp:30001\n") && to_b.contains("inline:MTIzNDU2Nzg5MDEyMzQ1Njc4"),
        "{to_b}"
    );
    pair.answer(&of_b(&audio(5000)), "");
    pair.receive("192.0.2.1:30001", "192.0.2.55:4001", DATAGRAMS[3]);
    assert_eq!(pair.heard_at("203.0.113.55:5001"), [DATAGRAMS[3]]);
    pair.receive("192.0.2.1:30000", A, DATAGRAMS[2]);
    assert_eq!(pair.heard_at(B), [DATAGRAMS[2]]);
}

#[test]
fn what_passes_goes_on_passing_until_the_proxy_says_otherwise() {
    let mut pair = Pair::new();
    let (of_a, of_b) = (
        of_a(&secured("aaaa", A, "actpass")),
        of_b(&secured("bbbb", B, "active")),
    );
    pair.offer(&of_a, &format!("{INTERFACES} passthrough"));
    pair.answer(&of_b, "");
    let again = pair.offer(&of_a, "");
    assert!(again.contains("a=ice-ufrag:aaaa\n"), "{again}");
    pair.answer(&of_b, "");
    let ours = pair.offer(&of_a, "no-passthrough");
    assert!(
        !ours.contains("aaaa") && ours.contains("a=ice-ufrag:") && !ours.contains(FINGERPRINT),
        "{ours}"
    );
}

#[test]
fn traffic_that_passes_can_be_dropped() {
    let mut pair = Pair::new();
    let (of_a, of_b) = (
        of_a(&secured("aaaa", A, "actpass")),
        of_b(&secured("bbbb", B, "active")),
    );
    pair.offer(
        &of_a,
        &format!("{INTERFACES} passthrough drop-traffic=start"),
    );
    pair.answer(&of_b, "");
    pair.receive("192.0.2.1:30000", A, DATAGRAMS[2]);
    assert_eq!(pair.heard_at(B).len(), 0);
}

#[test]
fn a_fork_that_was_offered_keys_of_ours_is_answered_with_keys_of_ours() {
    let mut pair = Pair::new();
    let of_a = of_a(&secured("aaaa", A, "actpass"));
    let ours = pair.offer(&of_a, &format!("{INTERFACES} via-branch=one ICE=remove"));
    assert!(!ours.contains("aaaa"), "{ours}");
    let theirs = pair.offer(&of_a, "via-branch=two passthrough");
    assert!(theirs.contains("aaaa"), "{theirs}");
    let keyed = secured("bbbb", B, "active");
    let answered = pair.answer(&of_b(&keyed), "via-branch=one");
    assert!(
        !answered.contains("bbbb") && !answered.contains(FINGERPRINT),
        "{answered}"
    );
    assert!(answered.contains("a=fingerprint:"), "{answered}");
}

#[test]
fn a_relay_of_last_resort_is_a_candidate_and_no_address() {
    let mut pair = Pair::new();
    let to_b = pair.offer(
        &of_a(&secured("aaaa", A, "actpass")),
        &format!("{INTERFACES} ICE=force-relay"),
    );
    assert!(
        to_b.contains("m=audio 4000 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 192.0.2.55\n"),
        "{to_b}"
    );
    let listed = candidates(&to_b);
    assert_eq!(listed.len(), 3, "{to_b}");
    assert!(listed[0].ends_with("192.0.2.55 4000 typ host"));
    assert!(
        listed[1]
            .ends_with(" 1 UDP 16777215 203.0.113.1 30000 typ relay raddr 203.0.113.1 rport 30000")
    );
}

#[test]
fn without_ice_or_with_other_keys_on_the_other_side_media_is_relayed_as_ever() {
    let mut pair = Pair::new();
    let plain = "m=audio 4000 RTP/AVP 0\n";
    let to_b = pair.offer(&of_a(plain), &format!("{INTERFACES} ICE=optional"));
    assert!(to_b.contains("a=ice-ufrag:"), "as with force: {to_b}");

    let mut pair = Pair::new();
    let to_b = pair.offer(
        &of_a(&secured("aaaa", A, "actpass")),
        &format!("{INTERFACES} ICE=optional RTP/AVP"),
    );
    assert!(
        to_b.contains("RTP/AVP 111\n") && !to_b.contains("aaaa") && !to_b.contains(FINGERPRINT),
        "{to_b}"
    );
    let warned =
        |event: &CallEvent| matches!(event, CallEvent::Warning(text) if text.contains("as it is"));
    assert!(pair.events.iter().any(warned), "{:?}", pair.events);
}
