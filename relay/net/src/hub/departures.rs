//! Sends many datagrams at once, of many ports, by one raw socket.
//!
//! A raw socket takes packets with the headers we wrote, so that one call can send what belongs to a thousand ports.
//! There is one for each address and mark of ours: the kernel chooses the route by the address a socket is bound to, and the
//! queue by its mark, as it does for the sockets of the ports.

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use relay_packet::Transmit;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::arrivals::{last_error, set_option};

/// What may wait in the kernel for the network card.
const SEND_BUFFER: usize = 4 << 20;

/// A raw socket.
#[derive(Debug)]
pub(super) struct RawSocket {
    socket: OwnedFd,
    /// The address of ours that it sends from.
    pub(super) address: IpAddr,
    /// The mark it sends with.
    pub(super) tos: u8,
    /// Routers that may pass its packets on, as the system is configured.
    pub(super) hops: u8,
}

impl RawSocket {
    pub(super) fn open(address: IpAddr, tos: u8) -> io::Result<Self> {
        let any_port = SocketAddr::new(address, 0);
        // With this number instead of UDP's the kernel expects headers, and hands no arriving packet over.
        let raw = Protocol::from(libc::IPPROTO_RAW);
        let domain = Domain::for_address(any_port);
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(raw))?;
        let hops = if address.is_ipv6() {
            // A host may forbid marking; it only chooses the queue, the header has its mark anyway.
            let _ = socket.set_tclass_v6(u32::from(tos));
            socket.unicast_hops_v6()?
        } else {
            let _ = socket.set_tos_v4(u32::from(tos));
            socket.ttl_v4()?
        };
        let size = SEND_BUFFER as libc::c_int;
        if set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, size).is_err() {
            // Cut to net.core.wmem_max, without an error.
            socket.set_send_buffer_size(SEND_BUFFER)?;
        }
        socket.bind(&any_port.into())?;
        Ok(Self {
            socket: socket.into(),
            address,
            tos,
            hops: u8::try_from(hops).unwrap_or(64),
        })
    }
}

/// An address of either family, as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// The memory of one call.
pub(super) struct Departures {
    names: Vec<Name>,
    areas: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers in `areas` and `headers` are written anew before each use, and followed only during it.
#[expect(unsafe_code, reason = "pointers of system calls")]
unsafe impl Send for Departures {}

impl Departures {
    pub(super) fn new() -> Self {
        Self {
            names: Vec::new(),
            areas: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Sends those of `queued` whose numbers are in `which`, in order, their headers in front. Puts the numbers of those that
    /// the kernel refused into `refused`.
    #[expect(unsafe_code, reason = "sendmmsg has no safe binding")]
    pub(super) fn send(
        &mut self,
        raw: &RawSocket,
        queued: &[Transmit],
        which: &[usize],
        refused: &mut Vec<usize>,
    ) {
        self.names.clear();
        self.areas.clear();
        self.headers.clear();
        for &index in which {
            let transmit = &queued[index];
            self.names.push(name(transmit.destination.ip()));
            self.areas.push(libc::iovec {
                iov_base: transmit.packet.as_ptr().cast_mut().cast(),
                iov_len: transmit.packet.len(),
            });
        }
        // Only now, when the vectors do not move any more.
        let name_len = if raw.address.is_ipv6() {
            mem::size_of::<libc::sockaddr_in6>()
        } else {
            mem::size_of::<libc::sockaddr_in>()
        };
        for index in 0..which.len() {
            // SAFETY: an all-zero mmsghdr is a valid value of this plain C structure.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut self.names[index]).cast();
            header.msg_hdr.msg_namelen = name_len as libc::socklen_t;
            header.msg_hdr.msg_iov = &raw mut self.areas[index];
            header.msg_hdr.msg_iovlen = 1;
            self.headers.push(header);
        }
        let mut done = 0;
        while done < which.len() {
            let rest = &mut self.headers[done..];
            // SAFETY: each header leads to a name and an area of this object, and through it to a packet of `queued`, which is
            // borrowed; the kernel only reads those. The count is that of the headers.
            let count = unsafe {
                libc::sendmmsg(
                    raw.socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            if let Ok(count) = usize::try_from(count) {
                done += count;
                continue;
            }
            match last_error() {
                Errno::INTR => {}
                // The socket is full, and is going to be for the others too.
                Errno::AGAIN | Errno::NOBUFS => {
                    refused.extend_from_slice(&which[done..]);
                    return;
                }
                _ => {
                    refused.push(which[done]);
                    done += 1;
                }
            }
        }
    }
}

/// A destination without a port: for a raw socket of IPv6 that would be the number of a protocol.
#[expect(unsafe_code, reason = "plain C structures")]
fn name(ip: IpAddr) -> Name {
    match ip {
        IpAddr::V4(ip) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                sin_zero: [0; 8],
            };
            Name { v4 }
        }
        IpAddr::V6(ip) => {
            // SAFETY: all zeros are a valid value of this plain C structure.
            let mut v6: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_addr.s6_addr = ip.octets();
            Name { v6 }
        }
    }
}
