//! Codecs by other hands: ffmpeg and opus-tools, run as programs.
//!
//! Where a program is not installed the test that wants it says so and proves nothing.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use relay_media::{AudioFormat, Codec};

use crate::stream::rate_of;

/// A program's path in, path out; `None` when the program is not there.
pub(crate) fn convert(
    program: &str,
    name: &str,
    input: &[u8],
    arguments: impl Fn(&str, &str) -> Vec<String>,
) -> Option<Vec<u8>> {
    if Command::new(program).arg("-version").output().is_err() {
        eprintln!("skipped: {program} is not installed");
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Tests that run at the same time, in one process or in several, ask for the same.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let name = format!("{name}-{}-{run}", std::process::id());
    let (from, to) = (
        folder.join(format!("{name}.in")),
        folder.join(format!("{name}.out")),
    );
    std::fs::write(&from, input).unwrap();
    let arguments = arguments(from.to_str().unwrap(), to.to_str().unwrap());
    let output = Command::new(program).args(&arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made = std::fs::read(&to).unwrap();
    for file in [from, to] {
        std::fs::remove_file(file).unwrap();
    }
    Some(made)
}

pub(crate) fn ffmpeg(name: &str, input: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    convert("ffmpeg", name, input, |input, output| {
        let line = format!("-y -hide_banner -loglevel error {from} -i {input} {to} {output}");
        line.split_whitespace().map(str::to_owned).collect()
    })
}

/// The samples of a file of Opus, `rate` of them a second.
pub(crate) fn opusdec(name: &str, file: &[u8], rate: u32) -> Option<Vec<u8>> {
    convert("opusdec", name, file, |input, output| {
        let line = format!("--quiet --rate {rate} {input} {output}");
        line.split_whitespace().map(str::to_owned).collect()
    })
}

pub(crate) fn little_endian(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

pub(crate) fn samples(octets: &[u8]) -> Vec<i16> {
    octets
        .as_chunks()
        .0
        .iter()
        .map(|&octets| i16::from_le_bytes(octets))
        .collect()
}

/// The name of a format that ffmpeg has as a raw stream.
pub(crate) fn raw(format: AudioFormat) -> String {
    let name = match format.codec {
        Codec::Pcmu => "mulaw",
        Codec::Pcma => "alaw",
        Codec::G722 => "g722",
        _ => "s16be",
    };
    match format.codec {
        Codec::G722 => format!("-f {name}"),
        _ => format!("-f {name} -ar {} -ac 1", rate_of(format)),
    }
}
