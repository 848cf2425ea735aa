//! Sender reports of Meta's stream, and what the business reports (RFC 3550 §6.4, §6.5).

use rtcp_types::{
    Compound, Packet, ReportBlock, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem, SenderReport,
};

/// What a sender report says.
#[derive(Clone, Debug)]
pub(crate) struct OwnReport<'a> {
    pub(crate) ssrc: u32,
    pub(crate) cname: &'a str,
    pub(crate) ntp_timestamp: u64,
    pub(crate) rtp_timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) about: Option<Reception>,
}

/// The block about the other side's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception {
    pub(crate) ssrc: u32,
    pub(crate) highest_sequence: u32,
    pub(crate) lost: u32,
}

impl OwnReport<'_> {
    /// SR and SDES in one compound packet, as RFC 3550 §6.1 demands.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut report = SenderReport::builder(self.ssrc)
            .ntp_timestamp(self.ntp_timestamp)
            .rtp_timestamp(self.rtp_timestamp)
            .packet_count(self.packets)
            .octet_count(self.octets);
        if let Some(about) = self.about {
            report = report.add_report_block(
                ReportBlock::builder(about.ssrc)
                    .extended_sequence_number(about.highest_sequence)
                    .cumulative_lost(about.lost.min(0x7f_ffff)),
            );
        }
        let name =
            SdesChunk::builder(self.ssrc).add_item(SdesItem::builder(SdesItem::CNAME, self.cname));
        let compound = Compound::builder()
            .add_packet(report)
            .add_packet(Sdes::builder().add_chunk(name));
        let mut bytes = vec![0; 512];
        let length = compound.write_into(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }
}

/// What one compound packet of the business held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) sender_reports: u64,
    pub(crate) receiver_reports: u64,
    pub(crate) byes: u64,
    pub(crate) cname: Option<String>,
    /// Loss of the stream asked about.
    pub(crate) loss: Option<u32>,
    /// SSRCs that sent reports.
    pub(crate) senders: Vec<u32>,
    /// Whether every part could be read.
    pub(crate) is_whole: bool,
}

/// Reads a compound packet; `ours` is the SSRC whose loss is of interest.
pub(crate) fn read(bytes: &[u8], ours: u32) -> Heard {
    let mut heard = Heard {
        is_whole: true,
        ..Heard::default()
    };
    let Ok(compound) = Compound::parse(bytes) else {
        heard.is_whole = false;
        return heard;
    };
    for packet in compound {
        match packet {
            Ok(Packet::Sr(report)) => {
                heard.sender_reports += 1;
                heard.senders.push(report.ssrc());
                heard.loss = loss_of(ours, report.report_blocks()).or(heard.loss);
            }
            Ok(Packet::Rr(report)) => {
                heard.receiver_reports += 1;
                heard.senders.push(report.ssrc());
                heard.loss = loss_of(ours, report.report_blocks()).or(heard.loss);
            }
            Ok(Packet::Bye(_)) => heard.byes += 1,
            Ok(Packet::Sdes(sdes)) => {
                let name = sdes
                    .chunks()
                    .flat_map(SdesChunk::items)
                    .find(|item| item.type_() == SdesItem::CNAME)
                    .map(|item| String::from_utf8_lossy(item.value()).into_owned());
                heard.cname = name.or(heard.cname);
            }
            Ok(_) => {}
            Err(_) => heard.is_whole = false,
        }
    }
    heard
}

fn loss_of<'a>(ours: u32, mut blocks: impl Iterator<Item = ReportBlock<'a>>) -> Option<u32> {
    blocks
        .find(|block| block.ssrc() == ours)
        .map(|block| block.cumulative_lost())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_who_speaks_and_what_was_heard() {
        let bytes = OwnReport {
            ssrc: 7,
            cname: "WhatsAppAudioStream1",
            ntp_timestamp: 1 << 40,
            rtp_timestamp: 960,
            packets: 2,
            octets: 100,
            about: Some(Reception {
                ssrc: 9,
                highest_sequence: 1000,
                lost: 3,
            }),
        }
        .to_bytes()
        .expect("a report");
        let heard = read(&bytes, 9);
        assert_eq!(heard.sender_reports, 1);
        assert_eq!(heard.cname.as_deref(), Some("WhatsAppAudioStream1"));
        assert_eq!((heard.loss, heard.senders.as_slice()), (Some(3), &[7][..]));
        assert!(heard.is_whole);
    }

    #[test]
    fn noise_is_not_whole() {
        assert!(!read(&[0x80, 200, 0, 9, 1, 2], 1).is_whole);
    }
}
