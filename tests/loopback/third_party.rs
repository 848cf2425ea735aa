//! Those who listen to a call without being in it: recorders, and the proxy that wants to know which keys were pressed.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use simulator::media::report::MediaReport;
use simulator::media::{CallDirection, DriverConfig, MediaConfig, MediaHandle};
use tests::ng_client::{answer, command, offer, words};
use tests::srtp_peer::SUITE;
use tests::{NgClient, RtpPeer, SrtpPeer, TestRelay, sdp};

const PATIENCE: Duration = Duration::from_secs(3);

/// A description of two streams, one for each recorder.
fn two_streams(one: &RtpPeer, two: &RtpPeer) -> String {
    let first = sdp::phone(one.address());
    let second = sdp::phone(two.address());
    let (_, section) = second.split_once("t=0 0\r\n").expect("a session part");
    format!("{first}{section}").replace("a=sendrecv", "a=recvonly")
}

#[test]
fn a_recorder_hears_each_party_on_a_stream_of_its_own_until_it_is_told_to_stop() {
    let relay = TestRelay::start("127.12.7.1");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let (hears_a, hears_b) = (
        RtpPeer::new(relay.address, 1),
        RtpPeer::new(relay.address, 2),
    );
    let mut proxy = relay.client();
    let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));
    let for_b = sdp::audio_address(&proxy.sdp_of(&offer("call", "a", &a_sdp)));
    let for_a = sdp::audio_address(&proxy.sdp_of(&answer("call", "a", "b", &b_sdp)));
    let sockets = relay.media_sockets();

    let request = command("subscribe request", "call").with("flags", words(&["all", "siprec"]));
    let reply = proxy.ask(&request);
    assert_eq!(reply.error_reason(), None);
    let tag = reply.body().get("to-tag").unwrap().to_string();
    let recorders = two_streams(&hears_a, &hears_b);
    let answered = command("subscribe answer", "call")
        .with("to-tag", tag.as_str())
        .with("sdp", recorders.as_str());
    assert_eq!(proxy.ask(&answered).error_reason(), None);

    for number in 0..10 {
        a.speak(for_a, &[b'a', number]);
        b.speak(for_b, &[b'b', number]);
        hears_a
            .hear(&[b'a', number], PATIENCE)
            .expect("the first stream is a's");
        hears_b
            .hear(&[b'b', number], PATIENCE)
            .expect("the second stream is b's");
        b.hear(&[b'a', number], PATIENCE).expect("b hears a");
        a.hear(&[b'b', number], PATIENCE).expect("a hears b");
    }
    let stop = command("unsubscribe", "call").with("to-tag", tag.as_str());
    assert_eq!(proxy.ask(&stop).error_reason(), None);
    relay.eventually("its ports are closed", |relay| {
        relay.media_sockets() == sockets
    });
    a.speak(for_a, b"after");
    b.hear(b"after", PATIENCE).expect("b hears a");
    assert!(hears_a.hear(b"after", Duration::from_millis(200)).is_none());
}

/// A call between two plain phones, in it the description `a_sdp`; where `a` sends to.
fn call_of(proxy: &mut NgClient, a_sdp: &str, b: &RtpPeer) -> SocketAddr {
    proxy.sdp_of(&offer("call", "a", a_sdp));
    let b_sdp = a_sdp
        .lines()
        .map(|line| match line.strip_prefix("m=audio ") {
            Some(rest) => {
                let (_, formats) = rest.split_once(' ').expect("formats");
                format!("m=audio {} {formats}\r\n", b.address().port())
            }
            None => format!("{line}\r\n"),
        });
    let b_sdp: String = b_sdp.collect();
    sdp::audio_address(&proxy.sdp_of(&answer("call", "a", "b", &b_sdp)))
}

/// What a `subscribe request` about `a` offers.
fn offered_to_subscriber(proxy: &mut NgClient, flags: &str) -> String {
    let request = command("subscribe request", "call")
        .with("from-tag", "a")
        .with("to-tag", "ear")
        .with("rtpp-flags", flags);
    proxy.sdp_of(&request)
}

fn answer_of_subscriber(proxy: &mut NgClient, sdp: &str) {
    let sdp = sdp.replace("a=sendrecv", "a=recvonly");
    let answered = command("subscribe answer", "call")
        .with("to-tag", "ear")
        .with("sdp", sdp.as_str());
    assert_eq!(proxy.ask(&answered).error_reason(), None);
}

#[test]
fn a_subscriber_with_keys_in_its_description_hears_the_call_encrypted() {
    let relay = TestRelay::start("127.12.7.4");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let b = RtpPeer::new(relay.address, 0xbbbb);
    let mut ear = SrtpPeer::new(relay.address, 1);
    let mut proxy = relay.client();
    let for_a = call_of(&mut proxy, &sdp::phone(a.address()), &b);
    let flags = format!("RTP/SAVP DTLS=off SDES=[only-{SUITE}]");
    let offered = offered_to_subscriber(&mut proxy, &flags);
    let keys = sdp::crypto_lines(&offered);
    assert_eq!(keys.len(), 1, "{offered}");
    ear.learn(&keys[0].2);
    let accepted = sdp::encrypted_phone(ear.address(), SUITE, ear.key());
    answer_of_subscriber(&mut proxy, &accepted);
    for number in 0..20 {
        a.speak(for_a, &[b'a', number, 9, 9]);
        ear.hear(&[b'a', number, 9, 9], PATIENCE)
            .expect("the subscriber hears a");
        b.hear(&[b'a', number, 9, 9], PATIENCE).expect("b hears a");
    }
}

/// The subscriber has ICE and DTLS of another make: the simulator's, on OpenSSL.
#[test]
fn a_subscriber_with_ice_and_dtls_hears_the_call() {
    let relay = TestRelay::start("127.12.7.5");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let b = RtpPeer::new(relay.address, 0xbbbb);
    let mut proxy = relay.client();
    let opus = sdp::phone(a.address())
        .replace("RTP/AVP 0", "RTP/AVP 111")
        .replace("rtpmap:0 PCMU/8000", "rtpmap:111 opus/48000/2");
    let for_a = call_of(&mut proxy, &opus, &b);
    let offered = offered_to_subscriber(
        &mut proxy,
        "UDP/TLS/RTP/SAVPF ICE=force SDES=off rtcp-mux=require generate-mid",
    );
    assert!(offered.contains("a=sendonly") && offered.contains("opus/48000/2"));
    let report = listen(relay.address, &offered, |answered| {
        answer_of_subscriber(&mut proxy, answered);
        for number in 0..100_u8 {
            let mut packet = a.next_packet(&[]);
            packet.payload_type = 111;
            // RFC 6716 section 3.1: one frame of 20 ms.
            packet.payload = [&[0x78], &[number; 159][..]].concat();
            packet.timestamp = u32::from(number) * 960;
            a.send(for_a, &packet.bytes());
            b.hear(&[number; 159], PATIENCE).expect("b hears a");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(
        report.ice_ms.is_some() && report.dtls_ms.is_some(),
        "{report:#?}"
    );
    assert_eq!(report.unauthenticated, 0, "{report:#?}");
    // What a says is long; what the relay fills pauses with is not.
    assert_eq!(report.received.payload_octets_max, 160, "{report:#?}");
    assert!(report.received.packets >= 100, "{report:#?}");
    assert_eq!(report.received.ssrc_changes, 0, "{report:#?}");
}

/// Plays a far end with ICE and DTLS that answers an offer, while `meanwhile` does the rest with its answer.
fn listen(address: IpAddr, offered: &str, meanwhile: impl FnOnce(&str)) -> MediaReport {
    let IpAddr::V4(address) = address else {
        panic!("an IPv4 address");
    };
    let config = MediaConfig {
        direction: CallDirection::BusinessInitiated,
        ipv4: SocketAddrV4::new(address, 0),
        ..MediaConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (media, answered) = runtime.block_on(async {
        let media = MediaHandle::start(config, DriverConfig::default(), 1)
            .await
            .expect("a far end");
        let answered = media.local_sdp_answer(offered).await;
        let answered = answered.expect("it runs").expect("an answer");
        let taken = media.set_remote_sdp(offered).await;
        taken.expect("it runs").expect("an offer that it takes");
        media.call_answered().await.expect("it runs");
        (media, answered)
    });
    meanwhile(&answered);
    runtime.block_on(media.stop()).expect("it runs")
}

#[test]
fn a_published_source_makes_a_call_that_others_can_hear() {
    let relay = TestRelay::start("127.12.7.2");
    let mut source = RtpPeer::new(relay.address, 0xaaaa);
    let ear = RtpPeer::new(relay.address, 1);
    let mut proxy = relay.client();
    let source_sdp = sdp::phone(source.address()).replace("a=sendrecv", "a=sendonly");
    let publish = command("publish", "call").with("sdp", source_sdp.as_str());
    let reply = proxy.ask(&publish);
    assert_eq!(reply.error_reason(), None);
    let for_source = String::from_utf8_lossy(reply.sdp_body().unwrap()).into_owned();
    assert!(for_source.contains("a=recvonly"), "{for_source}");
    assert_eq!(relay.relay().sessions(), 1);

    let tag = reply.body().get("from-tag").unwrap().to_string();
    let request = command("subscribe request", "call")
        .with("from-tag", tag.as_str())
        .with("to-tag", "ear");
    proxy.sdp_of(&request);
    let ear_sdp = sdp::phone(ear.address()).replace("a=sendrecv", "a=recvonly");
    let answered = command("subscribe answer", "call")
        .with("to-tag", "ear")
        .with("sdp", ear_sdp.as_str());
    assert_eq!(proxy.ask(&answered).error_reason(), None);
    source.speak(sdp::audio_address(&for_source), b"news");
    ear.hear(b"news", PATIENCE)
        .expect("the ear hears the source");
}

#[test]
fn the_proxy_is_told_of_every_key_by_a_datagram() {
    let log = UdpSocket::bind("127.12.7.3:0").unwrap();
    log.set_read_timeout(Some(PATIENCE)).unwrap();
    let destination = log.local_addr().unwrap();
    let relay = TestRelay::start_with("127.12.7.3", |config| config.dtmf_log = Some(destination));
    let (a, b) = (
        RtpPeer::new(relay.address, 0xaaaa),
        RtpPeer::new(relay.address, 0xbbbb),
    );
    let mut proxy = relay.client();
    let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));
    proxy.sdp_of(&offer("call", "a", &a_sdp).with("label", "caller"));
    let for_a = sdp::audio_address(&proxy.sdp_of(&answer("call", "a", "b", &b_sdp)));

    // Key 5 for 100 ms: a packet in the middle, and three that end it.
    for (sequence, payload) in [
        (1, [5, 10, 0, 160]),
        (2, [5, 0x8a, 3, 0x20]),
        (3, [5, 0x8a, 3, 0x20]),
        (4, [5, 0x8a, 3, 0x20]),
    ] {
        let mut packet = vec![0x80, 101, 0, sequence, 0, 0, 4, 0, 0, 0, 0xaa, 0xaa];
        packet.extend_from_slice(&payload);
        a.send(for_a, &packet);
    }
    let mut buffer = [0; 1500];
    let len = log.recv(&mut buffer).expect("a notification");
    let told = String::from_utf8_lossy(&buffer[..len]).into_owned();
    for member in [
        r#"{"callid":"call","source_tag":"a","source_label":"caller","tags":["a","b"],"type":"DTMF","timestamp":"#,
        r#","source_ip":"127.12.7.3","event":5,"duration":100,"volume":10}"#,
    ] {
        assert!(told.contains(member), "no {member} in {told}");
    }
    log.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(log.recv(&mut buffer).is_err(), "an event is told once");
}
