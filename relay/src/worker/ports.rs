//! The worker's ports: numbers from the pool, bound through the back-end.
//!
//! Each worker has every W-th pair of the configured range, so that a port alone says which worker it belongs to
//! (`worker = (port - port-min) / 2 % W`).
//! The pool knows nothing of that: it hands out the numbers of a gap-free range, and `Slice` translates.
//! An interface may have a range of its own, and ports in it that are left alone.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use relay_call::ports::{LeaseError, LeasedPort, PortCount, PortLeaser, PortPool};
use relay_net::Backend;
use relay_packet::SocketId;

use super::sockets::Sockets;

/// Numbers that the kernel may refuse in one lease before we believe that it will refuse them all.
const MOST_ATTEMPTS: usize = 1000;

/// One worker's part of the port range.
#[derive(Clone, Copy, Debug)]
struct Slice {
    /// The even number at or below `port-min`.
    base: u16,
    worker: u16,
    workers: u16,
}

impl Slice {
    /// The port behind a number of the pool. Parity is kept.
    fn port(self, number: u16) -> u16 {
        let pair = number / 2 * self.workers + self.worker;
        self.base + pair * 2 + number % 2
    }

    /// The number in the pool of a port of this worker.
    fn number(self, port: u16) -> u16 {
        let offset = port - self.base;
        offset / 2 / self.workers * 2 + offset % 2
    }

    /// The pool's range for `ports`.
    fn numbers(self, ports: &RangeInclusive<u16>) -> (u16, u16) {
        let (mut first, mut last) = (None, 0);
        // Numbers never run out before ports do: the slice is at most the whole.
        for number in 0..=ports.end() - self.base {
            let port = u32::from(number / 2) * u32::from(self.workers) + u32::from(self.worker);
            let port = u32::from(self.base) + port * 2 + u32::from(number % 2);
            if port > u32::from(*ports.end()) {
                break;
            }
            if port >= u32::from(*ports.start()) {
                first.get_or_insert(number);
                last = number;
            }
        }
        // An empty slice is an empty range.
        (first.unwrap_or(1), last)
    }
}

/// The ports of an interface that has a range of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePorts {
    /// The interface's name.
    pub name: String,
    /// Its ports.
    pub ports: RangeInclusive<u16>,
    /// Those among them that are never used.
    pub excluded: Vec<u16>,
}

/// How full a range of ports is. Interfaces that share a range and an address share its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFigures {
    /// The interface that has it for itself; `None` for the range of all others.
    pub interface: Option<String>,
    /// Its ports, those of other workers among them.
    pub ports: RangeInclusive<u16>,
    /// How many of each address may be opened.
    pub size: usize,
    /// How many are open, by address.
    pub used: HashMap<IpAddr, usize>,
}

impl PortFigures {
    /// Adds another worker's part of the same range.
    pub fn add(&mut self, other: &Self) {
        self.size += other.size;
        for (address, count) in &other.used {
            *self.used.entry(*address).or_insert(0) += count;
        }
    }
}

/// One worker's part of one range.
#[derive(Debug)]
struct Range {
    interface: Option<String>,
    ports: RangeInclusive<u16>,
    slice: Slice,
    pool: PortPool,
    excluded: HashSet<u16>,
}

impl Range {
    fn new(ports: &RangeInclusive<u16>, worker: usize, workers: usize, seed: u64) -> Self {
        let slice = Slice {
            base: ports.start() & !1,
            worker: u16::try_from(worker).unwrap_or(u16::MAX),
            workers: u16::try_from(workers.max(1)).unwrap_or(u16::MAX),
        };
        let (first, last) = slice.numbers(ports);
        Self {
            interface: None,
            ports: ports.clone(),
            slice,
            pool: PortPool::new(first, last, seed),
            excluded: HashSet::new(),
        }
    }

    /// How many ports of each address may be opened.
    fn size(&self) -> usize {
        let slice = self.slice;
        let is_ours = |port: &&u16| {
            let pair = port.saturating_sub(slice.base) / 2;
            self.ports.contains(port) && pair % slice.workers == slice.worker
        };
        self.pool.size() - self.excluded.iter().filter(is_ours).count()
    }

    /// Takes the number of a port or a pair that may be used.
    fn take(&mut self, ip: IpAddr, count: PortCount) -> Option<u16> {
        loop {
            let number = self.pool.take(ip, count)?;
            let port = self.slice.port(number);
            let is_left_alone = self.excluded.contains(&port)
                || (count == PortCount::Pair && self.excluded.contains(&(port + 1)));
            if !is_left_alone {
                return Some(number);
            }
            // An excluded number stays taken for ever, so that it is met once; its neighbour may serve alone.
            if count == PortCount::Pair {
                for (number, port) in [(number, port), (number + 1, port + 1)] {
                    if !self.excluded.contains(&port) {
                        self.pool.give(ip, number);
                    }
                }
            }
        }
    }

    /// Takes the number of this very port; `false` if it is not of this worker's part, or not free.
    fn take_exactly(&mut self, address: SocketAddr) -> bool {
        let (slice, port) = (self.slice, address.port());
        let is_ours = self.ports.contains(&port)
            && port.saturating_sub(slice.base) / 2 % slice.workers == slice.worker;
        is_ours && self.pool.take_exactly(address.ip(), slice.number(port))
    }

    /// Gives the number of a port back.
    fn give_back(&mut self, address: SocketAddr) {
        let number = self.slice.number(address.port());
        self.pool.give(address.ip(), number);
    }

    fn give(&mut self, ip: IpAddr, number: u16, count: PortCount) {
        self.pool.give(ip, number);
        if count == PortCount::Pair {
            self.pool.give(ip, number + 1);
        }
    }
}

/// What a worker knows about its ports.
#[derive(Debug)]
pub struct WorkerPorts {
    worker: usize,
    workers: usize,
    /// The range of all interfaces, and after it those that single interfaces have for themselves.
    ranges: Vec<Range>,
    by_interface: HashMap<String, usize>,
    /// The address behind each open socket and the range it is from, to give its number back; none for a port that is another
    /// worker's, or of a range that is no more, and was opened for a call of another process.
    open: HashMap<SocketId, (SocketAddr, Option<usize>)>,
    /// Leases that failed, by the kernel's word for it, since the worker last told.
    refused: Vec<(SocketAddr, io::ErrorKind)>,
}

impl WorkerPorts {
    /// The ports of worker number `worker` of `workers` out of `ports`.
    pub fn new(ports: &RangeInclusive<u16>, worker: usize, workers: usize, seed: u64) -> Self {
        Self {
            worker,
            workers,
            ranges: vec![Range::new(ports, worker, workers, seed)],
            by_interface: HashMap::new(),
            open: HashMap::new(),
            refused: Vec::new(),
        }
    }

    /// Besides, this worker's part of the ports that an interface has for itself.
    pub fn add_interface(&mut self, interface: &InterfacePorts, seed: u64) {
        let mut range = Range::new(&interface.ports, self.worker, self.workers, seed);
        range.excluded.extend(&interface.excluded);
        range.interface = Some(interface.name.clone());
        let number = self.ranges.len();
        self.by_interface.insert(interface.name.clone(), number);
        self.ranges.push(range);
    }

    /// The leaser for the requests of call number `call`.
    pub fn of_call<'a>(
        &'a mut self,
        call: u32,
        backend: &'a mut dyn Backend,
        sockets: &'a mut Sockets,
    ) -> CallPorts<'a> {
        CallPorts {
            ports: self,
            backend,
            sockets,
            call,
        }
    }

    /// Which of `workers` has this port of an interface in its part, if it is of the range at all.
    pub fn worker_of(
        address: SocketAddr,
        ports: &RangeInclusive<u16>,
        workers: usize,
    ) -> Option<usize> {
        let base = ports.start() & !1;
        let port = address.port();
        ports
            .contains(&port)
            .then(|| usize::from((port - base) / 2) % workers.max(1))
    }

    /// How full each range is; that of interfaces without one of their own comes first.
    pub fn figures(&self) -> Vec<PortFigures> {
        let ranges = self.ranges.iter();
        let mut figures: Vec<PortFigures> = ranges
            .map(|range| PortFigures {
                interface: range.interface.clone(),
                ports: range.ports.clone(),
                size: range.size(),
                used: HashMap::new(),
            })
            .collect();
        for (address, range) in self.open.values() {
            let Some(range) = range else { continue };
            *figures[*range].used.entry(address.ip()).or_insert(0) += 1;
        }
        figures
    }

    /// What the kernel refused since this was last asked, for other reasons than that a port was taken.
    pub fn take_refusals(&mut self) -> Vec<(SocketAddr, io::ErrorKind)> {
        std::mem::take(&mut self.refused)
    }
}

/// Opens ports for one call.
#[expect(missing_debug_implementations, reason = "a borrow for one request")]
pub struct CallPorts<'a> {
    ports: &'a mut WorkerPorts,
    backend: &'a mut dyn Backend,
    sockets: &'a mut Sockets,
    call: u32,
}

impl CallPorts<'_> {
    /// Binds a port or a pair, both or none.
    fn bind(&mut self, ip: IpAddr, first: u16, count: PortCount) -> io::Result<Vec<LeasedPort>> {
        let mut bound: Vec<LeasedPort> = Vec::with_capacity(2);
        let wanted = match count {
            PortCount::Pair => 2,
            PortCount::Single => 1,
        };
        for offset in 0..wanted {
            let address = SocketAddr::new(ip, first + offset);
            match self.backend.bind(address) {
                Ok((socket, address)) => bound.push(LeasedPort { socket, address }),
                Err(error) => {
                    for port in bound {
                        self.backend.close(port.socket);
                    }
                    return Err(error);
                }
            }
        }
        Ok(bound)
    }
}

impl PortLeaser for CallPorts<'_> {
    fn lease(
        &mut self,
        interface: &str,
        ip: IpAddr,
        count: PortCount,
    ) -> Result<Vec<LeasedPort>, LeaseError> {
        let range = self.ports.by_interface.get(interface).copied();
        let range = range.unwrap_or(0);
        // Refused numbers stay taken until the end, so that they are not tried twice.
        let mut refused = Vec::new();
        let mut outcome = Err(LeaseError::Exhausted);
        while refused.len() < MOST_ATTEMPTS {
            let Some(number) = self.ports.ranges[range].take(ip, count) else {
                break;
            };
            let first = self.ports.ranges[range].slice.port(number);
            match self.bind(ip, first, count) {
                Ok(bound) => {
                    for port in &bound {
                        let opened = (port.address, Some(range));
                        self.ports.open.insert(port.socket, opened);
                        self.sockets.insert(port.socket, self.call);
                    }
                    outcome = Ok(bound);
                    break;
                }
                Err(error) => {
                    refused.push(number);
                    match error.kind() {
                        io::ErrorKind::AddrInUse => {}
                        kind => {
                            let address = SocketAddr::new(ip, first);
                            self.ports.refused.push((address, kind));
                            if kind == io::ErrorKind::AddrNotAvailable {
                                outcome = Err(LeaseError::NoSuchAddress {
                                    interface: interface.to_owned(),
                                    ip,
                                });
                            }
                            break;
                        }
                    }
                }
            }
        }
        for number in refused {
            self.ports.ranges[range].give(ip, number, count);
        }
        outcome
    }

    fn lease_again(
        &mut self,
        interface: &str,
        address: SocketAddr,
    ) -> Result<LeasedPort, LeaseError> {
        let range = self.ports.by_interface.get(interface).copied();
        let range = range.unwrap_or(0);
        let taken = self.ports.ranges[range].take_exactly(address);
        let bound = self.backend.bind(address);
        let Ok((socket, address)) = bound else {
            if taken {
                self.ports.ranges[range].give_back(address);
            }
            return Err(LeaseError::Taken { address });
        };
        let opened = (address, taken.then_some(range));
        self.ports.open.insert(socket, opened);
        self.sockets.insert(socket, self.call);
        Ok(LeasedPort { socket, address })
    }

    fn set_tos(&mut self, socket: SocketId, tos: Option<u8>) {
        self.backend.set_tos(socket, tos);
    }

    fn release(&mut self, socket: SocketId) {
        self.backend.close(socket);
        self.sockets.remove(socket);
        if let Some((address, Some(range))) = self.ports.open.remove(&socket) {
            self.ports.ranges[range].give_back(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::backend;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn the_slices_of_all_workers_are_the_range() {
        for (ports, workers) in [
            (30_000..=30_999, 1u16),
            (30_000..=30_999, 3),
            (30_001..=30_010, 2),
            (30_000..=30_003, 4),
            (65_500..=65_535, 5),
            (1..=65_535, 2),
        ] {
            let mut seen = HashSet::new();
            for worker in 0..workers {
                let slice = Slice {
                    base: ports.start() & !1,
                    worker,
                    workers,
                };
                let (first, last) = slice.numbers(&ports);
                for number in first..=last {
                    let port = slice.port(number);
                    assert!(ports.contains(&port), "{port} of {ports:?}");
                    assert_eq!(slice.number(port), number);
                    assert_eq!((port - slice.base) / 2 % workers, worker);
                    assert!(seen.insert(port), "{port} belongs to two workers");
                }
            }
            assert_eq!(seen.len(), ports.len());
        }
    }

    #[test]
    fn ports_are_leased_until_none_is_left_and_come_back() {
        let mut backend = backend();
        let mut sockets = Sockets::default();
        let mut ports = WorkerPorts::new(&(41_000..=41_007), 0, 2, 1);
        assert_eq!(ports.figures()[0].size, 4);
        let mut leaser = ports.of_call(5, backend.as_mut(), &mut sockets);
        let first = leaser.lease("default", LOOPBACK, PortCount::Pair).unwrap();
        assert_eq!(first[0].address.port() % 2, 0);
        assert_eq!(first[1].address.port(), first[0].address.port() + 1);
        leaser.lease("default", LOOPBACK, PortCount::Pair).unwrap();
        let none = leaser.lease("default", LOOPBACK, PortCount::Single);
        assert_eq!(none, Err(LeaseError::Exhausted));
        leaser.release(first[1].socket);
        let again = leaser
            .lease("default", LOOPBACK, PortCount::Single)
            .unwrap();
        assert_eq!(again[0].address, first[1].address);
        assert_eq!(backend.bound(), 4);
        assert_eq!(sockets.owner(first[0].socket), Some(5));
        assert_eq!(ports.figures()[0].used[&LOOPBACK], 4);
    }

    #[test]
    fn a_port_that_somebody_else_has_is_passed_over() {
        let mut backend = backend();
        let mut sockets = Sockets::default();
        let foreign = std::net::UdpSocket::bind((LOOPBACK, 41_013)).unwrap();
        let mut ports = WorkerPorts::new(&(41_010..=41_017), 0, 1, 1);
        let mut leaser = ports.of_call(1, backend.as_mut(), &mut sockets);
        let mut leased = Vec::new();
        while let Ok(pair) = leaser.lease("default", LOOPBACK, PortCount::Pair) {
            leased.extend(pair.into_iter().map(|port| port.address.port()));
        }
        leased.sort_unstable();
        assert_eq!(leased, [41_010, 41_011, 41_014, 41_015, 41_016, 41_017]);
        drop(foreign);
        let mut leaser = ports.of_call(1, backend.as_mut(), &mut sockets);
        leaser.lease("default", LOOPBACK, PortCount::Pair).unwrap();
    }

    #[test]
    fn a_port_is_opened_again_whoever_had_it_and_taken_by_nobody_else() {
        let mut backend = backend();
        let mut sockets = Sockets::default();
        let mut ports = WorkerPorts::new(&(41_020..=41_027), 0, 2, 1);
        let mut leaser = ports.of_call(1, backend.as_mut(), &mut sockets);
        let at = |port| SocketAddr::new(LOOPBACK, port);
        // Of ours, of the other worker's, and of no range.
        let again = [41_020, 41_022, 41_099].map(|port| leaser.lease_again("default", at(port)));
        let again = again.map(|leased| leased.unwrap().socket);
        let taken = leaser.lease_again("default", at(41_020));
        assert_eq!(
            taken,
            Err(LeaseError::Taken {
                address: at(41_020)
            })
        );
        let mut others = Vec::new();
        while let Ok(port) = leaser.lease("default", LOOPBACK, PortCount::Single) {
            others.push(port[0].address.port());
        }
        others.sort_unstable();
        assert_eq!(others, [41_021, 41_024, 41_025]);
        for socket in again {
            leaser.release(socket);
        }
        let free = leaser.lease("default", LOOPBACK, PortCount::Single);
        assert_eq!(free.unwrap()[0].address, at(41_020));
        assert_eq!(ports.figures()[0].used[&LOOPBACK], 4);
    }

    #[test]
    fn an_address_that_is_not_ours_is_named() {
        let mut backend = backend();
        let mut sockets = Sockets::default();
        let mut ports = WorkerPorts::new(&(41_020..=41_029), 0, 1, 1);
        let ip: IpAddr = "192.0.2.200".parse().unwrap();
        let mut leaser = ports.of_call(1, backend.as_mut(), &mut sockets);
        let error = leaser.lease("pub", ip, PortCount::Single).unwrap_err();
        assert_eq!(
            error.to_string(),
            "interface pub has no address 192.0.2.200"
        );
        assert_eq!(ports.take_refusals().len(), 1);
        assert!(ports.figures()[0].used.is_empty());
    }

    #[test]
    fn an_interface_uses_its_own_ports_and_none_that_are_excluded() {
        let mut backend = backend();
        let mut sockets = Sockets::default();
        let mut ports = WorkerPorts::new(&(41_030..=41_033), 0, 1, 1);
        let own = InterfacePorts {
            name: "pub".to_owned(),
            ports: 41_040..=41_047,
            excluded: vec![41_040, 41_043],
        };
        ports.add_interface(&own, 2);
        let mut leaser = ports.of_call(1, backend.as_mut(), &mut sockets);
        let mut pairs = Vec::new();
        while let Ok(pair) = leaser.lease("pub", LOOPBACK, PortCount::Pair) {
            pairs.push(pair[0].address.port());
        }
        pairs.sort_unstable();
        assert_eq!(pairs, [41_044, 41_046]);
        let mut singles = Vec::new();
        while let Ok(single) = leaser.lease("pub", LOOPBACK, PortCount::Single) {
            singles.push((single[0].address.port(), single[0].socket));
        }
        singles.sort_unstable_by_key(|(port, _)| *port);
        let numbers: Vec<u16> = singles.iter().map(|(port, _)| *port).collect();
        assert_eq!(numbers, [41_041, 41_042]);
        let other = leaser.lease("priv", LOOPBACK, PortCount::Pair).unwrap();
        assert!(other[0].address.port() <= 41_033);
        leaser.release(singles[0].1);
        let again = leaser.lease("pub", LOOPBACK, PortCount::Single).unwrap();
        assert_eq!(again[0].address.port(), 41_041);
        let figures = ports.figures();
        let told: Vec<_> = figures
            .iter()
            .map(|f| (f.size, f.used[&LOOPBACK]))
            .collect();
        assert_eq!(told, [(4, 2), (6, 6)], "what is excluded is not counted");
        assert_eq!(figures[1].interface.as_deref(), Some("pub"));
        assert_eq!(figures[1].ports, 41_040..=41_047);
    }

    #[test]
    fn the_parts_of_all_workers_are_the_ports_that_may_be_opened() {
        let own = InterfacePorts {
            name: "pub".to_owned(),
            ports: 41_051..=41_060,
            excluded: vec![41_050, 41_052, 41_055, 41_070],
        };
        let mut sum: Option<PortFigures> = None;
        for worker in 0..3 {
            let mut ports = WorkerPorts::new(&(41_030..=41_033), worker, 3, 1);
            ports.add_interface(&own, 2);
            let figures = ports.figures().remove(1);
            match &mut sum {
                Some(sum) => sum.add(&figures),
                None => sum = Some(figures),
            }
        }
        assert_eq!(sum.unwrap().size, 10 - 2);
    }
}
