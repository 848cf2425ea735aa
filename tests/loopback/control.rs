//! What a proxy meets: commands, encodings, cookies, errors.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ng_protocol::{Dictionary, Encoding, Outcome, Response, Value, frame};
use tests::ng_client::{answer, command, offer, split};
use tests::{RtpPeer, TestRelay, sdp};

fn ping() -> Dictionary<'static> {
    Dictionary::new().with("command", "ping")
}

fn call_ids(relay: &TestRelay) -> Vec<String> {
    let response = relay
        .client()
        .ask(&Dictionary::new().with("command", "list"));
    let calls = response.body().get("calls").and_then(Value::as_list);
    let calls = calls.expect("a list of calls").iter();
    calls
        .map(|call| call.as_str().expect("a call-id").to_owned())
        .collect()
}

#[test]
fn ping_is_answered_in_the_encoding_of_the_request() {
    let relay = TestRelay::start("127.10.0.1");
    assert_eq!(relay.client().ask(&ping()).outcome(), Outcome::Pong);
    assert_eq!(
        relay.client().with_json().ask(&ping()).outcome(),
        Outcome::Pong
    );
    let client = relay.client();
    client.send(b"c {\"command\":\"ping\"}");
    assert_eq!(client.receive().unwrap(), b"c {\"result\":\"pong\"}");
}

#[test]
fn a_call_is_made_answered_queried_and_deleted() {
    for (address, json) in [("127.10.0.2", false), ("127.10.0.3", true)] {
        let relay = TestRelay::start(address);
        let mut proxy = relay.client();
        if json {
            proxy = proxy.with_json();
        }
        let (a, b) = (
            RtpPeer::new(relay.address, 1),
            RtpPeer::new(relay.address, 2),
        );
        let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));

        let to_b = proxy.sdp_of(&offer("call-1", "a", &a_sdp));
        assert_eq!(sdp::audio_address(&to_b).ip(), relay.address);
        let to_a = proxy.sdp_of(&answer("call-1", "a", "b", &b_sdp));
        assert_eq!(sdp::audio_address(&to_a).ip(), relay.address);
        assert_ne!(sdp::audio_address(&to_a), sdp::audio_address(&to_b));
        assert_eq!(call_ids(&relay), ["call-1"]);
        assert_eq!(relay.relay().sessions(), 1);

        let query = proxy.ask(&command("query", "call-1"));
        let tags = query.body().get("tags").and_then(Value::as_dictionary);
        let tags = tags.unwrap_or_else(|| panic!("no tags in {query:?}"));
        assert!(tags.get("a").is_some() && tags.get("b").is_some());

        let delete = command("delete", "call-1").with("delete-delay", 0i64);
        assert_eq!(proxy.ask(&delete).outcome(), Outcome::Ok);
        assert!(call_ids(&relay).is_empty());
        let again = proxy.ask(&delete);
        assert_eq!(again.outcome(), Outcome::Ok, "deleting twice is no mistake");
        assert!(again.body().get("warning").is_some());
    }
}

#[test]
fn a_repeated_cookie_gets_the_stored_answer_whatever_it_asks() {
    let relay = TestRelay::start("127.10.0.4");
    let mut client = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let first = client.ask_as(b"same", &offer("call-1", "a", &sdp));
    let second = client.ask_as(b"same", &ping());
    assert_eq!(first, second);
    assert_eq!(relay.relay().sessions(), 1);
    // Another client may use the same cookie for something else.
    let other = relay.client().ask_as(b"same", &ping());
    assert_eq!(other.outcome(), Outcome::Pong);
}

#[test]
fn copies_sent_at_once_are_carried_out_once_and_answered_each() {
    let relay = TestRelay::start("127.10.0.5");
    let client = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let request = offer("call-1", "a", &sdp);
    let datagram = frame::encode(b"x", &request, Encoding::Bencode);
    for _ in 0..5 {
        client.send(&datagram);
    }
    let answers: Vec<Vec<u8>> = (0..5).map(|_| client.receive().unwrap()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    client.be_patient_for(Duration::from_millis(100));
    assert_eq!(client.receive(), None);
}

#[test]
fn what_cannot_be_understood_is_answered_with_an_error_that_says_so() {
    let relay = TestRelay::start("127.10.0.6");
    let client = relay.client();
    let cases = [
        ("", "Invalid data (no payload)"),
        ("x", "Invalid NG data format"),
        ("d7:command", "Could not decode bencode dictionary"),
        ("{\"command\":", "Failed to parse JSON document"),
        ("de", "Dictionary contains no key \"command\""),
        ("d7:command10:frobnicatee", "Unrecognized command"),
        ("d7:command5:offere", "No SDP body in message"),
        ("d7:command5:offer3:sdp1:ve", "No call-id in message"),
        (
            "d7:command5:offer3:sdp1:v7:call-id1:ce",
            "No from-tag in message",
        ),
        ("d7:command5:query7:call-id1:ce", "Unknown call-id"),
        (
            "d7:command4:list5:limiti-1ee",
            "invalid limit, must be >= 0",
        ),
    ];
    for (number, (payload, reason)) in cases.into_iter().enumerate() {
        // A cookie of its own each time: the same one would get the stored answer.
        client.send(format!("cookie{number} {payload}").as_bytes());
        let answer = client
            .receive()
            .unwrap_or_else(|| panic!("no answer to {payload}"));
        let response = Response::decode(split(&answer).1).unwrap();
        assert_eq!(response.error_reason(), Some(reason), "{payload}");
    }
}

#[test]
fn commands_that_are_not_carried_out_are_answered_with_what_to_use_instead() {
    let relay = TestRelay::start("127.10.0.16");
    let mut client = relay.client();
    for (asked, instead) in [
        ("mesh", "`connect`"),
        ("create", "`offer`"),
        ("transform", "`codec-transcode`"),
    ] {
        let response = client.ask(&command(asked, "c"));
        let reason = response.error_reason().unwrap_or_default();
        assert!(
            reason.starts_with(&format!("unsupported: {asked}; ")) && reason.contains(instead),
            "{reason}"
        );
    }
}

#[test]
fn a_datagram_without_a_cookie_is_dropped() {
    let relay = TestRelay::start("127.10.0.7");
    let client = relay.client();
    client.be_patient_for(Duration::from_millis(200));
    client.send(b"d7:command4:pinge");
    client.send(b" d7:command4:pinge");
    client.send(b"");
    assert_eq!(client.receive(), None);
}

#[test]
fn statistics_count_calls_and_commands() {
    let relay = TestRelay::start("127.10.0.8");
    let mut client = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    client.sdp_of(&offer("call-1", "a", &sdp));
    let response = client.ask(&Dictionary::new().with("command", "statistics"));
    let number = |path: [&str; 2]| {
        let mut value = response.body().get("statistics").unwrap();
        for step in path {
            value = value.as_dictionary().unwrap().get(step).unwrap();
        }
        value.as_integer().unwrap()
    };
    assert_eq!(number(["currentstatistics", "sessionsown"]), 1);
    assert_eq!(number(["controlstatistics", "totaloffercount"]), 1);
}

#[test]
fn an_answer_comes_within_a_second_under_load() {
    let relay = TestRelay::start_with("127.10.0.9", |config| config.workers = 2);
    let mut client = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let mut slowest = Duration::ZERO;
    for number in 0..200 {
        let call_id = format!("call-{number}");
        let begun = Instant::now();
        client.sdp_of(&offer(&call_id, "a", &sdp));
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(relay.relay().sessions(), 200);
}

#[test]
fn a_reply_that_does_not_fit_a_datagram_says_so() {
    let relay = TestRelay::start_with("127.10.0.10", |config| {
        config.listen_tcp_ng = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
    });
    let mut client = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    for number in 0..100 {
        let call_id = format!("{number}-{}", "x".repeat(1000));
        client.sdp_of(&offer(&call_id, "a", &sdp));
    }
    let list = Dictionary::new()
        .with("command", "list")
        .with("limit", 100i64);
    let reason = client.ask(&list);
    let reason = reason.error_reason().expect("an error");
    assert!(reason.contains("too long for UDP"), "{reason}");

    let mut stream = std::net::TcpStream::connect(relay.relay().addresses().tcp_ng[0]).unwrap();
    let message = frame::encode(b"c", &list, Encoding::Bencode);
    stream.write_all(&message).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let response = Response::decode(split(&reply).1).unwrap();
    let calls = response.body().get("calls").and_then(Value::as_list);
    assert_eq!(calls.map(<[_]>::len), Some(100));
}

#[test]
fn an_operators_command_may_come_as_a_request() {
    let relay = TestRelay::start("127.10.0.11");
    let command = Dictionary::new()
        .with("command", "cli")
        .with("body", "list numsessions");
    let reply = relay.client().ask(&command);
    let text = reply.body().get("response").and_then(Value::as_str);
    assert!(
        text.unwrap().contains("Current sessions own: 0"),
        "{text:?}"
    );
    let without = Dictionary::new().with("command", "cli");
    let refused = relay.client().ask(&without);
    assert!(refused.error_reason().unwrap().contains("body"));
}
