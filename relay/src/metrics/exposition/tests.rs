use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use relay_call::{CallDirection, Chain, KeyWay, Silence};
use relay_media::{AudioFormat, Codec};

use super::*;
use crate::config::{Config, Interface, MediaAddress};
use crate::metrics::ControlCounters;
use crate::recording::RecordingFigures;
use crate::worker::counters::ChainCounters;
use crate::worker::meta_limits::MetaLimit;
use crate::worker::ports::PortFigures;
use crate::worker::trunks::TrunkCalls;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// From WhatsApp to a PBX.
pub(in super::super) fn chain() -> Chain {
    let format = |codec, clock_hz, channels| AudioFormat {
        codec,
        clock_hz,
        channels,
    };
    Chain {
        from: format(Codec::Opus, 48_000, 2),
        to: format(Codec::Pcma, 8_000, 1),
    }
}

fn place(interface: &str) -> Place {
    Place {
        interface: interface.into(),
        address: PROXY,
    }
}

/// A page as a strict reader of the text format sees it: samples by name and labels.
#[derive(Debug, Default)]
struct Read {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

/// Reads a page by the rules of Prometheus' text format 0.0.4: one HELP and one TYPE before the samples of a family, which
/// stand together; no sample twice; buckets that grow up to `+Inf`, which is the count.
fn read(page: &str) -> Read {
    let mut read = Read::default();
    let mut helped = BTreeSet::new();
    let mut current = String::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let before = read.kinds.insert(name.to_owned(), kind.to_owned());
            assert!(before.is_none() && helped.contains(name), "{line}");
            current = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, pairs_of(labels.strip_suffix('}').unwrap())),
                None => (series, Vec::new()),
            };
            let suffix = name
                .strip_prefix(&current)
                .unwrap_or_else(|| panic!("{line} in {current}"));
            let suffixes: &[&str] = if read.kinds[&current] == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            assert!(suffixes.contains(&suffix), "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(
                read.samples
                    .insert((name.to_owned(), labels), value)
                    .is_none(),
                "twice: {line}"
            );
        }
    }
    read.check_histograms();
    read
}

fn pairs_of(mut text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{name}"
        );
        let (value, rest) = rest.split_once('"').unwrap();
        assert!(!value.contains(['\\', '\n']), "{value}");
        pairs.push((name.to_owned(), value.to_owned()));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    pairs
}

impl Read {
    fn check_histograms(&self) {
        for (family, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let bucket = format!("{family}_bucket");
            for ((name, labels), count) in &self.samples {
                if *name != format!("{family}_count") {
                    continue;
                }
                let mut buckets: Vec<(f64, f64)> = Vec::new();
                for ((name, these), value) in &self.samples {
                    let (bounds, others): (Vec<_>, Vec<_>) =
                        these.iter().cloned().partition(|(n, _)| n == "le");
                    if *name == bucket && others == *labels {
                        buckets.push((bounds[0].1.parse().unwrap(), *value));
                    }
                }
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{family}");
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{family}");
            }
        }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<(String, String)> = labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        *self
            .samples
            .get(&(name.to_owned(), labels))
            .unwrap_or_else(|| panic!("no {name}"))
    }
}

fn page(control: &ControlCounters, workers: &[WorkerCounters]) -> String {
    page_of(control, workers, &Config::on(PROXY).interfaces)
}

fn page_of(
    control: &ControlCounters,
    workers: &[WorkerCounters],
    interfaces: &[Interface],
) -> String {
    prometheus_text(&Snapshot {
        uptime: Duration::from_millis(1_818_700),
        sessions: 3,
        control,
        workers,
        interfaces,
        limits: Limits {
            sessions: Some(500),
            ..Limits::default()
        },
        process: ProcessFigures::now(),
        recordings: RecordingFigures {
            running: 1,
            packets: 2,
            failed: 3,
            lost: 4,
        },
    })
}

/// Counters in which everything has happened at least once.
fn busy() -> (ControlCounters, WorkerCounters) {
    let mut control = ControlCounters {
        rejected: 4,
        late: 1,
        ..ControlCounters::default()
    };
    control.note(PROXY, Command::Offer, Duration::from_millis(2), false);
    control.note(PROXY, Command::Offer, Duration::from_millis(3), true);
    let mut worker = WorkerCounters {
        calls_created: 9,
        ..WorkerCounters::default()
    };
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
    let counters = ChainCounters {
        streams: 1,
        calls: 2,
        packets: 3,
        bytes: 4,
        samples: 5,
    };
    worker.chains.insert(chain(), counters);
    let mut media = Tally::default();
    media.rtp_in.packets = 5;
    media.rtcp_in.packets = 2;
    media.lost = 3;
    media.samples[Figure::RttLeg as usize].total = 1500.5;
    worker.media.insert(place("default"), media);
    worker.net.received = 9;
    worker.drops[DropReason::GateClosed as usize] = 6;
    let trunk = worker.trunks.of_mut("default");
    trunk.first_encrypted.note(Duration::from_millis(90));
    trunk.calls[CallDirection::UserInitiated as usize] = TrunkCalls {
        ringing: 1,
        talking: 2,
        offered_ever: 9,
        answered_ever: 8,
    };
    trunk.mos.note_value(4.2);
    trunk.silent[Silence::DtlsUnfinished as usize] = 3;
    trunk.at_risk[MetaLimit::FirstPacket as usize] = 4;
    trunk.keys[KeyWay::InBand as usize] = 5;
    worker.busy = Duration::from_millis(1500);
    (control, worker)
}

#[test]
fn a_strict_reader_finds_what_was_counted() {
    let (control, worker) = busy();
    let read = read(&page(&control, &[worker.clone(), worker]));
    for (name, labels, value) in [
        ("rtpengine_sessions", &[("type", "own")][..], 3.0),
        ("rtpengine_sessions", &[("type", "foreign")], 0.0),
        ("rtpengine_uptime_seconds", &[], 1818.0),
        ("rtpengine_sessions_total", &[], 4.0),
        (
            "rtpengine_closed_sessions_total",
            &[("reason", "rejected")],
            4.0,
        ),
        (
            "rtpengine_closed_sessions_total",
            &[("reason", "terminated")],
            4.0,
        ),
        ("rtpengine_call_duration_avg", &[], 4.0),
        ("rtpengine_packets_total", &[("type", "kernel")], 0.0),
        ("rtpengine_packets_total", &[("type", "userspace")], 14.0),
        ("rtpengine_packets_lost", &[], 6.0),
        ("rtpengine_rtt_dsct_total", &[], 3001.0),
        (
            "rtpengine_interface_rtt_dsct_total",
            &[("name", "default"), ("address", "127.0.0.1")],
            3001.0,
        ),
        (
            "rtpengine_interface_packets",
            &[
                ("name", "default"),
                ("address", "127.0.0.1"),
                ("direction", "ingress"),
            ],
            14.0,
        ),
        (
            "tandem_datagrams_total",
            &[("worker", "0"), ("direction", "received")],
            9.0,
        ),
        (
            "rtpengine_requests_total",
            &[("proxy", "127.0.0.1"), ("request", "offer")],
            2.0,
        ),
        (
            "rtpengine_requests_total",
            &[("proxy", "127.0.0.1"), ("request", "block DTMF")],
            0.0,
        ),
        (
            "rtpengine_request_seconds_total",
            &[("proxy", "127.0.0.1"), ("request", "offer")],
            0.005,
        ),
        ("rtpengine_errors_total", &[("proxy", "127.0.0.1")], 1.0),
        (
            "rtpengine_ports_used",
            &[("name", "default"), ("address", "127.0.0.1")],
            126.0,
        ),
        (
            "rtpengine_ports",
            &[("name", "default"), ("address", "127.0.0.1")],
            2000.0,
        ),
        (
            "tandem_calls",
            &[
                ("state", "offered"),
                ("direction", "user_initiated"),
                ("interface", "default"),
            ],
            2.0,
        ),
        (
            "tandem_calls",
            &[
                ("state", "answered"),
                ("direction", "user_initiated"),
                ("interface", "default"),
            ],
            4.0,
        ),
        (
            "tandem_calls_offered_total",
            &[("direction", "user_initiated"), ("interface", "default")],
            18.0,
        ),
        (
            "tandem_calls_answered_total",
            &[("direction", "user_initiated"), ("interface", "default")],
            16.0,
        ),
        (
            "tandem_calls_answered_total",
            &[
                ("direction", "business_initiated"),
                ("interface", "default"),
            ],
            0.0,
        ),
        (
            "tandem_call_mos_bucket",
            &[("interface", "default"), ("le", "4.2")],
            2.0,
        ),
        (
            "tandem_call_mos_bucket",
            &[("interface", "default"), ("le", "4.1")],
            0.0,
        ),
        (
            "tandem_no_media_total",
            &[("cause", "dtls_not_completed"), ("interface", "default")],
            6.0,
        ),
        (
            "tandem_calls_at_risk_total",
            &[("limit", "20s"), ("interface", "default")],
            8.0,
        ),
        (
            "tandem_dtmf_total",
            &[("way", "in_band"), ("interface", "default")],
            10.0,
        ),
        ("tandem_limit", &[("limit", "sessions")], 500.0),
        ("tandem_limit", &[("limit", "cpu")], f64::INFINITY),
        ("tandem_drops_total", &[("reason", "gate_closed")], 12.0),
        (
            "tandem_first_packet_seconds_bucket",
            &[
                ("interface", "default"),
                ("leg", "encrypted"),
                ("le", "0.1"),
            ],
            2.0,
        ),
        (
            "tandem_first_packet_seconds_bucket",
            &[
                ("interface", "default"),
                ("leg", "encrypted"),
                ("le", "0.05"),
            ],
            0.0,
        ),
        (
            "tandem_request_duration_seconds_count",
            &[("request", "offer"), ("result", "error")],
            1.0,
        ),
        (
            "tandem_request_duration_seconds_count",
            &[("request", "answer"), ("result", "error")],
            0.0,
        ),
        ("rtpengine_transcoded_media", &[], 2.0),
        (
            "rtpengine_transcoders",
            &[("chain", "opus/48000/2 -> PCMA/8000")],
            2.0,
        ),
        (
            "tandem_transcoded_calls_total",
            &[("chain", "opus/48000/2 -> PCMA/8000")],
            4.0,
        ),
        ("tandem_control_problems_total", &[("problem", "late")], 1.0),
        ("tandem_worker_busy_seconds_total", &[("worker", "1")], 1.5),
    ] {
        assert_eq!(read.value(name, labels), value, "{name} {labels:?}");
    }
}

#[test]
fn the_first_refusal_is_a_step_from_zero() {
    let read = read(&page(&ControlCounters::default(), &[]));
    for (request, result) in [("offer", "error"), ("answer", "error"), ("delete", "ok")] {
        let labels = [("request", request), ("result", result)];
        assert_eq!(
            read.value("tandem_request_duration_seconds_count", &labels),
            0.0
        );
    }
}

#[test]
fn interfaces_on_one_address_have_figures_of_their_own() {
    let interface = |name: &str| Interface {
        name: name.to_owned(),
        aliases: Vec::new(),
        addresses: vec![MediaAddress {
            bound: PROXY,
            advertised: PROXY,
        }],
        ports: None,
        excluded_ports: Vec::new(),
    };
    let mut worker = WorkerCounters::default();
    for (name, packets) in [("pub", 7), ("priv", 9)] {
        let mut tally = Tally::default();
        tally.rtp_in.packets = packets;
        worker.media.insert(place(name), tally);
    }
    for (name, ports, size, used) in [
        (None, 30_000..=30_999, 1000, 63),
        (Some("pub"), 50_000..=50_009, 10, 8),
    ] {
        worker.ports.push(PortFigures {
            interface: name.map(str::to_owned),
            ports,
            size,
            used: HashMap::from([(PROXY, used)]),
        });
    }
    let interfaces = [interface("pub"), interface("priv"), interface("late")];
    let read = read(&page_of(
        &ControlCounters::default(),
        &[worker],
        &interfaces,
    ));
    for (name, packets, size, used) in [
        ("pub", 7.0, 10.0, 8.0),
        ("priv", 9.0, 1000.0, 63.0),
        ("late", 0.0, 1000.0, 63.0),
    ] {
        let labels = [("name", name), ("address", "127.0.0.1")];
        assert_eq!(read.value("rtpengine_ports", &labels), size, "{name}");
        assert_eq!(read.value("rtpengine_ports_used", &labels), used, "{name}");
        assert_eq!(read.value("rtpengine_ports_free", &labels), size - used);
        let labels = [labels[0], labels[1], ("direction", "ingress")];
        let counted = read.value("rtpengine_interface_packets", &labels);
        assert_eq!(counted, packets, "{name}");
    }
}

#[test]
fn every_metric_of_the_catalogue_is_on_the_page() {
    let (control, worker) = busy();
    let read = read(&page(&control, &[worker]));
    for metric in METRICS {
        assert!(read.kinds.contains_key(metric.name), "{}", metric.name);
    }
    assert_eq!(read.kinds.len(), METRICS.len());
}

/// What rtpengine 10.5 prints during a call, with other figures.
const RTPENGINE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/data/metrics/rtpengine-10.5.prom"
));

#[test]
fn whatever_rtpengine_prints_is_there_under_the_same_name_with_the_same_labels_and_sentence() {
    let (control, worker) = busy();
    let ours = page(&control, &[worker]);
    let read = read(&ours);
    let mut compared = 0;
    for line in RTPENGINE.lines() {
        if line.starts_with('#') {
            assert!(ours.lines().any(|own| own == line), "{line}");
        } else {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = pairs_of(labels.strip_suffix('}').unwrap());
            assert!(
                read.samples.contains_key(&(name.to_owned(), labels)),
                "{line}"
            );
            compared += 1;
        }
    }
    assert!(compared > 70, "{compared}");
}
