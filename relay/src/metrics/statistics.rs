//! The numbers behind the NG command `statistics`, under the names that rtpengine gave them.
//!
//! Monitoring scripts read these names, so all of them are there; what this relay does not do (kernel forwarding, players)
//! stands at zero, which is the truth.
//! Fractions are strings with six decimals, as those scripts expect.

use std::collections::BTreeMap;

use ng_protocol::{Command, Dictionary, Response, Value};
use relay_call::{Counter, EndReason, Figure, Place, Tally};

use super::{Snapshot, per};
use crate::worker::counters::{ChainCounters, WorkerCounters};

impl Snapshot<'_> {
    /// The reply to `statistics`.
    pub fn response(&self) -> Response {
        let sum = self.sum();
        let media = sum.media_sum();
        let voip_metrics = averages(&Figure::ALL[1..], &media)
            .with("packets_lost", media.lost)
            .with("rtp_duplicates", media.duplicates)
            .with("rtp_skips", media.skips)
            .with("rtp_seq_resets", media.restarts)
            .with("rtp_reordered", media.reordered);
        let statistics = Dictionary::new()
            .with("currentstatistics", self.current(&sum))
            .with("totalstatistics", self.totals(&sum))
            .with("mos", averages(&[Figure::Mos], &media))
            .with("voip_metrics", voip_metrics)
            .with("controlstatistics", self.control_statistics())
            .with("interfaces", self.interface_list(&sum))
            .with("transcoders", transcoders(&sum))
            .with("poller_threads", self.poller_threads());
        Response::ok().with("statistics", statistics)
    }

    fn current(&self, sum: &WorkerCounters) -> Dictionary<'static> {
        Dictionary::new()
            .with("sessionsown", self.sessions)
            .with("sessionsforeign", 0u32)
            .with("sessionstotal", self.sessions)
            .with("transcodedmedia", sum.transcoded_streams())
            .with("mediacache", 0u32)
            .with("playercache", 0u32)
            .with("packetrate_user", sum.packet_rate)
            .with("byterate_user", sum.byte_rate)
            .with("errorrate_user", sum.error_rate)
            .with("packetrate_kernel", 0u32)
            .with("byterate_kernel", 0u32)
            .with("errorrate_kernel", 0u32)
            .with("packetrate", sum.packet_rate)
            .with("byterate", sum.byte_rate)
            .with("errorrate", sum.error_rate)
            .with("media_userspace", sum.heard_sections)
            .with("media_kernel", 0u32)
            .with("media_mixed", 0u32)
    }

    fn totals(&self, sum: &WorkerCounters) -> Dictionary<'static> {
        let ended = |reason| sum.ended_by(reason);
        let managed = sum.managed();
        let Counter { packets, bytes, .. } = sum.media_in();
        let errors = sum.errors();
        let mean = per(sum.call_seconds, managed);
        let variance = (per(sum.call_seconds_squared, managed) - mean * mean).max(0.0);
        Dictionary::new()
            .with("uptime", self.uptime.as_secs().to_string())
            .with("managedsessions", managed)
            .with("rejectedsessions", self.control.rejected)
            .with("timeoutsessions", ended(EndReason::Timeout))
            .with("silenttimeoutsessions", ended(EndReason::SilentTimeout))
            .with("finaltimeoutsessions", ended(EndReason::FinalTimeout))
            .with("offertimeoutsessions", ended(EndReason::OfferTimeout))
            .with("regularterminatedsessions", ended(EndReason::Terminated))
            .with(
                "forcedterminatedsessions",
                ended(EndReason::ForceTerminated),
            )
            .with("relayedpackets_user", packets)
            .with("relayedpacketerrors_user", errors)
            .with("relayedbytes_user", bytes)
            .with("relayedpackets_kernel", 0u32)
            .with("relayedpacketerrors_kernel", 0u32)
            .with("relayedbytes_kernel", 0u32)
            .with("relayedpackets", packets)
            .with("relayedpacketerrors", errors)
            .with("relayedbytes", bytes)
            .with("zerowaystreams", sum.unheard)
            .with("onewaystreams", sum.heard_one_way)
            .with("avgcallduration", fraction(mean))
            .with("totalcallsduration", fraction(sum.call_seconds))
            .with("totalcallsduration2", fraction(sum.call_seconds_squared))
            .with("totalcallsduration_stddev", fraction(variance.sqrt()))
    }

    fn control_statistics(&self) -> Dictionary<'static> {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        let mut proxies: Vec<Value<'static>> = Vec::new();
        for (name, counters) in self.control.by_proxy() {
            let mut proxy = Dictionary::new().with("proxy", name);
            for command in Command::all() {
                let name = command.short_name();
                let (count, total) = counters.of(command);
                *totals.entry(name).or_insert(0) += count;
                proxy.push(format!("{name}count").into_bytes(), count);
                let duration = fraction(total.as_secs_f64());
                proxy.push(format!("{name}duration").into_bytes(), duration);
            }
            proxies.push(proxy.with("errorcount", counters.errors).into());
        }
        let mut statistics = Dictionary::new().with("proxies", proxies);
        for command in Command::all() {
            let name = command.short_name();
            let total = totals.get(name).copied().unwrap_or(0);
            statistics.push(format!("total{name}count").into_bytes(), total);
        }
        statistics
    }

    fn interface_list(&self, sum: &WorkerCounters) -> Vec<Value<'static>> {
        let mut list = Vec::new();
        for interface in self.interfaces {
            for address in &interface.addresses {
                let ports = sum.ports_of(&interface.name, address.bound);
                let place = Place {
                    interface: interface.name.as_str().into(),
                    address: address.bound,
                };
                let media = sum.media.get(&place).copied().unwrap_or_default();
                let share = 100.0 * per(ports.used as f64, ports.size as u64);
                let ports = Dictionary::new()
                    .with_some("min", ports.range.map(|(min, _)| min))
                    .with_some("max", ports.range.map(|(_, max)| max))
                    .with("used", ports.used)
                    .with("used_pct", format!("{share:.2}"))
                    .with("free", ports.free())
                    .with("totals", ports.size);
                let entry = Dictionary::new()
                    .with("name", interface.name.clone())
                    .with("address", address.bound.to_string())
                    .with("ports", ports)
                    .with("packets_lost", media.lost)
                    .with("duplicates", media.duplicates)
                    .with("voip_metrics", averages(&Figure::ALL, &media))
                    .with("ingress", counter(media.rtp_in.plus(media.rtcp_in)))
                    .with("egress", counter(media.rtp_out.plus(media.rtcp_out)));
                list.push(entry.into());
            }
        }
        list
    }

    fn poller_threads(&self) -> Vec<Value<'static>> {
        let threads = self.workers.iter().enumerate().map(|(index, worker)| {
            Dictionary::new()
                .with("index", index)
                .with("pid", std::process::id())
                .with("wakeups", worker.net.wakeups)
                .with("items", worker.net.received)
                .into()
        });
        threads.collect()
    }
}

fn transcoders(sum: &WorkerCounters) -> Vec<Value<'static>> {
    let mut chains: Vec<_> = sum
        .chains
        .iter()
        .map(|(chain, counters)| (chain.to_string(), counters))
        .collect();
    chains.sort_by(|(one, _), (other, _)| one.cmp(other));
    let entry = |(chain, counters): (String, &ChainCounters)| {
        Dictionary::new()
            .with("chain", chain)
            .with("num", counters.streams)
            .with("packets", counters.packets)
            .with("bytes", counters.bytes)
            .with("samples", counters.samples)
            .into()
    };
    chains.into_iter().map(entry).collect()
}

fn counter(counter: Counter) -> Dictionary<'static> {
    Dictionary::new()
        .with("packets", counter.packets)
        .with("bytes", counter.bytes)
        .with("errors", counter.errors)
}

/// The sums of some figures, each under its own name.
fn averages(figures: &[Figure], tally: &Tally) -> Dictionary<'static> {
    let mut dictionary = Dictionary::new();
    for figure in figures {
        let (name, samples) = (figure.name(), tally.of(*figure));
        dictionary.push(
            format!("{name}_total").into_bytes(),
            fraction(samples.total),
        );
        dictionary.push(
            format!("{name}2_total").into_bytes(),
            fraction(samples.squares),
        );
        dictionary.push(format!("{name}_samples_total").into_bytes(), samples.count);
        dictionary.push(
            format!("{name}_average").into_bytes(),
            fraction(samples.average()),
        );
        dictionary.push(
            format!("{name}_stddev").into_bytes(),
            fraction(samples.deviation()),
        );
    }
    dictionary
}

fn fraction(value: f64) -> String {
    format!("{value:.6}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use ng_protocol::Encoding;
    use relay_call::Samples;

    use super::super::ControlCounters;
    use super::super::control::MOST_PROXIES;
    use super::super::exposition::tests::chain;
    use super::*;
    use crate::config::{Config, Limits};
    use crate::metrics::ProcessFigures;
    use crate::recording::RecordingFigures;
    use crate::worker::ports::PortFigures;

    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn statistics(control: &ControlCounters, workers: &[WorkerCounters]) -> Response {
        Snapshot {
            uptime: Duration::from_secs(1818),
            sessions: 3,
            control,
            workers,
            interfaces: &Config::on(PROXY).interfaces,
            limits: Limits::default(),
            process: ProcessFigures::default(),
            recordings: RecordingFigures::default(),
        }
        .response()
    }

    /// The value at a path of keys; a number in the path is an index.
    fn at(response: &Response, path: &str) -> String {
        let mut value = response.body().get("statistics").cloned().unwrap();
        for step in path.split('/') {
            value = match (&value, step.parse::<usize>()) {
                (Value::List(items), Ok(index)) => items[index].clone(),
                (Value::Dictionary(dictionary), _) => dictionary
                    .get(step)
                    .unwrap_or_else(|| panic!("no {step} in {path}"))
                    .clone(),
                _ => panic!("{path} ends before {step}"),
            };
        }
        match value {
            Value::Integer(number) => number.to_string(),
            other => other.as_str().unwrap().to_owned(),
        }
    }

    #[test]
    fn the_names_are_those_that_monitoring_reads() {
        let mut control = ControlCounters::default();
        control.note(PROXY, Command::Offer, Duration::from_millis(2), false);
        control.note(PROXY, Command::Offer, Duration::from_millis(3), true);
        let mut worker = WorkerCounters::default();
        worker.ended.insert(EndReason::Terminated, 2);
        worker.ended.insert(EndReason::Refused, 5);
        worker.call_seconds = 8.0;
        worker.call_seconds_squared = 34.0;
        worker.ports.push(PortFigures {
            interface: None,
            ports: 30_000..=30_999,
            size: 1000,
            used: HashMap::from([(PROXY, 63)]),
        });
        let mut media = Tally::default();
        media.rtp_in.packets = 5;
        media.rtcp_in.packets = 2;
        media.lost = 4;
        media.samples[Figure::Mos as usize] = Samples {
            total: 8.0,
            squares: 34.0,
            count: 2,
        };
        let place = Place {
            interface: "default".into(),
            address: PROXY,
        };
        worker.media.insert(place, media);
        worker.chains.insert(
            chain(),
            ChainCounters {
                streams: 2,
                packets: 7,
                ..ChainCounters::default()
            },
        );
        worker.heard_sections = 6;
        let response = statistics(&control, &[worker]);
        for (path, value) in [
            ("currentstatistics/sessionsown", "3"),
            ("currentstatistics/media_kernel", "0"),
            ("totalstatistics/uptime", "1818"),
            ("totalstatistics/managedsessions", "2"),
            ("totalstatistics/relayedpackets", "7"),
            ("totalstatistics/avgcallduration", "4.000000"),
            ("totalstatistics/totalcallsduration_stddev", "1.000000"),
            ("currentstatistics/media_userspace", "6"),
            ("mos/mos_average", "4.000000"),
            ("mos/mos_stddev", "1.000000"),
            ("voip_metrics/packets_lost", "4"),
            ("interfaces/0/ingress/packets", "7"),
            ("interfaces/0/voip_metrics/mos_samples_total", "2"),
            ("voip_metrics/rtt_e2e_samples_total", "0"),
            ("controlstatistics/proxies/0/proxy", "127.0.0.1"),
            ("controlstatistics/proxies/0/offercount", "2"),
            ("controlstatistics/proxies/0/offerduration", "0.005000"),
            ("controlstatistics/proxies/0/errorcount", "1"),
            ("controlstatistics/totaloffercount", "2"),
            ("controlstatistics/totalunblkdtmfcount", "0"),
            ("interfaces/0/name", "default"),
            ("interfaces/0/ports/used_pct", "6.30"),
            ("interfaces/0/ports/free", "937"),
            ("interfaces/0/ports/min", "30000"),
            ("interfaces/0/ports/max", "30999"),
            ("currentstatistics/transcodedmedia", "2"),
            ("transcoders/0/chain", "opus/48000/2 -> PCMA/8000"),
            ("transcoders/0/num", "2"),
            ("transcoders/0/packets", "7"),
        ] {
            assert_eq!(at(&response, path), value, "{path}");
        }
    }

    #[test]
    fn the_reply_fits_into_a_datagram_with_many_proxies() {
        let mut control = ControlCounters::default();
        for number in 0..100_000u32 {
            let stranger = IpAddr::from(Ipv4Addr::from(number));
            control.note(stranger, Command::Ping, Duration::ZERO, false);
        }
        assert_eq!(control.proxies.len(), MOST_PROXIES + 1);
        assert_eq!(
            at(
                &statistics(&control, &[]),
                "controlstatistics/totalpingcount"
            ),
            "100000"
        );
        let mut few = ControlCounters::default();
        for number in 0..20u32 {
            few.note(
                Ipv4Addr::from(number).into(),
                Command::Ping,
                Duration::ZERO,
                false,
            );
        }
        let reply = statistics(&few, &[]).to_datagram(b"cookie", Encoding::Bencode);
        assert!(reply.len() < 60_000, "{}", reply.len());
    }
}
