//! Two transports and a network between them: our end of a call, and what stands for the far end.

use std::sync::OnceLock;
use std::time::SystemTime;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use super::*;
use crate::LocalSocket;
use crate::dtls::{DtlsIdentity, DtlsRole, Fingerprint, FingerprintHash};
use crate::ice::{IceCredentials, RemoteIce};
use crate::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use crate::srtp::{SrtpKey, SrtpProfile};
use crate::testing::{Endpoint, Link, Network, epoch};

const OURS: &str = "198.51.100.7:30000";
const FAR: &str = "192.0.2.49:3480";
const SOCKET: SocketId = SocketId(1);
/// The numbers of the two ends in the network.
const US: usize = 0;
const THEM: usize = 1;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn identity(end: usize) -> Arc<DtlsIdentity> {
    static IDENTITIES: OnceLock<[Arc<DtlsIdentity>; 3]> = OnceLock::new();
    let make = || {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
        Arc::new(DtlsIdentity::generate(now).unwrap())
    };
    IDENTITIES.get_or_init(|| [make(), make(), make()])[end].clone()
}

fn fingerprint(end: usize) -> Fingerprint {
    identity(end).fingerprint(FingerprintHash::Sha256)
}

fn credentials(end: usize) -> IceCredentials {
    IceCredentials::generate(&mut ChaCha12Rng::seed_from_u64(end as u64))
}

fn key(number: u8) -> SrtpKey {
    SrtpKey::from_material(SrtpProfile::Aes128CmSha1_80, &[number; 30]).unwrap()
}

fn rtp(sequence: u16) -> PacketBuf {
    let mut packet = PacketBuf::new();
    let header = RtpHeader::new(
        PayloadType::new(111).unwrap(),
        SequenceNumber(sequence),
        RtpTimestamp(u32::from(sequence) * 960),
        Ssrc(0x1234_5678),
    );
    assert!(header.write(&[sequence as u8; 60], &mut packet));
    packet
}

/// A receiver report with one block of nothing.
fn rtcp() -> PacketBuf {
    PacketBuf::from_slice(&[0x80, 201, 0, 1, 0x12, 0x34, 0x56, 0x78]).unwrap()
}

/// A transport that keeps what it was handed.
struct End {
    transport: MediaTransport,
    rtp: Vec<Vec<u8>>,
    rtcp: usize,
    events: Vec<TransportEvent>,
}

impl End {
    fn collect_events(&mut self) {
        self.events
            .extend(std::iter::from_fn(|| self.transport.poll_event()));
    }

    fn has_keys(&self) -> bool {
        self.transport.status().inbound_profile.is_some()
    }

    fn has_engine(&self) -> bool {
        let association = self.transport.association.as_deref();
        association.is_some_and(Association::has_engine)
    }
}

impl Endpoint for End {
    fn handle_datagram(&mut self, now: Instant, received: Received, out: &mut Outbox) {
        match self.transport.handle_datagram(now, received, out) {
            Incoming::Rtp(packet) => {
                self.rtp.push(packet.to_vec());
                out.recycle(packet);
            }
            Incoming::Rtcp(packet) => {
                self.rtcp += 1;
                out.recycle(packet);
            }
            Incoming::Datagram(packet) => out.recycle(packet),
            Incoming::Consumed | Incoming::Dropped(_) => {}
        }
        self.collect_events();
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.transport.handle_timeout(now, out);
        self.collect_events();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.transport.poll_timeout()
    }
}

struct Ends {
    network: Network,
    ends: Vec<End>,
}

impl Ends {
    fn new(link: Link, seed: u64) -> Self {
        let mut network = Network::new(link, seed);
        let mut ends = Vec::new();
        for (end, text) in [OURS, FAR].into_iter().enumerate() {
            network.attach(end, SOCKET, address(text));
            let local = LocalSocket {
                id: SOCKET,
                address: address(text),
                advertised: address(text).ip(),
            };
            ends.push(End {
                transport: MediaTransport::new(
                    vec![local],
                    Component::Rtp,
                    Arc::default(),
                    seed * 2 + end as u64,
                ),
                rtp: Vec::new(),
                rtcp: 0,
                events: Vec::new(),
            });
        }
        Self { network, ends }
    }

    fn us(&mut self) -> &mut MediaTransport {
        &mut self.ends[US].transport
    }

    fn them(&mut self) -> &mut MediaTransport {
        &mut self.ends[THEM].transport
    }

    /// Without ICE: each side knows the other's address from SDP.
    fn with_addresses(mut self) -> Self {
        let now = self.network.now;
        self.us().set_remote_address(now, Some(address(FAR)));
        self.them().set_remote_address(now, Some(address(OURS)));
        self
    }

    /// ICE and DTLS; the far end is like Meta's: lite. `our_role` follows from `a=setup`.
    fn with_ice_and_dtls(mut self, our_role: DtlsRole) -> Self {
        let now = self.network.now;
        let their_role = match our_role {
            DtlsRole::Client => DtlsRole::Server,
            DtlsRole::Server => DtlsRole::Client,
        };
        for (end, role) in [(US, our_role), (THEM, their_role)] {
            let far = 1 - end;
            let remote = RemoteIce {
                credentials: credentials(far),
                candidates: self.ends[far].transport.local_candidates(),
                lite: end == US,
                we_offered: our_role == DtlsRole::Server,
            };
            let transport = &mut self.ends[end].transport;
            transport.enable_ice(credentials(end), end == THEM);
            transport.enable_dtls(identity(end));
            transport.set_remote_ice(now, remote);
            transport.set_remote_dtls(now, role, fingerprint(far));
            transport.start(now);
        }
        self
    }

    fn run(&mut self, limit: Duration, is_done: impl FnMut(&mut [End]) -> bool) -> bool {
        self.network.run(&mut self.ends, limit, is_done)
    }

    /// Lets what is in flight arrive, and a second pass.
    fn settle(&mut self) {
        let until = self.network.now - self.network.start + ms(1000);
        self.run(until, |_| false);
        self.network.now = self.network.start + until;
    }

    fn send(&mut self, end: usize, sequence: u16) -> Result<(), DropReason> {
        self.network.act(&mut self.ends, end, |end, _, out| {
            end.transport.send_rtp(rtp(sequence), out)
        })
    }

    fn send_rtcp(&mut self, end: usize) -> Result<(), DropReason> {
        self.network.act(&mut self.ends, end, |end, _, out| {
            end.transport.send_rtcp(rtcp(), out)
        })
    }

    /// Hands a datagram to our end as if it had come from `source`.
    fn inject(&mut self, source: &str, bytes: &[u8]) -> Incoming {
        let received = Received {
            socket: SOCKET,
            source: address(source),
            packet: PacketBuf::from_slice(bytes).unwrap(),
        };
        let incoming = self.network.act(&mut self.ends, US, |end, now, out| {
            end.transport.handle_datagram(now, received, out)
        });
        self.ends[US].collect_events();
        incoming
    }

    fn destination(&self, end: usize) -> Option<SocketAddr> {
        self.ends[end].transport.status().destination
    }
}

/// What `end` would send, as bytes on the wire.
fn sealed_by(transport: &mut MediaTransport, sequence: u16) -> Vec<u8> {
    let mut out = Outbox::new(2);
    transport.send_rtp(rtp(sequence), &mut out).unwrap();
    out.queued()[0].packet.to_vec()
}

#[test]
fn plain_rtp_and_rtcp_pass_both_ways() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_addresses();
    for end in [US, THEM] {
        assert!(ends.ends[end].transport.is_writable());
        ends.send(end, 1).unwrap();
        ends.send_rtcp(end).unwrap();
    }
    ends.settle();
    for end in &ends.ends {
        assert_eq!(end.rtp, [rtp(1).to_vec()]);
        assert_eq!(end.rtcp, 1);
        assert_eq!(end.events.len(), 2, "{:?}", end.events);
        assert_eq!(end.events[0], TransportEvent::Writable);
        assert!(matches!(end.events[1], TransportEvent::FirstPacket { .. }));
    }
}

#[test]
fn nothing_leaves_before_there_is_somewhere_to_send() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1);
    assert_eq!(ends.send(US, 1), Err(DropReason::NoDestination));
    let drops = ends.us().status().drops;
    assert_eq!(
        drops.iter().collect::<Vec<_>>(),
        [(DropReason::NoDestination, 1)]
    );
}

#[test]
fn a_far_end_with_sdes_is_heard_and_hears() {
    let mut ends = Ends::new(Link::lossy(0), 1).with_addresses();
    ends.us().set_sdes(Some(key(1)), Some(key(2)));
    ends.them().set_sdes(Some(key(2)), Some(key(1)));
    for sequence in 0..50 {
        ends.send(US, sequence).unwrap();
        ends.send(THEM, sequence).unwrap();
    }
    ends.send_rtcp(US).unwrap();
    ends.settle();
    for end in &ends.ends {
        assert_eq!(end.rtp.len(), 50);
        assert!(end.rtp.contains(&rtp(7).to_vec()));
    }
    assert_eq!(ends.ends[THEM].rtcp, 1);
    // The network duplicates some packets; the replay window stops those.
    let drops = [US, THEM].map(|end| ends.ends[end].transport.status().drops);
    let replays = drops.map(|drops| drops.of(DropReason::SrtpReplay));
    assert!(replays.iter().sum::<u64>() > 0);
    assert_eq!(drops.map(|drops| drops.total()), replays);
}

#[test]
fn only_authentic_packets_move_the_address() {
    let mut ends = Ends::new(Link::perfect(ms(0)), 1).with_addresses();
    ends.us().set_sdes(Some(key(1)), Some(key(2)));
    ends.them().set_sdes(Some(key(2)), Some(key(1)));
    let forged = rtp(1);
    assert!(matches!(
        ends.inject("203.0.113.1:666", &forged),
        Incoming::Dropped(DropReason::SrtpAuthentication | DropReason::Malformed)
    ));
    assert_eq!(ends.destination(US), Some(address(FAR)));
    let genuine = sealed_by(ends.them(), 2);
    assert!(matches!(
        ends.inject("203.0.113.2:777", &genuine),
        Incoming::Rtp(_)
    ));
    assert_eq!(ends.destination(US), Some(address("203.0.113.2:777")));
    let moved = TransportEvent::SourceLearned {
        from: Some(address(FAR)),
        to: address("203.0.113.2:777"),
    };
    assert!(ends.ends[US].events.contains(&moved));
}

#[test]
fn before_there_are_keys_srtp_is_dropped_and_counted() {
    let mut ends = Ends::new(Link::perfect(ms(0)), 1).with_addresses();
    ends.us().set_sdes(Some(key(1)), None);
    assert!(ends.us().requires_keys());
    assert!(matches!(
        ends.inject(FAR, &rtp(1)),
        Incoming::Dropped(DropReason::SrtpNoKeys)
    ));
    ends.us().set_sdes(None, None);
    ends.us().enable_dtls(identity(US));
    assert!(!ends.us().is_writable());
    assert_eq!(ends.send(US, 1), Err(DropReason::SrtpNoKeys));
    assert!(matches!(
        ends.inject(FAR, &rtp(1)),
        Incoming::Dropped(DropReason::SrtpNoKeys)
    ));
    assert_eq!(ends.us().status().drops.of(DropReason::SrtpNoKeys), 3);
}

#[test]
fn the_same_sdes_key_again_does_not_open_the_replay_window() {
    let mut ends = Ends::new(Link::perfect(ms(0)), 1).with_addresses();
    ends.us().set_sdes(Some(key(1)), Some(key(2)));
    ends.them().set_sdes(Some(key(2)), Some(key(1)));
    let packet = sealed_by(ends.them(), 1);
    assert!(matches!(ends.inject(FAR, &packet), Incoming::Rtp(_)));
    ends.us().set_sdes(Some(key(1)), Some(key(2)));
    assert!(matches!(
        ends.inject(FAR, &packet),
        Incoming::Dropped(DropReason::SrtpReplay)
    ));
}

#[test]
fn dtls_in_both_roles_gives_keys_on_a_bad_network() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for percent in [0, 10, 30] {
            for seed in 0..20 {
                let mut ends = Ends::new(Link::lossy(percent), seed).with_ice_and_dtls(role);
                let case = format!("{role:?}, loss {percent} %, seed {seed}");
                let done = ends.run(ms(15_000), |ends| ends.iter().all(End::has_keys));
                assert!(done, "{case}: {:?}", ends.us().status());
                for sequence in 0..20 {
                    ends.send(US, sequence).unwrap();
                    ends.send(THEM, sequence).unwrap();
                }
                ends.settle();
                for end in &ends.ends {
                    assert!(end.rtp.len() >= 5, "{case}: {} packets", end.rtp.len());
                    let drops = end.transport.status().drops;
                    assert_eq!(drops.of(DropReason::SrtpAuthentication), 0, "{case}");
                    let connected = end
                        .events
                        .iter()
                        .filter(|event| matches!(event, TransportEvent::DtlsConnected { .. }));
                    assert_eq!(connected.count(), 1, "{case}");
                    let writable = end
                        .events
                        .iter()
                        .filter(|event| **event == TransportEvent::Writable);
                    assert_eq!(writable.count(), 1, "{case}");
                }
            }
        }
    }
}

/// The floor of a fast start: how long after `start` we have keys, when the peer is deaf for `deaf`.
fn keys_after(role: DtlsRole, deaf: Duration, round_trip: Duration) -> Duration {
    let mut ends = Ends::new(Link::perfect(round_trip), 1).with_ice_and_dtls(role);
    ends.network
        .deaf_until
        .insert(THEM, ends.network.now + deaf);
    assert!(ends.run(ms(30_000), |ends| ends[US].has_keys()));
    ends.network.now - ends.network.start
}

#[test]
fn the_first_srtp_leaves_at_the_floor() {
    let round_trip = ms(80);
    for deaf in [0, 50, 300, 777, 1500, 2000].map(ms) {
        // One check, and two round trips of DTLS.
        let after = keys_after(DtlsRole::Client, deaf, round_trip);
        assert!(
            after <= deaf + 3 * round_trip + ms(20),
            "client, D {deaf:?}: {after:?}"
        );
        // The check carries the peer's permission to send; its ClientHello comes back at once.
        let after = keys_after(DtlsRole::Server, deaf, round_trip);
        assert!(
            after <= deaf + 3 * round_trip + ms(20),
            "server, D {deaf:?}: {after:?}"
        );
    }
}

#[test]
fn a_client_hello_from_a_candidate_is_answered_before_any_pair_works() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(DtlsRole::Server);
    // Nobody's STUN passes: the far end is told where we are, and has no ICE to wait for.
    ends.them().disable_ice();
    let now = ends.network.now;
    ends.them().set_remote_address(now, Some(address(OURS)));
    assert!(ends.run(ms(2000), |ends| ends.iter().all(End::has_keys)));
    assert_eq!(ends.destination(US), None, "no pair is valid");
    let stray = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0];
    assert!(matches!(
        ends.inject("203.0.113.1:666", &stray),
        Incoming::Dropped(DropReason::DtlsUnexpected)
    ));
}

#[test]
fn a_certificate_that_was_not_announced_gives_no_keys() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(DtlsRole::Client);
    let now = ends.network.now;
    ends.us()
        .set_remote_dtls(now, DtlsRole::Client, fingerprint(2));
    ends.run(ms(3000), |_| false);
    assert!(!ends.ends[US].has_keys());
    let failures: Vec<_> = ends.ends[US]
        .events
        .iter()
        .filter_map(|event| match event {
            TransportEvent::DtlsFailed { reason } => Some(reason.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(failures.len(), 1, "told once: {failures:?}");
    assert!(
        failures[0].contains(&fingerprint(THEM).to_string()),
        "{failures:?}"
    );
    assert!(
        failures[0].contains(&fingerprint(2).to_string()),
        "{failures:?}"
    );
}

#[test]
fn a_fingerprint_may_come_after_the_handshake() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(DtlsRole::Server);
    // As in an early answer: our end has offered and knows the peer's checks, not yet its fingerprint.
    ends.us().disable_dtls();
    ends.us().enable_dtls(identity(US));
    ends.run(ms(2000), |ends| ends[THEM].has_keys());
    assert!(ends.ends[THEM].has_keys());
    assert!(!ends.ends[US].has_keys());
    let now = ends.network.now;
    ends.us()
        .set_remote_dtls(now, DtlsRole::Server, fingerprint(THEM));
    let until = ends.network.now - ends.network.start + ms(10);
    assert!(ends.run(until, |ends| ends[US].has_keys()));
}

#[test]
fn the_same_signalling_again_changes_nothing() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(DtlsRole::Client);
    assert!(ends.run(ms(2000), |ends| ends.iter().all(End::has_keys)));
    ends.settle();
    let before = ends.us().status();
    let sent = ends.network.sent_by(US);
    let events = ends.ends[US].events.len();
    let mut ends = ends.with_ice_and_dtls(DtlsRole::Client);
    ends.settle();
    assert_eq!(ends.us().status(), before);
    assert_eq!(ends.network.sent_by(US), sent);
    assert_eq!(ends.ends[US].events.len(), events);
    ends.send(US, 1).unwrap();
    ends.settle();
    assert_eq!(ends.ends[THEM].rtp.len(), 1);
}

#[test]
fn a_handshake_that_nobody_begins_is_told_after_five_seconds() {
    // The far end answered `passive` to our `passive`, in effect: both wait.
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(DtlsRole::Server);
    ends.them().disable_dtls();
    ends.run(ms(20_000), |_| false);
    let stalled: Vec<_> = ends.ends[US]
        .events
        .iter()
        .filter_map(|event| match event {
            TransportEvent::DtlsStalled { role, heard, after } => Some((*role, *heard, *after)),
            _ => None,
        })
        .collect();
    assert_eq!(stalled, [(DtlsRole::Server, false, ms(5000))]);
}

#[test]
fn without_ice_a_stranger_cannot_disturb_a_handshake() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_addresses();
    let now = ends.network.now;
    for (end, role) in [(US, DtlsRole::Server), (THEM, DtlsRole::Client)] {
        let transport = &mut ends.ends[end].transport;
        transport.enable_dtls(identity(end));
        transport.set_remote_dtls(now, role, fingerprint(1 - end));
    }
    ends.run(ms(15), |_| false);
    let hello = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0];
    assert!(matches!(
        ends.inject("203.0.113.1:666", &hello),
        Incoming::Dropped(DropReason::DtlsUnexpected)
    ));
    assert!(ends.run(ms(2000), |ends| ends.iter().all(End::has_keys)));
}

#[test]
fn a_failed_handshake_is_begun_again_at_a_limited_rate() {
    let mut ends = Ends::new(Link::perfect(ms(2)), 1).with_ice_and_dtls(DtlsRole::Client);
    let now = ends.network.now;
    ends.us()
        .set_remote_dtls(now, DtlsRole::Client, fingerprint(2));
    // The far end forgets each association, so that it is always ready for another.
    let mut hellos = 0;
    for second in 0..5 {
        ends.them().disable_dtls();
        ends.them().enable_dtls(identity(THEM));
        let now = ends.network.now;
        ends.them()
            .set_remote_dtls(now, DtlsRole::Server, fingerprint(US));
        let before = ends.network.sent_by(US);
        ends.run(ms(1000 * (second + 1)), |_| false);
        ends.network.now = ends.network.start + ms(1000 * (second + 1));
        hellos += ends.network.sent_by(US) - before;
    }
    assert!(!ends.ends[US].has_keys());
    assert!(hellos < 300, "{hellos} datagrams in five seconds");
}

#[test]
fn rtp_on_the_rtcp_port_is_not_wanted() {
    let local = LocalSocket {
        id: SOCKET,
        address: address(OURS),
        advertised: address(OURS).ip(),
    };
    let mut transport = MediaTransport::new(vec![local], Component::Rtcp, Arc::default(), 1);
    let mut out = Outbox::new(2);
    let mut handle = |packet: PacketBuf| {
        let received = Received {
            socket: SOCKET,
            source: address(FAR),
            packet,
        };
        transport.handle_datagram(epoch(), received, &mut out)
    };
    assert!(matches!(
        handle(rtp(1)),
        Incoming::Dropped(DropReason::NotWanted)
    ));
    assert!(matches!(handle(rtcp()), Incoming::Rtcp(_)));
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0u8),
        Just(1),
        Just(20),
        Just(22),
        Just(128),
        Just(144),
        any::<u8>()
    ];
    (first, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

proptest! {
    #[test]
    fn no_datagram_hurts(datagrams in prop::collection::vec(datagram(), 1..20), kind in 0..3) {
        let mut ends = Ends::new(Link::perfect(ms(0)), 1);
        ends = match kind {
            0 => ends.with_addresses(),
            1 => {
                let mut ends = ends.with_addresses();
                ends.us().set_sdes(Some(key(1)), Some(key(2)));
                ends
            }
            _ => ends.with_ice_and_dtls(DtlsRole::Server),
        };
        for bytes in datagrams {
            ends.inject(FAR, &bytes);
        }
    }

    #[test]
    fn no_damaged_datagram_of_a_real_call_hurts(at in 0usize..400, value in any::<u8>(), seed in 0u64..20) {
        let mut ends = Ends::new(Link::perfect(ms(2)), seed).with_ice_and_dtls(DtlsRole::Client);
        prop_assert!(ends.run(ms(500), |ends| ends.iter().all(End::has_keys)));
        for mut bytes in [sealed_by(ends.them(), 1), rtp(2).to_vec(), rtcp().to_vec()] {
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len() - usize::from(value) % 3);
            ends.inject(FAR, &bytes);
        }
    }
}

#[test]
fn a_renewed_association_takes_over_when_it_is_done_and_not_before() {
    let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(DtlsRole::Client);
    assert!(ends.run(ms(2000), |ends| ends.iter().all(End::has_keys)));
    ends.send(US, 1).unwrap();
    ends.settle();
    let connected = |end: &End| {
        let is_connected = |e: &&TransportEvent| matches!(e, TransportEvent::DtlsConnected { .. });
        end.events.iter().filter(is_connected).count()
    };
    let now = ends.network.now;
    for (end, role) in [(US, DtlsRole::Client), (THEM, DtlsRole::Server)] {
        let transport = &mut ends.ends[end].transport;
        transport.renew_dtls(identity(end));
        transport.set_remote_dtls(now, role, fingerprint(1 - end));
        assert!(transport.is_writable(), "the old keys go on");
    }
    ends.send(US, 2).unwrap();
    let again = |ends: &mut [End]| ends.iter().all(|end| connected(end) == 2);
    assert!(ends.run(ms(4000), again));
    ends.settle();
    ends.send(US, 3).unwrap();
    ends.send(THEM, 4).unwrap();
    ends.settle();
    assert_eq!(ends.ends[THEM].rtp, [1, 2, 3].map(|n| rtp(n).to_vec()));
    assert_eq!(ends.ends[US].rtp, [rtp(4).to_vec()]);
}

#[test]
fn the_last_flight_is_repeated_until_srtp_comes_and_then_the_engine_is_gone() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut ends = Ends::new(Link::perfect(ms(20)), 1).with_ice_and_dtls(role);
        assert!(ends.run(ms(2000), |ends| ends.iter().all(End::has_keys)));
        let server = if role == DtlsRole::Server { US } else { THEM };
        let repeats = |end: &End| {
            let association = end.transport.association.as_deref();
            association.is_some_and(|association| association.poll_timeout(true).is_some())
        };
        assert!(ends.ends.iter().all(End::has_engine));
        assert!(repeats(&ends.ends[server]));
        ends.send(US, 1).unwrap();
        ends.send(THEM, 1).unwrap();
        ends.settle();
        for end in &ends.ends {
            assert!(!end.has_engine() && !repeats(end));
            assert!(end.transport.is_confirmed() && end.transport.is_writable());
            assert!(end.transport.status().dtls.is_some(), "it is still told of");
        }
        // An alert in epoch 1, as a peer that hangs up sends it, and a hello are no reason to begin anew, nor to complain.
        let mut farewell = [0; 40];
        farewell[..5].copy_from_slice(&[21, 254, 253, 0, 1]);
        let mut hello = [0; 40];
        hello[..3].copy_from_slice(&[22, 254, 253]);
        hello[13] = 1;
        for datagram in [farewell, hello] {
            assert!(matches!(ends.inject(FAR, &datagram), Incoming::Consumed));
        }
        assert!(!ends.ends[US].has_engine());
        ends.send(US, 2).unwrap();
        ends.settle();
        assert_eq!(ends.ends[THEM].rtp.len(), 2);
    }
}
