//! Side-by-side measurements of relays that speak NG: processor time and memory per call, the cost of setting
//! one up, its start, and codecs made into each other.
//!
//! Every figure of one run comes from the same machine in the same minutes; the ratios are what counts.

mod bank;
mod fast_start;
mod figures;
mod forward;
mod ng;
mod pbx;
mod place;
mod relay_process;
mod set_up;
mod speech;
mod transcode;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::relay_process::RelayKind;

#[derive(Debug, Parser)]
#[command(about = "Measures relays side by side", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The relays to measure, in this order; the last one is what the others are compared with.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "tandem,rtpengine"
    )]
    relays: Vec<RelayKind>,
    /// The `tandem` binary.
    #[arg(long, global = true, default_value = "target/release/tandem")]
    tandem: String,
    /// The `rtpengine` binary.
    #[arg(long, global = true, default_value = "rtpengine")]
    rtpengine: String,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Processor time per forwarded packet and memory per call.
    Forward(forward::Options),
    /// From `answer` to the first SRTP packet, and what is lost of a counted prompt.
    FastStart(fast_start::Options),
    /// Processor time of offer, answer and delete, and how many a second there can be.
    SetUp(set_up::Options),
    /// Opus and µ-law made into each other: processor time, memory, added latency, and how it sounds.
    Transcode(transcode::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let binaries = relay_process::Binaries {
        tandem: arguments.tandem.clone(),
        rtpengine: arguments.rtpengine.clone(),
    };
    match &arguments.what {
        What::Forward(options) => forward::run(options, &arguments.relays, &binaries),
        What::FastStart(options) => fast_start::run(options, &arguments.relays, &binaries),
        What::SetUp(options) => set_up::run(options, &arguments.relays, &binaries),
        What::Transcode(options) => transcode::run(options, &arguments.relays, &binaries),
    }
}
