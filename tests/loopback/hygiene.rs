//! What must not be left behind: sockets, memory, threads, time.

use std::time::{Duration, Instant};

use ng_protocol::{Dictionary, Outcome};
use tests::ng_client::{answer, command, offer};
use tests::rtp_peer::rubbish;
use tests::{NgClient, RtpPeer, TestRelay, sdp};

fn ping(client: &mut NgClient) {
    let ping = Dictionary::new().with("command", "ping");
    assert_eq!(client.ask(&ping).outcome(), Outcome::Pong);
}

fn make_and_delete(proxy: &mut NgClient, call_id: &str, a: &str, b: &str) {
    proxy.sdp_of(&offer(call_id, "a", a));
    proxy.sdp_of(&answer(call_id, "a", "b", b));
    let delete = command("delete", call_id).with("delete-delay", 0i64);
    assert_eq!(proxy.ask(&delete).outcome(), Outcome::Ok);
}

#[test]
fn no_socket_is_left_after_delete() {
    let relay = TestRelay::start("127.13.0.1");
    let mut proxy = relay.client();
    let (a, b) = (
        RtpPeer::new(relay.address, 1),
        RtpPeer::new(relay.address, 2),
    );
    let (a, b) = (sdp::phone(a.address()), sdp::phone(b.address()));
    let before = descriptors();
    proxy.sdp_of(&offer("call", "a", &a));
    assert!(relay.media_sockets() >= 2, "the kernel shows the ports");
    for number in 0..20 {
        make_and_delete(&mut proxy, &format!("call-{number}"), &a, &b);
    }
    proxy.ask(&command("delete", "call").with("delete-delay", 0i64));
    relay.eventually("all media sockets closed", |relay| {
        relay.media_sockets() == 0
    });
    assert_eq!(relay.relay().sessions(), 0);
    // Under `cargo test` other tests of this process open and close descriptors too; then only the ports above count.
    if std::env::var_os("NEXTEST").is_some() {
        assert_eq!(descriptors(), before);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("the list of descriptors")
        .count()
}

#[test]
fn sockets_of_a_call_that_nobody_deleted_are_closed_at_its_timeout() {
    let relay = TestRelay::start_with("127.13.0.2", |config| {
        config.timeout = Duration::from_secs(1);
        config.offer_timeout = Duration::from_secs(1);
    });
    let mut proxy = relay.client();
    let (a, b) = (
        RtpPeer::new(relay.address, 1),
        RtpPeer::new(relay.address, 2),
    );
    let (a, b) = (sdp::phone(a.address()), sdp::phone(b.address()));
    proxy.sdp_of(&offer("never answered", "a", &a));
    proxy.sdp_of(&offer("silent", "a", &a));
    proxy.sdp_of(&answer("silent", "a", "b", &b));
    relay.eventually("both calls end", |relay| relay.relay().sessions() == 0);
    assert_eq!(relay.media_sockets(), 0);
}

#[test]
fn memory_stays_flat_over_many_calls() {
    let relay = TestRelay::start("127.13.0.3");
    let mut proxy = relay.client();
    let (a, b) = (
        RtpPeer::new(relay.address, 1),
        RtpPeer::new(relay.address, 2),
    );
    let (a, b) = (sdp::phone(a.address()), sdp::phone(b.address()));
    let mut calls = 0;
    let mut run = |count: usize| {
        for _ in 0..count {
            calls += 1;
            make_and_delete(&mut proxy, &format!("call-{calls}"), &a, &b);
        }
        resident_kib()
    };
    // The first calls fill pools and caches; the replies kept for copies of a request are half of what may grow.
    let warm = run(500);
    let later = run(2000);
    let replies = 2000 * 3 * 4;
    assert!(
        later < warm + replies,
        "{warm} KiB after 500 calls, {later} KiB after 2500"
    );
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the state of this process");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.expect("the kernel's count of resident memory")
}

#[test]
fn ten_thousand_datagrams_of_rubbish_leave_the_control_port_working() {
    let relay = TestRelay::start("127.13.0.4");
    let client = relay.client();
    for (number, datagram) in rubbish(10_000, 42).enumerate() {
        if number % 2 == 0 {
            client.send(&datagram);
        } else {
            let mut with_cookie = format!("{number} d7:call-id").into_bytes();
            with_cookie.extend(datagram);
            client.send(&with_cookie);
        }
    }
    ping(&mut relay.client());
    assert_eq!(relay.relay().sessions(), 0);
}

#[test]
fn shutdown_is_quick_with_calls_in_progress() {
    let relay = TestRelay::start_with("127.13.0.5", |config| config.workers = 2);
    let mut proxy = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    for number in 0..50 {
        proxy.sdp_of(&offer(&format!("call-{number}"), "a", &sdp));
    }
    let begun = Instant::now();
    relay.shutdown();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn an_idle_relay_sleeps() {
    let relay = TestRelay::start("127.13.0.6");
    ping(&mut relay.client());
    // Two publications of counters end whatever the start has left to do.
    std::thread::sleep(Duration::from_millis(2500));
    let before = relay.relay().counters().net.wakeups;
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(relay.relay().counters().net.wakeups, before);
}
