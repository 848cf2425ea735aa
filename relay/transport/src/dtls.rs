//! DTLS-SRTP (RFC 5763, RFC 5764): the handshake that gives both ends the keys of SRTP.
//!
//! The library that speaks DTLS is named in `dimpl_engine.rs` and its folder alone; others see the trait [`DtlsEngine`].
//! Whether the peer's certificate is the one its SDP announced is for the caller to check with [`Fingerprint::matches`],
//! because the SDP may come after the handshake.

mod certificate;
mod dimpl_engine;
mod engine;
mod fingerprint;
mod reassembly;
mod record;
mod retransmission;

pub use certificate::DtlsIdentity;
pub use dimpl_engine::{DtlsConfig, DtlsVersions, new_engine};
pub use engine::{DtlsEngine, DtlsEvent, DtlsRole};
pub use fingerprint::{Fingerprint, FingerprintError, FingerprintHash};

/// Why we have no DTLS to offer.
#[derive(Debug, thiserror::Error)]
pub enum DtlsError {
    /// The self-signed certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// The library refused our settings.
    #[error("cannot set up DTLS: {0}")]
    Setup(String),
}
