//! Third parties with a codec of their own, that hear both sides at once, or speak into the call: agents, supervisors, monitors.

use std::time::Duration;

use ng_protocol::Request;
use relay_media::{AudioFormat, EncoderSettings};
use relay_packet::PacketBuf;
use relay_transport::rtp::RtpHeader;

use crate::media::{FRAME, rtp};
use crate::pair::{Pair, description, place};
use crate::restrict::{about, talking};
use crate::signal::{purity, steepest, tone};
use crate::stream::{self, G722, L16, OPUS, PCMA, PCMU, Sent, rate_of};
use crate::support::sdp;
use crate::transcoded::{Party, audio, call, mapping};

const EAR: &str = "192.0.2.99:6000";
const SECONDS: f64 = 3.0;
/// What each says, in Hz: `a`, `b`, and the subscriber.
const A_HZ: f64 = 500.0;
const B_HZ: f64 = 1_100.0;
const EAR_HZ: f64 = 1_700.0;

/// Subscribes somebody who listens at [`EAR`] in one format; `keys` select whom, and how.
fn subscribe(pair: &mut Pair, keys: &str, format: AudioFormat) -> Party {
    let name = mapping(format).1;
    let keys =
        format!(r#"{keys},"to-tag":"ear","codec":{{"strip":["all"],"transcode":["{name}"]}}"#);
    let response = pair.desk.ask(&about("subscribe request", &keys));
    let offered = sdp(&response);
    assert_eq!(offered.matches("m=").count(), 1, "{offered}");
    let number = offered
        .lines()
        .find_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or_else(|| mapping(format).0);
    let direction = if offered.contains("a=sendrecv") {
        "sendrecv"
    } else {
        "recvonly"
    };
    let lines = format!("{}a={direction}\n", audio(6000, number, format, false));
    let answer = description("192.0.2.99", &lines);
    let answer = about(
        "subscribe answer",
        &format!(r#""to-tag":"ear","sdp":"{answer}""#),
    );
    assert_eq!(pair.desk.ask(&answer).error_reason(), None);
    pair.run(Duration::ZERO);
    let relay = Box::leak(place(&offered, 0).into_boxed_str());
    Party::new(EAR, relay, number, format)
}

/// What a party says: a tone of its own.
fn said(format: AudioFormat, hz: f64) -> Vec<Vec<u8>> {
    let samples = tone(hz, rate_of(format), SECONDS);
    let packets = stream::packets(format, &samples, 20, &EncoderSettings::default());
    packets.into_iter().map(|packet| packet.payload).collect()
}

/// Everybody speaks who has something to say, and everybody listens.
fn talk(pair: &mut Pair, parties: &mut [(&mut Party, &[Vec<u8>])]) {
    let longest = parties.iter().map(|(_, said)| said.len()).max();
    for n in 0..longest.unwrap_or(0) {
        for (party, said) in &mut *parties {
            if let Some(payload) = said.get(n) {
                party.say(pair, Some(payload));
            }
        }
        pair.run(FRAME);
        for (party, _) in &mut *parties {
            party.listen(pair);
        }
    }
}

/// What a party has heard, but for the first half second.
fn heard(party: &Party) -> (Vec<i16>, u32) {
    let sent = party.payloads.iter().map(|payload| Sent {
        timestamp: 0,
        marker: false,
        payload: payload.clone(),
    });
    let samples = stream::heard(party.format, &sent.collect::<Vec<_>>());
    let rate = rate_of(party.format);
    (samples[rate as usize / 2..].to_vec(), rate)
}

/// Which of the three tones are in what a party has heard.
fn tones(party: &Party) -> [bool; 3] {
    let (samples, rate) = heard(party);
    let middle = &samples[..rate as usize];
    [A_HZ, B_HZ, EAR_HZ].map(|hz| purity(middle, rate, hz) > -6.0)
}

#[test]
fn a_subscriber_hears_a_party_in_the_codec_it_asked_for() {
    for (source, target) in [(OPUS, PCMU), (OPUS, L16), (PCMA, OPUS), (G722, PCMU)] {
        let (mut pair, mut a, mut b) = call(source, source, false);
        let mut ear = subscribe(&mut pair, r#""from-tag":"a""#, target);
        let (of_a, of_b) = (said(source, A_HZ), said(source, B_HZ));
        talk(
            &mut pair,
            &mut [(&mut a, &of_a), (&mut b, &of_b), (&mut ear, &[])],
        );
        let names = format!("{:?} to {:?}", source.codec, target.codec);
        ear.assert_unbroken(&names);
        assert!(ear.heard.len() >= 149, "{names}: {}", ear.heard.len());
        let (samples, rate) = heard(&ear);
        let pure = purity(&samples[..rate as usize], rate, A_HZ);
        assert!(pure > 20.0, "{names}: {pure:.1} dB");
        // Who is listened to notices nothing.
        assert_eq!(b.payloads, of_a, "{names}");
        assert_eq!(a.payloads, of_b, "{names}");
    }
}

#[test]
fn a_mix_is_one_stream_in_which_both_sides_are_heard() {
    for (one, other, target) in [
        (OPUS, PCMA, PCMU),
        (OPUS, PCMA, OPUS),
        (PCMA, PCMA, L16),
        (G722, OPUS, PCMA),
    ] {
        let (mut pair, mut a, mut b) = call(one, other, false);
        let mut ear = subscribe(&mut pair, r#""flags":["all","mix"]"#, target);
        let (of_a, of_b) = (said(one, A_HZ), said(other, B_HZ));
        talk(
            &mut pair,
            &mut [(&mut a, &of_a), (&mut b, &of_b), (&mut ear, &[])],
        );
        let names = format!(
            "{:?} and {:?} to {:?}",
            one.codec, other.codec, target.codec
        );
        ear.assert_unbroken(&names);
        assert!(ear.heard.len() >= 147, "{names}: {}", ear.heard.len());
        assert_eq!(tones(&ear), [true, true, false], "{names}");
        let (samples, rate) = heard(&ear);
        let [one_alone, other_alone] = [A_HZ, B_HZ].map(|hz| steepest(&tone(hz, rate, 1.0)));
        let click = steepest(&samples);
        assert!(
            click < (one_alone + other_alone) * 3 / 2,
            "{names}: {click}"
        );
        assert_eq!(tones(&a), [false, true, false], "{names}");
        assert_eq!(tones(&b), [true, false, false], "{names}");

        // Only one speaks on: the other is simply not heard.
        ear.payloads.clear();
        let more = said(one, A_HZ);
        talk(&mut pair, &mut [(&mut a, &more), (&mut ear, &[])]);
        assert_eq!(tones(&ear), [true, false, false], "{names}");
        ear.assert_unbroken(&names);
    }
}

#[test]
fn a_party_hears_a_subscriber_beside_its_partner_who_does_not() {
    for format in [OPUS, PCMU] {
        let (mut pair, mut a, mut b) = call(OPUS, PCMA, false);
        let keys = r#""from-tag":"a","flags":["bidirectional"]"#;
        let mut ear = subscribe(&mut pair, keys, format);
        let (of_a, of_b) = (said(OPUS, A_HZ), said(PCMA, B_HZ));
        let whispered = said(format, EAR_HZ);
        let everybody = |pair: &mut Pair, parties: [&mut Party; 3], whispered: &[Vec<u8>]| {
            let [a, b, ear] = parties;
            talk(pair, &mut [(a, &of_a), (b, &of_b), (ear, whispered)]);
        };
        everybody(&mut pair, [&mut a, &mut b, &mut ear], &[]);
        assert_eq!(tones(&a), [false, true, false]);
        for party in [&mut a, &mut b, &mut ear] {
            party.payloads.clear();
        }
        everybody(&mut pair, [&mut a, &mut b, &mut ear], &whispered);
        assert_eq!(
            tones(&a),
            [false, true, true],
            "the partner and the whisper"
        );
        assert_eq!(tones(&b), [true, false, false], "the partner alone");
        assert_eq!(tones(&ear), [true, false, false], "the party alone");
        for party in [&mut a, &mut b, &mut ear] {
            party.payloads.clear();
        }
        // After the last word everything is as before, in one and the same stream.
        everybody(&mut pair, [&mut a, &mut b, &mut ear], &[]);
        let late = heard(&a).0.split_off(16_000);
        assert!(purity(&late, rate_of(OPUS), B_HZ) > 20.0);
        let numbers = a.heard.windows(2);
        assert!(numbers.clone().all(|two| {
            two[0].ssrc == two[1].ssrc && two[0].sequence.next() == two[1].sequence
        }));
        let steps = numbers.map(|two| two[1].timestamp.distance_from(two[0].timestamp));
        let odd = steps.filter(|&step| step != 960).collect::<Vec<_>>();
        assert!(odd.len() <= 2, "{odd:?}");
        assert!(odd.iter().all(|step| (0..=4_800).contains(step)), "{odd:?}");
    }
}

#[test]
fn what_a_subscriber_says_unasked_is_heard_by_nobody() {
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, false);
    let mut ear = subscribe(&mut pair, r#""from-tag":"a""#, PCMU);
    let (of_b, unasked) = (said(PCMA, B_HZ), said(PCMU, EAR_HZ));
    talk(
        &mut pair,
        &mut [(&mut a, &[]), (&mut b, &of_b), (&mut ear, &unasked)],
    );
    assert_eq!(tones(&a), [false, true, false]);
    assert!(b.heard.is_empty());
}

#[test]
fn a_blocked_party_is_not_in_the_mix() {
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, false);
    let mut ear = subscribe(&mut pair, r#""flags":["all","mix"]"#, PCMU);
    let block = about("block media", r#""from-tag":"a","flags":["directional"]"#);
    assert_eq!(pair.desk.ask(&block).error_reason(), None);
    let (of_a, of_b) = (said(OPUS, A_HZ), said(PCMA, B_HZ));
    talk(
        &mut pair,
        &mut [(&mut a, &of_a), (&mut b, &of_b), (&mut ear, &[])],
    );
    assert_eq!(tones(&ear), [false, true, false]);
}

#[test]
fn keys_are_heard_in_a_mix_unless_they_are_blocked_or_disguised() {
    assert_eq!(key_in_mix(None), [true, true]);
    for mode in ["drop", "silence", "random", "tone"] {
        assert_eq!(key_in_mix(Some(mode)), [false, false], "{mode}");
    }
}

/// Whether the two tones of a key that is pressed are in a mix, if keys are blocked in this way.
fn key_in_mix(blocked: Option<&str>) -> [bool; 2] {
    let mut pair = Pair::talking("");
    if let Some(mode) = blocked {
        let block = about("block DTMF", &format!(r#""DTMF-security":"{mode}""#));
        assert_eq!(pair.desk.ask(&block).error_reason(), None);
    }
    let mut ear = subscribe(&mut pair, r#""flags":["all","mix"]"#, PCMU);
    for n in 0..50u16 {
        // Key 5 for 400 ms: 770 Hz and 1336 Hz.
        let pressed = (10..30).contains(&n);
        let mut packet = crate::pair::rtp(if pressed { 101 } else { 0 }, n, 7);
        if pressed {
            let duration = ((n - 9) * 160).to_be_bytes();
            packet.truncate(12);
            packet[4..8].copy_from_slice(&(160u32 * 10).to_be_bytes());
            packet.extend([5, if n == 29 { 0x8a } else { 10 }, duration[0], duration[1]]);
        } else {
            packet[12..].fill(0xff);
        }
        pair.receive("192.0.2.1:30000", crate::pair::A, &packet);
        pair.run(FRAME);
        ear.listen(&mut pair);
    }
    let sent = ear.payloads.iter().map(|payload| Sent {
        timestamp: 0,
        marker: false,
        payload: payload.clone(),
    });
    let samples = stream::heard(PCMU, &sent.collect::<Vec<_>>());
    let during = &samples[15 * 160..25 * 160];
    [770.0, 1_336.0].map(|hz| purity(during, 8_000, hz) > -6.0)
}

#[test]
fn voices_that_nobody_can_decode_are_not_mixed_and_named() {
    let mut pair = Pair::new();
    let g729 = |port| format!("m=audio {port} RTP/AVP 18\n");
    pair.offer(&crate::pair::of_a(&g729(4000)), crate::pair::INTERFACES);
    pair.answer(&crate::pair::of_b(&g729(5000)), "");
    let keys = r#""flags":["all","mix"],"codec":{"transcode":["PCMU"]}"#;
    let response = pair.desk.ask(&about("subscribe request", keys));
    assert_eq!(
        response.error_reason(),
        Some("transcoding is not available: G729/8000 cannot be mixed")
    );
    // As it is it can be had.
    let keys = r#""flags":["all"]"#;
    let response = pair.desk.ask(&about("subscribe request", keys));
    assert_eq!(sdp(&response).matches("RTP/AVP 18").count(), 2);
}

/// The requests of the page for operators, in order, and the descriptions that it says they are answered with.
fn page() -> Vec<(Request, String)> {
    const PAGE: &str = include_str!("../../../../docs/agents.md");
    let mut blocks = PAGE.split("```").skip(1).step_by(2).peekable();
    let mut requests = Vec::new();
    while let Some(block) = blocks.next() {
        let Some(text) = block.strip_prefix("json request\n") else {
            continue;
        };
        let request = Request::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let reply = blocks
            .peek()
            .and_then(|next| next.strip_prefix("sdp reply\n"));
        requests.push((request, reply.unwrap_or_default().to_owned()));
    }
    requests
}

#[test]
fn the_messages_of_the_page_connect_an_agent_and_a_monitor_to_a_whatsapp_call() {
    let mut line = talking();
    let mut next = 100;
    for (request, expected) in page() {
        let response = line.desk.ask(&request);
        assert_eq!(response.error_reason(), None, "{request:?}");
        for expected in expected.lines() {
            let reply = sdp(&response);
            assert!(reply.lines().any(|l| l == expected), "{expected}\n{reply}");
        }
        // What the agent said last has been heard.
        line.run(Duration::from_secs(1));
        if request.command != ng_protocol::Command::SubscribeAnswer {
            continue;
        }
        let agent = request.to_tag.as_ref().unwrap().to_string() == "agent";
        let (address, size) = if agent {
            ("192.0.2.77:7000", 160)
        } else {
            ("192.0.2.78:7100", 640)
        };
        let port = line.desk.ports.open.iter().find(|(_, at)| {
            at.to_string()
                == if agent {
                    "192.0.2.1:30002"
                } else {
                    "192.0.2.1:30004"
                }
        });
        let port = *port.unwrap().0;
        line.sent.clear();
        for n in 0..25 {
            line.meta_says(111, next + n);
            line.pbx_says(next + n);
            if agent {
                let words: PacketBuf = rtp(0, n, 0x77, &[0x20; 160]);
                line.receive(port, address, words);
            }
            line.run(FRAME);
        }
        next += 25;
        let mut sizes = line.sent.iter().filter_map(|sent| {
            let header = RtpHeader::parse(&sent.packet)?;
            let here = sent.destination.to_string() == address;
            (here && !(192..=223).contains(&sent.packet[1]))
                .then(|| header.payload(&sent.packet))?
        });
        let count = sizes.clone().count();
        assert!((23..=26).contains(&count), "{count} packets to {address}");
        assert!(sizes.all(|payload| payload.len() == size), "{address}");
        // The user hears one stream: 20 ms of Opus at a time, and not the PBX's own packets while the agent speaks.
        let to_meta = line.heard_by_meta();
        assert!((24..=27).contains(&to_meta.len()), "{}", to_meta.len());
        for two in to_meta.windows(2) {
            assert_eq!(two[0].0.ssrc, two[1].0.ssrc);
            assert_eq!(two[0].0.sequence.next(), two[1].0.sequence);
        }
        let own = to_meta
            .iter()
            .filter(|(_, payload)| *payload == crate::media::SPEECH);
        let own = own.count();
        assert!(if agent { own < 3 } else { own > 22 }, "{own}");
    }
}
