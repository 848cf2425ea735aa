//! Several sections on one port (RFC 9143): who shares with whom, and whose packet is whose.

use relay_packet::PacketBuf;
use relay_transport::rtcp::{NtpTime, SenderInfo, write_report};
use relay_transport::rtp::{RtpTimestamp, Ssrc};

use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b, place, rtp};

const MID: &str = "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\n";
const B_VIDEO: &str = "203.0.113.55:5002";

fn bundled(audio: u16, video: u16) -> String {
    format!(
        "a=group:BUNDLE 0 1\nm=audio {audio} RTP/AVP 0\na=mid:0\na=rtcp-mux\n{MID}\
         m=video {video} RTP/AVP 96\na=mid:1\na=rtcp-mux\n{MID}a=rtpmap:96 VP8/90000\n"
    )
}

fn apart(audio: u16, video: u16) -> String {
    format!("m=audio {audio} RTP/AVP 0\nm=video {video} RTP/AVP 96\na=rtpmap:96 VP8/90000\n")
}

/// `a` bundles, `b` does not.
fn accepted() -> (Pair, String) {
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} BUNDLE-accept");
    let offered = pair.offer(&of_a(&bundled(4000, 4002)), &flags);
    assert!(!offered.contains("BUNDLE"), "{offered}");
    assert_ne!(place(&offered, 0), place(&offered, 1));
    let answered = pair.answer(&of_b(&apart(5000, 5002)), "");
    (pair, answered)
}

#[test]
fn a_bundling_offerer_is_answered_with_its_bundle_on_one_port() {
    let (mut pair, answered) = accepted();
    assert!(answered.contains("a=group:BUNDLE 0 1\n"), "{answered}");
    assert_eq!(place(&answered, 0), place(&answered, 1));
    let video = answered.split("m=video").nth(1).unwrap();
    assert!(
        video.contains("a=mid:1\n") && !video.contains("a=rtcp"),
        "{answered}"
    );
    assert_eq!(pair.desk.ports.open.len(), 1 + 4);

    // Whoever re-offers, and with whatever words, the bundle stays where it is.
    let again = pair.offer(&of_a(&bundled(4000, 4000)), "");
    assert!(!again.contains("BUNDLE"));
    assert_eq!(pair.answer(&of_b(&apart(5000, 5002)), ""), answered);
    let back = pair.ask("offer", &of_b(&apart(5000, 5002)), ["b", "a"], "");
    assert!(back.contains("a=group:BUNDLE 0 1\n"), "{back}");
    assert_eq!(
        (place(&back, 0), place(&back, 1)),
        (place(&answered, 0), place(&answered, 0))
    );
    assert_eq!(pair.desk.ports.open.len(), 1 + 4);
}

#[test]
fn packets_on_the_port_of_a_bundle_find_their_sections() {
    let (mut pair, answered) = accepted();
    let port = place(&answered, 0);
    pair.receive(&port, A, &rtp(0, 1, 7));
    assert_eq!(
        (pair.heard_at(B).len(), pair.heard_at(B_VIDEO).len()),
        (1, 0)
    );
    pair.receive(&port, A, &rtp(96, 1, 8));
    assert_eq!(
        (pair.heard_at(B).len(), pair.heard_at(B_VIDEO).len()),
        (0, 1)
    );
    // A number that nobody announced, in the section that its mid names, and from then on by its source alone.
    let mut with_mid = rtp(97, 1, 9);
    with_mid[0] |= 0x10;
    with_mid.splice(12..12, [0xbe, 0xde, 0, 1, 0x30, b'1', 0, 0]);
    pair.receive(&port, A, &with_mid);
    pair.receive(&port, A, &rtp(97, 2, 9));
    assert_eq!(
        (pair.heard_at(B).len(), pair.heard_at(B_VIDEO).len()),
        (0, 2)
    );
    // One that nothing is known of belongs nowhere.
    pair.receive(&port, A, &rtp(97, 1, 10));
    assert_eq!(
        (pair.heard_at(B).len(), pair.heard_at(B_VIDEO).len()),
        (0, 0)
    );
}

#[test]
fn both_sections_are_sent_from_the_port_of_the_bundle_to_its_address() {
    let (mut pair, answered) = accepted();
    let (audio, video) = ("203.0.113.1:30000", "203.0.113.1:30002");
    assert_eq!(pair.passes(audio, B, A), 3);
    for sequence in 0..3 {
        pair.receive(video, B_VIDEO, &rtp(96, sequence, 8));
    }
    let port = place(&answered, 0);
    let from_port =
        |t: &relay_packet::Transmit| pair.desk.ports.open[&t.socket].to_string() == port;
    assert_eq!(pair.sent.iter().filter(|t| from_port(t)).count(), 3);
    assert_eq!(pair.heard_at(A).len(), 3);
}

#[test]
fn a_report_about_video_goes_where_video_is_reported() {
    let (mut pair, answered) = accepted();
    let port = place(&answered, 0);
    pair.receive(&port, A, &rtp(96, 1, 8));
    pair.receive(&port, A, &rtp(0, 1, 7));
    pair.sent.clear();
    let info = SenderInfo {
        ntp: NtpTime::from_unix(std::time::Duration::from_secs(1)),
        rtp_timestamp: RtpTimestamp(960),
        packets: 1,
        octets: 20,
    };
    let mut report = PacketBuf::new();
    assert!(write_report(&mut report, Ssrc(8), Some(&info), &[], "a"));
    pair.receive(&port, A, &report);
    assert_eq!(pair.heard_at("203.0.113.55:5003").len(), 1);
    assert_eq!(pair.heard_at("203.0.113.55:5001").len(), 0);
}

#[test]
fn a_receiver_takes_the_bundle_it_is_offered_or_leaves_it() {
    for (flags, video_offered) in [
        ("BUNDLE-offer", "m=video 30002 "),
        ("BUNDLE-offer BUNDLE-require", "m=video 0 "),
    ] {
        let flags = format!("{INTERFACES} {flags}");
        let mut pair = Pair::new();
        let offered = pair.offer(&of_a(&apart(4000, 4002)), &flags);
        assert!(offered.contains("a=group:BUNDLE 1 2\n"), "{offered}");
        assert!(offered.contains(video_offered), "{offered}");
        assert_eq!(
            offered.contains("a=bundle-only\n"),
            flags.contains("require")
        );
        let takes = bundled(5000, 5000).replace("BUNDLE 0 1", "BUNDLE 1 2");
        let takes = takes.replace("mid:1", "mid:2").replace("mid:0", "mid:1");
        let answered = pair.answer(&of_b(&takes), "");
        assert!(!answered.contains("BUNDLE"), "{answered}");
        assert_eq!(pair.desk.ports.open.len(), 4 + 1);
        pair.receive("203.0.113.1:30000", B, &rtp(96, 1, 8));
        assert_eq!(pair.heard_at("192.0.2.55:4002").len(), 1);
        pair.receive(&place(&answered, 1), "192.0.2.55:4002", &rtp(96, 1, 18));
        assert_eq!(pair.heard_at(B).len(), 1);

        let mut pair = Pair::new();
        pair.offer(&of_a(&apart(4000, 4002)), &flags);
        let video = if flags.contains("require") { 0 } else { 5002 };
        let answered = pair.answer(&of_b(&apart(5000, video)), "");
        assert_eq!(answered.contains("m=video 0 "), video == 0, "{answered}");
        assert_eq!(pair.passes(&place(&answered, 0), A, B), 3);
    }
}

#[test]
fn a_section_of_a_bundle_alone_is_refused_where_bundles_are() {
    let lines = bundled(4000, 0).replace("a=mid:1\n", "a=mid:1\na=bundle-only\n");
    let mut pair = Pair::new();
    let offered = pair.offer(&of_a(&lines), INTERFACES);
    assert!(offered.contains("m=video 0 RTP/AVP 96\n"), "{offered}");
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} BUNDLE-accept");
    let offered = pair.offer(&of_a(&lines), &flags);
    assert!(offered.contains("m=video 30002 RTP/AVP 96\n"), "{offered}");
    let answered = pair.answer(&of_b(&apart(5000, 5002)), "");
    assert_eq!(place(&answered, 0), place(&answered, 1));
    // When the first is refused the second stands alone, and has a port after all.
    let mut pair = Pair::new();
    pair.offer(&of_a(&lines), &flags);
    let answered = pair.answer(&of_b(&apart(0, 5002)), "");
    assert!(
        answered.contains("m=audio 0 ") && answered.contains("a=group:BUNDLE 1\n"),
        "{answered}"
    );
    assert!(!answered.contains("m=video 0 "), "{answered}");
}

#[test]
fn ice_and_keys_of_a_bundle_are_said_once() {
    let transport = "a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\na=candidate:1 1 udp 1 192.0.2.55 4000 typ host\n\
        a=fingerprint:sha-256 0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86\n\
        a=setup:actpass\n";
    let lines = bundled(4000, 4000)
        .replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")
        .replace("a=mid:0\n", &format!("a=mid:0\n{transport}"));
    let mut pair = Pair::new();
    let flags = format!("{INTERFACES} BUNDLE-accept RTP/AVP ICE=remove rtcp-mux-demux");
    pair.offer(&of_a(&lines), &flags);
    let answered = pair.answer(&of_b(&apart(5000, 5002)), "");
    for once in ["a=ice-ufrag:", "a=fingerprint:", "a=setup:", "a=rtcp-mux\n"] {
        assert_eq!(answered.matches(once).count(), 1, "{once} in\n{answered}");
    }
    assert!(answered.contains("a=group:BUNDLE 0 1\n"));
    assert_eq!(pair.desk.ports.open.len(), 1 + 4);
}
