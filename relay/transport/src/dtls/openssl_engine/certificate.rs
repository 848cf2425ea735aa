//! Certificates that only OpenSSL makes for us: RSA keys, and signatures with another hash than SHA-256.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

use super::super::certificate::{
    COMMON_NAME, CertificateKey, CertificateSettings, SelfSigned, Validity,
};
use super::super::{DtlsError, FingerprintHash};

/// Shorter keys are refused by peers, longer ones take minutes to make.
const RSA_BITS: std::ops::RangeInclusive<u32> = 1024..=8192;

/// Makes a key pair and a self-signed certificate for it.
pub(in crate::dtls) fn self_signed(
    validity: Validity,
    settings: &CertificateSettings,
) -> Result<SelfSigned, DtlsError> {
    if let CertificateKey::Rsa { bits } = settings.key
        && !RSA_BITS.contains(&bits)
    {
        return Err(DtlsError::Certificate(format!(
            "an RSA key of {bits} bits is out of range: {} to {} is possible",
            RSA_BITS.start(),
            RSA_BITS.end()
        )));
    }
    make(validity, settings).map_err(|error| DtlsError::Certificate(error.to_string()))
}

fn make(validity: Validity, settings: &CertificateSettings) -> Result<SelfSigned, ErrorStack> {
    let key: PKey<Private> = match settings.key {
        CertificateKey::P256 => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            PKey::from_ec_key(EcKey::generate(&group)?)?
        }
        CertificateKey::Rsa { bits } => PKey::from_rsa(Rsa::generate(bits)?)?,
    };
    let hash = match settings.signature {
        FingerprintHash::Sha1 => MessageDigest::sha1(),
        FingerprintHash::Sha224 => MessageDigest::sha224(),
        FingerprintHash::Sha256 => MessageDigest::sha256(),
        FingerprintHash::Sha384 => MessageDigest::sha384(),
        FingerprintHash::Sha512 => MessageDigest::sha512(),
    };
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, COMMON_NAME)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_pubkey(&key)?;
    let at = |seconds: u64| Asn1Time::from_unix(seconds as i64);
    certificate.set_not_before(&*at(validity.not_before)?)?;
    certificate.set_not_after(&*at(validity.not_after)?)?;
    certificate.sign(&key, hash)?;
    Ok(SelfSigned {
        certificate_der: certificate.build().to_der()?,
        private_key_der: key.private_key_to_pkcs8()?,
    })
}
