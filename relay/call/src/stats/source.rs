//! What a reply says about one synchronisation source.

use std::time::{Duration, Instant};

use ng_protocol::{Dictionary, Value};

use super::{Judgement, Source};
use crate::config::WallClock;

/// Packets and bytes, and once something is known about the quality: losses, the average, the extremes, the progression.
pub(super) fn source(source: &Source, clock: WallClock) -> Dictionary<'static> {
    let stats = &source.stats;
    let timestamp = stats.last_timestamp().map_or(0, |timestamp| timestamp.0);
    let counters = Dictionary::new()
        .with("bytes", source.bytes)
        .with("packets", stats.packets())
        .with("last RTP timestamp", timestamp)
        .with("last RTP seq", u64::from(stats.extended_highest().report()));
    let quality = &source.quality;
    let (interval, progression) = quality.progression();
    if progression.is_empty() && quality.reported_lost().is_none() {
        return counters;
    }
    // Both ways: what the source says that it misses, and what we miss of it.
    let lost = stats.cumulative_lost();
    let lost = quality
        .reported_lost()
        .map_or(lost, |reported| reported.max(lost));
    let average = quality.average().map(|average| {
        Dictionary::new()
            .with("MOS", average.tenths)
            .with("round-trip time", micros(average.round_trip))
            .with("round-trip time leg", micros(average.round_trip_leg))
            .with("jitter", millis(average.jitter))
            .with("packet loss", average.loss_percent)
            .with("samples", average.samples)
    });
    let reported = |judgement: &Judgement| {
        Dictionary::new()
            .with("MOS", judgement.mos.map_or(0, |mos| mos.tenths()))
            .with("round-trip time", micros(judgement.round_trip))
            .with("round-trip time leg", micros(judgement.round_trip_leg))
            .with("jitter", millis(judgement.jitter))
            .with("packet loss", judgement.loss_percent)
            .with("reported at", seconds(clock, judgement.at))
    };
    let extremes = quality.extremes().map(|extremes| extremes.map(reported));
    let [lowest, highest] = extremes.map_or([None, None], |extremes| extremes.map(Some));
    let entries: Vec<Value<'static>> = progression
        .into_iter()
        .map(|judgement| reported(judgement).into())
        .collect();
    let progression = Dictionary::new()
        .with("interval", interval)
        .with("entries", entries);
    counters
        .with("cumulative loss", i64::from(lost))
        .with_some("average MOS", average)
        .with_some("lowest MOS", lowest)
        .with_some("highest MOS", highest)
        .with("MOS progression", progression)
}

fn seconds(clock: WallClock, instant: Instant) -> u64 {
    clock.unix_at(instant).as_secs()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
