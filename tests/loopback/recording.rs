//! Recorded calls on a real disk, read back by another reader than our writer.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use relay::recording::{AudioForm, Channels, LinkType, RecordingSettings};
use relay_call::config::RecordedStreams;
use tests::ng_client::{answer, command, offer, words};
use tests::srtp_peer::SUITE;
use tests::{NgClient, RtpPeer, SrtpPeer, TestRelay, sdp};

const PATIENCE: Duration = Duration::from_secs(3);

/// A folder for recordings that is gone after the test.
struct Spool(PathBuf);

impl Spool {
    fn new(test: &str) -> Self {
        let name = format!("tandem-recording-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn relay(&self, address: &str, link_type: LinkType) -> TestRelay {
        let directory = self.0.to_str().expect("a name").to_owned();
        TestRelay::start_with(address, |config| {
            config.recording = Some(RecordingSettings {
                streams: RecordedStreams::Ingress,
                directory,
                packets: Some(link_type),
                audio: Some(AudioForm {
                    channels: Channels::Stereo,
                    ..AudioForm::default()
                }),
                vcon: None,
                codes: Default::default(),
            });
        })
    }

    /// The files in one of its folders.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("a file").path()).collect()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A packet of a file: its way, and what it carries.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    source: SocketAddr,
    destination: SocketAddr,
    payload: Vec<u8>,
}

/// All packets, whose checksums are right and whose times do not go back.
fn read(path: &Path) -> Vec<Read> {
    let file = File::open(path).expect("a file");
    let mut reader = PcapReader::new(file).expect("the header of a file");
    let link = reader.header().datalink;
    let mut packets = Vec::new();
    let mut last = Duration::ZERO;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("a whole packet");
        assert_eq!(packet.orig_len as usize, packet.data.len());
        assert!(packet.timestamp >= last);
        last = packet.timestamp;
        let sliced = match link {
            pcap_file::DataLink::ETHERNET => SlicedPacket::from_ethernet(&packet.data),
            pcap_file::DataLink::RAW => SlicedPacket::from_ip(&packet.data),
            other => panic!("{other:?}"),
        };
        let sliced = sliced.expect("a packet of IP");
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
            panic!("{sliced:?}");
        };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let Some(TransportSlice::Udp(udp)) = &sliced.transport else {
            panic!("{sliced:?}");
        };
        packets.push(Read {
            source: SocketAddr::new(header.source.into(), udp.source_port()),
            destination: SocketAddr::new(header.destination.into(), udp.destination_port()),
            payload: udp.payload().to_vec(),
        });
    }
    packets
}

fn recordings(
    proxy: &mut NgClient,
    request: &ng_protocol::Dictionary<'_>,
) -> (Vec<PathBuf>, String) {
    let response = proxy.ask(request);
    let sdp = response.sdp_body().expect("a description").to_vec();
    let list = response
        .body()
        .get("recordings")
        .and_then(|list| list.as_list());
    let list = list.unwrap_or_default().iter();
    let paths = list.map(|path| PathBuf::from(path.to_string())).collect();
    (paths, String::from_utf8(sdp).expect("text"))
}

#[test]
fn both_parties_are_in_the_file_that_the_proxy_was_told_of() {
    for (address, link_type) in [
        ("127.12.9.1", LinkType::RawIp),
        ("127.12.9.2", LinkType::Ethernet),
    ] {
        let spool = Spool::new(address);
        let relay = spool.relay(address, link_type);
        let (mut a, mut b) = (
            RtpPeer::new(relay.address, 1),
            RtpPeer::new(relay.address, 2),
        );
        let mut proxy = relay.client();
        let a_sdp = sdp::phone(a.address());
        let asked = offer("a/b", "a", &a_sdp)
            .with("record-call", "yes")
            .with("metadata", "who|what");
        let (files, for_b) = recordings(&mut proxy, &asked);
        let for_b = sdp::audio_address(&for_b);
        let b_sdp = sdp::phone(b.address());
        let (again, for_a) = recordings(&mut proxy, &answer("a/b", "a", "b", &b_sdp));
        assert_eq!(files, again);
        let for_a = sdp::audio_address(&for_a);
        let mut said = Vec::new();
        for number in 0..20_u8 {
            let packets = [
                a.next_packet(&[b'a', number]),
                b.next_packet(&[b'b', number]),
            ];
            for (packet, peer, other, to) in
                [(&packets[0], &a, &b, for_a), (&packets[1], &b, &a, for_b)]
            {
                peer.send(to, &packet.bytes());
                let words = &packet.payload[..2];
                other.hear(words, PATIENCE).expect("they hear each other");
                said.push(Read {
                    source: peer.address(),
                    destination: to,
                    payload: packet.bytes(),
                });
            }
        }
        relay.eventually("a text is being written", |_| spool.files("tmp").len() == 1);
        let end = command("delete", "a/b").with("delete-delay", 0_i64);
        assert_eq!(proxy.ask(&end).error_reason(), None);
        relay.eventually("the text is where it belongs", |_| {
            spool.files("metadata").len() == 1
        });
        assert_eq!(spool.files("pcaps"), files[..1]);
        assert_eq!(spool.files("audio"), files[1..]);
        assert!(spool.files("tmp").is_empty());
        assert_eq!(read(&files[0]), said);
        let text = fs::read_to_string(&spool.files("metadata")[0]).expect("a text");
        assert!(
            text.starts_with(files[0].to_str().expect("a name")),
            "{text}"
        );
        assert!(text.contains("SDP mode: offer\n") && text.contains("SDP mode: answer\n"));
        assert!(text.ends_with("\n\n\nwho|what\n"), "{text}");
        assert_eq!(relay.relay().recordings().packets, 40);
    }
}

#[test]
fn the_recording_of_an_encrypted_party_can_be_listened_to() {
    let spool = Spool::new("encrypted");
    let relay = spool.relay("127.12.9.3", LinkType::RawIp);
    let mut a = SrtpPeer::new(relay.address, 1);
    let b = RtpPeer::new(relay.address, 2);
    let mut proxy = relay.client();
    let a_sdp = sdp::encrypted_phone(a.address(), SUITE, a.key());
    let asked = offer("call", "a", &a_sdp)
        .with("transport-protocol", "RTP/AVP")
        .with("record-call", "on");
    let (files, _) = recordings(&mut proxy, &asked);
    let b_sdp = sdp::phone(b.address());
    let (_, for_a) = recordings(&mut proxy, &answer("call", "a", "b", &b_sdp));
    let for_a = sdp::audio_address(&for_a);
    for number in 0..5 {
        a.speak(for_a, &[b'a', number, 7, 7]);
        b.hear(&[b'a', number, 7, 7], PATIENCE).expect("b hears a");
    }
    // The end of the relay is the end of its recordings.
    relay.shutdown();
    let packets = read(&files[0]);
    assert_eq!(packets.len(), 5);
    for (packet, number) in packets.iter().zip(0..) {
        let rtp = tests::rtp_peer::Packet::parse(&packet.payload).expect("RTP");
        assert!(rtp.says(&[b'a', number, 7, 7]));
    }
    assert_eq!(spool.files("metadata").len(), 1);
}

#[test]
fn a_call_goes_on_when_its_recording_cannot_be_written() {
    let spool = Spool::new("gone");
    let relay = spool.relay("127.12.9.4", LinkType::RawIp);
    let (mut a, b) = (
        RtpPeer::new(relay.address, 1),
        RtpPeer::new(relay.address, 2),
    );
    let mut proxy = relay.client();
    fs::remove_dir_all(&spool.0).expect("a folder to take away");
    let a_sdp = sdp::phone(a.address());
    let asked = offer("call", "a", &a_sdp).with("flags", words(&["record-call"]));
    assert_eq!(proxy.ask(&asked).error_reason(), None);
    let b_sdp = sdp::phone(b.address());
    let for_a = sdp::audio_address(&proxy.sdp_of(&answer("call", "a", "b", &b_sdp)));
    for number in 0..10 {
        a.speak(for_a, &[b'a', number]);
        b.hear(&[b'a', number], PATIENCE).expect("b hears a");
    }
    relay.eventually("the problem is counted", |relay| {
        relay.relay().recordings().failed > 0
    });
    assert_eq!(relay.relay().recordings().packets, 0);
    assert!(!spool.0.exists());
}

#[test]
fn a_request_cannot_write_outside_of_the_folder() {
    let spool = Spool::new("outside");
    let relay = spool.relay("127.12.9.5", LinkType::RawIp);
    let a = RtpPeer::new(relay.address, 1);
    let mut proxy = relay.client();
    proxy.sdp_of(&offer("call", "a", &sdp::phone(a.address())));
    for (key, value) in [
        ("output-destination", "/tmp/elsewhere.pcap"),
        ("recording-dir", "../.."),
        ("recording-path", "pcaps/../../x"),
    ] {
        let start = command("start recording", "call").with(key, value);
        let reply = proxy.ask(&start);
        let reason = reply.error_reason().expect("a refusal").to_owned();
        assert!(reason.contains(value), "{reason}");
    }
    let start = command("start recording", "call")
        .with("recording-dir", "sales")
        .with("output-destination", "one");
    assert_eq!(proxy.ask(&start).error_reason(), None);
    let discard = command("stop recording", "call");
    proxy.ask(&discard);
    relay.eventually("the chosen file is there", |_| {
        spool.0.join("sales/one.pcap").exists()
    });
    relay.shutdown();
    assert_eq!(read(&spool.0.join("sales/one.pcap")), []);
}

#[test]
fn what_both_said_is_heard_on_the_two_channels_of_a_file() {
    let spool = Spool::new("audio");
    let relay = spool.relay("127.12.9.6", LinkType::RawIp);
    let (mut a, mut b) = (
        RtpPeer::new(relay.address, 1),
        RtpPeer::new(relay.address, 2),
    );
    let mut proxy = relay.client();
    let a_sdp = sdp::phone(a.address());
    let asked = offer("call", "a", &a_sdp).with("record-call", "on");
    let (files, for_b) = recordings(&mut proxy, &asked);
    let b_sdp = sdp::phone(b.address());
    let (_, for_a) = recordings(&mut proxy, &answer("call", "a", "b", &b_sdp));
    let (for_a, for_b) = (sdp::audio_address(&for_a), sdp::audio_address(&for_b));
    // Bytes of PCMU: 0x80 is the loudest there is, 0xb0 a good deal less.
    for _ in 0..50 {
        a.speak(for_a, &[0x80]);
        b.speak(for_b, &[0xb0]);
        std::thread::sleep(Duration::from_millis(20));
    }
    relay.shutdown();
    let mut reader = hound::WavReader::open(&files[1]).expect("a WAV file");
    assert_eq!(
        (reader.spec().channels, reader.spec().sample_rate),
        (2, 16_000)
    );
    let seconds = f64::from(reader.duration()) / 16_000.0;
    assert!((0.9..1.5).contains(&seconds), "{seconds}");
    let samples: Vec<i16> = reader
        .samples()
        .map(|sample| sample.expect("a sample"))
        .collect();
    let middle = samples.len() / 4 * 2;
    // ITU-T G.711 table 2a: 0x80 is 32124, and 0xb0 is 3900 in the same 16 bits.
    for (channel, level) in [(0, 32_124_i32), (1, 3_900)] {
        let heard = i32::from(samples[middle + channel]);
        assert!(
            (heard - level).abs() < level / 10,
            "channel {channel}: {heard}"
        );
    }
}
