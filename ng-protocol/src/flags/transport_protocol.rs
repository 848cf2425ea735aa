//! `transport-protocol`: the third field of an `m=` line (RFC 8866 section 5.14).

use std::fmt;

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
    pub(super) fn of(srtp: bool, avpf: bool, dtls: bool) -> Self {
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
