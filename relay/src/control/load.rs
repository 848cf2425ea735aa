//! When the relay has enough to do and sends new calls away.
//!
//! Four limits, asked in rtpengine's order: sessions, load average, processor time, bandwidth.
//! The first is exact; the others go by samples that a task takes twice a second.

use std::sync::Arc;
use std::time::Duration;

use ng_protocol::reason;
use tracing::warn;

use super::dispatch::Dispatch;
use crate::config::Limits;

/// How often usage is sampled.
const SAMPLE: Duration = Duration::from_millis(500);

/// What is used at present.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// The load average of the last minute.
    pub load: f64,
    /// Use of all processors together, in per cent.
    pub cpu: f64,
    /// Media received, in bytes per second.
    pub bandwidth: u64,
}

/// The text for a new call that is one too many; `None` if there is room.
pub(crate) fn refusal(limits: &Limits, sessions: usize, usage: &Usage) -> Option<&'static str> {
    if limits.sessions.is_some_and(|most| sessions >= most) {
        Some(reason::PARALLEL_SESSION_LIMIT)
    } else if limits.load.is_some_and(|most| usage.load > most) {
        Some(reason::LOAD_LIMIT)
    } else if limits.cpu.is_some_and(|most| usage.cpu > most) {
        Some(reason::CPU_LIMIT)
    } else if limits.bandwidth.is_some_and(|most| usage.bandwidth > most) {
        Some(reason::BANDWIDTH_LIMIT)
    } else {
        None
    }
}

/// Keeps the samples fresh for as long as a limit needs them.
pub(crate) async fn watch(dispatch: Arc<Dispatch>) {
    let mut processors = None;
    let mut told = false;
    loop {
        let limits = dispatch.settings().limits;
        let mut usage = Usage::default();
        if limits.load.is_some() {
            usage.load = read("/proc/loadavg", load_average, &mut told).unwrap_or_default();
        }
        if limits.cpu.is_some() {
            let now = read("/proc/stat", ProcessorTime::parse, &mut told);
            if let (Some(before), Some(now)) = (processors, now) {
                usage.cpu = now.used_since(before);
            }
            processors = now;
        }
        if limits.bandwidth.is_some() {
            usage.bandwidth = dispatch.worker_counters().byte_rate;
        }
        dispatch.note_usage(usage);
        tokio::time::sleep(SAMPLE).await;
    }
}

fn read<T>(path: &str, parse: fn(&str) -> Option<T>, told: &mut bool) -> Option<T> {
    let value = std::fs::read_to_string(path)
        .ok()
        .as_deref()
        .and_then(parse);
    if value.is_none() && !*told {
        *told = true;
        warn!("{path} says nothing about the load: the limit that goes by it has no effect");
    }
    value
}

/// `0.20 0.18 0.12 1/80 11206`: the averages over 1, 5 and 15 minutes come first.
fn load_average(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// What all processors together have done since the start of the machine, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessorTime {
    idle: u64,
    total: u64,
}

impl ProcessorTime {
    /// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`, the two guest times being parts of the first two.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Self {
            idle: ticks.get(3)? + ticks.get(4).unwrap_or(&0),
            total: ticks.iter().sum(),
        })
    }

    fn used_since(self, before: Self) -> f64 {
        let total = self.total.saturating_sub(before.total);
        let idle = self.idle.saturating_sub(before.idle).min(total);
        if total == 0 {
            return 0.0;
        }
        100.0 * (total - idle) as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Usage = Usage {
        load: 9.0,
        cpu: 99.0,
        bandwidth: 1_000_000,
    };

    #[test]
    fn limits_are_asked_in_rtpengines_order() {
        let mut limits = Limits {
            sessions: Some(10),
            load: Some(2.0),
            cpu: Some(80.0),
            bandwidth: Some(999_999),
        };
        assert_eq!(
            refusal(&limits, 10, &FULL),
            Some("Parallel session limit reached")
        );
        assert_eq!(refusal(&limits, 9, &FULL), Some("Load limit exceeded"));
        limits.load = None;
        assert_eq!(refusal(&limits, 9, &FULL), Some("CPU usage limit exceeded"));
        limits.cpu = Some(99.5);
        assert_eq!(refusal(&limits, 9, &FULL), Some("Bandwidth limit exceeded"));
        limits.bandwidth = Some(1_000_000);
        assert_eq!(refusal(&limits, 9, &FULL), None);
        assert_eq!(refusal(&Limits::default(), usize::MAX, &FULL), None);
    }

    #[test]
    fn a_limit_of_zero_sessions_drains() {
        let limits = Limits {
            sessions: Some(0),
            ..Limits::default()
        };
        assert!(refusal(&limits, 0, &Usage::default()).is_some());
    }

    #[test]
    fn usage_is_read_from_what_the_kernel_tells() {
        assert_eq!(load_average("0.20 0.18 0.12 1/80 11206\n"), Some(0.2));
        assert_eq!(load_average(""), None);
        let before = "cpu  100 0 100 800 0 0 0 0 50 0\ncpu0 1 2 3 4\n";
        let after = "cpu  130 10 120 820 20 0 0 0 60 0\ncpu0 1 2 3 4\n";
        let [before, after] = [before, after].map(|text| ProcessorTime::parse(text).unwrap());
        assert!((after.used_since(before) - 60.0).abs() < 1e-9);
        assert!((before.used_since(before) - 0.0).abs() < 1e-9);
        assert_eq!(ProcessorTime::parse("intr 1"), None);
        assert_eq!(ProcessorTime::parse("cpu  1 x 3 4"), None);
    }

    #[test]
    fn this_machine_tells_its_usage() {
        let text = std::fs::read_to_string("/proc/stat").unwrap();
        assert!(ProcessorTime::parse(&text).is_some());
        let text = std::fs::read_to_string("/proc/loadavg").unwrap();
        assert!(load_average(&text).is_some());
    }
}
