//! Keys between a party that has telephone-events and one that has none: its keys are heard.

use std::time::Duration;

use relay_call::{CallEvent, KeyWay};
use relay_media::{AudioFormat, EncoderSettings, KeyHeard, KeyTone, TelephoneEvent, ToneDetector};
use relay_packet::PacketBuf;
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b};
use crate::signal::tone;
use crate::stream::{self, OPUS, PCMA, Sent};
use crate::transcoded::{Party, audio, mapping};

const PACKET: Duration = Duration::from_millis(20);
const EVENTS: u8 = 126;

/// `a` has Opus and events of 8000 Hz, as WhatsApp has; `b` has A-law and nothing else.
fn call(flags_of_b: &str) -> (Pair, Party, Party) {
    let mut pair = Pair::new();
    let events = format!("a=rtpmap:{EVENTS} telephone-event/8000\n");
    let opus = audio(4000, 111, OPUS, true).replacen(" 111\n", &format!(" 111 {EVENTS}\n"), 1);
    let flags = format!("{INTERFACES} codec-transcode-PCMA");
    pair.offer(&of_a(&format!("{opus}{events}")), &flags);
    let answer = pair.answer(&of_b(&audio(5000, 8, PCMA, false)), flags_of_b);
    assert!(answer.contains("RTP/AVP 111 126\n"), "{answer}");
    (
        pair,
        Party::new(A, "192.0.2.1:30000", 111, OPUS),
        Party::new(B, "203.0.113.1:30000", mapping(PCMA).0, PCMA),
    )
}

fn payloads(format: AudioFormat, samples: &[i16]) -> Vec<Vec<u8>> {
    let packets = stream::packets(format, samples, 20, &EncoderSettings::default());
    packets.into_iter().map(|packet| packet.payload).collect()
}

/// `a` presses a key for so many packets; speech stops meanwhile, and the end is sent three times. `lost` of these are lost.
fn press(pair: &mut Pair, a: &mut Party, b: &mut Party, key: u8, packets: u16, lost: u16) {
    // The events of a stream of 48 kHz count their durations at 8 kHz.
    let timestamp = u32::from(a.sent) * 960;
    for n in 1..=packets + 2 {
        let end = n >= packets;
        let event = TelephoneEvent {
            event: key,
            end,
            volume: 10,
            duration: n.min(packets) * 160,
        };
        let header = RtpHeader::new(
            PayloadType::new(EVENTS).unwrap(),
            SequenceNumber(a.sent.wrapping_add(65_000)),
            RtpTimestamp(timestamp),
            Ssrc(a.ssrc),
        );
        a.sent += 1;
        if n <= packets + 2 - lost {
            let mut packet = PacketBuf::new();
            assert!(header.write(&event.to_bytes(), &mut packet));
            pair.receive(a.relay, a.address, &packet);
        }
        pair.run(PACKET);
        b.listen(pair);
    }
}

pub(crate) fn keys_in(party: &Party) -> Vec<(u8, Duration)> {
    let sent: Vec<Sent> = party
        .payloads
        .iter()
        .map(|payload| Sent {
            timestamp: 0,
            marker: false,
            payload: payload.clone(),
        })
        .collect();
    let mut keys = Vec::new();
    let mut detector = ToneDetector::new(stream::rate_of(party.format));
    detector.hear(&stream::heard(party.format, &sent), &mut |key| {
        if let KeyHeard::Up { event, duration } = key {
            keys.push((event, duration));
        }
    });
    keys
}

#[test]
fn keys_of_one_who_has_events_are_heard_by_one_who_has_none() {
    for lost in [0, 2, 3] {
        let (mut pair, mut a, mut b) = call("");
        let speech = payloads(OPUS, &tone(300.0, 16_000, 0.6));
        for key in [1, 11, 0] {
            for payload in &speech {
                a.say(&mut pair, Some(payload));
                pair.run(PACKET);
                b.listen(&mut pair);
            }
            press(&mut pair, &mut a, &mut b, key, 6, lost);
        }
        for payload in &speech {
            a.say(&mut pair, Some(payload));
            pair.run(PACKET);
            b.listen(&mut pair);
        }
        let heard = keys_in(&b);
        let events: Vec<u8> = heard.iter().map(|(event, _)| *event).collect();
        assert_eq!(events, [1, 11, 0], "{lost} ends lost: {heard:?}");
        for (event, duration) in heard {
            // With the end its length is lost, too.
            let wrong = duration.abs_diff(Duration::from_millis(120));
            assert!(
                wrong <= Duration::from_millis(40),
                "{lost} ends lost: {event} for {duration:?}"
            );
        }
        // The sound lasts as long as the event; what is silent until speech comes back stays a pause.
        let span = |party: &Party| {
            let (first, last) = (party.heard.first().unwrap(), party.heard.last().unwrap());
            last.timestamp.distance_from(first.timestamp)
        };
        let said = (i32::from(a.sent) - 1) * 160;
        let late = said - span(&b);
        assert!((0..=320).contains(&late), "{lost} ends lost: {late}");
    }
}

#[test]
fn keys_in_speech_become_events_for_one_who_has_them() {
    let (mut pair, mut a, mut b) = call("");
    let mut samples = vec![0; 8_000];
    for key in [5, 10, 9] {
        KeyTone::new(key, 8, 8_000)
            .unwrap()
            .push(8 * 110, true, &mut samples);
        samples.extend(tone(350.0, 8_000, 0.25));
    }
    let mut events: Vec<(RtpHeader, TelephoneEvent)> = Vec::new();
    let mut speech = 0;
    for payload in payloads(PCMA, &samples) {
        b.say(&mut pair, Some(&payload));
        pair.run(PACKET);
        for packet in pair.heard_at(a.address) {
            let header = RtpHeader::parse(&packet).unwrap();
            if header.payload_type.number() == EVENTS {
                let event = TelephoneEvent::parse(header.payload(&packet).unwrap()).unwrap();
                events.push((header, event));
            } else {
                speech += 1;
            }
            a.heard.push(header);
        }
    }
    let ends: Vec<u8> = events
        .iter()
        .filter(|(_, event)| event.end)
        .map(|(_, event)| event.event)
        .collect();
    assert_eq!(ends, [5, 5, 5, 10, 10, 10, 9, 9, 9], "{events:?}");
    for chunk in events.chunk_by(|one, other| one.0.timestamp == other.0.timestamp) {
        let (_, last) = chunk.last().unwrap();
        // Counted at 8 kHz; found late, and its end as late.
        assert!((480..=1_120).contains(&last.duration), "{last:?}");
        assert!(chunk[0].0.marker && chunk.iter().skip(1).all(|(header, _)| !header.marker));
    }
    assert!(speech > 60, "{speech} packets of speech");
    for two in a.heard.windows(2) {
        assert_eq!(two[0].sequence.next(), two[1].sequence);
        assert_eq!(two[0].ssrc, two[1].ssrc);
    }
    let told = pair.events.iter();
    let told: Vec<u8> = told
        .filter_map(|event| match event {
            CallEvent::Dtmf(report) if report.way == KeyWay::InBand => Some(report.event),
            _ => None,
        })
        .collect();
    assert_eq!(told, [5, 10, 9]);
}

#[test]
fn keys_in_speech_that_are_to_be_blocked_are_not_heard_either() {
    let (mut pair, mut a, mut b) = call("block-DTMF");
    let mut samples = tone(350.0, 8_000, 0.5);
    KeyTone::new(3, 8, 8_000)
        .unwrap()
        .push(8 * 300, true, &mut samples);
    samples.extend(tone(350.0, 8_000, 0.5));
    let mut packets = 0;
    for payload in payloads(PCMA, &samples) {
        packets += 1;
        b.say(&mut pair, Some(&payload));
        pair.run(PACKET);
        a.listen(&mut pair);
    }
    // All but what it takes to know it for a key.
    let missing = packets - a.payloads.len();
    assert!((11..=16).contains(&missing), "{missing} of {packets}");
}
