//! Our own certificate: self-signed, made at start and replaced before it runs out.
//!
//! It is ECDSA on P-256 unless the operator wants RSA. One identity serves both engines, because its fingerprint is in SDP before
//! anybody knows which engine the peer will need.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};

use super::{DtlsError, Fingerprint, FingerprintHash};

/// The kind of our key (`dtls-cert-cipher`, `dtls-rsa-key-size`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateKey {
    /// ECDSA on P-256 (`prime256v1`).
    #[default]
    P256,
    /// RSA with a modulus of so many bits. Only the second engine can use it.
    Rsa { bits: u32 },
}

/// How our certificate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    pub key: CertificateKey,
    /// The hash it is signed with (`dtls-signature`).
    pub signature: FingerprintHash,
}

impl Default for CertificateSettings {
    fn default() -> Self {
        Self {
            key: CertificateKey::P256,
            signature: FingerprintHash::Sha256,
        }
    }
}

/// A certificate and the key for it.
pub(super) struct SelfSigned {
    pub(super) certificate_der: Vec<u8>,
    /// PKCS #8, which both engines read.
    pub(super) private_key_der: Vec<u8>,
}

/// What goes into a certificate besides its key, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// The name in our certificate.
pub(super) const COMMON_NAME: &str = "tandem";

/// The key pair and certificate that we show to peers.
///
/// One serves many calls; a call keeps the one it started with, because its fingerprint is in the SDP.
pub struct DtlsIdentity {
    key: CertificateKey,
    certificate_der: Vec<u8>,
    private_key_der: Vec<u8>,
    replace_at: SystemTime,
    /// What OpenSSL has made of it; calls share that.
    #[cfg(feature = "openssl")]
    pub(super) openssl: super::openssl_engine::ContextCache,
}

/// An identity as it is written down; the bytes are DER in Base64.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct IdentitySnapshot {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rsa_bits: Option<u32>,
    certificate: String,
    private_key: String,
    /// In seconds since 1970.
    replace_at: u64,
}

impl fmt::Debug for IdentitySnapshot {
    /// Never shows the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentitySnapshot")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl DtlsIdentity {
    /// A peer whose clock is a little behind still finds the certificate valid.
    const VALID_BEFORE: Duration = Duration::from_secs(24 * 3600);
    const VALID_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Makes a key pair and a certificate for it, valid from a day before `now` for thirty days.
    pub fn generate(now: SystemTime) -> Result<Self, DtlsError> {
        Self::generate_with(now, &CertificateSettings::default())
    }

    /// The same, as the operator wants them.
    pub fn generate_with(
        now: SystemTime,
        settings: &CertificateSettings,
    ) -> Result<Self, DtlsError> {
        let since_epoch = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|_| DtlsError::Certificate("the clock is before 1970".into()))?;
        let not_before = since_epoch.saturating_sub(Self::VALID_BEFORE);
        let validity = Validity {
            not_before: not_before.as_secs(),
            not_after: (not_before + Self::VALID_FOR).as_secs(),
        };
        let SelfSigned {
            certificate_der,
            private_key_der,
        } = if *settings == CertificateSettings::default() {
            self_signed(validity)?
        } else {
            with_openssl(validity, settings)?
        };
        Ok(Self {
            key: settings.key,
            certificate_der,
            private_key_der,
            replace_at: now + Self::VALID_FOR / 2,
            #[cfg(feature = "openssl")]
            openssl: super::openssl_engine::ContextCache::default(),
        })
    }

    /// Whether our key is RSA, which only the second engine can use.
    #[cfg(feature = "openssl")]
    pub(super) fn is_rsa(&self) -> bool {
        matches!(self.key, CertificateKey::Rsa { .. })
    }

    /// The fingerprint to announce in SDP.
    pub fn fingerprint(&self, hash: FingerprintHash) -> Fingerprint {
        Fingerprint::of(hash, &self.certificate_der)
    }

    /// When new calls should get a new identity: half of the validity is used up.
    pub fn replace_at(&self) -> SystemTime {
        self.replace_at
    }

    /// The certificate as DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// Certificate and key, for a process that goes on with calls whose peers know the fingerprint.
    pub fn snapshot(&self) -> IdentitySnapshot {
        let since_epoch = self.replace_at.duration_since(SystemTime::UNIX_EPOCH);
        IdentitySnapshot {
            rsa_bits: match self.key {
                CertificateKey::P256 => None,
                CertificateKey::Rsa { bits } => Some(bits),
            },
            certificate: BASE64_STANDARD.encode(&self.certificate_der),
            private_key: BASE64_STANDARD.encode(&self.private_key_der),
            replace_at: since_epoch.unwrap_or_default().as_secs(),
        }
    }

    /// The identity that was written down.
    pub fn resume(snapshot: &IdentitySnapshot) -> Result<Self, DtlsError> {
        let bytes = |text: &str| {
            let decoded = BASE64_STANDARD.decode(text);
            decoded.map_err(|_| DtlsError::Certificate("what was kept of it is damaged".into()))
        };
        let since_epoch = Duration::from_secs(snapshot.replace_at);
        let replace_at = SystemTime::UNIX_EPOCH.checked_add(since_epoch);
        Ok(Self {
            key: match snapshot.rsa_bits {
                None => CertificateKey::P256,
                Some(bits) => CertificateKey::Rsa { bits },
            },
            certificate_der: bytes(&snapshot.certificate)?,
            private_key_der: bytes(&snapshot.private_key)?,
            replace_at: replace_at.unwrap_or(SystemTime::UNIX_EPOCH),
            #[cfg(feature = "openssl")]
            openssl: super::openssl_engine::ContextCache::default(),
        })
    }

    pub(super) fn private_key_der(&self) -> &[u8] {
        &self.private_key_der
    }
}

/// ECDSA on P-256, signed with SHA-256; needs no C library but the one that every build has.
fn self_signed(validity: Validity) -> Result<SelfSigned, DtlsError> {
    let failed = |error: rcgen::Error| DtlsError::Certificate(error.to_string());
    let key_pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, COMMON_NAME);
    params.is_ca = IsCa::NoCa;
    let at = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = at(validity.not_before);
    params.not_after = at(validity.not_after);
    let certificate = params.self_signed(&key_pair).map_err(failed)?;
    Ok(SelfSigned {
        certificate_der: certificate.der().to_vec(),
        private_key_der: key_pair.serialize_der(),
    })
}

#[cfg(feature = "openssl")]
fn with_openssl(
    validity: Validity,
    settings: &CertificateSettings,
) -> Result<SelfSigned, DtlsError> {
    super::openssl_engine::self_signed(validity, settings)
}

#[cfg(not(feature = "openssl"))]
fn with_openssl(_: Validity, _: &CertificateSettings) -> Result<SelfSigned, DtlsError> {
    Err(DtlsError::Certificate(
        "only ECDSA on P-256 with SHA-256 is possible: this relay was built without OpenSSL".into(),
    ))
}

impl fmt::Debug for DtlsIdentity {
    /// Never shows the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsIdentity")
            .field("key", &self.key)
            .field("fingerprint", &self.fingerprint(FingerprintHash::Sha256))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::x509::X509;

    use super::*;

    #[test]
    fn openssl_reads_the_certificate_and_its_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let identity = DtlsIdentity::generate(now).unwrap();
        let certificate = X509::from_der(identity.certificate_der()).unwrap();
        let day = 24 * 3600_i64;
        let at = |seconds: i64| Asn1Time::from_unix(1_795_000_000 + seconds).unwrap();
        assert!(certificate.not_before() == at(-day));
        assert!(certificate.not_after() == at(29 * day));
        let key = certificate.public_key().unwrap();
        assert_eq!(key.ec_key().unwrap().group().degree(), 256);
        assert!(certificate.verify(&key).unwrap());
    }

    #[test]
    fn two_identities_differ() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let fingerprint = || {
            let identity = DtlsIdentity::generate(now).unwrap();
            identity.fingerprint(FingerprintHash::Sha256)
        };
        assert_ne!(fingerprint(), fingerprint());
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn an_operator_may_want_rsa_or_another_signature() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        for (key, signature, algorithm) in [
            (
                CertificateKey::Rsa { bits: 2048 },
                FingerprintHash::Sha256,
                "sha256WithRSAEncryption",
            ),
            (
                CertificateKey::Rsa { bits: 3072 },
                FingerprintHash::Sha1,
                "sha1WithRSAEncryption",
            ),
            (
                CertificateKey::P256,
                FingerprintHash::Sha512,
                "ecdsa-with-SHA512",
            ),
        ] {
            let settings = CertificateSettings { key, signature };
            let identity = DtlsIdentity::generate_with(now, &settings).unwrap();
            let certificate = X509::from_der(identity.certificate_der()).unwrap();
            let signed_with = certificate.signature_algorithm().object();
            assert_eq!(signed_with.nid().long_name().unwrap(), algorithm);
            let public = certificate.public_key().unwrap();
            if let CertificateKey::Rsa { bits } = key {
                assert_eq!(public.bits(), bits);
            }
            assert!(certificate.verify(&public).unwrap());
        }
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn an_rsa_key_that_is_too_short_or_endless_is_refused() {
        for bits in [512, 16384] {
            let settings = CertificateSettings {
                key: CertificateKey::Rsa { bits },
                ..CertificateSettings::default()
            };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
            let error = DtlsIdentity::generate_with(now, &settings).unwrap_err();
            assert!(error.to_string().contains(&bits.to_string()), "{error}");
        }
    }
}
