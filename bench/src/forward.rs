//! Processor time per forwarded packet, delay and memory per call, at many calls.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use simulator::media::MediaConfig;
use simulator::media::config::{Codec, KeyExchange, VoiceConfig};
use simulator::media::impairment::Impairment;

use crate::bank::Bank;
use crate::figures::{cell, percentile, ratio};
use crate::ng::{NgClient, media_address};
use crate::pbx::{Heard, Pbx};
use crate::place::Place;
use crate::relay_process::{Binaries, RelayKind, RelayProcess, machine_time};

/// How much load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Calls at once, each 50 packets a second in both directions: one row for each of these numbers.
    #[arg(long, value_delimiter = ',', default_value = "100,400,1000")]
    calls: Vec<usize>,
    /// The same for calls that are encrypted on one side; 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "400")]
    encrypted_calls: Vec<usize>,
    /// Seconds that are measured, after all calls run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How tandem moves packets (its option `data-path`), a line for each; the best that it takes by itself by default.
    #[arg(long, value_delimiter = ',', default_value = "auto")]
    data_path: Vec<String>,
    /// How often each case is run, the relays taking turns.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Plain,
    Sdes,
    Dtls,
}

impl Case {
    fn title(self) -> &'static str {
        match self {
            Self::Plain => "RTP - RTP",
            Self::Sdes => "SDES-SRTP - RTP",
            Self::Dtls => "DTLS-SRTP - RTP",
        }
    }
}

/// A relay, started in one way.
#[derive(Clone, Debug)]
struct Subject {
    kind: RelayKind,
    name: String,
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    /// Of the relay's process.
    ns_per_packet: f64,
    /// Of the whole machine, the load among it: what the kernel does for a relay is not all in the name of its process.
    machine_ns_per_packet: f64,
    octets_per_call: f64,
    /// Packets that left the relay as they should, of those that went in.
    delivered: f64,
    /// Packets that went in, of those that were to: below 1 the load is not what the title says.
    offered: f64,
    /// The share of packets and the delay that it was below, in microseconds.
    delays_us: [Option<f64>; SHARES.len()],
}

const SHARES: [f64; 3] = [0.5, 0.99, 0.999];

pub(crate) fn run(
    options: &Options,
    relays: &[RelayKind],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    let plain = options.calls.iter().map(|&calls| (Case::Plain, calls));
    let encrypted = options
        .encrypted_calls
        .iter()
        .flat_map(|&calls| [(Case::Sdes, calls), (Case::Dtls, calls)]);
    let rows = plain.chain(encrypted).filter(|(_, calls)| *calls > 0);
    let subjects = subjects(options, relays);
    for (case, calls) in rows {
        println!(
            "\n{}, {calls} calls, {} s, {} rounds",
            case.title(),
            options.seconds,
            options.rounds
        );
        println!(
            "{:<18} {:>13} {:>7} {:>12} {:>9} {:>9} {:>9} {:>8} {:>10} {:>8}",
            "relay",
            "ns CPU/packet",
            "ratio",
            "ns machine",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "KiB/call",
            "delivered",
            "offered"
        );
        let mut best: Vec<Option<Figures>> = vec![None; subjects.len()];
        for _round in 0..options.rounds {
            for (slot, subject) in best.iter_mut().zip(&subjects) {
                let figures = measure(case, calls, options, subject, binaries)?;
                // The quietest round says most about the relay and least about its neighbours.
                if slot.is_none_or(|known| figures.ns_per_packet < known.ns_per_packet) {
                    *slot = Some(figures);
                }
            }
        }
        let reference = best.last().copied().flatten();
        for (figures, subject) in best.iter().zip(&subjects) {
            let delay = |at: usize| cell(figures.and_then(|figures| figures.delays_us[at]));
            println!(
                "{:<18} {:>13} {:>7} {:>12} {:>9} {:>9} {:>9} {:>8} {:>9}% {:>7}%",
                subject.name,
                cell(figures.map(|figures| figures.ns_per_packet)),
                ratio(
                    figures.map(|f| f.ns_per_packet),
                    reference.map(|f| f.ns_per_packet)
                ),
                cell(figures.map(|figures| figures.machine_ns_per_packet)),
                delay(0),
                delay(1),
                delay(2),
                cell(figures.map(|figures| figures.octets_per_call / 1024.0)),
                cell(figures.map(|figures| figures.delivered * 100.0)),
                cell(figures.map(|figures| figures.offered * 100.0)),
            );
        }
    }
    Ok(())
}

fn subjects(options: &Options, relays: &[RelayKind]) -> Vec<Subject> {
    let of_kind = |kind: &RelayKind| match *kind {
        RelayKind::Tandem => options
            .data_path
            .iter()
            .map(|way| Subject {
                kind: RelayKind::Tandem,
                name: format!("tandem {way}"),
                arguments: vec![format!("--data-path={way}")],
            })
            .collect(),
        kind => vec![Subject {
            kind,
            name: kind.name().to_owned(),
            arguments: Vec::new(),
        }],
    };
    relays.iter().flat_map(of_kind).collect()
}

fn measure(
    case: Case,
    calls: usize,
    options: &Options,
    subject: &Subject,
    binaries: &Binaries,
) -> Result<Figures, Box<dyn Error>> {
    eprintln!("  {} ...", subject.name);
    let place = &options.place;
    let relay = RelayProcess::start_with(subject.kind, binaries, place, &subject.arguments)?;
    let mut client = NgClient::new(relay.control)?;
    let mut near = Pbx::new(place.load_address)?;
    let (mut far, mut bank) = (near.beside()?, Bank::new(place.load_address)?);
    let before = relay.usage()?;
    for number in 0..calls {
        let call_id = format!("forward-{number}");
        let now = Instant::now();
        match case {
            Case::Plain => {
                let plain = json!({});
                let to_far = client.exchange("offer", &call_id, &near.sdp(), &plain)?;
                let to_near = client.exchange("answer", &call_id, &far.sdp(), &plain)?;
                far.speak(media_address(&to_far)?, Codec::Pcma, now);
                near.speak(media_address(&to_near)?, Codec::Pcma, now);
            }
            Case::Sdes | Case::Dtls => {
                user_initiated(&mut client, &mut bank, &mut near, &call_id, number, case)?;
            }
        }
        // Calls arrive spread over the packet time, as live ones do.
        pump_until(
            now + Duration::from_millis(5),
            &mut near,
            &mut far,
            &mut bank,
        );
    }
    // Long enough for streams to be where they will stay.
    pump_until(
        Instant::now() + Duration::from_secs(3),
        &mut near,
        &mut far,
        &mut bank,
    );
    let (start, machine) = (relay.usage()?, machine_time()?);
    let _before = [near.take_heard(), far.take_heard()];
    let received = heard(&bank, calls, case);
    let sent = pump_until(
        Instant::now() + Duration::from_secs(options.seconds),
        &mut near,
        &mut far,
        &mut bank,
    );
    let (end, machine) = (relay.usage()?, machine_time()? - machine);
    let by_pbx = [near.take_heard(), far.take_heard()];
    let legs = if case == Case::Plain { 2 } else { 1 };
    let wanted = calls as u64 * legs * 50 * options.seconds;
    let (delivered, fed) = match case {
        Case::Plain => (by_pbx.iter().map(Heard::intact).sum(), sent),
        Case::Sdes | Case::Dtls => {
            let packets: u64 = by_pbx.iter().map(|heard| heard.packets).sum();
            (packets + heard(&bank, calls, case) - received, sent * 2)
        }
    };
    let delays = by_pbx.iter().flat_map(|heard| &heard.delays_us);
    let delays: Vec<f64> = delays.map(|&delay| f64::from(delay)).collect();
    let per_packet = |time: Duration| time.as_nanos() as f64 / delivered.max(1) as f64;
    Ok(Figures {
        ns_per_packet: per_packet(end.processor - start.processor),
        machine_ns_per_packet: per_packet(machine),
        octets_per_call: (end.memory_octets.saturating_sub(before.memory_octets)) as f64
            / calls as f64,
        delivered: delivered as f64 / fed.max(1) as f64,
        offered: sent as f64 / wanted.max(1) as f64,
        delays_us: SHARES.map(|share| percentile(&delays, share)),
    })
}

/// Packets that the Meta side has taken, authenticated.
fn heard(bank: &Bank, calls: usize, case: Case) -> u64 {
    if case == Case::Plain {
        return 0;
    }
    let now = Instant::now();
    (0..calls)
        .map(|number| bank.report(number, now).received.packets)
        .sum()
}

/// A user-initiated call with the flags a script would use.
fn user_initiated(
    client: &mut NgClient,
    bank: &mut Bank,
    pbx: &mut Pbx,
    call_id: &str,
    seed: usize,
    case: Case,
) -> Result<(), Box<dyn Error>> {
    let keys = match case {
        Case::Sdes => KeyExchange::Sdes,
        Case::Dtls | Case::Plain => KeyExchange::Dtls,
    };
    let config = MediaConfig {
        keys,
        ..cheap_voice()
    };
    let number = bank.add(config, Impairment::none(), Impairment::none(), seed as u64)?;
    let offer = bank.meta(number).local_sdp_offer();
    let to_pbx = client.exchange("offer", call_id, &offer, &uic_offer_flags())?;
    let flags = match case {
        Case::Sdes => json!({
            "transport-protocol": "RTP/SAVP", "ICE": "remove", "rtcp-mux": ["accept"]
        }),
        Case::Dtls | Case::Plain => uic_answer_flags(),
    };
    let to_meta = client.exchange("answer", call_id, &pbx.sdp(), &flags)?;
    let now = Instant::now();
    bank.attach(number, &to_meta)?;
    bank.meta(number)
        .set_remote_sdp(now, &to_meta)
        .map_err(|error| error.to_string())?;
    bank.meta(number).call_answered(now);
    pbx.speak(media_address(&to_pbx)?, Codec::Pcmu, now);
    Ok(())
}

/// Meta speaks G.711: encoding Opus for hundreds of calls would measure the generator.
pub(crate) fn cheap_voice() -> MediaConfig {
    MediaConfig {
        additional_codecs: vec![Codec::Pcmu],
        voice: VoiceConfig {
            codec: Codec::Pcmu,
            ..VoiceConfig::default()
        },
        ..MediaConfig::default()
    }
}

pub(crate) fn uic_offer_flags() -> Value {
    json!({ "transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"] })
}

pub(crate) fn uic_answer_flags() -> Value {
    json!({ "ICE": "force", "rtcp-mux": ["accept"] })
}

/// Runs everybody until `end`; gives the packets that the PBX legs sent meanwhile.
fn pump_until(end: Instant, near: &mut Pbx, far: &mut Pbx, bank: &mut Bank) -> u64 {
    let mut sent = 0;
    loop {
        let now = Instant::now();
        if now >= end {
            return sent;
        }
        sent += near.pump(now) + far.pump(now);
        bank.pump(now);
        thread::sleep(Duration::from_micros(50));
    }
}
