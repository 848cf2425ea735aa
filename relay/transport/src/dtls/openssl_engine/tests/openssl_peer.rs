//! OpenSSL at the other end: the peers that the first engine cannot serve.

use openssl::ssl::SslVersion;

use super::super::super::keying::split_material;
use super::super::super::testing::{Key, Peer, PeerSettings, exchange, handshake};
use super::*;

fn meet(
    role: DtlsRole,
    identity: &DtlsIdentity,
    settings: &PeerSettings,
) -> (Box<dyn DtlsEngine>, Peer, Option<DtlsEvent>) {
    let start = epoch();
    let mut peer = Peer::new(role.other(), settings);
    let mut engine = boxed(&DtlsConfig::new().unwrap(), identity, role, start);
    let event = handshake(&mut *engine, &mut peer, start);
    (engine, peer, event)
}

/// The keys are the same on both sides, and the certificate is the peer's.
fn assert_agrees(role: DtlsRole, peer: &Peer, event: Option<DtlsEvent>) -> (String, SrtpProfile) {
    let Some(DtlsEvent::Connected {
        cipher,
        profile,
        inbound,
        outbound,
        peer_certificate_der,
        ..
    }) = event
    else {
        panic!("{event:?}, {:?}", peer.failures);
    };
    let ssl = peer.stream().ssl();
    let mut material = vec![0; 2 * (profile.key_len() + profile.salt_len())];
    ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None)
        .unwrap();
    let expected = split_material(profile, &material, role).unwrap();
    assert_eq!([inbound, outbound], expected);
    let certificate = ssl.certificate().unwrap().to_der().unwrap();
    assert_eq!(certificate, peer_certificate_der);
    (cipher, profile)
}

#[test]
fn peers_with_either_key_agree_with_either_of_ours() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for key in [Key::Ecdsa, Key::Rsa] {
            for identity in [identity(), rsa_identity()] {
                let settings = PeerSettings {
                    key,
                    ..PeerSettings::default()
                };
                let (_, peer, event) = meet(role, &identity, &settings);
                let (cipher, _) = assert_agrees(role, &peer, event);
                let server_is_rsa = match role {
                    DtlsRole::Client => key == Key::Rsa,
                    DtlsRole::Server => identity.is_rsa(),
                };
                assert_eq!(cipher.contains("_RSA_"), server_is_rsa, "{cipher}");
            }
        }
    }
}

#[test]
fn the_profile_with_the_short_tag_is_known() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let settings = PeerSettings {
            srtp: Some("SRTP_AES128_CM_SHA1_32"),
            ..PeerSettings::default()
        };
        let (_, peer, event) = meet(role, &identity(), &settings);
        let (_, profile) = assert_agrees(role, &peer, event);
        assert_eq!(profile, SrtpProfile::Aes128CmSha1_32);
    }
}

#[test]
fn peers_without_extended_master_secret_agree() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let settings = PeerSettings {
            extended_master_secret: false,
            ..PeerSettings::default()
        };
        let (_, peer, event) = meet(role, &identity(), &settings);
        assert_agrees(role, &peer, event);
    }
}

#[test]
fn a_cookie_and_small_pieces_are_no_obstacle() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let settings = PeerSettings {
            mtu: 256,
            cookie: true,
            key: Key::Rsa,
            ..PeerSettings::default()
        };
        let (_, peer, event) = meet(role, &identity(), &settings);
        assert_agrees(role, &peer, event);
    }
}

/// OpenSSL as server takes no copy of our Finished, and its own clock has not moved: only one that is sealed anew makes it answer.
#[test]
fn a_lost_last_flight_of_openssl_comes_again_at_our_first_repetition() {
    for ciphers in [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ] {
        let start = epoch();
        let settings = PeerSettings {
            ciphers: Some(ciphers),
            ..PeerSettings::default()
        };
        let mut peer = Peer::new(DtlsRole::Server, &settings);
        let config = DtlsConfig::new().unwrap();
        let mut client = boxed(&config, &identity(), DtlsRole::Client, start);
        client.handle_timeout(start);
        exchange(start, &mut *client, &mut peer);
        // Our Finished arrives, the answer does not.
        let mut packet = PacketBuf::new();
        while client.poll_datagram(&mut packet) {
            peer.receive(&packet);
        }
        assert!(peer.is_connected());
        peer.lose_answers();
        for step in [50, 150, 350] {
            assert!(client.poll_event().is_none());
            let due = client.poll_timeout().unwrap();
            assert_eq!((due - start).as_millis(), step);
            client.handle_timeout(due);
            if step < 350 {
                while client.poll_datagram(&mut packet) {
                    peer.receive(&packet);
                }
                assert!(
                    peer.lose_answers() > 0,
                    "{ciphers}: no answer after {step} ms"
                );
            } else {
                exchange(due, &mut *client, &mut peer);
            }
        }
        assert_agrees(DtlsRole::Client, &peer, client.poll_event());
    }
}

#[test]
fn openssl_survives_the_repeats_of_our_last_flight() {
    let (mut engine, mut peer, event) =
        meet(DtlsRole::Server, &identity(), &PeerSettings::default());
    assert_agrees(DtlsRole::Server, &peer, event);
    let mut repeats = 0;
    while let Some(now) = engine.poll_timeout() {
        engine.handle_timeout(now);
        exchange(now, &mut *engine, &mut peer);
        repeats += 1;
    }
    assert_eq!(repeats, LAST_FLIGHT_REPEATS);
    peer.stream();
}

fn failure(role: DtlsRole, settings: &PeerSettings) -> String {
    match meet(role, &identity(), settings).2 {
        Some(DtlsEvent::Failed { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_served_is_said_in_a_sentence() {
    let without_srtp = PeerSettings {
        srtp: None,
        ..PeerSettings::default()
    };
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let reason = failure(role, &without_srtp);
        assert!(reason.contains("no SRTP protection profile"), "{reason}");
    }
    let old = PeerSettings {
        version: SslVersion::DTLS1,
        ..PeerSettings::default()
    };
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let reason = failure(role, &old);
        assert!(
            reason.contains("DTLS 1.0") || reason.contains("protocol_version"),
            "{reason}"
        );
    }
    let rsa_suites = PeerSettings {
        key: Key::Rsa,
        ciphers: Some("ECDHE-RSA-AES128-GCM-SHA256"),
        ..PeerSettings::default()
    };
    let reason = failure(DtlsRole::Server, &rsa_suites);
    assert!(reason.contains("no DTLS cipher suite (0xC02F"), "{reason}");
}
