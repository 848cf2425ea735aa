//! Hold, which is told, and music on hold: it begins when a party holds the other, and ends when it does so no more (`moh`).

use std::time::{Duration, Instant};

use ng_protocol::request::{HoldMusic, Playback};
use relay_media::Recording;

use super::Call;
use crate::event::CallEvent;
use crate::leg::{Leg, LegId};

impl Call {
    /// An exchange between two parties is in effect: either may hold the other now, or have ended that.
    pub(super) fn note_holds(&mut self, now: Instant, parties: [LegId; 2]) {
        let [one, other] = parties;
        for (holder, held) in [(one, other), (other, one)] {
            let Some(leg) = self.legs.get_mut(holder) else {
                continue;
            };
            let holds = leg.is_holding();
            if std::mem::replace(&mut leg.holds, holds) != holds {
                let leg = leg.name();
                self.events.push_back(CallEvent::Hold { leg, on: holds });
            }
            let music = leg.hold_music.as_ref().filter(|_| holds);
            let plays = music.is_some();
            let playback = music.map(lasting).unwrap_or_default();
            if std::mem::replace(&mut leg.plays_hold_music, plays) == plays {
                continue;
            }
            if plays {
                self.events
                    .push_back(CallEvent::HoldMusic { holder, playback });
            } else {
                self.live.stop(now, held);
            }
        }
    }

    /// Music that was heard when the call was written down begins again.
    pub(crate) fn resume_hold_music(&mut self) {
        for leg in self.legs.iter().filter(|leg| leg.plays_hold_music) {
            if let Some(music) = &leg.hold_music {
                let (holder, playback) = (leg.id, lasting(music));
                let event = CallEvent::HoldMusic { holder, playback };
                self.events.push_back(event);
            }
        }
    }

    /// Lets those whom a party holds hear what [`CallEvent::HoldMusic`] named, opened; or tells why it could not be opened.
    pub fn play_hold_music(
        &mut self,
        now: Instant,
        holder: LegId,
        recording: Result<Box<dyn Recording>, String>,
    ) {
        // The hold may have ended while the file was opened.
        let leg = self.legs.get(holder).filter(|leg| leg.plays_hold_music);
        let Some(music) = leg.and_then(|leg| leg.hold_music.as_ref()) else {
            return;
        };
        let limit = music.playback.repeat_duration_ms;
        let limit = limit
            .and_then(|ms| u64::try_from(ms).ok())
            .filter(|&ms| ms > 0);
        let limit = limit.map(Duration::from_millis);
        let recording = match recording {
            Ok(recording) => recording,
            Err(why) => {
                let text = format!("music on hold cannot be played: {why}");
                self.events.push_back(CallEvent::Warning(text));
                return;
            }
        };
        let subscriptions = &self.legs.subscriptions;
        let partners = subscriptions.partners(holder).into_iter();
        let held: Vec<LegId> = partners
            .filter(|&held| subscriptions.hears(held, holder))
            .collect();
        for held in held {
            if self.live.play(now, held, recording.as_ref(), limit) {
                let leg = self.legs.get(held).map_or_else(String::new, Leg::name);
                let duration = recording.duration();
                self.events
                    .push_back(CallEvent::PlaybackBegan { leg, duration });
            }
        }
        self.wake_at = Some(now);
    }
}

/// What is played lasts as long as the hold, unless somebody says otherwise.
fn lasting(music: &HoldMusic) -> Playback {
    let mut playback = music.playback.clone();
    if playback.repeat_duration_ms.is_none() {
        playback.repeat_times = playback.repeat_times.or(Some(i64::MAX));
    }
    playback
}
