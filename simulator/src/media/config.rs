//! What a simulated media endpoint is to do, and how it is to misbehave.
//!
//! The defaults are what Meta documents or what traces show; every behaviour Meta has not written down can be set.

use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

pub use crate::sdp::{Codec, KeyExchange, SdpShape};

/// Who calls whom, which decides who writes the offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallDirection {
    /// A WhatsApp user calls the business: Meta writes the offer.
    #[default]
    UserInitiated,
    /// The business calls a WhatsApp user: Meta writes the answer.
    BusinessInitiated,
}

/// The SRTP protection profiles of RFC 5764 §4.1.2 and RFC 7714 §14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    /// AES counter mode with an 80-bit tag.
    Aes128CmSha1_80,
    /// AES counter mode with a 32-bit tag.
    Aes128CmSha1_32,
    /// AES-GCM with a 128-bit key.
    AeadAes128Gcm,
    /// AES-GCM with a 256-bit key.
    AeadAes256Gcm,
}

/// Which end of the DTLS handshake Meta takes when it writes the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerSetup {
    /// `setup:active`, Meta's samples: the simulator sends the ClientHello.
    #[default]
    Active,
    /// `setup:passive`, one gateway's account.
    Passive,
}

/// The clock that drives OpenSSL's own retransmission timer, which cannot be handed the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The instants passed in are the system's.
    #[default]
    System,
    /// The instants passed in are made up.
    Invented,
}

/// How DTLS is spoken.
#[derive(Clone, Debug)]
pub struct DtlsConfig {
    /// The role in a business-initiated call.
    pub answer_setup: AnswerSetup,
    /// The kind of Meta's key.
    pub key: CertificateKey,
    /// Spaces between repetitions of a flight; the last one is repeated.
    pub retransmissions: Vec<Duration>,
    /// Profiles offered or accepted, best first.
    pub profiles: Vec<SrtpProfile>,
    /// Whether the server asks for a cookie (RFC 6347 §4.2.1), one round trip more.
    pub is_cookie_required: bool,
    /// Largest datagram of a flight.
    pub mtu: u32,
    /// See [`Clock`].
    pub clock: Clock,
}

/// The kind of an endpoint's key. Meta advises ECDSA and says nothing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKey {
    /// P-256.
    Ecdsa,
    /// 2048 bits.
    Rsa,
}

impl Default for DtlsConfig {
    fn default() -> Self {
        Self {
            answer_setup: AnswerSetup::Active,
            key: CertificateKey::Ecdsa,
            retransmissions: [1, 2, 4, 8].map(Duration::from_secs).to_vec(),
            profiles: vec![SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm],
            is_cookie_required: false,
            mtu: 1200,
            clock: Clock::System,
        }
    }
}

/// What Meta refuses in a description.
#[derive(Clone, Debug)]
pub struct FingerprintPolicy {
    /// Whether more than one `a=fingerprint` line is let pass, as long as one is SHA-256.
    pub allow_several: bool,
    /// Whether hashes other than SHA-256 are let pass.
    pub allow_other_hashes: bool,
}

/// What Meta's user says.
#[derive(Clone, Debug)]
pub struct VoiceConfig {
    /// The codec Meta speaks; it must be among the offered ones.
    pub codec: Codec,
    /// The tone in place of words.
    pub tone_hz: f64,
    /// Loudness, 1.0 being full scale.
    pub amplitude: f64,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        Self {
            codec: Codec::Opus,
            tone_hz: 700.0,
            amplitude: 0.3,
        }
    }
}

/// What Meta's user should hear, and by which it is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Expectation {
    /// Anything.
    #[default]
    Nothing,
    /// A tone.
    Tone(f64),
    /// Packets that carry their number, see [`CountedPrompt`.
    CountedPrompt,
    /// A tone that changes every 100 ms, see [`crate::media::prompt::SteppedPrompt`].
    SteppedPrompt,
}

/// When Meta's client hangs up for want of media.
#[derive(Clone, Copy, Debug)]
pub struct MediaTimers {
    /// From the answer to the first packet.
    pub start: Duration,
    /// From one packet to the next, RTCP included.
    pub silence: Duration,
}

impl MediaTimers {
    /// The same timers, faster: a factor of 0.1 makes them ten times as short.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            start: self.start.mul_f64(factor),
            silence: self.silence.mul_f64(factor),
        }
    }
}

impl Default for MediaTimers {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(20),
            silence: Duration::from_secs(30),
        }
    }
}

/// One simulated media endpoint.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Who calls.
    pub direction: CallDirection,
    /// How keys are agreed.
    pub keys: KeyExchange,
    /// The IPv4 candidate, also the address in `c=` and `m=`.
    pub ipv4: SocketAddrV4,
    /// The IPv6 candidate.
    pub ipv6: Option<SocketAddrV6>,
    /// Which generation of descriptions is written.
    pub shape: SdpShape,
    /// D: for how long after the answer STUN and DTLS fall on deaf ears.
    pub deafness: Duration,
    /// DTLS.
    pub dtls: DtlsConfig,
    /// Fingerprints.
    pub fingerprints: FingerprintPolicy,
    /// Codecs besides Opus.
    pub additional_codecs: Vec<Codec>,
    /// What is said.
    pub voice: VoiceConfig,
    /// What should be heard.
    pub expectation: Expectation,
    /// When to hang up.
    pub timers: MediaTimers,
    /// Space between sender reports.
    pub rtcp_interval: Duration,
    /// How far SRTP may run ahead of the 200 OK, which takes another road, before the call counts as accepted early.
    pub early_media_tolerance: Duration,
    /// Without ICE: whether media goes to where the business' media came from instead of to its description.
    pub is_symmetric: bool,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            direction: CallDirection::UserInitiated,
            keys: KeyExchange::Dtls,
            ipv4: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3480),
            ipv6: None,
            shape: SdpShape::Current,
            deafness: Duration::from_millis(50),
            dtls: DtlsConfig::default(),
            fingerprints: FingerprintPolicy {
                allow_several: false,
                allow_other_hashes: false,
            },
            additional_codecs: Vec::new(),
            voice: VoiceConfig::default(),
            expectation: Expectation::Nothing,
            timers: MediaTimers::default(),
            rtcp_interval: Duration::from_secs(3),
            early_media_tolerance: Duration::from_millis(100),
            is_symmetric: false,
        }
    }
}
