//! A bound local socket, as the core sees it: a name and two addresses.

use std::net::{IpAddr, SocketAddr};

use relay_packet::SocketId;

/// One bound socket of a transport. The core never touches the socket itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LocalSocket {
    /// The name under which the worker knows the socket. It means something in one process only, so that it is not written down.
    #[serde(skip, default = "unbound")]
    pub id: SocketId,
    /// What the socket is bound to.
    pub address: SocketAddr,
    /// The address that stands in SDP and in candidates; differs from the bound one behind a static NAT.
    pub advertised: IpAddr,
}

/// No socket's name: what was read back has to be bound anew.
fn unbound() -> SocketId {
    SocketId(u32::MAX)
}

impl LocalSocket {
    /// What the peer is told: the advertised address with the bound port.
    pub fn advertised_address(&self) -> SocketAddr {
        SocketAddr::new(self.advertised, self.address.port())
    }

    /// Whether a datagram to `remote` can leave from this socket at all.
    pub fn reaches(&self, remote: SocketAddr) -> bool {
        self.address.is_ipv4() == remote.is_ipv4()
    }
}
