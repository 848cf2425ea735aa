//! `generate-RTCP`: each party gets reports of ours instead of its partner's.

use std::time::Duration;

use relay_transport::rtcp::Compound;

use crate::pair::{A, B, Pair, interfaces, rtp};
use crate::support::{Desk, config, epoch};

const RTCP_A: &str = "192.0.2.55:4001";
const RTCP_B: &str = "203.0.113.55:5001";
const OURS_A: &str = "192.0.2.1:30000";
const OURS_A_RTCP: &str = "192.0.2.1:30001";

/// A sender report about nothing (RFC 3550 section 6.4.1).
fn sender_report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0; 20]);
    packet
}

/// Ten seconds of speech of `a`, with a report in the middle.
fn speak(pair: &mut Pair) {
    for number in 0..500_u16 {
        pair.receive(OURS_A, A, &rtp(0, number, 7));
        if number == 250 {
            pair.receive(OURS_A_RTCP, RTCP_A, &sender_report(7));
        }
        pair.run(Duration::from_millis(20));
    }
}

#[test]
fn both_parties_get_reports_of_ours_and_none_of_each_other() {
    let mut pair = Pair::talking("generate-RTCP");
    speak(&mut pair);
    assert_eq!(pair.heard_at(B).len(), 500, "media passes");
    let to_b = pair.heard_at(RTCP_B);
    assert_eq!(to_b.len(), 2, "after 2.5 s and then every 5 s");
    for packet in &to_b {
        let reports = Compound::parse(packet).unwrap();
        let report = reports.sender_reports().last().unwrap();
        assert_eq!(report.sender.0, 7, "the SSRC that b hears");
        assert!(report.info.packets >= 120, "{:?}", report.info);
    }
    // What a is told: how its packets arrive here.
    let to_a = pair.heard_at(RTCP_A);
    assert_eq!(to_a.len(), 2);
    assert_eq!(to_a[0][..2], [0x81, 201], "a receiver report of one block");
    assert_eq!(to_a[0][8..12], 7_u32.to_be_bytes());
}

#[test]
fn reports_come_as_often_as_the_option_says() {
    let now = epoch();
    let mut config = config(now, interfaces());
    config.report_interval = Duration::from_secs(2);
    let mut pair = Pair::on(Desk::with(now, config)).answered("generate-RTCP");
    speak(&mut pair);
    assert_eq!(pair.heard_at(RTCP_B).len(), 5, "after 1 s, 3, 5, 7 and 9");
}

#[test]
fn without_the_word_or_after_off_reports_pass() {
    for switched_off in [false, true] {
        let mut pair = Pair::talking(if switched_off { "generate-RTCP" } else { "" });
        if switched_off {
            let audio = |port| format!("m=audio {port} RTP/AVP 0\n");
            pair.offer(&crate::pair::of_a(&audio(4000)), "generate-RTCP=off");
            pair.answer(&crate::pair::of_b(&audio(5000)), "");
        }
        speak(&mut pair);
        let to_b = pair.heard_at(RTCP_B);
        assert_eq!(to_b.len(), 1, "{switched_off}");
        assert_eq!(pair.heard_at(RTCP_A).len(), 0);
    }
}
