//! What is on the disk after calls were recorded, and after it could not be written to.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use relay_call::config::RecordedStreams;

use super::super::{Channels, Content};
use super::*;

/// A folder that is gone after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem-writer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// All files, sorted, without the folder's own name.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&self.0).unwrap();
                    files.push(name.to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn writer(scratch: &Scratch) -> Writer {
    let settings = settings(&scratch.0);
    let folders = Folders::make(&settings).unwrap();
    Writer::new(folders, &settings, Arc::default(), None)
}

fn settings(directory: &Path) -> RecordingSettings {
    RecordingSettings {
        streams: RecordedStreams::Ingress,
        directory: directory.to_str().unwrap().to_owned(),
        packets: Some(LinkType::RawIp),
        audio: Some(AudioForm {
            channels: Channels::Stereo,
            ..AudioForm::default()
        }),
        vcon: None,
        codes: Default::default(),
    }
}

impl Writer {
    fn take(&mut self, recording: &str, part: Part) {
        self.write(Recorded {
            recording: recording.into(),
            part,
        });
    }

    fn begin_at(&mut self, recording: &str, pcap: &Path) {
        let pcap = pcap.to_str().unwrap().to_owned();
        let files = Files {
            pcap: Some(pcap),
            audio: None,
            vcon: None,
        };
        let call_created = Duration::from_secs(1_795_330_304);
        self.take(
            recording,
            Part::Beginning {
                call_id: recording.into(),
                files,
                call_created,
            },
        );
    }

    fn speak(&mut self, recording: &str) {
        let address: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        let part = Part::Datagram {
            at: Duration::from_secs(1_795_330_305),
            source: address,
            destination: address,
            speech: None,
            bytes: [0; 172].into(),
        };
        self.take(recording, part);
    }

    fn finish(&mut self, recording: &str, discard: bool) {
        let part = Part::End {
            with_call: true,
            deleted_at: None,
            metadata: Some("of the caller".to_owned()),
            parties: Vec::new(),
            answered: true,
            discard,
        };
        self.take(recording, part);
    }

    fn failed(&self) -> u64 {
        self.counters.figures().failed
    }
}

#[test]
fn a_recording_is_its_packets_and_a_text_that_moves_when_it_is_over() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    let pcap = scratch.path("pcaps/a.pcap");
    writer.begin_at("a", &pcap);
    writer.speak("a");
    let part = Part::Description {
        at: Duration::from_secs(1_795_330_306),
        answers: true,
        sdp: b"v=0\r\n".to_vec(),
    };
    writer.take("a", part);
    assert_eq!(
        scratch.files(),
        ["pcaps/a.pcap", "tmp/rtpengine-meta-a.tmp"]
    );
    writer.finish("a", false);
    let after = "metadata/rtpengine-meta-a.txt";
    assert_eq!(scratch.files(), [after, "pcaps/a.pcap"]);
    assert_eq!(fs::metadata(&pcap).unwrap().len(), 24 + 16 + 28 + 172);
    let text = fs::read_to_string(scratch.path(after)).unwrap();
    assert!(
        text.starts_with(&format!("{}\n\n\n", pcap.display())),
        "{text}"
    );
    assert!(text.contains("SDP mode: answer\nSDP before RTP packet: 2\n\nv=0\r\n\n"));
    assert!(text.contains("call start time: 2026-11-22T06:51:44\n"));
    assert!(text.ends_with("\n\n\nof the caller\n"), "{text}");
    assert_eq!(writer.failed(), 0);
}

#[test]
fn what_is_discarded_leaves_nothing() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    writer.begin_at("a", &scratch.path("pcaps/a.pcap"));
    writer.speak("a");
    writer.finish("a", true);
    assert_eq!(scratch.files(), [""; 0]);
    assert_eq!(writer.failed(), 0);
}

#[test]
fn a_place_that_a_request_has_chosen_is_made() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    writer.begin_at("a", &scratch.path("sales/2026/a.pcap"));
    writer.finish("a", false);
    assert!(scratch.files().contains(&"sales/2026/a.pcap".to_owned()));
}

#[test]
fn a_file_that_is_there_is_not_written_to() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    let pcap = scratch.path("mine.pcap");
    fs::write(&pcap, "precious").unwrap();
    writer.begin_at("a", &pcap);
    writer.speak("a");
    writer.finish("a", true);
    assert_eq!(fs::read(&pcap).unwrap(), b"precious");
    assert_eq!(writer.failed(), 1);
}

#[test]
fn a_full_disk_ends_one_recording_and_is_counted_once() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    writer.begin_at("a", &scratch.path("pcaps/a.pcap"));
    writer.begin_at("b", &scratch.path("pcaps/b.pcap"));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    writer.running.get_mut("a").unwrap().pcap = Some(GrowingFile::new(full));
    for _ in 0..1000 {
        writer.speak("a");
        writer.speak("b");
    }
    assert_eq!(writer.failed(), 1);
    writer.finish("a", false);
    writer.finish("b", false);
    assert_eq!(writer.failed(), 1);
    let length = |name| {
        File::open(scratch.path(name))
            .unwrap()
            .metadata()
            .unwrap()
            .len()
    };
    assert_eq!(length("pcaps/a.pcap"), 24);
    assert_eq!(length("pcaps/b.pcap"), 24 + 1000 * (16 + 28 + 172));
}

#[test]
fn a_folder_that_is_taken_away_is_counted_and_is_not_made_again() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    fs::remove_dir_all(&scratch.0).unwrap();
    writer.begin_at("a", &scratch.path("pcaps/a.pcap"));
    writer.begin_at("b", &scratch.path("sales/b.pcap"));
    writer.speak("a");
    writer.finish("a", false);
    assert_eq!(writer.failed(), 2);
    assert!(!scratch.0.exists());
}

#[test]
fn what_was_begun_is_ended_when_the_workers_are_gone() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    writer.begin_at("a", &scratch.path("pcaps/a.pcap"));
    let (batches, receiver) = std::sync::mpsc::sync_channel(1);
    drop(batches);
    writer.run(&receiver);
    assert!(
        scratch
            .files()
            .contains(&"metadata/rtpengine-meta-a.txt".to_owned())
    );
}

#[test]
fn a_folder_that_cannot_be_written_to_is_found_at_the_start() {
    let scratch = Scratch::new();
    let missing = scratch.path("no/such");
    let (path, error) = Folders::make(&settings(&missing)).unwrap_err();
    assert_eq!((path, error.kind()), (missing, io::ErrorKind::NotFound));
    fs::write(scratch.path("pcaps"), "a file").unwrap();
    let (path, _) = Folders::make(&settings(&scratch.0)).unwrap_err();
    assert_eq!(path, scratch.path("pcaps"));
}

/// Of 20 ms, loud.
fn spoken() -> Part {
    let address: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    Part::Datagram {
        at: Duration::from_secs(1_795_330_305),
        source: address,
        destination: address,
        speech: Some(Speech {
            is_callers: true,
            ssrc: 1,
            sequence: 1,
            timestamp: 0,
            format: relay_media::AudioFormat {
                codec: relay_media::Codec::Pcmu,
                clock_hz: 8_000,
                channels: 1,
            },
            payload: 12..172,
        }),
        bytes: [0x80; 172].into(),
    }
}

#[test]
fn audio_alone_begins_with_the_first_word_and_has_a_text_too() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    for (name, discard) in [("a", false), ("b", true), ("silent", false)] {
        let wav = scratch.path(&format!("audio/{name}.wav"));
        let files = Files {
            pcap: None,
            audio: Some(wav.to_str().unwrap().to_owned()),
            vcon: None,
        };
        let call_created = Duration::from_secs(1_795_330_304);
        writer.take(
            name,
            Part::Beginning {
                call_id: name.into(),
                files,
                call_created,
            },
        );
        assert!(!wav.exists());
        if name != "silent" {
            writer.take(name, spoken());
            assert!(wav.exists());
        }
        writer.finish(name, discard);
    }
    assert_eq!(
        scratch.files(),
        [
            "audio/a.wav",
            "metadata/rtpengine-meta-a.txt",
            "metadata/rtpengine-meta-silent.txt",
        ]
    );
    let wav = hound::WavReader::open(scratch.path("audio/a.wav")).unwrap();
    assert_eq!((wav.spec().channels, wav.duration()), (2, 320));
    assert_eq!(writer.failed(), 0);
}

#[test]
fn audio_that_cannot_be_made_is_counted_and_packets_are_written_all_the_same() {
    let scratch = Scratch::new();
    let mut writer = writer(&scratch);
    let wav = scratch.path("audio/mine.wav");
    fs::write(&wav, "precious").unwrap();
    let files = Files {
        pcap: Some(scratch.path("pcaps/a.pcap").to_str().unwrap().to_owned()),
        audio: Some(wav.to_str().unwrap().to_owned()),
        vcon: None,
    };
    let call_created = Duration::from_secs(1_795_330_304);
    writer.take(
        "a",
        Part::Beginning {
            call_id: "a".into(),
            files,
            call_created,
        },
    );
    for _ in 0..3 {
        writer.take("a", spoken());
    }
    assert_eq!(writer.failed(), 1);
    assert_eq!(writer.counters.figures().packets, 3);
    writer.finish("a", true);
    assert_eq!(fs::read(&wav).unwrap(), b"precious");
    assert_eq!(scratch.files(), ["audio/mine.wav"]);
}

#[test]
fn a_vcon_follows_audio_that_is_whole_and_nothing_that_is_discarded() {
    let scratch = Scratch::new();
    let settings = RecordingSettings {
        vcon: Some(Content::Inline),
        ..settings(&scratch.0)
    };
    let folders = Folders::make(&settings).unwrap();
    let counters = Arc::default();
    let (running, ended) = std::sync::mpsc::channel::<()>();
    let vcons = Vcons::start(&settings, "0123", &counters, running).unwrap();
    let mut writer = Writer::new(folders, &settings, counters, vcons);
    fs::write(scratch.path("audio/broken.wav"), "precious").unwrap();
    for (name, discard) in [
        ("a", false),
        ("b", true),
        ("silent", false),
        ("broken", false),
    ] {
        let path = |ending| Some(scratch.path(ending).to_str().unwrap().to_owned());
        let files = Files {
            pcap: None,
            audio: path(&format!("audio/{name}.wav")),
            vcon: path(&format!("vcon/{name}.vcon")),
        };
        let beginning = Part::Beginning {
            call_id: name.into(),
            files,
            call_created: Duration::from_secs(1_795_330_304),
        };
        writer.take(name, beginning);
        if name != "silent" {
            writer.take(name, spoken());
        }
        writer.finish(name, discard);
    }
    assert_eq!(writer.failed(), 1, "the file that was there");
    drop(writer);
    // The thread ends when it has written everything.
    assert!(ended.recv().is_err());
    let vcons = scratch.files().into_iter();
    let vcons: Vec<String> = vcons.filter(|file| file.ends_with(".vcon")).collect();
    assert_eq!(vcons, ["vcon/a.vcon", "vcon/silent.vcon"]);
}
