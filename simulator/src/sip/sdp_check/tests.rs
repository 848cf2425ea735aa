use super::*;
use crate::report::Severity;

const OFFER: &str = "v=0\r\nm=audio 3480 UDP/TLS/RTP/SAVPF 111 126\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";

fn answer() -> String {
    let pairs = ["AB"; 32].join(":");
    format!(
        "v=0\r\no=- 42 1 IN IP4 198.51.100.7\r\ns=-\r\nt=0 0\r\n\
         m=audio 30000 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 198.51.100.7\r\na=mid:audio\r\n\
         a=sendrecv\r\na=rtcp-mux\r\na=ice-ufrag:k2Zq\r\na=ice-pwd:0123456789abcdefghijklmn\r\n\
         a=candidate:1 1 udp 2130706431 198.51.100.7 30000 typ host\r\n\
         a=fingerprint:sha-256 {pairs}\r\na=setup:active\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 minptime=20;useinbandfec=1\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=ptime:20\r\n"
    )
}

fn remarks(sdp: &str) -> Vec<Remark> {
    check(sdp, Kind::AnswerTo(OFFER), Keys::Dtls, false)
}

#[test]
fn a_good_answer_has_nothing_to_remark() {
    assert_eq!(remarks(&answer()), []);
}

#[test]
fn each_mistake_is_named_alone() {
    let fingerprint = "a=fingerprint:sha-256";
    for (from, to, words) in [
        ("a=setup:active", "a=setup:passive", "setup:passive"),
        ("a=setup:active", "a=setup:actpass", "setup:actpass"),
        (fingerprint, "a=fingerprint:sha-1", "sha-1"),
        (fingerprint, "a=x:sha-256", "No fingerprint"),
        ("a=mid:audio", "a=ice-lite", "ice-lite"),
        ("a=mid:audio", "a=extmap:1 urn:x", "extmap"),
        (
            "a=mid:audio",
            "a=fingerprint:sha-512 AB:CD",
            "2 fingerprints",
        ),
        ("a=sendrecv", "a=sendonly", "sendonly"),
        (
            "telephone-event/8000\r\na=ptime",
            "telephone-event/48000\r\na=ptime",
            "48000",
        ),
        ("a=ptime:20", "a=ptime:30", "ptime:30"),
        ("a=rtcp-mux", "a=x", "rtcp-mux"),
        ("198.51.100.7", "10.1.2.3", "cannot reach"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "RTP/AVP"),
        (" 111 126\r\nc=", " 96 126\r\nc=", "payload type 96"),
        (
            "ice-pwd:0123456789abcdefghijklmn",
            "ice-pwd:short",
            "ice-pwd",
        ),
    ] {
        let broken = answer().replace(from, to);
        assert_ne!(broken, answer(), "{from}");
        let found = remarks(&broken);
        assert!(
            found
                .iter()
                .any(|remark| remark.severity == Severity::Violation
                    && remark.text.contains(words)),
            "{to}: {found:?}"
        );
    }
}

#[test]
fn private_addresses_pass_where_a_demo_allows_them() {
    let local = answer().replace("198.51.100.7", "127.0.0.1");
    assert_eq!(check(&local, Kind::AnswerTo(OFFER), Keys::Dtls, true), []);
}

#[test]
fn an_sdes_answer_has_one_line_of_the_offered_suite() {
    let sdes = |crypto: &str| {
        format!(
            "v=0\r\nm=audio 30000 RTP/SAVP 111 126\r\nc=IN IP4 198.51.100.7\r\na=rtcp-mux\r\n\
             {crypto}a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=ptime:20\r\n"
        )
    };
    let line = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QUJD\r\n";
    let violations = |crypto: &str| {
        check(&sdes(crypto), Kind::AnswerTo(OFFER), Keys::Sdes, false)
            .into_iter()
            .filter(|remark| remark.severity == Severity::Violation)
            .count()
    };
    assert_eq!(violations(line), 0);
    assert_eq!(violations(""), 1);
    assert_eq!(violations(&line.replace(":1 ", ":2 ")), 1);
    assert_eq!(violations(&line.replace("_80", "_32")), 1);
    assert_eq!(violations(&line.repeat(2)), 1);
}

#[test]
fn an_offer_must_leave_the_dtls_role_open() {
    let offer = answer().replace("setup:active", "setup:actpass");
    assert_eq!(check(&offer, Kind::Offer, Keys::Dtls, false), []);
    let found = check(&answer(), Kind::Offer, Keys::Dtls, false);
    assert!(found[0].text.contains("setup:active instead of actpass"));
}

#[test]
fn text_that_is_no_sdp_is_only_remarked_upon() {
    assert_eq!(remarks("").len(), 1);
    assert_eq!(remarks("m=video 1 x\r\na=").len(), 1);
    assert!(!remarks("m=audio ").is_empty());
}
