//! Music on hold from a file on a real disk: opened by one thread, heard through the worker of the call.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ng_protocol::{Dictionary, Value};
use tests::ng_client::{answer, command, offer};
use tests::{NgClient, Packet, RtpPeer, TestRelay, sdp};

const PATIENCE: Duration = Duration::from_secs(3);
const BRIEFLY: Duration = Duration::from_millis(300);
/// What the music sounds like: one code of µ-law, without end.
const TONE: u8 = 0xce;

/// A file of music that is gone after the test.
struct Music(PathBuf);

impl Music {
    fn new(test: &str) -> Self {
        let name = format!("tandem-hold-music-{}-{test}.ulaw", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, [TONE; 8_000]).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a name")
    }
}

impl Drop for Music {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A call in which `b` has said what is to be heard while it holds `a`; the relay's port for `b`.
fn call(proxy: &mut NgClient, a: &RtpPeer, b: &RtpPeer, file: &str) -> SocketAddr {
    let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));
    let to_b = proxy.sdp_of(&offer("call", "a", &a_sdp));
    let music = Value::Dictionary(Dictionary::new().with("file", file));
    proxy.sdp_of(&answer("call", "a", "b", &b_sdp).with("moh", music));
    sdp::audio_address(&to_b)
}

/// `b` offers `a` another direction, and `a` answers.
fn turn(proxy: &mut NgClient, a: &RtpPeer, b: &RtpPeer, offered: &str, answered: &str) {
    let of = |peer: &RtpPeer, direction| sdp::phone(peer.address()).replace("sendrecv", direction);
    let (b_sdp, a_sdp) = (of(b, offered), of(a, answered));
    proxy.sdp_of(&offer("call", "b", &b_sdp).with("to-tag", "a"));
    proxy.sdp_of(&answer("call", "b", "a", &a_sdp));
}

fn is_music(bytes: &[u8]) -> bool {
    let packet = Packet::parse(bytes);
    packet.is_some_and(|packet| packet.payload.len() == 160 && packet.payload == [TONE; 160])
}

/// Whether music comes before the time is over.
fn hears_music(peer: &RtpPeer, patience: Duration) -> bool {
    std::iter::from_fn(|| peer.receive(patience)).any(|(bytes, _)| is_music(&bytes))
}

#[test]
fn whoever_is_held_hears_the_file_until_it_is_taken_back() {
    let relay = TestRelay::start("127.18.0.1");
    let music = Music::new("heard");
    let a = RtpPeer::new(relay.address, 0xaaaa);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let mut proxy = relay.client();
    let for_b = call(&mut proxy, &a, &b, music.path());
    assert!(!hears_music(&a, BRIEFLY));

    turn(&mut proxy, &a, &b, "sendonly", "recvonly");
    assert!(hears_music(&a, PATIENCE));
    // A second of it is in the file; it begins again.
    let heard = std::iter::from_fn(|| a.receive(PATIENCE)).take(75);
    assert!(heard.into_iter().all(|(bytes, _)| is_music(&bytes)));

    turn(&mut proxy, &a, &b, "sendrecv", "sendrecv");
    while a.receive(BRIEFLY).is_some() {}
    b.speak(for_b, b"here again");
    a.hear(b"here again", PATIENCE).expect("a hears b");
    assert!(!hears_music(&a, BRIEFLY));
}

#[test]
fn music_that_is_not_there_and_calls_that_are_gone_disturb_nobody() {
    let relay = TestRelay::start("127.18.0.2");
    let music = Music::new("gone");
    let a = RtpPeer::new(relay.address, 0xaaaa);
    let mut b = RtpPeer::new(relay.address, 0xbbbb);
    let mut proxy = relay.client();
    let for_b = call(&mut proxy, &a, &b, "/nowhere/music.ulaw");
    turn(&mut proxy, &a, &b, "sendonly", "recvonly");
    assert!(!hears_music(&a, BRIEFLY));
    b.speak(for_b, b"one moment");
    a.hear(b"one moment", PATIENCE).expect("a hears b itself");
    proxy.ask(&command("delete", "call").with("delete-delay", 0i64));

    // The call is over while its music is being opened.
    call(&mut proxy, &a, &b, music.path());
    turn(&mut proxy, &a, &b, "sendonly", "recvonly");
    proxy.ask(&command("delete", "call").with("delete-delay", 0i64));
    while a.receive(BRIEFLY).is_some() {}
    assert!(!hears_music(&a, BRIEFLY));
    call(&mut proxy, &a, &b, music.path());
    turn(&mut proxy, &a, &b, "sendonly", "recvonly");
    assert!(hears_music(&a, PATIENCE), "the worker goes on");
}
