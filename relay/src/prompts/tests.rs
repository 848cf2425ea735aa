use std::time::Instant;

use super::*;

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, samples: &[i16]) -> String {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn file(path: &str) -> Playback {
    Playback {
        file: Some(path.to_owned()),
        ..Playback::default()
    }
}

fn open(prompts: &Prompts, playback: &Playback) -> Result<Box<dyn Recording>, String> {
    let (sender, opened) = channel();
    let opens = prompts.prepare(playback)?;
    opens.open(move |result| sender.send(result).unwrap());
    opened.recv().unwrap()
}

/// Everything that one listener hears.
fn heard(recording: &dyn Recording) -> Vec<i16> {
    let mut source = recording.listen();
    let mut samples = Vec::new();
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match source.poll() {
            Supply::Piece(piece) => samples.extend_from_slice(&piece.samples),
            Supply::Later => std::thread::sleep(Duration::from_millis(2)),
            Supply::End => return samples,
        }
        assert!(Instant::now() < patience, "it never ends");
    }
}

fn ramp(count: u16) -> Vec<i16> {
    (0..count).map(|n| n as i16).collect()
}

#[test]
fn every_listener_hears_the_whole_recording_as_often_as_wanted() {
    let folder = Folder::new("repeat");
    // 2.5 s: more than is decoded ahead.
    let samples = ramp(20_000);
    let path = folder.file("ramp.sln", &samples);
    let prompts = Prompts::start(None).unwrap();
    for _ in 0..2 {
        // The second time it is kept.
        let recording = open(&prompts, &file(&path)).unwrap();
        assert_eq!(recording.duration(), Some(Duration::from_millis(2_500)));
        assert_eq!(heard(recording.as_ref()), samples);
        assert_eq!(heard(recording.as_ref()), samples);
        let twice = Playback {
            repeat_times: Some(2),
            start_position_ms: Some(2_450),
            ..file(&path)
        };
        let recording = open(&prompts, &twice).unwrap();
        let expected = [&samples[19_600..], &samples].concat();
        assert_eq!(heard(recording.as_ref()), expected);
    }
}

#[test]
fn a_file_that_is_written_anew_is_heard_anew() {
    let folder = Folder::new("anew");
    let prompts = Prompts::start(None).unwrap();
    for count in [800, 1_600] {
        let path = folder.file("greeting.sln", &ramp(count));
        let recording = open(&prompts, &file(&path)).unwrap();
        assert_eq!(heard(recording.as_ref()).len(), usize::from(count));
    }
}

#[test]
fn a_recording_of_nothing_is_not_repeated_for_ever() {
    let folder = Folder::new("nothing");
    let path = folder.file("nothing.sln", &[]);
    let prompts = Prompts::start(None).unwrap();
    let endless = Playback {
        repeat_times: Some(i64::MAX),
        ..file(&path)
    };
    let recording = open(&prompts, &endless).unwrap();
    assert!(heard(recording.as_ref()).is_empty());
}

#[test]
fn ten_hours_are_decoded_only_as_far_as_they_are_heard() {
    let folder = Folder::new("hours");
    let path = folder.file("hours.sln", &[]);
    let hours = std::fs::File::options().write(true).open(&path).unwrap();
    hours.set_len(10 * 3_600 * 16_000).unwrap();
    let prompts = Prompts::start(None).unwrap();
    let before = Instant::now();
    let late = Playback {
        start_position_ms: Some(9 * 3_600_000),
        ..file(&path)
    };
    let recording = open(&prompts, &late).unwrap();
    assert_eq!(recording.duration(), Some(Duration::from_secs(36_000)));
    let mut source = recording.listen();
    let mut pieces = 0;
    while matches!(source.poll(), Supply::Piece(_)) {
        pieces += 1;
    }
    assert!((1..=2 * AHEAD).contains(&pieces), "{pieces}");
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_cannot_be_played_is_refused_with_key_and_value() {
    let folder = Folder::new("refused");
    let inside = folder.0.join("prompts");
    std::fs::create_dir_all(&inside).unwrap();
    let outside = folder.file("secret.sln", &ramp(80));
    std::os::unix::fs::symlink(&outside, inside.join("link.sln")).unwrap();
    std::fs::write(inside.join("here.sln"), [0; 320]).unwrap();
    let prompts = Prompts::start(Some(inside.clone())).unwrap();
    let media_dir = format!("lies outside media-dir={}", inside.display());
    for (named, expected) in [
        (outside.as_str(), media_dir.as_str()),
        ("../secret.sln", &media_dir),
        ("link.sln", &media_dir),
        ("missing.wav", "No such file"),
        ("/etc/passwd", &media_dir),
        (".", "is no file"),
        ("/dev/zero", &media_dir),
    ] {
        let why = open(&prompts, &file(named)).unwrap_err();
        assert!(why.starts_with(&format!("file={named}")), "{why}");
        assert!(why.contains(expected), "{why}");
    }
    for named in ["here.sln", inside.join("here.sln").to_str().unwrap()] {
        assert_eq!(
            heard(open(&prompts, &file(named)).unwrap().as_ref()).len(),
            160
        );
    }
    let late = Playback {
        start_position_ms: Some(20),
        ..file("here.sln")
    };
    let why = open(&prompts, &late).unwrap_err();
    assert!(
        why.contains("start-pos=20") && why.contains("it ends before"),
        "{why}"
    );
    let why = open(&prompts, &Playback::default()).unwrap_err();
    assert!(why.contains("database"), "{why}");
    let rubbish = Playback {
        blob: Some(b"hello".to_vec()),
        ..Playback::default()
    };
    let why = open(&prompts, &rubbish).unwrap_err();
    assert!(why.starts_with("blob of 5 bytes: no audio file"), "{why}");
}
