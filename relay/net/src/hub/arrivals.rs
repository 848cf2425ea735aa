//! Receives many datagrams at once, each with its source and the destination it was sent to.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use relay_packet::{Outbox, PacketBuf};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams of one system call. Their buffers fit in the cache of a processor; the call itself is shared by enough of them.
pub(super) const MOST: usize = 64;
/// What may wait in the kernel, for all ports of a worker together.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Control messages of one datagram: where it was sent to, and how many were dropped before it.
const CONTROL: usize = 96;

/// A socket for the datagrams of many ports, bound where nobody sends to.
pub(super) fn hub_socket(domain: Domain) -> io::Result<OwnedFd> {
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    let addresses: &[IpAddr] = if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        &[IpAddr::V6(Ipv6Addr::LOCALHOST)]
    } else {
        // Any port will do, but rather none that somebody wants on the usual loopback address.
        &[
            IpAddr::V4(Ipv4Addr::new(127, 250, 250, 250)),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ]
    };
    let (level, destination) = if domain == Domain::IPV6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR)
    };
    set_option(&socket, level, destination, 1)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    let size = RECEIVE_BUFFER as libc::c_int;
    if set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size).is_err() {
        // Cut to net.core.rmem_max, without an error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    let mut bound = Ok(());
    for &address in addresses {
        bound = socket.bind(&SocketAddr::new(address, 0).into());
        if bound.is_ok() {
            break;
        }
    }
    bound?;
    Ok(socket.into())
}

#[expect(unsafe_code, reason = "these options have no safe binding")]
pub(super) fn set_option(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is an int that lives across the call, and its length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            mem::size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A datagram that was received, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Who sent it.
    pub(super) source: SocketAddr,
    /// To which address and port of ours.
    pub(super) destination: SocketAddr,
    /// How long it was on the wire.
    pub(super) len: usize,
    /// It did not fit.
    pub(super) cut: bool,
    /// How many the socket has dropped ever since, if it has dropped any.
    pub(super) dropped: Option<u32>,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// The memory of one call.
pub(super) struct Arrivals {
    packets: Vec<PacketBuf>,
    sources: Vec<libc::sockaddr_in6>,
    controls: Vec<Control>,
    areas: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// So many of the first ones were used, and have to be prepared again.
    used: usize,
}

// SAFETY: the pointers in `areas` and `headers` lead to memory that this object owns, which does not move when it does.
#[expect(unsafe_code, reason = "pointers of system calls")]
unsafe impl Send for Arrivals {}

impl Arrivals {
    #[expect(unsafe_code, reason = "plain C structures")]
    pub(super) fn new() -> Self {
        // SAFETY: all zeros are a valid value of these three plain C structures.
        let (source, header): (libc::sockaddr_in6, libc::mmsghdr) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        let area = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Self {
            packets: (0..MOST).map(|_| PacketBuf::new()).collect(),
            sources: vec![source; MOST],
            controls: vec![Control([0; CONTROL]); MOST],
            areas: vec![area; MOST],
            headers: vec![header; MOST],
            used: MOST,
        }
    }

    /// Receives at most `wanted` datagrams; gives how many there were.
    #[expect(unsafe_code, reason = "recvmmsg has no safe binding")]
    pub(super) fn receive(&mut self, socket: &OwnedFd, wanted: usize) -> Result<usize, Errno> {
        let wanted = wanted.min(MOST);
        for index in 0..mem::take(&mut self.used) {
            let area = self.packets[index].receive_area();
            self.areas[index] = libc::iovec {
                iov_base: area.as_mut_ptr().cast(),
                iov_len: area.len(),
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.sources[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_iov = &raw mut self.areas[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
            header.msg_flags = 0;
        }
        // With TRUNC the kernel tells the length on the wire, however much of it fitted.
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: every header that was not used since is filled with pointers to memory of this object and its true lengths; a
        // buffer is replaced (`take`) only after it was used. There are `MOST` of them, and `wanted` is no more.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                wanted as libc::c_uint,
                flags,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| last_error())?;
        self.used = count;
        Ok(count)
    }

    /// What came as number `index` of the last call; `None` if the kernel did not say where from or where to.
    pub(super) fn get(&self, index: usize) -> Option<Arrival> {
        let message = &self.headers[index];
        let filled = CONTROL.min(message.msg_hdr.msg_controllen);
        let (destination, dropped) = read_control(&self.controls[index].0[..filled]);
        Some(Arrival {
            source: source(&self.sources[index], message.msg_hdr.msg_namelen)?,
            destination: destination?,
            len: message.msg_len as usize,
            cut: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            dropped,
        })
    }

    /// The content of number `index`, of which `len` octets were filled.
    pub(super) fn take(&mut self, index: usize, len: usize, out: &mut Outbox) -> PacketBuf {
        let mut packet = mem::replace(&mut self.packets[index], out.take());
        packet.set_len(len);
        packet
    }
}

pub(super) fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The sender's address. The structure of IPv4 is shorter, and its fields lie elsewhere.
fn source(address: &libc::sockaddr_in6, len: libc::socklen_t) -> Option<SocketAddr> {
    let port = u16::from_be(address.sin6_port);
    match libc::c_int::from(address.sin6_family) {
        libc::AF_INET if len as usize >= mem::size_of::<libc::sockaddr_in>() => {
            // `sin_port` lies where `sin6_port` does, and `sin_addr` where `sin6_flowinfo` does.
            let octets = address.sin6_flowinfo.to_ne_bytes();
            Some(SocketAddr::from((octets, port)))
        }
        libc::AF_INET6 if len as usize >= mem::size_of::<libc::sockaddr_in6>() => {
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            // Flow information is nobody's address; PerPort's sockets do not tell it either.
            Some(SocketAddrV6::new(ip, port, 0, address.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The length of a control message header: a `size_t` and two ints, aligned to a `size_t`.
const HEADER: usize = mem::size_of::<libc::cmsghdr>();
const _: () = assert!(HEADER == 16 && mem::size_of::<usize>() == 8);

/// The destination, and how many were dropped.
fn read_control(mut rest: &[u8]) -> (Option<SocketAddr>, Option<u32>) {
    let (mut destination, mut dropped) = (None, None);
    while let Some((level, kind, data, next)) = first_message(rest) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) => destination = read_v4(data),
            (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR) => destination = read_v6(data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                dropped = data.first_chunk().map(|&octets| u32::from_ne_bytes(octets));
            }
            _ => {}
        }
        rest = next;
    }
    (destination, dropped)
}

type Message<'a> = (libc::c_int, libc::c_int, &'a [u8], &'a [u8]);

fn first_message(control: &[u8]) -> Option<Message<'_>> {
    let len = usize::from_ne_bytes(*control.first_chunk()?);
    let level = i32::from_ne_bytes(*control.get(8..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*control.get(12..)?.first_chunk()?);
    let data = control.get(HEADER..len)?;
    let next = len.checked_next_multiple_of(8)?.min(control.len());
    Some((level, kind, data, &control[next..]))
}

/// `struct sockaddr_in`: family, port, address.
fn read_v4(data: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*data.get(2..)?.first_chunk()?);
    let ip: [u8; 4] = *data.get(4..)?.first_chunk()?;
    Some((ip, port).into())
}

/// `struct sockaddr_in6`: family, port, flow information, address.
fn read_v6(data: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*data.get(2..)?.first_chunk()?);
    let ip: [u8; 16] = *data.get(8..)?.first_chunk()?;
    Some((ip, port).into())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn socket_and_peer() -> (OwnedFd, SocketAddr, UdpSocket) {
        let socket = hub_socket(Domain::IPV4).unwrap();
        let address = crate::local_address(&socket).unwrap();
        (socket, address, UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    #[test]
    fn many_datagrams_are_taken_in_one_call_with_both_addresses() {
        let (socket, address, peer) = socket_and_peer();
        for number in 0..10u8 {
            peer.send_to(&[number; 3], address).unwrap();
        }
        let mut arrivals = Arrivals::new();
        assert_eq!(arrivals.receive(&socket, 4), Ok(4));
        assert_eq!(arrivals.receive(&socket, MOST), Ok(6));
        assert_eq!(
            arrivals.get(5),
            Some(Arrival {
                source: peer.local_addr().unwrap(),
                destination: address,
                len: 3,
                cut: false,
                dropped: None,
            })
        );
        let packet = arrivals.take(5, 3, &mut Outbox::new(1));
        assert_eq!(&*packet, [9; 3]);
        assert_eq!(arrivals.receive(&socket, MOST), Err(Errno::AGAIN));
    }

    #[test]
    fn a_datagram_that_does_not_fit_says_how_long_it_was() {
        let (socket, address, peer) = socket_and_peer();
        peer.send_to(&[1; 5000], address).unwrap();
        let mut arrivals = Arrivals::new();
        assert_eq!(arrivals.receive(&socket, 1), Ok(1));
        let arrival = arrivals.get(0).unwrap();
        assert_eq!((arrival.len, arrival.cut), (5000, true));
    }

    #[test]
    fn what_a_full_socket_dropped_is_told() {
        let (socket, address, peer) = socket_and_peer();
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096).unwrap();
        let mut arrivals = Arrivals::new();
        let mut dropped = 0;
        for _ in 0..2 {
            for _ in 0..100 {
                peer.send_to(&[1; 500], address).unwrap();
            }
            while let Ok(count) = arrivals.receive(&socket, MOST) {
                for arrival in (0..count).filter_map(|index| arrivals.get(index)) {
                    dropped = arrival.dropped.unwrap_or(dropped);
                }
            }
        }
        // Those of the second time are told by the next datagram only.
        assert!((50..=100).contains(&dropped), "{dropped} were dropped");
    }

    #[test]
    fn damaged_control_data_gives_nothing() {
        for control in [&[][..], &[0xff; 96], &[0; 96], &[0; 7]] {
            assert_eq!(read_control(control), (None, None));
        }
        let mut short = [0; 24];
        short[0] = 20;
        short[12] = libc::IP_ORIGDSTADDR as u8;
        assert_eq!(read_control(&short), (None, None));
    }
}
