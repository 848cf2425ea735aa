//! Transcoding that nobody hears, before the first call.
//!
//! Pages of code and tables come into memory when they are first used, and so do the buffers of a thread's allocator.
//! Without this it is the first caller who waits for them, at the moment when the first words are said.

use std::time::{Duration, Instant};

use crate::{AudioFormat, Codec, Coded, EncoderSettings, Heard, Transcoder};

const OPUS: AudioFormat = AudioFormat {
    codec: Codec::Opus,
    clock_hz: 48_000,
    channels: 2,
};
const PCMU: AudioFormat = AudioFormat {
    codec: Codec::Pcmu,
    clock_hz: 8_000,
    channels: 1,
};
const PACKET_TIME_MS: u32 = 20;
/// Long enough that the encoder has seen voiced and unvoiced frames.
const PACKETS: u16 = 25;
/// What µ-law says for the least and for a middling loudness (ITU-T G.711).
const SOFT_AND_LOUD: [u8; 2] = [0xff, 0xa0];

/// Transcodes half a second of a buzzing voice from G.711 to Opus and back, in some milliseconds of processor time.
///
/// To be called once by each thread that is to transcode. Gives how many packets came back, for tests.
pub fn rehearse(now: Instant) -> usize {
    let settings = EncoderSettings::default();
    let there = Transcoder::new(PCMU, OPUS, PACKET_TIME_MS, &settings);
    let back = Transcoder::new(OPUS, PCMU, PACKET_TIME_MS, &settings);
    let (Ok(mut there), Ok(mut back)) = (there, back) else {
        // Without libopus there is nothing to rehearse.
        return 0;
    };
    let mut heard = 0;
    for sequence in 0..PACKETS {
        let now = now + Duration::from_millis(u64::from(PACKET_TIME_MS)) * u32::from(sequence);
        let frame = buzz(sequence);
        let spoken = Heard {
            sequence,
            timestamp: u32::from(sequence) * 160,
            format: PCMU,
            payload: &frame,
        };
        // A payload of ours is not invalid, and a packet in time is not too late: nobody has to be told.
        let _ = there.push(now, spoken, &mut |coded: Coded<'_>| {
            let answered = Heard {
                sequence,
                timestamp: coded.timestamp,
                format: OPUS,
                payload: coded.payload,
            };
            let _ = back.push(now, answered, &mut |_| heard += 1);
        });
    }
    heard
}

/// 20 ms of a voice: pulses of a pitch that rises from 100 Hz, and a hiss in every fifth packet.
fn buzz(sequence: u16) -> [u8; 160] {
    let pitch = 80 - usize::from(sequence);
    let mut state = u32::from(sequence);
    std::array::from_fn(|index| {
        if sequence.is_multiple_of(5) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            return SOFT_AND_LOUD[(state >> 31) as usize];
        }
        SOFT_AND_LOUD[usize::from(index % pitch < 8)]
    })
}

#[cfg(all(test, feature = "opus"))]
mod tests {
    use super::*;
    use crate::testing::epoch;

    #[test]
    fn a_rehearsal_goes_both_ways_through_libopus() {
        // Each jitter buffer and each codec may keep a packet to itself.
        assert!(rehearse(epoch()) >= usize::from(PACKETS) - 4);
    }
}
