//! A sender and a receiver around a transcoder, in invented time.

use std::time::{Duration, Instant};

use relay_media::{
    AudioFormat, Codec, Coded, Decoder, Encoder, EncoderSettings, Heard, Transcoder,
};

pub(crate) const OPUS: AudioFormat = AudioFormat {
    codec: Codec::Opus,
    clock_hz: 48_000,
    channels: 2,
};
pub(crate) const PCMU: AudioFormat = AudioFormat {
    codec: Codec::Pcmu,
    clock_hz: 8_000,
    channels: 1,
};
pub(crate) const PCMA: AudioFormat = AudioFormat {
    codec: Codec::Pcma,
    clock_hz: 8_000,
    channels: 1,
};
pub(crate) const G722: AudioFormat = AudioFormat {
    codec: Codec::G722,
    clock_hz: 8_000,
    channels: 1,
};
pub(crate) const L16: AudioFormat = AudioFormat {
    codec: Codec::L16,
    clock_hz: 16_000,
    channels: 1,
};
pub(crate) const L16_CD: AudioFormat = AudioFormat {
    codec: Codec::L16,
    clock_hz: 44_100,
    channels: 2,
};

/// The rate at which an end of a test works with a format.
pub(crate) fn rate_of(format: AudioFormat) -> u32 {
    format.rate_near(16_000).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests need one real instant to start from"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

/// One encoded packet with the numbers it has on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

/// What a sender makes of `samples` at [`rate_of`] its format.
pub(crate) fn packets(
    format: AudioFormat,
    samples: &[i16],
    ms: u32,
    settings: &EncoderSettings,
) -> Vec<Packet> {
    packets_expecting(format, samples, ms, settings, 0)
}

/// The same of a sender that was told of loss.
pub(crate) fn packets_expecting(
    format: AudioFormat,
    samples: &[i16],
    ms: u32,
    settings: &EncoderSettings,
    loss: u8,
) -> Vec<Packet> {
    let rate = rate_of(format);
    let mut encoder = Encoder::new(format, rate, settings).unwrap();
    encoder.expect_loss(loss);
    let size = (rate * ms / 1_000) as usize;
    let ticks = (size as u64 * u64::from(format.clock_hz) / u64::from(rate)) as u32;
    let numbered = samples.chunks_exact(size).enumerate();
    numbered
        .map(|(n, frame)| {
            let mut payload = Vec::new();
            assert!(encoder.encode(frame, &mut payload));
            Packet {
                sequence: (n as u16).wrapping_add(65_500),
                timestamp: (n as u32)
                    .wrapping_mul(ticks)
                    .wrapping_add(u32::MAX - 5_000),
                payload,
            }
        })
        .collect()
}

/// What a transcoder makes of packets that come when they should.
pub(crate) fn transcode(
    transcoder: &mut Transcoder,
    format: AudioFormat,
    packets: &[Packet],
    ms: u32,
) -> Vec<Sent> {
    let start = epoch();
    let mut sent = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        let now = start + Duration::from_millis(u64::from(ms)) * n as u32;
        push(transcoder, now, format, packet, &mut sent);
    }
    sent
}

/// A packet as it left the transcoder.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn push(
    transcoder: &mut Transcoder,
    now: Instant,
    format: AudioFormat,
    packet: &Packet,
    sent: &mut Vec<Sent>,
) {
    let heard = Heard {
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        format,
        payload: &packet.payload,
    };
    let _ = transcoder.push(now, heard, &mut keep(sent));
}

pub(crate) fn keep(sent: &mut Vec<Sent>) -> impl FnMut(Coded<'_>) {
    |coded| {
        sent.push(Sent {
            timestamp: coded.timestamp,
            marker: coded.marker,
            payload: coded.payload.to_vec(),
        });
    }
}

/// What a receiver hears at [`rate_of`] its format.
pub(crate) fn heard(format: AudioFormat, sent: &[Sent]) -> Vec<i16> {
    let mut decoder = Decoder::new(format, rate_of(format)).unwrap();
    let mut samples = Vec::new();
    for packet in sent {
        decoder.decode(&packet.payload, &mut samples).unwrap();
    }
    samples
}
