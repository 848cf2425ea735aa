//! The UDP socket of the control language: replies leave from the address that the request was sent to.
//!
//! A proxy that asked 192.0.2.10 does not take an answer from 192.0.2.11.
//! For a socket bound to one address the kernel sees to that; for a socket bound to all of them it would choose by routing, so
//! we ask it for the local address of each request (`IP_PKTINFO`, RFC 3542 section 6) and hand the same address back with the
//! reply.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// What may wait in the kernel while we are busy.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Room for one control message of either family, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// A non-blocking UDP socket that knows at which of our addresses a datagram arrived.
#[derive(Debug)]
pub struct ControlSocket {
    socket: UdpSocket,
    address: SocketAddr,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How many bytes of the buffer it fills.
    pub len: usize,
    /// Who sent it.
    pub source: SocketAddr,
    /// To which of our addresses. Hand it to [`ControlSocket::send`] with the reply.
    pub local: IpAddr,
}

impl ControlSocket {
    /// Binds `address`, which may be the wildcard of its family. `tos` marks the replies.
    pub fn bind(address: SocketAddr, tos: Option<u8>) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if let Some(tos) = tos {
            // As with media: a host that forbids marking still gets its replies.
            let _ = match address {
                SocketAddr::V4(_) => socket.set_tos_v4(u32::from(tos)),
                SocketAddr::V6(_) => socket.set_tclass_v6(u32::from(tos)),
            };
        }
        if address.ip().is_unspecified() {
            let (level, option) = match address {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            };
            switch_on(&socket, level, option)?;
        }
        // A proxy that restarts asks about all its calls at once. The kernel cuts this to what it allows.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&address.into())?;
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self {
            socket: socket.into(),
            address: bound,
        })
    }

    /// The socket, to wait for it.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The bound address, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes one datagram; `WouldBlock` when there is none. What does not fit in `buffer` is cut.
    #[expect(unsafe_code, reason = "recvmsg with control data has no safe binding")]
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        let mut control = Control([0; 64]);
        let mut iov = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: an all-zero msghdr is a valid value of this plain C structure.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_name = (&raw mut storage).cast();
        header.msg_namelen = storage.size_of();
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len();
        // SAFETY: every pointer in `header` leads to memory that lives until the end of this function, with its true length.
        let len = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, 0) };
        let Ok(len) = usize::try_from(len) else {
            return Err(io::Error::last_os_error());
        };
        // SAFETY: the kernel wrote a socket address of `msg_namelen` bytes into `storage`.
        let source = unsafe { SockAddr::new(storage, header.msg_namelen) };
        let source = source
            .as_socket()
            .ok_or_else(|| io::Error::other("a datagram without an internet address"))?;
        let filled = control.0.len().min(header.msg_controllen);
        let local = local_address(&control.0[..filled]).unwrap_or_else(|| self.address.ip());
        Ok(Arrival { len, source, local })
    }

    /// Sends one datagram from our address `local`; `WouldBlock` when the kernel has no room.
    #[expect(unsafe_code, reason = "sendmsg with control data has no safe binding")]
    pub fn send(&self, bytes: &[u8], destination: SocketAddr, local: IpAddr) -> io::Result<()> {
        let destination = SockAddr::from(destination);
        let mut iov = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let mut control = Control([0; 64]);
        let filled = if self.address.ip().is_unspecified() {
            write_local_address(&mut control.0, local)
        } else {
            0
        };
        // SAFETY: an all-zero msghdr is a valid value of this plain C structure.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_name = destination.as_ptr().cast_mut().cast();
        header.msg_namelen = destination.len();
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        if filled > 0 {
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = filled;
        }
        // SAFETY: every pointer in `header` leads to memory that lives until the end of this function, with its true length;
        // the kernel only reads.
        let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const header, 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "these two options have no safe binding")]
fn switch_on(socket: &Socket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is an int that lives across the call, and its length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The length of a control message header: a `size_t` and two ints, aligned to a `size_t`.
const HEADER: usize = mem::size_of::<libc::cmsghdr>();

/// Finds the destination address in received control data.
fn local_address(control: &[u8]) -> Option<IpAddr> {
    let mut rest = control;
    while rest.len() >= HEADER {
        let len = usize::from_ne_bytes(rest.get(..8)?.try_into().ok()?);
        let level = i32::from_ne_bytes(rest.get(8..12)?.try_into().ok()?);
        let kind = i32::from_ne_bytes(rest.get(12..16)?.try_into().ok()?);
        let data = rest.get(HEADER..len)?;
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // struct in_pktinfo: interface index, local address, destination address of the header.
                let octets: [u8; 4] = data.get(8..12)?.try_into().ok()?;
                return Some(IpAddr::V4(Ipv4Addr::from(octets)));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let octets: [u8; 16] = data.get(..16)?.try_into().ok()?;
                return Some(IpAddr::V6(Ipv6Addr::from(octets)));
            }
            _ => rest = rest.get(len.next_multiple_of(8).max(HEADER)..)?,
        }
    }
    None
}

/// Writes the control message that makes a datagram leave from `local`; gives its length, 0 for "the kernel may choose".
fn write_local_address(control: &mut [u8; 64], local: IpAddr) -> usize {
    if local.is_unspecified() || local.is_multicast() {
        return 0;
    }
    let (level, kind, data_len) = match local {
        IpAddr::V4(address) => {
            control[HEADER + 4..HEADER + 8].copy_from_slice(&address.octets());
            (libc::IPPROTO_IP, libc::IP_PKTINFO, 12)
        }
        IpAddr::V6(address) => {
            control[HEADER..HEADER + 16].copy_from_slice(&address.octets());
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20)
        }
    };
    let len = HEADER + data_len;
    control[..8].copy_from_slice(&len.to_ne_bytes());
    control[8..12].copy_from_slice(&level.to_ne_bytes());
    control[12..16].copy_from_slice(&kind.to_ne_bytes());
    len.next_multiple_of(8)
}

// The header's layout above is that of a 64-bit Linux.
const _: () = assert!(HEADER == 16 && mem::size_of::<usize>() == 8);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn receive(socket: &ControlSocket, buffer: &mut [u8]) -> Arrival {
        for _ in 0..500 {
            match socket.receive(buffer) {
                Ok(arrival) => return arrival,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing arrived");
    }

    /// Asks `ours` through a socket bound to `bound` and says from where the answer came.
    fn ask(bound: &str, ours: IpAddr) -> io::Result<SocketAddr> {
        let socket = ControlSocket::bind(bound.parse().unwrap(), Some(0x10))?;
        let client = UdpSocket::bind(SocketAddr::new(ours, 0))?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        client.send_to(b"1 ping", SocketAddr::new(ours, socket.address().port()))?;
        let mut buffer = [0; 100];
        let arrival = receive(&socket, &mut buffer);
        assert_eq!(&buffer[..arrival.len], b"1 ping");
        assert_eq!(arrival.source, client.local_addr()?);
        assert_eq!(arrival.local, ours);
        socket.send(b"1 pong", arrival.source, arrival.local)?;
        let (len, from) = client.recv_from(&mut buffer)?;
        assert_eq!(&buffer[..len], b"1 pong");
        Ok(from)
    }

    #[test]
    fn the_answer_leaves_from_the_address_that_was_asked() {
        for ours in ["127.0.0.1", "127.0.0.77"] {
            let ours: IpAddr = ours.parse().unwrap();
            assert_eq!(ask("0.0.0.0:0", ours).unwrap().ip(), ours);
        }
    }

    #[test]
    fn a_socket_of_one_address_answers_from_it() {
        let ours = "127.0.0.78".parse().unwrap();
        assert_eq!(ask("127.0.0.78:0", ours).unwrap().ip(), ours);
    }

    #[test]
    fn ipv6_is_no_different() {
        let ours: IpAddr = Ipv6Addr::LOCALHOST.into();
        match ask("[::]:0", ours) {
            Ok(from) => assert_eq!(from.ip(), ours),
            Err(error) => assert!(
                UdpSocket::bind("[::1]:0").is_err(),
                "this host has IPv6, but: {error}"
            ),
        }
    }

    #[test]
    fn damaged_control_data_gives_no_address() {
        assert_eq!(local_address(&[]), None);
        assert_eq!(local_address(&[0xff; 64]), None);
        assert_eq!(local_address(&[0; 64]), None);
        let mut control = [0; 64];
        let len = write_local_address(&mut control, Ipv4Addr::LOCALHOST.into());
        assert_eq!(local_address(&control[..len - 8]), None);
    }
}
