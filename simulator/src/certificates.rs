//! A throw-away certification authority, so that a demo or a test needs to relax no TLS check.
//!
//! It signs one certificate for `wa.meta.vc`, which the simulator presents, and one for each host
//! name of the business. Whoever trusts `ca.pem` trusts both; nobody else does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use thiserror::Error;

use crate::sip::identity::DOMAIN;

/// Why no certificates were made.
#[derive(Debug, Error)]
pub enum CertificateError {
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate for {name}: {source}")]
    Make { name: String, source: rcgen::Error },
}

/// Writes `ca.pem`, and `NAME.pem` with `NAME.key` for `wa.meta.vc` and every host. Returns the
/// files written.
pub fn make_authority(
    directory: &Path,
    hosts: &[String],
) -> Result<Vec<PathBuf>, CertificateError> {
    fs::create_dir_all(directory).map_err(|source| CertificateError::Write {
        path: directory.to_owned(),
        source,
    })?;
    let authority = authority().map_err(|source| CertificateError::Make {
        name: "the authority".to_owned(),
        source,
    })?;
    let mut written = Vec::new();
    let ca = directory.join("ca.pem");
    write(&ca, &authority.pem(), 0o644)?;
    written.push(ca);
    for name in std::iter::once(DOMAIN).chain(hosts.iter().map(String::as_str)) {
        let (certificate, key) =
            leaf(name, &authority).map_err(|source| CertificateError::Make {
                name: name.to_owned(),
                source,
            })?;
        let certificate_path = directory.join(format!("{name}.pem"));
        let key_path = directory.join(format!("{name}.key"));
        write(&certificate_path, &certificate, 0o644)?;
        write(&key_path, &key, 0o600)?;
        written.push(certificate_path);
        written.push(key_path);
    }
    Ok(written)
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut parameters = parameters(Vec::new(), "Throw-away test authority")?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)
}

fn leaf(
    name: &str,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut parameters = parameters(vec![name.to_owned()], name)?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    parameters.use_authority_key_identifier_extension = true;
    let certificate = parameters.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn parameters(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    parameters.distinguished_name = subject;
    // Whole years keep the dates valid on machines whose clocks are off by a few hours.
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let year = i32::try_from(seconds / 31_556_952).unwrap_or(0) + 1970;
    parameters.not_before = date_time_ymd(year - 1, 1, 1);
    parameters.not_after = date_time_ymd(year + 2, 1, 1);
    Ok(parameters)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let attempt = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    attempt().map_err(|source| CertificateError::Write {
        path: path.to_owned(),
        source,
    })
}
