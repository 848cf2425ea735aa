//! Every metric there is: its name, its labels, its sentence.
//!
//! The page that Prometheus reads and `docs/metrics.md` are both made from this table, so neither can forget the other.
//! The names under `rtpengine_` are those of the relay we stand in for, with its labels and, where it has one, its sentence;
//! what has no meaning here (kernel, foreign calls) is there with the value zero, so that no dashboard goes empty.

use std::fmt::Write;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only upwards.
    Counter,
    /// Up and down.
    Gauge,
    /// Values by size.
    Histogram,
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The names of its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: &Metric = &Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them, in the order of the page.
        pub const METRICS: &[&Metric] = &[$($id),*];
    };
}

metrics! {
    SESSIONS: Gauge "rtpengine_sessions" ["type"] "Owned sessions";
    TRANSCODED_MEDIA: Gauge "rtpengine_transcoded_media" [] "Transcoded media";
    MEDIA_CACHE: Gauge "rtpengine_media_cache" [] "Media files kept in memory";
    PLAYER_CACHE: Gauge "rtpengine_player_cache" [] "Media players kept in memory";
    MEDIA_STREAMS: Gauge "rtpengine_mediastreams" ["type"] "Userspace-only media streams";
    UPTIME: Gauge "rtpengine_uptime_seconds" [] "Uptime of rtpengine";
    SESSIONS_TOTAL: Counter "rtpengine_sessions_total" [] "Total managed sessions";
    CLOSED_SESSIONS: Counter "rtpengine_closed_sessions_total" ["reason"] "Total rejected sessions";
    PACKETS: Counter "rtpengine_packets_total" ["type"] "Total relayed packets (userspace)";
    PACKET_ERRORS: Counter "rtpengine_packet_errors_total" ["type"] "Total relayed packet errors (userspace)";
    BYTES: Counter "rtpengine_bytes_total" ["type"] "Total relayed bytes (userspace)";
    ZERO_PACKET_STREAMS: Counter "rtpengine_zero_packet_streams_total" [] "Total number of streams with no relayed packets";
    ONE_WAY_SESSIONS: Counter "rtpengine_one_way_sessions_total" [] "Total number of 1-way streams";
    CALL_DURATION_AVG: Gauge "rtpengine_call_duration_avg" [] "Average call duration";
    CALL_DURATION: Counter "rtpengine_call_duration_total" [] "Total calls duration";
    CALL_DURATION2: Counter "rtpengine_call_duration2_total" [] "Total calls duration squared";
    MOS: Counter "rtpengine_mos_total" [] "Sum of all MOS values sampled";
    MOS2: Counter "rtpengine_mos2_total" [] "Sum of all MOS square values sampled";
    MOS_SAMPLES: Counter "rtpengine_mos_samples_total" [] "Total number of MOS samples";
    JITTER: Counter "rtpengine_jitter_total" [] "Sum of all reported jitter values (ms) sampled";
    JITTER2: Counter "rtpengine_jitter2_total" [] "Sum of all reported jitter square values sampled";
    JITTER_SAMPLES: Counter "rtpengine_jitter_samples_total" [] "Total number of reported jitter samples";
    RTT_E2E: Counter "rtpengine_rtt_e2e_total" [] "Sum of all end-to-end round trip values (us) sampled";
    RTT_E2E2: Counter "rtpengine_rtt_e2e2_total" [] "Sum of all end-to-end round trip square values sampled";
    RTT_E2E_SAMPLES: Counter "rtpengine_rtt_e2e_samples_total" [] "Total number of end-to-end round trip samples";
    RTT_DSCT: Counter "rtpengine_rtt_dsct_total" [] "Sum of all round trip values of single legs (us) sampled";
    RTT_DSCT2: Counter "rtpengine_rtt_dsct2_total" [] "Sum of all round trip square values of single legs sampled";
    RTT_DSCT_SAMPLES: Counter "rtpengine_rtt_dsct_samples_total" [] "Total number of round trip samples of single legs";
    PACKETLOSS: Counter "rtpengine_packetloss_total" [] "Sum of all packet loss values (percent) sampled";
    PACKETLOSS2: Counter "rtpengine_packetloss2_total" [] "Sum of all packet loss square values sampled";
    PACKETLOSS_SAMPLES: Counter "rtpengine_packetloss_samples_total" [] "Total number of packet loss samples";
    JITTER_MEASURED: Counter "rtpengine_jitter_measured_total" [] "Sum of all measured jitter values (ms) sampled";
    JITTER_MEASURED2: Counter "rtpengine_jitter_measured2_total" [] "Sum of all measured jitter square values sampled";
    JITTER_MEASURED_SAMPLES: Counter "rtpengine_jitter_measured_samples_total" [] "Total number of measured jitter samples";
    PACKETS_LOST: Counter "rtpengine_packets_lost" [] "RTP packets that were sent and did not come";
    DUPLICATES: Counter "rtpengine_rtp_duplicates" [] "RTP packets that came twice";
    SKIPS: Counter "rtpengine_rtp_skips" [] "Gaps in RTP sequence numbers";
    SEQ_RESETS: Counter "rtpengine_rtp_seq_resets" [] "RTP senders that started again with other sequence numbers";
    REORDERED: Counter "rtpengine_rtp_reordered" [] "RTP packets that came after newer ones";
    REQUESTS: Counter "rtpengine_requests_total" ["proxy", "request"] "Requests by proxy and command";
    REQUEST_SECONDS: Counter "rtpengine_request_seconds_total" ["proxy", "request"] "Seconds spent on requests by proxy and command";
    ERRORS: Counter "rtpengine_errors_total" ["proxy"] "Requests that were refused, by proxy";
    PORTS_USED: Gauge "rtpengine_ports_used" ["name", "address"] "Media ports in use";
    PORTS_FREE: Gauge "rtpengine_ports_free" ["name", "address"] "Media ports not in use";
    PORTS: Gauge "rtpengine_ports" ["name", "address"] "Media ports";
    INTERFACE_MOS: Counter "rtpengine_interface_mos_total" ["name", "address"] "Sum of all MOS values sampled, by interface";
    INTERFACE_MOS2: Counter "rtpengine_interface_mos2_total" ["name", "address"] "Sum of all MOS square values sampled, by interface";
    INTERFACE_MOS_SAMPLES: Counter "rtpengine_interface_mos_samples_total" ["name", "address"] "Total number of MOS samples, by interface";
    INTERFACE_JITTER: Counter "rtpengine_interface_jitter_total" ["name", "address"] "Sum of all reported jitter values (ms) sampled, by interface";
    INTERFACE_JITTER2: Counter "rtpengine_interface_jitter2_total" ["name", "address"] "Sum of all reported jitter square values sampled, by interface";
    INTERFACE_JITTER_SAMPLES: Counter "rtpengine_interface_jitter_samples_total" ["name", "address"] "Total number of reported jitter samples, by interface";
    INTERFACE_RTT_E2E: Counter "rtpengine_interface_rtt_e2e_total" ["name", "address"] "Sum of all end-to-end round trip values (us) sampled, by interface";
    INTERFACE_RTT_E2E2: Counter "rtpengine_interface_rtt_e2e2_total" ["name", "address"] "Sum of all end-to-end round trip square values sampled, by interface";
    INTERFACE_RTT_E2E_SAMPLES: Counter "rtpengine_interface_rtt_e2e_samples_total" ["name", "address"] "Total number of end-to-end round trip samples, by interface";
    INTERFACE_RTT_DSCT: Counter "rtpengine_interface_rtt_dsct_total" ["name", "address"] "Sum of all round trip values of single legs (us) sampled, by interface";
    INTERFACE_RTT_DSCT2: Counter "rtpengine_interface_rtt_dsct2_total" ["name", "address"] "Sum of all round trip square values of single legs sampled, by interface";
    INTERFACE_RTT_DSCT_SAMPLES: Counter "rtpengine_interface_rtt_dsct_samples_total" ["name", "address"] "Total number of round trip samples of single legs, by interface";
    INTERFACE_PACKETLOSS: Counter "rtpengine_interface_packetloss_total" ["name", "address"] "Sum of all packet loss values (percent) sampled, by interface";
    INTERFACE_PACKETLOSS2: Counter "rtpengine_interface_packetloss2_total" ["name", "address"] "Sum of all packet loss square values sampled, by interface";
    INTERFACE_PACKETLOSS_SAMPLES: Counter "rtpengine_interface_packetloss_samples_total" ["name", "address"] "Total number of packet loss samples, by interface";
    INTERFACE_JITTER_MEASURED: Counter "rtpengine_interface_jitter_measured_total" ["name", "address"] "Sum of all measured jitter values (ms) sampled, by interface";
    INTERFACE_JITTER_MEASURED2: Counter "rtpengine_interface_jitter_measured2_total" ["name", "address"] "Sum of all measured jitter square values sampled, by interface";
    INTERFACE_JITTER_MEASURED_SAMPLES: Counter "rtpengine_interface_jitter_measured_samples_total" ["name", "address"] "Total number of measured jitter samples, by interface";
    INTERFACE_PACKETS: Counter "rtpengine_interface_packets" ["name", "address", "direction"] "RTP and RTCP packets by interface";
    INTERFACE_BYTES: Counter "rtpengine_interface_bytes" ["name", "address", "direction"] "Their bytes";
    INTERFACE_ERRORS: Counter "rtpengine_interface_errors" ["name", "address", "direction"] "Packets that were refused, by interface";
    INTERFACE_PACKETS_LOST: Counter "rtpengine_interface_packets_lost" ["name", "address"] "RTP packets that were sent and did not come, by interface";
    INTERFACE_DUPLICATES: Counter "rtpengine_interface_duplicates" ["name", "address"] "RTP packets that came twice, by interface";
    TRANSCODERS: Gauge "rtpengine_transcoders" ["chain"] "Streams that are transcoded, by codecs";
    TRANSCODED_PACKETS: Counter "rtpengine_transcode_packets_total" ["chain"] "RTP packets that were transcoded, by codecs";
    TRANSCODED_BYTES: Counter "rtpengine_transcode_bytes_total" ["chain"] "Their payload";
    TRANSCODED_SAMPLES: Counter "rtpengine_transcode_samples_total" ["chain"] "Samples that were made of them";

    BUILD: Gauge "tandem_build_info" ["version", "commit"] "Always 1; the labels say which version runs, and the commit it was made from if whoever built it said so (TANDEM_COMMIT)";
    CALLS: Gauge "tandem_calls" ["state", "direction", "interface"] "Calls by state: offered (not answered yet) or answered; by who called (user_initiated: a WhatsApp user, business_initiated: the business, other: no side can be told for WhatsApp); by the interface towards WhatsApp";
    CALLS_OFFERED: Counter "tandem_calls_offered_total" ["direction", "interface"] "Calls that were offered";
    CALLS_ANSWERED: Counter "tandem_calls_answered_total" ["direction", "interface"] "Calls that were answered";
    CALLS_CREATED: Counter "tandem_calls_created_total" [] "Calls ever made, those included whose first offer failed";
    CALLS_ABANDONED: Counter "tandem_calls_abandoned_total" [] "Calls that a defect of the relay ended; report each";
    FAILURES: Counter "tandem_call_failures_total" ["kind"] "What went wrong inside calls, by kind; the log has a sentence for each";
    DROPS: Counter "tandem_drops_total" ["reason"] "Packets that were not forwarded, by reason";
    ICE_SECONDS: Histogram "tandem_ice_pair_seconds" ["interface"] "From the first ICE check to the nominated pair";
    DTLS_SECONDS: Histogram "tandem_dtls_handshake_seconds" ["interface"] "From the start of the DTLS handshake to the keys";
    FIRST_PACKET_SECONDS: Histogram "tandem_first_packet_seconds" ["interface", "leg"] "From the answer to the first media packet sent to a leg: encrypted (SRTP) or plain";
    NO_MEDIA: Counter "tandem_no_media_total" ["cause", "interface"] "Parties from which nothing had come 5 s after the answer, by cause: no_ice_answer, dtls_not_completed, whatsapp_silent (the encrypted side), pbx_silent (the plain side)";
    AT_RISK: Counter "tandem_calls_at_risk_total" ["limit", "interface"] "Calls that Meta was about to end because nothing left for WhatsApp: 10 s of the 20 s after the answer, or 15 s of the 30 s later on, were over";
    DTMF: Counter "tandem_dtmf_total" ["way", "interface"] "Keys pressed by parties behind an interface: as telephone-event (rfc4733), as a sound in speech (in_band; listened for where one side has events and the other has none), by the proxy (request). Keys in SIP INFO never reach a relay";
    CALL_MOS: Histogram "tandem_call_mos" ["interface"] "Mean opinion score of each call that ended, as judged for the parties behind an interface";
    CALL_LOSS: Histogram "tandem_call_loss_ratio" ["interface"] "Share of lost packets of each call that ended, as its parties reported it; as measured where they report nothing";
    CALL_JITTER: Histogram "tandem_call_jitter_seconds" ["interface"] "Jitter of each call that ended, as measured on the way to us";
    CALL_CLIPPED: Histogram "tandem_call_clipped_seconds" ["interface"] "Audio for each encrypted leg that came before it could be sent and was not kept";
    CLIPPED_SECONDS: Counter "tandem_clipped_audio_seconds_total" [] "Audio that came before it could be sent and was not kept";
    REQUEST_DURATION: Histogram "tandem_request_duration_seconds" ["request", "result"] "From a request to its reply, by command and result (ok or error)";
    CONTROL_PROBLEMS: Counter "tandem_control_problems_total" ["problem"] "Requests that were not served: undelivered (worker overloaded), late (worker too slow), undecodable, no_cookie, broken_connection (a client that broke off or broke the rules), refused_connection (too many at once)";
    WORKER_CALLS: Gauge "tandem_worker_calls" ["worker"] "Calls on each worker";
    WORKER_BUSY: Counter "tandem_worker_busy_seconds_total" ["worker"] "Seconds that each worker was not waiting; its rate is the load";
    WORKER_ROUNDS: Counter "tandem_worker_rounds_total" ["worker"] "Rounds of each worker's loop; datagrams received divided by rounds is the batch";
    WORKER_NAPS: Counter "tandem_worker_naps_total" ["worker"] "Naps taken to let datagrams gather";
    WORKER_ROUND_SECONDS: Histogram "tandem_worker_round_seconds" ["worker"] "From taking a batch of datagrams to having sent what came of it: so late may be what arrived meanwhile";
    DATA_PATH: Gauge "tandem_data_path" ["tier"] "How packets are moved: 1 for the way in use (kernel, hub or per-port), 0 for the others";
    DATA_PATH_DETOURS: Counter "tandem_data_path_detours_total" ["worker", "detour"] "What the hub left to slower ways: beside_hub (datagrams at the socket of a steered port: somebody has detached the program), retried (datagrams that a raw socket refused, sent once more by the socket of their port), flooded (ports that got thousands of datagrams a second, and were left to their own sockets)";
    KERNEL_STREAMS: Gauge "tandem_kernel_path_streams" ["worker"] "Streams that the kernel forwards now; a call has one for each way";
    KERNEL_PACKETS: Counter "tandem_kernel_path_packets_total" ["worker"] "RTP packets that the kernel has forwarded by itself; they are no datagrams of tandem_datagrams_total, and are counted with all others by interface";
    KERNEL_CHANGES: Counter "tandem_kernel_path_changes_total" ["worker", "change"] "Streams that the kernel was given (begun), that came back to the relay since (returned), and that it refused (refused: no route, an interface without Ethernet)";
    DATAGRAMS: Counter "tandem_datagrams_total" ["worker", "direction"] "Datagrams of all kinds (RTP, RTCP, ICE, DTLS) by worker: received or sent";
    DATAGRAM_BYTES: Counter "tandem_datagram_bytes_total" ["worker", "direction"] "Their bytes";
    TRANSCODED_CALLS: Counter "tandem_transcoded_calls_total" ["chain"] "Calls in which speech was transcoded, by codecs; a call has a chain for each way";
    LIMITS: Gauge "tandem_limit" ["limit"] "When new calls are refused, +Inf if never: sessions (0 while the relay is drained), load, cpu in per cent, bandwidth in bytes a second";
    RECORDINGS: Gauge "tandem_recordings" [] "Calls that are being recorded";
    RECORDED_PACKETS: Counter "tandem_recorded_packets_total" [] "Packets written to recordings";
    RECORDING_PROBLEMS: Counter "tandem_recording_problems_total" ["problem"] "What is missing in recordings: file (one that could not be made, written or moved; the log names the first), lost (a packet or description that the disk was too slow for)";
    DATAGRAM_ERRORS: Counter "tandem_datagram_errors_total" ["worker", "error"] "Datagrams that the sockets lost: oversized, receive, overflowed (a hub was full), unclaimed (came for a port that was just closed), send, closed (from a port that was just closed)";

    PROCESS_CPU: Counter "process_cpu_seconds_total" [] "Processor time of the process";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" [] "Memory of the process in RAM";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" [] "Memory of the process that has addresses";
    PROCESS_FDS: Gauge "process_open_fds" [] "Open descriptors; a media port is one";
    PROCESS_MAX_FDS: Gauge "process_max_fds" [] "How many descriptors there may be";
    PROCESS_THREADS: Gauge "process_threads" [] "Threads of the process";
    PROCESS_START: Gauge "process_start_time_seconds" [] "When the process started, in seconds since 1970";
}

/// By [`relay_call::Figure`]: sum, sum of squares, number.
pub(super) const FIGURES: [[&Metric; 3]; 6] = [
    [MOS, MOS2, MOS_SAMPLES],
    [JITTER, JITTER2, JITTER_SAMPLES],
    [RTT_E2E, RTT_E2E2, RTT_E2E_SAMPLES],
    [RTT_DSCT, RTT_DSCT2, RTT_DSCT_SAMPLES],
    [PACKETLOSS, PACKETLOSS2, PACKETLOSS_SAMPLES],
    [JITTER_MEASURED, JITTER_MEASURED2, JITTER_MEASURED_SAMPLES],
];

/// The same by interface.
pub(super) const INTERFACE_FIGURES: [[&Metric; 3]; 6] = [
    [INTERFACE_MOS, INTERFACE_MOS2, INTERFACE_MOS_SAMPLES],
    [
        INTERFACE_JITTER,
        INTERFACE_JITTER2,
        INTERFACE_JITTER_SAMPLES,
    ],
    [
        INTERFACE_RTT_E2E,
        INTERFACE_RTT_E2E2,
        INTERFACE_RTT_E2E_SAMPLES,
    ],
    [
        INTERFACE_RTT_DSCT,
        INTERFACE_RTT_DSCT2,
        INTERFACE_RTT_DSCT_SAMPLES,
    ],
    [
        INTERFACE_PACKETLOSS,
        INTERFACE_PACKETLOSS2,
        INTERFACE_PACKETLOSS_SAMPLES,
    ],
    [
        INTERFACE_JITTER_MEASURED,
        INTERFACE_JITTER_MEASURED2,
        INTERFACE_JITTER_MEASURED_SAMPLES,
    ],
];

/// The table as the page `docs/metrics.md`.
pub fn reference() -> String {
    let mut page = String::from(REFERENCE_HEAD);
    for (title, prefix) in [
        ("Names of rtpengine", "rtpengine_"),
        ("Names of our own", "tandem_"),
        ("Names that every exporter has", "process_"),
    ] {
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
        );
        for metric in METRICS
            .iter()
            .filter(|metric| metric.name.starts_with(prefix))
        {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels = metric.labels.join(", ");
            let _ = writeln!(
                page,
                "| `{}` | {kind} | {labels} | {} |",
                metric.name, metric.help
            );
        }
    }
    page
}

const REFERENCE_HEAD: &str = "\
# Metrics

`GET /metrics` on the port of `listen-http` answers in the text format of Prometheus.
This page is made from the table in `relay/src/metrics/catalogue.rs`; a test keeps the two alike
(`UPDATE_DOCS=1 cargo test -p relay metrics` writes it anew).

Counters of packets come from the workers, which publish them once a second.
What has labels for codecs or proxies is there from the first of them on; everything else is there from the start.
";

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

    #[test]
    fn every_metric_is_documented() {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(DOCUMENT, reference()).unwrap();
        }
        let written = std::fs::read_to_string(DOCUMENT).unwrap();
        assert!(
            written == reference(),
            "docs/metrics.md is old: UPDATE_DOCS=1 cargo test -p relay metrics"
        );
    }

    #[test]
    fn names_are_unique_and_say_their_kind() {
        for (index, metric) in METRICS.iter().enumerate() {
            let first = METRICS.iter().position(|other| other.name == metric.name);
            assert_eq!(first, Some(index), "{}", metric.name);
            let ours = !metric.name.starts_with("rtpengine_");
            let known = metric.name.starts_with("tandem_") || metric.name.starts_with("process_");
            assert!(!ours || known, "{}", metric.name);
            // The names we inherit do not all follow the rule.
            assert!(
                !ours || metric.name.ends_with("_total") == (metric.kind == Kind::Counter),
                "{}",
                metric.name
            );
            assert!(
                !metric.help.is_empty() && !metric.help.contains('|'),
                "{}",
                metric.name
            );
        }
    }
}
