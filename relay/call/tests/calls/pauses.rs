//! Pauses of an Opus speaker, towards phones that know comfort noise (RFC 3389) and phones that do not.

use std::time::Duration;

use relay_media::EncoderSettings;

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b};
use crate::signal::tone;
use crate::stream::{self, OPUS};
use crate::transcoded::{Party, audio};

/// Opus that makes a pause, to a phone; the payload types and the steps of the timestamps that the phone gets.
fn heard(offer_flags: &str, answer: &str) -> (String, Vec<(u8, i32)>) {
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} codec-mask-opus codec-transcode-PCMA {offer_flags}");
    let offered = pair.offer(&of_a(&audio(4000, 111, OPUS, false)), &flags);
    pair.answer(&of_b(answer), "");
    let mut a = Party::new(A, "192.0.2.1:30000", 111, OPUS);
    let said = stream::packets(
        OPUS,
        &tone(400.0, 16_000, 1.0),
        20,
        &EncoderSettings::default(),
    );
    let mut heard = Vec::new();
    for (n, packet) in said.iter().enumerate() {
        // Between the words a frame of nothing, and then no packets at all; their numbers have no gap.
        if !(16..35).contains(&n) {
            let payload = &packet.payload;
            let payload = if n == 15 { &payload[..1] } else { payload };
            let mut packet = crate::media::rtp(111, a.sent, 7, payload).to_vec();
            a.sent += 1;
            packet[4..8].copy_from_slice(&(n as u32 * 960).to_be_bytes());
            pair.receive(a.relay, A, &packet);
        }
        pair.run(Duration::from_millis(20));
        heard.extend(pair.heard_at(B));
    }
    let timestamp = |packet: &[u8]| u32::from_be_bytes(packet[4..8].try_into().unwrap());
    let numbers = heard.windows(2).map(|two| {
        let sequence = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(sequence(&two[1]), sequence(&two[0]).wrapping_add(1));
        let step = timestamp(&two[1]).wrapping_sub(timestamp(&two[0])) as i32;
        (two[1][1] & 0x7f, step)
    });
    (offered, numbers.collect())
}

#[test]
fn a_phone_that_knows_comfort_noise_is_told_of_a_pause() {
    let answer = "m=audio 5000 RTP/AVP 8 13\n";
    let (offered, heard) = heard("codec-transcode-CN", answer);
    assert!(offered.contains("RTP/AVP 8 13\n"), "{offered}");
    let noise = heard.iter().filter(|(number, _)| *number == 13).count();
    assert!((1..=15).contains(&noise), "{heard:?}");
    assert!(heard.len() < 31 + noise, "{heard:?}");
    // Speech comes back where it would have been.
    let lasted: i32 = heard.iter().map(|(_, step)| step).sum();
    assert_eq!(lasted, 49 * 160);
}

#[test]
fn a_phone_that_does_not_is_sent_the_pause() {
    let (_, heard) = heard("", "m=audio 5000 RTP/AVP 8\n");
    assert_eq!(heard, vec![(8, 160); 49]);
}

#[test]
fn a_phone_that_offers_comfort_noise_is_answered_with_it() {
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} codec-mask-all codec-transcode-opus");
    let offer = "m=audio 4000 RTP/AVP 0 13 101\na=rtpmap:101 telephone-event/8000\n";
    let offered = pair.offer(&of_a(offer), &flags);
    let number = offered.lines().find_map(|line| {
        let (number, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        name.starts_with("opus")
            .then(|| number.parse::<u8>().ok())?
    });
    let answer = audio(5000, number.unwrap(), OPUS, false);
    let answered = pair.answer(&of_b(&answer), "");
    assert!(answered.contains("RTP/AVP 0 13 101\n"), "{answered}");
}
