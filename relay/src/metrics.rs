//! What the relay counts, and the two ways in which it is asked for: the NG command `statistics`, and Prometheus.
//!
//! Counters are plain integers of one owner each: [`crate::worker::counters`] for a worker, [`ControlCounters`] for the control
//! side. A [`Snapshot`] brings them together when somebody asks; nothing is shared on the way of a packet.

mod catalogue;
mod control;
mod exposition;
mod histogram;
mod process;
mod statistics;

use std::time::Duration;

pub use catalogue::{Kind, METRICS, Metric, reference};
pub use control::ControlCounters;
pub use exposition::prometheus_text;
pub use histogram::{Histogram, Scale};
pub use process::ProcessFigures;

use crate::config::{Interface, Limits};
use crate::recording::RecordingFigures;
use crate::worker::counters::WorkerCounters;

/// Everything at one moment.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// Since the start.
    pub uptime: Duration,
    /// Calls now.
    pub sessions: usize,
    /// The control side.
    pub control: &'a ControlCounters,
    /// Each worker.
    pub workers: &'a [WorkerCounters],
    /// The configured interfaces.
    pub interfaces: &'a [Interface],
    /// When new calls are refused.
    pub limits: Limits,
    /// The process, for those who ask for it.
    pub process: ProcessFigures,
    /// Recordings.
    pub recordings: RecordingFigures,
}

impl Snapshot<'_> {
    /// All workers together.
    fn sum(&self) -> WorkerCounters {
        let mut sum = WorkerCounters::default();
        for worker in self.workers {
            sum.add(worker);
        }
        sum
    }
}

/// A mean, which is zero where there is nothing to divide.
fn per(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}
