//! Extended reports (RFC 3611), block by block.
//!
//! A block about a stream names it, and often a range of its sequence numbers; both are translated. What is counted or timed in
//! a way that a relay cannot follow (packet receipt times, blocks that nobody knows) is left out.
//!
//! Where reports end at the relay it writes blocks of its own: the time, how long ago it heard the peer's, and how the stream
//! sounds (sections 4.4, 4.5 and 4.7).

use std::time::Duration;

use relay_packet::PacketBuf;

use super::compound::RtcpPacket;
use super::packet_type::EXTENDED_REPORT;
use super::translate::{Translation, read_ssrc, write_ssrc};
use super::{NtpTime, header, ntp};
use crate::rtp::Ssrc;

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

/// Octets of a block of VoIP metrics behind its header (RFC 3611 section 4.7).
const VOIP_METRICS_LEN: usize = 32;
/// "Not known", of levels, ratings and scores (RFC 3611 section 4.7).
const UNKNOWN: u8 = 127;

/// When somebody whose reference time was heard is told of it (RFC 3611 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceDelay {
    /// Who sent the reference time.
    pub ssrc: Ssrc,
    /// The middle 32 bits of it.
    pub last_reference: u32,
    /// In 65,536ths of a second, since it came.
    pub delay: u32,
}

impl ReferenceDelay {
    /// About a reference time that came so long ago.
    pub fn new(ssrc: Ssrc, time: NtpTime, ago: Duration) -> Self {
        Self {
            ssrc,
            last_reference: time.middle(),
            delay: ntp::to_units(ago),
        }
    }

    /// The round trip, when the reference time left `ago`.
    pub fn round_trip(&self, ago: Duration) -> Option<Duration> {
        ago.checked_sub(ntp::from_units(self.delay))
    }
}

/// How a stream that we receive sounds (RFC 3611 section 4.7). What is not known has the RFC's value for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The stream.
    pub ssrc: Ssrc,
    /// Since the beginning, in 256ths.
    pub loss_rate: u8,
    /// Packets that came too late to be played, in 256ths.
    pub discard_rate: u8,
    pub burst_density: u8,
    pub gap_density: u8,
    /// In milliseconds.
    pub burst_duration: u16,
    pub gap_duration: u16,
    pub round_trip: u16,
    pub end_system_delay: u16,
    /// What counts as a gap.
    pub gmin: u8,
    /// The rating of ITU-T G.107, 0 to 100.
    pub r_factor: Option<u8>,
    /// Ten times the scores, of listening and of talking.
    pub mos_lq: Option<u8>,
    pub mos_cq: Option<u8>,
    /// The stream is decoded here, so that losses are concealed and jitter is buffered.
    pub decoded: bool,
    /// The longest that a packet may wait, in milliseconds.
    pub jitter_buffer_max: u16,
}

impl VoipMetrics {
    fn write(&self) -> [u8; VOIP_METRICS_LEN] {
        let pair = |number: u16| number.to_be_bytes();
        let [s0, s1, s2, s3] = self.ssrc.0.to_be_bytes();
        let [b0, b1] = pair(self.burst_duration);
        let [g0, g1] = pair(self.gap_duration);
        let [r0, r1] = pair(self.round_trip);
        let [e0, e1] = pair(self.end_system_delay);
        let [m0, m1] = pair(self.jitter_buffer_max);
        let known = |value: Option<u8>| value.unwrap_or(UNKNOWN);
        // Section 4.7.6: standard concealment and an adaptive jitter buffer, or nothing of the kind.
        let configuration = if self.decoded { 0b1111_0000 } else { 0 };
        [
            s0,
            s1,
            s2,
            s3,
            self.loss_rate,
            self.discard_rate,
            self.burst_density,
            self.gap_density,
            b0,
            b1,
            g0,
            g1,
            r0,
            r1,
            e0,
            e1,
            // Levels of signal and noise, the residual echo.
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            self.gmin,
            known(self.r_factor),
            // The rating of another network.
            UNKNOWN,
            known(self.mos_lq),
            known(self.mos_cq),
            configuration,
            0,
            // In order nothing waits.
            0,
            0,
            m0,
            m1,
            m0,
            m1,
        ]
    }
}

/// What an extended report of ours says.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtendedReport {
    /// Our time, by which the peer can answer although it sends no media.
    pub reference_time: Option<NtpTime>,
    /// How long ago the peer's came.
    pub reference_delay: Option<ReferenceDelay>,
    pub voip_metrics: Option<VoipMetrics>,
}

/// Appends an extended report to a compound packet; `false` when it does not fit. One without blocks is left out.
#[must_use]
pub fn append_extended_report(
    packet: &mut PacketBuf,
    sender: Ssrc,
    report: &ExtendedReport,
) -> bool {
    let mut blocks: Vec<(u8, Vec<u8>)> = Vec::new();
    if let Some(time) = report.reference_time {
        let block = time.0.to_be_bytes().to_vec();
        blocks.push((block_type::RECEIVER_REFERENCE_TIME, block));
    }
    if let Some(delay) = report.reference_delay {
        let words = [delay.ssrc.0, delay.last_reference, delay.delay];
        blocks.push((block_type::DLRR, words.map(u32::to_be_bytes).concat()));
    }
    if let Some(metrics) = &report.voip_metrics {
        blocks.push((block_type::VOIP_METRICS, metrics.write().to_vec()));
    }
    if blocks.is_empty() {
        return true;
    }
    let of_blocks: usize = blocks.iter().map(|(_, b)| BLOCK_HEADER_LEN + b.len()).sum();
    let body_len = 4 + of_blocks;
    let mut fits = packet.extend_from_slice(&header(0, EXTENDED_REPORT, body_len))
        && packet.extend_from_slice(&sender.0.to_be_bytes());
    for (kind, block) in blocks {
        let [high, low] = ((block.len() / 4) as u16).to_be_bytes();
        fits = fits
            && packet.extend_from_slice(&[kind, 0, high, low])
            && packet.extend_from_slice(&block);
    }
    fits
}

/// The blocks of an extended report: types and contents. What does not fit in ends it.
fn blocks<'a>(packet: &RtcpPacket<'a>) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
    let is_one = packet.packet_type == EXTENDED_REPORT;
    let mut rest = packet.body.get(4..).filter(|_| is_one).unwrap_or_default();
    std::iter::from_fn(move || {
        let [kind, _, high, low] = *rest.first_chunk()?;
        let end = BLOCK_HEADER_LEN + usize::from(u16::from_be_bytes([high, low])) * 4;
        let content = rest.get(BLOCK_HEADER_LEN..end)?;
        rest = &rest[end..];
        Some((kind, content))
    })
}

/// The reference times of an extended report.
pub(super) fn reference_times<'a>(
    packet: &RtcpPacket<'a>,
) -> impl Iterator<Item = NtpTime> + use<'a> {
    let times = blocks(packet).filter(|(kind, _)| *kind == block_type::RECEIVER_REFERENCE_TIME);
    times.filter_map(|(_, content)| Some(NtpTime(u64::from_be_bytes(*content.first_chunk()?))))
}

/// What an extended report says about reference times that it has heard.
pub(super) fn reference_delays<'a>(
    packet: &RtcpPacket<'a>,
) -> impl Iterator<Item = ReferenceDelay> + use<'a> {
    let delays = blocks(packet).filter(|(kind, _)| *kind == block_type::DLRR);
    delays.flat_map(|(_, content)| {
        let entries = content.as_chunks::<DLRR_LEN>().0.iter();
        entries.map(|entry| {
            let word = |at: usize| {
                u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
            };
            ReferenceDelay {
                ssrc: Ssrc(word(0)),
                last_reference: word(4),
                delay: word(8),
            }
        })
    })
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

#[cfg(test)]
mod tests {
    use super::super::{Compound, write_report};
    use super::*;

    fn written() -> PacketBuf {
        let mut packet = PacketBuf::new();
        assert!(write_report(&mut packet, Ssrc(7), None, &[], "c"));
        let report = ExtendedReport {
            reference_time: Some(NtpTime(0x1111_2222_3333_4444)),
            reference_delay: Some(ReferenceDelay::new(
                Ssrc(9),
                NtpTime(0x5555_6666_7777_8888),
                Duration::from_millis(500),
            )),
            voip_metrics: Some(VoipMetrics {
                ssrc: Ssrc(9),
                loss_rate: 13,
                discard_rate: 1,
                burst_density: 200,
                gap_density: 2,
                burst_duration: 180,
                gap_duration: 12_000,
                round_trip: 85,
                end_system_delay: 20,
                gmin: 16,
                r_factor: Some(91),
                mos_lq: Some(43),
                mos_cq: None,
                decoded: true,
                jitter_buffer_max: 80,
            }),
        };
        assert!(append_extended_report(&mut packet, Ssrc(7), &report));
        packet
    }

    #[test]
    fn the_blocks_lie_where_the_rfc_puts_them() {
        let packet = written();
        let compound = Compound::parse(&packet).unwrap();
        let report = compound.packets().last().unwrap();
        assert_eq!((report.packet_type, report.sender()), (207, Some(Ssrc(7))));
        // RFC 3611 sections 4.4, 4.5 and 4.7, word by word.
        let body = &report.body[4..];
        assert_eq!(body[..4], [4, 0, 0, 2]);
        assert_eq!(body[12..16], [5, 0, 0, 3]);
        assert_eq!(
            body[16..28],
            [0, 0, 0, 9, 0x66, 0x66, 0x77, 0x77, 0, 0, 0x80, 0]
        );
        assert_eq!(body[28..32], [7, 0, 0, 8]);
        let expected = [
            [0, 0, 0, 9],
            [13, 1, 200, 2],
            [0, 180, 0x2e, 0xe0],
            [0, 85, 0, 20],
            [127, 127, 127, 16],
            [91, 127, 43, 127],
            [0xf0, 0, 0, 0],
            [0, 80, 0, 80],
        ];
        assert_eq!(body[32..], expected.concat());
    }

    #[test]
    fn what_is_written_is_read_and_gives_the_round_trip() {
        let packet = written();
        let compound = Compound::parse(&packet).unwrap();
        let times: Vec<_> = compound.reference_times().collect();
        assert_eq!(times, [(Ssrc(7), NtpTime(0x1111_2222_3333_4444))]);
        let delay = compound.reference_delays().next().unwrap();
        assert_eq!(delay.last_reference, 0x6666_7777);
        let round_trip = delay.round_trip(Duration::from_millis(585));
        assert_eq!(round_trip, Some(Duration::from_millis(85)));
        assert_eq!(delay.round_trip(Duration::from_millis(499)), None);
    }

    #[test]
    fn lengths_that_lie_give_nothing() {
        let mut packet = written().to_vec();
        let at = packet.len() - 40 - 12 - 4;
        // The reference time says that it is longer than the packet.
        let report = packet[..at].iter().rposition(|&b| b == 207).unwrap();
        packet[report + 9] = 0xff;
        let compound = Compound::parse(&packet).unwrap();
        assert!(compound.reference_delays().next().is_none());
        let nothing = ExtendedReport::default();
        let mut empty = PacketBuf::new();
        assert!(append_extended_report(&mut empty, Ssrc(7), &nothing));
        assert!(empty.is_empty());
    }
}
