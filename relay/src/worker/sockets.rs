//! Which call a socket belongs to, and which sockets a call has.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use relay_packet::SocketId;

/// The sockets of one worker's calls.
#[derive(Debug, Default)]
pub struct Sockets {
    owner: HashMap<SocketId, u32, BuildHasherDefault<SocketHasher>>,
    of_call: HashMap<u32, Vec<SocketId>>,
}

impl Sockets {
    /// Socket `socket` was opened for call number `call`.
    pub fn insert(&mut self, socket: SocketId, call: u32) {
        self.owner.insert(socket, call);
        self.of_call.entry(call).or_default().push(socket);
    }

    /// The call that a datagram on `socket` is for. Asked once for every packet.
    pub fn owner(&self, socket: SocketId) -> Option<u32> {
        self.owner.get(&socket).copied()
    }

    /// Socket `socket` was closed.
    pub fn remove(&mut self, socket: SocketId) {
        let Some(call) = self.owner.remove(&socket) else {
            return;
        };
        if let Some(sockets) = self.of_call.get_mut(&call) {
            sockets.retain(|&other| other != socket);
            if sockets.is_empty() {
                self.of_call.remove(&call);
            }
        }
    }

    /// The sockets of call number `call`.
    pub fn of(&self, call: u32) -> &[SocketId] {
        self.of_call.get(&call).map_or(&[], Vec::as_slice)
    }
}

/// Spreads socket ids, which we hand out ourselves, so that nobody can choose them to collide.
#[derive(Debug, Default)]
pub struct SocketHasher(u64);

impl Hasher for SocketHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        // Fibonacci hashing: the upper bits of the product are well mixed, and the table takes those as tags.
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_finds_its_sockets_and_a_socket_its_call() {
        let mut sockets = Sockets::default();
        for number in 0..1000 {
            sockets.insert(SocketId(number), number / 4);
        }
        assert_eq!(sockets.owner(SocketId(42)), Some(10));
        assert_eq!(sockets.of(10).len(), 4);
        sockets.remove(SocketId(42));
        sockets.remove(SocketId(42));
        assert_eq!(sockets.owner(SocketId(42)), None);
        assert_eq!(sockets.of(10).len(), 3);
        for number in 40..44 {
            sockets.remove(SocketId(number));
        }
        assert!(sockets.of(10).is_empty());
        assert_eq!(sockets.of_call.len(), 249);
    }
}
