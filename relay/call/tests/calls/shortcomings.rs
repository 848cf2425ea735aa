//! What rtpengine gets wrong in descriptions and we must not copy, a test each.

use crate::pair::{A, INTERFACES, Pair, of_a, of_b, place};
use crate::support::request;
use crate::whatsapp::exchange;

#[test]
fn an_exchange_in_which_every_stream_has_port_zero_is_rewritten() {
    let mut pair = Pair::talking("");
    let gone = "m=audio 0 RTP/AVP 0\n";
    assert!(
        pair.offer(&of_a(gone), "")
            .contains("m=audio 0 RTP/AVP 0\nc=IN IP4 0.0.0.0\n")
    );
    assert!(
        pair.answer(&of_b(gone), "")
            .contains("m=audio 0 RTP/AVP 0\n")
    );
    assert!(pair.desk.ports.open.is_empty());
}

#[test]
fn a_section_that_the_answer_leaves_out_has_port_zero() {
    let mut pair = Pair::new();
    pair.offer(
        &of_a("m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 8\n"),
        INTERFACES,
    );
    let answered = pair.answer(&of_b("m=audio 5000 RTP/AVP 0\n"), "");
    assert!(answered.contains("m=audio 0 RTP/AVP 8\n"), "{answered}");
    assert_eq!(pair.desk.ports.open.len(), 4);
}

#[test]
fn a_number_without_a_name_stays_a_number() {
    let offered = Pair::new().offer(&of_a("m=audio 4000 RTP/AVP 0 101\n"), INTERFACES);
    assert!(
        offered.contains("RTP/AVP 0 101\n") && !offered.contains("rtpmap:101"),
        "{offered}"
    );
}

#[test]
fn a_description_without_origin_gets_a_valid_one() {
    let without = of_a("m=audio 4000 RTP/AVP 0\n").replace("o=- 1 1 IN IP4 192.0.2.55\\r\\n", "");
    let offered = Pair::new().offer(&without, INTERFACES);
    let origin = offered
        .lines()
        .find_map(|line| line.strip_prefix("o="))
        .unwrap();
    let words: Vec<&str> = origin.split(' ').collect();
    assert_eq!(words.len(), 6, "{origin}");
    assert!(
        words[1].parse::<u64>().is_ok() && words[5] == "203.0.113.1",
        "{origin}"
    );
}

#[test]
fn masking_everything_keeps_the_events() {
    let audio = "m=audio 4000 RTP/AVP 111 126\na=rtpmap:111 opus/48000/2\na=rtpmap:126 telephone-event/8000\n";
    let flags = format!("{INTERFACES} codec-mask-all codec-except-opus");
    let offered = Pair::new().offer(&of_a(audio), &flags);
    assert!(offered.contains("RTP/AVP 111 126\n"), "{offered}");
    assert!(
        offered.contains("a=rtpmap:126 telephone-event/8000\n"),
        "{offered}"
    );
}

#[test]
fn events_are_matched_by_name_and_not_by_number() {
    let mut pair = Pair::new();
    let audio = "m=audio 4000 RTP/AVP 0 126\na=rtpmap:126 telephone-event/8000\n";
    pair.offer(&of_a(audio), INTERFACES);
    let answer = "m=audio 5000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n";
    let answered = pair.answer(&of_b(answer), "");
    assert!(
        answered.contains("a=rtpmap:126 telephone-event/8000\n"),
        "{answered}"
    );
}

#[test]
fn a_failed_first_offer_leaves_no_call_behind() {
    let mut pair = Pair::new();
    let secure = of_a("m=audio 4000 RTP/SAVP 0\n");
    let refused = pair
        .desk
        .ask(&exchange("offer", &secure, ["a", ""], INTERFACES));
    assert!(refused.error_reason().is_some());
    assert!(pair.desk.call.is_finished() && pair.desk.ports.open.is_empty());
}

#[test]
fn another_address_of_one_party_moves_no_port_of_the_other() {
    let mut pair = Pair::new();
    pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), INTERFACES);
    let answered = pair.answer(&of_b("m=audio 5000 RTP/AVP 0\n"), "");
    let offered = pair.ask("offer", &of_b("m=audio 5010 RTP/AVP 0\n"), ["b", "a"], "");
    assert_eq!(place(&offered, 0), place(&answered, 0));
    pair.ask("answer", &of_a("m=audio 4000 RTP/AVP 0\n"), ["b", "a"], "");
    assert_eq!(pair.passes("192.0.2.1:30000", A, "203.0.113.55:5010"), 3);
    let query = pair
        .desk
        .ask(&request(r#""command":"query","call-id":"call""#));
    assert_eq!(query.error_reason(), None);
}
