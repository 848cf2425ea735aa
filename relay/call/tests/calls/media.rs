//! Packets through a call between an SDES leg, as Meta's, and a plain one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_call::{CallConfig, CallEvent, EndReason, Failure};
use relay_packet::{Outbox, PacketBuf, Received, SocketId, Transmit};
use relay_transport::rtcp::{Compound, NtpTime, SenderInfo, write_report};
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use relay_transport::srtp::SrtpContext;
use relay_transport::srtp::sdes::CryptoAttribute;

use crate::support::{Desk, config, epoch, interface, sdp};
use crate::whatsapp::{
    BIC_ANSWER, BIC_DTLS, BIC_SDES, META_DTLS, META_SDES, UIC_ANSWER, UIC_OFFER, exchange, pbx,
};

pub(crate) const META: &str = "198.51.100.10:3480";
const META_KEY: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
/// Opus, 20 ms, with something in it.
pub(crate) const SPEECH: [u8; 20] = [0x48; 20];

/// A call with its two far ends.
pub(crate) struct Line {
    pub(crate) desk: Desk,
    pub(crate) out: Outbox,
    pub(crate) sent: Vec<Transmit>,
    pub(crate) to_meta: SrtpContext,
    pub(crate) from_meta: SrtpContext,
    pub(crate) towards_meta: SocketId,
    pub(crate) towards_pbx: SocketId,
    pub(crate) events: Vec<CallEvent>,
}

impl Line {
    /// A user-initiated call that is ringing: offered, not answered.
    pub(crate) fn ringing() -> Self {
        Self::ringing_with(|_| {})
    }

    /// The same with some options changed.
    pub(crate) fn ringing_with(change: impl FnOnce(&mut CallConfig)) -> Self {
        let now = epoch();
        let interfaces = vec![
            interface("priv", &["192.0.2.1"]),
            interface("pub", &["203.0.113.1"]),
        ];
        let mut config = config(now, interfaces);
        change(&mut config);
        let mut desk = Desk::with(now, config);
        sdp(&desk.ask(&exchange("offer", META_SDES, ["meta", ""], UIC_OFFER)));
        let socket_on = |ip: &str, desk: &Desk| {
            let found = desk
                .ports
                .open
                .iter()
                .find(|(_, a)| a.ip().to_string() == ip);
            *found.unwrap().0
        };
        let key: CryptoAttribute = META_KEY.parse().unwrap();
        Self {
            towards_meta: socket_on("203.0.113.1", &desk),
            towards_pbx: socket_on("192.0.2.1", &desk),
            desk,
            out: Outbox::new(16),
            sent: Vec::new(),
            to_meta: SrtpContext::new(&key.key),
            from_meta: SrtpContext::new(&key.key),
            events: Vec::new(),
        }
    }

    pub(crate) fn answer(&mut self) {
        let answer = exchange(
            "answer",
            &pbx(40000, 1, "sendrecv"),
            ["meta", "pbx"],
            UIC_ANSWER,
        );
        let answered = self
            .desk
            .call
            .handle_request(self.desk.now, &answer, &mut self.desk.ports);
        let answered = sdp(&answered);
        let line = answered
            .lines()
            .find_map(|l| l.strip_prefix("a=crypto:"))
            .unwrap();
        let key: CryptoAttribute = line.parse().unwrap();
        self.to_meta = SrtpContext::new(&key.key);
        self.run(Duration::ZERO);
    }

    pub(crate) fn answered() -> Self {
        let mut line = Self::ringing();
        line.answer();
        line
    }

    /// Lets time pass, firing what is due at its time.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.desk.now + duration;
        for _ in 0..1_000_000 {
            match self.desk.call.poll_timeout() {
                Some(at) if at <= end => {
                    self.desk.now = at.max(self.desk.now);
                    self.desk.call.handle_timeout(self.desk.now, &mut self.out);
                    self.collect();
                }
                _ => {
                    self.desk.now = end;
                    return;
                }
            }
        }
        panic!("the call never rests");
    }

    pub(crate) fn collect(&mut self) {
        self.sent.extend(self.out.drain());
        self.events.extend(self.desk.drain());
    }

    pub(crate) fn receive(&mut self, socket: SocketId, source: &str, packet: PacketBuf) {
        let received = Received {
            socket,
            source: source.parse().unwrap(),
            packet,
        };
        self.desk
            .call
            .handle_datagram(self.desk.now, received, &mut self.out);
        self.collect();
    }

    pub(crate) fn pbx_says(&mut self, sequence: u16) {
        self.pbx_says_from("192.0.2.55:40000", sequence);
    }

    pub(crate) fn pbx_says_from(&mut self, source: &str, sequence: u16) {
        let packet = rtp(111, sequence, 0x1111, &SPEECH);
        self.receive(self.towards_pbx, source, packet);
    }

    pub(crate) fn meta_says(&mut self, payload_type: u8, sequence: u16) {
        let mut packet = rtp(payload_type, sequence, 0x2222, &SPEECH);
        self.from_meta.protect_rtp(&mut packet).unwrap();
        self.receive(self.towards_meta, META, packet);
    }

    /// What was sent to Meta since the last look, opened: RTP.
    pub(crate) fn heard_by_meta(&mut self) -> Vec<(RtpHeader, Vec<u8>)> {
        let mine: SocketAddr = META.parse().unwrap();
        let (to_meta, rest) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|t| t.destination == mine);
        self.sent = rest;
        to_meta
            .into_iter()
            .filter(|t: &Transmit| !(192..=223).contains(&t.packet[1]))
            .map(|mut t| {
                self.to_meta.unprotect_rtp(&mut t.packet).unwrap();
                let header = RtpHeader::parse(&t.packet).unwrap();
                (header, header.payload(&t.packet).unwrap().to_vec())
            })
            .collect()
    }

    /// RTCP to Meta since the last look, opened; RTP is left for [`Self::heard_by_meta`].
    pub(crate) fn reports_to_meta(&mut self) -> Vec<PacketBuf> {
        let (reports, rest) =
            std::mem::take(&mut self.sent)
                .into_iter()
                .partition(|t: &Transmit| {
                    t.destination.to_string() == META && (192..=223).contains(&t.packet[1])
                });
        self.sent = rest;
        reports
            .into_iter()
            .map(|mut t: Transmit| {
                self.to_meta.unprotect_rtcp(&mut t.packet).unwrap();
                t.packet
            })
            .collect()
    }

    pub(crate) fn heard_at(&mut self, address: &str) -> Vec<RtpHeader> {
        let (here, rest) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|t: &Transmit| t.destination.to_string() == address);
        self.sent = rest;
        here.iter()
            .map(|t| RtpHeader::parse(&t.packet).unwrap())
            .collect()
    }
}

pub(crate) fn rtp(payload_type: u8, sequence: u16, ssrc: u32, payload: &[u8]) -> PacketBuf {
    let header = RtpHeader::new(
        PayloadType::new(payload_type).unwrap(),
        SequenceNumber(sequence),
        RtpTimestamp(u32::from(sequence) * 960),
        Ssrc(ssrc),
    );
    let mut packet = PacketBuf::new();
    assert!(header.write(payload, &mut packet));
    packet
}

pub(crate) const FRAME: Duration = Duration::from_millis(20);

#[test]
fn nothing_reaches_meta_before_the_answer_and_the_first_words_do_after_it() {
    let mut line = Line::ringing();
    for sequence in 0..5 {
        line.pbx_says(sequence);
        line.run(FRAME);
    }
    assert!(line.sent.is_empty(), "the user's timer would start");
    line.answer();
    let heard = line.heard_by_meta();
    assert!(!heard.is_empty(), "the first packet is ours to send");
    assert!(
        heard.iter().any(|(_, payload)| *payload == SPEECH),
        "what was said just before the answer is held"
    );
    let ssrc = heard[0].0.ssrc;
    assert!(
        heard
            .iter()
            .all(|(header, _)| header.ssrc == ssrc && header.payload_type.number() == 111)
    );
    let first_out = line
        .events
        .iter()
        .any(|e| matches!(e, CallEvent::FirstPacketOut { .. }));
    assert!(first_out, "{:?}", line.events);
}

#[test]
fn packets_pass_both_ways() {
    let mut line = Line::answered();
    line.heard_by_meta();
    line.pbx_says(100);
    let heard = line.heard_by_meta();
    assert_eq!(heard.last().unwrap().1, SPEECH);
    line.meta_says(111, 7);
    line.meta_says(126, 8);
    let heard = line.heard_at("192.0.2.55:40000");
    let types: Vec<u8> = heard.iter().map(|h| h.payload_type.number()).collect();
    assert_eq!(types, [111, 126]);
    assert_eq!(
        heard[0].ssrc,
        Ssrc(0x2222),
        "a plain leg sees the sender's numbers"
    );
}

#[test]
fn a_forged_packet_moves_nothing_and_is_counted() {
    let mut line = Line::answered();
    let forged = rtp(111, 1, 0x3333, &SPEECH);
    line.receive(line.towards_meta, "203.0.113.66:5", forged);
    assert!(line.heard_at("192.0.2.55:40000").is_empty());
    assert!(!line.desk.call.drops().is_empty());
}

#[test]
fn a_silent_pbx_is_filled_in_for_with_audio_and_reports() {
    let mut line = Line::answered();
    line.run(Duration::from_secs(12));
    let reports = line.reports_to_meta();
    assert!(reports.len() >= 2, "{} reports", reports.len());
    let sender = Compound::parse(&reports[0])
        .unwrap()
        .sender_reports()
        .next()
        .unwrap();
    let heard = line.heard_by_meta();
    assert!(
        (550..=650).contains(&heard.len()),
        "{} packets",
        heard.len()
    );
    assert_eq!(sender.sender, heard[0].0.ssrc);
    let numbers: Vec<u16> = heard.iter().map(|(h, _)| h.sequence.0).collect();
    assert!(numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1)));
}

#[test]
fn hold_and_a_new_pbx_port_leave_one_stream_towards_meta() {
    let mut line = Line::answered();
    for sequence in 0..10 {
        line.pbx_says(sequence);
        line.run(FRAME);
    }
    for (version, port, direction) in [(2, 40000, "sendonly"), (3, 40010, "sendrecv")] {
        let offer = exchange(
            "offer",
            &pbx(port, version, direction),
            ["pbx", "meta"],
            BIC_SDES,
        );
        line.desk.ask(&offer);
        line.desk
            .ask(&exchange("answer", META_SDES, ["pbx", "meta"], BIC_ANSWER));
        line.run(Duration::from_secs(1));
    }
    for sequence in 0..10 {
        let packet = rtp(111, 5000 + sequence, 0x9999, &SPEECH);
        line.receive(line.towards_pbx, "192.0.2.55:40010", packet);
        line.run(FRAME);
    }
    let heard = line.heard_by_meta();
    let ssrc = heard[0].0.ssrc;
    assert!(heard.iter().all(|(header, _)| header.ssrc == ssrc));
    let numbers: Vec<u16> = heard.iter().map(|(h, _)| h.sequence.0).collect();
    assert!(
        numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1)),
        "{numbers:?}"
    );
    line.meta_says(111, 900);
    assert_eq!(
        line.heard_at("192.0.2.55:40010").len(),
        1,
        "media follows the PBX to its new port"
    );
}

#[test]
fn reports_pass_translated_and_never_to_port_nine() {
    let mut line = Line::answered();
    line.pbx_says(1);
    line.meta_says(111, 1);
    let ours = line.heard_by_meta().last().unwrap().0.ssrc;
    let info = SenderInfo {
        ntp: NtpTime::from_unix(Duration::from_secs(1)),
        rtp_timestamp: RtpTimestamp(960),
        packets: 1,
        octets: 20,
    };
    let mut report = PacketBuf::new();
    assert!(write_report(
        &mut report,
        Ssrc(0x1111),
        Some(&info),
        &[],
        "pbx"
    ));
    let odd = *line
        .desk
        .ports
        .open
        .iter()
        .find(|(_, a)| a.port() == 30001 && a.ip().to_string() == "192.0.2.1")
        .unwrap()
        .0;
    line.receive(odd, "192.0.2.55:40001", report);
    let reports = line.reports_to_meta();
    let seen = Compound::parse(&reports[0])
        .unwrap()
        .sender_reports()
        .next()
        .unwrap();
    assert_eq!(seen.sender, ours);

    let mut report = PacketBuf::new();
    assert!(write_report(&mut report, Ssrc(0x2222), None, &[], "meta"));
    line.from_meta.protect_rtcp(&mut report).unwrap();
    line.receive(line.towards_meta, META, report);
    let to_pbx: Vec<String> = line
        .sent
        .iter()
        .map(|t| t.destination.to_string())
        .collect();
    assert_eq!(to_pbx.last().map(String::as_str), Some("192.0.2.55:40001"));
    assert!(!to_pbx.iter().any(|d| d.ends_with(":9")));
}

#[test]
fn a_call_without_media_ends_after_its_timeout_and_says_what_was_missing() {
    let mut line = Line::answered();
    let start: Instant = line.desk.now;
    line.run(Duration::from_secs(59));
    assert!(!line.desk.call.is_finished());
    let silent = |e: &&CallEvent| {
        matches!(
            e,
            CallEvent::Failure {
                kind: Failure::NoMedia,
                ..
            }
        )
    };
    assert_eq!(
        line.events.iter().filter(silent).count(),
        2,
        "one line for each party"
    );
    line.run(Duration::from_secs(2));
    assert_eq!(
        line.events.last(),
        Some(&CallEvent::Ended(EndReason::Timeout))
    );
    assert!(line.desk.now <= start + Duration::from_secs(61));
    assert!(line.desk.ports.open.is_empty());
    assert_eq!(line.desk.call.poll_timeout(), None);
}

#[test]
fn one_live_stream_keeps_a_call_and_an_unanswered_one_rings_for_an_hour() {
    let mut line = Line::answered();
    for _ in 0..4 {
        line.run(Duration::from_secs(40));
        line.pbx_says(1);
    }
    assert!(!line.desk.call.is_finished());
    let mut line = Line::ringing();
    line.run(Duration::from_secs(3599));
    assert!(!line.desk.call.is_finished());
    line.run(Duration::from_secs(2));
    assert_eq!(
        line.events.last(),
        Some(&CallEvent::Ended(EndReason::OfferTimeout))
    );
}

#[test]
fn the_counters_of_query_are_those_of_the_packets() {
    let mut line = Line::answered();
    for sequence in 0..7 {
        line.pbx_says(sequence);
    }
    line.meta_says(111, 3);
    let query = crate::support::request(r#""command":"query","call-id":"call""#);
    let reply = line.desk.ask(&query);
    let path = |keys: &[&str]| {
        let mut value: ng_protocol::Value<'_> = reply.body().clone().into();
        for key in keys {
            value = value.as_dictionary().unwrap().get(key).unwrap().clone();
        }
        value.as_integer().unwrap()
    };
    assert_eq!(path(&["totals", "RTP", "packets"]), 8);
    assert_eq!(path(&["totals", "RTP", "bytes"]), 8 * 32);
    assert_eq!(path(&["SSRC", &0x1111.to_string(), "packets"]), 7);
    assert_eq!(path(&["SSRC", &0x2222.to_string(), "last RTP seq"]), 3);
}

#[test]
fn nothing_is_sent_from_a_port_that_an_answer_without_ice_has_closed() {
    let mut desk = Desk::of_the_examples();
    let offer = exchange("offer", &pbx(40000, 1, "sendrecv"), ["pbx", ""], BIC_DTLS);
    sdp(&desk.ask(&offer));
    // The first answer, of a gateway perhaps, knows no ICE; the next one does.
    let meta = META_DTLS.replace("SETUP", "passive");
    let without = meta.replace("a=ice-", "a=x-");
    let mut out = Outbox::new(16);
    for answer in [&without, &meta] {
        let answer = exchange("answer", answer, ["pbx", "meta"], BIC_ANSWER);
        sdp(&desk.ask(&answer));
        for _ in 0..100 {
            let next = desk.call.poll_timeout().unwrap();
            desk.now = desk.now.max(next);
            desk.call.handle_timeout(desk.now, &mut out);
            for transmit in out.drain() {
                assert!(desk.ports.open.contains_key(&transmit.socket));
            }
            desk.drain();
        }
    }
}
