//! How good the call is for each party: from its reports, and where none come from what we see ourselves.
//!
//! A report block is about the stream that we send to a party, so it counts for that party, under the SSRC it speaks with.
//! The round trip between us and it is measured by the sender reports that we sent it, our own and passed ones alike; the
//! round trip from end to end is the sum of this one and that of the party it hears.
//!
//! Without a score for a while (the party sends no RTCP, or the other one does not) we judge by ourselves: by the last report
//! if there was one, else by the jitter and loss of what comes from the party, and by the round trip of ICE checks where
//! there are any.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::PacketBuf;
use relay_transport::rtcp::{Compound, NtpTime, ReferenceDelay, ReportBlock};
use relay_transport::rtp::Ssrc;

use super::{Live, LiveSection};
use crate::config::MosKind;
use crate::leg::Legs;
use crate::stats::{Chain, Figure, Judgement, Mos, Place, Samples, Tally};

/// So long we wait for a report that gives a score. Reports come every five seconds (RFC 3550 section 6.2), the first ones late.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often we judge by ourselves from then on.
const PACE: Duration = Duration::from_secs(5);
/// Sender reports that a receiver may still refer to.
const REMEMBERED: usize = 8;

/// What a section knows about the quality of its leg beyond its sources.
#[derive(Debug, Default)]
pub(super) struct LegQuality {
    /// Where the section is.
    place: Option<Place>,
    /// The clock of what we send.
    pub(super) clock_hz: u32,
    /// Nobody asks for the score of a picture.
    pub(super) is_audio: bool,
    /// What a score is about.
    mos: MosKind,
    sent_reports: VecDeque<(u32, Instant)>,
    round_trip: Option<Duration>,
    /// The last report, as long as it has not led to a score.
    unjudged: Option<(Duration, u32)>,
    judge_at: Option<Instant>,
    samples: [Samples; Figure::ALL.len()],
}

impl LegQuality {
    pub(super) fn new(mos: MosKind) -> Self {
        Self {
            mos,
            ..Self::default()
        }
    }

    /// The delay that counts for a score; `None` while it has to be known and is not.
    fn delay(&self, round_trip: Option<Duration>) -> Option<Duration> {
        match self.mos {
            MosKind::Conversational => round_trip,
            MosKind::Listening => Some(Duration::ZERO),
        }
    }

    /// A sender report has left, with this time in it.
    pub(super) fn report_sent(&mut self, now: Instant, ntp: NtpTime) {
        if self.sent_reports.len() == REMEMBERED {
            self.sent_reports.pop_front();
        }
        self.sent_reports.push_back((ntp.middle(), now));
    }

    fn round_trip_of(&self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        block.round_trip(self.since_report(now, block.last_sr)?)
    }

    /// How long ago the report with this time in it left.
    fn since_report(&self, now: Instant, ntp: u32) -> Option<Duration> {
        let mut reports = self.sent_reports.iter().rev();
        let (_, sent) = reports.find(|(known, _)| *known == ntp)?;
        Some(now.saturating_duration_since(*sent))
    }

    /// The peer says how long ago it heard a reference time of ours.
    pub(super) fn note_delay(&mut self, now: Instant, delay: &ReferenceDelay) {
        let since = self.since_report(now, delay.last_reference);
        let round_trip = since.and_then(|since| delay.round_trip(since));
        self.round_trip = round_trip.or(self.round_trip);
    }

    fn sample(&mut self, figure: Figure, value: f64) {
        self.samples[figure as usize].note(value);
    }
}

impl Live {
    /// RTCP came from the party of a section: what it says about what it hears.
    pub(super) fn judge_reports(&mut self, now: Instant, position: usize, packet: &PacketBuf) {
        let Some(compound) = Compound::parse(packet) else {
            return;
        };
        for (sender, block) in compound.reports() {
            let about_us = self.sections.get(position).is_some_and(|live| {
                if live.egress.is_transparent() {
                    self.is_spoken_to(position, block.ssrc)
                } else {
                    block.ssrc == live.egress.ssrc()
                }
            });
            if !about_us {
                continue;
            }
            self.note_loss(position, block.fraction_lost);
            let others = self.round_trip_of_heard(position);
            if let Some(live) = self.sections.get_mut(position) {
                live.judge_report(now, sender, &block, others);
            }
        }
    }

    /// RTP came from the party of a section: if nothing else tells how good the call is, this does.
    pub(super) fn judge_reception(&mut self, now: Instant, position: usize, ssrc: Ssrc) {
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        let due = *live.quality.judge_at.get_or_insert(now + PATIENCE);
        if now < due || !live.quality.is_audio {
            return;
        }
        let others = self.round_trip_of_heard(position);
        if let Some(live) = self.sections.get_mut(position) {
            live.judge_reception(now, ssrc, others);
        }
    }

    /// The round trip to those whom the party of a section hears.
    fn round_trip_of_heard(&self, position: usize) -> Option<Duration> {
        self.sections
            .iter()
            .filter(|live| live.paths.iter().any(|path| path.to == position))
            .find_map(|live| live.round_trip())
    }

    /// Remembers where each section is: one in a bundle has its address from another, which may close first.
    pub(super) fn note_places(&mut self, legs: &Legs) {
        for position in 0..self.sections.len() {
            let live = &self.sections[position];
            let own = live.rtp.locals().first();
            let local = own.or_else(|| self.transport(live)?.locals().first());
            let address = local.map(|local| local.address.ip());
            let before = live.quality.place.as_ref();
            // What was counted stays where it was counted, whatever the interface is called by now.
            if before.map(|place| place.address) == address {
                continue;
            }
            let interface = legs.get(live.id.leg).map(|leg| leg.interface.as_str());
            self.sections[position].quality.place = address.map(|address| Place {
                interface: Arc::from(interface.unwrap_or_default()),
                address,
            });
        }
    }

    /// What is transcoded now, once for each stream.
    pub(crate) fn transcoding(&self) -> impl Iterator<Item = Chain> + '_ {
        let paths = self.sections.iter().flat_map(|live| &live.paths);
        paths.filter_map(|path| path.transcodes)
    }

    /// What this call adds to the sums, by interface and address.
    pub(crate) fn tallies(&self) -> Vec<(Place, Tally)> {
        let mut tallies = self.gone.clone();
        for live in &self.sections {
            live.add_to(&mut tallies);
        }
        tallies
    }

    /// The same over all addresses.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for (_, tally) in self.tallies() {
            sum.add(&tally);
        }
        sum
    }

    /// Sections from which RTP has come.
    pub(crate) fn heard_sections(&self) -> usize {
        self.sections
            .iter()
            .filter(|live| live.last_rtp.is_some())
            .count()
    }

    /// Closes all sections; what they counted stays.
    pub(crate) fn clear(&mut self) {
        let mut closed = std::mem::take(self);
        self.gone = closed.tallies();
        self.recorder = std::mem::take(&mut closed.recorder);
        self.transcoded = std::mem::take(&mut closed.transcoded);
    }
}

impl LiveSection {
    /// Adds what this section has counted.
    pub(super) fn add_to(&self, tallies: &mut Vec<(Place, Tally)>) {
        let Some(place) = &self.quality.place else {
            return;
        };
        let tally = self.tally();
        match tallies.iter_mut().find(|(known, _)| known == place) {
            Some((_, sum)) => sum.add(&tally),
            None => tallies.push((place.clone(), tally)),
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally {
            rtp_in: self.rtp_in,
            rtcp_in: self.rtcp_in,
            rtp_out: self.rtp_out,
            rtcp_out: self.rtcp_out,
            samples: self.quality.samples,
            drops: self.drops,
            ..Tally::default()
        };
        for source in self.ingress.sources() {
            let stats = &source.stats;
            tally.lost += u64::try_from(stats.cumulative_lost()).unwrap_or(0);
            tally.duplicates += stats.duplicates();
            tally.skips += stats.skips();
            tally.restarts += stats.restarts();
            tally.reordered += stats.reordered();
        }
        tally
    }

    /// Between us and the party: by its reports, else by ICE.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let by_ice = || self.rtp.status().ice?.selected?.round_trip;
        self.quality.round_trip.or_else(by_ice)
    }

    fn judge_report(
        &mut self,
        now: Instant,
        sender: Ssrc,
        block: &ReportBlock,
        others: Option<Duration>,
    ) {
        let leg = self.quality.round_trip_of(now, block);
        self.quality.round_trip = leg.or(self.quality.round_trip);
        let known_leg = self.round_trip();
        let round_trip = known_leg.zip(others).map(|(leg, other)| leg + other);
        let clock_hz = self.quality.clock_hz.max(1);
        let jitter = Duration::from_secs_f64(f64::from(block.jitter) / f64::from(clock_hz));
        // Whole percents, and whole milliseconds where they are shown: as the scores that people compare with were made.
        let loss_percent = u32::from(block.fraction_lost) * 100 / 256;
        let delay = self.quality.delay(round_trip);
        let judgement = Judgement {
            at: now,
            mos: delay.map(|delay| Mos::of(delay, jitter, loss_percent)),
            round_trip: round_trip.unwrap_or_default(),
            round_trip_leg: known_leg.unwrap_or_default(),
            jitter,
            loss_percent,
        };
        self.quality.sample(Figure::Jitter, milliseconds(jitter));
        if let Some(leg) = leg {
            self.quality.sample(Figure::RttLeg, microseconds(leg));
        }
        if let Some(round_trip) = round_trip {
            self.quality
                .sample(Figure::RttEndToEnd, microseconds(round_trip));
        }
        if judgement.mos.is_some() {
            self.quality.judge_at = Some(now + PATIENCE);
            self.quality.unjudged = None;
        } else {
            self.quality.unjudged = Some((jitter, loss_percent));
        }
        let Some(source) = self.ingress.reporter(sender) else {
            return;
        };
        source.quality.lost(block.cumulative_lost);
        source.quality.note(judgement);
        let measured = (source.stats.packets() > 0).then(|| source.stats.jitter_time());
        self.sample_judgement(&judgement, measured);
    }

    fn judge_reception(&mut self, now: Instant, ssrc: Ssrc, others: Option<Duration>) {
        self.quality.judge_at = Some(now + PACE);
        let leg = self.round_trip();
        let reported = self.quality.unjudged.take();
        let Some(source) = self.ingress.reporter(ssrc) else {
            return;
        };
        let loss = source.stats.loss_since(&mut source.judged);
        let measured = source.stats.jitter_time();
        let half = loss.expected / 2;
        let percent = (loss.lost * 100 + half)
            .checked_div(loss.expected)
            .unwrap_or(0) as u32;
        let (jitter, loss_percent) = reported.unwrap_or((measured, percent));
        // What is not known of the way counts as none: the score is then that of listening alone.
        let round_trip = leg.unwrap_or_default() + others.unwrap_or_default();
        let delay = self.quality.delay(Some(round_trip));
        let judgement = Judgement {
            at: now,
            mos: delay.map(|delay| Mos::of(delay, jitter, loss_percent)),
            round_trip,
            round_trip_leg: leg.unwrap_or_default(),
            jitter,
            loss_percent,
        };
        source.quality.note(judgement);
        self.sample_judgement(&judgement, Some(measured));
    }

    fn sample_judgement(&mut self, judgement: &Judgement, measured_jitter: Option<Duration>) {
        if let Some(mos) = judgement.mos {
            self.quality.sample(Figure::Mos, mos.score());
        }
        self.quality
            .sample(Figure::PacketLoss, judgement.loss_percent.into());
        if let Some(jitter) = measured_jitter {
            self.quality
                .sample(Figure::JitterMeasured, milliseconds(jitter));
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
