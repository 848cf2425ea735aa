//! Blocked keys as the other side gets them: other keys, tones, later, or from a certain key on.

use std::time::Duration;

use ng_protocol::Request;
use relay_call::CallEvent;
use relay_media::{EncoderSettings, KeyHeard, KeyTone, TelephoneEvent, ToneDetector};
use relay_packet::PacketBuf;
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b};
use crate::stream::{self, PCMA, Sent};
use crate::support::request;

const PACKET: Duration = Duration::from_millis(20);
const TO_A: &str = "192.0.2.1:30000";
const EVENTS: u8 = 101;

/// `a` and `b` with A-law; `a` has events, and `b` only if it says so.
struct Conversation {
    pair: Pair,
    sequence: u16,
    timestamp: u32,
}

/// What `b` got, in its order.
#[derive(Debug, Default)]
struct Got {
    /// Each event: which, in how many packets, after how many packets of speech.
    events: Vec<(u8, usize, usize)>,
    speech: Vec<Sent>,
    headers: Vec<RtpHeader>,
}

impl Conversation {
    fn new(flags_of_a: &str, events_of_b: bool) -> Self {
        let audio = |port, events: bool| {
            let number = if events { " 101" } else { "" };
            let mapping = "a=rtpmap:101 telephone-event/8000\n";
            let mapping = if events { mapping } else { "" };
            format!("m=audio {port} RTP/AVP 8{number}\n{mapping}")
        };
        let mut pair = Pair::new();
        let flags = format!("{INTERFACES} codec-transcode-PCMU {flags_of_a}");
        pair.offer(&of_a(&audio(4000, true)), &flags);
        pair.answer(&of_b(&audio(5000, events_of_b)), "");
        let mut this = Self {
            pair,
            sequence: 100,
            timestamp: 8_000,
        };
        this.speak(5);
        this.got();
        this
    }

    fn ask(&mut self, command: &str, keys: &str) -> Option<String> {
        let comma = if keys.is_empty() { "" } else { "," };
        let request: Request = request(&format!(
            r#""command":"{command}","call-id":"call"{comma}{keys}"#
        ));
        let (now, ports) = (self.pair.desk.now, &mut self.pair.desk.ports);
        let response = self.pair.desk.call.handle_request(now, &request, ports);
        self.pair.run(Duration::ZERO);
        response.error_reason().map(str::to_owned)
    }

    fn send(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let header = RtpHeader::new(
            PayloadType::new(payload_type).unwrap(),
            SequenceNumber(self.sequence),
            RtpTimestamp(timestamp),
            Ssrc(7),
        );
        self.sequence += 1;
        let mut packet = PacketBuf::new();
        assert!(header.write(payload, &mut packet));
        self.pair.receive(TO_A, A, &packet);
    }

    /// `a` says so many packets of something soft that is no silence.
    fn speak(&mut self, packets: usize) {
        for _ in 0..packets {
            self.send(8, self.timestamp, &[0x50; 160]);
            self.timestamp += 160;
            self.pair.run(PACKET);
        }
    }

    /// `a` presses a key for 100 ms, then speaks for 100 ms.
    fn press(&mut self, key: u8) {
        let timestamp = self.timestamp;
        for n in 1..=7 {
            let event = TelephoneEvent {
                event: key,
                end: n > 4,
                volume: 10,
                duration: n.min(5) * 160,
            };
            self.send(EVENTS, timestamp, &event.to_bytes());
            if n < 6 {
                self.pair.run(PACKET);
                self.timestamp += 160;
            }
        }
        self.speak(5);
    }

    fn got(&mut self) -> Got {
        let mut got = Got::default();
        let mut last = None;
        for packet in self.pair.heard_at(B) {
            let header = RtpHeader::parse(&packet).unwrap();
            let payload = header.payload(&packet).unwrap();
            if header.payload_type.number() == EVENTS {
                if last != Some(header.timestamp) {
                    got.events.push((payload[0], 0, got.speech.len()));
                    last = Some(header.timestamp);
                }
                got.events.last_mut().unwrap().1 += 1;
            } else {
                got.speech.push(Sent {
                    timestamp: header.timestamp.0,
                    marker: header.marker,
                    payload: payload.to_vec(),
                });
            }
            got.headers.push(header);
        }
        let numbers: Vec<u16> = got.headers.iter().map(|h| h.sequence.0).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        got
    }

    fn got_events(&mut self) -> Vec<u8> {
        self.got().events.iter().map(|event| event.0).collect()
    }

    fn told(&self) -> Vec<u8> {
        let told = self.pair.events.iter().filter_map(|event| match event {
            CallEvent::Dtmf(report) => Some(report.event),
            _ => None,
        });
        told.collect()
    }
}

impl Got {
    /// Packets of speech that carry this frequency about this loud, in dBm0.
    fn packets_with(&self, hz: f32, volume: f32) -> usize {
        let expected = 22_830.0 * 10f32.powf(-volume / 20.0);
        let is_there = |sent: &&Sent| {
            let one = [(*sent).clone()];
            let samples = stream::heard(PCMA, &one);
            let (mut real, mut imaginary) = (0.0f32, 0.0f32);
            for (n, sample) in samples.iter().enumerate() {
                let angle = n as f32 * hz / 8_000.0 * std::f32::consts::TAU;
                real += f32::from(*sample) * angle.cos();
                imaginary += f32::from(*sample) * angle.sin();
            }
            let amplitude = real.hypot(imaginary) * 2.0 / samples.len().max(1) as f32;
            (0.8..1.25).contains(&(amplitude / expected))
        };
        self.speech.iter().filter(is_there).count()
    }

    fn keys(&self) -> Vec<u8> {
        let mut keys = Vec::new();
        let mut detector = ToneDetector::new(8_000);
        detector.hear(&stream::heard(PCMA, &self.speech), &mut |key| {
            if let KeyHeard::Down { event, .. } = key {
                keys.push(event);
            }
        });
        keys
    }
}

#[test]
fn a_key_becomes_another_for_its_whole_length() {
    for (keys, expected) in [
        (r#""DTMF-security":"zero""#, 0),
        (r##""DTMF-security":"DTMF","digit":"#""##, 11),
        (r#""DTMF-security":"DTMF""#, 0),
        (r#""DTMF-security":"off""#, 5),
    ] {
        let mut call = Conversation::new("", true);
        assert_eq!(call.ask("block DTMF", keys), None);
        call.press(5);
        assert_eq!(call.got().events, [(expected, 7, 0)], "{keys}");
        assert_eq!(call.told(), [5], "who is told of keys is told the true one");
        call.ask("unblock DTMF", "");
        call.press(6);
        assert_eq!(call.got_events(), [6], "{keys}");
    }
}

#[test]
fn random_keys_are_digits_that_stay_the_same_while_the_key_is_down() {
    let mut call = Conversation::new("", true);
    call.ask("block DTMF", r#""DTMF-security":"random""#);
    let mut seen = Vec::new();
    for _ in 0..20 {
        call.press(11);
        let events = call.got().events;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].1, 7);
        assert!(events[0].0 <= 9);
        seen.push(events[0].0);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 4, "{seen:?}");
}

#[test]
fn a_tone_is_heard_for_as_long_as_the_key_was_pressed() {
    for (keys, hz, volume) in [
        ("", 400.0, 10.0),
        (r#","frequency":"800","volume":"-20""#, 800.0, 20.0),
        (r#","frequencies":[1000]"#, 1_000.0, 10.0),
    ] {
        let mut call = Conversation::new("", true);
        call.ask("block DTMF", &format!(r#""DTMF-security":"tone"{keys}"#));
        call.press(5);
        let got = call.got();
        assert_eq!(got.events, [], "{keys}");
        assert_eq!(got.packets_with(hz, volume), 5, "{keys}");
        assert!(got.keys().is_empty());
        assert_eq!(got.speech.len(), 10);
        let steps = got.headers.windows(2);
        let steps: Vec<i32> = steps
            .map(|two| two[1].timestamp.distance_from(two[0].timestamp))
            .collect();
        assert_eq!(steps, [160; 9], "{keys}");
        call.press(6);
        assert_eq!(call.got().packets_with(hz, volume), 5, "the next one, too");
    }
}

#[test]
fn of_several_frequencies_one_is_drawn_for_each_key() {
    let mut call = Conversation::new("", true);
    call.ask(
        "block DTMF",
        r#""DTMF-security":"tone","frequencies":"500,1000""#,
    );
    let mut heard = [0; 2];
    for _ in 0..12 {
        call.press(5);
        let got = call.got();
        let of = [
            got.packets_with(500.0, 10.0),
            got.packets_with(1_000.0, 10.0),
        ];
        assert!(of == [5, 0] || of == [0, 5], "{of:?}");
        heard[usize::from(of[1] == 5)] += 1;
    }
    assert!(heard[0] > 0 && heard[1] > 0, "{heard:?}");
}

#[test]
fn one_who_has_no_events_hears_the_other_key() {
    let mut call = Conversation::new("", false);
    call.ask("block DTMF", r#""DTMF-security":"DTMF","digit":"9""#);
    call.press(5);
    let got = call.got();
    assert_eq!((got.keys(), got.events.len()), (vec![9], 0));
}

#[test]
fn keys_in_speech_are_disguised_once_they_are_known() {
    for (keys, events, tones) in [
        (r#""DTMF-security":"DTMF","digit":"8""#, vec![8], 0),
        (r#""DTMF-security":"tone""#, vec![], 13),
        (r#""DTMF-security":"silence""#, vec![], 0),
        (r#""DTMF-security":"off""#, vec![3], 0),
    ] {
        // `a` has no events here, and `b` has.
        let mut pair = Pair::new();
        let none = "m=audio 4000 RTP/AVP 8\n";
        let flags = format!("{INTERFACES} codec-transcode-telephone-event");
        pair.offer(&of_a(none), &flags);
        let with = "m=audio 5000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n";
        pair.answer(&of_b(with), "");
        let mut call = Conversation {
            pair,
            sequence: 1,
            timestamp: 0,
        };
        call.speak(5);
        call.ask("block DTMF", keys);
        call.got();
        let mut samples = Vec::new();
        KeyTone::new(3, 8, 8_000)
            .unwrap()
            .push(8 * 300, true, &mut samples);
        for packet in stream::packets(PCMA, &samples, 20, &EncoderSettings::default()) {
            call.send(8, call.timestamp, &packet.payload);
            call.timestamp += 160;
            call.pair.run(PACKET);
        }
        call.speak(10);
        let got = call.got();
        let heard: Vec<u8> = got.events.iter().map(|event| event.0).collect();
        assert_eq!(heard, events, "{keys}");
        let found = got.packets_with(400.0, 10.0);
        assert!(found.abs_diff(tones) <= 3, "{keys}: {found}");
        assert_eq!(call.told(), [3], "{keys}");
        if !keys.contains("off") {
            // What it takes to know it for a key is heard.
            assert!(got.packets_with(697.0, 8.0) <= 3, "{keys}");
        }
    }
}

#[test]
fn a_trigger_begins_and_ends_what_is_blocked() {
    for (keys, expected) in [
        (r#""trigger-end":"11""#, &[4, 5, 5, 3][..]),
        (r#""trigger-end-digits":"3""#, &[4, 5, 5, 1, 3]),
        (r#""trigger-end-time":"500""#, &[4, 5, 5, 1, 1, 3]),
        (
            r#""trigger-end":"11","DTMF-security-trigger":"zero","DTMF-security-trigger-end":"DTMF","digit":"9""#,
            &[4, 5, 5, 0, 0, 0, 0, 9],
        ),
    ] {
        let arm = format!(r#""trigger":"55","DTMF-security-trigger":"drop",{keys}"#);
        let mut by_command = Conversation::new("", true);
        assert_eq!(by_command.ask("block DTMF", &arm), None);
        let written = arm.replace(['"'], "").replace(':', "=").replace(',', " ");
        let mut by_offer = Conversation::new(&written, true);
        for call in [&mut by_command, &mut by_offer] {
            for key in [4, 5, 5, 1, 2, 1, 1, 3] {
                call.press(key);
            }
            assert_eq!(call.got_events(), expected, "{keys}");
            assert_eq!(call.told(), [4, 5, 5, 1, 2, 1, 1, 3]);
        }
    }
}

#[test]
fn a_trigger_that_is_lifted_or_has_no_mode_changes_nothing() {
    let mut call = Conversation::new("", true);
    call.ask("block DTMF", r#""trigger":"5""#);
    call.speak(1);
    let warned = |event: &CallEvent| matches!(event, CallEvent::Warning(text) if text.contains("DTMF-security-trigger"));
    assert!(call.pair.events.iter().any(warned));
    call.ask(
        "block DTMF",
        r#""trigger":"5","DTMF-security-trigger":"drop""#,
    );
    call.press(5);
    call.press(1);
    assert_eq!(call.got_events(), [5]);
    call.ask("unblock DTMF", "");
    call.press(5);
    call.press(1);
    assert_eq!(call.got_events(), [5, 1]);
}

#[test]
fn a_delayed_key_is_silence_first_and_comes_when_its_time_is_there() {
    let mut call = Conversation::new("", true);
    call.ask("block DTMF", r#""DTMF-delay":"400""#);
    call.press(5);
    call.speak(30);
    let got = call.got();
    // Five packets of silence while the key is down, and speech until 400 ms after it began; its length is what it was.
    assert_eq!(got.events, [(5, 7, 20)]);
    assert!(
        got.speech[..5]
            .iter()
            .all(|sent| sent.payload == [0xd5; 160])
    );
    assert!(
        got.speech[6..]
            .iter()
            .all(|sent| sent.payload == [0x50; 160])
    );
    // What is blocked by then is not heard after all.
    call.press(6);
    call.ask("block DTMF", "");
    call.speak(30);
    assert!(call.got_events().is_empty());
    assert_eq!(call.told(), [5, 6]);
    // Without events it is heard.
    let mut call = Conversation::new("DTMF-delay=200", false);
    call.press(7);
    call.speak(30);
    assert_eq!(call.got().keys(), [7]);
}

#[test]
fn short_packets_of_speech_are_kept_back_where_it_is_asked_for() {
    for (flags, expected) in [
        ("", vec![160, 79, 80, 1, 160]),
        ("block-short", vec![160, 80, 160]),
    ] {
        let mut call = Conversation::new(flags, true);
        for len in [160, 79, 80, 1, 160] {
            call.send(8, call.timestamp, &vec![0x50; len]);
            call.timestamp += len as u32;
            call.pair.run(PACKET);
        }
        let lens = call.got().speech.into_iter().map(|sent| sent.payload.len());
        assert_eq!(lens.collect::<Vec<_>>(), expected, "{flags}");
        call.press(5);
        assert_eq!(call.got_events(), [5], "an event is short by nature");
    }
}
