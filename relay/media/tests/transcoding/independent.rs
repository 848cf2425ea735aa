//! The same codecs by other hands: ffmpeg (G.711, G.722, linear PCM, and an Opus decoder of its own) and opus-tools.

use relay_media::{AudioFormat, Decoder, Encoder, EncoderSettings, OpusFile, Transcoder};

use crate::ogg;
use crate::programs::{convert, ffmpeg, little_endian, opusdec, raw, samples};
use crate::signal::{at_rate, purity, signal_to_noise, speech, tone};
use crate::stream::{G722, L16, OPUS, PCMA, PCMU, Packet, heard, packets, rate_of, transcode};

#[test]
fn our_decoders_agree_with_those_of_ffmpeg_to_the_bit_and_our_encoders_are_as_good() {
    for format in [PCMU, PCMA, G722, L16] {
        let rate = rate_of(format);
        let mut said = speech(rate, 3.0);
        said.extend(tone(700.0, rate, 1.0));
        let name = format!("{:?}", format.codec);
        let mut ours = Vec::new();
        Encoder::new(format, rate, &EncoderSettings::default())
            .unwrap()
            .encode(&said, &mut ours);
        let linear = format!("-f s16le -ar {rate} -ac 1");
        let Some(theirs) = ffmpeg(
            &format!("{name}-encode"),
            &little_endian(&said),
            &linear,
            &raw(format),
        ) else {
            return;
        };
        let Some(decoded) = ffmpeg(&format!("{name}-decode"), &ours, &raw(format), &linear) else {
            return;
        };
        let of_ours = decode(format, &ours);
        let agreeing = of_ours
            .iter()
            .zip(samples(&decoded))
            .filter(|(one, other)| **one == *other)
            .count();
        assert_eq!(
            agreeing,
            of_ours.len(),
            "{name}: their decoder on our codes"
        );
        // Encoders may round differently: theirs, decoded by us, must be as good as ours.
        let quality = |samples: &[i16]| {
            signal_to_noise(
                &at_rate(&said, rate, 16_000),
                &at_rate(samples, rate, 16_000),
                100,
            )
        };
        let (of_ours, of_theirs) = (quality(&of_ours), quality(&decode(format, &theirs)));
        assert!(
            (of_ours - of_theirs).abs() < 1.0,
            "{name}: {of_ours:.1} dB of ours, {of_theirs:.1} dB of theirs"
        );
    }
}

fn decode(format: AudioFormat, payload: &[u8]) -> Vec<i16> {
    let mut decoder = Decoder::new(format, rate_of(format)).unwrap();
    let mut samples = Vec::new();
    for frame in payload.chunks(320) {
        decoder.decode(frame, &mut samples).unwrap();
    }
    samples
}

#[test]
fn opus_made_of_alaw_is_understood_by_two_other_decoders() {
    let settings = EncoderSettings::default();
    let said = tone(1_000.0, 8_000, 3.0);
    let mut transcoder = Transcoder::new(PCMA, OPUS, 20, &settings).unwrap();
    let sent = transcode(
        &mut transcoder,
        PCMA,
        &packets(PCMA, &said, 20, &settings),
        20,
    );
    let payloads: Vec<Vec<u8>> = sent.into_iter().map(|packet| packet.payload).collect();
    let file = ogg::write(&payloads, 960);
    let linear = "-f s16le -ar 16000 -ac 1";
    // ffmpeg's own decoder is called `opus`, that of libopus `libopus`.
    let by_ffmpeg = ffmpeg("from-alaw", &file, "-c:a opus", linear);
    let by_opusdec = opusdec("from-alaw-tools", &file, 16_000);
    // ffmpeg's gives 13 dB where libopus, on the same packets, gives 33.
    for (name, decoded, least) in [("ffmpeg", by_ffmpeg, 12.0), ("opusdec", by_opusdec, 28.0)] {
        let Some(decoded) = decoded else { continue };
        let got = samples(&decoded);
        let pure = purity(&got[8_000..24_000], 16_000, 1_000.0);
        assert!(pure > least, "{name}: {pure:.1} dB");
    }
}

#[test]
fn opus_of_opusenc_becomes_alaw() {
    let said = speech(16_000, 4.0);
    let encoded = convert(
        "opusenc",
        "opusenc",
        &little_endian(&said),
        |input, output| {
            let line = "--quiet --raw --raw-rate 16000 --raw-chan 1 --bitrate 32 --framesize 20";
            let words = line.split_whitespace().chain([input, output]);
            words.map(str::to_owned).collect()
        },
    );
    let Some(encoded) = encoded else { return };
    let stream: Vec<Packet> = ogg::read(&encoded)
        .into_iter()
        .enumerate()
        .map(|(n, payload)| Packet {
            sequence: n as u16,
            timestamp: n as u32 * 960,
            payload,
        })
        .collect();
    let mut transcoder = Transcoder::new(OPUS, PCMA, 20, &EncoderSettings::default()).unwrap();
    let got = heard(PCMA, &transcode(&mut transcoder, OPUS, &stream, 20));
    let ratio = signal_to_noise(&said, &at_rate(&got, 8_000, 16_000), 800);
    assert!(ratio > 8.0, "{ratio:.1} dB");
}

#[test]
fn a_file_of_opus_is_understood_by_two_other_decoders_each_side_on_its_own_channel() {
    let (left, right) = (speech(16_000, 3.01), tone(1_000.0, 16_000, 3.01));
    let mut file = OpusFile::new(Vec::new(), 2, 16_000).unwrap();
    for (&left, &right) in left.iter().zip(&right) {
        file.push(&[left, right]).unwrap();
    }
    let file = file.finish().unwrap();
    let linear = "-f s16le -ar 16000 -ac 2";
    let by_ffmpeg = ffmpeg("opus-file", &file, "", linear);
    let by_opusdec = opusdec("opus-file-tools", &file, 16_000);
    for (name, decoded) in [("ffmpeg", by_ffmpeg), ("opusdec", by_opusdec)] {
        let Some(decoded) = decoded else { continue };
        let (got_left, got_right): (Vec<_>, Vec<_>) = samples(&decoded)
            .as_chunks()
            .0
            .iter()
            .map(|&[left, right]| (left, right))
            .unzip();
        assert_eq!(
            got_left.len(),
            left.len(),
            "{name}: what went in, to the sample"
        );
        let speech = signal_to_noise(&left, &got_left, 100);
        let pure = purity(&got_right[8_000..40_000], 16_000, 1_000.0);
        println!("{name}: speech {speech:.1} dB, tone {pure:.1} dB");
        assert!(speech > 10.0, "{name}: {speech:.1} dB of speech");
        assert!(
            pure > 20.0,
            "{name}: {pure:.1} dB beside the other side's speech"
        );
    }
}

#[test]
fn a_file_of_opus_without_a_sample_can_be_opened() {
    for channels in [1, 2] {
        let file = OpusFile::new(Vec::new(), channels, 16_000).unwrap();
        let file = file.finish().unwrap();
        let linear = "-f s16le -ar 16000";
        let Some(decoded) = ffmpeg(&format!("empty-{channels}"), &file, "", linear) else {
            return;
        };
        assert_eq!(decoded.len(), 0);
    }
}
