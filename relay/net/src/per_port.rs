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

use relay_packet::{Outbox, Received, SocketId, Transmit};
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
/// What epoll says of the sockets that are watched besides: this and the next numbers.
const WATCHED: u64 = u64::MAX - 9;
/// How many there may be.
const MOST_WATCHED: u64 = 8;

/// The sockets of one worker.
pub struct PerPort {
    epoll: OwnedFd,
    wake: Wake,
    options: SocketOptions,
    places: Vec<Place>,
    unused: VecDeque<u32>,
    /// Places with datagrams to take, in the order of their turns.
    ready: VecDeque<u32>,
    /// The watched sockets that have datagrams, a bit each.
    watched: u8,
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
            watched: 0,
            bound: 0,
            coalescer: Coalescer::new(longest_nap),
            full: false,
            counters: NetCounters::default(),
        })
    }

    /// The place of a bound socket.
    pub(crate) fn place_of(&self, socket: SocketId) -> Option<usize> {
        let index = (socket.0 & PLACE_MASK) as usize;
        let place = self.places.get(index)?;
        (place.socket.is_some() && place.id(index as u32) == socket).then_some(index)
    }

    /// Wakes up for another socket too: [`Self::has_watched`] is set once it has datagrams. `number` is at most 7.
    pub(crate) fn watch(&self, socket: BorrowedFd<'_>, number: u8) -> io::Result<()> {
        let data = epoll::EventData::new_u64(WATCHED + u64::from(number));
        epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Whether a watched socket has datagrams.
    pub(crate) fn has_watched(&self, number: u8) -> bool {
        self.watched & 1 << number != 0
    }

    /// A watched socket was drained, or has to be looked at.
    pub(crate) fn set_watched(&mut self, number: u8, has_datagrams: bool) {
        if has_datagrams {
            self.watched |= 1 << number;
        } else {
            self.watched &= !(1 << number);
        }
    }

    /// The coalescer's window, see [`Coalescer::window`].
    pub(crate) fn window(&self) -> u32 {
        self.coalescer.window()
    }

    /// A stream has sent its first datagram of this window.
    pub(crate) fn note_stream(&mut self) {
        self.coalescer.note_stream();
    }

    /// What new ports are marked with.
    pub(crate) fn default_tos(&self) -> u8 {
        self.options.tos.unwrap_or(0)
    }

    /// What was moved so far, for those who move it in another way.
    pub(crate) fn counters_mut(&mut self) -> &mut NetCounters {
        &mut self.counters
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
            if (WATCHED..WATCHED + MOST_WATCHED).contains(&data) {
                self.watched |= 1 << (data - WATCHED);
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
        woken.media = self.has_media();
        Ok(woken)
    }

    fn has_media(&self) -> bool {
        !self.ready.is_empty() || self.watched != 0
    }

    /// Takes at most `limit` datagrams, a few of each socket in its turn; gives how often the kernel had one or an error.
    pub(crate) fn take_turns(
        &mut self,
        limit: usize,
        out: &mut Outbox,
        batch: &mut Vec<Received>,
    ) -> usize {
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
        taken
    }

    /// A round has taken `taken` datagrams, of `limit` that it might have.
    pub(crate) fn end_round(&mut self, now: Instant, taken: usize, limit: usize) {
        self.full = taken >= limit;
        self.coalescer.note_round(now, taken);
    }

    /// Sends one datagram by the socket of its port.
    pub(crate) fn send(&mut self, transmit: &Transmit) {
        let socket = self
            .place_of(transmit.socket)
            .and_then(|index| self.places[index].socket.as_ref());
        let Some(socket) = socket else {
            self.counters.send_closed += 1;
            return;
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
        if self.has_media() {
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
        let taken = self.take_turns(limit, out, batch);
        self.end_round(now, taken, limit);
    }

    fn flush(&mut self, out: &mut Outbox) {
        for transmit in out.queued() {
            self.send(transmit);
        }
        out.sent();
    }

    fn counters(&self) -> &NetCounters {
        &self.counters
    }

    fn waker(&self) -> Waker {
        self.wake.waker()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

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
            backend.receive(Instant::now(), limit, out, &mut batch);
        }
        batch
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
}
