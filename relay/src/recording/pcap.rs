//! The file format of libpcap, version 2.4, with microseconds: a header, and for each packet its time, its length and itself.
//!
//! What a call hands out is the content of datagrams; the headers in front of it are made here, so that a reader sees from where to
//! where it went.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// What a packet in the file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Its IP header (`raw`).
    RawIp,
    /// An Ethernet header whose addresses are zero (`eth`).
    Ethernet,
}

impl Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RawIp => "raw",
            Self::Ethernet => "eth",
        })
    }
}

impl LinkType {
    /// The number in the file, from the registry of link types.
    fn number(self) -> u32 {
        match self {
            Self::RawIp => 101,
            Self::Ethernet => 1,
        }
    }
}

/// The longest packet that the file may have.
const SNAP_LENGTH: u32 = 65_535;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
/// Of packets that never travelled like this.
const TIME_TO_LIVE: u8 = 64;

/// The beginning of a file.
pub(super) fn file_header(link_type: LinkType) -> [u8; 24] {
    let mut header = [0; 24];
    header[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2_u16.to_le_bytes());
    header[6..8].copy_from_slice(&4_u16.to_le_bytes());
    // Two fields that are always zero: the time zone and the precision of times.
    header[16..20].copy_from_slice(&SNAP_LENGTH.to_le_bytes());
    header[20..24].copy_from_slice(&link_type.number().to_le_bytes());
    header
}

/// Appends a datagram that came at `at`, since 1970.
pub(super) fn append(
    file: &mut Vec<u8>,
    link_type: LinkType,
    at: Duration,
    [source, destination]: [SocketAddr; 2],
    content: &[u8],
) {
    let start = file.len();
    // Until 2106, as the format has it.
    file.extend((at.as_secs() as u32).to_le_bytes());
    file.extend(at.subsec_micros().to_le_bytes());
    file.extend([0; 8]);
    let packet = file.len();
    let ports = [source.port(), destination.port()];
    // No datagram is longer than 65,507 bytes.
    let udp_length = (UDP_HEADER + content.len()) as u16;
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ethernet(file, link_type, 0x0800);
            let header = file.len();
            file.extend([0x45, 0]);
            file.extend((20 + udp_length).to_be_bytes());
            file.extend([0, 0, 0, 0, TIME_TO_LIVE, UDP, 0, 0]);
            file.extend(source.octets());
            file.extend(destination.octets());
            let sum = checksum(&[&file[header..]]);
            file[header + 10..header + 12].copy_from_slice(&sum.to_be_bytes());
            // RFC 768: zero says that there is no checksum.
            udp(file, ports, udp_length, 0);
        }
        (source, destination) => {
            ethernet(file, link_type, 0x86dd);
            let addresses = [sixteen(source), sixteen(destination)];
            file.extend([0x60, 0, 0, 0]);
            file.extend(udp_length.to_be_bytes());
            file.extend([UDP, TIME_TO_LIVE]);
            addresses.iter().for_each(|address| file.extend(address));
            // RFC 8200 section 8.1: there must be one, over addresses, length and protocol, too.
            let mut header = Vec::with_capacity(UDP_HEADER);
            udp(&mut header, ports, udp_length, 0);
            let length = udp_length.to_be_bytes();
            let pseudo = [&addresses.concat()[..], &length, &[0, UDP], &header];
            let sum = match checksum(&[&pseudo.concat(), content]) {
                0 => 0xffff,
                sum => sum,
            };
            udp(file, ports, udp_length, sum);
        }
    }
    file.extend(content);
    let length = ((file.len() - packet) as u32).to_le_bytes();
    file[start + 8..start + 12].copy_from_slice(&length);
    file[start + 12..start + 16].copy_from_slice(&length);
}

fn ethernet(file: &mut Vec<u8>, link_type: LinkType, ether_type: u16) {
    if link_type == LinkType::Ethernet {
        file.extend([0; 12]);
        file.extend(ether_type.to_be_bytes());
    }
}

fn udp(file: &mut Vec<u8>, [source, destination]: [u16; 2], length: u16, checksum: u16) {
    for field in [source, destination, length, checksum] {
        file.extend(field.to_be_bytes());
    }
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.octets()
}

/// RFC 1071 over parts of which all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        // Carried at once, so that no length overflows it.
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(link_type: LinkType, source: &str, destination: &str, content: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let at = Duration::new(1_795_330_304, 883_093_000);
        let ends = [source, destination].map(|address| address.parse().unwrap());
        append(&mut file, link_type, at, ends, content);
        file
    }

    #[test]
    fn a_file_begins_as_rtpengines_does() {
        let expected = [
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0,
            0,
        ];
        assert_eq!(file_header(LinkType::Ethernet), expected);
        assert_eq!(file_header(LinkType::RawIp)[20..], [101, 0, 0, 0]);
    }

    #[test]
    fn a_packet_of_ipv4_has_its_time_its_length_and_its_way() {
        let file = packet(
            LinkType::Ethernet,
            "127.0.0.1:47194",
            "127.0.0.1:30016",
            b"rtp!",
        );
        // As rtpengine wrote it, but for the checksum, which it leaves out.
        let expected = [
            &[
                0x00, 0x91, 0x02, 0x6b, 0x95, 0x79, 0x0d, 0, 46, 0, 0, 0, 46, 0, 0, 0,
            ][..],
            &[0; 12],
            &[0x08, 0x00, 0x45, 0, 0, 32, 0, 0, 0, 0, 0x40, 0x11],
            &[0x7c, 0xcb, 127, 0, 0, 1, 127, 0, 0, 1],
            &[0xb8, 0x5a, 0x75, 0x40, 0, 12, 0, 0],
            b"rtp!",
        ]
        .concat();
        assert_eq!(file, expected);
        // RFC 1071: over a header with its checksum the sum is zero.
        assert_eq!(checksum(&[&file[30..50]]), 0);
        let raw = packet(
            LinkType::RawIp,
            "127.0.0.1:47194",
            "127.0.0.1:30016",
            b"rtp!",
        );
        assert_eq!(raw[16..], expected[30..]);
    }

    #[test]
    fn a_packet_of_ipv6_has_a_checksum_that_is_right() {
        let file = packet(LinkType::RawIp, "[2001:db8::1]:4000", "[::1]:30000", b"odd");
        let ip = &file[16..];
        assert_eq!(ip[..8], [0x60, 0, 0, 0, 0, 11, 17, 64]);
        assert_ne!(ip[46..48], [0, 0]);
        let pseudo = [&ip[8..40], &[0, 11, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &ip[40..]]), 0);
        assert_eq!(ip[48..], *b"odd");
    }

    #[test]
    fn an_ipv4_address_in_the_clothes_of_ipv6_is_one_of_ipv4() {
        let mapped = packet(LinkType::RawIp, "[::ffff:192.0.2.1]:4", "192.0.2.2:6", b"");
        let plain = packet(LinkType::RawIp, "192.0.2.1:4", "192.0.2.2:6", b"");
        assert_eq!(mapped, plain);
    }
}
