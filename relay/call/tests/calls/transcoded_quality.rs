//! Reports and figures where speech is transcoded: each party hears of its own leg, in its own clock.

use std::time::Duration;

use relay_media::EncoderSettings;
use relay_packet::PacketBuf;
use relay_transport::rtcp::{Compound, ReportBlock, SenderInfo, write_report};
use relay_transport::rtp::Ssrc;

use crate::pair::Pair;
use crate::quality::{at, query};
use crate::signal::tone;
use crate::stream::{self, OPUS, PCMA, rate_of};
use crate::transcoded::{Party, call, whole};

const PACKET: Duration = Duration::from_millis(20);
const RTCP: [(&str, &str); 2] = [
    ("192.0.2.55:4001", "192.0.2.1:30001"),
    ("203.0.113.55:5001", "203.0.113.1:30001"),
];

/// What we told a party last: who we are, what we sent, and what we say about its stream.
struct Told {
    sender: Ssrc,
    info: SenderInfo,
    block: ReportBlock,
    count: usize,
}

fn told(pair: &mut Pair, side: usize) -> Told {
    let packets = pair.heard_at(RTCP[side].0);
    let last = Compound::parse(packets.last().unwrap()).unwrap();
    let report = last.sender_reports().last().unwrap();
    let (_, block) = last.reports().next().unwrap();
    Told {
        sender: report.sender,
        info: report.info,
        block,
        count: packets.len(),
    }
}

#[test]
fn each_party_has_reports_and_figures_of_its_own_leg() {
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, true);
    let said = [&a, &b].map(|party| {
        let samples = tone(300.0, rate_of(party.format), 8.0);
        let packets = stream::packets(party.format, &samples, 20, &EncoderSettings::default());
        whole(packets.into_iter().map(|packet| packet.payload).collect())
    });
    // A tenth of what `a` says is lost on the way to us; `b` has a good road, and neither sends RTCP.
    let [said_a, said_b] = &said;
    for (n, (one, other)) in said_a.iter().zip(said_b).enumerate() {
        let lost = n % 10 == 3;
        a.say(&mut pair, one.as_deref().filter(|_| !lost));
        b.say(&mut pair, other.as_deref());
        pair.run(PACKET);
        a.listen(&mut pair);
        b.listen(&mut pair);
    }
    let (to_a, to_b) = (told(&mut pair, 0), told(&mut pair, 1));
    for (told, hearer) in [(&to_a, &a), (&to_b, &b)] {
        assert_eq!(told.count, 2, "after 2.5 s and then every 5 s");
        assert_eq!(told.sender, hearer.heard[0].ssrc);
        assert_eq!(told.block.ssrc, Ssrc(hearer.ssrc));
        // The timestamp of the report is where the stream is at that time: 7.5 s after its beginning.
        let since_first = told
            .info
            .rtp_timestamp
            .distance_from(hearer.heard[0].timestamp);
        let expected = f64::from(hearer.format.clock_hz) * 7.5;
        assert!(
            (f64::from(since_first) - expected).abs() < expected * 0.01,
            "{since_first}, about {expected}"
        );
        assert!((368..=378).contains(&told.info.packets), "{:?}", told.info);
    }
    assert!(
        (22..=28).contains(&to_a.block.fraction_lost),
        "{:?}",
        to_a.block
    );
    assert_eq!(to_b.block.fraction_lost, 0);

    // Both answer, 500 ms after the report came: the road to `a` takes 30 ms and back, that to `b` 10 ms. Its clock is that of the
    // stream that it hears, and so 10 ms of jitter are 480 ticks for one and 80 for the other.
    let since = Duration::from_millis(500);
    let report = |pair: &mut Pair, party: &Party, side: usize, told: &Told, way: u64, lost: u8| {
        let waited = since - Duration::from_millis(way);
        let block = ReportBlock {
            ssrc: told.sender,
            fraction_lost: lost,
            cumulative_lost: 0,
            extended_highest: 0,
            jitter: party.format.clock_hz / 100,
            last_sr: told.info.ntp.middle(),
            delay_since_last_sr: (waited.as_millis() as u32) * 65_536 / 1_000,
        };
        let mut packet = PacketBuf::new();
        assert!(write_report(
            &mut packet,
            Ssrc(party.ssrc),
            None,
            &[block],
            "p"
        ));
        pair.receive(RTCP[side].1, RTCP[side].0, &packet);
    };
    // The last reports left after 7.5 s, and it is 8 s.
    report(&mut pair, &a, 0, &to_a, 30, 13);
    report(&mut pair, &b, 1, &to_b, 10, 0);
    let query = query(&mut pair.desk);
    for (party, leg, loss) in [(&a, 30_000.0, "5"), (&b, 10_000.0, "0")] {
        let figure = |path: &str| at(&query, &format!("SSRC/{}/{path}", party.ssrc));
        let measured: f64 = figure("MOS progression/entries/0/round-trip time leg")
            .parse()
            .unwrap();
        assert!((measured - leg).abs() < 1_500.0, "{measured}, about {leg}");
        assert_eq!(figure("MOS progression/entries/0/jitter"), "10");
        assert_eq!(figure("MOS progression/entries/0/packet loss"), loss);
    }
    // From end to end it is both legs.
    let figure = |path: &str| at(&query, &format!("SSRC/{}/{path}", b.ssrc));
    let whole: f64 = figure("average MOS/round-trip time").parse().unwrap();
    assert!((whole - 40_000.0).abs() < 2_000.0, "{whole}");
    assert_eq!(figure("average MOS/MOS"), "43");
}
