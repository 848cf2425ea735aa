//! What Meta makes of a description: accepted with what follows from it, or refused with words.
//!
//! Meta's rules beyond RFC 3264: one SHA-256 fingerprint, `active` in an answer, one crypto suite, Opus always,
//! `telephone-event` at 8000 only. What is let pass but wrong becomes a violation.

use std::net::SocketAddr;

use crate::media::config::{AnswerSetup, CallDirection, MediaConfig};
use crate::media::dtls::DtlsRole;
use crate::media::srtp::MasterKey;
use crate::media::violations::Violations;
use crate::sdp::{Codec, KeyExchange, PayloadTypes, RemoteDescription, SdpRejected, Setup};

/// The suite of Meta's own crypto line.
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
/// SHA-256 has 32 octets.
const SHA256_OCTETS: usize = 32;

/// What was agreed with the business.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    /// The address of its description, used without ICE only.
    pub(crate) address: SocketAddr,
    pub(crate) mid: Option<String>,
    /// The numbers the business wants to be sent.
    pub(crate) payload_types: PayloadTypes,
    pub(crate) keys: AgreedKeys,
}

#[derive(Clone, Debug)]
pub(crate) enum AgreedKeys {
    Dtls {
        remote_ufrag: String,
        /// Our role; none when the answer leaves both sides waiting.
        role: Option<DtlsRole>,
        promised: (String, String),
    },
    Sdes {
        /// The tag of the chosen line, which an answer repeats (RFC 4568 §5.1.2).
        tag: u32,
        inbound: MasterKey,
    },
}

impl Agreement {
    pub(crate) fn reach(
        config: &MediaConfig,
        sdp: &str,
        violations: &mut Violations,
    ) -> Result<Self, SdpRejected> {
        let remote = RemoteDescription::parse(sdp)?;
        let payload_types = payload_types(config, &remote)?;
        let keys = match config.keys {
            KeyExchange::Dtls => dtls(config, &remote, violations)?,
            KeyExchange::Sdes => sdes(config, &remote)?,
        };
        note_what_is_wrong(config, &remote, violations);
        Ok(Self {
            address: remote.address,
            mid: remote.mid,
            payload_types,
            keys,
        })
    }
}

fn payload_types(
    config: &MediaConfig,
    remote: &RemoteDescription,
) -> Result<PayloadTypes, SdpRejected> {
    let opus = remote.number_of(Codec::Opus);
    let g711: Vec<(Codec, u8)> = config
        .additional_codecs
        .iter()
        .filter(|codec| **codec != Codec::Opus)
        .filter_map(|codec| Some((*codec, remote.number_of(*codec)?)))
        .collect();
    let payload_types = match opus {
        Some(opus) => PayloadTypes {
            opus,
            // Meta goes on at 126 when a business offers no events at 8000.
            telephone_event: remote.telephone_event(8_000).unwrap_or(126),
            g711,
        },
        None => return Err(SdpRejected::because("no opus/48000/2 in the SDP")),
    };
    if payload_types.number_of(config.voice.codec).is_none() {
        return Err(SdpRejected::because(format!(
            "{:?} is not in the SDP",
            config.voice.codec
        )));
    }
    Ok(payload_types)
}

fn dtls(
    config: &MediaConfig,
    remote: &RemoteDescription,
    violations: &mut Violations,
) -> Result<AgreedKeys, SdpRejected> {
    if !remote.profile.starts_with("UDP/TLS/RTP/SAVP") {
        return Err(SdpRejected::because(format!(
            "profile {} where UDP/TLS/RTP/SAVPF was expected",
            remote.profile
        )));
    }
    let Some((remote_ufrag, _)) = remote.ice.clone() else {
        return Err(SdpRejected::because("no ice-ufrag and ice-pwd in the SDP"));
    };
    if remote.candidates == 0 {
        violations.note("no candidate in the SDP of the business");
    }
    if remote.is_ice_lite {
        violations.note("the business says ice-lite to an ICE-lite peer: nobody would send checks");
    }
    if !remote.has_rtcp_mux {
        violations.note("no rtcp-mux in the SDP of the business");
    }
    Ok(AgreedKeys::Dtls {
        remote_ufrag,
        role: role(config, remote.setup, violations)?,
        promised: fingerprint(config, remote)?,
    })
}

fn role(
    config: &MediaConfig,
    setup: Option<Setup>,
    violations: &mut Violations,
) -> Result<Option<DtlsRole>, SdpRejected> {
    match (config.direction, setup) {
        (_, None) => Err(SdpRejected::because("no setup in the SDP")),
        (CallDirection::UserInitiated, Some(Setup::Active)) => Ok(Some(DtlsRole::Server)),
        (CallDirection::UserInitiated, Some(Setup::Passive)) => {
            violations.note("setup:passive in the answer: Meta never sends a ClientHello");
            Ok(None)
        }
        (CallDirection::UserInitiated, Some(Setup::Actpass)) => {
            Err(SdpRejected::because("setup:actpass in an answer"))
        }
        (CallDirection::BusinessInitiated, Some(Setup::Active)) => Ok(Some(DtlsRole::Server)),
        (CallDirection::BusinessInitiated, Some(Setup::Passive)) => Ok(Some(DtlsRole::Client)),
        (CallDirection::BusinessInitiated, Some(Setup::Actpass)) => {
            Ok(Some(match config.dtls.answer_setup {
                AnswerSetup::Active => DtlsRole::Client,
                AnswerSetup::Passive => DtlsRole::Server,
            }))
        }
    }
}

fn fingerprint(
    config: &MediaConfig,
    remote: &RemoteDescription,
) -> Result<(String, String), SdpRejected> {
    let policy = &config.fingerprints;
    if remote.fingerprints.is_empty() {
        return Err(SdpRejected::because("No fingerprint found in SDP"));
    }
    if remote.fingerprints.len() > 1 && !policy.allow_several {
        return Err(SdpRejected::because("more than one fingerprint in the SDP"));
    }
    let sha256 = remote
        .fingerprints
        .iter()
        .find(|(hash, _)| hash == "sha-256");
    let chosen = match sha256 {
        Some((_, value)) => ("sha256".to_owned(), value.clone()),
        None if policy.allow_other_hashes => {
            let (hash, value) = &remote.fingerprints[0];
            (hash.replace('-', ""), value.clone())
        }
        None => {
            return Err(SdpRejected::because(format!(
                "fingerprint with {}, not sha-256",
                remote.fingerprints[0].0
            )));
        }
    };
    let octets: Vec<&str> = chosen.1.split(':').collect();
    let is_hexadecimal = octets
        .iter()
        .all(|octet| octet.len() == 2 && octet.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if !is_hexadecimal || (chosen.0 == "sha256" && octets.len() != SHA256_OCTETS) {
        return Err(SdpRejected::because(
            "the fingerprint in the SDP cannot be read",
        ));
    }
    Ok(chosen)
}

fn sdes(config: &MediaConfig, remote: &RemoteDescription) -> Result<AgreedKeys, SdpRejected> {
    if !remote.profile.contains("SAVP") {
        return Err(SdpRejected::because(format!(
            "profile {} where RTP/SAVP was expected",
            remote.profile
        )));
    }
    let is_answer = config.direction == CallDirection::UserInitiated;
    // RFC 4568 §5.1.2: an answer takes one line and keeps its tag. An offer may list several.
    if is_answer && remote.crypto.len() > 1 {
        return Err(SdpRejected::because(
            "more than one crypto line in the answer",
        ));
    }
    let chosen = remote
        .crypto
        .iter()
        .find(|crypto| crypto.suite == SUITE)
        .ok_or_else(|| SdpRejected::because(format!("no crypto line with {SUITE} in the SDP")))?;
    if is_answer && chosen.tag != 1 {
        return Err(SdpRejected::because(format!(
            "crypto tag {} was not offered",
            chosen.tag
        )));
    }
    let inbound = MasterKey::from_inline(&chosen.key_and_salt).ok_or_else(|| {
        SdpRejected::because("the key of the crypto line has not 30 octets in base64")
    })?;
    Ok(AgreedKeys::Sdes {
        tag: chosen.tag,
        inbound,
    })
}

fn note_what_is_wrong(
    config: &MediaConfig,
    remote: &RemoteDescription,
    violations: &mut Violations,
) {
    if remote.telephone_event(48_000).is_some() {
        violations.note("telephone-event/48000 in the SDP of the business");
    }
    if let Some(ptime) = remote.ptime.filter(|ptime| *ptime != 20) {
        violations.note(format!("ptime {ptime} in the SDP of the business"));
    }
    if remote.media_sections > 1 && config.direction == CallDirection::BusinessInitiated {
        violations.note("more than one media section in the offer of the business");
    }
    if remote.ssrcs.len() > 1 {
        violations.note("more than one SSRC in the SDP of the business");
    }
    if config.keys == KeyExchange::Sdes && remote.ice.is_some() {
        violations.note("ICE attributes in a description with SDES");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:\
        45:67:89";

    fn answer(setup: &str, fingerprints: &[&str]) -> String {
        let mut lines = vec![
            "v=0".to_owned(),
            "c=IN IP4 198.51.100.7".to_owned(),
            "m=audio 30000 UDP/TLS/RTP/SAVPF 111 126".to_owned(),
            "a=rtcp-mux".to_owned(),
            "a=ice-ufrag:k2Zq".to_owned(),
            "a=ice-pwd:0123456789abcdefghijklmn".to_owned(),
            "a=candidate:1 1 udp 2130706431 198.51.100.7 30000 typ host".to_owned(),
            format!("a=setup:{setup}"),
            "a=rtpmap:111 opus/48000/2".to_owned(),
            "a=rtpmap:126 telephone-event/8000".to_owned(),
        ];
        lines.extend(
            fingerprints
                .iter()
                .map(|fingerprint| format!("a=fingerprint:{fingerprint}")),
        );
        lines.join("\r\n")
    }

    fn reach(config: &MediaConfig, sdp: &str) -> (Result<Agreement, SdpRejected>, Vec<String>) {
        let mut violations = Violations::default();
        let agreement = Agreement::reach(config, sdp, &mut violations);
        (agreement, violations.texts().to_vec())
    }

    fn refusal(config: &MediaConfig, sdp: &str) -> String {
        reach(config, sdp).0.expect_err("a refusal").text
    }

    #[test]
    fn a_good_answer_is_accepted_without_a_word() {
        let sdp = answer(
            "active",
            &[&format!("SHA-256 {}", FINGERPRINT.to_lowercase())],
        );
        let (agreement, violations) = reach(&MediaConfig::default(), &sdp);
        let AgreedKeys::Dtls { role, promised, .. } = agreement.expect("accepted").keys else {
            panic!("not DTLS");
        };
        assert_eq!(role, Some(DtlsRole::Server));
        assert_eq!(promised, ("sha256".to_owned(), FINGERPRINT.to_owned()));
        assert!(violations.is_empty(), "{violations:?}");
    }

    #[test]
    fn fingerprints_must_be_one_and_sha_256() {
        let config = MediaConfig::default();
        let right = format!("sha-256 {FINGERPRINT}");
        let sha1 = "sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13";
        assert_eq!(
            refusal(&config, &answer("active", &[])),
            "No fingerprint found in SDP"
        );
        assert_eq!(
            refusal(&config, &answer("active", &[&right, sha1])),
            "more than one fingerprint in the SDP"
        );
        assert_eq!(
            refusal(&config, &answer("active", &[sha1])),
            "fingerprint with sha-1, not sha-256"
        );
        assert_eq!(
            refusal(&config, &answer("active", &["sha-256 AB:CD"])),
            "the fingerprint in the SDP cannot be read"
        );
        let mut lenient = config;
        lenient.fingerprints.allow_several = true;
        assert!(
            reach(&lenient, &answer("active", &[sha1, &right]))
                .0
                .is_ok()
        );
    }

    #[test]
    fn a_passive_answer_is_accepted_and_leads_nowhere() {
        let sdp = answer("passive", &[&format!("sha-256 {FINGERPRINT}")]);
        let (agreement, violations) = reach(&MediaConfig::default(), &sdp);
        assert!(matches!(
            agreement.expect("accepted").keys,
            AgreedKeys::Dtls { role: None, .. }
        ));
        assert_eq!(
            violations,
            ["setup:passive in the answer: Meta never sends a ClientHello"]
        );
    }

    #[test]
    fn a_sdes_answer_takes_the_one_suite_under_its_tag() {
        let config = MediaConfig {
            keys: KeyExchange::Sdes,
            ..MediaConfig::default()
        };
        let body = |crypto: &str| {
            format!(
                "v=0\r\nc=IN IP4 198.51.100.7\r\nm=audio 30000 RTP/SAVP 111 126\r\na=rtpmap:111 opus/48000/2\r\n{crypto}"
            )
        };
        let key = "A".repeat(40);
        let right = format!("a=crypto:1 {SUITE} inline:{key}\r\n");
        assert!(reach(&config, &body(&right)).0.is_ok());
        assert!(refusal(&config, &body("")).contains("no crypto line"));
        let other_tag = right.replace(":1 ", ":2 ");
        assert_eq!(
            refusal(&config, &body(&other_tag)),
            "crypto tag 2 was not offered"
        );
        let short = format!("a=crypto:1 {SUITE} inline:AAAA\r\n");
        assert!(refusal(&config, &body(&short)).contains("30 octets"));
    }

    #[test]
    fn a_description_without_opus_is_refused() {
        let sdp = answer("active", &[&format!("sha-256 {FINGERPRINT}")])
            .replace("opus/48000/2", "PCMU/8000");
        assert_eq!(
            refusal(&MediaConfig::default(), &sdp),
            "no opus/48000/2 in the SDP"
        );
    }
}
