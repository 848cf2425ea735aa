//! Keys that a sender presses in its speech, because it knows no telephone-events, for a receiver that knows them.

use std::collections::VecDeque;

use relay_media::{AudioFormat, Decoder, KeyHeard, ToneDetector};
use relay_transport::rtp::{RtpHeader, Ssrc};

use super::{Format, ForwardPath};

/// Keys are looked for at this rate, or the nearest that a codec has.
const RATE_HZ: u32 = 8_000;

/// An ear of its own: speech may pass without being decoded for anybody else.
#[derive(Debug)]
pub(super) struct KeyListener {
    /// The sender's numbers for speech.
    formats: Vec<(u8, AudioFormat)>,
    ear: Option<Ear>,
    heard: VecDeque<KeyHeard>,
    samples: Vec<i16>,
}

#[derive(Debug)]
struct Ear {
    ssrc: Ssrc,
    format: AudioFormat,
    decoder: Decoder,
    detector: ToneDetector,
}

impl Ear {
    fn new(ssrc: Ssrc, format: AudioFormat) -> Option<Self> {
        let rate_hz = format.rate_near(RATE_HZ)?;
        Some(Self {
            ssrc,
            format,
            decoder: Decoder::new(format, rate_hz).ok()?,
            detector: ToneDetector::new(rate_hz),
        })
    }
}

impl ForwardPath {
    /// Looks for keys in what the sender says from now on.
    pub fn listen_for_keys(&mut self, received: &[Format]) {
        let speech = received
            .iter()
            .filter(|format| format.audio().is_transcodable());
        let formats = speech.map(|format| (format.payload_type.number(), format.audio()));
        self.keys = Some(Box::new(KeyListener {
            formats: formats.collect(),
            ear: None,
            heard: VecDeque::new(),
            samples: Vec::new(),
        }));
    }

    /// Listens to a packet that is about to be sent on, if keys are looked for.
    pub fn listen(&mut self, packet: &[u8]) {
        let Some(keys) = &mut self.keys else { return };
        let Some(header) = RtpHeader::parse(packet) else {
            return;
        };
        let number = header.payload_type.number();
        let known = keys
            .formats
            .iter()
            .rev()
            .find(|(known, _)| *known == number);
        let (Some(&(_, format)), Some(payload)) = (known, header.payload(packet)) else {
            return;
        };
        let same = |ear: &Ear| ear.ssrc == header.ssrc && ear.format == format;
        if !keys.ear.as_ref().is_some_and(same) {
            keys.ear = Ear::new(header.ssrc, format);
        }
        let Some(ear) = &mut keys.ear else { return };
        keys.samples.clear();
        if ear.decoder.decode(payload, &mut keys.samples).is_ok() {
            let heard = &mut keys.heard;
            ear.detector
                .hear(&keys.samples, &mut |key| heard.push_back(key));
        }
    }

    /// Whether a key is down just now.
    pub fn hears_key(&self) -> bool {
        let ear = self.keys.as_ref().and_then(|keys| keys.ear.as_ref());
        ear.is_some_and(|ear| ear.detector.is_down())
    }

    /// The next thing that was heard of a key.
    pub fn poll_key(&mut self) -> Option<KeyHeard> {
        self.keys.as_mut()?.heard.pop_front()
    }
}
