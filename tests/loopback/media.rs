//! Packets through real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tests::ng_client::{answer, command, offer, words};
use tests::srtp_peer::SUITE;
use tests::{NgClient, RtpPeer, SrtpPeer, TestRelay, sdp};

const PATIENCE: Duration = Duration::from_secs(3);
const BRIEFLY: Duration = Duration::from_millis(300);

/// The relay's ports of a call between two plain phones: where `a` sends to, and where `b` does.
fn plain_call(
    proxy: &mut NgClient,
    call_id: &str,
    a: &RtpPeer,
    b: &RtpPeer,
) -> (SocketAddr, SocketAddr) {
    let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));
    let to_b = proxy.sdp_of(&offer(call_id, "a", &a_sdp));
    let to_a = proxy.sdp_of(&answer(call_id, "a", "b", &b_sdp));
    (sdp::audio_address(&to_a), sdp::audio_address(&to_b))
}

#[test]
fn two_phones_hear_each_other_in_order_and_from_the_signalled_port() {
    let relay = TestRelay::start("127.12.0.1");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let (for_a, for_b) = plain_call(&mut relay.client(), "call", &a, &b);

    let mut last: Option<tests::Packet> = None;
    for number in 0..50u8 {
        a.speak(for_a, &[b'a', number]);
        b.speak(for_b, &[b'b', number]);
        let (at_b, from) = b.hear(&[b'a', number], PATIENCE).expect("b hears a");
        assert_eq!(from, for_b, "media comes from the port that b was told");
        let (_, from) = a.hear(&[b'b', number], PATIENCE).expect("a hears b");
        assert_eq!(from, for_a);
        if let Some(last) = last {
            assert_eq!(at_b.sequence, last.sequence.wrapping_add(1));
            assert_eq!(at_b.timestamp, last.timestamp.wrapping_add(160));
            assert_eq!(at_b.ssrc, last.ssrc);
        }
        assert_eq!(at_b.payload_type, 0);
        assert_eq!(at_b.payload.len(), 160);
        last = Some(at_b);
    }
}

#[test]
fn packets_take_the_way_that_was_asked_for_and_no_other() {
    let relay = TestRelay::start("127.12.0.60");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let b = RtpPeer::new(relay.address, 0xbbbb);
    let (for_a, _) = plain_call(&mut relay.client(), "call", &a, &b);
    for number in 0..50u8 {
        a.speak(for_a, &[b'a', number]);
        b.hear(&[b'a', number], PATIENCE).expect("b hears a");
    }
    relay.eventually("the counters are published", |relay| {
        relay.relay().counters().net.sent >= 50
    });
    let counters = relay.relay().counters();
    assert_eq!(counters.tier, Some(TestRelay::tier()));
    assert!(counters.rounds.count() > 0);
    let net = counters.net;
    assert_eq!((net.beside_hub, net.send_retried, net.flooded), (0, 0, 0));
    assert_eq!((net.unclaimed, net.overflowed), (0, 0));
}

#[test]
fn ipv6_is_no_different() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let relay = TestRelay::start("::1");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let (for_a, for_b) = plain_call(&mut relay.client(), "call", &a, &b);
    assert!(for_a.is_ipv6() && for_b.is_ipv6());
    a.speak(for_a, b"hello");
    b.hear(b"hello", PATIENCE).expect("b hears a");
    b.speak(for_b, b"welcome");
    a.hear(b"welcome", PATIENCE).expect("a hears b");
}

#[test]
fn a_phone_behind_nat_is_heard_and_answered_at_its_real_address() {
    let relay = TestRelay::start("127.12.0.2");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    // What the phone believes its address to be; nobody is there.
    let believed = RtpPeer::new(relay.address, 1);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let mut proxy = relay.client();
    let (a_sdp, b_sdp) = (sdp::phone(believed.address()), sdp::phone(b.address()));
    let to_b = proxy.sdp_of(&offer("call", "a", &a_sdp));
    let to_a = proxy.sdp_of(&answer("call", "a", "b", &b_sdp));

    a.speak(sdp::audio_address(&to_a), b"hello");
    b.hear(b"hello", PATIENCE).expect("b hears a");
    b.speak(sdp::audio_address(&to_b), b"welcome");
    a.hear(b"welcome", PATIENCE)
        .expect("a is answered where it is");
}

#[test]
fn an_encrypted_phone_and_a_plain_one_understand_each_other() {
    let relay = TestRelay::start("127.12.0.3");
    let mut secret = SrtpPeer::new(relay.address, 0xaaaa);
    let mut plain = RtpPeer::new(relay.address, 0xbbbb);
    let mut proxy = relay.client();
    let offered = sdp::encrypted_phone(secret.address(), SUITE, secret.key());
    let request = offer("call", "a", &offered)
        .with("transport-protocol", "RTP/AVP")
        .with("flags", words(&["SDES-no-AEAD_AES_128_GCM"]));
    let to_plain = proxy.sdp_of(&request);
    assert!(sdp::crypto_lines(&to_plain).is_empty(), "{to_plain}");
    let answered = sdp::phone(plain.address());
    let to_secret = proxy.sdp_of(&answer("call", "a", "b", &answered));
    let keys = sdp::crypto_lines(&to_secret);
    assert_eq!(keys.len(), 1, "one key is chosen: {to_secret}");
    assert_eq!((keys[0].0, keys[0].1.as_str()), (1, SUITE));
    assert_ne!(keys[0].2, secret.key(), "the relay has a key of its own");
    secret.learn(&keys[0].2);

    let (for_secret, for_plain) = (
        sdp::audio_address(&to_secret),
        sdp::audio_address(&to_plain),
    );
    for number in 0..20u8 {
        secret.speak(for_secret, &[b'a', number]);
        plain
            .hear(&[b'a', number], PATIENCE)
            .expect("the plain phone hears the encrypted one");
        plain.speak(for_plain, &[b'b', number, 1, 2, 3]);
        secret
            .hear(&[b'b', number, 1, 2, 3], PATIENCE)
            .expect("the encrypted phone hears the plain one");
    }

    secret.speak_plainly(for_secret, b"forged");
    assert_eq!(
        plain.hear(b"forged", BRIEFLY),
        None,
        "only SRTP gets through"
    );
}

#[test]
fn nothing_is_forwarded_after_delete() {
    let relay = TestRelay::start("127.12.0.4");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let b = RtpPeer::new(relay.address, 0xbbbb);
    let mut proxy = relay.client();
    let (for_a, _) = plain_call(&mut proxy, "call", &a, &b);
    a.speak(for_a, b"before");
    b.hear(b"before", PATIENCE).expect("b hears a");
    proxy.ask(&command("delete", "call").with("delete-delay", 0i64));
    a.speak(for_a, b"after");
    assert_eq!(b.hear(b"after", BRIEFLY), None);
}

#[test]
fn rubbish_on_a_media_port_does_not_disturb_the_call() {
    let relay = TestRelay::start("127.12.0.5");
    let mut a = RtpPeer::new(relay.address, 0xaaaa);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let (for_a, for_b) = plain_call(&mut relay.client(), "call", &a, &b);
    // Both have spoken from where they said they are, so nobody else can be taken for them.
    a.speak(for_a, b"first");
    b.hear(b"first", PATIENCE).expect("b hears a");
    b.speak(for_b, b"second");
    a.hear(b"second", PATIENCE).expect("a hears b");

    let stranger = RtpPeer::new(relay.address, 0xcccc);
    for datagram in tests::rtp_peer::rubbish(10_000, 7) {
        let to = if datagram.len() % 2 == 0 {
            for_a
        } else {
            for_b
        };
        stranger.send(to, &datagram);
    }
    // The kernel has dropped what did not fit behind the rubbish, at the relay and at the peers to whom some of it was passed
    // on; when that is worked off, nothing more is lost.
    let heard = (0..100).any(|_| {
        a.speak(for_a, b"still there");
        b.hear(b"still there", Duration::from_millis(50)).is_some()
    });
    assert!(heard, "b still hears a");
    let heard = (0..100).any(|_| {
        b.speak(for_b, b"yes I am");
        a.hear(b"yes I am", Duration::from_millis(50)).is_some()
    });
    assert!(heard, "a still hears b");
    for number in 0..10u8 {
        a.speak(for_a, &[b'f', b'r', b'o', b'm', b'a', number]);
        b.hear(&[b'f', b'r', b'o', b'm', b'a', number], PATIENCE)
            .expect("b hears every word of a");
        b.speak(for_b, &[b'f', b'r', b'o', b'm', b'b', number]);
        a.hear(&[b'f', b'r', b'o', b'm', b'b', number], PATIENCE)
            .expect("a hears every word of b");
    }
    assert_eq!(relay.relay().counters().abandoned, 0);
}

#[test]
fn a_busy_worker_lets_packets_gather_and_loses_none() {
    const CALLS: usize = 60;
    const PACKETS: u8 = 60;
    let relay = TestRelay::start("127.12.0.6");
    let mut proxy = relay.client();
    let mut legs = Vec::new();
    for number in 0..CALLS {
        let a = RtpPeer::new(relay.address, number as u32 + 1);
        let b = RtpPeer::new(relay.address, number as u32 + 1001);
        let (for_a, _) = plain_call(&mut proxy, &format!("call-{number}"), &a, &b);
        legs.push((a, b, for_a));
    }
    for number in 0..PACKETS {
        for (a, _, for_a) in &mut legs {
            a.speak(*for_a, &[b'x', number]);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for (_, b, _) in &legs {
        for number in 0..PACKETS {
            b.hear(&[b'x', number], PATIENCE)
                .expect("every packet arrives");
        }
    }
    // Counters are published once a second.
    relay.eventually("the worker napped", |relay| {
        let counters = relay.relay().counters();
        let (net, kernel) = (counters.net, counters.kernel);
        // Of what the kernel forwards nothing comes to the worker, and nothing can gather there.
        let gathered = net.naps > 0 || kernel.packets > 0;
        gathered && net.sent + kernel.packets >= (CALLS * usize::from(PACKETS)) as u64
    });
}
