//! How OpenSSL is set up.

use std::fmt;
use std::sync::{Arc, OnceLock};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use openssl::x509::X509;

use super::super::{DtlsError, DtlsIdentity, DtlsSettings};

/// What peers may want, the best first: forward secrecy always, no shared secrets, no passwords.
const CIPHERS: &str = "DEFAULT:!kRSA:!aNULL:!PSK:!SRP";
/// As the first engine, and the one with the short tag.
const PROFILES: &str =
    "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";

/// What all associations of the process share.
#[derive(Debug)]
pub(in crate::dtls) struct OpensslSettings {
    mtu: usize,
    ciphers: String,
}

impl OpensslSettings {
    /// Checks the list of cipher suites; what is wrong with it should be said at the start, not in the first call.
    pub(in crate::dtls) fn new(settings: &DtlsSettings) -> Result<Self, DtlsError> {
        let made = Self {
            mtu: settings.mtu,
            ciphers: settings.ciphers.clone().unwrap_or_else(|| CIPHERS.into()),
        };
        made.builder().map_err(|error| {
            DtlsError::Setup(format!("cipher suites {:?}: {error}", made.ciphers))
        })?;
        Ok(made)
    }

    pub(super) fn mtu(&self) -> usize {
        self.mtu
    }

    fn builder(&self) -> Result<SslContextBuilder, ErrorStack> {
        let mut builder = SslContextBuilder::new(SslMethod::dtls())?;
        builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        builder.set_cipher_list(&self.ciphers)?;
        builder.set_tlsext_use_srtp(PROFILES)?;
        // The certificate is compared with its fingerprint in SDP, by the caller (RFC 5763 section 5).
        let verify = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        builder.set_verify_callback(verify, |_, _| true);
        // We know the MTU; there is nothing to resume and nothing to renegotiate.
        builder.set_options(
            SslOptions::NO_QUERY_MTU
                | SslOptions::NO_TICKET
                | SslOptions::NO_RENEGOTIATION
                | SslOptions::NO_COMPRESSION,
        );
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        Ok(builder)
    }

    fn context(&self, identity: &DtlsIdentity) -> Result<SslContext, ErrorStack> {
        let mut builder = self.builder()?;
        let certificate = X509::from_der(identity.certificate_der())?;
        let key = PKey::private_key_from_pkcs8(identity.private_key_der())?;
        builder.set_certificate(&certificate)?;
        builder.set_private_key(&key)?;
        Ok(builder.build())
    }
}

/// The context made of an identity, which is dear to make and which all its calls share.
#[derive(Default)]
pub(in crate::dtls) struct ContextCache(OnceLock<(Arc<OpensslSettings>, SslContext)>);

impl ContextCache {
    /// The context for `identity`, whose cache this is. Other settings than the first get one of their own each time.
    pub(super) fn context(
        &self,
        settings: &Arc<OpensslSettings>,
        identity: &DtlsIdentity,
    ) -> Result<SslContext, DtlsError> {
        let cached = self.0.get();
        if let Some((made_for, context)) = cached
            && Arc::ptr_eq(made_for, settings)
        {
            return Ok(context.clone());
        }
        let context = settings
            .context(identity)
            .map_err(|error| DtlsError::Setup(error.to_string()))?;
        if cached.is_none() {
            // Another thread may have been quicker with the same.
            let _ = self.0.set((Arc::clone(settings), context.clone()));
        }
        Ok(context)
    }
}

impl fmt::Debug for ContextCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextCache")
    }
}
