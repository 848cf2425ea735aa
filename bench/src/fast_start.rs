//! From the relay's reply to `answer` to the first SRTP packet that Meta accepts, and how much of a counted prompt is lost.
//!
//! Meta ignores all STUN and DTLS for D ms after the reply; its road takes R ms there and back. The PBX speaks a counted prompt
//! from the moment of `answer`. The floor is what the protocols cost at best: one check, then two round trips of DTLS when the
//! relay is the client (D + 3R), one and a half when it is the server (D + 2R counts the check and the flights after it).

use std::error::Error;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use simulator::media::config::{Codec, Expectation};
use simulator::media::impairment::{DropRule, Impairment, PacketKind};
use simulator::media::{CallDirection, MediaConfig};

use crate::bank::Bank;
use crate::figures::{cell, percentile};
use crate::forward::{cheap_voice, uic_answer_flags, uic_offer_flags};
use crate::ng::{NgClient, media_address};
use crate::pbx::Pbx;
use crate::relay_process::{Binaries, RelayKind, RelayProcess};

/// Which rows, and how many calls in each.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Calls per row with one D.
    #[arg(long, default_value_t = 10)]
    calls: usize,
    /// Calls in the rows whose D is spread over 50 to 2000 ms.
    #[arg(long, default_value_t = 100)]
    spread_calls: usize,
    /// A call without media after this many seconds is dead.
    #[arg(long, default_value_t = 15)]
    give_up: u64,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// One row of the table.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    direction: CallDirection,
    /// D of each call, in ms; a single value is used for all.
    deafness_ms: Vec<u64>,
    round_trip_ms: u64,
    loss: f64,
    /// Lost once, on the way to Meta (`true`) or from it.
    lost: Option<(bool, DropRule)>,
    goal: Goal,
}

/// What the first relay must reach in a row.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// 95 % of the calls within so many ms over the floor, and nothing clipped where less is missing than a relay may hold.
    OverFloor(f64),
    /// 95 % of the calls within this share of the last relay's time, and no call dead.
    Share(f64),
}

/// Delay that may be left one second after the start, in ms.
const LATE_AFTER_A_SECOND: f64 = 40.0;

#[derive(Clone, Debug, Default)]
struct Outcome {
    over_floor: Vec<f64>,
    clipped: Vec<f64>,
    late_after_a_second: Vec<f64>,
    dead: usize,
}

pub(crate) fn run(
    options: &Options,
    relays: &[RelayKind],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    let rows: Vec<Row> = rows(options)
        .into_iter()
        .filter(|row| {
            options
                .only
                .as_ref()
                .is_none_or(|wanted| row.name.contains(wanted.as_str()))
        })
        .collect();
    println!(
        "Fast start, ms. Over the floor: first SRTP at Meta after the reply to `answer`, less D + 3R (user-initiated) or D + 2R (business-initiated)."
    );
    println!(
        "{:<44} {:<10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>5}",
        "row", "relay", "median", "p95", "max", "clip med", "clip max", "late 1 s", "dead"
    );
    let mut all_missed = Vec::new();
    for row in &rows {
        let mut outcomes = Vec::new();
        for &kind in relays {
            let result = measure(row, options, kind, binaries)?;
            let over = |share| percentile(&result.over_floor, share);
            println!(
                "{:<44} {:<10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>5}",
                row.name,
                kind.name(),
                cell(over(0.5)),
                cell(over(0.95)),
                cell(over(1.0)),
                cell(percentile(&result.clipped, 0.5)),
                cell(percentile(&result.clipped, 1.0)),
                cell(percentile(&result.late_after_a_second, 0.95)),
                result.dead
            );
            outcomes.push(result);
        }
        let missed = missed(row, &outcomes);
        all_missed.extend(
            missed
                .into_iter()
                .map(|what| format!("{}: {what}", row.name)),
        );
    }
    println!(
        "
{} rows, goals missed by {}: {}",
        rows.len(),
        relays.first().map_or("-", |kind| kind.name()),
        all_missed.len()
    );
    for what in &all_missed {
        println!("  {what}");
    }
    Ok(())
}

fn rows(options: &Options) -> Vec<Row> {
    let directions = [
        ("UIC", CallDirection::UserInitiated),
        ("BIC", CallDirection::BusinessInitiated),
    ];
    let mut rows = Vec::new();
    for (word, direction) in directions {
        let plain = Row {
            name: String::new(),
            direction,
            deafness_ms: vec![300; options.calls],
            round_trip_ms: 80,
            loss: 0.0,
            lost: None,
            goal: Goal::OverFloor(40.0),
        };
        for loss in [0.0, 0.1] {
            for round_trip_ms in [0, 80] {
                for deafness in [0, 50, 300, 1500] {
                    rows.push(Row {
                        name: format!(
                            "{word} D={deafness} R={round_trip_ms} loss={:.0}%",
                            loss * 100.0
                        ),
                        deafness_ms: vec![deafness; options.calls],
                        round_trip_ms,
                        loss,
                        goal: goal_at(loss),
                        ..plain.clone()
                    });
                }
            }
            let calls = options.spread_calls.max(2) as u64;
            rows.push(Row {
                name: format!("{word} D=50-2000 R=80 loss={:.0}%", loss * 100.0),
                deafness_ms: (0..calls).map(|n| 50 + 1950 * n / (calls - 1)).collect(),
                loss,
                goal: goal_at(loss),
                ..plain.clone()
            });
        }
        // The first check that could have been answered is the one after D; all earlier ones are lost by design.
        let is_client = direction == CallDirection::UserInitiated;
        // What, on the way to Meta or from it, and the goal: 80 ms for a check, 150 ms for a flight. A flight of Meta's own is
        // repeated when Meta's stack thinks fit, here OpenSSL after a second; nothing on our side can hasten that, so those rows miss the goal.
        let flight = 150.0;
        let named: [(&str, bool, PacketKind, f64); 5] = [
            ("check reply", false, PacketKind::CheckReply, 80.0),
            ("ClientHello", is_client, PacketKind::ClientHello, flight),
            ("server flight", !is_client, PacketKind::DtlsFlight, flight),
            ("client flight", is_client, PacketKind::Finished, flight),
            // OpenSSL answers a repeated Finished at once, so this one costs a step of ours in either role.
            ("server Finished", !is_client, PacketKind::Finished, 150.0),
        ];
        for (what, to_meta, kind, goal) in named {
            rows.push(Row {
                name: format!("{word} D=300 R=80, lost once: {what}"),
                lost: Some((to_meta, DropRule::nth(kind, 1))),
                goal: Goal::OverFloor(goal),
                ..plain.clone()
            });
        }
        rows.push(Row {
            name: format!("{word} D=0 R=80, lost once: check"),
            deafness_ms: vec![0; options.calls],
            lost: Some((true, DropRule::nth(PacketKind::Check, 1))),
            goal: Goal::OverFloor(80.0),
            ..plain
        });
    }
    rows
}

fn goal_at(loss: f64) -> Goal {
    if loss > 0.0 {
        Goal::Share(0.35)
    } else {
        Goal::OverFloor(40.0)
    }
}

/// What the first relay missed of a row's goals, in words; empty when it met them.
fn missed(row: &Row, outcomes: &[Outcome]) -> Vec<String> {
    let (Some(ours), Some(theirs)) = (outcomes.first(), outcomes.last()) else {
        return Vec::new();
    };
    let mut missed = Vec::new();
    let p95 = percentile(&ours.over_floor, 0.95);
    match row.goal {
        Goal::OverFloor(limit) => {
            if p95.is_none_or(|p95| p95 > limit) {
                missed.push(format!("p95 {} over the floor, goal {limit}", cell(p95)));
            }
        }
        Goal::Share(share) => {
            let their_p95 = percentile(&theirs.over_floor, 0.95);
            if p95
                .zip(their_p95)
                .is_none_or(|(ours, theirs)| ours > share * theirs)
            {
                missed.push(format!(
                    "p95 {} against {}, goal {share} of it",
                    cell(p95),
                    cell(their_p95)
                ));
            }
        }
    }
    if ours.dead > 0 {
        missed.push(format!("{} calls without media", ours.dead));
    }
    if row.loss == 0.0 {
        let clipped = percentile(&ours.clipped, 1.0);
        if row.deafness_ms.iter().all(|&ms| ms <= 300) && clipped.is_none_or(|ms| ms > 0.0) {
            missed.push(format!("{} ms clipped, goal 0", cell(clipped)));
        }
        let late = percentile(&ours.late_after_a_second, 0.95);
        if late.is_none_or(|ms| ms > LATE_AFTER_A_SECOND) {
            missed.push(format!(
                "{} ms late after a second, goal {LATE_AFTER_A_SECOND}",
                cell(late)
            ));
        }
    }
    missed
}

fn measure(
    row: &Row,
    options: &Options,
    kind: RelayKind,
    binaries: &Binaries,
) -> Result<Outcome, Box<dyn Error>> {
    let relay = RelayProcess::start(kind, binaries)?;
    let mut client = NgClient::new(relay.control)?;
    let (mut pbx, mut bank) = (
        Pbx::new(Ipv4Addr::LOCALHOST)?,
        Bank::new(Ipv4Addr::LOCALHOST)?,
    );
    let mut answered = Vec::new();
    for (index, &deafness_ms) in row.deafness_ms.iter().enumerate() {
        let at = start_call(row, index, deafness_ms, &mut client, &mut pbx, &mut bank)?;
        answered.push(at);
        // Calls start a little apart, so that one burst of handshakes does not measure the queue behind it.
        pump_for(Duration::from_millis(7), &mut pbx, &mut bank);
    }
    let longest = row.deafness_ms.iter().max().copied().unwrap_or(0);
    let give_up =
        Instant::now() + Duration::from_secs(options.give_up) + Duration::from_millis(longest);
    let mut quiet_since = None;
    while Instant::now() < give_up {
        pump_for(Duration::from_millis(100), &mut pbx, &mut bank);
        let now = Instant::now();
        let all =
            (0..answered.len()).all(|number| bank.report(number, now).first_srtp_ms.is_some());
        // One second more shows how late the audio still is.
        let since = *quiet_since.get_or_insert(now);
        if !all {
            quiet_since = None;
        } else if now.duration_since(since) > Duration::from_millis(1_500) {
            break;
        }
    }
    let now = Instant::now();
    let mut result = Outcome::default();
    for (number, &deafness_ms) in row.deafness_ms.iter().enumerate() {
        let report = bank.report(number, now);
        let round_trips = match row.direction {
            CallDirection::UserInitiated => 3,
            CallDirection::BusinessInitiated => 2,
        };
        let floor = (deafness_ms + round_trips * row.round_trip_ms) as f64;
        match report.first_srtp_ms {
            Some(first) => result.over_floor.push(first - floor),
            None => result.dead += 1,
        }
        if let Some(prompt) = report.received.prompt {
            result.clipped.push(prompt.clipped_ms);
            if let (Some(late), Some(road)) =
                (prompt.delay_after_one_second_ms, prompt.least_delay_ms)
            {
                result.late_after_a_second.push(late - road);
            }
        }
    }
    Ok(result)
}

fn start_call(
    row: &Row,
    index: usize,
    deafness_ms: u64,
    client: &mut NgClient,
    pbx: &mut Pbx,
    bank: &mut Bank,
) -> Result<Instant, Box<dyn Error>> {
    let call_id = format!("fast-{index}");
    let config = MediaConfig {
        direction: row.direction,
        deafness: Duration::from_millis(deafness_ms),
        expectation: Expectation::CountedPrompt,
        ..cheap_voice()
    };
    let road = Impairment {
        loss: row.loss,
        ..Impairment::delay(Duration::from_millis(row.round_trip_ms / 2))
    };
    let (mut to_meta, mut from_meta) = (road.clone(), road);
    match row.lost {
        Some((true, rule)) => to_meta.drops.push(rule),
        Some((false, rule)) => from_meta.drops.push(rule),
        None => {}
    }
    let number = bank.add(config, to_meta, from_meta, 1_000 + index as u64)?;
    let (relay_for_pbx, answered) = match row.direction {
        CallDirection::UserInitiated => {
            let offer = bank.meta(number).local_sdp_offer();
            let to_pbx = client.exchange("offer", &call_id, &offer, &uic_offer_flags())?;
            let to_meta = client.exchange("answer", &call_id, &pbx.sdp(), &uic_answer_flags())?;
            let now = Instant::now();
            bank.attach(number, &to_meta)?;
            bank.meta(number)
                .set_remote_sdp(now, &to_meta)
                .map_err(|error| error.to_string())?;
            (to_pbx, now)
        }
        CallDirection::BusinessInitiated => {
            let to_meta = client.exchange("offer", &call_id, &pbx.sdp(), &bic_offer_flags())?;
            bank.attach(number, &to_meta)?;
            let answer = bank
                .meta(number)
                .local_sdp_answer(&to_meta)
                .map_err(|error| error.to_string())?;
            let to_pbx = client.exchange("answer", &call_id, &answer, &bic_answer_flags())?;
            let now = Instant::now();
            bank.meta(number)
                .set_remote_sdp(now, &to_meta)
                .map_err(|error| error.to_string())?;
            (to_pbx, now)
        }
    };
    bank.meta(number).call_answered(answered);
    bank.meta(number).prompt_started(answered);
    pbx.speak(media_address(&relay_for_pbx)?, Codec::Opus, answered);
    Ok(answered)
}

fn bic_offer_flags() -> Value {
    json!({
        "transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"],
        "rtcp-mux": ["offer", "require"], "flags": ["generate-mid"],
    })
}

fn bic_answer_flags() -> Value {
    json!({ "transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"] })
}

fn pump_for(duration: Duration, pbx: &mut Pbx, bank: &mut Bank) {
    let end = Instant::now() + duration;
    loop {
        let now = Instant::now();
        if now >= end {
            return;
        }
        pbx.pump(now);
        bank.pump(now);
        thread::sleep(Duration::from_micros(300));
    }
}
