//! Copies of what leaves, as it was before it was sealed: for recordings of what a party is sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use relay_packet::SocketId;

use super::MediaTransport;

/// Copies that nobody has collected; far more than one mutation can send.
const MOST: usize = 1024;

/// A packet that has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// From which socket.
    pub socket: SocketId,
    /// Where to.
    pub destination: SocketAddr,
    /// What, without its encryption.
    pub bytes: Box<[u8]>,
}

/// Keeps copies while somebody wants them.
#[derive(Debug, Default)]
pub(super) struct Tap {
    is_open: bool,
    sent: VecDeque<Sent>,
}

impl Tap {
    /// Whether somebody wants copies.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// A copy of what is about to be sealed.
    pub(super) fn copy(&self, packet: &[u8]) -> Option<Box<[u8]>> {
        (self.is_open && self.sent.len() < MOST).then(|| packet.into())
    }

    /// What was copied has left.
    pub(super) fn note(
        &mut self,
        socket: SocketId,
        destination: SocketAddr,
        copy: Option<Box<[u8]>>,
    ) {
        self.sent.extend(copy.map(|bytes| Sent {
            socket,
            destination,
            bytes,
        }));
    }
}

impl MediaTransport {
    /// Whether copies are kept of what leaves, to be collected with [`Self::poll_sent`].
    pub fn tap(&mut self, is_open: bool) {
        self.tap.is_open = is_open;
        if !is_open {
            self.tap.sent = VecDeque::new();
        }
    }

    /// The next copy, until there is none.
    pub fn poll_sent(&mut self) -> Option<Sent> {
        self.tap.sent.pop_front()
    }
}
