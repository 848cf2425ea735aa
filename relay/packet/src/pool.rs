//! Buffers that are used again.

use crate::PacketBuf;

/// A worker's stock of buffers. Taking from an empty pool allocates; giving back to a full one frees.
#[derive(Debug)]
pub struct Pool {
    free: Vec<PacketBuf>,
    limit: usize,
}

impl Pool {
    /// A pool that keeps at most `limit` unused buffers of 2 KiB each.
    pub fn new(limit: usize) -> Self {
        Self {
            free: Vec::with_capacity(limit),
            limit,
        }
    }

    /// An empty buffer.
    pub fn take(&mut self) -> PacketBuf {
        let mut buf = self.free.pop().unwrap_or_default();
        buf.clear();
        buf
    }

    /// Gives a buffer back.
    pub fn give(&mut self, buf: PacketBuf) {
        if self.free.len() < self.limit {
            self.free.push(buf);
        }
    }

    /// How many buffers lie unused.
    pub fn unused(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_its_limit() {
        let mut pool = Pool::new(1);
        let (a, b) = (pool.take(), pool.take());
        pool.give(a);
        pool.give(b);
        assert_eq!(pool.unused(), 1);
        assert!(pool.take().is_empty());
    }
}
