//! Counters of a call, and the replies of `query` and `delete` that are made of them.

mod ingress;
mod mos;
mod quality;
pub(crate) mod report;
mod source;
mod tally;
mod transcoded;

pub(crate) use ingress::{Ingress, Source};
pub(crate) use mos::{Mos, rating};
pub(crate) use quality::Judgement;
pub use tally::{Figure, Place, Samples, Tally};
pub use transcoded::{Chain, Transcoded};

/// Packets, bytes, errors: the counter of every NG statistic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// Packets that were refused.
    pub errors: u64,
}

impl Counter {
    /// Counts a packet.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
            errors: self.errors + other.errors,
        }
    }

    /// What came after an earlier state.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            errors: self.errors.saturating_sub(earlier.errors),
        }
    }
}
