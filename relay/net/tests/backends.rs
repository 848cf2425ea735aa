//! What every back-end does, over all of them that this machine allows. The others are named in the test's output, with the
//! reason.
//!
//! Each runs in a network namespace of its own, so that programs reach nobody else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../src/testing.rs"]
mod testing;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use relay_net::{Backend, ControlSocket, DataPath, SocketOptions, Tier, Woken};
use relay_packet::{Outbox, Received, SocketId};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const LOOPBACK6: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 0);
const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

/// A back-end, and the batch that goes with it.
struct Subject {
    path: DataPath,
    backend: Box<dyn Backend + Send>,
    out: Outbox,
}

/// Tells the story once with each back-end.
fn with_every_backend(story: fn(Subject)) {
    for tier in Tier::ALL {
        // A namespace is left by ending the thread.
        let thread = thread::spawn(move || {
            if tier != Tier::PerPort && !testing::own_network() {
                return;
            }
            match DataPath::choose(Some(tier), 2, 100) {
                Ok(path) => story(Subject::of(path)),
                Err(unavailable) => println!("skipped: {unavailable}"),
            }
        });
        if thread.join().is_err() {
            panic!("with {}", tier.name());
        }
    }
}

impl Subject {
    fn of(path: DataPath) -> Self {
        let backend = path
            .backend(SocketOptions::default(), Duration::from_millis(1))
            .unwrap();
        Self {
            path,
            backend,
            out: Outbox::new(64),
        }
    }

    /// A port that has been in use for a moment: whatever is arranged with its first datagrams is arranged.
    fn port_in_use(&mut self, address: SocketAddr) -> (SocketId, SocketAddr, UdpSocket) {
        let (id, bound) = self.backend.bind(address).unwrap();
        let peer = peer(address);
        for _ in 0..3 {
            peer.send_to(b"first", bound).unwrap();
            self.take(1, 16);
        }
        (id, bound, peer)
    }

    /// Rounds until `count` datagrams are there.
    fn take(&mut self, count: usize, limit: usize) -> Vec<Received> {
        let mut batch = Vec::new();
        while batch.len() < count {
            let woken = self.backend.wait(PATIENCE).unwrap();
            assert!(woken.media, "only {} of {count} arrived", batch.len());
            let before = batch.len();
            self.backend
                .receive(Instant::now(), limit, &mut self.out, &mut batch);
            assert!(batch.len() - before <= limit);
        }
        batch
    }

    fn send(&mut self, id: SocketId, to: SocketAddr, content: &[u8]) {
        let mut packet = self.out.take();
        assert!(packet.copy_from(content));
        self.out.send(id, to, packet);
        self.backend.flush(&mut self.out);
    }
}

fn peer(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket
}

#[test]
fn a_datagram_comes_in_with_its_source_and_an_answer_goes_back() {
    with_every_backend(|mut subject| {
        for address in [LOOPBACK, LOOPBACK6] {
            let (id, bound, peer) = subject.port_in_use(address);
            let before = subject.backend.counters().clone();
            let peer_address = peer.local_addr().unwrap();
            for question in [&b"question"[..], b"", b"another question"] {
                peer.send_to(question, bound).unwrap();
                let received = subject.take(1, 16).remove(0);
                assert_eq!((received.socket, received.source), (id, peer_address));
                assert_eq!(&*received.packet, question);

                subject.out.send(id, received.source, received.packet);
                subject.backend.flush(&mut subject.out);
                assert!(subject.out.queued().is_empty());
                let mut answer = [0; 64];
                let (len, from) = peer.recv_from(&mut answer).unwrap();
                assert_eq!((&answer[..len], from), (question, bound));
            }
            let counters = subject.backend.counters();
            assert_eq!(counters.received - before.received, 3);
            assert_eq!(counters.received_bytes - before.received_bytes, 24);
            assert_eq!(counters.sent - before.sent, 3);
            assert_eq!(counters.sent_bytes - before.sent_bytes, 24);
        }
    });
}

#[test]
fn a_batch_of_many_ports_goes_out_from_each_in_order() {
    with_every_backend(|mut subject| {
        let addresses = [LOOPBACK, "127.0.0.9:0".parse().unwrap(), LOOPBACK6];
        let ports: Vec<_> = addresses
            .iter()
            .flat_map(|&address| [address; 4])
            .map(|address| subject.port_in_use(address))
            .collect();
        for number in 0..20u8 {
            for (id, _, peer) in &ports {
                let mut packet = subject.out.take();
                assert!(packet.copy_from(&[number; 160]));
                let to = peer.local_addr().unwrap();
                subject.out.send(*id, to, packet);
            }
        }
        subject.backend.flush(&mut subject.out);
        for (_, bound, peer) in &ports {
            for number in 0..20u8 {
                let mut buffer = [0; 200];
                let (len, from) = peer.recv_from(&mut buffer).unwrap();
                assert_eq!((len, from), (160, *bound));
                assert_eq!(buffer[..160], [number; 160]);
            }
        }
        assert_eq!(subject.backend.counters().sent, 240);
    });
}

#[test]
fn nothing_is_forgotten_between_rounds() {
    with_every_backend(|mut subject| {
        let (_, bound, peer) = subject.port_in_use(LOOPBACK);
        for number in 0..50u8 {
            peer.send_to(&[number], bound).unwrap();
        }
        let batch = subject.take(50, 3);
        let numbers: Vec<u8> = batch.iter().map(|received| received.packet[0]).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
    });
}

#[test]
fn a_new_port_is_heard_while_an_old_one_is_flooded() {
    with_every_backend(|mut subject| {
        let (_, flooded, flood) = subject.port_in_use(LOOPBACK);
        let (quiet_id, quiet) = subject.backend.bind(LOOPBACK).unwrap();
        for _ in 0..150 {
            flood.send_to(b"flood", flooded).unwrap();
        }
        flood.send_to(b"quiet", quiet).unwrap();
        let batch = subject.take(151, 32);
        let place = batch
            .iter()
            .position(|received| received.socket == quiet_id)
            .unwrap();
        assert!(place <= 32, "it waited for {place} datagrams");
    });
}

#[test]
fn a_datagram_longer_than_a_buffer_is_counted_and_dropped() {
    with_every_backend(|mut subject| {
        let (_, bound, peer) = subject.port_in_use(LOOPBACK);
        peer.send_to(&[0; 5000], bound).unwrap();
        peer.send_to(b"behind it", bound).unwrap();
        let batch = subject.take(1, 16);
        assert_eq!(&*batch[0].packet, b"behind it");
        assert_eq!(subject.backend.counters().oversized, 1);
    });
}

#[test]
fn a_closed_port_is_free_and_its_id_sends_nothing() {
    with_every_backend(|mut subject| {
        let (old, bound, peer) = subject.port_in_use(LOOPBACK);
        subject.backend.close(old);
        assert_eq!(subject.backend.bound(), 0);
        let (new, _) = subject.backend.bind(bound).unwrap();
        assert_ne!(old, new, "the place is used again under another id");

        subject.send(old, peer.local_addr().unwrap(), b"lost");
        assert_eq!(subject.backend.counters().send_closed, 1);
        assert_eq!(subject.backend.counters().sent, 0);
        subject.backend.close(old);
        assert_eq!(
            subject.backend.bound(),
            1,
            "closing twice closes nobody else's port"
        );
        peer.send_to(b"new", bound).unwrap();
        assert_eq!(subject.take(1, 16)[0].socket, new);
    });
}

#[test]
fn a_refused_datagram_is_counted_with_its_reason() {
    with_every_backend(|mut subject| {
        let (id, _) = subject.backend.bind(LOOPBACK).unwrap();
        let nowhere: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        subject.send(id, nowhere, b"lost");
        assert_eq!(subject.backend.counters().send_failed, 1);
        let error = subject.backend.counters().last_send_error.unwrap();
        assert_eq!(error.destination, nowhere);
        assert!(subject.out.queued().is_empty());
    });
}

#[test]
fn a_destination_that_the_kernel_has_a_rule_for_is_reached_by_that_rule() {
    with_every_backend(|mut subject| {
        let (id, bound, peer) = subject.port_in_use(LOOPBACK);
        let here = SocketAddr::from(([0, 0, 0, 0], peer.local_addr().unwrap().port()));
        subject.send(id, here, b"to this machine");
        let mut buffer = [0; 16];
        assert_eq!(peer.recv_from(&mut buffer).unwrap(), (15, bound));
        let mut no_port = peer.local_addr().unwrap();
        no_port.set_port(0);
        subject.send(id, no_port, b"nowhere");
        assert_eq!(subject.backend.counters().send_failed, 1);
    });
}

#[test]
fn two_workers_have_their_own_ports() {
    with_every_backend(|mut first| {
        let mut second = Subject::of(first.path.clone());
        let (first_id, to_first, peer) = first.port_in_use(LOOPBACK);
        let (second_id, to_second, _) = second.port_in_use(LOOPBACK);
        for _ in 0..3 {
            peer.send_to(b"first", to_first).unwrap();
            peer.send_to(b"second", to_second).unwrap();
        }
        for (subject, id, content) in [
            (&mut first, first_id, &b"first"[..]),
            (&mut second, second_id, b"second"),
        ] {
            for received in subject.take(3, 16) {
                assert_eq!((received.socket, &*received.packet), (id, content));
            }
        }
    });
}

#[test]
fn the_waker_ends_a_wait_from_another_thread() {
    with_every_backend(|mut subject| {
        let backend = &mut subject.backend;
        let waker = backend.waker();
        let thread = thread::spawn(move || waker.wake());
        let woken = backend.wait(PATIENCE).unwrap();
        assert_eq!((woken.called, woken.media), (true, false));
        thread.join().unwrap();
        let again = backend.wait(Some(Duration::ZERO)).unwrap();
        assert!(!again.called, "one call wakes once");
    });
}

#[test]
fn a_control_socket_wakes_as_long_as_it_has_datagrams() {
    with_every_backend(|mut subject| {
        let backend = &mut subject.backend;
        let control = ControlSocket::bind(LOOPBACK, None).unwrap();
        backend.listen(control.socket().as_fd()).unwrap();
        let peer = peer(LOOPBACK);
        peer.send_to(b"1 ping", control.address()).unwrap();
        for _ in 0..2 {
            let woken = backend.wait(PATIENCE).unwrap();
            assert_eq!((woken.asked, woken.media), (true, false));
        }
        control.receive(&mut [0; 16]).unwrap();
        let woken = backend.wait(Some(Duration::ZERO)).unwrap();
        assert_eq!(woken, Woken::default());
    });
}

#[test]
fn whoever_stops_listening_is_not_woken_until_it_listens_again() {
    with_every_backend(|mut subject| {
        let backend = &mut subject.backend;
        let control = ControlSocket::bind(LOOPBACK, None).unwrap();
        backend.listen(control.socket().as_fd()).unwrap();
        backend.stop_listening(control.socket().as_fd()).unwrap();
        let peer = peer(LOOPBACK);
        peer.send_to(b"1 ping", control.address()).unwrap();
        let woken = backend.wait(Some(Duration::from_millis(20))).unwrap();
        assert!(!woken.asked);
        backend.listen(control.socket().as_fd()).unwrap();
        assert!(backend.wait(PATIENCE).unwrap().asked, "it still lies there");
    });
}

#[test]
fn a_wait_ends_when_its_time_is_up() {
    with_every_backend(|mut subject| {
        let backend = &mut subject.backend;
        let start = Instant::now();
        let woken = backend.wait(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(woken, Woken::default());
        assert!(start.elapsed() >= Duration::from_millis(20));
    });
}

#[test]
fn a_datagram_on_a_shared_control_socket_wakes_one_sleeper() {
    with_every_backend(|subject| {
        let control = Arc::new(ControlSocket::bind(LOOPBACK, None).unwrap());
        let (woken, told) = channel();
        let sleepers = [Subject::of(subject.path.clone()), subject].map(|mut subject| {
            let backend = &mut subject.backend;
            backend.listen(control.socket().as_fd()).unwrap();
            let waker = backend.waker();
            let (control, woken) = (Arc::clone(&control), woken.clone());
            let thread = thread::spawn(move || {
                while !subject.backend.wait(PATIENCE).unwrap().called {
                    // One of two sleepers may find that the other has been faster.
                    if control.receive(&mut [0; 16]).is_ok() {
                        woken.send(()).unwrap();
                    }
                }
            });
            (waker, thread)
        });
        let peer = peer(LOOPBACK);
        for _ in 0..20 {
            peer.send_to(b"1 ping", control.address()).unwrap();
            told.recv_timeout(Duration::from_secs(5)).unwrap();
        }
        for (waker, thread) in sleepers {
            waker.wake();
            thread.join().unwrap();
        }
    });
}
