//! Meta's media side of one call, spoken to in JSON lines: for drivers that do the signalling themselves.
//!
//! The interop tests hand SDP from peer to peer over NG, without SIP. This program is the WhatsApp end of such a
//! call. It writes one line for each line it reads, and its report as the last one:
//!
//! ```text
//!   user calls       → {"offer": SDP}      ← {"answer": SDP}   → {"ok": true}     (standard input closes)  → report
//!   business calls   ← {"offer": SDP}      → {"answer": SDP}                      (standard input closes)  → report
//! ```
//!
//! Further lines are each answered with the report so far.
//!
//! What it cannot use ends it with `{"error": WORDS}` and exit status 1.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use simulator::media::config::{AnswerSetup, DtlsConfig, Expectation, VoiceConfig};
use simulator::media::{CallDirection, DriverConfig, MediaConfig, MediaHandle};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// Plays Meta's media side of one call; SDP goes in and out as JSON lines.
#[derive(Debug, Parser)]
struct Options {
    /// The business calls: the first line read is its offer. Without it the user calls, and the first line
    /// written is Meta's offer.
    #[arg(long)]
    business_initiated: bool,
    /// Answer `setup:passive`, so that the other side sends the ClientHello.
    #[arg(long)]
    passive: bool,
    /// The tone that the WhatsApp user makes.
    #[arg(long, default_value_t = 700.0)]
    tone_hz: f64,
    /// The tone that the WhatsApp user should hear.
    #[arg(long)]
    expect_hz: f64,
    /// Random numbers of this call: credentials, SSRC, sequence numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match play(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            write(&json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

async fn play(options: Options) -> Result<(), Box<dyn Error>> {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let media = MediaHandle::start(
        media_config(&options),
        DriverConfig::default(),
        options.seed,
    )
    .await?;
    if options.business_initiated {
        let offer = read(&mut input, "offer").await?;
        let answer = media.local_sdp_answer(&offer).await??;
        media.set_remote_sdp(&offer).await??;
        write(&json!({ "answer": answer }));
    } else {
        write(&json!({ "offer": media.local_sdp_offer().await? }));
        let answer = read(&mut input, "answer").await?;
        media.set_remote_sdp(&answer).await??;
        write(&json!({ "ok": true }));
    }
    media.call_answered().await?;
    while input.next_line().await?.is_some() {
        write(&serde_json::to_value(media.report().await?)?);
    }
    write(&serde_json::to_value(media.stop().await?)?);
    Ok(())
}

fn media_config(options: &Options) -> MediaConfig {
    MediaConfig {
        direction: if options.business_initiated {
            CallDirection::BusinessInitiated
        } else {
            CallDirection::UserInitiated
        },
        ipv4: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
        dtls: DtlsConfig {
            answer_setup: if options.passive {
                AnswerSetup::Passive
            } else {
                AnswerSetup::Active
            },
            ..DtlsConfig::default()
        },
        voice: VoiceConfig {
            tone_hz: options.tone_hz,
            ..VoiceConfig::default()
        },
        expectation: Expectation::Tone(options.expect_hz),
        ..MediaConfig::default()
    }
}

/// One line, which must be an object with that text in it.
async fn read(input: &mut Lines<BufReader<Stdin>>, name: &str) -> Result<String, Box<dyn Error>> {
    let line = input
        .next_line()
        .await?
        .ok_or_else(|| format!("standard input closed before the {name}"))?;
    let value: Value = serde_json::from_str(&line)?;
    match value.get(name).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("no {name} in the line {line}").into()),
    }
}

fn write(value: &Value) {
    println!("{value}");
}
