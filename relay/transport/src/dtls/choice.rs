//! Which engine serves an association.
//!
//! With a fixed choice, or with an RSA certificate of ours, it is clear from the start. Otherwise [`ChoosingEngine`] finds out:
//!
//! - **As server** the ClientHello decides, before there is any state.
//! - **As client** the second engine begins, whose hello offers more, unless the peer has shown that the first one will do. Many
//!   servers do not survive a hello that they have to refuse: rtpengine 10.5 with an RSA certificate neither answers it nor any
//!   other hello after it. If a peer has changed and refuses the first engine's hello all the same, or answers with what that
//!   engine cannot use, the second begins at once with a hello of its own. A refusal in the clear may be forged, so the first
//!   engine goes on listening for a moment: an answer to *its* hello ends the doubt.
//!
//! What peers have shown is remembered by their addresses ([`super::PeerMemory`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "openssl")]
use self::choosing::ChoosingEngine;
use super::dimpl_engine::DimplEngine;
#[cfg(feature = "openssl")]
use super::openssl_engine::OpensslEngine;
use super::{DtlsConfig, DtlsEngine, DtlsIdentity, DtlsRole};
#[cfg(feature = "openssl")]
use super::{DtlsVersions, EngineChoice};

/// An association in that role. As client it sends nothing before the first `handle_timeout`. What is known about `peer`, and what
/// is learned, counts for later associations with it.
#[cfg(feature = "openssl")]
pub fn new_engine(
    config: &DtlsConfig,
    identity: &Arc<DtlsIdentity>,
    role: DtlsRole,
    peer: Option<IpAddr>,
    now: Instant,
) -> Box<dyn DtlsEngine> {
    if config.engine == EngineChoice::Openssl || identity.is_rsa() {
        return Box::new(OpensslEngine::new(&config.openssl, identity, role, now));
    }
    if config.engine == EngineChoice::Dimpl || config.dimpl.versions() == DtlsVersions::UpTo13 {
        return Box::new(DimplEngine::new(&config.dimpl, identity, role, now));
    }
    Box::new(ChoosingEngine::new(config, identity, role, peer, now))
}

/// An association in that role. As client it sends nothing before the first `handle_timeout`.
#[cfg(not(feature = "openssl"))]
pub fn new_engine(
    config: &DtlsConfig,
    identity: &Arc<DtlsIdentity>,
    role: DtlsRole,
    _peer: Option<IpAddr>,
    now: Instant,
) -> Box<dyn DtlsEngine> {
    Box::new(DimplEngine::new(&config.dimpl, identity, role, now))
}

#[cfg(feature = "openssl")]
mod choosing;
#[cfg(test)]
#[cfg(feature = "openssl")]
mod tests;
