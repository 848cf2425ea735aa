//! Whole calls between [`MetaMedia`] and the test business, in invented time.

use std::time::Duration;

use crate::media::business::{Manners, Scene};
use crate::media::config::{
    AnswerSetup, CallDirection, Clock, DtlsConfig, Expectation, KeyExchange, MediaConfig,
    SrtpProfile,
};
use crate::media::endpoint::MetaMedia;
use crate::media::event::{MediaEvent, MediaTimer};
use crate::media::impairment::{DropRule, Impairment, PacketKind};
use crate::sdp::{Codec, SdpShape, Setup};

/// Half of R = 80 ms.
const ONE_WAY: Duration = Duration::from_millis(40);
const D: Duration = Duration::from_millis(300);

fn config() -> MediaConfig {
    MediaConfig {
        deafness: D,
        dtls: DtlsConfig {
            clock: Clock::Invented,
            ..DtlsConfig::default()
        },
        expectation: Expectation::CountedPrompt,
        ..MediaConfig::default()
    }
}

fn business_initiated() -> MediaConfig {
    MediaConfig {
        direction: CallDirection::BusinessInitiated,
        ..config()
    }
}

fn offering() -> Manners {
    Manners {
        setup: Setup::Actpass,
        ..Manners::default()
    }
}

fn scene(config: MediaConfig, manners: Manners) -> Scene {
    scene_over(
        config,
        manners,
        Impairment::delay(ONE_WAY),
        Impairment::delay(ONE_WAY),
    )
}

fn scene_over(
    config: MediaConfig,
    manners: Manners,
    to_meta: Impairment,
    to_business: Impairment,
) -> Scene {
    let meta = MetaMedia::new(config, 7).expect("an endpoint");
    Scene::new(meta, manners, to_meta, to_business, 1)
}

fn assert_conversation(scene: &Scene) {
    let report = scene.meta.report(scene.now);
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.received.lost, 0);
    assert_eq!(
        (report.received.ptime_ms, report.received.gaps),
        (Some(20.0), 0)
    );
    assert_eq!(scene.business.violations.texts(), Vec::<String>::new());
    let heard = scene.business.heard();
    assert!(heard.is_tone_found, "{heard:?}");
    assert_eq!(
        (heard.lost, heard.ptime_ms, heard.timestamp_jumps),
        (0, Some(20.0), 0)
    );
    assert_eq!(heard.cname.as_deref(), Some("WhatsAppAudioStream1"));
    assert!(heard.sender_reports >= 1);
    let (sent, heard) = (scene.business.first_sent, scene.business.first_heard);
    assert!(sent < heard, "Meta speaks after the business");
}

#[test]
fn a_user_initiated_call_with_dtls_reaches_the_floor() {
    let mut scene = scene(config(), Manners::default());
    scene.answer_by_business();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
    let report = scene.meta.report(scene.now);
    // D + 3R for the first packet, and the next check and the next frame are each up to 20 ms away.
    let first = report.first_srtp_ms.expect("media");
    assert!((540.0..=580.0).contains(&first), "{report:?}");
    assert!((300.0..=320.0).contains(&report.ice_ms.expect("a check")));
    assert_eq!(report.dtls_version.as_deref(), Some("DTLSv1.2"));
    assert_eq!(
        report.srtp_profile.as_deref(),
        Some("SRTP_AES128_CM_SHA1_80")
    );
    assert!(report.ignored_while_deaf > 10);
    assert!(
        (210..=230).contains(&report.sent.packets),
        "{}",
        report.sent.packets
    );
}

#[test]
fn what_the_business_drops_is_clipped_and_what_it_holds_is_late() {
    let mut dropping = scene(config(), Manners::default());
    dropping.answer_by_business();
    dropping.run(Duration::from_secs(5));
    let prompt = dropping
        .meta
        .report(dropping.now)
        .received
        .prompt
        .expect("a prompt");
    // D + 2.5R until the business has keys.
    assert!((480.0..=540.0).contains(&prompt.clipped_ms), "{prompt:?}");
    assert_eq!(prompt.delay_after_one_second_ms, Some(40.0));

    let holding = Manners {
        holds_audio: true,
        ..Manners::default()
    };
    let mut holding = scene(config(), holding);
    holding.answer_by_business();
    holding.run(Duration::from_secs(5));
    let prompt = holding
        .meta
        .report(holding.now)
        .received
        .prompt
        .expect("a prompt");
    assert_eq!((prompt.clipped_ms, prompt.lost_ms), (0.0, 0.0));
    let first_delay = prompt.first_delay_ms.expect("prompt_started was told");
    assert!((520.0..=580.0).contains(&first_delay), "{prompt:?}");
}

#[test]
fn a_business_initiated_call_has_meta_as_client() {
    let mut scene = scene(business_initiated(), offering());
    scene.answer_by_meta();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
    let report = scene.meta.report(scene.now);
    // D + 2R: a check, then the ClientHello and three flights, the last of which the media follows.
    let first = report.first_srtp_ms.expect("media");
    assert!((460.0..=500.0).contains(&first), "{report:?}");
}

#[test]
fn a_business_initiated_call_can_have_meta_as_server() {
    let mut config = business_initiated();
    config.dtls.answer_setup = AnswerSetup::Passive;
    let mut scene = scene(config, offering());
    scene.answer_by_meta();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
}

#[test]
fn a_call_with_sdes_speaks_at_once() {
    let config = MediaConfig {
        keys: KeyExchange::Sdes,
        ..config()
    };
    let manners = Manners {
        is_sdes: true,
        ..Manners::default()
    };
    let mut scene = scene(config, manners);
    scene.answer_by_business();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
    let report = scene.meta.report(scene.now);
    assert_eq!(report.first_srtp_ms, Some(40.0));
    assert_eq!(report.received.prompt.expect("a prompt").clipped_ms, 0.0);
    assert_eq!((report.ice_ms, report.checks_answered), (None, 0));
}

#[test]
fn d_is_honoured_to_the_millisecond() {
    let mut scene = scene_over(
        config(),
        Manners::default(),
        Impairment::none(),
        Impairment::none(),
    );
    scene.answer_by_business();
    scene.run(D - Duration::from_millis(1));
    let report = scene.meta.report(scene.now);
    assert_eq!((report.checks_answered, report.datagrams_out), (0, 0));
    assert_eq!(report.ignored_while_deaf, 15);
    scene.run(Duration::from_millis(1));
    assert!(scene.meta.report(scene.now).checks_answered > 0);
}

#[test]
fn metas_client_hello_is_repeated_after_one_second() {
    let to_business = Impairment {
        delay: ONE_WAY,
        drops: vec![DropRule::nth(PacketKind::ClientHello, 1)],
        ..Impairment::default()
    };
    let mut scene = scene_over(
        business_initiated(),
        offering(),
        Impairment::delay(ONE_WAY),
        to_business,
    );
    scene.answer_by_meta();
    scene.run(Duration::from_secs(5));
    let first = scene.meta.report(scene.now).first_srtp_ms.expect("media");
    assert!((1460.0..=1500.0).contains(&first), "{first}");
}

#[test]
fn a_controlled_business_gets_487_and_no_media() {
    let manners = Manners {
        says_controlled: true,
        ..Manners::default()
    };
    let mut scene = scene(config(), manners);
    scene.answer_by_business();
    scene.run(Duration::from_secs(2));
    let report = scene.meta.report(scene.now);
    assert!(scene.business.error_codes.iter().all(|code| *code == 487));
    assert!(report.role_conflicts > 10 && report.first_srtp_ms.is_none());
    assert_eq!(
        report.violations,
        ["the business acts as controlled ICE agent"]
    );
}

#[test]
fn a_passive_answer_stalls() {
    let manners = Manners {
        setup: Setup::Passive,
        ..Manners::default()
    };
    let mut scene = scene(config(), manners);
    scene.answer_by_business();
    scene.run(Duration::from_secs(25));
    let report = scene.meta.report(scene.now);
    assert!(report.ice_ms.is_some() && report.dtls_ms.is_none());
    assert!(scene.events.iter().any(|(at, event)| {
        *event == MediaEvent::TimedOut(MediaTimer::Start) && *at == Duration::from_secs(20)
    }));
}

#[test]
fn media_before_the_200_ok_is_accepted_early() {
    let manners = Manners {
        is_sdes: true,
        ..Manners::default()
    };
    let config = MediaConfig {
        keys: KeyExchange::Sdes,
        ..config()
    };
    let mut scene = scene(config, manners);
    let answer = scene.business.sdp();
    scene
        .meta
        .set_remote_sdp(scene.now, &answer)
        .expect("a good answer");
    let offer = scene.meta.local_sdp_offer();
    scene.business.start(scene.now, &offer);
    scene.run(Duration::from_secs(1));
    let report = scene.meta.report(scene.now);
    assert!(report.accepted_early);
    assert_eq!(
        report.violations,
        ["SRTP arrived before the call was answered"]
    );
    assert_eq!(report.sent.packets, 0, "Meta's user has not answered");
    scene.meta.call_answered(scene.now);
    scene.run(Duration::from_secs(1));
    assert!(scene.meta.report(scene.now).sent.packets > 0);
}

#[test]
fn media_that_overtakes_the_200_ok_by_a_little_is_no_fault() {
    let manners = Manners {
        is_sdes: true,
        ..Manners::default()
    };
    let config = MediaConfig {
        keys: KeyExchange::Sdes,
        ..config()
    };
    let mut scene = scene(config, manners);
    let answer = scene.business.sdp();
    let offer = scene.meta.local_sdp_offer();
    scene.business.start(scene.now, &offer);
    scene.run(Duration::from_millis(100));
    scene
        .meta
        .set_remote_sdp(scene.now, &answer)
        .expect("a good answer");
    scene.meta.call_answered(scene.now);
    scene.run(Duration::from_secs(1));
    let report = scene.meta.report(scene.now);
    assert_eq!(
        (report.accepted_early, report.early_media_ms),
        (false, Some(60.0))
    );
    assert_eq!(report.violations, Vec::<String>::new());
}

#[test]
fn another_certificate_than_the_descriptions_ends_in_a_dtls_failure() {
    let manners = Manners {
        fingerprint: Some(vec!["00"; 32].join(":")),
        ..Manners::default()
    };
    let mut scene = scene(config(), manners);
    scene.answer_by_business();
    scene.run(Duration::from_secs(2));
    let is_failure = |event: &MediaEvent| matches!(event, MediaEvent::DtlsFailed { reason } if reason.contains("fingerprint"));
    assert!(scene.events.iter().any(|(_, event)| is_failure(event)));
    assert_eq!(scene.meta.report(scene.now).first_srtp_ms, None);
}

#[test]
fn silence_of_thirty_seconds_ends_the_call_and_rtcp_keeps_it() {
    for (sends_rtcp, ends) in [(false, true), (true, false)] {
        let manners = Manners {
            sends_rtcp,
            ..Manners::default()
        };
        let mut scene = scene(config(), manners);
        scene.answer_by_business();
        scene.run(Duration::from_secs(2));
        scene.business.stop_speaking();
        scene.run(Duration::from_secs(40));
        let has_ended = scene
            .events
            .iter()
            .any(|(_, event)| *event == MediaEvent::TimedOut(MediaTimer::Silence));
        assert_eq!(has_ended, ends, "with RTCP: {sends_rtcp}");
    }
}

#[test]
fn timers_can_be_scaled() {
    let mut config = config();
    config.timers = config.timers.scaled(0.05);
    let manners = Manners {
        sends_audio: false,
        ..Manners::default()
    };
    let mut scene = scene(config, manners);
    scene.answer_by_business();
    scene.run(Duration::from_secs(2));
    assert!(scene.events.contains(&(
        Duration::from_secs(1),
        MediaEvent::TimedOut(MediaTimer::Start)
    )));
}

#[test]
fn digits_reach_the_business_as_events() {
    let mut scene = scene(config(), Manners::default());
    scene.answer_by_business();
    scene.run(Duration::from_secs(2));
    scene.meta.send_digits("12#");
    scene.run(Duration::from_secs(2));
    // Five packets and two more ends for each digit, in three moments.
    assert_eq!(scene.business.events_heard.len(), 3 * 7);
    let mut moments: Vec<u32> = scene
        .business
        .events_heard
        .iter()
        .map(|event| event.timestamp)
        .collect();
    moments.dedup();
    assert_eq!(moments.len(), 3);
    assert!(
        scene
            .events
            .iter()
            .any(|(_, event)| *event == MediaEvent::DigitsSent)
    );
    assert_eq!(scene.meta.report(scene.now).sent.digits, 3);
}

#[test]
fn gcm_is_taken_when_the_business_offers_nothing_else() {
    let mut manners = Manners::default();
    manners.dtls.profiles = vec![SrtpProfile::AeadAes128Gcm];
    let mut scene = scene(config(), manners);
    scene.answer_by_business();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
    let report = scene.meta.report(scene.now);
    assert_eq!(
        report.srtp_profile.as_deref(),
        Some("SRTP_AEAD_AES_128_GCM")
    );
}

#[test]
fn calls_survive_a_tenth_of_all_datagrams_being_lost() {
    for seed in 0..10u64 {
        let lossy = Impairment {
            loss: 0.1,
            delay: ONE_WAY,
            jitter: Duration::from_millis(10),
            ..Impairment::default()
        };
        let meta = MetaMedia::new(config(), seed).expect("an endpoint");
        let mut scene = Scene::new(meta, Manners::default(), lossy.clone(), lossy, seed);
        scene.answer_by_business();
        scene.run(Duration::from_secs(10));
        let report = scene.meta.report(scene.now);
        assert!(report.first_srtp_ms.is_some(), "seed {seed}: {report:?}");
        let share = report.received.lost as f64 / report.received.packets as f64;
        assert!((0.03..0.2).contains(&share), "seed {seed}: {share}");
    }
}

#[test]
fn the_same_sdp_again_changes_nothing_and_another_is_refused() {
    let mut scene = scene(config(), Manners::default());
    scene.answer_by_business();
    scene.run(Duration::from_secs(1));
    let sdp = scene.business.sdp();
    let dtls_ms = scene.meta.report(scene.now).dtls_ms;
    assert_eq!(scene.meta.set_remote_sdp(scene.now, &sdp), Ok(()));
    scene.run(Duration::from_secs(1));
    assert_eq!(scene.meta.report(scene.now).dtls_ms, dtls_ms);
    let other = sdp.replace("ptime:20", "ptime:30");
    assert!(scene.meta.set_remote_sdp(scene.now, &other).is_err());
}

#[test]
fn an_answer_echoes_mid_and_numbers_of_the_offer() {
    let meta = MetaMedia::new(business_initiated(), 7).expect("an endpoint");
    let offer = crate::media::business::Business::new(offering())
        .sdp()
        .replace("111", "107")
        .replace("126", "101");
    let answer = meta.local_sdp_answer(&offer).expect("a good offer");
    for line in [
        "a=ice-lite\r\n",
        "a=mid:0\r\n",
        "a=group:BUNDLE 0\r\n",
        "UDP/TLS/RTP/SAVPF 107 101\r\n",
        "a=setup:active\r\n",
        "a=rtpmap:101 telephone-event/8000\r\n",
    ] {
        assert!(answer.contains(line), "{line:?} missing in {answer}");
    }
}

#[test]
fn the_older_shape_can_still_be_called() {
    let mut config = business_initiated();
    config.shape = SdpShape::Older;
    let mut scene = scene(config, offering());
    let answer = scene
        .meta
        .local_sdp_answer(&scene.business.sdp())
        .expect("a good offer");
    assert!(answer.contains("a=ice-options:trickle\r\n") && answer.contains("a=extmap:1 "));
    scene.answer_by_meta();
    scene.run(Duration::from_secs(2));
    assert!(scene.business.heard().is_tone_found);
}

#[test]
fn a_sdes_answer_takes_one_of_several_lines_under_its_tag() {
    let config = MediaConfig {
        keys: KeyExchange::Sdes,
        ..business_initiated()
    };
    let manners = Manners {
        is_sdes: true,
        ..Manners::default()
    };
    let mut scene = scene(config, manners);
    let offer = scene.business.sdp();
    let several = offer.replace(
        "a=crypto:1 ",
        "a=crypto:1 AEAD_AES_128_GCM inline:mZL1Hfyfoo8JmS+tUuhhhBdJNatMmWWry9jtxA==\r\na=crypto:7 ",
    );
    let answer = scene.meta.local_sdp_answer(&several).expect("a good offer");
    assert!(
        answer.contains("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"),
        "{answer}"
    );
    assert_eq!(answer.matches("a=crypto:").count(), 1);
    scene.answer_by_meta();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
}

#[test]
fn a_number_with_g711_speaks_and_hears_pcmu() {
    let mut config = config();
    config.additional_codecs = vec![Codec::Pcmu];
    config.voice.codec = Codec::Pcmu;
    let manners = Manners {
        codec: Codec::Pcmu,
        ..Manners::default()
    };
    let mut scene = scene(config, manners);
    let offer = scene.meta.local_sdp_offer();
    assert!(offer.contains("SAVPF 111 0 126\r\n") && offer.contains("a=rtpmap:0 PCMU/8000\r\n"));
    scene.answer_by_business();
    scene.run(Duration::from_secs(5));
    assert_conversation(&scene);
    let report = scene.meta.report(scene.now);
    assert_eq!(report.received.payload_octets_max, 160);
    assert_eq!(report.received.prompt.expect("a prompt").lost_ms, 0.0);
}
