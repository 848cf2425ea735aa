//! Datagrams of a protocol that a relay passes on without understanding it: UDPTL (ITU-T T.38 annex D), BFCP, SCTP over DTLS.
//!
//! Their first bytes mean nothing here: a UDPTL packet begins with its sequence number and looks like STUN, DTLS or RTP as that
//! counts up. On an opaque port RFC 7983 therefore does not apply. Only ICE, where it is in use, is told apart: by the magic
//! cookie and the length that every STUN message has.

use std::net::SocketAddr;
use std::time::Instant;

use relay_packet::{DropReason, Outbox, PacketBuf, SocketId};

use super::{Incoming, MediaTransport};

/// RFC 8489 section 5: bytes 4 to 7 of every message.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// RFC 8489 section 5.
const STUN_HEADER_LEN: usize = 20;

impl MediaTransport {
    /// Whether datagrams pass as they are instead of being RTP.
    pub fn set_opaque(&mut self, opaque: bool) {
        self.opaque = opaque;
    }

    /// Sends a datagram as it is. On an error the buffer is in the outbox.
    pub fn send_datagram(&mut self, packet: PacketBuf, out: &mut Outbox) -> Result<(), DropReason> {
        let Some((socket, address)) = self.destination() else {
            self.drops.add(DropReason::NoDestination);
            out.recycle(packet);
            return Err(DropReason::NoDestination);
        };
        let copy = self.tap.copy(&packet);
        self.tap.note(socket, address, copy);
        out.send(socket, address, packet);
        Ok(())
    }

    /// Whether a datagram is to be handed up as it is.
    pub(super) fn passes_opaque(&self, datagram: &[u8]) -> bool {
        self.opaque && !(self.ice.is_some() && is_stun(datagram))
    }

    pub(super) fn take_opaque(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: PacketBuf,
        out: &mut Outbox,
    ) -> Incoming {
        match self.accept_source(now, socket, source, true) {
            Ok(()) => Incoming::Datagram(packet),
            Err(reason) => {
                self.drops.add(reason);
                out.recycle(packet);
                Incoming::Dropped(reason)
            }
        }
    }
}

fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= STUN_HEADER_LEN && datagram[0] <= 3 && datagram[4..8] == STUN_COOKIE
}
