//! Which engine comes to serve which peer, and what is remembered of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::PacketBuf;

use super::super::record::{ALERT, fatal_alert};
use super::super::testing::{
    Dice, Fate, Key, Pair, Peer, PeerSettings, exchange, handshake, identity,
};
use super::*;
use crate::dtls::{DtlsEvent, Verdict};
use crate::testing::epoch;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 49));
const BOTH: [DtlsRole; 2] = [DtlsRole::Client, DtlsRole::Server];

fn engine(config: &DtlsConfig, role: DtlsRole, now: Instant) -> Box<dyn DtlsEngine> {
    new_engine(config, &identity(), role, Some(PEER), now)
}

/// A configuration under which PEER is known to be served by the first engine, as it was until now.
fn knows_peer(now: Instant) -> DtlsConfig {
    let config = DtlsConfig::new().unwrap();
    config.memory().note(PEER, Verdict::Suits, now);
    config
}

/// The peers of whom the first engine has to say a sentence.
fn difficult() -> [PeerSettings; 3] {
    [
        PeerSettings {
            key: Key::Rsa,
            ..PeerSettings::default()
        },
        PeerSettings {
            srtp: Some("SRTP_AES128_CM_SHA1_32"),
            ..PeerSettings::default()
        },
        PeerSettings {
            extended_master_secret: false,
            ..PeerSettings::default()
        },
    ]
}

fn is_connected(event: Option<&DtlsEvent>) -> bool {
    matches!(event, Some(DtlsEvent::Connected { .. }))
}

#[test]
fn the_first_engine_serves_clients_that_offer_what_browsers_offer() {
    let start = epoch();
    let config = DtlsConfig::new().unwrap();
    let browser = PeerSettings {
        ciphers: Some(
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA",
        ),
        ..PeerSettings::default()
    };
    let mut peer = Peer::new(DtlsRole::Client, &browser);
    let mut server = engine(&config, DtlsRole::Server, start);
    let event = handshake(&mut *server, &mut peer, start);
    assert!(is_connected(event.as_ref()), "{event:?}");
    assert!(format!("{server:?}").contains("first"), "{server:?}");
}

#[test]
fn the_first_engine_serves_servers_that_have_shown_that_it_can() {
    let start = epoch();
    let config = DtlsConfig::new().unwrap();
    for expected in ["second", "first", "first"] {
        let mut peer = Peer::new(DtlsRole::Server, &PeerSettings::default());
        let mut client = engine(&config, DtlsRole::Client, start);
        let event = handshake(&mut *client, &mut peer, start);
        assert!(is_connected(event.as_ref()), "{event:?}");
        assert!(format!("{client:?}").contains(expected), "{client:?}");
        assert_eq!(config.memory().verdict(PEER, start), Some(Verdict::Suits));
    }
}

#[test]
fn difficult_clients_get_the_second_engine_before_there_is_state() {
    let start = epoch();
    for settings in difficult() {
        let config = DtlsConfig::new().unwrap();
        let mut peer = Peer::new(DtlsRole::Client, &settings);
        let mut server = engine(&config, DtlsRole::Server, start);
        let event = handshake(&mut *server, &mut peer, start);
        assert!(is_connected(event.as_ref()), "{settings:?}: {event:?}");
        assert!(peer.failures.is_empty(), "{:?}", peer.failures);
        assert!(format!("{server:?}").contains("second"), "{server:?}");
    }
}

/// Some of them do not survive a hello that they have to refuse, so they must not get one.
#[test]
fn difficult_servers_that_nobody_knows_refuse_nothing() {
    let start = epoch();
    for settings in difficult() {
        let config = DtlsConfig::new().unwrap();
        for _ in 0..2 {
            let mut peer = Peer::new(DtlsRole::Server, &settings);
            let mut client = engine(&config, DtlsRole::Client, start);
            let event = handshake(&mut *client, &mut peer, start);
            assert!(is_connected(event.as_ref()), "{settings:?}: {event:?}");
            assert!(peer.failures.is_empty(), "{:?}", peer.failures);
            assert_eq!(config.memory().verdict(PEER, start), None);
        }
    }
}

#[test]
fn servers_that_have_become_difficult_get_the_second_engines_hello_at_once() {
    let start = epoch();
    for settings in difficult() {
        let config = knows_peer(start);
        for failures in [1, 0] {
            let mut peer = Peer::new(DtlsRole::Server, &settings);
            let mut client = engine(&config, DtlsRole::Client, start);
            client.handle_timeout(start);
            // Everything happens without a moment passing.
            for _ in 0..6 {
                exchange(start, &mut *client, &mut peer);
            }
            let event = client.poll_event();
            assert!(is_connected(event.as_ref()), "{settings:?}: {event:?}");
            assert_eq!(peer.failures.len(), failures, "{:?}", peer.failures);
            assert_eq!(config.memory().verdict(PEER, start), Some(Verdict::Fails));
        }
    }
}

/// Its hello does not betray that its certificate is RSA.
#[test]
fn a_client_whose_rsa_certificate_shows_too_late_is_served_the_next_time() {
    let start = epoch();
    let config = DtlsConfig::new().unwrap();
    let settings = PeerSettings {
        key: Key::Rsa,
        ciphers: Some("ECDHE-ECDSA-AES128-GCM-SHA256"),
        ..PeerSettings::default()
    };
    let mut peer = Peer::new(DtlsRole::Client, &settings);
    let mut server = engine(&config, DtlsRole::Server, start);
    let event = handshake(&mut *server, &mut peer, start);
    let Some(DtlsEvent::Failed { reason }) = &event else {
        panic!("{event:?}");
    };
    assert!(reason.contains("RSA"), "{reason}");
    assert_eq!(config.memory().verdict(PEER, start), Some(Verdict::Fails));
    // It hears of it, and tries again.
    exchange(start, &mut *server, &mut peer);
    assert_eq!(peer.failures.len(), 1);
    let mut server = engine(&config, DtlsRole::Server, start);
    let event = handshake(&mut *server, &mut peer, start);
    assert!(is_connected(event.as_ref()), "{event:?}");
}

#[test]
fn a_fixed_choice_is_not_given_up() {
    let start = epoch();
    let [rsa, ..] = difficult();
    let dimpl = DtlsConfig::new().unwrap();
    let dimpl = dimpl.with_engine(EngineChoice::Dimpl).unwrap();
    let mut peer = Peer::new(DtlsRole::Server, &rsa);
    let mut client = engine(&dimpl, DtlsRole::Client, start);
    let event = handshake(&mut *client, &mut peer, start);
    assert!(matches!(event, Some(DtlsEvent::Failed { .. })), "{event:?}");

    let openssl = dimpl.with_engine(EngineChoice::Openssl).unwrap();
    let mut peer = Peer::new(DtlsRole::Server, &rsa);
    let mut client = engine(&openssl, DtlsRole::Client, start);
    let event = handshake(&mut *client, &mut peer, start);
    assert!(is_connected(event.as_ref()), "{event:?}");
    assert!(peer.failures.is_empty());
}

#[test]
fn a_forged_refusal_does_not_keep_the_first_engine_from_its_answer() {
    let start = epoch();
    let config = knows_peer(start);
    let server = config.with_engine(EngineChoice::Dimpl).unwrap();
    let mut client = engine(&config, DtlsRole::Client, start);
    let mut server = engine(&server, DtlsRole::Server, start);
    let mut packet = PacketBuf::new();
    client.handle_timeout(start);
    assert!(client.poll_datagram(&mut packet));
    // The hello is answered; the second hello, which follows the forgery, is lost.
    server.handle_datagram(start, &packet);
    client.handle_datagram(start, &fatal_alert(40));
    assert!(format!("{client:?}").contains("refused"), "{client:?}");
    while client.poll_datagram(&mut packet) {}
    for _ in 0..4 {
        while server.poll_datagram(&mut packet) {
            client.handle_datagram(start, &packet);
        }
        while client.poll_datagram(&mut packet) {
            assert_ne!(packet[0], ALERT);
            server.handle_datagram(start, &packet);
        }
    }
    assert!(is_connected(client.poll_event().as_ref()));
    assert!(is_connected(server.poll_event().as_ref()));
    assert_ne!(config.memory().verdict(PEER, start), Some(Verdict::Fails));
}

#[test]
fn a_peer_that_refuses_both_engines_is_refused_and_forgotten() {
    let start = epoch();
    let config = knows_peer(start);
    let settings = PeerSettings {
        srtp: None,
        ..PeerSettings::default()
    };
    let mut peer = Peer::new(DtlsRole::Server, &settings);
    let mut client = engine(&config, DtlsRole::Client, start);
    let event = handshake(&mut *client, &mut peer, start);
    let Some(DtlsEvent::Failed { reason }) = &event else {
        panic!("{event:?}");
    };
    assert!(reason.contains("no SRTP protection profile"), "{reason}");
    assert!(reason.contains("SRTP_AES128_CM_HMAC_SHA1_32"), "{reason}");
    assert_ne!(config.memory().verdict(PEER, start), Some(Verdict::Fails));
}

/// A refusal by a peer that stays silent afterwards ends like any other handshake.
#[test]
fn a_refused_handshake_ends() {
    let start = epoch();
    let mut client = engine(&knows_peer(start), DtlsRole::Client, start);
    client.handle_timeout(start);
    client.handle_datagram(start, &fatal_alert(40));
    let mut packet = PacketBuf::new();
    while client.poll_datagram(&mut packet) {}
    client.handle_datagram(start, &fatal_alert(40));
    let mut last = start;
    while let Some(next) = client.poll_timeout() {
        assert!(next >= last);
        last = next;
        client.handle_timeout(next);
        while client.poll_datagram(&mut packet) {}
    }
    assert!(matches!(
        client.poll_event(),
        Some(DtlsEvent::Failed { .. })
    ));
    assert!(last - start <= Duration::from_secs(3), "{:?}", last - start);
}

/// rtpengine 10.5 with an RSA certificate is such a peer.
#[test]
fn a_server_that_meets_a_known_hello_with_silence_gets_another_the_next_time() {
    let start = epoch();
    let config = knows_peer(start);
    let mut client = engine(&config, DtlsRole::Client, start);
    client.handle_timeout(start);
    drop(client);
    assert_eq!(config.memory().verdict(PEER, start), None);
    // Once connected nothing is forgotten.
    for _ in 0..3 {
        let mut peer = Peer::new(DtlsRole::Server, &PeerSettings::default());
        let mut client = engine(&config, DtlsRole::Client, start);
        let event = handshake(&mut *client, &mut peer, start);
        assert!(is_connected(event.as_ref()), "{event:?}");
        drop(client);
        assert_eq!(config.memory().verdict(PEER, start), Some(Verdict::Suits));
    }
}

#[test]
fn two_that_choose_agree_over_a_lossy_path() {
    for seed in 0..60 {
        let start = epoch();
        let loss = f64::from(seed as u32 % 7) * 0.05;
        let config = if seed % 2 == 0 {
            knows_peer(start)
        } else {
            DtlsConfig::new().unwrap()
        };
        let engines = BOTH.map(|role| engine(&config, role, start));
        let mut pair = Pair::of(engines, start);
        let mut dice = Dice(seed);
        pair.run(Duration::from_secs(20), |_, _| {
            if dice.roll() < loss {
                Fate::Lost
            } else {
                Fate::Delivered
            }
        });
        assert!(pair.connected_after().is_some(), "seed {seed}");
    }
}

#[test]
fn without_an_address_nothing_is_remembered() {
    let start = epoch();
    let config = DtlsConfig::new().unwrap();
    let [rsa, ..] = difficult();
    let mut peer = Peer::new(DtlsRole::Server, &rsa);
    let mut client = new_engine(
        &config,
        &Arc::clone(&identity()),
        DtlsRole::Client,
        None,
        start,
    );
    let event = handshake(&mut *client, &mut peer, start);
    assert!(is_connected(event.as_ref()), "{event:?}");
    assert_ne!(config.memory().verdict(PEER, start), Some(Verdict::Fails));
}
