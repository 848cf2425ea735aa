//! NG over TCP: where messages end, in which order replies come, and what becomes of bad ones.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use ng_protocol::{Encoding, frame};
use tests::ng_client::{answer, offer};
use tests::{RtpPeer, TestRelay, sdp};

fn relay(address: &str) -> TestRelay {
    TestRelay::start_with(address, |config| {
        config.listen_tcp_ng = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
    })
}

fn connect(relay: &TestRelay) -> TcpStream {
    let stream = TcpStream::connect(relay.relay().addresses().tcp_ng[0]).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    stream
}

/// Waits for exactly these bytes.
fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).expect("a reply");
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(bytes)
    );
}

/// What comes until the relay closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("a clean end");
    String::from_utf8_lossy(&rest).into_owned()
}

/// A message that answers nothing: a cookie of its own, and a dictionary.
fn notice(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let mut byte = [0];
    // A dictionary of dictionaries ends where its last integer and three more ends are.
    while !got.ends_with(b"eee") {
        stream.read_exact(&mut byte).expect("a notice");
        got.push(byte[0]);
    }
    String::from_utf8(got).expect("text")
}

#[test]
fn connections_are_told_of_pressed_keys_between_their_replies() {
    let relay = TestRelay::start_with("127.14.0.9", |config| {
        config.listen_tcp_ng = vec![(config.interfaces[0].addresses[0].bound, 0).into()];
        config.dtmf_log_connections = true;
    });
    let (mut one, mut two) = (connect(&relay), connect(&relay));
    for stream in [&mut one, &mut two] {
        stream.write_all(b"t1 d7:command4:pinge").unwrap();
        expect(stream, b"t1 d6:result4:ponge");
    }
    let (a, b) = (
        RtpPeer::new(relay.address, 0xaaaa),
        RtpPeer::new(relay.address, 0xbbbb),
    );
    let mut proxy = relay.client();
    let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));
    proxy.sdp_of(&offer("call", "a", &a_sdp));
    let for_a = sdp::audio_address(&proxy.sdp_of(&answer("call", "a", "b", &b_sdp)));
    // Key 5, whose last packet comes three times.
    for (sequence, payload) in [
        (1, [5, 10, 0, 160]),
        (2, [5, 0x8a, 3, 0x20]),
        (3, [5, 0x8a, 3, 0x20]),
    ] {
        let mut packet = vec![0x80, 101, 0, sequence, 0, 0, 4, 0, 0, 0, 0xaa, 0xaa];
        packet.extend_from_slice(&payload);
        a.send(for_a, &packet);
    }
    let mut cookies = Vec::new();
    for stream in [&mut one, &mut two] {
        let told = notice(stream);
        let (cookie, message) = told.split_once(' ').expect("a cookie");
        assert!(
            cookie.len() == 16 && cookie.bytes().all(|b| b.is_ascii_hexdigit()),
            "{told}"
        );
        for part in [
            "d6:notify6:onDTMF4:datad",
            "6:callid4:call",
            "10:source_tag1:a",
            "4:tagsl1:a1:be",
            "5:eventi5e8:durationi100e6:volumei10e",
        ] {
            assert!(message.contains(part), "no {part} in {told}");
        }
        cookies.push(cookie.to_owned());
        stream.write_all(b"t2 d7:command4:pinge").unwrap();
        expect(stream, b"t2 d6:result4:ponge");
    }
    assert_eq!(cookies[0], cookies[1], "one message for all");
}

#[test]
fn messages_need_no_separator_and_are_answered_in_order() {
    let relay = relay("127.14.0.1");
    let mut stream = connect(&relay);
    let stream_of_both = b"t1 d7:command4:pinget2 {\"command\":\"ping\"}\r\nt3 d7:command4:pinge\nt4 d7:command4:oopse";
    stream.write_all(stream_of_both).unwrap();
    expect(&mut stream, b"t1 d6:result4:ponge");
    expect(&mut stream, b"t2 {\"result\":\"pong\"}");
    expect(&mut stream, b"t3 d6:result4:ponge");
    expect(
        &mut stream,
        b"t4 d6:result5:error12:error-reason20:Unrecognized commande",
    );
    // Byte by byte, and with a pause in the middle of a message.
    for byte in b"t5 {\"command\":\"ping\"}" {
        stream.write_all(&[*byte]).unwrap();
    }
    expect(&mut stream, b"t5 {\"result\":\"pong\"}");
}

#[test]
fn more_requests_than_may_be_under_way_are_all_answered() {
    let relay = relay("127.14.0.2");
    let mut stream = connect(&relay);
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let mut messages = Vec::new();
    for number in 0..200 {
        let call_id = format!("call-{number}");
        let cookie = format!("c{number}");
        let offer = offer(&call_id, "a", &sdp);
        messages.extend(frame::encode(cookie.as_bytes(), &offer, Encoding::Bencode));
    }
    stream.write_all(&messages).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let replies = rest(stream);
    let mut from = 0;
    for number in 0..200 {
        let cookie = format!("c{number} d3:sdp");
        let at = replies[from..].find(&cookie);
        from += at.unwrap_or_else(|| panic!("no reply {number}, or not in order"));
    }
    assert_eq!(relay.relay().sessions(), 200);
}

#[test]
fn a_client_that_has_said_all_gets_its_reply_and_a_clean_end() {
    let relay = relay("127.14.0.3");
    let mut stream = connect(&relay);
    stream.write_all(b"t1 d7:command4:pinge").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(stream), "t1 d6:result4:ponge");
    let stream = connect(&relay);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(stream), "");
}

#[test]
fn what_is_no_message_is_answered_as_far_as_possible_and_ends_the_connection() {
    let relay = relay("127.14.0.4");
    let error = "d6:result5:error12:error-reason";
    for (bytes, reply) in [
        (
            b"c1 xyz".as_slice(),
            format!("c1 {error}22:Invalid NG data formate"),
        ),
        (
            b"c2 d7:commandX",
            format!("c2 {error}35:Could not decode bencode dictionarye"),
        ),
        (b" d7:command4:pinge", String::new()),
        (&[b'x'; 1500], String::new()),
    ] {
        let mut stream = connect(&relay);
        stream.write_all(bytes).unwrap();
        assert_eq!(rest(stream), reply);
    }
    // Cut off in the middle.
    for (bytes, reply) in [
        (
            b"c3 d7:command4:pin".as_slice(),
            format!("c3 {error}35:Could not decode bencode dictionarye"),
        ),
        (b"c4 ", format!("c4 {error}25:Invalid data (no payload)e")),
        (b"garbage", String::new()),
    ] {
        let mut stream = connect(&relay);
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(stream), reply);
    }
    // The cookie of a message that was cut off is still good.
    let mut stream = connect(&relay);
    stream.write_all(b"c3 d7:command4:pinge").unwrap();
    expect(&mut stream, b"c3 d6:result4:ponge");
}

#[test]
fn a_client_that_lost_its_connection_asks_again_over_another() {
    let relay = relay("127.14.0.5");
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let message = frame::encode(b"same", &offer("call", "a", &sdp), Encoding::Bencode);
    let ask = || {
        let mut stream = connect(&relay);
        stream.write_all(&message).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rest(stream)
    };
    let first = ask();
    assert!(first.starts_with("same d3:sdp"));
    assert_eq!(ask(), first, "carried out once");
}

#[test]
fn copies_on_several_connections_are_carried_out_once_and_answered_each() {
    let relay = relay("127.14.0.6");
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let message = frame::encode(b"same", &offer("call", "a", &sdp), Encoding::Bencode);
    let mut streams: Vec<TcpStream> = (0..10).map(|_| connect(&relay)).collect();
    for stream in &mut streams {
        stream.write_all(&message).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let replies: Vec<String> = streams.into_iter().map(rest).collect();
    assert!(replies[0].starts_with("same d3:sdp"));
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(relay.relay().sessions(), 1);
}

#[test]
fn a_message_that_never_ends_has_an_end() {
    let relay = relay("127.14.0.7");
    let mut stream = connect(&relay);
    stream.write_all(b"c d3:sdp900000000:").unwrap();
    let piece = [b'x'; 64 * 1024];
    // The relay closes while more is coming; then writing fails.
    while stream.write_all(&piece).is_ok() {}
    // It still serves others.
    let mut other = connect(&relay);
    other.write_all(b"t1 d7:command4:pinge").unwrap();
    expect(&mut other, b"t1 d6:result4:ponge");
}

#[test]
fn there_is_an_end_to_connections() {
    let relay = relay("127.14.0.8");
    let mut kept: Vec<TcpStream> = (0..512).map(|_| connect(&relay)).collect();
    // All of them have been accepted when the last one is served.
    let last = kept.last_mut().unwrap();
    last.write_all(b"t1 d7:command4:pinge").unwrap();
    expect(last, b"t1 d6:result4:ponge");
    let mut refused = connect(&relay);
    let mut nothing = [0; 1];
    assert_eq!(refused.read(&mut nothing).unwrap_or(0), 0);
    drop(kept);
    relay.eventually("there is room again", |relay| {
        let mut stream = connect(relay);
        let mut reply = [0; 19];
        stream.write_all(b"t2 d7:command4:pinge").is_ok() && stream.read_exact(&mut reply).is_ok()
    });
}
