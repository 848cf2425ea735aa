//! What a call costs before anybody speaks: offer, answer and delete through the NG port.
//!
//! The requests are those of a Kamailio with the flags of our scripts, in bencode.
//! Processor time is the relay's own; the rate says as much about the clients, which share the machine with it.

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use simulator::media::impairment::Impairment;

use crate::bank::Bank;
use crate::figures::{cell, ratio};
use crate::forward::{cheap_voice, uic_answer_flags, uic_offer_flags};
use crate::ng::NgClient;
use crate::pbx::Pbx;
use crate::relay_process::{Binaries, RelayKind, RelayProcess};

/// Calls that are set up before anything is measured.
const WARM_UP: usize = 100;

/// How much load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each is taken, the relays taking turns.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Clients at once, each with one request under way.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    clients: Vec<usize>,
    /// Media workers of tandem; rtpengine has as many threads as there are processors.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    workers: Vec<usize>,
}

/// What is set up.
#[derive(Clone, Debug)]
struct Call {
    title: &'static str,
    offer: Value,
    answer: Value,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    microseconds: f64,
    per_second: f64,
}

/// A relay and how it is started.
#[derive(Clone, Debug)]
struct Subject {
    kind: RelayKind,
    name: String,
    arguments: Vec<String>,
}

pub(crate) fn run(
    options: &Options,
    relays: &[RelayKind],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    let subjects = subjects(options, relays);
    for call in [plain_call()?, whatsapp_call()?] {
        for &clients in &options.clients {
            println!(
                "\n{}, {clients} client(s), {} s, {} rounds",
                call.title, options.seconds, options.rounds
            );
            println!(
                "{:<20} {:>15} {:>9} {:>12}",
                "relay", "us CPU/set-up", "ratio", "set-ups/s"
            );
            let mut best: Vec<Option<Figures>> = vec![None; subjects.len()];
            for _round in 0..options.rounds {
                for (slot, subject) in best.iter_mut().zip(&subjects) {
                    let figures = measure(&call, clients, options, subject, binaries)?;
                    // The quietest round says most about the relay and least about its neighbours.
                    if slot.is_none_or(|known| figures.microseconds < known.microseconds) {
                        *slot = Some(figures);
                    }
                }
            }
            let reference = best.last().copied().flatten().map(|f| f.microseconds);
            for (figures, subject) in best.iter().zip(&subjects) {
                let microseconds = figures.map(|figures| figures.microseconds);
                println!(
                    "{:<20} {:>15} {:>9} {:>12}",
                    subject.name,
                    cell(microseconds),
                    ratio(microseconds, reference),
                    cell(figures.map(|figures| figures.per_second)),
                );
            }
        }
    }
    Ok(())
}

fn subjects(options: &Options, relays: &[RelayKind]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for &kind in relays {
        match kind {
            RelayKind::Tandem => {
                for workers in &options.workers {
                    subjects.push(Subject {
                        kind,
                        name: format!("{}, {workers} worker(s)", kind.name()),
                        arguments: vec![format!("--num-threads={workers}")],
                    });
                }
            }
            RelayKind::Rtpengine => subjects.push(Subject {
                kind,
                name: kind.name().to_owned(),
                arguments: Vec::new(),
            }),
        }
    }
    subjects
}

/// Two phones.
fn plain_call() -> Result<Call, Box<dyn Error>> {
    let (near, far) = (Pbx::new()?, Pbx::new()?);
    Ok(Call {
        title: "RTP - RTP",
        offer: with_sdp(json!({}), &near.sdp()),
        answer: with_sdp(json!({}), &far.sdp()),
    })
}

/// A call from WhatsApp: Meta's offer with ICE and DTLS, the PBX's plain answer.
fn whatsapp_call() -> Result<Call, Box<dyn Error>> {
    let mut bank = Bank::new()?;
    let meta = bank.add(cheap_voice(), Impairment::none(), Impairment::none(), 1)?;
    let offer = bank.meta(meta).local_sdp_offer();
    Ok(Call {
        title: "WhatsApp (ICE, DTLS) - RTP",
        offer: with_sdp(uic_offer_flags(), &offer),
        answer: with_sdp(uic_answer_flags(), &Pbx::new()?.sdp()),
    })
}

/// As Kamailio completes a request.
fn with_sdp(flags: Value, sdp: &str) -> Value {
    let mut request = flags;
    request["replace"] = json!(["origin", "session-connection"]);
    request["received-from"] = json!(["IP4", "127.0.0.1"]);
    request["supports"] = json!(["load limit"]);
    request["from-tag"] = json!("caller");
    request["sdp"] = json!(sdp);
    request
}

fn measure(
    call: &Call,
    clients: usize,
    options: &Options,
    subject: &Subject,
    binaries: &Binaries,
) -> Result<Figures, Box<dyn Error>> {
    eprintln!("  {} ...", subject.name);
    let relay = RelayProcess::start_with(subject.kind, binaries, &subject.arguments)?;
    let mut client = NgClient::new(relay.control)?;
    for number in 0..WARM_UP {
        set_up(&mut client, call, &format!("warm-{number}"))?;
    }
    let before = relay.usage()?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(options.seconds);
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let (call, control) = (call.clone(), relay.control);
            thread::spawn(move || work(&call, number, control, end))
        })
        .collect();
    let mut calls = 0;
    for thread in threads {
        calls += thread.join().map_err(|_| "a client failed")??;
    }
    let took = begun.elapsed();
    let used = relay.usage()?.processor - before.processor;
    Ok(Figures {
        microseconds: used.as_secs_f64() * 1e6 / calls.max(1) as f64,
        per_second: calls as f64 / took.as_secs_f64(),
    })
}

/// One client's calls until `end`.
fn work(call: &Call, number: usize, control: SocketAddr, end: Instant) -> Result<usize, String> {
    let mut client = NgClient::new(control).map_err(|error| error.to_string())?;
    let mut calls = 0;
    while Instant::now() < end {
        let call_id = format!("set-up-{number}-{calls}");
        set_up(&mut client, call, &call_id).map_err(|error| error.to_string())?;
        calls += 1;
    }
    Ok(calls)
}

fn set_up(client: &mut NgClient, call: &Call, call_id: &str) -> Result<(), Box<dyn Error>> {
    let mut request = call.offer.clone();
    request["call-id"] = json!(call_id);
    request["command"] = json!("offer");
    client.request_bencoded(&request)?;
    let mut request = call.answer.clone();
    request["call-id"] = json!(call_id);
    request["to-tag"] = json!("callee");
    request["command"] = json!("answer");
    client.request_bencoded(&request)?;
    let delete = json!({ "call-id": call_id, "from-tag": "caller", "command": "delete" });
    client.request_bencoded(&delete)?;
    Ok(())
}
