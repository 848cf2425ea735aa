//! Parties that hear several at once: a subscriber to a whole call, a party to whom a subscriber speaks.
//!
//! A mix takes the place of whoever feeds the stream, as a recording does, and like that one it is sent in numbers of our own.
//! A subscriber that asked for one hears it as long as anybody speaks. A party hears it while a subscriber speaks to it; before
//! and after, what its partner says passes as it always does.

use std::time::{Duration, Instant};

use relay_media::{Codec, Mixer};
use relay_packet::{DropReason, Outbox};

use super::paths::Path;
use super::{Live, LiveSection};
use crate::leg::SectionId;
use crate::path::{Format, MixFormats};

/// A mix ends when nobody for whom it is made has spoken for so long.
const STAYS: Duration = Duration::from_millis(500);
/// How often it is tried again while the listener cannot hear anything yet.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// A schedule that is behind by more than this starts over instead of catching up.
const BEHIND: Duration = Duration::from_millis(200);

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// From a party to its partner.
    Partner,
    /// From a party to a subscriber that hears nobody else in that section.
    Tap,
    /// From one of several parties to a subscriber that hears them all in one section.
    Mixed,
    /// From a subscriber to the party it hears.
    Whisper,
}

impl Role {
    /// Whether a mix is made for its sake.
    fn calls_for_a_mix(self) -> bool {
        matches!(self, Self::Mixed | Self::Whisper)
    }
}

/// A mix that is heard.
#[derive(Debug)]
pub(super) struct Mixing {
    mixer: Mixer,
    format: Format,
    next_at: Instant,
    /// When it ends unless somebody speaks.
    until: Instant,
    begun: bool,
    payload: Vec<u8>,
}

impl Mixing {
    fn new(now: Instant, live: &LiveSection) -> Option<Self> {
        let format = live.egress.format()?.clone();
        let packet_time_ms = u32::try_from(live.coding.packet_time.as_millis()).unwrap_or(20);
        let mixer = Mixer::new(format.audio(), packet_time_ms, &live.coding.settings).ok()?;
        Some(Self {
            // The first who speaks has a packet waiting when the first is due.
            next_at: now + mixer.packet_time() / 2,
            mixer,
            format,
            until: now + STAYS,
            begun: false,
            payload: Vec::new(),
        })
    }

    /// When the next packet is due.
    pub(super) fn due(&self) -> Instant {
        self.next_at
    }

    pub(super) fn expect_loss(&mut self, percent: u8) {
        self.mixer.expect_loss(percent);
    }
}

/// A number by which a mixer knows a speaker.
fn name(speaker: SectionId) -> u64 {
    u64::from(speaker.leg.0) << 32 | speaker.index as u64
}

impl Live {
    /// Whether a packet on this path goes into a mix, and not the usual way. Events that the listener knows never do.
    pub(super) fn is_mixed(&self, path: &Path, codec: Codec) -> bool {
        if codec == Codec::TelephoneEvent && path.plan.event_format().is_some() {
            return false;
        }
        let listener = self.sections.get(path.to);
        path.role.calls_for_a_mix() || listener.is_some_and(|live| live.mixing.is_some())
    }

    /// Adds a packet to what the listener of a path hears.
    pub(super) fn mix(
        &mut self,
        now: Instant,
        speaker: usize,
        path: &mut Path,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let speaker = self.sections[speaker].id;
        let listener = self.sections.get_mut(path.to);
        let listener = listener.ok_or(DropReason::NotWanted)?;
        if path.restriction.silenced {
            return Err(DropReason::NotWanted);
        }
        if listener.mixing.is_none() {
            let hears = listener.answered_at.is_some() && listener.wants && !listener.opaque;
            let hears = hears && !listener.egress.is_transparent();
            let begun = hears.then(|| Mixing::new(now, listener)).flatten();
            listener.mixing = Some(Box::new(begun.ok_or(DropReason::NotWanted)?));
            listener.begin_reports(now);
        }
        let Some(mixing) = &mut listener.mixing else {
            return Err(DropReason::NotWanted);
        };
        if path.role.calls_for_a_mix() {
            mixing.until = now + STAYS;
        }
        let formats = MixFormats {
            received: &path.plan.received,
            linear: mixing.mixer.linear(),
            sounds_keys: path.plan.event_format().is_none(),
        };
        let mixer = &mut mixing.mixer;
        let give = &mut |samples: &mut dyn Iterator<Item = i16>| mixer.hear(name(speaker), samples);
        path.input.hear(now, packet, formats, give)
    }

    /// Time has passed for those who speak into mixes: what waited for late packets does so no longer.
    pub(super) fn release_late_of_mixes(&mut self, now: Instant, position: usize) {
        let due = |path: &Path| path.input.poll_timeout().is_some_and(|at| at <= now);
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        if !live.paths.iter().any(due) {
            return;
        }
        let speaker = live.id;
        let mut paths = std::mem::take(&mut live.paths);
        for path in paths.iter_mut().filter(|path| due(path)) {
            let listener = self.sections.get_mut(path.to);
            let mixer = listener.and_then(|live| live.mixing.as_mut());
            match mixer.map(|mixing| &mut mixing.mixer) {
                Some(mixer) => path
                    .input
                    .handle_timeout(now, &mut |samples| mixer.hear(name(speaker), samples)),
                None => path.input.handle_timeout(now, &mut |_| {}),
            }
        }
        self.sections[position].paths = paths;
    }

    /// Sends the packets that are due of the mix that a section hears.
    pub(super) fn mix_due(&mut self, now: Instant, position: usize, out: &mut Outbox) {
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        let Some(mut mixing) = live.mixing.take_if(|mixing| mixing.next_at <= now) else {
            return;
        };
        // A party that has agreed on another codec meanwhile gets another mix with the next packet for it.
        let goes_on = now < mixing.until && live.egress.format() == Some(&mixing.format);
        let covered = live.playing.is_some();
        let Some((live, carrier)) = self.sink(position) else {
            return;
        };
        let transport = carrier.map_or(&mut live.rtp, |carrier| &mut carrier.rtp);
        if !goes_on {
            if !covered {
                live.egress.end_playing(mixing.next_at.max(now));
            }
            return;
        }
        if now.saturating_duration_since(mixing.next_at) > BEHIND {
            mixing.next_at = now;
        }
        let heard = !covered && live.egress.may_play(now, transport);
        if !covered {
            live.egress.begin_playing();
        }
        let before = live.egress.stats();
        let packet_time = mixing.mixer.packet_time();
        while mixing.next_at <= now {
            mixing.payload.clear();
            mixing.mixer.next(&mut mixing.payload);
            if heard {
                let (due, starts) = (mixing.next_at, !mixing.begun);
                let payload = &mixing.payload;
                live.egress
                    .play_recorded(due, payload, packet_time, starts, transport, out);
                mixing.begun = true;
            }
            mixing.next_at += if heard || covered {
                packet_time
            } else {
                TRY_AGAIN
            };
        }
        live.count_sent(&before);
        live.mixing = Some(mixing);
    }
}
