//! Lost, late and doubled packets.

use std::time::Duration;

use relay_media::{AudioFormat, EncoderSettings, Transcoder};

use crate::signal::{at_rate, signal_to_noise, speech, steepest, tone};
use crate::stream::{
    OPUS, PCMA, PCMU, Packet, Sent, epoch, heard, keep, packets, packets_expecting, push, transcode,
};

/// The same losses every time: a small linear congruential generator.
fn lossy(packets: &[Packet], percent: u32) -> Vec<Packet> {
    let mut state = 12_345u32;
    let mut kept = packets.to_vec();
    kept.retain(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % 100 >= percent
    });
    kept
}

fn fec(on: bool) -> EncoderSettings {
    EncoderSettings {
        fec: on,
        ..EncoderSettings::default()
    }
}

/// Opus with losses to PCMA: how much of what is heard is what was said, and how long it lasts.
fn opus_at_loss(percent: u32, fec_on: bool) -> (f64, usize) {
    let said = speech(16_000, 20.0);
    let settings = EncoderSettings {
        bitrate: Some(32_000),
        ..fec(fec_on)
    };
    let sent = packets_expecting(OPUS, &said, 20, &settings, percent as u8);
    let mut transcoder = Transcoder::new(OPUS, PCMA, 20, &EncoderSettings::default()).unwrap();
    let got = heard(
        PCMA,
        &transcode(&mut transcoder, OPUS, &lossy(&sent, percent), 20),
    );
    (
        signal_to_noise(&said, &at_rate(&got, 8_000, 16_000), 400),
        got.len(),
    )
}

#[test]
fn redundancy_makes_up_for_loss() {
    let (clean, whole) = opus_at_loss(0, true);
    assert!(clean > 8.0, "{clean:.1} dB");
    for percent in [10, 20] {
        let (without, len_without) = opus_at_loss(percent, false);
        let (with, len_with) = opus_at_loss(percent, true);
        println!(
            "{percent} % lost: {without:.1} dB without FEC, {with:.1} dB with, {clean:.1} dB without loss"
        );
        assert!(
            with > without + 1.0,
            "{percent} %: {with:.1} dB with, {without:.1} dB without"
        );
        // Nothing is left out: what was lost is made up for, but for what may be lost at the end.
        assert!(len_without + 3_200 >= whole && len_with + 3_200 >= whole);
    }
}

#[test]
fn lost_g711_leaves_no_click() {
    let said = tone(300.0, 8_000, 10.0);
    let settings = EncoderSettings::default();
    for percent in [10, 20] {
        let mut transcoder = Transcoder::new(PCMU, PCMA, 20, &settings).unwrap();
        let kept = lossy(&packets(PCMU, &said, 20, &settings), percent);
        let got = heard(PCMA, &transcode(&mut transcoder, PCMU, &kept, 20));
        let (itself, click) = (steepest(&said), steepest(&got));
        assert!(
            click < 2 * itself,
            "{percent} %: {click}, where the tone itself moves by {itself}"
        );
    }
}

#[test]
fn timestamps_run_on_across_loss_and_jump_across_a_pause() {
    let settings = EncoderSettings::default();
    let said = speech(16_000, 2.0);
    let mut stream = packets(OPUS, &said, 20, &settings);
    stream.remove(30);
    // From packet 50 on, the sender has been silent for a second: timestamps jump, sequence numbers do not.
    for packet in &mut stream[49..] {
        packet.timestamp = packet.timestamp.wrapping_add(48_000);
    }
    let mut transcoder = Transcoder::new(OPUS, PCMU, 20, &settings).unwrap();
    let sent = transcode(&mut transcoder, OPUS, &stream, 20);
    assert_eq!(sent.len(), 100);
    let steps: Vec<u32> = sent
        .windows(2)
        .map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp))
        .collect();
    let jumps: Vec<_> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| **step != 160)
        .collect();
    assert_eq!(jumps, [(49, &8_160)]);
    let markers: Vec<_> = sent
        .iter()
        .enumerate()
        .filter(|(_, packet)| packet.marker)
        .map(|(n, _)| n)
        .collect();
    assert_eq!(markers, [50]);
}

#[test]
fn a_pause_in_the_middle_of_a_packet_completes_it() {
    let settings = EncoderSettings::default();
    let said = tone(400.0, 8_000, 1.0);
    let mut stream = packets(PCMA, &said, 10, &settings);
    // An odd number of 10 ms packets, then a pause.
    for packet in &mut stream[31..] {
        packet.timestamp = packet.timestamp.wrapping_add(800);
    }
    let mut transcoder = Transcoder::new(PCMA, PCMU, 20, &settings).unwrap();
    let sent = transcode(&mut transcoder, PCMA, &stream, 10);
    let first = sent[0].timestamp;
    let at: Vec<u32> = sent[14..18]
        .iter()
        .map(|packet| packet.timestamp.wrapping_sub(first))
        .collect();
    // 310 ms of speech are 15 packets and a half, 100 ms of pause follow: the next begins at 410 ms.
    assert_eq!(at, [14 * 160, 15 * 160, 3_280, 3_440]);
}

#[test]
fn packets_that_swap_places_are_played_in_order_once_that_has_happened_before() {
    let settings = EncoderSettings::default();
    let said = speech(16_000, 10.0);
    let stream = packets(OPUS, &said, 20, &settings);
    let mut order: Vec<usize> = (0..stream.len()).collect();
    for n in (10..order.len() - 1).step_by(25) {
        order.swap(n, n + 1);
    }
    let run = |order: &[usize]| {
        let mut transcoder = Transcoder::new(OPUS, PCMA, 20, &settings).unwrap();
        let start = epoch();
        let mut sent: Vec<Sent> = Vec::new();
        for (n, &index) in order.iter().enumerate() {
            let now = start + Duration::from_millis(20) * n as u32;
            transcoder.handle_timeout(now, &mut keep(&mut sent));
            push(&mut transcoder, now, OPUS, &stream[index], &mut sent);
        }
        heard(PCMA, &sent)
    };
    let straight: Vec<usize> = (0..stream.len()).collect();
    let (expected, got) = (run(&straight), run(&order));
    assert_eq!(expected.len(), got.len());
    // The first swap is made up for like a loss; all later ones are put right, which the decoder's state does not quite forget.
    let [expected, got] = [expected, got].map(|samples| at_rate(&samples[8_000..], 8_000, 16_000));
    let ratio = signal_to_noise(&expected, &got, 4);
    assert!(ratio > 30.0, "{ratio:.1} dB");
}

#[test]
fn nonsense_is_refused_and_bounded() {
    let settings = EncoderSettings::default();
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let formats: [AudioFormat; 4] = [OPUS, PCMU, crate::stream::G722, crate::stream::L16_CD];
    for to in formats {
        let mut transcoder = Transcoder::new(OPUS, to, 20, &settings).unwrap();
        let start = epoch();
        let mut sent = Vec::new();
        for n in 0..20_000u32 {
            let len = random() as usize % 1_400;
            let packet = Packet {
                sequence: random() as u16 % 60 + (n / 100) as u16,
                timestamp: random().wrapping_mul(256),
                payload: (0..len).map(|_| random() as u8).collect(),
            };
            let format = formats[random() as usize % formats.len()];
            let now = start + Duration::from_millis(u64::from(n));
            push(&mut transcoder, now, format, &packet, &mut sent);
            transcoder.handle_timeout(now, &mut keep(&mut sent));
            // No packet makes for more than itself and what is made up before it.
            assert!(sent.len() < 400, "{}", sent.len());
            sent.clear();
        }
    }
}
