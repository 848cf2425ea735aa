//! Two of these engines, or one and the first engine, over a path that loses datagrams by seed; and one against OpenSSL itself.

mod openssl_peer;

use std::time::Duration;

use proptest::prelude::*;
use relay_packet::PacketBuf;

use super::super::certificate::{CertificateKey, CertificateSettings};
use super::super::record::{ALERT, CHANGE_CIPHER_SPEC, records};
use super::super::retransmission::LAST_FLIGHT_REPEATS;
use super::super::testing::{DELAY, Dice, Fate, Pair, identity, identity_with};
use super::super::{
    DtlsConfig, DtlsEngine, DtlsEvent, DtlsSettings, EngineChoice, choice::new_engine,
};
use super::*;
use crate::srtp::SrtpProfile;
use crate::testing::epoch;

fn config(settings: &DtlsSettings) -> DtlsConfig {
    DtlsConfig::with_settings(settings).unwrap()
}

fn boxed(
    config: &DtlsConfig,
    identity: &DtlsIdentity,
    role: DtlsRole,
    now: Instant,
) -> Box<dyn DtlsEngine> {
    Box::new(OpensslEngine::new(&config.openssl, identity, role, now))
}

/// One RSA key for all tests: it takes long to make.
fn rsa_identity() -> Arc<DtlsIdentity> {
    static IDENTITY: std::sync::OnceLock<Arc<DtlsIdentity>> = std::sync::OnceLock::new();
    let settings = CertificateSettings {
        key: CertificateKey::Rsa { bits: 2048 },
        ..CertificateSettings::default()
    };
    IDENTITY.get_or_init(|| identity_with(&settings)).clone()
}

/// Two of this engine.
fn new_pair() -> Pair {
    let start = epoch();
    let config = config(&DtlsSettings::default());
    let engines =
        [DtlsRole::Client, DtlsRole::Server].map(|role| boxed(&config, &identity(), role, start));
    Pair::of(engines, start)
}

/// This engine in `role`, the first engine in the other.
fn mixed_pair(role: DtlsRole) -> Pair {
    let start = epoch();
    let engines = [DtlsRole::Client, DtlsRole::Server].map(|each| {
        let engine = if each == role {
            EngineChoice::Openssl
        } else {
            EngineChoice::Dimpl
        };
        let config = DtlsConfig::new().unwrap().with_engine(engine).unwrap();
        new_engine(&config, &identity(), each, None, start)
    });
    Pair::of(engines, start)
}

fn first_type(datagram: &[u8]) -> (u8, u8) {
    let record = records(datagram).next().unwrap();
    let message = record.handshake_fragments().next();
    let is_clear = record.content_type == HANDSHAKE && record.epoch == 0;
    let message_type = message.filter(|_| is_clear).map_or(0, |m| m.message_type);
    (record.content_type, message_type)
}

#[test]
fn a_clean_path_takes_two_round_trips() {
    for mut pair in [
        new_pair(),
        mixed_pair(DtlsRole::Client),
        mixed_pair(DtlsRole::Server),
    ] {
        pair.run(Duration::from_secs(1), |_, _| Fate::Delivered);
        assert_eq!(pair.connected_after(), Some(DELAY * 4));
        assert_eq!(pair.ends[1].connected_after(pair.start), Some(DELAY * 3));
        let Some((
            _,
            DtlsEvent::Connected {
                version,
                cipher,
                profile,
                ..
            },
        )) = &pair.ends[0].event
        else {
            panic!("not connected");
        };
        assert_eq!(version, "DTLS 1.2");
        assert!(cipher.starts_with("TLS_ECDHE_ECDSA_WITH_AES_"), "{cipher}");
        assert_eq!(*profile, SrtpProfile::AeadAes256Gcm);
    }
}

#[test]
fn lossy_paths_of_many_seeds_all_connect() {
    let mut slowest = Duration::ZERO;
    for seed in 0..120 {
        let loss = f64::from(seed as u32 % 7) * 0.05;
        let mut dice = Dice(seed);
        let mut pair = match seed % 3 {
            0 => new_pair(),
            1 => mixed_pair(DtlsRole::Client),
            _ => mixed_pair(DtlsRole::Server),
        };
        pair.run(Duration::from_secs(20), |_, _| {
            let roll = dice.roll();
            match roll {
                _ if roll < loss => Fate::Lost,
                // Some overtake others.
                _ if dice.roll() < 0.1 => Fate::Delayed(Duration::from_millis(60)),
                _ => Fate::Delivered,
            }
        });
        let after = pair.connected_after().unwrap_or_else(|| {
            panic!(
                "seed {seed}, loss {loss}: {:?}",
                pair.ends.each_ref().map(|end| &end.event)
            )
        });
        slowest = slowest.max(after);
    }
    assert!(slowest < Duration::from_secs(6), "{slowest:?}");
}

#[test]
fn each_flight_that_is_lost_costs_little() {
    for (sender, mark) in [
        (0, (HANDSHAKE, super::super::record::CLIENT_HELLO)),
        (1, (HANDSHAKE, super::super::record::SERVER_HELLO)),
        (0, (HANDSHAKE, super::super::record::CERTIFICATE)),
        (1, (CHANGE_CIPHER_SPEC, 0)),
    ] {
        let mut pair = new_pair();
        let mut is_lost = false;
        pair.run(Duration::from_secs(5), |from, datagram| {
            let loses = !is_lost && from == sender && first_type(datagram) == mark;
            is_lost |= loses;
            if loses { Fate::Lost } else { Fate::Delivered }
        });
        assert!(is_lost, "no such datagram: {mark:?}");
        let delay = pair.connected_after().unwrap() - DELAY * 4;
        assert!(delay <= Duration::from_millis(150), "{mark:?}: {delay:?}");
    }
}

#[test]
fn an_unanswered_hello_is_repeated_on_our_schedule() {
    let start = epoch();
    let config = config(&DtlsSettings::default());
    let mut client = boxed(&config, &identity(), DtlsRole::Client, start);
    let mut times = Vec::new();
    let mut packet = PacketBuf::new();
    while let Some(next) = client.poll_timeout() {
        client.handle_timeout(next);
        while client.poll_datagram(&mut packet) {
            times.push((next - start).as_millis());
        }
    }
    assert_eq!(times[..7], [0, 50, 150, 350, 750, 1150, 1550]);
    let Some(DtlsEvent::Failed { reason }) = client.poll_event() else {
        panic!()
    };
    assert!(reason.contains("within a minute"), "{reason}");
}

#[test]
fn every_datagram_twice_and_late_changes_nothing() {
    let mut pair = new_pair();
    let mut again: Vec<(usize, Vec<u8>)> = Vec::new();
    for _ in 0..200 {
        let until = pair.now - pair.start + Duration::from_millis(10);
        pair.run(until, |from, datagram| {
            again.push((from, datagram.to_vec()));
            Fate::Delivered
        });
        pair.now += Duration::from_millis(10);
        for (from, datagram) in again.drain(..) {
            for delay in [DELAY, DELAY * 5] {
                pair.path
                    .push((pair.now + delay, 1 - from, datagram.clone()));
            }
        }
    }
    assert!(pair.connected_after().is_some());
    assert!(pair.sent.iter().all(|sent| *sent < 60), "{:?}", pair.sent);
}

#[test]
fn strays_of_all_kinds_kill_neither_end() {
    let mut pair = new_pair();
    let mut dice = Dice(7);
    let mut strays: Vec<Vec<u8>> = (0..100)
        .map(|_| {
            let mut bytes: Vec<u8> = (0..200).map(|_| (dice.roll() * 256.0) as u8).collect();
            let content_type = 20 + (dice.roll() * 7.0) as u8;
            bytes[..5].copy_from_slice(&[content_type, 0xfe, 0xfd, 0, (dice.roll() * 3.0) as u8]);
            bytes[11..13].copy_from_slice(&187u16.to_be_bytes());
            bytes
        })
        .collect();
    strays.push(CHANGE_CIPHER_SPEC_RECORD.to_vec());
    strays.push(vec![ALERT, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0]);
    let mut last_end = pair.start;
    // Strays before and between all flights.
    for step in 0..20 {
        for index in 0..2 {
            for stray in &strays {
                pair.ends[index].engine.handle_datagram(last_end, stray);
            }
        }
        pair.run(DELAY * step, |_, _| Fate::Delivered);
        last_end = pair.now;
    }
    assert!(
        pair.connected_after().is_some(),
        "{:?}",
        pair.ends.each_ref().map(|end| &end.event)
    );
}

#[test]
fn a_client_with_another_random_begins_a_new_handshake() {
    let mut pair = new_pair();
    // The server answers somebody who then starts again.
    let config = config(&DtlsSettings::default());
    let mut lost = boxed(&config, &identity(), DtlsRole::Client, pair.start);
    lost.handle_timeout(pair.start);
    let mut packet = PacketBuf::new();
    assert!(lost.poll_datagram(&mut packet));
    pair.ends[1].engine.handle_datagram(pair.start, &packet);
    while pair.ends[1].engine.poll_datagram(&mut packet) {}
    pair.run(Duration::from_secs(2), |_, _| Fate::Delivered);
    assert!(pair.connected_after().is_some());
}

#[test]
fn the_last_flight_is_repeated_unasked_and_openssl_is_gone() {
    let start = epoch();
    let config = config(&DtlsSettings::default());
    let mut client = OpensslEngine::new(&config.openssl, &identity(), DtlsRole::Client, start);
    let mut server = OpensslEngine::new(&config.openssl, &identity(), DtlsRole::Server, start);
    client.handle_timeout(start);
    let mut packet = PacketBuf::new();
    for _ in 0..4 {
        while client.poll_datagram(&mut packet) {
            server.handle_datagram(start, &packet);
        }
        while server.poll_datagram(&mut packet) {
            client.handle_datagram(start, &packet);
        }
    }
    for engine in [&mut client, &mut server] {
        assert!(matches!(
            engine.poll_event(),
            Some(DtlsEvent::Connected { .. })
        ));
        assert!(engine.is_released());
    }
    assert_eq!(client.poll_timeout(), None);
    let mut repeats = 0;
    while let Some(next) = server.poll_timeout() {
        server.handle_timeout(next);
        while server.poll_datagram(&mut packet) {
            repeats += 1;
        }
    }
    assert_eq!(repeats, LAST_FLIGHT_REPEATS);
}

#[test]
fn no_datagram_is_longer_than_the_mtu() {
    for mtu in [DtlsSettings::LEAST_MTU, 548, DtlsSettings::LARGEST_MTU] {
        let start = epoch();
        let config = config(&DtlsSettings {
            mtu,
            ..DtlsSettings::default()
        });
        let engines = [DtlsRole::Client, DtlsRole::Server]
            .map(|role| boxed(&config, &rsa_identity(), role, start));
        let mut pair = Pair::of(engines, start);
        pair.mtu = mtu;
        pair.run(Duration::from_secs(2), |_, _| Fate::Delivered);
        assert!(pair.connected_after().is_some(), "{mtu}");
    }
}

#[test]
fn the_same_exists_with_rsa_on_both_sides() {
    let start = epoch();
    let config = DtlsConfig::new().unwrap();
    // The identity alone chooses the engine.
    let engines = [DtlsRole::Client, DtlsRole::Server]
        .map(|role| new_engine(&config, &rsa_identity(), role, None, start));
    let mut pair = Pair::of(engines, start);
    let mut dice = Dice(3);
    pair.run(Duration::from_secs(20), |_, _| {
        if dice.roll() < 0.2 {
            Fate::Lost
        } else {
            Fate::Delivered
        }
    });
    assert!(pair.connected_after().is_some());
    let Some((_, DtlsEvent::Connected { cipher, .. })) = &pair.ends[0].event else {
        panic!()
    };
    assert!(cipher.starts_with("TLS_ECDHE_RSA_WITH_"), "{cipher}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_datagram_is_taken_without_panic(
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..120), 20u8..27, 0u8..3, any::<bool>()), 1..30)
    ) {
        let start = epoch();
        let config = DtlsConfig::new().unwrap();
        let identity = identity();
        for role in [DtlsRole::Client, DtlsRole::Server] {
            let mut engine = boxed(&config, &identity, role, start);
            engine.handle_timeout(start);
            for (bytes, content_type, epoch, framed) in &datagrams {
                let mut datagram = bytes.clone();
                if *framed {
                    let len = (bytes.len() as u16).to_be_bytes();
                    datagram = [&[*content_type, 0xfe, 0xfd, 0, *epoch, 0, 0, 0, 0, 0, 0, len[0], len[1]], &bytes[..]].concat();
                }
                engine.handle_datagram(start, &datagram);
            }
        }
    }
}
