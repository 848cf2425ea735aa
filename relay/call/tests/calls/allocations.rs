//! A packet that passes allocates nothing.
//!
//! Every allocation of the process counts: the tests of this file need a process each, as nextest gives it to them.

use std::alloc::System;
use std::net::SocketAddr;

use relay_packet::{PacketBuf, Received, SocketId};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::media::{FRAME, Line, META, SPEECH, rtp};
use crate::pair::{self, A, B, INTERFACES, Pair, of_a, of_b, place};
use crate::support::Desk;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Packets of each direction before it counts: buffers grow to their size, and after ten seconds quality is judged for the
/// first time.
const BEFORE: u16 = 1_000;
/// Those that count: more than there are between two reports or two keepalives.
const COUNTED: u16 = 2_000;

/// A direction of a call: where its packets come in, and what they are.
struct Stream<'a> {
    socket: SocketId,
    source: SocketAddr,
    packet: Box<dyn FnMut(u16) -> PacketBuf + 'a>,
}

fn socket_at(desk: &Desk, local: &str) -> SocketId {
    let local: SocketAddr = local.parse().unwrap();
    let found = desk.ports.open.iter().find(|(_, at)| **at == local);
    *found.unwrap().0
}

/// How often somebody allocated while `COUNTED` packets came from each stream, and how many datagrams left.
fn allocations(
    desk: &mut Desk,
    out: &mut relay_packet::Outbox,
    streams: &mut [Stream<'_>],
) -> (usize, usize) {
    let mut packets = Vec::new();
    for sequence in 0..BEFORE + COUNTED {
        for (index, stream) in streams.iter_mut().enumerate() {
            packets.push((index, (stream.packet)(sequence)));
        }
    }
    let places: Vec<_> = streams.iter().map(|s| (s.socket, s.source)).collect();
    let warm = usize::from(BEFORE) * streams.len();
    let mut left = 0;
    let mut counted = Region::new(ALLOCATOR);
    for (number, (index, packet)) in packets.into_iter().enumerate() {
        if number == warm {
            left = 0;
            counted.reset();
        }
        if index == 0 {
            desk.now += FRAME;
        }
        let (socket, source) = places[index];
        let received = Received {
            socket,
            source,
            packet,
        };
        desk.call.handle_datagram(desk.now, received, out);
        left += out.queued().len();
        out.sent();
        while desk.call.poll_event().is_some() {}
    }
    (counted.change().allocations, left)
}

#[test]
fn plain_packets_pass_without_an_allocation() {
    let audio = |port| format!("m=audio {port} RTP/AVP 8\n");
    let mut pair = Pair::new();
    let offered = pair.offer(&of_a(&audio(4000)), INTERFACES);
    let answered = pair.answer(&of_b(&audio(5000)), "");
    let stream = |ours: &str, theirs: &str, ssrc| Stream {
        socket: socket_at(&pair.desk, ours),
        source: theirs.parse().unwrap(),
        packet: Box::new(move |sequence| rtp(8, sequence, ssrc, &[0x55; 160])),
    };
    let mut streams = [
        stream(&place(&answered, 0), A, 0x1111),
        stream(&place(&offered, 0), B, 0x2222),
    ];
    let (allocations, left) = allocations(&mut pair.desk, &mut pair.out, &mut streams);
    assert!(left >= 2 * usize::from(COUNTED), "{left} passed");
    assert_eq!(allocations, 0);
}

#[test]
fn encrypted_packets_pass_without_an_allocation() {
    let mut line = Line::answered();
    let mut from_meta = line.from_meta;
    let mut streams = [
        Stream {
            socket: line.towards_pbx,
            source: "192.0.2.55:40000".parse().unwrap(),
            packet: Box::new(|sequence| rtp(111, sequence, 0x1111, &SPEECH)),
        },
        Stream {
            socket: line.towards_meta,
            source: META.parse().unwrap(),
            packet: Box::new(move |sequence| {
                let mut packet = rtp(111, sequence, 0x2222, &SPEECH);
                from_meta.protect_rtp(&mut packet).unwrap();
                packet
            }),
        },
    ];
    let (allocations, left) = allocations(&mut line.desk, &mut line.out, &mut streams);
    assert!(left >= 2 * usize::from(COUNTED), "{left} passed");
    assert_eq!(allocations, 0);
}

#[test]
#[cfg(feature = "opus")]
fn transcoded_packets_pass_without_an_allocation() {
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} transcode-opus");
    let offered = pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), &flags);
    let opus = "m=audio 5000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n";
    let answered = pair.answer(&of_b(opus), "");
    assert!(offered.contains("opus/48000/2"), "{offered}");
    assert!(answered.contains("RTP/AVP 0\n"), "{answered}");
    let mut streams = [
        Stream {
            socket: socket_at(&pair.desk, &place(&answered, 0)),
            source: A.parse().unwrap(),
            packet: Box::new(|sequence| {
                PacketBuf::from_slice(&pair::rtp(0, sequence, 0x1111)).unwrap()
            }),
        },
        Stream {
            socket: socket_at(&pair.desk, &place(&offered, 0)),
            source: B.parse().unwrap(),
            packet: Box::new(|sequence| rtp(96, sequence, 0x2222, &SPEECH)),
        },
    ];
    let (allocations, left) = allocations(&mut pair.desk, &mut pair.out, &mut streams);
    assert!(left >= 2 * usize::from(COUNTED), "{left} passed");
    assert_eq!(allocations, 0);
}
