//! HTTP and HTTPS, byte by byte as a client sees them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tests::TestRelay;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn relay(address: &str) -> TestRelay {
    TestRelay::start_with(address, |config| {
        config.listen_http = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .expect("a timeout");
    stream
}

fn http(relay: &TestRelay) -> TcpStream {
    connect(relay.relay().addresses().http[0])
}

/// One answer of a server that closes after it: status, headers in lower case, body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        // A server that closes without saying so in TLS is still a server that has answered.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status in {text:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

fn ask(stream: &mut (impl Read + Write), head: &str, body: &str) -> Answer {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let request = format!("{head}\r\nHost: relay\r\nConnection: close\r\n{length}\r\n{body}");
    stream
        .write_all(request.as_bytes())
        .expect("a request that is taken");
    Answer::read(stream)
}

const NG: &str = "application/x-rtpengine-ng";

#[test]
fn every_path_gives_what_rtpengine_gives() {
    let relay = relay("127.15.0.1");
    let post = |path: &str, kind: &str| format!("POST {path} HTTP/1.1\r\nContent-Type: {kind}");
    let sessions = "Current sessions own: 0\n";
    for (head, body, status, kind, expected) in [
        (
            "GET /ping HTTP/1.1".to_owned(),
            "",
            200,
            "text/plain",
            "pong\n",
        ),
        (
            "GET /nowhere HTTP/1.1".to_owned(),
            "",
            404,
            "text/plain",
            "not found\n",
        ),
        (
            "GET /ng HTTP/1.1".to_owned(),
            "",
            404,
            "text/plain",
            "not found\n",
        ),
        (
            "GET /cli/list+numsessions HTTP/1.1".to_owned(),
            "",
            200,
            "text/plain",
            sessions,
        ),
        (
            "GET /cli/list%20numsessions HTTP/1.1".to_owned(),
            "",
            200,
            "text/plain",
            sessions,
        ),
        (
            post("/cli", "text/plain"),
            "list numsessions",
            200,
            "text/plain",
            sessions,
        ),
        (
            post("/ng", NG),
            "c1 d7:command4:pinge",
            200,
            NG,
            "c1 d6:result4:ponge",
        ),
        (
            post("/ng", NG),
            "c2 {\"command\":\"ping\"}",
            200,
            NG,
            "c2 {\"result\":\"pong\"}",
        ),
        (
            post("/ng-plain", NG),
            "d7:command4:pinge",
            200,
            NG,
            "d6:result4:ponge",
        ),
        (
            post("/ng-plain", "application/json; charset=utf-8"),
            "{\"command\":\"ping\"}",
            200,
            "application/json",
            "{\"result\":\"pong\"}",
        ),
        (
            post("/ng-plain", "application/json"),
            "{\"command\":\"oops\"}",
            200,
            "application/json",
            "{\"result\":\"error\",\"error-reason\":\"Unrecognized command\"}",
        ),
        (post("/nowhere", NG), "x", 404, "text/plain", "not found\n"),
        (
            post("/ng", "text/html"),
            "c3 d7:command4:pinge",
            415,
            "text/plain",
            "the Content-Type must be",
        ),
        (post("/ng", NG), "garbage", 400, "text/plain", "no cookie"),
        (
            post("/ng", NG),
            "",
            411,
            "text/plain",
            "Content-Length is missing",
        ),
        (
            "PUT /ng HTTP/1.1".to_owned(),
            "",
            405,
            "text/plain",
            "PUT is not understood",
        ),
    ] {
        let answer = ask(&mut http(&relay), &head, body);
        assert_eq!(answer.status, status, "{head}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some(kind), "{head}");
        assert!(answer.body.contains(expected), "{head}: {}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

#[test]
fn a_page_may_ask_before_it_asks() {
    let relay = relay("127.15.0.2");
    let answer = ask(&mut http(&relay), "OPTIONS /ng-plain HTTP/1.1", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("get, post")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type")
    );
    assert_eq!(answer.header("access-control-max-age"), Some("86400"));
}

#[test]
fn prometheus_is_served() {
    let relay = relay("127.15.0.3");
    let answer = ask(&mut http(&relay), "GET /metrics HTTP/1.1", "");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        answer.body.contains("rtpengine_sessions"),
        "{}",
        answer.body
    );
}

#[test]
fn one_connection_carries_several_requests_and_a_body_in_chunks() {
    let relay = relay("127.15.0.4");
    let mut stream = http(&relay);
    stream
        .write_all(
            b"GET /ping HTTP/1.1\r\nHost: r\r\n\r\n\
              POST /ng-plain HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
              4\r\n{\"co\r\ne\r\nmmand\":\"ping\"}\r\n0\r\n\r\n",
        )
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).unwrap();
    let ping = both.find("pong\n").expect("the first answer");
    assert!(both[ping..].ends_with("{\"result\":\"pong\"}"), "{both}");
}

#[test]
fn the_same_cookie_over_another_connection_gets_the_stored_reply() {
    let relay = relay("127.15.0.5");
    let head = format!("POST /ng HTTP/1.1\r\nContent-Type: {NG}");
    let first = ask(&mut http(&relay), &head, "same d7:command4:pinge");
    let second = ask(&mut http(&relay), &head, "same d7:command4:liste");
    assert_eq!(first.body, second.body);
}

#[test]
fn what_is_too_long_or_no_http_is_refused() {
    let relay = relay("127.15.0.6");
    let head = format!("POST /ng HTTP/1.1\r\nContent-Type: {NG}");
    let answer = ask(&mut http(&relay), &head, &"x".repeat(300_000));
    assert_eq!(answer.status, 413, "{}", answer.body);

    let mut stream = http(&relay);
    stream.write_all(b"GARBAGE\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut stream).status, 400);

    let mut stream = http(&relay);
    let long = format!("GET /{} HTTP/1.1\r\nHost: r\r\n\r\n", "x".repeat(100_000));
    // The relay may close before it has read everything.
    let _ = stream.write_all(long.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
}

#[test]
fn a_client_that_says_nothing_is_disconnected() {
    let relay = relay("127.15.0.7");
    let mut silent = http(&relay);
    let mut slow = http(&relay);
    slow.write_all(b"GET /ping HTTP/1.1\r\nHost:").unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a clean end");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
}

/// Certificates of an authority of their own for `relay.example`, in a folder of this test.
fn certificates(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tandem-{name}-{}", std::process::id()));
    let hosts = ["relay.example".to_owned()];
    simulator::certificates::make_authority(&folder, &hosts).expect("an authority");
    folder
}

fn https_relay(address: &str, folder: &Path) -> TestRelay {
    TestRelay::start_with(address, |config| {
        config.listen_https = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
        config.https_cert = Some(folder.join("relay.example.pem"));
        config.https_key = Some(folder.join("relay.example.key"));
    })
}

/// A connection of somebody who trusts the authority in `folder`, before its handshake.
fn https(relay: &TestRelay, folder: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(folder.join("ca.pem")).expect("its certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("relay.example").expect("a name");
    let connection = ClientConnection::new(Arc::new(client), name).expect("a client");
    StreamOwned::new(connection, connect(relay.relay().addresses().https[0]))
}

#[test]
fn https_is_the_same_behind_a_certificate() {
    let folder = certificates("https");
    let relay = https_relay("127.15.0.8", &folder);
    let address = relay.relay().addresses().https[0];
    let mut stream = https(&relay, &folder);
    let answer = ask(&mut stream, "GET /ping HTTP/1.1", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "pong\n"));

    // Somebody who speaks no TLS is sent away.
    let mut plain = connect(address);
    plain.write_all(b"GET /ping HTTP/1.1\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("pong"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_renewed_certificate_is_taken_over_by_a_reload_and_a_broken_one_is_not() {
    let (folder, other) = (certificates("https-old"), certificates("https-new"));
    let relay = https_relay("127.15.0.10", &folder);
    let reload = || {
        let live = relay.relay().live();
        live.follow(&live.now()).join("; ")
    };
    let is_trusted = |authority: &Path| https(&relay, authority).write_all(b"GET").is_ok();
    let mut before = https(&relay, &folder);
    before.conn.complete_io(&mut before.sock).unwrap();
    assert!(!is_trusted(&other));
    assert_eq!(reload(), "nothing is different");

    std::fs::write(folder.join("relay.example.key"), "no key").unwrap();
    let told = reload();
    assert!(
        told.contains("stays as it is") && told.contains("relay.example.key"),
        "{told}"
    );
    assert!(is_trusted(&folder));

    for file in ["relay.example.pem", "relay.example.key"] {
        std::fs::copy(other.join(file), folder.join(file)).unwrap();
    }
    assert_eq!(reload(), "the certificate for HTTPS is another one");
    assert!(is_trusted(&other) && !is_trusted(&folder));
    assert_eq!(
        ask(&mut before, "GET /ping HTTP/1.1", "").status,
        200,
        "who is connected stays so"
    );
    for folder in [folder, other] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let start = |certificate: Option<&str>| {
        let mut config = relay::Config::on("127.15.0.9".parse().unwrap());
        config.listen_https = vec!["127.15.0.9:0".parse().unwrap()];
        config.https_cert = certificate.map(Into::into);
        relay::Relay::start(config).unwrap_err().to_string()
    };
    assert!(start(None).contains("--https-cert"));
    let missing = start(Some("/nowhere/cert.pem"));
    assert!(missing.contains("https-cert") && missing.contains("/nowhere/cert.pem"));
}
