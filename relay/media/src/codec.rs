//! The table of codecs: what `a=rtpmap` calls them, how their clocks run, what their silence looks like.

use std::time::Duration;

use crate::OpusPacket;

/// An Opus packet of 20 ms that decodes to digital silence (RFC 6716 §3.1: CELT-only, full band, one frame).
/// A packet is sent rather than nothing, because the far end counts a call without packets as dead.
const OPUS_SILENCE_20_MS: [u8; 3] = [0xf8, 0xff, 0xfe];

/// G.711 µ-law: the code of the smallest positive amplitude.
const PCMU_SILENCE: u8 = 0xff;
/// G.711 A-law: the code of the smallest positive amplitude.
const PCMA_SILENCE: u8 = 0xd5;

/// G.722: the code that rtpengine, too, sends for silence.
const G722_SILENCE: u8 = 0xfa;
/// The same Opus silence as one frame of 10 ms.
const OPUS_SILENCE_10_MS: [u8; 3] = [0xf0, 0xff, 0xfe];
/// RFC 6716 §3.2.5: the first byte of a packet with several of the frames above, all of one size.
const OPUS_SILENCE_FRAMES: u8 = OPUS_SILENCE_20_MS[0] | 0b11;

/// A codec as far as the relay must understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587. The RTP clock is always 48 kHz.
    Opus,
    /// RFC 3551 §4.5.14.
    Pcmu,
    /// RFC 3551 §4.5.14.
    Pcma,
    /// RFC 3551 §4.5.2. Sampled at 16 kHz, clocked at 8 kHz.
    G722,
    /// RFC 3551 §4.5.11: linear samples of 16 bits, at the rate of its clock.
    L16,
    /// RFC 4733.
    TelephoneEvent,
    /// RFC 3389.
    ComfortNoise,
    /// Anything else: passed through, never made up.
    Other,
}

/// The encoding names of `a=rtpmap`.
const NAMES: [(&str, Codec); 7] = [
    ("opus", Codec::Opus),
    ("PCMU", Codec::Pcmu),
    ("PCMA", Codec::Pcma),
    ("G722", Codec::G722),
    ("L16", Codec::L16),
    ("telephone-event", Codec::TelephoneEvent),
    ("CN", Codec::ComfortNoise),
];

impl Codec {
    /// The codec with this encoding name of `a=rtpmap`, compared without regard to case (RFC 8866 §6.6).
    pub fn from_encoding_name(name: &str) -> Self {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Codec::Other, |&(_, codec)| codec)
    }

    /// Its encoding name; `None` for a codec that is passed through without being known.
    pub fn encoding_name(self) -> Option<&'static str> {
        let mut names = NAMES.iter();
        let (name, _) = names.find(|(_, codec)| *codec == self)?;
        Some(name)
    }

    /// Whether frames of this codec are what the user speaks, as opposed to events and noise parameters.
    pub fn is_speech(self) -> bool {
        !matches!(self, Codec::TelephoneEvent | Codec::ComfortNoise)
    }

    /// Whether [`Self::silence`] can make silence for this codec.
    pub fn has_silence(self) -> bool {
        matches!(self, Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::G722)
    }

    /// Appends a frame of silence of `duration` to `payload`; `false` when no silence can be made for this codec.
    ///
    /// Opus silence always lasts 20 ms, whatever `duration` says.
    pub fn silence(self, duration: Duration, payload: &mut Vec<u8>) -> bool {
        let octets = usize::try_from(duration.as_millis() * 8)
            .unwrap_or(usize::MAX)
            .min(960);
        match self {
            Codec::Opus => payload.extend_from_slice(&OPUS_SILENCE_20_MS),
            Codec::Pcmu => payload.resize(payload.len() + octets, PCMU_SILENCE),
            Codec::Pcma => payload.resize(payload.len() + octets, PCMA_SILENCE),
            Codec::G722 => payload.resize(payload.len() + octets, G722_SILENCE),
            Codec::L16 | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other => {
                return false;
            }
        }
        true
    }

    /// Overwrites a payload with silence that lasts as long, and says how much of it is left; `None` when no silence can be
    /// made for this codec.
    pub fn silence_over(self, payload: &mut [u8]) -> Option<usize> {
        match self {
            Codec::Opus => return Some(opus_silence_over(payload)),
            Codec::Pcmu => payload.fill(PCMU_SILENCE),
            Codec::Pcma => payload.fill(PCMA_SILENCE),
            Codec::G722 => payload.fill(G722_SILENCE),
            Codec::L16 | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other => return None,
        }
        Some(payload.len())
    }

    /// Whether `payload` carries no speech, as far as that shows without decoding it.
    ///
    /// Opus: a DTX frame, or the silence frame above. G.711: every sample within two steps of zero.
    pub fn is_silence(self, payload: &[u8]) -> bool {
        match self {
            Codec::Opus => payload.len() <= 2 || payload == OPUS_SILENCE_20_MS,
            // The lowest codes of either law, both signs: amplitudes up to 16 of 32768 (µ-law), 24 (A-law).
            Codec::Pcmu => payload.iter().all(|&code| code & 0x7f >= 0x7d),
            Codec::Pcma => payload.iter().all(|&code| (code ^ 0x55) & 0x7f <= 1),
            Codec::G722 => payload.iter().all(|&code| code == G722_SILENCE),
            Codec::L16 | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other => false,
        }
    }

    /// How long `payload` lasts, where that can be read off it.
    pub fn duration(self, payload: &[u8]) -> Option<Duration> {
        match self {
            Codec::Opus => OpusPacket::parse(payload)
                .ok()
                .map(|packet| packet.duration()),
            // One octet is 125 µs in all three (G.722: two samples of 16 kHz).
            Codec::Pcmu | Codec::Pcma | Codec::G722 => {
                Some(Duration::from_micros(125 * payload.len() as u64))
            }
            Codec::L16 | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other => None,
        }
    }
}

/// Silence in place of an Opus packet. A packet too short for it is comfort noise or discontinuous transmission already.
fn opus_silence_over(payload: &mut [u8]) -> usize {
    const FRAME: [u8; 2] = [OPUS_SILENCE_20_MS[1], OPUS_SILENCE_20_MS[2]];
    let lasts = Codec::Opus.duration(payload).unwrap_or_default();
    let frames = usize::try_from(lasts.as_millis() / 20).unwrap_or(1);
    let single = match frames {
        0 => Some(OPUS_SILENCE_10_MS),
        1 => Some(OPUS_SILENCE_20_MS),
        _ => None,
    };
    if let Some(single) = single {
        let Some(start) = payload.first_chunk_mut() else {
            return payload.len();
        };
        *start = single;
        return single.len();
    }
    let len = 2 + FRAME.len() * frames;
    let Some([first, count, rest @ ..]) = payload.get_mut(..len) else {
        return payload.len();
    };
    *first = OPUS_SILENCE_FRAMES;
    // 120 ms is the longest packet there is (RFC 6716 §3.2): six frames.
    *count = frames as u8;
    rest.as_chunks_mut().0.fill(FRAME);
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    #[test]
    fn names_compare_without_case() {
        assert_eq!(Codec::from_encoding_name("OPUS"), Codec::Opus);
        assert_eq!(Codec::from_encoding_name("pcma"), Codec::Pcma);
        assert_eq!(
            Codec::from_encoding_name("Telephone-Event"),
            Codec::TelephoneEvent
        );
        assert_eq!(Codec::from_encoding_name("speex"), Codec::Other);
    }

    #[test]
    fn silence_is_recognised_as_silence_and_lasts_a_frame() {
        for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::G722] {
            let mut payload = Vec::new();
            assert!(codec.has_silence() && codec.silence(FRAME, &mut payload));
            assert!(codec.is_silence(&payload), "{codec:?}");
            assert_eq!(codec.duration(&payload), Some(FRAME), "{codec:?}");
        }
        assert!(!Codec::Other.has_silence());
        assert!(!Codec::Other.silence(FRAME, &mut Vec::new()));
    }

    #[test]
    fn libopus_decodes_our_silence_to_zeros() {
        let mut decoder = opus::Decoder::new(16_000, opus::Channels::Mono).unwrap();
        let mut samples = [1i16; 320];
        for _ in 0..5 {
            let count = decoder
                .decode(&OPUS_SILENCE_20_MS, &mut samples, false)
                .unwrap();
            assert_eq!(count, 320);
        }
        assert!(samples.iter().all(|&sample| sample == 0), "{samples:?}");
    }

    #[test]
    fn silence_over_speech_lasts_as_long_as_the_speech() {
        // 10, 20, 60 and 120 ms of SILK and CELT speech: configurations 0, 1, and three and six frames.
        let sixty = [&[0x48 | 3, 3][..], &[0x55; 60]].concat();
        let longest = [&[0x48 | 3, 6][..], &[0x55; 120]].concat();
        for packet in [&[0x40; 20][..], &[0x48; 20], &sixty, &longest] {
            let lasted = Codec::Opus.duration(packet);
            let mut payload = packet.to_vec();
            let len = Codec::Opus.silence_over(&mut payload).unwrap();
            payload.truncate(len);
            assert_eq!(Codec::Opus.duration(&payload), lasted, "{payload:x?}");
            let mut decoder = opus::Decoder::new(16_000, opus::Channels::Mono).unwrap();
            let mut samples = [1i16; 1920];
            let count = decoder.decode(&payload, &mut samples, false).unwrap();
            assert_eq!(count as u128, lasted.unwrap().as_millis() * 16);
            assert!(samples[..count].iter().all(|&sample| sample == 0));
        }
        for (codec, silence) in [
            (Codec::Pcmu, 0xff),
            (Codec::Pcma, 0xd5),
            (Codec::G722, 0xfa),
        ] {
            let mut payload = [0x12; 80];
            assert_eq!(codec.silence_over(&mut payload), Some(80));
            assert_eq!(payload, [silence; 80]);
        }
        assert_eq!(
            Codec::Opus.silence_over(&mut [0x48]),
            Some(1),
            "nothing was said"
        );
        assert_eq!(Codec::Other.silence_over(&mut [1; 80]), None);
    }

    #[test]
    fn speech_is_not_silence() {
        assert!(!Codec::Pcmu.is_silence(&[0xff, 0x80, 0xff]));
        assert!(!Codec::Pcma.is_silence(&[0xd5, 0x2a, 0xd5]));
        assert!(!Codec::Opus.is_silence(&[0x48; 40]));
    }
}
