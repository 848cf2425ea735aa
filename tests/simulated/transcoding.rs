//! WhatsApp calls with a PBX that knows A-law and nothing else: Opus on one side, G.711 on the other.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::media::config::{CallDirection, Clock, DtlsConfig, Expectation, KeyExchange};
use simulator::media::impairment::Impairment;
use simulator::media::{MediaConfig, MediaReport};

use crate::alaw::Alaw;
use crate::world::{World, media_address};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// What Meta's user hums, and what the PBX plays.
const META_HZ: f64 = 700.0;
const PBX_HZ: f64 = 450.0;

const BOTH: [CallDirection; 2] = [
    CallDirection::UserInitiated,
    CallDirection::BusinessInitiated,
];

fn world(direction: CallDirection, road: Impairment, seed: u64) -> World {
    let meta = MediaConfig {
        direction,
        keys: KeyExchange::Dtls,
        ipv4: "192.0.2.49:3480".parse().unwrap(),
        dtls: DtlsConfig {
            clock: Clock::Invented,
            ..DtlsConfig::default()
        },
        expectation: Expectation::Tone(PBX_HZ),
        ..MediaConfig::default()
    };
    let mut world = World::new(meta, road, seed);
    world.pbx.alaw = Some(Alaw::new(PBX_HZ));
    world
}

fn with(mut flags: Value, more: Value) -> Value {
    if let (Value::Object(flags), Value::Object(more)) = (&mut flags, more) {
        flags.extend(more);
    }
    flags
}

/// Sets a call up. What the offer says about codecs is `codecs`.
fn connect(world: &mut World, direction: CallDirection, codecs: Value) {
    let to_meta = json!({
        "transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "SDES": ["off"],
        "rtcp-mux": ["offer", "require"], "flags": ["generate-mid"], "direction": ["priv", "pub"],
    });
    let to_pbx = json!({
        "transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"], "direction": ["pub", "priv"],
    });
    let relay_for_pbx = match direction {
        CallDirection::UserInitiated => {
            let offer = world.meta.local_sdp_offer();
            let for_pbx = world.exchange("offer", "meta", None, &offer, with(to_pbx, codecs));
            assert!(for_pbx.contains("a=rtpmap:8 PCMA/8000"), "{for_pbx}");
            let said = world.pbx.sdp("sendrecv");
            let flags = json!({ "ICE": "force", "rtcp-mux": ["accept"] });
            let answer = world.exchange("answer", "meta", Some("pbx"), &said, flags);
            assert!(answer.contains("SAVPF 111 126\r\n"), "{answer}");
            world.meta.set_remote_sdp(world.now, &answer).unwrap();
            for_pbx
        }
        CallDirection::BusinessInitiated => {
            let said = world.pbx.sdp("sendrecv");
            let offer = world.exchange("offer", "pbx", None, &said, with(to_meta, codecs));
            assert!(offer.contains("opus/48000/2"), "{offer}");
            assert!(!offer.contains("telephone-event/48000"), "{offer}");
            let answer = world.meta.local_sdp_answer(&offer).unwrap();
            world.meta.set_remote_sdp(world.now, &offer).unwrap();
            let flags = json!({ "ICE": "remove", "rtcp-mux": ["demux"] });
            let for_pbx = world.exchange("answer", "pbx", Some("meta"), &answer, flags);
            assert!(for_pbx.contains("RTP/AVP 8 101\r\n"), "{for_pbx}");
            for_pbx
        }
    };
    world.meta.call_answered(world.now);
    world.pbx.relay = Some(media_address(&relay_for_pbx));
    world.pbx.speak_from(world.now);
}

fn codecs_for(direction: CallDirection) -> Value {
    match direction {
        CallDirection::UserInitiated => json!({ "codec": { "transcode": ["PCMA"] } }),
        CallDirection::BusinessInitiated => {
            json!({ "codec": { "mask": ["all"], "transcode": ["opus/48000/2", "telephone-event"] } })
        }
    }
}

fn talk(direction: CallDirection, road: Impairment, seed: u64) -> (World, MediaReport) {
    let mut world = world(direction, road, seed);
    connect(&mut world, direction, codecs_for(direction));
    world.run(12 * SECOND);
    let report = world.report();
    (world, report)
}

#[test]
fn opus_and_alaw_understand_each_other() {
    for direction in BOTH {
        let (world, report) = talk(direction, Impairment::delay(40 * MS), 3);
        let name = format!("{direction:?} {report:#?} {:#?}", world.log);
        assert!(report.violations.is_empty(), "{name}");
        assert!(report.received.tone_ms > 9_000.0, "{name}");
        assert_eq!(report.received.undecodable_packets, 0, "{name}");
        assert_eq!(report.received.ssrc_changes, 0, "{name}");
        assert_eq!(report.received.ptime_ms, Some(20.0), "{name}");
        assert!(report.received.longest_gap_ms <= 60.0, "{name}");
        let alaw = world.pbx.alaw.as_ref().unwrap();
        let share = alaw.share_of(META_HZ, 16_000);
        assert!(share > 0.97, "{share}; {name}");
        // The PBX sees one stream whose timestamps count samples of 8000 Hz.
        assert_eq!(world.pbx.heard_ssrcs.len(), 1, "{name}");
        let odd = alaw
            .timestamps
            .windows(2)
            .filter(|pair| pair[1].wrapping_sub(pair[0]) != 160);
        assert_eq!(odd.count(), 0, "{name}");
    }
}

#[test]
fn keys_pass_both_ways_beside_transcoded_speech() {
    for direction in BOTH {
        let (mut world, before) = talk(direction, Impairment::delay(20 * MS), 5);
        world.meta.send_digits("17#");
        for key in [4, 2] {
            world.pbx.alaw.as_mut().unwrap().press(key);
            world.run(SECOND);
        }
        world.run(3 * SECOND);
        let report = world.report();
        let name = format!("{direction:?} {report:#?} {:#?}", world.log);
        let alaw = world.pbx.alaw.as_ref().unwrap();
        assert_eq!(alaw.keys, [1, 7, 11], "{name}");
        // Two keys of five packets and three ends.
        assert_eq!(before.received.telephone_events, 0, "{name}");
        assert_eq!(report.received.telephone_events, 16, "{name}");
        assert!(report.violations.is_empty(), "{name}");
        // Speech goes on afterwards.
        assert!(alaw.share_of(META_HZ, 8_000) > 0.9, "{name}");
    }
}

#[test]
fn an_answer_in_a_codec_that_was_never_offered_still_makes_a_call() {
    let direction = CallDirection::UserInitiated;
    let mut world = world(direction, Impairment::delay(20 * MS), 1);
    let flags = json!({
        "transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"], "direction": ["pub", "priv"],
    });
    let offer = world.meta.local_sdp_offer();
    let for_pbx = world.exchange("offer", "meta", None, &offer, flags);
    let said = world.pbx.sdp("sendrecv");
    let flags = json!({ "ICE": "force", "rtcp-mux": ["accept"] });
    let answer = world.exchange("answer", "meta", Some("pbx"), &said, flags);
    world.meta.set_remote_sdp(world.now, &answer).unwrap();
    world.meta.call_answered(world.now);
    world.pbx.relay = Some(media_address(&for_pbx));
    world.pbx.speak_from(world.now);
    world.run(6 * SECOND);
    let report = world.report();
    assert!(report.received.tone_ms > 4_000.0, "{report:#?}");
    assert!(world.pbx.alaw.as_ref().unwrap().share_of(META_HZ, 16_000) > 0.97);
}

#[test]
fn loss_and_reordering_on_metas_road_do_not_break_the_stream_of_the_pbx() {
    for direction in BOTH {
        let road = Impairment {
            loss: 0.1,
            delay: 30 * MS,
            jitter: 5 * MS,
            reorder: 0.02,
            reorder_by: 30 * MS,
            duplicate: 0.02,
            ..Impairment::none()
        };
        let (world, report) = talk(direction, road, 9);
        let name = format!("{direction:?} {report:#?} {:#?}", world.log);
        let alaw = world.pbx.alaw.as_ref().unwrap();
        // What is lost is made up for: the stream of the PBX has no holes, however long it lasts.
        let steps = alaw.timestamps.windows(2);
        let steps: Vec<u32> = steps.map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        let odd: Vec<_> = (0..)
            .zip(&steps)
            .filter(|(_, step)| **step != 160)
            .collect();
        assert!(odd.is_empty(), "{odd:?} of {}; {name}", steps.len());
        let share = alaw.share_of(META_HZ, 32_000);
        assert!(share > 0.7, "{share} of the tone; {name}");
        assert!(report.received.tone_ms > 7_000.0, "{name}");
        assert_eq!(report.received.ssrc_changes, 0, "{name}");
    }
}

#[test]
fn a_hold_of_the_pbx_is_filled_with_silence_and_speech_comes_back() {
    let (mut world, _) = talk(
        CallDirection::BusinessInitiated,
        Impairment::delay(20 * MS),
        4,
    );
    world.pbx.fall_silent();
    world.run(10 * SECOND);
    world.pbx.speak_from(world.now);
    let before = world.report().received.tone_ms;
    world.run(3 * SECOND);
    let report = world.report();
    assert!(report.violations.is_empty(), "{report:#?}");
    assert!(report.received.longest_gap_ms < 150.0, "{report:#?}");
    assert!(report.received.tone_ms - before > 2_500.0, "{report:#?}");
    assert_eq!(report.received.ssrc_changes, 0, "{report:#?}");
}
