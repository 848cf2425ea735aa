//! Keys that do not pass as they were pressed: found in speech, blocked, made into others, or heard later.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use relay_media::{Codec, KeyHeard, Sound};
use relay_packet::{DropReason, Outbox};
use relay_transport::rtp::RtpHeader;

use super::{Live, Path, Pressed};
use crate::dtmf::KeyWay;
use crate::egress::{Form, Tone};
use crate::leg::SectionId;
use crate::path::Guise;

/// A key in speech that is never released (somebody plays a steady tone) is an event of this length.
const LONGEST_KEY: Duration = Duration::from_secs(5);
/// What a key in speech is said to be as loud as: nobody told how loud it was when pressed.
const USUAL_VOLUME: u8 = 10;
/// Keys that wait for their delay, of one speaker; more nobody presses in a minute.
const MAX_DELAYED: usize = 256;

/// A key that is heard later (`DTMF-delay`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Delayed {
    pub(super) due: Instant,
    to: SectionId,
    key: Pressed,
}

impl Path {
    /// How a packet is passed on: telephone-events and speech in which a key is heard by what is blocked of keys, other media by
    /// what is blocked of media.
    pub(super) fn guise(
        &mut self,
        header: &RtpHeader,
        codec: Codec,
        random: &mut SmallRng,
    ) -> Guise {
        // Keys are not media: they have a block of their own.
        if codec == Codec::TelephoneEvent {
            return self
                .program
                .guise_of_event(header, &self.restriction, random);
        }
        if self.program.hears_key()
            && let Some(guise) = self.program.heard_as()
        {
            match guise {
                Guise::Itself => {}
                Guise::Nothing | Guise::Silence => return guise,
                // What stands in for the key is heard already.
                Guise::Key(_) | Guise::Tone(_) => return Guise::Nothing,
            }
        }
        if self.restriction.blocked {
            Guise::Nothing
        } else {
            Guise::Itself
        }
    }

    /// How the listener is told of a key of ours: as an event if it knows events, else by its sound.
    pub(super) fn form_of_key(&self, event: u8, volume: u8) -> Option<Form> {
        if let Some(format) = self.plan.event_format() {
            return Some(Form::Event {
                event,
                volume,
                payload_type: format.payload_type,
                clock_hz: format.clock_hz,
            });
        }
        let sound = Sound::Key { event, volume };
        self.program.can_sound().then_some(Form::Sound(sound))
    }

    fn form(&self, guise: Guise, event: u8, volume: u8) -> Option<Form> {
        match guise {
            Guise::Itself => self.form_of_key(event, volume),
            Guise::Key(key) => self.form_of_key(key, volume),
            Guise::Tone(tone) => Some(Form::Sound(tone)),
            Guise::Nothing | Guise::Silence => None,
        }
    }
}

impl Live {
    /// Keys that were found in speech become events for the listener, and are told of as events are.
    pub(super) fn pass_keys(
        &mut self,
        now: Instant,
        speaker: usize,
        path: &mut Path,
        keys: &[KeyHeard],
        out: &mut Outbox,
    ) {
        for key in keys {
            let form = match *key {
                KeyHeard::Up { event, duration } => {
                    let pressed = Pressed {
                        event,
                        duration_ms: u32::try_from(duration.as_millis()).unwrap_or(u32::MAX),
                        volume: USUAL_VOLUME,
                        way: KeyWay::InBand,
                    };
                    // Several may listen, and each finds the same key.
                    let told = &mut self.sections[speaker].pressed;
                    if told.last() != Some(&pressed) {
                        told.push(pressed);
                    }
                    None
                }
                KeyHeard::Down { event, volume } => {
                    let random = &mut self.sections[speaker].random;
                    let guise = path.program.guise_of_heard(&path.restriction, random);
                    path.form(guise, event, volume)
                        .filter(|_| !path.restriction.silenced)
                }
            };
            let Some((sink, carrier)) = self.sink(path.to) else {
                continue;
            };
            match form {
                Some(form) if sink.egress.stats().packets > 0 => {
                    sink.egress.inject(Tone {
                        form,
                        duration: LONGEST_KEY,
                        pause: Duration::ZERO,
                    });
                    let before = sink.egress.stats();
                    let transport = carrier.map_or(&mut sink.rtp, |carrier| &mut carrier.rtp);
                    sink.egress.handle_timeout(now, transport, out);
                    sink.count_sent(&before);
                }
                None if matches!(key, KeyHeard::Up { .. })
                    && !matches!(
                        path.program.heard_as(),
                        Some(Guise::Nothing | Guise::Silence)
                    ) =>
                {
                    sink.egress.release();
                }
                _ => {}
            }
        }
    }

    /// Keeps a packet from a listener, who may hear silence instead.
    pub(super) fn withhold(
        &mut self,
        now: Instant,
        speaker: usize,
        listener: usize,
        guise: Guise,
        out: &mut Outbox,
    ) {
        self.sections[speaker].count_drop(DropReason::NotWanted);
        if guise != Guise::Silence {
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

    /// A key was pressed that some are to hear later.
    pub(crate) fn delay(&mut self, now: Instant, speaker: usize, key: Pressed) {
        let Some(live) = self.sections.get_mut(speaker) else {
            return;
        };
        let lasted = Duration::from_millis(key.duration_ms.into());
        for path in live
            .paths
            .iter()
            .filter(|path| !path.restriction.delay.is_zero())
        {
            if live.delayed.len() < MAX_DELAYED {
                live.delayed.push(Delayed {
                    // It is known only now that it has ended; the delay is counted from its beginning.
                    due: now + path.restriction.delay.saturating_sub(lasted),
                    to: path.plan.to,
                    key,
                });
            }
        }
    }

    /// Lets keys be heard whose delay is over, as what is blocked by now has it.
    pub(super) fn press_delayed(&mut self, now: Instant, speaker: usize, out: &mut Outbox) {
        let live = &mut self.sections[speaker];
        if live.delayed.iter().all(|delayed| delayed.due > now) {
            return;
        }
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut live.delayed)
            .into_iter()
            .partition(|delayed| delayed.due <= now);
        live.delayed = later;
        for Delayed { to, key, .. } in due {
            let live = &mut self.sections[speaker];
            let Some(path) = live.paths.iter().find(|path| path.plan.to == to) else {
                continue;
            };
            let guise = Guise::of_key(&path.restriction.events, &mut live.random);
            let (form, to) = (path.form(guise, key.event, key.volume), path.to);
            let listener = self.sections.get_mut(to);
            let listener = listener.filter(|listener| listener.egress.stats().packets > 0);
            if let (Some(form), Some(listener)) = (form, listener) {
                listener.egress.inject(Tone {
                    form,
                    duration: Duration::from_millis(key.duration_ms.into()),
                    pause: Duration::ZERO,
                });
                self.speak(now, to, out);
            }
        }
    }
}
