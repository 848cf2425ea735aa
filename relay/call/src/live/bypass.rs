//! Streams that may bypass the relay: what passes with nothing but other addresses and numbers, somebody else can pass on.
//!
//! Which ones those are is looked up when they are asked for, in the state that packets run through: whatever makes a packet
//! special makes its stream one that stays here. What was passed on elsewhere is noted afterwards, as if it had come by.

use std::time::Instant;

use relay_packet::{PlainStream, StreamProgress};
use relay_transport::rtp::{Continued, RtpTimestamp, SequenceNumber, Ssrc};

use super::mixing::Role;
use super::{Live, LiveSection, Path};
use crate::restriction::Restriction;
use crate::stats::Counter;

/// RFC 3550 §5.1: an RTP header without extras.
const HEADER: u64 = 12;

impl Live {
    /// The streams that need nothing else now, and how far they have come.
    pub(crate) fn plain_streams(&self) -> impl Iterator<Item = (PlainStream, StreamProgress)> + '_ {
        let is_watched = self.drop_traffic || self.recorder.files().is_some();
        let sections = self.sections.iter().filter(move |_| !is_watched);
        sections.filter_map(|live| self.plain_stream(live))
    }

    fn plain_stream(&self, live: &LiveSection) -> Option<(PlainStream, StreamProgress)> {
        let [path] = &live.paths[..] else {
            return None;
        };
        let sink = self.sections.get(path.to)?;
        if !live.speaks_plainly() || !path.is_plain() || !sink.hears_plainly() {
            return None;
        }
        let translation = sink.egress.plain_translation()?;
        let (arrives_at, source) = live.rtp.plain_source()?;
        let (leaves_from, destination) = sink.rtp.plain_destination()?;
        let known = live.ingress.source(translation.source)?;
        let continued = known.stats.continued()?;
        let clock_hz = known.stats.clock_rate();
        let payload_types = path.program.plain_types(clock_hz);
        if payload_types.is_empty() || arrives_at == leaves_from {
            return None;
        }
        let stream = PlainStream {
            source,
            arrives_at,
            leaves_from,
            destination,
            ssrc: (translation.source.0, translation.ssrc.0),
            sequence_offset: translation.sequence_offset,
            timestamp_offset: translation.timestamp_offset,
            payload_types,
            clock_hz,
            tos: None,
        };
        let progress = StreamProgress {
            packets: 0,
            octets: 0,
            skips: 0,
            sequence: continued.sequence,
            timestamp: continued.timestamp.0,
            jitter_scaled: continued.jitter_scaled,
            at: continued.at,
        };
        Some((stream, progress))
    }

    /// Such a stream has come from here to there elsewhere. Gives the position of the section that it came to.
    pub(crate) fn note_bypassed(
        &mut self,
        now: Instant,
        stream: &PlainStream,
        before: &StreamProgress,
        after: &StreamProgress,
    ) -> Option<usize> {
        let packets = after.packets.wrapping_sub(before.packets);
        let octets = after.octets.wrapping_sub(before.octets);
        if packets == 0 {
            return None;
        }
        let arrives = |live: &LiveSection| {
            let end = live.rtp.locals().iter();
            end.map(|local| local.address)
                .any(|at| at == stream.arrives_at)
        };
        let position = self.sections.iter().position(arrives)?;
        let ssrc = Ssrc(stream.ssrc.0);
        let numbers = (
            SequenceNumber(after.sequence as u16),
            RtpTimestamp(after.timestamp),
        );
        let passed = Counter {
            packets,
            bytes: octets + packets * HEADER,
            errors: 0,
        };
        let live = &mut self.sections[position];
        live.rtp.heard_elsewhere(after.at);
        live.last_rtp = live.last_rtp.max(Some(after.at));
        live.rtp_in = live.rtp_in.plus(passed);
        if let Some(source) = live.ingress.source_mut(ssrc) {
            source.bytes += passed.bytes;
            source
                .stats
                .receive_elsewhere(&continued(before), &continued(after));
        }
        let listener = live.paths.first().map(|path| path.to);
        if let Some(sink) = listener.and_then(|to| self.sections.get_mut(to)) {
            let before = sink.egress.stats();
            sink.egress
                .passed_elsewhere(after.at, (packets, octets), numbers);
            sink.count_sent(&before);
        }
        self.judge_reception(now, position, ssrc);
        Some(position)
    }
}

fn continued(progress: &StreamProgress) -> Continued {
    Continued {
        received: progress.packets,
        octets: progress.octets,
        skips: progress.skips,
        sequence: progress.sequence,
        timestamp: RtpTimestamp(progress.timestamp),
        jitter_scaled: progress.jitter_scaled,
        at: progress.at,
    }
}

impl LiveSection {
    /// Whether nobody has to look at what the party says.
    fn speaks_plainly(&self) -> bool {
        !self.secure && !self.opaque && self.shortest.is_none() && self.is_alone_on_its_port()
    }

    /// Whether nothing but what its partner says is sent to the party.
    fn hears_plainly(&self) -> bool {
        let hears_more =
            self.playing.is_some() || self.mixing.is_some() || !self.delayed.is_empty();
        !self.secure && !self.opaque && !hears_more && self.is_alone_on_its_port()
    }
}

impl Path {
    /// Whether all that is said here reaches the partner.
    fn is_plain(&self) -> bool {
        self.role == Role::Partner
            && self.transcodes.is_none()
            && self.restriction == Restriction::default()
    }
}
