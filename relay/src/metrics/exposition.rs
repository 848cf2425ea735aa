//! The page that Prometheus reads.

use ng_protocol::Command;
use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as Distribution, LabelPair, Metric as Sample, MetricFamily,
    MetricType,
};
use relay_call::{EndReason, Figure, Place, Tally};
use relay_net::Tier;
use relay_packet::DropReason;
use tracing::error;

use super::catalogue::{self as names, Kind, METRICS, Metric};
use super::{Histogram, ProcessFigures, Snapshot, per};
use crate::config::Limits;
use crate::recording::RecordingFigures;
use crate::worker::counters::WorkerCounters;

mod trunks;

/// Everything in the text format of Prometheus.
pub fn prometheus_text(snapshot: &Snapshot<'_>) -> String {
    let sum = snapshot.sum();
    let mut page = Page::default();
    page.calls(snapshot, &sum);
    page.quality(&sum.media_sum());
    page.transcoding(&sum);
    page.control(snapshot);
    page.interfaces(snapshot, &sum);
    page.set_up(&sum);
    page.trunks(snapshot, &sum);
    page.limits(&snapshot.limits);
    page.recordings(&snapshot.recordings);
    page.data_path(&sum);
    page.workers(snapshot.workers);
    page.process(&snapshot.process);
    page.into_text()
}

/// The samples so far, one family for each metric of the catalogue.
struct Page {
    families: Vec<Vec<Sample>>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            families: vec![Vec::new(); METRICS.len()],
        }
    }
}

impl Page {
    fn calls(&mut self, snapshot: &Snapshot<'_>, sum: &WorkerCounters) {
        let managed = sum.managed();
        let media = sum.media_in();
        self.count(names::MEDIA_STREAMS, &["userspace"], sum.heard_sections);
        self.count(names::MEDIA_STREAMS, &["kernel"], 0);
        self.count(names::MEDIA_STREAMS, &["mixed"], 0);
        self.put(names::SESSIONS, &["own"], snapshot.sessions as f64);
        self.put(names::SESSIONS, &["foreign"], 0.0);
        self.count(names::TRANSCODED_MEDIA, &[], sum.transcoded_streams());
        self.put(names::MEDIA_CACHE, &[], 0.0);
        self.put(names::PLAYER_CACHE, &[], 0.0);
        self.put(names::UPTIME, &[], snapshot.uptime.as_secs() as f64);
        self.count(names::SESSIONS_TOTAL, &[], managed);
        self.count(
            names::CLOSED_SESSIONS,
            &["rejected"],
            snapshot.control.rejected,
        );
        for reason in [
            EndReason::Timeout,
            EndReason::SilentTimeout,
            EndReason::FinalTimeout,
            EndReason::OfferTimeout,
            EndReason::Terminated,
            EndReason::ForceTerminated,
        ] {
            self.count(
                names::CLOSED_SESSIONS,
                &[reason.label()],
                sum.ended_by(reason),
            );
        }
        for (metric, value) in [
            (names::PACKETS, media.packets),
            (names::PACKET_ERRORS, sum.errors()),
            (names::BYTES, media.bytes),
        ] {
            self.count(metric, &["userspace"], value);
            self.count(metric, &["kernel"], 0);
        }
        self.count(names::ZERO_PACKET_STREAMS, &[], sum.unheard);
        self.count(names::ONE_WAY_SESSIONS, &[], sum.heard_one_way);
        self.put(
            names::CALL_DURATION_AVG,
            &[],
            per(sum.call_seconds, managed),
        );
        self.put(names::CALL_DURATION, &[], sum.call_seconds);
        self.put(names::CALL_DURATION2, &[], sum.call_seconds_squared);
        let commit = option_env!("TANDEM_COMMIT").unwrap_or("unknown");
        self.put(names::BUILD, &[env!("CARGO_PKG_VERSION"), commit], 1.0);
        self.count(names::CALLS_CREATED, &[], sum.calls_created);
        self.count(names::CALLS_ABANDONED, &[], sum.abandoned);
    }

    fn control(&mut self, snapshot: &Snapshot<'_>) {
        let control = snapshot.control;
        for (proxy, counters) in control.by_proxy() {
            for command in Command::all() {
                let (count, took) = counters.of(command);
                let labels = [proxy.as_str(), command.name()];
                self.count(names::REQUESTS, &labels, count);
                self.put(names::REQUEST_SECONDS, &labels, took.as_secs_f64());
            }
            self.count(names::ERRORS, &[&proxy], counters.errors);
        }
        for (command, [served, refused]) in control.durations() {
            self.spread(names::REQUEST_DURATION, &[command, "ok"], &served);
            self.spread(names::REQUEST_DURATION, &[command, "error"], &refused);
        }
        for (problem, count) in [
            ("undelivered", control.undelivered),
            ("late", control.late),
            ("undecodable", control.undecodable),
            ("no_cookie", control.no_cookie),
            ("broken_connection", control.broken_connections),
            ("refused_connection", control.refused_connections),
        ] {
            self.count(names::CONTROL_PROBLEMS, &[problem], count);
        }
    }

    fn quality(&mut self, sum: &Tally) {
        self.samples(&names::FIGURES, &[], sum);
        for (metric, value) in [
            (names::PACKETS_LOST, sum.lost),
            (names::DUPLICATES, sum.duplicates),
            (names::SKIPS, sum.skips),
            (names::SEQ_RESETS, sum.restarts),
            (names::REORDERED, sum.reordered),
        ] {
            self.count(metric, &[], value);
        }
    }

    fn samples(&mut self, metrics: &[[&'static Metric; 3]; 6], labels: &[&str], sum: &Tally) {
        for (figure, [total, squares, count]) in Figure::ALL.into_iter().zip(metrics) {
            let samples = sum.of(figure);
            self.put(total, labels, samples.total);
            self.put(squares, labels, samples.squares);
            self.count(count, labels, samples.count);
        }
    }

    fn transcoding(&mut self, sum: &WorkerCounters) {
        for (chain, counters) in &sum.chains {
            let chain = chain.to_string();
            let labels = [chain.as_str()];
            self.count(names::TRANSCODERS, &labels, counters.streams);
            self.count(names::TRANSCODED_PACKETS, &labels, counters.packets);
            self.count(names::TRANSCODED_BYTES, &labels, counters.bytes);
            self.count(names::TRANSCODED_SAMPLES, &labels, counters.samples);
            self.count(names::TRANSCODED_CALLS, &labels, counters.calls);
        }
    }

    fn interfaces(&mut self, snapshot: &Snapshot<'_>, sum: &WorkerCounters) {
        for interface in snapshot.interfaces {
            for address in &interface.addresses {
                let ports = sum.ports_of(&interface.name, address.bound);
                let place = Place {
                    interface: interface.name.as_str().into(),
                    address: address.bound,
                };
                let media = sum.media.get(&place).copied().unwrap_or_default();
                let address = address.bound.to_string();
                let labels = [interface.name.as_str(), address.as_str()];
                self.count(names::PORTS_USED, &labels, ports.used as u64);
                self.count(names::PORTS_FREE, &labels, ports.free() as u64);
                self.count(names::PORTS, &labels, ports.size as u64);
                self.samples(&names::INTERFACE_FIGURES, &labels, &media);
                self.count(names::INTERFACE_PACKETS_LOST, &labels, media.lost);
                self.count(names::INTERFACE_DUPLICATES, &labels, media.duplicates);
                for (direction, counter) in [
                    ("ingress", media.rtp_in.plus(media.rtcp_in)),
                    ("egress", media.rtp_out.plus(media.rtcp_out)),
                ] {
                    let labels = [labels[0], labels[1], direction];
                    self.count(names::INTERFACE_PACKETS, &labels, counter.packets);
                    self.count(names::INTERFACE_BYTES, &labels, counter.bytes);
                    self.count(names::INTERFACE_ERRORS, &labels, counter.errors);
                }
            }
        }
    }

    fn set_up(&mut self, sum: &WorkerCounters) {
        for failure in relay_call::Failure::ALL {
            let count = sum.failures.get(&failure).copied().unwrap_or(0);
            self.count(names::FAILURES, &[failure.label()], count);
        }
        for (reason, count) in DropReason::ALL.into_iter().zip(sum.drops) {
            self.count(names::DROPS, &[reason.label()], count);
        }
        self.put(names::CLIPPED_SECONDS, &[], sum.clipped.as_secs_f64());
    }

    fn limits(&mut self, limits: &Limits) {
        let sessions = limits.sessions.map(|most| most as f64);
        let bandwidth = limits.bandwidth.map(|most| most as f64);
        for (limit, most) in [
            ("sessions", sessions),
            ("load", limits.load),
            ("cpu", limits.cpu),
            ("bandwidth", bandwidth),
        ] {
            self.put(names::LIMITS, &[limit], most.unwrap_or(f64::INFINITY));
        }
    }

    fn process(&mut self, process: &ProcessFigures) {
        for (metric, value) in [
            (names::PROCESS_CPU, process.cpu_seconds),
            (names::PROCESS_RESIDENT, process.resident_bytes),
            (names::PROCESS_VIRTUAL, process.virtual_bytes),
            (names::PROCESS_FDS, process.open_fds),
            (names::PROCESS_MAX_FDS, process.max_fds),
            (names::PROCESS_THREADS, process.threads),
            (names::PROCESS_START, process.start_seconds),
        ] {
            if let Some(value) = value {
                self.put(metric, &[], value);
            }
        }
    }

    fn recordings(&mut self, figures: &RecordingFigures) {
        self.count(names::RECORDINGS, &[], figures.running);
        self.count(names::RECORDED_PACKETS, &[], figures.packets);
        self.count(names::RECORDING_PROBLEMS, &["file"], figures.failed);
        self.count(names::RECORDING_PROBLEMS, &["lost"], figures.lost);
    }

    fn data_path(&mut self, sum: &WorkerCounters) {
        for tier in Tier::ALL {
            let used = sum.tier == Some(tier);
            self.count(names::DATA_PATH, &[tier.name()], u64::from(used));
        }
    }

    fn workers(&mut self, workers: &[WorkerCounters]) {
        for (number, worker) in workers.iter().enumerate() {
            let number = number.to_string();
            let number = number.as_str();
            let net = &worker.net;
            self.count(names::WORKER_CALLS, &[number], worker.calls);
            self.put(names::WORKER_BUSY, &[number], worker.busy.as_secs_f64());
            self.count(names::WORKER_ROUNDS, &[number], net.wakeups);
            self.count(names::WORKER_NAPS, &[number], net.naps);
            self.spread(names::WORKER_ROUND_SECONDS, &[number], &worker.rounds);
            for (detour, count) in [
                ("beside_hub", net.beside_hub),
                ("retried", net.send_retried),
                ("flooded", net.flooded),
            ] {
                self.count(names::DATA_PATH_DETOURS, &[number, detour], count);
            }
            let kernel = &worker.kernel;
            self.count(names::KERNEL_STREAMS, &[number], kernel.streams);
            self.count(names::KERNEL_PACKETS, &[number], kernel.packets);
            for (change, count) in [
                ("begun", kernel.begun),
                ("returned", kernel.begun - kernel.streams),
                ("refused", kernel.refused),
            ] {
                self.count(names::KERNEL_CHANGES, &[number, change], count);
            }
            for (direction, datagrams, bytes) in [
                ("received", net.received, net.received_bytes),
                ("sent", net.sent, net.sent_bytes),
            ] {
                self.count(names::DATAGRAMS, &[number, direction], datagrams);
                self.count(names::DATAGRAM_BYTES, &[number, direction], bytes);
            }
            for (error, count) in [
                ("oversized", net.oversized),
                ("receive", net.receive_errors),
                ("overflowed", net.overflowed),
                ("unclaimed", net.unclaimed),
                ("send", net.send_failed),
                ("closed", net.send_closed),
            ] {
                self.count(names::DATAGRAM_ERRORS, &[number, error], count);
            }
        }
    }

    fn count(&mut self, metric: &'static Metric, labels: &[&str], value: u64) {
        self.put(metric, labels, value as f64);
    }

    fn put(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let mut sample = Sample::from_label(pairs(metric, labels));
        if metric.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.add(metric, sample);
    }

    fn spread(&mut self, metric: &'static Metric, labels: &[&str], histogram: &Histogram) {
        let buckets = histogram.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut distribution = Distribution::default();
        distribution.set_bucket(buckets.collect());
        distribution.set_sample_count(histogram.count());
        distribution.set_sample_sum(histogram.sum());
        let mut sample = Sample::from_label(pairs(metric, labels));
        sample.set_histogram(distribution);
        self.add(metric, sample);
    }

    fn add(&mut self, metric: &'static Metric, sample: Sample) {
        let position = METRICS.iter().position(|known| known.name == metric.name);
        if let Some(family) = position.and_then(|position| self.families.get_mut(position)) {
            family.push(sample);
        }
    }

    fn into_text(self) -> String {
        let families: Vec<MetricFamily> = METRICS
            .iter()
            .zip(self.families)
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(metric, samples)| {
                let mut family = MetricFamily::default();
                family.set_name(metric.name.to_owned());
                family.set_help(metric.help.to_owned());
                family.set_field_type(match metric.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                    Kind::Histogram => MetricType::HISTOGRAM,
                });
                family.set_metric(samples);
                family
            })
            .collect();
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|problem| {
                // It refuses families without samples and without names, and there are none.
                error!("metrics cannot be written: {problem}");
                String::new()
            })
    }
}

fn pairs(metric: &Metric, values: &[&str]) -> Vec<LabelPair> {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    metric.labels.iter().zip(values).map(pair).collect()
}

#[cfg(test)]
pub(super) mod tests;
