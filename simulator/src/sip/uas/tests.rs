use super::*;
use crate::report::Severity;
use crate::sip::identity::route_set;
use crate::sip::message::{Message, Method};

const NUMBER: &str = "+15550001111";

fn business() -> Business {
    Business {
        number: NUMBER.to_owned(),
        password: "secret".to_owned(),
        host: "sbc.example.com".to_owned(),
    }
}

/// An INVITE in Meta's sample form, with pieces to replace.
fn invite(sequence: u32, change: Change<'_>) -> Request {
    let text = change(format!(
        "INVITE sip:+4915112345678@wa.meta.vc;transport=tls SIP/2.0\r\n\
         Record-Route: <sip:sbc.example.com:5061;transport=tls;lr>\r\n\
         Via: SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bK{sequence}\r\n\
         From: <sip:{NUMBER}@sbc.example.com>;tag=biz\r\n\
         To: <sip:+4915112345678@wa.meta.vc>\r\n\
         Contact: <sip:pbx@10.0.0.9>\r\nCall-ID: c\r\nCSeq: {sequence} INVITE\r\n\
         Content-Type: application/sdp\r\n"
    ));
    match Message::parse(text.as_bytes(), b"v=0\r\n".to_vec()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("not a request"),
    }
}

/// A change to the text of an INVITE.
type Change<'a> = &'a dyn Fn(String) -> String;

fn same(text: String) -> String {
    text
}

/// Takes a call through the challenge and gives back what becomes of the second INVITE.
fn challenged(
    challenging: Challenging,
    username: &str,
    password: &str,
    uri: &str,
    change: Change<'_>,
) -> (Decision, Vec<String>) {
    let mut reception = Reception::new(vec![business()], challenging);
    let (decision, _) = reception.receive(&invite(1, change));
    let Decision::Challenge(challenges) = decision else {
        return (decision, Vec::new());
    };
    let mut second = invite(2, change);
    let credentials = challenges[0]
        .answer(username, password, "INVITE", uri)
        .unwrap();
    second
        .headers
        .push("Proxy-Authorization", credentials.to_string());
    let (decision, remarks) = reception.receive(&second);
    let violations = remarks
        .into_iter()
        .filter(|remark| remark.severity == Severity::Violation)
        .map(|remark| remark.text)
        .collect();
    (decision, violations)
}

const GOOD_URI: &str = "sip:+4915112345678@wa.meta.vc;transport=tls";

#[test]
fn a_call_in_metas_sample_form_is_accepted() {
    for challenging in [Challenging::Md5, Challenging::Sha256, Challenging::Both] {
        let (decision, violations) =
            challenged(challenging, "15550001111", "secret", GOOD_URI, &same);
        assert_eq!(decision, Decision::Accept);
        assert_eq!(violations, Vec::<String>::new());
    }
}

#[test]
fn wrong_user_and_wrong_password_get_403_with_the_reason() {
    let (decision, violations) = challenged(Challenging::Md5, NUMBER, "secret", GOOD_URI, &same);
    assert_eq!(decision, refuse(403, "Forbidden"));
    assert!(violations[0].contains("without its +"), "{violations:?}");
    let (decision, violations) =
        challenged(Challenging::Md5, "15550001111", "wrong", GOOD_URI, &same);
    assert_eq!(decision, refuse(403, "Forbidden"));
    assert!(violations[0].contains("password"), "{violations:?}");
}

#[test]
fn the_known_combinations_of_to_and_digest_uri_pass_or_fail_as_seen() {
    let bare = "sip:+4915112345678@wa.meta.vc";
    let inside = |text: String| {
        text.replace(
            "To: <sip:+4915112345678@wa.meta.vc>",
            "To: <sip:+4915112345678@wa.meta.vc;transport=tls>",
        )
    };
    let outside = |text: String| {
        text.replace(
            "To: <sip:+4915112345678@wa.meta.vc>",
            "To: <sip:+4915112345678@wa.meta.vc>;transport=tls",
        )
    };
    let pbx = |text: String| {
        text.replace(
            "To: <sip:+4915112345678@wa.meta.vc>",
            "To: <sip:100@pbx.local>",
        )
    };
    let cases: [(Change<'_>, &str, bool); 6] = [
        (&same, GOOD_URI, true),
        (&same, bare, true),
        (&inside, bare, true),
        (&inside, GOOD_URI, false),
        (&outside, GOOD_URI, false),
        (&pbx, GOOD_URI, false),
    ];
    for (number, (change, uri, passes)) in cases.into_iter().enumerate() {
        let (decision, _) = challenged(Challenging::Md5, "15550001111", "secret", uri, change);
        let expected = if passes {
            Decision::Accept
        } else {
            refuse(403, "Proxy auth uri does not match SIP \"to\" uri")
        };
        assert_eq!(decision, expected, "case {number}");
    }
}

#[test]
fn request_uris_meta_does_not_know_get_404() {
    for (from, to, word) in [
        ("INVITE sip:", "INVITE sips:", "sips"),
        (
            "8@wa.meta.vc;transport",
            "8@57.144.67.157;transport",
            "IP address",
        ),
        (
            "8@wa.meta.vc;transport",
            "8@[2001:db8::1];transport",
            "IP address",
        ),
        (
            "8@wa.meta.vc;transport",
            "8@pbx.local;transport",
            "pbx.local",
        ),
    ] {
        let mut reception = Reception::new(vec![business()], Challenging::Md5);
        let (decision, remarks) = reception.receive(&invite(1, &|text| text.replacen(from, to, 1)));
        assert_eq!(decision, refuse(404, "Not Found"), "{to}");
        assert!(remarks[0].text.contains(word), "{remarks:?}");
    }
}

#[test]
fn the_from_domain_is_the_configured_host_or_above_it() {
    for (host, passes) in [
        ("sbc.example.com", true),
        ("example.com", true),
        ("pbx.local", false),
        ("10.0.0.9", false),
        ("xexample.com", false),
    ] {
        let (decision, _) = challenged(
            Challenging::Md5,
            "15550001111",
            "secret",
            GOOD_URI,
            &|text| {
                text.replace(
                    &format!("{NUMBER}@sbc.example.com"),
                    &format!("{NUMBER}@{host}"),
                )
            },
        );
        match decision {
            Decision::Accept => assert!(passes, "{host}"),
            Decision::Refuse { status, phrase } => {
                assert!(!passes, "{host}");
                assert_eq!(status, 403);
                assert!(phrase.contains("SIP server"), "{phrase}");
            }
            Decision::Challenge(_) => panic!("challenged again"),
        }
    }
}

#[test]
fn an_unknown_caller_gets_400() {
    let (decision, violations) = challenged(
        Challenging::Md5,
        "15550009999",
        "secret",
        GOOD_URI,
        &|text| text.replace(NUMBER, "+15550009999"),
    );
    assert_eq!(decision, refuse(400, "Asset not found"));
    assert!(violations[0].contains("not one of the business' numbers"));
}

#[test]
fn a_second_invite_that_is_not_the_first_again_is_reported() {
    let mut reception = Reception::new(vec![business()], Challenging::Md5);
    let first = invite(7, &same);
    let (Decision::Challenge(challenges), _) = reception.receive(&first) else {
        panic!("not challenged");
    };
    let mut second = first.clone();
    second.body = b"v=0\r\ns=other\r\n".to_vec();
    let credentials = challenges[0]
        .answer("15550001111", "secret", "INVITE", GOOD_URI)
        .unwrap();
    second
        .headers
        .push("Proxy-Authorization", credentials.to_string());
    let (decision, remarks) = reception.receive(&second);
    assert_eq!(decision, Decision::Accept);
    let texts: Vec<&str> = remarks.iter().map(|remark| remark.text.as_str()).collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("CSeq 7, it must be 8")),
        "{texts:?}"
    );
    assert!(
        texts.iter().any(|text| text.contains("branch")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|text| text.contains("session description")),
        "{texts:?}"
    );
}

#[test]
fn the_200_lets_the_caller_build_the_route_set_meta_expects() {
    let invite = invite(3, &same);
    let peer = "192.0.2.1:5061".parse().unwrap();
    let (response, dialog, remarks) = accept(&invite, peer, "meta", "v=0\r\n".to_owned());
    assert_eq!(remarks, []);
    let mut routes = response.headers.elements("Record-Route");
    routes.reverse();
    assert_eq!(routes[0], "<sip:sbc.example.com:5061;transport=tls;lr>");
    assert_eq!(routes[1..], route_set());
    let mut dialog = dialog.unwrap();
    let bye = dialog.request(Method::Bye, Vec::new());
    assert_eq!(bye.from_tag().as_deref(), Some("meta"));
    assert_eq!(bye.to_tag().as_deref(), Some("biz"));
    assert_eq!(bye.uri, "sip:pbx@10.0.0.9");
    assert_eq!(bye.headers.elements("Route").len(), 1);
}
