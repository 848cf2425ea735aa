use std::io::Cursor;

use super::*;

/// A WAV file of linear samples whose header claims `claimed` octets of them.
fn wav(rate_hz: u32, channels: u16, samples: &[i16], claimed: u32) -> Vec<u8> {
    let octets = 2 * channels;
    let mut file = b"RIFF".to_vec();
    file.extend((claimed.saturating_add(36)).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(rate_hz.to_le_bytes());
    file.extend((rate_hz.wrapping_mul(octets.into())).to_le_bytes());
    file.extend(octets.to_le_bytes());
    file.extend(16u16.to_le_bytes());
    file.extend(b"data");
    file.extend(claimed.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

fn tone(rate_hz: u32, channels: usize, milliseconds: u32) -> Vec<i16> {
    let angle = |n: u32| f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate_hz);
    let samples = (0..rate_hz * milliseconds / 1_000).map(|n| (8_000.0 * angle(n).sin()) as i16);
    samples
        .flat_map(|sample| std::iter::repeat_n(sample, channels))
        .collect()
}

fn open(file: Vec<u8>, name: Option<&str>) -> Result<AudioFile, AudioFileError> {
    let length = Some(file.len() as u64);
    AudioFile::open(Box::new(Cursor::new(file)), length, name)
}

fn all(file: &mut AudioFile) -> Vec<i16> {
    let mut samples = Vec::new();
    while file.read(&mut samples) {}
    samples
}

fn whole(samples: &[i16]) -> u32 {
    u32::try_from(2 * samples.len()).unwrap()
}

#[test]
fn a_wav_file_is_one_voice_at_a_rate_of_opus() {
    for (rate_hz, channels, given) in [
        (8_000, 1, 8_000),
        (16_000, 2, 16_000),
        (11_025, 1, 12_000),
        (44_100, 2, 48_000),
        (96_000, 6, 48_000),
    ] {
        let samples = tone(rate_hz, channels, 500);
        let claimed = whole(&samples);
        let mut file = open(wav(rate_hz, channels as u16, &samples, claimed), None).unwrap();
        assert_eq!(file.rate_hz(), given);
        let lasts = file.duration().unwrap().as_millis();
        assert!((499..=500).contains(&lasts), "{rate_hz} Hz: {lasts} ms");
        let heard = all(&mut file);
        let lasted = heard.len() as u32 * 1_000 / given;
        assert!((490..=500).contains(&lasted), "{rate_hz} Hz: {lasted} ms");
        let loud = heard.iter().filter(|sample| sample.unsigned_abs() > 1_000);
        let loud: Vec<i16> = loud.copied().collect();
        let ups = loud.windows(2).filter(|pair| pair[0] < 0 && pair[1] > 0);
        let ups = ups.count();
        assert!((215..=222).contains(&ups), "{rate_hz} Hz: {ups}");
        assert!(heard.iter().any(|&sample| sample > 7_000));
    }
}

#[test]
fn a_file_that_lies_about_its_length_is_as_long_as_it_is() {
    let samples = tone(8_000, 1, 500);
    let ten_hours = 10 * 3_600 * 16_000;
    let mut file = open(wav(8_000, 1, &samples, ten_hours), None).unwrap();
    let claimed = file.duration().unwrap();
    assert!(claimed <= Duration::from_millis(510), "{claimed:?}");
    let heard = all(&mut file).len();
    // The last packet, which is cut, may be missing.
    assert!((2_800..=4_000).contains(&heard), "{heard}");
}

#[test]
fn a_position_is_found_to_the_sample() {
    let mut samples = tone(8_000, 1, 1_000);
    samples[..4_000].fill(0);
    let claimed = whole(&samples);
    let mut file = open(wav(8_000, 1, &samples, claimed), None).unwrap();
    file.seek(Duration::from_millis(500)).unwrap();
    assert_eq!(all(&mut file), samples[4_000..]);
    file.seek(Duration::ZERO).unwrap();
    assert_eq!(all(&mut file), samples);
    let error = file.seek(Duration::from_secs(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it cannot be played from 1000 ms on: it ends before"
    );
}

#[test]
fn samples_without_a_header_are_told_by_their_ending() {
    let samples = tone(8_000, 1, 300);
    let linear: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let mut file = open(linear, Some("prompt.SLN")).unwrap();
    assert_eq!(file.duration(), Some(Duration::from_millis(300)));
    file.seek(Duration::from_millis(100)).unwrap();
    assert_eq!(all(&mut file), samples[800..]);

    let mut coded = open(vec![0x55; 16_000], Some("/moh/quiet.pcmu")).unwrap();
    assert_eq!(coded.duration(), Some(Duration::from_secs(2)));
    assert_eq!(all(&mut coded).len(), 16_000);
    let mut wide = open(vec![0xfa; 8_000], Some("quiet.g722")).unwrap();
    assert_eq!((wide.rate_hz(), all(&mut wide).len()), (16_000, 16_000));
}

#[test]
fn what_is_no_audio_file_is_refused_with_a_reason() {
    for file in [
        Vec::new(),
        b"hello".to_vec(),
        vec![0; 100_000],
        wav(1, 1, &[1; 100], 200),
        wav(8_000, 300, &[1; 600], 1_200),
        wav(u32::MAX, 1, &[1; 100], 200),
        wav(0, 0, &[], 0),
    ] {
        let error = open(file, None).unwrap_err().to_string();
        assert!(!error.is_empty());
    }
}

#[test]
fn damage_anywhere_neither_hangs_nor_panics() {
    let samples = tone(8_000, 1, 200);
    let intact = wav(8_000, 1, &samples, whole(&samples));
    for position in 0..60 {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = intact.clone();
            damaged[position] = value;
            if let Ok(mut file) = open(damaged, None) {
                let _ = file.seek(Duration::from_millis(100));
                assert!(all(&mut file).len() < 100_000);
            }
        }
        if let Ok(mut file) = open(intact[..position].to_vec(), None) {
            assert!(all(&mut file).len() <= samples.len());
        }
    }
}
