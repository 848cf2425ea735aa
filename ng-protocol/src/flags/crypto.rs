//! The transport protocol of the `m=` line and everything that keys it: DTLS (RFC 5763), SDES (RFC 4568), OSRTP (RFC 8643).

use std::fmt;

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
