//! A relay in a process of its own, and what it costs.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::json;

use crate::ng::NgClient;
use crate::place::Place;

/// Which relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RelayKind {
    Tandem,
    Rtpengine,
}

impl RelayKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tandem => "tandem",
            Self::Rtpengine => "rtpengine",
        }
    }
}

/// Where the binaries are.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) tandem: String,
    pub(crate) rtpengine: String,
}

/// A running relay; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RelayProcess {
    child: Child,
    pub(crate) control: SocketAddr,
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) processor: Duration,
    pub(crate) memory_octets: u64,
}

impl RelayProcess {
    /// Starts a relay with the options that both understand, and waits until it answers `ping`.
    pub(crate) fn start(
        kind: RelayKind,
        binaries: &Binaries,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        Self::start_with(kind, binaries, &Place::loopback(), &[])
    }

    /// The same somewhere else, with further options.
    pub(crate) fn start_with(
        kind: RelayKind,
        binaries: &Binaries,
        place: &Place,
        arguments: &[String],
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let control = place.control()?;
        let program = match kind {
            RelayKind::Tandem => &binaries.tandem,
            RelayKind::Rtpengine => &binaries.rtpengine,
        };
        let child = place
            .command(program)
            .args([
                "--config-file=none",
                "--table=-1",
                "--foreground",
                "--log-stderr",
            ])
            .arg("--log-level=3")
            .arg(format!("--interface={}", place.relay_address))
            .arg(format!("--listen-ng={control}"))
            .args(["--port-min=20000", "--port-max=39999", "--delete-delay=0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let process = Self { child, control };
        let mut client = NgClient::new(control)?;
        client
            .request(&json!({ "command": "ping" }))
            .map_err(|error| format!("{program} does not start: {error}"))?;
        Ok(process)
    }

    /// What the process has used so far: processor time of all its threads, resident memory.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let folder = format!("/proc/{}", self.child.id());
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("{folder}/task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text
                .split(' ')
                .next()
                .and_then(|field| field.parse().ok())
                .unwrap_or(0);
        }
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let kilobytes: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
            .unwrap_or(0);
        Ok(Usage {
            processor: Duration::from_nanos(nanoseconds),
            memory_octets: kilobytes * 1024,
        })
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        // A process that is gone already needs no ending.
        let _gone = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let end = Instant::now() + Duration::from_secs(6);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Processor time that the whole machine has spent, interrupts among it, whoever caused them.
pub(crate) fn machine_time() -> io::Result<Duration> {
    /// `USER_HZ` of every Linux that we know.
    const TICKS_A_SECOND: u64 = 100;
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // proc(5): user, nice, system, idle, iowait, irq, softirq.
    let busy: u64 = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|&at| fields.get(at))
        .sum();
    Ok(Duration::from_millis(busy * 1000 / TICKS_A_SECOND))
}
