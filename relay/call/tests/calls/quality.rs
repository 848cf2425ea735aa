//! What `query` says about the quality of a call, given what came from its parties.

use std::time::Duration;

use ng_protocol::Value;
use relay_call::config::MosKind;
use relay_call::{Figure, QualityReports, Tally};
use relay_packet::{Outbox, PacketBuf, Received, SocketId};
use relay_transport::rtcp::{Compound, NtpTime, ReportBlock, SenderInfo, write_report};
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::media::{Line, META};
use crate::support::{Desk, UNIX, config, epoch, interface, request, sdp};
use crate::whatsapp::exchange;

const CALLER: Ssrc = Ssrc(0x1111_1111);
const CALLEE: Ssrc = Ssrc(0x2222_2222);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A call between two plain phones, each on an interface of its own.
struct Phones {
    desk: Desk,
    out: Outbox,
}

impl Phones {
    fn talking() -> Self {
        Self::talking_with(QualityReports::default())
    }

    fn talking_with(quality: QualityReports) -> Self {
        let now = epoch();
        let mut config = config(
            now,
            vec![
                interface("priv", &["192.0.2.1"]),
                interface("pub", &["203.0.113.1"]),
            ],
        );
        config.quality = quality;
        let mut desk = Desk::with(now, config);
        let phone = |ip: &str| {
            format!(
                "v=0\\r\\no=- 1 1 IN IP4 {ip}\\r\\ns=-\\r\\nc=IN IP4 {ip}\\r\\nt=0 0\\r\\n\
                 m=audio 40000 RTP/AVP 8\\r\\na=rtpmap:8 PCMA/8000\\r\\n"
            )
        };
        let direction = "direction=priv direction=pub";
        sdp(&desk.ask(&exchange(
            "offer",
            &phone("192.0.2.55"),
            ["a", ""],
            direction,
        )));
        sdp(&desk.ask(&exchange("answer", &phone("203.0.113.55"), ["a", "b"], "")));
        let mut out = Outbox::new(16);
        desk.call.handle_timeout(desk.now, &mut out);
        Self { desk, out }
    }

    fn receive(&mut self, who: Ssrc, rtcp: bool, packet: PacketBuf) {
        let ip = if who == CALLER {
            "192.0.2"
        } else {
            "203.0.113"
        };
        let port = 30_000 + u16::from(rtcp);
        let local = format!("{ip}.1:{port}").parse().unwrap();
        let socket: SocketId = *self
            .desk
            .ports
            .open
            .iter()
            .find(|(_, address)| **address == local)
            .unwrap()
            .0;
        let source = format!("{ip}.55:{}", 40_000 + u16::from(rtcp))
            .parse()
            .unwrap();
        let received = Received {
            socket,
            source,
            packet,
        };
        self.desk
            .call
            .handle_datagram(self.desk.now, received, &mut self.out);
        self.out.drain();
    }

    fn speak(&mut self, who: Ssrc, sequence: u16) {
        let header = RtpHeader::new(
            PayloadType::new(8).unwrap(),
            SequenceNumber(sequence),
            RtpTimestamp(u32::from(sequence) * 160),
            who,
        );
        let mut packet = PacketBuf::new();
        assert!(header.write(&[0xd5; 160], &mut packet));
        self.receive(who, false, packet);
    }

    /// A sender report of `who`, with the time `ntp` in it, and what it says about the other one.
    fn report(&mut self, who: Ssrc, ntp: NtpTime, block: Option<ReportBlock>) {
        let info = SenderInfo {
            ntp,
            rtp_timestamp: RtpTimestamp(0),
            packets: 1,
            octets: 160,
        };
        let mut packet = PacketBuf::new();
        assert!(write_report(
            &mut packet,
            who,
            Some(&info),
            block.as_slice(),
            "phone"
        ));
        self.receive(who, true, packet);
    }

    fn query(&mut self) -> Value<'static> {
        query(&mut self.desk)
    }
}

pub(crate) fn query(desk: &mut Desk) -> Value<'static> {
    let response = desk.ask(&request(r#""command":"query","call-id":"call""#));
    Value::Dictionary(response.body().clone().into_owned())
}

/// What stands at a path of keys, as text; `-` when there is nothing.
pub(crate) fn at(value: &Value<'_>, path: &str) -> String {
    let mut value = value.clone();
    for step in path.split('/') {
        let next = match &value {
            Value::Dictionary(dictionary) => dictionary.get(step).cloned(),
            Value::List(items) => items.get(step.parse::<usize>().unwrap()).cloned(),
            _ => None,
        };
        let Some(next) = next else {
            return "-".into();
        };
        value = next;
    }
    match value {
        Value::Integer(number) => number.to_string(),
        other => other.as_str().unwrap_or("...").to_owned(),
    }
}

fn ntp(second: u64) -> NtpTime {
    NtpTime::from_unix(Duration::from_secs(second))
}

/// A block about `ssrc` that refers to a report with this time, received `ago`.
fn block(
    ssrc: Ssrc,
    fraction_lost: u8,
    jitter: u32,
    last_sr: NtpTime,
    ago: Duration,
) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost,
        cumulative_lost: 7,
        extended_highest: 100,
        jitter,
        last_sr: last_sr.middle(),
        delay_since_last_sr: (ago.as_millis() as u32) * 65_536 / 1000,
    }
}

#[test]
fn a_party_is_judged_by_what_it_reports_and_by_both_legs() {
    let mut phones = Phones::talking();
    for sequence in 0..10 {
        phones.speak(CALLER, sequence);
        phones.speak(CALLEE, 500 + sequence);
        phones.desk.now += ms(20);
    }
    // Clocks of the parties have nothing to do with ours.
    phones.report(CALLER, ntp(1000), None);
    phones.report(CALLEE, ntp(2000), None);
    // The callee has had the caller's report for 125 ms when we hear of it after 165.
    phones.desk.now += ms(165);
    phones.report(
        CALLEE,
        ntp(2001),
        Some(block(CALLER, 26, 160, ntp(1000), ms(125))),
    );
    let before = phones.query();
    let callee = |path: &str| format!("SSRC/{}/{path}", CALLEE.0);
    assert_eq!(
        at(&before, &callee("average MOS/MOS")),
        "-",
        "one leg is not the way from end to end"
    );
    assert_eq!(at(&before, &callee("MOS progression/entries/0/MOS")), "0");
    assert_eq!(
        at(
            &before,
            &callee("MOS progression/entries/0/round-trip time leg")
        ),
        "40000"
    );
    // 60 ms between us and the caller.
    phones.desk.now += ms(1060);
    phones.report(
        CALLER,
        ntp(1001),
        Some(block(CALLEE, 0, 80, ntp(2001), ms(1000))),
    );
    phones.report(
        CALLEE,
        ntp(2002),
        Some(block(CALLER, 26, 160, ntp(1000), ms(1125))),
    );
    let after = phones.query();
    for (path, value) in [
        ("average MOS/MOS", "30"),
        ("average MOS/round-trip time", "160000"),
        ("average MOS/round-trip time leg", "100000"),
        ("average MOS/jitter", "20"),
        ("average MOS/packet loss", "10"),
        ("average MOS/samples", "1"),
        ("lowest MOS/MOS", "30"),
        ("highest MOS/reported at", &(UNIX + 1).to_string()),
        ("MOS progression/interval", "0"),
        ("MOS progression/entries/1/MOS", "30"),
        ("cumulative loss", "7"),
        ("packets", "10"),
        ("bytes", "1720"),
        ("last RTP seq", "509"),
    ] {
        assert_eq!(at(&after, &callee(path)), value, "{path}");
        let listed = format!("tags/b/medias/0/ingress SSRCs/0/{path}");
        assert_eq!(at(&after, &listed), value, "{listed}");
    }
    for (path, value) in [
        ("egress SSRCs/0/bytes", "1720"),
        ("egress SSRCs/0/last RTP seq", "9"),
        ("egress SSRCs/0/last RTP timestamp", "1440"),
        ("streams/0/stats_out/bytes", "1720"),
    ] {
        assert_eq!(
            at(&after, &format!("tags/b/medias/0/{path}")),
            value,
            "{path}"
        );
    }
    let caller = |path: &str| format!("SSRC/{}/{path}", CALLER.0);
    assert_eq!(at(&after, &caller("average MOS/MOS")), "43");
    assert_eq!(at(&after, &caller("average MOS/jitter")), "10");
    assert_eq!(
        at(&after, &caller("average MOS/round-trip time leg")),
        "60000"
    );
    assert_eq!(
        at(&after, "tags/b/medias/0/streams/1/SSRC"),
        CALLEE.0.to_string()
    );
    assert_eq!(at(&after, "totals/RTCP/packets"), "5");
}

/// The callee reports some loss and jitter, with the caller 700 ms away from it as far as that is known.
fn far_apart(quality: QualityReports) -> Value<'static> {
    let mut phones = Phones::talking_with(quality);
    phones.speak(CALLER, 1);
    phones.speak(CALLEE, 1);
    phones.report(CALLER, ntp(1000), None);
    phones.report(CALLEE, ntp(2000), None);
    phones.desk.now += ms(400);
    phones.report(
        CALLEE,
        ntp(2001),
        Some(block(CALLER, 26, 160, ntp(1000), ms(0))),
    );
    phones.desk.now += ms(300);
    phones.report(
        CALLER,
        ntp(1001),
        Some(block(CALLEE, 0, 80, ntp(2001), ms(0))),
    );
    phones.desk.now += ms(950);
    phones.report(
        CALLEE,
        ntp(2002),
        Some(block(CALLER, 26, 160, ntp(1000), ms(1250))),
    );
    phones.query()
}

#[test]
fn a_score_of_listening_needs_no_round_trip_and_does_not_count_it() {
    let callee = |path: &str| format!("SSRC/{}/{path}", CALLEE.0);
    let conversation = far_apart(QualityReports::default());
    assert_eq!(at(&conversation, &callee("average MOS/samples")), "1");
    assert_eq!(at(&conversation, &callee("average MOS/MOS")), "10");
    let listening = far_apart(QualityReports {
        mos: MosKind::Listening,
        ..QualityReports::default()
    });
    for (path, value) in [
        // Ten percent of loss and 20 ms of jitter are what they are, near or far.
        ("average MOS/MOS", "34"),
        ("average MOS/samples", "2"),
        ("lowest MOS/MOS", "34"),
        ("highest MOS/MOS", "34"),
        ("MOS progression/entries/0/round-trip time", "0"),
        ("MOS progression/entries/1/round-trip time", "700000"),
        ("MOS progression/entries/1/round-trip time leg", "400000"),
    ] {
        assert_eq!(at(&listening, &callee(path)), value, "{path}");
    }
}

#[test]
fn sources_are_told_of_where_the_operator_wants_them() {
    for (global, inline) in [(true, true), (true, false), (false, true), (false, false)] {
        let query = far_apart(QualityReports {
            global,
            inline,
            ..QualityReports::default()
        });
        let packets = |path: &str| at(&query, &format!("{path}/packets"));
        let told = |whether: bool| if whether { "1" } else { "-" };
        assert_eq!(packets(&format!("SSRC/{}", CALLEE.0)), told(global));
        let listed = "tags/b/medias/0/ingress SSRCs/0";
        assert_eq!(packets(listed), told(inline));
        // The number is there in any case: controllers look others up by it.
        let number = at(&query, &format!("{listed}/SSRC"));
        assert_eq!(number, CALLEE.0.to_string());
    }
}

#[test]
fn sums_stay_when_the_call_is_over() {
    let mut phones = Phones::talking();
    phones.speak(CALLER, 1);
    phones.speak(CALLER, 4);
    phones.speak(CALLER, 4);
    phones.speak(CALLEE, 9);
    phones.report(CALLEE, ntp(1), None);
    phones.desk.now += ms(30);
    phones.report(CALLER, ntp(2), Some(block(CALLEE, 0, 80, ntp(1), ms(20))));
    phones.desk.ask(&request(
        r#""command":"delete","call-id":"call","delete-delay":0"#,
    ));
    assert!(phones.desk.call.is_finished());
    let mut sum = Tally::default();
    for (_, tally) in phones.desk.call.tallies() {
        sum.add(&tally);
    }
    assert_eq!(
        (
            sum.rtp_in.packets,
            sum.rtcp_in.packets,
            sum.rtcp_out.packets
        ),
        (4, 2, 2)
    );
    assert_eq!((sum.lost, sum.skips, sum.duplicates), (2, 1, 1));
    assert_eq!(sum.of(Figure::Jitter).total, 10.0);
    assert!((sum.of(Figure::RttLeg).total - 10_000.0).abs() < 20.0);
    assert_eq!(sum.of(Figure::RttEndToEnd).count, 0);
    assert_eq!(phones.desk.call.totals().0.packets, 4);
}

#[test]
fn without_any_report_what_we_see_ourselves_counts() {
    let mut phones = Phones::talking();
    // Every tenth packet is missing.
    for sequence in (0..1_100).filter(|sequence| sequence % 10 != 5) {
        phones.speak(CALLER, sequence);
        phones.desk.now += ms(if sequence % 10 == 4 { 40 } else { 20 });
    }
    let query = phones.query();
    let caller = |path: &str| format!("SSRC/{}/{path}", CALLER.0);
    assert_eq!(at(&query, &caller("average MOS/samples")), "3");
    assert_eq!(at(&query, &caller("average MOS/packet loss")), "10");
    assert_eq!(at(&query, &caller("average MOS/jitter")), "0");
    assert_eq!(at(&query, &caller("average MOS/MOS")), "34");
    assert_eq!(at(&query, &caller("cumulative loss")), "110");
}

#[test]
fn an_encrypted_leg_answers_reports_of_ours_and_has_a_score_without_the_other_legs_reports() {
    let mut line = Line::answered();
    line.run(Duration::from_secs(6));
    let ours = line.reports_to_meta();
    let report = Compound::parse(ours.last().unwrap())
        .unwrap()
        .sender_reports()
        .next()
        .unwrap();
    // The last report left after 2.5 s; it is 3.5 s old. Meta says that it has had it for 3.4 s.
    let about = block(report.sender, 13, 480, report.info.ntp, ms(3_400));
    let mut packet = PacketBuf::new();
    assert!(write_report(
        &mut packet,
        Ssrc(0x2222),
        None,
        &[about],
        "meta"
    ));
    line.from_meta.protect_rtcp(&mut packet).unwrap();
    line.receive(line.towards_meta, META, packet);
    for sequence in 0..600 {
        line.meta_says(111, sequence);
        line.run(ms(20));
    }
    let query = query(&mut line.desk);
    let meta = |path: &str| format!("SSRC/{}/{path}", 0x2222);
    let leg: u64 = at(&query, &meta("average MOS/round-trip time leg"))
        .parse()
        .unwrap();
    assert!((99_000..=101_000).contains(&leg), "{leg}");
    assert_eq!(
        at(&query, &meta("average MOS/jitter")),
        "10",
        "480 of 48,000 a second"
    );
    assert_eq!(at(&query, &meta("average MOS/packet loss")), "5");
    assert_eq!(at(&query, &meta("average MOS/samples")), "1");
    let medias = "tags/meta/medias/0";
    assert_eq!(
        at(&query, &format!("{medias}/egress SSRCs/0/SSRC")),
        report.sender.0.to_string()
    );
}
