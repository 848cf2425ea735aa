//! The worked examples of the NG reference, one by one.

use crate::exchanges::exchanges;
use crate::masked::{difference, masked};
use crate::support::{Desk, request, sdp};
use ng_protocol::{Frame, Request, Response};

/// The recorded example of that name: request and reply.
fn example(name: &str) -> (Request, Response) {
    let exchange = exchanges()
        .into_iter()
        .find(|e| e.name == format!("examples+rtpengine-26.0/{name}"))
        .unwrap();
    let request = Request::parse(Frame::split(&exchange.request).unwrap().payload).unwrap();
    let reply = exchange.reply.unwrap();
    let reply = Response::decode(Frame::split(&reply).unwrap().payload).unwrap();
    (request, reply)
}

/// Asks as in the example and wants the very same lines in the same order, random values aside.
fn same(desk: &mut Desk, name: &str) -> String {
    let (request, reply) = example(name);
    let response = desk.ask(&request);
    let ours = sdp(&response);
    let difference = difference(&masked(&sdp(&reply)), &masked(&ours));
    assert!(difference.is_empty(), "{name}:\n{difference}\n{ours}");
    ours
}

#[test]
fn a_whatsapp_call_to_a_pbx_as_kamailio_and_opensips_ask_for_it() {
    let mut desk = Desk::of_the_examples();
    let offer = same(&mut desk, "004-offer-whatsapp-kamailio");
    // Meta's side: one port on each address, as RTCP shares it. PBX side: a pair.
    assert_eq!(desk.ports.open.len(), 4);
    assert!(offer.contains("m=audio 30000 RTP/AVP 111 126\n") && offer.contains("a=rtcp:30001\n"));
    let answer = same(&mut desk, "005-answer-pbx-opensips");
    assert!(answer.contains("a=setup:active\n"));
    assert!(answer.contains("2001:db8::1"));
    assert_eq!(desk.ports.open.len(), 4);
}

#[test]
fn an_offer_to_an_sdes_peer_by_flags_string() {
    let mut desk = Desk::of_the_examples();
    same(&mut desk, "007-offer-pbx-sdes-rtpp-flags");
}

#[test]
fn an_offer_in_json_with_flags_in_one_string() {
    same(&mut Desk::of_the_examples(), "008-offer-json");
}

#[test]
fn an_offer_to_a_dtls_peer_has_the_layout_of_the_example_when_the_sender_speaks_opus() {
    let (mut request, reply) = example("006-offer-pbx-dtls");
    request.sdp = Some(
        "v=0\r\no=pbx 1 1 IN IP4 192.0.2.55\r\ns=-\r\nc=IN IP4 192.0.2.55\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0 96 97\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
         a=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\n"
            .into(),
    );
    let ours = sdp(&Desk::of_the_examples().ask(&request));
    let theirs = sdp(&reply).replace("telephone-event/48000", "telephone-event/8000");
    let difference = difference(&masked(&theirs), &masked(&ours));
    assert!(difference.is_empty(), "{difference}");
}

#[test]
fn a_pbx_without_opus_offers_opus_all_the_same() {
    let (request, reply) = example("006-offer-pbx-dtls");
    let ours = sdp(&Desk::of_the_examples().ask(&request));
    // Events have 8000 Hz also next to Opus, and so the sender's number; the redundancy that our decoder uses is asked for.
    let ours = ours.replace("a=fmtp:96 useinbandfec=1\r\n", "");
    let theirs = sdp(&reply)
        .replace("97 telephone-event/48000", "101 telephone-event/8000")
        .replace("96 97", "96 101");
    let theirs: Vec<&str> = theirs
        .lines()
        .filter(|line| *line != "a=fmtp:97 0-15")
        .collect();
    let theirs = theirs.join("\r\n");
    let difference = difference(&masked(&theirs), &masked(&ours));
    assert!(difference.is_empty(), "{difference}");
}

#[test]
fn an_answer_or_a_query_for_nobody_is_an_unknown_call() {
    let (answer, _) = example("009-answer-unknown");
    let mut desk = Desk::of_the_examples();
    assert_eq!(desk.ask(&answer).error_reason(), Some("Unknown call-id"));
    let query = request(r#""command":"query","call-id":"x""#);
    assert_eq!(desk.ask(&query).error_reason(), Some("Unknown call-id"));
}

/// The keys of a reply, nested, values left out; lists show their first element.
fn shape(value: &ng_protocol::Value<'_>) -> String {
    if let Some(dictionary) = value.as_dictionary() {
        let keys: Vec<String> = dictionary
            .iter()
            .map(|(key, value)| format!("{}{}", String::from_utf8_lossy(key), shape(value)))
            .collect();
        return format!("{{{}}}", keys.join(" "));
    }
    if let Some(list) = value.as_list() {
        let first = list.first().filter(|v| v.as_dictionary().is_some());
        return format!("[{}]", first.map(shape).unwrap_or_default());
    }
    String::new()
}

#[test]
fn query_has_the_keys_of_the_example_in_their_order() {
    let mut desk = Desk::of_the_examples();
    desk.ask(&example("007-offer-pbx-sdes-rtpp-flags").0);
    let (query, reply) = example("014-query");
    let ours = desk.ask(&query);
    let body = |response: &Response| shape(&response.body().clone().into());
    // The codec is a key of the newest rtpengine only.
    assert_eq!(body(&ours).replace(" codec", ""), body(&reply));
    let field = |name: &str| ours.body().get(name).unwrap().as_integer().unwrap();
    assert_eq!(field("created"), 1_795_291_200);
    assert_eq!(field("created_ts"), 1_795_291_200_000_000);
}

#[test]
fn a_fast_delete_has_no_statistics_and_a_repeated_one_is_ok_too() {
    let mut desk = Desk::of_the_examples();
    desk.ask(&example("004-offer-whatsapp-kamailio").0);
    let (delete, _) = example("015-delete-fast");
    for _ in 0..2 {
        let response = desk.ask(&delete);
        assert!(response.body().is_empty(), "{response:?}");
    }
    assert!(!desk.call.is_finished(), "parties go on for 30 seconds");
}
