//! RTCP of one leg, rewritten for the other, in place.
//!
//! The relay gives each listener streams of its own: other SSRCs, other timestamps, other numbers. Reports about them are
//! translated back, or they would speak of streams that their reader does not know.

use relay_packet::{DropReason, PacketBuf};

use super::compound::{Compound, HEADER_LEN, RtcpPacket};
use super::packet_type::{
    APPLICATION, EXTENDED_REPORT, GOODBYE, PAYLOAD_FEEDBACK, RECEIVER_REPORT, SENDER_REPORT,
    SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};
use super::report::{BLOCK_LEN, blocks_start};
use super::{extended_report, feedback, header, sdes};
use crate::rtp::Ssrc;

/// How the relay shows a stream of this sender to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentStream {
    /// The SSRC that the reader knows.
    pub ssrc: Ssrc,
    /// What the relay adds to the sender's timestamps.
    pub timestamp_offset: u32,
}

/// Which stream of the reader this sender hears, under an SSRC of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedStream {
    /// The SSRC under which the reader sends.
    pub ssrc: Ssrc,
    /// What the relay adds to the reader's sequence numbers, wraps included; it is taken off here.
    pub sequence_offset: u32,
}

/// What [`translate`] has to know. The closures give `None` for what the reader must not see.
pub struct Translation<'a> {
    /// From an SSRC of the sender.
    pub sent: &'a dyn Fn(Ssrc) -> Option<SentStream>,
    /// From an SSRC that the relay uses towards the sender.
    pub reported: &'a dyn Fn(Ssrc) -> Option<ReportedStream>,
    /// Whether the reader speaks AVPF (RFC 4585); others get no feedback messages.
    pub feedback: bool,
    /// Whether header extensions pass from the reader to this sender unchanged, so that feedback about the numbers in them
    /// (transport-wide congestion control) means something to the reader.
    pub transport_wide: bool,
}

impl std::fmt::Debug for Translation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translation")
            .field("feedback", &self.feedback)
            .field("transport_wide", &self.transport_wide)
            .finish_non_exhaustive()
    }
}

/// Rewrites a compound packet for its reader. What does not concern the reader is cut out; when nothing is left the packet is
/// dropped. The result begins with a report, as RFC 3550 section 6.1 wants, even when the original did not (RFC 5506).
pub fn translate(packet: &mut PacketBuf, translation: &Translation<'_>) -> Result<(), DropReason> {
    Compound::parse(packet).ok_or(DropReason::Malformed)?;
    let (mut read, mut written) = (0, 0);
    while let Some((original, len)) = RtcpPacket::parse(&packet[read..]) {
        let head = Head {
            packet_type: original.packet_type,
            count: original.count,
            body_len: original.body.len(),
        };
        let body = read + HEADER_LEN;
        if let Some(kept) = translation.rewrite(head, &mut packet[body..body + head.body_len]) {
            packet.copy_within(body..body + kept.body_len, written + HEADER_LEN);
            let first_word = header(kept.count, kept.packet_type, kept.body_len);
            packet[written..written + HEADER_LEN].copy_from_slice(&first_word);
            written += HEADER_LEN + kept.body_len;
        }
        read += len;
    }
    packet.truncate(written);
    begin_with_report(packet)
}

/// Puts an empty receiver report in front of what does not begin with a report.
fn begin_with_report(packet: &mut PacketBuf) -> Result<(), DropReason> {
    let Some((first, _)) = RtcpPacket::parse(packet) else {
        return Err(DropReason::RtcpFiltered);
    };
    if matches!(first.packet_type, SENDER_REPORT | RECEIVER_REPORT) {
        return Ok(());
    }
    let sender = first.sender().ok_or(DropReason::RtcpFiltered)?;
    let [a, b, c, d] = header(0, RECEIVER_REPORT, 4);
    let [e, f, g, h] = sender.0.to_be_bytes();
    let fits = packet.prepend(&[a, b, c, d, e, f, g, h]);
    if fits {
        Ok(())
    } else {
        Err(DropReason::Malformed)
    }
}

/// A packet's first word, taken apart.
#[derive(Clone, Copy, Debug)]
struct Head {
    packet_type: u8,
    count: u8,
    body_len: usize,
}

impl Translation<'_> {
    /// Rewrites one packet's body in place and gives its new first word; `None` when nothing of it is left.
    fn rewrite(&self, head: Head, body: &mut [u8]) -> Option<Head> {
        match head.packet_type {
            SENDER_REPORT | RECEIVER_REPORT => self.rewrite_report(head, body),
            SOURCE_DESCRIPTION => self.rewrite_description(head, body),
            GOODBYE => self.rewrite_goodbye(head, body),
            TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => self.rewrite_feedback(head, body),
            EXTENDED_REPORT => {
                let blocks = 4 + extended_report::rewrite(body.get_mut(4..)?, self)?;
                self.rewrite_sender(body)?;
                Some(Head {
                    body_len: blocks,
                    ..head
                })
            }
            // RFC 3550 section 6.7: what stands behind the sender is between the two applications.
            APPLICATION => {
                self.rewrite_sender(body)?;
                Some(head)
            }
            _ => None,
        }
    }

    fn rewrite_report(&self, head: Head, body: &mut [u8]) -> Option<Head> {
        let start = blocks_start(head.packet_type)?;
        let (front, blocks) = body.split_at_mut_checked(start)?;
        let sent = (self.sent)(read_ssrc(front)?)?;
        write_ssrc(front, sent.ssrc);
        if head.packet_type == SENDER_REPORT {
            add_to_word(front, 12, sent.timestamp_offset);
        }
        let mut kept = 0;
        for index in 0..usize::from(head.count) {
            let at = index * BLOCK_LEN;
            let block = blocks.get_mut(at..at + BLOCK_LEN)?;
            let Some(reported) = (self.reported)(read_ssrc(block)?) else {
                continue;
            };
            write_ssrc(block, reported.ssrc);
            add_to_word(block, 8, reported.sequence_offset.wrapping_neg());
            blocks.copy_within(at..at + BLOCK_LEN, kept * BLOCK_LEN);
            kept += 1;
        }
        // Extensions of a profile behind the blocks are left out.
        Some(Head {
            count: kept as u8,
            body_len: start + kept * BLOCK_LEN,
            ..head
        })
    }

    fn rewrite_description(&self, head: Head, body: &mut [u8]) -> Option<Head> {
        let (mut read, mut written, mut count) = (0, 0, 0);
        for _ in 0..head.count {
            let len = sdes::chunk_len(&body[read..])?;
            let chunk = &mut body[read..read + len];
            if let Some(sent) = (self.sent)(read_ssrc(chunk)?) {
                write_ssrc(chunk, sent.ssrc);
                body.copy_within(read..read + len, written);
                written += len;
                count += 1;
            }
            read += len;
        }
        (count > 0).then_some(Head {
            count,
            body_len: written,
            ..head
        })
    }

    fn rewrite_goodbye(&self, head: Head, body: &mut [u8]) -> Option<Head> {
        let mut kept = 0;
        for index in 0..usize::from(head.count) {
            let ssrc = read_ssrc(body.get(index * 4..)?)?;
            if let Some(sent) = (self.sent)(ssrc) {
                write_ssrc(&mut body[kept * 4..], sent.ssrc);
                kept += 1;
            }
        }
        // The reason behind the list is left out.
        (kept > 0).then_some(Head {
            count: kept as u8,
            body_len: kept * 4,
            ..head
        })
    }

    fn rewrite_sender(&self, body: &mut [u8]) -> Option<()> {
        let sent = (self.sent)(read_ssrc(body)?)?;
        write_ssrc(body, sent.ssrc);
        Some(())
    }

    fn rewrite_feedback(&self, head: Head, body: &mut [u8]) -> Option<Head> {
        if !self.feedback {
            return None;
        }
        let (kind, format) = (head.packet_type, head.count);
        let (front, details) = body.split_at_mut_checked(8)?;
        self.rewrite_sender(front)?;
        let source = read_ssrc(&front[4..])?;
        let mut sequence_offset = 0;
        if source.0 != 0 || !feedback::may_name_nobody(kind, format) {
            let reported = (self.reported)(source)?;
            write_ssrc(&mut front[4..], reported.ssrc);
            sequence_offset = reported.sequence_offset;
        }
        let kept = feedback::rewrite_details(kind, format, details, sequence_offset, self)?;
        Some(Head {
            body_len: 8 + kept,
            ..head
        })
    }
}

/// The SSRC at the front; `None` when there are fewer than four bytes.
pub(super) fn read_ssrc(bytes: &[u8]) -> Option<Ssrc> {
    bytes
        .first_chunk()
        .map(|ssrc| Ssrc(u32::from_be_bytes(*ssrc)))
}

/// Replaces the SSRC that [`read_ssrc`] has found.
pub(super) fn write_ssrc(bytes: &mut [u8], ssrc: Ssrc) {
    if let Some(place) = bytes.first_chunk_mut() {
        *place = ssrc.0.to_be_bytes();
    }
}

fn add_to_word(bytes: &mut [u8], at: usize, offset: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = u32::from_be_bytes(*place)
            .wrapping_add(offset)
            .to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{NtpTime, ReportBlock, SenderInfo, append_bye, write_report};
    use super::*;
    use crate::rtp::RtpTimestamp;

    /// The sender's stream 7 is shown as 70, later by 1000; what it hears as 90 is the reader's stream 9, 65,536 numbers further.
    const TRANSLATION: Translation<'static> = Translation {
        sent: &|ssrc| {
            (ssrc == Ssrc(7)).then_some(SentStream {
                ssrc: Ssrc(70),
                timestamp_offset: 1000,
            })
        },
        reported: &|ssrc| {
            (ssrc == Ssrc(90)).then_some(ReportedStream {
                ssrc: Ssrc(9),
                sequence_offset: 65_536,
            })
        },
        feedback: true,
        transport_wide: false,
    };

    const FOR_AVP: Translation<'static> = Translation {
        feedback: false,
        ..TRANSLATION
    };

    const NACK: [u8; 16] = [0x81, 205, 0, 3, 0, 0, 0, 7, 0, 0, 0, 90, 0x12, 0x34, 0, 1];
    /// An estimate of 1000 for the reader's stream and one that is not there.
    const REMB: [u8; 28] = [
        0x8f, 206, 0, 6, 0, 0, 0, 7, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 2, 0, 0x03, 0xe8, 0, 0, 0,
        90, 0, 0, 0, 91,
    ];
    /// A full intra request for the reader's stream, the seventh.
    const FIR: [u8; 20] = [
        0x84, 206, 0, 4, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 90, 7, 0, 0, 0,
    ];
    const TRANSPORT_WIDE: [u8; 20] = [
        0x8f, 205, 0, 4, 0, 0, 0, 7, 0, 0, 0, 90, 0, 1, 0, 1, 0, 0, 0, 0,
    ];

    fn block(ssrc: u32) -> ReportBlock {
        ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost: 1,
            cumulative_lost: 2,
            extended_highest: 65_536 + 500,
            jitter: 3,
            last_sr: 4,
            delay_since_last_sr: 5,
        }
    }

    fn sender_report(blocks: &[ReportBlock]) -> PacketBuf {
        let info = SenderInfo {
            ntp: NtpTime(1 << 40),
            rtp_timestamp: RtpTimestamp(u32::MAX),
            packets: 10,
            octets: 20,
        };
        let mut packet = PacketBuf::new();
        assert!(write_report(
            &mut packet,
            Ssrc(7),
            Some(&info),
            blocks,
            "caller"
        ));
        packet
    }

    fn types(packet: &[u8]) -> Vec<u8> {
        let compound = Compound::parse(packet).unwrap();
        compound
            .packets()
            .map(|packet| packet.packet_type)
            .collect()
    }

    #[test]
    fn a_report_speaks_of_streams_that_its_reader_knows() {
        let mut packet = sender_report(&[block(1), block(90), block(2)]);
        translate(&mut packet, &TRANSLATION).unwrap();
        let compound = Compound::parse(&packet).unwrap();
        let report = compound.sender_reports().next().unwrap();
        assert_eq!(report.sender, Ssrc(70));
        assert_eq!(report.info.rtp_timestamp, RtpTimestamp(999));
        assert_eq!(
            (report.info.ntp, report.info.packets),
            (NtpTime(1 << 40), 10)
        );
        let blocks: Vec<_> = compound.report_blocks().collect();
        let expected = ReportBlock {
            ssrc: Ssrc(9),
            extended_highest: 500,
            ..block(90)
        };
        assert_eq!(blocks, [expected]);
        let description = compound.packets().nth(1).unwrap();
        assert_eq!(description.sender(), Some(Ssrc(70)));
        assert!(description.body.windows(6).any(|text| text == b"caller"));
        let oracle = rtcp_types::Compound::parse(&packet).unwrap();
        assert_eq!(oracle.map(Result::unwrap).count(), 2);
    }

    #[test]
    fn feedback_reaches_only_those_who_asked_for_it() {
        let mut packet = sender_report(&[]);
        assert!(packet.extend_from_slice(&NACK) && packet.extend_from_slice(&REMB));
        let mut avp = PacketBuf::from_slice(&packet).unwrap();
        translate(&mut avp, &FOR_AVP).unwrap();
        assert_eq!(types(&avp), [200, 202]);
        translate(&mut packet, &TRANSLATION).unwrap();
        assert_eq!(types(&packet), [200, 202, 205, 206]);
        let compound = Compound::parse(&packet).unwrap();
        let [nack, remb] = [2, 3].map(|at| compound.packets().nth(at).unwrap().body);
        assert_eq!(nack, [0, 0, 0, 70, 0, 0, 0, 9, 0x12, 0x34, 0, 1]);
        let estimate = [b'R', b'E', b'M', b'B', 1, 0, 0x03, 0xe8, 0, 0, 0, 9];
        assert_eq!(remb, [&[0, 0, 0, 70, 0, 0, 0, 0][..], &estimate].concat());
    }

    #[test]
    fn a_request_for_a_picture_names_the_stream_of_its_reader() {
        let mut packet = PacketBuf::from_slice(&FIR).unwrap();
        translate(&mut packet, &TRANSLATION).unwrap();
        assert_eq!(types(&packet), [201, 206]);
        let fir = &packet[packet.len() - 16..];
        assert_eq!(fir, [0, 0, 0, 70, 0, 0, 0, 0, 0, 0, 0, 9, 7, 0, 0, 0]);
        let mut foreign = PacketBuf::from_slice(&FIR).unwrap();
        foreign[15] = 91;
        assert_eq!(
            translate(&mut foreign, &TRANSLATION),
            Err(DropReason::RtcpFiltered)
        );
    }

    #[test]
    fn transport_wide_feedback_passes_only_beside_unchanged_header_extensions() {
        let mut packet = PacketBuf::from_slice(&TRANSPORT_WIDE).unwrap();
        assert_eq!(
            translate(&mut packet, &TRANSLATION),
            Err(DropReason::RtcpFiltered)
        );
        let unchanged = Translation {
            transport_wide: true,
            ..TRANSLATION
        };
        let mut packet = PacketBuf::from_slice(&TRANSPORT_WIDE).unwrap();
        translate(&mut packet, &unchanged).unwrap();
        assert_eq!(types(&packet), [201, 205]);
    }

    #[test]
    fn extended_reports_pass_block_by_block() {
        let blocks: [&[u8]; 7] = [
            // Losses of the reader's stream from number 500 to 532.
            &[
                1, 0, 0, 3, 0, 0, 0, 90, 0x01, 0xf4, 0x02, 0x14, 0xff, 0xff, 0, 0,
            ],
            // The same of somebody else's.
            &[
                1, 0, 0, 3, 0, 0, 0, 91, 0x01, 0xf4, 0x02, 0x14, 0xff, 0xff, 0, 0,
            ],
            // Receipt times, and a block that nobody knows.
            &[3, 0, 0, 2, 0, 0, 0, 90, 0, 1, 0, 2],
            &[99, 0, 0, 1, 0, 0, 0, 90],
            // The reference time, and the delay since those of two receivers.
            &[4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
            &[
                5, 0, 0, 6, 0, 0, 0, 91, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 90, 3, 3, 3, 3, 4, 4, 4,
                4,
            ],
            &[7, 0, 0, 2, 0, 0, 0, 90, 9, 9, 9, 9],
        ];
        let blocks = blocks.concat();
        let mut packet = PacketBuf::new();
        assert!(packet.extend_from_slice(&header(0, 207, 4 + blocks.len())));
        assert!(packet.extend_from_slice(&[0, 0, 0, 7]) && packet.extend_from_slice(&blocks));
        translate(&mut packet, &FOR_AVP).unwrap();
        assert_eq!(types(&packet), [201, 207]);
        let expected: [&[u8]; 5] = [
            &[0, 0, 0, 70],
            &[
                1, 0, 0, 3, 0, 0, 0, 9, 0x01, 0xf4, 0x02, 0x14, 0xff, 0xff, 0, 0,
            ],
            &[4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
            &[5, 0, 0, 3, 0, 0, 0, 9, 3, 3, 3, 3, 4, 4, 4, 4],
            &[7, 0, 0, 2, 0, 0, 0, 9, 9, 9, 9, 9],
        ];
        let body = Compound::parse(&packet)
            .unwrap()
            .packets()
            .nth(1)
            .unwrap()
            .body;
        assert_eq!(body, expected.concat());
    }

    #[test]
    fn application_packets_keep_their_contents() {
        let application = [
            0x85, 204, 0, 3, 0, 0, 0, 7, b'P', b'o', b'C', b'1', 1, 2, 3, 4,
        ];
        let mut packet = PacketBuf::from_slice(&application).unwrap();
        translate(&mut packet, &FOR_AVP).unwrap();
        assert_eq!(packet[8..12], [0x85, 204, 0, 3]);
        assert_eq!(
            packet[12..],
            [&[0, 0, 0, 70][..], &application[8..]].concat()
        );
    }

    #[test]
    fn reduced_size_packets_get_a_report_in_front() {
        let mut packet = PacketBuf::from_slice(&NACK).unwrap();
        translate(&mut packet, &TRANSLATION).unwrap();
        assert_eq!(types(&packet), [201, 205]);
        assert_eq!(packet[4..8], [0, 0, 0, 70]);
        let mut packet = PacketBuf::from_slice(&NACK).unwrap();
        assert_eq!(
            translate(&mut packet, &FOR_AVP),
            Err(DropReason::RtcpFiltered)
        );
    }

    #[test]
    fn goodbyes_of_known_streams_pass() {
        let mut packet = sender_report(&[]);
        assert!(append_bye(&mut packet, Ssrc(8)) && append_bye(&mut packet, Ssrc(7)));
        translate(&mut packet, &FOR_AVP).unwrap();
        assert_eq!(types(&packet), [200, 202, 203]);
        assert!(Compound::parse(&packet).unwrap().goodbyes().eq([Ssrc(70)]));
    }

    #[test]
    fn reports_of_unknown_senders_are_dropped() {
        let mut packet = PacketBuf::new();
        assert!(write_report(&mut packet, Ssrc(8), None, &[block(90)], "x"));
        assert_eq!(
            translate(&mut packet, &TRANSLATION),
            Err(DropReason::RtcpFiltered)
        );
        let mut packet = PacketBuf::from_slice(&[0x80, 201, 0, 9]).unwrap();
        assert_eq!(
            translate(&mut packet, &TRANSLATION),
            Err(DropReason::Malformed)
        );
    }

    #[test]
    fn padding_is_cut_off() {
        let padded = [0xa0, 201, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4];
        let mut packet = PacketBuf::from_slice(&padded).unwrap();
        translate(&mut packet, &FOR_AVP).unwrap();
        assert_eq!(packet[..], [0x80, 201, 0, 1, 0, 0, 0, 70]);
    }

    proptest! {
        #[test]
        fn any_compound_is_translated_into_a_compound(
            parts in prop::collection::vec((200u8..208, 0u8..32, prop::collection::vec(0u8..100, 0..60)), 1..6)
        ) {
            let mut packet = PacketBuf::new();
            for (packet_type, count, body) in parts {
                let body = &body[..body.len() / 4 * 4];
                prop_assert!(packet.extend_from_slice(&header(count, packet_type, body.len())));
                prop_assert!(packet.extend_from_slice(body));
            }
            let all = Translation {
                sent: &|ssrc| Some(SentStream { ssrc, timestamp_offset: 1 }),
                reported: &|ssrc| Some(ReportedStream { ssrc, sequence_offset: 1 }),
                feedback: true,
                transport_wide: true,
            };
            if translate(&mut packet, &all).is_ok() {
                let types = types(&packet);
                prop_assert!(matches!(types[0], 200 | 201));
            }
        }
    }
}
