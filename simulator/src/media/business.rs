//! A small business side for the simulator's own tests, in invented time: a controlling ICE agent, DTLS in either
//! role or SDES, a counted prompt, and an ear for what Meta says. It is built from the same parts as the simulator,
//! so it shows that the simulator hangs together, not that it is right; that is for strangers to show.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::media::config::{Clock, DtlsConfig, Expectation, SrtpProfile};
use crate::media::dtls::{DtlsAssociation, DtlsIdentity, DtlsOutcome, DtlsRole};
use crate::media::endpoint::MetaMedia;
use crate::media::event::MediaEvent;
use crate::media::impairment::{Impairment, Link, is_rtcp};
use crate::media::prompt::CountedPrompt;
use crate::media::reception::Listener;
use crate::media::report::ReceivedReport;
use crate::media::rtcp::{self, OwnReport};
use crate::media::rtp::RtpPacket;
use crate::media::srtp::{MasterKey, SrtpSession};
use crate::media::stun::{Message, MessageType, Writer};
use crate::media::violations::Violations;
use crate::sdp::{Codec, PayloadTypes, RemoteDescription, Setup};

const UFRAG: &str = "k2Zq";
const PASSWORD: &str = "0123456789abcdefghijklmn";
const SSRC: u32 = 0x0b05_1ce5;
const FRAME: Duration = Duration::from_millis(20);

/// How this business behaves.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    pub(crate) is_sdes: bool,
    pub(crate) check_interval: Duration,
    pub(crate) says_controlled: bool,
    /// What is spoken before there are keys is sent once there are, instead of being dropped.
    pub(crate) holds_audio: bool,
    pub(crate) sends_audio: bool,
    pub(crate) sends_rtcp: bool,
    pub(crate) dtls: DtlsConfig,
    pub(crate) setup: Setup,
    pub(crate) codec: Codec,
    pub(crate) fingerprint: Option<String>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            is_sdes: false,
            check_interval: FRAME,
            says_controlled: false,
            holds_audio: false,
            sends_audio: true,
            sends_rtcp: false,
            dtls: DtlsConfig {
                clock: Clock::Invented,
                retransmissions: [50, 100, 200, 400].map(Duration::from_millis).to_vec(),
                ..DtlsConfig::default()
            },
            setup: Setup::Active,
            codec: Codec::Opus,
            fingerprint: None,
        }
    }
}

/// One call's media at the business.
#[derive(Debug)]
pub(crate) struct Business {
    manners: Manners,
    address: SocketAddr,
    identity: DtlsIdentity,
    master_key: MasterKey,
    meta: Option<RemoteDescription>,
    dtls: Option<DtlsAssociation>,
    srtp: Option<SrtpSession>,
    next_check: Option<Instant>,
    has_pair: bool,
    transaction: u64,
    prompt_from: Option<Instant>,
    next_piece: u32,
    next_rtcp: Option<Instant>,
    sequence: u16,
    transmits: VecDeque<Vec<u8>>,
    pub(crate) error_codes: Vec<u16>,
    pub(crate) listener: Listener,
    pub(crate) events_heard: Vec<RtpPacketSeen>,
    pub(crate) failures: Vec<String>,
    pub(crate) violations: Violations,
    pub(crate) first_sent: Option<Instant>,
    pub(crate) first_heard: Option<Instant>,
}

/// The numbers both sides use.
fn numbers() -> PayloadTypes {
    PayloadTypes::of_meta(&[Codec::Pcmu])
}

/// What is kept of a packet of Meta's that is no audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpPacketSeen {
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
}

impl Business {
    pub(crate) fn new(manners: Manners) -> Self {
        Self {
            identity: DtlsIdentity::generate(manners.dtls.key).expect("a certificate"),
            manners,
            address: "198.51.100.7:30000".parse().expect("an address"),
            master_key: MasterKey {
                key: vec![0x11; 16],
                salt: vec![0x22; 14],
            },
            meta: None,
            dtls: None,
            srtp: None,
            next_check: None,
            has_pair: false,
            transaction: 0,
            prompt_from: None,
            next_piece: 0,
            next_rtcp: None,
            sequence: 65_500,
            transmits: VecDeque::new(),
            error_codes: Vec::new(),
            listener: Listener::new(Expectation::Tone(700.0)).expect("a decoder"),
            events_heard: Vec::new(),
            failures: Vec::new(),
            violations: Violations::default(),
            first_sent: None,
            first_heard: None,
        }
    }

    pub(crate) fn sdp(&self) -> String {
        let mut lines = vec![
            "v=0".to_owned(),
            "o=- 42 1 IN IP4 198.51.100.7".to_owned(),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
        ];
        let profile = if self.manners.is_sdes {
            "RTP/SAVP"
        } else {
            "UDP/TLS/RTP/SAVPF"
        };
        lines.push(format!(
            "m=audio {} {profile} 111 0 126",
            self.address.port()
        ));
        lines.push(format!("c=IN IP4 {}", self.address.ip()));
        lines.push("a=mid:0".to_owned());
        lines.push("a=rtcp-mux".to_owned());
        if self.manners.is_sdes {
            lines.push(format!(
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}",
                self.master_key.to_inline()
            ));
        } else {
            let own = self.identity.fingerprint().expect("a fingerprint");
            let fingerprint = self.manners.fingerprint.clone().unwrap_or(own);
            let setup = match self.manners.setup {
                Setup::Active => "active",
                Setup::Passive => "passive",
                Setup::Actpass => "actpass",
            };
            lines.push(format!("a=ice-ufrag:{UFRAG}"));
            lines.push(format!("a=ice-pwd:{PASSWORD}"));
            lines.push("a=candidate:1 1 udp 2130706431 198.51.100.7 30000 typ host".to_owned());
            lines.push(format!("a=fingerprint:sha-256 {fingerprint}"));
            lines.push(format!("a=setup:{setup}"));
        }
        lines.push("a=rtpmap:111 opus/48000/2".to_owned());
        lines.push("a=rtpmap:126 telephone-event/8000".to_owned());
        lines.push("a=ptime:20".to_owned());
        lines.join("\r\n") + "\r\n"
    }

    /// The call is answered: checks begin, and so does the prompt.
    pub(crate) fn start(&mut self, now: Instant, meta_sdp: &str) {
        let meta = RemoteDescription::parse(meta_sdp).expect("Meta's own SDP");
        self.prompt_from = Some(now);
        if self.manners.is_sdes {
            let inbound = MasterKey::from_inline(&meta.crypto[0].key_and_salt).expect("Meta's key");
            self.srtp = SrtpSession::new(SrtpProfile::Aes128CmSha1_80, &inbound, &self.master_key);
        } else {
            let promised = ("sha256".to_owned(), meta.fingerprints[0].1.clone());
            let role = match (self.manners.setup, meta.setup) {
                (Setup::Active, _) | (_, Some(Setup::Passive)) => DtlsRole::Client,
                _ => DtlsRole::Server,
            };
            let dtls = DtlsAssociation::new(role, &self.identity, promised, &self.manners.dtls);
            self.dtls = Some(dtls.expect("an association"));
            self.next_check = Some(now);
        }
        self.meta = Some(meta);
    }

    fn check(&mut self) -> Vec<u8> {
        let (ufrag, password) = self
            .meta
            .as_ref()
            .and_then(|meta| meta.ice.clone())
            .expect("ICE");
        self.transaction += 1;
        let mut transaction = [0; 12];
        transaction[4..].copy_from_slice(&self.transaction.to_be_bytes());
        let check = Writer::new(MessageType::Request, transaction)
            .username(&format!("{ufrag}:{UFRAG}"))
            .priority(1);
        let check = if self.manners.says_controlled {
            check.controlled(1)
        } else {
            check.controlling(1).nominating()
        };
        check.seal(&password)
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) {
        match bytes[0] {
            0..=3 => self.handle_reply(now, bytes),
            20..=63 => {
                let outcome = self
                    .dtls
                    .as_mut()
                    .map(|dtls| dtls.handle_datagram(now, bytes));
                self.follow_dtls(outcome);
            }
            _ => self.hear(now, bytes),
        }
    }

    fn handle_reply(&mut self, now: Instant, bytes: &[u8]) {
        let Some(reply) = Message::parse(bytes) else {
            return;
        };
        let password = self
            .meta
            .as_ref()
            .and_then(|meta| meta.ice.clone())
            .expect("ICE")
            .1;
        assert!(
            reply.is_authentic(&password),
            "Meta's replies carry integrity"
        );
        match reply.message_type {
            MessageType::Request => panic!("a lite agent sends no checks"),
            MessageType::Error => self.error_codes.extend(reply.error_code()),
            MessageType::Success if !self.has_pair => {
                self.has_pair = true;
                let outcome = self.dtls.as_mut().map(|dtls| dtls.start(now));
                self.follow_dtls(outcome);
            }
            MessageType::Success => {}
        }
    }

    fn follow_dtls(&mut self, outcome: Option<DtlsOutcome>) {
        match outcome {
            Some(DtlsOutcome::Connected(keys)) => {
                self.srtp = SrtpSession::new(keys.profile, &keys.inbound, &keys.outbound);
            }
            Some(DtlsOutcome::Failed(reason)) => self.failures.push(reason),
            _ => {}
        }
        while let Some(datagram) = self.dtls.as_mut().and_then(DtlsAssociation::poll_datagram) {
            self.transmits.push_back(datagram);
        }
    }

    fn hear(&mut self, now: Instant, bytes: &[u8]) {
        let Some(srtp) = self.srtp.as_mut() else {
            return;
        };
        self.first_heard.get_or_insert(now);
        if is_rtcp(bytes) {
            let plain = srtp.unprotect_rtcp(bytes).expect("authentic RTCP");
            let heard = rtcp::read(&plain, SSRC);
            assert!(heard.is_whole);
            self.listener.handle_rtcp(&heard);
            return;
        }
        let plain = srtp.unprotect_rtp(bytes).expect("authentic RTP");
        let packet = RtpPacket::parse(&plain).expect("RTP");
        if packet.payload_type == 126 {
            self.events_heard.push(RtpPacketSeen {
                payload_type: packet.payload_type,
                timestamp: packet.timestamp,
            });
        }
        self.listener
            .handle(now, &packet, &numbers(), &mut self.violations);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(due) = self.next_check.filter(|due| *due <= now) {
            // Later checks keep the consent (RFC 7675).
            let interval = if self.has_pair {
                Duration::from_secs(5)
            } else {
                self.manners.check_interval
            };
            self.next_check = Some(due + interval);
            let check = self.check();
            self.transmits.push_back(check);
        }
        let outcome = self.dtls.as_mut().map(|dtls| dtls.handle_timeout(now));
        self.follow_dtls(outcome);
        while self.next_piece_due().is_some_and(|due| due <= now) {
            self.speak(now);
        }
        if self.manners.sends_rtcp
            && self.srtp.is_some()
            && self.next_rtcp.is_none_or(|due| due <= now)
        {
            self.next_rtcp = Some(now + Duration::from_secs(5));
            self.send_rtcp();
        }
    }

    fn next_piece_due(&self) -> Option<Instant> {
        let from = self.prompt_from.filter(|_| self.manners.sends_audio)?;
        // Held pieces wait for the keys; they are not a deadline of their own.
        (self.srtp.is_some() || !self.manners.holds_audio).then(|| from + FRAME * self.next_piece)
    }

    fn speak(&mut self, now: Instant) {
        let codec = self.manners.codec;
        let payload = CountedPrompt::payload(codec, self.next_piece);
        let packet = RtpPacket {
            payload_type: numbers().number_of(codec).expect("an agreed codec"),
            has_marker: self.next_piece == 0,
            sequence: self.sequence,
            timestamp: self.next_piece * codec.samples_per_packet(),
            ssrc: SSRC,
            payload: &payload,
        };
        self.next_piece += 1;
        let Some(srtp) = self.srtp.as_mut() else {
            return;
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.first_sent.get_or_insert(now);
        let sealed = srtp.protect_rtp(&packet.to_bytes()).expect("sealed");
        self.transmits.push_back(sealed);
    }

    fn send_rtcp(&mut self) {
        let report = OwnReport {
            ssrc: SSRC,
            cname: "business",
            ntp_timestamp: 1 << 40,
            rtp_timestamp: 0,
            packets: 0,
            octets: 0,
            about: None,
        };
        let bytes = report.to_bytes().expect("a report");
        let sealed = self
            .srtp
            .as_mut()
            .and_then(|srtp| srtp.protect_rtcp(&bytes));
        self.transmits.extend(sealed);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let rtcp = self
            .next_rtcp
            .filter(|_| self.manners.sends_rtcp && self.srtp.is_some());
        [
            self.next_check,
            self.dtls.as_ref().and_then(DtlsAssociation::poll_timeout),
            self.next_piece_due(),
            rtcp,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(crate) fn heard(&self) -> ReceivedReport {
        self.listener.report()
    }

    pub(crate) fn stop_speaking(&mut self) {
        self.manners.sends_audio = false;
    }
}

/// Both ends, the road between them, and the clock.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) meta: MetaMedia,
    pub(crate) business: Business,
    to_meta: Link<Vec<u8>>,
    to_business: Link<Vec<u8>>,
    pub(crate) now: Instant,
    pub(crate) events: Vec<(Duration, MediaEvent)>,
    start: Instant,
}

impl Scene {
    pub(crate) fn new(
        meta: MetaMedia,
        manners: Manners,
        to_meta: Impairment,
        to_business: Impairment,
        seed: u64,
    ) -> Self {
        let now = crate::testing::epoch();
        Self {
            meta,
            business: Business::new(manners),
            to_meta: Link::new(to_meta, 2 * seed),
            to_business: Link::new(to_business, 2 * seed + 1),
            now,
            events: Vec::new(),
            start: now,
        }
    }

    /// A user-initiated call whose 200 OK arrives now.
    pub(crate) fn answer_by_business(&mut self) {
        let answer = self.business.sdp();
        self.business.start(self.now, &self.meta.local_sdp_offer());
        self.meta
            .set_remote_sdp(self.now, &answer)
            .expect("a good answer");
        self.meta.call_answered(self.now);
        self.meta.prompt_started(self.now);
    }

    /// A business-initiated call whose 200 OK leaves now.
    pub(crate) fn answer_by_meta(&mut self) {
        let offer = self.business.sdp();
        let answer = self.meta.local_sdp_answer(&offer).expect("a good offer");
        self.meta
            .set_remote_sdp(self.now, &offer)
            .expect("a good offer");
        self.meta.call_answered(self.now);
        self.business.start(self.now, &answer);
        self.meta.prompt_started(self.now);
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            let next = [
                self.meta.poll_timeout(),
                self.business.poll_timeout(),
                self.to_meta.poll_timeout(),
                self.to_business.poll_timeout(),
            ]
            .into_iter()
            .flatten()
            .min();
            match next {
                Some(due) if due <= end => self.now = due.max(self.now),
                _ => break,
            }
        }
        self.now = end;
    }

    fn settle(&mut self) {
        let source = self.business.address;
        while let Some(bytes) = self.to_meta.pop(self.now) {
            self.meta.handle_datagram(self.now, source, &bytes);
        }
        while let Some(bytes) = self.to_business.pop(self.now) {
            self.business.handle_datagram(self.now, &bytes);
        }
        self.meta.handle_timeout(self.now);
        self.business.handle_timeout(self.now);
        while let Some((destination, bytes)) = self.meta.poll_transmit() {
            assert_eq!(destination, source);
            self.to_business.push(self.now, &bytes.clone(), bytes);
        }
        while let Some(bytes) = self.business.transmits.pop_front() {
            self.to_meta.push(self.now, &bytes.clone(), bytes);
        }
        while let Some(event) = self.meta.poll_event() {
            self.events.push((self.now - self.start, event));
        }
    }
}
