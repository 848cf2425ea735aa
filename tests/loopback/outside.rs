//! Servers outside that are told what happens: Homer gets RTCP, a SIP server hears of timeouts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use ng_protocol::Dictionary;
use relay::config::{Homer, Teardown, TeardownFormat};
use tests::ng_client::{answer, offer};
use tests::{RtpPeer, TestRelay, sdp};

const PATIENCE: Duration = Duration::from_secs(5);

/// An empty receiver report (RFC 3550 §6.4.2).
const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0xaa, 0xaa];

/// A call between two phones; where the first of them sends to.
fn call(relay: &TestRelay, a: &RtpPeer, b: &RtpPeer) -> SocketAddr {
    let mut proxy = relay.client();
    proxy.sdp_of(&offer("told of", "a", &sdp::phone(a.address())));
    let answered = proxy.sdp_of(&answer("told of", "a", "b", &sdp::phone(b.address())));
    sdp::audio_address(&answered)
}

#[test]
fn homer_gets_each_request_over_udp_and_its_reply_if_it_is_to() {
    let homer = UdpSocket::bind("127.31.0.5:0").unwrap();
    homer.set_read_timeout(Some(PATIENCE)).unwrap();
    let relay = TestRelay::start_with("127.31.0.5", |config| {
        config.homer = Some(Homer {
            address: homer.local_addr().unwrap(),
            tcp: false,
            agent: 7,
            rtcp: false,
            control: Some(61),
        });
    });
    let a = RtpPeer::new(relay.address, 0xaaaa);
    let b = RtpPeer::new(relay.address, 0xbbbb);
    call(&relay, &a, &b);
    relay
        .client()
        .ask(&Dictionary::new().with("command", "ping"));
    for (of, asked, replied) in [
        ("told of", "offer", "m=audio"),
        ("told of", "answer", "m=audio"),
        ("", "ping", "pong"),
    ] {
        let mut ends = Vec::new();
        for text in [asked, replied] {
            let mut packet = [0; 4096];
            let length = homer.recv(&mut packet).unwrap();
            let packet = &packet[..length];
            let has = |what: &[u8]| packet.windows(what.len()).any(|window| window == what);
            assert!(
                packet.starts_with(b"HEP3") && has(text.as_bytes()),
                "{asked}"
            );
            // The chunk with the kind of payload, and that with the call.
            assert!(has(&[0, 0, 0, 0x0b, 0, 7, 61]), "{asked}");
            assert!(of.is_empty() || has(of.as_bytes()), "{asked}");
            // Behind family and protocol: the ports, from where to where.
            let port = |at: usize| u16::from_be_bytes([packet[at + 6], packet[at + 7]]);
            ends.push([port(6 + 14), port(6 + 22)]);
        }
        let control = relay.control().port();
        assert_eq!(ends[0][1], control, "{asked}");
        ends[1].reverse();
        assert_eq!(ends[0], ends[1], "{asked}");
    }
}

#[test]
fn homer_gets_the_reports_of_a_call_over_udp_and_over_tcp() {
    for (address, tcp) in [("127.31.0.1", false), ("127.31.0.2", true)] {
        let udp = UdpSocket::bind((address, 0)).unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        let listener = TcpListener::bind((address, 0)).unwrap();
        let homer = if tcp {
            listener.local_addr()
        } else {
            udp.local_addr()
        };
        let relay = TestRelay::start_with(address, |config| {
            config.homer = Some(Homer {
                address: homer.unwrap(),
                tcp,
                agent: 7,
                rtcp: true,
                control: None,
            });
        });
        let a = RtpPeer::new(relay.address, 0xaaaa);
        let b = RtpPeer::new(relay.address, 0xbbbb);
        let mut to = call(&relay, &a, &b);
        to.set_port(to.port() + 1);
        a.send(to, &REPORT);
        let mut packet = [0; 2048];
        let length = if tcp {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.read(&mut packet).unwrap()
        } else {
            udp.recv(&mut packet).unwrap()
        };
        let packet = &packet[..length];
        assert!(packet.starts_with(b"HEP3"));
        let has = |what: &[u8]| packet.windows(what.len()).any(|window| window == what);
        assert!(has(b"told of"), "the call-id");
        assert!(has(
            br#"{"ssrc":43690,"type":201,"report_count":0,"report_blocks":[]}"#
        ));
        assert!(has(&to.port().to_be_bytes()) && has(&a.address().port().to_be_bytes()));
    }
}

#[test]
fn a_sip_server_is_told_of_a_timeout() {
    let server = TcpListener::bind("127.31.0.3:0").unwrap();
    let address = server.local_addr().unwrap();
    let relay = TestRelay::start_with("127.31.0.3", |config| {
        config.timeout = Duration::from_secs(1);
        config.teardown = Some(Teardown {
            host: address.to_string(),
            path: "/RPC2".to_owned(),
            format: TeardownFormat::Dialog,
        });
    });
    let a = RtpPeer::new(relay.address, 0xaaaa);
    let b = RtpPeer::new(relay.address, 0xbbbb);
    call(&relay, &a, &b);
    let (mut stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"</methodCall>\r\n") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&piece[..length]);
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("POST /RPC2 HTTP/1.1\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(request.contains(&format!("Content-Length: {}\r\n", body.len())));
    let told: Vec<&str> = body.split("<string>").skip(1).collect();
    let told: Vec<&str> = told
        .iter()
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_eq!(told, ["told of", "a", "b"]);
    assert!(body.contains("<methodName>dlg.terminate_dlg</methodName>"));
}
