//! A road between two endpoints that loses, delays, reorders and repeats, in whatever time it is told.
//!
//! One [`Link`] is one direction. It is seeded, so a call that went wrong goes wrong again. Besides chance it can
//! be told to lose "the second ClientHello": [`PacketKind`] reads just enough of a datagram to know it
//! (RFC 7983 §7 for the first byte, RFC 6347 §4 for DTLS records).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// What a datagram is, read from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A STUN Binding request.
    Check,
    /// A STUN Binding response, success or error.
    CheckReply,
    /// A datagram with a ClientHello in it.
    ClientHello,
    /// Any other datagram of the handshake.
    DtlsFlight,
    /// A datagram with a handshake record under keys, which is the Finished.
    Finished,
    /// Any DTLS datagram.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP on the same port (RFC 5761 §4).
    Rtcp,
}

const DTLS_HANDSHAKE: u8 = 22;
const DTLS_RECORD_HEADER: usize = 13;
const CLIENT_HELLO: u8 = 1;

/// One record of a DTLS datagram, as far as it can be seen from outside.
#[derive(Clone, Copy, Debug)]
struct Record {
    content_type: u8,
    epoch: u16,
    handshake_type: Option<u8>,
}

fn records(bytes: &[u8]) -> impl Iterator<Item = Record> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header = rest.get(..DTLS_RECORD_HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let record = Record {
            content_type: header[0],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            handshake_type: rest.get(DTLS_RECORD_HEADER).copied(),
        };
        rest = rest.get(DTLS_RECORD_HEADER + length..).unwrap_or_default();
        Some(record)
    })
}

impl PacketKind {
    /// Whether a datagram is of this kind. One datagram can be of several: a client's last flight often holds its
    /// Finished.
    pub fn matches(self, bytes: &[u8]) -> bool {
        let Some(first) = bytes.first() else {
            return false;
        };
        let is_dtls = (20..=63).contains(first);
        let handshake = |wanted: fn(&Record) -> bool| {
            is_dtls
                && records(bytes)
                    .any(|record| record.content_type == DTLS_HANDSHAKE && wanted(&record))
        };
        match self {
            Self::Check => bytes.starts_with(&[0x00, 0x01]),
            Self::CheckReply => {
                bytes.starts_with(&[0x01, 0x01]) || bytes.starts_with(&[0x01, 0x11])
            }
            Self::ClientHello => {
                handshake(|record| record.epoch == 0 && record.handshake_type == Some(CLIENT_HELLO))
            }
            Self::DtlsFlight => {
                handshake(|record| record.epoch > 0 || record.handshake_type != Some(CLIENT_HELLO))
            }
            Self::Finished => handshake(|record| record.epoch > 0),
            Self::Dtls => is_dtls,
            Self::Rtp => (128..=191).contains(first) && !is_rtcp(bytes),
            Self::Rtcp => (128..=191).contains(first) && is_rtcp(bytes),
        }
    }
}

/// RFC 5761 §4: with the marker bit, RTCP packet types look like payload types 64 to 95.
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes
        .get(1)
        .is_some_and(|second| (192..=223).contains(second))
}

/// Lose chosen datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropRule {
    /// Of this kind,
    pub kind: PacketKind,
    /// from the n-th on, the first being 1,
    pub nth: u32,
    /// so many.
    pub count: u32,
}

impl DropRule {
    /// Lose the n-th datagram of a kind, the first being 1.
    pub fn nth(kind: PacketKind, nth: u32) -> Self {
        Self {
            kind,
            nth,
            count: 1,
        }
    }
}

/// What a road does to datagrams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Share of datagrams lost, 0.0 to 1.0.
    pub loss: f64,
    /// How long each takes.
    pub delay: Duration,
    /// How much longer some take; order is kept.
    pub jitter: Duration,
    /// Share of datagrams overtaken by later ones.
    pub reorder: f64,
    /// By how much an overtaken datagram is late.
    pub reorder_by: Duration,
    /// Share of datagrams that come twice.
    pub duplicate: f64,
    /// Losses by choice.
    pub drops: Vec<DropRule>,
}

impl Impairment {
    /// A road without faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// A road that only takes time.
    pub fn delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }
}

/// One direction of a road. `T` is whatever travels: bytes, or bytes with an address.
#[derive(Debug)]
pub struct Link<T> {
    impairment: Impairment,
    random: Xoshiro256PlusPlus,
    matched: Vec<u32>,
    under_way: BTreeMap<(Instant, u64), T>,
    entered: u64,
    lost: u64,
    last_in_order: Option<Instant>,
}

/// A road that holds more than this many datagrams loses further ones.
const CAPACITY: usize = 10_000;

impl<T: Clone> Link<T> {
    /// A road with its own chance.
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            matched: vec![0; impairment.drops.len()],
            impairment,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            entered: 0,
            lost: 0,
            last_in_order: None,
        }
    }

    /// Puts a datagram on the road. `bytes` are those of the datagram, to know its kind by.
    pub fn push(&mut self, now: Instant, bytes: &[u8], item: T) {
        // Chance is drawn for every datagram alike, so that a rule added to a test leaves the rest as it was.
        let is_unlucky = self.random.random::<f64>() < self.impairment.loss;
        let jitter = self.impairment.jitter.mul_f64(self.random.random::<f64>());
        let is_overtaken = self.random.random::<f64>() < self.impairment.reorder;
        let is_repeated = self.random.random::<f64>() < self.impairment.duplicate;
        if self.is_dropped_by_rule(bytes) || is_unlucky || self.under_way.len() >= CAPACITY {
            self.lost += 1;
            return;
        }
        let mut due = now + self.impairment.delay + jitter;
        if is_overtaken {
            due += self.impairment.reorder_by;
        } else {
            due = self.last_in_order.map_or(due, |last| last.max(due));
            self.last_in_order = Some(due);
        }
        if is_repeated {
            self.insert(due, item.clone());
        }
        self.insert(due, item);
    }

    fn is_dropped_by_rule(&mut self, bytes: &[u8]) -> bool {
        let mut is_dropped = false;
        for (rule, matched) in self.impairment.drops.iter().zip(&mut self.matched) {
            if rule.kind.matches(bytes) {
                *matched += 1;
                is_dropped |= (rule.nth..rule.nth.saturating_add(rule.count)).contains(matched);
            }
        }
        is_dropped
    }

    fn insert(&mut self, due: Instant, item: T) {
        self.under_way.insert((due, self.entered), item);
        self.entered += 1;
    }

    /// When the next datagram arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((due, _), _)| *due)
    }

    /// The next datagram that has arrived.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// How many datagrams were lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    const CHECK: &[u8] = &[0x00, 0x01, 0x00, 0x00];
    const RTP: &[u8] = &[0x80, 0x6f, 0x00, 0x01];
    const RTCP: &[u8] = &[0x80, 0xc8, 0x00, 0x06];

    fn record(content_type: u8, epoch: u8, first: u8) -> Vec<u8> {
        let mut bytes = vec![content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes.push(first);
        bytes
    }

    fn drain(link: &mut Link<u32>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| link.pop(now)).collect()
    }

    #[test]
    fn kinds_are_told_apart_by_the_bytes() {
        assert!(PacketKind::Check.matches(CHECK));
        assert!(PacketKind::CheckReply.matches(&[0x01, 0x01]));
        assert!(PacketKind::Rtp.matches(RTP) && !PacketKind::Rtcp.matches(RTP));
        assert!(PacketKind::Rtcp.matches(RTCP) && !PacketKind::Rtp.matches(RTCP));
        let hello = record(DTLS_HANDSHAKE, 0, CLIENT_HELLO);
        assert!(PacketKind::ClientHello.matches(&hello) && !PacketKind::DtlsFlight.matches(&hello));
        let last_flight = [
            record(DTLS_HANDSHAKE, 0, 16),
            record(20, 0, 1),
            record(DTLS_HANDSHAKE, 1, 9),
        ]
        .concat();
        assert!(
            PacketKind::DtlsFlight.matches(&last_flight)
                && PacketKind::Finished.matches(&last_flight)
        );
        assert!(!PacketKind::ClientHello.matches(&last_flight));
        // An encrypted Finished may begin with the number of a ClientHello by chance.
        assert!(!PacketKind::ClientHello.matches(&record(DTLS_HANDSHAKE, 1, CLIENT_HELLO)));
    }

    #[test]
    fn a_datagram_takes_its_time_and_order_is_kept_under_jitter() {
        let start = epoch();
        let mut link = Link::new(
            Impairment {
                delay: Duration::from_millis(40),
                jitter: Duration::from_millis(30),
                ..Impairment::default()
            },
            1,
        );
        for number in 0..50 {
            link.push(
                start + Duration::from_millis(u64::from(number)),
                RTP,
                number,
            );
        }
        assert!(drain(&mut link, start + Duration::from_millis(39)).is_empty());
        assert_eq!(
            drain(&mut link, start + Duration::from_millis(200)),
            (0..50).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_same_seed_loses_the_same_datagrams() {
        let start = epoch();
        let run = |seed| {
            let mut link = Link::new(
                Impairment {
                    loss: 0.1,
                    duplicate: 0.05,
                    ..Impairment::default()
                },
                seed,
            );
            for number in 0..1000 {
                link.push(start, RTP, number);
            }
            (drain(&mut link, start), link.lost())
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7).0, run(8).0);
        assert!((60..140).contains(&run(7).1), "{} of 1000 lost", run(7).1);
    }

    #[test]
    fn a_rule_loses_the_nth_of_its_kind_and_nothing_else() {
        let start = epoch();
        let mut link = Link::new(
            Impairment {
                drops: vec![DropRule::nth(PacketKind::Check, 2)],
                ..Impairment::default()
            },
            1,
        );
        for (number, bytes) in [CHECK, RTP, CHECK, CHECK].into_iter().enumerate() {
            link.push(start, bytes, number as u32);
        }
        assert_eq!(drain(&mut link, start), [0, 1, 3]);
    }

    #[test]
    fn an_overtaken_datagram_comes_late() {
        let start = epoch();
        let mut link = Link::new(
            Impairment {
                reorder: 0.2,
                reorder_by: Duration::from_millis(30),
                ..Impairment::default()
            },
            3,
        );
        for number in 0..100u32 {
            link.push(
                start + Duration::from_millis(u64::from(number) * 20),
                RTP,
                number,
            );
        }
        let arrived = drain(&mut link, start + Duration::from_secs(5));
        assert_eq!(arrived.len(), 100);
        assert!(arrived.windows(2).any(|pair| pair[0] > pair[1]));
    }
}
