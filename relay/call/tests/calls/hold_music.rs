//! Music on hold: whoever is held hears it from the exchange that holds to the one that ends it.

use std::time::Duration;

use ng_protocol::Request;
use relay_call::{CallEvent, Recording};

use crate::media::{FRAME, Line, SPEECH};
use crate::pair::{A, B, INTERFACES, Pair, of_a, of_b, rtp};
use crate::play_media::{Constant, constant};
use crate::support::{request, sdp};
use crate::whatsapp::{BIC_ANSWER, BIC_SDES, META_SDES, UIC_ANSWER, exchange, pbx};

const G711: &str = "m=audio 5000 RTP/AVP 0\n";
const MUSIC: &str = "moh=[file=/music.wav]";

/// What the daemon does with the event: opens the file, or not.
fn open(pair: &mut Pair, recording: Result<Constant, &str>) {
    let events = std::mem::take(&mut pair.events);
    for event in events {
        if let CallEvent::HoldMusic { holder, playback } = event {
            assert_eq!(playback.file.as_deref(), Some("/music.wav"));
            assert_eq!(playback.repeat_times, Some(i64::MAX));
            let recording = recording.clone();
            let recording = recording
                .map(|recording| Box::new(recording) as Box<dyn Recording>)
                .map_err(str::to_owned);
            let now = pair.desk.now;
            pair.desk.call.play_hold_music(now, holder, recording);
        } else {
            pair.events.push(event);
        }
    }
    pair.run(Duration::ZERO);
}

/// A call in which `b` said what is to be heard while it holds `a`.
fn talking(music: &str) -> Pair {
    let mut pair = Pair::new();
    pair.offer(&of_a("m=audio 4000 RTP/AVP 0\n"), INTERFACES);
    pair.answer(&of_b(G711), music);
    pair
}

/// `b` offers this, and `a` answers; what either is told.
fn reoffer(pair: &mut Pair, lines: &str, answer: &str) -> [String; 2] {
    let told = pair.ask("offer", &of_b(lines), ["b", "a"], "");
    let answer = format!("m=audio 4000 RTP/AVP 0\na={answer}\n");
    [told, pair.ask("answer", &of_a(&answer), ["b", "a"], "")]
}

fn is_music(packet: &[u8]) -> bool {
    packet.len() == 172 && packet[12..].iter().all(|&code| code == 0xce)
}

#[test]
fn a_party_on_hold_hears_music_until_it_is_taken_back() {
    let mut pair = talking(MUSIC);
    let mut numbers = 100..;
    for (lines, answer, told, answered) in [
        ("a=sendonly\n", "recvonly", "sendonly", "recvonly"),
        // Who would be told that there is nothing to hear is told otherwise, and who holds hears nothing of that.
        ("a=inactive\n", "recvonly", "sendonly", "inactive"),
    ] {
        let held = reoffer(&mut pair, &format!("{G711}{lines}"), answer);
        assert!(held[0].contains(&format!("a={told}\n")), "{}", held[0]);
        assert!(held[1].contains(&format!("a={answered}\n")), "{}", held[1]);
        open(&mut pair, Ok(constant(60_000)));
        pair.heard_at(A);
        for sequence in numbers.by_ref().take(50) {
            // What the holder sends meanwhile, music of its own perhaps, is not heard.
            pair.receive("203.0.113.1:30000", B, &rtp(0, sequence, 7));
            pair.run(FRAME);
        }
        let heard = pair.heard_at(A);
        assert!((49..=51).contains(&heard.len()), "{}", heard.len());
        assert!(heard.iter().all(|packet| is_music(packet)));
        // The same hold once more changes nothing.
        reoffer(&mut pair, &format!("{G711}{lines}"), answer);
        assert!(
            !pair
                .events
                .iter()
                .any(|e| matches!(e, CallEvent::HoldMusic { .. }))
        );

        let back = reoffer(&mut pair, G711, "sendrecv");
        assert!(
            back.iter().all(|told| told.contains("a=sendrecv\n")),
            "{back:?}"
        );
        pair.heard_at(A);
        let next = numbers.next().unwrap();
        pair.receive("203.0.113.1:30000", B, &rtp(0, next, 7));
        pair.run(FRAME * 10);
        let heard = pair.heard_at(A);
        assert_eq!((heard.len(), is_music(&heard[0])), (1, false));
    }
}

#[test]
fn the_old_hold_by_address_counts_and_need_not_be_seen() {
    let mut pair = talking("moh=[file=/music.wav mode=sendrecv]");
    let zero =
        "v=0\no=- 1 1 IN IP4 203.0.113.55\ns=-\nc=IN IP4 0.0.0.0\nt=0 0\nm=audio 5000 RTP/AVP 0\n";
    let zero = zero.replace('\n', "\\r\\n");
    let told = pair.ask("offer", &zero, ["b", "a"], "");
    assert!(
        told.contains("a=sendrecv\n") && !told.contains("0.0.0.0"),
        "{told}"
    );
    pair.ask("answer", &of_a("m=audio 4000 RTP/AVP 0\n"), ["b", "a"], "");
    open(&mut pair, Ok(constant(60_000)));
    pair.heard_at(A);
    pair.run(FRAME * 10);
    assert!(pair.heard_at(A).iter().all(|packet| is_music(packet)));
}

#[test]
fn without_music_or_a_hold_nothing_is_played_and_a_missing_file_is_told() {
    let mut pair = talking("");
    reoffer(&mut pair, &format!("{G711}a=sendonly\n"), "recvonly");
    assert!(
        !pair
            .events
            .iter()
            .any(|e| matches!(e, CallEvent::HoldMusic { .. }))
    );
    let mut pair = talking(MUSIC);
    let held = format!("{G711}a=sendonly\n");
    reoffer(&mut pair, &held, "recvonly");
    open(&mut pair, Err("file=/music.wav: gone"));
    let told = pair.desk.drain();
    let events = pair.events.iter().chain(&told);
    let mut warnings = events.filter_map(|event| match event {
        CallEvent::Warning(text) => Some(text.as_str()),
        _ => None,
    });
    assert!(warnings.any(|text| text == "music on hold cannot be played: file=/music.wav: gone"));
    // Back before the file was open: it is not heard any more.
    let mut pair = talking(MUSIC);
    reoffer(&mut pair, &held, "recvonly");
    reoffer(&mut pair, G711, "sendrecv");
    open(&mut pair, Ok(constant(1_000)));
    pair.heard_at(A);
    pair.run(FRAME * 10);
    assert!(pair.heard_at(A).is_empty());
}

#[test]
fn the_user_of_whatsapp_hears_it_as_opus_of_20_ms_without_a_gap() {
    let mut line = Line::ringing();
    let with_music = |request: Request, keys: &str| Request {
        hold_music: self::request(&format!(r#""command":"ping",{keys}"#)).hold_music,
        ..request
    };
    let keys = r#""moh":{"file":"/music.wav"}"#;
    let answer = exchange(
        "answer",
        &pbx(40000, 1, "sendrecv"),
        ["meta", "pbx"],
        UIC_ANSWER,
    );
    let response = line.desk.ask(&with_music(answer, keys));
    line.to_meta = {
        let answered = sdp(&response);
        let crypto = answered.lines().find_map(|l| l.strip_prefix("a=crypto:"));
        let key: relay_transport::srtp::sdes::CryptoAttribute = crypto.unwrap().parse().unwrap();
        relay_transport::srtp::SrtpContext::new(&key.key)
    };
    line.run(FRAME * 10);
    let mut next = 0;
    let mut said = Vec::new();
    for (version, direction) in [(2, "sendonly"), (3, "sendrecv")] {
        let offer = exchange(
            "offer",
            &pbx(40000, version, direction),
            ["pbx", "meta"],
            BIC_SDES,
        );
        line.desk.ask(&offer);
        let answer = exchange("answer", META_SDES, ["pbx", "meta"], BIC_ANSWER);
        let response = line
            .desk
            .call
            .handle_request(line.desk.now, &answer, &mut line.desk.ports);
        assert_eq!(response.error_reason(), None);
        for event in line.desk.drain() {
            if let CallEvent::HoldMusic { holder, .. } = event {
                let (now, music) = (line.desk.now, Box::new(constant(60_000)));
                line.desk.call.play_hold_music(now, holder, Ok(music));
            }
        }
        for _ in 0..50 {
            line.pbx_says(next);
            next += 1;
            line.run(FRAME);
        }
        let heard = line.heard_by_meta();
        said.push(
            heard
                .iter()
                .filter(|(_, payload)| *payload == SPEECH)
                .count(),
        );
        for two in heard.windows(2) {
            let (before, after) = (&two[0].0, &two[1].0);
            assert_eq!(
                (before.ssrc, before.sequence.next()),
                (after.ssrc, after.sequence)
            );
            assert_eq!(after.payload_type.number(), 111);
            // A seam may close up what was early, and never tears the stream.
            let step = after.timestamp.distance_from(before.timestamp);
            assert!((960..=2 * 960).contains(&step), "{step}");
        }
        assert!((50..=62).contains(&heard.len()), "{}", heard.len());
    }
    assert!(said[0] < 3 && said[1] > 45, "{said:?}");
}

#[test]
fn hold_is_told_once_when_it_begins_and_once_when_it_ends() {
    let mut pair = talking("");
    for (lines, answer) in [
        ("a=sendonly\n", "recvonly"),
        ("a=sendonly\n", "recvonly"),
        ("", "sendrecv"),
        ("", "sendrecv"),
    ] {
        reoffer(&mut pair, &format!("{G711}{lines}"), answer);
    }
    pair.run(Duration::ZERO);
    let holds = pair.events.iter().filter_map(|event| match event {
        CallEvent::Hold { leg, on } => Some((leg.as_str(), *on)),
        _ => None,
    });
    assert_eq!(holds.collect::<Vec<_>>(), [("b", true), ("b", false)]);
}
