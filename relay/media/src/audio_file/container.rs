//! Files that say themselves what they are, read by symphonia; Opus in them is decoded by the decoder of calls.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_OPUS,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Time, TimeBase, Timestamp};

use super::{AudioFileError, Bytes};
use crate::{AudioFormat, Codec, Decoder};

/// Damaged packets in a row after which a file is taken to be over.
const MOST_DAMAGED: u32 = 1_000;
/// To a position behind this one, an MP3 file is not read frame by frame but entered where it should be.
const EXACT: Duration = Duration::from_secs(600);
/// Rates and channels of audio; others are mistakes, or made to hurt.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
const CHANNELS: std::ops::RangeInclusive<usize> = 1..=8;

pub(super) struct Container {
    reader: Box<dyn FormatReader>,
    track: u32,
    time_base: Option<TimeBase>,
    decoder: Kind,
    rate_hz: u32,
    duration: Option<Duration>,
    /// Blocks of many samples (ADPCM): the reader takes their number for that of a sample, and finds nothing but the beginning.
    in_blocks: bool,
    /// Found on the way to a position, and not decoded yet.
    found: Option<Packet>,
    /// Channels take turns.
    interleaved: Vec<i16>,
}

enum Kind {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<Decoder>),
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.reader.format_info().short_name;
        write!(f, "Container({kind}, {} Hz)", self.rate_hz)
    }
}

/// Bytes as symphonia wants them.
struct Source {
    bytes: Box<dyn Bytes>,
    length: Option<u64>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Seek for Source {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        self.length
    }
}

impl Container {
    pub(super) fn open(
        bytes: Box<dyn Bytes>,
        length: Option<u64>,
        ending: Option<&str>,
    ) -> Result<Self, AudioFileError> {
        let source = Box::new(Source { bytes, length });
        let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
        let mut hint = Hint::new();
        if let Some(ending) = ending {
            hint.with_extension(ending);
        }
        let probed = symphonia::default::get_probe().probe(
            &hint,
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        );
        let reader = probed
            .map_err(|error| AudioFileError::Unreadable(format!("no audio file: {error}")))?;
        let track = reader
            .first_track(TrackType::Audio)
            .ok_or(AudioFileError::NoAudio)?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
            return Err(AudioFileError::NoAudio);
        };
        let undecodable = |error: &dyn fmt::Display| AudioFileError::Undecodable(error.to_string());
        let is_opus = parameters.codec == CODEC_ID_OPUS;
        let in_blocks = [CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS].contains(&parameters.codec);
        let rate_hz = parameters.sample_rate.filter(|_| !is_opus);
        let rate_hz = rate_hz.unwrap_or(48_000);
        let channels = parameters.channels.as_ref().map_or(1, |c| c.count());
        if !RATES.contains(&rate_hz) || !CHANNELS.contains(&channels) {
            return Err(AudioFileError::Odd { rate_hz, channels });
        }
        let decoder = if is_opus {
            Kind::Opus(Box::new(opus().map_err(|error| undecodable(&error))?))
        } else {
            let registry = symphonia::default::get_codecs();
            let made = registry.make_audio_decoder(parameters, &AudioDecoderOptions::default());
            Kind::Symphonia(made.map_err(|error| undecodable(&error))?)
        };
        // Of samples that are not compressed, there are no more than there are octets for.
        let bits = parameters.bits_per_coded_sample.map(u64::from);
        let bits = bits.filter(|&bits| bits > 0);
        let most = length.zip(bits).map(|(length, bits)| {
            let frames = length.saturating_mul(8) / (bits * channels as u64);
            Duration::from_millis(frames.saturating_mul(1_000) / u64::from(rate_hz))
        });
        let frames = track.num_frames;
        let claimed = frames.and_then(|frames| {
            Some(Duration::from_millis(
                frames.checked_mul(1_000)? / u64::from(rate_hz),
            ))
        });
        let duration = claimed.map(|claimed| most.map_or(claimed, |most| claimed.min(most)));
        let (track, time_base) = (track.id, track.time_base);
        Ok(Self {
            track,
            time_base,
            reader,
            decoder,
            rate_hz,
            duration,
            in_blocks,
            found: None,
            interleaved: Vec::new(),
        })
    }

    pub(super) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// How many samples lie between where the reader is now and the position.
    pub(super) fn seek(&mut self, position: Duration) -> Result<u64, String> {
        self.found = None;
        if self.in_blocks {
            return self.walk_to(position);
        }
        let time = Time::try_from_nanos_u128(position.as_nanos()).ok_or("too far")?;
        let mode = if position > EXACT {
            SeekMode::Coarse
        } else {
            SeekMode::Accurate
        };
        let to = SeekTo::Time {
            time,
            track_id: Some(self.track),
        };
        let sought = self.reader.seek(mode, to);
        let sought = sought.map_err(|error| error.to_string())?;
        match &mut self.decoder {
            Kind::Symphonia(decoder) => decoder.reset(),
            Kind::Opus(decoder) => **decoder = opus().map_err(|error| error.to_string())?,
        }
        let seconds = |ts| {
            self.time_base
                .and_then(|base: TimeBase| base.calc_time(ts))
                .map_or(0.0, |time| time.as_secs_f64())
        };
        let missing = seconds(sought.required_ts) - seconds(sought.actual_ts);
        // A wrong file may say anything; no more is left out than an exact search ever leaves.
        Ok((missing.clamp(0.0, 10.0) * f64::from(self.rate_hz)).round() as u64)
    }

    /// Counts packets from the beginning on, without decoding them.
    fn walk_to(&mut self, position: Duration) -> Result<u64, String> {
        let beginning = SeekTo::Timestamp {
            ts: Timestamp::ZERO,
            track_id: self.track,
        };
        let sought = self.reader.seek(SeekMode::Accurate, beginning);
        sought.map_err(|error| error.to_string())?;
        if let Kind::Symphonia(decoder) = &mut self.decoder {
            decoder.reset();
        }
        let left = position.as_micros() * u128::from(self.rate_hz) / 1_000_000;
        let mut left = u64::try_from(left).map_err(|_| "too far")?;
        loop {
            let packet = self.reader.next_packet();
            let packet = packet.map_err(|error| error.to_string())?;
            let packet = packet.ok_or("it ends before")?;
            if packet.track_id != self.track {
                continue;
            }
            let lasts = packet.dur.get();
            if left < lasts {
                self.found = Some(packet);
                return Ok(left);
            }
            left -= lasts;
        }
    }

    pub(super) fn read(&mut self, mono: &mut Vec<i16>) -> bool {
        if let Some(packet) = self.found.take()
            && self.decode(&packet, mono)
        {
            return true;
        }
        for _ in 0..MOST_DAMAGED {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track => {}
                Ok(Some(packet)) => {
                    if self.decode(&packet, mono) {
                        return true;
                    }
                }
                Err(Error::DecodeError(_)) => {}
                // A file that breaks off ends there.
                Ok(None) | Err(_) => return false,
            }
        }
        false
    }

    /// Appends what is in a packet; `false` if it is damaged.
    fn decode(&mut self, packet: &Packet, mono: &mut Vec<i16>) -> bool {
        match &mut self.decoder {
            Kind::Opus(decoder) => {
                let start = mono.len();
                if decoder.decode(&packet.data, mono).is_err() {
                    return false;
                }
                // RFC 7845 §4.2, §4.4: what the encoder put in front and behind is not heard.
                let of = |units: u64| usize::try_from(units).unwrap_or(usize::MAX);
                let behind = of(packet.trim_end.get());
                mono.truncate(mono.len().saturating_sub(behind).max(start));
                let before = of(packet.trim_start.get()).min(mono.len() - start);
                mono.drain(start..start + before);
                true
            }
            Kind::Symphonia(decoder) => {
                let Ok(decoded) = decoder.decode(packet) else {
                    return false;
                };
                let channels = decoded.spec().channels().count();
                if decoded.spec().rate() != self.rate_hz || channels == 0 {
                    return false;
                }
                self.interleaved.clear();
                decoded.copy_to_vec_interleaved(&mut self.interleaved);
                mono.extend(self.interleaved.chunks_exact(channels).map(|frame| {
                    let sum: i32 = frame.iter().map(|&sample| i32::from(sample)).sum();
                    // The mean of 16-bit samples has 16 bits.
                    (sum / channels as i32) as i16
                }));
                true
            }
        }
    }
}

fn opus() -> Result<Decoder, crate::NotTranscodable> {
    let format = AudioFormat {
        codec: Codec::Opus,
        clock_hz: 48_000,
        channels: 2,
    };
    Decoder::new(format, 48_000)
}
