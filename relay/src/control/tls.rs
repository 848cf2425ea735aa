//! The certificate of the HTTPS port, which a reload exchanges while the port stays open.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// Certificate and key do not fit.
    #[error("{}: {error}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
}

/// What new connections are accepted with. Those that are there keep what they began with.
#[derive(Debug)]
pub(crate) struct HttpsCertificate(RwLock<Held>);

#[derive(Debug)]
struct Held {
    chain: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

impl HttpsCertificate {
    /// Reads a chain and its key, both PEM; without a file for the key it stands behind the chain.
    pub(crate) fn read(certificate: &Path, key: Option<&Path>) -> Result<Self, TlsError> {
        read(certificate, key).map(|held| Self(RwLock::new(held)))
    }

    /// Reads the files again; `false` if the certificate is the one in use. On an error that one stays.
    pub(crate) fn renew(&self, certificate: &Path, key: Option<&Path>) -> Result<bool, TlsError> {
        let new = read(certificate, key)?;
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differs = held.chain != new.chain;
        if differs {
            *held = new;
        }
        Ok(differs)
    }

    /// For a connection that begins now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&held.config))
    }
}

fn read(certificate: &Path, key: Option<&Path>) -> Result<Held, TlsError> {
    let unreadable = |path: &Path, error| TlsError::File {
        path: path.to_owned(),
        error,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, error))?;
    let key_file = key.unwrap_or(certificate);
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| unreadable(key_file, e))?;
    let unusable = |error| TlsError::Unusable {
        path: certificate.to_owned(),
        error,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain.clone(), key)
        })
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Held {
        chain,
        config: Arc::new(config),
    })
}
