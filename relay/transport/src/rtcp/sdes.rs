//! Source descriptions (RFC 3550 section 6.5).

use relay_packet::PacketBuf;

use super::header;
use super::packet_type::SOURCE_DESCRIPTION;
use crate::rtp::Ssrc;

/// The item that every compound packet carries.
const CNAME: u8 = 1;
/// An item's length has one byte.
const MAX_TEXT_LEN: usize = 255;

/// Appends a description with one chunk and the CNAME in it; a longer name is cut. `false` when it does not fit.
#[must_use]
pub(super) fn append_cname(packet: &mut PacketBuf, ssrc: Ssrc, cname: &str) -> bool {
    let text = &cname.as_bytes()[..cname.len().min(MAX_TEXT_LEN)];
    // At least one zero byte ends the list, and the chunk ends at a word.
    let zeros = 4 - (2 + text.len()) % 4;
    let body_len = 4 + 2 + text.len() + zeros;
    packet.extend_from_slice(&header(1, SOURCE_DESCRIPTION, body_len))
        && packet.extend_from_slice(&ssrc.0.to_be_bytes())
        && packet.extend_from_slice(&[CNAME, text.len() as u8])
        && packet.extend_from_slice(text)
        && packet.extend_from_slice(&[0; 4][..zeros])
}

/// The length of the chunk at the front of `bytes`, its SSRC included; `None` when it does not end.
pub(super) fn chunk_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 4;
    loop {
        match *bytes.get(at)? {
            // The end of the list; the next chunk begins at a word.
            0 => return Some((at / 4 + 1) * 4).filter(|len| *len <= bytes.len()),
            _ => at += 2 + usize::from(*bytes.get(at + 1)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_at_the_word_behind_its_last_item() {
        assert_eq!(
            chunk_len(&[0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0]),
            Some(12)
        );
        assert_eq!(chunk_len(&[0, 0, 0, 1, 1, 1, b'a', 0, 9, 9, 9, 9]), Some(8));
        assert_eq!(chunk_len(&[0, 0, 0, 1, 0, 0, 0, 0]), Some(8));
        assert_eq!(chunk_len(&[0, 0, 0, 1, 1, 200, b'a', 0]), None);
        assert_eq!(chunk_len(&[0, 0, 0, 1]), None);
        assert_eq!(chunk_len(&[0, 0, 0, 1, 1, 0, 0]), None);
    }

    #[test]
    fn a_name_too_long_is_cut() {
        let mut packet = PacketBuf::new();
        assert!(append_cname(&mut packet, Ssrc(1), &"x".repeat(300)));
        assert!(packet.len().is_multiple_of(4));
        assert_eq!(packet[9], 255);
        assert_eq!(chunk_len(&packet[4..]), Some(packet.len() - 4));
    }
}
