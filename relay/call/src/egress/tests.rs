use relay_transport::rtp::PayloadType;

use super::*;
use crate::path::{Coding, ForwardPath, Unknown};
use crate::testing::epoch;

/// Writes down what leaves, and when.
#[derive(Default)]
struct Wire {
    writable: bool,
    unconfirmed: bool,
    sent: Vec<(RtpHeader, Vec<u8>)>,
}

impl MediaSink for Wire {
    fn is_writable(&self) -> bool {
        self.writable
    }

    fn is_confirmed(&self) -> bool {
        !self.unconfirmed
    }

    fn send_rtp(&mut self, packet: PacketBuf, out: &mut Outbox) -> Result<(), DropReason> {
        let header = RtpHeader::parse(&packet).unwrap();
        self.sent
            .push((header, header.payload(&packet).unwrap().to_vec()));
        out.recycle(packet);
        Ok(())
    }
}

const MS: Duration = Duration::from_millis(1);

fn opus(payload_type: u8) -> Format {
    Format {
        payload_type: PayloadType::from_header_byte(payload_type),
        encoding: "opus".into(),
        clock_hz: 48_000,
        channels: 2,
    }
}

fn events(payload_type: u8, clock_hz: u32) -> Format {
    Format {
        payload_type: PayloadType::from_header_byte(payload_type),
        encoding: "telephone-event".into(),
        clock_hz,
        channels: 1,
    }
}

/// A PBX that speaks to a WhatsApp leg, in invented time.
struct Scene {
    now: Instant,
    path: ForwardPath,
    egress: Egress,
    wire: Wire,
    out: Outbox,
    spoken: u16,
}

impl Scene {
    fn new() -> Self {
        let received = [opus(96), events(97, 48_000)];
        let sent = [opus(111), events(126, 8_000)];
        let mut egress = Egress::new(
            EgressConfig {
                stream: Stream::Ours { announced: None },
                hold: Duration::from_secs(1),
                fill: true,
            },
            7,
        );
        egress.set_format(Some(opus(111)));
        Self {
            now: epoch(),
            path: ForwardPath::compile(
                &received,
                &sent,
                Unknown::Drop,
                Some(20 * MS),
                &Coding::default(),
            ),
            egress,
            wire: Wire::default(),
            out: Outbox::new(8),
            spoken: 0,
        }
    }

    fn answered(mut self) -> Self {
        self.egress.open_gate(self.now, &mut self.out);
        self
    }

    /// Lets time pass, in steps of a millisecond, as the worker would.
    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += MS;
            let due = self.egress.poll_timeout(&self.wire);
            if due.is_some_and(|due| due <= self.now) {
                self.egress
                    .handle_timeout(self.now, &mut self.wire, &mut self.out);
            }
        }
    }

    fn write_able(&mut self) {
        self.wire.writable = true;
        self.egress
            .handle_timeout(self.now, &mut self.wire, &mut self.out);
    }

    fn packet(&self, payload_type: u8, timestamp: u32, payload: &[u8]) -> PacketBuf {
        let header = RtpHeader::new(
            PayloadType::from_header_byte(payload_type),
            SequenceNumber(500 + self.spoken),
            RtpTimestamp(timestamp),
            Ssrc(42),
        );
        let mut packet = PacketBuf::new();
        assert!(header.write(payload, &mut packet));
        packet
    }

    fn push(&mut self, packet: PacketBuf) -> Result<(), DropReason> {
        let result = self.path.run(
            self.now,
            packet,
            &mut self.egress,
            &mut self.wire,
            &mut self.out,
        );
        self.spoken += 1;
        result
    }

    /// The PBX says its next counted word: 20 ms of wide band speech that carries its number.
    fn speak(&mut self) -> Result<(), DropReason> {
        let [high, low] = self.spoken.to_be_bytes();
        let packet = self.packet(96, u32::from(self.spoken) * 960, &[9 << 3, high, low, 1]);
        self.push(packet)
    }

    fn words(&self) -> Vec<u16> {
        let words = self
            .wire
            .sent
            .iter()
            .filter(|(_, payload)| payload.len() == 4);
        words
            .map(|(_, payload)| u16::from_be_bytes([payload[1], payload[2]]))
            .collect()
    }

    fn assert_one_stream(&self) {
        let ssrc = self.egress.ssrc();
        for pair in self.wire.sent.windows(2) {
            assert_eq!(pair[1].0.ssrc, ssrc);
            assert_eq!(pair[1].0.sequence, pair[0].0.sequence.next());
            assert!(pair[1].0.timestamp.distance_from(pair[0].0.timestamp) >= 0);
        }
    }
}

#[test]
fn nothing_leaves_before_the_answer() {
    let mut scene = Scene::new();
    scene.write_able();
    for _ in 0..50 {
        assert_eq!(scene.speak(), Ok(()));
        scene.wait(20 * MS);
    }
    assert!(scene.wire.sent.is_empty());
}

#[test]
fn ringing_is_not_played_to_the_user_but_the_first_word_is() {
    let mut scene = Scene::new();
    for _ in 0..100 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    let mut scene = scene.answered();
    scene.write_able();
    scene.wait(200 * MS);
    assert_eq!(scene.words().first(), Some(&88));
    assert_eq!(scene.egress.stats().clipped, Duration::ZERO);
}

#[test]
fn the_first_packet_is_ours_when_the_pbx_says_nothing() {
    let mut scene = Scene::new().answered();
    scene.wait(300 * MS);
    scene.write_able();
    assert_eq!(scene.wire.sent.len(), 1);
    assert_eq!(scene.wire.sent[0].0.payload_type.number(), 111);
    scene.wait(1_000 * MS);
    assert_eq!(scene.wire.sent.len(), 51);
    scene.assert_one_stream();
}

#[test]
fn no_word_is_lost_while_keys_are_missing_and_the_delay_is_gone_within_a_second() {
    let mut scene = Scene::new().answered();
    for _ in 0..25 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    scene.write_able();
    assert_eq!(scene.words(), [0]);
    for _ in 0..50 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    assert_eq!(scene.words(), (0..75).collect::<Vec<_>>());
    assert!(scene.egress.waiting() <= 40 * MS);
    assert_eq!(scene.egress.stats().clipped, Duration::ZERO);
    scene.assert_one_stream();
}

#[test]
fn held_audio_leaves_at_a_pace_a_jitter_buffer_can_take() {
    let mut scene = Scene::new().answered();
    for _ in 0..40 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    scene.write_able();
    scene.wait(20 * MS);
    assert!(
        (4..=6).contains(&scene.wire.sent.len()),
        "{}",
        scene.wire.sent.len()
    );
}

#[test]
fn the_hold_keeps_the_newest_second_and_counts_the_rest() {
    let mut scene = Scene::new().answered();
    let mut refused = 0;
    for _ in 0..75 {
        if scene.speak() == Err(DropReason::HoldOverflow) {
            refused += 1;
        }
        scene.wait(20 * MS);
    }
    scene.write_able();
    scene.wait(1_000 * MS);
    assert_eq!(scene.words(), (25..75).collect::<Vec<_>>());
    assert_eq!(scene.egress.stats().clipped, 500 * MS);
    assert_eq!(refused, 25);
}

#[test]
fn silence_is_left_out_to_catch_up() {
    let mut scene = Scene::new().answered();
    for n in 0..40u32 {
        if (10..30).contains(&n) {
            let pause = scene.packet(96, u32::from(scene.spoken) * 960, &[0xf8, 0xff, 0xfe]);
            scene.push(pause).unwrap();
        } else {
            scene.speak().unwrap();
        }
        scene.wait(20 * MS);
    }
    scene.write_able();
    scene.wait(125 * MS);
    let spoken: Vec<u16> = (0..10).chain(30..40).collect();
    assert!(
        scene
            .words()
            .iter()
            .zip(&spoken)
            .all(|(sent, said)| sent == said)
    );
    scene.wait(200 * MS);
    assert_eq!(scene.words(), spoken);
    scene.assert_one_stream();
    let first = scene.wire.sent[0].0.timestamp;
    assert_eq!(
        scene.wire.sent[19].0.timestamp.distance_from(first),
        19 * 960
    );
}

#[test]
fn a_silent_pbx_is_filled_in_for_and_resumes_in_the_same_stream() {
    let mut scene = Scene::new().answered();
    scene.write_able();
    for _ in 0..10 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    let before = scene.wire.sent.len();
    scene.wait(40_000 * MS);
    let filled = scene.wire.sent.len() - before;
    assert!((1_990..=2_000).contains(&filled), "{filled}");
    for _ in 0..10 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    scene.assert_one_stream();
    assert_eq!(scene.words().len(), 20);
}

#[test]
fn an_event_counts_in_the_clock_of_the_receiver() {
    let mut scene = Scene::new().answered();
    scene.write_able();
    scene.speak().unwrap();
    scene.wait(20 * MS);
    for duration in [960u16, 1_920, 2_880] {
        let [high, low] = duration.to_be_bytes();
        let event = scene.packet(97, 960, &[5, 10, high, low]);
        scene.push(event).unwrap();
        scene.wait(20 * MS);
    }
    let events: Vec<_> = scene
        .wire
        .sent
        .iter()
        .filter(|(header, _)| header.payload_type.number() == 126)
        .collect();
    assert_eq!(events.len(), 3);
    let durations: Vec<_> = events
        .iter()
        .map(|(_, payload)| u16::from_be_bytes([payload[2], payload[3]]))
        .collect();
    assert_eq!(durations, [160, 320, 480]);
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].0.timestamp == pair[1].0.timestamp)
    );
}

#[test]
fn thirty_milliseconds_leave_as_twenty() {
    let received = [Format {
        encoding: "PCMA".into(),
        clock_hz: 8_000,
        channels: 1,
        ..opus(8)
    }];
    let mut scene = Scene::new().answered();
    scene.path = ForwardPath::compile(
        &received,
        &received,
        Unknown::Drop,
        Some(20 * MS),
        &Coding::default(),
    );
    scene.egress.set_format(Some(received[0].clone()));
    scene.write_able();
    scene.wire.sent.clear();
    for n in 0..4u32 {
        let packet = scene.packet(8, n * 240, &[n as u8 + 1; 240]);
        scene.push(packet).unwrap();
        scene.wait(30 * MS);
    }
    assert_eq!(scene.wire.sent.len(), 6);
    assert!(
        scene
            .wire
            .sent
            .iter()
            .all(|(_, payload)| payload.len() == 160)
    );
    scene.assert_one_stream();
}

#[test]
fn what_was_not_negotiated_does_not_reach_whatsapp() {
    let mut scene = Scene::new().answered();
    scene.write_able();
    let unknown = scene.packet(13, 0, &[0; 10]);
    assert_eq!(scene.push(unknown), Err(DropReason::UnknownPayloadType));
    scene.egress.set_wanted(false);
    assert_eq!(scene.speak(), Err(DropReason::NotWanted));
}

#[test]
fn a_plain_leg_gets_the_packets_unchanged() {
    let mut scene = Scene::new();
    let config = EgressConfig {
        stream: Stream::Adopted,
        hold: Duration::from_secs(1),
        fill: false,
    };
    scene.egress = Egress::new(config, 7);
    let mut scene = scene.answered();
    scene.write_able();
    scene.wait(1_000 * MS);
    assert!(scene.wire.sent.is_empty());
    scene.speak().unwrap();
    let header = scene.wire.sent[0].0;
    assert_eq!(
        (header.ssrc, header.sequence, header.timestamp),
        (Ssrc(42), SequenceNumber(500), RtpTimestamp(0))
    );
}

#[test]
fn words_wait_for_a_peer_that_may_lack_the_keys_and_silence_finds_out() {
    let mut scene = Scene::new().answered();
    scene.wire.unconfirmed = true;
    scene.write_able();
    for _ in 0..5 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    assert!(scene.words().is_empty());
    assert!(scene.wire.sent.len() >= 5, "{}", scene.wire.sent.len());
    scene.wire.unconfirmed = false;
    for _ in 0..25 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    assert_eq!(scene.words(), (0..30).collect::<Vec<_>>());
    assert!(scene.egress.waiting() <= 40 * MS);
    scene.assert_one_stream();
}

#[test]
fn a_peer_that_stays_silent_hears_the_words_all_the_same() {
    let mut scene = Scene::new().answered();
    scene.wire.unconfirmed = true;
    scene.write_able();
    for _ in 0..50 {
        scene.speak().unwrap();
        scene.wait(20 * MS);
    }
    assert_eq!(scene.words(), (0..50).collect::<Vec<_>>());
    scene.assert_one_stream();
}
