//! Streams that the kernel forwards by itself, beside a back-end that has the sockets.
//!
//! Where a packet needs nothing but other addresses and numbers, no process has to be woken for it: [`Forwarding`] sends it on
//! where it arrives. The worker begins a stream when it knows all about it, asks from time to time how far it has come, and
//! ends it whenever anything is to change; from then on its packets come to the socket, as if there had been no kernel path.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::{PlainStream, StreamProgress};
use rustix::time::{ClockId, clock_gettime};

use crate::bpf::{Forwarding, Key, LONGEST, PAYLOAD_TYPES, Position, Rewriting};
use crate::routes::{Link, Routes};

/// Far ends whose way is remembered.
const MOST_LINKS: usize = 4096;

/// A stream that the kernel forwards.
#[derive(Debug)]
pub struct Forwarded(Key);

/// One worker's streams.
#[derive(Debug)]
pub struct KernelPath {
    forwarding: Arc<Forwarding>,
    routes: Routes,
    /// Where what leads, as long as nothing changes.
    links: HashMap<(IpAddr, IpAddr), Link>,
}

/// Loads the program and attaches it to the interfaces of this network namespace.
pub(crate) fn attach(streams: usize) -> io::Result<Forwarding> {
    let forwarding = Forwarding::load(streams)?;
    attach_to_all(&forwarding, &mut Routes::open()?)?;
    Ok(forwarding)
}

fn attach_to_all(forwarding: &Forwarding, routes: &mut Routes) -> io::Result<()> {
    let links = routes.links()?.into_iter();
    let indexes: Vec<u32> = links
        .filter(|link| link.is_ethernet)
        .map(|link| link.index)
        .collect();
    forwarding.attach(&indexes)
}

impl KernelPath {
    /// What the workers of a relay share is `forwarding`.
    pub fn new(forwarding: Arc<Forwarding>) -> io::Result<Self> {
        Ok(Self {
            forwarding,
            routes: Routes::open()?,
            links: HashMap::new(),
        })
    }

    /// Whether interfaces, addresses or routes are others than before. Every stream has to be ended then, and may begin anew.
    pub fn has_moved(&mut self) -> bool {
        let changed = self.routes.have_changed();
        if changed {
            self.links.clear();
            // An interface that cannot be had leaves its packets to the sockets.
            let _ = attach_to_all(&self.forwarding, &mut self.routes);
        }
        changed
    }

    /// From now on the kernel forwards the stream, which has come this far.
    ///
    /// # Errors
    /// Why it cannot; the packets go on to the socket.
    pub fn begin(
        &mut self,
        stream: &PlainStream,
        progress: &StreamProgress,
    ) -> io::Result<Forwarded> {
        let (from, to) = (stream.leaves_from.ip(), stream.destination.ip());
        let families = [stream.source.ip(), stream.arrives_at.ip(), from, to];
        let is_plain = |address: &IpAddr| match address {
            IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
            // An address of a link is one only together with the link.
            IpAddr::V6(ip) => {
                let mapped = ip.to_ipv4_mapped().is_some();
                !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() || mapped)
            }
        };
        let is_one = families.iter().all(|ip| ip.is_ipv6() == to.is_ipv6());
        let types = stream.payload_types.len();
        if !is_one || !families.iter().all(is_plain) || types == 0 || types > PAYLOAD_TYPES {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let link = match self.links.get(&(from, to)) {
            Some(link) => *link,
            None => {
                if self.links.len() >= MOST_LINKS {
                    self.links.clear();
                }
                let link = self.routes.link_towards(from, to)?;
                self.links.insert((from, to), link);
                link
            }
        };
        if !link.is_ethernet {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let rewriting = Rewriting {
            from: (stream.source, stream.arrives_at),
            to: (stream.leaves_from, stream.destination),
            ssrc: stream.ssrc.0,
            new_ssrc: stream.ssrc.1,
            sequence_offset: stream.sequence_offset,
            timestamp_offset: stream.timestamp_offset,
            payload_types: stream.payload_types.clone(),
            clock_hz: stream.clock_hz,
            tos: stream.tos.unwrap_or(0),
            interface: link.index,
            longest: link.mtu.min(LONGEST),
        };
        let ago = Instant::now().saturating_duration_since(progress.at);
        let position = Position {
            packets: progress.packets,
            octets: progress.octets,
            last_seen: monotonic().saturating_sub(nanoseconds(ago)),
            highest: progress.sequence,
            timestamp: progress.timestamp,
            jitter: progress.jitter_scaled,
            skips: progress.skips,
        };
        self.forwarding.begin(&rewriting, &position).map(Forwarded)
    }

    /// How far a stream has come at `now`. `None` if somebody has taken it out of the kernel.
    pub fn progress(&self, now: Instant, stream: &Forwarded) -> Option<StreamProgress> {
        let position = self.forwarding.position(&stream.0).ok()?;
        Some(progress(now, &position))
    }

    /// From now on its packets come to the socket. Gives how far it has come.
    pub fn end(&self, now: Instant, stream: Forwarded) -> Option<StreamProgress> {
        let position = self.forwarding.end(&stream.0).ok()?;
        Some(progress(now, &position))
    }
}

fn progress(now: Instant, position: &Position) -> StreamProgress {
    let ago = monotonic().saturating_sub(position.last_seen);
    StreamProgress {
        packets: position.packets,
        octets: position.octets,
        skips: position.skips,
        sequence: position.highest,
        timestamp: position.timestamp,
        jitter_scaled: position.jitter,
        // A round has one time, and packets come while it lasts.
        at: Instant::now()
            .checked_sub(Duration::from_nanos(ago))
            .map_or(now, |at| at.min(now)),
    }
}

/// The clock that the program reads.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
