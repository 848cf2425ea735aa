//! What somebody must know who takes and sends packets in place of a transport: where they come from and where they go, if they
//! are plain RTP and nothing has to be done with them.

use std::net::SocketAddr;
use std::time::Instant;

use relay_packet::SocketId;

use super::MediaTransport;

impl MediaTransport {
    /// Our port, as it is bound, and the far end's, once it is beyond doubt where the packets of the far end come from.
    pub fn plain_source(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (socket, source) = self.learner.fixed().filter(|_| self.is_plain())?;
        Some((self.bound(socket)?, source))
    }

    /// From where to where packets leave.
    pub fn plain_destination(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (socket, address) = self.destination().filter(|_| self.is_plain())?;
        Some((self.bound(socket)?, address))
    }

    /// Somebody has taken packets of the far end in our place, the last one at `at`.
    pub fn heard_elsewhere(&mut self, at: Instant) {
        self.learner.heard(at);
        self.last_packet_in = self.last_packet_in.max(Some(at));
    }

    fn is_plain(&self) -> bool {
        let is_sealed = self.requires_keys() || self.inbound.is_some() || self.outbound.is_some();
        !is_sealed && self.ice.is_none() && !self.opaque && !self.tap.is_open()
    }

    fn bound(&self, socket: SocketId) -> Option<SocketAddr> {
        let mut locals = self.locals.iter();
        let local = locals.find(|local| local.id == socket)?;
        Some(local.address)
    }
}
