//! Keys in offers and answers: SDES, DTLS, opportunistic SRTP, and the transport that promises or does not promise them.

use crate::support::{Desk, interface, sdp};
use crate::whatsapp::exchange;

const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const FINGERPRINT: &str = "sha-256 0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86";
const OTHER_FINGERPRINT: &str = "sha-256 1B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86";
const SHA_1: &str = "sha-1 0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA";

fn desk() -> Desk {
    Desk::new(vec![interface("a", &["192.0.2.1"])])
}

/// One audio section of this transport with further attributes, one a word; `_` stands for a space and `~` for `_`.
fn audio(transport: &str, attributes: &str) -> String {
    let mut text = format!(
        "v=0\\r\\no=- 1 1 IN IP4 192.0.2.55\\r\\ns=-\\r\\nc=IN IP4 192.0.2.55\\r\\nt=0 0\\r\\nm=audio 40000 {transport} 0\\r\\n"
    );
    for attribute in attributes.split_ascii_whitespace() {
        text += &format!("a={}\\r\\n", attribute.replace('_', " ").replace('~', "_"));
    }
    text
}

fn crypto(tag: u32, suite: &str, rest: &str) -> String {
    format!(
        "crypto:{tag}_{}_inline:{KEY}{rest}",
        suite.replace('_', "~")
    )
}

fn dtls(setup: &str, fingerprint: &str) -> String {
    format!(
        "setup:{setup} fingerprint:{}",
        fingerprint.replace(' ', "_")
    )
}

const CM_80: &str = "AES_CM_128_HMAC_SHA1_80";
const CM_32: &str = "AES_CM_128_HMAC_SHA1_32";

/// `offer` from `a`; the SDP, or the reason of the refusal.
fn ask(desk: &mut Desk, command: &str, body: &str, tags: [&str; 2], flags: &str) -> String {
    let response = desk.ask(&exchange(command, body, tags, flags));
    match response.error_reason() {
        Some(reason) => format!("error: {reason}"),
        None => sdp(&response),
    }
}

/// The lines of a description that are about keys, without the keys themselves.
fn keys(description: &str) -> Vec<String> {
    let of_interest = ["m=", "a=crypto", "a=setup", "a=fingerprint"];
    description
        .lines()
        .filter(|line| {
            of_interest.iter().any(|start| line.starts_with(start)) || line.starts_with("error")
        })
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            match line.split_once(':').map(|(name, _)| name) {
                Some("a=crypto") => {
                    let rest = words[2].split_once('|').map_or("", |(_, rest)| rest);
                    [&words[..2], &[rest], &words[3..]]
                        .concat()
                        .join(" ")
                        .trim_end()
                        .to_owned()
                }
                Some("a=fingerprint") => words[0].to_owned(),
                _ if line.starts_with("m=") => words[2].to_owned(),
                _ => line.to_owned(),
            }
        })
        .collect()
}

#[test]
fn suites_are_offered_as_the_options_say() {
    let first = "AEAD_AES_256_GCM AEAD_AES_128_GCM AES_CM_128_HMAC_SHA1_80 AES_CM_128_HMAC_SHA1_32";
    let cases = [
        ("", first),
        (
            "SDES-no-AEAD_AES_256_GCM SDES-no-AES_CM_128_HMAC_SHA1_32",
            "AEAD_AES_128_GCM AES_CM_128_HMAC_SHA1_80",
        ),
        ("SDES-only-AES_CM_128_HMAC_SHA1_80", CM_80),
        (
            "SDES-only-AES_CM_128_HMAC_SHA1_80 SDES-no-AES_CM_128_HMAC_SHA1_80",
            CM_80,
        ),
        (
            "SDES=[only-AES_192_CM_HMAC_SHA1_80 only-AES_256_CM_HMAC_SHA1_32]",
            "AES_256_CM_HMAC_SHA1_32 AES_192_CM_HMAC_SHA1_80",
        ),
        (
            "SDES=[order:AES_CM_128_HMAC_SHA1_32;AEAD_AES_128_GCM;]",
            "AES_CM_128_HMAC_SHA1_32 AEAD_AES_128_GCM AEAD_AES_256_GCM AES_CM_128_HMAC_SHA1_80",
        ),
    ];
    for (options, suites) in cases {
        let flags = format!("RTP/SAVP DTLS=off {options}");
        let offered = ask(
            &mut desk(),
            "offer",
            &audio("RTP/AVP", ""),
            ["a", ""],
            &flags,
        );
        let found: Vec<&str> = offered
            .lines()
            .filter_map(|line| line.strip_prefix("a=crypto:")?.split(' ').nth(1))
            .collect();
        assert_eq!(found.join(" "), suites, "{options}");
        assert!(!offered.contains("a=setup"), "{options}");
    }
}

#[test]
fn the_form_of_a_key_is_as_the_options_say() {
    let offered = |options: &str| {
        let flags = format!("RTP/SAVP DTLS=off SDES-only-AEAD_AES_128_GCM {options}");
        let offered = ask(
            &mut desk(),
            "offer",
            &audio("RTP/AVP", ""),
            ["a", ""],
            &flags,
        );
        let line = offered
            .lines()
            .find(|line| line.starts_with("a=crypto"))
            .unwrap();
        line.to_owned()
    };
    assert!(!offered("").contains('='.to_string().repeat(2).as_str()));
    assert!(offered("SDES-pad").ends_with("=="));
    assert!(offered("pad-crypto").ends_with("=="));
    assert!(offered("SDES-lifetime").ends_with("|2^31"));
}

#[test]
fn an_offerer_is_answered_with_one_line() {
    let both = format!("{} {}", crypto(1, CM_80, ""), crypto(7, CM_32, "|2^20|1:4"));
    let with_dtls = format!("{both} {}", dtls("actpass", FINGERPRINT));
    // What is offered, the words of the offer and of the answer, and the answer.
    let cases = [
        (&both, "", "", "a=crypto:1 AES_CM_128_HMAC_SHA1_80"),
        (
            &both,
            "SDES-no-AES_CM_128_HMAC_SHA1_80",
            "",
            "a=crypto:7 AES_CM_128_HMAC_SHA1_32",
        ),
        (
            &both,
            "",
            "SDES-only-AES_CM_128_HMAC_SHA1_32",
            "a=crypto:7 AES_CM_128_HMAC_SHA1_32",
        ),
        (
            &both,
            "SDES-offerer_pref:AES_CM_128_HMAC_SHA1_32;",
            "",
            "a=crypto:7 AES_CM_128_HMAC_SHA1_32",
        ),
        // Everything is excluded: the first is better than nothing.
        (
            &both,
            "SDES-only-AEAD_AES_256_GCM",
            "",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80",
        ),
        (&with_dtls, "", "", "a=setup:active"),
        (
            &with_dtls,
            "SDES=[prefer]",
            "",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80",
        ),
        (
            &with_dtls,
            "",
            "SDES=[priority]",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80",
        ),
        (
            &with_dtls,
            "",
            "DTLS=off",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80",
        ),
        // The offer's word is about the receiver.
        (&with_dtls, "DTLS=off", "", "a=setup:active"),
    ];
    for (offered, offer_words, answer_words, expected) in cases {
        let mut desk = desk();
        let flags = format!("RTP/AVP {offer_words}");
        let plain = ask(
            &mut desk,
            "offer",
            &audio("RTP/SAVP", offered),
            ["a", ""],
            &flags,
        );
        assert_eq!(keys(&plain), ["RTP/AVP"]);
        let answered = ask(
            &mut desk,
            "answer",
            &audio("RTP/AVP", ""),
            ["a", "b"],
            answer_words,
        );
        let found = keys(&answered);
        assert_eq!(
            found[..2],
            ["RTP/SAVP", expected],
            "{offer_words} / {answer_words}"
        );
        let others = found
            .iter()
            .filter(|line| line.starts_with("a=crypto"))
            .count();
        assert!(others <= 1);
    }
}

#[test]
fn a_line_with_session_parameters_is_followed_or_refused_and_never_weakens() {
    // What the parameters are, and whether the line is taken.
    for (parameters, taken) in [
        ("_WSH=64", true),
        ("_-FUTURE=1", true),
        ("_UNENCRYPTED~SRTP", false),
        ("_UNENCRYPTED~SRTCP", false),
        ("_UNAUTHENTICATED~SRTP", false),
        ("_KDR=24", false),
        ("_FUTURE=1", false),
    ] {
        let mut desk = desk();
        let offered = crypto(1, CM_80, parameters);
        let reply = ask(
            &mut desk,
            "offer",
            &audio("RTP/SAVP", &offered),
            ["a", ""],
            "RTP/AVP",
        );
        assert_eq!(
            reply.starts_with("error: No usable crypto suite"),
            !taken,
            "{parameters}: {reply}"
        );
        if taken {
            let answered = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
            assert!(
                !answered.contains("FUTURE"),
                "what may be ignored is not negotiated"
            );
        }
    }
    let mut desk = desk();
    let request = exchange(
        "offer",
        &audio("RTP/AVP", ""),
        ["a", ""],
        "RTP/SAVP DTLS=off SDES-unencrypted_srtp",
    );
    let response = desk
        .call
        .handle_request(desk.now, &request, &mut desk.ports);
    assert!(!sdp(&response).contains("UNENCRYPTED"));
    let events = desk.drain();
    assert!(
        events
            .iter()
            .any(|e| e.to_string().contains("are not followed")),
        "{events:?}"
    );
}

#[test]
fn dtls_and_sdes_are_offered_together_and_either_may_be_taken() {
    let flags = "RTP/SAVPF SDES-only-AES_CM_128_HMAC_SHA1_80";
    for (answer, other) in [
        (dtls("active", FINGERPRINT), "a=crypto"),
        (crypto(1, CM_80, ""), "a=setup"),
    ] {
        let mut desk = desk();
        let offered = ask(&mut desk, "offer", &audio("RTP/AVP", ""), ["a", ""], flags);
        assert_eq!(
            keys(&offered),
            [
                "RTP/SAVPF",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80",
                "a=setup:actpass",
                "a=fingerprint:sha-256"
            ]
        );
        let answered = ask(
            &mut desk,
            "answer",
            &audio("RTP/SAVPF", &answer),
            ["a", "b"],
            "",
        );
        assert_eq!(keys(&answered), ["RTP/AVP"]);
        let again = ask(&mut desk, "offer", &audio("RTP/AVP", ""), ["a", "b"], flags);
        assert!(!again.contains(other), "{again}");
        let same = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|l| l.starts_with("a=crypto"))
                .map(str::to_owned)
                .collect()
        };
        assert!(
            same(&again).is_empty() || same(&again) == same(&offered),
            "the key stays"
        );
        let reset = ask(
            &mut desk,
            "offer",
            &audio("RTP/AVP", ""),
            ["a", "b"],
            &format!("{flags} reset"),
        );
        assert!(
            reset.contains("a=crypto") && reset.contains("a=setup:actpass"),
            "{reset}"
        );
    }
}

#[test]
fn the_hash_of_our_fingerprint_follows_the_option_in_offers_and_the_peer_in_answers() {
    let flags = "UDP/TLS/RTP/SAVPF SDES-off DTLS-fingerprint=SHA-512";
    let offered = ask(
        &mut desk(),
        "offer",
        &audio("RTP/AVP", ""),
        ["a", ""],
        flags,
    );
    assert_eq!(keys(&offered)[2], "a=fingerprint:sha-512");
    for (theirs, ours) in [
        (dtls("actpass", SHA_1), "a=fingerprint:sha-1"),
        (
            format!(
                "{} fingerprint:{}",
                dtls("actpass", SHA_1),
                FINGERPRINT.replace(' ', "_")
            ),
            "a=fingerprint:sha-256",
        ),
    ] {
        let mut desk = desk();
        ask(
            &mut desk,
            "offer",
            &audio("UDP/TLS/RTP/SAVPF", &theirs),
            ["a", ""],
            "RTP/AVP",
        );
        let answered = ask(
            &mut desk,
            "answer",
            &audio("RTP/AVP", ""),
            ["a", "b"],
            "DTLS-fingerprint=SHA-512",
        );
        assert_eq!(
            keys(&answered),
            ["UDP/TLS/RTP/SAVPF", "a=setup:active", ours]
        );
    }
}

#[test]
fn every_setup_is_answered_by_its_counterpart() {
    for (theirs, ours) in [
        ("actpass", "active"),
        ("active", "passive"),
        ("passive", "active"),
        ("holdconn", "holdconn"),
    ] {
        let mut desk = desk();
        ask(
            &mut desk,
            "offer",
            &audio("UDP/TLS/RTP/SAVPF", &dtls(theirs, FINGERPRINT)),
            ["a", ""],
            "RTP/AVP",
        );
        let answered = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
        assert_eq!(keys(&answered)[1], format!("a=setup:{ours}"), "{theirs}");
    }
}

#[test]
fn a_re_offer_with_another_setup_is_answered_by_its_counterpart() {
    let mut desk = desk();
    for (theirs, ours) in [
        ("actpass", "active"),
        ("active", "passive"),
        ("actpass", "passive"),
        ("passive", "active"),
    ] {
        let offered = audio("UDP/TLS/RTP/SAVPF", &dtls(theirs, FINGERPRINT));
        ask(&mut desk, "offer", &offered, ["a", ""], "RTP/AVP");
        let answered = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
        assert_eq!(keys(&answered)[1], format!("a=setup:{ours}"), "{theirs}");
    }
}

#[test]
fn a_connection_on_hold_lets_nothing_pass_in_the_clear() {
    let mut desk = desk();
    let held = audio("UDP/TLS/RTP/SAVPF", &dtls("holdconn", FINGERPRINT));
    ask(&mut desk, "offer", &held, ["a", ""], "RTP/AVP");
    ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
    let mut out = relay_packet::Outbox::new(16);
    for _ in 0..50 {
        let Some(next) = desk.call.poll_timeout() else {
            break;
        };
        desk.now = desk.now.max(next);
        desk.call.handle_timeout(desk.now, &mut out);
    }
    assert_eq!(out.drain().count(), 0);
    // Later it offers again, and the handshake begins.
    let ready = audio("UDP/TLS/RTP/SAVPF", &dtls("actpass", FINGERPRINT));
    ask(&mut desk, "offer", &ready, ["a", "b"], "RTP/AVP");
    let answered = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
    assert_eq!(keys(&answered)[1], "a=setup:active");
    desk.call.handle_timeout(desk.now, &mut out);
    let hello = out.drain().any(|t| t.packet.starts_with(&[22]));
    assert!(hello, "a ClientHello leaves");
}

#[test]
fn another_identity_of_the_peer_asks_for_a_new_association() {
    let first = format!(
        "{} tls-id:aaaaaaaaaaaaaaaaaaaaaaaa",
        dtls("actpass", FINGERPRINT)
    );
    // What the re-offer says, the word of the script, our setup, and whether our tls-id is another.
    let cases = [
        (
            format!(
                "{} tls-id:aaaaaaaaaaaaaaaaaaaaaaaa",
                dtls("actpass", FINGERPRINT)
            ),
            "",
            "active",
            false,
        ),
        (
            format!(
                "{} tls-id:bbbbbbbbbbbbbbbbbbbbbbbb",
                dtls("active", FINGERPRINT)
            ),
            "",
            "passive",
            true,
        ),
        (dtls("active", FINGERPRINT), "", "passive", true),
        (
            format!(
                "{} tls-id:bbbbbbbbbbbbbbbbbbbbbbbb",
                dtls("active", FINGERPRINT)
            ),
            "no-tls-id",
            "passive",
            false,
        ),
        (
            format!(
                "{} tls-id:aaaaaaaaaaaaaaaaaaaaaaaa",
                dtls("active", OTHER_FINGERPRINT)
            ),
            "",
            "passive",
            true,
        ),
    ];
    let tls_id = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("a=tls-id:"));
        line.map(str::to_owned)
    };
    for (second, word, setup, renewed) in cases {
        let mut desk = desk();
        let flags = format!("RTP/AVP {word}");
        ask(
            &mut desk,
            "offer",
            &audio("UDP/TLS/RTP/SAVPF", &first),
            ["a", ""],
            &flags,
        );
        let before = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], word);
        ask(
            &mut desk,
            "offer",
            &audio("UDP/TLS/RTP/SAVPF", &second),
            ["a", "b"],
            &flags,
        );
        let after = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], word);
        assert_eq!(keys(&after)[1], format!("a=setup:{setup}"), "{second}");
        assert_eq!(tls_id(&before) != tls_id(&after), renewed, "{second}");
    }
}

/// What A offers, the words of the offer, what B sees, what B answers, the words of the answer, what A sees.
type Row<'a> = (
    &'a str,
    &'a str,
    &'a [&'a str],
    &'a str,
    &'a str,
    &'a [&'a str],
);

#[test]
fn opportunistic_keys_are_offered_taken_up_and_given_up() {
    let keyed = crypto(1, CM_80, "");
    let narrow = "SDES-only-AES_CM_128_HMAC_SHA1_80 DTLS=off";
    let line = "a=crypto:1 AES_CM_128_HMAC_SHA1_80";
    let cases: [Row<'_>; 8] = [
        (
            &keyed,
            "",
            &["RTP/AVP", line],
            &keyed,
            "",
            &["RTP/AVP", line],
        ),
        (&keyed, "", &["RTP/AVP", line], "", "", &["RTP/AVP"]),
        (
            &keyed,
            "",
            &["RTP/AVP", line],
            "",
            "OSRTP-accept",
            &["RTP/AVP", line],
        ),
        (&keyed, "RTP/AVP", &["RTP/AVP"], "", "", &["RTP/AVP", line]),
        (
            &keyed,
            "RTP/SAVP",
            &["RTP/SAVP", line],
            &keyed,
            "",
            &["RTP/AVP", line],
        ),
        (
            "",
            "OSRTP-offer",
            &["RTP/AVP", line],
            &keyed,
            "",
            &["RTP/AVP"],
        ),
        ("", "OSRTP-offer", &["RTP/AVP", line], "", "", &["RTP/AVP"]),
        (
            "",
            "OSRTP-offer SDES-off",
            &["RTP/AVP"],
            "",
            "",
            &["RTP/AVP"],
        ),
    ];
    for (offer, offer_words, seen_by_b, answer, answer_words, seen_by_a) in cases {
        let mut desk = desk();
        let flags = format!("{narrow} {offer_words}");
        let offered = ask(
            &mut desk,
            "offer",
            &audio("RTP/AVP", offer),
            ["a", ""],
            &flags,
        );
        assert_eq!(keys(&offered), seen_by_b, "{offer} {offer_words}");
        let answered = ask(
            &mut desk,
            "answer",
            &audio("RTP/AVP", answer),
            ["a", "b"],
            answer_words,
        );
        assert_eq!(
            keys(&answered),
            seen_by_a,
            "{offer} {offer_words} / {answer} {answer_words}"
        );
    }
}

#[test]
fn answers_keep_the_transport_of_the_offer_unless_told_otherwise() {
    // Offered, answered, the word of the answer, what the offerer sees.
    let cases = [
        ("RTP/AVP", "RTP/AVPF", "", "RTP/AVP"),
        (
            "RTP/AVP",
            "RTP/AVPF",
            "transport-protocol=accept",
            "RTP/AVPF",
        ),
        (
            "RTP/AVPF",
            "RTP/AVP",
            "transport-protocol=accept",
            "RTP/AVP",
        ),
        ("RTP/AVP", "RTP/AVP", "RTP/AVPF", "RTP/AVPF"),
        ("RTP/AVPF", "RTP/AVPF", "RTP/AVP", "RTP/AVP"),
        (
            "RTP/AVP",
            "RTP/AVP",
            "transport-protocol=FOO/BAR",
            "RTP/AVP",
        ),
    ];
    for (offered, answered, word, seen) in cases {
        let mut desk = desk();
        ask(&mut desk, "offer", &audio(offered, ""), ["a", ""], "");
        let reply = ask(&mut desk, "answer", &audio(answered, ""), ["a", "b"], word);
        assert_eq!(keys(&reply), [seen], "{offered} {answered} {word}");
    }
    for wrong in ["RTP/SAVP", "UDP/TLS/RTP/SAVPF"] {
        let mut desk = desk();
        ask(&mut desk, "offer", &audio("RTP/AVP", ""), ["a", ""], "");
        let reply = ask(
            &mut desk,
            "answer",
            &audio("RTP/AVP", ""),
            ["a", "b"],
            wrong,
        );
        assert!(
            reply.starts_with("error: No usable crypto suite"),
            "{wrong}: {reply}"
        );
    }
}

#[test]
fn an_encrypted_offer_answered_in_the_clear_is_refused() {
    let mut desk = desk();
    ask(
        &mut desk,
        "offer",
        &audio("RTP/AVP", ""),
        ["a", ""],
        "RTP/SAVP",
    );
    let reply = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
    assert!(
        reply.starts_with("error: No usable crypto suite"),
        "{reply}"
    );
}

#[test]
fn keys_of_the_session_count_for_sections_without_their_own() {
    let body = audio("UDP/TLS/RTP/SAVPF", "").replace(
        "t=0 0\\r\\n",
        &format!("t=0 0\\r\\na=setup:active\\r\\na=fingerprint:{FINGERPRINT}\\r\\n"),
    );
    let mut desk = desk();
    ask(&mut desk, "offer", &body, ["a", ""], "RTP/AVP");
    let answered = ask(&mut desk, "answer", &audio("RTP/AVP", ""), ["a", "b"], "");
    assert_eq!(keys(&answered)[1], "a=setup:passive");
}

#[test]
fn a_caller_of_any_kind_gets_an_answer_of_its_kind_when_the_script_writes_webrtc() {
    for (offered, transport, key) in [
        (audio("RTP/AVP", ""), "RTP/AVP", ""),
        (
            audio("RTP/SAVP", &crypto(1, CM_80, "")),
            "RTP/SAVP",
            "a=crypto:1",
        ),
        (
            audio(
                "UDP/TLS/RTP/SAVPF",
                &format!("{} rtcp-mux", dtls("actpass", FINGERPRINT)),
            ),
            "UDP/TLS/RTP/SAVPF",
            "a=fingerprint",
        ),
    ] {
        let mut desk = desk();
        ask(&mut desk, "offer", &offered, ["a", ""], "RTP/AVP");
        let plain = audio("RTP/AVP", "");
        let answered = ask(&mut desk, "answer", &plain, ["a", "b"], "WebRTC");
        assert!(
            answered.contains(&format!(" {transport} 0\n")),
            "{answered}"
        );
        assert!(answered.contains(key), "{answered}");
        assert_eq!(
            answered.contains("a=crypto") || answered.contains("a=setup"),
            !key.is_empty(),
            "{answered}"
        );
        assert_eq!(answered.contains("a=rtcp-mux"), key == "a=fingerprint");
    }
}
