//! Recorded calls: when a call hands out copies, of what, and what controllers are told.

use std::time::Duration;

use ng_protocol::Response;
use ng_protocol::flags::{RecordingCodes, RecordingOrder};
use relay_call::CallEvent;
use relay_call::config::{RecordedStreams, RecordingPlan};
use relay_call::recording::{Part, Recorded};

use crate::media::{FRAME, Line, META, SPEECH};
use crate::restrict::{about, press};
use crate::support::{request, sdp};
use crate::whatsapp::{META_SDES, UIC_OFFER, exchange};

pub(crate) const START: &str = "start recording";
pub(crate) const STOP: &str = "stop recording";

fn recordable() -> Line {
    recordable_as(true, false)
}

fn recordable_as(packets: bool, audio: bool) -> Line {
    let plan = RecordingPlan {
        directory: "/var/rec".into(),
        packets,
        audio: audio.then_some("wav"),
        vcon: false,
        streams: RecordedStreams::Ingress,
        codes: RecordingCodes::default(),
    };
    Line::ringing_with(|config| config.recording = Some(plan))
}

impl Line {
    pub(crate) fn tell(&mut self, command: &str, keys: &str) -> Response {
        let request = about(command, keys);
        self.ask(&request)
    }

    pub(crate) fn ask(&mut self, request: &ng_protocol::Request) -> Response {
        let (now, ports) = (self.desk.now, &mut self.desk.ports);
        let response = self.desk.call.handle_request(now, request, ports);
        self.collect();
        response
    }

    pub(crate) fn recorded(&mut self) -> Vec<Recorded> {
        std::iter::from_fn(|| self.desk.call.poll_recorded()).collect()
    }

    /// Beginnings (`B`), descriptions (`O`, `A`), datagrams (`D`) and ends (`E`).
    fn story(&mut self) -> String {
        let letter = |recorded: Recorded| match recorded.part {
            Part::Beginning { .. } => 'B',
            Part::Description { answers: false, .. } => 'O',
            Part::Description { answers: true, .. } => 'A',
            Part::Datagram { .. } => 'D',
            Part::Key { .. } => 'K',
            Part::End { .. } => 'E',
        };
        self.recorded().into_iter().map(letter).collect()
    }
}

fn is_ok(response: &Response) -> bool {
    response.error_reason().is_none()
}

fn files(response: &Response) -> Vec<String> {
    let list = response.body().get("recordings").cloned();
    list.iter()
        .flat_map(|list| list.as_list().unwrap().iter().map(ToString::to_string))
        .collect()
}

#[test]
fn what_comes_in_is_copied_decrypted_with_its_way_and_its_time() {
    let mut line = recordable();
    line.answer();
    assert!(is_ok(&line.tell(START, "")));
    line.run(Duration::from_millis(500));
    line.meta_says(111, 7);
    line.pbx_says(9);
    let recorded = line.recorded();
    let [beginning, from_meta, from_pbx] = &recorded[..] else {
        panic!("{recorded:?}");
    };
    let Part::Beginning {
        call_id,
        files,
        call_created,
    } = &beginning.part
    else {
        panic!("{beginning:?}");
    };
    assert_eq!(call_id.as_bytes(), b"call");
    let name = &beginning.recording;
    assert!(
        name.starts_with("call-") && name.len() == "call-".len() + 16,
        "{name}"
    );
    let pcap = format!("/var/rec/pcaps/{name}.pcap");
    assert_eq!(files.paths().collect::<Vec<_>>(), [pcap]);
    for (part, source, ours, ssrc) in [
        (from_meta, META, "203.0.113.1", 0x2222_u32),
        (from_pbx, "192.0.2.55:40000", "192.0.2.1", 0x1111),
    ] {
        let Part::Datagram {
            at,
            source: from,
            destination,
            bytes,
            speech: None,
        } = &part.part
        else {
            panic!("{part:?}");
        };
        assert_eq!(part.recording, *name);
        assert_eq!(*at, *call_created + Duration::from_millis(500));
        assert_eq!(
            (from.to_string(), destination.ip().to_string()),
            (source.into(), ours.into())
        );
        assert_eq!(bytes[8..12], ssrc.to_be_bytes());
        assert_eq!(bytes[12..], SPEECH);
    }
}

#[test]
fn a_packet_that_is_not_authentic_is_not_in_the_recording() {
    let mut line = recordable();
    line.answer();
    line.tell(START, "");
    let forged = crate::media::rtp(111, 1, 0x3333, &SPEECH);
    line.receive(line.towards_meta, META, forged);
    assert_eq!(line.story(), "B");
}

#[test]
fn stop_and_start_make_another_file_and_a_pause_is_a_stop() {
    let mut line = recordable();
    line.answer();
    assert_eq!(line.story(), "");
    let mut names = Vec::new();
    for stop in [STOP, "pause recording", STOP] {
        assert!(is_ok(&line.tell(START, "")));
        assert!(
            is_ok(&line.tell(START, "")),
            "a second start changes nothing"
        );
        line.pbx_says(1);
        assert!(is_ok(&line.tell(stop, r#""flags":["pause"]"#)));
        line.pbx_says(2);
        let recorded = line.recorded();
        assert_eq!(recorded.len(), 3, "{recorded:?}");
        names.push(recorded[0].recording.clone());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
    let told = line
        .events
        .iter()
        .filter(|event| matches!(event, CallEvent::Recording { .. }));
    assert_eq!(told.count(), 6);
}

#[test]
fn an_offer_that_asks_is_told_the_file_and_so_is_everybody_after_it() {
    let mut line = recordable();
    let keys = format!("{UIC_OFFER} record-call=yes metadata=of|the|caller");
    let offered = line.ask(&exchange("offer", META_SDES, ["meta", ""], &keys));
    let again = line.ask(&exchange("offer", META_SDES, ["meta", ""], UIC_OFFER));
    assert_eq!(files(&offered).len(), 1);
    assert_eq!(files(&offered), files(&again));
    let query = line.tell("query", "");
    let recording = query.body().get("recording").unwrap().to_string();
    assert!(recording.contains('1'), "{recording}");
    let recorded = line.recorded();
    let Part::Description { sdp: body, .. } = &recorded[1].part else {
        panic!("{recorded:?}");
    };
    assert_eq!(
        String::from_utf8_lossy(body).replace("\r\n", "\n"),
        sdp(&offered)
    );
    line.answer();
    line.pbx_says(1);
    line.tell("delete", r#""delete-delay":0"#);
    let recorded = line.recorded();
    let end = &recorded.last().unwrap().part;
    let Part::End {
        with_call: true,
        deleted_at: Some(_),
        metadata,
        discard: false,
        ..
    } = end
    else {
        panic!("{end:?}");
    };
    assert_eq!(metadata.as_deref(), Some("of|the|caller"));
    assert!(line.desk.call.is_finished());
}

#[test]
fn an_answer_may_end_the_recording() {
    let mut line = recordable();
    line.tell(START, "");
    let request =
        request(r#""command":"offer","call-id":"call","from-tag":"meta","record-call":"no""#);
    assert!(!is_ok(&line.ask(&request)));
    assert_eq!(line.story(), "B", "a refused offer changes nothing");
    let keys = format!("{UIC_OFFER} record-call=no");
    let offered = line.ask(&exchange("offer", META_SDES, ["meta", ""], &keys));
    assert!(files(&offered).is_empty());
    assert_eq!(line.story(), "E");
}

#[test]
fn a_recording_goes_on_while_a_deleted_call_does_and_can_be_discarded_with_it() {
    let mut line = recordable();
    line.answer();
    line.tell(START, "");
    line.tell(
        "delete",
        r#""delete-delay":2,"flags":["discard-recording"]"#,
    );
    line.pbx_says(1);
    assert_eq!(line.story(), "BD");
    line.run(Duration::from_secs(3));
    let recorded = line.recorded();
    let end = recorded.last().map(|recorded| &recorded.part);
    assert!(
        matches!(end, Some(Part::End { discard: true, .. })),
        "{end:?}"
    );
}

#[test]
fn a_place_outside_of_the_folder_is_refused_and_nothing_else_happens() {
    let mut line = recordable();
    line.answer();
    let refused = line.tell(START, r#""recording-dir":"/etc""#);
    let reason = refused.error_reason().unwrap().to_owned();
    assert_eq!(
        reason,
        "cannot record: recording-dir=\"/etc\" is outside of /var/rec, the folder of option recording-dir"
    );
    let keys = format!("{UIC_OFFER} record-call output-destination=../x");
    let refused = line.ask(&exchange("offer", META_SDES, ["meta", ""], &keys));
    let reason = refused.error_reason().unwrap().to_owned();
    assert!(reason.contains("output-destination=\"../x\""), "{reason}");
    assert_eq!(line.story(), "");
    line.tell(
        START,
        r#""recording-dir":"/var/rec/sales","output-file":"one.pcap""#,
    );
    let recorded = line.recorded();
    let Some(Part::Beginning { files, .. }) = recorded.first().map(|recorded| &recorded.part)
    else {
        panic!("{recorded:?}");
    };
    assert_eq!(files.pcap.as_deref(), Some("/var/rec/sales/one.pcap"));
}

#[test]
fn without_a_folder_the_operator_is_told_and_the_call_goes_on() {
    let mut line = Line::answered();
    assert!(is_ok(&line.tell(START, r#""recording-dir":"/etc""#)));
    assert!(is_ok(&line.tell(STOP, "")));
    line.pbx_says(1);
    line.run(FRAME);
    assert_eq!(line.story(), "");
    let told = |event: &CallEvent| matches!(event, CallEvent::Warning(text) if text.contains("recording-dir"));
    assert_eq!(line.events.iter().filter(|event| told(event)).count(), 1);
    assert!(line.tell("query", "").body().get("recording").is_none());
}

#[test]
fn for_audio_each_packet_says_whose_it_is_and_in_which_codec() {
    let mut line = recordable_as(false, true);
    line.answer();
    line.tell(START, "");
    line.meta_says(111, 7);
    line.meta_says(126, 8);
    line.pbx_says(9);
    let unknown = crate::media::rtp(50, 10, 0x1111, &SPEECH);
    line.receive(line.towards_pbx, "192.0.2.55:40000", unknown);
    let mut recorded = line.recorded().into_iter();
    let Some(Part::Beginning { files, .. }) = recorded.next().map(|recorded| recorded.part) else {
        panic!("no beginning");
    };
    let paths: Vec<&str> = files.paths().collect();
    assert!(
        paths.len() == 1
            && paths[0].starts_with("/var/rec/audio/call-")
            && paths[0].ends_with(".wav"),
        "{paths:?}"
    );
    let heard: Vec<(bool, u32, u16, u32)> = recorded
        .map(|recorded| match recorded.part {
            Part::Datagram {
                speech: Some(speech),
                bytes,
                ..
            } => {
                assert_eq!(bytes[speech.payload], SPEECH);
                let clock = speech.format.clock_hz;
                (speech.is_callers, speech.ssrc, speech.sequence, clock)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        heard,
        [
            (true, 0x2222, 7, 48_000),
            (true, 0x2222, 8, 8_000),
            (false, 0x1111, 9, 48_000),
        ]
    );
}

#[test]
fn for_a_vcon_the_end_says_who_took_part_and_keys_are_kept_unless_they_are_withheld() {
    let plan = RecordingPlan {
        directory: "/var/rec".into(),
        packets: false,
        audio: Some("wav"),
        vcon: true,
        streams: RecordedStreams::Ingress,
        codes: RecordingCodes::default(),
    };
    let mut line = Line::ringing_with(|config| config.recording = Some(plan));
    line.answer();
    line.tell(START, "");
    press(&mut line, 100);
    line.tell("block DTMF", "");
    press(&mut line, 110);
    line.tell(STOP, "");
    let recorded = line.recorded();
    let Part::Beginning { files, .. } = &recorded[0].part else {
        panic!("{recorded:?}");
    };
    let vcon = format!("/var/rec/vcon/{}.vcon", recorded[0].recording);
    assert_eq!(files.vcon, Some(vcon));
    let keys: Vec<_> = recorded
        .iter()
        .filter_map(|recorded| match recorded.part {
            Part::Key {
                held, party, event, ..
            } => Some((held.as_millis(), party, event)),
            _ => None,
        })
        .collect();
    assert_eq!(keys, [(100, 0, 5)]);
    let end = recorded.last().map(|recorded| &recorded.part);
    let Some(Part::End {
        parties, answered, ..
    }) = end
    else {
        panic!("{end:?}");
    };
    assert_eq!((parties.len(), *answered), (2, true));
}

/// What `query` says about the parties.
fn tags(line: &mut Line) -> String {
    let query = line.tell("query", "");
    query.body().get("tags").unwrap().to_string()
}

/// Without the datagrams.
fn turns(line: &mut Line) -> String {
    line.story().replace('D', "")
}

#[test]
fn a_party_that_may_orders_recordings_by_keys() {
    let mut codes = RecordingCodes::default();
    assert!(codes.set(RecordingOrder::StartPauseResume, "5"));
    let plan = RecordingPlan {
        directory: "/var/rec".into(),
        packets: true,
        audio: None,
        vcon: false,
        streams: RecordedStreams::Ingress,
        codes,
    };
    let mut line = Line::ringing_with(|config| config.recording = Some(plan));
    line.answer();
    press(&mut line, 100);
    assert_eq!(turns(&mut line), "", "nobody may");
    let keys = format!("{UIC_OFFER} recording-vsc recording-dir=keys");
    line.ask(&exchange("offer", META_SDES, ["meta", ""], &keys));
    for (sequence, turn) in [(110, "B"), (120, "E"), (130, "B")] {
        press(&mut line, sequence);
        assert_eq!(turns(&mut line), turn);
    }
    let told = tags(&mut line);
    assert!(told.contains("vsc-start-pause-resume-rec"), "{told}");
    let began = line.events.iter().filter_map(|event| match event {
        CallEvent::Recording { on: true, path } => Some(path.as_str()),
        _ => None,
    });
    assert!(
        began.clone().count() == 2 && began.clone().all(|path| path.starts_with("/var/rec/keys/"))
    );
    // A code of its own takes the place of the daemon's.
    let keys = format!("{UIC_OFFER} recording-vsc vsc-stop-rec=5 vsc-start-pause-resume-rec=7");
    line.ask(&exchange("offer", META_SDES, ["meta", ""], &keys));
    line.recorded();
    press(&mut line, 140);
    press(&mut line, 150);
    assert_eq!(turns(&mut line), "E");
}

#[test]
fn a_party_that_is_excluded_is_not_in_the_recording() {
    let mut line = recordable();
    let keys = format!("{UIC_OFFER} record-call exclude-recording");
    line.ask(&exchange("offer", META_SDES, ["meta", ""], &keys));
    line.answer();
    line.recorded();
    line.meta_says(111, 7);
    line.pbx_says(9);
    let recorded = line.recorded();
    let [
        Recorded {
            part: Part::Datagram { source, .. },
            ..
        },
    ] = &recorded[..]
    else {
        panic!("{recorded:?}");
    };
    assert_eq!(source.to_string(), "192.0.2.55:40000");
    let told = tags(&mut line);
    assert!(told.contains("excluded"), "{told}");
}

#[test]
fn a_pattern_names_the_files() {
    let mut line = recordable();
    line.answer();
    let refused = line.tell(START, r#""recording-pattern":"%x""#);
    let reason = refused.error_reason().unwrap().to_owned();
    assert!(
        reason.contains("recording-pattern=\"%x\" has %x"),
        "{reason}"
    );
    assert!(is_ok(&line.tell(START, r#""output-pattern":"%c/one-%t""#)));
    let recorded = line.recorded();
    let Some(Part::Beginning { files, .. }) = recorded.first().map(|recorded| &recorded.part)
    else {
        panic!("{recorded:?}");
    };
    assert_eq!(files.pcap.as_deref(), Some("/var/rec/call/one-mix.pcap"));
}
