//! How the relay speaks DTLS: rtpengine's options about it, and which library serves which interface.

use relay_call::config::{
    CertificateKey, CertificateSettings, DtlsConfig, DtlsSettings, EngineChoice, FingerprintHash,
};

use super::settings::bad;
use super::{ConfigError, Interface, Settings};

/// The length of an RSA key when nobody says.
const RSA_BITS: u32 = 2048;

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

impl Dtls {
    /// The options and their values, as an operator would write them.
    pub fn values(&self) -> [(&'static str, String); 6] {
        let settings = &self.settings;
        let own = self.engines.iter();
        let engines = std::iter::once(settings.engine.to_string())
            .chain(own.map(|(interface, engine)| format!("{interface}/{engine}")));
        let (cipher, bits) = match self.certificate.key {
            CertificateKey::P256 => ("prime256v1", RSA_BITS),
            CertificateKey::Rsa { bits } => ("RSA", bits),
        };
        [
            ("dtls-engine", engines.collect::<Vec<_>>().join(";")),
            ("dtls-mtu", settings.mtu.to_string()),
            ("dtls-cert-cipher", cipher.to_owned()),
            ("dtls-rsa-key-size", bits.to_string()),
            (
                "dtls-signature",
                self.certificate.signature.name().to_owned(),
            ),
            ("dtls-ciphers", settings.ciphers.clone().unwrap_or_default()),
        ]
    }
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
    let bits = settings.number("dtls-rsa-key-size", 1024..=8192, RSA_BITS)?;
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

#[cfg(test)]
mod tests {
    use super::super::{Origin, Setting, options};
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Dtls, String> {
        let list = lines.iter().map(|(name, value)| Setting {
            option: options::by_name(name).unwrap(),
            value: (*value).to_owned(),
            origin: Origin::CommandLine,
        });
        let settings = Settings {
            list: list.collect(),
            ..Settings::default()
        };
        let interface = |name: &str| Interface {
            name: name.to_owned(),
            ..super::super::Config::on([192, 0, 2, 1].into()).interfaces[0].clone()
        };
        parse(&settings, &[interface("pub"), interface("priv")]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_options_are_those_of_rtpengine_and_an_engine() {
        assert_eq!(read(&[]), Ok(Dtls::default()));
        let dtls = read(&[
            ("dtls-mtu", "1000"),
            ("dtls-cert-cipher", "RSA"),
            ("dtls-rsa-key-size", "3072"),
            ("dtls-signature", "SHA-1"),
            ("dtls-ciphers", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("dtls-engine", "priv/openssl"),
        ])
        .unwrap();
        let values = dtls.values().map(|(_, value)| value);
        assert_eq!(
            values,
            [
                "auto;priv/openssl",
                "1000",
                "RSA",
                "3072",
                "sha-1",
                "ECDHE-RSA-AES128-GCM-SHA256"
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        for (lines, words) in [
            (&[("dtls-mtu", "40")][..], "option dtls-mtu: `40`"),
            (&[("dtls-engine", "gnutls")], "auto, dimpl or openssl"),
            (
                &[("dtls-engine", "lan/openssl")],
                "there is no interface lan",
            ),
            (&[("dtls-cert-cipher", "DSA")], "prime256v1 or RSA"),
            (&[("dtls-signature", "CRC")], "SHA-256"),
            (
                &[("dtls-ciphers", "NONE-SUCH")],
                "option dtls-ciphers: `NONE-SUCH`",
            ),
            (
                &[("dtls-cert-cipher", "RSA"), ("dtls-engine", "pub/dimpl")],
                "an RSA certificate needs OpenSSL",
            ),
        ] {
            let error = read(lines).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
