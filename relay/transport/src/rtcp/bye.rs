//! The end of a stream (RFC 3550 section 6.6).

use relay_packet::PacketBuf;

use super::header;
use super::packet_type::GOODBYE;
use crate::rtp::Ssrc;

/// Appends a goodbye of one source to a compound packet; `false` when it does not fit.
#[must_use]
pub fn append_bye(packet: &mut PacketBuf, ssrc: Ssrc) -> bool {
    packet.extend_from_slice(&header(1, GOODBYE, 4))
        && packet.extend_from_slice(&ssrc.0.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use rtcp_types::{Compound as Oracle, Packet};

    use super::super::{Compound, write_report};
    use super::*;

    #[test]
    fn a_goodbye_follows_a_report() {
        let mut packet = PacketBuf::new();
        assert!(write_report(&mut packet, Ssrc(7), None, &[], "c"));
        assert!(append_bye(&mut packet, Ssrc(7)));
        assert!(Compound::parse(&packet).unwrap().goodbyes().eq([Ssrc(7)]));
        let last = Oracle::parse(&packet).unwrap().last().unwrap().unwrap();
        assert!(matches!(last, Packet::Bye(bye) if bye.ssrcs().eq([7])));
    }
}
