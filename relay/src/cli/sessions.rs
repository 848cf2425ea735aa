//! Commands about calls: listing, describing, ending, looking closely.

use std::fmt::Write as _;

use ng_protocol::{CallId, Command, Dictionary, Request, Value};

use super::{Console, MORE, unknown};
use crate::control::dispatch::Answer;
use crate::logging;

/// `list sessions all|own|foreign|CALLID`.
pub(super) async fn list(console: &Console, which: &[&str]) -> String {
    match which.first() {
        None => MORE.to_owned(),
        Some(&("all" | "own")) => lines(console).await,
        // Calls of others come with Redis.
        Some(&"foreign") => "No foreign sessions on this media relay.\n".to_owned(),
        Some(call_id) => describe(console, call_id, None)
            .await
            .unwrap_or_else(|| format!("\nCall ID not found ({call_id}).\n\n")),
    }
}

async fn lines(console: &Console) -> String {
    let sessions = console.dispatch.list_sessions().await;
    if sessions.is_empty() {
        return "No sessions on this media relay.\n".to_owned();
    }
    let mut text = String::new();
    for session in sessions {
        let proxy = console.dispatch.proxy(&session.call_id);
        let proxy = proxy.map(|proxy| proxy.to_string()).unwrap_or_default();
        let _ = writeln!(
            text,
            "ID: {:>60} | del:{} | creat:{:>12} | prx:{proxy} | redis:-1 | frgn:n | rec:n",
            session.call_id.to_string(),
            if session.deleted { 'y' } else { 'n' },
            session.created.as_secs(),
        );
    }
    text
}

/// `terminate all|own|foreign|CALLID`.
pub(super) async fn terminate(console: &Console, which: &str) -> String {
    match which {
        "all" => {
            console.dispatch.terminate_all().await;
            "All calls terminated by operator.\n".to_owned()
        }
        "own" => {
            console.dispatch.terminate_all().await;
            "All own calls terminated by operator.\n".to_owned()
        }
        "foreign" => "All foreign calls terminated by operator.\n".to_owned(),
        call_id if console.dispatch.terminate(&CallId::from(call_id)).await => {
            format!("\nCall Id ({call_id}) successfully terminated by operator.\n\n")
        }
        call_id => format!("\nCall Id not found ({call_id}).\n\n"),
    }
}

/// `call CALLID info|story|terminate|debug|tag TAG info`.
pub(super) async fn call(console: &Console, call_id: &str, rest: &[&str]) -> String {
    let missing = || format!("No such call '{call_id}'\n");
    match *rest {
        ["terminate", ..] => terminate(console, call_id).await,
        ["debug", ref switch @ ..] => debug(console, call_id, switch),
        ["tag", tag, ..] => {
            let found = describe(console, call_id, Some(tag)).await;
            found.unwrap_or_else(missing)
        }
        ["info", ..] => describe(console, call_id, None)
            .await
            .unwrap_or_else(missing),
        [] | ["story", ..] => {
            let Some(mut text) = describe(console, call_id, None).await else {
                return missing();
            };
            text.push_str(&story(console, call_id).await);
            text
        }
        [other, ..] => unknown(other),
    }
}

/// What happened, with the seconds since the call was made.
async fn story(console: &Console, call_id: &str) -> String {
    let story = console.dispatch.story(&CallId::from(call_id)).await;
    let mut text = String::new();
    for happening in story.unwrap_or_default() {
        let after = happening.after.as_secs_f64();
        let _ = writeln!(text, "{after:>9.3} s  {}", happening.event);
    }
    text
}

/// `debug CALLID [on|off]`.
pub(super) fn debug(console: &Console, call_id: &str, switch: &[&str]) -> String {
    let on = match switch.first() {
        None | Some(&("on" | "1" | "yes")) => true,
        Some(&("off" | "0" | "no")) => false,
        Some(other) => return unknown(other),
    };
    // Switching off must also work for a call that is gone.
    if on && !console.dispatch.knows(&CallId::from(call_id)) {
        return format!("Call ID '{call_id}' not found\n");
    }
    if !logging::debug_call(call_id, on) {
        return "Too many calls are debugged already; switch some off\n".to_owned();
    }
    let done = if on { "Enabled" } else { "Disabled" };
    format!("{done} debugging for call '{call_id}'\n")
}

/// A call as its own reply to `query` describes it.
async fn describe(console: &Console, call_id: &str, tag: Option<&str>) -> Option<String> {
    let mut request = Request::new(Command::Query);
    request.call_id = Some(CallId::from(call_id));
    let response = match console.dispatch.begin(request) {
        Answer::Ready(response) => response,
        Answer::Pending(pending) => console.dispatch.finish(pending).await,
    };
    if response.error_reason().is_some() {
        return None;
    }
    let body = response.body();
    let mut text = String::new();
    if tag.is_none() {
        let proxy = console.dispatch.proxy(&CallId::from(call_id));
        let proxy = proxy.map(|proxy| proxy.to_string()).unwrap_or_default();
        let sessions = console.dispatch.list_sessions().await;
        let mut named = sessions
            .iter()
            .filter(|s| s.call_id == CallId::from(call_id));
        let deleted = named.next().is_some_and(|session| session.deleted);
        let _ = write!(
            text,
            "\ncallid: {call_id}\ndeletionmark: {}\ncreated: {}\nproxy: {proxy}\ntos: {}\nlast_signal: {}\n\
             redis_keyspace: -1\nforeign: no\n\n",
            if deleted { "yes" } else { "no" },
            number(body, "created"),
            console.live.now().tos.unwrap_or(0),
            number(body, "last signal"),
        );
    }
    let tags = body.get("tags").and_then(Value::as_dictionary);
    for (name, party) in tags.into_iter().flat_map(Dictionary::iter) {
        let name = String::from_utf8_lossy(name);
        if tag.is_none_or(|tag| tag == name)
            && let Some(party) = party.as_dictionary()
        {
            describe_party(&mut text, &name, party);
        }
    }
    if tag.is_none() {
        text.push('\n');
    }
    Some(text)
}

fn describe_party(text: &mut String, tag: &str, party: &Dictionary<'_>) {
    let _ = writeln!(
        text,
        "--- Tag '{tag}', label '{}', branch '{}', created {}",
        string(party, "label"),
        string(party, "via-branch"),
        number(party, "created"),
    );
    for (key, words) in [
        ("subscriptions", "subscribed to"),
        ("subscribers", "subscription of"),
    ] {
        for other in dictionaries(party, key) {
            let _ = writeln!(text, "---     {words} '{}'", string(other, "tag"));
        }
    }
    for media in dictionaries(party, "medias") {
        let codec = string(media, "codec");
        let codec = if codec.is_empty() {
            "unknown codec".to_owned()
        } else {
            codec
        };
        let _ = writeln!(
            text,
            "------ Media #{} ({} over {}) using {codec}",
            number(media, "index"),
            string(media, "type"),
            string(media, "protocol"),
        );
        for (index, stream) in dictionaries(media, "streams").enumerate() {
            let local = format!(
                "{}:{}",
                string(stream, "local address"),
                number(stream, "local port")
            );
            let endpoint = stream.get("endpoint").and_then(Value::as_dictionary);
            let endpoint = endpoint.map_or_else(String::new, |endpoint| {
                format!(
                    "{}:{}",
                    string(endpoint, "address"),
                    number(endpoint, "port")
                )
            });
            let stats = stream.get("stats").and_then(Value::as_dictionary);
            let count = |key| stats.map_or(0, |stats| number(stats, key));
            let _ = writeln!(
                text,
                "-------- Port {local:>20} <> {endpoint:>20} {}, SSRC {:x}, {} p, {} b, {} e, {} ts",
                if index == 0 { "" } else { " (RTCP)" },
                number(stream, "SSRC"),
                count("packets"),
                count("bytes"),
                count("errors"),
                number(stream, "last packet"),
            );
        }
    }
}

fn number(dictionary: &Dictionary<'_>, key: &str) -> i64 {
    let value = dictionary.get(key).and_then(Value::as_integer);
    value.unwrap_or(0)
}

fn string(dictionary: &Dictionary<'_>, key: &str) -> String {
    let value = dictionary.get(key).map(ToString::to_string);
    value.unwrap_or_default()
}

fn dictionaries<'a>(
    dictionary: &'a Dictionary<'_>,
    key: &str,
) -> impl Iterator<Item = &'a Dictionary<'a>> {
    let list = dictionary.get(key).and_then(Value::as_list).unwrap_or(&[]);
    list.iter().filter_map(Value::as_dictionary)
}
