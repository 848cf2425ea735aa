//! The transport protocol of the `m=` line and everything that keys it: DTLS (RFC 5763), SDES (RFC 4568), OSRTP (RFC 8643).

use super::sdes::Sdes;
use super::transport_protocol::TransportProtocol;
use crate::spelling::{Report, Spelled, canonical, keyword, names};
use crate::value::Value;

/// The crypto options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CryptoFlags {
    /// The protocol towards the receiver.
    pub transport_protocol: Option<TransportProtocol>,
    /// The `DTLS` key.
    pub dtls: Option<Dtls>,
    /// The `DTLS-reverse` key.
    pub dtls_reverse: Option<Dtls>,
    /// The hash of `a=fingerprint` in offers.
    pub dtls_fingerprint: Option<FingerprintHash>,
    /// Which library speaks DTLS with the party that gets our description (`dtls-engine`, a key of ours).
    pub dtls_engine: Option<DtlsEngine>,
    /// SDES options.
    pub sdes: Sdes,
    /// Opportunistic SRTP options.
    pub osrtp: Osrtp,
}

/// The values of `DTLS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtls {
    /// Do not offer DTLS; in answers drop it in favour of SDES.
    Off,
    /// Take the passive role towards a sender that leaves the choice to us.
    Passive,
    /// Take the active role, which is the default.
    Active,
}

/// The values of `dtls-engine`; those of the option of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsEngine {
    /// As the peer needs it.
    Auto,
    /// `dimpl`
    Dimpl,
    /// OpenSSL
    Openssl,
}

/// The hash functions of `a=fingerprint` (RFC 8122 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FingerprintHash {
    /// `sha-1`
    Sha1,
    /// `sha-224`
    Sha224,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

/// The elements of the `OSRTP` list (RFC 8643).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Osrtp {
    /// Offer keys on an `RTP/AVP` line.
    pub offer: bool,
    /// Accept keys on an `RTP/AVP` line although the other party has not.
    pub accept: bool,
}

impl CryptoFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        match key {
            "transport-protocol" => match value.as_str().and_then(TransportProtocol::parse) {
                Some(protocol) => self.transport_protocol = Some(protocol),
                None => report.unknown(key, value),
            },
            "dtls" => {
                for element in names(key, value, report) {
                    set_dtls(&mut self.dtls, "DTLS", &element, report);
                }
            }
            "dtls-reverse" => {
                for element in names(key, value, report) {
                    set_dtls(&mut self.dtls_reverse, "DTLS-reverse", &element, report);
                }
            }
            "dtls-fingerprint" => {
                match keyword(value).as_deref().and_then(FingerprintHash::parse) {
                    Some(hash) => self.dtls_fingerprint = Some(hash),
                    None => report.unknown(key, value),
                }
            }
            "dtls-engine" => {
                self.dtls_engine = match keyword(value).as_deref() {
                    Some("auto") => Some(DtlsEngine::Auto),
                    Some("dimpl") => Some(DtlsEngine::Dimpl),
                    Some("openssl") => Some(DtlsEngine::Openssl),
                    _ => {
                        report.unknown(key, value);
                        return true;
                    }
                }
            }
            "sdes" => {
                for element in names(key, value, report) {
                    self.sdes.element(&element, report);
                }
            }
            "osrtp" => {
                for element in names(key, value, report) {
                    self.osrtp.element(&element, report);
                }
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        if word.canonical == "pad-crypto" {
            self.sdes.pad = true;
        } else if self.apply_protocol_word(&word.canonical) {
        } else if let Some(element) = word.after("sdes-") {
            self.sdes.element(element, report);
        } else if let Some(element) = word.after("osrtp-") {
            self.osrtp.element(element, report);
        } else if let Some(element) = word.after("dtls-reverse-") {
            set_dtls(&mut self.dtls_reverse, "DTLS-reverse", element, report);
        } else if let Some(hash) = word.after("dtls-fingerprint-") {
            match FingerprintHash::parse(&canonical(hash)) {
                Some(hash) => self.dtls_fingerprint = Some(hash),
                None => report.unknown("DTLS-fingerprint", hash),
            }
        } else if let Some(element) = word.after("dtls-") {
            set_dtls(&mut self.dtls, "DTLS", element, report);
        } else {
            return false;
        }
        true
    }

    /// `RTP/SAVPF` as a word of its own, or one of the words that change one property of the protocol.
    fn apply_protocol_word(&mut self, word: &str) -> bool {
        let now = self.transport_protocol.unwrap_or(TransportProtocol::RtpAvp);
        let (srtp, avpf, dtls) = (now.is_srtp(), now.is_avpf(), now.is_dtls());
        let protocol = match word {
            "rtp" => TransportProtocol::of(false, avpf, false),
            "srtp" => TransportProtocol::of(true, avpf, dtls),
            "avp" => TransportProtocol::of(srtp, false, dtls),
            "avpf" => TransportProtocol::of(srtp, true, dtls),
            "dtls" => TransportProtocol::of(true, avpf, true),
            word if word.contains('/') || word == "udptl" => match TransportProtocol::parse(word) {
                Some(protocol) => protocol,
                None => return false,
            },
            _ => return false,
        };
        self.transport_protocol = Some(protocol);
        true
    }
}

fn set_dtls(slot: &mut Option<Dtls>, key: &str, element: &str, report: &mut Report) {
    match canonical(element.trim()).as_ref() {
        "off" | "no" | "disable" | "disabled" => *slot = Some(Dtls::Off),
        "passive" => *slot = Some(Dtls::Passive),
        "active" => *slot = Some(Dtls::Active),
        _ => report.unknown(key, element),
    }
}

impl FingerprintHash {
    /// Takes a canonical spelling.
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "sha-1" | "sha1" => Self::Sha1,
            "sha-224" | "sha224" => Self::Sha224,
            "sha-256" | "sha256" => Self::Sha256,
            "sha-384" | "sha384" => Self::Sha384,
            "sha-512" | "sha512" => Self::Sha512,
            _ => return None,
        })
    }
}

impl Osrtp {
    fn element(&mut self, element: &str, report: &mut Report) {
        match canonical(element.trim()).as_ref() {
            "offer" | "offer-rfc" => self.offer = true,
            "accept" | "accept-rfc" => self.accept = true,
            // Each section twice, plain and encrypted: what came before RFC 8643. The two are relayed as the two sections they are.
            "offer-legacy" | "accept-legacy" => report.inert("OSRTP", element),
            _ => report.unknown("OSRTP", element),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, offer_of_string, unknown};

    fn protocol_of(flags: &str) -> Option<TransportProtocol> {
        offer_of_string(flags).flags.crypto.transport_protocol
    }

    #[test]
    fn a_protocol_is_a_key_in_any_case_or_a_word() {
        for keys in [
            r#""transport-protocol":"UDP/TLS/RTP/SAVPF""#,
            r#""transport protocol":"udp/tls/rtp/savpf""#,
            r#""transport_protocol":"UDP/TLS/RTP/SAVPF""#,
            r#""flags":["UDP/TLS/RTP/SAVPF"]"#,
        ] {
            assert_eq!(
                offer(keys).flags.crypto.transport_protocol,
                Some(TransportProtocol::UdpTlsRtpSavpf),
                "{keys}"
            );
        }
        assert_eq!(
            protocol_of("transport-protocol=accept"),
            Some(TransportProtocol::Accept)
        );
        assert_eq!(
            unknown(r#""transport-protocol":"FOO/BAR","flags":["FOO/BAR"]"#),
            ["transport-protocol=FOO/BAR", "flags=FOO/BAR"]
        );
    }

    #[test]
    fn short_protocol_words_combine() {
        assert_eq!(protocol_of("SRTP AVPF"), Some(TransportProtocol::RtpSavpf));
        assert_eq!(protocol_of("AVPF SRTP"), Some(TransportProtocol::RtpSavpf));
        assert_eq!(
            protocol_of("DTLS AVPF"),
            Some(TransportProtocol::UdpTlsRtpSavpf)
        );
        assert_eq!(
            protocol_of("SRTP AVPF DTLS"),
            Some(TransportProtocol::UdpTlsRtpSavpf)
        );
        assert_eq!(
            protocol_of("RTP/SAVPF RTP"),
            Some(TransportProtocol::RtpAvpf)
        );
        assert_eq!(
            protocol_of("RTP/SAVPF AVP"),
            Some(TransportProtocol::RtpSavp)
        );
    }

    #[test]
    fn a_later_dtls_key_overwrites_an_earlier_one() {
        let crypto = offer(r#""DTLS":"passive","DTLS":"off""#).flags.crypto;
        assert_eq!(crypto.dtls, Some(Dtls::Off));
        let crypto = offer(r#""flags":["DTLS-passive"],"dtls reverse":["active"]"#)
            .flags
            .crypto;
        assert_eq!(crypto.dtls, Some(Dtls::Passive));
        assert_eq!(crypto.dtls_reverse, Some(Dtls::Active));
    }

    #[test]
    fn the_hash_of_the_fingerprint_can_be_chosen() {
        for text in ["SHA-256", "sha-256", "SHA_256", "sha256"] {
            let keys = format!(r#""DTLS-fingerprint":"{text}""#);
            assert_eq!(
                offer(&keys).flags.crypto.dtls_fingerprint,
                Some(FingerprintHash::Sha256)
            );
        }
        assert_eq!(
            unknown(r#""DTLS-fingerprint":"md5""#),
            ["dtls-fingerprint=md5"]
        );
    }

    #[test]
    fn osrtp_is_a_list_or_words() {
        let osrtp = offer(r#""flags":["OSRTP-offer"],"OSRTP":["accept-RFC"]"#)
            .flags
            .crypto
            .osrtp;
        assert!(osrtp.offer && osrtp.accept);
        let request = offer(r#""OSRTP":["offer-legacy"]"#);
        assert_eq!(request.flags.crypto.osrtp, Osrtp::default());
        assert_eq!(request.inert.len(), 1);
    }
}
