//! Opus through libopus, mono, at the sample rate of the other side of a call.
//!
//! Stereo packets are mixed down by the decoder. Nothing here allocates once the codec is made.

use opus::{Application, Bitrate, Channels};

use crate::encoder::EncoderSettings;
use crate::silk_encoder::SilkEncoder;

/// RFC 6716 §3.2.1: the longest frame; also enough for every packet that we make.
const MAX_PACKET: usize = 1_275;
/// RFC 6716 §3.2: the longest packet.
const MAX_PACKET_MS: u32 = 120;
/// Bits per second when nobody says otherwise: narrow band, wide band, more. Meta plans 40 kbit/s for its own.
const NARROW_BITRATE: u32 = 20_000;
const WIDE_BITRATE: u32 = 28_000;
const FULL_BITRATE: u32 = 40_000;

/// libopus would not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Debug)]
pub(crate) struct OpusDecoder {
    decoder: opus::Decoder,
    rate_hz: u32,
}

impl OpusDecoder {
    pub(crate) fn new(rate_hz: u32) -> Result<Self, Refused> {
        let decoder = opus::Decoder::new(rate_hz, Channels::Mono).map_err(|_| Refused)?;
        Ok(Self { decoder, rate_hz })
    }

    pub(crate) fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> Result<(), Refused> {
        let count = opus::packet::get_nb_samples(packet, self.rate_hz).map_err(|_| Refused)?;
        self.run(packet, count, false, samples)
    }

    /// Fills in for `count` lost samples. The packet after the gap may carry a coarse copy of its predecessor (in-band FEC);
    /// libopus makes up whatever that does not cover.
    pub(crate) fn conceal(&mut self, count: usize, next: Option<&[u8]>, samples: &mut Vec<i16>) {
        let wanted = samples.len() + count;
        // libopus conceals in steps of 2.5 ms, at most as long as a packet at a time.
        let step = (self.rate_hz / 400) as usize;
        let longest = (self.rate_hz * MAX_PACKET_MS / 1_000) as usize;
        let mut left = count - count % step;
        while left > longest && self.run(&[], longest, false, samples).is_ok() {
            left -= longest;
        }
        let redundant = next.is_some_and(|packet| self.run(packet, left, true, samples).is_ok());
        if !redundant {
            let _silence_will_do = self.run(&[], left, false, samples);
        }
        samples.resize(wanted, 0);
    }

    fn run(
        &mut self,
        packet: &[u8],
        room: usize,
        fec: bool,
        samples: &mut Vec<i16>,
    ) -> Result<(), Refused> {
        let start = samples.len();
        samples.resize(start + room, 0);
        match self.decoder.decode(packet, &mut samples[start..], fec) {
            Ok(count) => {
                samples.truncate(start + count);
                Ok(())
            }
            Err(_) => {
                samples.truncate(start);
                Err(Refused)
            }
        }
    }
}

/// Above this libopus would turn from speech to music, which [`SilkEncoder`] cannot.
const MAX_SILK_BITRATE: u32 = 48_000;

#[derive(Debug)]
pub(crate) struct OpusEncoder {
    kind: Kind,
    fec: bool,
}

#[derive(Debug)]
enum Kind {
    Silk(SilkEncoder),
    Whole(opus::Encoder),
}

impl OpusEncoder {
    pub(crate) fn new(rate_hz: u32, settings: &EncoderSettings) -> Result<Self, Refused> {
        let usual = match rate_hz {
            0..=8_000 => NARROW_BITRATE,
            8_001..=16_000 => WIDE_BITRATE,
            _ => FULL_BITRATE,
        };
        // RFC 6716 §2.1.1 begins at 6 kbit/s; more than 128 kbit/s is of no use to one voice.
        let wanted = settings.bitrate.unwrap_or(usual);
        let bitrate = wanted
            .min(settings.max_bitrate.unwrap_or(u32::MAX))
            .clamp(6_000, 128_000);
        let complexity = settings.complexity.min(10).into();
        let kind = if rate_hz <= SilkEncoder::MAX_RATE_HZ && bitrate <= MAX_SILK_BITRATE {
            let mut encoder = SilkEncoder::new(rate_hz)?;
            encoder.set_bitrate(bitrate as i32)?;
            encoder.set_complexity(complexity)?;
            encoder.set_inband_fec(settings.fec)?;
            encoder.set_dtx(settings.dtx)?;
            Kind::Silk(encoder)
        } else {
            let made = opus::Encoder::new(rate_hz, Channels::Mono, Application::Voip);
            let mut encoder = made.map_err(|_| Refused)?;
            let configured = encoder
                .set_bitrate(Bitrate::Bits(bitrate as i32))
                .and_then(|()| encoder.set_complexity(complexity))
                .and_then(|()| encoder.set_inband_fec(settings.fec))
                .and_then(|()| encoder.set_dtx(settings.dtx))
                .and_then(|()| encoder.set_signal(opus::Signal::Voice));
            configured.map_err(|_| Refused)?;
            Kind::Whole(encoder)
        };
        Ok(Self {
            kind,
            fec: settings.fec,
        })
    }

    /// An encoder for what is kept: nothing is lost on the way, and nobody waits for it.
    pub(crate) fn for_file(rate_hz: u32, channels: u8) -> Result<Self, Refused> {
        let (channels, bitrate) = match channels {
            1 => (Channels::Mono, WIDE_BITRATE),
            _ => (Channels::Stereo, 2 * WIDE_BITRATE),
        };
        let made = opus::Encoder::new(rate_hz, channels, Application::Audio);
        let mut encoder = made.map_err(|_| Refused)?;
        // Whoever speaks on one side is not to be heard on the other.
        let configured = encoder
            .set_bitrate(Bitrate::Bits(bitrate as i32))
            .and_then(|()| encoder.set_complexity(EncoderSettings::default().complexity.into()))
            .and_then(|()| encoder.set_force_channels(Some(channels)));
        configured.map_err(|_| Refused)?;
        Ok(Self {
            kind: Kind::Whole(encoder),
            fec: false,
        })
    }

    /// Samples of one channel by which what comes out is behind what goes in, where it matters: in files.
    pub(crate) fn lookahead(&mut self) -> Result<u32, Refused> {
        let Kind::Whole(encoder) = &mut self.kind else {
            return Err(Refused);
        };
        let lookahead = encoder.get_lookahead().ok();
        lookahead
            .and_then(|lookahead| lookahead.try_into().ok())
            .ok_or(Refused)
    }

    pub(crate) fn encode(&mut self, samples: &[i16], packet: &mut Vec<u8>) -> Result<(), Refused> {
        // Not in the caller's buffer, which a call keeps: packets are a twentieth as long.
        let mut longest = [0; MAX_PACKET];
        let count = match &mut self.kind {
            Kind::Silk(encoder) => encoder.encode(samples, &mut longest)?,
            Kind::Whole(encoder) => {
                let encoded = encoder.encode(samples, &mut longest);
                encoded.map_err(|_| Refused)?
            }
        };
        packet.extend_from_slice(&longest[..count]);
        Ok(())
    }

    /// How much of what we send is lost on the way, in per cent: from 1 on, redundancy is spent on it.
    pub(crate) fn expect_loss(&mut self, percent: u8) {
        if self.fec {
            let percent = percent.min(100).into();
            // A value in range cannot be refused.
            let _ = match &mut self.kind {
                Kind::Silk(encoder) => encoder.set_packet_loss_perc(percent).ok(),
                Kind::Whole(encoder) => encoder.set_packet_loss_perc(percent).ok(),
            };
        }
    }
}
