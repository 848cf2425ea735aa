//! A datagram's way: to its transport, along the paths of its section, out through the egresses of those who hear it.

use std::time::Instant;

use relay_media::{Codec, TelephoneEvent};
use relay_packet::{DropReason, Outbox, PacketBuf, Received, SocketId};
use relay_transport::Incoming;
use relay_transport::ice::Component;
use relay_transport::rtp::{RtpHeader, RtpHeaderMut};

use super::mixing::Role;
use super::tape::Entry;
use super::{Live, Path};
use crate::path::{Format, Guise, disguise};
use crate::stats::Transcoded;

/// What came of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It was media of the section with this position.
    Media(usize),
    /// It was STUN or DTLS, or was dropped, there.
    Other(usize),
    /// No section owns the socket.
    Nobody,
}

impl Live {
    /// Takes a datagram in and passes what it carries on.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        received: Received,
        out: &mut Outbox,
    ) -> Arrival {
        let mut sockets = self.sockets.iter();
        let is_meant = |&&(socket, ..): &&(SocketId, usize, Component)| socket == received.socket;
        let Some(&(_, position, component)) = sockets.find(is_meant) else {
            out.recycle(received.packet);
            return Arrival::Nobody;
        };
        let live = &mut self.sections[position];
        let transport = match (component, &mut live.rtcp) {
            (Component::Rtcp, Some(transport)) => transport,
            _ => &mut live.rtp,
        };
        let requires_keys = transport.requires_keys();
        let entry = Entry {
            source: received.source,
            socket: received.socket,
        };
        match transport.handle_datagram(now, received, out) {
            Incoming::Rtp(packet) => {
                if live.secure && !requires_keys {
                    // An encrypted leg that has not answered yet: there are no keys to tell its packets from anybody's.
                    live.count_drop(DropReason::SrtpNoKeys);
                    out.recycle(packet);
                    return Arrival::Other(position);
                }
                self.record(now, position, entry, &packet);
                let Some(position) = self.section_of_rtp(position, &packet) else {
                    self.sections[position].count_drop(DropReason::UnknownPayloadType);
                    out.recycle(packet);
                    return Arrival::Other(position);
                };
                let live = &mut self.sections[position];
                live.last_rtp = Some(now);
                live.rtp_in.add(packet.len());
                self.forward_rtp(now, position, packet, out);
                Arrival::Media(position)
            }
            Incoming::Rtcp(packet) => {
                if live.secure && !requires_keys {
                    live.count_drop(DropReason::SrtpNoKeys);
                    out.recycle(packet);
                    return Arrival::Other(position);
                }
                live.last_rtcp = Some(now);
                live.rtcp_in.add(packet.len());
                if self.tells_rtcp {
                    let local = live.address_of(entry.socket);
                    let told = local.map(|local| (entry.source, local, packet.to_vec()));
                    self.rtcp_to_tell.extend(told);
                }
                self.record(now, position, entry, &packet);
                for section in self.sections_of_rtcp(position, &packet) {
                    self.forward_rtcp(now, section, &packet, out);
                }
                out.recycle(packet);
                Arrival::Media(position)
            }
            Incoming::Datagram(packet) => {
                if component == Component::Rtcp {
                    live.last_rtcp = Some(now);
                    live.rtcp_in.add(packet.len());
                } else {
                    live.last_rtp = Some(now);
                    live.rtp_in.add(packet.len());
                }
                self.record(now, position, entry, &packet);
                self.forward_datagram(position, component, packet, out);
                Arrival::Media(position)
            }
            Incoming::Consumed => Arrival::Other(position),
            Incoming::Dropped(reason) => {
                live.count_drop(reason);
                live.rtp_in.errors += 1;
                Arrival::Other(position)
            }
        }
    }

    fn forward_rtp(&mut self, now: Instant, position: usize, packet: PacketBuf, out: &mut Outbox) {
        let live = &mut self.sections[position];
        let Some(header) = RtpHeader::parse(&packet) else {
            live.count_drop(DropReason::Malformed);
            out.recycle(packet);
            return;
        };
        let payload_len = packet.len() - header.header_len();
        let formats = live.paths.iter().flat_map(|path| &path.plan.received);
        let mut formats = formats.filter(|format| format.payload_type == header.payload_type);
        let format = formats.next();
        let clock = format.map_or(8_000, |format| format.clock_hz);
        let codec = format.map_or(Codec::Other, Format::codec);
        live.ingress.receive(now, &header, payload_len, clock);
        if codec == Codec::TelephoneEvent
            && let Some(event) = header.payload(&packet).and_then(TelephoneEvent::parse)
        {
            live.keypad.note(&header, event, clock, &mut live.pressed);
        }
        // Short frames of Opus are nothing unusual.
        let shortest = live.shortest.filter(|_| codec != Codec::Opus);
        let duration = || {
            header
                .payload(&packet)
                .and_then(|payload| codec.duration(payload))
        };
        let is_short = shortest.is_some_and(|least| duration().is_some_and(|is| is < least));
        self.judge_reception(now, position, header.ssrc);
        if self.drop_traffic || is_short {
            self.sections[position].count_drop(DropReason::NotWanted);
            out.recycle(packet);
            return;
        }

        let mut paths = std::mem::take(&mut self.sections[position].paths);
        let mut packet = Some(packet);
        let count = paths.len();
        let mut keys = Vec::new();
        for (index, path) in paths.iter_mut().enumerate() {
            if let Some(packet) = &packet {
                path.program.listen(packet);
            }
            keys.clear();
            keys.extend(std::iter::from_fn(|| path.program.poll_key()));
            if !keys.is_empty() {
                self.pass_keys(now, position, path, &keys, out);
            }
            let guise = path.guise(&header, codec, &mut self.sections[position].random);
            if let Guise::Nothing | Guise::Silence = guise {
                if let Some((sink, carrier)) = self.sink(path.to) {
                    let transport = carrier.map_or(&mut sink.rtp, |carrier| &mut carrier.rtp);
                    let egress = &mut sink.egress;
                    path.program.pass_over(now, &header, egress, transport, out);
                }
                self.withhold(now, position, path.to, guise, out);
                continue;
            }
            if self.is_mixed(path, codec) {
                if let Some((sink, carrier)) = self.sink(path.to) {
                    let transport = carrier.map_or(&mut sink.rtp, |carrier| &mut carrier.rtp);
                    let egress = &mut sink.egress;
                    path.program.pass_over(now, &header, egress, transport, out);
                }
                // A key that is to be disguised is not heard in a mix at all.
                let heard = packet
                    .as_deref()
                    .filter(|_| matches!(guise, Guise::Itself))
                    .map(|packet| self.mix(now, position, path, packet));
                if let Some(Err(reason)) = heard {
                    self.sections[position].count_drop(reason);
                }
                continue;
            }
            if self.hears_recording(path.to) && codec != Codec::TelephoneEvent {
                if let Some((sink, carrier)) = self.sink(path.to) {
                    let transport = carrier.map_or(&mut sink.rtp, |carrier| &mut carrier.rtp);
                    let egress = &mut sink.egress;
                    path.program.pass_over(now, &header, egress, transport, out);
                }
                continue;
            }
            let last = index + 1 == count;
            let Some(mut this) = (if last {
                packet.take()
            } else {
                packet.as_ref().map(|packet| out.copy_of(packet))
            }) else {
                break;
            };
            let Some((sink, carrier)) = self.sink(path.to) else {
                out.recycle(this);
                continue;
            };
            if let Guise::Key(key) = guise {
                disguise(&mut this, &header, key);
            }
            if path.restriction.silenced
                && !sink.egress.is_transparent()
                && !silenced(&mut this, &header, codec)
            {
                out.recycle(this);
                self.sections[position].count_drop(DropReason::NotWanted);
                continue;
            }
            let chain = path.program.chain_of(header.payload_type);
            let lasts = chain
                .and_then(|_| codec.duration(header.payload(&this)?))
                .unwrap_or_default();
            let before = sink.egress.stats();
            let transport = match carrier {
                Some(carrier) => &mut carrier.rtp,
                None => &mut sink.rtp,
            };
            let egress = &mut sink.egress;
            let program = &mut path.program;
            let result = match guise {
                Guise::Tone(tone) => {
                    program.sound(now, this, clock, Some(tone), egress, transport, out)
                }
                _ => program.run(now, this, egress, transport, out),
            };
            sink.count_sent(&before);
            if path.program.is_transcoding() {
                sink.begin_reports(now);
                // A party hears nothing of those who listen: its reports are its partner's matter.
                if path.role == Role::Partner {
                    self.sections[position].begin_reports(now);
                }
            }
            if let Some(chain) = chain {
                path.transcodes = Some(chain);
                Transcoded::note(&mut self.transcoded, chain, payload_len, lasts);
            } else if codec.is_speech() {
                path.transcodes = None;
            }
            if let Err(reason) = result {
                self.sections[position].count_drop(reason);
            }
        }
        if let Some(packet) = packet {
            if count == 0 {
                self.sections[position].count_drop(DropReason::NotWanted);
            }
            out.recycle(packet);
        }
        self.sections[position].paths = paths;
    }

    /// Time has passed for those who are transcoded: what waited for late packets does so no longer.
    pub(super) fn release_late(&mut self, now: Instant, position: usize, out: &mut Outbox) {
        let due = |path: &Path| path.program.poll_timeout().is_some_and(|at| at <= now);
        if !self.sections[position].paths.iter().any(due) {
            return;
        }
        let mut paths = std::mem::take(&mut self.sections[position].paths);
        for path in &mut paths {
            if let Some((sink, carrier)) = self.sink(path.to) {
                let before = sink.egress.stats();
                let transport = match carrier {
                    Some(carrier) => &mut carrier.rtp,
                    None => &mut sink.rtp,
                };
                let egress = &mut sink.egress;
                path.program.handle_timeout(now, egress, transport, out);
                sink.count_sent(&before);
            }
        }
        self.sections[position].paths = paths;
    }
}

/// Makes silence of speech. What is no speech passes; speech of which no silence can be made does not: `false`.
fn silenced(packet: &mut PacketBuf, header: &RtpHeader, codec: Codec) -> bool {
    if !codec.is_speech() {
        return true;
    }
    let Some(payload) = header.payload_range(packet) else {
        return false;
    };
    let start = payload.start;
    let Some(len) = codec.silence_over(&mut packet[payload]) else {
        return false;
    };
    packet.truncate(start + len);
    if let Some(mut fields) = RtpHeaderMut::new(packet) {
        fields.clear_padding();
    }
    true
}
