//! Which peers the first engine cannot serve, so that the next call begins with the second at once.
//!
//! One memory serves all calls of the process. It is asked once a handshake, never for a packet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Peers that are remembered; the one that was noted first makes room.
const MAX_PEERS: usize = 4096;
/// Certificates change: after a day the first engine, which is the cheaper one, gets another chance.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// A handle to the memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct PeerMemory(Arc<Mutex<HashMap<IpAddr, Instant>>>);

impl PeerMemory {
    /// Whether the first engine has failed with this peer lately.
    pub fn is_noted(&self, peer: IpAddr, now: Instant) -> bool {
        let noted_at = self.lock().get(&peer).copied();
        noted_at.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED_FOR)
    }

    /// The first engine has failed with this peer.
    pub(super) fn note(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.lock();
        if peers.len() >= MAX_PEERS && !peers.contains_key(&peer) {
            let oldest = peers.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                peers.remove(&oldest);
            }
        }
        peers.insert(peer, now);
    }

    /// The second engine has failed with it too.
    pub(super) fn forget(&self, peer: IpAddr) {
        self.lock().remove(&peer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        // A panic elsewhere leaves the map whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_peer_is_noted_for_a_day_and_can_be_forgotten() {
        let start = crate::testing::epoch();
        let memory = PeerMemory::default();
        let shared = memory.clone();
        memory.note(peer(1), start);
        memory.note(peer(2), start);
        assert!(shared.is_noted(peer(1), start));
        assert!(!shared.is_noted(peer(3), start));
        shared.forget(peer(2));
        assert!(!memory.is_noted(peer(2), start));
        assert!(!memory.is_noted(peer(1), start + REMEMBERED_FOR));
    }

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let start = crate::testing::epoch();
        let memory = PeerMemory::default();
        for number in 0..=MAX_PEERS as u32 {
            memory.note(
                peer(number),
                start + Duration::from_millis(u64::from(number)),
            );
        }
        assert_eq!(memory.lock().len(), MAX_PEERS);
        assert!(!memory.is_noted(peer(0), start));
        assert!(memory.is_noted(peer(1), start));
        assert!(memory.is_noted(peer(MAX_PEERS as u32), start));
    }
}
