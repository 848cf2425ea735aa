//! What a handshake came to: the keys, or a sentence for the operator.

use openssl::nid::Nid;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{Error, SslRef};
use openssl::x509::X509Ref;

use super::super::dimpl_engine::suits;
use super::super::hello::{ClientHello, Listed, ServerHello, srtp_profile};
use super::super::keying::split_material;
use super::super::record::{CLIENT_HELLO, SERVER_HELLO, alert_name};
use super::super::{DtlsEvent, DtlsRole};

/// RFC 5764 section 4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
const DTLS_1_2: u16 = 0xfefd;

/// The peer's hello.
#[derive(Debug, Default)]
pub(super) struct Offer {
    client: Option<ClientHello>,
    server: Option<ServerHello>,
}

impl Offer {
    /// Notes a message of the peer, if it is a hello.
    pub(super) fn note(&mut self, message_type: u8, body: &[u8]) {
        match message_type {
            CLIENT_HELLO => self.client = ClientHello::parse(body),
            SERVER_HELLO => self.server = ServerHello::parse(body),
            _ => {}
        }
    }

    /// Whether the first engine would have done too, as client of this server.
    pub(super) fn suits_first(&self, certificate: &X509Ref) -> bool {
        let group = certificate
            .public_key()
            .and_then(|key| key.ec_key())
            .map(|key| key.group().curve_name());
        matches!(group, Ok(Some(Nid::X9_62_PRIME256V1 | Nid::SECP384R1)))
            && self.server.as_ref().is_some_and(suits)
    }

    fn version(&self) -> Option<u16> {
        let client = self.client.as_ref().map(|hello| hello.version);
        client.or(self.server.as_ref().map(|hello| hello.version))
    }

    fn cipher_suites(&self) -> String {
        let client = self.client.as_ref();
        client.map_or_else(String::new, |hello| {
            format!(" ({})", Listed(&hello.cipher_suites))
        })
    }
}

/// The event of a finished handshake, or why its keys are of no use.
pub(super) fn connected(ssl: &SslRef, role: DtlsRole, offer: &Offer) -> Result<DtlsEvent, String> {
    let Some(selected) = ssl.selected_srtp_profile() else {
        let offered = offer.client.as_ref();
        let offered = offered.map_or_else(String::new, |hello| {
            format!(" (it offers {})", Listed(&hello.srtp_profiles))
        });
        return Err(format!(
            "the DTLS handshake was finished, but the peer agrees to no SRTP protection profile that the relay knows{offered}: \
             SRTP_AEAD_AES_256_GCM, SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_HMAC_SHA1_80, SRTP_AES128_CM_HMAC_SHA1_32"
        ));
    };
    let profile = number_of(selected.id())
        .and_then(srtp_profile)
        .ok_or_else(|| {
            format!(
                "the SRTP protection profile {} is not supported",
                selected.name()
            )
        })?;
    let certificate = ssl
        .peer_certificate()
        .ok_or("the peer showed no certificate")?;
    let mut material = vec![0; 2 * (profile.key_len() + profile.salt_len())];
    let failed = |error: openssl::error::ErrorStack| format!("OpenSSL gave no keys: {error}");
    ssl.export_keying_material(&mut material, EXPORTER_LABEL, None)
        .map_err(failed)?;
    let [inbound, outbound] = split_material(profile, &material, role)
        .ok_or("the DTLS library gave keys of a wrong length")?;
    let cipher = ssl.current_cipher();
    Ok(DtlsEvent::Connected {
        engine: "openssl",
        version: "DTLS 1.2".into(),
        cipher: cipher.map_or_else(
            || "unknown".into(),
            |cipher| {
                cipher
                    .standard_name()
                    .unwrap_or_else(|| cipher.name())
                    .into()
            },
        ),
        profile,
        inbound,
        outbound,
        peer_certificate_der: certificate.to_der().map_err(failed)?,
    })
}

/// The number at IANA, which OpenSSL uses as its own.
fn number_of(id: SrtpProfileId) -> Option<u16> {
    u16::try_from(id.as_raw()).ok()
}

/// What an alert of the peer means for the operator.
pub(super) fn refused(description: u8) -> String {
    format!(
        "the peer refused the DTLS handshake with the alert {} ({description})",
        alert_name(description)
    )
}

/// What an error of the library means for the operator.
pub(super) fn explain(error: &Error, role: DtlsRole, offer: &Offer) -> String {
    let first = error.ssl_error().and_then(|stack| stack.errors().first());
    let reason = first.and_then(|error| error.reason());
    if offer.version().is_some_and(|version| version > DTLS_1_2) {
        return "the peer speaks only DTLS 1.0, and the relay wants DTLS 1.2".into();
    }
    match (reason, role) {
        (Some("no shared cipher"), _) => format!(
            "the peer offers no DTLS cipher suite{} that the relay can use with its certificate and its settings",
            offer.cipher_suites()
        ),
        (Some("peer did not return a certificate"), _) => {
            "the peer sent no certificate, without which nobody knows who it is".into()
        }
        (Some("no shared signature algorithms" | "no suitable signature algorithm"), _) => {
            let offered = offer.client.as_ref();
            let offered = offered.map_or(&[][..], |hello| &hello.signature_algorithms);
            format!(
                "the peer takes no signature that the relay can make with its certificate (it takes {})",
                Listed(offered)
            )
        }
        (Some("unsupported protocol" | "wrong version number" | "wrong ssl version"), _) => {
            "the peer does not speak DTLS 1.2".into()
        }
        (Some(reason), DtlsRole::Client) => {
            let suite = offer.server.as_ref();
            let suite = suite.map_or_else(String::new, |hello| {
                format!(
                    " (it chose the cipher suite {})",
                    Listed(&[hello.cipher_suite])
                )
            });
            format!("the DTLS handshake with the peer{suite} failed: {reason}")
        }
        (Some(reason), DtlsRole::Server) => format!("the DTLS handshake failed: {reason}"),
        (None, _) => format!("the DTLS handshake failed: {error}"),
    }
}
