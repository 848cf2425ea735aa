//! How associations are made: settings that all of the process share.

use std::fmt;
use std::str::FromStr;

use super::dimpl_engine::DimplSettings;
#[cfg(feature = "openssl")]
use super::openssl_engine::OpensslSettings;
use super::{DtlsError, PeerMemory};

/// Which engine serves an association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The first engine for those whom it surely can serve, the second for everybody else.
    #[default]
    Auto,
    /// `dimpl` alone: ECDSA on P-256 or P-384 with AES-GCM or ChaCha20.
    Dimpl,
    /// OpenSSL alone.
    Openssl,
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Dimpl => "dimpl",
            Self::Openssl => "openssl",
        })
    }
}

impl FromStr for EngineChoice {
    type Err = DtlsError;

    fn from_str(text: &str) -> Result<Self, DtlsError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "dimpl" => Ok(Self::Dimpl),
            "openssl" => Ok(Self::Openssl),
            _ => Err(DtlsError::Setup(format!(
                "{text:?} is no DTLS engine; auto, dimpl and openssl are"
            ))),
        }
    }
}

/// Which versions the first engine speaks. The second speaks DTLS 1.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtlsVersions {
    /// DTLS 1.2 in both roles, which every WebRTC stack speaks.
    #[default]
    Only12,
    /// The library negotiates 1.2 or 1.3. It then sees every datagram as it comes, without our care for repeated and stray ones.
    UpTo13,
}

/// What an operator can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsSettings {
    pub engine: EngineChoice,
    /// The largest datagram we send (`dtls-mtu`).
    pub mtu: usize,
    /// Cipher suites in OpenSSL's spelling (`dtls-ciphers`); they are a matter of the second engine, which then serves everybody.
    pub ciphers: Option<String>,
    pub versions: DtlsVersions,
}

impl DtlsSettings {
    /// Below the 1,280 bytes that every path carries, with room for headers; rtpengine's default too.
    pub const DEFAULT_MTU: usize = 1200;
    /// Below it a flight falls into more fragments than peers will put together.
    pub const LEAST_MTU: usize = 256;
    /// What a packet buffer holds.
    pub const LARGEST_MTU: usize =
        relay_packet::CAPACITY - relay_packet::HEADROOM - relay_packet::TAILROOM;
}

impl Default for DtlsSettings {
    fn default() -> Self {
        Self {
            engine: EngineChoice::Auto,
            mtu: Self::DEFAULT_MTU,
            ciphers: None,
            versions: DtlsVersions::Only12,
        }
    }
}

/// Settings made ready for the engines, and what they have learned about peers. Clones share both.
#[derive(Clone)]
pub struct DtlsConfig {
    pub(super) engine: EngineChoice,
    pub(super) dimpl: DimplSettings,
    #[cfg(feature = "openssl")]
    pub(super) openssl: std::sync::Arc<OpensslSettings>,
    pub(super) memory: PeerMemory,
}

impl DtlsConfig {
    /// What nobody has set: DTLS 1.2, the engine that fits.
    pub fn new() -> Result<Self, DtlsError> {
        Self::with_settings(&DtlsSettings::default())
    }

    /// With what the operator has set.
    pub fn with_settings(settings: &DtlsSettings) -> Result<Self, DtlsError> {
        let range = DtlsSettings::LEAST_MTU..=DtlsSettings::LARGEST_MTU;
        if !range.contains(&settings.mtu) {
            return Err(DtlsError::Setup(format!(
                "datagrams of {} bytes are out of range: {} to {} is possible",
                settings.mtu,
                range.start(),
                range.end()
            )));
        }
        let wants_openssl = settings.engine == EngineChoice::Openssl || settings.ciphers.is_some();
        if wants_openssl && settings.engine == EngineChoice::Dimpl {
            return Err(DtlsError::Setup(
                "a list of cipher suites needs OpenSSL, and dimpl is set as the engine".into(),
            ));
        }
        if wants_openssl && !cfg!(feature = "openssl") {
            return Err(DtlsError::Setup(
                "OpenSSL is wanted, and this relay was built without it".into(),
            ));
        }
        Ok(Self {
            engine: if wants_openssl {
                EngineChoice::Openssl
            } else {
                settings.engine
            },
            dimpl: DimplSettings::new(settings)?,
            #[cfg(feature = "openssl")]
            openssl: std::sync::Arc::new(OpensslSettings::new(settings)?),
            memory: PeerMemory::default(),
        })
    }

    /// The same with another engine, and with the same memory of peers: what one logical interface may want for itself.
    pub fn with_engine(&self, engine: EngineChoice) -> Result<Self, DtlsError> {
        if engine == EngineChoice::Openssl && !cfg!(feature = "openssl") {
            return Err(DtlsError::Setup(
                "OpenSSL is wanted, and this relay was built without it".into(),
            ));
        }
        Ok(Self {
            engine,
            ..self.clone()
        })
    }

    /// What is known about peers.
    pub fn memory(&self) -> &PeerMemory {
        &self.memory
    }
}

impl fmt::Debug for DtlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsConfig")
            .field("engine", &self.engine)
            .field("dimpl", &self.dimpl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_named_as_operators_write_them() {
        assert_eq!("auto".parse::<EngineChoice>().unwrap(), EngineChoice::Auto);
        assert_eq!(
            "OpenSSL".parse::<EngineChoice>().unwrap(),
            EngineChoice::Openssl
        );
        assert_eq!(
            "dimpl".parse::<EngineChoice>().unwrap(),
            EngineChoice::Dimpl
        );
        let error = "gnutls".parse::<EngineChoice>().unwrap_err().to_string();
        assert!(error.contains("\"gnutls\" is no DTLS engine"), "{error}");
    }

    #[test]
    fn impossible_settings_are_refused_with_a_sentence() {
        let refused = |settings: DtlsSettings| {
            DtlsConfig::with_settings(&settings)
                .unwrap_err()
                .to_string()
        };
        for mtu in [
            0,
            DtlsSettings::LEAST_MTU - 1,
            DtlsSettings::LARGEST_MTU + 1,
        ] {
            let error = refused(DtlsSettings {
                mtu,
                ..DtlsSettings::default()
            });
            assert!(
                error.contains(&format!("{mtu} bytes are out of range")),
                "{error}"
            );
        }
        let error = refused(DtlsSettings {
            engine: EngineChoice::Dimpl,
            ciphers: Some("DEFAULT".into()),
            ..DtlsSettings::default()
        });
        assert!(error.contains("needs OpenSSL"), "{error}");
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn a_list_of_ciphers_chooses_openssl_and_is_checked_at_once() {
        let with = |ciphers: &str| {
            DtlsConfig::with_settings(&DtlsSettings {
                ciphers: Some(ciphers.into()),
                ..DtlsSettings::default()
            })
        };
        assert_eq!(
            with("ECDHE-RSA-AES128-GCM-SHA256").unwrap().engine,
            EngineChoice::Openssl
        );
        let error = with("NO-SUCH-CIPHER").unwrap_err().to_string();
        assert!(error.contains("NO-SUCH-CIPHER"), "{error}");
    }
}
