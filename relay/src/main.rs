//! `tandem`: reads its options, starts the relay, waits for a signal.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use relay::config::{self, Config, Wish};
use relay::{Relay, ctl, doctor, logging, service_manager, signals};
use relay_net::background::{Detached, detach};
use relay_net::code;
use tracing::{debug, error, info, warn};

/// Setting up a call is a fifth allocation with the allocator of the C library; docs/dependencies.md has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ending takes at most this long, whatever hangs.
const LONGEST_END: Duration = Duration::from_secs(4);

/// The exit status for a configuration that nobody can start with: EX_CONFIG of sysexits.h. To start again would not help; the
/// unit of systemd does not try.
const WRONG_CONFIGURATION: u8 = 78;
/// How often a process that waits for its calls to end looks after them.
const LOOK: Duration = Duration::from_millis(200);
/// For how long systemd is told each time that the end takes longer.
const LONGER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, command @ ..] = &arguments[..]
        && word == "ctl"
    {
        return ctl::run(command);
    }
    if let [word, rest @ ..] = &arguments[..]
        && word == "doctor"
    {
        return doctor::run(rest);
    }
    let (config, remarks) = match config::read(arguments) {
        Ok(Wish::Run(config, remarks)) => (config, remarks),
        Ok(Wish::Check(config, remarks)) => return check(&config, remarks),
        Ok(Wish::Print(text)) => return print(&text),
        Err(error) => {
            eprintln!("tandem: {error}");
            return ExitCode::from(WRONG_CONFIGURATION);
        }
    };
    let mut last_word = None;
    if !config.process.foreground {
        // Before any thread: a fork copies only the one that calls it.
        match detach(config.process.log.stderr) {
            Ok(Detached::Starter(Ok(()))) => return ExitCode::SUCCESS,
            Ok(Detached::Starter(Err(reason))) => {
                eprintln!("tandem: {reason}");
                return ExitCode::FAILURE;
            }
            Ok(Detached::Daemon(word)) => last_word = Some(word),
            Err(error) => eprintln!("tandem: stays in the foreground: {error}"),
        }
    }
    logging::start(&config.process);
    info!("tandem {} starts", env!("CARGO_PKG_VERSION"));
    for remark in remarks {
        info!("{remark}");
    }
    match code::keep_in_memory() {
        Ok(kept) => debug!("{kept}"),
        Err(error) => debug!("the code comes into memory when it is used: {error}"),
    }
    match start(&config) {
        Ok(relay) => {
            if let Some(word) = last_word {
                word.ready();
            }
            service_manager::tell("READY=1");
            match run(&config, relay) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    error!("cannot wait for signals: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(problem) => {
            error!("{problem}");
            if let Some(word) = last_word {
                word.failed(&problem);
            }
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    // Nobody listens when the pipe is closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn check(config: &Config, mut remarks: Vec<String>) -> ExitCode {
    match relay::check(config) {
        Ok(more) => {
            remarks.extend(more);
            remarks.push("the configuration is in order\n".to_owned());
            print(&remarks.join("\n"))
        }
        Err(problem) => {
            eprintln!("tandem: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that can go wrong at the start, in words for the operator.
fn start(config: &Config) -> Result<Relay, String> {
    let relay = Relay::start(config.clone()).map_err(|error| error.to_string())?;
    if let Some(path) = &config.process.pidfile {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| format!("option pidfile: {}: {error}", path.display()))?;
    }
    relay::describe(config, &relay);
    Ok(relay)
}

/// Waits for the signal to end, and ends.
fn run(config: &Config, relay: Relay) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signal = runtime.block_on(signals::until_stopped(relay.live()))?;
    let limit = relay.live().now().process.shutdown_drain;
    if signal == "TERM" && !limit.is_zero() && relay.sessions() > 0 {
        signal = runtime.block_on(drain(&relay, limit))?;
    }
    let begun = Instant::now();
    let calls = relay.sessions();
    match config.persistence {
        Some(_) => info!("signal {signal}: {calls} calls are kept for the next process"),
        None => info!("signal {signal}: ending {calls} calls"),
    }
    service_manager::tell("STOPPING=1");
    // If a thread hangs, the process must end all the same: whoever stopped us is waiting.
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST_END);
        warn!("ended without waiting for the last thread");
        std::process::exit(0);
    });
    relay.shutdown();
    if let Some(path) = &config.process.pidfile {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(path);
    }
    info!("ended after {} ms", begun.elapsed().as_millis());
    Ok(())
}

/// Refuses new calls and waits for the others, so long at most, or until a second signal comes. Gives the signal that counts.
async fn drain(relay: &Relay, limit: Duration) -> std::io::Result<&'static str> {
    let end = Instant::now() + limit;
    relay
        .live()
        .change(|config| config.limits.sessions = Some(0));
    info!(
        "signal TERM: {} calls may end in their own time, for {} s at most",
        relay.sessions(),
        limit.as_secs()
    );
    let mut second = std::pin::pin!(signals::until_stopped(relay.live()));
    while relay.sessions() > 0 && Instant::now() < end {
        service_manager::tell(&format!("EXTEND_TIMEOUT_USEC={}", LONGER.as_micros()));
        tokio::select! {
            signal = &mut second => return signal,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok("TERM")
}
