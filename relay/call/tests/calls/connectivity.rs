//! ICE and rtcp-mux in offers and answers, and candidates that come later.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use relay_call::CallEvent;
use relay_packet::Outbox;

use crate::support::{Desk, interface, sdp};
use crate::whatsapp::exchange;

fn desk() -> Desk {
    Desk::new(vec![interface("a", &["192.0.2.1"])])
}

/// An audio section with these attributes, one a word; `_` stands for a space.
fn audio(port: u16, attributes: &str) -> String {
    format!(
        "v=0\\r\\no=- 1 1 IN IP4 192.0.2.55\\r\\ns=-\\r\\nc=IN IP4 192.0.2.55\\r\\nt=0 0\\r\\n{}",
        section(port, attributes)
    )
}

fn section(port: u16, attributes: &str) -> String {
    let mut text = format!("m=audio {port} RTP/AVP 0\\r\\n");
    for attribute in attributes.split_ascii_whitespace() {
        text += &format!("a={}\\r\\n", attribute.replace('_', " "));
    }
    text
}

/// The attributes of a peer with ICE whose session has this name.
fn ice(ufrag: &str) -> String {
    format!(
        "ice-ufrag:{ufrag} ice-pwd:passwordpasswordpassword candidate:1_1_udp_2130706431_192.0.2.55_40000_typ_host"
    )
}

fn ask(desk: &mut Desk, command: &str, body: &str, tags: [&str; 2], flags: &str) -> String {
    sdp(&desk.ask(&exchange(command, body, tags, flags)))
}

fn ufrags(description: &str) -> Vec<String> {
    let of = |line: &str| line.strip_prefix("a=ice-ufrag:").map(str::to_owned);
    description.lines().filter_map(of).collect()
}

#[test]
fn the_receiver_is_offered_ice_as_the_option_says() {
    // The option, whether a receiver of an offer with ICE sees it, and one of an offer without.
    for (word, with, without) in [
        ("", true, false),
        ("ICE=default", true, false),
        ("ICE=remove", false, false),
        ("ICE=force", true, true),
        ("ICE=[force trickle]", true, true),
        ("reject-ICE", true, false),
        ("ICE-reject ICE=force", true, true),
    ] {
        let offered = ask(
            &mut desk(),
            "offer",
            &audio(40000, &ice("aaaa")),
            ["a", ""],
            word,
        );
        assert_eq!(ufrags(&offered).len(), usize::from(with), "{word}");
        assert!(!offered.contains("aaaa"), "{word}");
        let offered = ask(&mut desk(), "offer", &audio(40000, ""), ["a", ""], word);
        assert_eq!(
            ufrags(&offered).len(),
            usize::from(without),
            "{word} without"
        );
        let trickles = word.contains("trickle");
        assert_eq!(
            offered.contains("a=ice-options:trickle\n"),
            trickles,
            "{word}"
        );
        assert_eq!(
            offered.contains("a=end-of-candidates\n"),
            trickles,
            "{word}"
        );
    }
    let offered = ask(
        &mut desk(),
        "offer",
        &audio(40000, ""),
        ["a", ""],
        "ICE=[force trickle ice2]",
    );
    assert!(
        offered.contains("a=ice-options:trickle ice2\n"),
        "{offered}"
    );
}

#[test]
fn the_sender_is_answered_with_ice_if_it_offered_it_and_nothing_forbids_it() {
    // The words of the offer and of the answer, and what an offerer with ICE is answered with.
    for (offer_words, answer_words, answered) in [
        ("", "", true),
        ("ICE=remove", "", true),
        ("reject-ICE", "", false),
        ("", "reject-ICE", false),
        ("", "ICE=remove", false),
        ("", "ICE=force", true),
    ] {
        let mut desk = desk();
        ask(
            &mut desk,
            "offer",
            &audio(40000, &ice("aaaa")),
            ["a", ""],
            offer_words,
        );
        let reply = ask(
            &mut desk,
            "answer",
            &audio(50000, ""),
            ["a", "b"],
            answer_words,
        );
        assert_eq!(
            !ufrags(&reply).is_empty(),
            answered,
            "{offer_words} / {answer_words}"
        );
    }
    let mut desk = desk();
    ask(&mut desk, "offer", &audio(40000, ""), ["a", ""], "");
    let reply = ask(
        &mut desk,
        "answer",
        &audio(50000, ""),
        ["a", "b"],
        "ICE=force",
    );
    assert!(
        ufrags(&reply).is_empty(),
        "what was not offered cannot be answered"
    );
}

#[test]
fn a_forced_receiver_without_ice_is_not_asked_again_until_reset() {
    let mut desk = desk();
    let plain = audio(40000, "");
    let first = ask(&mut desk, "offer", &plain, ["a", ""], "ICE=force");
    assert_eq!(ufrags(&first).len(), 1);
    ask(&mut desk, "answer", &audio(50000, ""), ["a", "b"], "");
    let again = ask(&mut desk, "offer", &plain, ["a", "b"], "ICE=force");
    assert!(ufrags(&again).is_empty(), "{again}");
    let reset = ask(&mut desk, "offer", &plain, ["a", "b"], "ICE=force reset");
    assert_eq!(ufrags(&reset).len(), 1);
    assert_ne!(ufrags(&reset), ufrags(&first));
}

#[test]
fn a_restart_of_one_party_is_answered_with_new_credentials_and_unknown_to_the_other() {
    let mut desk = desk();
    let exchange_both = |desk: &mut Desk, ufrag: &str, words: &str, to: &str| {
        let offered = ask(desk, "offer", &audio(40000, &ice(ufrag)), ["a", to], words);
        let answered = ask(desk, "answer", &audio(50000, &ice("bbbb")), ["a", "b"], "");
        (ufrags(&offered), ufrags(&answered))
    };
    let (to_b, to_a) = exchange_both(&mut desk, "aaaa", "", "");
    assert_eq!(
        exchange_both(&mut desk, "aaaa", "", "b"),
        (to_b.clone(), to_a.clone())
    );
    let (again, restarted) = exchange_both(&mut desk, "cccc", "", "b");
    assert_eq!(again, to_b);
    assert_ne!(restarted, to_a);
    // The other one restarts in an offer of its own.
    let to_a_again = ufrags(&ask(
        &mut desk,
        "offer",
        &audio(50000, &ice("dddd")),
        ["b", "a"],
        "",
    ));
    let to_b_again = ufrags(&ask(
        &mut desk,
        "answer",
        &audio(40000, &ice("cccc")),
        ["b", "a"],
        "",
    ));
    assert_eq!(to_a_again, restarted);
    assert_ne!(to_b_again, to_b);
    // `reset` restarts both.
    let (reset_b, reset_a) = exchange_both(&mut desk, "cccc", "reset", "b");
    assert_ne!(reset_b, to_b_again);
    assert_ne!(reset_a, to_a_again);
}

#[test]
fn we_act_lite_on_the_sides_that_are_named() {
    for (word, towards_b, towards_a) in [
        ("ICE-lite=forward", true, false),
        ("ICE-lite=backward", false, true),
        ("ICE-lite=both", true, true),
        ("ICE-lite=off", false, false),
        ("ICE=[lite]", true, false),
        ("ICE=[lite-backward]", false, true),
    ] {
        let mut desk = desk();
        let offered = ask(
            &mut desk,
            "offer",
            &audio(40000, &ice("aaaa")),
            ["a", ""],
            word,
        );
        assert_eq!(offered.contains("a=ice-lite\n"), towards_b, "{word}");
        let answered = ask(
            &mut desk,
            "answer",
            &audio(50000, &ice("bbbb")),
            ["a", "b"],
            "",
        );
        assert_eq!(answered.contains("a=ice-lite\n"), towards_a, "{word}");
        // A lite agent sends no checks (RFC 8445 section 6.1.1); a full one does.
        let checked = destinations(&mut desk, Duration::from_millis(200));
        let expected = usize::from(!towards_a) + usize::from(!towards_b);
        assert_eq!(
            checked.len(),
            usize::from(expected > 0),
            "{word}: {checked:?}"
        );
    }
}

#[test]
fn streams_of_one_call_may_have_ice_or_not() {
    let mut desk = desk();
    let head = audio(40000, &ice("aaaa"));
    let mixed = format!("{head}{}", section(40002, ""));
    let offered = ask(&mut desk, "offer", &mixed, ["a", ""], "");
    let sections: Vec<&str> = offered.split("m=").skip(1).collect();
    assert!(sections[0].contains("a=ice-ufrag") && !sections[1].contains("a=ice-ufrag"));
    let plain = format!("{}{}", audio(50000, ""), section(50002, ""));
    let answered = ask(&mut desk, "answer", &plain, ["a", "b"], "");
    let sections: Vec<&str> = answered.split("m=").skip(1).collect();
    assert!(sections[0].contains("a=ice-ufrag") && !sections[1].contains("a=ice-ufrag"));
}

/// Where datagrams go within a time.
fn destinations(desk: &mut Desk, within: Duration) -> BTreeSet<SocketAddr> {
    let end = desk.now + within;
    let mut out = Outbox::new(64);
    let mut seen = BTreeSet::new();
    while let Some(next) = desk.call.poll_timeout().filter(|at| *at <= end) {
        desk.now = desk.now.max(next);
        desk.call.handle_timeout(desk.now, &mut out);
        seen.extend(out.drain().map(|transmit| transmit.destination));
    }
    desk.now = desk.now.max(end);
    seen
}

fn fragment(desk: &mut Desk, tag: &str, ufrag: &str, mid: &str, address: &str) -> Option<String> {
    let body = format!(
        "a=ice-ufrag:{ufrag}\\r\\na=ice-pwd:passwordpasswordpassword\\r\\nm=audio 9 RTP/AVP 0\\r\\na=mid:{mid}\\r\\n\
         a=candidate:9 1 udp 2130706000 {} typ host\\r\\na=end-of-candidates\\r\\n",
        address.replace(':', " ")
    );
    let response = desk.ask(&exchange("offer", &body, [tag, ""], "fragment"));
    assert_eq!(
        response.sdp_body(),
        None,
        "a fragment is not answered with SDP"
    );
    response.error_reason().map(str::to_owned)
}

/// A peer that has named no candidate yet.
fn trickling(ufrag: &str) -> String {
    let body = audio(
        9,
        &format!("mid:1 ice-options:trickle ice-ufrag:{ufrag} ice-pwd:passwordpasswordpassword"),
    );
    body.replace("c=IN IP4 192.0.2.55", "c=IN IP4 0.0.0.0")
}

const LATE: &str = "192.0.2.77:41000";

#[test]
fn trickled_candidates_are_checked_whenever_they_come() {
    // Before the offer, before the answer, after it.
    for moment in 0..3 {
        let mut desk = desk();
        if moment == 0 {
            assert_eq!(fragment(&mut desk, "a", "aaaa", "1", LATE), None);
            assert!(!desk.call.is_finished());
        }
        ask(
            &mut desk,
            "offer",
            &trickling("aaaa"),
            ["a", ""],
            "ICE=remove trickle-ICE",
        );
        if moment == 1 {
            assert_eq!(fragment(&mut desk, "a", "aaaa", "1", LATE), None);
        }
        ask(&mut desk, "answer", &audio(50000, ""), ["a", "b"], "");
        if moment == 2 {
            assert!(destinations(&mut desk, Duration::from_secs(1)).is_empty());
            assert_eq!(fragment(&mut desk, "a", "aaaa", "1", LATE), None);
        }
        let checked = destinations(&mut desk, Duration::from_millis(100));
        assert!(
            checked.contains(&LATE.parse().unwrap()),
            "{moment}: {checked:?}"
        );
    }
}

#[test]
fn a_fragment_of_an_answerer_may_overtake_its_answer() {
    let mut desk = desk();
    ask(
        &mut desk,
        "offer",
        &audio(40000, ""),
        ["a", ""],
        "ICE=force generate-mid",
    );
    assert_eq!(fragment(&mut desk, "b", "bbbb", "1", LATE), None);
    ask(&mut desk, "answer", &trickling("bbbb"), ["a", "b"], "");
    let checked = destinations(&mut desk, Duration::from_millis(100));
    assert!(checked.contains(&LATE.parse().unwrap()), "{checked:?}");
}

#[test]
fn candidates_of_another_session_or_section_are_told_and_forgotten() {
    for (ufrag, mid) in [("zzzz", "1"), ("aaaa", "7")] {
        let mut desk = desk();
        ask(
            &mut desk,
            "offer",
            &trickling("aaaa"),
            ["a", ""],
            "ICE=remove",
        );
        ask(&mut desk, "answer", &audio(50000, ""), ["a", "b"], "");
        assert_eq!(fragment(&mut desk, "a", ufrag, mid, LATE), None);
        let checked = destinations(&mut desk, Duration::from_secs(4));
        assert!(!checked.contains(&LATE.parse().unwrap()), "{checked:?}");
        let told = |event: &CallEvent| {
            event
                .to_string()
                .contains("trickled candidates of a fit no media section")
        };
        assert!(desk.drain().iter().any(told));
    }
    // It may belong to a restart whose offer is still on its way.
    let mut desk = desk();
    ask(
        &mut desk,
        "offer",
        &trickling("aaaa"),
        ["a", ""],
        "ICE=remove",
    );
    ask(&mut desk, "answer", &audio(50000, ""), ["a", "b"], "");
    assert_eq!(fragment(&mut desk, "a", "cccc", "1", LATE), None);
    desk.now += Duration::from_secs(1);
    ask(
        &mut desk,
        "offer",
        &trickling("cccc"),
        ["a", "b"],
        "ICE=remove",
    );
    ask(&mut desk, "answer", &audio(50000, ""), ["a", "b"], "");
    let checked = destinations(&mut desk, Duration::from_millis(100));
    assert!(checked.contains(&LATE.parse().unwrap()), "{checked:?}");
}

#[test]
fn a_call_of_fragments_alone_ends_after_three_seconds() {
    let mut desk = desk();
    assert_eq!(fragment(&mut desk, "a", "aaaa", "1", LATE), None);
    destinations(&mut desk, Duration::from_millis(2900));
    assert!(!desk.call.is_finished());
    destinations(&mut desk, Duration::from_millis(200));
    assert!(desk.call.is_finished());
}

#[test]
fn a_fragment_that_cannot_be_read_is_refused() {
    let mut desk = desk();
    let response = desk.ask(&exchange("offer", "hello", ["a", ""], "fragment"));
    let reason = response.error_reason().unwrap();
    assert!(
        reason.starts_with("Failed to parse SDP: line 1:"),
        "{reason}"
    );
}

/// The table of rtcp-mux: the option, whether the sender and the receiver speak it, and the RTCP lines of the offer and of the
/// answer. `R` is the RTP port and `S` another one.
const MUX: &str = "
    -       yes yes   S+mux  R+mux
    -       yes no    S+mux  S
    -       no  yes   S      S
    -       no  no    S      S
    offer   yes yes   S+mux  R+mux
    offer   yes no    S+mux  S
    offer   no  yes   S+mux  S
    offer   no  no    S+mux  S
    require yes yes   R+mux  R+mux
    require yes no    R+mux  S
    require no  yes   R+mux  S
    require no  no    R+mux  S
    demux   yes yes   S      R+mux
    demux   yes no    S      R+mux
    demux   no  yes   S      S
    demux   no  no    S      S
    accept  yes yes   S+mux  R+mux
    accept  yes no    S+mux  R+mux
    accept  no  yes   S      S
    accept  no  no    S      S
    reject  yes yes   S+mux  S
    reject  yes no    S+mux  S
    reject  no  yes   S      S
    reject  no  no    S      S
";

fn rtcp_of(description: &str) -> String {
    let value = |start: &str| {
        description
            .lines()
            .find_map(|line| line.strip_prefix(start))
    };
    let port = value("m=audio ").and_then(|rest| rest.split(' ').next());
    let shared = value("a=rtcp:") == port;
    let mux = if description.contains("a=rtcp-mux\n") {
        "+mux"
    } else {
        ""
    };
    format!("{}{mux}", if shared { "R" } else { "S" })
}

#[test]
fn rtcp_is_multiplexed_as_the_table_says() {
    for row in MUX.lines().filter(|row| !row.trim().is_empty()) {
        let [option, sender, receiver, offer, answer] = row
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let speaks = |word: &str| if word == "yes" { "rtcp-mux" } else { "" };
        let flags = match option {
            "-" => String::new(),
            option => format!("rtcp-mux-{option}"),
        };
        let mut desk = desk();
        let offered = ask(
            &mut desk,
            "offer",
            &audio(40000, speaks(sender)),
            ["a", ""],
            &flags,
        );
        assert_eq!(rtcp_of(&offered), offer, "offer: {row}");
        let answered = ask(
            &mut desk,
            "answer",
            &audio(50000, speaks(receiver)),
            ["a", "b"],
            "",
        );
        assert_eq!(rtcp_of(&answered), answer, "answer: {row}");
    }
}

#[test]
fn multiplexing_once_in_use_is_kept_until_the_party_leaves_it_out() {
    let mut desk = desk();
    ask(&mut desk, "offer", &audio(40000, "rtcp-mux"), ["a", ""], "");
    ask(
        &mut desk,
        "answer",
        &audio(50000, "rtcp-mux"),
        ["a", "b"],
        "",
    );
    // Both have it: a later offer names one port, whatever the sender says now.
    let to_b = ask(&mut desk, "offer", &audio(40000, ""), ["a", "b"], "");
    assert_eq!(rtcp_of(&to_b), "R+mux");
    let to_a = ask(
        &mut desk,
        "answer",
        &audio(50000, "rtcp-mux"),
        ["a", "b"],
        "",
    );
    assert_eq!(rtcp_of(&to_a), "S", "the offerer has ended it");
    assert_eq!(desk.ports.open.len(), 3, "it has a port for RTCP again");
}
