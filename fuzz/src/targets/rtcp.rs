//! RTCP: a compound packet is walked through inside its bytes, and what is translated for another reader is one again.

use std::time::Duration;

use relay_packet::PacketBuf;
use relay_transport::rtcp::{
    Compound, NtpTime, ReportBlock, ReportedStream, SenderInfo, SentStream, Translation,
    append_bye, translate, write_report,
};
use relay_transport::rtp::{RtpTimestamp, Ssrc};

use crate::Target;

/// This target.
pub const TARGET: Target = Target {
    name: "rtcp",
    run: target,
    seeds,
    words: &[
        b"\x80\xc8\x00\x06",
        b"\x81\xc9\x00\x07",
        b"\x9f\xc9\xff\xff",
        b"\x81\xca\x00\x02\x00\x00\x00\x07\x01\x00\x00\x00",
        b"\x81\xcb\x00\x01\x00\x00\x00\x07",
        b"\x81\xcd\x00\x03\x00\x00\x00\x07\x00\x00\x00\x09\x00\x01\x00\x00",
        b"\x81\xce\x00\x02\x00\x00\x00\x07\x00\x00\x00\x09",
        b"\x80\xcf\x00\x01\x00\x00\x00\x07",
        b"\xa0",
        b"\x00\x00\x00\x04",
        b"\xff\xff",
    ],
};

/// A datagram.
pub fn target(data: &[u8]) {
    if let Some(compound) = Compound::parse(data) {
        let length: usize = compound.packets().map(|p| 4 + p.body.len()).sum();
        assert!(length <= data.len());
        for packet in compound.packets() {
            let _ = packet.sender();
        }
        let _ = (
            compound.sender_reports().count(),
            compound.goodbyes().count(),
        );
        for block in compound.report_blocks() {
            let _ = block.round_trip(Duration::from_secs(u64::from(block.last_sr)));
        }
    }
    for (all, feedback) in [(true, true), (true, false), (false, true)] {
        let Some(mut packet) = PacketBuf::from_slice(data) else {
            return;
        };
        let known = |ssrc: Ssrc| all || ssrc.0 % 2 == 1;
        let translation = Translation {
            sent: &|ssrc| {
                known(ssrc).then_some(SentStream {
                    ssrc: Ssrc(!ssrc.0),
                    timestamp_offset: u32::MAX,
                })
            },
            reported: &|ssrc| {
                known(ssrc).then_some(ReportedStream {
                    ssrc: Ssrc(!ssrc.0),
                    sequence_offset: 0x8000_0001,
                })
            },
            feedback,
            transport_wide: all,
        };
        if translate(&mut packet, &translation).is_ok() {
            let compound = Compound::parse(&packet).expect("a compound packet that we wrote");
            let first = compound.packets().next().map(|first| first.packet_type);
            assert!(matches!(first, Some(200 | 201)));
            assert!(packet.len() <= data.len() + 8);
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let info = SenderInfo {
        ntp: NtpTime(0xe5a1_0203_8000_0000),
        rtp_timestamp: RtpTimestamp(123_456),
        packets: 1000,
        octets: 160_000,
    };
    let block = ReportBlock {
        ssrc: Ssrc(9),
        fraction_lost: 25,
        cumulative_lost: -3,
        extended_highest: 0x0001_ffff,
        jitter: 44,
        last_sr: 0x0203_8000,
        delay_since_last_sr: 65_536,
    };
    let mut seeds = Vec::new();
    for (info, blocks) in [(Some(&info), 1), (None, 2), (None, 0), (Some(&info), 31)] {
        let mut packet = PacketBuf::new();
        assert!(write_report(
            &mut packet,
            Ssrc(7),
            info,
            &[block; 31][..blocks],
            "cname"
        ));
        assert!(append_bye(&mut packet, Ssrc(7)));
        seeds.push(packet.to_vec());
    }
    // Feedback alone: a NACK and a picture loss (RFC 5506).
    seeds.push(b"\x81\xcd\x00\x03\x00\x00\x00\x07\x00\x00\x00\x09\x00\x01\x00\x00".to_vec());
    seeds.push(b"\x81\xce\x00\x02\x00\x00\x00\x07\x00\x00\x00\x09".to_vec());
    seeds
}
