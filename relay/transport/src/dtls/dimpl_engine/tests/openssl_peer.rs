//! OpenSSL at the other end, over memory that keeps the borders of datagrams. It reads the system's clock, so nothing is lost here.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslMethod, SslOptions,
    SslStream, SslVerifyMode,
};
use openssl::x509::{X509, X509Name};

use super::super::outcome::split_material;
use super::super::*;
use super::identity;
use crate::srtp::SrtpProfile;
use crate::testing::epoch;

/// The queues of both directions, one entry a datagram.
#[derive(Clone, Debug, Default)]
struct Wire {
    to_peer: Rc<RefCell<VecDeque<Vec<u8>>>>,
    from_peer: Rc<RefCell<VecDeque<Vec<u8>>>>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.to_peer.borrow_mut().pop_front();
        let datagram = datagram.ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.from_peer.borrow_mut().push_back(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Key {
    Ecdsa,
    Rsa,
}

fn key_and_certificate(kind: Key) -> (PKey<Private>, X509) {
    let key = match kind {
        Key::Ecdsa => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        }
        Key::Rsa => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
    };
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "peer").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    certificate
        .set_not_after(&Asn1Time::days_from_now(30).unwrap())
        .unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (key, certificate.build())
}

/// How far the peer has come.
enum Progress {
    Handshaking(MidHandshakeSslStream<Wire>),
    Connected(SslStream<Wire>),
    Failed(String),
}

impl Progress {
    fn of(result: Result<SslStream<Wire>, HandshakeError<Wire>>) -> Self {
        match result {
            Ok(stream) => Self::Connected(stream),
            Err(HandshakeError::WouldBlock(stream)) => Self::Handshaking(stream),
            Err(HandshakeError::Failure(stream)) => Self::Failed(stream.error().to_string()),
            Err(HandshakeError::SetupFailure(error)) => Self::Failed(error.to_string()),
        }
    }
}

struct Peer {
    wire: Wire,
    progress: Option<Progress>,
}

/// A secret that OpenSSL's server puts into its cookies.
const COOKIE: &[u8] = b"0123456789abcdef0123456789abcdef";

impl Peer {
    fn new(role: DtlsRole, key: Key, srtp: Option<&str>) -> Self {
        Self::with_mtu(role, key, srtp, 1200, false)
    }

    fn with_mtu(role: DtlsRole, key: Key, srtp: Option<&str>, mtu: u32, cookie: bool) -> Self {
        let (private_key, certificate) = key_and_certificate(key);
        let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
        context.set_private_key(&private_key).unwrap();
        context.set_certificate(&certificate).unwrap();
        let verify = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_verify_callback(verify, |_, _| true);
        if let Some(profiles) = srtp {
            context.set_tlsext_use_srtp(profiles).unwrap();
        }
        context.set_options(SslOptions::NO_QUERY_MTU);
        if cookie {
            context.set_options(SslOptions::COOKIE_EXCHANGE);
            context.set_cookie_generate_cb(|_, buffer| {
                buffer[..COOKIE.len()].copy_from_slice(COOKIE);
                Ok(COOKIE.len())
            });
            context.set_cookie_verify_cb(|_, cookie| cookie == COOKIE);
        }
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.set_mtu(mtu).unwrap();
        let wire = Wire::default();
        let result = match role {
            DtlsRole::Client => ssl.connect(wire.clone()),
            DtlsRole::Server => ssl.accept(wire.clone()),
        };
        Self {
            wire,
            progress: Some(Progress::of(result)),
        }
    }

    /// Lets the peer work through what has come.
    fn advance(&mut self) {
        let progress = match self.progress.take() {
            Some(Progress::Handshaking(stream)) => Progress::of(stream.handshake()),
            Some(Progress::Connected(mut stream)) => match stream.ssl_read(&mut [0; 100]) {
                Err(error) if error.code() == ErrorCode::WANT_READ => Progress::Connected(stream),
                other => Progress::Failed(format!("{other:?}")),
            },
            Some(Progress::Failed(reason)) => Progress::Failed(reason),
            None => return,
        };
        self.progress = Some(progress);
    }

    fn stream(&self) -> &SslStream<Wire> {
        match &self.progress {
            Some(Progress::Connected(stream)) => stream,
            Some(Progress::Failed(reason)) => panic!("OpenSSL failed: {reason}"),
            _ => panic!("OpenSSL is not connected"),
        }
    }
}

/// A handshake of our engine in `role` with OpenSSL in the other one, and the event it ended with.
fn handshake(
    role: DtlsRole,
    peer_key: Key,
    srtp: Option<&str>,
) -> (Box<dyn DtlsEngine>, Peer, Option<DtlsEvent>) {
    let peer = Peer::new(role.other(), peer_key, srtp);
    handshake_with(DtlsVersions::Only12, role, peer)
}

fn handshake_with(
    versions: DtlsVersions,
    role: DtlsRole,
    mut peer: Peer,
) -> (Box<dyn DtlsEngine>, Peer, Option<DtlsEvent>) {
    let mut now = epoch();
    let config = DtlsConfig::with_versions(versions).unwrap();
    let mut engine = new_engine(&config, &identity(), role, now);
    let mut event = None;
    for _ in 0..400 {
        if engine.poll_timeout().is_some_and(|at| at <= now) {
            engine.handle_timeout(now);
        }
        exchange(now, &mut *engine, &mut peer);
        event = event.or(engine.poll_event());
        let peer_connected = matches!(peer.progress, Some(Progress::Connected(_)));
        if event.is_some() && (peer_connected || matches!(event, Some(DtlsEvent::Failed { .. }))) {
            break;
        }
        now += Duration::from_millis(10);
    }
    (engine, peer, event)
}

fn exchange(now: Instant, engine: &mut dyn DtlsEngine, peer: &mut Peer) {
    let mut packet = PacketBuf::new();
    while engine.poll_datagram(&mut packet) {
        peer.wire.to_peer.borrow_mut().push_back(packet.to_vec());
    }
    peer.advance();
    let answers = std::mem::take(&mut *peer.wire.from_peer.borrow_mut());
    for datagram in answers {
        engine.handle_datagram(now, &datagram);
    }
}

fn agrees_with_openssl(role: DtlsRole, profiles: &str, expected: SrtpProfile) {
    let (_, peer, event) = handshake(role, Key::Ecdsa, Some(profiles));
    let Some(DtlsEvent::Connected {
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
    assert_eq!(version, "DTLS 1.2");
    assert_eq!(profile, expected);
    let ssl = peer.stream().ssl();
    assert_eq!(
        Some(cipher.as_str()),
        ssl.current_cipher().unwrap().standard_name()
    );
    let mut material = vec![0; 2 * (profile.key_len() + profile.salt_len())];
    ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None)
        .unwrap();
    let [client, server] = split_material(profile, &material).unwrap();
    let (ours, theirs) = match role {
        DtlsRole::Client => (client, server),
        DtlsRole::Server => (server, client),
    };
    assert_eq!((outbound, inbound), (ours, theirs));
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
    let peer = Peer::with_mtu(DtlsRole::Server, Key::Ecdsa, Some(BOTH), 1200, true);
    let (_, peer, event) = handshake_with(DtlsVersions::Only12, DtlsRole::Client, peer);
    assert!(
        matches!(event, Some(DtlsEvent::Connected { .. })),
        "{event:?}"
    );
    peer.stream();
}

#[test]
fn openssl_may_cut_its_messages_into_pieces() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let peer = Peer::with_mtu(role.other(), Key::Ecdsa, Some(BOTH), 256, false);
        let (_, peer, event) = handshake_with(DtlsVersions::Only12, role, peer);
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
        let peer = Peer::new(role.other(), Key::Ecdsa, Some(BOTH));
        let (_, peer, event) = handshake_with(DtlsVersions::UpTo13, role, peer);
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
    let (mut engine, mut peer, event) = handshake(DtlsRole::Server, Key::Ecdsa, Some(BOTH));
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

fn failure(role: DtlsRole, key: Key, srtp: Option<&str>) -> String {
    match handshake(role, key, srtp).2 {
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
