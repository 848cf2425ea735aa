//! Opus and µ-law made into each other in both directions: processor time, memory, added latency, and how it sounds.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use opus::{Application, Channels, Decoder, Encoder};
use serde_json::json;

use crate::figures::{cell, percentile, ratio};
use crate::ng::{NgClient, media_address};
use crate::relay_process::{Binaries, RelayKind, RelayProcess};
use crate::speech::{Voice, code_of, sample_of, spectral_distance, speech};

const PACKET_TIME: Duration = Duration::from_millis(20);
/// What is said, over and over, every call beginning somewhere else.
const LOOP_SECONDS: usize = 10;
/// Everything is judged at the rate of the narrow side.
const RATE_HZ: u32 = 8_000;
const FRAME: usize = 160;
/// Packets that a relay may hold back, at most.
const MOST_HELD: usize = 25;
/// Half of the calls go on so long before the others begin.
const HALF_ALONE: Duration = Duration::from_millis(500);
/// The streams of so many calls are listened to.
const LISTENED: usize = 4;

/// How much load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Calls at once, each 50 packets a second in both directions.
    #[arg(long, default_value_t = 40)]
    calls: usize,
    /// Seconds that are measured, after all calls run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often it is run, the relays taking turns.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

#[derive(Clone, Debug)]
struct Figures {
    ns_per_packet: f64,
    /// From an idle relay on: what the first calls bring in for all of them is divided among them.
    octets_per_call: f64,
    /// From half of the calls on, when code, tables and every thread have been in use.
    octets_per_further_call: f64,
    /// Packets that left the relay, of those that went in.
    delivered: f64,
    latencies_ms: Vec<f64>,
    /// Towards µ-law and towards Opus, in dB.
    distances: [Option<f64>; 2],
    /// Of the Opus that the relay makes.
    bits_per_second: f64,
}

pub(crate) fn run(
    options: &Options,
    relays: &[RelayKind],
    binaries: &Binaries,
) -> Result<(), Box<dyn Error>> {
    println!(
        "\nOpus - PCMU, {} calls, {} s, {} rounds; libopus's complexity: tandem 5, rtpengine 10 (the default of libavcodec)",
        options.calls, options.seconds, options.rounds
    );
    println!(
        "{:<11} {:>13} {:>7} {:>15} {:>7} {:>12} {:>7} {:>10} {:>13} {:>7} {:>13} {:>7} {:>21} {:>9}",
        "relay",
        "ns CPU/packet",
        "ratio",
        "KiB memory/call",
        "ratio",
        "each further",
        "ratio",
        "delivered",
        "added p50 ms",
        "ratio",
        "added p99 ms",
        "ratio",
        "distance dB PCMU/Opus",
        "Opus b/s"
    );
    let said = Said::new()?;
    let mut best: Vec<Option<Figures>> = vec![None; relays.len()];
    for _round in 0..options.rounds {
        for (slot, &kind) in best.iter_mut().zip(relays) {
            let figures = measure(options, kind, binaries, &said)?;
            // The quietest round says most about the relay and least about its neighbours.
            if slot
                .as_ref()
                .is_none_or(|known| figures.ns_per_packet < known.ns_per_packet)
            {
                *slot = Some(figures);
            }
        }
    }
    let reference = best.last().cloned().flatten();
    for (figures, kind) in best.iter().zip(relays) {
        let of = |figure: fn(&Figures) -> Option<f64>| {
            let ours = figures.as_ref().and_then(figure);
            (ours, ratio(ours, reference.as_ref().and_then(figure)))
        };
        let (cpu, cpu_ratio) = of(|f| Some(f.ns_per_packet));
        let (memory, memory_ratio) = of(|f| Some(f.octets_per_call / 1024.0));
        let (further, further_ratio) = of(|f| Some(f.octets_per_further_call / 1024.0));
        let (p50, p50_ratio) = of(|f| percentile(&f.latencies_ms, 0.5));
        let (p99, p99_ratio) = of(|f| percentile(&f.latencies_ms, 0.99));
        let distances = figures.as_ref().map_or([None; 2], |f| f.distances);
        println!(
            "{:<11} {:>13} {:>7} {:>15} {:>7} {:>12} {:>7} {:>9}% {:>13} {:>7} {:>13} {:>7} {:>21} {:>9}",
            kind.name(),
            cell(cpu),
            cpu_ratio,
            cell(memory),
            memory_ratio,
            cell(further),
            further_ratio,
            cell(of(|f| Some(f.delivered * 100.0)).0),
            cell(p50),
            p50_ratio,
            cell(p99),
            p99_ratio,
            format!("{} / {}", cell(distances[0]), cell(distances[1])),
            cell(of(|f| Some(f.bits_per_second)).0),
        );
    }
    println!(
        "memory: resident, since the relay was idle, and since half of the calls ran; added: from a packet in to the packet with \
         what it said out, as this program sees it on loopback; distance: between the spectra of what was said and heard"
    );
    Ok(())
}

/// What everybody says, in both codecs.
struct Said {
    samples: Vec<i16>,
    opus: Vec<Vec<u8>>,
    pcmu: Vec<Vec<u8>>,
}

impl Said {
    fn new() -> Result<Self, Box<dyn Error>> {
        let samples = speech(RATE_HZ, LOOP_SECONDS);
        let mut encoder = Encoder::new(RATE_HZ, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(opus::Bitrate::Bits(24_000))?;
        let frames = samples.chunks_exact(FRAME);
        let encoded = frames.clone().map(|frame| encoder.encode_vec(frame, 1_275));
        Ok(Self {
            opus: encoded.collect::<Result<_, _>>()?,
            pcmu: frames
                .map(|frame| frame.iter().map(|&sample| code_of(sample)).collect())
                .collect(),
            samples,
        })
    }

    fn payload(&self, codec: Voice, at: usize) -> &[u8] {
        let payloads = match codec {
            Voice::Opus => &self.opus,
            Voice::Pcmu => &self.pcmu,
        };
        &payloads[at % payloads.len()]
    }
}

/// One side of all calls, on one socket.
struct Side {
    codec: Voice,
    socket: UdpSocket,
    address: SocketAddr,
    legs: Vec<Leg>,
    by_relay: HashMap<SocketAddr, usize>,
    recording: bool,
    received: u64,
}

struct Leg {
    relay: SocketAddr,
    spoken: usize,
    begins_at: usize,
    next_at: Instant,
    /// When what was sent, while recording, and what came when.
    sent: Vec<(Instant, usize)>,
    heard: Vec<(Instant, Vec<u8>)>,
}

impl Side {
    fn new(codec: Voice) -> io::Result<Self> {
        let socket = crate::bank::wide_socket(Ipv4Addr::LOCALHOST)?;
        Ok(Self {
            codec,
            address: socket.local_addr()?,
            socket,
            legs: Vec::new(),
            by_relay: HashMap::new(),
            recording: false,
            received: 0,
        })
    }

    fn sdp(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let codec = match self.codec {
            Voice::Opus => "111\r\na=rtpmap:111 opus/48000/2",
            Voice::Pcmu => "0\r\na=rtpmap:0 PCMU/8000",
        };
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {codec}\r\na=sendrecv\r\na=ptime:20\r\n"
        )
    }

    fn speak(&mut self, relay: SocketAddr, at: Instant) {
        self.by_relay.insert(relay, self.legs.len());
        self.legs.push(Leg {
            relay,
            spoken: 0,
            begins_at: self.legs.len() * 37,
            next_at: at,
            sent: Vec::new(),
            heard: Vec::new(),
        });
    }

    /// Sends what is due and takes in what has arrived; gives the number of packets sent.
    fn pump(&mut self, said: &Said) -> u64 {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            // RTCP shares nothing with the count of media packets (RFC 5761 §4).
            if length < 12 || (192..=223).contains(&buffer[1]) {
                continue;
            }
            self.received += 1;
            if self.recording
                && let Some(&leg) = self.by_relay.get(&source)
            {
                let payload = buffer[12..length].to_vec();
                self.legs[leg].heard.push((Instant::now(), payload));
            }
        }
        let mut sent = 0;
        for (index, leg) in self.legs.iter_mut().enumerate() {
            while leg.next_at <= Instant::now() {
                let at = leg.begins_at + leg.spoken;
                let packet = packet(self.codec, index, leg.spoken, said.payload(self.codec, at));
                let now = Instant::now();
                sent += u64::from(self.socket.send_to(&packet, leg.relay).is_ok());
                if self.recording {
                    leg.sent.push((now, at));
                }
                leg.spoken += 1;
                leg.next_at += PACKET_TIME;
            }
        }
        sent
    }
}

fn packet(codec: Voice, leg: usize, number: usize, payload: &[u8]) -> Vec<u8> {
    let (payload_type, ticks) = match codec {
        Voice::Opus => (111, 960),
        Voice::Pcmu => (0, 160),
    };
    let mut packet = vec![0x80, payload_type];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number as u32).wrapping_mul(ticks).to_be_bytes());
    packet.extend((0x6000_0000 + leg as u32).to_be_bytes());
    packet.extend(payload);
    packet
}

fn measure(
    options: &Options,
    kind: RelayKind,
    binaries: &Binaries,
    said: &Said,
) -> Result<Figures, Box<dyn Error>> {
    eprintln!("  {} ...", kind.name());
    let relay = RelayProcess::start(kind, binaries)?;
    let mut client = NgClient::new(relay.control)?;
    let (mut near, mut far) = (Side::new(Voice::Opus)?, Side::new(Voice::Pcmu)?);
    let before = relay.usage()?;
    let mut halfway = before;
    for number in 0..options.calls {
        let call_id = format!("transcode-{number}");
        let now = Instant::now();
        let flags = json!({ "codec": { "mask": ["opus"], "transcode": ["PCMU"] } });
        let to_far = client.exchange("offer", &call_id, &near.sdp(), &flags)?;
        let to_near = client.exchange("answer", &call_id, &far.sdp(), &json!({}))?;
        far.speak(media_address(&to_far)?, now);
        near.speak(media_address(&to_near)?, now);
        // Calls arrive spread over the packet time, as live ones do.
        pump_until(now + Duration::from_millis(7), &mut near, &mut far, said);
        if number + 1 == options.calls / 2 {
            pump_until(now + HALF_ALONE, &mut near, &mut far, said);
            halfway = relay.usage()?;
        }
    }
    let warm = Instant::now() + Duration::from_secs(3);
    pump_until(warm, &mut near, &mut far, said);
    let start = relay.usage()?;
    let received = near.received + far.received;
    (near.recording, far.recording) = (true, true);
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let sent = pump_until(end, &mut near, &mut far, said);
    let usage = relay.usage()?;
    let delivered = near.received + far.received - received;
    let last = Instant::now() + Duration::from_millis(200);
    pump_until(last, &mut near, &mut far, said);

    let mut latencies_ms = Vec::new();
    let mut distances = [None; 2];
    for (place, (hearers, speakers)) in [(&far, &near), (&near, &far)].into_iter().enumerate() {
        let legs = hearers.legs.iter().zip(&speakers.legs);
        let mut measured = Vec::new();
        for (number, (hearer, speaker)) in legs.enumerate() {
            let heard = decoded(hearers.codec, &hearer.heard)?;
            let spoken: Vec<i16> = speaker
                .sent
                .iter()
                .flat_map(|(_, at)| {
                    let at = at % (said.samples.len() / FRAME);
                    said.samples[at * FRAME..(at + 1) * FRAME].iter().copied()
                })
                .collect();
            latencies_ms.extend(latencies(speaker, hearer, &spoken, &heard));
            if number < LISTENED {
                measured.extend(spectral_distance(&spoken, &heard, MOST_HELD * FRAME));
            }
        }
        let count = measured.len() as f64;
        distances[place] = (count > 0.0).then(|| measured.iter().sum::<f64>() / count);
    }
    let octets: usize = near
        .legs
        .iter()
        .flat_map(|leg| &leg.heard)
        .map(|(_, payload)| payload.len())
        .sum();
    let packets: usize = near.legs.iter().map(|leg| leg.heard.len()).sum();
    Ok(Figures {
        ns_per_packet: (usage.processor - start.processor).as_nanos() as f64
            / delivered.max(1) as f64,
        octets_per_call: usage.memory_octets.saturating_sub(before.memory_octets) as f64
            / options.calls.max(1) as f64,
        octets_per_further_call: usage.memory_octets.saturating_sub(halfway.memory_octets) as f64
            / options.calls.div_ceil(2).max(1) as f64,
        delivered: delivered as f64 / sent.max(1) as f64,
        latencies_ms,
        distances,
        bits_per_second: octets as f64 * 8.0 * 50.0 / packets.max(1) as f64,
    })
}

/// Runs both sides until `end`; gives the packets that they sent meanwhile.
fn pump_until(end: Instant, near: &mut Side, far: &mut Side, said: &Said) -> u64 {
    let mut sent = 0;
    while Instant::now() < end {
        sent += near.pump(said) + far.pump(said);
        thread::sleep(Duration::from_micros(100));
    }
    sent
}

fn decoded(codec: Voice, heard: &[(Instant, Vec<u8>)]) -> Result<Vec<i16>, Box<dyn Error>> {
    let mut decoder = Decoder::new(RATE_HZ, Channels::Mono)?;
    let mut samples = Vec::new();
    for (_, payload) in heard {
        match codec {
            Voice::Pcmu => samples.extend(payload.iter().map(|&code| sample_of(code))),
            Voice::Opus => {
                let mut frame = [0; 960];
                let count = decoder.decode(payload, &mut frame, false)?;
                samples.extend(&frame[..count]);
            }
        }
    }
    Ok(samples)
}

/// How long after a packet went in the one with what it said came out, for every packet.
fn latencies(speaker: &Leg, hearer: &Leg, spoken: &[i16], heard: &[i16]) -> Vec<f64> {
    let loudness = |samples: &[i16]| -> Vec<f64> {
        samples
            .chunks_exact(FRAME)
            .map(|frame| {
                let power: f64 = frame.iter().map(|&s| f64::from(s).powi(2)).sum();
                (power / FRAME as f64 + 1.0).log10()
            })
            .collect()
    };
    let (said, got) = (loudness(spoken), loudness(heard));
    let alike = |held: usize| -> f64 {
        let pairs = said.iter().zip(got.iter().skip(held));
        let (count, sum) = pairs.fold((0u32, 0.0), |(count, sum), (a, b)| {
            (count + 1, sum + (a - b).powi(2))
        });
        -sum / f64::from(count.max(1))
    };
    // What came first was said before the recording began, if the relay holds packets back.
    let held = (0..MOST_HELD).max_by(|&a, &b| alike(a).total_cmp(&alike(b)));
    let held = held.unwrap_or(0);
    let pairs = speaker.sent.iter().zip(hearer.heard.iter().skip(held));
    pairs
        .filter_map(|((sent, _), (came, _))| came.checked_duration_since(*sent))
        .map(|latency| latency.as_secs_f64() * 1e3)
        .collect()
}
