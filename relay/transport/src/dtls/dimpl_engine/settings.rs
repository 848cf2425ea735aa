//! How the library is set up.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate};

use super::super::{DtlsError, DtlsIdentity, DtlsRole, DtlsSettings, DtlsVersions};

/// Repeats of one flight: about a minute of ours, and no more than a few years on the library's clock.
pub(super) const MAX_REPEATS: usize = 54;
/// A timer of the library that lies further ahead than all steps together is [`LIBRARY_TIMEOUT`].
pub(super) const LIBRARY_IDLE: Duration = Duration::from_secs(8 * 365 * 86_400);
/// The library's first step: as small as it goes, since the steps double on a clock that we move from one to the next.
const LIBRARY_STEP: Duration = Duration::from_nanos(1);
/// The library's limit for the whole handshake; it stands for never.
const LIBRARY_TIMEOUT: Duration = Duration::from_secs(3650 * 86_400);

/// What all associations of the process share.
#[derive(Clone)]
pub(in crate::dtls) struct DimplSettings {
    library: Arc<dimpl::Config>,
    pub(super) versions: DtlsVersions,
}

impl DimplSettings {
    pub(in crate::dtls) fn new(settings: &DtlsSettings) -> Result<Self, DtlsError> {
        let library = dimpl::Config::builder()
            .mtu(settings.mtu)
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
            versions: settings.versions,
        })
    }

    #[cfg(feature = "openssl")]
    pub(in crate::dtls) fn versions(&self) -> DtlsVersions {
        self.versions
    }
}

impl fmt::Debug for DimplSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DimplSettings")
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

/// An association of the library, before its first word.
pub(super) fn new_library(
    settings: &DimplSettings,
    identity: &DtlsIdentity,
    role: DtlsRole,
    now: Instant,
) -> Dtls {
    let certificate = DtlsCertificate {
        certificate: identity.certificate_der().to_vec(),
        private_key: identity.private_key_der().to_vec(),
    };
    let library = Arc::clone(&settings.library);
    let mut library = match settings.versions {
        DtlsVersions::Only12 => Dtls::new_12(library, certificate, now),
        DtlsVersions::UpTo13 => Dtls::new_auto(library, certificate, now),
    };
    library.set_active(role == DtlsRole::Client);
    library
}
