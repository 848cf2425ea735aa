//! WhatsApp calls from the first `offer` to `delete`, in every key mode and direction.

use std::time::Duration;

use relay_call::config::Verdict;
use serde_json::{Value, json};
use simulator::media::config::{
    CertificateKey, Clock, Codec, DtlsConfig, Expectation, KeyExchange, MediaTimers, VoiceConfig,
};
use simulator::media::impairment::Impairment;
use simulator::media::{CallDirection, MediaConfig};

use crate::world::{World, media_address};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The four ways in which a WhatsApp call can begin.
pub(crate) const KINDS: [(CallDirection, KeyExchange); 4] = [
    (CallDirection::UserInitiated, KeyExchange::Dtls),
    (CallDirection::BusinessInitiated, KeyExchange::Dtls),
    (CallDirection::UserInitiated, KeyExchange::Sdes),
    (CallDirection::BusinessInitiated, KeyExchange::Sdes),
];

pub(crate) fn meta(direction: CallDirection, keys: KeyExchange, deafness: Duration) -> MediaConfig {
    MediaConfig {
        direction,
        keys,
        ipv4: "192.0.2.49:3480".parse().unwrap(),
        deafness,
        dtls: DtlsConfig {
            clock: Clock::Invented,
            ..DtlsConfig::default()
        },
        expectation: Expectation::CountedPrompt,
        voice: VoiceConfig {
            codec: Codec::Opus,
            ..VoiceConfig::default()
        },
        ..MediaConfig::default()
    }
}

/// The flags towards WhatsApp and towards the PBX, as stock scripts write them.
pub(crate) fn flags_to_meta(keys: KeyExchange, is_offer: bool) -> Value {
    match (keys, is_offer) {
        (KeyExchange::Dtls, true) => json!({
            "transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"],
            "rtcp-mux": ["offer", "require"], "flags": ["generate-mid"], "direction": ["priv", "pub"],
        }),
        (KeyExchange::Dtls, false) => json!({ "ICE": "force", "rtcp-mux": ["accept"] }),
        (KeyExchange::Sdes, true) => json!({
            "transport-protocol": "RTP/SAVP", "ICE": "remove", "DTLS": "off",
            "SDES": ["only-AES_CM_128_HMAC_SHA1_80"], "rtcp-mux": ["offer"], "direction": ["priv", "pub"],
        }),
        (KeyExchange::Sdes, false) => json!({ "ICE": "remove", "rtcp-mux": ["accept"] }),
    }
}

pub(crate) fn flags_to_pbx(is_offer: bool) -> Value {
    let mut flags =
        json!({ "transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"] });
    if is_offer {
        flags["direction"] = json!(["pub", "priv"]);
    }
    flags
}

/// The flags towards WhatsApp of this call.
fn wishes_for_meta(world: &World, keys: KeyExchange, is_offer: bool) -> Value {
    let mut flags = flags_to_meta(keys, is_offer);
    if let Some(engine) = world.dtls_engine {
        flags["dtls-engine"] = json!(engine);
    }
    flags
}

/// Sets a call up; the PBX speaks from the moment of `answer`.
pub(crate) fn connect(world: &mut World, direction: CallDirection, keys: KeyExchange) {
    let relay_for_pbx = match direction {
        CallDirection::UserInitiated => {
            let offer = world.meta.local_sdp_offer();
            let to_pbx = world.exchange("offer", "meta", None, &offer, flags_to_pbx(true));
            world.meta_sdp = offer;
            world.run(SECOND);
            let sdp = world.pbx.sdp("sendrecv");
            let flags = wishes_for_meta(world, keys, false);
            let to_meta = world.exchange("answer", "meta", Some("pbx"), &sdp, flags);
            world.meta.set_remote_sdp(world.now, &to_meta).unwrap();
            to_pbx
        }
        CallDirection::BusinessInitiated => {
            let sdp = world.pbx.sdp("sendrecv");
            let flags = wishes_for_meta(world, keys, true);
            let to_meta = world.exchange("offer", "pbx", None, &sdp, flags);
            world.run(SECOND);
            let answer = world.meta.local_sdp_answer(&to_meta).unwrap();
            world.meta.set_remote_sdp(world.now, &to_meta).unwrap();
            let to_pbx =
                world.exchange("answer", "pbx", Some("meta"), &answer, flags_to_pbx(false));
            world.meta_sdp = answer;
            to_pbx
        }
    };
    world.meta.call_answered(world.now);
    world.meta.prompt_started(world.now);
    world.pbx.relay = Some(media_address(&relay_for_pbx));
    world.pbx.speak_from(world.now);
}

pub(crate) fn hang_up(world: &mut World) {
    let reply =
        world.request(&json!({ "command": "delete", "call-id": "simulated", "delete-delay": 0 }));
    assert_eq!(reply["result"], "ok");
    world.run(SECOND);
    assert!(world.call.is_finished(), "{:#?}", world.log);
    assert_eq!(world.ports.open(), 0, "ports are left open");
}

/// A call on a bad road. Returns what went wrong, with what to reproduce it by.
fn bad_road(seed: u64) -> Result<(), String> {
    let (direction, keys) = KINDS[(seed % 4) as usize];
    let loss = 0.3 * ((seed / 4) % 7) as f64 / 6.0;
    let road = Impairment {
        loss,
        delay: (10 + seed % 60) as u32 * MS,
        jitter: 5 * MS,
        reorder: 0.05,
        reorder_by: 30 * MS,
        duplicate: 0.05,
        ..Impairment::none()
    };
    let deafness = [0, 50, 300, 1500][(seed / 3 % 4) as usize] * MS;
    let config = MediaConfig {
        timers: MediaTimers::default().scaled(3.0),
        ..meta(direction, keys, deafness)
    };
    let mut world = World::new(config, road, seed);
    connect(&mut world, direction, keys);
    // Meta repeats its own flights after 1, 2, 4, 8 s: when the road takes several of them in a row, nothing on our side helps.
    for _ in 0..80 {
        world.run(500 * MS);
        if world.report().first_srtp_ms.is_some() {
            break;
        }
    }
    let talk = 8 * SECOND;
    let (heard_before, pbx_heard_before) = (world.report().received.packets, world.pbx.heard);
    world.run(talk);
    let report = world.report();
    let say = |what: String| {
        Err(format!(
            "seed {seed} ({direction:?} {keys:?}, loss {loss:.2}, D {deafness:?}): {what}\n{report:#?}\n{:#?}",
            world.log
        ))
    };
    if report.first_srtp_ms.is_none() {
        return say("Meta never heard us".into());
    }
    if !report.violations.is_empty() {
        return say(format!("{:?}", report.violations));
    }
    if report.received.ssrc_changes != 0 {
        return say("the SSRC changed".into());
    }
    // 400 packets each way less the losses of the road, and a margin for chance.
    let least = ((1.0 - loss) * 400.0 - 60.0) as u64;
    let heard = report.received.packets - heard_before;
    if heard < least {
        return say(format!("Meta heard {heard} packets of 400"));
    }
    let pbx_heard = world.pbx.heard - pbx_heard_before;
    if pbx_heard < least {
        return say(format!("the PBX heard {pbx_heard} packets of 400"));
    }
    if world.pbx.heard_ssrcs.len() != 1 {
        return say(format!("the PBX heard {:x?}", world.pbx.heard_ssrcs));
    }
    hang_up(&mut world);
    Ok(())
}

#[test]
fn two_hundred_calls_on_bad_roads_all_talk() {
    let failures: Vec<String> = (0..200).filter_map(|seed| bad_road(seed).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of 200:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn no_word_is_lost_and_the_start_is_fast() {
    for (direction, keys) in KINDS {
        for deafness in [0, 50, 300, 1500] {
            let road = Impairment::delay(40 * MS);
            let mut world = World::new(meta(direction, keys, deafness * MS), road, 1);
            connect(&mut world, direction, keys);
            world.run(8 * SECOND);
            let report = world.report();
            let floor = match (direction, keys) {
                (_, KeyExchange::Sdes) => 40.0,
                (CallDirection::UserInitiated, _) => f64::from(deafness) + 240.0,
                (CallDirection::BusinessInitiated, _) => f64::from(deafness) + 160.0,
            };
            let name = format!(
                "{direction:?} {keys:?} D={deafness}: {report:#?} {:#?}",
                world.log
            );
            let first = report.first_srtp_ms.expect(&name);
            assert!(
                first <= floor + 40.0,
                "{} over the floor; {name}",
                first - floor
            );
            let prompt = report.received.prompt.as_ref().expect(&name);
            assert_eq!(prompt.clipped_ms, 0.0, "{name}");
            assert_eq!(prompt.lost_ms, 0.0, "{name}");
            let late = prompt.delay_after_one_second_ms.expect(&name)
                - prompt.least_delay_ms.expect(&name);
            assert!(late <= 40.0, "{late} ms late; {name}");
            assert!(report.violations.is_empty(), "{name}");
            hang_up(&mut world);
        }
    }
}

/// Meta's key is RSA, which the first DTLS engine does not know. As client it shows that in its hello, as server it gets the second
/// engine's hello. Where it was ECDSA until now Meta has to refuse a hello first, and takes the next one.
#[test]
fn an_rsa_certificate_of_metas_costs_no_word() {
    for (direction, was_ecdsa, refusals) in [
        (CallDirection::UserInitiated, false, 0),
        (CallDirection::UserInitiated, true, 1),
        (CallDirection::BusinessInitiated, true, 0),
    ] {
        let mut config = meta(direction, KeyExchange::Dtls, 50 * MS);
        config.dtls.key = CertificateKey::Rsa;
        let mut world = World::new(config, Impairment::delay(40 * MS), 1);
        if was_ecdsa {
            let memory = world.transport.dtls.memory();
            memory.note(world.meta_address.ip(), Verdict::Suits, world.now);
        }
        connect(&mut world, direction, KeyExchange::Dtls);
        world.run(8 * SECOND);
        let report = world.report();
        let name = format!("{direction:?} {was_ecdsa}: {report:#?} {:#?}", world.log);
        let prompt = report.received.prompt.as_ref().expect(&name);
        assert_eq!((prompt.clipped_ms, prompt.lost_ms), (0.0, 0.0), "{name}");
        assert_eq!(report.violations.len(), refusals, "{name}");
        // A refusal costs one round trip.
        let first = report.first_srtp_ms.expect(&name);
        let floor = 50.0 + 240.0 + 80.0 * refusals as f64;
        assert!(first <= floor + 40.0, "{first} ms; {name}");
        hang_up(&mut world);
    }
}

#[test]
fn query_and_the_story_of_a_call_say_who_speaks_dtls_and_what_was_agreed() {
    let (user, business) = (
        CallDirection::UserInitiated,
        CallDirection::BusinessInitiated,
    );
    for (direction, key, engine, role, side) in [
        (user, CertificateKey::Rsa, "openssl", "active", "client"),
        (user, CertificateKey::Ecdsa, "dimpl", "active", "client"),
        (
            business,
            CertificateKey::Rsa,
            "openssl",
            "passive",
            "server",
        ),
    ] {
        let mut config = meta(direction, KeyExchange::Dtls, 50 * MS);
        config.dtls.key = key;
        let mut world = World::new(config, Impairment::delay(40 * MS), 1);
        if key == CertificateKey::Ecdsa {
            let memory = world.transport.dtls.memory();
            memory.note(world.meta_address.ip(), Verdict::Suits, world.now);
        }
        connect(&mut world, direction, KeyExchange::Dtls);
        world.run(2 * SECOND);
        let reply = world.request(&json!({ "command": "query", "call-id": "simulated" }));
        let stream = &reply["tags"]["meta"]["medias"][0]["streams"][0];
        let dtls = &stream["DTLS"];
        assert_eq!(dtls["engine"], engine, "{stream}");
        assert_eq!(dtls["role"], role);
        assert_eq!(dtls["version"], "DTLS 1.2");
        let cipher = dtls["cipher"].as_str().unwrap();
        assert!(cipher.starts_with("TLS_ECDHE_"), "{cipher}");
        let suite = stream["crypto suite"].as_str().unwrap();
        let plain = &reply["tags"]["pbx"]["medias"][0]["streams"][0];
        assert!(plain["DTLS"].is_null() && plain["crypto suite"].is_null());
        let (begin, end) = (
            format!("DTLS 1.2 {cipher}, SRTP {suite} after"),
            format!("as {side} by {engine}"),
        );
        let told = |line: &String| line.contains(&begin) && line.contains(&end);
        assert!(world.log.iter().any(told), "{end}: {:#?}", world.log);
        hang_up(&mut world);
    }
}

/// The proxy may know a peer better than the relay does, in offers towards it and in answers to it.
#[test]
fn a_request_may_name_the_library_for_one_party() {
    for (direction, is_known, engine) in [
        (CallDirection::UserInitiated, true, "openssl"),
        (CallDirection::UserInitiated, false, "dimpl"),
        (CallDirection::BusinessInitiated, false, "dimpl"),
    ] {
        for named in [false, true] {
            let config = meta(direction, KeyExchange::Dtls, 50 * MS);
            let mut world = World::new(config, Impairment::delay(40 * MS), 1);
            if is_known {
                let memory = world.transport.dtls.memory();
                memory.note(world.meta_address.ip(), Verdict::Suits, world.now);
            }
            world.dtls_engine = named.then_some(engine);
            connect(&mut world, direction, KeyExchange::Dtls);
            world.run(2 * SECOND);
            let told = format!(" by {engine}");
            assert_eq!(
                world.log.iter().any(|line| line.ends_with(&told)),
                named,
                "{direction:?} {told}: {:#?}",
                world.log
            );
            hang_up(&mut world);
        }
    }
}

#[test]
fn a_silent_pbx_keeps_the_call_alive() {
    for (direction, keys) in KINDS {
        let mut world = World::new(
            meta(direction, keys, 50 * MS),
            Impairment::delay(20 * MS),
            2,
        );
        connect(&mut world, direction, keys);
        world.run(2 * SECOND);
        world.pbx.fall_silent();
        world.run(40 * SECOND);
        let report = world.report();
        assert!(report.violations.is_empty(), "{report:#?}");
        assert!(report.received.packets > 2_000, "{report:#?}");
        assert!(report.received.longest_gap_ms < 150.0, "{report:#?}");
        assert!(report.received.sender_reports >= 6, "{report:#?}");
        assert_eq!(report.received.ssrc_changes, 0, "{report:#?}");
        hang_up(&mut world);
    }
}

#[test]
fn the_pbx_may_hold_and_move_without_meta_noticing() {
    for (direction, keys) in KINDS {
        let mut world = World::new(
            meta(direction, keys, 50 * MS),
            Impairment::delay(20 * MS),
            3,
        );
        connect(&mut world, direction, keys);
        world.run(2 * SECOND);
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
            world.pbx.ssrc ^= 0x0f0f_0f0f;
            world.run(3 * SECOND);
        }
        let report = world.report();
        assert!(
            report.violations.is_empty(),
            "{direction:?} {keys:?} {report:#?} {:#?}",
            world.log
        );
        assert_eq!(report.received.ssrc_changes, 0, "{report:#?}");
        assert!(
            report.received.longest_gap_ms < 200.0,
            "{report:#?} {:#?}",
            world.log
        );
        // Two seconds before the hold and three after it; none while it does not want to hear.
        assert!(
            (220..=260).contains(&world.pbx.heard),
            "{} {:#?}",
            world.pbx.heard,
            world.log
        );
        hang_up(&mut world);
    }
}

#[test]
fn the_same_seed_gives_the_same_call() {
    let run = |seed| {
        let (direction, keys) = KINDS[0];
        let road = Impairment {
            loss: 0.1,
            delay: 20 * MS,
            ..Impairment::none()
        };
        let mut world = World::new(meta(direction, keys, 50 * MS), road, seed);
        connect(&mut world, direction, keys);
        world.run(3 * SECOND);
        let report = world.report();
        (report.ice_ms, report.received.packets, world.pbx.heard)
    };
    assert_eq!(run(5), run(5));
}
