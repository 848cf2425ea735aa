//! Words of an offer or an answer, and the lines they come to: a row for each. What they do to media stands in the other files.

use crate::pair::{A, B, INTERFACES, Pair, description, of_a, of_b, place};

/// Audio in all its variety.
const AUDIO: &str = "m=audio 4000 RTP/AVP 0 8 9 96 101\nb=AS:64\na=rtpmap:96 opus/48000/2\na=fmtp:96 useinbandfec=1\n\
    a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=extmap:1 urn:x\na=extmap:2 urn:y\na=ssrc:1 cname:c\na=ptime:20\n";

/// A word, what the other party reads then, and what it does not.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const OFFERS: &[Row] = &[
    // What there is without any word.
    (
        "",
        &[
            "o=- 1 1 IN IP4 192.0.2.55\n",
            "s=-\n",
            "m=audio 30000 RTP/AVP 0 8 9 96 101\nc=IN IP4 203.0.113.1\nb=AS:64\na=rtpmap:0 PCMU/8000\n",
            "a=fmtp:96 useinbandfec=1\n",
            "a=extmap:1 urn:x\n",
            "a=ssrc:1 cname:c\na=sendrecv\na=rtcp:30001\na=ptime:20\n",
        ],
        &["a=mid", "a=group", "192.0.2.55\nt="],
    ),
    // replace
    ("replace-origin", &["o=- 1 1 IN IP4 203.0.113.1\n"], &[]),
    (
        "replace-origin_full",
        &["o=- 1 1 IN IP4 203.0.113.1\n"],
        &[],
    ),
    (
        "replace=[origin session-connection]",
        &["o=- 1 1 IN IP4 203.0.113.1\n"],
        &[],
    ),
    (
        "replace-session-connection",
        &["c=IN IP4 203.0.113.1\n"],
        &[],
    ),
    // addresses
    (
        "media-address=10.1.2.3",
        &["c=IN IP4 10.1.2.3\n"],
        &["203.0.113.1"],
    ),
    (
        "media-address=10.1.2.3 replace-origin",
        &["o=- 1 1 IN IP4 10.1.2.3\n"],
        &[],
    ),
    (
        "media-address=10.1.2.3 full-rtcp-attribute",
        &["a=rtcp:30001 IN IP4 10.1.2.3\n"],
        &[],
    ),
    (
        "media-address=10.1.2.3 ICE=force",
        &[" 10.1.2.3 30000 typ host\n"],
        &["203.0.113.1"],
    ),
    (
        "full-rtcp-attribute",
        &["a=rtcp:30001 IN IP4 203.0.113.1\n"],
        &[],
    ),
    ("no-rtcp-attribute", &[], &["a=rtcp"]),
    // shape
    ("generate-mid", &["a=mid:1\n"], &[]),
    ("original-sendrecv", &[], &["a=sendrecv"]),
    ("strip-extmap", &[], &["extmap"]),
    (
        "extmap=[strip=[urn:x]]",
        &["a=extmap:2 urn:y\n"],
        &["urn:x"],
    ),
    ("extmap=[strip=[all]]", &[], &["extmap"]),
    ("extmap=[mask=[urn:y]]", &["a=extmap:1 urn:x\n"], &["urn:y"]),
    ("loop-protect", &["a=rtpengine:0123456789ab\n"], &[]),
    (
        "BUNDLE-offer",
        &["a=group:BUNDLE 1\n", "a=mid:1\n", "a=rtcp-mux\n"],
        &[],
    ),
    ("BUNDLE-reject", &[], &["BUNDLE"]),
    (
        "WebRTC",
        &[
            "UDP/TLS/RTP/SAVPF",
            "a=group:BUNDLE 1\n",
            "a=mid:1\n",
            "a=rtcp-mux\n",
            "a=ice-options:trickle\n",
            "a=setup:actpass\n",
        ],
        &["a=crypto", "a=rtcp:"],
    ),
    // sdp-attr
    ("sdp-attr-remove-audio-ssrc", &["a=ptime:20\n"], &["a=ssrc"]),
    (
        "sdp-attr-remove-audio-fmtp:96",
        &["a=fmtp:101 0-15\n"],
        &["a=fmtp:96"],
    ),
    (
        "sdp-attr-add-audio-foo:bar",
        &["a=ptime:20\na=foo:bar\n"],
        &[],
    ),
    ("sdp-attr-add-none-foo:bar", &["t=0 0\na=foo:bar\nm="], &[]),
    ("sdp-attr-add-video-foo:bar", &[], &["foo"]),
    (
        "sdp-attr-substitute-audio-sendrecv>sendonly",
        &["a=sendonly\n"],
        &["a=sendrecv"],
    ),
    (
        "sdp-attr=[audio=[substitute=[[ptime:20 ptime:30]]]]",
        &["a=ptime:30\n"],
        &["a=ptime:20"],
    ),
    // codecs
    ("codec-strip-PCMU", &["RTP/AVP 8 9 96 101\n"], &["PCMU"]),
    (
        "codec-strip-all codec-except-PCMA",
        &["RTP/AVP 8\n"],
        &["PCMU"],
    ),
    (
        "codec-strip-all codec-offer-opus codec-offer-PCMU",
        &["RTP/AVP 96 0\n"],
        &[],
    ),
    ("codec-offer-opus", &["RTP/AVP 0 8 9 96 101\n"], &[]),
    ("codec-strip-all", &["RTP/AVP 0 8 9 96 101\n"], &[]),
    (
        "codec-strip-all allow-no-codec-media",
        &["m=audio 0 RTP/AVP"],
        &["a=sendrecv"],
    ),
    ("codec-ignore-PCMU", &["RTP/AVP 8 9 96 101\n"], &[]),
    ("codec-mask-PCMU", &["RTP/AVP 8 9 96 101\n"], &[]),
    ("codec-consume-PCMU", &["RTP/AVP 8 9 96 101\n"], &[]),
    (
        "codec-mask-all codec-except-PCMA",
        &["RTP/AVP 8 101\n"],
        &[],
    ),
    ("ptime=30", &["a=ptime:30\n"], &["a=ptime:20"]),
    ("repacketize=30", &["a=ptime:30\n"], &["a=ptime:20"]),
    ("ptime-reverse=30", &["a=ptime:20\n"], &[]),
    // Words that change no line.
    ("trust-address", &["m=audio 30000 "], &[]),
    (
        "symmetric asymmetric unidirectional strict-source media-handover",
        &["m=audio 30000 "],
        &[],
    ),
    (
        "port-latching no-port-latching recrypt reset early-media debug",
        &["m=audio 30000 "],
        &[],
    ),
    (
        "new-branch provisional no-jitter-buffer inject-DTMF detect-DTMF",
        &["m=audio 30000 "],
        &[],
    ),
    (
        "passthrough no-passthrough no-redis-update block-short",
        &["m=audio 30000 "],
        &[],
    ),
    (
        "allow-asymmetric-codecs codec-accept-PCMU codec-set-opus/48000/2/24000",
        &["RTP/AVP 0 8 9 96 101\n"],
        &[],
    ),
    (
        "transport-protocol=FOO/BAR ICE=bogus replace=foo rtcp-mux=foo",
        &["RTP/AVP 0 8 9 96 101\n"],
        &[],
    ),
];

const ANSWERS: &[Row] = &[
    (
        "",
        &[
            "RTP/AVP 0 8 9 96 101\n",
            "c=IN IP4 192.0.2.1\n",
            "a=sendrecv\na=rtcp:30001\n",
        ],
        &["a=mid"],
    ),
    ("replace-origin", &["o=- 1 1 IN IP4 192.0.2.1\n"], &[]),
    ("single-codec", &["RTP/AVP 0 101\n"], &["PCMA"]),
    ("codec-strip-PCMU", &["RTP/AVP 8 9 96 101\n"], &[]),
    ("codec-strip-all codec-except-PCMA", &["RTP/AVP 8\n"], &[]),
    ("codec-ignore-PCMU", &["RTP/AVP 8 9 96 101\n"], &[]),
    ("no-rtcp-attribute", &[], &["a=rtcp"]),
    ("media-address=10.1.2.3", &["c=IN IP4 10.1.2.3\n"], &[]),
    ("original-sendrecv", &[], &["a=sendrecv"]),
    ("ptime=30", &["a=ptime:20\n"], &["a=ptime:30"]),
    ("sdp-attr-remove-audio-ssrc", &[], &["a=ssrc"]),
    ("strip-extmap", &[], &["extmap"]),
    ("transport-protocol=RTP/AVPF", &["RTP/AVPF 0"], &[]),
    (
        "direction=pub direction=pub",
        &["c=IN IP4 203.0.113.1\n", "m=audio 30002 "],
        &["192.0.2.1\n"],
    ),
    ("to-interface=pub", &["c=IN IP4 203.0.113.1\n"], &[]),
];

fn check(sdp: &str, (words, present, absent): &Row) {
    for line in *present {
        assert!(sdp.contains(line), "{words}: no {line:?} in\n{sdp}");
    }
    for line in *absent {
        assert!(!sdp.contains(line), "{words}: {line:?} in\n{sdp}");
    }
}

#[test]
fn each_word_of_an_offer_has_its_lines() {
    for row in OFFERS {
        let offered = Pair::new().offer(&of_a(AUDIO), &format!("{INTERFACES} {}", row.0));
        check(&offered, row);
    }
}

#[test]
fn each_word_of_an_answer_has_its_lines() {
    for row in ANSWERS {
        let mut pair = Pair::new();
        pair.offer(&of_a(AUDIO), INTERFACES);
        let answered = pair.answer(&of_b(&AUDIO.replace("4000", "5000")), row.0);
        check(&answered, row);
    }
}

#[test]
fn what_the_operator_wished_upon_one_party_is_not_told_to_the_other() {
    let mut pair = Pair::new();
    pair.offer(&of_a(AUDIO), &format!("{INTERFACES} ptime=40"));
    let answer = AUDIO
        .replace("4000", "5000")
        .replace("ptime:20", "ptime:30");
    assert!(pair.answer(&of_b(&answer), "").contains("a=ptime:20\n"));
    let mut pair = Pair::new();
    pair.offer(&of_a(AUDIO), &format!("{INTERFACES} ptime-reverse=40"));
    assert!(pair.answer(&of_b(&answer), "").contains("a=ptime:40\n"));
}

#[test]
fn feedback_for_every_format_passes_and_the_last_direction_counts() {
    let video = "m=video 4000 RTP/AVPF 96\na=sendrecv\na=rtpmap:96 VP8/90000\na=rtcp-fb:* ccm fir\na=rtcp-fb:96 nack\na=recvonly\n";
    let offered = Pair::new().offer(&of_a(video), INTERFACES);
    let expected = "a=rtpmap:96 VP8/90000\na=rtcp-fb:96 nack\na=rtcp-fb:* ccm fir\na=recvonly\n";
    assert!(offered.contains(expected), "{offered}");
}

#[test]
fn a_held_stream_leaves_our_address_in_the_origin() {
    let held = description("0.0.0.0", "m=audio 4000 RTP/AVP 0\n");
    let offered = Pair::new().offer(&held, &format!("{INTERFACES} replace-origin"));
    assert!(
        offered.contains("o=- 1 1 IN IP4 203.0.113.1\n"),
        "{offered}"
    );
    assert!(offered.contains("c=IN IP4 0.0.0.0\n"), "{offered}");
}

#[test]
fn a_misspelt_command_of_sdp_attr_is_an_error() {
    let payload = br#"{"command":"offer","sdp-attr":{"audio":{"substitue":[["a","b"]]}}}"#;
    let error = ng_protocol::Request::parse(payload).unwrap_err();
    assert!(error.reason().contains("substitue"), "{}", error.reason());
}

#[test]
fn the_source_of_the_message_stands_for_the_address_in_the_description() {
    let audio = "m=audio 4000 RTP/AVP 0\n";
    for (words, sent_to) in [
        (
            "SIP-source-address received-from=[IP4 198.51.100.7]",
            "198.51.100.7:4000",
        ),
        (
            "SIP-source-address received-from=198.51.100.7",
            "198.51.100.7:4000",
        ),
        ("trust-address received-from=[IP4 198.51.100.7]", A),
        ("received-from=[IP4 198.51.100.7]", A),
        ("SIP-source-address", A),
    ] {
        let mut pair = Pair::new();
        pair.offer(&of_a(audio), &format!("{INTERFACES} {words}"));
        pair.answer(&of_b(&audio.replace('4', "5")), "");
        assert_eq!(pair.passes("203.0.113.1:30000", B, sent_to), 3, "{words}");
    }
}

#[test]
fn static_and_reused_codecs_follow_the_earlier_offer() {
    let first = "m=audio 4000 RTP/AVP 8 0\n";
    let second = "m=audio 4000 RTP/AVP 9 0 8\n";
    for (words, list) in [
        ("", "RTP/AVP 9 0 8\n"),
        ("static-codecs", "RTP/AVP 8 0\n"),
        ("reuse-codecs", "RTP/AVP 8 0 9\n"),
        ("no-codec-renegotiation", "RTP/AVP 8 0 9\n"),
    ] {
        let mut pair = Pair::new();
        pair.offer(&of_a(first), INTERFACES);
        pair.answer(&of_b("m=audio 5000 RTP/AVP 8 0\n"), "");
        let offered = pair.offer(&of_a(second), words);
        assert!(offered.contains(list), "{words}: {offered}");
    }
}

#[test]
fn names_that_replace_keeps_stay_those_of_the_first_description() {
    let with = |user: &str, version: u32, name: &str| {
        format!("v=0\no={user} 1 {version} IN IP4 192.0.2.55\ns={name}\nc=IN IP4 192.0.2.55\nt=0 0\nm=audio 4000 RTP/AVP 0\n")
            .replace('\n', "\\r\\n")
    };
    for (words, origin, name) in [
        ("", "o=new 1 9 IN IP4 192.0.2.55\n", "s=later\n"),
        ("replace-username", "o=old 1 9 ", "s=later\n"),
        ("replace-session-name", "o=new 1 9 ", "s=sooner\n"),
        ("replace-SDP-version", "o=new 1 4 ", "s=later\n"),
        ("replace-force-increment-sdp-ver", "o=new 1 4 ", "s=later\n"),
        (
            "replace-origin_full",
            "o=old 1 4 IN IP4 203.0.113.1\n",
            "s=later\n",
        ),
    ] {
        let mut pair = Pair::new();
        let words = format!("{INTERFACES} {words}");
        pair.offer(&with("old", 3, "sooner"), &words);
        let again = pair.offer(&with("new", 9, "later"), &words);
        assert!(
            again.contains(origin) && again.contains(name),
            "{words}: {again}"
        );
    }
}

#[test]
fn sections_come_and_go_in_re_offers() {
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let video = "m=video 4002 RTP/AVP 96\na=rtpmap:96 VP8/90000\n";
    let mut pair = Pair::talking("");
    let more = pair.offer(&of_a(&format!("{audio}{video}")), "");
    assert_eq!(place(&more, 0), "203.0.113.1:30000", "what was there stays");
    let both = |port: u16| {
        format!(
            "m=audio {port} RTP/AVP 0\nm=video {} RTP/AVP 96\na=rtpmap:96 VP8/90000\n",
            port + 2
        )
    };
    let answered = pair.answer(&of_b(&both(5000)), "");
    assert_eq!(
        pair.passes(&place(&answered, 1), "192.0.2.55:4002", "203.0.113.55:5002"),
        3
    );
    let less = pair.offer(&of_a(&format!("{audio}m=video 0 RTP/AVP 96\n")), "");
    assert!(less.contains("m=video 0 RTP/AVP 96\n"), "{less}");
    assert_eq!(pair.desk.ports.open.len(), 4);
    pair.answer(&of_b("m=audio 5000 RTP/AVP 0\nm=video 0 RTP/AVP 96\n"), "");
    let again = pair.offer(&of_a(&both(4000)), "");
    assert_eq!(place(&again, 0), "203.0.113.1:30000");
    assert_ne!(place(&again, 1), "203.0.113.1:0");
}

#[test]
fn a_hold_in_either_spelling_stops_media_and_keeps_everything() {
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let holds = [
        of_a(&format!("{audio}a=sendonly\n")),
        of_a(&format!("{audio}a=inactive\n")),
        description("0.0.0.0", audio),
    ];
    for hold in holds {
        let mut pair = Pair::talking("");
        let ports = pair.desk.ports.open.clone();
        pair.offer(&hold, "");
        pair.answer(&of_b("m=audio 5000 RTP/AVP 0\na=recvonly\n"), "");
        assert_eq!(pair.passes("203.0.113.1:30000", B, A), 0, "{hold}");
        assert_eq!(pair.passes("192.0.2.1:30000", A, B), 3, "music on hold");
        pair.offer(&of_a(audio), "");
        pair.answer(&of_b("m=audio 5000 RTP/AVP 0\n"), "");
        assert_eq!(pair.passes("203.0.113.1:30000", B, A), 3, "{hold}");
        assert_eq!(pair.desk.ports.open, ports);
    }
}

#[test]
fn early_media_moves_to_who_answers_last() {
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let mut pair = Pair::new();
    pair.offer(&of_a(audio), INTERFACES);
    // 183 of an announcement server, then 200 of the callee: another tag, another address.
    let early = pair.ask(
        "answer",
        &of_b("m=audio 5000 RTP/AVP 0\n"),
        ["a", "early"],
        "sip-message-type=sip_reply sip-code=183",
    );
    assert_eq!(pair.passes("203.0.113.1:30000", B, A), 3);
    let callee = "203.0.113.77:6000";
    for words in [
        "sip-message-type=sip_reply sip-code=200",
        "provisional",
        "new-branch",
    ] {
        let answer = description("203.0.113.77", "m=audio 6000 RTP/AVP 0\n");
        let late = pair.ask("answer", &answer, ["a", "late"], words);
        assert_eq!(place(&late, 0), place(&early, 0), "{words}");
        assert_eq!(pair.passes("192.0.2.1:30000", A, callee), 3, "{words}");
        assert_eq!(pair.passes("203.0.113.1:30000", callee, A), 3, "{words}");
    }
}
