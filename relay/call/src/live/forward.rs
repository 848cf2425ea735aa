//! A datagram's way: to its transport, along the paths of its section, out through the egresses of those who hear it.

use std::time::{Duration, Instant};

use relay_media::{Codec, KeyHeard, TelephoneEvent};
use relay_packet::{DropReason, Outbox, PacketBuf, Received};
use relay_transport::Incoming;
use relay_transport::ice::Component;
use relay_transport::rtp::{RtpHeader, RtpHeaderMut};

use super::tape::Entry;
use super::{Live, Path, Pressed};
use crate::egress::Tone;
use crate::path::Format;
use crate::restriction::{Events, Restriction};

/// A key in speech that is never released (somebody plays a steady tone) is an event of this length.
const LONGEST_KEY: Duration = Duration::from_secs(5);
/// What a key in speech is said to be as loud as: nobody told how loud it was when pressed.
const USUAL_VOLUME: u8 = 10;

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
        let Some(&(position, component)) = self.sockets.get(&received.socket) else {
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
        self.judge_reception(now, position, header.ssrc);
        if self.drop_traffic {
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
            if let Some(treatment) = withheld(path, codec) {
                if let Some((sink, carrier)) = self.sink(path.to) {
                    let transport = carrier.map_or(&mut sink.rtp, |carrier| &mut carrier.rtp);
                    let egress = &mut sink.egress;
                    path.program.pass_over(now, &header, egress, transport, out);
                }
                self.withhold(now, position, path.to, treatment, out);
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
            if path.restriction.silenced
                && !sink.egress.is_transparent()
                && !silenced(&mut this, &header, codec)
            {
                out.recycle(this);
                self.sections[position].count_drop(DropReason::NotWanted);
                continue;
            }
            let before = sink.egress.stats();
            let transport = match carrier {
                Some(carrier) => &mut carrier.rtp,
                None => &mut sink.rtp,
            };
            let result = path
                .program
                .run(now, this, &mut sink.egress, transport, out);
            sink.count_sent(&before);
            if path.program.is_transcoding() {
                sink.begin_reports(now);
                self.sections[position].begin_reports(now);
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

    /// Keys that were found in speech become events for the listener, and are told of as events are.
    fn pass_keys(
        &mut self,
        now: Instant,
        speaker: usize,
        path: &Path,
        keys: &[KeyHeard],
        out: &mut Outbox,
    ) {
        for key in keys {
            if let KeyHeard::Up { event, duration } = *key {
                let pressed = Pressed {
                    event,
                    duration_ms: u32::try_from(duration.as_millis()).unwrap_or(u32::MAX),
                    volume: USUAL_VOLUME,
                };
                // Several may listen, and each finds the same key.
                let told = &mut self.sections[speaker].pressed;
                if told.last() != Some(&pressed) {
                    told.push(pressed);
                }
            }
            let format = path.plan.event_format();
            let passes = path.restriction.events == Events::Pass && !path.restriction.silenced;
            let Some(format) = format.filter(|_| passes) else {
                continue;
            };
            let Some((sink, carrier)) = self.sink(path.to) else {
                continue;
            };
            match *key {
                KeyHeard::Up { .. } => sink.egress.release(),
                KeyHeard::Down { event, volume } if sink.egress.stats().packets > 0 => {
                    sink.egress.inject(Tone {
                        event,
                        volume,
                        duration: LONGEST_KEY,
                        pause: Duration::ZERO,
                        payload_type: format.payload_type,
                        clock_hz: format.clock_hz,
                    });
                    let before = sink.egress.stats();
                    let transport = carrier.map_or(&mut sink.rtp, |carrier| &mut carrier.rtp);
                    sink.egress.handle_timeout(now, transport, out);
                    sink.count_sent(&before);
                }
                KeyHeard::Down { .. } => {}
            }
        }
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

    /// Keeps a packet from a listener, who may hear silence instead.
    fn withhold(
        &mut self,
        now: Instant,
        speaker: usize,
        listener: usize,
        events: Events,
        out: &mut Outbox,
    ) {
        self.sections[speaker].count_drop(DropReason::NotWanted);
        if events != Events::Silence {
            return;
        }
        if let Some((sink, carrier)) = self.sink(listener) {
            let before = sink.egress.stats();
            let transport = match carrier {
                Some(carrier) => &mut carrier.rtp,
                None => &mut sink.rtp,
            };
            sink.egress.cover(now, transport, out);
            sink.count_sent(&before);
        }
    }
}

/// Whether a packet is kept from the listener, and what is heard in its place.
fn withheld(path: &Path, codec: Codec) -> Option<Events> {
    let Restriction {
        events, blocked, ..
    } = path.restriction;
    // Keys are not media: they have a block of their own.
    if codec == Codec::TelephoneEvent {
        return (events != Events::Pass).then_some(events);
    }
    if events != Events::Pass && path.program.hears_key() {
        return Some(events);
    }
    blocked.then_some(Events::Drop)
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
