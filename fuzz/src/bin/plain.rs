//! Runs the fuzz targets on any compiler: seeded damage to recorded inputs, for some seconds each.
//!
//! ```text
//! plain [--seconds N] [--seed S] [TARGET ...]   all targets, if none is named
//! plain --replay TARGET FILE ...                one input, as a failure left it
//! plain --write-corpus                          the seeds as files, for libFuzzer
//! plain --list
//! ```

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use tandem_fuzz::mutation::{Random, mutated};
use tandem_fuzz::{TARGETS, Target};

/// An input that takes longer than this is a failure too: a relay that thinks does not relay.
const SLOW: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("fuzz: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let mut seconds = 10;
    let mut seed = seed_of_today();
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--list" => {
                TARGETS
                    .iter()
                    .for_each(|target| println!("{}", target.name));
                return Ok(());
            }
            "--write-corpus" => return write_corpus(),
            "--replay" => {
                let target = find(rest.next().ok_or("--replay needs a target")?)?;
                return rest.try_for_each(|path| replay(target, Path::new(path)));
            }
            "--seconds" => seconds = number(rest.next())?,
            "--seed" => seed = number(rest.next())?,
            name => names.push(find(name)?),
        }
    }
    if names.is_empty() {
        names = TARGETS.iter().collect();
    }
    names
        .into_iter()
        .try_for_each(|target| fuzz(target, Duration::from_secs(seconds), seed))
}

fn number(argument: Option<&String>) -> Result<u64, String> {
    argument
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "a number is missing".to_owned())
}

fn find(name: &str) -> Result<&'static Target, String> {
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .ok_or_else(|| format!("there is no target {name:?}; --list names them"))
}

fn seed_of_today() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn fuzz(target: &Target, duration: Duration, seed: u64) -> Result<(), String> {
    let seeds = (target.seeds)();
    println!(
        "fuzz: {} for {duration:?}, seed {seed}, {} seeds",
        target.name,
        seeds.len()
    );
    for input in &seeds {
        attempt(target, input, seed)?;
    }
    let mut random = Random::new(seed);
    let mut input = Vec::new();
    let mut count: u64 = 0;
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    while began.elapsed() < duration {
        mutated(&mut random, &seeds, target.words, &mut input);
        slowest = slowest.max(attempt(target, &input, seed)?);
        count += 1;
    }
    println!(
        "fuzz: {}: {count} inputs, the slowest took {slowest:?}",
        target.name
    );
    Ok(())
}

/// Runs one input; a failure leaves it behind as a file.
fn attempt(target: &Target, input: &[u8], seed: u64) -> Result<Duration, String> {
    let began = Instant::now();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = began.elapsed();
    let what = match outcome {
        Err(_) => "panicked".to_owned(),
        Ok(()) if took > SLOW => format!("took {took:?}"),
        Ok(()) => return Ok(took),
    };
    let path = keep(target, input).map_err(|error| format!("{what}, and {error}"))?;
    Err(format!(
        "{} {what} (seed {seed}); the input is in {}",
        target.name,
        path.display()
    ))
}

fn replay(target: &Target, path: &Path) -> Result<(), String> {
    let input = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let began = Instant::now();
    (target.run)(&input);
    println!("fuzz: {} took {:?}", path.display(), began.elapsed());
    Ok(())
}

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(kind)
        .join(target.name)
}

fn keep(target: &Target, input: &[u8]) -> std::io::Result<PathBuf> {
    let folder = folder("artifacts", target);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("plain-{:016x}", fingerprint(input)));
    fs::write(&path, input)?;
    Ok(path)
}

fn write_corpus() -> Result<(), String> {
    for target in TARGETS {
        let folder = folder("corpus", target);
        let seeds = (target.seeds)();
        fs::create_dir_all(&folder)
            .and_then(|()| {
                seeds.iter().try_for_each(|input| {
                    fs::write(
                        folder.join(format!("seed-{:016x}", fingerprint(input))),
                        input,
                    )
                })
            })
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        println!("fuzz: {} seeds in {}", seeds.len(), folder.display());
    }
    Ok(())
}

/// FNV-1a, for file names.
fn fingerprint(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
