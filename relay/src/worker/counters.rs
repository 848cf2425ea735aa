//! What one worker counts: plain integers, copied out once a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use relay_call::{CallEvent, Chain, Counter, EndReason, Failure, Place, Tally, Transcoded};
use relay_net::{NetCounters, Tier};
use relay_packet::DropReason;

use super::kernel::KernelCounters;
use super::ports::PortFigures;
use super::trunks::Trunks;
use crate::metrics::Histogram;

/// Pairs of codecs that are told apart. More than these can only be an attempt to make the page long.
const MOST_CHAINS: usize = 64;

/// Everything a worker counts.
#[derive(Clone, Debug, Default)]
pub struct WorkerCounters {
    /// Calls now.
    pub calls: u64,
    /// Calls ever.
    pub calls_created: u64,
    /// Calls that a defect of ours ended.
    pub abandoned: u64,
    /// Calls that ended, by reason.
    pub ended: HashMap<EndReason, u64>,
    /// Ended calls in which nobody was heard.
    pub unheard: u64,
    /// Ended calls in which only one side was heard.
    pub heard_one_way: u64,
    /// Sum of the lengths of ended calls in seconds.
    pub call_seconds: f64,
    /// Sum of their squares.
    pub call_seconds_squared: f64,
    /// Failures that were told, by kind.
    pub failures: HashMap<Failure, u64>,
    /// What is counted by interface and direction.
    pub trunks: Trunks,
    /// Audio that could not be sent yet and was not kept.
    pub clipped: Duration,
    /// Packets not forwarded, by [`DropReason`].
    pub drops: [u64; DropReason::ALL.len()],
    /// How packets are moved.
    pub tier: Option<Tier>,
    /// What the sockets counted.
    pub net: NetCounters,
    /// What the kernel did without the sockets.
    pub kernel: KernelCounters,
    /// What calls have counted, by interface and address; calls that are over among them.
    pub media: HashMap<Place, Tally>,
    /// What calls have transcoded; calls that are over among them.
    pub chains: HashMap<Chain, ChainCounters>,
    /// Media sections from which RTP has come, now.
    pub heard_sections: u64,
    /// Rounds with datagrams, from taking them to sending.
    pub rounds: Histogram,
    /// Time spent otherwise than waiting.
    pub busy: Duration,
    /// RTP and RTCP packets received in the last second.
    pub packet_rate: u64,
    /// Their bytes.
    pub byte_rate: u64,
    /// Packets that came in vain in the last second.
    pub error_rate: u64,
    /// Its part of the ports; the range of interfaces without one of their own comes first.
    pub ports: Vec<PortFigures>,
}

/// What is counted for two codecs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainCounters {
    /// Streams that are transcoded now.
    pub streams: u64,
    /// Calls that ever were.
    pub calls: u64,
    /// Packets that came in.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Samples that were made of them.
    pub samples: u64,
}

/// How full the ports of an interface are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortUse {
    /// The first and the last.
    pub range: Option<(u16, u16)>,
    /// How many there are.
    pub size: usize,
    /// How many are open.
    pub used: usize,
}

impl PortUse {
    /// How many are left.
    pub fn free(&self) -> usize {
        self.size.saturating_sub(self.used)
    }
}

impl WorkerCounters {
    /// Counts an event of a call.
    pub fn note(&mut self, event: &CallEvent, now: Instant, created: Instant) {
        match event {
            CallEvent::Ended(reason) => {
                *self.ended.entry(*reason).or_insert(0) += 1;
                if *reason != EndReason::Refused {
                    let seconds = now.saturating_duration_since(created).as_secs_f64();
                    self.call_seconds += seconds;
                    self.call_seconds_squared += seconds * seconds;
                }
            }
            CallEvent::Failure { kind, .. } => *self.failures.entry(*kind).or_insert(0) += 1,
            CallEvent::FirstPacketOut { clipped, .. } => self.clipped += *clipped,
            _ => {}
        }
    }

    /// Streams that are transcoded now are counted anew from here.
    pub(super) fn forget_streams(&mut self) {
        for chain in self.chains.values_mut() {
            chain.streams = 0;
        }
    }

    /// What is counted for two codecs, unless there are too many already.
    pub(super) fn chain(&mut self, chain: Chain) -> Option<&mut ChainCounters> {
        if self.chains.len() >= MOST_CHAINS && !self.chains.contains_key(&chain) {
            return None;
        }
        Some(self.chains.entry(chain).or_default())
    }

    /// A call has transcoded more than when it was `told` last; `None` if it was not told of these codecs at all.
    pub(super) fn note_transcoded(&mut self, now: &Transcoded, told: Option<&Transcoded>) {
        if let Some(counters) = self.chain(now.chain) {
            counters.calls += u64::from(told.is_none());
            counters.packets += now.packets - told.map_or(0, |told| told.packets);
            counters.bytes += now.bytes - told.map_or(0, |told| told.bytes);
            counters.samples += now.samples - told.map_or(0, |told| told.samples);
        }
    }

    /// Streams that are transcoded now.
    pub fn transcoded_streams(&self) -> u64 {
        self.chains.values().map(|chain| chain.streams).sum()
    }

    /// The ports of an interface on one of its addresses: its own, or those that it shares with others.
    pub fn ports_of(&self, interface: &str, address: IpAddr) -> PortUse {
        let own = |figures: &&PortFigures| figures.interface.as_deref() == Some(interface);
        let shared = |figures: &&PortFigures| figures.interface.is_none();
        let ports = &self.ports;
        let figures = ports.iter().find(own);
        let Some(figures) = figures.or_else(|| ports.iter().find(shared)) else {
            return PortUse::default();
        };
        PortUse {
            range: Some((*figures.ports.start(), *figures.ports.end())),
            size: figures.size,
            used: figures.used.get(&address).copied().unwrap_or(0),
        }
    }

    /// How many calls ended for this reason.
    pub fn ended_by(&self, reason: EndReason) -> u64 {
        self.ended.get(&reason).copied().unwrap_or(0)
    }

    /// How many calls are over that ever were calls.
    pub fn managed(&self) -> u64 {
        let all: u64 = self.ended.values().sum();
        all - self.ended_by(EndReason::Refused)
    }

    /// What calls have counted on all addresses.
    pub fn media_sum(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in self.media.values() {
            sum.add(tally);
        }
        sum
    }

    /// RTP and RTCP that came in, to calls that wanted it.
    pub fn media_in(&self) -> Counter {
        let sum = self.media_sum();
        sum.rtp_in.plus(sum.rtcp_in)
    }

    /// Packets that came in vain, whatever the reason.
    pub fn errors(&self) -> u64 {
        let net = &self.net;
        let lost = net.oversized + net.receive_errors + net.overflowed + net.unclaimed;
        self.drops.iter().sum::<u64>() + lost
    }

    /// Adds another worker's counters, for the sum over all.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.calls_created += other.calls_created;
        self.abandoned += other.abandoned;
        self.unheard += other.unheard;
        self.heard_one_way += other.heard_one_way;
        self.call_seconds += other.call_seconds;
        self.call_seconds_squared += other.call_seconds_squared;
        self.trunks.add(&other.trunks);
        self.clipped += other.clipped;
        self.rounds.add(&other.rounds);
        self.busy += other.busy;
        self.packet_rate += other.packet_rate;
        self.byte_rate += other.byte_rate;
        self.error_rate += other.error_rate;
        self.heard_sections += other.heard_sections;
        for (place, tally) in &other.media {
            self.media.entry(place.clone()).or_default().add(tally);
        }
        for (chain, counters) in &other.chains {
            let sum = self.chains.entry(*chain).or_default();
            sum.streams += counters.streams;
            sum.calls += counters.calls;
            sum.packets += counters.packets;
            sum.bytes += counters.bytes;
            sum.samples += counters.samples;
        }
        for figures in &other.ports {
            let is_same = |known: &&mut PortFigures| known.interface == figures.interface;
            match self.ports.iter_mut().find(is_same) {
                Some(sum) => sum.add(figures),
                None => self.ports.push(figures.clone()),
            }
        }
        self.tier = self.tier.or(other.tier);
        self.kernel.add(&other.kernel);
        for (reason, count) in &other.ended {
            *self.ended.entry(*reason).or_insert(0) += count;
        }
        for (kind, count) in &other.failures {
            *self.failures.entry(*kind).or_insert(0) += count;
        }
        for (sum, count) in self.drops.iter_mut().zip(other.drops) {
            *sum += count;
        }
        let (sum, net) = (&mut self.net, &other.net);
        sum.received += net.received;
        sum.received_bytes += net.received_bytes;
        sum.oversized += net.oversized;
        sum.overflowed += net.overflowed;
        sum.unclaimed += net.unclaimed;
        sum.beside_hub += net.beside_hub;
        sum.flooded += net.flooded;
        sum.receive_errors += net.receive_errors;
        sum.sent += net.sent;
        sum.sent_bytes += net.sent_bytes;
        sum.send_failed += net.send_failed;
        sum.send_closed += net.send_closed;
        sum.send_retried += net.send_retried;
        sum.wakeups += net.wakeups;
        sum.naps += net.naps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_reasons_of_ended_calls_add_up_over_workers() {
        let start = Instant::now();
        let mut counters = WorkerCounters::default();
        let ended = CallEvent::Ended(EndReason::Terminated);
        counters.note(&ended, start + Duration::from_secs(3), start);
        counters.note(&ended, start + Duration::from_secs(5), start);
        counters.note(&CallEvent::Ended(EndReason::Refused), start, start);
        let mut sum = WorkerCounters::default();
        sum.add(&counters);
        sum.add(&counters);
        assert_eq!(sum.ended_by(EndReason::Terminated), 4);
        assert_eq!(sum.ended_by(EndReason::Refused), 2);
        assert_eq!(sum.ended_by(EndReason::Timeout), 0);
        assert!((sum.call_seconds - 16.0).abs() < 1e-9);
        assert!((sum.call_seconds_squared - 68.0).abs() < 1e-9);
    }
}
