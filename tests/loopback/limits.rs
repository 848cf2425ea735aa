//! What happens when there is no more: ports, sessions.

use ng_protocol::{Outcome, Value};
use relay::config::Limits;
use tests::ng_client::{answer, command, offer, words};
use tests::{RtpPeer, TestRelay, sdp};

#[test]
fn the_text_for_no_more_ports_is_the_one_that_proxies_know() {
    // Four ports are one call: a pair towards each side.
    let relay = TestRelay::start_with("127.11.0.1", |config| config.ports = 20_000..=20_003);
    let mut proxy = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    proxy.sdp_of(&offer("first", "a", &sdp));
    let refused = proxy.ask(&offer("second", "a", &sdp));
    assert_eq!(refused.error_reason(), Some("Ran out of ports"));
    assert_eq!(
        relay.relay().sessions(),
        1,
        "a refused offer leaves no call"
    );
    assert_eq!(relay.media_sockets(), 4);

    let delete = command("delete", "first").with("delete-delay", 0i64);
    assert_eq!(proxy.ask(&delete).outcome(), Outcome::Ok);
    proxy.sdp_of(&offer("third", "a", &sdp));
}

#[test]
fn sessions_beyond_the_limit_are_refused_in_the_form_the_proxy_understands() {
    let relay = TestRelay::start_with("127.11.0.2", |config| config.limits.sessions = Some(1));
    let mut proxy = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    proxy.sdp_of(&offer("first", "a", &sdp));
    let text = "Parallel session limit reached";

    let opensips = proxy.ask(&offer("second", "a", &sdp));
    assert_eq!(opensips.error_reason(), Some(text));

    let kamailio = offer("second", "a", &sdp).with("supports", words(&["load limit"]));
    let kamailio = proxy.ask(&kamailio);
    assert_eq!(kamailio.outcome(), Outcome::LoadLimit);
    assert_eq!(
        kamailio.body().get("message").and_then(Value::as_str),
        Some(text)
    );

    // A call that is known already is never refused.
    proxy.sdp_of(&offer("first", "a", &sdp));
}

#[test]
fn a_limit_of_zero_drains() {
    let relay = TestRelay::start_with("127.11.0.3", |config| config.limits.sessions = Some(0));
    let mut proxy = relay.client();
    let peer = RtpPeer::new(relay.address, 1);
    let sdp = sdp::phone(peer.address());
    let refused = proxy.ask(&offer("first", "a", &sdp));
    assert_eq!(refused.outcome(), Outcome::Error);
    let ping = ng_protocol::Dictionary::new().with("command", "ping");
    assert_eq!(proxy.ask(&ping).outcome(), Outcome::Pong);
}

#[test]
fn every_limit_of_load_has_its_text() {
    // Any load is above a negative limit.
    for (address, limits, text) in [
        (
            "127.11.0.4",
            Limits {
                load: Some(-1.0),
                cpu: Some(-1.0),
                ..Limits::default()
            },
            "Load limit exceeded",
        ),
        (
            "127.11.0.5",
            Limits {
                cpu: Some(-1.0),
                ..Limits::default()
            },
            "CPU usage limit exceeded",
        ),
    ] {
        let relay = TestRelay::start_with(address, |config| config.limits = limits);
        let mut proxy = relay.client();
        let peer = RtpPeer::new(relay.address, 1);
        let sdp = sdp::phone(peer.address());
        let kamailio = offer("call", "a", &sdp).with("supports", words(&["load limit"]));
        let kamailio = proxy.ask(&kamailio);
        assert_eq!(kamailio.outcome(), Outcome::LoadLimit);
        let message = kamailio.body().get("message").and_then(Value::as_str);
        assert_eq!(message, Some(text));
        let opensips = proxy.ask(&offer("call", "a", &sdp));
        assert_eq!(
            opensips.error_reason(),
            Some("Parallel session limit reached"),
            "whatever the limit was: on this text the proxy goes to its next node"
        );
        assert_eq!(relay.relay().sessions(), 0);
    }
}

#[test]
fn bandwidth_beyond_the_limit_refuses_new_calls_and_only_those() {
    let relay = TestRelay::start_with("127.11.0.6", |config| {
        config.limits.bandwidth = Some(10_000);
    });
    let mut proxy = relay.client();
    let mut a = RtpPeer::new(relay.address, 1);
    let b = RtpPeer::new(relay.address, 2);
    let (a_sdp, b_sdp) = (sdp::phone(a.address()), sdp::phone(b.address()));
    proxy.sdp_of(&offer("first", "a", &a_sdp));
    let to_a = proxy.sdp_of(&answer("first", "a", "b", &b_sdp));
    let for_a = sdp::audio_address(&to_a);
    let mut number = 0;
    relay.eventually("a second call is refused", |_| {
        // A hundred packets of 172 bytes and more, many times a second.
        for _ in 0..100 {
            a.speak(for_a, b"busy");
        }
        number += 1;
        let call_id = format!("second-{number}");
        let refused = proxy.ask(&offer(&call_id, "a", &a_sdp));
        refused.error_reason() == Some("Parallel session limit reached")
    });
    proxy.sdp_of(&offer("first", "a", &a_sdp));
}
