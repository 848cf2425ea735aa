//! Feedback messages (RFC 4585, RFC 5104), and what of them passes a relay.
//!
//! Both SSRCs in front are translated for every message; this is about the details behind them.

use super::packet_type::{PAYLOAD_FEEDBACK, TRANSPORT_FEEDBACK};
use super::translate::{Translation, read_ssrc, write_ssrc};

/// What the details of a message consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Details {
    /// Nothing that a relay changes.
    Untouched,
    /// Sequence numbers of the reader's stream, each with a mask of the same length.
    SequenceNumbers,
    /// Entries of eight bytes that begin with an SSRC of the reader.
    Entries,
    /// A bandwidth for a list of SSRCs of the reader.
    Bandwidth,
    /// Sequence numbers of a header extension, which count the packets of a whole transport.
    TransportWide,
}

/// How a message is understood; `None` for those that nobody can translate.
fn details_of(packet_type: u8, format: u8, details: &[u8]) -> Option<Details> {
    match (packet_type, format) {
        // RFC 4585 section 6.2.1: generic NACK.
        (TRANSPORT_FEEDBACK, 1) => Some(Details::SequenceNumbers),
        // RFC 5104 section 4.2: TMMBR and TMMBN.
        (TRANSPORT_FEEDBACK, 3 | 4) => Some(Details::Entries),
        // RFC 6051 section 3.2: a sender report, please.
        (TRANSPORT_FEEDBACK, 5) => Some(Details::Untouched),
        (TRANSPORT_FEEDBACK, 15) => Some(Details::TransportWide),
        // RFC 4585 section 6.3: picture loss, slice loss. A reference picture (3) is named in the terms of one encoder.
        (PAYLOAD_FEEDBACK, 1 | 2) => Some(Details::Untouched),
        // RFC 5104 section 4.3: FIR, TSTR, TSTN.
        (PAYLOAD_FEEDBACK, 4..=6) => Some(Details::Entries),
        // An application's own message, of which one is known: the receiver's estimated maximum bit rate.
        (PAYLOAD_FEEDBACK, 15) if details.starts_with(b"REMB") => Some(Details::Bandwidth),
        _ => None,
    }
}

/// Whether the message names the media source in its details and has zero in its place in front (RFC 5104 section 4.2.1.2).
pub(super) fn may_name_nobody(packet_type: u8, format: u8) -> bool {
    matches!(
        (packet_type, format),
        (TRANSPORT_FEEDBACK, 3 | 4) | (PAYLOAD_FEEDBACK, 4..=6 | 15)
    )
}

/// Translates what stands behind the two SSRCs, in place. `sequence_offset` is what the relay has added to the reader's numbers.
/// Gives how many bytes are left, `None` when the message is of no use to the reader.
pub(super) fn rewrite_details(
    packet_type: u8,
    format: u8,
    details: &mut [u8],
    sequence_offset: u32,
    translation: &Translation<'_>,
) -> Option<usize> {
    match details_of(packet_type, format, details)? {
        Details::Untouched => Some(details.len()),
        Details::TransportWide => translation.transport_wide.then_some(details.len()),
        Details::SequenceNumbers => {
            for [high, low, _, _] in details.as_chunks_mut::<4>().0 {
                let number = u16::from_be_bytes([*high, *low]);
                [*high, *low] = number.wrapping_sub(sequence_offset as u16).to_be_bytes();
            }
            Some(details.len())
        }
        Details::Entries => rewrite_entries::<8>(details, translation),
        Details::Bandwidth => {
            // The word REMB, a count with the bit rate, and the list.
            let (front, list) = details.split_at_mut_checked(8)?;
            let listed = usize::from(*front.get(4)?) * 4;
            let kept = rewrite_entries::<4>(list.get_mut(..listed)?, translation)?;
            front[4] = (kept / 4) as u8;
            Some(8 + kept)
        }
    }
}

/// Keeps the entries whose SSRC the reader knows. An empty list stays one (a TMMBN without bounds); one that becomes empty is
/// nothing.
fn rewrite_entries<const LEN: usize>(
    list: &mut [u8],
    translation: &Translation<'_>,
) -> Option<usize> {
    if !list.len().is_multiple_of(LEN) {
        return None;
    }
    let mut kept = 0;
    for at in (0..list.len()).step_by(LEN) {
        let Some(reported) = read_ssrc(&list[at..]).and_then(translation.reported) else {
            continue;
        };
        write_ssrc(&mut list[at..], reported.ssrc);
        list.copy_within(at..at + LEN, kept);
        kept += LEN;
    }
    (kept > 0 || list.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_translate_does_not_pass() {
        // A reference picture, an application's own message, an unknown format.
        for (packet_type, format) in [
            (PAYLOAD_FEEDBACK, 3),
            (PAYLOAD_FEEDBACK, 15),
            (TRANSPORT_FEEDBACK, 9),
        ] {
            assert_eq!(details_of(packet_type, format, b"GOOG1234"), None);
        }
        assert_eq!(
            details_of(PAYLOAD_FEEDBACK, 15, b"REMB1234"),
            Some(Details::Bandwidth)
        );
    }
}
