//! IP and UDP headers in front of a datagram, as a raw socket takes them (RFC 791, RFC 8200, RFC 768).

use std::net::{IpAddr, SocketAddr};

use relay_packet::PacketBuf;

/// The headers of IPv4 and UDP.
pub(super) const V4: usize = 20 + UDP;
/// The headers of IPv6 and UDP.
pub(super) const V6: usize = 40 + UDP;
const UDP: usize = 8;
const PROTOCOL: u8 = 17;

/// What a sender puts into its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// The address and port of ours.
    pub(super) address: SocketAddr,
    /// The type-of-service octet; for IPv6 the traffic class.
    pub(super) tos: u8,
    /// Routers that may pass it on.
    pub(super) hops: u8,
}

/// Puts the headers in front of the packet; gives their length. `None`, and no change, when there is no room or the addresses
/// are of two families.
pub(super) fn prepend(
    packet: &mut PacketBuf,
    from: &Sender,
    destination: SocketAddr,
) -> Option<usize> {
    let datagram = u16::try_from(UDP + packet.len()).ok()?;
    let [source_port, destination_port, length] =
        [from.address.port(), destination.port(), datagram].map(u16::to_be_bytes);
    match (from.address.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = [0; V4];
            header[0] = 0x45;
            header[1] = from.tos;
            // The kernel fills in length, identification and checksum. Routers may cut it in pieces: it is short enough never
            // to be cut where the network is sound, and where it is not, pieces are better than silence.
            header[8] = from.hops;
            header[9] = PROTOCOL;
            header[12..16].copy_from_slice(&source.octets());
            header[16..20].copy_from_slice(&destination.octets());
            write_udp(&mut header[20..], source_port, destination_port, length);
            let sum = sum(&header[12..]) + pseudo(datagram) + sum(packet);
            header[26..28].copy_from_slice(&checksum(sum));
            packet.prepend(&header).then_some(V4)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = [0; V6];
            header[0] = 0x60 | from.tos >> 4;
            header[1] = from.tos << 4;
            header[4..6].copy_from_slice(&length);
            header[6] = PROTOCOL;
            header[7] = from.hops;
            header[8..24].copy_from_slice(&source.octets());
            header[24..40].copy_from_slice(&destination.octets());
            write_udp(&mut header[40..], source_port, destination_port, length);
            let sum = sum(&header[8..]) + pseudo(datagram) + sum(packet);
            header[46..48].copy_from_slice(&checksum(sum));
            packet.prepend(&header).then_some(V6)
        }
        _ => None,
    }
}

fn write_udp(header: &mut [u8], source: [u8; 2], destination: [u8; 2], length: [u8; 2]) {
    header[..2].copy_from_slice(&source);
    header[2..4].copy_from_slice(&destination);
    header[4..6].copy_from_slice(&length);
}

/// What the pseudo header has besides the addresses: the length once more, and the protocol.
fn pseudo(length: u16) -> u64 {
    u64::from(length.to_be()) + u64::from(u16::from(PROTOCOL).to_be())
}

/// The sum of RFC 1071, not folded yet. It does not depend on the order of bytes (its section 2), so words are taken as they
/// lie, four octets at a time.
fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let mut sum = 0;
    for word in &mut words {
        // unwrap: pieces of four are what was asked for.
        sum += u64::from(u32::from_ne_bytes(word.try_into().expect("four octets")));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_ne_bytes(last))
}

/// The checksum in the header, as it lies there.
fn checksum(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    // RFC 768: zero says that there is no checksum, which IPv6 forbids; all ones are the same number.
    match !(sum as u16) {
        0 => [0xff; 2],
        checksum => checksum.to_ne_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(address: &str) -> Sender {
        Sender {
            address: address.parse().unwrap(),
            tos: 0xb8,
            hops: 64,
        }
    }

    /// The sum as RFC 1071 section 1 tells it, in the order of the network.
    fn plain_sum(octets: &[u8]) -> u32 {
        let pairs = octets.chunks(2);
        let mut sum: u32 = pairs
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum
    }

    #[test]
    fn the_checksum_of_every_length_makes_the_sum_all_ones() {
        for (from, to, headers) in [
            ("192.0.2.1:4000", "198.51.100.77:5001", V4),
            ("[2001:db8::1]:4000", "[2001:db8:ffff::2]:65535", V6),
        ] {
            for length in 0..200u8 {
                let content: Vec<u8> = (0..length).map(|octet| octet.wrapping_mul(151)).collect();
                let mut packet = PacketBuf::from_slice(&content).unwrap();
                let destination: SocketAddr = to.parse().unwrap();
                assert_eq!(
                    prepend(&mut packet, &sender(from), destination),
                    Some(headers)
                );
                assert_eq!(packet[headers..], content);
                let addresses = if headers == V4 { 12 } else { 8 };
                let mut checked = packet[addresses..].to_vec();
                // The pseudo header's protocol and length, at an even place in front.
                let [high, low] = (u16::from(length) + 8).to_be_bytes();
                checked.splice(0..0, [0, PROTOCOL, high, low]);
                assert_eq!(plain_sum(&checked), 0xffff, "{from}, {length} octets");
            }
        }
    }

    #[test]
    fn a_checksum_of_zero_is_written_as_ones() {
        let from = sender("[2001:db8::1]:4000");
        let destination: SocketAddr = "[2001:db8::2]:5000".parse().unwrap();
        let with = |word: u16| {
            let mut packet = PacketBuf::from_slice(&word.to_be_bytes()).unwrap();
            prepend(&mut packet, &from, destination).unwrap();
            u16::from_be_bytes([packet[V6 - 2], packet[V6 - 1]])
        };
        // The content that is the checksum without it makes the sum all ones and the checksum zero.
        let zero = with(0);
        assert_ne!(zero, 0xffff);
        assert_eq!(with(zero), 0xffff);
    }

    #[test]
    fn marks_and_hops_are_in_their_places() {
        let mut packet = PacketBuf::from_slice(b"x").unwrap();
        prepend(
            &mut packet,
            &sender("[2001:db8::1]:4000"),
            "[2001:db8::2]:5000".parse().unwrap(),
        );
        assert_eq!(packet[..8], [0x6b, 0x80, 0, 0, 0, 9, 17, 64]);
        let mut packet = PacketBuf::from_slice(b"x").unwrap();
        prepend(
            &mut packet,
            &sender("192.0.2.1:4000"),
            "192.0.2.2:5000".parse().unwrap(),
        );
        assert_eq!(packet[..10], [0x45, 0xb8, 0, 0, 0, 0, 0, 0, 64, 17]);
    }

    #[test]
    fn addresses_of_two_families_change_nothing() {
        let mut packet = PacketBuf::from_slice(b"x").unwrap();
        let destination = "[2001:db8::2]:5000".parse().unwrap();
        let none = prepend(&mut packet, &sender("192.0.2.1:4000"), destination);
        assert_eq!((none, &*packet), (None, &b"x"[..]));
    }
}
