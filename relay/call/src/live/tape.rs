//! Copies of what comes in, for a recording.

use std::net::SocketAddr;
use std::time::Instant;

use relay_media::Codec;
use relay_packet::{PacketBuf, SocketId};
use relay_transport::rtp::RtpHeader;

use super::Live;
use crate::leg::LegId;
use crate::recording::Speech;

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
        let Some(files) = self.recorder.files() else {
            return;
        };
        let (packets, audio) = (files.pcap.is_some(), files.wav.is_some());
        let speech = if audio {
            self.speech(position, packet)
        } else {
            None
        };
        if !packets && speech.is_none() {
            return;
        }
        let Some(live) = self.sections.get(position) else {
            return;
        };
        if self.recorder.is_excluded(live.id.leg) {
            return;
        }
        let rtcp = live.rtcp.iter().flat_map(|transport| transport.locals());
        let mut locals = live.rtp.locals().iter().chain(rtcp);
        if let Some(local) = locals.find(|local| local.id == entry.socket) {
            let local = local.address;
            self.recorder
                .datagram(now, entry.source, local, speech, packet);
        }
    }

    /// What a packet says, if it is speech of which the codec is known, or an event.
    fn speech(&mut self, carrier: usize, packet: &[u8]) -> Option<Speech> {
        let header = RtpHeader::parse(packet)?;
        let position = self.section_of_rtp(carrier, packet)?;
        let live = self.sections.get(position)?;
        let mut formats = live.paths.iter().flat_map(|path| &path.plan.received);
        let format = formats.find(|format| format.payload_type == header.payload_type)?;
        let format = format.audio();
        (format.is_transcodable() || format.codec == Codec::TelephoneEvent).then_some(())?;
        Some(Speech {
            is_callers: live.id.leg == LegId::CALLER,
            ssrc: header.ssrc.0,
            sequence: header.sequence.0,
            timestamp: header.timestamp.0,
            format,
            payload: header.payload_range(packet)?,
        })
    }
}
