//! A datagram in a fixed buffer with room before and after it.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Bytes kept free before a received datagram, for headers that a raw socket wants in front.
pub const HEADROOM: usize = 64;
/// Bytes kept free behind a received datagram: an SRTP tag (at most 16 bytes), an MKI and the SRTCP index fit.
pub const TAILROOM: usize = 144;
/// Size of the whole buffer, headroom and tailroom included. The longest datagram taken is
/// `CAPACITY - HEADROOM - TAILROOM` = 1840 bytes; anything longer is no audio packet and no DTLS flight at our MTU.
pub const CAPACITY: usize = 2048;

/// One datagram, owned. It dereferences to its bytes.
pub struct PacketBuf {
    storage: Box<[u8; CAPACITY]>,
    start: usize,
    len: usize,
}

impl PacketBuf {
    /// An empty buffer on the heap. On the packet path take one from a [`crate::Pool`] instead.
    pub fn new() -> Self {
        Self {
            storage: Box::new([0; CAPACITY]),
            start: HEADROOM,
            len: 0,
        }
    }

    /// A buffer that holds a copy of `bytes`, or `None` when they do not fit.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut buf = Self::new();
        buf.extend_from_slice(bytes).then_some(buf)
    }

    /// Empties the buffer and restores its headroom.
    pub fn clear(&mut self) {
        self.start = HEADROOM;
        self.len = 0;
    }

    /// Where a back-end reads a datagram into: at most `CAPACITY - HEADROOM - TAILROOM` bytes.
    /// Call [`Self::set_len`] with the number of bytes read.
    pub fn receive_area(&mut self) -> &mut [u8] {
        self.clear();
        &mut self.storage[HEADROOM..CAPACITY - TAILROOM]
    }

    /// Sets the length, at most what fits behind the start; what is beyond is cut.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(CAPACITY - self.start);
    }

    /// Shortens to `len` bytes; longer values change nothing.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends `bytes`; `false`, and no change, when they do not fit.
    #[must_use]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> bool {
        let end = self.start + self.len;
        if bytes.len() > CAPACITY - end {
            return false;
        }
        self.storage[end..end + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        true
    }

    /// Replaces the contents by `bytes`; `false`, and an empty buffer, when they do not fit.
    #[must_use]
    pub fn copy_from(&mut self, bytes: &[u8]) -> bool {
        self.clear();
        self.extend_from_slice(bytes)
    }

    /// How many bytes still fit behind the contents.
    pub fn tailroom(&self) -> usize {
        CAPACITY - self.start - self.len
    }

    /// Puts `bytes` in front of the contents; `false`, and no change, when the headroom is too small.
    #[must_use]
    pub fn prepend(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.start {
            return false;
        }
        self.start -= bytes.len();
        self.len += bytes.len();
        self.storage[self.start..self.start + bytes.len()].copy_from_slice(bytes);
        true
    }

    /// Cuts `count` bytes off the front (all of them when there are fewer).
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.len);
        self.start += count;
        self.len -= count;
    }
}

impl Default for PacketBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for PacketBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl DerefMut for PacketBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

impl fmt::Debug for PacketBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketBuf({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_at_both_ends() {
        let mut buf = PacketBuf::from_slice(b"body").unwrap();
        assert!(buf.prepend(b"head "));
        assert!(buf.extend_from_slice(b" tail"));
        assert_eq!(&*buf, b"head body tail");
        buf.advance(5);
        buf.truncate(4);
        assert_eq!(&*buf, b"body");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let mut buf = PacketBuf::from_slice(b"x").unwrap();
        assert!(!buf.prepend(&[0; HEADROOM + 1]));
        assert!(!buf.extend_from_slice(&[0; CAPACITY]));
        assert_eq!(&*buf, b"x");
        assert!(PacketBuf::from_slice(&[0; CAPACITY]).is_none());
    }

    #[test]
    fn a_received_datagram_leaves_room_for_a_tag() {
        let mut buf = PacketBuf::new();
        let area = buf.receive_area().len();
        buf.set_len(area);
        assert_eq!(buf.tailroom(), TAILROOM);
    }
}
