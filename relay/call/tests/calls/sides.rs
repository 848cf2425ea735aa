//! What a call says about itself to those who count calls: which side is WhatsApp, where it is, what it has sent there, and why
//! a side is silent.

use std::time::Duration;

use relay_call::{CallDirection, CallEvent, KeyWay, Silence};

use crate::media::{Line, META, SPEECH, rtp};
use crate::pair::{INTERFACES, Pair, description, of_a};
use crate::stream::{OPUS, PCMA};
use crate::support::{Desk, interface};
use crate::transcoded::{call, talk, whole};
use crate::whatsapp::{
    BIC_DTLS, BIC_SDES, META_DTLS, META_SDES, UIC_ANSWER, UIC_OFFER, exchange, pbx,
};

#[test]
fn the_side_that_encrypts_is_whatsapp_and_whoever_called_says_which_way_the_call_goes() {
    let meta = META_DTLS.replace("SETUP", "actpass");
    let plain = pbx(40000, 1, "sendrecv");
    for (sdp, flags, direction) in [
        (meta.as_str(), UIC_OFFER, CallDirection::UserInitiated),
        (META_SDES, UIC_OFFER, CallDirection::UserInitiated),
        (&plain, BIC_DTLS, CallDirection::BusinessInitiated),
        (&plain, BIC_SDES, CallDirection::BusinessInitiated),
        (&plain, INTERFACES, CallDirection::Other),
        // A PBX with keys of its own has no ICE.
        (
            &meta,
            "direction=pub direction=priv RTP/SAVP ICE=remove DTLS=off",
            CallDirection::UserInitiated,
        ),
    ] {
        let mut desk = Desk::of_the_examples();
        assert_eq!(desk.call.direction(), CallDirection::Other);
        assert_eq!(desk.call.trunk(), "");
        desk.ask(&exchange("offer", sdp, ["one", ""], flags));
        assert_eq!(desk.call.direction(), direction, "{flags}");
        let trunk = if direction == CallDirection::Other {
            "priv"
        } else {
            "pub"
        };
        assert_eq!(desk.call.trunk(), trunk, "{flags}");
        assert_eq!(desk.call.sent_to_whatsapp(), None, "not answered");
    }
}

#[test]
fn a_party_is_found_on_its_interface_by_the_name_that_events_give_it() {
    let line = Line::answered();
    assert_eq!(line.desk.call.interface_of("meta"), Some("pub"));
    assert_eq!(line.desk.call.interface_of("pbx"), Some("priv"));
    assert_eq!(line.desk.call.interface_of("nobody"), None);
}

#[test]
fn what_leaves_for_whatsapp_is_counted_from_the_answer_on() {
    let mut line = Line::ringing();
    line.pbx_says(1);
    assert_eq!(line.desk.call.sent_to_whatsapp(), None);
    line.answer();
    let first = line.desk.call.sent_to_whatsapp().unwrap();
    assert!(first > 0);
    line.run(Duration::from_secs(10));
    let sent = line.desk.call.sent_to_whatsapp().unwrap();
    let reports = line.reports_to_meta().len();
    let audio = line.heard_by_meta().len();
    assert!(audio > 400 && reports > 1, "{audio}, {reports}");
    assert_eq!(sent, (audio + reports) as u64);
}

fn silences(events: &[CallEvent]) -> Vec<(&str, Silence)> {
    let told = events.iter().filter_map(|event| match event {
        CallEvent::Failure {
            leg,
            silence: Some(silence),
            ..
        } => Some((leg.as_str(), *silence)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_silent_side_says_whether_it_is_whatsapp_or_the_pbx() {
    let mut line = Line::answered();
    line.run(Duration::from_secs(6));
    let mut told = silences(&line.events);
    told.sort_unstable_by_key(|(leg, _)| *leg);
    assert_eq!(
        told,
        [
            ("meta", Silence::WhatsAppSilent),
            ("pbx", Silence::PbxSilent)
        ]
    );
    let mut line = Line::answered();
    line.meta_says(111, 1);
    line.run(Duration::from_secs(6));
    assert_eq!(silences(&line.events), [("pbx", Silence::PbxSilent)]);
    // Where its packets should have come is said, so that somebody can look there.
    let told = line.events.iter().map(ToString::to_string);
    let told: Vec<String> = told.filter(|text| text.contains("no media")).collect();
    let wanted = "pbx: no media 5 s after the answer from the PBX's side, which was told to send to 192.0.2.1:";
    assert!(told.len() == 1 && told[0].starts_with(wanted), "{told:?}");
}

#[test]
fn a_meta_that_answers_no_check_is_told_from_one_that_is_silent() {
    let mut desk = Desk::of_the_examples();
    let meta = META_DTLS.replace("SETUP", "actpass");
    desk.ask(&exchange("offer", &meta, ["meta", ""], UIC_OFFER));
    let answer = exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    );
    desk.ask(&answer);
    let mut pair = Pair::on(desk);
    pair.run(Duration::from_secs(6));
    let told = silences(&pair.events);
    assert!(told.contains(&("meta", Silence::IceUnanswered)), "{told:?}");
    assert!(told.contains(&("pbx", Silence::PbxSilent)), "{told:?}");
}

#[test]
fn what_is_transcoded_is_counted_each_way_and_stays_when_the_call_is_over() {
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, false);
    let opus = whole(vec![vec![0xf8, 0xff, 0xfe]; 50]);
    let pcma = whole(vec![vec![0xd5; 160]; 50]);
    talk(&mut pair, [&mut a, &mut b], [&opus, &pcma]);
    let now: Vec<String> = pair
        .desk
        .call
        .transcoding()
        .map(|c| c.to_string())
        .collect();
    assert_eq!(now.len(), 2, "{now:?}");
    pair.desk.call.terminate(relay_call::EndReason::Terminated);
    assert_eq!(pair.desk.call.transcoding().count(), 0);
    let counted: Vec<_> = pair
        .desk
        .call
        .transcoded()
        .iter()
        .map(|one| (one.chain.to_string(), one.packets, one.bytes, one.samples))
        .collect();
    assert_eq!(
        counted,
        [
            ("opus/48000/2 -> PCMA/8000".to_owned(), 50, 150, 8_000),
            ("PCMA/8000 -> opus/48000/2".to_owned(), 50, 8_000, 48_000),
        ]
    );
}

#[test]
fn interfaces_on_one_address_are_told_apart() {
    let desk = Desk::new(vec![
        interface("priv", &["192.0.2.1"]),
        interface("pub", &["192.0.2.1"]),
    ]);
    let mut pair = Pair::on(desk);
    pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), INTERFACES);
    pair.answer(&description("192.0.2.66", "m=audio 5000 RTP/AVP 0\n"), "");
    // The even ports are those for RTP.
    let ports = pair
        .desk
        .ports
        .open
        .values()
        .filter(|port| port.port() % 2 == 0);
    let ports: Vec<String> = ports.map(ToString::to_string).collect();
    for port in &ports {
        pair.receive(port, "192.0.2.66:5000", &rtp(0, 1, 7, &SPEECH));
    }
    let mut heard: Vec<(String, u64)> = pair
        .desk
        .call
        .tallies()
        .iter()
        .map(|(place, tally)| (place.interface.to_string(), tally.rtp_in.packets))
        .collect();
    heard.sort();
    assert_eq!(
        heard,
        [("priv".to_owned(), 1), ("pub".to_owned(), 1)],
        "{ports:?}"
    );
}

#[test]
fn a_key_says_how_it_came() {
    let mut line = Line::answered();
    line.meta_says(111, 1);
    let mut packet = rtp(126, 2, 0x2222, &[5, 0x8a, 0x03, 0x20]);
    line.from_meta.protect_rtp(&mut packet).unwrap();
    line.receive(line.towards_meta, META, packet);
    let ways: Vec<KeyWay> = line
        .events
        .iter()
        .filter_map(|event| match event {
            CallEvent::Dtmf(report) => Some(report.way),
            _ => None,
        })
        .collect();
    assert_eq!(ways, [KeyWay::Event]);
}
