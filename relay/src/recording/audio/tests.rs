//! What is heard in a recording, and when: tones go in as packets, and come out of the file.

use std::f64::consts::TAU;
use std::path::PathBuf;

use hound::WavReader;
use relay_media::Encoder;

use super::*;

const PCMU: AudioFormat = AudioFormat {
    codec: Codec::Pcmu,
    clock_hz: 8_000,
    channels: 1,
};
const EVENT: AudioFormat = AudioFormat {
    codec: Codec::TelephoneEvent,
    clock_hz: 8_000,
    channels: 1,
};
const START: Duration = Duration::from_secs(1_795_330_304);

/// A recording, and a clock.
struct Tape {
    path: PathBuf,
    file: Option<AudioFile>,
}

impl Drop for Tape {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Tape {
    fn new(test: &str, channels: Channels) -> Self {
        let form = AudioForm {
            channels,
            format: FileFormat::Wav,
        };
        let name = format!("tandem-audio-{}-{test}.wav", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let file = AudioFile::create(&path, form, START).unwrap();
        Self {
            path,
            file: Some(file),
        }
    }

    fn hear(&mut self, at_ms: u64, speech: &Speech, payload: &[u8]) {
        let at = START + Duration::from_millis(at_ms);
        self.file
            .as_mut()
            .unwrap()
            .push(at, speech, payload)
            .unwrap();
    }

    /// The samples of each channel, read by the library.
    fn channels(&mut self) -> Vec<Vec<i16>> {
        let duration = self.file.take().unwrap().finish().unwrap();
        let mut reader = WavReader::open(&self.path).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.sample_rate, spec.bits_per_sample), (RATE_HZ, 16));
        assert_eq!(u64::from(reader.duration()), frames(duration) as u64);
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        let count = usize::from(spec.channels);
        (0..count)
            .map(|channel| {
                samples
                    .iter()
                    .skip(channel)
                    .step_by(count)
                    .copied()
                    .collect()
            })
            .collect()
    }
}

/// Somebody who hums one tone in PCMU.
struct Voice {
    speech: Speech,
    encoder: Encoder,
    hz: f64,
    phase: usize,
}

impl Voice {
    fn new(is_callers: bool, hz: f64) -> Self {
        Self {
            speech: Speech {
                is_callers,
                ssrc: 7,
                sequence: 65_530,
                timestamp: u32::MAX - 400,
                format: PCMU,
                payload: 0..0,
            },
            encoder: Encoder::new(PCMU, 8_000, &EncoderSettings::default()).unwrap(),
            hz,
            phase: 0,
        }
    }

    /// The next 20 ms.
    fn frame(&mut self) -> (Speech, Vec<u8>) {
        let samples: Vec<i16> = (self.phase..self.phase + 160)
            .map(|at| (8_000.0 * (TAU * self.hz * at as f64 / 8_000.0).sin()) as i16)
            .collect();
        self.phase += 160;
        let mut payload = Vec::new();
        self.encoder.encode(&samples, &mut payload);
        let speech = self.speech.clone();
        self.speech.sequence = speech.sequence.wrapping_add(1);
        self.speech.timestamp = speech.timestamp.wrapping_add(160);
        (speech, payload)
    }
}

/// The amplitude of a tone in some milliseconds of a channel (Goertzel).
fn amplitude(channel: &[i16], hz: f64, ms: std::ops::Range<usize>) -> f64 {
    let samples = &channel[(ms.start * 16).min(channel.len())..(ms.end * 16).min(channel.len())];
    let turn = |at: usize| TAU * hz * at as f64 / f64::from(RATE_HZ);
    let sum = |of: fn(f64) -> f64| -> f64 {
        let terms = samples.iter().enumerate();
        terms
            .map(|(at, &sample)| f64::from(sample) * of(turn(at)))
            .sum()
    };
    sum(f64::sin).hypot(sum(f64::cos)) * 2.0 / samples.len().max(1) as f64
}

#[test]
fn each_side_is_heard_on_its_own_channel() {
    let mut tape = Tape::new("stereo", Channels::Stereo);
    let (mut caller, mut callee) = (Voice::new(true, 440.0), Voice::new(false, 1_000.0));
    for frame in 0..50 {
        for voice in [&mut caller, &mut callee] {
            let (speech, payload) = voice.frame();
            tape.hear(20 * frame + 20, &speech, &payload);
        }
    }
    let channels = tape.channels();
    let [left, right] = &channels[..] else {
        panic!("{}", channels.len());
    };
    for (channel, own, other) in [(left, 440.0, 1_000.0), (right, 1_000.0, 440.0)] {
        assert!(amplitude(channel, own, 100..900) > 7_000.0);
        assert!(amplitude(channel, other, 100..900) < 100.0);
    }
    // One second, all of it.
    assert!((15_600..=16_000).contains(&left.len()), "{}", left.len());
}

#[test]
fn both_are_heard_on_one_channel_and_too_loud_is_not_torn() {
    let mut tape = Tape::new("mixed", Channels::Mixed);
    let (mut caller, mut callee) = (Voice::new(true, 440.0), Voice::new(false, 1_000.0));
    for frame in 0..50 {
        for voice in [&mut caller, &mut callee] {
            let (speech, payload) = voice.frame();
            tape.hear(20 * frame + 20, &speech, &payload);
        }
    }
    let channels = tape.channels();
    assert_eq!(channels.len(), 1);
    assert!(amplitude(&channels[0], 440.0, 100..900) > 7_000.0);
    assert!(amplitude(&channels[0], 1_000.0, 100..900) > 7_000.0);
    assert_eq!(clipped(40_000), i16::MAX);
    assert_eq!(clipped(-40_000), i16::MIN);
}

#[test]
fn jitter_and_another_order_shift_nothing() {
    let mut even = Tape::new("even", Channels::Mixed);
    let mut uneven = Tape::new("uneven", Channels::Mixed);
    let mut voice = Voice::new(true, 440.0);
    let frames: Vec<_> = (0..100).map(|_| voice.frame()).collect();
    for (at, (speech, payload)) in (0..).zip(&frames) {
        even.hear(20 * at + 20, speech, payload);
        uneven.hear(20 * at + 20 + (at * 7) % 40, speech, payload);
    }
    let (even, uneven) = (even.channels(), uneven.channels());
    assert_eq!(even[0][..30_000], uneven[0][..30_000]);
}

#[test]
fn a_pause_stays_a_pause_and_a_late_joiner_is_late() {
    let mut tape = Tape::new("pause", Channels::Stereo);
    let mut caller = Voice::new(true, 440.0);
    for frame in 0..25 {
        let (speech, payload) = caller.frame();
        tape.hear(20 * frame + 20, &speech, &payload);
    }
    caller.speech.timestamp = caller.speech.timestamp.wrapping_add(8 * 2_000);
    let mut callee = Voice::new(false, 1_000.0);
    for frame in 0..25 {
        for voice in [&mut caller, &mut callee] {
            let (speech, payload) = voice.frame();
            tape.hear(2_500 + 20 * frame + 20, &speech, &payload);
        }
    }
    let channels = tape.channels();
    assert!(amplitude(&channels[0], 440.0, 50..450) > 7_000.0);
    assert!(amplitude(&channels[0], 440.0, 700..2_400) < 50.0);
    assert!(amplitude(&channels[0], 440.0, 2_550..2_950) > 7_000.0);
    assert!(amplitude(&channels[1], 1_000.0, 0..2_400) < 50.0);
    assert!(amplitude(&channels[1], 1_000.0, 2_550..2_950) > 7_000.0);
}

#[test]
fn a_sender_that_counts_anew_goes_on_where_the_time_is() {
    let mut tape = Tape::new("anew", Channels::Mixed);
    let mut voice = Voice::new(true, 440.0);
    for frame in 0..50 {
        if frame == 25 {
            voice.speech.timestamp = 1 << 30;
            voice.speech.sequence = 30_000;
        }
        let (speech, payload) = voice.frame();
        tape.hear(20 * frame + 20, &speech, &payload);
    }
    let channels = tape.channels();
    assert!(
        (15_500..=16_400).contains(&channels[0].len()),
        "{}",
        channels[0].len()
    );
    assert!(amplitude(&channels[0], 440.0, 550..950) > 7_000.0);
}

#[test]
fn hours_of_silence_cost_no_memory_and_stand_in_the_file() {
    let mut tape = Tape::new("silence", Channels::Mixed);
    let mut voice = Voice::new(true, 440.0);
    let (speech, payload) = voice.frame();
    tape.hear(20, &speech, &payload);
    let (speech, payload) = voice.frame();
    tape.hear(600_000, &speech, &payload);
    let file = tape.file.as_ref().unwrap();
    assert!(file.window.len() < 16_000, "{}", file.window.len());
    let length = tape.channels()[0].len();
    assert!((9_590_000..9_610_000).contains(&length), "{length}");
}

#[test]
fn rubbish_and_events_are_left_out() {
    let mut tape = Tape::new("rubbish", Channels::Stereo);
    let speech = Voice::new(true, 440.0).speech;
    tape.hear(
        20,
        &Speech {
            format: EVENT,
            ..speech.clone()
        },
        &[5, 10, 0, 160],
    );
    tape.hear(40, &speech, &[]);
    tape.hear(
        60,
        &Speech {
            timestamp: 5,
            sequence: 9,
            ..speech.clone()
        },
        &[0xff; 9_000],
    );
    let codec = Codec::Other;
    let other = AudioFormat { codec, ..PCMU };
    tape.hear(
        80,
        &Speech {
            format: other,
            ssrc: 8,
            ..speech
        },
        &[1; 20],
    );
    let channels = tape.channels();
    assert!(channels.iter().flatten().all(|sample| *sample == 0));
}

#[test]
fn a_file_that_is_there_is_not_written_to() {
    let mut tape = Tape::new("there", Channels::Mixed);
    assert!(AudioFile::create(&tape.path, AudioForm::default(), START).is_err());
    assert_eq!(tape.channels(), [[0_i16; 0]]);
}
