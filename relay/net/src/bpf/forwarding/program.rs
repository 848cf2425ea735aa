//! The program that forwards, instruction by instruction.

use super::super::instruction::{Assembler, Instruction, Operation, Register, Test, Width};
use super::entry;

/// A packet must have this many hops left, so that it gets far, and so that packets that go in circles meet the relay itself.
const FEWEST_HOPS: i32 = 32;
/// Sequence numbers that may be skipped. More is for the relay to judge.
const MOST_SKIPPED: i32 = 1000;
/// A pause after which the relay judges the next packet, in nanoseconds.
const LONGEST_PAUSE: i32 = 2_000_000_000;
/// So many seconds a timestamp may be away from where the clock says it should be.
const MOST_ASTRAY: i32 = 3;

/// Offsets in `struct __sk_buff` of `linux/bpf.h`.
mod context {
    pub(super) const LEN: i16 = 0;
    pub(super) const PACKET_TYPE: i16 = 4;
    pub(super) const PROTOCOL: i16 = 16;
    pub(super) const VLAN_PRESENT: i16 = 20;
    pub(super) const GSO_SIZE: i16 = 176;
}

/// Functions of the kernel (`enum bpf_func_id`).
mod function {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const KTIME_GET_NS: i32 = 5;
    pub(super) const SKB_STORE_BYTES: i32 = 9;
    pub(super) const L4_CSUM_REPLACE: i32 = 11;
    pub(super) const SKB_LOAD_BYTES: i32 = 26;
    pub(super) const CSUM_DIFF: i32 = 28;
    pub(super) const REDIRECT_NEIGH: i32 = 152;
}

/// A header of Ethernet, which every interface has that we attach to.
const ETHERNET: i32 = 14;

/// Places on the stack, from its end. The headers end at the same place for both families.
mod place {
    pub(super) const RTP: i16 = -16;
    pub(super) const UDP: i16 = RTP - 8;
    pub(super) const V4: i16 = UDP - 20;
    pub(super) const V6: i16 = UDP - 40;
    pub(super) const KEY: i16 = -104;
    /// The RTP header as it came.
    pub(super) const BEFORE: i16 = -120;
    pub(super) const NOW: i16 = -128;
    pub(super) const HIGHEST: i16 = -132;
    pub(super) const TIMESTAMP: i16 = -136;
    pub(super) const JITTER: i16 = -140;
    pub(super) const SKIPPED: i16 = -144;
    pub(super) const DIFFERENCE: i16 = -152;
}

/// Two octets as a word of the machine has them that holds nothing else.
const fn network(value: u16) -> i32 {
    value.to_be() as i32
}

/// The program, for this map.
pub(super) fn program(streams: i32) -> Vec<Instruction> {
    use Register::{R0, R6, R7};
    /// `TCX_NEXT`: as if the program were not there.
    const NEXT: i32 = -1;

    let mut program = Assembler::default();
    let p = &mut program;
    p.copy(R6, Register::R1);
    read_packet(p);
    p.map(Register::R1, streams);
    p.stack_address(Register::R2, i32::from(place::KEY));
    p.call(function::MAP_LOOKUP_ELEM);
    p.jump_if_equal(R0, 0, "pass");
    p.copy(R7, R0);
    judge(p);
    rewrite(p);
    count(p);
    p.load(Register::R1, R7, entry::INTERFACE);
    p.set(Register::R2, 0);
    p.set(Register::R3, 0);
    p.set(Register::R4, 0);
    p.call(function::REDIRECT_NEIGH);
    p.exit();
    p.label("pass");
    p.set(R0, NEXT);
    p.exit();
    program.finish()
}

/// Copies the headers to the stack and makes the key. Afterwards `R8` is the length of the UDP datagram and `R9` its place.
fn read_packet(p: &mut Assembler) {
    use Register::{R0, R1, R2, R3, R4, R6, R8, R9, R10};
    /// An IPv4 header without options (RFC 791 section 3.1).
    const NO_OPTIONS: i32 = 0x45;
    /// "More fragments" and the fragment's place.
    const FRAGMENT: u16 = 0x3fff;

    // For us (`PACKET_HOST`), without a VLAN in front, and not several joined into one.
    for field in [
        context::PACKET_TYPE,
        context::VLAN_PRESENT,
        context::GSO_SIZE,
    ] {
        p.load(R2, R6, field);
        p.jump_unless_equal(R2, 0, "pass");
    }
    let load = |p: &mut Assembler, to: i16| {
        p.copy(R1, R6);
        p.set(R2, ETHERNET);
        p.stack_address(R3, i32::from(to));
        p.set(R4, i32::from(-4 - to));
        p.call(function::SKB_LOAD_BYTES);
        p.jump_unless_equal(R0, 0, "pass");
    };
    let udp_len = |p: &mut Assembler| {
        p.load_as(Width::Half, R8, R10, place::UDP + 4);
        p.swap_to_network(R8, 16);
    };
    p.load(R2, R6, context::PROTOCOL);
    p.jump_if_equal(R2, network(libc::ETH_P_IPV6 as u16), "v6");
    p.jump_unless_equal(R2, network(libc::ETH_P_IP as u16), "pass");

    load(p, place::V4);
    p.load_as(Width::Byte, R2, R10, place::V4);
    p.jump_unless_equal(R2, NO_OPTIONS, "pass");
    p.load_as(Width::Half, R2, R10, place::V4 + 6);
    p.change(Operation::And, R2, network(FRAGMENT));
    p.jump_unless_equal(R2, 0, "pass");
    p.load_as(Width::Byte, R2, R10, place::V4 + 8);
    p.jump_if(Test::Below, R2, FEWEST_HOPS, "pass");
    p.load_as(Width::Byte, R2, R10, place::V4 + 9);
    p.jump_unless_equal(R2, libc::IPPROTO_UDP, "pass");
    udp_len(p);
    p.load_as(Width::Half, R2, R10, place::V4 + 2);
    p.swap_to_network(R2, 16);
    p.copy(R3, R8);
    p.change(Operation::Add, R3, 20);
    p.jump_if_to(Test::Unequal, R2, R3, "pass");
    p.set(R9, ETHERNET + 20);
    for (to, from) in [
        (place::KEY, place::V4 + 12),
        (place::KEY + 16, place::V4 + 16),
    ] {
        p.store_value(R10, to, 0);
        p.store_value(R10, to + 4, 0);
        p.store_value(R10, to + 8, 0xffff_u32.to_be());
        p.load(R2, R10, from);
        p.store(R10, to + 12, R2);
    }
    p.jump("rtp");

    p.label("v6");
    load(p, place::V6);
    p.load_as(Width::Byte, R2, R10, place::V6 + 6);
    p.jump_unless_equal(R2, libc::IPPROTO_UDP, "pass");
    p.load_as(Width::Byte, R2, R10, place::V6 + 7);
    p.jump_if(Test::Below, R2, FEWEST_HOPS, "pass");
    udp_len(p);
    p.load_as(Width::Half, R2, R10, place::V6 + 4);
    p.swap_to_network(R2, 16);
    p.jump_if_to(Test::Unequal, R2, R8, "pass");
    p.set(R9, ETHERNET + 40);
    for word in (0..32).step_by(4) {
        p.load(R2, R10, place::V6 + 8 + word);
        p.store(R10, place::KEY + word, R2);
    }

    p.label("rtp");
    // Nothing behind the datagram.
    p.copy(R3, R8);
    p.change_by(Operation::Add, R3, R9);
    p.load(R2, R6, context::LEN);
    p.jump_if_to(Test::Unequal, R2, R3, "pass");
    p.load(R2, R10, place::UDP);
    p.store(R10, place::KEY + 32, R2);
}

/// Whether this is the next packet of the stream in `R7`. What the stream will have come to is on the stack then, and the RTP
/// header there is the new one but for its numbers.
fn judge(p: &mut Assembler) {
    use Register::{R0, R1, R2, R3, R4, R5, R7, R8, R10};
    /// RFC 3550 section 5.1: version 2, without padding, extension and contributing sources.
    const PLAIN: i32 = 0x80;
    const MARKER: i32 = 0x80;
    /// The headers of UDP and RTP.
    const SHORTEST: i32 = 20;
    const NANOSECONDS: i32 = 1_000_000_000;

    p.jump_if(Test::Below, R8, SHORTEST, "pass");
    p.load(R2, R7, entry::LONGEST);
    p.jump_if_to(Test::Above, R8, R2, "pass");
    p.load_as(Width::Byte, R2, R10, place::RTP);
    p.jump_unless_equal(R2, PLAIN, "pass");
    p.load(R2, R10, place::RTP + 8);
    p.load(R3, R7, entry::SSRC);
    p.jump_if_to(Test::Unequal, R2, R3, "pass");
    for word in [0, 4, 8] {
        p.load(R2, R10, place::RTP + word);
        p.store(R10, place::BEFORE + word, R2);
    }

    p.load_as(Width::Byte, R2, R10, place::RTP + 1);
    p.copy(R3, R2);
    p.change(Operation::And, R2, !MARKER & 0xff);
    p.change(Operation::And, R3, MARKER);
    let labels = ["second type", "third type", "fourth type", "no type"];
    for (at, next) in (0..).zip(labels) {
        p.load_as(Width::Byte, R4, R7, entry::PAYLOAD_TYPES + at);
        p.jump_if_to(Test::Unequal, R2, R4, next);
        p.load_as(Width::Byte, R4, R7, entry::NEW_PAYLOAD_TYPES + at);
        p.jump("type");
        p.label(next);
    }
    p.jump("pass");
    p.label("type");
    p.change_by(Operation::Or, R3, R4);
    p.store_as(Width::Byte, R10, place::RTP + 1, R3);

    p.call(function::KTIME_GET_NS);
    p.store_as(Width::Long, R10, place::NOW, R0);

    // Behind the highest number, and not far.
    p.load_as(Width::Half, R2, R10, place::RTP + 2);
    p.swap_to_network(R2, 16);
    p.load(R3, R7, entry::HIGHEST);
    p.change_by(Operation::Subtract, R2, R3);
    p.change(Operation::And, R2, 0xffff);
    p.jump_if_equal(R2, 0, "pass");
    p.jump_if(Test::Above, R2, MOST_SKIPPED, "pass");
    p.change_by(Operation::Add, R3, R2);
    p.store(R10, place::HIGHEST, R3);
    p.store(R10, place::SKIPPED, R2);

    // RFC 3550 appendix A.8: how much longer than the last one it was on its way, in units of the timestamp.
    p.load_as(Width::Long, R2, R7, entry::LAST_SEEN);
    p.change_by(Operation::Subtract, R0, R2);
    p.jump_if(Test::Above, R0, LONGEST_PAUSE, "pass");
    p.load(R5, R7, entry::CLOCK);
    p.change_by(Operation::Multiply, R0, R5);
    p.change(Operation::Divide, R0, NANOSECONDS);
    p.load(R2, R10, place::RTP + 4);
    p.swap_to_network(R2, 32);
    p.store(R10, place::TIMESTAMP, R2);
    p.load(R3, R7, entry::TIMESTAMP);
    p.change_by(Operation::Subtract, R2, R3);
    p.change(Operation::ShiftLeft, R2, 32);
    p.change(Operation::ShiftRightSigned, R2, 32);
    p.change_by(Operation::Subtract, R0, R2);
    // The absolute value: the sign is 0 or -1.
    p.copy(R1, R0);
    p.change(Operation::ShiftRightSigned, R1, 63);
    p.change_by(Operation::Xor, R0, R1);
    p.change_by(Operation::Subtract, R0, R1);
    p.change(Operation::Multiply, R5, MOST_ASTRAY);
    p.jump_if_to(Test::Above, R0, R5, "pass");
    p.load(R2, R7, entry::JITTER);
    p.copy(R3, R2);
    p.change(Operation::Add, R3, 8);
    p.change(Operation::ShiftRight, R3, 4);
    p.change_by(Operation::Add, R2, R0);
    p.change_by(Operation::Subtract, R2, R3);
    p.store(R10, place::JITTER, R2);
}

/// Writes the packet as the relay would have sent it.
fn rewrite(p: &mut Assembler) {
    use Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
    /// `BPF_F_PSEUDO_HDR` and `BPF_F_MARK_MANGLED_0`: RFC 768 has no checksum zero but for none.
    const PSEUDO_HEADER: i32 = 0x10;
    const NEVER_ZERO: i32 = 0x20;

    p.load(R2, R10, place::HIGHEST);
    p.load(R3, R7, entry::SEQUENCE_OFFSET);
    p.change_by(Operation::Add, R2, R3);
    p.swap_to_network(R2, 16);
    p.store_as(Width::Half, R10, place::RTP + 2, R2);
    p.load(R2, R10, place::TIMESTAMP);
    p.load(R3, R7, entry::TIMESTAMP_OFFSET);
    p.change_by(Operation::Add, R2, R3);
    p.swap_to_network(R2, 32);
    p.store(R10, place::RTP + 4, R2);
    p.load(R2, R7, entry::NEW_SSRC);
    p.store(R10, place::RTP + 8, R2);
    p.load(R2, R7, entry::NEW_PORTS);
    p.store(R10, place::UDP, R2);
    p.stack_address(R1, i32::from(place::BEFORE));
    p.set(R2, 12);
    p.stack_address(R3, i32::from(place::RTP));
    p.set(R4, 12);
    p.load(R5, R7, entry::PORTS_DIFFER);
    p.call(function::CSUM_DIFF);
    p.store_as(Width::Long, R10, place::DIFFERENCE, R0);

    let store = |p: &mut Assembler, from: i16| {
        p.copy(R1, R6);
        p.set(R2, ETHERNET);
        p.stack_address(R3, i32::from(from));
        p.set(R4, i32::from(-4 - from));
        p.set(R5, 0);
        p.call(function::SKB_STORE_BYTES);
        p.jump_unless_equal(R0, 0, "pass");
    };
    p.jump_unless_equal(R9, ETHERNET + 20, "new v6");
    p.load(R2, R7, entry::TOS);
    p.store_as(Width::Byte, R10, place::V4 + 1, R2);
    p.load_as(Width::Byte, R2, R10, place::V4 + 8);
    p.change(Operation::Subtract, R2, 1);
    p.store_as(Width::Byte, R10, place::V4 + 8, R2);
    p.load(R2, R7, entry::NEW_SOURCE + 12);
    p.store(R10, place::V4 + 12, R2);
    p.load(R2, R7, entry::NEW_DESTINATION + 12);
    p.store(R10, place::V4 + 16, R2);
    p.set(R2, 0);
    p.store_as(Width::Half, R10, place::V4 + 10, R2);
    p.set(R1, 0);
    p.stack_address(R3, i32::from(place::V4));
    p.set(R4, 20);
    p.set(R5, 0);
    p.call(function::CSUM_DIFF);
    for _ in 0..2 {
        p.copy(R2, R0);
        p.change(Operation::And, R0, 0xffff);
        p.change(Operation::ShiftRight, R2, 16);
        p.change_by(Operation::Add, R0, R2);
    }
    p.change(Operation::Xor, R0, 0xffff);
    p.store_as(Width::Half, R10, place::V4 + 10, R0);
    store(p, place::V4);
    p.jump("checksum");

    p.label("new v6");
    p.load(R2, R7, entry::V6_START);
    p.store(R10, place::V6, R2);
    p.load_as(Width::Byte, R2, R10, place::V6 + 7);
    p.change(Operation::Subtract, R2, 1);
    p.store_as(Width::Byte, R10, place::V6 + 7, R2);
    for word in (0..32).step_by(4) {
        p.load(R2, R7, entry::NEW_SOURCE + word);
        p.store(R10, place::V6 + 8 + word, R2);
    }
    store(p, place::V6);

    p.label("checksum");
    let replace = |p: &mut Assembler, flags: i32| {
        p.copy(R1, R6);
        p.copy(R2, R9);
        p.change(Operation::Add, R2, 6);
        p.set(R3, 0);
        p.set(R5, flags);
        p.call(function::L4_CSUM_REPLACE);
    };
    // They cannot fail: the bytes before and after the checksum were written just now.
    p.load(R4, R7, entry::ADDRESSES_DIFFER);
    replace(p, PSEUDO_HEADER | NEVER_ZERO);
    p.load_as(Width::Long, R4, R10, place::DIFFERENCE);
    replace(p, NEVER_ZERO);
    // What is left is the payload.
    p.change(Operation::Subtract, R8, 20);
}

/// Writes down what was forwarded.
fn count(p: &mut Assembler) {
    use Register::{R2, R7, R8, R10};
    p.set(R2, 1);
    p.add_to(R7, entry::PACKETS, R2);
    p.add_to(R7, entry::OCTETS, R8);
    p.load_as(Width::Long, R2, R10, place::NOW);
    p.store_as(Width::Long, R7, entry::LAST_SEEN, R2);
    for (to, from) in [
        (entry::HIGHEST, place::HIGHEST),
        (entry::TIMESTAMP, place::TIMESTAMP),
        (entry::JITTER, place::JITTER),
    ] {
        p.load(R2, R10, from);
        p.store(R7, to, R2);
    }
    p.load(R2, R10, place::SKIPPED);
    p.jump_if_equal(R2, 1, "in order");
    p.load(R2, R7, entry::SKIPS);
    p.change(Operation::Add, R2, 1);
    p.store(R7, entry::SKIPS, R2);
    p.label("in order");
}
