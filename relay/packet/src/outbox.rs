//! Where a datagram came from, where it goes, and the batch that collects what is to be sent.

use std::net::SocketAddr;

use crate::{PacketBuf, Pool};

/// Names one bound local socket of a worker. The daemon hands it out; the core only passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// A datagram that arrived.
#[derive(Debug)]
pub struct Received {
    pub socket: SocketId,
    pub source: SocketAddr,
    pub packet: PacketBuf,
}

/// A datagram that is to be sent.
#[derive(Debug)]
pub struct Transmit {
    pub socket: SocketId,
    pub destination: SocketAddr,
    pub packet: PacketBuf,
}

/// What a batch of work wants sent, and the buffers to write it in.
///
/// Every `handle_*` of the core pushes here and nowhere else; the worker flushes it once per round.
#[derive(Debug)]
pub struct Outbox {
    pool: Pool,
    queue: Vec<Transmit>,
}

impl Outbox {
    /// An outbox whose pool keeps at most `buffers` unused buffers.
    pub fn new(buffers: usize) -> Self {
        Self {
            pool: Pool::new(buffers),
            queue: Vec::with_capacity(buffers),
        }
    }

    /// An empty buffer to write a packet of our own into, or to receive into.
    pub fn take(&mut self) -> PacketBuf {
        self.pool.take()
    }

    /// Gives a buffer back that is not going to be sent.
    pub fn recycle(&mut self, packet: PacketBuf) {
        self.pool.give(packet);
    }

    /// A second copy of `packet`, for another receiver.
    pub fn copy_of(&mut self, packet: &PacketBuf) -> PacketBuf {
        let mut copy = self.pool.take();
        // What fitted in one buffer at its headroom fits in another, unless it grew at the front; then the copy is cut.
        let len = packet.len().min(copy.tailroom());
        let fitted = copy.extend_from_slice(&packet[..len]);
        debug_assert!(fitted, "len was limited to the tailroom");
        copy
    }

    /// Queues a datagram.
    pub fn send(&mut self, socket: SocketId, destination: SocketAddr, packet: PacketBuf) {
        self.queue.push(Transmit {
            socket,
            destination,
            packet,
        });
    }

    /// What is queued, in order. The back-end takes it from here and gives the buffers back with [`Self::recycle`].
    pub fn drain(&mut self) -> std::vec::Drain<'_, Transmit> {
        self.queue.drain(..)
    }

    /// What is queued, in order, left in place.
    pub fn queued(&self) -> &[Transmit] {
        &self.queue
    }

    /// The same, to be changed: a back-end may write headers in front.
    pub fn queued_mut(&mut self) -> &mut [Transmit] {
        &mut self.queue
    }

    /// Empties the queue after its datagrams were sent; the buffers go back to the pool.
    pub fn sent(&mut self) {
        for transmit in self.queue.drain(..) {
            self.pool.give(transmit.packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_after_sending() {
        let mut out = Outbox::new(4);
        let mut packet = out.take();
        assert!(packet.extend_from_slice(b"rtp"));
        let copy = out.copy_of(&packet);
        let to = SocketAddr::from(([192, 0, 2, 1], 9));
        out.send(SocketId(1), to, packet);
        out.send(SocketId(2), to, copy);
        assert_eq!(out.queued().len(), 2);
        assert_eq!(&*out.queued()[1].packet, b"rtp");
        out.sent();
        assert!(out.queued().is_empty());
        assert_eq!(out.pool.unused(), 2);
    }
}
