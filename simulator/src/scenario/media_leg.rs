//! Meta's media endpoint in a call, and what an operator can set about it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use crate::media::config::{
    AnswerSetup, CallDirection, Codec, DtlsConfig, Expectation, KeyExchange, MediaConfig,
    MediaTimers, VoiceConfig,
};
use crate::media::driver::{DriverConfig, DriverError, MediaHandle};
use crate::media::impairment::Impairment;
use crate::media::{CONTROLLED, MediaEvent, MediaReport};
use crate::report::Findings;
use crate::sip::random;
use crate::sip::sdp_check::Keys;

/// What can be set about the media of a call.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// DTLS or SDES.
    pub keys: Keys,
    /// Where the IPv4 socket is bound.
    pub ipv4: Ipv4Addr,
    /// The address written into the description, when it is another.
    pub advertised_ipv4: Option<Ipv4Addr>,
    /// The IPv6 candidate.
    pub ipv6: Ipv6Candidate,
    /// How long after the answer STUN and DTLS are ignored.
    pub setup_delay: Duration,
    /// The tone Meta's user makes.
    pub tone_hz: f64,
    /// What Meta's user should hear.
    pub expectation: Expectation,
    /// Whether Meta also takes part with G.711 offered.
    pub with_g711: bool,
    /// Meta speaks this codec.
    pub codec: Codec,
    /// In a business-initiated call: Meta answers `setup:passive`.
    pub passive_answer: bool,
    /// Digits the user presses, a second after the answer.
    pub digits: Option<String>,
    /// The road, the same in both directions.
    pub road: Impairment,
    /// The factor by which the 20 s and 30 s media timers are multiplied.
    pub timer_scale: f64,
    /// Whether addresses that Meta could not reach are accepted.
    pub allow_private: bool,
    /// Whether media is judged at all.
    pub is_judged: bool,
}

/// Meta always lists an IPv6 candidate, and ranks it above the IPv4 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Candidate {
    /// Listed, with nothing behind it: what a business without IPv6 sees.
    Unreachable,
    /// A socket at this address.
    At(Ipv6Addr),
    /// Not listed.
    Absent,
}

/// In the shape of Meta's own addresses, from the range for documentation (RFC 3849).
const UNREACHABLE_IPV6: Ipv6Addr =
    Ipv6Addr::new(0x2001, 0xdb8, 0xf312, 0x131, 0xface, 0xb00c, 0, 0x699c);

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            keys: Keys::Dtls,
            ipv4: Ipv4Addr::LOCALHOST,
            advertised_ipv4: None,
            ipv6: Ipv6Candidate::Unreachable,
            setup_delay: Duration::from_millis(50),
            tone_hz: 700.0,
            expectation: Expectation::Nothing,
            with_g711: false,
            codec: Codec::Opus,
            passive_answer: false,
            digits: None,
            road: Impairment::default(),
            timer_scale: 1.0,
            allow_private: true,
            is_judged: true,
        }
    }
}

impl MediaSettings {
    /// Starts an endpoint on ports the system chooses.
    pub async fn start(&self, direction: CallDirection) -> Result<MediaHandle, DriverError> {
        let config = MediaConfig {
            direction,
            keys: match self.keys {
                Keys::Dtls => KeyExchange::Dtls,
                Keys::Sdes => KeyExchange::Sdes,
            },
            ipv4: SocketAddrV4::new(self.ipv4, 0),
            ipv6: match self.ipv6 {
                Ipv6Candidate::At(address) => Some(SocketAddrV6::new(address, 0, 0, 0)),
                Ipv6Candidate::Unreachable => Some(SocketAddrV6::new(UNREACHABLE_IPV6, 3480, 0, 0)),
                Ipv6Candidate::Absent => None,
            },
            deafness: self.setup_delay,
            dtls: DtlsConfig {
                answer_setup: if self.passive_answer {
                    AnswerSetup::Passive
                } else {
                    AnswerSetup::Active
                },
                ..DtlsConfig::default()
            },
            additional_codecs: if self.with_g711 {
                vec![Codec::Pcmu, Codec::Pcma]
            } else {
                Vec::new()
            },
            voice: VoiceConfig {
                codec: self.codec,
                tone_hz: self.tone_hz,
                ..VoiceConfig::default()
            },
            expectation: self.expectation,
            timers: MediaTimers::default().scaled(self.timer_scale),
            ..MediaConfig::default()
        };
        let driver = DriverConfig {
            advertised_ipv4: self.advertised_ipv4,
            is_ipv6_unreachable: self.ipv6 == Ipv6Candidate::Unreachable,
            inbound: self.road.clone(),
            outbound: self.road.clone(),
        };
        MediaHandle::start(config, driver, random::seed()).await
    }

    /// The tone that must be heard.
    pub fn expected_tone_hz(&self) -> Option<f64> {
        match self.expectation {
            Expectation::Tone(hz) => Some(hz),
            _ => None,
        }
    }

    /// The word for the key agreement in reports.
    pub fn keys_name(&self) -> &'static str {
        match self.keys {
            Keys::Dtls => "dtls",
            Keys::Sdes => "sdes",
        }
    }
}

/// Waits for the next event of an endpoint, for ever when there is none.
pub(super) async fn next_event(media: &mut Option<MediaHandle>) -> Option<MediaEvent> {
    match media {
        Some(handle) => {
            let event = handle.next_event().await;
            if event.is_none() {
                *media = None;
            }
            event
        }
        None => std::future::pending().await,
    }
}

/// Ends the endpoint and turns its report into findings.
pub(super) async fn conclude(
    media: Option<MediaHandle>,
    settings: &MediaSettings,
    was_answered: bool,
    findings: &mut Findings,
) -> Option<MediaReport> {
    let report = media?.stop().await.ok()?;
    if !settings.is_judged {
        return None;
    }
    for violation in &report.violations {
        if violation == CONTROLLED && report.ice_ms.is_some() {
            findings.note(format!(
                "{violation} at first and mended its role after Meta's 487 ({} time(s)), which cost the \
                 beginning of the call",
                report.role_conflicts
            ));
        } else {
            findings.violation(violation.clone());
        }
    }
    if report.accepted_early {
        findings.violation(
            "media arrived before the 200 OK: WhatsApp takes the call as accepted and starts the \
             user's timer while the phone still rings",
        );
    }
    if was_answered {
        judge_answered(&report, settings, findings);
    }
    Some(report)
}

fn judge_answered(report: &MediaReport, settings: &MediaSettings, findings: &mut Findings) {
    if settings.keys == Keys::Dtls && report.ice_ms.is_none() {
        findings.violation(
            "no valid connectivity check arrived: the business must send checks to Meta's \
             candidates (Meta is ICE-lite and sends none)",
        );
    } else if settings.keys == Keys::Dtls && report.dtls_ms.is_none() {
        findings.violation("ICE worked but the DTLS handshake did not finish");
    }
    if report.first_srtp_ms.is_none() {
        findings.violation(
            "no valid SRTP packet arrived: the business must send the first packet, Meta stays \
             silent until then",
        );
    } else if matches!(settings.expectation, Expectation::Tone(_)) && !report.received.is_tone_found
    {
        findings.violation("media arrived but the expected tone was not heard");
    }
}
