//! RTP: header, contributing sources, extension and payload of any packet lie inside it, and changes reach what they name.

use std::time::Duration;

use relay_transport::rtp::{
    ReceptionStats, RtpHeader, RtpHeaderMut, RtpTimestamp, SequenceNumber, Ssrc,
};

use crate::{Target, script};

/// This target.
pub const TARGET: Target = Target {
    name: "rtp",
    run: target,
    seeds,
    words: &[
        b"\x80\x6f",
        b"\xbf\xff",
        b"\xbe\xde\x00\x01",
        b"\x10\x00\x00\x02",
        b"\x10\x0f\xff\xff",
        b"\xf0",
        b"\x1f",
        b"\xff\xff\xff\xff",
        b"\x00",
        script::SEPARATOR,
    ],
};

/// Packets of one stream.
pub fn target(data: &[u8]) {
    let mut stats = ReceptionStats::new(48_000);
    let mut now = script::epoch();
    for packet in script::records(data) {
        let Some(header) = RtpHeader::parse(packet) else {
            continue;
        };
        inspect(&header, packet);
        change(packet);
        now += Duration::from_millis(u64::from(header.sequence.0 & 0x3f));
        stats.receive(now, &header, packet.len() - header.header_len());
        stats.set_clock_rate(1 + header.timestamp.0 % 96_000);
        let _ = (stats.cumulative_lost(), stats.take_fraction_lost());
        let _ = (stats.jitter(), stats.jitter_time());
    }
}

fn inspect(header: &RtpHeader, packet: &[u8]) {
    assert!(header.header_len() <= packet.len());
    assert_eq!(header.csrcs(packet).count(), usize::from(header.csrc_count));
    let elements = header.extension_elements(packet);
    let used: usize = elements.map(|element| 1 + element.value.len()).sum();
    assert!(used <= header.header_len());
    if let Some(range) = header.payload_range(packet) {
        assert!(range.start == header.header_len() && range.end <= packet.len());
        assert_eq!(header.payload(packet), Some(&packet[range]));
    }
    // A packet may be shorter than the one its header was read from.
    for len in [0, 1, 12, 16, packet.len() / 2] {
        let short = &packet[..len.min(packet.len())];
        let _ = header.payload(short);
        let _ = (
            header.csrcs(short).count(),
            header.extension_elements(short).count(),
        );
    }
}

fn change(packet: &[u8]) {
    let mut packet = packet.to_vec();
    let Some(mut header) = RtpHeaderMut::new(&mut packet) else {
        panic!("what has a header can be changed");
    };
    header.set_marker(true);
    header.set_sequence(SequenceNumber(0xabcd));
    header.set_timestamp(RtpTimestamp(0x0102_0304));
    header.set_ssrc(Ssrc(0x0506_0708));
    let changed = RtpHeader::parse(&packet).expect("a header that we changed");
    assert!(changed.marker);
    assert_eq!(
        (changed.sequence, changed.timestamp, changed.ssrc),
        (
            SequenceNumber(0xabcd),
            RtpTimestamp(0x0102_0304),
            Ssrc(0x0506_0708)
        )
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let plain = b"\x80\x6f\x00\x01\x00\x00\x03\xc0\x12\x34\x56\x78payload";
    let padded = b"\xa0\x00\xff\xff\x00\x00\x00\xa0\x12\x34\x56\x78data\x00\x00\x00\x04";
    let sources =
        b"\x82\xef\x00\x02\x00\x00\x07\x80\x12\x34\x56\x78\x00\x00\x00\x01\x00\x00\x00\x02x";
    let one_byte =
        b"\x90\x6f\x00\x03\x00\x00\x0b\x40\x12\x34\x56\x78\xbe\xde\x00\x02\x10\xff\x22abc\x00\x00x";
    let two_byte =
        b"\x90\x6f\x00\x04\x00\x00\x0f\x00\x12\x34\x56\x78\x10\x00\x00\x02\x01\x00\x02\x03abc\x00x";
    let packets: [&[u8]; 5] = [plain, padded, sources, one_byte, two_byte];
    let mut seeds: Vec<Vec<u8>> = packets.iter().map(|packet| packet.to_vec()).collect();
    seeds.push(packets.join(script::SEPARATOR));
    seeds
}
