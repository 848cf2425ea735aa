//! Extended reports (RFC 3611), block by block.
//!
//! A block about a stream names it, and often a range of its sequence numbers; both are translated. What is counted or timed in
//! a way that a relay cannot follow (packet receipt times, blocks that nobody knows) is left out.

use super::translate::{Translation, read_ssrc, write_ssrc};

const BLOCK_HEADER_LEN: usize = 4;
/// RFC 3611 section 4.5: SSRC, last RRT, delay.
const DLRR_LEN: usize = 12;

/// Block types of RFC 3611 section 4.
mod block_type {
    pub(super) const LOSS_RLE: u8 = 1;
    pub(super) const DUPLICATE_RLE: u8 = 2;
    pub(super) const RECEIVER_REFERENCE_TIME: u8 = 4;
    pub(super) const DLRR: u8 = 5;
    pub(super) const STATISTICS: u8 = 6;
    pub(super) const VOIP_METRICS: u8 = 7;
}

/// Rewrites the blocks in place, which follow the sender's SSRC. Gives how many bytes are left; `None` when nothing is, or the
/// lengths are wrong.
pub(super) fn rewrite(blocks: &mut [u8], translation: &Translation<'_>) -> Option<usize> {
    let (mut read, mut written) = (0, 0);
    while read < blocks.len() {
        let [kind, _, high, low] = *blocks[read..].first_chunk()?;
        let content_len = usize::from(u16::from_be_bytes([high, low])) * 4;
        let content = read + BLOCK_HEADER_LEN;
        let next = content + content_len;
        if let Some(kept) = rewrite_block(kind, blocks.get_mut(content..next)?, translation) {
            let words = ((kept / 4) as u16).to_be_bytes();
            blocks[read + 2..content].copy_from_slice(&words);
            blocks.copy_within(read..content + kept, written);
            written += BLOCK_HEADER_LEN + kept;
        }
        read = next;
    }
    (written > 0).then_some(written)
}

/// Gives how many bytes of the content are left; `None` for a block that the reader must not see.
fn rewrite_block(kind: u8, content: &mut [u8], translation: &Translation<'_>) -> Option<usize> {
    use block_type::*;
    match kind {
        RECEIVER_REFERENCE_TIME => {}
        VOIP_METRICS => {
            translate_ssrc(content, translation)?;
        }
        LOSS_RLE | DUPLICATE_RLE | STATISTICS => {
            let offset = translate_ssrc(content, translation)?;
            for number in content.get_mut(4..8)?.as_chunks_mut::<2>().0 {
                *number = u16::from_be_bytes(*number)
                    .wrapping_sub(offset as u16)
                    .to_be_bytes();
            }
        }
        DLRR => {
            let mut kept = 0;
            for at in (0..content.len() / DLRR_LEN).map(|index| index * DLRR_LEN) {
                if translate_ssrc(&mut content[at..], translation).is_some() {
                    content.copy_within(at..at + DLRR_LEN, kept);
                    kept += DLRR_LEN;
                }
            }
            return (kept > 0).then_some(kept);
        }
        _ => return None,
    }
    Some(content.len())
}

/// Gives what was added to the numbers of the stream.
fn translate_ssrc(content: &mut [u8], translation: &Translation<'_>) -> Option<u32> {
    let reported = (translation.reported)(read_ssrc(content)?)?;
    write_ssrc(content, reported.ssrc);
    Some(reported.sequence_offset)
}
