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

mod program;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::steering::during;
use super::system_call::{self, Map, MapType};
use program::program;

/// The longest IP packet that is forwarded: what every link carries (RFC 8200 section 5).
pub(crate) const LONGEST: u32 = 1280;
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
