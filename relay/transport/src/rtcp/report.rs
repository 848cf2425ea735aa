//! Sender and receiver reports (RFC 3550 section 6.4).

use std::time::Duration;

use relay_packet::PacketBuf;

use super::compound::RtcpPacket;
use super::packet_type::{RECEIVER_REPORT, SENDER_REPORT};
use super::{NtpTime, header, ntp, sdes};
use crate::rtp::{ReceptionStats, RtpTimestamp, Ssrc};

/// Bytes of the sender's SSRC.
const SSRC_LEN: usize = 4;
/// Bytes of the sender information.
const SENDER_INFO_LEN: usize = 20;
/// Bytes of one report block.
pub(super) const BLOCK_LEN: usize = 24;
/// The count has five bits.
const MAX_BLOCKS: usize = 31;

/// What a sender says about its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// When the report was sent.
    pub ntp: NtpTime,
    /// The same moment on the clock of the stream.
    pub rtp_timestamp: RtpTimestamp,
    /// Packets sent since the stream began.
    pub packets: u32,
    /// Bytes of payload sent since the stream began.
    pub octets: u32,
}

/// A sender report without its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub sender: Ssrc,
    pub info: SenderInfo,
}

/// What a receiver says about one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: Ssrc,
    /// In 256ths, since the previous report.
    pub fraction_lost: u8,
    /// Since the stream began; negative when there were more duplicates than losses. 24 bits.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub extended_highest: u32,
    /// In units of the stream's timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's time; zero when there was none.
    pub last_sr: u32,
    /// In 65,536ths of a second.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// A block about a stream we receive. `last_sr` is its last sender report and how long ago it came.
    pub fn about(
        ssrc: Ssrc,
        stats: &mut ReceptionStats,
        last_sr: Option<(NtpTime, Duration)>,
    ) -> Self {
        let (last_sr, delay) =
            last_sr.map_or((0, 0), |(ntp, ago)| (ntp.middle(), ntp::to_units(ago)));
        Self {
            ssrc,
            fraction_lost: stats.take_fraction_lost(),
            cumulative_lost: stats.cumulative_lost(),
            extended_highest: stats.extended_highest().report(),
            jitter: stats.jitter(),
            last_sr,
            delay_since_last_sr: delay,
        }
    }

    /// The round trip to the receiver that sent this block (RFC 3550 section 6.4.1, "DLSR"), when the report it refers to left
    /// `ago`. The time since is measured by our clock alone: the report may be another party's, translated, with that party's
    /// time in it.
    /// `None` when the receiver says that it waited longer than the report is old.
    pub fn round_trip(&self, ago: Duration) -> Option<Duration> {
        ago.checked_sub(ntp::from_units(self.delay_since_last_sr))
    }

    /// The blocks of a report; none for other packets.
    pub(super) fn read_all<'a>(packet: &RtcpPacket<'a>) -> impl Iterator<Item = Self> + use<'a> {
        let start = blocks_start(packet.packet_type).unwrap_or(usize::MAX);
        let blocks = packet.body.get(start..).unwrap_or_default();
        let blocks = blocks.as_chunks().0.iter().take(usize::from(packet.count));
        blocks.map(Self::read)
    }

    fn read(bytes: &[u8; BLOCK_LEN]) -> Self {
        let word = |at: usize| word_at(bytes, at);
        // The upper byte is the fraction; shifting it out and back extends the sign.
        let lost = (word(4) << 8) as i32 >> 8;
        Self {
            ssrc: Ssrc(word(0)),
            fraction_lost: bytes[4],
            cumulative_lost: lost,
            extended_highest: word(8),
            jitter: word(12),
            last_sr: word(16),
            delay_since_last_sr: word(20),
        }
    }

    fn write(&self) -> [u8; BLOCK_LEN] {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        let loss = u32::from(self.fraction_lost) << 24 | lost as u32 & 0xff_ffff;
        let words = [
            self.ssrc.0,
            loss,
            self.extended_highest,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ];
        let mut bytes = [0; BLOCK_LEN];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }
}

impl SenderReport {
    /// The report in a packet; `None` when it is another type or too short.
    pub(super) fn read(packet: &RtcpPacket<'_>) -> Option<Self> {
        if packet.packet_type != SENDER_REPORT {
            return None;
        }
        let bytes: &[u8; SSRC_LEN + SENDER_INFO_LEN] = packet.body.first_chunk()?;
        let word = |at: usize| word_at(bytes, at);
        Some(Self {
            sender: Ssrc(word(0)),
            info: SenderInfo {
                ntp: NtpTime(u64::from(word(4)) << 32 | u64::from(word(8))),
                rtp_timestamp: RtpTimestamp(word(12)),
                packets: word(16),
                octets: word(20),
            },
        })
    }
}

/// Where the report blocks begin in the body; `None` for packets that have none.
pub(super) fn blocks_start(packet_type: u8) -> Option<usize> {
    match packet_type {
        SENDER_REPORT => Some(SSRC_LEN + SENDER_INFO_LEN),
        RECEIVER_REPORT => Some(SSRC_LEN),
        _ => None,
    }
}

/// The word at a place that the caller has made sure of.
fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Replaces the contents of `packet` by a compound packet: a sender report when there is `info`, else a receiver report, with
/// at most 31 blocks, and the CNAME that RFC 3550 section 6.1 wants in each. `false` when it does not fit.
#[must_use]
pub fn write_report(
    packet: &mut PacketBuf,
    sender: Ssrc,
    info: Option<&SenderInfo>,
    blocks: &[ReportBlock],
    cname: &str,
) -> bool {
    packet.clear();
    let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
    let count = blocks.len() as u8;
    let (packet_type, info_len) = match info {
        Some(_) => (SENDER_REPORT, SENDER_INFO_LEN),
        None => (RECEIVER_REPORT, 0),
    };
    let body_len = SSRC_LEN + info_len + blocks.len() * BLOCK_LEN;
    let mut fits = packet.extend_from_slice(&header(count, packet_type, body_len))
        && packet.extend_from_slice(&sender.0.to_be_bytes());
    if let Some(info) = info {
        fits = fits
            && packet.extend_from_slice(&info.ntp.0.to_be_bytes())
            && packet.extend_from_slice(&info.rtp_timestamp.0.to_be_bytes())
            && packet.extend_from_slice(&info.packets.to_be_bytes())
            && packet.extend_from_slice(&info.octets.to_be_bytes());
    }
    fits = fits
        && blocks
            .iter()
            .all(|block| packet.extend_from_slice(&block.write()));
    fits && sdes::append_cname(packet, sender, cname)
}

#[cfg(test)]
mod tests {
    use rtcp_types::{Compound as Oracle, Packet};

    use super::super::Compound;
    use super::*;

    const INFO: SenderInfo = SenderInfo {
        ntp: NtpTime(0xe5a1_0203_8000_0000),
        rtp_timestamp: RtpTimestamp(123_456),
        packets: 1000,
        octets: 160_000,
    };

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(0x0102_0304),
        fraction_lost: 25,
        cumulative_lost: -3,
        extended_highest: 0x0001_ffff,
        jitter: 44,
        last_sr: 0x0203_8000,
        delay_since_last_sr: 65_536,
    };

    #[test]
    fn another_parser_reads_the_sender_report() {
        let mut packet = PacketBuf::new();
        assert!(write_report(
            &mut packet,
            Ssrc(7),
            Some(&INFO),
            &[BLOCK],
            "user@192.0.2.1"
        ));
        let mut oracle = Oracle::parse(&packet).unwrap();
        let Some(Ok(Packet::Sr(report))) = oracle.next() else {
            panic!()
        };
        assert_eq!(report.ssrc(), 7);
        assert_eq!(report.ntp_timestamp(), INFO.ntp.0);
        assert_eq!(report.rtp_timestamp(), 123_456);
        assert_eq!(report.packet_count(), 1000);
        assert_eq!(report.octet_count(), 160_000);
        let block = report.report_blocks().next().unwrap();
        assert_eq!(block.ssrc(), 0x0102_0304);
        assert_eq!(block.fraction_lost(), 25);
        assert_eq!(block.cumulative_lost(), 0xff_fffd);
        assert_eq!(block.extended_sequence_number(), 0x0001_ffff);
        assert_eq!(block.interarrival_jitter(), 44);
        assert_eq!(block.last_sender_report_timestamp(), 0x0203_8000);
        assert_eq!(block.delay_since_last_sender_report_timestamp(), 65_536);
        let Some(Ok(Packet::Sdes(sdes))) = oracle.next() else {
            panic!()
        };
        let chunk = sdes.chunks().next().unwrap();
        assert_eq!(chunk.ssrc(), 7);
        let item = chunk.items().next().unwrap();
        assert_eq!((item.type_(), item.value()), (1, &b"user@192.0.2.1"[..]));
        assert!(oracle.next().is_none());
    }

    #[test]
    fn another_parser_reads_the_receiver_report() {
        for cname in ["", "a", "ab", "abc", "abcd"] {
            let mut packet = PacketBuf::new();
            assert!(write_report(&mut packet, Ssrc(7), None, &[], cname));
            let packets: Vec<_> = Oracle::parse(&packet)
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(
                matches!(&packets[0], Packet::Rr(report) if report.ssrc() == 7 && report.n_reports() == 0)
            );
            let Packet::Sdes(sdes) = &packets[1] else {
                panic!()
            };
            let item = sdes
                .chunks()
                .next()
                .unwrap()
                .items()
                .next()
                .unwrap()
                .value();
            assert_eq!(item, cname.as_bytes());
        }
    }

    #[test]
    fn we_read_what_we_write() {
        let mut packet = PacketBuf::new();
        let blocks = [BLOCK; 40];
        assert!(write_report(
            &mut packet,
            Ssrc(7),
            Some(&INFO),
            &blocks,
            "c"
        ));
        let compound = Compound::parse(&packet).unwrap();
        let expected = SenderReport {
            sender: Ssrc(7),
            info: INFO,
        };
        assert!(compound.sender_reports().eq([expected]));
        assert!(compound.report_blocks().eq(blocks.into_iter().take(31)));
    }

    /// The example of RFC 3550 figure 2: sent at 46,853.125 s, received at 46,864.500 s, 5.25 s of them at the receiver.
    #[test]
    fn the_round_trip_is_that_of_the_rfc() {
        let block = ReportBlock {
            last_sr: 0xb705_2000,
            delay_since_last_sr: 0x0005_4000,
            ..BLOCK
        };
        let ago = Duration::from_millis(46_864_500 - 46_853_125);
        assert_eq!(block.round_trip(ago), Some(Duration::from_millis(6_125)));
        assert_eq!(block.round_trip(Duration::from_millis(5_249)), None);
    }

    #[test]
    fn a_block_tells_what_was_received() {
        let mut stats = ReceptionStats::new(8000);
        let start = crate::testing::epoch();
        for sequence in [65_534, 65_535, 1] {
            let header = crate::rtp::RtpHeader::new(
                crate::rtp::PayloadType::new(0).unwrap(),
                crate::rtp::SequenceNumber(sequence),
                RtpTimestamp(0),
                Ssrc(9),
            );
            stats.receive(start, &header, 160);
        }
        let last_sr = (NtpTime(0x1111_2222_3333_4444), Duration::from_millis(500));
        let block = ReportBlock::about(Ssrc(9), &mut stats, Some(last_sr));
        assert_eq!(block.extended_highest, 0x0001_0001);
        assert_eq!((block.cumulative_lost, block.fraction_lost), (1, 64));
        assert_eq!(
            (block.last_sr, block.delay_since_last_sr),
            (0x2222_3333, 32_768)
        );
    }
}
