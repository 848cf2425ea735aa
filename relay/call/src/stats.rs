//! Counters of a call, and the replies of `query` and `delete` that are made of them.

mod ingress;
pub(crate) mod report;

pub(crate) use ingress::Ingress;

/// Packets, bytes, errors: the counter of every NG statistic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}
