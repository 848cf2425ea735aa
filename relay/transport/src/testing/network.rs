//! A network in memory that loses, delays, reorders and duplicates, the same way for the same seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};
use relay_packet::{Outbox, PacketBuf, Received, SocketId};

use super::epoch;

/// Something with sockets.
pub(crate) trait Endpoint {
    fn handle_datagram(&mut self, now: Instant, received: Received, out: &mut Outbox);
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox);
    fn poll_timeout(&self) -> Option<Instant>;
}

/// How bad the way is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) loss: f64,
    pub(crate) duplicates: f64,
    /// One way; what is drawn for each packet lies between the two, so that packets overtake each other.
    pub(crate) delay: (Duration, Duration),
}

impl Link {
    /// Loses nothing and keeps the order.
    pub(crate) fn perfect(round_trip: Duration) -> Self {
        Self {
            loss: 0.0,
            duplicates: 0.0,
            delay: (round_trip / 2, round_trip / 2),
        }
    }

    /// Loses `percent`, duplicates a little, and reorders.
    pub(crate) fn lossy(percent: u32) -> Self {
        Self {
            loss: f64::from(percent) / 100.0,
            duplicates: 0.05,
            delay: (Duration::from_millis(10), Duration::from_millis(60)),
        }
    }
}

#[derive(Debug)]
struct InFlight {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// Endpoints are numbered by their place in the slice that is handed to [`Network::run`].
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) link: Link,
    /// Datagrams to an endpoint before this are lost, whatever the link does.
    pub(crate) deaf_until: BTreeMap<usize, Instant>,
    /// The number of the datagrams (0 is the first) from an endpoint that are lost.
    pub(crate) lost: Vec<(usize, usize)>,
    sent: BTreeMap<usize, usize>,
    rng: ChaCha12Rng,
    sockets: Vec<(SocketAddr, usize, SocketId)>,
    /// Inner and outer address of a NAT in front of a socket.
    nats: Vec<(SocketAddr, SocketAddr)>,
    in_flight: BTreeMap<(Instant, u64), InFlight>,
    order: u64,
    out: Outbox,
}

impl Network {
    pub(crate) fn new(link: Link, seed: u64) -> Self {
        let now = epoch();
        Self {
            now,
            start: now,
            link,
            deaf_until: BTreeMap::new(),
            lost: Vec::new(),
            sent: BTreeMap::new(),
            rng: ChaCha12Rng::seed_from_u64(seed),
            sockets: Vec::new(),
            nats: Vec::new(),
            in_flight: BTreeMap::new(),
            order: 0,
            out: Outbox::new(16),
        }
    }

    pub(crate) fn attach(&mut self, endpoint: usize, socket: SocketId, address: SocketAddr) {
        self.sockets.push((address, endpoint, socket));
    }

    pub(crate) fn put_nat_before(&mut self, inner: SocketAddr, outer: SocketAddr) {
        self.nats.push((inner, outer));
    }

    /// Milliseconds since the beginning.
    pub(crate) fn elapsed_ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    /// How many datagrams an endpoint has sent.
    pub(crate) fn sent_by(&self, endpoint: usize) -> usize {
        self.sent.get(&endpoint).copied().unwrap_or(0)
    }

    /// Lets an endpoint do something of its own and sends what that brings forth.
    pub(crate) fn act<E, T>(
        &mut self,
        endpoints: &mut [E],
        endpoint: usize,
        act: impl FnOnce(&mut E, Instant, &mut Outbox) -> T,
    ) -> T {
        let result = act(&mut endpoints[endpoint], self.now, &mut self.out);
        self.post(endpoint);
        result
    }

    /// Runs until `is_done` says so; `false` when that has not happened `limit` after the start.
    pub(crate) fn run<E: Endpoint>(
        &mut self,
        endpoints: &mut [E],
        limit: Duration,
        mut is_done: impl FnMut(&mut [E]) -> bool,
    ) -> bool {
        let mut idle = 0;
        while !is_done(endpoints) {
            let timers = endpoints.iter().filter_map(Endpoint::poll_timeout);
            let arrivals = self.in_flight.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.chain(arrivals).min() else {
                return false;
            };
            if next > self.start + limit {
                self.now = self.start + limit;
                return false;
            }
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(idle < 10_000, "an endpoint wants to be called for ever");
            self.now = self.now.max(next);
            self.step(endpoints);
        }
        true
    }

    fn step<E: Endpoint>(&mut self, endpoints: &mut [E]) {
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let datagram = entry.remove();
            let inner = self.nats.iter().find(|(_, outer)| *outer == datagram.to);
            let to = inner.map_or(datagram.to, |(inner, _)| *inner);
            let Some((_, endpoint, socket)) = self
                .sockets
                .iter()
                .copied()
                .find(|(address, ..)| *address == to)
            else {
                continue;
            };
            if self
                .deaf_until
                .get(&endpoint)
                .is_some_and(|until| self.now < *until)
            {
                continue;
            }
            let received = Received {
                socket,
                source: datagram.from,
                packet: PacketBuf::from_slice(&datagram.bytes).unwrap(),
            };
            endpoints[endpoint].handle_datagram(self.now, received, &mut self.out);
            self.post(endpoint);
        }
        for (index, endpoint) in endpoints.iter_mut().enumerate() {
            if endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
                endpoint.handle_timeout(self.now, &mut self.out);
                self.post(index);
            }
        }
    }

    /// Takes what an endpoint has written to the outbox on its way.
    fn post(&mut self, endpoint: usize) {
        for transmit in self.out.drain() {
            let count = self.sent.entry(endpoint).or_default();
            let number = *count;
            *count += 1;
            let is_from = |(_, owner, socket): &&(SocketAddr, usize, SocketId)| {
                (*owner, *socket) == (endpoint, transmit.socket)
            };
            let (from, ..) = *self.sockets.iter().find(is_from).unwrap();
            assert_eq!(
                from.is_ipv4(),
                transmit.destination.is_ipv4(),
                "wrong family"
            );
            let outer = self.nats.iter().find(|(inner, _)| *inner == from);
            let from = outer.map_or(from, |(_, outer)| *outer);
            if self.lost.contains(&(endpoint, number)) || self.rng.random_bool(self.link.loss) {
                continue;
            }
            let copies = 1 + u32::from(self.rng.random_bool(self.link.duplicates));
            for _ in 0..copies {
                let (least, most) = self.link.delay;
                let delay = self.rng.random_range(least..=most);
                self.order += 1;
                self.in_flight.insert(
                    (self.now + delay, self.order),
                    InFlight {
                        from,
                        to: transmit.destination,
                        bytes: transmit.packet.to_vec(),
                    },
                );
            }
        }
    }
}
