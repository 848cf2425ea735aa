//! What handshakes have shown of peers: whom the first engine can serve, and with whom it has failed.
//!
//! One memory serves all calls of the process. It is asked once a handshake, never for a packet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Peers that are remembered; the one that was noted first makes room.
const MAX_PEERS: usize = 4096;
/// Certificates change, and so do those who stand behind an address.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has agreed to nothing that the first engine does not know.
    Suits,
    /// The first engine has failed with it. That counts for a day whatever else is seen: several peers may share the address.
    Fails,
}

/// A handle to the memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct PeerMemory(Arc<Mutex<HashMap<IpAddr, (Verdict, Instant)>>>);

impl PeerMemory {
    /// What this peer has shown in the last day.
    pub fn verdict(&self, peer: IpAddr, now: Instant) -> Option<Verdict> {
        let (verdict, at) = self.lock().get(&peer).copied()?;
        is_fresh(at, now).then_some(verdict)
    }

    /// It has shown this.
    pub fn note(&self, peer: IpAddr, verdict: Verdict, now: Instant) {
        let mut peers = self.lock();
        match peers.get(&peer) {
            Some((Verdict::Fails, at)) if verdict == Verdict::Suits && is_fresh(*at, now) => return,
            None if peers.len() >= MAX_PEERS => {
                let oldest = peers.iter().min_by_key(|(_, (_, at))| *at);
                if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                    peers.remove(&oldest);
                }
            }
            _ => {}
        }
        peers.insert(peer, (verdict, now));
    }

    /// What it has shown means nothing.
    pub(super) fn forget(&self, peer: IpAddr) {
        self.lock().remove(&peer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, (Verdict, Instant)>> {
        // A panic elsewhere leaves the map whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(noted_at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(noted_at) < REMEMBERED_FOR
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
        memory.note(peer(1), Verdict::Suits, start);
        memory.note(peer(2), Verdict::Fails, start);
        assert_eq!(shared.verdict(peer(1), start), Some(Verdict::Suits));
        assert_eq!(shared.verdict(peer(3), start), None);
        shared.forget(peer(2));
        assert_eq!(memory.verdict(peer(2), start), None);
        assert_eq!(memory.verdict(peer(1), start + REMEMBERED_FOR), None);
    }

    #[test]
    fn a_failure_counts_for_a_day_whatever_another_peer_at_the_address_shows() {
        let start = crate::testing::epoch();
        let memory = PeerMemory::default();
        memory.note(peer(1), Verdict::Suits, start);
        memory.note(peer(1), Verdict::Fails, start);
        memory.note(peer(1), Verdict::Suits, start);
        assert_eq!(memory.verdict(peer(1), start), Some(Verdict::Fails));
        let later = start + REMEMBERED_FOR;
        memory.note(peer(1), Verdict::Suits, later);
        assert_eq!(memory.verdict(peer(1), later), Some(Verdict::Suits));
    }

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let start = crate::testing::epoch();
        let memory = PeerMemory::default();
        for number in 0..=MAX_PEERS as u32 {
            let at = start + Duration::from_millis(u64::from(number));
            memory.note(peer(number), Verdict::Suits, at);
        }
        assert_eq!(memory.lock().len(), MAX_PEERS);
        assert_eq!(memory.verdict(peer(0), start), None);
        assert!(memory.verdict(peer(1), start).is_some());
        assert!(memory.verdict(peer(MAX_PEERS as u32), start).is_some());
    }
}
