//! Real OpenSIPS, Kamailio and rtpengine, recorded: every request is understood, every datagram survives a round trip.
//!
//! `tests/data/ng/README.md` at the top of the repository tells how the exchanges were recorded.

#![expect(
    clippy::unwrap_used,
    reason = "everything here is a test or reads test data"
)]

mod examples;
#[path = "../../../tests/data/ng/exchanges.rs"]
mod exchanges;

use std::collections::{BTreeMap, BTreeSet};

use exchanges::{EXAMPLES, RECORDED, exchanges};
use ng_protocol::{Command, Frame, NgError, Outcome, Request, Response, frame};

/// The exchanges whose request is meant to be wrong, and what is wrong.
fn expected_error(name: &str) -> Option<NgError> {
    let name = name.rsplit('/').next().unwrap();
    match name {
        "015-direct-unknown-command" => Some(NgError::UnrecognizedCommand {
            command: "frobnicate".to_owned(),
        }),
        "016-direct-nocommand" => Some(NgError::NoCommand),
        "017-direct-malformed" => Some(NgError::Bencode {
            offset: 10,
            problem: ng_protocol::error::BencodeProblem::StringTooLong {
                announced: 4,
                left: 3,
            },
        }),
        _ => None,
    }
}

#[test]
fn every_request_is_understood() {
    let mut commands = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    let mut inert = BTreeSet::new();
    for exchange in exchanges() {
        let Ok(frame) = Frame::split(&exchange.request) else {
            assert!(exchange.name.ends_with("018-direct-nocookie"));
            continue;
        };
        match Request::parse(frame.payload) {
            Ok(request) => {
                assert_eq!(expected_error(&exchange.name), None, "{}", exchange.name);
                *commands.entry(request.command.name()).or_insert(0) += 1;
                let of = |words: Vec<ng_protocol::Word>| {
                    words
                        .into_iter()
                        .map(|word| format!("{}={}", word.key, word.value))
                };
                unknown.extend(of(request.unknown));
                inert.extend(of(request.inert));
            }
            Err(error) => {
                assert_eq!(
                    Some(&error),
                    expected_error(&exchange.name).as_ref(),
                    "{}",
                    exchange.name
                );
                let reply = Frame::split(exchange.reply.as_ref().unwrap()).unwrap();
                // One version of rtpengine answers what it cannot decode with an empty body; we do not.
                if let Ok(theirs) = Response::decode(reply.payload) {
                    assert_eq!(Response::from(&error), theirs, "{}", exchange.name);
                }
            }
        }
    }
    // Kamailio 5.6 does not know brackets and sends the pieces of
    // `codec=[transcode=[PCMU PCMA] strip=[opus]]` as they fall.
    assert_eq!(
        unknown.into_iter().collect::<Vec<_>>(),
        ["codec=[transcode=[PCMU", "flags=PCMA]", "strip=[opus]]"]
    );
    assert_eq!(
        inert.into_iter().collect::<Vec<_>>(),
        [
            "flags=T.38-decode",
            "flags=T38-decode",
            "t.38=[decode decode]",
        ]
    );
    assert_eq!(commands["offer"], 271 + 6);
    assert_eq!(commands["answer"], 140 + 2);
    assert_eq!(commands["delete"], 128 + 3);
    assert_eq!(
        commands.values().sum::<usize>(),
        RECORDED + EXAMPLES - 2 * 4
    );
}

#[test]
fn every_datagram_is_encoded_again_to_the_same_bytes() {
    let mut count = 0;
    for exchange in exchanges() {
        for datagram in std::iter::once(&exchange.request).chain(&exchange.reply) {
            let Ok(frame) = Frame::split(datagram) else {
                continue;
            };
            let Ok(dictionary) = frame.decode() else {
                continue;
            };
            let again = frame::encode(frame.cookie, &dictionary, frame.encoding());
            assert_eq!(
                &again,
                datagram,
                "{}: {}",
                exchange.name,
                String::from_utf8_lossy(datagram)
            );
            count += 1;
        }
    }
    // All but the two without a cookie, the two malformed ones, and one reply without a body.
    assert_eq!(count, 2 * (RECORDED + EXAMPLES) - 2 * 2 - 2 - 1);
}

#[test]
fn every_reply_is_understood_and_carries_the_cookie() {
    let mut outcomes = BTreeMap::new();
    for exchange in exchanges() {
        let Some(reply) = &exchange.reply else {
            assert!(exchange.name.ends_with("018-direct-nocookie"));
            continue;
        };
        let request = Frame::split(&exchange.request).unwrap();
        let reply = Frame::split(reply).unwrap();
        assert_eq!(request.cookie, reply.cookie, "{}", exchange.name);
        if reply.payload.is_empty() {
            assert!(exchange.name.ends_with("017-direct-malformed"));
            continue;
        }
        assert_eq!(request.encoding(), reply.encoding(), "{}", exchange.name);
        let response = Response::decode(reply.payload).unwrap();
        *outcomes.entry(response.outcome().as_str()).or_insert(0) += 1;

        let asked = Request::parse(request.payload).map(|request| request.command);
        if let (Ok(Command::Offer | Command::Answer), Outcome::Ok) = (asked, response.outcome()) {
            assert!(response.sdp_body().is_some(), "{}", exchange.name);
        }
        assert_eq!(
            response.outcome() == Outcome::Error,
            response.error_reason().is_some(),
            "{}",
            exchange.name
        );
        // Our own encoder writes the same reply, in the same order.
        let again = response.to_datagram(reply.cookie, reply.encoding());
        assert_eq!(
            &again,
            exchange.reply.as_ref().unwrap(),
            "{}",
            exchange.name
        );
    }
    assert_eq!(outcomes["pong"], 18 + 3);
}
