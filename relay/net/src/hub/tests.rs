//! What the hub does that sockets alone do not. What every back-end does is in `tests/backends.rs`.

use std::net::UdpSocket;

use super::*;
use crate::testing::{Setting, own_network, set_loopback};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

/// A hub in a network namespace of its own; `None` where the machine does not allow one.
fn hub() -> Option<(Hub, Outbox)> {
    own_network().then(|| (another_hub(), Outbox::new(64)))
}

/// One more in the same namespace, with a program of its own.
fn another_hub() -> Hub {
    let steering = Steering::attach(Hub::MOST_HUBS, 100).unwrap();
    Hub::new(Arc::new(steering), SocketOptions::default(), Duration::ZERO).unwrap()
}

fn peer(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket
}

/// What arrives within a moment.
fn take(hub: &mut Hub, out: &mut Outbox) -> Vec<Received> {
    let mut batch = Vec::new();
    while hub.wait(Some(Duration::from_millis(50))).unwrap().media {
        hub.receive(Instant::now(), 256, out, &mut batch);
    }
    batch
}

/// A port that is steered already, with its peer.
fn steered(hub: &mut Hub, out: &mut Outbox, address: &str) -> (SocketId, SocketAddr, UdpSocket) {
    let (id, bound) = hub
        .bind(SocketAddr::new(address.parse().unwrap(), 0))
        .unwrap();
    let peer = peer(address);
    for _ in 0..3 {
        peer.send_to(b"first", bound).unwrap();
        take(hub, out);
    }
    assert!(is_steered(hub, id));
    (id, bound, peer)
}

fn send(hub: &mut Hub, out: &mut Outbox, id: SocketId, to: &UdpSocket, content: &[u8]) {
    let mut packet = out.take();
    assert!(packet.copy_from(content));
    out.send(id, to.local_addr().unwrap(), packet);
    hub.flush(out);
}

fn is_steered(hub: &Hub, id: SocketId) -> bool {
    let place = &hub.places[hub.ports.place_of(id).unwrap()];
    matches!(place.arrival, Arrival::Steered { .. })
}

/// A socket that sees every packet of UDP to an address from now on.
fn wire(bound: SocketAddr) -> UdpSocket {
    let domain = Domain::for_address(bound);
    let socket =
        socket2::Socket::new(domain, socket2::Type::RAW, Some(socket2::Protocol::UDP)).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket.bind(&SocketAddr::new(bound.ip(), 0).into()).unwrap();
    socket.into()
}

/// Lets the coalescer's window pass, twice: datagrams that were on their way do not count.
fn let_windows_pass(hub: &mut Hub) {
    let start = Instant::now();
    for quarters in 0..8 {
        let now = start + Duration::from_millis(300) * quarters;
        hub.ports.end_round(now, 0, 256);
    }
}

#[test]
fn a_port_is_steered_after_its_first_datagrams_and_none_is_lost() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    for address in ["127.0.0.1", "127.9.8.7", "::1"] {
        let (id, bound) = hub
            .bind(SocketAddr::new(address.parse().unwrap(), 0))
            .unwrap();
        let peer = peer(address);
        assert!(!is_steered(&hub, id));
        let mut numbers = Vec::new();
        for number in 0..20u8 {
            peer.send_to(&[number], bound).unwrap();
            for received in take(&mut hub, &mut out) {
                assert_eq!(received.socket, id);
                assert_eq!(received.source, peer.local_addr().unwrap());
                numbers.push(received.packet[0]);
            }
        }
        assert_eq!(numbers, (0..20).collect::<Vec<u8>>(), "{address}");
        assert!(is_steered(&hub, id), "{address}");
    }
    assert_eq!(hub.counters().beside_hub, 0);
}

#[test]
fn an_answer_leaves_by_a_raw_socket_from_the_port_with_its_mark() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    for address in ["127.0.0.1", "127.9.8.7", "::1"] {
        let (id, bound, peer) = steered(&mut hub, &mut out, address);
        // One without a mark first: a port may be marked while it is in use.
        send(&mut hub, &mut out, id, &peer, b"unmarked");
        assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 8);
        hub.set_tos(id, Some(0xb8));
        let wire = wire(bound);
        for length in [0, 1, 172, 1200] {
            let content: Vec<u8> = (0..length).map(|octet| octet as u8).collect();
            send(&mut hub, &mut out, id, &peer, &content);
            let mut buffer = [0; 2000];
            let (len, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from), (&content[..], bound));
            if bound.is_ipv4() {
                // Headers come along with IPv4 alone.
                assert_eq!(wire.recv_from(&mut buffer).unwrap().0, headers::V4 + len);
                assert_eq!(buffer[1], 0xb8, "the mark");
                assert_ne!(buffer[4..6], [0, 0], "the kernel's number of the packet");
            }
        }
        assert!(
            hub.raws
                .iter()
                .any(|raw| raw.tos == 0xb8 && raw.address == bound.ip())
        );
    }
    let counters = hub.counters();
    assert_eq!((counters.sent, counters.send_failed), (15, 0));
    assert_eq!(counters.sent_bytes, 3 * (8 + 1 + 172 + 1200));
    assert_eq!(counters.send_retried, 0);
}

#[test]
fn a_long_datagram_leaves_by_the_socket_of_its_port() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    // A raw socket would refuse it on such a link.
    set_loopback(Setting::Mtu(1280));
    let (id, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    for length in [LONGEST - headers::V4, LONGEST - headers::V4 + 1, 1800] {
        let mut packet = out.take();
        assert!(packet.copy_from(&vec![7; length]));
        out.send(id, peer.local_addr().unwrap(), packet);
    }
    hub.flush(&mut out);
    for length in [LONGEST - headers::V4, LONGEST - headers::V4 + 1, 1800] {
        let mut buffer = [0; 2000];
        assert_eq!(peer.recv_from(&mut buffer).unwrap(), (length, bound));
    }
    assert_eq!(hub.counters().send_retried, 0);
    assert_eq!(hub.counters().sent, 3);
}

#[test]
fn what_a_raw_socket_refuses_is_tried_once_more_and_counted() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (id, _, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    let nowhere: SocketAddr = "192.0.2.1:9".parse().unwrap();
    for destination in [nowhere, peer.local_addr().unwrap()] {
        let mut packet = out.take();
        assert!(packet.copy_from(b"a word"));
        out.send(id, destination, packet);
    }
    hub.flush(&mut out);
    assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 6, "what came behind it");
    let counters = hub.counters();
    assert_eq!((counters.send_retried, counters.send_failed), (1, 1));
    assert_eq!((counters.sent, counters.sent_bytes), (1, 6));
    assert_eq!(counters.last_send_error.unwrap().destination, nowhere);
}

#[test]
fn a_datagram_queued_for_a_closed_port_reaches_nobody() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (old, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    peer.send_to(b"for the old one", bound).unwrap();
    hub.close(old);
    let (new, _) = hub.bind(bound).unwrap();
    peer.send_to(b"for the new one", bound).unwrap();
    peer.send_to(b"for the new one", bound).unwrap();
    let batch = take(&mut hub, &mut out);
    assert_eq!(batch.len(), 2);
    for received in batch {
        assert_eq!(received.socket, new);
        assert_eq!(&*received.packet, b"for the new one");
    }
    assert_eq!(hub.counters().unclaimed, 1);
}

#[test]
fn a_flooded_port_goes_back_to_its_socket_and_its_neighbour_is_heard() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (flooded, to_flooded, flood) = steered(&mut hub, &mut out, "127.0.0.1");
    let (quiet, to_quiet, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    let mut heard = 0;
    let mut batch = Vec::new();
    for _ in 0..20 {
        for _ in 0..200 {
            flood.send_to(b"junk", to_flooded).unwrap();
        }
        peer.send_to(b"voice", to_quiet).unwrap();
        for _ in 0..2 {
            hub.wait(Some(Duration::ZERO)).unwrap();
            hub.receive(Instant::now(), 256, &mut out, &mut batch);
            heard += batch
                .iter()
                .filter(|received| received.socket == quiet)
                .count();
            batch.clear();
        }
    }
    assert!(!is_steered(&hub, flooded));
    assert!(is_steered(&hub, quiet));
    assert_eq!(heard, 20);
    assert_eq!(hub.counters().flooded, 1);
}

#[test]
fn a_full_hub_counts_what_it_drops() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (_, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    arrivals::set_option(&hub.hubs[0].socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096).unwrap();
    for _ in 0..100 {
        peer.send_to(&[0; 500], bound).unwrap();
    }
    let first = take(&mut hub, &mut out).len() as u64;
    // The next datagram tells how many were lost before it.
    peer.send_to(&[0; 500], bound).unwrap();
    take(&mut hub, &mut out);
    assert_eq!(hub.counters().overflowed, 100 - first);
    assert!(first < 50, "{first} fitted");
}

#[test]
fn media_goes_on_at_the_sockets_of_the_ports_when_the_program_is_detached() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (id, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    let_windows_pass(&mut hub);
    assert!(hub.steering.is_attached());
    hub.steering.detach().unwrap();
    assert!(!hub.steering.is_attached());
    for _ in 0..10 {
        peer.send_to(b"still here", bound).unwrap();
    }
    let batch = take(&mut hub, &mut out);
    assert_eq!(batch.len(), 10);
    assert!(batch.iter().all(|received| received.socket == id));
    assert_eq!(hub.counters().beside_hub, 10);
}

#[test]
fn two_relays_in_one_namespace_leave_each_other_and_strangers_alone() {
    let Some((mut ours, mut out)) = hub() else {
        return;
    };
    let mut theirs = another_hub();
    let (our_id, our_address, our_peer) = steered(&mut ours, &mut out, "127.0.0.1");
    let (their_id, their_address, their_peer) = steered(&mut theirs, &mut out, "127.0.0.1");
    let stranger = peer("127.0.0.1");
    our_peer.send_to(b"ours", our_address).unwrap();
    their_peer.send_to(b"theirs", their_address).unwrap();
    our_peer
        .send_to(b"strange", stranger.local_addr().unwrap())
        .unwrap();
    for (hub, id, content) in [
        (&mut ours, our_id, &b"ours"[..]),
        (&mut theirs, their_id, b"theirs"),
    ] {
        let batch = take(hub, &mut out);
        assert_eq!(batch.len(), 1);
        assert_eq!((batch[0].socket, &*batch[0].packet), (id, content));
    }
    let mut buffer = [0; 16];
    assert_eq!(stranger.recv(&mut buffer).unwrap(), 7);
    drop(theirs);
    our_peer.send_to(b"ours", our_address).unwrap();
    assert_eq!(take(&mut ours, &mut out).len(), 1);
    assert_eq!(ours.counters().beside_hub, 0);
}

#[test]
fn a_port_of_all_addresses_keeps_its_socket() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    for (wildcard, address) in [("0.0.0.0:0", "127.3.2.1"), ("[::]:0", "::1")] {
        let (id, bound) = hub.bind(wildcard.parse().unwrap()).unwrap();
        let peer = peer(address);
        let to = SocketAddr::new(address.parse().unwrap(), bound.port());
        for _ in 0..4 {
            peer.send_to(b"question", to).unwrap();
            let received = take(&mut hub, &mut out).remove(0);
            out.send(id, received.source, received.packet);
            hub.flush(&mut out);
            let mut buffer = [0; 16];
            assert_eq!(peer.recv(&mut buffer).unwrap(), 8);
        }
        assert!(!is_steered(&hub, id));
    }
    assert!(hub.raws.is_empty());
}

#[test]
fn pieces_of_a_datagram_are_put_together_before_they_are_steered() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    // On a link of 1280 octets a datagram of 1800 is cut in two, and the buffer takes it.
    set_loopback(Setting::Mtu(1280));
    let (id, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    peer.send_to(&[9; 1800], bound).unwrap();
    let batch = take(&mut hub, &mut out);
    assert_eq!((batch[0].socket, batch[0].packet.len()), (id, 1800));
    assert_eq!(hub.counters().beside_hub, 0);
    let place = hub.places[hub.ports.place_of(id).unwrap()];
    assert!(place.in_window > 0, "it came from the hub");
}

#[test]
fn options_of_the_ip_header_do_not_mislead() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (id, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    // Three octets of no operation, and the end of the list (RFC 791 section 3.1).
    let options = i32::from_ne_bytes([1, 1, 1, 0]);
    arrivals::set_option(&peer, libc::IPPROTO_IP, libc::IP_OPTIONS, options).unwrap();
    peer.send_to(b"with options", bound).unwrap();
    let batch = take(&mut hub, &mut out);
    assert_eq!(
        (batch[0].socket, &*batch[0].packet),
        (id, &b"with options"[..])
    );
}

#[test]
fn a_port_for_which_the_map_has_no_room_keeps_its_socket() {
    if !own_network() {
        return;
    }
    let steering = Arc::new(Steering::attach(Hub::MOST_HUBS, 1).unwrap());
    let options = SocketOptions::default();
    let mut hub = Hub::new(steering, options, Duration::ZERO).unwrap();
    let mut out = Outbox::new(64);
    let (first, _, _) = steered(&mut hub, &mut out, "127.0.0.1");
    let (second, bound) = hub.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let peer = peer("127.0.0.1");
    for _ in 0..5 {
        peer.send_to(b"no room", bound).unwrap();
        assert_eq!(take(&mut hub, &mut out)[0].socket, second);
    }
    assert!(!is_steered(&hub, second));
    // Once there is room, the next port has it.
    hub.close(first);
    steered(&mut hub, &mut out, "127.0.0.1");
}

#[test]
fn many_streams_at_a_hub_make_it_nap() {
    if !own_network() {
        return;
    }
    let steering = Arc::new(Steering::attach(Hub::MOST_HUBS, 100).unwrap());
    let options = SocketOptions::default();
    let mut hub = Hub::new(steering, options, Duration::from_millis(1)).unwrap();
    let mut out = Outbox::new(64);
    let peer = peer("127.0.0.1");
    let ports: Vec<SocketAddr> = (0..60)
        .map(|_| hub.bind("127.0.0.1:0".parse().unwrap()).unwrap().1)
        .collect();
    let start = Instant::now();
    // Windows of the coalescer: the first datagrams come beside the hub, those of the later windows through it.
    for window in 0..4 {
        for _ in 0..3 {
            // Only what the last round does counts: it naps by what the window before it has seen.
            hub.ports.counters_mut().naps = 0;
            ports.iter().for_each(|port| {
                peer.send_to(b"a word", port).unwrap();
            });
            let mut batch = Vec::new();
            while batch.len() < ports.len() {
                hub.wait(PATIENCE).unwrap();
                let now = start + Duration::from_millis(300) * window;
                hub.receive(now, 256, &mut out, &mut batch);
            }
        }
    }
    assert_eq!(hub.by_destination.len(), ports.len());
    assert!(hub.counters().naps > 0);
}

#[test]
fn an_interface_that_goes_down_comes_back_with_its_media() {
    let Some((mut hub, mut out)) = hub() else {
        return;
    };
    let (id, bound, peer) = steered(&mut hub, &mut out, "127.0.0.1");
    send(&mut hub, &mut out, id, &peer, b"before");
    set_loopback(Setting::Up(false));
    send(&mut hub, &mut out, id, &peer, b"lost");
    set_loopback(Setting::Up(true));
    send(&mut hub, &mut out, id, &peer, b"after");
    let mut buffer = [0; 16];
    for content in [&b"before"[..], b"after"] {
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (content, bound));
    }
    peer.send_to(b"and back", bound).unwrap();
    assert_eq!(take(&mut hub, &mut out)[0].socket, id);
}

#[test]
#[expect(unsafe_code, reason = "a process that is killed has to be one of ours")]
fn nothing_stays_attached_when_the_process_is_killed() {
    if !own_network() {
        return;
    }
    let steering = Steering::attach(2, 10).unwrap();
    assert_eq!(Steering::programs_here().unwrap(), 1);
    // SAFETY: the copy only sleeps, which needs nothing that another thread may have held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        loop {
            // SAFETY: no pointers.
            unsafe { libc::pause() };
        }
    }
    // Now the copy alone has it, and is killed.
    drop(steering);
    assert_eq!(Steering::programs_here().unwrap(), 1);
    let mut status = 0;
    // SAFETY: the child is ours and not waited for yet; `status` is a valid place.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &raw mut status, 0);
    }
    let end = Instant::now() + Duration::from_secs(5);
    while Steering::programs_here().unwrap() != 0 {
        assert!(Instant::now() < end, "the program is still attached");
        std::thread::yield_now();
    }
}
