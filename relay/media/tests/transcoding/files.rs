//! Audio files that other programs made, as prompts are: read to the end, at the right pitch, from the position that was asked for.

use std::io::Cursor;
use std::time::Duration;

use relay_media::AudioFile;

use crate::programs::{convert, ffmpeg, little_endian};
use crate::signal::{purity, tone};

const SECONDS: f64 = 3.0;
const HZ: f64 = 1_000.0;

/// The prompt as a file of each kind.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let said = little_endian(&tone(HZ, 48_000, SECONDS));
    let linear = "-f s16le -ar 48000 -ac 1";
    let by_ffmpeg = [
        ("mp3", "-f mp3 -b:a 64k -ar 44100"),
        (
            "mp3-stereo-with-tags",
            "-f mp3 -b:a 128k -ac 2 -metadata title=Welcome -id3v2_version 3",
        ),
        ("vorbis", "-f ogg -c:a libvorbis"),
        ("wav-alaw", "-f wav -c:a pcm_alaw -ar 8000"),
        ("wav-adpcm", "-f wav -c:a adpcm_ima_wav -ar 22050"),
    ];
    let mut files = Vec::new();
    for (name, to) in by_ffmpeg {
        let file = ffmpeg(&format!("prompt-{name}"), &said, linear, to);
        files.extend(file.map(|file| (name, file)));
    }
    if cfg!(feature = "opus") {
        let file = convert("opusenc", "prompt-opus", &said, |input, output| {
            let line = "--quiet --raw --raw-rate 48000 --raw-chan 1 --bitrate 32";
            let words = line.split_whitespace().chain([input, output]);
            words.map(str::to_owned).collect()
        });
        files.extend(file.map(|file| ("opus", file)));
    }
    files
}

fn open(file: &[u8]) -> AudioFile {
    let length = Some(file.len() as u64);
    AudioFile::open(Box::new(Cursor::new(file.to_vec())), length, None).unwrap()
}

#[test]
fn prompts_of_every_kind_are_heard_whole_and_at_their_pitch() {
    for (name, file) in files() {
        let mut file = open(&file);
        let rate = file.rate_hz();
        let mut samples = Vec::new();
        while file.read(&mut samples) {}
        let seconds = samples.len() as f64 / f64::from(rate);
        assert!((seconds - SECONDS).abs() < 0.1, "{name}: {seconds} s");
        if let Some(told) = file.duration() {
            let told = told.as_secs_f64();
            assert!((told - SECONDS).abs() < 0.2, "{name}: told {told} s");
        }
        let second = rate as usize;
        let pure = purity(&samples[second / 2..second / 2 + 2 * second], rate, HZ);
        assert!(pure > 20.0, "{name}: {pure:.1} dB");
    }
}

#[test]
fn a_prompt_begins_where_it_was_asked_to() {
    for (name, file) in files() {
        let mut file = open(&file);
        let mut samples = Vec::new();
        // Having been read is no hindrance.
        file.read(&mut samples);
        samples.clear();
        file.seek(Duration::from_millis(2_000)).unwrap();
        while file.read(&mut samples) {}
        let seconds = samples.len() as f64 / f64::from(file.rate_hz());
        assert!(
            (seconds - 1.0).abs() < 0.15,
            "{name}: {seconds} s were left"
        );
    }
}

#[test]
fn blocks_of_adpcm_are_found_to_the_sample_and_again_from_the_beginning() {
    let files = files();
    // Where there is no ffmpeg there is no file.
    let Some((_, file)) = files.iter().find(|(name, _)| *name == "wav-adpcm") else {
        return;
    };
    let heard = |file: &mut AudioFile| {
        let mut samples = Vec::new();
        while file.read(&mut samples) {}
        samples
    };
    let mut file = open(file);
    let whole = heard(&mut file);
    file.seek(Duration::ZERO).unwrap();
    // What the resampler has kept of the end before differs.
    let again = heard(&mut file);
    assert!(whole.len().abs_diff(again.len()) <= 100);
    file.seek(Duration::from_millis(1_234)).unwrap();
    let late = heard(&mut file);
    let before = (whole.len() - late.len()) as f64 / f64::from(file.rate_hz());
    assert!((before - 1.234).abs() < 0.002, "{before}");
    let beyond = file.seek(Duration::from_secs(9)).unwrap_err();
    assert!(beyond.to_string().contains("it ends before"), "{beyond}");
}

#[test]
fn a_prompt_that_breaks_off_is_refused_or_heard_as_far_as_it_goes() {
    for (name, file) in files() {
        let half = file[..file.len() / 2].to_vec();
        let length = Some(half.len() as u64);
        let Ok(mut file) = AudioFile::open(Box::new(Cursor::new(half)), length, None) else {
            // The pages of Ogg are read to the last one, for the length.
            assert!(matches!(name, "vorbis" | "opus"), "{name}");
            continue;
        };
        let mut samples = Vec::new();
        while file.read(&mut samples) {}
        let seconds = samples.len() as f64 / f64::from(file.rate_hz());
        assert!((0.9..2.1).contains(&seconds), "{name}: {seconds} s");
    }
}
