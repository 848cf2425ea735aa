//! Two of our engines over a path that loses datagrams by seed, and one of ours against OpenSSL.

mod openssl_peer;

use std::time::Duration;

use proptest::prelude::*;
use relay_packet::PacketBuf;

use super::super::record::{ALERT, CERTIFICATE, CLIENT_HELLO};
use super::super::retransmission::{ALERT_GRACE, GIVE_UP_AFTER, LAST_FLIGHT_REPEATS};
use super::super::testing::{DELAY, Dice, End, Fate, Pair, identity};
use super::super::{DtlsConfig, DtlsEngine, DtlsEvent, DtlsSettings};
use super::*;
use crate::dtls::FingerprintHash;
use crate::srtp::SrtpProfile;
use crate::testing::epoch;

fn config(versions: DtlsVersions) -> DtlsConfig {
    DtlsConfig::with_settings(&DtlsSettings {
        versions,
        ..DtlsSettings::default()
    })
    .unwrap()
}

/// This engine, whatever would be chosen.
fn boxed(
    config: &DtlsConfig,
    identity: &Arc<DtlsIdentity>,
    role: DtlsRole,
    now: Instant,
) -> Box<dyn DtlsEngine> {
    Box::new(DimplEngine::new(&config.dimpl, identity, role, now))
}

fn new_pair() -> Pair {
    pair_with([DtlsVersions::Only12; 2])
}

fn pair_with([client, server]: [DtlsVersions; 2]) -> Pair {
    let start = epoch();
    let engines = [(DtlsRole::Client, client), (DtlsRole::Server, server)]
        .map(|(role, versions)| boxed(&config(versions), &identity(), role, start));
    Pair::of(engines, start)
}

#[test]
fn a_clean_path_takes_two_round_trips() {
    let mut pair = new_pair();
    pair.run(Duration::from_secs(1), |_, _| Fate::Delivered);
    assert_eq!(pair.connected_after(), Some(DELAY * 4));
    assert_eq!(pair.ends[1].connected_after(pair.start), Some(DELAY * 3));
    let Some((
        _,
        DtlsEvent::Connected {
            version,
            cipher,
            profile,
            peer_certificate_der,
            ..
        },
    )) = &pair.ends[0].event
    else {
        panic!("not connected");
    };
    assert_eq!(version, "DTLS 1.2");
    assert!(cipher.starts_with("TLS_ECDHE_ECDSA_WITH_AES_"), "{cipher}");
    assert_eq!(*profile, SrtpProfile::AeadAes256Gcm);
    assert!(!peer_certificate_der.is_empty());
}

#[test]
fn the_peer_certificate_is_the_one_announced() {
    let (ours, theirs) = (identity(), identity());
    let mut pair = new_pair();
    let config = DtlsConfig::new().unwrap();
    pair.ends[0].engine = boxed(&config, &ours, DtlsRole::Client, pair.start);
    pair.ends[1].engine = boxed(&config, &theirs, DtlsRole::Server, pair.start);
    pair.run(Duration::from_secs(1), |_, _| Fate::Delivered);
    let certificates = pair.ends.each_ref().map(|end| match &end.event {
        Some((
            _,
            DtlsEvent::Connected {
                peer_certificate_der,
                ..
            },
        )) => peer_certificate_der.clone(),
        other => panic!("{other:?}"),
    });
    assert!(
        theirs
            .fingerprint(FingerprintHash::Sha256)
            .matches(&certificates[0])
    );
    assert!(
        ours.fingerprint(FingerprintHash::Sha256)
            .matches(&certificates[1])
    );
}

#[test]
fn lossy_paths_of_two_hundred_seeds_all_connect() {
    let mut slowest = Duration::ZERO;
    for seed in 0..200 {
        let loss = f64::from(seed as u32 % 7) * 0.05;
        let mut dice = Dice(seed);
        let mut pair = new_pair();
        pair.run(Duration::from_secs(20), |_, _| {
            let roll = dice.roll();
            match roll {
                _ if roll < loss => Fate::Lost,
                // Some overtake others.
                _ if dice.roll() < 0.1 => Fate::Delayed(Duration::from_millis(60)),
                _ => Fate::Delivered,
            }
        });
        let after = pair.connected_after();
        let after = after.unwrap_or_else(|| {
            panic!(
                "seed {seed}, loss {loss}: {:?}",
                pair.ends.each_ref().map(|end| &end.event)
            )
        });
        slowest = slowest.max(after);
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[test]
fn ten_percent_loss_delays_few_handshakes_by_much() {
    let mut delays: Vec<Duration> = (0..200)
        .map(|seed| {
            let mut dice = Dice(1000 + seed);
            let mut pair = new_pair();
            pair.run(Duration::from_secs(20), |_, _| {
                if dice.roll() < 0.1 {
                    Fate::Lost
                } else {
                    Fate::Delivered
                }
            });
            pair.connected_after().unwrap() - DELAY * 4
        })
        .collect();
    delays.sort_unstable();
    println!(
        "median {:?}, p95 {:?}, max {:?}",
        delays[100], delays[190], delays[199]
    );
    assert!(
        delays[190] <= Duration::from_millis(150),
        "{:?}",
        &delays[180..]
    );
}

/// Loses the first datagram of one flight and says how much later than on a clean path both ends had keys.
fn delay_after_losing(sender: usize, mark: (u8, u8)) -> Duration {
    let mut pair = new_pair();
    let mut lost = false;
    pair.run(Duration::from_secs(5), |from, datagram| {
        let (content_type, message_type, _) = flight_mark(datagram);
        if !lost && from == sender && (content_type, message_type) == mark {
            lost = true;
            return Fate::Lost;
        }
        Fate::Delivered
    });
    assert!(lost, "no such datagram");
    pair.connected_after().unwrap() - DELAY * 4
}

const RECOVERY: Duration = Duration::from_millis(150);

#[test]
fn a_lost_client_hello_costs_little() {
    assert!(delay_after_losing(0, (HANDSHAKE, CLIENT_HELLO)) <= RECOVERY);
}

#[test]
fn a_lost_server_flight_costs_little() {
    assert!(delay_after_losing(1, (HANDSHAKE, SERVER_HELLO)) <= RECOVERY);
}

#[test]
fn a_lost_client_flight_costs_little() {
    assert!(delay_after_losing(0, (HANDSHAKE, CERTIFICATE)) <= RECOVERY);
}

#[test]
fn a_lost_finished_costs_little() {
    assert!(delay_after_losing(1, (CHANGE_CIPHER_SPEC, 0)) <= RECOVERY);
}

#[test]
fn an_unanswered_hello_is_repeated_on_our_schedule() {
    let mut pair = new_pair();
    let mut times = Vec::new();
    let start = pair.start;
    let config = DtlsConfig::new().unwrap();
    let mut client = boxed(&config, &identity(), DtlsRole::Client, start);
    let mut packet = PacketBuf::new();
    while let Some(next) = client
        .poll_timeout()
        .filter(|next| *next < start + Duration::from_secs(40))
    {
        pair.now = next;
        client.handle_timeout(next);
        while client.poll_datagram(&mut packet) {
            times.push((next - start).as_millis());
        }
    }
    assert_eq!(times[..7], [0, 50, 150, 350, 750, 1150, 1550]);
    let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(widest, Some(400), "{times:?}");
    assert!(client.poll_event().is_none());
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let mut pair = new_pair();
    pair.run(Duration::from_secs(90), |_, _| Fate::Lost);
    let Some((at, DtlsEvent::Failed { reason })) = &pair.ends[0].event else {
        panic!("{:?}", pair.ends[0].event);
    };
    assert_eq!(*at - pair.start, GIVE_UP_AFTER);
    assert_eq!(
        reason,
        "the peer did not finish the DTLS handshake within a minute"
    );
    assert!(pair.ends[1].event.is_none());
    assert_eq!(pair.ends[0].engine.poll_timeout(), None);
}

#[test]
fn a_peer_that_vanishes_in_the_middle_is_given_up() {
    let mut pair = new_pair();
    let mut hellos = 0;
    pair.run(Duration::from_secs(120), |from, datagram| {
        let hello = from == 0 && flight_mark(datagram).1 == CLIENT_HELLO;
        hellos += u32::from(hello);
        if hello && hellos <= 3 {
            Fate::Delivered
        } else {
            Fate::Lost
        }
    });
    let Some((at, DtlsEvent::Failed { reason })) = &pair.ends[1].event else {
        panic!("{:?}", pair.ends[1].event);
    };
    assert!(
        *at - pair.start > Duration::from_secs(50),
        "{:?}",
        *at - pair.start
    );
    assert_eq!(
        reason,
        "the peer did not finish the DTLS handshake within a minute"
    );
}

#[test]
fn a_repeated_client_flight_is_answered_by_a_finished_server() {
    let mut pair = new_pair();
    pair.run(Duration::from_secs(5), |from, datagram| {
        let last_flight = from == 1 && flight_mark(datagram).0 == CHANGE_CIPHER_SPEC;
        if last_flight {
            Fate::Lost
        } else {
            Fate::Delivered
        }
    });
    // The server has ended its own repeats by now; the client asks every 400 ms.
    assert!(pair.ends[1].connected_after(pair.start).is_some());
    assert!(pair.connected_after().is_none());
    let healed = pair.now;
    pair.run(Duration::from_secs(10), |_, _| Fate::Delivered);
    let after = pair.connected_after().unwrap() - (healed - pair.start);
    assert!(after <= Duration::from_millis(400) + DELAY * 2, "{after:?}");
}

#[test]
fn the_last_flight_is_repeated_unasked() {
    let mut pair = new_pair();
    pair.run(DELAY * 4, |_, _| Fate::Delivered);
    assert!(pair.connected_after().is_some());
    let before = pair.sent[1];
    pair.run(Duration::from_secs(30), |_, _| Fate::Delivered);
    assert!(
        pair.ends
            .iter()
            .all(|end| end.engine.poll_timeout().is_none())
    );
    let repeats = pair.sent[1] - before;
    assert!(
        (4..=LAST_FLIGHT_REPEATS as usize).contains(&repeats),
        "{repeats}"
    );
}

#[test]
fn strays_and_repetitions_kill_neither_end() {
    let mut pair = new_pair();
    let mut seen: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut dice = Dice(7);
    let garbage = |dice: &mut Dice| -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..200).map(|_| (dice.roll() * 256.0) as u8).collect();
        let content_type = 20 + (dice.roll() * 7.0) as u8;
        bytes[..5].copy_from_slice(&[content_type, 0xfe, 0xfd, 0, (dice.roll() * 3.0) as u8]);
        bytes[11..13].copy_from_slice(&187u16.to_be_bytes());
        bytes
    };
    // Before the first flight of the peer, and again after both are connected.
    for _ in 0..100 {
        for index in 0..2 {
            let stray = garbage(&mut dice);
            pair.ends[index].engine.handle_datagram(pair.start, &stray);
        }
    }
    pair.run(Duration::from_secs(2), |from, datagram| {
        seen.push((from, datagram.to_vec()));
        Fate::Delivered
    });
    assert!(
        pair.connected_after().is_some(),
        "{:?}",
        pair.ends.each_ref().map(|end| &end.event)
    );
    for round in 0..20 {
        let now = pair.now + Duration::from_secs(round);
        for (from, datagram) in &seen {
            pair.ends[1 - from].engine.handle_datagram(now, datagram);
            // Reflected to its own sender, too.
            pair.ends[*from].engine.handle_datagram(now, datagram);
            let stray = garbage(&mut dice);
            pair.ends[*from].engine.handle_datagram(now, &stray);
        }
    }
    pair.run(Duration::from_secs(100), |_, _| Fate::Delivered);
    assert!(pair.connected_after().is_some());
}

#[test]
fn a_client_that_starts_again_is_heard() {
    let mut pair = new_pair();
    // The first client gets as far as the server's flight, and is gone.
    pair.run(Duration::from_millis(70), |_, _| Fate::Delivered);
    assert!(pair.sent[1] > 0);
    pair.path.clear();
    pair.ends[0].engine = boxed(
        &DtlsConfig::new().unwrap(),
        &identity(),
        DtlsRole::Client,
        pair.now,
    );
    pair.run(Duration::from_millis(70) + DELAY * 4, |_, _| {
        Fate::Delivered
    });
    assert!(
        pair.connected_after().is_some(),
        "{:?}",
        pair.ends.each_ref().map(|end| &end.event)
    );
}

fn version(end: &End) -> &str {
    match &end.event {
        Some((_, DtlsEvent::Connected { version, .. })) => version,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_is_the_highest_that_both_speak() {
    use DtlsVersions::{Only12, UpTo13};
    for (versions, expected) in [
        ([Only12, UpTo13], "DTLS 1.2"),
        ([UpTo13, Only12], "DTLS 1.2"),
        ([UpTo13, UpTo13], "DTLS 1.3"),
    ] {
        let mut pair = pair_with(versions);
        pair.run(Duration::from_secs(5), |_, _| Fate::Delivered);
        assert!(pair.connected_after().is_some(), "{versions:?}");
        assert!(
            pair.ends.iter().all(|end| version(end) == expected),
            "{versions:?}"
        );
        let Some((_, DtlsEvent::Connected { cipher, .. })) = &pair.ends[0].event else {
            panic!()
        };
        assert!(cipher.starts_with("TLS_"), "{cipher}");
        assert!(
            pair.ends
                .iter()
                .all(|end| end.engine.poll_timeout().is_none())
        );
    }
}

#[test]
fn version_13_gets_through_loss_too() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let mut pair = pair_with([DtlsVersions::UpTo13; 2]);
        pair.run(Duration::from_secs(20), |_, _| {
            if dice.roll() < 0.2 {
                Fate::Lost
            } else {
                Fate::Delivered
            }
        });
        assert!(
            pair.connected_after().is_some(),
            "seed {seed}: {:?}",
            pair.ends.each_ref().map(|end| &end.event)
        );
    }
}

#[test]
fn every_datagram_twice_and_late_changes_nothing() {
    let mut pair = new_pair();
    let mut again: Vec<(usize, Vec<u8>)> = Vec::new();
    for _ in 0..200 {
        pair.run(
            pair.now - pair.start + Duration::from_millis(10),
            |from, datagram| {
                again.push((from, datagram.to_vec()));
                Fate::Delivered
            },
        );
        pair.now += Duration::from_millis(10);
        for (from, datagram) in again.drain(..) {
            pair.path
                .push((pair.now + DELAY, 1 - from, datagram.clone()));
            pair.path.push((pair.now + DELAY * 5, 1 - from, datagram));
        }
    }
    assert!(pair.connected_after().is_some());
    assert!(pair.sent.iter().all(|sent| *sent < 60), "{:?}", pair.sent);
}

#[test]
fn a_refusal_counts_after_a_moment_of_grace() {
    let alert = [ALERT, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let mut pair = new_pair();
    pair.ends[0].engine.handle_timeout(pair.start);
    pair.ends[0].engine.handle_datagram(pair.start, &alert);
    pair.run(Duration::from_secs(10), |_, _| Fate::Lost);
    let Some((at, DtlsEvent::Failed { reason })) = &pair.ends[0].event else {
        panic!("{:?}", pair.ends[0].event);
    };
    assert_eq!(*at - pair.start, ALERT_GRACE);
    assert!(
        reason.contains("handshake_failure (40)") && reason.contains("RSA"),
        "{reason}"
    );

    let mut pair = new_pair();
    pair.ends[0].engine.handle_timeout(pair.start);
    pair.ends[0].engine.handle_datagram(pair.start, &alert);
    pair.run(Duration::from_secs(10), |_, _| Fate::Delivered);
    assert!(
        pair.connected_after().is_some(),
        "a forged alert stopped the handshake"
    );
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
