//! Two engines over a path that loses datagrams by seed, and OpenSSL as a peer.

mod openssl_peer;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use relay_packet::PacketBuf;

use super::{CertificateSettings, DtlsEngine, DtlsEvent, DtlsIdentity, DtlsSettings};
pub(super) use openssl_peer::{Key, Peer, PeerSettings, exchange, handshake};

/// One way of the path.
pub(super) const DELAY: Duration = Duration::from_millis(40);

pub(super) fn identity() -> Arc<DtlsIdentity> {
    identity_with(&CertificateSettings::default())
}

pub(super) fn identity_with(settings: &CertificateSettings) -> Arc<DtlsIdentity> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    Arc::new(DtlsIdentity::generate_with(now, settings).unwrap())
}

/// A small generator, so that a seed in a failure message is enough to see it again (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What a test's path does with a datagram.
pub(super) enum Fate {
    Delivered,
    Lost,
    Delayed(Duration),
}

pub(super) struct End {
    pub(super) engine: Box<dyn DtlsEngine>,
    pub(super) event: Option<(Instant, DtlsEvent)>,
}

impl End {
    pub(super) fn connected_after(&self, start: Instant) -> Option<Duration> {
        match &self.event {
            Some((at, DtlsEvent::Connected { .. })) => Some(*at - start),
            _ => None,
        }
    }
}

/// Client and server with a path between them, in invented time.
pub(super) struct Pair {
    pub(super) start: Instant,
    pub(super) now: Instant,
    /// The client first.
    pub(super) ends: [End; 2],
    /// Arrival, receiver, datagram.
    pub(super) path: Vec<(Instant, usize, Vec<u8>)>,
    pub(super) sent: [usize; 2],
    /// No datagram may be longer.
    pub(super) mtu: usize,
}

impl Pair {
    /// Client and server, which were made at `start`.
    pub(super) fn of(engines: [Box<dyn DtlsEngine>; 2], start: Instant) -> Self {
        let ends = engines.map(|engine| End {
            engine,
            event: None,
        });
        Self {
            start,
            now: start,
            ends,
            path: Vec::new(),
            sent: [0; 2],
            mtu: DtlsSettings::DEFAULT_MTU,
        }
    }

    /// Lets time pass for as long as something happens, up to `limit`. `fate` is asked with the sender and the datagram.
    pub(super) fn run(&mut self, limit: Duration, mut fate: impl FnMut(usize, &[u8]) -> Fate) {
        let end = self.start + limit;
        loop {
            self.flush(&mut fate);
            let timers = self.ends.iter().filter_map(|end| end.engine.poll_timeout());
            let arrivals = self.path.iter().map(|(at, ..)| *at);
            let Some(next) = timers.chain(arrivals).min().filter(|next| *next <= end) else {
                return;
            };
            self.now = self.now.max(next);
            while let Some(place) = self.path.iter().position(|(at, ..)| *at <= self.now) {
                let (_, receiver, datagram) = self.path.remove(place);
                self.ends[receiver]
                    .engine
                    .handle_datagram(self.now, &datagram);
                self.flush(&mut fate);
            }
            for end in &mut self.ends {
                if end.engine.poll_timeout().is_some_and(|at| at <= self.now) {
                    end.engine.handle_timeout(self.now);
                    let again = end.engine.poll_timeout();
                    assert!(
                        again.is_none_or(|at| at > self.now),
                        "the timer stands still"
                    );
                }
            }
        }
    }

    fn flush(&mut self, fate: &mut impl FnMut(usize, &[u8]) -> Fate) {
        for (index, end) in self.ends.iter_mut().enumerate() {
            let mut packet = PacketBuf::new();
            while end.engine.poll_datagram(&mut packet) {
                assert!(packet.len() <= self.mtu);
                self.sent[index] += 1;
                let delay = match fate(index, &packet) {
                    Fate::Delivered => DELAY,
                    Fate::Delayed(by) => DELAY + by,
                    Fate::Lost => continue,
                };
                self.path
                    .push((self.now + delay, 1 - index, packet.to_vec()));
            }
            while let Some(event) = end.engine.poll_event() {
                assert!(end.event.is_none(), "a second event: {event:?}");
                end.event = Some((self.now, event));
            }
        }
    }

    /// The time at which both had keys; the keys are compared.
    pub(super) fn connected_after(&self) -> Option<Duration> {
        let (client, server) = (&self.ends[0].event, &self.ends[1].event);
        if let (
            Some((
                at_client,
                DtlsEvent::Connected {
                    inbound: client_in,
                    outbound: client_out,
                    ..
                },
            )),
            Some((
                at_server,
                DtlsEvent::Connected {
                    inbound: server_in,
                    outbound: server_out,
                    ..
                },
            )),
        ) = (client, server)
        {
            assert_eq!(client_in, server_out);
            assert_eq!(client_out, server_in);
            assert_ne!(client_in, client_out);
            return Some(*at_client.max(at_server) - self.start);
        }
        None
    }
}
