//! A datagram that comes and goes allocates nothing.
//!
//! Every allocation of the process counts, so this file has one test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../src/testing.rs"]
mod testing;

use std::alloc::System;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use relay_net::{Backend, DataPath, SocketOptions, Tier};
use relay_packet::{Outbox, Received};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PORTS: usize = 20;
/// Rounds before it counts: ports are steered, and what grows has grown.
const BEFORE: usize = 10;
/// Those that count.
const COUNTED: usize = 200;

struct Port {
    address: SocketAddr,
    peer: UdpSocket,
}

/// How often somebody allocated while each port answered `COUNTED` datagrams.
fn allocations(path: &DataPath) -> usize {
    let mut backend = path
        .backend(SocketOptions::default(), Duration::from_millis(1))
        .unwrap();
    let mut out = Outbox::new(256);
    let mut batch = Vec::with_capacity(256);
    let ports: Vec<Port> = ["127.0.0.1:0", "[::1]:0"]
        .into_iter()
        .flat_map(|address| [address; PORTS / 2])
        .map(|address| {
            let (_, bound) = backend.bind(address.parse().unwrap()).unwrap();
            let peer = UdpSocket::bind(address).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            Port {
                address: bound,
                peer,
            }
        })
        .collect();
    let mut counted = Region::new(ALLOCATOR);
    for round in 0..BEFORE + COUNTED {
        if round == BEFORE {
            counted.reset();
        }
        for port in &ports {
            port.peer.send_to(&[7; 172], port.address).unwrap();
        }
        answer_all(backend.as_mut(), &mut out, &mut batch);
        for port in &ports {
            let mut answer = [0; 200];
            assert_eq!(
                port.peer.recv_from(&mut answer).unwrap(),
                (172, port.address)
            );
        }
    }
    let change = counted.change();
    change.allocations + change.reallocations
}

/// Rounds until every port has sent its datagram back.
fn answer_all(backend: &mut dyn Backend, out: &mut Outbox, batch: &mut Vec<Received>) {
    let mut answered = 0;
    while answered < PORTS {
        let woken = backend.wait(Some(Duration::from_secs(5))).unwrap();
        assert!(woken.media, "only {answered} of {PORTS} arrived");
        backend.receive(Instant::now(), 256, out, batch);
        answered += batch.len();
        for received in batch.drain(..) {
            out.send(received.socket, received.source, received.packet);
        }
        backend.flush(out);
    }
}

#[test]
fn a_datagram_that_comes_and_goes_allocates_nothing() {
    for tier in Tier::ALL {
        // A namespace is left by ending the thread.
        let thread = thread::spawn(move || {
            if tier != Tier::PerPort && !testing::own_network() {
                return None;
            }
            match DataPath::choose(Some(tier), 1, 100) {
                Ok(path) => Some(allocations(&path)),
                Err(unavailable) => {
                    println!("skipped: {unavailable}");
                    None
                }
            }
        });
        let allocations = thread.join().unwrap();
        assert!(
            matches!(allocations, None | Some(0)),
            "{}: {allocations:?}",
            tier.name()
        );
    }
}
