//! Opus in files: Ogg pages with a header, some words, and packets of 20 ms (RFC 7845).

use std::fmt::{self, Debug};
use std::io::{self, Write};

use ogg::writing::{PacketWriteEndInfo, PacketWriter};

use crate::opus_codec::OpusEncoder;

/// Positions in the file are counted in samples of this rate, whatever was encoded (RFC 7845 §4).
const POSITIONS_HZ: u32 = 48_000;
const PACKET_MS: u32 = 20;
/// Packets of a page. A player finds its way by pages, and what is not in a page yet is lost when the power goes.
const PAGE: u64 = 1_000 / PACKET_MS as u64;
/// There is one stream in a file, so any number will do.
const SERIAL: u32 = 1;

/// A file that is being written, in one channel or two.
pub struct OpusFile<W: Write> {
    pages: PacketWriter<'static, W>,
    encoder: OpusEncoder,
    channels: u8,
    rate_hz: u32,
    /// What a player leaves out at the start, in samples of 48 kHz: the encoder needs it to get going.
    pre_skip: u32,
    /// Samples that are no packet yet, the channels in turn.
    samples: Vec<i16>,
    /// The last packet, kept back because a page has to know whether it is the last.
    packet: Option<Vec<u8>>,
    /// Packets so far, that one included.
    packets: u64,
    /// Samples of each channel so far.
    length: u64,
}

// The page writer has none.
impl<W: Write> Debug for OpusFile<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusFile").finish_non_exhaustive()
    }
}

impl<W: Write> OpusFile<W> {
    /// Writes the headers of a file with 1 or 2 `channels` that takes 8, 12, 16, 24 or 48 thousand samples a second.
    ///
    /// # Errors
    /// Those of `writer`, and `InvalidInput` for another rate.
    pub fn new(writer: W, channels: u8, rate_hz: u32) -> io::Result<Self> {
        let refused = |_| io::Error::new(io::ErrorKind::InvalidInput, "libopus does not take this");
        let mut encoder = OpusEncoder::for_file(rate_hz, channels).map_err(refused)?;
        let pre_skip = encoder.lookahead().map_err(refused)? * (POSITIONS_HZ / rate_hz);
        let mut file = Self {
            pages: PacketWriter::new(writer),
            encoder,
            channels: channels.clamp(1, 2),
            rate_hz,
            pre_skip,
            samples: Vec::new(),
            packet: None,
            packets: 0,
            length: 0,
        };
        for header in [file.head(), tags()] {
            let end = PacketWriteEndInfo::EndPage;
            file.pages.write_packet(header, SERIAL, end, 0)?;
        }
        Ok(file)
    }

    /// Takes one sample of each channel.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn push(&mut self, frame: &[i16]) -> io::Result<()> {
        self.length += 1;
        self.add(frame)
    }

    /// Has the writer pass on the pages that are complete.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.pages.inner_mut().flush()
    }

    /// Writes the rest, and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        let ratio = u64::from(POSITIONS_HZ / self.rate_hz);
        let end = u64::from(self.pre_skip) + self.length * ratio;
        // The encoder gives the last samples when it has had as many behind them.
        let silence = [0; 2];
        while self.packets == 0 || self.position() < end || !self.samples.is_empty() {
            self.add(&silence[..usize::from(self.channels)])?;
        }
        if let Some(packet) = self.packet.take() {
            let last = PacketWriteEndInfo::EndStream;
            // Players cut the last packet where the file says that it ends (RFC 7845 §4.4).
            self.pages.write_packet(packet, SERIAL, last, end)?;
        }
        self.pages.inner_mut().flush()?;
        Ok(self.pages.into_inner())
    }

    fn add(&mut self, frame: &[i16]) -> io::Result<()> {
        self.samples.extend_from_slice(frame);
        let wanted = (self.rate_hz * PACKET_MS / 1_000) as usize * usize::from(self.channels);
        if self.samples.len() < wanted {
            return Ok(());
        }
        if let Some(packet) = self.packet.take() {
            let end = match self.packets % PAGE {
                0 => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            let position = self.position();
            self.pages.write_packet(packet, SERIAL, end, position)?;
        }
        let mut packet = Vec::new();
        let encoded = self.encoder.encode(&self.samples, &mut packet);
        encoded.map_err(|_| io::Error::other("libopus does not encode this"))?;
        self.samples.clear();
        self.packet = Some(packet);
        self.packets += 1;
        Ok(())
    }

    /// Where the last packet ends.
    fn position(&self) -> u64 {
        self.packets * u64::from(POSITIONS_HZ * PACKET_MS / 1_000)
    }

    /// RFC 7845 §5.1.
    fn head(&self) -> Vec<u8> {
        let mut head = b"OpusHead\x01".to_vec();
        head.push(self.channels);
        // The lookahead is a few milliseconds.
        head.extend_from_slice(&(self.pre_skip as u16).to_le_bytes());
        head.extend_from_slice(&self.rate_hz.to_le_bytes());
        // As loud as it is, and one or two channels as everybody knows them.
        head.extend_from_slice(&[0, 0, 0]);
        head
    }
}

/// RFC 7845 §5.2: who wrote it, and no comments.
fn tags() -> Vec<u8> {
    let writer = concat!("tandem ", env!("CARGO_PKG_VERSION"));
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&(writer.len() as u32).to_le_bytes());
    tags.extend_from_slice(writer.as_bytes());
    tags.extend_from_slice(&0u32.to_le_bytes());
    tags
}
