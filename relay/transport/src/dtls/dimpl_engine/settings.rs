//! How the library is set up.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate};

use super::super::{DtlsError, DtlsIdentity, DtlsRole};

/// Below the 1,280 bytes that every path carries, with room for tunnels.
pub(super) const MTU: usize = 1150;
/// Repeats of one flight: about a minute of ours, and no more than a few years on the library's clock.
pub(super) const MAX_REPEATS: usize = 54;
/// A timer of the library that lies further ahead than all steps together is [`LIBRARY_TIMEOUT`].
pub(super) const LIBRARY_IDLE: Duration = Duration::from_secs(8 * 365 * 86_400);
/// The library's first step: as small as it goes, since the steps double on a clock that we move from one to the next.
const LIBRARY_STEP: Duration = Duration::from_nanos(1);
/// The library's limit for the whole handshake; it stands for never.
const LIBRARY_TIMEOUT: Duration = Duration::from_secs(3650 * 86_400);

/// Which versions we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsVersions {
    /// DTLS 1.2 in both roles, which every WebRTC stack speaks.
    Only12,
    /// The library negotiates 1.2 or 1.3. It then sees every datagram as it comes, without our care for repeated and stray ones.
    UpTo13,
}

/// Settings that all associations of the process share.
#[derive(Clone)]
pub struct DtlsConfig {
    library: Arc<dimpl::Config>,
    pub(super) versions: DtlsVersions,
}

impl DtlsConfig {
    /// DTLS 1.2 only.
    pub fn new() -> Result<Self, DtlsError> {
        Self::with_versions(DtlsVersions::Only12)
    }

    /// Those versions.
    pub fn with_versions(versions: DtlsVersions) -> Result<Self, DtlsError> {
        let library = dimpl::Config::builder()
            .mtu(MTU)
            // ICE has proved the address already; the cookie would cost a round trip.
            .use_server_cookie(false)
            .require_client_certificate(true)
            .flight_start_rto(LIBRARY_STEP)
            .flight_retries(MAX_REPEATS)
            .handshake_timeout(LIBRARY_TIMEOUT)
            .build()
            .map_err(|error| DtlsError::Setup(error.to_string()))?;
        Ok(Self {
            library: Arc::new(library),
            versions,
        })
    }
}

impl fmt::Debug for DtlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsConfig")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

/// An association of the library, before its first word.
pub(super) fn new_library(
    config: &DtlsConfig,
    identity: &DtlsIdentity,
    role: DtlsRole,
    now: Instant,
) -> Dtls {
    let certificate = DtlsCertificate {
        certificate: identity.certificate_der().to_vec(),
        private_key: identity.private_key_der().to_vec(),
    };
    let settings = Arc::clone(&config.library);
    let mut library = match config.versions {
        DtlsVersions::Only12 => Dtls::new_12(settings, certificate, now),
        DtlsVersions::UpTo13 => Dtls::new_auto(settings, certificate, now),
    };
    library.set_active(role == DtlsRole::Client);
    library
}
