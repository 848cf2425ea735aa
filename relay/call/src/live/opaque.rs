//! Datagrams that are no RTP: T.38 and whatever else passes as it is.

use relay_packet::{Outbox, PacketBuf};
use relay_transport::ice::Component;

use super::Live;

impl Live {
    /// Passes a datagram on, unchanged, to those who hear the section: from port to port, RTP's to RTP's and RTCP's to RTCP's.
    pub(super) fn forward_datagram(
        &mut self,
        position: usize,
        component: Component,
        packet: PacketBuf,
        out: &mut Outbox,
    ) {
        let listeners: Vec<usize> = self.sections[position]
            .paths
            .iter()
            .filter(|path| !path.restriction.blocked && !self.drop_traffic)
            .map(|path| path.to)
            .collect();
        for listener in listeners {
            let Some(listener) = self.sections.get_mut(listener) else {
                continue;
            };
            if !listener.opaque {
                continue;
            }
            let len = packet.len();
            let copy = out.copy_of(&packet);
            let (transport, sent) = match (component, &mut listener.rtcp) {
                (Component::Rtcp, Some(transport)) => (transport, &mut listener.rtcp_out),
                _ => (&mut listener.rtp, &mut listener.rtp_out),
            };
            match transport.send_datagram(copy, out) {
                Ok(()) => sent.add(len),
                Err(reason) => self.sections[position].count_drop(reason),
            }
        }
        out.recycle(packet);
    }
}
