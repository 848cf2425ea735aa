//! The sending side of one media section: one synchronisation source for the life of the call, whatever feeds it.
//!
//! ```text
//!   paths ──► gate (closed until `answer`) ──► hold (until there are keys) ──► continuity ──► MediaSink
//!   nobody speaks ───────────────────────────► silence ─────────────────────────┘
//! ```
//!
//! Towards WhatsApp these are duties: no media before the call is answered, the first packet from us, never a pause, one
//! SSRC whatever the PBX does (docs/whatsapp.md). Towards a plain RTP phone the same object passes packets unchanged.
//! It knows no codec negotiation and no keys: [`MediaSink`] says whether it can be written to.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use relay_media::Codec;
use relay_packet::{DropReason, Outbox, PacketBuf};
use relay_transport::MediaTransport;
use relay_transport::rtp::{
    ExtendedSequence, PayloadType, RtpHeader, RtpHeaderMut, RtpTimestamp, SequenceNumber, Ssrc,
};

use crate::path::{Format, Frame};

mod continuity;
mod hold;
mod snapshot;
mod tone;

pub use continuity::Translation;
use continuity::{Continuity, Numbers};
use hold::{Held, Hold};
pub use snapshot::EgressProgress;
pub use tone::{Form, Tone};
use tone::{Piece, STEP, Tones};

/// What was said just before the answer reached us belongs to the call; what was said earlier was ringing.
const BEFORE_ANSWER: Duration = Duration::from_millis(250);
/// A source that has been silent this long is filled in for. Jitter stays below it, and the far end counts tens of seconds.
const FILL_AFTER: Duration = Duration::from_millis(100);
/// A peer that may lack the keys is sent silence this long at most, and then what was held: time enough for our last DTLS flight
/// to be repeated after 50, 100 and 200 ms.
const CONFIRMATION: Duration = Duration::from_millis(400);
/// The packet time of silence.
const FILL_PACKET_TIME: Duration = Duration::from_millis(20);

/// Where an egress writes to.
pub trait MediaSink {
    /// Whether a packet would leave: keys where they are required, and a destination.
    fn is_writable(&self) -> bool;
    /// Whether the far end surely has the keys to understand what is written.
    fn is_confirmed(&self) -> bool;
    /// Protects and sends an RTP packet.
    ///
    /// # Errors
    /// Why it did not leave; its buffer went back to `out`.
    fn send_rtp(&mut self, packet: PacketBuf, out: &mut Outbox) -> Result<(), DropReason>;
}

impl MediaSink for MediaTransport {
    fn is_writable(&self) -> bool {
        MediaTransport::is_writable(self)
    }

    fn is_confirmed(&self) -> bool {
        MediaTransport::is_confirmed(self)
    }

    fn send_rtp(&mut self, packet: PacketBuf, out: &mut Outbox) -> Result<(), DropReason> {
        MediaTransport::send_rtp(self, packet, out)
    }
}

/// How an egress treats its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// One SSRC of ours from the first packet to the last: audio towards a leg that must never see a change.
    Ours {
        /// The SSRC that our SDP announced, if it announced one.
        announced: Option<Ssrc>,
    },
    /// The numbers of the first source, kept when later sources take over: audio towards a plain leg.
    Adopted,
    /// Every packet as it came, several SSRCs at once: video and everything else that is not audio.
    Transparent,
}

/// How an egress is set up; it does not change while the call lasts.
#[derive(Clone, Copy, Debug)]
pub struct EgressConfig {
    pub stream: Stream,
    /// The newest audio kept while there are no keys. Zero drops it.
    pub hold: Duration,
    /// Send silence when nobody speaks, and the first packet without waiting for anybody.
    pub fill: bool,
}

/// What an egress has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct EgressStats {
    /// Packets sent, our own included.
    pub packets: u64,
    /// Octets of RTP payload sent, our own included (RFC 3550 §6.4.1 "sender's octet count").
    pub octets: u64,
    /// Octets of whole RTP packets sent, before encryption.
    pub bytes: u64,
    /// Number and timestamp of the last packet.
    pub last: Option<(ExtendedSequence, RtpTimestamp)>,
    /// Packets of silence among them.
    pub filled: u64,
    /// Audio that was held and thrown away because the hold was full.
    pub clipped: Duration,
    /// When the gate opened.
    pub opened_at: Option<Instant>,
    /// When the first packet left.
    pub first_sent_at: Option<Instant>,
}

/// The sending side of one media section.
#[derive(Debug)]
pub struct Egress {
    config: EgressConfig,
    continuity: Continuity,
    hold: Hold,
    /// The format that silence is sent in.
    format: Option<Format>,
    wanted: bool,
    open: bool,
    fill_at: Option<Instant>,
    /// When silence last stood in for a packet.
    covered_at: Option<Instant>,
    /// When words leave even to a peer that may lack the keys.
    speak_at: Option<Instant>,
    tones: Tones,
    /// A recording has the place of whoever feeds the stream.
    playing: bool,
    stats: EgressStats,
    silence: Vec<u8>,
}

impl Egress {
    /// An egress with a closed gate.
    pub fn new(config: EgressConfig, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let (announced, adopt) = match config.stream {
            Stream::Ours { announced } => (announced, false),
            Stream::Adopted | Stream::Transparent => (None, true),
        };
        let ssrc = announced.unwrap_or(Ssrc(random.next_u32()));
        // RFC 3550 §5.1: random first numbers. The upper half is avoided so that no early packet sees the sequence wrap,
        // where a receiver that joins late could guess the SRTP rollover counter wrong (RFC 3711 §3.3.1).
        let sequence = SequenceNumber((random.next_u32() & 0x7fff) as u16);
        let timestamp = RtpTimestamp(random.next_u32());
        Self {
            config,
            continuity: Continuity::new(ssrc, sequence, timestamp, adopt),
            hold: Hold::new(config.hold),
            format: None,
            wanted: true,
            open: false,
            fill_at: None,
            covered_at: None,
            speak_at: None,
            tones: Tones::default(),
            playing: false,
            stats: EgressStats::default(),
            silence: Vec::new(),
        }
    }

    /// The speech format that was negotiated with the receiver; silence is sent in it.
    pub fn set_format(&mut self, format: Option<Format>) {
        self.format = format;
    }

    /// Whether the receiver wants media at all (its direction attribute, a block by the controller).
    pub fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// The call was answered: from now on media may leave.
    pub fn open_gate(&mut self, now: Instant, out: &mut Outbox) {
        if self.open {
            return;
        }
        self.open = true;
        self.stats.opened_at = Some(now);
        self.hold.begin(now, BEFORE_ANSWER, out);
    }

    /// Whether the gate is open.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The SSRC under which the receiver knows this stream.
    pub fn ssrc(&self) -> Ssrc {
        self.continuity.ssrc()
    }

    /// How the numbers of the present source become ours; RTCP is translated by it. `None` while nobody feeds the stream,
    /// and for a transparent one, whose RTCP passes as it is.
    pub fn translation(&self) -> Option<Translation> {
        match self.config.stream {
            Stream::Transparent => None,
            Stream::Ours { .. } | Stream::Adopted => self.continuity.translation(),
        }
    }

    /// How the numbers of the present source become ours, if its packets need nothing else now: none of ours come between, and
    /// none is due.
    pub fn plain_translation(&self) -> Option<Translation> {
        let passes = self.config.stream == Stream::Adopted && self.open && self.wanted;
        let adds = self.playing || self.config.fill || !self.tones.is_empty();
        if !passes || adds || !self.hold.is_empty() {
            return None;
        }
        self.continuity.steady()
    }

    /// Somebody else has passed on so many packets of the source, and octets of their payload, as [`Self::plain_translation`]
    /// says; the last one, at `at`, had these numbers at the source.
    pub fn passed_elsewhere(
        &mut self,
        at: Instant,
        (packets, octets): (u64, u64),
        (sequence, timestamp): (SequenceNumber, RtpTimestamp),
    ) {
        /// RFC 3550 §5.1: without contributing sources and extension.
        const HEADER: u64 = 12;
        let Some(numbers) = self.continuity.passed_elsewhere(at, sequence, timestamp) else {
            return;
        };
        self.stats.packets += packets;
        self.stats.octets += octets;
        self.stats.bytes += octets + packets * HEADER;
        if let Some((last, _)) = self.stats.last {
            self.stats.last = Some((last.nearest(numbers.sequence), numbers.timestamp));
        }
    }

    /// What feeds this stream begins to count anew: a path was compiled anew that numbers its packets itself.
    pub fn forget_source(&mut self) {
        self.continuity.forget_source();
    }

    /// Whether RTCP passes untranslated.
    pub fn is_transparent(&self) -> bool {
        self.config.stream == Stream::Transparent
    }

    /// The RTP timestamp that stands for `now`, for a sender report. `None` before the first packet.
    pub fn timestamp_at(&self, now: Instant) -> Option<RtpTimestamp> {
        self.continuity.timestamp_at(now, self.clock_hz())
    }

    /// What this egress has done so far.
    pub fn stats(&self) -> EgressStats {
        EgressStats {
            clipped: self.hold.clipped(),
            ..self.stats
        }
    }

    /// How much audio is behind: held now and not sent yet.
    pub fn waiting(&self) -> Duration {
        self.hold.waiting()
    }

    /// Takes a packet from a path: sends it, or holds it.
    ///
    /// # Errors
    /// Why the packet, or an older one in its place, will never be sent.
    pub fn push(
        &mut self,
        now: Instant,
        packet: PacketBuf,
        frame: Frame,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        if !self.wanted {
            out.recycle(packet);
            return Err(DropReason::NotWanted);
        }
        if self.tones.is_playing() || (self.playing && frame.codec != Codec::TelephoneEvent) {
            // An event takes the place of what is said meanwhile, and so does a recording.
            out.recycle(packet);
            return Ok(());
        }
        let writable = self.open && sink.is_writable();
        if self.config.stream == Stream::Transparent || self.config.hold.is_zero() {
            if writable {
                return self.send_from_source(now, now, packet, &frame, sink, out);
            }
            out.recycle(packet);
            return Err(if self.open {
                DropReason::SrtpNoKeys
            } else {
                DropReason::GateClosed
            });
        }
        if writable && self.hold.is_empty() && self.may_speak(now, sink) {
            return self.send_from_source(now, now, packet, &frame, sink, out);
        }
        let held = Held {
            arrived: now,
            packet,
            frame,
        };
        let overflowed = self.hold.push(held, out);
        self.handle_timeout(now, sink, out);
        if overflowed && self.open {
            Err(DropReason::HoldOverflow)
        } else {
            Ok(())
        }
    }

    /// Sends what is due: held audio, then silence. Call it also after anything that may have made the sink writable.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut impl MediaSink, out: &mut Outbox) {
        if !self.open || !sink.is_writable() || self.config.stream == Stream::Transparent {
            return;
        }
        self.speak_at.get_or_insert(now + CONFIRMATION);
        if self.wanted && self.play(now, sink, out) {
            return;
        }
        if !self.may_speak(now, sink) {
            self.fill(now, sink, out);
            return;
        }
        if self.playing {
            while let Some(held) = self.hold.skip() {
                out.recycle(held.packet);
            }
            self.fill_at = None;
            return;
        }
        self.work_off(now, sink, out);
        if self.hold.is_empty() {
            self.hold.idle();
            self.fill(now, sink, out);
        }
    }

    /// When [`Self::handle_timeout`] is due next. While the sink is not writable nothing is: its events come first.
    pub fn poll_timeout(&self, sink: &impl MediaSink) -> Option<Instant> {
        if !self.open || !sink.is_writable() {
            return None;
        }
        let own = self.hold.due().filter(|_| !self.playing).or(self.fill_at);
        match self.tones.due().filter(|_| self.wanted) {
            Some(at) if self.tones.is_playing() => Some(at),
            tone => [tone, own].into_iter().flatten().min(),
        }
    }

    /// The speech format that was negotiated with the receiver.
    pub fn format(&self) -> Option<&Format> {
        self.format.as_ref()
    }

    /// Whether a recording is heard in place of whoever feeds the stream.
    pub fn is_playing(&self) -> bool {
        self.playing
    }

    /// From now on [`Self::play_recorded`] feeds the stream, and nobody else.
    pub fn begin_playing(&mut self) {
        self.playing = true;
    }

    /// The recording is over. Whoever fed the stream does so again; silence follows at `next` until then.
    pub fn end_playing(&mut self, next: Instant) {
        self.playing = false;
        self.fill_at = self.config.fill.then_some(next);
    }

    /// Whether what is played now is heard: nothing of a recording should be lost because keys are still missing.
    pub fn may_play(&self, now: Instant, sink: &impl MediaSink) -> bool {
        self.open && sink.is_writable() && self.may_speak(now, sink)
    }

    /// Sends the packet of a recording that is due at `due`.
    pub fn play_recorded(
        &mut self,
        due: Instant,
        payload: &[u8],
        duration: Duration,
        starts: bool,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) {
        let Some(format) = self.format.as_ref().filter(|_| self.wanted) else {
            return;
        };
        if self.tones.is_playing() {
            return;
        }
        let frame = Frame {
            codec: format.codec(),
            clock_hz: format.clock_hz,
            duration,
            silent: false,
        };
        // Its own clock paces it: a late wake-up of ours does not show in the timestamps.
        let mut numbers = self.continuity.next_own(due, &frame);
        numbers.marker |= starts;
        let payload_type = format.payload_type;
        if self.send_own(due, payload_type, &numbers, payload, sink, out) {
            self.fill_at = None;
        }
    }

    /// Sends a packet of our own; whether it left.
    fn send_own(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        numbers: &Numbers,
        payload: &[u8],
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> bool {
        let mut header = RtpHeader::new(
            payload_type,
            numbers.sequence,
            numbers.timestamp,
            self.continuity.ssrc(),
        );
        header.marker = numbers.marker;
        let mut packet = out.take();
        if !header.write(payload, &mut packet) {
            out.recycle(packet);
            return false;
        }
        let sent = sink.send_rtp(packet, out).is_ok();
        if sent {
            self.continuity.sent(now, numbers);
            self.count(now, &header, payload.len());
        }
        sent
    }

    /// Sends a key or a tone as soon as those before it are over. The stream must have begun.
    pub fn inject(&mut self, tone: Tone) {
        if self.config.stream != Stream::Transparent {
            self.tones.push(tone);
        }
    }

    /// The key or tone that was injected last ends now, however long it was to be.
    pub fn release(&mut self) {
        self.tones.release();
    }

    /// Sends the packet of a key or tone that is due; whether one is in progress.
    fn play(&mut self, now: Instant, sink: &mut impl MediaSink, out: &mut Outbox) -> bool {
        let mut tones = std::mem::take(&mut self.tones);
        let Some(piece) = tones.next(now, self.format.as_ref()) else {
            self.tones = tones;
            return self.tones.is_playing();
        };
        let clock_hz = self.clock_hz();
        let own = |codec, duration| Frame {
            codec,
            clock_hz,
            duration,
            silent: false,
        };
        let started = match piece {
            Piece::Event {
                payload_type,
                payload,
                timestamp,
            } => {
                let numbers = match timestamp {
                    Some(timestamp) => self.continuity.next_at(timestamp),
                    None => {
                        let frame = own(Codec::TelephoneEvent, STEP);
                        let mut first = self.continuity.next_own(now, &frame);
                        first.marker = true;
                        first
                    }
                };
                self.send_own(now, payload_type, &numbers, &payload, sink, out);
                Some(numbers.timestamp)
            }
            Piece::Sound {
                payload,
                due,
                duration,
                starts,
            } => {
                if let Some(format) = &self.format {
                    let payload_type = format.payload_type;
                    let frame = own(format.codec(), duration);
                    // Its own clock paces it: a late wake-up of ours does not show in the timestamps.
                    let mut numbers = self.continuity.next_own(due, &frame);
                    numbers.marker |= starts;
                    self.send_own(due, payload_type, &numbers, payload, sink, out);
                }
                None
            }
        };
        if let Some(timestamp) = started {
            tones.started(timestamp);
        }
        self.tones = tones;
        self.fill_at = self.config.fill.then_some(now + FILL_AFTER);
        true
    }

    /// Words wait until the peer surely has the keys; silence, which costs nothing, finds that out.
    fn may_speak(&self, now: Instant, sink: &impl MediaSink) -> bool {
        let can_probe = self.config.fill
            && self
                .format
                .as_ref()
                .is_some_and(|format| format.codec().has_silence());
        !can_probe || sink.is_confirmed() || self.speak_at.is_some_and(|at| now >= at)
    }

    fn work_off(&mut self, now: Instant, sink: &mut impl MediaSink, out: &mut Outbox) {
        // Silence is closed over only once a source has numbers; before that it is the first packet.
        while self.hold.next_is_spare() && self.continuity.translation().is_some() {
            if let Some(spare) = self.hold.skip() {
                self.continuity.close_gap(&spare.frame);
                out.recycle(spare.packet);
            }
        }
        while let Some(held) = self.hold.pop(now) {
            // A failure is counted by the sink; the packets behind it are newer and get their own chance.
            let _counted =
                self.send_from_source(now, held.arrived, held.packet, &held.frame, sink, out);
        }
    }

    fn fill(&mut self, now: Instant, sink: &mut impl MediaSink, out: &mut Outbox) {
        let Some(format) = self
            .format
            .as_ref()
            .filter(|_| self.config.fill && self.wanted)
        else {
            self.fill_at = None;
            return;
        };
        let due = self.fill_at.unwrap_or(now);
        if now < due {
            self.fill_at = Some(due);
            return;
        }
        if !format.codec().has_silence() {
            self.fill_at = None;
            return;
        }
        self.send_silence(now, sink, out);
        // The schedule is kept, not the time of this call, so that 50 packets a second stay 50; after a long sleep it starts over.
        let next = due + FILL_PACKET_TIME;
        self.fill_at = Some(if next <= now {
            now + FILL_PACKET_TIME
        } else {
            next
        });
    }

    /// Sends silence in place of a packet that the listener must not get, so that its stream goes on.
    pub fn cover(&mut self, now: Instant, sink: &mut impl MediaSink, out: &mut Outbox) {
        let due = self
            .covered_at
            .is_none_or(|at| now.saturating_duration_since(at) >= FILL_PACKET_TIME * 3 / 4);
        if self.playing
            || !due
            || !self.open
            || !self.wanted
            || !sink.is_writable()
            || !self.hold.is_empty()
        {
            return;
        }
        self.covered_at = Some(now);
        self.send_silence(now, sink, out);
        if self.config.fill {
            self.fill_at = Some(now + FILL_AFTER);
        }
    }

    fn send_silence(&mut self, now: Instant, sink: &mut impl MediaSink, out: &mut Outbox) {
        let Some(format) = &self.format else {
            return;
        };
        let codec = format.codec();
        self.silence.clear();
        if !codec.silence(FILL_PACKET_TIME, &mut self.silence) {
            return;
        }
        let frame = Frame {
            codec,
            clock_hz: format.clock_hz,
            duration: FILL_PACKET_TIME,
            silent: true,
        };
        let payload_type = format.payload_type;
        let numbers = self.continuity.next_own(now, &frame);
        let silence = std::mem::take(&mut self.silence);
        if self.send_own(now, payload_type, &numbers, &silence, sink, out) {
            self.stats.filled += 1;
        }
        self.silence = silence;
    }

    fn send_from_source(
        &mut self,
        now: Instant,
        arrived: Instant,
        mut packet: PacketBuf,
        frame: &Frame,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let Some(mut header) = RtpHeader::parse(&packet) else {
            out.recycle(packet);
            return Err(DropReason::Malformed);
        };
        let payload_len = packet.len() - header.header_len();
        if self.config.stream == Stream::Transparent {
            sink.send_rtp(packet, out)?;
            self.count(now, &header, payload_len);
            return Ok(());
        }
        let numbers = match self.continuity.map(arrived, &header, frame) {
            Ok(numbers) => numbers,
            Err(reason) => {
                out.recycle(packet);
                return Err(reason);
            }
        };
        if let Some(mut fields) = RtpHeaderMut::new(&mut packet) {
            fields.set_ssrc(self.continuity.ssrc());
            fields.set_sequence(numbers.sequence);
            fields.set_timestamp(numbers.timestamp);
            fields.set_marker(numbers.marker);
        }
        sink.send_rtp(packet, out)?;
        self.continuity.sent(now, &numbers);
        header.sequence = numbers.sequence;
        header.timestamp = numbers.timestamp;
        self.count(now, &header, payload_len);
        self.fill_at = self
            .config
            .fill
            .then_some(now + FILL_AFTER.max(frame.duration * 3));
        Ok(())
    }

    /// A packet has left.
    fn count(&mut self, now: Instant, header: &RtpHeader, payload_len: usize) {
        self.stats.packets += 1;
        self.stats.bytes += (header.header_len() + payload_len) as u64;
        self.stats.octets += payload_len as u64;
        let sequence = match self.stats.last {
            Some((last, _)) => last.nearest(header.sequence),
            None => ExtendedSequence::first(header.sequence),
        };
        self.stats.last = Some((sequence, header.timestamp));
        self.stats.first_sent_at.get_or_insert(now);
    }

    fn clock_hz(&self) -> u32 {
        self.format.as_ref().map_or(8_000, |format| format.clock_hz)
    }
}

#[cfg(test)]
mod tests;
