//! The encapsulation that Homer takes: HEP version 3, one datagram for one captured message.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What is told about a message beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captured<'a> {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// Since 1970.
    pub(super) at: Duration,
    /// The kind of the payload, as Homer numbers them.
    pub(super) kind: u8,
    /// Who captured it.
    pub(super) agent: u32,
    /// Which call it belongs to.
    pub(super) correlation: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// A payload that is a report of RTCP in JSON.
pub(super) const RTCP_JSON: u8 = 5;

/// The packet; `None` if it would be longer than its own field for the length can say.
pub(super) fn packet(captured: &Captured<'_>) -> Option<Vec<u8>> {
    let mut packet = b"HEP3\0\0".to_vec();
    let mut chunk = |kind: u16, value: &[u8]| -> Option<()> {
        let length = u16::try_from(value.len() + 6).ok()?;
        // Vendor 0: the chunks that everybody knows.
        packet.extend_from_slice(&0u16.to_be_bytes());
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(value);
        Some(())
    };
    const IPV4: u8 = 2;
    const IPV6: u8 = 10;
    const UDP: u8 = 17;
    let (source, destination) = (captured.source.ip(), captured.destination.ip());
    let family = if source.is_ipv4() { IPV4 } else { IPV6 };
    chunk(0x1, &[family])?;
    chunk(0x2, &[UDP])?;
    chunk(0x7, &captured.source.port().to_be_bytes())?;
    chunk(0x8, &captured.destination.port().to_be_bytes())?;
    // The field is as wide as Homer has it: it lasts until 2106.
    let seconds = u32::try_from(captured.at.as_secs()).unwrap_or(u32::MAX);
    chunk(0x9, &seconds.to_be_bytes())?;
    chunk(0xa, &captured.at.subsec_micros().to_be_bytes())?;
    chunk(0xb, &[captured.kind])?;
    chunk(0xc, &captured.agent.to_be_bytes())?;
    for (ip, ipv4, ipv6) in [(source, 0x3, 0x5), (destination, 0x4, 0x6)] {
        match ip {
            IpAddr::V4(ip) => chunk(ipv4, &ip.octets())?,
            IpAddr::V6(ip) => chunk(ipv6, &ip.octets())?,
        }
    }
    chunk(0x11, captured.correlation)?;
    chunk(0xf, captured.payload)?;
    let length = u16::try_from(packet.len()).ok()?;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured<'a>(source: &str, destination: &str, payload: &'a [u8]) -> Captured<'a> {
        Captured {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            at: Duration::from_micros(1_795_347_093_000_662),
            kind: RTCP_JSON,
            agent: 2001,
            correlation: b"hepcall",
            payload,
        }
    }

    /// Type and value of each chunk.
    fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        assert_eq!(&packet[..4], b"HEP3");
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!(usize::from(number(4)), packet.len());
        let mut at = 6;
        let mut chunks = Vec::new();
        while at < packet.len() {
            assert_eq!(number(at), 0, "vendor");
            let end = at + usize::from(number(at + 4));
            chunks.push((number(at + 2), packet[at + 6..end].to_vec()));
            at = end;
        }
        chunks
    }

    #[test]
    fn the_chunks_are_those_that_rtpengine_writes_and_in_its_order() {
        let packet = packet(&captured("127.0.66.2:34184", "127.0.66.1:21023", b"{}")).unwrap();
        // Recorded from rtpengine 10.5, but for the time and the payload.
        assert_eq!(
            chunks(&packet),
            [
                (0x1, vec![2]),
                (0x2, vec![17]),
                (0x7, vec![0x85, 0x88]),
                (0x8, vec![0x52, 0x1f]),
                (0x9, 1_795_347_093u32.to_be_bytes().to_vec()),
                (0xa, 662u32.to_be_bytes().to_vec()),
                (0xb, vec![5]),
                (0xc, 2001u32.to_be_bytes().to_vec()),
                (0x3, vec![127, 0, 66, 2]),
                (0x4, vec![127, 0, 66, 1]),
                (0x11, b"hepcall".to_vec()),
                (0xf, b"{}".to_vec()),
            ]
        );
    }

    #[test]
    fn addresses_of_ipv6_have_chunks_of_their_own() {
        let packet = packet(&captured("[2001:db8::2]:5", "[2001:db8::1]:6", b"{}")).unwrap();
        let chunks = chunks(&packet);
        assert_eq!(chunks[0], (0x1, vec![10]));
        assert_eq!((chunks[8].0, chunks[8].1.len()), (0x5, 16));
        assert_eq!((chunks[9].0, chunks[9].1[15]), (0x6, 1));
    }

    #[test]
    fn what_is_longer_than_the_format_allows_is_not_sent() {
        let long = vec![b' '; 65_500];
        assert!(packet(&captured("192.0.2.1:1", "192.0.2.2:2", &long)).is_none());
    }
}
