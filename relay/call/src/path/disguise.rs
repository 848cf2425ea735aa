//! What becomes of blocked keys on one path. It is decided once for each key: what is blocked, or let go, while a key is down
//! counts from the next one on.

use rand::RngExt;
use rand::rngs::SmallRng;
use relay_media::Sound;
use relay_packet::PacketBuf;
use relay_transport::rtp::{RtpHeader, RtpTimestamp, Ssrc};

use super::ForwardPath;
use crate::restriction::{Events, Restriction};

/// How a listener gets a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guise {
    /// As it is.
    Itself,
    /// Not at all.
    Nothing,
    /// As silence.
    Silence,
    /// As another key.
    Key(u8),
    /// As a tone.
    Tone(Sound),
}

impl Guise {
    /// What becomes of a key that is pressed now.
    pub fn of_key(events: &Events, random: &mut SmallRng) -> Self {
        match events {
            Events::Pass => Self::Itself,
            Events::Drop => Self::Nothing,
            Events::Silence => Self::Silence,
            Events::Key(key) => Self::Key(*key),
            // Any digit, the right one too: an observer must not learn even which it was not.
            Events::Random => Self::Key(random.random_range(0..=9)),
            Events::Tone {
                frequencies,
                volume,
            } => {
                let at = random.random_range(0..frequencies.len().max(1));
                match frequencies.get(at) {
                    Some(&hz) => Self::Tone(Sound::Pitch {
                        hz,
                        volume: *volume,
                    }),
                    None => Self::Silence,
                }
            }
        }
    }
}

/// The keys of a path and their guises.
#[derive(Debug, Default)]
pub(super) struct Disguise {
    /// That of the telephone-event in progress, which its source and timestamp name (RFC 4733 §2.5.1.2).
    event: Option<(Ssrc, RtpTimestamp, Guise)>,
    /// That of the key which is heard in speech.
    heard: Option<Guise>,
}

impl ForwardPath {
    /// How a packet of a telephone-event is passed on.
    pub fn guise_of_event(
        &mut self,
        header: &RtpHeader,
        restriction: &Restriction,
        random: &mut SmallRng,
    ) -> Guise {
        if let Some((ssrc, timestamp, guise)) = self.disguise.event
            && (ssrc, timestamp) == (header.ssrc, header.timestamp)
        {
            return guise;
        }
        let guise = self.guise_of_new(restriction, random);
        self.disguise.event = Some((header.ssrc, header.timestamp, guise));
        guise
    }

    fn guise_of_new(&self, restriction: &Restriction, random: &mut SmallRng) -> Guise {
        if !restriction.delay.is_zero() {
            // It is heard later.
            return Guise::Silence;
        }
        match Guise::of_key(&restriction.events, random) {
            Guise::Tone(_) if !self.can_sound() => Guise::Silence,
            guise => guise,
        }
    }

    /// A key was found in speech: how it is passed on.
    pub fn guise_of_heard(&mut self, restriction: &Restriction, random: &mut SmallRng) -> Guise {
        let guise = self.guise_of_new(restriction, random);
        self.disguise.heard = Some(guise);
        guise
    }

    /// How the key that is, or was just, heard in speech is passed on.
    pub fn heard_as(&self) -> Option<Guise> {
        self.disguise.heard
    }
}

/// Makes a packet of a telephone-event one of another key.
pub(crate) fn disguise(packet: &mut PacketBuf, header: &RtpHeader, key: u8) {
    let event = header.payload_range(packet).map(|range| range.start);
    if let Some(event) = event.and_then(|at| packet.get_mut(at)) {
        *event = key;
    }
}
