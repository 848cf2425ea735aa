//! Port numbers and who has them. Numbers, not sockets: what is leased here is bound by the worker.
//!
//! RTP wants an even port and RTCP the odd one above it (RFC 3550 §11); with rtcp-mux one port of any parity will do.
//! Numbers are drawn at random, so that a stranger cannot guess where the next call will listen, and a number that was just
//! given back rests for a while, so that late packets of an old call do not land in a new one.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use relay_packet::SocketId;
use thiserror::Error;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCount {
    /// An even port and the odd one above it.
    Pair,
    /// One port of any parity.
    Single,
}

/// A bound local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasedPort {
    /// Its name on the packet path.
    pub socket: SocketId,
    /// Where it is bound.
    pub address: SocketAddr,
}

/// Why no port could be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LeaseError {
    /// Every number of the range is taken or refused by the kernel.
    #[error("Ran out of ports")]
    Exhausted,
    /// This one cannot be opened again.
    #[error("port {address} cannot be opened again")]
    Taken {
        /// Which.
        address: SocketAddr,
    },
    /// The interface has no such address.
    #[error("interface {interface} has no address {ip}")]
    NoSuchAddress {
        /// The interface that was asked for.
        interface: String,
        /// The address that was asked for.
        ip: IpAddr,
    },
}

/// Opens ports for calls. The worker's implementation takes a number from a [`PortPool`], binds it, and tries the next one when
/// the kernel says no; a test's counts upwards.
pub trait PortLeaser {
    /// Opens ports on the local address `ip` of `interface`: two for [`PortCount::Pair`], the even one first.
    fn lease(
        &mut self,
        interface: &str,
        ip: IpAddr,
        count: PortCount,
    ) -> Result<Vec<LeasedPort>, LeaseError>;

    /// Opens exactly this port again, for a call that goes on after its process has ended. Most leasers open none of their choice.
    fn lease_again(
        &mut self,
        _interface: &str,
        address: SocketAddr,
    ) -> Result<LeasedPort, LeaseError> {
        Err(LeaseError::Taken { address })
    }

    /// Closes a port.
    fn release(&mut self, socket: SocketId);

    /// Marks what leaves a port with a type-of-service octet; `None` stands for the daemon's own. Where there is no network to
    /// mark packets for, as in most tests, nothing happens.
    fn set_tos(&mut self, _socket: SocketId, _tos: Option<u8>) {}
}

/// Ports opened for a request that may still fail: dropped without [`PortLease::keep`], they are closed again.
pub struct PortLease<'a> {
    ports: &'a mut dyn PortLeaser,
    opened: Vec<LeasedPort>,
}

impl<'a> PortLease<'a> {
    /// Nothing opened yet.
    pub fn new(ports: &'a mut dyn PortLeaser) -> Self {
        Self {
            ports,
            opened: Vec::new(),
        }
    }

    /// Opens ports and remembers them.
    pub fn open(
        &mut self,
        interface: &str,
        ip: IpAddr,
        count: PortCount,
    ) -> Result<Vec<LeasedPort>, LeaseError> {
        let opened = self.ports.lease(interface, ip, count)?;
        self.opened.extend_from_slice(&opened);
        Ok(opened)
    }

    /// Opens this very port and remembers it.
    pub fn reopen(
        &mut self,
        interface: &str,
        address: SocketAddr,
    ) -> Result<LeasedPort, LeaseError> {
        let opened = self.ports.lease_again(interface, address)?;
        self.opened.push(opened);
        Ok(opened)
    }

    /// Marks what leaves a port, be it new or old, with a type-of-service octet.
    pub fn set_tos(&mut self, socket: SocketId, tos: Option<u8>) {
        self.ports.set_tos(socket, tos);
    }

    /// Marks what leaves the ports that were opened here.
    pub fn set_tos_of_opened(&mut self, tos: Option<u8>) {
        for port in &self.opened {
            self.ports.set_tos(port.socket, tos);
        }
    }

    /// The request succeeded: what was opened stays open, and what it made superfluous is closed.
    pub fn keep(mut self, superfluous: &[SocketId]) {
        self.opened.clear();
        for &socket in superfluous {
            self.ports.release(socket);
        }
    }
}

impl Drop for PortLease<'_> {
    fn drop(&mut self) {
        for port in self.opened.drain(..) {
            self.ports.release(port.socket);
        }
    }
}

impl std::fmt::Debug for PortLease<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PortLease")
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

/// The numbers `port-min` to `port-max` of every local address.
#[derive(Debug)]
pub struct PortPool {
    min: u16,
    max: u16,
    rng: SmallRng,
    addresses: HashMap<IpAddr, Numbers>,
}

/// How many numbers of an address rest at most after they were given back.
const MAX_RESTING: usize = 256;

impl PortPool {
    /// A pool of the numbers `min` to `max`, both included, of every address that is asked about.
    pub fn new(min: u16, max: u16, seed: u64) -> Self {
        Self {
            min,
            max,
            rng: SmallRng::seed_from_u64(seed),
            addresses: HashMap::new(),
        }
    }

    /// Takes one number, or the even one of a pair whose odd neighbour is taken with it.
    pub fn take(&mut self, ip: IpAddr, count: PortCount) -> Option<u16> {
        let numbers = self.numbers(ip);
        let span = numbers.taken.len();
        if span == 0 {
            return None;
        }
        let start = self.rng.random_range(0..span);
        let numbers = self.numbers(ip);
        let first = numbers
            .first_free(start, count, Resting::Spare)
            .or_else(|| numbers.first_free(start, count, Resting::Use))?;
        numbers.set(first, true);
        if count == PortCount::Pair {
            numbers.set(first + 1, true);
        }
        Some(first)
    }

    /// Gives one number back (both of a pair, one after the other). A number that is not taken changes nothing.
    pub fn give(&mut self, ip: IpAddr, port: u16) {
        let numbers = self.numbers(ip);
        if numbers.is_taken(port) {
            numbers.set(port, false);
            numbers.rest(port);
        }
    }

    /// Takes this very number; `false` if it is taken already, or none of the pool.
    pub fn take_exactly(&mut self, ip: IpAddr, port: u16) -> bool {
        let is_ours = (self.min..=self.max).contains(&port);
        let numbers = self.numbers(ip);
        let free = is_ours && !numbers.is_taken(port);
        if free {
            numbers.set(port, true);
        }
        free
    }

    /// How many numbers of this address are in use.
    pub fn used(&self, ip: IpAddr) -> usize {
        self.addresses
            .get(&ip)
            .map_or(0, |n| n.taken.iter().filter(|&&taken| taken).count())
    }

    /// How many numbers each address has.
    pub fn size(&self) -> usize {
        usize::from(self.max.saturating_sub(self.min)) + usize::from(self.min <= self.max)
    }

    fn numbers(&mut self, ip: IpAddr) -> &mut Numbers {
        let (min, size) = (self.min, self.size());
        self.addresses
            .entry(ip)
            .or_insert_with(|| Numbers::new(min, size))
    }
}

/// Whether numbers that rest may be handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resting {
    Spare,
    Use,
}

/// The numbers of one address.
#[derive(Debug)]
struct Numbers {
    min: u16,
    taken: Vec<bool>,
    resting: VecDeque<u16>,
    /// At most an eighth of the numbers rest: a small pool must not run dry for hygiene.
    max_resting: usize,
}

impl Numbers {
    fn new(min: u16, size: usize) -> Self {
        Self {
            min,
            taken: vec![false; size],
            resting: VecDeque::new(),
            max_resting: (size / 8).min(MAX_RESTING),
        }
    }

    fn index(&self, port: u16) -> Option<usize> {
        port.checked_sub(self.min)
            .map(usize::from)
            .filter(|&index| index < self.taken.len())
    }

    fn is_taken(&self, port: u16) -> bool {
        self.index(port).is_some_and(|index| self.taken[index])
    }

    fn is_free(&self, port: u16, resting: Resting) -> bool {
        self.index(port).is_some_and(|index| !self.taken[index])
            && (resting == Resting::Use || !self.resting.contains(&port))
    }

    fn set(&mut self, port: u16, taken: bool) {
        if let Some(index) = self.index(port) {
            self.taken[index] = taken;
        }
        if taken {
            self.resting.retain(|&p| p != port);
        }
    }

    fn rest(&mut self, port: u16) {
        self.resting.push_back(port);
        while self.resting.len() > self.max_resting {
            self.resting.pop_front();
        }
    }

    /// The first free number, or even number of a free pair, from index `start` on and around.
    fn first_free(&self, start: usize, count: PortCount, resting: Resting) -> Option<u16> {
        let span = self.taken.len();
        (0..span)
            .map(|step| (start + step) % span)
            .filter_map(|index| self.min.checked_add(u16::try_from(index).ok()?))
            .find(|&port| match count {
                PortCount::Single => self.is_free(port, resting),
                PortCount::Pair => {
                    port % 2 == 0
                        && self.is_free(port, resting)
                        && port
                            .checked_add(1)
                            .is_some_and(|odd| self.is_free(odd, resting))
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_pair_starts_at_an_even_port_and_nothing_is_handed_out_twice() {
        let mut pool = PortPool::new(30001, 30020, 7);
        let mut seen = Vec::new();
        while let Some(even) = pool.take(IP, PortCount::Pair) {
            assert_eq!(even % 2, 0);
            seen.extend([even, even + 1]);
        }
        // 30001 has no even neighbour below the pool and 30020 none above.
        assert_eq!(seen.len(), 18);
        assert_eq!(pool.used(IP), 18);
        let (a, b) = (
            pool.take(IP, PortCount::Single).unwrap(),
            pool.take(IP, PortCount::Single).unwrap(),
        );
        assert_eq!([a.min(b), a.max(b)], [30001, 30020]);
        assert_eq!(pool.take(IP, PortCount::Single), None);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 18);
    }

    #[test]
    fn a_number_just_given_back_rests_while_others_are_free() {
        let mut pool = PortPool::new(30000, 30015, 1);
        let first = pool.take(IP, PortCount::Single).unwrap();
        pool.give(IP, first);
        for _ in 0..15 {
            assert_ne!(pool.take(IP, PortCount::Single), Some(first));
        }
        assert_eq!(
            pool.take(IP, PortCount::Single),
            Some(first),
            "the last one left"
        );
    }

    #[test]
    fn addresses_do_not_share_numbers_and_the_seed_decides_the_order() {
        let other = IpAddr::from([192, 0, 2, 2]);
        let mut pool = PortPool::new(30000, 39999, 42);
        let mut again = PortPool::new(30000, 39999, 42);
        assert_eq!(
            pool.take(IP, PortCount::Pair),
            again.take(IP, PortCount::Pair)
        );
        pool.take(other, PortCount::Single).unwrap();
        assert_eq!((pool.used(IP), pool.used(other)), (2, 1));
    }

    #[test]
    fn an_empty_range_and_the_end_of_all_ports_are_no_problem() {
        assert_eq!(PortPool::new(10, 9, 0).take(IP, PortCount::Single), None);
        let mut last = PortPool::new(65535, 65535, 0);
        assert_eq!(last.take(IP, PortCount::Pair), None);
        assert_eq!(last.take(IP, PortCount::Single), Some(65535));
        last.give(IP, 1);
    }

    #[test]
    fn a_lease_that_is_not_kept_closes_its_ports() {
        #[derive(Default)]
        struct Counting {
            next: u32,
            open: Vec<SocketId>,
        }
        impl PortLeaser for Counting {
            fn lease(
                &mut self,
                _: &str,
                ip: IpAddr,
                _: PortCount,
            ) -> Result<Vec<LeasedPort>, LeaseError> {
                self.next += 1;
                let socket = SocketId(self.next);
                self.open.push(socket);
                Ok(vec![LeasedPort {
                    socket,
                    address: SocketAddr::new(ip, 30000),
                }])
            }
            fn release(&mut self, socket: SocketId) {
                self.open.retain(|&s| s != socket);
            }
        }
        let mut ports = Counting::default();
        let mut lease = PortLease::new(&mut ports);
        lease.open("default", IP, PortCount::Single).unwrap();
        drop(lease);
        assert!(ports.open.is_empty());
        let mut lease = PortLease::new(&mut ports);
        lease.open("default", IP, PortCount::Single).unwrap();
        lease.keep(&[]);
        assert_eq!(ports.open.len(), 1);
    }
}
