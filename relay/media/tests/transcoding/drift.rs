//! Two clocks that differ by 200 parts per million, for ten minutes.

use std::time::Duration;

use relay_media::{EncoderSettings, Transcoder};

use crate::signal::steepest;
use crate::stream::{OPUS, PCMA, Sent, epoch, heard, packets, push, rate_of};

#[test]
fn ten_minutes_of_drift_are_neither_heard_nor_piled_up() {
    let settings = EncoderSettings::default();
    for (from, to, drift_ppm) in [(OPUS, PCMA, 200i64), (PCMA, OPUS, -200)] {
        let said = crate::signal::tone(250.0, rate_of(from), 600.0);
        let stream = packets(from, &said, 20, &settings);
        let mut transcoder = Transcoder::new(from, to, 20, &settings).unwrap();
        let start = epoch();
        let mut sent: Vec<Sent> = Vec::new();
        for (n, packet) in stream.iter().enumerate() {
            // The sender's 20 ms by our clock.
            let nanos = 20_000_000 + 20 * drift_ppm;
            let now = start + Duration::from_nanos(nanos as u64) * n as u32;
            let before = sent.len();
            push(&mut transcoder, now, from, packet, &mut sent);
            // One in, one out, in the same moment: nothing waits longer at the end than at the beginning.
            assert_eq!(sent.len(), before + 1, "packet {n}");
        }
        let got = heard(to, &sent);
        let (itself, click) = (
            steepest(&said) * (rate_of(from) / rate_of(to)).max(1) as i32,
            steepest(&got[8_000..]),
        );
        assert!(
            click < 2 * itself,
            "{click}, where the tone itself moves by {itself}"
        );
        let step = to.clock_hz / 50;
        assert!(
            sent.windows(2)
                .all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == step)
        );
    }
}
