//! Processor time per forwarded packet and memory per call, at many calls.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use simulator::media::MediaConfig;
use simulator::media::config::{Codec, VoiceConfig};
use simulator::media::impairment::Impairment;

use crate::bank::Bank;
use crate::figures::{cell, ratio};
use crate::ng::{NgClient, media_address};
use crate::pbx::Pbx;
use crate::relay_process::{Binaries, RelayKind, RelayProcess};

/// How much load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Calls at once, each 50 packets a second in both directions.
    #[arg(long, default_value_t = 400)]
    calls: usize,
    /// Seconds that are measured, after all calls run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How tandem moves packets (its option `data-path`); the best that the machine allows by default.
    #[arg(long, default_value = "auto")]
    data_path: String,
    /// How often each case is run, the relays taking turns.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    RtpRtp,
    DtlsRtp,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    ns_per_packet: f64,
    octets_per_call: f64,
    /// Packets that left the relay, of those that went in.
    delivered: f64,
}

pub(crate) fn run(
    options: &Options,
    relays: &[RelayKind],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    for (case, title) in [
        (Case::RtpRtp, "RTP - RTP"),
        (Case::DtlsRtp, "DTLS-SRTP - RTP"),
    ] {
        println!(
            "\n{title}, {} calls, {} s, {} rounds",
            options.calls, options.seconds, options.rounds
        );
        println!(
            "{:<11} {:>13} {:>9} {:>15} {:>10}",
            "relay", "ns CPU/packet", "ratio", "KiB memory/call", "delivered"
        );
        let mut best: Vec<Option<Figures>> = vec![None; relays.len()];
        for _round in 0..options.rounds {
            for (slot, &kind) in best.iter_mut().zip(relays) {
                let figures = measure(case, options, kind, binaries)?;
                // The quietest round says most about the relay and least about its neighbours.
                if slot.is_none_or(|known| figures.ns_per_packet < known.ns_per_packet) {
                    *slot = Some(figures);
                }
            }
        }
        let reference = best.last().copied().flatten();
        for (figures, kind) in best.iter().zip(relays) {
            println!(
                "{:<11} {:>13} {:>9} {:>15} {:>9}%",
                kind.name(),
                cell(figures.map(|figures| figures.ns_per_packet)),
                ratio(
                    figures.map(|f| f.ns_per_packet),
                    reference.map(|f| f.ns_per_packet)
                ),
                cell(figures.map(|figures| figures.octets_per_call / 1024.0)),
                cell(figures.map(|figures| figures.delivered * 100.0)),
            );
        }
    }
    Ok(())
}

fn measure(
    case: Case,
    options: &Options,
    kind: RelayKind,
    binaries: &Binaries,
) -> Result<Figures, Box<dyn Error>> {
    eprintln!("  {} ...", kind.name());
    let arguments = match kind {
        RelayKind::Tandem => vec![format!("--data-path={}", options.data_path)],
        RelayKind::Rtpengine => Vec::new(),
    };
    let relay = RelayProcess::start_with(kind, binaries, &arguments)?;
    let mut client = NgClient::new(relay.control)?;
    let (mut near, mut far, mut bank) = (Pbx::new()?, Pbx::new()?, Bank::new()?);
    let before = relay.usage()?;
    for number in 0..options.calls {
        let call_id = format!("forward-{number}");
        let now = Instant::now();
        match case {
            Case::RtpRtp => {
                let plain = json!({});
                let to_far = client.exchange("offer", &call_id, &near.sdp(), &plain)?;
                let to_near = client.exchange("answer", &call_id, &far.sdp(), &plain)?;
                far.speak(media_address(&to_far)?, Codec::Pcma, now);
                near.speak(media_address(&to_near)?, Codec::Pcma, now);
            }
            Case::DtlsRtp => {
                user_initiated(&mut client, &mut bank, &mut near, &call_id, number as u64)?;
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
    pump_until(
        Instant::now() + Duration::from_secs(2),
        &mut near,
        &mut far,
        &mut bank,
    );
    let start = relay.usage()?;
    let received = near.received() + far.received() + heard(&bank, options.calls, case);
    let sent = pump_until(
        Instant::now() + Duration::from_secs(options.seconds),
        &mut near,
        &mut far,
        &mut bank,
    );
    let end = relay.usage()?;
    let delivered = near.received() + far.received() + heard(&bank, options.calls, case) - received;
    let offered = match case {
        Case::RtpRtp => sent,
        Case::DtlsRtp => sent * 2,
    };
    Ok(Figures {
        ns_per_packet: (end.processor - start.processor).as_nanos() as f64
            / delivered.max(1) as f64,
        octets_per_call: (end.memory_octets.saturating_sub(before.memory_octets)) as f64
            / options.calls as f64,
        delivered: delivered as f64 / offered.max(1) as f64,
    })
}

/// Packets that the Meta side has taken, authenticated.
fn heard(bank: &Bank, calls: usize, case: Case) -> u64 {
    if case == Case::RtpRtp {
        return 0;
    }
    let now = Instant::now();
    (0..calls)
        .map(|number| bank.report(number, now).received.packets)
        .sum()
}

/// A user-initiated call in DTLS mode with the flags a script would use.
fn user_initiated(
    client: &mut NgClient,
    bank: &mut Bank,
    pbx: &mut Pbx,
    call_id: &str,
    seed: u64,
) -> Result<(), Box<dyn Error>> {
    let number = bank.add(cheap_voice(), Impairment::none(), Impairment::none(), seed)?;
    let offer = bank.meta(number).local_sdp_offer();
    let to_pbx = client.exchange("offer", call_id, &offer, &uic_offer_flags())?;
    let to_meta = client.exchange("answer", call_id, &pbx.sdp(), &uic_answer_flags())?;
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
        thread::sleep(Duration::from_micros(500));
    }
}
