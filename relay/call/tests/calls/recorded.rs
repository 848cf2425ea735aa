//! Every recorded exchange that is about a call, replayed call by call and compared with its reply.
//!
//! What differs everywhere, and on purpose, is evened out in [`comparable`]; what differs in single exchanges stands in
//! [`INTENDED`], each with its reason.

use std::collections::BTreeMap;

use ng_protocol::{Frame, Outcome, Request, Response};

use crate::exchanges::{EXAMPLES, Exchange, RECORDED, exchanges};
use crate::masked::{difference, masked};
use crate::support::{Desk, interface};

/// Exchanges whose reply differs from rtpengine's: a part of the file's name, the end of the exchange's, and why.
const INTENDED: &[(&str, &str, &str)] = &[
    (
        "",
        "flags-03-offer",
        "ICE=optional: our address stands in c= and m=, and our candidates rank below all of the sender's",
    ),
    (
        "",
        "flags-06-offer",
        "replace-SDP-version: the first description keeps the sender's version, there is nothing to be newer than",
    ),
    (
        "",
        "flags-08-offer",
        "brackets: of Kamailio's broken pieces sdp-attr is understood and followed",
    ),
    (
        "rtpengine-",
        "sendonly-answer",
        "an answer has no a=mid if the offer has none (RFC 5888 section 9.2)",
    ),
    (
        "rtpengine-",
        "sendrecv-answer",
        "an answer has no a=mid if the offer has none (RFC 5888 section 9.2)",
    ),
    (
        "examples",
        "006-offer-pbx-dtls",
        "next to Opus we offer events of 8000 Hz alone, and ask for its redundancy",
    ),
    (
        "examples",
        "012-limit-error",
        "limits are the daemon's, not the call's",
    ),
    (
        "examples",
        "013-limit-load-limit",
        "limits are the daemon's, not the call's",
    ),
    (
        "direct",
        "005-direct-query",
        "the call was made before the recording",
    ),
    (
        "direct",
        "006-direct-query-fromtag",
        "the call was made before the recording",
    ),
    (
        "direct+rtpengine-26.0",
        "022-direct-delete-totag-only",
        "the call was made before the recording",
    ),
    (
        "direct+rtpengine-26.0",
        "024-direct-delete-viabranch-mismatch",
        "the call was made before the recording",
    ),
    (
        "",
        "-play_media",
        "files are not played yet; the text is rtpengine's for a file that cannot be played",
    ),
    (
        "",
        "-stop_media",
        "files are not played yet, so nothing can be stopped",
    ),
    (
        "",
        "-start_forwarding",
        "nothing is forwarded, and whoever asks for it hears so",
    ),
    (
        "",
        "-stop_forwarding",
        "nothing is forwarded, and whoever asks for it hears so",
    ),
    (
        "rtpengine-10",
        "-pause_recording",
        "version 10 does not know the command",
    ),
    (
        "rtp_relay2",
        "-answer",
        "a misconfigured site: a PBX that was offered encryption answers without keys; rtpengine lets the call go on in silence",
    ),
];

/// Lines in which a difference on purpose, or one of versions, does not show.
fn comparable(response: &Response, version_10: bool) -> Vec<String> {
    let body = response.sdp_body().unwrap();
    let lines = masked(&String::from_utf8_lossy(body));
    let mut kept: Vec<String> = lines
        .into_iter()
        .filter(|line| {
            // We offer counter mode with 128 bits and Galois/counter mode, and neither F8 nor NULL nor odd sizes.
            let weak = ["AES_256_CM", "AES_192_CM", "F8_128", "NULL_HMAC"];
            // A fallback port for RTCP is a second candidate; whether rtpengine offers one differs from call to call.
            let second = line.starts_with("a=candidate:F 2 ");
            // Version 10 knows no tls-id.
            let new = version_10 && line.starts_with("a=tls-id");
            !weak.iter().any(|suite| line.contains(suite)) && !second && !new
        })
        .map(|line| match line.strip_prefix("a=crypto:") {
            Some(rest) => format!("a=crypto:* {}", rest.split_once(' ').unwrap().1),
            // The SSRC towards an encrypted leg is ours.
            None if line.starts_with("a=ssrc:") => {
                format!("a=ssrc:* {}", line.split_once(' ').unwrap().1)
            }
            None => line,
        })
        .collect();
    if version_10 {
        // Its order of attributes is another one.
        kept.sort();
    }
    kept
}

/// What an exchange came to with us, against what it came to with rtpengine; empty when it is the same.
fn compared(desk: &mut Desk, request: &Request, exchange: &Exchange) -> String {
    let ours = desk.ask(request);
    let reply = exchange.reply.as_ref().unwrap();
    let theirs = Response::decode(Frame::split(reply).unwrap().payload).unwrap();
    if ours.outcome() != theirs.outcome() {
        return format!(
            "{:?} {:?} instead of {:?} {:?}\n",
            ours.outcome(),
            ours.error_reason(),
            theirs.outcome(),
            theirs.error_reason()
        );
    }
    match ours.outcome() {
        Outcome::Ok if theirs.sdp_body().is_some() => {
            let version_10 = exchange.name.contains("rtpengine-10");
            let ours = comparable(&ours, version_10);
            let mut theirs = comparable(&theirs, version_10);
            if version_10 {
                // It does not know `SDES-only` and offers every suite.
                theirs.retain(|line| !line.starts_with("a=crypto:") || ours.contains(line));
            }
            difference(&theirs, &ours)
        }
        Outcome::Ok => {
            // Every key that a client finds in rtpengine's reply it finds in ours.
            let missing = theirs.body().iter().filter(|(key, _)| {
                let key = std::str::from_utf8(key).unwrap();
                ours.body().get(key).is_none()
            });
            missing
                .map(|(key, _)| format!("- {}\n", String::from_utf8_lossy(key)))
                .collect()
        }
        _ if theirs.error_reason() == ours.error_reason() => String::new(),
        // The reason begins with rtpengine's words and goes on to say where.
        _ if ours
            .error_reason()
            .unwrap()
            .starts_with(theirs.error_reason().unwrap()) =>
        {
            String::new()
        }
        _ => format!(
            "{:?} instead of {:?}\n",
            ours.error_reason(),
            theirs.error_reason()
        ),
    }
}

fn desk_for(file: &str) -> Desk {
    if file.starts_with("examples") {
        return Desk::of_the_examples();
    }
    let [public, private] = if file.contains("rtpengine-10") {
        ["127.0.0.32", "127.0.0.31"]
    } else {
        ["127.0.0.42", "127.0.0.41"]
    };
    Desk::new(vec![
        interface("pub", &[public]),
        interface("priv", &[private]),
    ])
}

#[test]
fn recorded_calls_come_to_what_rtpengine_made_of_them() {
    let mut desks: BTreeMap<String, Desk> = BTreeMap::new();
    let mut unexpected = String::new();
    let mut same = 0;
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    // What no call ever sees: rubbish, and what the daemon answers by itself. `ng-protocol/tests/recorded` has them all.
    let mut outside = 0;
    for exchange in exchanges() {
        let request = Frame::split(&exchange.request)
            .ok()
            .and_then(|frame| Request::parse(frame.payload).ok());
        let Some((request, call_id)) =
            request.and_then(|request| request.call_id.clone().map(|call_id| (request, call_id)))
        else {
            outside += 1;
            continue;
        };
        let file = exchange.name.split('/').next().unwrap().to_owned();
        let desk = desks
            .entry(format!("{file}/{call_id}"))
            .or_insert_with(|| desk_for(&file));
        let difference = compared(desk, &request, &exchange);
        let reason = INTENDED
            .iter()
            .find(|(file, name, _)| exchange.name.contains(file) && exchange.name.ends_with(name));
        match reason {
            _ if difference.is_empty() => same += 1,
            Some((_, name, _)) => *explained.entry(name).or_insert(0) += 1,
            None => unexpected.push_str(&format!("{}\n{difference}", exchange.name)),
        }
    }
    assert!(unexpected.is_empty(), "{unexpected}");
    for (_, name, reason) in INTENDED {
        assert!(
            explained.contains_key(name),
            "{name} does not differ any more: {reason}"
        );
    }
    let intended: usize = explained.values().sum();
    println!("{same} equal, {intended} different on purpose, {outside} for no call");
    assert_eq!(same + intended + outside, RECORDED + EXAMPLES);
    assert_eq!(outside, 42);
}
