//! One bound socket per media port: the back-end that works anywhere, without any privilege.
//!
//! epoll reports each socket once when datagrams arrive (edge-triggered); the socket then stands in a queue until it has been
//! drained.
//! Taking turns in that queue is what keeps one flooded port from starving the others: a round takes a few datagrams from each
//! and a bounded number in all, and the rest waits for the next round.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use relay_packet::{Outbox, Received, SocketId};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use rustix::time::Timespec;

use crate::backend::{Backend, NetCounters, SendError, Woken};
use crate::coalesce::Coalescer;
use crate::socket::{self, SocketOptions};
use crate::wake::{Wake, Waker};

/// Events taken from the kernel at once. More stay there.
const EVENTS: usize = 256;
/// Datagrams taken from one socket before the next one has its turn.
const TURN: usize = 8;
/// The lower bits of a [`SocketId`] are a place in the table, the upper ones a count of how often the place was used.
const PLACE_BITS: u32 = 20;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;
/// What epoll says when the waker was called; no place has this number.
const CALLED: u64 = u64::MAX;
/// What epoll says when a control socket has datagrams; no place has this number either.
const ASKED: u64 = u64::MAX - 1;

/// The sockets of one worker.
pub struct PerPort {
    epoll: OwnedFd,
    wake: Wake,
    options: SocketOptions,
    places: Vec<Place>,
    unused: VecDeque<u32>,
    /// Places with datagrams to take, in the order of their turns.
    ready: VecDeque<u32>,
    bound: usize,
    coalescer: Coalescer,
    /// The last round ended because it was full: there is more, so do not nap.
    full: bool,
    counters: NetCounters,
}

#[derive(Debug, Default)]
struct Place {
    uses: u32,
    socket: Option<OwnedFd>,
    /// Stands in the `ready` queue.
    queued: bool,
    /// The coalescer's window of the last datagram.
    window: u32,
}

impl PerPort {
    /// A back-end without sockets that naps for at most `longest_nap`.
    pub fn new(options: SocketOptions, longest_nap: Duration) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = Wake::new()?;
        epoll::add(
            &epoll,
            &wake,
            epoll::EventData::new_u64(CALLED),
            epoll::EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            wake,
            options,
            places: Vec::new(),
            unused: VecDeque::new(),
            ready: VecDeque::new(),
            bound: 0,
            coalescer: Coalescer::new(longest_nap),
            full: false,
            counters: NetCounters::default(),
        })
    }

    /// A handle that ends [`Backend::wait`] from another thread.
    pub fn waker(&self) -> Waker {
        self.wake.waker()
    }

    fn place_of(&self, socket: SocketId) -> Option<usize> {
        let index = (socket.0 & PLACE_MASK) as usize;
        let place = self.places.get(index)?;
        (place.socket.is_some() && place.id(index as u32) == socket).then_some(index)
    }

    /// Asks the kernel once, and queues the sockets it names.
    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        let mut storage = [const { MaybeUninit::uninit() }; EVENTS];
        let events = match epoll::wait(&self.epoll, &mut storage, timeout.as_ref()) {
            Ok((events, _)) => events,
            // A signal: the caller's loop comes round again.
            Err(Errno::INTR) => &mut [],
            Err(error) => return Err(error.into()),
        };
        let mut woken = Woken::default();
        for event in events {
            let data = event.data.u64();
            if data == CALLED {
                self.wake.acknowledge();
                woken.called = true;
                continue;
            }
            if data == ASKED {
                woken.asked = true;
                continue;
            }
            let index = data as u32;
            let Some(place) = self.places.get_mut(index as usize) else {
                continue;
            };
            if place.socket.is_some() && !place.queued {
                place.queued = true;
                self.ready.push_back(index);
            }
        }
        woken.media = !self.ready.is_empty();
        Ok(woken)
    }
}

impl fmt::Debug for PerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerPort")
            .field("bound", &self.bound)
            .field("ready", &self.ready.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Place {
    fn id(&self, index: u32) -> SocketId {
        SocketId(index | self.uses << PLACE_BITS)
    }
}

impl Backend for PerPort {
    fn bind(&mut self, address: SocketAddr) -> io::Result<(SocketId, SocketAddr)> {
        let socket = socket::bind(address, &self.options)?;
        let address = match address.port() {
            0 => socket::local_address(&socket)?,
            _ => address,
        };
        // The place that has been empty longest comes first, so that an id stays unused for as long as possible.
        let index = match self.unused.pop_front() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
                if index >= PLACE_MASK {
                    return Err(io::Error::other("no place left for another socket"));
                }
                self.places.push(Place::default());
                index
            }
        };
        let added = epoll::add(
            &self.epoll,
            &socket,
            epoll::EventData::new_u64(u64::from(index)),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        );
        if let Err(error) = added {
            self.unused.push_back(index);
            return Err(error.into());
        }
        let window = self.coalescer.window().wrapping_sub(1);
        let place = &mut self.places[index as usize];
        place.uses = place.uses.wrapping_add(1) & (u32::MAX >> PLACE_BITS);
        place.socket = Some(socket);
        place.window = window;
        self.bound += 1;
        Ok((place.id(index), address))
    }

    fn close(&mut self, socket: SocketId) {
        let Some(index) = self.place_of(socket) else {
            return;
        };
        // Closing the descriptor takes it out of the epoll set. A turn it still has in `ready` finds nothing.
        self.places[index].socket = None;
        self.unused.push_back(index as u32);
        self.bound -= 1;
    }

    fn set_tos(&mut self, socket: SocketId, tos: Option<u8>) {
        let Some(place) = self.place_of(socket) else {
            return;
        };
        if let Some(socket) = &self.places[place].socket {
            let tos = tos.or(self.options.tos).unwrap_or(0);
            // A host may forbid marking; unmarked audio is better than none.
            let _ = socket::set_tos(socket, tos);
        }
    }

    fn listen(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        // Level-triggered, so that nothing is lost when one worker takes a part and the others sleep; exclusive, so that a
        // datagram wakes one of them and not all.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(ASKED), flags)?;
        Ok(())
    }

    fn stop_listening(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        epoll::delete(&self.epoll, socket)?;
        Ok(())
    }

    fn bound(&self) -> usize {
        self.bound
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Woken> {
        if !self.ready.is_empty() {
            return self.poll(Some(Duration::ZERO));
        }
        let mut woken = self.poll(timeout)?;
        self.counters.wakeups += 1;
        let nap = self.coalescer.nap();
        if woken.media && !self.full && !nap.is_zero() {
            self.counters.naps += 1;
            std::thread::sleep(nap);
            let meanwhile = self.poll(Some(Duration::ZERO))?;
            woken.called |= meanwhile.called;
            woken.asked |= meanwhile.asked;
        }
        Ok(woken)
    }

    fn receive(&mut self, now: Instant, limit: usize, out: &mut Outbox, batch: &mut Vec<Received>) {
        let before = batch.len();
        let window = self.coalescer.window();
        let mut taken = 0;
        while taken < limit {
            let Some(index) = self.ready.pop_front() else {
                break;
            };
            let place = &mut self.places[index as usize];
            place.queued = false;
            let id = place.id(index);
            let Some(socket) = &place.socket else {
                continue;
            };
            let mut drained = false;
            for _ in 0..TURN.min(limit - taken) {
                let mut packet = out.take();
                let area = packet.receive_area();
                let room = area.len();
                // With TRUNC the kernel tells the length on the wire, however much of it fitted.
                match recvfrom(socket, area, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                    Ok((_, len, source)) => {
                        taken += 1;
                        self.counters.received += 1;
                        self.counters.received_bytes += len as u64;
                        if place.window != window {
                            place.window = window;
                            self.coalescer.note_stream();
                        }
                        let source = source.and_then(|source| SocketAddr::try_from(source).ok());
                        match source {
                            Some(source) if len <= room => {
                                packet.set_len(len);
                                batch.push(Received {
                                    socket: id,
                                    source,
                                    packet,
                                });
                            }
                            _ => {
                                self.counters.oversized += 1;
                                out.recycle(packet);
                            }
                        }
                    }
                    Err(error) => {
                        out.recycle(packet);
                        match error {
                            Errno::AGAIN => drained = true,
                            Errno::INTR => {}
                            // An error that the network reported for this socket (ICMP). It is taken off the socket by
                            // being reported; datagrams behind it are still there.
                            _ => {
                                taken += 1;
                                self.counters.receive_errors += 1;
                            }
                        }
                        if drained {
                            break;
                        }
                    }
                }
            }
            if !drained {
                self.places[index as usize].queued = true;
                self.ready.push_back(index);
            }
        }
        self.full = taken >= limit;
        self.coalescer.note_round(now, batch.len() - before);
    }

    fn flush(&mut self, out: &mut Outbox) {
        for transmit in out.queued() {
            let socket = self
                .place_of(transmit.socket)
                .and_then(|index| self.places[index].socket.as_ref());
            let Some(socket) = socket else {
                self.counters.send_closed += 1;
                continue;
            };
            let sent = loop {
                match sendto(
                    socket,
                    &transmit.packet,
                    SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
                    &transmit.destination,
                ) {
                    Err(Errno::INTR) => {}
                    result => break result,
                }
            };
            match sent {
                Ok(bytes) => {
                    self.counters.sent += 1;
                    self.counters.sent_bytes += bytes as u64;
                }
                Err(error) => {
                    self.counters.send_failed += 1;
                    self.counters.last_send_error = Some(SendError {
                        destination: transmit.destination,
                        kind: io::Error::from(error).kind(),
                        errno: error.raw_os_error(),
                    });
                }
            }
        }
        out.sent();
    }

    fn counters(&self) -> &NetCounters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    const LOOPBACK: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

    fn backend() -> (PerPort, Outbox) {
        let backend = PerPort::new(SocketOptions::default(), Duration::from_millis(1)).unwrap();
        (backend, Outbox::new(64))
    }

    fn peer() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(LOOPBACK).unwrap();
        socket.set_read_timeout(PATIENCE).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Rounds until `count` datagrams are there.
    fn take(backend: &mut PerPort, out: &mut Outbox, count: usize, limit: usize) -> Vec<Received> {
        let mut batch = Vec::new();
        while batch.len() < count {
            let woken = backend.wait(PATIENCE).unwrap();
            assert!(woken.media, "only {} of {count} arrived", batch.len());
            let before = batch.len();
            backend.receive(Instant::now(), limit, out, &mut batch);
            assert!(batch.len() - before <= limit);
        }
        batch
    }

    #[test]
    fn a_datagram_comes_in_with_its_source_and_an_answer_goes_back() {
        let (mut backend, mut out) = backend();
        let (id, address) = backend.bind(LOOPBACK).unwrap();
        let (peer, peer_address) = peer();
        peer.send_to(b"question", address).unwrap();

        let mut batch = take(&mut backend, &mut out, 1, 16);
        let received = batch.remove(0);
        assert_eq!(received.socket, id);
        assert_eq!(received.source, peer_address);
        assert_eq!(&*received.packet, b"question");

        out.send(id, received.source, received.packet);
        backend.flush(&mut out);
        let mut answer = [0; 64];
        let (len, from) = peer.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..len], from), (&b"question"[..], address));
        assert_eq!(
            (backend.counters().received, backend.counters().sent),
            (1, 1)
        );
    }

    #[test]
    fn a_flooded_port_does_not_starve_its_neighbour() {
        let (mut backend, mut out) = backend();
        let (_, flooded) = backend.bind(LOOPBACK).unwrap();
        let (quiet_id, quiet) = backend.bind(LOOPBACK).unwrap();
        let (peer, _) = peer();
        for _ in 0..100 {
            peer.send_to(b"flood", flooded).unwrap();
        }
        peer.send_to(b"quiet", quiet).unwrap();

        let batch = take(&mut backend, &mut out, 101, 32);
        let place = batch.iter().position(|r| r.socket == quiet_id).unwrap();
        assert!(place <= TURN, "the quiet port waited for {place} datagrams");
    }

    #[test]
    fn nothing_is_forgotten_between_rounds() {
        let (mut backend, mut out) = backend();
        let (_, address) = backend.bind(LOOPBACK).unwrap();
        let (peer, _) = peer();
        for number in 0..50u8 {
            peer.send_to(&[number], address).unwrap();
        }
        let batch = take(&mut backend, &mut out, 50, 3);
        let numbers: Vec<u8> = batch.iter().map(|r| r.packet[0]).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
    }

    #[test]
    fn a_datagram_longer_than_a_buffer_is_counted_and_dropped() {
        let (mut backend, mut out) = backend();
        let (_, address) = backend.bind(LOOPBACK).unwrap();
        let (peer, _) = peer();
        peer.send_to(&[0; 5000], address).unwrap();
        peer.send_to(b"behind it", address).unwrap();
        let batch = take(&mut backend, &mut out, 1, 16);
        assert_eq!(&*batch[0].packet, b"behind it");
        assert_eq!(backend.counters().oversized, 1);
    }

    #[test]
    fn a_closed_port_is_free_and_its_id_sends_nothing() {
        let (mut backend, mut out) = backend();
        let (old, address) = backend.bind(LOOPBACK).unwrap();
        backend.close(old);
        assert_eq!(backend.bound(), 0);
        let (new, _) = backend.bind(address).unwrap();
        assert_ne!(old, new, "the place is used again under another id");

        let packet = out.take();
        out.send(old, address, packet);
        backend.flush(&mut out);
        assert_eq!(backend.counters().send_closed, 1);
        assert_eq!(backend.counters().sent, 0);
        backend.close(old);
        assert_eq!(
            backend.bound(),
            1,
            "closing twice closes nobody else's port"
        );
    }

    #[test]
    fn a_refused_datagram_is_counted_with_its_reason() {
        let (mut backend, mut out) = backend();
        let (id, _) = backend.bind(LOOPBACK).unwrap();
        let nowhere: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        let packet = out.take();
        out.send(id, nowhere, packet);
        backend.flush(&mut out);
        assert_eq!(backend.counters().send_failed, 1);
        let error = backend.counters().last_send_error.unwrap();
        assert_eq!(error.destination, nowhere);
        assert!(out.queued().is_empty());
    }

    #[test]
    fn the_waker_ends_a_wait_from_another_thread() {
        let (mut backend, _) = backend();
        let waker = backend.waker();
        let thread = std::thread::spawn(move || waker.wake());
        let woken = backend.wait(PATIENCE).unwrap();
        assert_eq!((woken.called, woken.media), (true, false));
        thread.join().unwrap();
        let again = backend.wait(Some(Duration::ZERO)).unwrap();
        assert!(!again.called, "one call wakes once");
    }

    #[test]
    fn a_control_socket_wakes_as_long_as_it_has_datagrams() {
        let (mut backend, _) = backend();
        let control = crate::ControlSocket::bind(LOOPBACK, None).unwrap();
        backend.listen(control.socket().as_fd()).unwrap();
        let (peer, _) = peer();
        peer.send_to(b"1 ping", control.address()).unwrap();
        for _ in 0..2 {
            let woken = backend.wait(PATIENCE).unwrap();
            assert_eq!((woken.asked, woken.media), (true, false));
        }
        control.receive(&mut [0; 16]).unwrap();
        let woken = backend.wait(Some(Duration::ZERO)).unwrap();
        assert_eq!(woken, Woken::default());
    }

    #[test]
    fn whoever_stops_listening_is_not_woken_until_it_listens_again() {
        let (mut backend, _) = backend();
        let control = crate::ControlSocket::bind(LOOPBACK, None).unwrap();
        backend.listen(control.socket().as_fd()).unwrap();
        backend.stop_listening(control.socket().as_fd()).unwrap();
        let (peer, _) = peer();
        peer.send_to(b"1 ping", control.address()).unwrap();
        let woken = backend.wait(Some(Duration::from_millis(20))).unwrap();
        assert!(!woken.asked);
        backend.listen(control.socket().as_fd()).unwrap();
        assert!(backend.wait(PATIENCE).unwrap().asked, "it still lies there");
    }

    #[test]
    fn a_datagram_on_a_shared_control_socket_wakes_one_sleeper() {
        let control = std::sync::Arc::new(crate::ControlSocket::bind(LOOPBACK, None).unwrap());
        let (woken, told) = std::sync::mpsc::channel();
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let (mut backend, _) = backend();
                backend.listen(control.socket().as_fd()).unwrap();
                let waker = backend.waker();
                let (control, woken) = (std::sync::Arc::clone(&control), woken.clone());
                let thread = std::thread::spawn(move || {
                    while !backend.wait(PATIENCE).unwrap().called {
                        // One of two sleepers may find that the other has been faster.
                        if control.receive(&mut [0; 16]).is_ok() {
                            woken.send(()).unwrap();
                        }
                    }
                });
                (waker, thread)
            })
            .collect();
        let (peer, _) = peer();
        for _ in 0..20 {
            peer.send_to(b"1 ping", control.address()).unwrap();
            told.recv_timeout(Duration::from_secs(5)).unwrap();
        }
        for (waker, thread) in sleepers {
            waker.wake();
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_wait_ends_when_its_time_is_up() {
        let (mut backend, _) = backend();
        let start = Instant::now();
        let woken = backend.wait(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(woken, Woken::default());
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
