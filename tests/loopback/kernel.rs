//! Calls whose packets the kernel forwards by itself, through the real daemon.
//!
//! The program is attached to the network namespace, so this runs where the suite has one of its own, with
//! `TANDEM_DATA_PATH=kernel`.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use relay::Config;
use relay::config::Tier;
use tests::ng_client::{answer, command, offer};
use tests::{NgClient, Packet, RtpPeer, TestRelay, sdp};

const PATIENCE: Duration = Duration::from_secs(3);
const PACKET_TIME: Duration = Duration::from_millis(20);

fn relay(address: &str, change: impl FnOnce(&mut Config)) -> Option<TestRelay> {
    if TestRelay::tier() != Tier::Kernel {
        eprintln!("skipped: it needs TANDEM_DATA_PATH=kernel and a network namespace of its own");
        return None;
    }
    Some(TestRelay::start_with(address, change))
}

/// A party, where it sends to, and how many packets it has sent.
struct Party {
    peer: RtpPeer,
    relay: SocketAddr,
    said: u64,
    /// The last packet that it heard of the other.
    heard: Option<Packet>,
}

impl Party {
    /// Says something that the other one hears, in the order of what was said before.
    fn speak_to(&mut self, other: &mut Party) {
        let words = self.said.to_be_bytes();
        self.peer.speak(self.relay, &words);
        self.said += 1;
        let (packet, from) = other.peer.hear(&words, PATIENCE).expect("the other hears");
        assert_eq!(from, other.relay, "from the port that it was told");
        if let Some(last) = other.heard.replace(packet.clone()) {
            let follows = (
                last.sequence.wrapping_add(1),
                last.timestamp + 160,
                last.ssrc,
            );
            assert_eq!((packet.sequence, packet.timestamp, packet.ssrc), follows);
        }
    }

    fn sdp(&self) -> String {
        sdp::phone(self.peer.address())
    }
}

/// A call of two plain phones.
struct Conversation {
    relay: TestRelay,
    proxy: NgClient,
    a: Party,
    b: Party,
}

impl Conversation {
    fn on(relay: TestRelay) -> Self {
        let party = |ssrc| Party {
            peer: RtpPeer::new(relay.address, ssrc),
            relay: SocketAddr::new(relay.address, 0),
            said: 0,
            heard: None,
        };
        let (mut a, mut b) = (party(0xaaaa), party(0xbbbb));
        let mut proxy = relay.client();
        let to_b = proxy.sdp_of(&offer("call", "a", &a.sdp()));
        let to_a = proxy.sdp_of(&answer("call", "a", "b", &b.sdp()));
        (a.relay, b.relay) = (sdp::audio_address(&to_a), sdp::audio_address(&to_b));
        Self { relay, proxy, a, b }
    }

    fn both_speak(&mut self) {
        self.a.speak_to(&mut self.b);
        self.b.speak_to(&mut self.a);
        sleep(PACKET_TIME);
    }

    /// Both speak until the kernel has both streams, and for half a second from then on.
    fn move_into_kernel(&mut self) {
        let end = Instant::now() + Duration::from_secs(8);
        while self.relay.relay().counters().kernel.streams < 2 {
            assert!(Instant::now() < end, "never: the kernel has the streams");
            self.both_speak();
        }
        for _ in 0..25 {
            self.both_speak();
        }
    }

    /// The relay has counted everything that was said.
    fn assert_counted(&self) {
        let said = self.a.said + self.b.said;
        self.relay.eventually("all packets are counted", |relay| {
            let media = relay.relay().counters().media_sum();
            (media.rtp_in.packets, media.rtp_out.packets) == (said, said)
        });
    }
}

#[test]
fn a_plain_call_moves_into_the_kernel_and_nobody_hears_it() {
    let Some(relay) = relay("127.17.0.1", |_| {}) else {
        return;
    };
    let mut call = Conversation::on(relay);
    call.move_into_kernel();
    call.assert_counted();
    let counters = call.relay.relay().counters();
    assert!(counters.kernel.packets >= 50, "{:?}", counters.kernel);
    let said = call.a.said + call.b.said;
    // What the kernel forwards comes to no socket.
    assert!(counters.net.received + counters.kernel.packets <= said + 5);

    // The session is refreshed: the streams come back, and the parties do not notice.
    let (a, b) = (call.a.sdp(), call.b.sdp());
    let again = offer("call", "a", &a).with("to-tag", "b");
    call.proxy.sdp_of(&again);
    call.both_speak();
    call.proxy.sdp_of(&answer("call", "a", "b", &b));
    call.move_into_kernel();
    call.assert_counted();

    let query = call.proxy.ask(&command("query", "call"));
    assert_eq!(query.error_reason(), None);
    call.both_speak();
    call.proxy
        .ask(&command("delete", "call").with("from-tag", "a"));
    call.relay
        .eventually("nothing is left in the kernel", |relay| {
            relay.relay().counters().kernel.streams == 0
        });
    call.assert_counted();
}

#[test]
fn keys_pass_between_words() {
    let Some(relay) = relay("127.17.0.2", |_| {}) else {
        return;
    };
    let mut call = Conversation::on(relay);
    for key in 1..4 {
        call.move_into_kernel();
        for packet in 0..5u8 {
            let mut event = call.a.peer.next_packet(b"x");
            event.payload_type = 101;
            event.payload = vec![key, 10 | u8::from(packet == 4) << 7, 0, packet * 40];
            let words = event.payload.clone();
            call.a.peer.send(call.a.relay, &event.bytes());
            call.a.said += 1;
            let (heard, _) = call.b.peer.hear(&words, PATIENCE).expect("b gets the key");
            assert_eq!(heard.payload_type, 101);
            let last = call.b.heard.as_ref().expect("words before");
            assert_eq!(
                heard.sequence,
                last.sequence.wrapping_add(1 + u16::from(packet))
            );
            if packet == 4 {
                // Its timestamp is that of its beginning; that of the words after it goes on.
                let timestamp = last.timestamp + 5 * 160;
                call.b.heard = Some(Packet { timestamp, ..heard });
            }
            sleep(PACKET_TIME);
        }
    }
    call.both_speak();
    call.assert_counted();
}

#[test]
fn a_party_on_hold_hears_nothing() {
    let Some(relay) = relay("127.17.0.3", |_| {}) else {
        return;
    };
    let mut call = Conversation::on(relay);
    call.move_into_kernel();
    for (a_way, b_way) in [("sendonly", "recvonly"), ("sendrecv", "sendrecv")] {
        let a = call.a.sdp().replace("sendrecv", a_way);
        let b = call.b.sdp().replace("sendrecv", b_way);
        let again = offer("call", "a", &a).with("to-tag", "b");
        call.proxy.sdp_of(&again);
        call.proxy.sdp_of(&answer("call", "a", "b", &b));
        if a_way == "sendonly" {
            for _ in 0..75 {
                call.a.speak_to(&mut call.b);
                call.b.peer.speak(call.b.relay, b"unheard");
                sleep(PACKET_TIME);
            }
            assert!(call.a.peer.hear(b"unheard", PACKET_TIME).is_none());
            // What was not sent is missing in nobody's numbers.
            call.a.heard = None;
        }
    }
    call.move_into_kernel();
}

#[test]
fn a_call_in_the_kernel_lives_as_long_as_it_is_heard() {
    let Some(relay) = relay("127.17.0.4", |config| config.timeout = PATIENCE) else {
        return;
    };
    let mut call = Conversation::on(relay);
    call.move_into_kernel();
    let end = Instant::now() + PATIENCE * 2;
    while Instant::now() < end {
        call.both_speak();
    }
    let counters = call.relay.relay().counters();
    assert_eq!((counters.calls, counters.kernel.begun), (1, 2));
    call.relay
        .eventually("the call ends", |relay| relay.relay().sessions() == 0);
    call.relay
        .eventually("nothing is left in the kernel", |relay| {
            relay.relay().counters().kernel.streams == 0
        });
}

#[test]
fn a_phone_that_starts_again_or_moves_is_heard_on() {
    let Some(relay) = relay("127.17.0.5", |_| {}) else {
        return;
    };
    let mut call = Conversation::on(relay);
    call.move_into_kernel();
    // Another source: the listener hears the same stream go on.
    let mut restarted = RtpPeer::new(call.relay.address, 0xcccc);
    std::mem::swap(&mut call.a.peer, &mut restarted);
    let last = call.b.heard.take().expect("words before");
    let (for_a, said) = (call.a.relay, b"from another port");
    // The old socket still hears; the new one speaks.
    call.a.peer.speak(for_a, said);
    let (heard, from) = call
        .b
        .peer
        .hear(said, PATIENCE)
        .expect("b hears the other port");
    assert_eq!(from, call.b.relay);
    assert_eq!(
        (heard.ssrc, heard.sequence),
        (last.ssrc, last.sequence.wrapping_add(1))
    );
}
