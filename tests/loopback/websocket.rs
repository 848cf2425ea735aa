//! The WebSocket, with a client of its own making.

use std::net::TcpStream;
use std::time::Duration;

use ng_protocol::Response;
use tests::ng_client::{offer, split};
use tests::{RtpPeer, TestRelay, sdp};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response as Accepted;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, Utf8Bytes};
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

fn relay(address: &str) -> TestRelay {
    TestRelay::start_with(address, |config| {
        config.listen_http = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
    })
}

fn connect(relay: &TestRelay, protocols: &str) -> Result<(WebSocket<TcpStream>, Accepted), Error> {
    let address = relay.relay().addresses().http[0];
    let stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let mut request = format!("ws://{address}/")
        .into_client_request()
        .expect("a request");
    if !protocols.is_empty() {
        let value = protocols.parse().expect("a header");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
    }
    client(request, stream).map_err(|error| match error {
        HandshakeError::Failure(error) => error,
        HandshakeError::Interrupted(_) => panic!("the handshake does not end"),
    })
}

fn open(relay: &TestRelay, protocol: &str) -> WebSocket<TcpStream> {
    let (socket, accepted) = connect(relay, protocol).expect("a WebSocket");
    let chosen = accepted.headers().get("Sec-WebSocket-Protocol");
    assert_eq!(
        chosen.expect("a subprotocol").to_str().expect("ASCII"),
        protocol
    );
    socket
}

fn exchange(socket: &mut WebSocket<TcpStream>, message: impl Into<Message>) -> String {
    socket
        .send(message.into())
        .expect("a message that is taken");
    match socket.read().expect("a message") {
        Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// How the relay ends the connection.
fn closed(socket: &mut WebSocket<TcpStream>) -> (CloseCode, String) {
    match socket.read() {
        Ok(Message::Close(Some(frame))) => (frame.code, frame.reason.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_subprotocol_speaks_its_language() {
    let relay = relay("127.16.0.1");
    for (protocol, message, reply) in [
        (
            "ng.rtpengine.com",
            "c1 d7:command4:pinge",
            "c1 d6:result4:ponge",
        ),
        (
            "ng.rtpengine.com",
            "c2 {\"command\":\"ping\"}",
            "c2 {\"result\":\"pong\"}",
        ),
        (
            "ng-plain.rtpengine.com",
            "d7:command4:pinge",
            "d6:result4:ponge",
        ),
        (
            "ng-plain.rtpengine.com",
            "{\"command\":\"ping\"}",
            "{\"result\":\"pong\"}",
        ),
        ("echo.rtpengine.com", "hello", "hello"),
    ] {
        let mut socket = open(&relay, protocol);
        assert_eq!(exchange(&mut socket, message), reply);
        let mut socket = open(&relay, protocol);
        assert_eq!(exchange(&mut socket, message.as_bytes().to_vec()), reply);
    }
    let mut socket = open(&relay, "cli.rtpengine.com");
    let text = exchange(&mut socket, "list numsessions");
    assert!(text.starts_with("Current sessions own: 0\n"), "{text}");
}

#[test]
fn a_proxy_keeps_its_connection_and_may_ask_many_things_at_once() {
    let relay = relay("127.16.0.2");
    let mut socket = open(&relay, "ng.rtpengine.com");
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    for number in 0..100 {
        let call_id = format!("call-{number}");
        let cookie = format!("c{number}");
        let encoding = ng_protocol::Encoding::Bencode;
        let message =
            ng_protocol::frame::encode(cookie.as_bytes(), &offer(&call_id, "a", &sdp), encoding);
        socket.send(Message::binary(message)).unwrap();
    }
    for number in 0..100 {
        let Message::Binary(reply) = socket.read().unwrap() else {
            panic!("no reply");
        };
        let (cookie, payload) = split(&reply);
        assert_eq!(cookie, format!("c{number}").as_bytes());
        let response = Response::decode(payload).unwrap();
        assert!(response.sdp_body().is_some());
    }
    assert_eq!(relay.relay().sessions(), 100);
    assert_eq!(exchange(&mut socket, "c0 d7:command4:pinge").len(), {
        let first = exchange(&mut socket, "c0 d7:command4:liste");
        first.len()
    });
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

#[test]
fn an_unknown_subprotocol_is_refused_with_the_known_ones() {
    let relay = relay("127.16.0.3");
    for protocols in ["", "sip", "sip, msrp"] {
        let Err(Error::Http(refused)) = connect(&relay, protocols) else {
            panic!("{protocols:?} is not refused");
        };
        assert_eq!(refused.status().as_u16(), 400);
        let body = refused.into_body().unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains("ng.rtpengine.com"), "{body}");
    }
    // One known among unknown ones is enough.
    let (mut socket, _) = connect(&relay, "sip, echo.rtpengine.com").unwrap();
    assert_eq!(exchange(&mut socket, "hello"), "hello");
}

#[test]
fn a_client_that_breaks_the_rules_is_told_why() {
    let relay = relay("127.16.0.4");
    let mut socket = open(&relay, "ng.rtpengine.com");
    socket.send(Message::text("garbage")).unwrap();
    let (code, reason) = closed(&mut socket);
    assert_eq!(code, CloseCode::Policy);
    assert!(reason.contains("no cookie"), "{reason}");

    let mut socket = open(&relay, "echo.rtpengine.com");
    socket.send(Message::binary(vec![0; 300_000])).unwrap();
    assert_eq!(closed(&mut socket).0, CloseCode::Size);

    let mut socket = open(&relay, "echo.rtpengine.com");
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    socket.send(Message::Frame(frame)).unwrap();
    assert_eq!(closed(&mut socket).0, CloseCode::Invalid);
}

#[test]
fn a_message_may_come_in_pieces() {
    let relay = relay("127.16.0.5");
    let mut socket = open(&relay, "ng.rtpengine.com");
    let first = Frame::message(b"c1 d7:comm".to_vec(), OpCode::Data(Data::Text), false);
    let last = Frame::message(b"and4:pinge".to_vec(), OpCode::Data(Data::Continue), true);
    socket.send(Message::Frame(first)).unwrap();
    // A ping between them is answered.
    socket
        .send(Message::Ping(b"there?".to_vec().into()))
        .unwrap();
    assert_eq!(
        socket.read().unwrap(),
        Message::Pong(b"there?".to_vec().into())
    );
    assert_eq!(
        exchange(&mut socket, Message::Frame(last)),
        "c1 d6:result4:ponge"
    );
}

#[test]
fn a_client_that_vanishes_leaves_its_request_to_be_carried_out() {
    let relay = relay("127.16.0.6");
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let text = String::from_utf8(ng_protocol::frame::encode(
        b"c1",
        &offer("call", "a", &sdp),
        ng_protocol::Encoding::Bencode,
    ));
    let mut socket = open(&relay, "ng.rtpengine.com");
    let message: Utf8Bytes = text.unwrap().into();
    socket.send(Message::Text(message)).unwrap();
    drop(socket);
    relay.eventually("the call is made", |relay| relay.relay().sessions() == 1);
}
