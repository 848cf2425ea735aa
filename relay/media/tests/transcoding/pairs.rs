//! Every pair of codecs, both ways: a tone and something like speech, at every packet time.

use relay_media::{AudioFormat, EncoderSettings, Transcoder};

use crate::signal::{at_rate, floor, floors, purity, signal_to_noise, speech, tone};
use crate::stream::{G722, L16, L16_CD, OPUS, PCMA, PCMU, heard, packets, rate_of, transcode};

const ALL: [AudioFormat; 6] = [OPUS, PCMU, PCMA, G722, L16, L16_CD];

#[test]
fn every_pair_keeps_a_tone_and_speech() {
    let settings = EncoderSettings::default();
    for from in ALL {
        for to in ALL.into_iter().filter(|&to| to != from) {
            let rate = rate_of(from);
            let ms = from.packet_time_ms(20);
            let run = |samples: &[i16]| {
                let mut transcoder = Transcoder::new(from, to, 20, &settings).unwrap();
                let sent = transcode(
                    &mut transcoder,
                    from,
                    &packets(from, samples, ms, &settings),
                    ms,
                );
                heard(to, &sent)
            };
            let names = format!(
                "{:?}/{} to {:?}/{}",
                from.codec, from.clock_hz, to.codec, to.clock_hz
            );

            let got = run(&tone(1_000.0, rate, 3.0));
            assert!(
                got.len() as u32 >= rate_of(to) * 29 / 10,
                "{names}: only {} samples",
                got.len()
            );
            let middle = &got[got.len() / 3..got.len() / 3 + rate_of(to) as usize];
            let pure = purity(middle, rate_of(to), 1_000.0);
            let least = floor(floors(from).0, floors(to).0);
            assert!(
                pure > least,
                "{names}: a tone at {pure:.1} dB, floor {least:.1} dB"
            );

            let said = speech(rate, 4.0);
            let got = at_rate(&run(&said), rate_of(to), 16_000);
            let ratio = signal_to_noise(&at_rate(&said, rate, 16_000), &got, 400);
            let least = floor(floors(from).1, floors(to).1);
            assert!(
                ratio > least,
                "{names}: speech at {ratio:.1} dB, floor {least:.1} dB"
            );
            println!("{names}: tone {pure:.1} dB, speech {ratio:.1} dB");
        }
    }
}

#[test]
fn packets_become_as_long_as_the_receiver_wants_them() {
    let settings = EncoderSettings::default();
    for (from, to) in [(OPUS, PCMA), (PCMA, OPUS), (G722, OPUS), (PCMU, PCMA)] {
        for ms in [10, 20, 40, 60] {
            for wanted in [10, 20, 30, 40, 60] {
                let said = speech(rate_of(from), 2.4);
                let mut transcoder = Transcoder::new(from, to, wanted, &settings).unwrap();
                let sent = transcode(
                    &mut transcoder,
                    from,
                    &packets(from, &said, ms, &settings),
                    ms,
                );
                let packet_time = to.packet_time_ms(wanted);
                let ticks = to.clock_hz * packet_time / 1_000;
                assert_eq!(
                    sent.len() as u32,
                    2_400 / packet_time,
                    "{from:?} {ms} to {to:?} {wanted}"
                );
                for pair in sent.windows(2) {
                    assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), ticks);
                    assert!(!pair[1].marker);
                }
            }
        }
    }
}
