//! Copies of what comes in, for a recording.

use std::net::SocketAddr;
use std::time::Instant;

use relay_packet::{PacketBuf, SocketId};

use super::Live;

/// Where a datagram came from and which socket took it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) source: SocketAddr,
    pub(super) socket: SocketId,
}

impl Live {
    /// Keeps a copy of what a datagram carried, if the call is recorded: decrypted, and before anything is changed in it.
    pub(super) fn record(
        &mut self,
        now: Instant,
        position: usize,
        entry: Entry,
        packet: &PacketBuf,
    ) {
        if !self.recorder.is_running() {
            return;
        }
        let Some(live) = self.sections.get(position) else {
            return;
        };
        let rtcp = live.rtcp.iter().flat_map(|transport| transport.locals());
        let mut locals = live.rtp.locals().iter().chain(rtcp);
        if let Some(local) = locals.find(|local| local.id == entry.socket) {
            let local = local.address;
            self.recorder.datagram(now, entry.source, local, packet);
        }
    }
}
