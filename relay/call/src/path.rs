//! The forward path: what happens to a packet of one section on its way to another.
//!
//! `offer` and `answer` compile it; a packet merely runs it (docs/architecture.md, section 1).
//! A path maps payload types, scales telephone-events, and brings packets to the length the receiver asked for. Speech that the
//! receiver does not understand it transcodes (`transcoding`), and keys it makes heard, or finds in speech (`keys`). What several
//! say to one listener takes another way (`mixing`).
//! Sequence numbers, timestamps and the synchronisation source belong to [`Egress`]: they outlive the path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_media::{AudioFormat, Codec, Reframed, Repacketizer, TelephoneEvent};
use relay_packet::{DropReason, Outbox, PacketBuf};
use relay_transport::rtp::{PayloadType, RtpHeader, RtpHeaderMut, RtpTimestamp, SequenceNumber};

use crate::egress::{Egress, MediaSink};
use crate::stats::Chain;

mod disguise;
mod keys;
mod mixing;
mod transcoding;

use disguise::Disguise;
pub use disguise::Guise;
pub(crate) use disguise::disguise;
use keys::KeyListener;
pub use mixing::{MixFormats, MixInput};
pub use transcoding::Coding;
use transcoding::Transcoding;

/// One payload format of a section: a number, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub payload_type: PayloadType,
    /// The encoding name of `a=rtpmap`, as written there.
    pub encoding: Arc<str>,
    /// The clock of `a=rtpmap`, in Hz.
    pub clock_hz: u32,
    pub channels: u8,
}

impl Format {
    /// The codec behind the encoding name.
    pub fn codec(&self) -> Codec {
        Codec::from_encoding_name(&self.encoding)
    }

    /// The same for those who transcode it.
    pub fn audio(&self) -> AudioFormat {
        AudioFormat {
            codec: self.codec(),
            clock_hz: self.clock_hz,
            channels: self.channels,
        }
    }

    /// Whether two formats carry the same thing. Events match whatever their clock: their durations are scaled.
    fn carries_the_same_as(&self, other: &Self) -> bool {
        self.encoding.eq_ignore_ascii_case(&other.encoding)
            && (self.codec() == Codec::TelephoneEvent
                || (self.clock_hz == other.clock_hz && self.channels == other.channels))
    }
}

/// What a path does with payload types that were not negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Passes them unchanged, as between two ends that may know more than the relay.
    Pass,
    /// Drops them: WhatsApp gets what it negotiated and nothing else.
    Drop,
}

/// A packet after the path: what the egress must know about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub codec: Codec,
    /// The clock in which the stream of the receiver counts its timestamps, in Hz.
    pub clock_hz: u32,
    /// How long the packet lasts, where its payload says so.
    pub duration: Duration,
    /// Decodable without hearing anything (silence frames, DTX).
    pub silent: bool,
}

/// Assumed when a payload does not say how long it lasts; the packet time of nearly all voice.
const DEFAULT_PACKET_TIME: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Mapped {
    payload_type: PayloadType,
    codec: Codec,
    clock_in_hz: u32,
    clock_out_hz: u32,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Pass(Frame),
    Transcode(AudioFormat),
    /// Events counted in this clock are to be heard.
    Sound(u32),
    /// What a pause sounds like is to be heard.
    Rest,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Mapped(Mapped),
    /// Speech that the receiver gets in another codec.
    Transcoded(AudioFormat),
    /// Telephone-events, counted in this clock, for a receiver that knows none.
    Sounded(u32),
    /// Comfort noise, for a receiver that knows none.
    Noise,
    /// Negotiated with the sender, of no use to the receiver.
    NotWanted,
    Unknown,
}

/// What becomes of each payload type. A path knows a handful of the 128, so that a table of bytes leads into a short list.
#[derive(Debug)]
struct Entries {
    /// By payload type: where in the list it stands.
    places: [u8; 128],
    /// The first is that of all payload types that were not negotiated.
    list: Vec<Entry>,
}

impl Entries {
    fn with_room_for(formats: usize) -> Self {
        let mut list = Vec::with_capacity(1 + formats);
        list.push(Entry::Unknown);
        Self {
            places: [0; 128],
            list,
        }
    }

    /// Of two formats with one number the later is the one that counts.
    fn set(&mut self, payload_type: PayloadType, entry: Entry) {
        let place = &mut self.places[usize::from(payload_type.number() & 0x7f)];
        if let Some(known) = self
            .list
            .get_mut(usize::from(*place))
            .filter(|_| *place > 0)
        {
            *known = entry;
        } else if let Ok(new) = u8::try_from(self.list.len()) {
            // There are never more than 128 and the first.
            *place = new;
            self.list.push(entry);
        }
    }

    fn of(&self, payload_type: PayloadType) -> Entry {
        self.list[usize::from(self.places[usize::from(payload_type.number() & 0x7f)])]
    }
}

/// The compiled program for one direction between two sections.
#[derive(Debug)]
pub struct ForwardPath {
    entries: Entries,
    unknown: Unknown,
    /// The clock of the stream towards the receiver: that of its speech codec.
    clock_hz: u32,
    transcoding: Option<Transcoding>,
    /// Boxed: most paths listen for none.
    keys: Option<Box<KeyListener>>,
    disguise: Disguise,
    repacketizer: Option<Repacketizer>,
    reframed: Vec<Reframed>,
    /// From the first packet on that is transcoded or of another length, the path numbers its packets itself.
    next: Option<u16>,
}

impl ForwardPath {
    /// Compiles the path from what the sender may send (`received`, its numbers) to what the receiver takes (`sent`, its
    /// numbers).
    ///
    /// `packet_time` is set when the receiver wants packets of one length (`a=maxptime`). `coding` says how speech is encoded
    /// for it.
    pub fn compile(
        received: &[Format],
        sent: &[Format],
        unknown: Unknown,
        packet_time: Option<Duration>,
        coding: &Coding,
    ) -> Self {
        let speech = sent.iter().find(|format| format.codec().is_speech());
        let target = speech.filter(|format| format.audio().is_transcodable());
        // RFC 3389 §4: comfort noise is counted in the clock of the speech. A leg that must not meet a pause is sent none.
        let noise = target.and_then(|target| {
            let mut formats = sent.iter();
            let is_noise = |format: &&Format| {
                format.codec() == Codec::ComfortNoise && format.clock_hz == target.clock_hz
            };
            formats.find(is_noise).filter(|_| unknown == Unknown::Pass)
        });
        let noise = noise.map(|format| format.payload_type);
        let mut entries = Entries::with_room_for(received.len());
        for format in received {
            let recoded = coding.always && target.is_some() && format.audio().is_transcodable();
            let receivers = sent
                .iter()
                .find(|candidate| format.carries_the_same_as(candidate))
                .filter(|_| !recoded);
            let entry = match receivers {
                Some(to) => Entry::Mapped(Mapped {
                    payload_type: to.payload_type,
                    codec: format.codec(),
                    clock_in_hz: format.clock_hz,
                    clock_out_hz: to.clock_hz,
                }),
                None if target.is_some() && format.audio().is_transcodable() => {
                    Entry::Transcoded(format.audio())
                }
                None if target.is_some() && format.codec() == Codec::TelephoneEvent => {
                    Entry::Sounded(format.clock_hz)
                }
                None if target.is_some() && format.codec() == Codec::ComfortNoise => Entry::Noise,
                None => Entry::NotWanted,
            };
            entries.set(format.payload_type, entry);
        }
        let clock_hz = speech.map_or(8_000, |format| format.clock_hz);
        let repacketizer = packet_time
            .zip(speech)
            .and_then(|(target, format)| Repacketizer::new(format.codec(), clock_hz, target));
        Self {
            entries,
            unknown,
            clock_hz,
            transcoding: target.map(|format| Transcoding::new(format, noise, coding)),
            keys: None,
            disguise: Disguise::default(),
            repacketizer,
            reframed: Vec::new(),
            next: None,
        }
    }

    /// Whether the numbers of its packets are no longer the sender's.
    pub fn renumbers(&self) -> bool {
        self.next.is_some()
    }

    /// The payload types of speech, counted in this clock, that passes with nothing but another number, each with that one; none
    /// where the path does more than that, or listens to what passes.
    pub fn plain_types(&self, clock_hz: u32) -> Vec<(u8, u8)> {
        let does_more = self.repacketizer.is_some() || self.keys.is_some();
        if does_more || self.renumbers() || self.is_transcoding() {
            return Vec::new();
        }
        let types = (0..128).filter_map(PayloadType::new);
        let plain = types.filter_map(|from| match self.entries.of(from) {
            Entry::Mapped(to)
                if to.codec.is_speech()
                    && (to.clock_in_hz, to.clock_out_hz) == (clock_hz, clock_hz) =>
            {
                Some((from.number(), to.payload_type.number()))
            }
            _ => None,
        });
        plain.collect()
    }

    /// What speech with this number is made into; `None` where it passes as it is, or is no speech.
    pub fn chain_of(&self, payload_type: PayloadType) -> Option<Chain> {
        let Entry::Transcoded(from) = self.entries.of(payload_type) else {
            return None;
        };
        let to = self.transcoding.as_ref()?.target();
        Some(Chain { from, to })
    }

    /// Runs the path on an authenticated, decrypted RTP packet and hands the result to `egress`.
    ///
    /// # Errors
    /// Why the packet went nowhere; its buffer went back to `out`.
    pub fn run(
        &mut self,
        now: Instant,
        mut packet: PacketBuf,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        match self.map(&mut packet) {
            Ok(Way::Pass(frame)) => self.pass(now, packet, frame, egress, sink, out),
            Ok(Way::Transcode(format)) => self.transcode(now, packet, format, egress, sink, out),
            Ok(Way::Rest) => self.rest(now, packet, egress, sink, out),
            Ok(Way::Sound(clock_hz)) => self.sound(now, packet, clock_hz, None, egress, sink, out),
            Err(reason) => {
                out.recycle(packet);
                Err(reason)
            }
        }
    }

    /// Maps the payload type in place and scales what a telephone-event counts.
    fn map(&self, packet: &mut PacketBuf) -> Result<Way, DropReason> {
        let header = RtpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let payload = header.payload_range(packet).ok_or(DropReason::Malformed)?;
        let mapped = match self.entries.of(header.payload_type) {
            Entry::Mapped(mapped) => mapped,
            Entry::Transcoded(format) => return Ok(Way::Transcode(format)),
            Entry::Sounded(clock_hz) => return Ok(Way::Sound(clock_hz)),
            Entry::Noise => return Ok(Way::Rest),
            Entry::NotWanted => return Err(DropReason::NotWanted),
            Entry::Unknown if self.unknown == Unknown::Drop => {
                return Err(DropReason::UnknownPayloadType);
            }
            Entry::Unknown => Mapped {
                payload_type: header.payload_type,
                codec: Codec::Other,
                clock_in_hz: self.clock_hz,
                clock_out_hz: self.clock_hz,
            },
        };
        if mapped.codec == Codec::TelephoneEvent
            && mapped.clock_in_hz != mapped.clock_out_hz
            && let Some(event) = TelephoneEvent::parse(&packet[payload.clone()])
        {
            let scaled = event.rescaled(mapped.clock_in_hz, mapped.clock_out_hz);
            packet[payload.start..payload.start + 4].copy_from_slice(&scaled.to_bytes());
        }
        if let Some(mut fields) = RtpHeaderMut::new(packet) {
            fields.set_payload_type(mapped.payload_type);
        }
        let bytes = &packet[payload];
        Ok(Way::Pass(Frame {
            codec: mapped.codec,
            clock_hz: self.clock_hz,
            duration: mapped.codec.duration(bytes).unwrap_or(DEFAULT_PACKET_TIME),
            silent: mapped.codec.is_silence(bytes),
        }))
    }

    fn pass(
        &mut self,
        now: Instant,
        mut packet: PacketBuf,
        frame: Frame,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        if self.is_transcoding()
            && let Some(header) = RtpHeader::parse(&packet)
        {
            self.pass_over(now, &header, egress, sink, out);
        }
        if self.repacketizer.is_none() {
            self.number(&mut packet);
            return egress.push(now, packet, frame, sink, out);
        }
        let parsed = RtpHeader::parse(&packet)
            .and_then(|header| header.payload_range(&packet).map(|range| (header, range)));
        let Some((header, range)) = parsed else {
            out.recycle(packet);
            return Err(DropReason::Malformed);
        };
        let repacketizer = self.repacketizer.as_mut();
        let repacketizer =
            repacketizer.filter(|r| frame.codec.is_speech() && !r.passes(&packet[range.clone()]));
        let Some(repacketizer) = repacketizer else {
            self.number(&mut packet);
            return egress.push(now, packet, frame, sink, out);
        };
        self.reframed.clear();
        repacketizer.push(header.timestamp.0, &packet[range], &mut self.reframed);
        let next = self.next.get_or_insert(header.sequence.0);
        let mut result = Ok(());
        for piece in self.reframed.drain(..) {
            let piece_header = RtpHeader::new(
                header.payload_type,
                SequenceNumber(*next),
                RtpTimestamp(piece.timestamp),
                header.ssrc,
            );
            *next = next.wrapping_add(1);
            let mut buffer = out.take();
            let piece_frame = Frame {
                duration: frame
                    .codec
                    .duration(&piece.payload)
                    .unwrap_or(DEFAULT_PACKET_TIME),
                silent: frame.codec.is_silence(&piece.payload),
                ..frame
            };
            let sent = if piece_header.write(&piece.payload, &mut buffer) {
                egress.push(now, buffer, piece_frame, sink, out)
            } else {
                out.recycle(buffer);
                Err(DropReason::Malformed)
            };
            result = result.and(sent);
        }
        out.recycle(packet);
        result
    }

    /// Gives a packet the path's own number, once it has any.
    fn number(&mut self, packet: &mut PacketBuf) {
        if let (Some(next), Some(mut fields)) = (&mut self.next, RtpHeaderMut::new(packet)) {
            fields.set_sequence(SequenceNumber(*next));
            *next = next.wrapping_add(1);
        }
    }
}
