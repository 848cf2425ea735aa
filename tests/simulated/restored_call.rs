//! Calls that outlive the relay's process: it is killed, and another one goes on with what was written down. Meta stands on other
//! libraries and knows nothing of it.

use std::collections::HashSet;
use std::time::Duration;

use relay_packet::DropReason;
use serde_json::json;
use simulator::media::CallDirection;
use simulator::media::config::KeyExchange;
use simulator::media::impairment::Impairment;

use crate::alaw::Alaw;
use crate::whatsapp_call::{
    KINDS, MS, SECOND, connect, flags_to_meta, flags_to_pbx, hang_up, meta,
};
use crate::world::{World, media_address};

/// A call that has been talking for five seconds.
fn talking(direction: CallDirection, keys: KeyExchange, seed: u64) -> World {
    let mut world = World::new(
        meta(direction, keys, 50 * MS),
        Impairment::delay(20 * MS),
        seed,
    );
    connect(&mut world, direction, keys);
    world.run(5 * SECOND);
    world
}

fn written(world: &World) -> Vec<u8> {
    world.call.snapshot(world.now).encode().unwrap()
}

/// What was written down is so old when the process is killed, and another one is there so much later.
fn restart(world: &mut World, age: Duration, downtime: Duration) {
    let written = written(world);
    world.run(age);
    world.kill(downtime);
    world.revive(&written).unwrap();
}

/// Lets both talk for `seconds` and checks that both are heard, by the same keys and in the same streams as ever.
fn assert_talk(world: &mut World, seconds: u32) {
    let (before, pbx_before) = (world.report(), world.pbx.heard);
    world.run(seconds * SECOND);
    let (after, story) = (world.report(), format!("{:#?}", world.log));
    let least = u64::from(seconds) * 50 - 10;
    let heard = after.received.packets - before.received.packets;
    assert!(heard >= least, "Meta heard {heard}: {after:#?} {story}");
    let heard = world.pbx.heard - pbx_before;
    assert!(heard >= least, "the PBX heard {heard}: {after:#?} {story}");
    assert_eq!(after.unauthenticated, 0, "{after:#?} {story}");
    assert_eq!(after.received.ssrc_changes, 0, "{after:#?}");
    assert_eq!(after.received.duplicates, 0, "{after:#?}");
    assert_eq!(world.pbx.heard_ssrcs.len(), 1, "{story}");
    assert!(after.violations.is_empty(), "{after:#?} {story}");
    for (reason, count) in world.call.drops() {
        let harmful = [
            DropReason::SrtpAuthentication,
            DropReason::SrtpReplay,
            DropReason::SrtpNoKeys,
            DropReason::StunUnauthenticated,
        ];
        assert!(
            !harmful.contains(&reason),
            "{count} times {reason:?} {story}"
        );
    }
    let numbers = &world.numbers_to_meta;
    let different: HashSet<_> = numbers.iter().collect();
    assert_eq!(different.len(), numbers.len(), "an index was used twice");
}

#[test]
fn whatsapp_calls_go_on_after_a_crash_in_every_direction_and_key_mode() {
    for (direction, keys) in KINDS {
        let mut world = talking(direction, keys, 1);
        restart(&mut world, 2 * SECOND, 500 * MS);
        let gap = {
            assert_talk(&mut world, 5);
            world.report().received.longest_gap_ms
        };
        // The time without a process, and what was on the road.
        assert!(gap <= 600.0, "{direction:?} {keys:?}: {gap} ms");
        hang_up(&mut world);
    }
}

#[test]
fn a_process_that_stops_in_order_leaves_no_hole_in_the_numbers() {
    for (direction, keys) in KINDS {
        let mut world = talking(direction, keys, 2);
        let mut snapshot = world.call.snapshot(world.now);
        snapshot.advance(world.call.progress(world.now).stopped());
        let lost = world.report().received.lost;
        world.kill(200 * MS);
        world.revive(&snapshot.encode().unwrap()).unwrap();
        assert_talk(&mut world, 5);
        // What the PBX said meanwhile, and nothing else.
        let lost = world.report().received.lost - lost;
        assert!(lost <= 10, "{direction:?} {keys:?}: {lost}");
        hang_up(&mut world);
    }
}

#[test]
fn checks_of_consent_are_answered_after_a_restart_and_meta_hears_the_same_agent() {
    let (direction, keys) = KINDS[0];
    let mut world = talking(direction, keys, 3);
    restart(&mut world, SECOND, 500 * MS);
    let before = world.report();
    // Longer than consent lasts without an answer (RFC 7675 section 5.1).
    assert_talk(&mut world, 45);
    let after = world.report();
    let answered = after.checks_answered - before.checks_answered;
    assert!(answered >= 7, "{after:#?}");
    assert_eq!(after.checks_refused, before.checks_refused, "{after:#?}");
    assert_eq!(after.role_conflicts, 0);
    let lost = |line: &String| line.contains("consent");
    assert!(!world.log.iter().any(lost), "{:#?}", world.log);
    hang_up(&mut world);
}

#[test]
fn a_call_may_be_taken_over_again_and_again() {
    for (direction, keys) in KINDS {
        let mut world = talking(direction, keys, 4);
        for _ in 0..4 {
            restart(&mut world, 1500 * MS, 300 * MS);
            assert_talk(&mut world, 3);
        }
        hang_up(&mut world);
    }
}

#[test]
fn the_first_words_after_a_restart_may_be_silence_of_ours() {
    for (direction, keys) in KINDS {
        let mut world = talking(direction, keys, 5);
        world.pbx.fall_silent();
        world.run(2 * SECOND);
        restart(&mut world, 2 * SECOND, 500 * MS);
        let heard = world.report().received.packets;
        world.run(5 * SECOND);
        let report = world.report();
        let filled = report.received.packets - heard;
        assert!(filled >= 235, "{direction:?} {keys:?}: {report:#?}");
        // The PBX says on where it would be by now.
        world.pbx.speak_from(world.now);
        assert_talk(&mut world, 3);
        hang_up(&mut world);
    }
}

#[test]
fn a_restored_call_is_held_moved_and_asked_about_like_any_other() {
    for (direction, keys) in KINDS {
        let mut world = talking(direction, keys, 6);
        let query = json!({ "command": "query", "call-id": "simulated" });
        let before = world.request(&query);
        restart(&mut world, SECOND, 300 * MS);
        let after = world.request(&query);
        // It is as old as it was, by whatever clock.
        let created = |reply: &serde_json::Value| reply["created"].as_u64().unwrap();
        let moved = created(&after) - created(&before);
        assert!((86_399..=86_401).contains(&moved), "{moved}");
        assert_eq!(after["tags"]["meta"]["tag"], "meta");
        let stream =
            |reply: &serde_json::Value| reply["tags"]["meta"]["medias"][0]["streams"][0].clone();
        let (stream_before, stream_after) = (stream(&before), stream(&after));
        for key in ["local port", "endpoint", "crypto suite", "DTLS"] {
            assert_eq!(stream_after[key], stream_before[key], "{key}: {after:#}");
        }
        let packets =
            |reply: &serde_json::Value| reply["totals"]["RTP"]["packets"].as_u64().unwrap();
        assert!(packets(&after) >= packets(&before), "{after:#}");

        let meta_sdp = world.meta_sdp.clone();
        for (port, word) in [(40_000, "sendonly"), (40_010, "sendrecv")] {
            world.pbx.address.set_port(port);
            let offer = world.pbx.sdp(word);
            let mut flags = flags_to_meta(keys, true);
            flags["flags"] = json!(["generate-mid", "port-latching"]);
            flags.as_object_mut().unwrap().remove("direction");
            world.exchange("offer", "pbx", Some("meta"), &offer, flags);
            let mut flags = flags_to_pbx(false);
            flags["flags"] = json!(["port-latching"]);
            let to_pbx = world.exchange("answer", "pbx", Some("meta"), &meta_sdp, flags);
            world.pbx.relay = Some(media_address(&to_pbx));
            world.run(3 * SECOND);
        }
        assert_talk(&mut world, 3);
        hang_up(&mut world);
    }
}

/// What Meta was told in the first offer stands in a later one as well: fingerprint, credentials, keys.
#[test]
fn a_re_offer_after_a_restart_tells_the_same_as_one_before() {
    for (direction, keys) in KINDS {
        let mut world = talking(direction, keys, 7);
        let re_offer = |world: &mut World| {
            let offer = world.pbx.sdp("sendrecv");
            let mut flags = flags_to_meta(keys, true);
            flags.as_object_mut().unwrap().remove("direction");
            let told = world.exchange("offer", "pbx", Some("meta"), &offer, flags);
            let meta_sdp = world.meta_sdp.clone();
            world.exchange(
                "answer",
                "pbx",
                Some("meta"),
                &meta_sdp,
                flags_to_pbx(false),
            );
            let secrets = [
                "a=fingerprint",
                "a=ice-ufrag",
                "a=ice-pwd",
                "a=crypto",
                "m=",
                "a=ssrc",
            ];
            let lines = told
                .lines()
                .filter(|line| secrets.iter().any(|s| line.starts_with(s)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = re_offer(&mut world);
        world.run(SECOND);
        restart(&mut world, SECOND, 300 * MS);
        assert_eq!(re_offer(&mut world), before, "{direction:?} {keys:?}");
        assert_talk(&mut world, 3);
        hang_up(&mut world);
    }
}

#[test]
fn a_transcoded_call_goes_on_with_a_new_transcoder() {
    let (direction, keys) = KINDS[0];
    let mut world = World::new(
        meta(direction, keys, 50 * MS),
        Impairment::delay(20 * MS),
        8,
    );
    world.pbx.alaw = Some(Alaw::new(440.0));
    connect(&mut world, direction, keys);
    world.run(5 * SECOND);
    restart(&mut world, 2 * SECOND, 500 * MS);
    let before = world.report();
    world.run(5 * SECOND);
    let after = world.report();
    let heard = after.received.packets - before.received.packets;
    assert!(heard >= 240, "{after:#?}");
    assert_eq!(after.unauthenticated, 0, "{after:#?}");
    assert_eq!(after.received.ssrc_changes, 0, "{after:#?}");
    assert_eq!(world.pbx.heard_ssrcs.len(), 1);
    hang_up(&mut world);
}

#[test]
fn a_handshake_that_was_under_way_is_begun_again() {
    let (direction, keys) = KINDS[0];
    let mut world = World::new(
        meta(direction, keys, 1500 * MS),
        Impairment::delay(20 * MS),
        9,
    );
    connect(&mut world, direction, keys);
    world.run(SECOND);
    assert_eq!(world.report().first_srtp_ms, None);
    restart(&mut world, Duration::ZERO, 200 * MS);
    world.run(3 * SECOND);
    assert_talk(&mut world, 3);
    hang_up(&mut world);
}

#[test]
fn what_is_too_old_damaged_or_of_another_version_is_refused_and_leaves_nothing_open() {
    let (direction, keys) = KINDS[0];
    let mut world = talking(direction, keys, 10);
    let bytes = written(&world);
    world.kill(180 * SECOND);
    let refused = world.revive(&bytes).unwrap_err().to_string();
    assert_eq!(refused, "it was last seen 180 s ago");
    assert_eq!(world.ports.open(), 0);

    let text = String::from_utf8(bytes).unwrap();
    let decode = |text: &str| relay_call::CallSnapshot::decode(text.as_bytes());
    let other = text.replacen("\"version\":1", "\"version\":9", 1);
    let error = decode(&other).unwrap_err().to_string();
    assert!(error.starts_with("it is of version 9"), "{error}");
    for damaged in [
        "",
        "{}",
        &text[..text.len() / 2],
        &text.replace("sections", "s"),
    ] {
        assert!(decode(damaged).is_err(), "{damaged}");
    }
}

#[test]
fn ports_that_somebody_else_has_are_told_and_the_others_given_back() {
    let (direction, keys) = KINDS[0];
    let mut world = talking(direction, keys, 11);
    let bytes = written(&world);
    world.kill(100 * MS);
    let snapshot = relay_call::CallSnapshot::decode(&bytes).unwrap();
    let last = snapshot.addresses().last().unwrap();
    world.ports.occupy(last);
    let refused = world.revive(&bytes).unwrap_err().to_string();
    assert_eq!(refused, format!("port {last} cannot be opened again"));
    assert_eq!(world.ports.open(), 1);
}

/// What is written down is for one reader; a log that shows the type by mistake must not tell a secret.
#[test]
fn debug_output_of_what_is_written_down_hides_every_secret() {
    for (direction, keys) in KINDS {
        let world = talking(direction, keys, 12);
        let snapshot = world.call.snapshot(world.now);
        let text = String::from_utf8(snapshot.encode().unwrap()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut secrets = Vec::new();
        secrets_in(&json, &mut secrets);
        assert!(secrets.len() >= 2, "{text}");
        let shown = format!("{snapshot:?} {:?}", world.call.progress(world.now));
        for secret in secrets {
            assert!(!shown.contains(&secret), "{secret} in {shown}");
        }
    }
}

/// The values of all that is secret by its name.
fn secrets_in(json: &serde_json::Value, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(entries) => {
            for (name, value) in entries {
                let is_secret = ["material", "pwd", "private_key"].contains(&name.as_str());
                match value.as_str() {
                    Some(text) if is_secret => found.push(text.to_owned()),
                    _ => secrets_in(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|v| secrets_in(v, found)),
        _ => {}
    }
}
