//! Pauses of which the sender says what they sound like: they are filled, and speech comes back where it should.

use std::time::Duration;

use relay_media::{EncoderSettings, Transcoder};

use crate::signal::tone;
use crate::stream::{OPUS, PCMA, Packet, Sent, epoch, heard, keep, packets, push};

const PACKET: Duration = Duration::from_millis(20);

fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    (sum / samples.len() as f64).sqrt()
}

#[test]
fn comfort_noise_is_heard_until_speech_comes_back() {
    let settings = EncoderSettings::default();
    let mut speech = packets(PCMA, &tone(400.0, 8_000, 1.0), 20, &settings);
    let mut transcoder = Transcoder::new(PCMA, OPUS, 20, &settings).unwrap();
    let (start, mut sent) = (epoch(), Vec::<Sent>::new());
    let mut now = start;
    for packet in &speech[..25] {
        push(&mut transcoder, now, PCMA, packet, &mut sent);
        now += PACKET;
    }
    // Half a second of noise, described once: -40 dBov.
    let sequence = speech[25].sequence;
    transcoder
        .rest(now, sequence, &[40, 7, 7], &mut keep(&mut sent))
        .unwrap();
    for _ in 0..25 {
        transcoder.handle_timeout(now, &mut keep(&mut sent));
        now += PACKET;
    }
    for packet in &mut speech[25..] {
        packet.sequence = packet.sequence.wrapping_add(1);
        packet.timestamp = packet.timestamp.wrapping_add(25 * 160);
        push(&mut transcoder, now, PCMA, packet, &mut sent);
        now += PACKET;
    }
    assert_eq!(sent.len(), 75);
    for pair in sent.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 960);
        assert!(!pair[1].marker);
    }
    let heard = heard(OPUS, &sent);
    // 328 of 32768, through Opus, which keeps noise only roughly.
    let noise = power(&heard[16_000 * 6 / 10..16_000 * 9 / 10]);
    assert!((80.0..500.0).contains(&noise), "{noise}");
    assert!(power(&heard[16_000 * 12 / 10..]) > 4_000.0);
}

#[test]
fn noise_of_a_sender_that_is_gone_ends() {
    let settings = EncoderSettings::default();
    let speech = packets(PCMA, &tone(400.0, 8_000, 0.2), 20, &settings);
    let mut transcoder = Transcoder::new(PCMA, OPUS, 20, &settings).unwrap();
    let (start, mut sent) = (epoch(), Vec::<Sent>::new());
    push(&mut transcoder, start, PCMA, &speech[0], &mut sent);
    let described = transcoder.rest(start, speech[1].sequence, &[60], &mut keep(&mut sent));
    described.unwrap();
    let mut last = start;
    while let Some(at) = transcoder.poll_timeout() {
        assert!(at >= last);
        last = at;
        transcoder.handle_timeout(at, &mut keep(&mut sent));
    }
    let lasted = last - start;
    assert!(lasted <= Duration::from_secs(60), "{lasted:?}");
    assert_eq!(sent.len(), 3_001);
}

/// What comes out of half a second of speech, a frame of nothing every 400 ms, and speech again.
fn with_a_pause(transcoder: &mut Transcoder, speech: &[Packet]) -> Vec<Sent> {
    let (start, mut sent) = (epoch(), Vec::<Sent>::new());
    let mut sequence = 0;
    for n in 0..100u32 {
        let now = start + PACKET * n;
        transcoder.handle_timeout(now, &mut keep(&mut sent));
        let payload = match n {
            0..25 | 65.. => &speech[n as usize].payload[..],
            25 | 45 => &speech[0].payload[..1],
            _ => continue,
        };
        let packet = Packet {
            sequence,
            timestamp: n * 960,
            payload: payload.to_vec(),
        };
        sequence += 1;
        push(transcoder, now, OPUS, &packet, &mut sent);
    }
    sent
}

#[test]
fn what_opus_leaves_out_in_a_pause_is_filled() {
    let settings = EncoderSettings::default();
    let speech = packets(OPUS, &tone(400.0, 16_000, 2.0), 20, &settings);
    let mut transcoder = Transcoder::new(OPUS, PCMA, 20, &settings).unwrap();
    let sent = with_a_pause(&mut transcoder, &speech);
    assert!((99..=101).contains(&sent.len()), "{}", sent.len());
    for pair in sent.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160);
    }
}

#[test]
fn a_pause_of_opus_is_described_to_one_who_knows_comfort_noise() {
    let settings = EncoderSettings::default();
    let speech = packets(OPUS, &tone(400.0, 16_000, 2.0), 20, &settings);
    for packet_time in [20, 40] {
        let mut transcoder = Transcoder::new(OPUS, PCMA, packet_time, &settings).unwrap();
        transcoder.describe_pauses();
        let sent = with_a_pause(&mut transcoder, &speech);
        let (noise, spoken): (Vec<_>, Vec<_>) = sent.iter().partition(|p| p.payload.len() == 1);
        // Each pause is described at once, and again as what the decoder makes up grows quiet.
        assert!((2..=30).contains(&noise.len()), "{}", noise.len());
        let levels: Vec<u8> = noise.iter().map(|packet| packet.payload[0]).collect();
        assert!(levels.iter().all(|level| *level >= 6), "{levels:?}");
        for packet in noise {
            let at = packet.timestamp.wrapping_sub(spoken[0].timestamp);
            assert!((25 * 160..=65 * 160).contains(&at), "{at}");
            assert!(!packet.marker);
        }
        // Two seconds less the pause, and a frame at the beginning of either half of it.
        let expected = 2_000 / packet_time - 38 * 20 / packet_time;
        assert!(spoken.len() as u32 <= expected + 2, "{}", spoken.len());
        // Speech comes back where it was said, to the tick.
        let back = spoken[0].timestamp.wrapping_add(65 * 160);
        let at = spoken.iter().find(|packet| packet.timestamp == back);
        assert!(at.is_some_and(|packet| packet.marker), "{spoken:?}");
        assert_eq!(spoken.iter().filter(|packet| packet.marker).count(), 2);
    }
}
