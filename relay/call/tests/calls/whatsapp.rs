//! The four WhatsApp cases with the words that operators write, and what must never happen to the Meta side.

use crate::support::{Desk, request, sdp};
use ng_protocol::Response;

pub(crate) const META_DTLS: &str = "v=0\\r\\no=- 1741113186367 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\na=group:BUNDLE audio\\r\\n\
    a=msid-semantic: WMS 632a909f\\r\\na=ice-lite\\r\\nm=audio 3480 UDP/TLS/RTP/SAVPF 111 126\\r\\nc=IN IP4 198.51.100.10\\r\\n\
    a=rtcp:9 IN IP4 0.0.0.0\\r\\na=candidate:1775469887 1 udp 2122260223 198.51.100.10 3480 typ host generation 0 network-cost 50\\r\\n\
    a=candidate:3355715111 1 udp 2122262783 2001:db8:f::99 3480 typ host generation 0 network-cost 50\\r\\n\
    a=ice-ufrag:RmDDkfzkwbexPfbC\\r\\na=ice-pwd:AAECAwQFBgcICQoLDA0ODw==\\r\\n\
    a=fingerprint:sha-256 0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86\\r\\n\
    a=setup:SETUP\\r\\na=mid:audio\\r\\na=sendrecv\\r\\na=msid:632a909f WhatsAppTrack1\\r\\na=rtcp-mux\\r\\n\
    a=rtpmap:111 opus/48000/2\\r\\na=rtcp-fb:111 transport-cc\\r\\n\
    a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1\\r\\n\
    a=rtpmap:126 telephone-event/8000\\r\\na=maxptime:20\\r\\na=ptime:20\\r\\na=ssrc:849255537 cname:WhatsAppAudioStream1\\r\\n";

pub(crate) const META_SDES: &str = "v=0\\r\\no=- 1741113186367 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\na=group:BUNDLE audio\\r\\n\
    a=msid-semantic: WMS 632a909f\\r\\nm=audio 3480 RTP/SAVP 111 126\\r\\nc=IN IP4 198.51.100.10\\r\\na=rtcp:9 IN IP4 0.0.0.0\\r\\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\\r\\na=mid:audio\\r\\na=sendrecv\\r\\n\
    a=msid:632a909f WhatsAppTrack1\\r\\na=rtcp-mux\\r\\na=rtpmap:111 opus/48000/2\\r\\n\
    a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1\\r\\n\
    a=rtpmap:126 telephone-event/8000\\r\\na=maxptime:20\\r\\na=ptime:20\\r\\na=ssrc:849255537 cname:WhatsAppAudioStream1\\r\\n";

/// What the PBX says: its port, version and direction differ.
pub(crate) fn pbx(port: u16, version: u32, direction: &str) -> String {
    format!(
        "v=0\\r\\no=pbx 4711 {version} IN IP4 192.0.2.55\\r\\ns=call\\r\\nc=IN IP4 192.0.2.55\\r\\nt=0 0\\r\\n\
         m=audio {port} RTP/AVP 111 126\\r\\na=rtpmap:111 opus/48000/2\\r\\na=fmtp:111 useinbandfec=1\\r\\n\
         a=rtpmap:126 telephone-event/8000\\r\\na=fmtp:126 0-16\\r\\na=ptime:20\\r\\na={direction}\\r\\n"
    )
}

/// Offer or answer, with a flags string as Kamailio hands it over.
pub(crate) fn exchange(
    command: &str,
    sdp: &str,
    tags: [&str; 2],
    flags: &str,
) -> ng_protocol::Request {
    let to_tag = if tags[1].is_empty() {
        String::new()
    } else {
        format!(r#","to-tag":"{}""#, tags[1])
    };
    request(&format!(
        r#""command":"{command}","call-id":"call","from-tag":"{}"{to_tag},"sdp":"{sdp}","rtpp-flags":"{flags}""#,
        tags[0]
    ))
}

pub(crate) const UIC_OFFER: &str = "direction=pub direction=priv RTP/AVP ICE=remove rtcp-mux-demux replace-origin BUNDLE-accept \
    strip-extmap sdp-attr-remove-audio-ssrc sdp-attr-remove-none-msid-semantic";
pub(crate) const UIC_ANSWER: &str = "replace-origin no-rtcp-attribute no-tls-id";
pub(crate) const BIC_DTLS: &str = "direction=priv direction=pub UDP/TLS/RTP/SAVPF ICE=force SDES-off rtcp-mux-offer rtcp-mux-require \
    generate-mid no-rtcp-attribute no-tls-id replace-origin";
pub(crate) const BIC_SDES: &str = "direction=priv direction=pub RTP/SAVP ICE=remove DTLS=off SDES-only-AES_CM_128_HMAC_SHA1_80 \
    rtcp-mux-offer replace-origin";
pub(crate) const BIC_ANSWER: &str = "RTP/AVP ICE=remove rtcp-mux-demux replace-origin";

fn ok(response: &Response) -> String {
    assert_eq!(response.error_reason(), None);
    sdp(response)
}

/// The lines that start so.
fn lines<'a>(sdp: &'a str, start: &str) -> Vec<&'a str> {
    sdp.lines().filter(|line| line.starts_with(start)).collect()
}

#[test]
fn user_initiated_with_dtls() {
    let mut desk = Desk::of_the_examples();
    let meta = META_DTLS.replace("SETUP", "actpass");
    let offer = ok(&desk.ask(&exchange("offer", &meta, ["meta", ""], UIC_OFFER)));
    assert!(offer.contains("m=audio 30000 RTP/AVP 111 126\n"));
    for absent in [
        "a=ice",
        "a=candidate",
        "a=rtcp-mux",
        "a=fingerprint",
        "a=setup",
        "a=ssrc",
        "a=msid-semantic",
        "BUNDLE",
    ] {
        assert!(
            lines(&offer, absent).is_empty() && !offer.contains("BUNDLE"),
            "{absent} in\n{offer}"
        );
    }
    let answer = ok(&desk.ask(&exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    )));
    for present in [
        "a=group:BUNDLE audio\n",
        "m=audio 30000 UDP/TLS/RTP/SAVPF 111 126\n",
        "c=IN IP4 203.0.113.1\n",
        "a=mid:audio\n",
        "a=rtcp-mux\n",
        "a=setup:active\n",
        "a=fingerprint:sha-256 ",
        "a=ice-ufrag:",
        "a=fmtp:126 0-16\n",
    ] {
        assert!(answer.contains(present), "no {present} in\n{answer}");
    }
    assert_eq!(
        lines(&answer, "a=candidate:").len(),
        2,
        "one of each family"
    );
    assert_eq!(lines(&answer, "a=fingerprint:").len(), 1);
    for absent in [
        "a=ice-lite",
        "a=tls-id",
        "a=rtcp:",
        "a=crypto",
        "a=ice-options",
    ] {
        assert!(lines(&answer, absent).is_empty(), "{absent} in\n{answer}");
    }
}

#[test]
fn user_initiated_with_sdes() {
    let mut desk = Desk::of_the_examples();
    ok(&desk.ask(&exchange("offer", META_SDES, ["meta", ""], UIC_OFFER)));
    let answer = ok(&desk.ask(&exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    )));
    assert!(
        answer.contains("m=audio 30000 RTP/SAVP 111 126\n"),
        "{answer}"
    );
    let crypto = lines(&answer, "a=crypto:");
    assert_eq!(crypto.len(), 1);
    assert!(crypto[0].starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"));
    assert!(!crypto[0].contains("MTIzNDU2"), "the key is our own");
    for absent in ["a=ice", "a=candidate", "a=setup", "a=fingerprint"] {
        assert!(lines(&answer, absent).is_empty(), "{absent} in\n{answer}");
    }
    assert_eq!(
        desk.ports.open.len(),
        3,
        "one port to Meta, a pair to the PBX"
    );
}

#[test]
fn business_initiated_with_dtls() {
    let mut desk = Desk::of_the_examples();
    let offer = ok(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["pbx", ""],
        BIC_DTLS,
    )));
    for present in [
        "m=audio 30000 UDP/TLS/RTP/SAVPF 111 126\n",
        "a=mid:1\n",
        "a=rtpmap:126 telephone-event/8000\n",
        "a=rtcp-mux\n",
        "a=setup:actpass\n",
        "a=ptime:20\n",
    ] {
        assert!(offer.contains(present), "no {present} in\n{offer}");
    }
    assert_eq!(lines(&offer, "a=candidate:").len(), 2);
    for absent in ["a=crypto", "a=tls-id", "a=rtcp:", "a=ice-lite"] {
        assert!(lines(&offer, absent).is_empty(), "{absent} in\n{offer}");
    }
    for setup in ["active", "passive"] {
        let meta = META_DTLS.replace("SETUP", setup);
        let answer = ok(&desk.ask(&exchange("answer", &meta, ["pbx", "meta"], BIC_ANSWER)));
        assert!(answer.contains(" RTP/AVP 111 126\n"), "{answer}");
        assert!(lines(&answer, "a=rtcp-mux").is_empty());
        assert!(lines(&answer, "a=candidate").is_empty());
    }
}

#[test]
fn business_initiated_with_sdes() {
    let mut desk = Desk::of_the_examples();
    let offer = ok(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["pbx", ""],
        BIC_SDES,
    )));
    assert!(offer.contains(" RTP/SAVP 111 126\n"));
    assert_eq!(lines(&offer, "a=crypto:").len(), 1);
    assert!(lines(&offer, "a=setup").is_empty() && lines(&offer, "a=ice").is_empty());
    let answer = ok(&desk.ask(&exchange("answer", META_SDES, ["pbx", "meta"], BIC_ANSWER)));
    assert!(answer.contains(" RTP/AVP 111 126\n"));
    assert!(lines(&answer, "a=crypto").is_empty());
}

#[test]
fn dtls_passive_is_not_obeyed_towards_an_ice_lite_peer() {
    let mut desk = Desk::of_the_examples();
    let meta = META_DTLS.replace("SETUP", "actpass");
    let flags = format!("{UIC_OFFER} DTLS=passive");
    ok(&desk.ask(&exchange("offer", &meta, ["meta", ""], &flags)));
    let answer = exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    );
    let response = desk.call.handle_request(desk.now, &answer, &mut desk.ports);
    assert!(ok(&response).contains("a=setup:active\n"));
    let events = desk.drain();
    let warned = events
        .iter()
        .any(|e| e.to_string().contains("DTLS=passive is not followed"));
    assert!(warned, "{events:?}");
}

#[test]
fn a_full_ice_peer_may_have_us_passive() {
    let cases = [
        ("DTLS=passive", "", "passive"),
        ("DTLS-reverse=passive", "", "passive"),
        ("", "DTLS=passive", "passive"),
        ("DTLS=passive", "DTLS=active", "active"),
        ("", "", "active"),
    ];
    for (offer_word, answer_word, setup) in cases {
        let mut desk = Desk::of_the_examples();
        let peer = META_DTLS
            .replace("SETUP", "actpass")
            .replace("a=ice-lite\\r\\n", "");
        let flags = format!("{UIC_OFFER} {offer_word}");
        ok(&desk.ask(&exchange("offer", &peer, ["meta", ""], &flags)));
        let answer = ok(&desk.ask(&exchange(
            "answer",
            &pbx(40000, 1, "sendrecv"),
            ["meta", "pbx"],
            &format!("{UIC_ANSWER} {answer_word}"),
        )));
        assert_eq!(
            lines(&answer, "a=setup:"),
            [format!("a=setup:{setup}")],
            "{offer_word} {answer_word}"
        );
    }
}

/// What Meta was told: port, address, credentials, fingerprint, keys.
fn meta_facing(sdp: &str) -> Vec<String> {
    let kept = [
        "m=",
        "c=",
        "a=ice-",
        "a=candidate",
        "a=fingerprint",
        "a=crypto",
        "a=mid",
        "a=rtcp-mux",
    ];
    sdp.lines()
        .filter(|line| kept.iter().any(|start| line.starts_with(start)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_the_pbx_changes_in_a_call_is_never_noticed_by_meta() {
    for (meta, offer_flags) in [
        (META_DTLS.replace("SETUP", "actpass"), BIC_DTLS),
        (META_SDES.to_owned(), BIC_SDES),
    ] {
        let mut desk = Desk::of_the_examples();
        ok(&desk.ask(&exchange("offer", &meta, ["meta", ""], UIC_OFFER)));
        let first = ok(&desk.ask(&exchange(
            "answer",
            &pbx(40000, 1, "sendrecv"),
            ["meta", "pbx"],
            UIC_ANSWER,
        )));
        let before = meta_facing(&first);
        let ports = desk.ports.open.clone();
        // The proxy answers re-INVITEs of the PBX itself: an offer whose result it throws away, and Meta's stored answer.
        let stored = meta.replace("setup:actpass", "setup:passive");
        for (version, (port, direction)) in [
            (40000, "sendonly"),
            (40000, "inactive"),
            (40010, "sendrecv"),
        ]
        .into_iter()
        .enumerate()
        {
            let version = u32::try_from(version).unwrap() + 2;
            let offer = exchange(
                "offer",
                &pbx(port, version, direction),
                ["pbx", "meta"],
                offer_flags,
            );
            let towards_meta = ok(&desk.ask(&offer));
            assert_eq!(meta_facing(&towards_meta), before, "{direction}");
            let answer = exchange("answer", &stored, ["pbx", "meta"], BIC_ANSWER);
            ok(&desk.ask(&answer));
        }
        assert_eq!(desk.ports.open, ports);
    }
}

#[test]
fn a_peer_that_re_keys_changes_what_comes_in_and_not_what_goes_out() {
    let mut desk = Desk::of_the_examples();
    ok(&desk.ask(&exchange("offer", META_SDES, ["meta", ""], UIC_OFFER)));
    let answer = exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    );
    let first = ok(&desk.ask(&answer));
    let rekeyed = META_SDES.replace(
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw",
        "ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3",
    );
    ok(&desk.ask(&exchange("offer", &rekeyed, ["meta", "pbx"], UIC_OFFER)));
    let second = ok(&desk.ask(&answer));
    assert_eq!(lines(&first, "a=crypto"), lines(&second, "a=crypto"));
}

#[test]
fn a_re_offer_that_forgets_what_the_whatsapp_side_speaks_does_not_harm_it() {
    let mut desk = Desk::of_the_examples();
    let meta = META_DTLS.replace("SETUP", "actpass");
    ok(&desk.ask(&exchange("offer", &meta, ["meta", ""], UIC_OFFER)));
    let first = ok(&desk.ask(&exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    )));
    // Neither transport nor ICE is named, and then ICE is even to be removed.
    for flags in ["replace-origin", "replace-origin ICE=remove"] {
        let offer = exchange("offer", &pbx(40000, 2, "sendonly"), ["pbx", "meta"], flags);
        let offered = ok(&desk.ask(&offer));
        assert!(
            offered.contains(" UDP/TLS/RTP/SAVPF 111 126\n"),
            "{offered}"
        );
        ok(&desk.ask(&exchange("answer", &meta, ["pbx", "meta"], BIC_ANSWER)));
    }
    let query = desk.ask(&request(
        r#""command":"query","call-id":"call","from-tag":"meta""#,
    ));
    let text = query.to_datagram(b"1", ng_protocol::Encoding::Json);
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("ICE-lite peer") && text.contains("DTLS-SRTP"),
        "{text}"
    );
    let again = exchange(
        "offer",
        &pbx(40000, 3, "sendrecv"),
        ["pbx", "meta"],
        BIC_DTLS,
    );
    assert_eq!(meta_facing(&ok(&desk.ask(&again))), meta_facing(&first));
}

#[test]
fn a_second_try_with_another_transport_is_another_offer() {
    let mut desk = Desk::of_the_examples();
    let plain = "direction=priv direction=pub replace-origin RTP/AVP";
    ok(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["pbx", ""],
        plain,
    )));
    let second = ok(&desk.ask(&exchange(
        "offer",
        &pbx(40000, 1, "sendrecv"),
        ["pbx", ""],
        BIC_SDES,
    )));
    assert!(second.contains(" RTP/SAVP 111 126\n"), "{second}");
    ok(&desk.ask(&exchange("answer", META_SDES, ["pbx", "meta"], BIC_ANSWER)));
}
