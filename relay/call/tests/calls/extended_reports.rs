//! Extended reports (RFC 3611): where speech is transcoded each party that asks gets ours, about its own leg.

use std::time::Duration;

use relay_media::{Codec, EncoderSettings};
use relay_packet::PacketBuf;
use relay_transport::rtcp::{
    Compound, ExtendedReport, NtpTime, ReferenceDelay, append_extended_report, write_report,
};
use relay_transport::rtp::Ssrc;

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b};
use crate::quality::{at, query};
use crate::signal::tone;
use crate::stream::{self, OPUS, PCMA, rate_of};
use crate::transcoded::{Party, audio};

const RTCP: [(&str, &str); 2] = [
    ("192.0.2.55:4001", "192.0.2.1:30001"),
    ("203.0.113.55:5001", "203.0.113.1:30001"),
];
const EXTENDED_REPORT: u8 = 207;

/// A call of Opus and A-law in which each says so much about extended reports.
fn call(of: [&str; 2]) -> (Pair, [Party; 2]) {
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} codec-mask-all codec-transcode-PCMA");
    let description = format!("{}{}", audio(4000, 111, OPUS, false), of[0]);
    pair.offer(&of_a(&description), &flags);
    let description = format!("{}{}", audio(5000, 8, PCMA, false), of[1]);
    pair.answer(&of_b(&description), "");
    let a = Party::new(A, "192.0.2.1:30000", 111, OPUS);
    let b = Party::new(B, "203.0.113.1:30000", 8, PCMA);
    (pair, [a, b])
}

/// Both talk for a while; every tenth packet of `a` is lost.
fn talk(pair: &mut Pair, parties: &mut [Party; 2], seconds: f64) {
    let said = [0, 1].map(|n: usize| {
        let samples = tone(300.0, rate_of(parties[n].format), seconds);
        stream::packets(parties[n].format, &samples, 20, &EncoderSettings::default())
    });
    for (n, of_both) in said[0].iter().zip(&said[1]).enumerate() {
        for (party, packet) in parties.iter_mut().zip([of_both.0, of_both.1]) {
            let lost = party.format.codec == Codec::Opus && n % 10 == 3;
            party.say(pair, Some(&packet.payload[..]).filter(|_| !lost));
        }
        pair.run(Duration::from_millis(20));
    }
}

/// The body of the last extended report to a party, behind the sender's SSRC.
fn told(pair: &mut Pair, side: usize) -> Option<(Ssrc, Vec<u8>)> {
    let packets = pair.heard_at(RTCP[side].0);
    let last = Compound::parse(packets.last()?)?;
    let report = last.packets().find(|p| p.packet_type == EXTENDED_REPORT)?;
    Some((report.sender()?, report.body[4..].to_vec()))
}

#[test]
fn each_party_gets_the_reports_that_it_asks_for_about_its_own_leg() {
    let wishes = ["a=rtcp-xr:rcvr-rtt=all voip-metrics\n", ""];
    let (mut pair, mut parties) = call(wishes);
    talk(&mut pair, &mut parties, 8.0);
    assert!(told(&mut pair, 1).is_none(), "it did not ask");
    let (sender, blocks) = told(&mut pair, 0).unwrap();
    // A reference time and VoIP metrics; nothing to answer, for `a` has sent no time of its own.
    assert_eq!(blocks[..4], [4, 0, 0, 2]);
    assert_eq!(blocks[12..16], [7, 0, 0, 8]);
    let metrics = &blocks[16..];
    let ssrc = u32::from_be_bytes(metrics[..4].try_into().unwrap());
    assert_eq!(ssrc, parties[0].ssrc);
    // A tenth, spread evenly: the losses lie 10 packets apart, which is less than 16, and so in one burst.
    assert!((23..=28).contains(&metrics[4]), "loss rate {}", metrics[4]);
    assert!((60..=75).contains(&metrics[20]), "rating {}", metrics[20]);
    assert!((30..=38).contains(&metrics[22]), "score {}", metrics[22]);
    assert_eq!(metrics[23], 127, "the way is not known");
    assert_eq!(metrics[24], 0xf0, "decoded here");

    // It has heard our time 60 ms late, and says so 500 ms after that: the way there and back is 60 ms.
    let time = NtpTime(u64::from_be_bytes(blocks[4..12].try_into().unwrap()));
    let since = Duration::from_millis(500);
    let delay = ReferenceDelay::new(sender, time, since - Duration::from_millis(60));
    let own_time = NtpTime(0x1111_2222_3333_4444);
    let mut packet = PacketBuf::new();
    assert!(write_report(
        &mut packet,
        Ssrc(parties[0].ssrc),
        None,
        &[],
        "a"
    ));
    let report = ExtendedReport {
        reference_time: Some(own_time),
        reference_delay: Some(delay),
        voip_metrics: None,
    };
    let ssrc = Ssrc(parties[0].ssrc);
    assert!(append_extended_report(&mut packet, ssrc, &report));
    // The last report left after 7.5 s, and it is 8 s.
    pair.receive(RTCP[0].1, RTCP[0].0, &packet);
    assert!(pair.heard_at(RTCP[1].0).is_empty(), "it ends here");
    talk(&mut pair, &mut parties, 6.0);
    let (_, blocks) = told(&mut pair, 0).unwrap();
    // Our answer to its time: 4.5 s later.
    assert_eq!(blocks[12..16], [5, 0, 0, 3]);
    assert_eq!(blocks[16..20], parties[0].ssrc.to_be_bytes());
    assert_eq!(blocks[20..24], own_time.middle().to_be_bytes());
    let waited = u32::from_be_bytes(blocks[24..28].try_into().unwrap());
    assert!(
        (4.4..4.6).contains(&(f64::from(waited) / 65_536.0)),
        "{waited}"
    );
    let metrics = &blocks[32..];
    let way = u16::from_be_bytes(metrics[12..14].try_into().unwrap());
    assert!((58..=62).contains(&way), "{way} ms");
    assert_ne!(metrics[23], 127, "a score for talking");
    let leg = format!(
        "SSRC/{}/MOS progression/entries/0/round-trip time leg",
        ssrc.0
    );
    let leg: f64 = at(&query(&mut pair.desk), &leg).parse().unwrap();
    assert!((leg - 60_000.0).abs() < 2_000.0, "{leg}");
}

#[test]
fn a_wish_for_the_whole_session_counts_and_other_blocks_are_not_made() {
    let (mut pair, mut parties) = call(["a=rtcp-xr:pkt-loss-rle=10 voip-metrics\n", ""]);
    talk(&mut pair, &mut parties, 3.0);
    let (_, blocks) = told(&mut pair, 0).unwrap();
    assert_eq!((blocks[0], blocks.len()), (7, 36));
    let (mut pair, mut parties) = call(["a=rtcp-xr:stat-summary=loss\n", ""]);
    talk(&mut pair, &mut parties, 3.0);
    assert!(told(&mut pair, 0).is_none());
}
