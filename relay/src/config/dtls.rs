//! How the relay speaks DTLS: rtpengine's options about it, and which library serves which interface.

use relay_call::config::{
    CertificateKey, CertificateSettings, DtlsConfig, DtlsSettings, EngineChoice, FingerprintHash,
};

use super::settings::bad;
use super::{ConfigError, Interface, Settings};

/// What the operator wants of DTLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dtls {
    /// For all interfaces that are not named below.
    pub settings: DtlsSettings,
    /// How our certificate is made.
    pub certificate: CertificateSettings,
    /// Interfaces with an engine of their own.
    pub engines: Vec<(String, EngineChoice)>,
}

/// Reads the options; what they say together is checked too.
pub(super) fn parse(settings: &Settings, interfaces: &[Interface]) -> Result<Dtls, ConfigError> {
    let mut dtls = Dtls {
        settings: DtlsSettings {
            mtu: settings.number(
                "dtls-mtu",
                DtlsSettings::LEAST_MTU..=DtlsSettings::LARGEST_MTU,
                DtlsSettings::DEFAULT_MTU,
            )?,
            ciphers: settings.last("dtls-ciphers").map(str::to_owned),
            ..DtlsSettings::default()
        },
        certificate: CertificateSettings {
            key: certificate_key(settings)?,
            signature: signature(settings)?,
        },
        engines: Vec::new(),
    };
    for entry in settings.all("dtls-engine") {
        let wrong = |problem: String| bad("dtls-engine", &entry, problem);
        let (interface, engine) = match entry.rsplit_once('/') {
            Some((interface, engine)) => (Some(interface.trim()), engine),
            None => (None, entry.as_str()),
        };
        let engine: EngineChoice = engine
            .parse()
            .map_err(|_| wrong("auto, dimpl or openssl is expected".to_owned()))?;
        match interface {
            None => dtls.settings.engine = engine,
            Some(name) if interfaces.iter().any(|interface| interface.name == name) => {
                dtls.engines.push((name.to_owned(), engine));
            }
            Some(name) => return Err(wrong(format!("there is no interface {name}"))),
        }
    }
    let is_rsa = dtls.certificate.key != CertificateKey::P256;
    let engines = dtls.engines.iter().map(|(_, engine)| *engine);
    if is_rsa
        && engines
            .chain([dtls.settings.engine])
            .any(|engine| engine == EngineChoice::Dimpl)
    {
        let problem = "an RSA certificate needs OpenSSL, and dimpl is set as an engine".to_owned();
        return Err(bad("dtls-cert-cipher", "RSA", problem));
    }
    let made = DtlsConfig::with_settings(&dtls.settings).and_then(|made| {
        for (_, engine) in &dtls.engines {
            made.with_engine(*engine)?;
        }
        Ok(())
    });
    if let Err(error) = made {
        let (option, value) = match &dtls.settings.ciphers {
            Some(ciphers) => ("dtls-ciphers", ciphers.as_str()),
            None => ("dtls-engine", "openssl"),
        };
        return Err(bad(option, value, error.to_string()));
    }
    Ok(dtls)
}

fn certificate_key(settings: &Settings) -> Result<CertificateKey, ConfigError> {
    let bits = settings.number("dtls-rsa-key-size", 1024..=8192, 2048)?;
    match settings.last("dtls-cert-cipher") {
        None => Ok(CertificateKey::P256),
        Some(value) if value.eq_ignore_ascii_case("prime256v1") => Ok(CertificateKey::P256),
        Some(value) if value.eq_ignore_ascii_case("rsa") => Ok(CertificateKey::Rsa { bits }),
        Some(value) => Err(bad(
            "dtls-cert-cipher",
            value,
            "prime256v1 or RSA is expected".to_owned(),
        )),
    }
}

fn signature(settings: &Settings) -> Result<FingerprintHash, ConfigError> {
    let Some(value) = settings.last("dtls-signature") else {
        return Ok(FingerprintHash::Sha256);
    };
    value.parse().map_err(|_| {
        bad(
            "dtls-signature",
            value,
            "SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512 is expected".to_owned(),
        )
    })
}
