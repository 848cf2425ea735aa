//! One socket for all ports of a worker: the back-end whose batches are real.
//!
//! With a socket for every port, each datagram costs a system call of its own, whatever is used to make it: a voice stream has
//! one packet in 20 ms, and so has its socket.
//! Here [`Steering`] sends what arrives for many ports to one *hub* for each family, which gives 64 datagrams a call, and raw
//! sockets take what leaves, any number a call.
//!
//! Every port keeps its own socket underneath, in a [`PerPort`]: as reservation, and for everything that the fast way does not
//! do.
//!
//! - A port is steered once the first datagrams have arrived at its own socket, so that ports that nobody uses (RTCP where it
//!   is multiplexed, calls nobody answers) cost nothing more than with [`PerPort`], and after the hub was seen empty since the
//!   port was bound: what lies in it may be for somebody who had the port before.
//! - A port that is bound to all addresses, or to an address that only holds on one link, stays with its socket.
//! - A port that gets thousands of datagrams a second goes back to its socket, whose buffer it may fill without a loss to
//!   others.
//! - When the program is gone, the datagrams are at the sockets of the ports, and are taken there.
//! - What is longer than any path must carry leaves through the port's socket, and so does what a raw socket refuses, once.

mod arrivals;
mod departures;
mod headers;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::{Outbox, Received, SocketId, Transmit};
use rustix::io::Errno;
use socket2::Domain;

use crate::backend::{Backend, NetCounters, Woken};
use crate::bpf::{BuildDestinationHasher, Destination, Steering};
use crate::per_port::PerPort;
use crate::socket::SocketOptions;
use crate::wake::Waker;
use arrivals::{Arrivals, hub_socket};
use departures::{Departures, RawSocket};
use headers::Sender;

/// A port with more datagrams than this in a window of the coalescer (a quarter of a second) is flooded: 80 times a voice stream.
const FLOOD: u32 = 1024;
/// RFC 8200 section 5: what every link carries. Longer packets go where the kernel knows the path.
const LONGEST: usize = 1280;
/// Raw sockets that are opened, one for each address and mark.
const MOST_RAW: usize = 64;

/// The sockets of one worker.
pub struct Hub {
    ports: PerPort,
    steering: Arc<Steering>,
    /// One for each family that the machine has.
    hubs: Vec<HubSocket>,
    /// What is known about the ports, by their places in `ports`.
    places: Vec<Place>,
    by_destination: HashMap<Destination, SocketId, BuildDestinationHasher>,
    arrivals: Arrivals,
    raws: Vec<RawSocket>,
    /// What waits for each of them, as numbers in the queue.
    pending: Vec<Vec<usize>>,
    refused: Vec<usize>,
    departures: Departures,
}

/// Whether there can be a hub, as far as its socket goes.
pub(crate) fn try_hub_socket() -> io::Result<()> {
    hub_socket(Domain::IPV4).map(drop)
}

/// Whether packets can leave in batches.
pub(crate) fn try_raw_socket() -> io::Result<()> {
    RawSocket::open(Ipv4Addr::LOCALHOST.into(), 0).map(drop)
}

#[derive(Debug)]
struct HubSocket {
    socket: OwnedFd,
    is_ipv6: bool,
    /// For [`Steering`].
    number: u32,
    /// How often it was seen empty.
    emptied: u64,
    /// What it has dropped so far, as it last told.
    dropped: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bound: SocketAddr,
    tos: u8,
    arrival: Arrival,
    departure: Departure,
    /// The coalescer's window of the last datagram from the hub, and how many there were in it.
    window: u32,
    in_window: u32,
}

/// Where datagrams of a port arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// At its socket, for good.
    Own,
    /// At its socket; at a hub once that was emptied more often than this.
    Waiting { hub: usize, emptied: u64 },
    /// At a hub, since this window.
    Steered { since: u32 },
}

/// How datagrams of a port leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    Undecided,
    Own,
    Raw(usize),
}

impl Hub {
    /// A back-end without sockets that naps for at most `longest_nap`, and whose ports `steering` steers.
    pub fn new(
        steering: Arc<Steering>,
        options: SocketOptions,
        longest_nap: Duration,
    ) -> io::Result<Self> {
        let mut hub = Self {
            ports: PerPort::new(options, longest_nap)?,
            steering,
            hubs: Vec::new(),
            places: Vec::new(),
            by_destination: HashMap::default(),
            arrivals: Arrivals::new(),
            raws: Vec::new(),
            pending: Vec::new(),
            refused: Vec::new(),
            departures: Departures::new(),
        };
        hub.open(Domain::IPV4)?;
        // A host may have no IPv6; then there are no such ports either, or they keep their sockets.
        let _ = hub.open(Domain::IPV6);
        Ok(hub)
    }

    /// How many hubs a worker may need.
    pub const MOST_HUBS: usize = 2;

    fn open(&mut self, domain: Domain) -> io::Result<()> {
        let socket = hub_socket(domain)?;
        let number = self.steering.add_hub(socket.as_fd())?;
        self.ports.watch(socket.as_fd(), self.hubs.len() as u8)?;
        self.hubs.push(HubSocket {
            socket,
            is_ipv6: domain == Domain::IPV6,
            number,
            emptied: 0,
            dropped: 0,
        });
        Ok(())
    }

    /// A datagram came to the port's own socket.
    fn came_beside(&mut self, socket: SocketId) {
        let Some(index) = self.ports.place_of(socket) else {
            return;
        };
        let window = self.ports.window();
        match self.places[index].arrival {
            Arrival::Own => {}
            // Look into it, so that the next datagram can tell.
            Arrival::Waiting { hub, emptied } if self.hubs[hub].emptied == emptied => {
                self.ports.set_watched(hub as u8, true);
            }
            Arrival::Waiting { hub, .. } => self.steer(index, socket, hub),
            // Those of the first moment were on their way already.
            Arrival::Steered { since } => {
                if window.wrapping_sub(since) > 1 {
                    self.ports.counters_mut().beside_hub += 1;
                }
            }
        }
    }

    fn steer(&mut self, index: usize, socket: SocketId, hub: usize) {
        let place = &mut self.places[index];
        let steered = Destination::of(place.bound).is_some_and(|destination| {
            let number = self.hubs[hub].number;
            let steered = self.steering.steer(&destination, number).is_ok();
            if steered {
                self.by_destination.insert(destination, socket);
            }
            steered
        });
        // A map that is full, or a kernel without memory: the socket does it too.
        place.arrival = if steered {
            Arrival::Steered {
                since: self.ports.window(),
            }
        } else {
            Arrival::Own
        };
    }

    /// What is for the port arrives at its own socket from now on.
    fn let_go(&mut self, index: usize) {
        let place = &mut self.places[index];
        if let Arrival::Steered { .. } = place.arrival
            && let Some(destination) = Destination::of(place.bound)
        {
            self.steering.let_go(&destination);
            self.by_destination.remove(&destination);
        }
        place.arrival = Arrival::Own;
    }

    /// Takes at most `limit` datagrams from a hub; gives how often the kernel had one or an error.
    fn take_from(
        &mut self,
        hub: usize,
        limit: usize,
        out: &mut Outbox,
        batch: &mut Vec<Received>,
    ) -> usize {
        let mut taken = 0;
        while taken < limit {
            let wanted = arrivals::MOST.min(limit - taken);
            let received = self.arrivals.receive(&self.hubs[hub].socket, wanted);
            match received {
                Ok(count) => {
                    taken += count;
                    for index in 0..count {
                        self.take_in(hub, index, out, batch);
                    }
                    if count == wanted {
                        continue;
                    }
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(_) => {
                    taken += 1;
                    self.ports.counters_mut().receive_errors += 1;
                    continue;
                }
            }
            self.hubs[hub].emptied += 1;
            self.ports.set_watched(hub as u8, false);
            break;
        }
        taken
    }

    /// Hands out datagram number `index` of the last call.
    fn take_in(&mut self, hub: usize, index: usize, out: &mut Outbox, batch: &mut Vec<Received>) {
        let counters = self.ports.counters_mut();
        counters.received += 1;
        let Some(arrival) = self.arrivals.get(index) else {
            counters.unclaimed += 1;
            return;
        };
        counters.received_bytes += arrival.len as u64;
        if let Some(dropped) = arrival.dropped {
            let before = std::mem::replace(&mut self.hubs[hub].dropped, dropped);
            counters.overflowed += u64::from(dropped.wrapping_sub(before));
        }
        let destination = Destination::at(arrival.destination);
        let Some(&socket) = self.by_destination.get(&destination) else {
            counters.unclaimed += 1;
            return;
        };
        if arrival.cut {
            counters.oversized += 1;
        } else {
            let packet = self.arrivals.take(index, arrival.len, out);
            batch.push(Received {
                socket,
                source: arrival.source,
                packet,
            });
        }
        self.note(socket);
    }

    /// A datagram for this port came from a hub.
    fn note(&mut self, socket: SocketId) {
        let Some(index) = self.ports.place_of(socket) else {
            return;
        };
        let window = self.ports.window();
        let place = &mut self.places[index];
        if place.window != window {
            place.window = window;
            place.in_window = 0;
            self.ports.note_stream();
        }
        place.in_window += 1;
        if place.in_window > FLOOD {
            self.ports.counters_mut().flooded += 1;
            self.let_go(index);
        }
    }

    /// Writes the headers in front of a datagram that a raw socket can send, and says which one.
    fn prepare(&mut self, transmit: &mut Transmit) -> Option<usize> {
        let index = self.ports.place_of(transmit.socket)?;
        let destination = transmit.destination;
        let headers = if destination.is_ipv6() {
            headers::V6
        } else {
            headers::V4
        };
        if is_special(destination) || transmit.packet.len() + headers > LONGEST {
            return None;
        }
        let raw = match self.places[index].departure {
            Departure::Own => return None,
            Departure::Raw(raw) => raw,
            Departure::Undecided => {
                let Place { bound, tos, .. } = self.places[index];
                let raw = self.raw_for(bound.ip(), tos);
                self.places[index].departure = raw.map_or(Departure::Own, Departure::Raw);
                raw?
            }
        };
        let sender = Sender {
            address: self.places[index].bound,
            tos: self.raws[raw].tos,
            hops: self.raws[raw].hops,
        };
        headers::prepend(&mut transmit.packet, &sender, destination).map(|_| raw)
    }

    /// The raw socket for an address and a mark; `None` without the right to have one.
    fn raw_for(&mut self, address: IpAddr, tos: u8) -> Option<usize> {
        Destination::of(SocketAddr::new(address, 1))?;
        let known = self
            .raws
            .iter()
            .position(|raw| (raw.address, raw.tos) == (address, tos));
        if known.is_some() || self.raws.len() >= MOST_RAW {
            return known;
        }
        self.raws.push(RawSocket::open(address, tos).ok()?);
        self.pending.push(Vec::new());
        Some(self.raws.len() - 1)
    }

    /// Sends what waits for raw sockets.
    fn send_pending(&mut self, queued: &mut [Transmit]) {
        for (raw, pending) in self.raws.iter().zip(&mut self.pending) {
            if pending.is_empty() {
                continue;
            }
            let headers = if raw.address.is_ipv6() {
                headers::V6
            } else {
                headers::V4
            };
            self.departures
                .send(raw, queued, pending, &mut self.refused);
            let counters = self.ports.counters_mut();
            for index in pending.drain(..) {
                counters.sent += 1;
                counters.sent_bytes += (queued[index].packet.len() - headers) as u64;
            }
            for index in self.refused.drain(..) {
                let transmit = &mut queued[index];
                transmit.packet.advance(headers);
                let counters = self.ports.counters_mut();
                counters.sent -= 1;
                counters.sent_bytes -= transmit.packet.len() as u64;
                counters.send_retried += 1;
                self.ports.send(transmit);
            }
        }
    }
}

/// Destinations for which the kernel has rules of its own, or that need more than an address.
fn is_special(destination: SocketAddr) -> bool {
    let special = match destination.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().is_some();
            ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() || mapped
        }
    };
    special || destination.port() == 0
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("ports", &self.ports)
            .field("steered", &self.by_destination.len())
            .field("hubs", &self.hubs)
            .field("raws", &self.raws)
            .finish_non_exhaustive()
    }
}

impl Backend for Hub {
    fn bind(&mut self, address: SocketAddr) -> io::Result<(SocketId, SocketAddr)> {
        let (socket, bound) = self.ports.bind(address)?;
        let hub = self
            .hubs
            .iter()
            .position(|hub| hub.is_ipv6 == bound.is_ipv6());
        let arrival = match hub {
            Some(hub) if Destination::of(bound).is_some() => Arrival::Waiting {
                hub,
                emptied: self.hubs[hub].emptied,
            },
            _ => Arrival::Own,
        };
        let place = Place {
            bound,
            tos: self.ports.default_tos(),
            arrival,
            departure: Departure::Undecided,
            window: self.ports.window().wrapping_sub(1),
            in_window: 0,
        };
        // unwrap: it was bound a moment ago.
        let index = self.ports.place_of(socket).expect("a bound socket");
        if index < self.places.len() {
            self.places[index] = place;
        } else {
            // Places are given out one after the other.
            self.places.resize(index + 1, place);
        }
        Ok((socket, bound))
    }

    fn close(&mut self, socket: SocketId) {
        if let Some(index) = self.ports.place_of(socket) {
            self.let_go(index);
            self.ports.close(socket);
        }
    }

    fn set_tos(&mut self, socket: SocketId, tos: Option<u8>) {
        if let Some(index) = self.ports.place_of(socket) {
            let place = &mut self.places[index];
            place.tos = tos.unwrap_or(self.ports.default_tos());
            place.departure = Departure::Undecided;
            self.ports.set_tos(socket, tos);
        }
    }

    fn listen(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.ports.listen(socket)
    }

    fn stop_listening(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.ports.stop_listening(socket)
    }

    fn bound(&self) -> usize {
        self.ports.bound()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        self.ports.wait(timeout)
    }

    fn receive(&mut self, now: Instant, limit: usize, out: &mut Outbox, batch: &mut Vec<Received>) {
        let watched = |ports: &PerPort, hub: usize| ports.has_watched(hub as u8);
        let mut waiting = (0..self.hubs.len())
            .filter(|&hub| watched(&self.ports, hub))
            .count();
        // Each hub may have its part of the round, and all single sockets together have one.
        let mut taken = 0;
        let share = |taken: usize, others: usize| (limit - taken).div_ceil(others + 1);
        let before = batch.len();
        taken += self.ports.take_turns(share(taken, waiting), out, batch);
        for received in &batch[before..] {
            self.came_beside(received.socket);
        }
        for hub in 0..self.hubs.len() {
            if watched(&self.ports, hub) {
                waiting = waiting.saturating_sub(1);
                taken += self.take_from(hub, share(taken, waiting), out, batch);
            }
        }
        self.ports.end_round(now, taken, limit);
    }

    fn flush(&mut self, out: &mut Outbox) {
        let queued = out.queued_mut();
        for index in 0..queued.len() {
            if let Some(raw) = self.prepare(&mut queued[index]) {
                self.pending[raw].push(index);
            } else {
                // Those of the same port that wait have come first.
                self.send_pending(queued);
                self.ports.send(&queued[index]);
            }
        }
        self.send_pending(queued);
        out.sent();
    }

    fn waker(&self) -> Waker {
        self.ports.waker()
    }

    fn counters(&self) -> &NetCounters {
        self.ports.counters()
    }
}

#[cfg(test)]
mod tests;
