//! OpenSSL at the other end, over memory that keeps the borders of datagrams. It reads the system's clock, so nothing is lost here.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslMethod, SslOptions,
    SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509Name};
use relay_packet::PacketBuf;

use super::super::{DtlsEngine, DtlsEvent, DtlsRole};

/// The queues of both directions, one entry a datagram.
#[derive(Clone, Debug, Default)]
pub(in crate::dtls) struct Wire {
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

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::dtls) enum Key {
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

/// What the peer is like.
#[derive(Clone, Debug)]
pub(in crate::dtls) struct PeerSettings {
    pub(in crate::dtls) key: Key,
    /// Its SRTP profiles; `None` leaves the extension out.
    pub(in crate::dtls) srtp: Option<&'static str>,
    pub(in crate::dtls) ciphers: Option<&'static str>,
    pub(in crate::dtls) version: SslVersion,
    pub(in crate::dtls) mtu: u32,
    /// As server it asks for a cookie.
    pub(in crate::dtls) cookie: bool,
    pub(in crate::dtls) extended_master_secret: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            key: Key::Ecdsa,
            srtp: Some("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM"),
            ciphers: None,
            version: SslVersion::DTLS1_2,
            mtu: 1200,
            cookie: false,
            extended_master_secret: true,
        }
    }
}

/// OpenSSL as the other end. After a failure it begins again, as an application does that takes the next handshake for a new one.
pub(in crate::dtls) struct Peer {
    pub(in crate::dtls) role: DtlsRole,
    context: SslContext,
    mtu: u32,
    wire: Wire,
    progress: Option<Progress>,
    /// What its handshakes ended with, if not with keys.
    pub(in crate::dtls) failures: Vec<String>,
}

/// A secret that OpenSSL's server puts into its cookies.
const COOKIE: &[u8] = b"0123456789abcdef0123456789abcdef";
/// `SSL_OP_NO_EXTENDED_MASTER_SECRET` of OpenSSL 3, which the crate does not name.
const NO_EXTENDED_MASTER_SECRET: u64 = 1;

impl Peer {
    pub(in crate::dtls) fn new(role: DtlsRole, settings: &PeerSettings) -> Self {
        let (private_key, certificate) = key_and_certificate(settings.key);
        let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
        context
            .set_min_proto_version(Some(SslVersion::DTLS1))
            .unwrap();
        context
            .set_max_proto_version(Some(settings.version))
            .unwrap();
        if settings.version == SslVersion::DTLS1 {
            // Its signatures are with SHA-1.
            context.set_security_level(0);
        }
        context.set_private_key(&private_key).unwrap();
        context.set_certificate(&certificate).unwrap();
        let verify = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_verify_callback(verify, |_, _| true);
        if let Some(profiles) = settings.srtp {
            context.set_tlsext_use_srtp(profiles).unwrap();
        }
        if let Some(ciphers) = settings.ciphers {
            context.set_cipher_list(ciphers).unwrap();
        }
        context.set_options(SslOptions::NO_QUERY_MTU);
        if !settings.extended_master_secret {
            context.set_options(SslOptions::from_bits_retain(NO_EXTENDED_MASTER_SECRET));
        }
        if settings.cookie {
            context.set_options(SslOptions::COOKIE_EXCHANGE);
            context.set_cookie_generate_cb(|_, buffer| {
                buffer[..COOKIE.len()].copy_from_slice(COOKIE);
                Ok(COOKIE.len())
            });
            context.set_cookie_verify_cb(|_, cookie| cookie == COOKIE);
        }
        let mut peer = Self {
            role,
            context: context.build(),
            mtu: settings.mtu,
            wire: Wire::default(),
            progress: None,
            failures: Vec::new(),
        };
        peer.begin();
        peer
    }

    fn begin(&mut self) {
        let mut ssl = Ssl::new(&self.context).unwrap();
        ssl.set_mtu(self.mtu).unwrap();
        let result = match self.role {
            DtlsRole::Client => ssl.connect(self.wire.clone()),
            DtlsRole::Server => ssl.accept(self.wire.clone()),
        };
        self.progress = Some(Progress::of(result));
    }

    /// Lets the peer work through what has come.
    pub(in crate::dtls) fn advance(&mut self) {
        let progress = match self.progress.take() {
            Some(Progress::Handshaking(stream)) => Progress::of(stream.handshake()),
            Some(Progress::Connected(mut stream)) => match stream.ssl_read(&mut [0; 100]) {
                Err(error) if error.code() == ErrorCode::WANT_READ => Progress::Connected(stream),
                other => Progress::Failed(format!("{other:?}")),
            },
            Some(Progress::Failed(_)) | None => {
                self.begin();
                return;
            }
        };
        if let Progress::Failed(reason) = &progress {
            self.failures.push(reason.clone());
        }
        self.progress = Some(progress);
    }

    /// Hands it a datagram.
    pub(in crate::dtls) fn receive(&mut self, datagram: &[u8]) {
        self.wire.to_peer.borrow_mut().push_back(datagram.to_vec());
        self.advance();
    }

    /// Loses what it has sent, and says how much that was.
    pub(in crate::dtls) fn lose_answers(&mut self) -> usize {
        std::mem::take(&mut *self.wire.from_peer.borrow_mut()).len()
    }

    pub(in crate::dtls) fn is_connected(&self) -> bool {
        matches!(self.progress, Some(Progress::Connected(_)))
    }

    pub(in crate::dtls) fn stream(&self) -> &SslStream<Wire> {
        match &self.progress {
            Some(Progress::Connected(stream)) => stream,
            Some(Progress::Failed(reason)) => panic!("OpenSSL failed: {reason}"),
            _ => panic!("OpenSSL is not connected"),
        }
    }
}

/// A handshake of an engine with OpenSSL, and the event it ended with.
pub(in crate::dtls) fn handshake(
    engine: &mut dyn DtlsEngine,
    peer: &mut Peer,
    start: Instant,
) -> Option<DtlsEvent> {
    let mut now = start;
    let mut event = None;
    for _ in 0..400 {
        if engine.poll_timeout().is_some_and(|at| at <= now) {
            engine.handle_timeout(now);
        }
        exchange(now, engine, peer);
        event = event.or(engine.poll_event());
        if event.is_some()
            && (peer.is_connected() || matches!(event, Some(DtlsEvent::Failed { .. })))
        {
            break;
        }
        now += Duration::from_millis(10);
    }
    event
}

/// One datagram after another to the peer, then its answers to the engine.
pub(in crate::dtls) fn exchange(now: Instant, engine: &mut dyn DtlsEngine, peer: &mut Peer) {
    let mut packet = PacketBuf::new();
    let mut has_sent = false;
    while engine.poll_datagram(&mut packet) {
        peer.receive(&packet);
        has_sent = true;
    }
    if !has_sent {
        peer.advance();
    }
    let answers = std::mem::take(&mut *peer.wire.from_peer.borrow_mut());
    for datagram in answers {
        engine.handle_datagram(now, &datagram);
    }
}
