//! The page about calls, as a browser asks for it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use relay::live_page::{Access, Settings};
use serde_json::Value;
use tests::ng_client::{answer, command, offer};
use tests::{NgClient, RtpPeer, TestRelay};

fn relay(address: &str, access: Access, calls: usize) -> TestRelay {
    TestRelay::start_with(address, |config| {
        config.listen_http = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
        config.live_page = Settings { access, calls };
        config.delete_delay = Duration::ZERO;
    })
}

/// Status, head in lower case, body.
fn get(relay: &TestRelay, path: &str, header: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(relay.relay().addresses().http[0]).expect("a connection");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (
        status.expect("a status"),
        head.to_ascii_lowercase(),
        body.to_owned(),
    )
}

fn json(relay: &TestRelay, path: &str) -> Value {
    let (status, _, body) = get(relay, path, "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}

fn call(client: &mut NgClient, id: &str) {
    client.ask(&offer(id, "anna", &sdp(4000)));
    client.ask(&answer(id, "anna", "bert", &sdp(5000)));
}

fn ids(list: &Value) -> Vec<&str> {
    let calls = list.as_array().expect("a list").iter();
    calls
        .map(|call| call["id"].as_str().expect("an id"))
        .collect()
}

#[test]
fn a_call_is_shown_with_its_story_while_it_lasts_and_afterwards() {
    let relay = relay("127.15.1.1", Access::Open, 200);
    let mut client = relay.client();
    let mut peer = RtpPeer::new(relay.control().ip(), 7);
    let id = "wacid.HBgN&b=<i>ä</i>";
    let told = client.sdp_of(&offer(id, "anna", &sdp(4000)));
    let port = tests::sdp::audio_address(&told);
    let ringing = json(&relay, "/calls.json?search=");
    assert_eq!(ids(&ringing["now"]), [id]);
    assert_eq!(ringing["now"][0]["state"], "ringing");
    assert_eq!(ringing["sessions"], 1);
    client.ask(&answer(
        id,
        "anna",
        "bert",
        &tests::sdp::phone(peer.address()),
    ));
    peer.speak(port, b"hello");
    let path = "/call.json?id=wacid.HBgN%26b%3d%3Ci%3E%C3%A4%3c%2fi%3e";
    let kinds = |view: &Value| -> Vec<String> {
        let timeline = view["timeline"].as_array().expect("a timeline").iter();
        let kinds = timeline.map(|moment| moment["kind"].as_str().expect("a kind").to_owned());
        kinds.collect()
    };
    relay.eventually("the first packet is told", |relay| {
        kinds(&json(relay, path)).contains(&"first in".to_owned())
    });
    let talking = json(&relay, path);
    assert_eq!(talking["state"], "talking");
    assert_eq!(talking["about"], serde_json::json!(["anna", "bert"]));
    assert_eq!(kinds(&talking)[..2], ["offer", "answer"]);
    client.ask(&command("delete", id));
    relay.eventually("the call is over", |relay| relay.relay().sessions() == 0);
    let over = json(&relay, path);
    assert_eq!(over["state"], "over");
    assert_eq!(over["end"], "the proxy ended it");
    assert_eq!(kinds(&over).last().map(String::as_str), Some("end"));
    let list = json(&relay, "/calls.json?search=BERT");
    assert_eq!((ids(&list["now"]), ids(&list["over"])), (vec![], vec![id]));
    assert_eq!(list["over"][0].get("timeline"), None);
    assert!(ids(&json(&relay, "/calls.json?search=nobody")["over"]).is_empty());
}

#[test]
fn the_last_calls_are_remembered_and_no_more() {
    let relay = relay("127.15.1.2", Access::Open, 3);
    let mut client = relay.client();
    for number in 0..6 {
        let id = format!("call-{number}");
        call(&mut client, &id);
        client.ask(&command("delete", &id));
    }
    relay.eventually("all are over", |relay| relay.relay().sessions() == 0);
    let list = json(&relay, "/calls.json");
    assert_eq!(ids(&list["over"]), ["call-5", "call-4", "call-3"]);
    let (status, _, body) = get(&relay, "/call.json?id=call-1", "");
    assert_eq!((status, body.contains("nobody remembers")), (404, true));
}

#[test]
fn an_offer_that_was_refused_says_why() {
    let relay = relay("127.15.1.9", Access::Open, 3);
    let mut client = relay.client();
    client.ask(&offer("nonsense", "anna", "no description"));
    let list = json(&relay, "/calls.json");
    assert_eq!(ids(&list["over"]), ["nonsense"]);
    let why = list["over"][0]["failure"].as_str().expect("a reason");
    assert!(why.starts_with("the first offer was refused: "), "{why}");
    assert_eq!(list["over"][0]["end"], "its first offer was refused");
    // The same name again, and now it is a call.
    call(&mut client, "nonsense");
    assert_eq!(
        ids(&json(&relay, "/calls.json?search=nonsense")["now"]),
        ["nonsense"]
    );
}

#[test]
fn a_token_guards_what_is_told_and_not_the_page_that_asks_for_it() {
    let relay = relay("127.15.1.3", Access::Token("correct-horse".into()), 3);
    for (path, header, status) in [
        ("/", "", 200),
        ("/calls.json", "", 401),
        ("/call.json?id=x", "", 401),
        ("/calls.json?token=correct-horse", "", 401),
        ("/calls.json", "Authorization: Bearer correct-hors\r\n", 401),
        (
            "/calls.json",
            "Authorization: Bearer correct-horse\r\n",
            200,
        ),
        (
            "/call.json?id=x",
            "Authorization: Bearer correct-horse\r\n",
            404,
        ),
        ("/page.html", "", 404),
        ("/../calls.json", "", 404),
    ] {
        assert_eq!(get(&relay, path, header).0, status, "{path} {header}");
    }
}

#[test]
fn other_sites_may_not_read_it_and_it_may_load_nothing() {
    let relay = relay("127.15.1.4", Access::Open, 3);
    let (_, head, page) = get(&relay, "/", "Origin: http://evil.example\r\n");
    assert!(head.contains("content-security-policy: default-src 'none'"));
    assert!(
        !page.contains("http://") || page.matches("http://").count() == 1,
        "only SVG's name"
    );
    for path in ["/", "/calls.json", "/call.json?id=x"] {
        let (_, head, _) = get(&relay, path, "Origin: http://evil.example\r\n");
        assert!(!head.contains("access-control-allow-origin"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
    }
}

#[test]
fn without_the_page_its_paths_are_as_unknown_as_any() {
    let relay = relay("127.15.1.5", Access::Off, 3);
    call(&mut relay.client(), "call");
    for path in ["/", "/calls.json", "/call.json?id=call"] {
        let (status, _, body) = get(&relay, path, "");
        assert_eq!((status, body.as_str()), (404, "not found\n"), "{path}");
    }
}
