//! Our own certificate: self-signed ECDSA P-256, made at start and replaced before it runs out.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};

use super::{DtlsError, Fingerprint, FingerprintHash};

/// The key pair and certificate that we show to peers.
///
/// One serves many calls; a call keeps the one it started with, because its fingerprint is in the SDP.
pub struct DtlsIdentity {
    certificate_der: Vec<u8>,
    private_key_der: Vec<u8>,
    replace_at: SystemTime,
}

impl DtlsIdentity {
    /// A peer whose clock is a little behind still finds the certificate valid.
    const VALID_BEFORE: Duration = Duration::from_secs(24 * 3600);
    const VALID_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Makes a key pair and a certificate for it, valid from a day before `now` for thirty days.
    pub fn generate(now: SystemTime) -> Result<Self, DtlsError> {
        let failed = |error: rcgen::Error| DtlsError::Certificate(error.to_string());
        let since_epoch = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|_| DtlsError::Certificate("the clock is before 1970".into()))?;
        let key_pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "tandem");
        params.is_ca = IsCa::NoCa;
        params.not_before =
            date_time_ymd(1970, 1, 1) + since_epoch.saturating_sub(Self::VALID_BEFORE);
        params.not_after = params.not_before + Self::VALID_FOR;
        let certificate = params.self_signed(&key_pair).map_err(failed)?;
        Ok(Self {
            certificate_der: certificate.der().to_vec(),
            private_key_der: key_pair.serialize_der(),
            replace_at: now + Self::VALID_FOR / 2,
        })
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

    pub(super) fn private_key_der(&self) -> &[u8] {
        &self.private_key_der
    }
}

impl fmt::Debug for DtlsIdentity {
    /// Never shows the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsIdentity")
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
}
