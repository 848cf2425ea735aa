//! The certificate an endpoint shows, and the fingerprint that vouches for it (RFC 8122 §5).

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

use crate::media::config::CertificateKey;

/// A self-signed certificate with its key: P-256, as Meta advises (small, no fragmentation), or RSA.
#[derive(Clone, Debug)]
pub(crate) struct DtlsIdentity {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
}

impl DtlsIdentity {
    pub(crate) fn generate(kind: CertificateKey) -> Result<Self, ErrorStack> {
        let key = match kind {
            CertificateKey::Ecdsa => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)?
            }
            CertificateKey::Rsa => PKey::from_rsa(Rsa::generate(2048)?)?,
        };
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, "simulated media endpoint")?;
        let name = name.build();
        let mut serial = BigNum::new()?;
        serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_pubkey(&key)?;
        builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
        builder.set_not_after(&*Asn1Time::days_from_now(30)?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self {
            certificate: builder.build(),
            key,
        })
    }

    /// RFC 8122 §5: upper-case pairs between colons.
    pub(crate) fn fingerprint(&self) -> Result<String, ErrorStack> {
        fingerprint(&self.certificate, MessageDigest::sha256())
    }
}

pub(super) fn fingerprint(certificate: &X509, hash: MessageDigest) -> Result<String, ErrorStack> {
    let digest = certificate.digest(hash)?;
    let pairs: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
    Ok(pairs.join(":"))
}
