//! Binding one UDP socket for media.
//!
//! A media port is *reserved* by binding it: address reuse stays off, so that two processes (or two calls) can never share a port
//! and hear each other's audio.
//! The socket stays unconnected, because the far end may move (source learning, ICE), and because connected sockets would be
//! found before a steering program could see the packet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// What every media socket of a relay is bound with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// The type-of-service byte (DSCP in its upper six bits) of what we send; `None` leaves the kernel's default.
    pub tos: Option<u8>,
    /// Size of the kernel's receive buffer in bytes; `None` leaves the kernel's default.
    pub receive_buffer: Option<usize>,
}

/// Binds `address` for media: non-blocking, exclusive, and for IPv6 without the IPv4 half.
pub fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if let Some(tos) = options.tos {
        // A host may forbid marking (containers sometimes do); audio without a mark is better than no audio.
        let _ = mark(&socket, address, tos);
    }
    if let Some(bytes) = options.receive_buffer {
        // The kernel cuts this to net.core.rmem_max without an error.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The address a bound socket has got, with the port that the kernel chose when 0 was asked for.
pub fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(address).map_err(io::Error::from)
}

/// Marks what a bound socket sends.
pub(crate) fn set_tos(socket: &OwnedFd, tos: u8) -> io::Result<()> {
    let address = local_address(socket)?;
    mark(&SockRef::from(socket), address, tos)
}

fn mark(socket: &Socket, address: SocketAddr, tos: u8) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_tclass_v6(u32::from(tos))
    } else {
        socket.set_tos_v4(u32::from(tos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_bound_port_cannot_be_bound_again() {
        let first = bind(loopback(0), &SocketOptions::default()).unwrap();
        let taken = local_address(&first).unwrap();
        assert_ne!(taken.port(), 0);
        let second = bind(taken, &SocketOptions::default());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind(taken, &SocketOptions::default()).unwrap();
    }

    #[test]
    fn options_reach_the_socket() {
        let options = SocketOptions {
            tos: Some(184),
            receive_buffer: Some(65_536),
        };
        let socket = Socket::from(bind(loopback(0), &options).unwrap());
        assert_eq!(socket.tos_v4().unwrap(), 184);
        assert!(socket.recv_buffer_size().unwrap() >= 65_536);
    }

    #[test]
    fn both_families_of_one_port_are_separate() {
        let v4 = bind("0.0.0.0:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let port = local_address(&v4).unwrap().port();
        match bind(
            SocketAddr::from(([0u16; 8], port)),
            &SocketOptions::default(),
        ) {
            Ok(v6) => assert_eq!(local_address(&v6).unwrap().port(), port),
            // A host without IPv6 cannot show it.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }
}
