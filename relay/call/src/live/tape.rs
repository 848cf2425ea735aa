//! Copies of what comes in and of what leaves, for a recording.

use std::net::SocketAddr;
use std::time::Instant;

use relay_media::Codec;
use relay_packet::{PacketBuf, SocketId};
use relay_transport::Sent;
use relay_transport::rtp::RtpHeader;

use super::mixing::Role;
use super::{Live, LiveSection};
use crate::leg::LegId;
use crate::path::Format;
use crate::recording::Speech;

/// Where a datagram came from and which socket took it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) source: SocketAddr,
    pub(super) socket: SocketId,
}

impl Live {
    /// Keeps a copy of what a datagram carried, if that is recorded: decrypted, and before anything is changed in it.
    pub(super) fn record(
        &mut self,
        now: Instant,
        position: usize,
        entry: Entry,
        packet: &PacketBuf,
    ) {
        let Some((files, streams)) = self.recorder.files().zip(self.recorder.streams()) else {
            return;
        };
        if !streams.ingress() {
            return;
        }
        let packets = files.pcap.is_some();
        let audio = files.audio.is_some() && !streams.egress();
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
        if let Some(local) = live.address_of(entry.socket) {
            let ends = [entry.source, local];
            self.recorder.datagram(now, ends, speech, packet);
        }
    }

    /// What a packet says, if it is speech of which the codec is known, or an event.
    fn speech(&mut self, carrier: usize, packet: &[u8]) -> Option<Speech> {
        let position = self.section_of_rtp(carrier, packet)?;
        let live = self.sections.get(position)?;
        let formats = live.paths.iter().flat_map(|path| &path.plan.received);
        speech(packet, formats, live.id.leg == LegId::CALLER)
    }

    /// Has the transports keep copies of what leaves, or keep none any more.
    pub(crate) fn tap(&mut self) {
        let streams = self.recorder.streams();
        let wanted = streams.is_some_and(|streams| streams.egress());
        for live in &mut self.sections {
            for transport in live.transports() {
                transport.tap(wanted);
            }
        }
    }

    /// Hands what has left to the recording, if that is recorded.
    pub(crate) fn record_sent(&mut self, now: Instant) {
        let Some((files, streams)) = self.recorder.files().zip(self.recorder.streams()) else {
            return;
        };
        if !streams.egress() {
            return;
        }
        let (packets, audio) = (files.pcap.is_some(), files.audio.is_some());
        for carrier in 0..self.sections.len() {
            let transports = self.sections[carrier].transports();
            let sent =
                transports.flat_map(|transport| std::iter::from_fn(|| transport.poll_sent()));
            for Sent {
                socket,
                destination,
                bytes,
            } in sent.collect::<Vec<_>>()
            {
                let position = self.section_that_sent(carrier, &bytes);
                if !self.is_recorded_towards(position) {
                    continue;
                }
                let speech = if audio {
                    self.sent_speech(position, &bytes)
                } else {
                    None
                };
                let local = self.sections[carrier].address_of(socket);
                if let Some(local) = local.filter(|_| packets || speech.is_some()) {
                    let ends = [local, destination];
                    self.recorder.datagram(now, ends, speech, &bytes);
                }
            }
        }
    }

    /// Which of the sections on a port has sent a packet there.
    fn section_that_sent(&self, carrier: usize, packet: &[u8]) -> usize {
        let header = RtpHeader::parse(packet);
        let ssrc = header.map(|header| header.ssrc);
        let is_its = |&at: &usize| {
            let egress = &self.sections[at].egress;
            !egress.is_transparent() && Some(egress.ssrc()) == ssrc
        };
        self.members(carrier).find(is_its).unwrap_or(carrier)
    }

    /// Whether what a section is sent belongs into the recording: not if it has in it what a party says that is kept out, and
    /// not if it goes to a mere listener, who hears once more what the parties hear.
    fn is_recorded_towards(&self, position: usize) -> bool {
        let (mut takes_part, mut listens) = (false, false);
        for live in &self.sections {
            for path in live.paths.iter().filter(|path| path.to == position) {
                if self.recorder.is_excluded(live.id.leg) {
                    return false;
                }
                match path.role {
                    Role::Partner | Role::Whisper => takes_part = true,
                    Role::Tap | Role::Mixed => listens = true,
                }
            }
        }
        takes_part || !listens
    }

    /// What a packet says that has left for a section: for its party it is what the others say.
    fn sent_speech(&self, position: usize, packet: &[u8]) -> Option<Speech> {
        let paths = self.sections.iter().flat_map(|live| &live.paths);
        let paths = paths.filter(|path| path.to == position);
        let formats = paths.flat_map(|path| &path.plan.sent);
        let is_callers = self.sections.get(position)?.id.leg != LegId::CALLER;
        speech(packet, formats, is_callers)
    }
}

impl LiveSection {
    /// The address of one of its sockets.
    pub(super) fn address_of(&self, socket: SocketId) -> Option<SocketAddr> {
        let rtcp = self.rtcp.iter().flat_map(|transport| transport.locals());
        let mut locals = self.rtp.locals().iter().chain(rtcp);
        let local = locals.find(|local| local.id == socket)?;
        Some(local.address)
    }
}

/// What a packet in one of these formats says, if it is speech that can be decoded, or an event.
fn speech<'a>(
    packet: &[u8],
    mut formats: impl Iterator<Item = &'a Format>,
    is_callers: bool,
) -> Option<Speech> {
    let header = RtpHeader::parse(packet)?;
    let format = formats.find(|format| format.payload_type == header.payload_type)?;
    let format = format.audio();
    (format.is_transcodable() || format.codec == Codec::TelephoneEvent).then_some(())?;
    Some(Speech {
        is_callers,
        ssrc: header.ssrc.0,
        sequence: header.sequence.0,
        timestamp: header.timestamp.0,
        format,
        payload: header.payload_range(packet)?,
    })
}
