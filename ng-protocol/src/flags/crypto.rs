//! The transport protocol of the `m=` line and everything that keys it: DTLS (RFC 5763), SDES (RFC 4568), OSRTP (RFC 8643).

use std::fmt;

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
    /// SDES options.
    pub sdes: Sdes,
    /// Opportunistic SRTP options.
    pub osrtp: Osrtp,
}

/// The third field of an `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportProtocol {
    /// `RTP/AVP` (RFC 3551)
    RtpAvp,
    /// `RTP/AVPF` (RFC 4585)
    RtpAvpf,
    /// `RTP/SAVP` (RFC 3711)
    RtpSavp,
    /// `RTP/SAVPF` (RFC 5124)
    RtpSavpf,
    /// `UDP/TLS/RTP/SAVP` (RFC 5764)
    UdpTlsRtpSavp,
    /// `UDP/TLS/RTP/SAVPF` (RFC 5764)
    UdpTlsRtpSavpf,
    /// `udptl`, fax (RFC 7345)
    Udptl,
    /// `accept` in an answer: pass the answerer's protocol on.
    Accept,
}

impl TransportProtocol {
    /// The name as an `m=` line has it, or `accept`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RtpAvp => "RTP/AVP",
            Self::RtpAvpf => "RTP/AVPF",
            Self::RtpSavp => "RTP/SAVP",
            Self::RtpSavpf => "RTP/SAVPF",
            Self::UdpTlsRtpSavp => "UDP/TLS/RTP/SAVP",
            Self::UdpTlsRtpSavpf => "UDP/TLS/RTP/SAVPF",
            Self::Udptl => "udptl",
            Self::Accept => "accept",
        }
    }

    /// The protocol of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::RtpAvp,
            Self::RtpAvpf,
            Self::RtpSavp,
            Self::RtpSavpf,
            Self::UdpTlsRtpSavp,
            Self::UdpTlsRtpSavpf,
            Self::Udptl,
            Self::Accept,
        ]
        .into_iter()
        .find(|protocol| protocol.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// The RTP protocol with these properties. Keys from DTLS mean encryption.
    fn of(srtp: bool, avpf: bool, dtls: bool) -> Self {
        match (srtp, avpf, dtls) {
            (_, false, true) => Self::UdpTlsRtpSavp,
            (_, true, true) => Self::UdpTlsRtpSavpf,
            (true, false, false) => Self::RtpSavp,
            (true, true, false) => Self::RtpSavpf,
            (false, false, false) => Self::RtpAvp,
            (false, true, false) => Self::RtpAvpf,
        }
    }

    /// Whether the name promises encryption.
    pub fn is_srtp(self) -> bool {
        matches!(
            self,
            Self::RtpSavp | Self::RtpSavpf | Self::UdpTlsRtpSavp | Self::UdpTlsRtpSavpf
        )
    }

    /// Whether the name promises keys from DTLS.
    pub fn is_dtls(self) -> bool {
        matches!(self, Self::UdpTlsRtpSavp | Self::UdpTlsRtpSavpf)
    }

    /// Whether the name promises early feedback.
    pub fn is_avpf(self) -> bool {
        matches!(self, Self::RtpAvpf | Self::RtpSavpf | Self::UdpTlsRtpSavpf)
    }
}

impl fmt::Display for TransportProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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

/// The elements of the `SDES` list. Suites are kept in upper case, as RFC 4568 names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdes {
    /// Do not offer SDES.
    pub off: bool,
    /// Use only these suites; wins over [`Self::no`].
    pub only: Vec<String>,
    /// Do not use these suites.
    pub no: Vec<String>,
    /// Do not add suites to those received.
    pub nonew: bool,
    /// Output order of the suites.
    pub order: Vec<String>,
    /// Preferred suites towards the offerer.
    pub offerer_pref: Vec<String>,
    /// Keep the padding of base64 (`pad`, `pad-crypto`).
    pub pad: bool,
    /// Append a lifetime to the key.
    pub lifetime: bool,
    /// Answer only: keep the suite already negotiated.
    pub static_: bool,
    /// Prefer SDES over DTLS when both were offered.
    pub prefer: bool,
    /// Whether to offer `UNENCRYPTED_SRTP`; `None` passes the peer's wish on.
    pub unencrypted_srtp: Option<bool>,
    /// Whether to offer `UNENCRYPTED_SRTCP`.
    pub unencrypted_srtcp: Option<bool>,
    /// Whether to offer `UNAUTHENTICATED_SRTP`.
    pub unauthenticated_srtp: Option<bool>,
}

impl Sdes {
    /// Whether the operator allows this suite, named as in RFC 4568.
    pub fn allows(&self, suite: &str) -> bool {
        let named = |suites: &[String]| suites.iter().any(|name| name.eq_ignore_ascii_case(suite));
        if self.only.is_empty() {
            !named(&self.no)
        } else {
            named(&self.only)
        }
    }
}

/// The elements of the `OSRTP` list (RFC 8643).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Osrtp {
    /// Offer keys on an `RTP/AVP` line.
    pub offer: bool,
    /// Offer each section twice, plain and encrypted.
    pub offer_legacy: bool,
    /// Accept keys on an `RTP/AVP` line.
    pub accept: bool,
    /// Accept the doubled form.
    pub accept_legacy: bool,
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
    match canonical(element.trim()).as_str() {
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

impl Sdes {
    fn element(&mut self, element: &str, report: &mut Report) {
        let word = Spelled::new(element.trim());
        match word.canonical.as_str() {
            "off" | "no" | "disable" | "disabled" => self.off = true,
            "nonew" | "no-new" => self.nonew = true,
            "pad" => self.pad = true,
            "lifetime" => self.lifetime = true,
            "static" => self.static_ = true,
            "prefer" | "priority" => self.prefer = true,
            "unencrypted-srtp" => self.unencrypted_srtp = Some(true),
            "unencrypted-srtcp" => self.unencrypted_srtcp = Some(true),
            "unauthenticated-srtp" => self.unauthenticated_srtp = Some(true),
            "encrypted-srtp" => self.unencrypted_srtp = Some(false),
            "encrypted-srtcp" => self.unencrypted_srtcp = Some(false),
            "authenticated-srtp" => self.unauthenticated_srtp = Some(false),
            _ => {
                if let Some(suite) = word.after("only-") {
                    self.only.push(suite_name(suite));
                } else if let Some(suite) = word.after("no-") {
                    self.no.push(suite_name(suite));
                } else if let Some(suites) = word.after("order:") {
                    self.order = suite_names(suites);
                } else if let Some(suites) = word.after("offerer-pref:") {
                    self.offerer_pref = suite_names(suites);
                } else {
                    report.unknown("SDES", element);
                }
            }
        }
    }
}

/// The spelling of RFC 4568: upper case and underscores.
fn suite_name(name: &str) -> String {
    canonical(name.trim())
        .to_ascii_uppercase()
        .replace('-', "_")
}

fn suite_names(names: &str) -> Vec<String> {
    names
        .split(';')
        .filter(|name| !name.trim().is_empty())
        .map(suite_name)
        .collect()
}

impl Osrtp {
    fn element(&mut self, element: &str, report: &mut Report) {
        match canonical(element.trim()).as_str() {
            "offer" | "offer-rfc" => self.offer = true,
            "offer-legacy" => self.offer_legacy = true,
            "accept" => {
                self.accept = true;
                self.accept_legacy = true;
            }
            "accept-rfc" => self.accept = true,
            "accept-legacy" => self.accept_legacy = true,
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
    fn sdes_is_a_list_a_string_or_words() {
        let expected = Sdes {
            only: vec!["AES_CM_128_HMAC_SHA1_80".to_owned()],
            no: vec!["NULL_HMAC_SHA1_80".to_owned()],
            pad: true,
            prefer: true,
            ..Sdes::default()
        };
        for keys in [
            r#""SDES":["only-AES_CM_128_HMAC_SHA1_80","no-NULL_HMAC_SHA1_80","pad","prefer"]"#,
            r#""sdes":"only-AES_CM_128_HMAC_SHA1_80,no-NULL_HMAC_SHA1_80,pad,priority""#,
            r#""flags":["SDES-only-AES_CM_128_HMAC_SHA1_80","SDES-no-NULL_HMAC_SHA1_80","pad-crypto","sdes-prefer"]"#,
        ] {
            assert_eq!(offer(keys).flags.crypto.sdes, expected, "{keys}");
        }
        for keys in [
            r#""SDES":"off""#,
            r#""SDES":["no"]"#,
            r#""flags":["SDES-off"]"#,
            r#""flags":["SDES-disable"]"#,
        ] {
            assert!(offer(keys).flags.crypto.sdes.off, "{keys}");
        }
    }

    #[test]
    fn orders_of_suites_are_separated_by_semicolons() {
        let sdes = offer(r#""SDES":["order:AES_256_CM_HMAC_SHA1_80;AEAD_AES_256_GCM;","UNENCRYPTED_SRTP","authenticated_srtp"]"#)
            .flags
            .crypto
            .sdes;
        assert_eq!(sdes.order, ["AES_256_CM_HMAC_SHA1_80", "AEAD_AES_256_GCM"]);
        assert_eq!(sdes.unencrypted_srtp, Some(true));
        assert_eq!(sdes.unauthenticated_srtp, Some(false));
    }

    #[test]
    fn only_wins_over_no() {
        let mut sdes = Sdes {
            no: vec!["AEAD_AES_128_GCM".to_owned()],
            ..Sdes::default()
        };
        assert!(!sdes.allows("AEAD_AES_128_GCM"));
        assert!(sdes.allows("AES_CM_128_HMAC_SHA1_80"));
        sdes.only.push("AEAD_AES_128_GCM".to_owned());
        assert!(sdes.allows("AEAD_AES_128_GCM"));
        assert!(!sdes.allows("AES_CM_128_HMAC_SHA1_80"));
    }

    #[test]
    fn osrtp_is_a_list_or_words() {
        let osrtp = offer(r#""flags":["OSRTP-offer"],"OSRTP":["accept-RFC"]"#)
            .flags
            .crypto
            .osrtp;
        assert!(osrtp.offer && osrtp.accept && !osrtp.accept_legacy);
    }
}
