//! Steers the datagrams of many ports to one socket of each worker (`sk_lookup`, Linux 5.9).
//!
//! When a datagram arrives, the kernel asks our program before it looks for the socket that is bound to the port.
//! The program looks the destination up in a map; what is there is the number of a worker's socket, and everything else goes
//! its usual way: ports of other programs, of a second relay beside us, and our own that are not in the map.
//! The port stays bound to its own socket, which therefore gets the datagrams when the program is gone.
//!
//! The program is attached by a link that belongs to a descriptor of this process: whichever way the process ends, it is
//! detached.

use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use super::instruction::{Assembler, Instruction, Register};
use super::system_call::{self, Map, MapType};

/// Where a datagram goes to, as program and relay name it: the port, and the address as IPv6 has it (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Destination([u32; WORDS]);

const WORDS: usize = 5;
/// The third word of an IPv4 address among those of IPv6, in the order of the network.
const MAPPED: u32 = 0xffff_u32.to_be();

impl Destination {
    /// The destination of what arrives at a bound socket; `None` where an address alone does not say which one that is: one
    /// that is bound to all addresses, or to one that every link has.
    pub(crate) fn of(bound: SocketAddr) -> Option<Self> {
        let several = match bound.ip() {
            IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast(),
            IpAddr::V6(ip) => {
                let mapped = ip.to_ipv4_mapped().is_some();
                ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() || mapped
            }
        };
        (!several).then(|| Self::at(bound))
    }

    /// The destination that a datagram was sent to.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let octets = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mut words = [u32::from(address.port()); WORDS];
        for (word, octets) in words[1..].iter_mut().zip(octets.chunks_exact(4)) {
            // unwrap: pieces of four are what was asked for.
            *word = u32::from_ne_bytes(octets.try_into().expect("four octets"));
        }
        Self(words)
    }

    /// The key of the map.
    fn key(&self) -> [u8; WORDS * 4] {
        let mut key = [0; WORDS * 4];
        for (to, word) in key.chunks_exact_mut(4).zip(self.0) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        key
    }
}

/// Spreads destinations, which are addresses and ports of our own, so that nobody can choose them to collide.
#[derive(Debug, Default)]
pub(crate) struct DestinationHasher(u64);

/// For maps from destinations.
pub(crate) type BuildDestinationHasher = BuildHasherDefault<DestinationHasher>;

impl Hasher for DestinationHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        // Fibonacci hashing, one word after the other.
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_usize(&mut self, _: usize) {
        // The length of the array, which is always the same.
    }
}

/// The program, attached to the network namespace of the thread that made it, and its maps.
#[derive(Debug)]
pub struct Steering {
    /// Destination to number of a socket.
    ports: Map,
    /// Number to socket.
    hubs: Map,
    most_hubs: u32,
    next_hub: AtomicU32,
    link: OwnedFd,
}

impl Steering {
    /// Loads the program and attaches it. There is room for `hubs` sockets and `ports` destinations.
    pub fn attach(hubs: usize, ports: usize) -> io::Result<Self> {
        let most_hubs = u32::try_from(hubs).unwrap_or(u32::MAX).max(1);
        let entries = u32::try_from(ports).unwrap_or(u32::MAX).max(1);
        let ports = Map::create(MapType::Hash, WORDS * 4, 4, entries, "tandem_ports")
            .map_err(|error| during("a map cannot be made", &error))?;
        let hubs = Map::create(MapType::Sockets, 4, 4, most_hubs, "tandem_hubs")
            .map_err(|error| during("a map of sockets cannot be made", &error))?;
        let program = program(ports.descriptor(), hubs.descriptor());
        let program = system_call::load_socket_lookup(&program, "tandem_steer")
            .map_err(|error| during("the steering program cannot be loaded", &error))?;
        let namespace = File::open("/proc/thread-self/ns/net")?;
        let link = system_call::attach_socket_lookup(program.as_fd(), namespace.as_fd())
            .map_err(|error| during("the steering program cannot be attached", &error))?;
        Ok(Self {
            ports,
            hubs,
            most_hubs,
            next_hub: AtomicU32::new(0),
            link,
        })
    }

    /// Whether the program is still where we put it.
    pub fn is_attached(&self) -> bool {
        system_call::namespace_of(&self.link).is_ok_and(|namespace| namespace.is_some())
    }

    /// Takes a bound UDP socket for [`Self::steer`]. The kernel forgets it when it is closed.
    pub(crate) fn add_hub(&self, socket: BorrowedFd<'_>) -> io::Result<u32> {
        let number = self.next_hub.fetch_add(1, Ordering::Relaxed);
        if number >= self.most_hubs {
            return Err(io::Error::other("more sockets than were announced"));
        }
        self.hubs
            .set(&number.to_ne_bytes(), &socket.as_raw_fd().to_ne_bytes())?;
        Ok(number)
    }

    /// From now on hub number `hub` gets what is sent to this destination.
    pub(crate) fn steer(&self, destination: &Destination, hub: u32) -> io::Result<()> {
        self.ports.set(&destination.key(), &hub.to_ne_bytes())
    }

    /// From now on the socket that is bound there gets it.
    pub(crate) fn let_go(&self, destination: &Destination) {
        // The only failure is that it is not there.
        let _ = self.ports.remove(&destination.key());
    }

    /// What somebody else may do at any time.
    #[cfg(test)]
    pub(crate) fn detach(&self) -> io::Result<()> {
        system_call::testing::detach(&self.link)
    }

    /// How many programs choose sockets in the network namespace of this thread.
    #[cfg(test)]
    pub(crate) fn programs_here() -> io::Result<u32> {
        let namespace = File::open("/proc/thread-self/ns/net")?;
        system_call::testing::attached(namespace.as_fd())
    }
}

/// What failed, with the kernel's reason; its kind stays.
pub(super) fn during(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Offsets in `struct bpf_sk_lookup` of `linux/bpf.h`.
mod context {
    pub(super) const FAMILY: i16 = 8;
    pub(super) const PROTOCOL: i16 = 12;
    pub(super) const LOCAL_IP4: i16 = 40;
    pub(super) const LOCAL_IP6: i16 = 44;
    pub(super) const LOCAL_PORT: i16 = 60;
}

/// Functions of the kernel (`enum bpf_func_id`).
mod function {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const SK_RELEASE: i32 = 86;
    pub(super) const SK_ASSIGN: i32 = 124;
}

/// The program, for these two maps.
fn program(ports: i32, hubs: i32) -> Vec<Instruction> {
    use Register::{R0, R1, R2, R3, R6, R7, R10};
    /// `SK_PASS`: whoever was assigned gets the packet, or else whoever is bound.
    const PASS: i32 = 1;
    /// Places on the stack.
    const KEY: i16 = -20;
    const HUB: i16 = -24;

    let mut program = Assembler::default();
    program.copy(R6, R1);
    program.load(R2, R6, context::PROTOCOL);
    program.jump_unless_equal(R2, libc::IPPROTO_UDP, "pass");

    // The key: the port, and the four words of the address.
    program.load(R2, R6, context::LOCAL_PORT);
    program.store(R10, KEY, R2);
    program.load(R2, R6, context::FAMILY);
    program.jump_if_equal(R2, libc::AF_INET6, "v6");
    program.jump_unless_equal(R2, libc::AF_INET, "pass");
    program.store_value(R10, KEY + 4, 0);
    program.store_value(R10, KEY + 8, 0);
    program.store_value(R10, KEY + 12, MAPPED);
    program.load(R2, R6, context::LOCAL_IP4);
    program.store(R10, KEY + 16, R2);
    program.jump("look up");
    program.label("v6");
    for word in [0, 4, 8, 12] {
        program.load(R2, R6, context::LOCAL_IP6 + word);
        program.store(R10, KEY + 4 + word, R2);
    }

    program.label("look up");
    program.map(R1, ports);
    program.stack_address(R2, i32::from(KEY));
    program.call(function::MAP_LOOKUP_ELEM);
    program.jump_if_equal(R0, 0, "pass");
    program.load(R1, R0, 0);
    program.store(R10, HUB, R1);

    program.map(R1, hubs);
    program.stack_address(R2, i32::from(HUB));
    program.call(function::MAP_LOOKUP_ELEM);
    program.jump_if_equal(R0, 0, "pass");

    // Another program may have chosen already: then this fails, and its choice holds.
    program.copy(R7, R0);
    program.copy(R1, R6);
    program.copy(R2, R7);
    program.set(R3, 0);
    program.call(function::SK_ASSIGN);
    program.copy(R1, R7);
    program.call(function::SK_RELEASE);

    program.label("pass");
    program.set(R0, PASS);
    program.exit();
    program.finish()
}
