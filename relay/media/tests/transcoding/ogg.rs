//! Opus packets in the files of other programs (RFC 7845), and theirs.

use std::io::Cursor;

use ::ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};

/// A file of mono packets that last `samples` of 48 kHz each.
pub(crate) fn write(packets: &[Vec<u8>], samples: u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01\x00\x00".to_vec();
    head.extend_from_slice(&48_000u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&[0; 8]);
    let mut file = PacketWriter::new(Vec::new());
    let mut put = |packet, end, position| file.write_packet(packet, 1, end, position).unwrap();
    for header in [head, tags] {
        put(header, PacketWriteEndInfo::EndPage, 0);
    }
    for (n, packet) in packets.iter().enumerate() {
        let end = match n + 1 == packets.len() {
            true => PacketWriteEndInfo::EndStream,
            false => PacketWriteEndInfo::EndPage,
        };
        put(packet.clone(), end, samples * (n as u64 + 1));
    }
    file.into_inner()
}

/// The packets of a file, without its two headers.
pub(crate) fn read(file: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = PacketReader::new(Cursor::new(file));
    let packets = std::iter::from_fn(|| reader.read_packet().unwrap());
    packets.skip(2).map(|packet| packet.data).collect()
}
