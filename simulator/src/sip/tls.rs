//! TLS as Meta uses it: no client certificates, no ALPN, names checked.
//!
//! As server Meta presents a certificate for `wa.meta.vc`, asks for none and turns away a client
//! that offers the ALPN protocol `sip` with alert 120 (RFC 7301 §3.2). As client it verifies the
//! business' chain and host name, sends SNI and no ALPN; when a server asks for a client
//! certificate all the same, Meta sends one with an internal name that no business can verify.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

/// Where Debian and most others keep the certification authorities the system trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why TLS could not be set up or a connection was not made.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("cannot read certificates or key from {path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    #[error("{0:?} is not a host name")]
    Name(String),
    #[error("certificate and key do not go together or cannot be used: {0}")]
    Unusable(rustls::Error),
    #[error("no throw-away certificate could be made: {0}")]
    Generation(#[from] rcgen::Error),
    #[error("the client closed the connection without a ClientHello")]
    NoHello,
    #[error("TLS: {0}")]
    Handshake(#[from] std::io::Error),
}

/// A certificate chain and its key, as read from PEM files.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a PEM chain (leaf first) and a PEM key.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
            path: key.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            chain,
            key: key_der,
        })
    }

    /// A certificate for this name that nobody trusts, for runs in which nobody needs to.
    pub fn throw_away(name: &str) -> Result<Self, TlsError> {
        let generated = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
        let der = generated.signing_key.serialize_der();
        let key = PrivateKeyDer::try_from(der)
            .map_err(|reason| TlsError::Unusable(rustls::Error::General(reason.to_owned())))?;
        Ok(Self {
            chain: vec![generated.cert.der().clone()],
            key,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::Empty(path.to_owned()));
    }
    Ok(chain)
}

/// What a handshake showed about the other side.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct TlsFacts {
    /// Protocol version.
    pub version: String,
    /// Cipher suite.
    pub cipher: String,
    /// The name the client asked for (RFC 6066 §3).
    pub server_name: Option<String>,
    /// The ALPN protocols the client offered.
    pub alpn: Vec<String>,
    /// Whether the server asked for a client certificate.
    pub asked_for_certificate: bool,
}

/// Meta's TLS server.
#[derive(Debug, Clone)]
pub struct Server {
    ordinary: Arc<ServerConfig>,
    refusing: Arc<ServerConfig>,
}

impl Server {
    /// A server that presents this certificate.
    pub fn new(identity: Identity) -> Result<Self, TlsError> {
        let ordinary = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .map_err(TlsError::Unusable)?;
        let mut refusing = ordinary.clone();
        // Nobody offers this protocol, so every offer ends in `no_application_protocol`.
        refusing.alpn_protocols = vec![b"not-spoken-by-anybody".to_vec()];
        Ok(Self {
            ordinary: Arc::new(ordinary),
            refusing: Arc::new(refusing),
        })
    }

    /// Takes a connection through the handshake. The facts are known even when it fails later.
    pub async fn accept(
        &self,
        stream: TcpStream,
        facts: &mut TlsFacts,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream)
            .await
            .map_err(|error| match error.kind() {
                // Somebody who only looks whether the port is open.
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => TlsError::NoHello,
                _ => TlsError::Handshake(error),
            })?;
        let hello = start.client_hello();
        facts.server_name = hello.server_name().map(str::to_owned);
        facts.alpn = hello
            .alpn()
            .into_iter()
            .flatten()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let offers_sip = facts.alpn.iter().any(|name| name == "sip");
        let config = if offers_sip {
            &self.refusing
        } else {
            &self.ordinary
        };
        let stream = TlsStream::Server(start.into_stream(Arc::clone(config)).await?);
        note_protocol(&stream, facts);
        Ok(stream)
    }
}

/// Whom Meta's TLS client trusts and what it shows when it is asked for a certificate.
#[derive(Debug, Clone)]
pub struct Client {
    authorities: Arc<RootCertStore>,
    internal: Option<Arc<CertifiedKey>>,
}

impl Client {
    /// A client that trusts the authorities in a PEM file, or the system's.
    pub fn new(authorities: Option<&Path>) -> Result<Self, TlsError> {
        let path = authorities.unwrap_or(Path::new(SYSTEM_AUTHORITIES));
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(certificates(path)?);
        if added == 0 {
            return Err(TlsError::Empty(path.to_owned()));
        }
        Ok(Self {
            authorities: Arc::new(store),
            internal: Some(Arc::new(internal_certificate()?)),
        })
    }

    /// The same client without a certificate of its own.
    #[must_use]
    pub fn without_certificate(mut self) -> Self {
        self.internal = None;
        self
    }

    /// Opens TLS and verifies chain and name.
    pub async fn connect(
        &self,
        stream: TcpStream,
        name: &str,
        facts: &mut TlsFacts,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        let resolver = Arc::new(InternalCertificate {
            key: self.internal.clone(),
            asked: AtomicBool::new(false),
        });
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_root_certificates(Arc::clone(&self.authorities))
            .with_client_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesClientCert>);
        facts.server_name = Some(name.to_owned());
        let outcome = TlsConnector::from(Arc::new(config))
            .connect(server_name, stream)
            .await;
        facts.asked_for_certificate = resolver.asked.load(Ordering::Relaxed);
        let stream = TlsStream::Client(outcome?);
        note_protocol(&stream, facts);
        Ok(stream)
    }
}

fn note_protocol(stream: &TlsStream<TcpStream>, facts: &mut TlsFacts) {
    let (_, state) = stream.get_ref();
    facts.version = match state.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    };
    facts.cipher = state
        .negotiated_cipher_suite()
        .map(|suite| format!("{:?}", suite.suite()))
        .unwrap_or_default();
}

/// Remembers that the server asked, and answers as Meta does.
#[derive(Debug)]
struct InternalCertificate {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for InternalCertificate {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A certificate with a random internal name, signed by nobody a business knows.
fn internal_certificate() -> Result<CertifiedKey, TlsError> {
    let name = format!("onevc-{}.fbinfra.net", super::random::hex::<6>());
    let Identity { chain, key } = Identity::throw_away(&name)?;
    let key = any_supported_type(&key).map_err(TlsError::Unusable)?;
    Ok(CertifiedKey::new(chain, key))
}
