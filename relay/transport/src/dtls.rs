//! DTLS-SRTP (RFC 5763, RFC 5764): the handshake that gives both ends the keys of SRTP.
//!
//! Two libraries speak DTLS, named in `dimpl_engine.rs` and `openssl_engine.rs` with their folders alone; others see the trait
//! [`DtlsEngine`]. The first serves WebRTC's common ground at little cost; the second knows RSA, older peers and the short SRTP tag,
//! and needs the cargo feature `openssl`. Which one serves whom is decided in `choice.rs`.
//! Whether the peer's certificate is the one its SDP announced is for the caller to check with [`Fingerprint::matches`],
//! because the SDP may come after the handshake.

mod certificate;
mod choice;
mod dimpl_engine;
mod driver;
mod engine;
mod fingerprint;
#[cfg_attr(
    not(feature = "openssl"),
    expect(
        dead_code,
        reason = "only a choice between two engines needs all of it"
    )
)]
mod hello;
mod keying;
#[cfg(feature = "openssl")]
mod openssl_engine;
#[cfg_attr(
    not(feature = "openssl"),
    expect(
        dead_code,
        reason = "only a choice between two engines needs all of it"
    )
)]
mod peer_memory;
mod reassembly;
#[cfg_attr(
    not(feature = "openssl"),
    expect(
        dead_code,
        reason = "only a choice between two engines needs all of it"
    )
)]
mod record;
mod retransmission;
mod settings;
#[cfg(test)]
#[cfg_attr(
    not(feature = "openssl"),
    allow(
        dead_code,
        reason = "only a choice between two engines needs all of it"
    )
)]
mod testing;

pub use certificate::{CertificateKey, CertificateSettings, DtlsIdentity, IdentitySnapshot};
pub use choice::new_engine;
pub use engine::{DtlsEngine, DtlsEvent, DtlsRole};
pub use fingerprint::{Fingerprint, FingerprintError, FingerprintHash};
pub use peer_memory::{PeerMemory, Verdict};
pub use settings::{DtlsConfig, DtlsSettings, DtlsVersions, EngineChoice};

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
