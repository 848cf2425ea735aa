//! The stage of a path that makes speech of one codec into speech of another.
//!
//! The codec objects are made when the first packet needs them: most paths could transcode and never do.

use std::time::{Duration, Instant};

use relay_media::{
    AudioFormat, Codec, Coded, EncoderSettings, Heard, KeyPacket, Refusal, Sound, TelephoneEvent,
    Transcoder,
};
use relay_packet::{DropReason, Outbox, PacketBuf};
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use super::{Format, ForwardPath, Frame};
use crate::egress::{Egress, MediaSink};

/// How speech is encoded for a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub settings: EncoderSettings,
    pub packet_time: Duration,
    /// Speech is decoded and encoded even where it could pass (`force-transcoding`).
    pub always: bool,
}

impl Default for Coding {
    fn default() -> Self {
        Self {
            settings: EncoderSettings::default(),
            packet_time: Duration::from_millis(20),
            always: false,
        }
    }
}

/// What speech is made into, and by what.
#[derive(Debug)]
pub(super) struct Transcoding {
    payload_type: PayloadType,
    target: AudioFormat,
    /// The receiver's number for comfort noise, if it is to be told of pauses.
    noise: Option<PayloadType>,
    coding: Coding,
    /// Per cent of what the receiver is sent that get lost, by its own reports.
    loss: u8,
    transcoder: Option<Box<Transcoder>>,
    /// The sender that is transcoded.
    source: Option<Ssrc>,
}

impl Transcoding {
    pub(super) fn new(format: &Format, noise: Option<PayloadType>, coding: &Coding) -> Self {
        Self {
            payload_type: format.payload_type,
            target: format.audio(),
            noise,
            coding: *coding,
            loss: 0,
            transcoder: None,
            source: None,
        }
    }

    /// What speech is made into.
    pub(super) fn target(&self) -> AudioFormat {
        self.target
    }

    /// The transcoder, made for what comes first.
    fn transcoder(&mut self, from: AudioFormat) -> Option<&mut Transcoder> {
        if self.transcoder.is_none() {
            let packet_time = self.coding.packet_time.as_millis();
            let packet_time_ms = u32::try_from(packet_time).unwrap_or(20);
            let settings = &self.coding.settings;
            let mut made = Transcoder::new(from, self.target, packet_time_ms, settings).ok()?;
            made.expect_loss(self.loss);
            if self.noise.is_some() {
                made.describe_pauses();
            }
            self.transcoder = Some(Box::new(made));
        }
        self.transcoder.as_deref_mut()
    }
}

/// Writes the packets of a transcoder and hands them to the egress.
struct Writer<'a, S> {
    now: Instant,
    payload_type: PayloadType,
    noise: Option<PayloadType>,
    codec: Codec,
    clock_hz: u32,
    ssrc: Ssrc,
    next: &'a mut u16,
    egress: &'a mut Egress,
    sink: &'a mut S,
    out: &'a mut Outbox,
    result: Result<(), DropReason>,
}

impl<S: MediaSink> Writer<'_, S> {
    fn write(&mut self, coded: Coded<'_>) {
        let noise = self.noise.filter(|_| coded.noise);
        let mut header = RtpHeader::new(
            noise.unwrap_or(self.payload_type),
            SequenceNumber(*self.next),
            RtpTimestamp(coded.timestamp),
            self.ssrc,
        );
        header.marker = coded.marker;
        *self.next = self.next.wrapping_add(1);
        let frame = Frame {
            codec: noise.map_or(self.codec, |_| Codec::ComfortNoise),
            clock_hz: self.clock_hz,
            duration: coded.duration,
            silent: noise.is_some() || self.codec.is_silence(coded.payload),
        };
        let mut packet = self.out.take();
        let sent = if header.write(coded.payload, &mut packet) {
            self.egress
                .push(self.now, packet, frame, self.sink, self.out)
        } else {
            self.out.recycle(packet);
            Err(DropReason::Malformed)
        };
        if self.result.is_ok() {
            self.result = sent;
        }
    }
}

impl ForwardPath {
    /// Whether speech has been transcoded here.
    pub fn is_transcoding(&self) -> bool {
        self.transcoding
            .as_ref()
            .is_some_and(|t| t.transcoder.is_some())
    }

    /// The receiver loses so many per cent of what it is sent.
    pub fn expect_loss(&mut self, percent: u8) {
        let Some(transcoding) = &mut self.transcoding else {
            return;
        };
        // One good report does not end a bad time.
        let mean = transcoding.loss.midpoint(percent);
        transcoding.loss = percent.max(mean);
        if let Some(transcoder) = &mut transcoding.transcoder {
            transcoder.expect_loss(transcoding.loss);
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let transcoding = self.transcoding.as_ref()?;
        transcoding.transcoder.as_ref()?.poll_timeout()
    }

    /// Time has passed: what waited for late packets does so no longer.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) {
        // What could not be sent was counted where it came in.
        let _ = self.with_transcoder(now, None, egress, sink, out, |transcoder, emit| {
            transcoder.handle_timeout(now, emit);
            Ok(())
        });
    }

    /// A packet of the sender goes another way, or none: it is not missing among those that are transcoded.
    pub fn pass_over(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) {
        let source = Some(header.ssrc);
        let _ = self.with_transcoder(now, source, egress, sink, out, |transcoder, emit| {
            transcoder.pass(now, header.sequence.0, emit);
            Ok(())
        });
    }

    /// Makes a packet of speech into packets that the receiver understands.
    pub(super) fn transcode(
        &mut self,
        now: Instant,
        packet: PacketBuf,
        format: AudioFormat,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let parsed = RtpHeader::parse(&packet)
            .and_then(|header| header.payload_range(&packet).map(|range| (header, range)));
        let result = match parsed {
            None => Err(DropReason::Malformed),
            Some((header, range)) => {
                self.next.get_or_insert(header.sequence.0);
                let transcoding = self.transcoding.as_mut();
                let ready = transcoding.and_then(|t| t.transcoder(format)).is_some();
                let heard = Heard {
                    sequence: header.sequence.0,
                    timestamp: header.timestamp.0,
                    format,
                    payload: &packet[range],
                };
                let source = Some(header.ssrc);
                let push = |transcoder: &mut Transcoder, emit: &mut dyn FnMut(Coded<'_>)| {
                    transcoder.push(now, heard, emit)
                };
                if ready {
                    self.with_transcoder(now, source, egress, sink, out, push)
                } else {
                    Err(DropReason::NotWanted)
                }
            }
        };
        out.recycle(packet);
        result
    }

    /// Whether sounds of ours can be put into what the receiver hears.
    pub fn can_sound(&self) -> bool {
        self.transcoding.is_some()
    }

    /// Makes a packet of a telephone-event, counted in this clock, into the sound of its key, for a receiver who knows no events;
    /// or into another sound, which is to be heard in its place.
    ///
    /// # Errors
    /// Why nothing was sent.
    #[expect(
        clippy::too_many_arguments,
        reason = "where it goes, as for every packet"
    )]
    pub fn sound(
        &mut self,
        now: Instant,
        packet: PacketBuf,
        clock_hz: u32,
        disguise: Option<Sound>,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let parsed = RtpHeader::parse(&packet).and_then(|header| {
            let event = TelephoneEvent::parse(header.payload(&packet)?)?;
            Some((header, event))
        });
        out.recycle(packet);
        let (header, event) = parsed.ok_or(DropReason::Malformed)?;
        if event.digit().is_none() {
            return Err(DropReason::NotWanted);
        }
        self.next.get_or_insert(header.sequence.0);
        let transcoding = self.transcoding.as_mut();
        // Where speech passes as it is, what encodes sounds begins with the first of them.
        let ready = transcoding.and_then(|t| t.transcoder(t.target));
        if ready.is_none() {
            return Err(DropReason::NotWanted);
        }
        let pressed = KeyPacket {
            sequence: header.sequence.0,
            timestamp: header.timestamp.0,
            event,
            clock_hz,
            disguise,
        };
        let source = Some(header.ssrc);
        self.with_transcoder(now, source, egress, sink, out, |transcoder, emit| {
            transcoder.press(now, pressed, emit)
        })
    }

    /// Takes a packet of comfort noise (RFC 3389), for a receiver who knows none.
    pub(super) fn rest(
        &mut self,
        now: Instant,
        packet: PacketBuf,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let parsed = RtpHeader::parse(&packet)
            .and_then(|header| header.payload_range(&packet).map(|range| (header, range)));
        let result = match parsed {
            None => Err(DropReason::Malformed),
            // Where speech passes as it is, and before there was any, nobody waits for noise.
            Some(_) if !self.is_transcoding() => Err(DropReason::NotWanted),
            Some((header, range)) => {
                let source = Some(header.ssrc);
                let payload = &packet[range];
                self.with_transcoder(now, source, egress, sink, out, |transcoder, emit| {
                    transcoder.rest(now, header.sequence.0, payload, emit)
                })
            }
        };
        out.recycle(packet);
        result
    }

    /// Has the transcoder, if there is one, do something, and sends what it makes.
    fn with_transcoder(
        &mut self,
        now: Instant,
        source: Option<Ssrc>,
        egress: &mut Egress,
        sink: &mut impl MediaSink,
        out: &mut Outbox,
        act: impl FnOnce(&mut Transcoder, &mut dyn FnMut(Coded<'_>)) -> Result<(), Refusal>,
    ) -> Result<(), DropReason> {
        let (Some(transcoding), Some(next)) = (&mut self.transcoding, &mut self.next) else {
            return Ok(());
        };
        let Some(transcoder) = &mut transcoding.transcoder else {
            return Ok(());
        };
        if source.is_some() && source != transcoding.source {
            if transcoding.source.is_some() {
                transcoder.restart();
            }
            transcoding.source = source;
        }
        let mut writer = Writer {
            now,
            payload_type: transcoding.payload_type,
            noise: transcoding.noise,
            codec: transcoding.target.codec,
            clock_hz: transcoding.target.clock_hz,
            ssrc: transcoding.source.unwrap_or(Ssrc(0)),
            next,
            egress,
            sink,
            out,
            result: Ok(()),
        };
        let acted = act(transcoder, &mut |coded| writer.write(coded));
        match acted {
            Ok(()) => writer.result,
            Err(refusal) => Err(reason(refusal)),
        }
    }
}

/// As what a packet counts that a transcoder refused.
pub(super) fn reason(refusal: Refusal) -> DropReason {
    match refusal {
        Refusal::TooLate => DropReason::TooLate,
        Refusal::Invalid => DropReason::Malformed,
    }
}
