//! Meta's media endpoint: the verbs, and what leads from one state to the next.
//!
//! `handle_*` take the time and what happened, `poll_*` give what follows. A datagram is told by its first octet
//! (RFC 7983 §7) and goes to ICE, DTLS or SRTP; while the endpoint is deaf, STUN and DTLS go nowhere.

mod inbound;
mod speaking;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::media::agreement::{AgreedKeys, Agreement};
use crate::media::config::{CallDirection, MediaConfig, SrtpProfile};
use crate::media::credentials::Credentials;
use crate::media::dtls::{DtlsAssociation, DtlsIdentity, DtlsRole};
use crate::media::event::{MediaEvent, MediaTimer};
use crate::media::ice_lite::IceLite;
use crate::media::reception::Listener;
use crate::media::report::{MediaReport, SentReport};
use crate::media::srtp::SrtpSession;
use crate::media::violations::Violations;
use crate::media::voice::Voice;
use crate::sdp::{KeyExchange, LocalDescription, LocalKeys, PayloadTypes, SdpRejected, Setup};

/// Datagrams and events that may wait to be polled.
const QUEUE: usize = 4096;

/// The endpoint could not be made: OpenSSL or Opus refused.
#[derive(Debug, thiserror::Error)]
#[error("the media endpoint cannot be set up: {0}")]
pub struct SetupError(String);

/// One call's media at Meta.
#[derive(Debug)]
pub struct MetaMedia {
    config: MediaConfig,
    credentials: Credentials,
    identity: DtlsIdentity,
    fingerprint: String,
    own_payload_types: PayloadTypes,
    remote_sdp: Option<String>,
    agreement: Option<Agreement>,
    ice: IceLite,
    dtls: Option<DtlsAssociation>,
    dtls_source: Option<SocketAddr>,
    srtp: Option<SrtpSession>,
    media_source: Option<SocketAddr>,
    voice: Voice,
    listener: Listener,
    moments: Moments,
    next_frame: Option<Instant>,
    next_report: Option<Instant>,
    violations: Violations,
    counters: MediaReport,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<MediaEvent>,
}

/// When what happened.
#[derive(Debug, Default)]
struct Moments {
    /// The answer reached Meta or left it: all measures count from here.
    answer: Option<Instant>,
    /// The 200 OK.
    answered: Option<Instant>,
    first_check: Option<Instant>,
    dtls: Option<Instant>,
    first_srtp: Option<Instant>,
    /// The first media before the 200 OK.
    early: Option<Instant>,
    last_media: Option<Instant>,
    timed_out: bool,
}

impl MetaMedia {
    /// An endpoint whose credentials, SSRC and numbers follow from the seed. Its certificate does not: OpenSSL
    /// draws that itself.
    pub fn new(config: MediaConfig, seed: u64) -> Result<Self, SetupError> {
        let failed = |error: &dyn std::fmt::Display| SetupError(error.to_string());
        let credentials = Credentials::draw(seed, config.shape);
        let identity = DtlsIdentity::generate(config.dtls.key).map_err(|error| failed(&error))?;
        let own_payload_types = PayloadTypes::of_meta(&config.additional_codecs);
        let voice = Voice::new(
            config.voice.clone(),
            credentials.ssrc,
            credentials.first_sequence,
            credentials.first_timestamp,
            own_payload_types.clone(),
        )
        .map_err(|error| failed(&error))?;
        Ok(Self {
            fingerprint: identity.fingerprint().map_err(|error| failed(&error))?,
            identity,
            ice: IceLite::new(credentials.ufrag.clone(), credentials.password.clone()),
            credentials,
            own_payload_types,
            remote_sdp: None,
            agreement: None,
            dtls: None,
            dtls_source: None,
            srtp: None,
            media_source: None,
            voice,
            listener: Listener::new(config.expectation).map_err(|error| failed(&error))?,
            moments: Moments::default(),
            next_frame: None,
            next_report: None,
            violations: Violations::default(),
            counters: MediaReport::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            config,
        })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &MediaConfig {
        &self.config
    }

    /// The offer of a user-initiated call; the same each time.
    pub fn local_sdp_offer(&self) -> String {
        self.describe(
            Setup::Actpass,
            1,
            "audio".to_owned(),
            self.own_payload_types.clone(),
            false,
        )
    }

    /// The answer to the offer of a business-initiated call. Follow it with [`Self::set_remote_sdp`].
    pub fn local_sdp_answer(&self, remote_offer: &str) -> Result<String, SdpRejected> {
        // What is wrong with the offer is noted when it is set; here it only has to be understood.
        let agreement = Agreement::reach(&self.config, remote_offer, &mut Violations::default())?;
        let (setup, tag, mid) = match &agreement.keys {
            AgreedKeys::Dtls { role, .. } => {
                let setup = match role {
                    Some(DtlsRole::Client) => Setup::Active,
                    Some(DtlsRole::Server) | None => Setup::Passive,
                };
                (setup, 1, agreement.mid.clone())
            }
            // With SDES Meta writes its own mid.
            AgreedKeys::Sdes { tag, .. } => (Setup::Passive, *tag, None),
        };
        let mid = mid.unwrap_or_else(|| "audio".to_owned());
        Ok(self.describe(setup, tag, mid, agreement.payload_types, true))
    }

    fn describe(
        &self,
        setup: Setup,
        tag: u32,
        mid: String,
        payload_types: PayloadTypes,
        is_answer: bool,
    ) -> String {
        let credentials = &self.credentials;
        let keys = match self.config.keys {
            KeyExchange::Dtls => LocalKeys::Dtls {
                ufrag: credentials.ufrag.clone(),
                password: credentials.password.clone(),
                fingerprint: self.fingerprint.clone(),
                setup,
            },
            KeyExchange::Sdes => LocalKeys::Sdes {
                tag,
                inline: credentials.master_key.to_inline(),
            },
        };
        LocalDescription {
            shape: self.config.shape,
            is_answer,
            session_id: credentials.session_id,
            stream_id: credentials.stream_id.clone(),
            mid,
            ipv4: self.config.ipv4,
            ipv6: self.config.ipv6,
            foundations: credentials.foundations,
            keys,
            payload_types,
            ssrc: credentials.ssrc,
            cname: credentials.cname.clone(),
        }
        .to_string()
    }

    /// Takes the description of the business. In a user-initiated call the deafness of D ms begins now.
    ///
    /// The same description again (in a 183 and in the 200) changes nothing; another one is refused, since Meta
    /// renegotiates nothing.
    pub fn set_remote_sdp(&mut self, now: Instant, sdp: &str) -> Result<(), SdpRejected> {
        if let Some(known) = &self.remote_sdp {
            if known == sdp {
                return Ok(());
            }
            self.violations
                .note("the business changed its SDP during the call");
            return Err(SdpRejected::because("the SDP of a call cannot be changed"));
        }
        let agreement = Agreement::reach(&self.config, sdp, &mut self.violations)?;
        match &agreement.keys {
            AgreedKeys::Dtls {
                remote_ufrag,
                role,
                promised,
            } => {
                self.ice.set_remote(remote_ufrag);
                self.dtls = role
                    .map(|role| {
                        DtlsAssociation::new(
                            role,
                            &self.identity,
                            promised.clone(),
                            &self.config.dtls,
                        )
                    })
                    .transpose()
                    .map_err(|error| {
                        SdpRejected::because(format!("DTLS cannot be set up: {error}"))
                    })?;
            }
            AgreedKeys::Sdes { inbound, .. } => {
                let profile = SrtpProfile::Aes128CmSha1_80;
                self.srtp = SrtpSession::new(profile, inbound, &self.credentials.master_key);
                self.counters.srtp_profile = Some("AES_CM_128_HMAC_SHA1_80".to_owned());
            }
        }
        self.voice
            .set_payload_types(agreement.payload_types.clone());
        if self.config.direction == CallDirection::BusinessInitiated {
            // Meta echoes the numbers of an offer.
            self.own_payload_types = agreement.payload_types.clone();
        } else {
            self.moments.answer = Some(now);
        }
        self.agreement = Some(agreement);
        self.remote_sdp = Some(sdp.to_owned());
        Ok(())
    }

    /// The 200 OK arrived (user-initiated) or is being sent (business-initiated, where deafness begins now).
    pub fn call_answered(&mut self, now: Instant) {
        if self.moments.answered.is_some() {
            return;
        }
        self.note_early_media(now);
        self.moments.answered = Some(now);
        self.moments.answer.get_or_insert(now);
        if let Some(early) = self.moments.early {
            self.counters.early_media_ms = Some(milliseconds(now.saturating_duration_since(early)));
        }
        if self.moments.first_srtp.is_some() {
            self.begin_to_speak(now);
        }
    }

    /// The moment the far side began to speak its prompt, from which lateness counts.
    pub fn prompt_started(&mut self, at: Instant) {
        self.listener.prompt_started(at);
    }

    /// Sends digits as telephone-events (RFC 4733) in place of the tone.
    pub fn send_digits(&mut self, digits: &str) {
        self.voice.send_digits(digits);
    }

    /// A datagram came in on one of the two addresses.
    pub fn handle_datagram(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        self.counters.datagrams_in += 1;
        match bytes.first() {
            Some(0..=3) if self.is_deaf(now) => self.counters.ignored_while_deaf += 1,
            Some(20..=63) if self.is_deaf(now) => self.counters.ignored_while_deaf += 1,
            Some(0..=3) => self.handle_stun(now, source, bytes),
            Some(20..=63) => self.handle_dtls(now, source, bytes),
            Some(128..=191) => self.handle_media(now, source, bytes),
            _ => {}
        }
    }

    fn is_deaf(&self, now: Instant) -> bool {
        self.config.keys == KeyExchange::Sdes
            || self
                .moments
                .answer
                .is_none_or(|answer| now < answer + self.config.deafness)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self
            .dtls
            .as_ref()
            .and_then(DtlsAssociation::poll_timeout)
            .is_some_and(|due| due <= now)
        {
            let outcome = self.dtls.as_mut().map(|dtls| dtls.handle_timeout(now));
            self.follow_dtls(now, outcome);
        }
        self.speak(now);
        if self.next_report.is_some_and(|due| due <= now) {
            self.next_report = Some(now + self.config.rtcp_interval);
            self.send_report(now);
        }
        self.note_early_media(now);
        if let Some((timer, due)) = self.media_deadline()
            && due <= now
        {
            self.moments.timed_out = true;
            self.push_event(MediaEvent::TimedOut(timer));
        }
    }

    /// Once media has run ahead of the 200 OK by more than the tolerance, the call counts as accepted early.
    fn note_early_media(&mut self, now: Instant) {
        if let Some(early) = self.moments.early
            && self.moments.answered.is_none()
            && now > early + self.config.early_media_tolerance
        {
            self.counters.accepted_early = true;
            self.violations
                .note("SRTP arrived before the call was answered");
        }
    }

    fn media_deadline(&self) -> Option<(MediaTimer, Instant)> {
        let answered = self.moments.answered.filter(|_| !self.moments.timed_out)?;
        Some(match self.moments.last_media {
            None => (MediaTimer::Start, answered + self.config.timers.start),
            Some(last) => (
                MediaTimer::Silence,
                last.max(answered) + self.config.timers.silence,
            ),
        })
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let early = self
            .moments
            .early
            .filter(|_| self.moments.answered.is_none() && !self.counters.accepted_early)
            .map(|early| early + self.config.early_media_tolerance + Duration::from_millis(1));
        [
            self.dtls.as_ref().and_then(DtlsAssociation::poll_timeout),
            self.next_frame,
            self.next_report,
            self.media_deadline().map(|(_, due)| due),
            early,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next datagram to send, from the address of the destination's family.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events
            .pop_front()
            .or_else(|| self.violations.poll().map(MediaEvent::Violation))
    }

    fn transmit(&mut self, destination: SocketAddr, bytes: Vec<u8>) {
        self.counters.datagrams_out += 1;
        if self.transmits.len() < QUEUE {
            self.transmits.push_back((destination, bytes));
        }
    }

    fn push_event(&mut self, event: MediaEvent) {
        if self.events.len() < QUEUE {
            self.events.push_back(event);
        }
    }

    fn after_answer(&self, now: Instant) -> Duration {
        self.moments.answer.map_or(Duration::ZERO, |answer| {
            now.saturating_duration_since(answer)
        })
    }

    /// The call so far.
    pub fn report(&self, now: Instant) -> MediaReport {
        let moments = &self.moments;
        let after =
            |moment: Option<Instant>| moment.map(|moment| milliseconds(self.after_answer(moment)));
        let early = moments.early.filter(|_| moments.answered.is_none());
        MediaReport {
            ice_ms: after(moments.first_check),
            dtls_ms: after(moments.dtls),
            first_srtp_ms: after(moments.first_srtp),
            early_media_ms: early
                .map(|early| milliseconds(now.saturating_duration_since(early)))
                .or(self.counters.early_media_ms),
            received: self.listener.report(),
            sent: SentReport {
                packets: self.voice.packets,
                octets: self.voice.octets,
                digits: self.voice.digits_sent,
                ..self.counters.sent.clone()
            },
            violations: self.violations.texts().to_vec(),
            ..self.counters.clone()
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
