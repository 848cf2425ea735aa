//! Just enough Ogg (RFC 3533, RFC 7845) to hand Opus packets to other programs and to take theirs.

const PAGE: &[u8; 4] = b"OggS";

/// A file of mono packets that last `samples` of 48 kHz each.
pub(crate) fn write(packets: &[Vec<u8>], samples: u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01\x00\x00".to_vec();
    head.extend_from_slice(&48_000u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&[0; 8]);
    let mut file = Vec::new();
    page(&mut file, 2, 0, 0, &head);
    page(&mut file, 0, 0, 1, &tags);
    for (n, packet) in packets.iter().enumerate() {
        let last = n + 1 == packets.len();
        page(
            &mut file,
            if last { 4 } else { 0 },
            samples * (n as u64 + 1),
            n as u32 + 2,
            packet,
        );
    }
    file
}

fn page(file: &mut Vec<u8>, kind: u8, granule: u64, number: u32, packet: &[u8]) {
    let start = file.len();
    file.extend_from_slice(PAGE);
    file.extend_from_slice(&[0, kind]);
    file.extend_from_slice(&granule.to_le_bytes());
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&number.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    let segments = packet.len() / 255 + 1;
    file.push(segments as u8);
    file.extend(std::iter::repeat_n(255, segments - 1));
    file.push((packet.len() % 255) as u8);
    file.extend_from_slice(packet);
    let checksum = file[start..].iter().fold(0u32, |mut crc, &octet| {
        crc ^= u32::from(octet) << 24;
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 != 0 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            };
        }
        crc
    });
    file[start + 22..start + 26].copy_from_slice(&checksum.to_le_bytes());
}

/// The packets of a file, without its two headers.
pub(crate) fn read(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![Vec::new()];
    while let Some(page) = file.strip_prefix(PAGE) {
        let count = usize::from(page[22]);
        let (lengths, mut body) = page[23..].split_at(count);
        for &length in lengths {
            let (piece, rest) = body.split_at(usize::from(length));
            body = rest;
            packets.last_mut().unwrap().extend_from_slice(piece);
            if length < 255 {
                packets.push(Vec::new());
            }
        }
        file = body;
    }
    packets.pop();
    packets.split_off(2)
}
