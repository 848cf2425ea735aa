//! OpenSSL at the other end.

use super::super::super::keying::split_material;
use super::super::super::testing::{Key, Peer, PeerSettings, exchange, handshake, identity};
use super::*;

/// A handshake of this engine in `role` with such a peer.
fn meet(role: DtlsRole, settings: &PeerSettings) -> (Box<dyn DtlsEngine>, Peer, Option<DtlsEvent>) {
    meet_with(DtlsVersions::Only12, role, settings)
}

fn meet_with(
    versions: DtlsVersions,
    role: DtlsRole,
    settings: &PeerSettings,
) -> (Box<dyn DtlsEngine>, Peer, Option<DtlsEvent>) {
    let start = epoch();
    let mut peer = Peer::new(role.other(), settings);
    let mut engine = boxed(&config(versions), &identity(), role, start);
    let event = handshake(&mut *engine, &mut peer, start);
    (engine, peer, event)
}

fn agrees_with_openssl(role: DtlsRole, profiles: &'static str, expected: SrtpProfile) {
    let settings = PeerSettings {
        srtp: Some(profiles),
        ..PeerSettings::default()
    };
    let (_, peer, event) = meet(role, &settings);
    let Some(DtlsEvent::Connected {
        engine,
        version,
        cipher,
        profile,
        inbound,
        outbound,
        peer_certificate_der,
    }) = event
    else {
        panic!("{event:?}");
    };
    assert_eq!((engine, version.as_str()), ("dimpl", "DTLS 1.2"));
    assert_eq!(profile, expected);
    let ssl = peer.stream().ssl();
    assert_eq!(
        Some(cipher.as_str()),
        ssl.current_cipher().unwrap().standard_name()
    );
    let mut material = vec![0; 2 * (profile.key_len() + profile.salt_len())];
    ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None)
        .unwrap();
    assert_eq!(
        [inbound, outbound],
        split_material(profile, &material, role).unwrap()
    );
    assert_eq!(
        ssl.certificate().unwrap().to_der().unwrap(),
        peer_certificate_der
    );
}

const BOTH: &str = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM";

#[test]
fn keys_agree_as_client_of_openssl() {
    agrees_with_openssl(DtlsRole::Client, BOTH, SrtpProfile::Aes128CmSha1_80);
    agrees_with_openssl(
        DtlsRole::Client,
        "SRTP_AEAD_AES_128_GCM",
        SrtpProfile::AeadAes128Gcm,
    );
    agrees_with_openssl(
        DtlsRole::Client,
        "SRTP_AEAD_AES_256_GCM",
        SrtpProfile::AeadAes256Gcm,
    );
}

#[test]
fn keys_agree_as_server_of_openssl() {
    agrees_with_openssl(DtlsRole::Server, BOTH, SrtpProfile::AeadAes128Gcm);
    agrees_with_openssl(
        DtlsRole::Server,
        "SRTP_AES128_CM_SHA1_80",
        SrtpProfile::Aes128CmSha1_80,
    );
    agrees_with_openssl(
        DtlsRole::Server,
        "SRTP_AEAD_AES_256_GCM",
        SrtpProfile::AeadAes256Gcm,
    );
}

#[test]
fn openssl_may_ask_for_a_cookie() {
    let settings = PeerSettings {
        cookie: true,
        ..PeerSettings::default()
    };
    let (_, peer, event) = meet(DtlsRole::Client, &settings);
    assert!(
        matches!(event, Some(DtlsEvent::Connected { .. })),
        "{event:?}"
    );
    peer.stream();
}

#[test]
fn openssl_may_cut_its_messages_into_pieces() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let settings = PeerSettings {
            mtu: 256,
            ..PeerSettings::default()
        };
        let (_, peer, event) = meet(role, &settings);
        assert!(
            matches!(event, Some(DtlsEvent::Connected { .. })),
            "{event:?}"
        );
        peer.stream();
    }
}

#[test]
fn openssl_agrees_on_version_12_when_more_are_offered() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let (_, peer, event) = meet_with(DtlsVersions::UpTo13, role, &PeerSettings::default());
        let Some(DtlsEvent::Connected {
            version, cipher, ..
        }) = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(version, "DTLS 1.2");
        let theirs = peer
            .stream()
            .ssl()
            .current_cipher()
            .unwrap()
            .standard_name();
        assert_eq!(theirs, Some(cipher.as_str()));
    }
}

#[test]
fn openssl_survives_the_repeats_of_our_last_flight() {
    let (mut engine, mut peer, event) = meet(DtlsRole::Server, &PeerSettings::default());
    assert!(
        matches!(event, Some(DtlsEvent::Connected { .. })),
        "{event:?}"
    );
    let mut repeats = 0;
    while let Some(now) = engine.poll_timeout() {
        engine.handle_timeout(now);
        exchange(now, &mut *engine, &mut peer);
        repeats += 1;
    }
    assert_eq!(repeats, LAST_FLIGHT_REPEATS);
    peer.stream();
}

fn failure(role: DtlsRole, key: Key, srtp: Option<&'static str>) -> String {
    let settings = PeerSettings {
        key,
        srtp,
        ..PeerSettings::default()
    };
    match meet(role, &settings).2 {
        Some(DtlsEvent::Failed { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_rsa_certificate_is_named_as_the_reason() {
    let reason = failure(DtlsRole::Server, Key::Rsa, Some(BOTH));
    assert!(reason.contains("RSA one, and only ECDSA"), "{reason}");
    let reason = failure(DtlsRole::Client, Key::Rsa, Some(BOTH));
    assert!(reason.contains("certificate is RSA"), "{reason}");
}

#[test]
fn a_peer_without_srtp_is_named_as_the_reason() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for srtp in [None, Some("SRTP_AES128_CM_SHA1_32")] {
            let reason = failure(role, Key::Ecdsa, srtp);
            assert!(reason.contains("no SRTP protection profile"), "{reason}");
        }
    }
}
