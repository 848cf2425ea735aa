//! The session descriptions Meta's media servers write, and the reading of the ones they are sent.
//!
//! The shapes are those of Meta's SIP guide and of published traces: `c=` below `m=`, `a=ice-lite` at session
//! level, an ICE password that ends in `==` although RFC 8839 §5.4 has no `=` among its characters, `o=` with
//! 127.0.0.1, RTCP at port 9 of 0.0.0.0. A relay that is stricter than Meta breaks here and not with customers.
//!
//! This is not a general SDP parser (RFC 8866): it reads what Meta is known to look at and passes over the rest.

mod local;
mod remote;

pub(crate) use local::{CNAME, LocalDescription, LocalKeys};
pub(crate) use remote::RemoteDescription;

/// How the SRTP keys of a call come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// ICE-lite and DTLS-SRTP (RFC 5764), Meta's default.
    Dtls,
    /// Keys in `a=crypto` (RFC 4568), and no ICE.
    Sdes,
}

/// Which generation of Meta's descriptions to imitate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdpShape {
    /// What traces have shown since 2024.
    #[default]
    Current,
    /// The samples of the API reference: other priorities, `ufrag` at the end of candidates, a random CNAME with
    /// `msid`, `mslabel` and `label` lines, extmaps, and `ice-options:trickle` in answers.
    Older,
}

/// The codecs Meta can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// RFC 7587, always there.
    #[default]
    Opus,
    /// G.711 µ-law, only for numbers that have it switched on.
    Pcmu,
    /// G.711 A-law, likewise.
    Pcma,
}

impl Codec {
    /// The clock of RTP timestamps (RFC 7587 §4.1 for Opus, RFC 3551 §4.5.14 for G.711).
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// RTP timestamp units in one packet of 20 ms.
    pub fn samples_per_packet(self) -> u32 {
        self.clock_rate() / 50
    }

    fn static_payload_type(self) -> u8 {
        match self {
            Self::Opus => 111,
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    fn encoding(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// `a=setup` (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The writer is the DTLS client.
    Active,
    /// The writer is the DTLS server.
    Passive,
    /// Either; only in offers.
    Actpass,
}

impl Setup {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
        }
    }

    fn read(value: &str) -> Option<Self> {
        match value {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::Actpass),
            _ => None,
        }
    }
}

/// A description Meta would not accept, with the words that go into the refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SdpRejected {
    /// What is wrong, for the SIP reason phrase or a `Warning` header.
    pub text: String,
}

impl SdpRejected {
    pub(crate) fn because(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// The payload numbers of a call, ours in a user-initiated call and echoed in a business-initiated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PayloadTypes {
    pub(crate) opus: u8,
    pub(crate) telephone_event: u8,
    /// G.711 where the number has it, in the order of the description.
    pub(crate) g711: Vec<(Codec, u8)>,
}

impl PayloadTypes {
    /// Meta's own numbers.
    pub(crate) fn of_meta(additional: &[Codec]) -> Self {
        Self {
            opus: Codec::Opus.static_payload_type(),
            telephone_event: 126,
            g711: additional
                .iter()
                .filter(|codec| **codec != Codec::Opus)
                .map(|codec| (*codec, codec.static_payload_type()))
                .collect(),
        }
    }

    pub(crate) fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        if payload_type == self.opus {
            return Some(Codec::Opus);
        }
        self.g711
            .iter()
            .find(|(_, number)| *number == payload_type)
            .map(|(codec, _)| *codec)
    }

    pub(crate) fn number_of(&self, codec: Codec) -> Option<u8> {
        match codec {
            Codec::Opus => Some(self.opus),
            other => self
                .g711
                .iter()
                .find(|(offered, _)| *offered == other)
                .map(|(_, number)| *number),
        }
    }
}
