//! What the last calls of a running relay say about the set-up: failures, and keys that are exchanged in another way than
//! WhatsApp wants.
//!
//! The relay is asked as the live page asks it, on the port of `listen-http`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;

use super::finding::{Report, Verdict};
use super::relays::reachable;
use crate::config::Config;
use crate::live_page::Access;

const PATIENCE: Duration = Duration::from_secs(5);
/// A list has at most 500 calls of at most a few kilobytes each.
const LONGEST_REPLY: u64 = 4 << 20;
const WHAT: &str = "recent calls";

/// A call as far as it is judged.
#[derive(Debug, Deserialize)]
struct Recent {
    direction: String,
    /// How keys are exchanged with WhatsApp.
    keys: Option<String>,
    answered: bool,
    failure: Option<String>,
}

#[derive(Debug, Deserialize)]
struct List {
    now: Vec<Recent>,
    over: Vec<Recent>,
}

pub(super) fn look_over<W: Write>(config: &Config, report: &mut Report<W>) {
    let token = match &config.live_page.access {
        Access::Off => {
            let found = "not looked at: the relay remembers none (live-page = off)";
            report.add(Verdict::Unknown, WHAT, found, None);
            return;
        }
        Access::Open => None,
        Access::Token(token) => Some(token.as_str()),
    };
    let Some(&address) = config.listen_http.first() else {
        let found =
            "not looked at: the relay shows them on the port of listen-http, which is not set";
        report.add(Verdict::Unknown, WHAT, found, None);
        return;
    };
    match ask(reachable(address), token) {
        Ok(list) => judge(&list, report),
        Err(error) => {
            let found = format!("the relay does not tell: {error}");
            report.add(Verdict::Unknown, WHAT, &found, None);
        }
    }
}

/// What the live page would be given.
fn ask(address: SocketAddr, token: Option<&str>) -> io::Result<List> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request = format!(
        "GET /calls.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.take(LONGEST_REPLY).read_to_string(&mut reply)?;
    let (head, body) = reply
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("that is no HTTP"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(io::Error::other(format!("status {status}")));
    }
    Ok(serde_json::from_str(body)?)
}

fn judge<W: Write>(list: &List, report: &mut Report<W>) {
    let calls: Vec<&Recent> = list.now.iter().chain(&list.over).collect();
    if calls.is_empty() {
        report.add(Verdict::Note, WHAT, "there were none yet", None);
        return;
    }
    let failed: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.failure.as_deref())
        .collect();
    match failed.first() {
        Some(last) => {
            let found = format!(
                "something failed in {} of {}; the newest: {last}",
                failed.len(),
                calls.len()
            );
            let advice = "docs/troubleshooting.md, and the live page, which has the story of each";
            report.add(Verdict::Doubtful, WHAT, &found, Some(advice));
        }
        None => {
            let found = format!("nothing failed in {}", calls.len());
            report.add(Verdict::Good, WHAT, &found, None);
        }
    }
    if let Some(found) = mismatch(&calls) {
        let advice = "`keys` of the number in the proxy's settings has to be what the number has at Meta \
                      (srtp_key_exchange_protocol), which forgets it when other settings are changed";
        report.add(Verdict::Doubtful, "exchange of keys", &found, Some(advice));
    }
}

/// WhatsApp's own offers say how a number exchanges keys; offers to it that say otherwise are refused.
fn mismatch(calls: &[&Recent]) -> Option<String> {
    let of = |direction: &'static str| calls.iter().filter(move |call| call.direction == direction);
    let wanted = of("user_initiated").find_map(|call| call.keys.as_deref())?;
    let is_otherwise = |call: &&&Recent| call.keys.as_deref().is_some_and(|keys| keys != wanted);
    // With numbers of both kinds neither is wrong.
    if of("user_initiated").any(|call| is_otherwise(&call))
        || of("business_initiated").any(|call| is_otherwise(&call) && call.answered)
    {
        return None;
    }
    let refused: Vec<&str> = of("business_initiated")
        .filter(|call| is_otherwise(call) && !call.answered)
        .filter_map(|call| call.keys.as_deref())
        .collect();
    let offered = refused.first()?;
    Some(format!(
        "WhatsApp's users call with {wanted}, and {} calls to them that offered {offered} were not answered",
        refused.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(direction: &str, keys: &str, answered: bool) -> Recent {
        Recent {
            direction: direction.to_owned(),
            keys: Some(keys.to_owned()),
            answered,
            failure: None,
        }
    }

    fn found(calls: Vec<Recent>) -> String {
        let mut text = Vec::new();
        let mut report = Report::new(&mut text);
        let list = List {
            now: Vec::new(),
            over: calls,
        };
        judge(&list, &mut report);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn calls_that_offer_other_keys_than_whatsapp_and_are_not_answered_are_a_mismatch() {
        let user = || call("user_initiated", "DTLS", true);
        let business = |keys, answered| call("business_initiated", keys, answered);
        let text = found(vec![
            user(),
            business("SDES", false),
            business("SDES", false),
        ]);
        let sentence = "WhatsApp's users call with DTLS, and 2 calls to them that offered SDES were not answered";
        assert!(text.contains(sentence), "{text}");
        for calls in [
            // The user was not there.
            vec![user(), business("DTLS", false)],
            // There are numbers of both kinds.
            vec![user(), business("SDES", false), business("SDES", true)],
            vec![
                user(),
                call("user_initiated", "SDES", true),
                business("SDES", false),
            ],
            // Nobody knows what WhatsApp wants.
            vec![business("SDES", false)],
        ] {
            let text = found(calls);
            assert!(!text.contains("exchange of keys"), "{text}");
        }
    }

    #[test]
    fn the_newest_failure_is_quoted() {
        let mut failed = call("user_initiated", "DTLS", true);
        failed.failure = Some("meta: no media".to_owned());
        let text = found(vec![failed, call("user_initiated", "DTLS", true)]);
        assert!(
            text.contains("something failed in 1 of 2; the newest: meta: no media"),
            "{text}"
        );
        let text = found(vec![call("user_initiated", "DTLS", true)]);
        assert!(text.contains("nothing failed in 1"), "{text}");
        assert!(found(Vec::new()).contains("there were none yet"));
    }
}
