//! Forwards RTP where it arrives, before it reaches a socket (tcx at the ingress of an interface, Linux 6.6).
//!
//! The program knows streams by their addresses and ports. What is exactly the next packet of one it knows (RTP version 2 without
//! extras, the expected source and payload types, a sequence number and a timestamp that follow) gets the addresses and numbers
//! that the relay would have given it, and leaves through the interface that the relay has looked up. Whatever differs in any
//! way is left alone and goes to the socket: STUN, RTCP, telephone-events, late and doubled packets, a sender that starts again.
//!
//! What was forwarded is counted in the entry of the stream, with all that RFC 3550 appendix A needs.
//!
//! The program is attached by links that belong to descriptors of this process: whichever way it ends, they are detached.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::instruction::{Assembler, Instruction, Operation, Register, Test, Width};
use super::steering::during;
use super::system_call::{self, Map, MapType};

/// The longest IP packet that is forwarded: what every link carries (RFC 8200 section 5).
pub(crate) const LONGEST: u32 = 1280;
/// A packet must have this many hops left, so that it gets far, and so that packets that go in circles meet the relay itself.
const FEWEST_HOPS: i32 = 32;
/// Sequence numbers that may be skipped. More is for the relay to judge.
const MOST_SKIPPED: i32 = 1000;
/// A pause after which the relay judges the next packet, in nanoseconds.
const LONGEST_PAUSE: i32 = 2_000_000_000;
/// So many seconds a timestamp may be away from where the clock says it should be.
const MOST_ASTRAY: i32 = 3;
/// Payload types of one stream.
pub(crate) const PAYLOAD_TYPES: usize = 4;
/// In place of a payload type: none.
const NONE: u8 = 0xff;

/// A stream by the addresses of its packets, as the program finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; KEY]);

const KEY: usize = 36;

impl Key {
    /// Of packets between these two.
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let mut key = [0; KEY];
        key[..16].copy_from_slice(&octets(source.ip()));
        key[16..32].copy_from_slice(&octets(destination.ip()));
        key[32..34].copy_from_slice(&source.port().to_be_bytes());
        key[34..].copy_from_slice(&destination.port().to_be_bytes());
        Self(key)
    }
}

/// IPv4 as IPv6 has it (RFC 4291 section 2.5.5.2).
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// What becomes of the packets of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewriting {
    /// Where the packets come from and go to now.
    pub(crate) from: (SocketAddr, SocketAddr),
    /// Where they come from and go to afterwards: of the same family.
    pub(crate) to: (SocketAddr, SocketAddr),
    pub(crate) ssrc: u32,
    pub(crate) new_ssrc: u32,
    pub(crate) sequence_offset: u16,
    pub(crate) timestamp_offset: u32,
    /// Each with the one it becomes; [`PAYLOAD_TYPES`] at most.
    pub(crate) payload_types: Vec<(u8, u8)>,
    pub(crate) clock_hz: u32,
    pub(crate) tos: u8,
    /// The interface that leads there.
    pub(crate) interface: u32,
    /// The longest IP packet that it takes.
    pub(crate) longest: u32,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Packets forwarded.
    pub(crate) packets: u64,
    /// Octets of their payload.
    pub(crate) octets: u64,
    /// When the last one came, in nanoseconds of the monotonic clock.
    pub(crate) last_seen: u64,
    /// The extended highest sequence number received (RFC 3550 appendix A.1).
    pub(crate) highest: u32,
    /// The timestamp that came with it.
    pub(crate) timestamp: u32,
    /// The interarrival jitter, 16-fold (RFC 3550 appendix A.8).
    pub(crate) jitter: u32,
    /// How often numbers were skipped.
    pub(crate) skips: u32,
}

/// Where what stands in the value of a stream.
mod entry {
    pub(super) const PACKETS: i16 = 0;
    pub(super) const OCTETS: i16 = 8;
    pub(super) const LAST_SEEN: i16 = 16;
    pub(super) const HIGHEST: i16 = 24;
    pub(super) const TIMESTAMP: i16 = 28;
    pub(super) const JITTER: i16 = 32;
    pub(super) const SKIPS: i16 = 36;
    pub(super) const CLOCK: i16 = 40;
    /// As the packet has it.
    pub(super) const SSRC: i16 = 44;
    /// As the packet will have it.
    pub(super) const NEW_SSRC: i16 = 48;
    pub(super) const TIMESTAMP_OFFSET: i16 = 52;
    pub(super) const SEQUENCE_OFFSET: i16 = 56;
    /// Both, as the packet will have them.
    pub(super) const NEW_PORTS: i16 = 60;
    /// What the ports add to a checksum.
    pub(super) const PORTS_DIFFER: i16 = 64;
    /// What the addresses add to a checksum.
    pub(super) const ADDRESSES_DIFFER: i16 = 68;
    pub(super) const INTERFACE: i16 = 72;
    /// The first word of an IPv6 header (RFC 8200 section 3), as the packet will have it.
    pub(super) const V6_START: i16 = 76;
    pub(super) const PAYLOAD_TYPES: i16 = 80;
    pub(super) const NEW_PAYLOAD_TYPES: i16 = 84;
    pub(super) const TOS: i16 = 88;
    /// The longest UDP datagram, its header included.
    pub(super) const LONGEST: i16 = 92;
    pub(super) const NEW_SOURCE: i16 = 96;
    pub(super) const NEW_DESTINATION: i16 = 112;
    pub(super) const SIZE: usize = 128;
}

impl Rewriting {
    fn entry(&self, position: &Position) -> [u8; entry::SIZE] {
        let mut value = [0; entry::SIZE];
        let mut put = |at: i16, bytes: &[u8]| {
            let at = usize::from(at.unsigned_abs());
            value[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let (source, destination) = self.to;
        let header = if destination.is_ipv6() { 40 } else { 20 };
        put(entry::PACKETS, &position.packets.to_ne_bytes());
        put(entry::OCTETS, &position.octets.to_ne_bytes());
        put(entry::LAST_SEEN, &position.last_seen.to_ne_bytes());
        put(entry::HIGHEST, &position.highest.to_ne_bytes());
        put(entry::TIMESTAMP, &position.timestamp.to_ne_bytes());
        put(entry::JITTER, &position.jitter.to_ne_bytes());
        put(entry::SKIPS, &position.skips.to_ne_bytes());
        put(entry::CLOCK, &self.clock_hz.to_ne_bytes());
        put(entry::SSRC, &self.ssrc.to_be_bytes());
        put(entry::NEW_SSRC, &self.new_ssrc.to_be_bytes());
        put(
            entry::TIMESTAMP_OFFSET,
            &self.timestamp_offset.to_ne_bytes(),
        );
        put(
            entry::SEQUENCE_OFFSET,
            &u32::from(self.sequence_offset).to_ne_bytes(),
        );
        let before = ports(self.from);
        let after = ports(self.to);
        put(entry::NEW_PORTS, &after);
        put(
            entry::PORTS_DIFFER,
            &difference(&before, &after).to_ne_bytes(),
        );
        let before = addresses(self.from);
        let after = addresses(self.to);
        put(
            entry::ADDRESSES_DIFFER,
            &difference(&before, &after).to_ne_bytes(),
        );
        put(entry::INTERFACE, &self.interface.to_ne_bytes());
        put(
            entry::V6_START,
            &(6 << 28 | u32::from(self.tos) << 20).to_be_bytes(),
        );
        put(entry::PAYLOAD_TYPES, &[NONE; PAYLOAD_TYPES]);
        let room = self.payload_types.iter().take(PAYLOAD_TYPES);
        for (at, (from, to)) in (0..).zip(room) {
            put(entry::PAYLOAD_TYPES + at, &[*from]);
            put(entry::NEW_PAYLOAD_TYPES + at, &[*to]);
        }
        put(entry::TOS, &u32::from(self.tos).to_ne_bytes());
        let longest = self.longest.min(LONGEST).saturating_sub(header);
        put(entry::LONGEST, &longest.to_ne_bytes());
        put(entry::NEW_SOURCE, &octets(source.ip()));
        put(entry::NEW_DESTINATION, &octets(destination.ip()));
        value
    }
}

impl Position {
    fn read(value: &[u8; entry::SIZE]) -> Self {
        let word = |at: i16| {
            let at = usize::from(at.unsigned_abs());
            // unwrap: eight bytes were asked for, and they are there.
            u64::from_ne_bytes(value[at..at + 8].try_into().expect("eight bytes"))
        };
        let half = |at: i16| {
            let at = usize::from(at.unsigned_abs());
            // unwrap: four bytes were asked for, and they are there.
            u32::from_ne_bytes(value[at..at + 4].try_into().expect("four bytes"))
        };
        Self {
            packets: word(entry::PACKETS),
            octets: word(entry::OCTETS),
            last_seen: word(entry::LAST_SEEN),
            highest: half(entry::HIGHEST),
            timestamp: half(entry::TIMESTAMP),
            jitter: half(entry::JITTER),
            skips: half(entry::SKIPS),
        }
    }
}

fn ports((source, destination): (SocketAddr, SocketAddr)) -> [u8; 4] {
    let [a, b] = source.port().to_be_bytes();
    let [c, d] = destination.port().to_be_bytes();
    [a, b, c, d]
}

fn addresses((source, destination): (SocketAddr, SocketAddr)) -> [u8; 32] {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&octets(source.ip()));
    both[16..].copy_from_slice(&octets(destination.ip()));
    both
}

/// What a sum in ones' complement gains where these octets become those (RFC 1624). What does not change adds nothing.
fn difference(before: &[u8], after: &[u8]) -> u32 {
    let mut sum = 0;
    for (before, after) in before.chunks_exact(4).zip(after.chunks_exact(4)) {
        // unwrap: pieces of four are what was asked for.
        let word = |octets: &[u8]| u32::from_ne_bytes(octets.try_into().expect("four octets"));
        sum += u64::from(!word(before)) + u64::from(word(after));
    }
    while sum >> 32 != 0 {
        sum = (sum & 0xffff_ffff) + (sum >> 32);
    }
    sum as u32
}

/// The program, its streams, and the interfaces of this network namespace that it is attached to.
#[derive(Debug)]
pub struct Forwarding {
    streams: Map,
    program: OwnedFd,
    links: Mutex<BTreeMap<u32, OwnedFd>>,
}

impl Forwarding {
    /// Loads the program, with room for so many streams, and attaches it to nothing yet.
    pub(crate) fn load(streams: usize) -> io::Result<Self> {
        let entries = u32::try_from(streams).unwrap_or(u32::MAX).max(1);
        let streams = Map::create(MapType::Hash, KEY, entry::SIZE, entries, "tandem_streams")
            .map_err(|error| during("a map cannot be made", &error))?;
        let program =
            system_call::load_classifier(&program(streams.descriptor()), "tandem_forward")
                .map_err(|error| during("the forwarding program cannot be loaded", &error))?;
        Ok(Self {
            streams,
            program,
            links: Mutex::default(),
        })
    }

    /// Attaches the program to those of these interfaces that it is not attached to, and lets go of all others.
    pub(crate) fn attach(&self, interfaces: &[u32]) -> io::Result<()> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|interface, _| interfaces.contains(interface));
        for &interface in interfaces {
            if let Entry::Vacant(place) = links.entry(interface) {
                let link = system_call::attach_ingress(self.program.as_fd(), interface)
                    .map_err(|error| during("the forwarding program cannot be attached", &error))?;
                place.insert(link);
            }
        }
        Ok(())
    }

    /// From now on the program forwards a stream that has come this far.
    pub(crate) fn begin(&self, rewriting: &Rewriting, position: &Position) -> io::Result<Key> {
        let (source, destination) = rewriting.from;
        let key = Key::new(source, destination);
        self.streams.set(&key.0, &rewriting.entry(position))?;
        Ok(key)
    }

    /// How far a stream has come.
    pub(crate) fn position(&self, key: &Key) -> io::Result<Position> {
        let mut value = [0; entry::SIZE];
        self.streams.read(&key.0, &mut value)?;
        Ok(Position::read(&value))
    }

    /// From now on the stream goes to its socket; this is how far it has come.
    pub(crate) fn end(&self, key: &Key) -> io::Result<Position> {
        let mut value = [0; entry::SIZE];
        self.streams.take(&key.0, &mut value)?;
        Ok(Position::read(&value))
    }
}

/// Offsets in `struct __sk_buff` of `linux/bpf.h`.
mod context {
    pub(super) const LEN: i16 = 0;
    pub(super) const PACKET_TYPE: i16 = 4;
    pub(super) const PROTOCOL: i16 = 16;
    pub(super) const VLAN_PRESENT: i16 = 20;
    pub(super) const GSO_SIZE: i16 = 176;
}

/// Functions of the kernel (`enum bpf_func_id`).
mod function {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const KTIME_GET_NS: i32 = 5;
    pub(super) const SKB_STORE_BYTES: i32 = 9;
    pub(super) const L4_CSUM_REPLACE: i32 = 11;
    pub(super) const SKB_LOAD_BYTES: i32 = 26;
    pub(super) const CSUM_DIFF: i32 = 28;
    pub(super) const REDIRECT_NEIGH: i32 = 152;
}

/// A header of Ethernet, which every interface has that we attach to.
const ETHERNET: i32 = 14;

/// Places on the stack, from its end. The headers end at the same place for both families.
mod place {
    pub(super) const RTP: i16 = -16;
    pub(super) const UDP: i16 = RTP - 8;
    pub(super) const V4: i16 = UDP - 20;
    pub(super) const V6: i16 = UDP - 40;
    pub(super) const KEY: i16 = -104;
    /// The RTP header as it came.
    pub(super) const BEFORE: i16 = -120;
    pub(super) const NOW: i16 = -128;
    pub(super) const HIGHEST: i16 = -132;
    pub(super) const TIMESTAMP: i16 = -136;
    pub(super) const JITTER: i16 = -140;
    pub(super) const SKIPPED: i16 = -144;
    pub(super) const DIFFERENCE: i16 = -152;
}

/// Two octets as a word of the machine has them that holds nothing else.
const fn network(value: u16) -> i32 {
    value.to_be() as i32
}

/// The program, for this map.
fn program(streams: i32) -> Vec<Instruction> {
    use Register::{R0, R6, R7};
    /// `TCX_NEXT`: as if the program were not there.
    const NEXT: i32 = -1;

    let mut program = Assembler::default();
    let p = &mut program;
    p.copy(R6, Register::R1);
    read_packet(p);
    p.map(Register::R1, streams);
    p.stack_address(Register::R2, i32::from(place::KEY));
    p.call(function::MAP_LOOKUP_ELEM);
    p.jump_if_equal(R0, 0, "pass");
    p.copy(R7, R0);
    judge(p);
    rewrite(p);
    count(p);
    p.load(Register::R1, R7, entry::INTERFACE);
    p.set(Register::R2, 0);
    p.set(Register::R3, 0);
    p.set(Register::R4, 0);
    p.call(function::REDIRECT_NEIGH);
    p.exit();
    p.label("pass");
    p.set(R0, NEXT);
    p.exit();
    program.finish()
}

/// Copies the headers to the stack and makes the key. Afterwards `R8` is the length of the UDP datagram and `R9` its place.
fn read_packet(p: &mut Assembler) {
    use Register::{R0, R1, R2, R3, R4, R6, R8, R9, R10};
    /// An IPv4 header without options (RFC 791 section 3.1).
    const NO_OPTIONS: i32 = 0x45;
    /// "More fragments" and the fragment's place.
    const FRAGMENT: u16 = 0x3fff;

    // For us (`PACKET_HOST`), without a VLAN in front, and not several joined into one.
    for field in [
        context::PACKET_TYPE,
        context::VLAN_PRESENT,
        context::GSO_SIZE,
    ] {
        p.load(R2, R6, field);
        p.jump_unless_equal(R2, 0, "pass");
    }
    let load = |p: &mut Assembler, to: i16| {
        p.copy(R1, R6);
        p.set(R2, ETHERNET);
        p.stack_address(R3, i32::from(to));
        p.set(R4, i32::from(-4 - to));
        p.call(function::SKB_LOAD_BYTES);
        p.jump_unless_equal(R0, 0, "pass");
    };
    let udp_len = |p: &mut Assembler| {
        p.load_as(Width::Half, R8, R10, place::UDP + 4);
        p.swap_to_network(R8, 16);
    };
    p.load(R2, R6, context::PROTOCOL);
    p.jump_if_equal(R2, network(libc::ETH_P_IPV6 as u16), "v6");
    p.jump_unless_equal(R2, network(libc::ETH_P_IP as u16), "pass");

    load(p, place::V4);
    p.load_as(Width::Byte, R2, R10, place::V4);
    p.jump_unless_equal(R2, NO_OPTIONS, "pass");
    p.load_as(Width::Half, R2, R10, place::V4 + 6);
    p.change(Operation::And, R2, network(FRAGMENT));
    p.jump_unless_equal(R2, 0, "pass");
    p.load_as(Width::Byte, R2, R10, place::V4 + 8);
    p.jump_if(Test::Below, R2, FEWEST_HOPS, "pass");
    p.load_as(Width::Byte, R2, R10, place::V4 + 9);
    p.jump_unless_equal(R2, libc::IPPROTO_UDP, "pass");
    udp_len(p);
    p.load_as(Width::Half, R2, R10, place::V4 + 2);
    p.swap_to_network(R2, 16);
    p.copy(R3, R8);
    p.change(Operation::Add, R3, 20);
    p.jump_if_to(Test::Unequal, R2, R3, "pass");
    p.set(R9, ETHERNET + 20);
    for (to, from) in [
        (place::KEY, place::V4 + 12),
        (place::KEY + 16, place::V4 + 16),
    ] {
        p.store_value(R10, to, 0);
        p.store_value(R10, to + 4, 0);
        p.store_value(R10, to + 8, 0xffff_u32.to_be());
        p.load(R2, R10, from);
        p.store(R10, to + 12, R2);
    }
    p.jump("rtp");

    p.label("v6");
    load(p, place::V6);
    p.load_as(Width::Byte, R2, R10, place::V6 + 6);
    p.jump_unless_equal(R2, libc::IPPROTO_UDP, "pass");
    p.load_as(Width::Byte, R2, R10, place::V6 + 7);
    p.jump_if(Test::Below, R2, FEWEST_HOPS, "pass");
    udp_len(p);
    p.load_as(Width::Half, R2, R10, place::V6 + 4);
    p.swap_to_network(R2, 16);
    p.jump_if_to(Test::Unequal, R2, R8, "pass");
    p.set(R9, ETHERNET + 40);
    for word in (0..32).step_by(4) {
        p.load(R2, R10, place::V6 + 8 + word);
        p.store(R10, place::KEY + word, R2);
    }

    p.label("rtp");
    // Nothing behind the datagram.
    p.copy(R3, R8);
    p.change_by(Operation::Add, R3, R9);
    p.load(R2, R6, context::LEN);
    p.jump_if_to(Test::Unequal, R2, R3, "pass");
    p.load(R2, R10, place::UDP);
    p.store(R10, place::KEY + 32, R2);
}

/// Whether this is the next packet of the stream in `R7`. What the stream will have come to is on the stack then, and the RTP
/// header there is the new one but for its numbers.
fn judge(p: &mut Assembler) {
    use Register::{R0, R1, R2, R3, R4, R5, R7, R8, R10};
    /// RFC 3550 section 5.1: version 2, without padding, extension and contributing sources.
    const PLAIN: i32 = 0x80;
    const MARKER: i32 = 0x80;
    /// The headers of UDP and RTP.
    const SHORTEST: i32 = 20;
    const NANOSECONDS: i32 = 1_000_000_000;

    p.jump_if(Test::Below, R8, SHORTEST, "pass");
    p.load(R2, R7, entry::LONGEST);
    p.jump_if_to(Test::Above, R8, R2, "pass");
    p.load_as(Width::Byte, R2, R10, place::RTP);
    p.jump_unless_equal(R2, PLAIN, "pass");
    p.load(R2, R10, place::RTP + 8);
    p.load(R3, R7, entry::SSRC);
    p.jump_if_to(Test::Unequal, R2, R3, "pass");
    for word in [0, 4, 8] {
        p.load(R2, R10, place::RTP + word);
        p.store(R10, place::BEFORE + word, R2);
    }

    p.load_as(Width::Byte, R2, R10, place::RTP + 1);
    p.copy(R3, R2);
    p.change(Operation::And, R2, !MARKER & 0xff);
    p.change(Operation::And, R3, MARKER);
    let labels = ["second type", "third type", "fourth type", "no type"];
    for (at, next) in (0..).zip(labels) {
        p.load_as(Width::Byte, R4, R7, entry::PAYLOAD_TYPES + at);
        p.jump_if_to(Test::Unequal, R2, R4, next);
        p.load_as(Width::Byte, R4, R7, entry::NEW_PAYLOAD_TYPES + at);
        p.jump("type");
        p.label(next);
    }
    p.jump("pass");
    p.label("type");
    p.change_by(Operation::Or, R3, R4);
    p.store_as(Width::Byte, R10, place::RTP + 1, R3);

    p.call(function::KTIME_GET_NS);
    p.store_as(Width::Long, R10, place::NOW, R0);

    // Behind the highest number, and not far.
    p.load_as(Width::Half, R2, R10, place::RTP + 2);
    p.swap_to_network(R2, 16);
    p.load(R3, R7, entry::HIGHEST);
    p.change_by(Operation::Subtract, R2, R3);
    p.change(Operation::And, R2, 0xffff);
    p.jump_if_equal(R2, 0, "pass");
    p.jump_if(Test::Above, R2, MOST_SKIPPED, "pass");
    p.change_by(Operation::Add, R3, R2);
    p.store(R10, place::HIGHEST, R3);
    p.store(R10, place::SKIPPED, R2);

    // RFC 3550 appendix A.8: how much longer than the last one it was on its way, in units of the timestamp.
    p.load_as(Width::Long, R2, R7, entry::LAST_SEEN);
    p.change_by(Operation::Subtract, R0, R2);
    p.jump_if(Test::Above, R0, LONGEST_PAUSE, "pass");
    p.load(R5, R7, entry::CLOCK);
    p.change_by(Operation::Multiply, R0, R5);
    p.change(Operation::Divide, R0, NANOSECONDS);
    p.load(R2, R10, place::RTP + 4);
    p.swap_to_network(R2, 32);
    p.store(R10, place::TIMESTAMP, R2);
    p.load(R3, R7, entry::TIMESTAMP);
    p.change_by(Operation::Subtract, R2, R3);
    p.change(Operation::ShiftLeft, R2, 32);
    p.change(Operation::ShiftRightSigned, R2, 32);
    p.change_by(Operation::Subtract, R0, R2);
    // The absolute value: the sign is 0 or -1.
    p.copy(R1, R0);
    p.change(Operation::ShiftRightSigned, R1, 63);
    p.change_by(Operation::Xor, R0, R1);
    p.change_by(Operation::Subtract, R0, R1);
    p.change(Operation::Multiply, R5, MOST_ASTRAY);
    p.jump_if_to(Test::Above, R0, R5, "pass");
    p.load(R2, R7, entry::JITTER);
    p.copy(R3, R2);
    p.change(Operation::Add, R3, 8);
    p.change(Operation::ShiftRight, R3, 4);
    p.change_by(Operation::Add, R2, R0);
    p.change_by(Operation::Subtract, R2, R3);
    p.store(R10, place::JITTER, R2);
}

/// Writes the packet as the relay would have sent it.
fn rewrite(p: &mut Assembler) {
    use Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
    /// `BPF_F_PSEUDO_HDR` and `BPF_F_MARK_MANGLED_0`: RFC 768 has no checksum zero but for none.
    const PSEUDO_HEADER: i32 = 0x10;
    const NEVER_ZERO: i32 = 0x20;

    p.load(R2, R10, place::HIGHEST);
    p.load(R3, R7, entry::SEQUENCE_OFFSET);
    p.change_by(Operation::Add, R2, R3);
    p.swap_to_network(R2, 16);
    p.store_as(Width::Half, R10, place::RTP + 2, R2);
    p.load(R2, R10, place::TIMESTAMP);
    p.load(R3, R7, entry::TIMESTAMP_OFFSET);
    p.change_by(Operation::Add, R2, R3);
    p.swap_to_network(R2, 32);
    p.store(R10, place::RTP + 4, R2);
    p.load(R2, R7, entry::NEW_SSRC);
    p.store(R10, place::RTP + 8, R2);
    p.load(R2, R7, entry::NEW_PORTS);
    p.store(R10, place::UDP, R2);
    p.stack_address(R1, i32::from(place::BEFORE));
    p.set(R2, 12);
    p.stack_address(R3, i32::from(place::RTP));
    p.set(R4, 12);
    p.load(R5, R7, entry::PORTS_DIFFER);
    p.call(function::CSUM_DIFF);
    p.store_as(Width::Long, R10, place::DIFFERENCE, R0);

    let store = |p: &mut Assembler, from: i16| {
        p.copy(R1, R6);
        p.set(R2, ETHERNET);
        p.stack_address(R3, i32::from(from));
        p.set(R4, i32::from(-4 - from));
        p.set(R5, 0);
        p.call(function::SKB_STORE_BYTES);
        p.jump_unless_equal(R0, 0, "pass");
    };
    p.jump_unless_equal(R9, ETHERNET + 20, "new v6");
    p.load(R2, R7, entry::TOS);
    p.store_as(Width::Byte, R10, place::V4 + 1, R2);
    p.load_as(Width::Byte, R2, R10, place::V4 + 8);
    p.change(Operation::Subtract, R2, 1);
    p.store_as(Width::Byte, R10, place::V4 + 8, R2);
    p.load(R2, R7, entry::NEW_SOURCE + 12);
    p.store(R10, place::V4 + 12, R2);
    p.load(R2, R7, entry::NEW_DESTINATION + 12);
    p.store(R10, place::V4 + 16, R2);
    p.set(R2, 0);
    p.store_as(Width::Half, R10, place::V4 + 10, R2);
    p.set(R1, 0);
    p.stack_address(R3, i32::from(place::V4));
    p.set(R4, 20);
    p.set(R5, 0);
    p.call(function::CSUM_DIFF);
    for _ in 0..2 {
        p.copy(R2, R0);
        p.change(Operation::And, R0, 0xffff);
        p.change(Operation::ShiftRight, R2, 16);
        p.change_by(Operation::Add, R0, R2);
    }
    p.change(Operation::Xor, R0, 0xffff);
    p.store_as(Width::Half, R10, place::V4 + 10, R0);
    store(p, place::V4);
    p.jump("checksum");

    p.label("new v6");
    p.load(R2, R7, entry::V6_START);
    p.store(R10, place::V6, R2);
    p.load_as(Width::Byte, R2, R10, place::V6 + 7);
    p.change(Operation::Subtract, R2, 1);
    p.store_as(Width::Byte, R10, place::V6 + 7, R2);
    for word in (0..32).step_by(4) {
        p.load(R2, R7, entry::NEW_SOURCE + word);
        p.store(R10, place::V6 + 8 + word, R2);
    }
    store(p, place::V6);

    p.label("checksum");
    let replace = |p: &mut Assembler, flags: i32| {
        p.copy(R1, R6);
        p.copy(R2, R9);
        p.change(Operation::Add, R2, 6);
        p.set(R3, 0);
        p.set(R5, flags);
        p.call(function::L4_CSUM_REPLACE);
    };
    // They cannot fail: the bytes before and after the checksum were written just now.
    p.load(R4, R7, entry::ADDRESSES_DIFFER);
    replace(p, PSEUDO_HEADER | NEVER_ZERO);
    p.load_as(Width::Long, R4, R10, place::DIFFERENCE);
    replace(p, NEVER_ZERO);
    // What is left is the payload.
    p.change(Operation::Subtract, R8, 20);
}

/// Writes down what was forwarded.
fn count(p: &mut Assembler) {
    use Register::{R2, R7, R8, R10};
    p.set(R2, 1);
    p.add_to(R7, entry::PACKETS, R2);
    p.add_to(R7, entry::OCTETS, R8);
    p.load_as(Width::Long, R2, R10, place::NOW);
    p.store_as(Width::Long, R7, entry::LAST_SEEN, R2);
    for (to, from) in [
        (entry::HIGHEST, place::HIGHEST),
        (entry::TIMESTAMP, place::TIMESTAMP),
        (entry::JITTER, place::JITTER),
    ] {
        p.load(R2, R10, from);
        p.store(R7, to, R2);
    }
    p.load(R2, R10, place::SKIPPED);
    p.jump_if_equal(R2, 1, "in order");
    p.load(R2, R7, entry::SKIPS);
    p.change(Operation::Add, R2, 1);
    p.store(R7, entry::SKIPS, R2);
    p.label("in order");
}
