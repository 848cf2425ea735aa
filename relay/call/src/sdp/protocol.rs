//! The transport of an `m=` line (RFC 8866 §5.14, RFC 5764 §8, RFC 8842 §8).

use std::fmt;

/// The `proto` field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    /// One of the RTP profiles.
    Rtp(RtpProfile),
    /// Anything else (`udptl`, `TCP/MSRP`, `UDP/DTLS/SCTP`), kept as it was written.
    Other(String),
}

/// The RTP profiles. The secure ones differ only in how the keys are agreed on, the feedback ones (RFC 4585) only in RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RtpProfile {
    /// SRTP (RFC 3711).
    pub secure: bool,
    /// Extended RTCP feedback (RFC 4585, RFC 5124).
    pub feedback: bool,
    /// The name says that the keys come from DTLS (RFC 5764).
    pub dtls: bool,
}

impl RtpProfile {
    /// `RTP/AVP`.
    pub const AVP: Self = Self::of(false, false, false);
    /// `RTP/AVPF`.
    pub const AVPF: Self = Self::of(false, true, false);
    /// `RTP/SAVP`.
    pub const SAVP: Self = Self::of(true, false, false);
    /// `RTP/SAVPF`.
    pub const SAVPF: Self = Self::of(true, true, false);
    /// `UDP/TLS/RTP/SAVP`.
    pub const DTLS_SAVP: Self = Self::of(true, false, true);
    /// `UDP/TLS/RTP/SAVPF`.
    pub const DTLS_SAVPF: Self = Self::of(true, true, true);

    const fn of(secure: bool, feedback: bool, dtls: bool) -> Self {
        Self {
            secure,
            feedback,
            dtls,
        }
    }

    /// The name in the `m=` line.
    pub fn name(self) -> &'static str {
        match (self.secure, self.feedback, self.dtls) {
            (false, false, _) => "RTP/AVP",
            (false, true, _) => "RTP/AVPF",
            (true, false, false) => "RTP/SAVP",
            (true, true, false) => "RTP/SAVPF",
            (true, false, true) => "UDP/TLS/RTP/SAVP",
            (true, true, true) => "UDP/TLS/RTP/SAVPF",
        }
    }
}

impl Protocol {
    /// Reads the field; letter case does not matter.
    pub fn parse(name: &str) -> Self {
        const ALL: [RtpProfile; 6] = [
            RtpProfile::AVP,
            RtpProfile::AVPF,
            RtpProfile::SAVP,
            RtpProfile::SAVPF,
            RtpProfile::DTLS_SAVP,
            RtpProfile::DTLS_SAVPF,
        ];
        ALL.into_iter()
            .find(|p| p.name().eq_ignore_ascii_case(name))
            .map_or_else(|| Self::Other(name.to_owned()), Self::Rtp)
    }

    /// The RTP profile, when it is one.
    pub fn rtp(&self) -> Option<RtpProfile> {
        match self {
            Self::Rtp(profile) => Some(*profile),
            Self::Other(_) => None,
        }
    }

    /// Whether media is SRTP.
    pub fn is_secure(&self) -> bool {
        self.rtp().is_some_and(|p| p.secure)
    }

    /// Whether the media is a datagram protocol that a relay passes on without understanding it: `udptl` (ITU-T T.38), and
    /// whatever names UDP as its lowest layer (`UDP/BFCP`, `UDP/DTLS/SCTP`).
    pub fn is_opaque(&self) -> bool {
        let Self::Other(name) = self else {
            return false;
        };
        let layer = name.split('/').next().unwrap_or_default();
        layer.eq_ignore_ascii_case("udptl") || layer.eq_ignore_ascii_case("udp")
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtp(profile) => f.write_str(profile.name()),
            Self::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_a_round_trip_and_case_does_not_matter() {
        for name in [
            "RTP/AVP",
            "RTP/AVPF",
            "RTP/SAVP",
            "RTP/SAVPF",
            "UDP/TLS/RTP/SAVPF",
            "TCP/MSRP",
        ] {
            assert_eq!(Protocol::parse(name).to_string(), name);
        }
        for (name, opaque) in [
            ("udptl", true),
            ("UDPTL", true),
            ("UDP/DTLS/SCTP", true),
            ("UDP/BFCP", true),
            ("UDP/TLS/RTP/SAVPF", false),
            ("TCP/MSRP", false),
            ("TCP/TLS/BFCP", false),
        ] {
            assert_eq!(Protocol::parse(name).is_opaque(), opaque, "{name}");
        }
        assert_eq!(
            Protocol::parse("rtp/savpf"),
            Protocol::Rtp(RtpProfile::SAVPF)
        );
    }
}
