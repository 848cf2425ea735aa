//! The words about the way of media: who is listened to, when something is sent, and what becomes of it.

use std::time::Duration;

use relay_packet::SocketId;

use crate::pair::{A, B, INTERFACES, Pair, description, of_a, of_b, place, rtp};
use crate::support::{Desk, interface};

const OURS_A: &str = "192.0.2.1:30000";
const OURS_B: &str = "203.0.113.1:30000";
const STRANGER: &str = "198.51.100.66:6666";

/// What the stranger's packets come to, and where the far end's partner is sent to afterwards.
struct Row {
    flags: &'static str,
    heard: usize,
    sent_to: &'static str,
}

#[test]
fn a_stranger_on_a_plain_leg_is_neither_heard_nor_sent_to() {
    for row in [
        Row {
            flags: "",
            heard: 0,
            sent_to: A,
        },
        Row {
            flags: "symmetric",
            heard: 0,
            sent_to: A,
        },
        Row {
            flags: "strict-source",
            heard: 0,
            sent_to: A,
        },
        Row {
            flags: "endpoint-learning-immediate",
            heard: 0,
            sent_to: A,
        },
        Row {
            flags: "media-handover",
            heard: 3,
            sent_to: STRANGER,
        },
    ] {
        let mut pair = Pair::talking(row.flags);
        assert_eq!(pair.passes(OURS_A, A, B), 3, "{}", row.flags);
        pair.run(Duration::from_secs(4));
        assert_eq!(pair.passes(OURS_A, A, B), 3, "{}", row.flags);
        assert_eq!(pair.passes(OURS_A, STRANGER, B), row.heard, "{}", row.flags);
        assert_eq!(pair.passes(OURS_B, B, row.sent_to), 3, "{}", row.flags);
    }
}

#[test]
fn a_party_behind_a_nat_is_found_unless_learning_is_off_or_it_is_asymmetric() {
    let nat = "192.0.2.99:1234";
    for (flags, sent_to) in [
        ("", nat),
        ("endpoint-learning-immediate", nat),
        ("endpoint-learning-off", A),
        ("asymmetric", A),
    ] {
        let mut pair = Pair::talking(flags);
        pair.passes(OURS_A, nat, B);
        assert_eq!(pair.passes(OURS_B, B, sent_to), 3, "{flags}");
    }
}

#[test]
fn asymmetric_is_said_of_the_sender_alone() {
    let mut pair = Pair::new();
    let audio = "m=audio 4000 RTP/AVP 0\n";
    pair.offer(&of_a(audio), &format!("{INTERFACES} asymmetric"));
    pair.answer(&of_b(&audio.replace('4', "5")), "");
    let (nat_a, nat_b) = ("192.0.2.99:1234", "203.0.113.99:1234");
    pair.passes(OURS_A, nat_a, B);
    pair.passes(OURS_B, nat_b, A);
    assert_eq!(pair.passes(OURS_B, nat_b, A), 3);
    assert_eq!(pair.passes(OURS_A, nat_a, nat_b), 3);
}

#[test]
fn with_nat_wait_the_party_speaks_first() {
    let mut pair = Pair::talking("NAT-wait");
    assert_eq!(pair.passes(OURS_B, B, A), 0);
    assert_eq!(pair.passes(OURS_A, A, B), 3);
    assert_eq!(pair.passes(OURS_B, B, A), 3);
}

#[test]
fn pierce_nat_sends_empty_packets_until_the_party_is_heard() {
    let mut pair = Pair::talking("pierce-NAT");
    pair.run(Duration::from_secs(1));
    let heard = pair.heard_at(A);
    assert_eq!(heard.len(), 6);
    assert!(
        heard
            .iter()
            .all(|packet| *packet == [0x80, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    );
    pair.receive(OURS_A, A, &rtp(0, 1, 7));
    pair.heard_at(A);
    pair.run(Duration::from_secs(3));
    assert!(pair.heard_at(A).is_empty());
    assert!(
        !pair.heard_at(B).is_empty(),
        "b is silent and still pierced for"
    );
}

#[test]
fn traffic_is_dropped_from_one_word_to_the_other() {
    let mut pair = Pair::talking("drop-traffic=start");
    assert_eq!(pair.passes(OURS_A, A, B) + pair.passes(OURS_B, B, A), 0);
    let audio = "m=audio 4000 RTP/AVP 0\n";
    pair.offer(&of_a(audio), "drop-traffic=stop");
    assert_eq!(pair.passes(OURS_A, A, B), 3);
}

#[test]
fn an_echo_test_sends_media_back_or_nowhere() {
    for (mode, back_to_a, back_to_b) in [
        ("blackhole", 0, 0),
        ("forward", 0, 3),
        ("backwards", 3, 0),
        ("both", 3, 3),
    ] {
        let mut pair = Pair::new();
        let audio = "m=audio 4000 RTP/AVP 0\n";
        pair.offer(&of_a(audio), &format!("{INTERFACES} media-echo={mode}"));
        pair.answer(&of_b(&audio.replace('4', "5")), "");
        assert_eq!(pair.passes(OURS_A, A, A), back_to_a, "{mode}");
        assert_eq!(pair.passes(OURS_B, B, B), back_to_b, "{mode}");
        assert_eq!(pair.passes(OURS_A, A, B), 0, "{mode}");
    }
}

#[test]
fn tos_marks_the_sockets_of_the_call_and_a_later_offer_unmarks_them() {
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let mut pair = Pair::new();
    let marks = |pair: &Pair| -> Vec<Option<u8>> {
        let ports = &pair.desk.ports;
        let mark = |socket: &SocketId| ports.tos.get(socket).copied().flatten();
        ports.open.keys().map(mark).collect()
    };
    pair.offer(&of_a(audio), &format!("{INTERFACES} TOS=184"));
    assert_eq!(marks(&pair), [Some(184); 4]);
    pair.answer(&of_b(&audio.replace('4', "5")), "");
    assert_eq!(marks(&pair), [Some(184); 4]);
    // A further section in a re-offer that keeps the mark has it too.
    pair.offer(&of_a(&format!("{audio}m=audio 4002 RTP/AVP 0\n")), "TOS=-1");
    assert_eq!(marks(&pair), [Some(184); 8]);
    pair.offer(&of_a(audio), "TOS=256");
    assert_eq!(marks(&pair), [None; 4]);
}

#[test]
fn media_passes_between_the_address_families() {
    let desk = Desk::new(vec![
        interface("priv", &["192.0.2.1"]),
        interface("pub", &["203.0.113.1", "2001:db8::1"]),
    ]);
    let mut pair = Pair::on(desk);
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let offered = pair.offer(
        &of_a(audio),
        &format!("{INTERFACES} address-family=IP6 replace-origin full-rtcp-attribute"),
    );
    assert!(
        offered.contains("o=- 1 1 IN IP6 2001:db8::1\n"),
        "{offered}"
    );
    assert!(
        offered.contains("a=rtcp:30001 IN IP6 2001:db8::1\n"),
        "{offered}"
    );
    let towards_b = place(&offered, 0);
    assert_eq!(towards_b, "[2001:db8::1]:30000");
    let answered = pair.answer(&description("2001:db8::55", &audio.replace('4', "5")), "");
    assert_eq!(place(&answered, 0), OURS_A);
    let b = "[2001:db8::55]:5000";
    assert_eq!(pair.passes(OURS_A, A, b), 3);
    assert_eq!(pair.passes(&towards_b, b, A), 3);
    // The callee re-offers: the family of its side is remembered.
    let back = pair.ask(
        "offer",
        &description("2001:db8::55", &audio.replace('4', "5")),
        ["b", "a"],
        "",
    );
    assert_eq!(place(&back, 0), OURS_A);
}

#[test]
fn another_direction_in_a_later_offer_moves_the_party() {
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let mut pair = Pair::new();
    let first = pair.offer(&of_a(audio), "direction=priv direction=priv");
    assert_eq!(place(&first, 0), "192.0.2.1:30002");
    // The proxy tries another carrier after a failure.
    let second = pair.offer(&of_a(audio), INTERFACES);
    assert_eq!(place(&second, 0), OURS_B);
    assert!(second.contains("a=rtcp:30001\n"));
    assert_eq!(pair.desk.ports.open.len(), 4);
    let answered = pair.answer(&of_b(&audio.replace('4', "5")), "");
    assert_eq!(place(&answered, 0), OURS_A);
    assert_eq!(pair.passes(OURS_A, A, B), 3);
}

#[test]
fn a_party_with_ice_is_not_moved() {
    let mut pair = Pair::new();
    let audio = "m=audio 4000 RTP/AVP 0\n";
    let ice = "a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\na=candidate:1 1 udp 1 203.0.113.55 5000 typ host\n";
    let first = pair.offer(&of_a(audio), &format!("{INTERFACES} ICE=force"));
    pair.answer(&of_b(&format!("{}{ice}", audio.replace('4', "5"))), "");
    let again = pair.offer(&of_a(audio), "direction=pub direction=priv ICE=force");
    assert_eq!(place(&again, 0), place(&first, 0));
    assert!(
        pair.desk
            .ports
            .open
            .values()
            .any(|at| at.to_string() == OURS_B)
    );
}

#[test]
fn a_base_name_spreads_parties_over_its_interfaces_and_keeps_each_where_it_is() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut desk = Desk::new(vec![
            interface("priv", &["192.0.2.1"]),
            interface("pub:1", &["203.0.113.1"]),
            interface("pub:2", &["203.0.113.2"]),
        ]);
        desk.reseed(seed);
        let mut pair = Pair::on(desk);
        let audio = "m=audio 4000 RTP/AVP 0\n";
        let first = place(&pair.offer(&of_a(audio), INTERFACES), 0);
        assert_eq!(place(&pair.offer(&of_a(audio), INTERFACES), 0), first);
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2);
}
