//! Speech through a whole call whose sides share no codec, said and heard by codecs that are not ours (ffmpeg, opus-tools).
//!
//! The signals, the floors and the programs are those of the transcoder's own tests in relay-media.

use std::time::Duration;

use relay_media::{AudioFormat, Codec, EncoderSettings};
use relay_transport::rtcp::{ReportBlock, write_report};
use relay_transport::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::ogg;
use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b};
use crate::programs;
use crate::signal::{at_rate, floor, floors, purity, signal_to_noise, speech, steepest, tone};
use crate::stream::{self, G722, L16, OPUS, PCMA, PCMU, Sent, rate_of};

const MS: Duration = Duration::from_millis(1);
const PACKET: Duration = Duration::from_millis(20);

/// How the formats are written in descriptions, and the number of those that have no fixed one.
pub(crate) fn mapping(format: AudioFormat) -> (u8, &'static str) {
    match format.codec {
        Codec::Pcmu => (0, "PCMU/8000"),
        Codec::Pcma => (8, "PCMA/8000"),
        Codec::G722 => (9, "G722/8000"),
        Codec::Opus => (111, "opus/48000/2"),
        _ => (118, "L16/16000"),
    }
}

pub(crate) fn audio(port: u16, number: u8, format: AudioFormat, redundancy: bool) -> String {
    let fmtp = if redundancy {
        format!("a=fmtp:{number} useinbandfec=1\n")
    } else {
        String::new()
    };
    let mapping = mapping(format).1;
    format!("m=audio {port} RTP/AVP {number}\na=rtpmap:{number} {mapping}\n{fmtp}")
}

/// What one party says and what it hears.
pub(crate) struct Party {
    pub(crate) address: &'static str,
    pub(crate) relay: &'static str,
    pub(crate) number: u8,
    pub(crate) format: AudioFormat,
    pub(crate) ssrc: u32,
    pub(crate) sent: u16,
    pub(crate) heard: Vec<RtpHeader>,
    pub(crate) payloads: Vec<Vec<u8>>,
}

impl Party {
    pub(crate) fn new(
        address: &'static str,
        relay: &'static str,
        number: u8,
        format: AudioFormat,
    ) -> Self {
        Self {
            address,
            relay,
            number,
            format,
            ssrc: 0x1000 + u32::from(number),
            sent: 0,
            heard: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// Ticks of the clock in a packet.
    fn ticks(&self) -> u32 {
        self.format.clock_hz / 50
    }

    /// Says the next packet; `None` is one that the network lost.
    pub(crate) fn say(&mut self, pair: &mut Pair, payload: Option<&[u8]>) {
        let number = self.sent;
        self.sent += 1;
        let Some(payload) = payload else { return };
        let header = RtpHeader::new(
            PayloadType::new(self.number).unwrap(),
            SequenceNumber(number.wrapping_add(65_000)),
            RtpTimestamp(u32::from(number).wrapping_mul(self.ticks())),
            Ssrc(self.ssrc),
        );
        let mut packet = relay_packet::PacketBuf::new();
        assert!(header.write(payload, &mut packet));
        pair.receive(self.relay, self.address, &packet);
    }

    pub(crate) fn listen(&mut self, pair: &mut Pair) {
        for packet in pair.heard_at(self.address) {
            let header = RtpHeader::parse(&packet).unwrap();
            assert_eq!(header.payload_type.number(), self.number);
            self.payloads
                .push(header.payload(&packet).unwrap().to_vec());
            self.heard.push(header);
        }
    }

    /// The stream is one: one source, every number once, every timestamp where the one before ends.
    pub(crate) fn assert_unbroken(&self, name: &str) {
        for two in self.heard.windows(2) {
            assert_eq!(two[0].ssrc, two[1].ssrc, "{name}");
            assert_eq!(two[0].sequence.next(), two[1].sequence, "{name}");
            let step = two[1].timestamp.distance_from(two[0].timestamp);
            assert_eq!(step as u32, self.ticks(), "{name}");
        }
    }
}

/// A call in which `a` has one format and `b` another.
pub(crate) fn call(a: AudioFormat, b: AudioFormat, redundancy: bool) -> (Pair, Party, Party) {
    let mut pair = Pair::new();
    let number = mapping(a).0;
    let flags = format!(
        "{INTERFACES} codec-mask-all codec-transcode-{}",
        mapping(b).1
    );
    let redundant = redundancy && a.codec == Codec::Opus;
    let offer = pair.offer(&of_a(&audio(4000, number, a, redundant)), &flags);
    let rtpmap = offer
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
    let (theirs, _) = rtpmap
        .clone()
        .find(|(_, what)| what.eq_ignore_ascii_case(mapping(b).1))
        .unwrap_or_else(|| panic!("{offer}"));
    let theirs: u8 = theirs.parse().unwrap();
    let redundant = redundancy && b.codec == Codec::Opus;
    let answer = pair.answer(&of_b(&audio(5000, theirs, b, redundant)), "");
    assert!(
        answer.contains(&format!("RTP/AVP {number}\n")),
        "{offer}{answer}"
    );
    (
        pair,
        Party::new(A, "192.0.2.1:30000", number, a),
        Party::new(B, "203.0.113.1:30000", theirs, b),
    )
}

/// Both talk at a time.
pub(crate) fn talk(pair: &mut Pair, parties: [&mut Party; 2], said: [&[Option<Vec<u8>>]; 2]) {
    let [a, b] = parties;
    for n in 0..said[0].len().max(said[1].len()) {
        for (party, said) in [&mut *a, &mut *b].into_iter().zip(said) {
            party.say(pair, said.get(n).and_then(|payload| payload.as_deref()));
        }
        pair.run(PACKET);
        a.listen(pair);
        b.listen(pair);
    }
}

pub(crate) fn whole(payloads: Vec<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
    payloads.into_iter().map(Some).collect()
}

/// The frames of 20 ms that other hands make of samples at [`rate_of`] the format.
///
/// `redundancy` is the loss in per cent that an Opus sender expects, and answers with redundancy (FEC).
fn encoded(
    name: &str,
    format: AudioFormat,
    samples: &[i16],
    redundancy: Option<u8>,
) -> Option<Vec<Vec<u8>>> {
    let rate = rate_of(format);
    let linear = format!("-f s16le -ar {rate} -ac 1");
    let octets = programs::little_endian(samples);
    if format.codec == Codec::Opus {
        let redundancy =
            redundancy.map_or(String::new(), |loss| format!("-fec 1 -packet_loss {loss}"));
        let to = format!("-c:a libopus -application voip -b:a 32k {redundancy} -f ogg");
        return Some(ogg::read(&programs::ffmpeg(name, &octets, &linear, &to)?));
    }
    let stream = programs::ffmpeg(name, &octets, &linear, &programs::raw(format))?;
    let frame = match format.codec {
        Codec::L16 => rate / 50 * 2,
        _ => 160,
    };
    Some(
        stream
            .chunks_exact(frame as usize)
            .map(<[u8]>::to_vec)
            .collect(),
    )
}

/// What other hands hear, at [`rate_of`] the format.
fn decoded(name: &str, format: AudioFormat, payloads: &[Vec<u8>]) -> Option<Vec<i16>> {
    let rate = rate_of(format);
    if format.codec != Codec::Opus {
        let linear = format!("-f s16le -ar {rate} -ac 1");
        return Some(programs::samples(&programs::ffmpeg(
            name,
            &payloads.concat(),
            &programs::raw(format),
            &linear,
        )?));
    }
    let file = ogg::write(payloads, 960);
    Some(programs::samples(&programs::opusdec(name, &file, rate)?))
}

/// The same losses every time.
fn lossy(payloads: Vec<Vec<u8>>, percent: u32) -> Vec<Option<Vec<u8>>> {
    let mut state = 4_711u32;
    let mut kept = whole(payloads);
    for payload in &mut kept {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (state >> 16) % 100 < percent {
            *payload = None;
        }
    }
    kept
}

#[test]
fn every_pair_of_codecs_keeps_a_tone_and_speech_both_ways() {
    const ALL: [AudioFormat; 5] = [OPUS, PCMU, PCMA, G722, L16];
    let mut said = Vec::new();
    for format in ALL {
        let rate = rate_of(format);
        let mut samples = tone(1_000.0, rate, 2.0);
        samples.extend(speech(rate, 4.0));
        let name = format!("call-{:?}", format.codec);
        let Some(payloads) = encoded(&name, format, &samples, None) else {
            return;
        };
        said.push((format, whole(payloads), at_rate(&samples, rate, 16_000)));
    }
    for (index, (one, said_one, signal_one)) in said.iter().enumerate() {
        for (other, said_other, signal_other) in &said[index + 1..] {
            let (mut pair, mut a, mut b) = call(*one, *other, false);
            talk(&mut pair, [&mut a, &mut b], [said_one, said_other]);
            for (hearer, from, signal) in [(&b, one, signal_one), (&a, other, signal_other)] {
                let names = format!("{:?} to {:?}", from.codec, hearer.format.codec);
                hearer.assert_unbroken(&names);
                assert!(
                    hearer.payloads.len() >= 299,
                    "{names}: {} packets",
                    hearer.payloads.len()
                );
                let name = names.replace(' ', "-");
                let rate = rate_of(hearer.format);
                let Some(heard) = decoded(&name, hearer.format, &hearer.payloads) else {
                    return;
                };
                let second = rate as usize;
                let pure = purity(&heard[second / 2..second * 3 / 2], rate, 1_000.0);
                let ratio = signal_to_noise(signal, &at_rate(&heard, rate, 16_000), 1_200);
                println!("{names}: tone {pure:.1} dB, tone and speech {ratio:.1} dB");
                let least = |choose: fn((f64, f64)) -> f64| {
                    floor(choose(floors(*from)), choose(floors(hearer.format)))
                };
                let (tone_floor, speech_floor) =
                    (least(|floors| floors.0), least(|floors| floors.1));
                assert!(
                    pure > tone_floor,
                    "{names}: a tone at {pure:.1} dB, floor {tone_floor:.1}"
                );
                assert!(
                    ratio > speech_floor,
                    "{names}: speech at {ratio:.1} dB, floor {speech_floor:.1}"
                );
            }
        }
    }
}

/// Opus of a sender who knows of the loss, through a call to A-law: how much is heard of what was said.
fn opus_with_loss(percent: u8, redundancy: bool) -> Option<f64> {
    let said = speech(16_000, 20.0);
    let name = format!("lossy-{percent}-{redundancy}");
    let expected = redundancy.then_some(percent);
    let payloads = encoded(&name, OPUS, &said, expected)?;
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, redundancy);
    let kept = lossy(payloads, percent.into());
    talk(&mut pair, [&mut a, &mut b], [&kept, &[]]);
    b.assert_unbroken(&name);
    let heard = decoded(&name, PCMA, &b.payloads)?;
    assert!(heard.len() >= 19 * 8_000, "{name}: {}", heard.len());
    Some(signal_to_noise(
        &said,
        &at_rate(&heard, 8_000, 16_000),
        1_200,
    ))
}

#[test]
fn redundancy_of_the_sender_is_used_where_packets_are_lost() {
    for (percent, least) in [(10, 6.0), (20, 4.0)] {
        let (Some(without), Some(with)) = (
            opus_with_loss(percent, false),
            opus_with_loss(percent, true),
        ) else {
            return;
        };
        println!("{percent} % lost: {without:.1} dB without FEC, {with:.1} dB with");
        assert!(with > least, "{percent} %: {with:.1} dB with FEC");
        assert!(
            with > without + 1.0,
            "{percent} %: {with:.1} dB with FEC, {without:.1} dB without"
        );
    }
}

/// A-law through a call to an Opus receiver that loses packets, and reports it: how much it hears. It makes use of redundancy,
/// and takes any only if its description says so.
fn opus_receiver_with_loss(percent: u8, redundancy: bool) -> f64 {
    let said = speech(8_000, 20.0);
    let payloads = stream::packets(PCMA, &said, 20, &EncoderSettings::default());
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, redundancy);
    for packet in payloads {
        b.say(&mut pair, Some(&packet.payload));
        pair.run(PACKET);
        a.listen(&mut pair);
        // A report in the middle of every second.
        if a.heard.len() % 50 == 25 {
            let heard = a.heard.last().unwrap();
            let block = ReportBlock {
                ssrc: heard.ssrc,
                fraction_lost: (u16::from(percent) * 256 / 100) as u8,
                cumulative_lost: 0,
                extended_highest: heard.sequence.0.into(),
                jitter: 0,
                last_sr: 0,
                delay_since_last_sr: 0,
            };
            let mut report = relay_packet::PacketBuf::new();
            assert!(write_report(&mut report, Ssrc(a.ssrc), None, &[block], "a"));
            pair.receive("192.0.2.1:30001", "192.0.2.55:4001", &report);
        }
    }
    a.assert_unbroken("loss towards Opus");
    let mut decoder = relay_media::Decoder::new(OPUS, 16_000).unwrap();
    let mut heard = Vec::new();
    let kept = lossy(std::mem::take(&mut a.payloads), percent.into());
    let mut missing = 0;
    for payload in kept {
        let Some(payload) = payload else {
            missing += 1;
            continue;
        };
        for left in (0..missing).rev() {
            decoder.conceal(320, (left == 0).then_some(&payload[..]), &mut heard);
        }
        missing = 0;
        decoder.decode(&payload, &mut heard).unwrap();
    }
    signal_to_noise(&at_rate(&said, 8_000, 16_000), &heard, 1_200)
}

#[test]
fn a_receiver_that_reports_loss_is_sent_redundancy_if_it_takes_it() {
    for (percent, least) in [(10, 6.0), (20, 4.0)] {
        let (without, with) = (
            opus_receiver_with_loss(percent, false),
            opus_receiver_with_loss(percent, true),
        );
        println!("{percent} % lost: {without:.1} dB without FEC, {with:.1} dB with");
        assert!(with > least, "{percent} %: {with:.1} dB with FEC");
        assert!(
            with > without + 1.0,
            "{percent} %: {with:.1} dB with FEC, {without:.1} dB without"
        );
    }
}

#[test]
fn ten_minutes_of_drifting_clocks_and_jitter_are_not_heard() {
    const SECONDS: u32 = 600;
    let settings = EncoderSettings::default();
    let (mut pair, mut a, mut b) = call(OPUS, PCMA, true);
    let signals = [OPUS, PCMA].map(|format| tone(250.0, rate_of(format), f64::from(SECONDS)));
    let said_a = stream::packets(OPUS, &signals[0], 20, &settings);
    let said_b = stream::packets(PCMA, &signals[1], 20, &settings);
    // Who is fast by 200 millionths, and who is slow; and up to 8 ms of jitter, which changes no order.
    let start = pair.desk.now;
    let mut state = 99u32;
    let mut jitter = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        MS * (state >> 24) / 32
    };
    let mut schedule: Vec<(Duration, bool, usize)> = Vec::new();
    for n in 0..said_a.len() {
        let at = |ppm: i64| Duration::from_nanos((20_000_000 + 20 * ppm) as u64) * n as u32;
        schedule.push((at(-200) + jitter(), true, n));
        schedule.push((at(200) + jitter(), false, n));
    }
    schedule.sort();
    for (at, is_a, n) in schedule {
        pair.run((start + at).saturating_duration_since(pair.desk.now));
        let (party, said) = if is_a {
            (&mut a, &said_a)
        } else {
            (&mut b, &said_b)
        };
        party.say(&mut pair, Some(&said[n].payload));
        let other = if is_a { &mut b } else { &mut a };
        let before = other.heard.len();
        other.listen(&mut pair);
        // One in, one out, in the same moment: nothing waits longer at the end than at the beginning.
        assert_eq!(other.heard.len(), before + 1, "packet {n}");
    }
    for party in [a, b] {
        let name = format!("towards {:?}", party.format.codec);
        party.assert_unbroken(&name);
        let sent: Vec<Sent> = party
            .payloads
            .into_iter()
            .map(|payload| Sent {
                timestamp: 0,
                marker: false,
                payload,
            })
            .collect();
        let heard = stream::heard(party.format, &sent);
        let steepest_itself = steepest(&tone(250.0, rate_of(party.format), 1.0));
        let click = steepest(&heard[8_000..]);
        assert!(
            click < 2 * steepest_itself,
            "{name}: {click}, where the tone itself moves by {steepest_itself}"
        );
    }
}

#[test]
fn speech_that_could_pass_is_transcoded_where_that_is_asked_for() {
    for (flags, expected) in [("", false), ("force-transcoding", true)] {
        let mut pair = Pair::new();
        let flags = format!("{INTERFACES} {flags}");
        pair.offer(&of_a(&audio(4000, 8, PCMA, false)), &flags);
        pair.answer(&of_b(&audio(5000, 8, PCMA, false)), "");
        let mut a = Party::new(A, "192.0.2.1:30000", 8, PCMA);
        let mut b = Party::new(B, "203.0.113.1:30000", 8, PCMA);
        // Packets of 30 ms come out as packets of 20 ms from an encoder, and as they are from nobody else.
        for _ in 0..4 {
            a.say(&mut pair, Some(&[0xd5; 240]));
            pair.run(PACKET * 3 / 2);
        }
        b.listen(&mut pair);
        let lens: Vec<usize> = b.payloads.iter().map(Vec::len).collect();
        if expected {
            assert_eq!(lens, [160; 6]);
        } else {
            assert_eq!(lens, [240; 4]);
        }
    }
}
