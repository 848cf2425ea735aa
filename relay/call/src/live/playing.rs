//! Recordings on their way to a party: a packet each packet time, whatever the others say meanwhile.
//!
//! A recording begins when the party surely understands it, and not while keys are missing. Towards a party that must never
//! meet a pause, silence takes the place of what is decoded too late, and follows the end without a gap.

use std::time::{Duration, Instant};

use relay_media::{Played, Player, Recording};
use relay_packet::Outbox;

use super::{Live, LiveSection};
use crate::leg::LegId;
use crate::path::Format;

/// How often it is tried again while the party cannot hear anything yet.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// A schedule that is behind by more than this starts over instead of catching up.
const BEHIND: Duration = Duration::from_millis(200);

/// A recording that a party hears.
#[derive(Debug)]
pub(super) struct Playing {
    player: Player,
    format: Format,
    next_at: Instant,
    /// How much more is played at most (`repeat-duration`).
    left: Option<Duration>,
    begun: bool,
    payload: Vec<u8>,
}

impl Playing {
    fn new(
        now: Instant,
        live: &LiveSection,
        recording: &dyn Recording,
        left: Option<Duration>,
    ) -> Option<Self> {
        let format = live.egress.format()?.clone();
        let packet_time = live.coding.packet_time.as_millis();
        let packet_time_ms = u32::try_from(packet_time).unwrap_or(20);
        let settings = &live.coding.settings;
        let source = recording.listen();
        let player = Player::new(source, format.audio(), packet_time_ms, settings).ok()?;
        Some(Self {
            player,
            format,
            next_at: now,
            left,
            begun: false,
            payload: Vec::new(),
        })
    }

    /// When the next packet is due.
    pub(super) fn due(&self) -> Instant {
        self.next_at
    }

    /// The party may have agreed on another codec meanwhile; `false` if it cannot hear the recording any more.
    fn follow(&mut self, live: &LiveSection) -> bool {
        let Some(format) = live.egress.format() else {
            return false;
        };
        if *format == self.format {
            return true;
        }
        self.format = format.clone();
        let packet_time_ms = u32::try_from(self.player.packet_time().as_millis()).unwrap_or(20);
        let audio = format.audio();
        let followed = self
            .player
            .encode_as(audio, packet_time_ms, &live.coding.settings);
        followed.is_ok()
    }
}

impl Live {
    /// Somebody wanted these parties to hear a recording.
    pub(crate) fn note_players(&mut self, parties: &[LegId]) {
        for party in parties {
            if !self.players.contains(party) {
                self.players.push(*party);
            }
        }
    }

    /// Whether one of the parties was to hear a recording at any time.
    pub(crate) fn had_players(&self, parties: &[LegId]) -> bool {
        parties.iter().any(|party| self.players.contains(party))
    }

    /// Lets a party hear a recording; `false` if it can hear none.
    pub(crate) fn play(
        &mut self,
        now: Instant,
        party: LegId,
        recording: &dyn Recording,
        limit: Option<Duration>,
    ) -> bool {
        let mut sections = self.sections.iter_mut();
        let section = sections.find(|live| {
            live.id.leg == party && live.wants && !live.opaque && !live.egress.is_transparent()
        });
        let Some(live) = section else {
            return false;
        };
        let Some(mut playing) = Playing::new(now, live, recording, limit) else {
            return false;
        };
        // One that is heard already goes over into this one without a gap.
        if let Some(before) = live.playing.take() {
            playing.next_at = before.next_at;
        }
        live.egress.begin_playing();
        live.playing = Some(Box::new(playing));
        true
    }

    /// Stops what a party hears, and says how far it came.
    pub(crate) fn stop(&mut self, now: Instant, party: LegId) -> Option<Duration> {
        let mut sections = self.sections.iter_mut();
        let live = sections.find(|live| live.id.leg == party && live.playing.is_some())?;
        let playing = live.playing.take()?;
        let position = playing.player.position();
        live.egress.end_playing(playing.next_at.max(now));
        live.played = Some(position);
        Some(position)
    }

    /// Whether the section with this position hears a recording and nobody else.
    pub(super) fn hears_recording(&self, position: usize) -> bool {
        let live = self.sections.get(position);
        live.is_some_and(|live| live.egress.is_playing())
    }

    /// Sends the packets that are due of what a section hears.
    pub(super) fn play_due(&mut self, now: Instant, position: usize, out: &mut Outbox) {
        let Some(live) = self.sections.get_mut(position) else {
            return;
        };
        let Some(mut playing) = live.playing.take_if(|playing| playing.next_at <= now) else {
            return;
        };
        let goes_on = playing.follow(live);
        let Some((live, carrier)) = self.sink(position) else {
            return;
        };
        let transport = match carrier {
            Some(carrier) => &mut carrier.rtp,
            None => &mut live.rtp,
        };
        if goes_on && !live.egress.may_play(now, transport) {
            playing.next_at = now + TRY_AGAIN;
            live.playing = Some(playing);
            return;
        }
        if now.saturating_duration_since(playing.next_at) > BEHIND {
            playing.next_at = now;
        }
        let before = live.egress.stats();
        let packet_time = playing.player.packet_time();
        let mut over = !goes_on;
        while !over && playing.next_at <= now {
            playing.payload.clear();
            let enough = playing.left.is_some_and(|left| left.is_zero());
            if enough || playing.player.next(&mut playing.payload) == Played::End {
                over = true;
                break;
            }
            let (due, starts) = (playing.next_at, !playing.begun);
            let payload = &playing.payload;
            live.egress
                .play_recorded(due, payload, packet_time, starts, transport, out);
            playing.begun = true;
            playing.left = playing.left.map(|left| left.saturating_sub(packet_time));
            playing.next_at += packet_time;
        }
        live.count_sent(&before);
        if over {
            live.egress.end_playing(playing.next_at.max(now));
            live.played = Some(playing.player.position());
        } else {
            live.playing = Some(playing);
        }
    }
}
