//! Cookie to reply: a proxy that hears nothing asks again, and must get the same answer without anything being done twice.
//!
//! Entries live for 30 to 60 seconds, in two generations of which the older is thrown away as a whole; that is cheaper than
//! a deadline for each.
//! The key holds the client's address and ours beside the cookie: two Kamailio hosts with the default server id produce the same
//! cookies, and a proxy may try our second address with the cookie that it used on the first.
//! Of a client on a stream only the host counts, because it asks again over another connection when one breaks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long the younger generation collects entries.
const GENERATION: Duration = Duration::from_secs(30);
/// Entries in one generation before it ends early.
const MOST_ENTRIES: usize = 65_536;
/// Bytes of cookies and replies in one generation before it ends early.
const MOST_BYTES: usize = 32 << 20;
/// Replies owed at most for one request, so that a flood of copies is not answered by a flood.
const MOST_COPIES: u32 = 64;

/// Which request a datagram carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Who asked; port 0 for a host that asks over streams.
    pub client: SocketAddr,
    /// Which of our addresses was asked.
    pub local: SocketAddr,
    /// What the client calls the request.
    pub cookie: Arc<[u8]>,
}

/// What to do with a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Carry it out, then call [`RetransmissionCache::answered`].
    New,
    /// It is being carried out; whoever does will answer this copy too.
    InProgress,
    /// This was the reply.
    Answered(Arc<[u8]>),
}

/// The replies of the last half minute and more.
#[derive(Debug)]
pub struct RetransmissionCache {
    young: Generation,
    old: Generation,
    young_since: Option<Instant>,
    /// How often a generation ended because it was full.
    pub ended_early: u64,
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<RequestId, Entry>,
    bytes: usize,
}

#[derive(Debug)]
enum Entry {
    InProgress {
        copies: u32,
        waiting: Vec<oneshot::Sender<Arc<[u8]>>>,
    },
    Answered(Arc<[u8]>),
}

impl RetransmissionCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            young_since: None,
            ended_early: 0,
        }
    }

    /// Looks a request up, and notes it as being carried out when it is new.
    pub fn look_up(&mut self, now: Instant, id: &RequestId) -> Seen {
        self.rotate(now);
        match self.entry(id) {
            Some(Entry::Answered(reply)) => Seen::Answered(Arc::clone(reply)),
            Some(Entry::InProgress { copies, .. }) => {
                *copies = (*copies + 1).min(MOST_COPIES);
                Seen::InProgress
            }
            None => {
                self.young.bytes += id.cookie.len();
                let entry = Entry::InProgress {
                    copies: 1,
                    waiting: Vec::new(),
                };
                self.young.entries.insert(id.clone(), entry);
                Seen::New
            }
        }
    }

    /// Where the reply to a request will come that is in progress. It ends without one if too many wait already.
    pub fn wait_for(&mut self, id: &RequestId) -> oneshot::Receiver<Arc<[u8]>> {
        let (sender, reply) = oneshot::channel();
        if let Some(Entry::InProgress { waiting, .. }) = self.entry(id)
            && waiting.len() < MOST_COPIES as usize
        {
            waiting.push(sender);
        }
        reply
    }

    /// Keeps the reply, and says how many datagrams are owed one: the first and the copies that came meanwhile.
    pub fn answered(&mut self, id: &RequestId, reply: &Arc<[u8]>) -> u32 {
        let (entry, bytes) = match self.young.entries.get_mut(id) {
            Some(entry) => (entry, &mut self.young.bytes),
            None => match self.old.entries.get_mut(id) {
                Some(entry) => (entry, &mut self.old.bytes),
                // It fell out of a full cache while it was carried out.
                None => return 1,
            },
        };
        let before = std::mem::replace(entry, Entry::Answered(Arc::clone(reply)));
        *bytes += reply.len();
        match before {
            Entry::InProgress { copies, waiting } => {
                for sender in waiting {
                    // Whoever waited may have hung up.
                    let _ = sender.send(Arc::clone(reply));
                }
                copies
            }
            Entry::Answered(_) => 1,
        }
    }

    fn entry(&mut self, id: &RequestId) -> Option<&mut Entry> {
        match self.young.entries.get_mut(id) {
            Some(entry) => Some(entry),
            None => self.old.entries.get_mut(id),
        }
    }

    /// How many requests are remembered.
    pub fn remembered(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }

    fn rotate(&mut self, now: Instant) {
        let since = *self.young_since.get_or_insert(now);
        let age = now.saturating_duration_since(since);
        let full = self.young.entries.len() >= MOST_ENTRIES || self.young.bytes >= MOST_BYTES;
        if age < GENERATION && !full {
            return;
        }
        if full && age < GENERATION {
            self.ended_early += 1;
        }
        self.old = std::mem::take(&mut self.young);
        self.young_since = Some(now);
    }
}

impl Default for RetransmissionCache {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(client_port: u16, cookie: &[u8]) -> RequestId {
        RequestId {
            client: SocketAddr::from(([192, 0, 2, 1], client_port)),
            local: SocketAddr::from(([192, 0, 2, 9], 2223)),
            cookie: cookie.into(),
        }
    }

    fn reply(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn a_copy_gets_the_stored_reply() {
        let now = Instant::now();
        let mut cache = RetransmissionCache::new();
        assert_eq!(cache.look_up(now, &id(1, b"c")), Seen::New);
        assert_eq!(cache.answered(&id(1, b"c"), &reply("c pong")), 1);
        assert_eq!(
            cache.look_up(now, &id(1, b"c")),
            Seen::Answered(reply("c pong"))
        );
    }

    #[test]
    fn copies_that_come_meanwhile_are_owed_a_reply_each() {
        let now = Instant::now();
        let mut cache = RetransmissionCache::new();
        cache.look_up(now, &id(1, b"c"));
        assert_eq!(cache.look_up(now, &id(1, b"c")), Seen::InProgress);
        assert_eq!(cache.look_up(now, &id(1, b"c")), Seen::InProgress);
        assert_eq!(cache.answered(&id(1, b"c"), &reply("r")), 3);
    }

    #[test]
    fn copies_over_streams_wait_for_the_reply() {
        let now = Instant::now();
        let mut cache = RetransmissionCache::new();
        cache.look_up(now, &id(0, b"c"));
        assert_eq!(cache.look_up(now, &id(0, b"c")), Seen::InProgress);
        let mut copies: Vec<_> = (0..100).map(|_| cache.wait_for(&id(0, b"c"))).collect();
        cache.answered(&id(0, b"c"), &reply("r"));
        assert_eq!(copies[0].try_recv(), Ok(reply("r")));
        assert_eq!(copies[63].try_recv(), Ok(reply("r")));
        assert!(
            copies[64].try_recv().is_err(),
            "a flood of copies has an end"
        );
    }

    #[test]
    fn two_clients_may_use_the_same_cookie() {
        let now = Instant::now();
        let mut cache = RetransmissionCache::new();
        cache.look_up(now, &id(1, b"c"));
        assert_eq!(cache.look_up(now, &id(2, b"c")), Seen::New);
    }

    #[test]
    fn a_reply_lives_for_thirty_to_sixty_seconds() {
        let start = Instant::now();
        let seconds = |s| start + Duration::from_secs(s);
        let mut cache = RetransmissionCache::new();
        cache.look_up(start, &id(1, b"first"));
        cache.answered(&id(1, b"first"), &reply("r"));
        cache.look_up(seconds(29), &id(1, b"late"));
        cache.answered(&id(1, b"late"), &reply("r"));
        for second in [30, 59] {
            let seen = cache.look_up(seconds(second), &id(1, b"late"));
            assert_eq!(seen, Seen::Answered(reply("r")), "after {second} s");
        }
        assert_eq!(cache.look_up(seconds(61), &id(1, b"first")), Seen::New);
    }

    #[test]
    fn a_flood_of_cookies_takes_bounded_memory() {
        let now = Instant::now();
        let mut cache = RetransmissionCache::new();
        for number in 0..200_000u32 {
            cache.look_up(now, &id(1, &number.to_be_bytes()));
        }
        assert!(cache.remembered() <= 2 * MOST_ENTRIES);
        assert_eq!(cache.ended_early, 3);

        let mut cache = RetransmissionCache::new();
        let long = vec![b'x'; 60_000];
        for number in 0..2000u32 {
            let mut cookie = long.clone();
            cookie.extend(number.to_be_bytes());
            cache.look_up(now, &id(1, &cookie));
        }
        assert!(cache.young.bytes + cache.old.bytes <= 2 * MOST_BYTES + 2 * 60_004);
    }
}
