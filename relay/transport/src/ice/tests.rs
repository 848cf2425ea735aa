//! Two agents and a network between them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;
use relay_packet::{Outbox, Received, SocketId};

use super::*;
use crate::LocalSocket;
use crate::testing::{Endpoint, Link, Network};

const V4: [&str; 2] = ["198.51.100.7:30000", "192.0.2.49:3480"];
const V6: [&str; 2] = ["[2001:db8:a::7]:30000", "[2001:db8:b::49]:3480"];

impl Endpoint for IceAgent {
    fn handle_datagram(&mut self, now: Instant, received: Received, out: &mut Outbox) {
        let _ = IceAgent::handle_datagram(
            self,
            now,
            received.socket,
            received.source,
            &received.packet,
            out,
        );
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        IceAgent::handle_timeout(self, now, out);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        IceAgent::poll_timeout(self)
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn credentials(endpoint: usize) -> IceCredentials {
    IceCredentials::generate(&mut ChaCha12Rng::seed_from_u64(endpoint as u64))
}

/// One side: which addresses it has, and whether it is lite.
#[derive(Clone)]
struct Side {
    addresses: Vec<&'static str>,
    lite: bool,
}

impl Side {
    fn full(addresses: &[&'static str]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            lite: false,
        }
    }

    fn lite(addresses: &[&'static str]) -> Self {
        Self {
            lite: true,
            ..Self::full(addresses)
        }
    }
}

/// Endpoint 0 has offered to endpoint 1.
struct Pair {
    network: Network,
    agents: Vec<IceAgent>,
    sides: [Side; 2],
}

impl Pair {
    fn new(link: Link, seed: u64, sides: [Side; 2]) -> Self {
        let mut network = Network::new(link, seed);
        let agents = sides
            .iter()
            .enumerate()
            .map(|(endpoint, side)| {
                let locals: Vec<_> = (1..)
                    .zip(&side.addresses)
                    .map(|(id, text)| LocalSocket {
                        id: SocketId(id),
                        address: address(text),
                        advertised: address(text).ip(),
                    })
                    .collect();
                for local in &locals {
                    network.attach(endpoint, local.id, local.address);
                }
                IceAgent::new(
                    locals,
                    Component::Rtp,
                    credentials(endpoint),
                    side.lite,
                    IceConfig::default(),
                    seed * 2 + endpoint as u64,
                )
            })
            .collect();
        Self {
            network,
            agents,
            sides,
        }
    }

    /// What the SDP of an endpoint says to the other.
    fn sdp_of(&self, endpoint: usize) -> RemoteIce {
        RemoteIce {
            credentials: credentials(endpoint),
            candidates: IceAgent::local_candidates(&self.agents[endpoint].locals, Component::Rtp),
            lite: self.sides[endpoint].lite,
            we_offered: endpoint == 1,
        }
    }

    /// Both have the SDP of the other, and both have been answered.
    fn signalled(mut self) -> Self {
        let now = self.network.now;
        for endpoint in [0, 1] {
            let remote = self.sdp_of(1 - endpoint);
            self.agents[endpoint].set_remote(now, remote);
            self.agents[endpoint].start(now);
        }
        self
    }

    fn run(&mut self, limit: Duration, is_done: impl FnMut(&mut [IceAgent]) -> bool) -> bool {
        self.network.run(&mut self.agents, limit, is_done)
    }

    fn run_until(&mut self, limit: Duration) {
        self.run(limit, |_| false);
    }
}

fn is_nominated(agent: &IceAgent) -> bool {
    agent
        .status()
        .selected
        .is_some_and(|pair| pair.is_nominated)
}

fn selected_remote(agent: &IceAgent) -> Option<SocketAddr> {
    agent.status().selected.map(|pair| pair.remote)
}

fn events(agent: &mut IceAgent) -> Vec<IceEvent> {
    std::iter::from_fn(|| agent.poll_event()).collect()
}

#[test]
fn agents_of_every_kind_meet_on_a_bad_network() {
    let both = [V4[0], V6[0]];
    let kinds = [
        [Side::full(&both), Side::full(&[V4[1], V6[1]])],
        [Side::full(&both), Side::lite(&[V4[1], V6[1]])],
        [Side::lite(&both), Side::full(&[V4[1], V6[1]])],
        [Side::full(&both), Side::full(&[V4[1]])],
    ];
    for (kind, sides) in kinds.iter().enumerate() {
        for percent in [0, 10, 30] {
            for seed in 0..25 {
                let mut pair = Pair::new(Link::lossy(percent), seed, sides.clone()).signalled();
                let case = format!("kind {kind}, loss {percent} %, seed {seed}");
                let done = pair.run(ms(5000), |agents| agents.iter().all(is_nominated));
                assert!(
                    done,
                    "{case}: {:?}",
                    pair.agents.iter().map(IceAgent::status).collect::<Vec<_>>()
                );
                // A lite peer that was nominated two pairs may prefer the other one, until a consent check names ours again.
                pair.run_until(ms(60_000));
                let [ours, theirs] = [0, 1].map(|end| pair.agents[end].status().selected.unwrap());
                assert_eq!(
                    (ours.local, ours.remote),
                    (theirs.remote, theirs.local),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn a_deaf_lite_peer_is_found_within_one_interval() {
    for round_trip in [0, 80] {
        for deaf in [0, 7, 50, 300, 999, 1500, 2000, 2900] {
            let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
            let mut pair = Pair::new(Link::perfect(ms(round_trip)), 1, sides).signalled();
            let hears_at = pair.network.now + ms(deaf);
            pair.network.deaf_until.insert(1, hears_at);
            assert!(pair.run(ms(20_000), |agents| agents[0].destination().is_some()));
            let elapsed = pair.network.elapsed_ms() as u64;
            let limit = deaf + round_trip + 20;
            assert!(elapsed <= limit, "D {deaf}, R {round_trip}: {elapsed} ms");
            assert!(
                is_nominated(&pair.agents[0]),
                "towards a lite peer every check nominates"
            );
        }
    }
}

#[test]
fn ringing_for_long_costs_nothing() {
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides);
    let remote = pair.sdp_of(1);
    pair.network
        .deaf_until
        .insert(1, pair.network.now + ms(12_300));
    let now = pair.network.now;
    pair.agents[0].set_remote(now, remote);
    pair.run_until(ms(12_000));
    assert!(pair.network.sent_by(0) <= 25, "background checks are slow");
    pair.network.now = pair.network.start + ms(12_000);
    let now = pair.network.now;
    pair.agents[0].start(now);
    assert!(pair.run(ms(20_000), |agents| agents[0].destination().is_some()));
    let elapsed = pair.network.elapsed_ms();
    assert!(elapsed <= 12_000 + 300 + 80 + 20, "{elapsed} ms");
    let selected = events(&mut pair.agents[0]);
    assert!(
        matches!(selected[..], [IceEvent::PairSelected { after, .. }] if after <= ms(400)),
        "{selected:?}"
    );
}

#[test]
fn one_lost_check_or_reply_costs_20_ms() {
    for (endpoint, what) in [(0, "check"), (1, "reply")] {
        let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
        let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
        pair.network.lost.push((endpoint, 0));
        assert!(pair.run(ms(5000), |agents| agents[0].destination().is_some()));
        assert_eq!(pair.network.elapsed_ms(), 100, "lost {what}");
    }
}

#[test]
fn a_peer_that_answers_late_is_still_found() {
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    pair.network
        .deaf_until
        .insert(1, pair.network.now + ms(22_000));
    assert!(pair.run(ms(60_000), |agents| agents[0].destination().is_some()));
    assert!(pair.network.elapsed_ms() <= 22_000 + 80 + 200);
    let told = events(&mut pair.agents[0]);
    let Some(IceEvent::Stalled { counts, after }) = told.first() else {
        panic!("no alarm: {told:?}");
    };
    assert_eq!(*after, ms(5000));
    assert_eq!((counts.pairs, counts.replies), (1, 0));
    assert!(counts.sent >= 150);
}

#[test]
fn an_ipv6_address_that_nobody_reaches_costs_nothing() {
    // The peer's IPv6 candidate has the higher priority, like Meta's, and leads nowhere.
    let mut sides = [Side::full(&[V4[0], V6[0]]), Side::lite(&V4[1..])];
    for ours in [vec![V4[0], V6[0]], vec![V4[0]]] {
        sides[0] = Side::full(&ours);
        let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides.clone());
        let now = pair.network.now;
        let mut remote = pair.sdp_of(1);
        let line = "987654321 1 udp 2122262783 2001:db8::699c 3480 typ host";
        remote.candidates.push(Candidate::parse(line).unwrap());
        pair.agents[0].set_remote(now, remote);
        pair.agents[0].start(now);
        pair.network.deaf_until.insert(1, now + ms(500));
        assert!(pair.run(ms(20_000), |agents| agents[0].destination().is_some()));
        assert!(pair.network.elapsed_ms() <= 600);
        assert_eq!(selected_remote(&pair.agents[0]), Some(address(V4[1])));
        let counts = pair.agents[0].status().counts;
        assert_eq!(counts.pairs as usize, ours.len());
        assert_eq!(counts.ignored_candidates as usize, 2 - ours.len());
    }
}

#[test]
fn media_does_not_hop_to_a_better_pair_that_works_a_little_later() {
    let sides = [Side::full(&[V4[0], V6[0]]), Side::lite(&[V4[1], V6[1]])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    pair.run_until(ms(10_000));
    let selections = events(&mut pair.agents[0]);
    assert_eq!(selections.len(), 1, "{selections:?}");
}

#[test]
fn a_487_of_a_lite_peer_changes_nothing() {
    use crate::stun::{Class, ErrorCode, IntegrityKey, Message, MessageWriter};
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(0)), 1, sides);
    let now = pair.network.now;
    let remote = pair.sdp_of(1);
    let agent = &mut pair.agents[0];
    agent.set_remote(now, remote);
    agent.start(now);
    let mut out = Outbox::new(4);
    agent.handle_timeout(now, &mut out);
    let check = out.queued()[0].packet.to_vec();
    let transaction = Message::parse(&check).unwrap().transaction;
    let mut reply = out.take();
    let key = IntegrityKey::new(credentials(1).pwd());
    let fits = MessageWriter::new(&mut reply, Class::Error, transaction)
        .error_code(ErrorCode::ROLE_CONFLICT)
        .finish(Some(&key));
    assert!(fits);
    let result = agent.handle_datagram(now, SocketId(1), address(V4[1]), &reply, &mut out);
    assert_eq!(result, Ok(()));
    assert_eq!(agent.status().role, IceRole::Controlling);
    assert_eq!(agent.status().counts.role_conflicts, 1);
}

#[test]
fn two_full_agents_that_both_control_settle_it_by_tie_breaker() {
    for seed in 0..20 {
        let sides = [Side::full(&V4[..1]), Side::full(&V4[1..])];
        let mut pair = Pair::new(Link::lossy(10), seed, sides);
        let now = pair.network.now;
        for endpoint in [0, 1] {
            let mut remote = pair.sdp_of(1 - endpoint);
            remote.we_offered = seed % 2 == 0;
            pair.agents[endpoint].set_remote(now, remote);
            pair.agents[endpoint].start(now);
        }
        let done = pair.run(ms(5000), |agents| agents.iter().all(is_nominated));
        assert!(done, "seed {seed}");
        assert_ne!(
            pair.agents[0].status().role,
            pair.agents[1].status().role,
            "seed {seed}"
        );
    }
}

#[test]
fn a_peer_behind_a_nat_is_found_peer_reflexive() {
    for sides in [
        [Side::full(&V4[..1]), Side::full(&V4[1..])],
        [Side::lite(&V4[..1]), Side::full(&V4[1..])],
    ] {
        let mut pair = Pair::new(Link::lossy(10), 3, sides);
        let outer = address("203.0.113.77:61000");
        pair.network.put_nat_before(address(V4[1]), outer);
        let mut pair = pair.signalled();
        assert!(pair.run(ms(5000), |agents| agents.iter().all(is_nominated)));
        let ours = pair.agents[0].status().selected.unwrap();
        assert_eq!(
            (ours.remote, ours.remote_kind),
            (outer, CandidateKind::PeerReflexive)
        );
        if !pair.sides[1].lite && !pair.sides[0].lite {
            let theirs = pair.agents[1].status().selected.unwrap();
            assert_eq!(theirs.local_kind, CandidateKind::PeerReflexive);
            assert!(theirs.seen_as.is_some_and(|seen| seen != theirs.local));
        }
    }
}

#[test]
fn checks_that_come_before_the_sdp_are_answered_and_remembered() {
    let sides = [Side::full(&V4[..1]), Side::full(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(20)), 1, sides);
    let now = pair.network.now;
    let remote = pair.sdp_of(0);
    pair.agents[1].set_remote(now, remote);
    pair.agents[1].start(now);
    pair.run_until(ms(200));
    assert!(pair.agents[1].destination().is_some());
    assert!(pair.agents[0].knows(address(V4[1])));
    assert_eq!(pair.agents[0].destination(), None);
    pair.network.now = pair.network.start + ms(200);
    let now = pair.network.now;
    // An answer without candidates: the address is known from the check.
    let remote = RemoteIce {
        candidates: Vec::new(),
        ..pair.sdp_of(1)
    };
    pair.agents[0].set_remote(now, remote);
    pair.agents[0].start(now);
    assert!(pair.run(ms(1000), |agents| agents.iter().all(is_nominated)));
}

#[test]
fn the_same_sdp_again_changes_nothing_and_more_candidates_are_trickle() {
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    assert!(pair.run(ms(1000), |agents| is_nominated(&agents[0])));
    let before = pair.agents[0].status();
    let now = pair.network.now;
    let remote = pair.sdp_of(1);
    pair.agents[0].set_remote(now, remote.clone());
    pair.agents[0].start(now);
    assert_eq!(pair.agents[0].status(), before);
    let mut more = remote;
    more.candidates.push(Candidate::host(
        1,
        Component::Rtp,
        address("192.0.2.50:3480"),
    ));
    pair.agents[0].set_remote(now, more);
    assert_eq!(pair.agents[0].status().selected, before.selected);
    assert_eq!(pair.agents[0].status().counts.pairs, 2);
}

#[test]
fn an_ice_restart_keeps_media_flowing_until_a_new_pair_works() {
    let sides = [Side::full(&V4[..1]), Side::full(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    assert!(pair.run(ms(2000), |agents| agents.iter().all(is_nominated)));
    let destination = pair.agents[0].destination();
    let now = pair.network.now;
    let fresh = [credentials(10), credentials(11)];
    for endpoint in [0, 1] {
        let remote = RemoteIce {
            credentials: fresh[1 - endpoint].clone(),
            ..pair.sdp_of(1 - endpoint)
        };
        pair.agents[endpoint].set_local(fresh[endpoint].clone(), false);
        pair.agents[endpoint].set_remote(now, remote);
        assert_eq!(pair.agents[endpoint].status().selected, None);
    }
    assert_eq!(pair.agents[0].destination(), destination);
    assert!(pair.run(ms(4000), |agents| agents.iter().all(is_nominated)));
}

#[test]
fn a_check_with_retired_credentials_is_answered_and_one_with_wrong_ones_refused() {
    let sides = [Side::full(&V4[..1]), Side::full(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(10)), 1, sides).signalled();
    assert!(pair.run(ms(2000), |agents| agents.iter().all(is_nominated)));
    pair.agents[0].set_local(credentials(10), false);
    let before = pair.agents[1].status().counts;
    // Consent checks go on under the old credentials.
    pair.run_until(ms(20_000));
    assert!(pair.agents[1].status().counts.replies > before.replies);
    pair.agents[0].set_local(credentials(12), false);
    pair.agents[0].set_local(credentials(13), false);
    pair.run_until(ms(40_000));
    assert!(pair.agents[1].status().counts.unauthenticated > 0);
    assert!(pair.agents[0].status().counts.refused_requests > 0);
}

#[test]
fn lost_consent_stops_sending_until_a_check_is_answered() {
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    assert!(pair.run(ms(1000), |agents| is_nominated(&agents[0])));
    events(&mut pair.agents[0]);
    let destination = pair.agents[0].destination();
    pair.network
        .deaf_until
        .insert(1, pair.network.now + ms(60_000));
    let mut told = Vec::new();
    pair.run(ms(120_000), |agents| {
        told.extend(events(&mut agents[0]));
        !told.is_empty()
    });
    assert_eq!(told, [IceEvent::ConsentLost]);
    assert!(pair.network.elapsed_ms() >= 29_000);
    assert!(pair.network.elapsed_ms() <= 31_500);
    assert_eq!(pair.agents[0].destination(), None);
    told.clear();
    pair.run(ms(120_000), |agents| {
        told.extend(events(&mut agents[0]));
        !told.is_empty()
    });
    assert_eq!(told, [IceEvent::ConsentRestored]);
    assert!(pair.network.elapsed_ms() <= 62_500);
    assert_eq!(pair.agents[0].destination(), destination);
}

#[test]
fn a_peer_that_speaks_and_answers_no_checks_keeps_its_consent() {
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    assert!(pair.run(ms(1000), |agents| is_nominated(&agents[0])));
    events(&mut pair.agents[0]);
    let (socket, peer) = pair.agents[0].destination().unwrap();
    pair.network
        .deaf_until
        .insert(1, pair.network.now + ms(600_000));
    for second in (10..=100).step_by(10) {
        pair.run_until(ms(second * 1000));
        let now = pair.network.now;
        pair.agents[0].peer_sent_media(now, socket, peer);
    }
    assert_eq!(events(&mut pair.agents[0]), []);
    // Then it falls silent, and later it speaks again.
    pair.run_until(ms(140_000));
    assert_eq!(events(&mut pair.agents[0]), [IceEvent::ConsentLost]);
    assert_eq!(pair.agents[0].destination(), None);
    let now = pair.network.now;
    let stranger = address("203.0.113.66:9");
    pair.agents[0].peer_sent_media(now, socket, stranger);
    assert_eq!(pair.agents[0].destination(), None);
    pair.agents[0].peer_sent_media(now, socket, peer);
    assert_eq!(pair.agents[0].destination(), Some((socket, peer)));
    assert_eq!(events(&mut pair.agents[0]), [IceEvent::ConsentRestored]);
}

#[test]
fn a_settled_pair_costs_one_check_in_five_seconds() {
    let sides = [Side::full(&V4[..1]), Side::lite(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    assert!(pair.run(ms(1000), |agents| is_nominated(&agents[0])));
    let before = pair.network.sent_by(0);
    pair.run_until(ms(100_000));
    let checks = pair.network.sent_by(0) - before;
    assert!((15..=26).contains(&checks), "{checks} in 100 s");
    assert_eq!(events(&mut pair.agents[0]).len(), 1);
}

#[test]
fn two_lite_agents_take_the_best_pair_on_trust() {
    let sides = [Side::lite(&V4[..1]), Side::lite(&V4[1..])];
    let pair = Pair::new(Link::perfect(ms(80)), 1, sides).signalled();
    assert_eq!(selected_remote(&pair.agents[0]), Some(address(V4[1])));
    assert_eq!(selected_remote(&pair.agents[1]), Some(address(V4[0])));
}

#[test]
fn a_stranger_leaves_no_trace() {
    let sides = [Side::full(&V4[..1]), Side::full(&V4[1..])];
    let mut pair = Pair::new(Link::perfect(ms(10)), 1, sides);
    let now = pair.network.now;
    // Somebody with another password than the SDP's, from many addresses.
    let remote = RemoteIce {
        credentials: IceCredentials::new(credentials(0).ufrag(), "wrong").unwrap(),
        ..pair.sdp_of(0)
    };
    let known = pair.sdp_of(1);
    pair.agents[0].set_remote(
        now,
        RemoteIce {
            candidates: Vec::new(),
            ..known
        },
    );
    pair.agents[1].set_remote(now, remote);
    pair.agents[1].start(now);
    pair.run_until(ms(500));
    assert!(!pair.agents[0].knows(address(V4[1])));
    assert_eq!(pair.agents[0].status().counts.pairs, 0);
    assert!(pair.agents[1].status().counts.unauthenticated > 5);
}

#[test]
fn a_controlled_agent_follows_a_peer_that_nominates_another_pair() {
    let sides = [Side::full(&[V4[0], V6[0]]), Side::full(&[V4[1], V6[1]])];
    let mut pair = Pair::new(Link::perfect(ms(20)), 1, sides).signalled();
    assert!(pair.run(ms(2000), |agents| agents.iter().all(is_nominated)));
    pair.run_until(ms(3000));
    let agent = &mut pair.agents[1];
    assert_eq!(agent.status().role, IceRole::Controlled);
    let first = agent.status().selected.unwrap();
    let later = pair.network.now + ms(3000);
    let others: Vec<_> = agent.check_list.indices().collect();
    let other = others
        .into_iter()
        .find(|index| agent.check_list.remote_of(*index).address != first.remote)
        .unwrap();
    agent.check_list.pair_mut(other).is_valid = true;
    agent.peer_nominated(later, other);
    assert_ne!(selected_remote(agent), Some(first.remote));
}
