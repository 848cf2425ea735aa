//! What a handshake came to: the keys, or a sentence for the operator.

use dimpl::{CertificateError, CryptoError, Dtls, Error, SecurityError};

use super::super::hello::ServerHello;
use super::super::keying::split_material;
use super::super::record::{alert_name, cipher_name};
use super::super::{DtlsEvent, DtlsRole};
use crate::srtp::SrtpProfile;

const NO_PROFILE: &str = "the peer offered no SRTP protection profile that this DTLS engine knows \
     (SRTP_AEAD_AES_256_GCM, SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_HMAC_SHA1_80)";
/// The profiles that the library can use, as numbers at IANA.
pub(super) const PROFILES: [u16; 3] = [8, 7, 1];

/// Why the library cannot go on with this ServerHello, where it would notice too late to do something about it.
pub(super) fn server_objection(hello: &[u8]) -> Option<String> {
    let hello = ServerHello::parse(hello)?;
    match hello.srtp_profile {
        Some(profile) if PROFILES.contains(&profile) => None,
        _ => Some(NO_PROFILE.into()),
    }
}

/// What the library and the messages in the clear have told.
#[derive(Default)]
pub(super) struct Negotiated {
    pub(super) cipher: Option<u16>,
    pub(super) peer_certificate_der: Vec<u8>,
    pub(super) material: Option<(Vec<u8>, dimpl::SrtpProfile)>,
}

impl Negotiated {
    /// The event of a finished handshake, or why its keys are of no use.
    pub(super) fn event(&mut self, role: DtlsRole, library: &Dtls) -> Result<DtlsEvent, String> {
        let (material, profile) = self
            .material
            .take()
            .ok_or_else(|| format!("the DTLS handshake was finished, but {NO_PROFILE}"))?;
        let profile = match profile {
            dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
            dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
            dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
            other => {
                return Err(format!(
                    "the SRTP protection profile {other} is not supported"
                ));
            }
        };
        let [inbound, outbound] = split_material(profile, &material, role)
            .ok_or("the DTLS library gave keys of a wrong length")?;
        let version = match library.protocol_version() {
            Some(dimpl::ProtocolVersion::DTLS1_3) => "DTLS 1.3",
            _ => "DTLS 1.2",
        };
        Ok(DtlsEvent::Connected {
            engine: "dimpl",
            version: version.into(),
            cipher: cipher_name(self.cipher),
            profile,
            inbound,
            outbound,
            peer_certificate_der: std::mem::take(&mut self.peer_certificate_der),
        })
    }
}

/// What an alert of the peer means for the operator.
pub(super) fn refused(description: u8, role: DtlsRole) -> String {
    let name = alert_name(description);
    let mut reason =
        format!("the peer refused the DTLS handshake with the alert {name} ({description})");
    if description == 40 && role == DtlsRole::Client {
        reason.push_str(
            "; if its certificate is RSA, the relay cannot use it: only ECDSA is supported",
        );
    }
    reason
}

/// What an error of the library means for the operator.
pub(super) fn explain(error: &Error, role: DtlsRole) -> String {
    match error {
        Error::SecurityError(SecurityError::NoMutuallyAcceptableCipherSuite) => {
            "the peer offers no DTLS cipher suite that the relay knows (ECDHE with ECDSA and AES-GCM or ChaCha20)".into()
        }
        Error::SecurityError(SecurityError::ExtendedMasterSecretNotNegotiated) => {
            "the peer does not support the extended master secret (RFC 7627), without which the relay makes no keys".into()
        }
        Error::SecurityError(
            SecurityError::UnsupportedClientVersion(_) | SecurityError::UnsupportedServerVersion(_),
        ) => "the peer does not speak DTLS 1.2".into(),
        Error::SecurityError(SecurityError::FatalAlert { description }) => refused(*description, role),
        Error::CertificateError(
            CertificateError::NoClientCertificateReceived | CertificateError::NoServerCertificateReceived,
        ) => "the peer sent no certificate that the relay could use; it may have an RSA one, and only ECDSA is supported".into(),
        Error::CertificateError(
            CertificateError::MissingEcCurveParameter
            | CertificateError::InvalidEcCurveParameter
            | CertificateError::UnsupportedEcCurve
            | CertificateError::InvalidSubjectPublicKey,
        )
        | Error::CryptoError(
            CryptoError::UnsupportedPublicKeyAlgorithm
            | CryptoError::UnsupportedEcCurve
            | CryptoError::MissingEcCurveParameter
            | CryptoError::InvalidEcCurveParameter
            | CryptoError::UnsupportedSignatureAlgorithm(_)
            | CryptoError::SignatureAlgorithmMismatch { .. }
            | CryptoError::UnsupportedSignaturePair { .. }
            | CryptoError::UnsupportedSignatureVerification { .. },
        ) => format!(
            "the peer's certificate is not supported: the relay wants ECDSA on P-256 or P-384, not RSA ({error})"
        ),
        other => format!("the DTLS handshake failed: {other}"),
    }
}
