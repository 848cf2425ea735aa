//! Recorded speech made into packets of one format, a packet at a time.
//!
//! Whoever decodes does so elsewhere and hands over pieces ([`SampleSource`]); this never waits for them. What is not there in
//! time is silence, and nothing of the recording is lost by it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{AudioFormat, Encoder, EncoderSettings, NotTranscodable, Resampler};

/// A piece of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub samples: Box<[i16]>,
    /// Where in the recording it begins.
    pub position: Duration,
}

/// What a source has to give.
#[derive(Clone, Debug)]
pub enum Supply {
    Piece(Arc<Piece>),
    /// There will be more.
    Later,
    End,
}

/// A recording that can be played to several listeners.
pub trait Recording: fmt::Debug + Send {
    /// How long it is, if that is known.
    fn duration(&self) -> Option<Duration>;
    /// The samples for one more listener, from where playing is to begin.
    fn listen(&self) -> Box<dyn SampleSource>;
}

/// The samples of a recording as they become available. Nothing here ever waits.
pub trait SampleSource: fmt::Debug + Send {
    /// Samples per second.
    fn rate_hz(&self) -> u32;
    /// The next piece.
    fn poll(&mut self) -> Supply;
}

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    Speech,
    /// Silence, because the source was late.
    Waiting,
    /// There is no packet: the recording is over.
    End,
}

/// Turns a recording into packets of one format.
#[derive(Debug)]
pub struct Player {
    source: Box<dyn SampleSource>,
    resampler: Option<Resampler>,
    encoder: Encoder,
    packet_time: Duration,
    /// Samples of a packet.
    packet: usize,
    /// At the encoder's rate, and not played yet.
    samples: Vec<i16>,
    /// Where in the recording what was handed over ends.
    heard_to: Duration,
    ended: bool,
}

impl Player {
    /// A player for packets of about `packet_time_ms`.
    ///
    /// # Errors
    /// When the format cannot be encoded.
    pub fn new(
        source: Box<dyn SampleSource>,
        format: AudioFormat,
        packet_time_ms: u32,
        settings: &EncoderSettings,
    ) -> Result<Self, NotTranscodable> {
        let own = source.rate_hz();
        let refused = NotTranscodable(format.codec, own);
        let rate_hz = format.rate_near(own).ok_or(refused)?;
        let resampler = Resampler::new(own, rate_hz);
        if own != rate_hz && resampler.is_none() {
            return Err(refused);
        }
        let packet_time_ms = format.packet_time_ms(packet_time_ms);
        let packet = rate_hz * packet_time_ms / 1_000;
        Ok(Self {
            source,
            resampler,
            encoder: Encoder::new(format, rate_hz, settings)?,
            packet_time: Duration::from_millis(packet_time_ms.into()),
            packet: packet as usize,
            samples: Vec::new(),
            heard_to: Duration::ZERO,
            ended: false,
        })
    }

    /// Makes packets of another format from now on. What was handed over for the former one is lost where the rates differ.
    ///
    /// # Errors
    /// When the format cannot be encoded.
    pub fn encode_as(
        &mut self,
        format: AudioFormat,
        packet_time_ms: u32,
        settings: &EncoderSettings,
    ) -> Result<(), NotTranscodable> {
        let own = self.source.rate_hz();
        let refused = NotTranscodable(format.codec, own);
        let rate_hz = format.rate_near(own).ok_or(refused)?;
        if rate_hz != self.encoder.rate_hz() {
            self.resampler = Resampler::new(own, rate_hz);
            self.samples.clear();
        }
        let packet_time_ms = format.packet_time_ms(packet_time_ms);
        self.encoder = Encoder::new(format, rate_hz, settings)?;
        self.packet_time = Duration::from_millis(packet_time_ms.into());
        self.packet = (rate_hz * packet_time_ms / 1_000) as usize;
        Ok(())
    }

    /// How long its packets last.
    pub fn packet_time(&self) -> Duration {
        self.packet_time
    }

    /// Where in the recording the next packet begins.
    pub fn position(&self) -> Duration {
        let left = self.samples.len() as u64 * 1_000_000 / u64::from(self.encoder.rate_hz());
        self.heard_to.saturating_sub(Duration::from_micros(left))
    }

    /// Appends the next packet to `payload`.
    pub fn next(&mut self, payload: &mut Vec<u8>) -> Played {
        let mut late = false;
        while self.samples.len() < self.packet && !self.ended && !late {
            match self.source.poll() {
                Supply::Piece(piece) => self.take(&piece),
                Supply::Later => late = true,
                Supply::End => self.ended = true,
            }
        }
        if late {
            let silence = vec![0; self.packet];
            self.encoder.encode(&silence, payload);
            return Played::Waiting;
        }
        if self.samples.is_empty() {
            return Played::End;
        }
        // The end rarely falls on the end of a packet.
        self.samples.resize(self.samples.len().max(self.packet), 0);
        self.encoder.encode(&self.samples[..self.packet], payload);
        self.samples.drain(..self.packet);
        Played::Speech
    }

    fn take(&mut self, piece: &Piece) {
        let own = u64::from(self.source.rate_hz().max(1));
        let lasts = piece.samples.len() as u64 * 1_000_000 / own;
        self.heard_to = piece.position + Duration::from_micros(lasts);
        match &mut self.resampler {
            Some(resampler) => resampler.push(&piece.samples, &mut self.samples),
            None => self.samples.extend_from_slice(&piece.samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::{Codec, Decoder};

    #[derive(Clone, Debug)]
    struct Pieces {
        rate_hz: u32,
        supplies: VecDeque<Supply>,
    }

    impl Pieces {
        fn new(rate_hz: u32, supplies: impl IntoIterator<Item = Supply>) -> Box<Self> {
            let supplies = supplies.into_iter().collect();
            Box::new(Self { rate_hz, supplies })
        }
    }

    impl SampleSource for Pieces {
        fn rate_hz(&self) -> u32 {
            self.rate_hz
        }

        fn poll(&mut self) -> Supply {
            self.supplies.pop_front().unwrap_or(Supply::End)
        }
    }

    fn piece(samples: Vec<i16>, position_ms: u64) -> Supply {
        Supply::Piece(Arc::new(Piece {
            samples: samples.into(),
            position: Duration::from_millis(position_ms),
        }))
    }

    const PCMU: AudioFormat = AudioFormat {
        codec: Codec::Pcmu,
        clock_hz: 8_000,
        channels: 1,
    };

    #[test]
    fn what_comes_late_is_silence_and_lost_nowhere() {
        let source = Pieces::new(
            8_000,
            [
                piece(vec![1_000; 200], 0),
                Supply::Later,
                piece(vec![1_000; 180], 25),
            ],
        );
        let mut player = Player::new(source, PCMU, 20, &EncoderSettings::default()).unwrap();
        let mut played = Vec::new();
        let mut loud = 0;
        for _ in 0..5 {
            let mut payload = Vec::new();
            played.push(player.next(&mut payload));
            loud += payload.iter().filter(|&&code| code != 0xff).count();
            if played.len() == 1 {
                assert_eq!(payload.len(), 160);
                assert_eq!(player.position(), Duration::from_millis(20));
            }
        }
        use Played::{End, Speech, Waiting};
        assert_eq!(played, [Speech, Waiting, Speech, Speech, End]);
        assert_eq!(loud, 380);
    }

    #[test]
    #[cfg(feature = "opus")]
    fn every_rate_is_heard_in_every_codec() {
        let tone = |rate: u32| -> Vec<i16> {
            let angle = |n: u32| f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate);
            (0..rate / 2)
                .map(|n| (8_000.0 * angle(n).sin()) as i16)
                .collect()
        };
        for rate in [8_000, 16_000, 24_000, 48_000] {
            for (codec, clock_hz, channels) in [
                (Codec::Pcmu, 8_000, 1),
                (Codec::G722, 8_000, 1),
                (Codec::Opus, 48_000, 2),
                (Codec::L16, 44_100, 1),
            ] {
                let format = AudioFormat {
                    codec,
                    clock_hz,
                    channels,
                };
                let source = Pieces::new(rate, [piece(tone(rate), 0)]);
                let settings = EncoderSettings::default();
                let mut player = Player::new(source, format, 20, &settings).unwrap();
                let heard_at = format.rate_near(8_000).unwrap();
                let mut decoder = Decoder::new(format, heard_at).unwrap();
                let mut samples = Vec::new();
                loop {
                    let mut payload = Vec::new();
                    if player.next(&mut payload) == Played::End {
                        break;
                    }
                    decoder.decode(&payload, &mut samples).unwrap();
                }
                let lasted = samples.len() * 1_000 / heard_at as usize;
                assert!(
                    (490..=520).contains(&lasted),
                    "{codec:?} {rate}: {lasted} ms"
                );
                samples.retain(|sample| sample.unsigned_abs() > 1_000);
                let crossings = samples
                    .windows(2)
                    .filter(|pair| pair[0] < 0 && pair[1] >= 0)
                    .count();
                assert!(
                    (210..=230).contains(&crossings),
                    "{codec:?} {rate}: {crossings}"
                );
            }
        }
    }
}
