//! When a call is recorded: `record-call` in an offer or answer, the commands that start and stop, keys that order it, the end of the
//! call.

use std::time::{Duration, Instant};

use ng_protocol::flags::RecordingOrder;
use ng_protocol::{Command, RecordingOutput, Request, Response, Value};
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use super::Call;
use crate::config::RecordingPlan;
use crate::error::RequestError;
use crate::event::CallEvent;
use crate::recording::{self, Files, Recorded, Title};

/// Tells the random numbers of names from the others of the call.
const NAMES: u64 = 0x7265_636f_7264;

impl Call {
    /// What the recording of the call consists of; call until `None` after every other method.
    pub fn poll_recorded(&mut self) -> Option<Recorded> {
        self.live.recorder.poll()
    }

    /// Ends the recording of a call that is given up. A call that ends by itself has done so.
    pub fn end_recording(&mut self) {
        self.live.recorder.end(true, false);
    }

    /// Whether an offer or answer asks for a recording that may be had; before anything else is done about it.
    pub(super) fn may_record(&self, request: &Request) -> Result<(), RequestError> {
        if request.flags.media.record_call == Some(true)
            && let Some(plan) = &self.config.recording
        {
            let title = Title {
                name: "0-0",
                number: 1,
                at: Duration::ZERO,
            };
            files(plan, &request.recording, title)?;
        }
        Ok(())
    }

    /// The reply to an offer or answer that succeeded, with the file that the call is recorded to.
    pub(super) fn reply_recorded(
        &mut self,
        now: Instant,
        request: &Request,
        body: Vec<u8>,
    ) -> Response {
        self.note_metadata(request);
        self.note_party(request);
        if !self.is_deleted() {
            // An offer takes a scheduled deletion back.
            self.live.recorder.deleted_at = None;
            self.live.recorder.discards = false;
        }
        match request.flags.media.record_call {
            Some(true) => {
                if let Err(error) = self.start_recording(now, &request.recording) {
                    return error.into();
                }
            }
            Some(false) => self.stop_recording(false),
            None => {}
        }
        self.live.recorder.note_parties(&self.legs);
        let Some(files) = self.live.recorder.files() else {
            return Response::sdp(body);
        };
        let paths: Vec<Value<'_>> = files.paths().map(|path| path.to_owned().into()).collect();
        let answers = request.command == Command::Answer;
        self.live.recorder.description(now, answers, &body);
        Response::ok().with("recordings", paths).with("sdp", body)
    }

    /// `start recording`, `stop recording`, `pause recording`. A pause ends the file, too; the next start begins another one.
    pub(super) fn switch_recording(&mut self, now: Instant, request: &Request) -> Response {
        self.note_metadata(request);
        let selection = &request.flags.selection;
        if request.command != Command::StartRecording {
            let pauses = request.command == Command::PauseRecording || selection.pause;
            self.live.recorder.is_paused = pauses && self.live.recorder.is_running();
            self.stop_recording(selection.discard_recording);
        } else if let Err(error) = self.start_recording(now, &request.recording) {
            return error.into();
        }
        Response::ok()
    }

    /// What a party has ordered by keys.
    pub(super) fn order_recording(&mut self, now: Instant, order: RecordingOrder) {
        let recorder = &mut self.live.recorder;
        let (runs, is_paused) = (recorder.is_running(), recorder.is_paused);
        let starts = match order {
            RecordingOrder::Start => true,
            RecordingOrder::Stop | RecordingOrder::Pause => false,
            RecordingOrder::StartStop => !runs && !is_paused,
            RecordingOrder::PauseResume => is_paused,
            RecordingOrder::StartPauseResume => !runs,
        };
        if !starts {
            let ends = matches!(order, RecordingOrder::Stop | RecordingOrder::StartStop);
            recorder.is_paused = !ends && (runs || is_paused);
            self.stop_recording(false);
            return;
        }
        let output = recorder.output.clone();
        if let Err(error) = self.start_recording(now, &output) {
            let text = format!("a party has ordered a recording by keys: {error}");
            self.events.push_back(CallEvent::Warning(text));
        }
    }

    /// What an offer or answer says about the recording of its sender.
    fn note_party(&mut self, request: &Request) {
        self.live.recorder.follow(&self.legs);
        if request.recording != RecordingOutput::default() {
            self.live.recorder.output = request.recording.clone();
        }
        let sender = match request.command {
            Command::Answer => &request.to_tag,
            _ => &request.from_tag,
        };
        let Some(sender) = sender.as_ref().and_then(|tag| self.legs.by_tag(tag)) else {
            return;
        };
        let flags = &request.flags.recording;
        if flags.exclude {
            self.live.recorder.exclude(sender);
        }
        if flags.by_keys {
            let plan = self.config.recording.as_ref();
            let codes = plan.map(|plan| flags.codes.or(&plan.codes));
            let codes = codes.unwrap_or_else(|| flags.codes.clone());
            self.live.recorder.codes.allow(sender, codes);
        }
    }

    /// What a `delete` means for the recording, which goes on for as long as the call does.
    pub(super) fn note_deletion(&mut self, now: Instant, request: &Request) {
        if self.is_deleted() {
            let at = self.config.clock.unix_at(now);
            let recorder = &mut self.live.recorder;
            recorder.deleted_at.get_or_insert(at);
            recorder.discards |= request.flags.selection.discard_recording;
        }
    }

    fn note_metadata(&mut self, request: &Request) {
        if let Some(text) = &request.flags.selection.metadata {
            self.live.recorder.metadata = Some(text.clone());
        }
    }

    /// The call was recorded by a process that has ended: another recording begins, in files of the usual names, for those of
    /// the one before are as they were left.
    pub(crate) fn record_again(&mut self, now: Instant) {
        if let Err(error) = self.start_recording(now, &RecordingOutput::default()) {
            let text = format!("the recording cannot go on: {error}");
            self.events.push_back(CallEvent::Warning(text));
        }
    }

    fn start_recording(
        &mut self,
        now: Instant,
        output: &RecordingOutput,
    ) -> Result<(), RequestError> {
        let Some(plan) = &self.config.recording else {
            let text = "recording is asked for and nothing is recorded: \
                        option recording-dir is not set";
            self.events.push_back(CallEvent::Warning(text.to_owned()));
            return Ok(());
        };
        let begun = self.live.recorder.begun();
        let seed = self.seed ^ NAMES ^ begun.rotate_left(48);
        let random = ChaCha12Rng::seed_from_u64(seed).random();
        let name = recording::name(&self.id, random);
        let title = Title {
            name: &name,
            number: begun + 1,
            at: self.config.clock.unix_at(now),
        };
        let files = files(plan, output, title)?;
        if self.live.recorder.is_running() {
            return Ok(());
        }
        let (clock, created) = (self.config.clock, self.deadlines.created);
        let recorder = &mut self.live.recorder;
        recorder.begin(self.id.clone(), name, files, plan.streams, clock, created);
        self.live.tap();
        self.live.recorder.note_parties(&self.legs);
        self.tell_recording(true);
        Ok(())
    }

    fn stop_recording(&mut self, discard: bool) {
        self.tell_recording(false);
        self.live.recorder.end(false, discard);
        self.live.tap();
    }

    fn tell_recording(&mut self, on: bool) {
        if let Some(files) = self.live.recorder.files() {
            let path = files.paths().collect::<Vec<_>>().join(" and ");
            self.events.push_back(CallEvent::Recording { on, path });
        }
    }
}

/// The files of a recording.
fn files(
    plan: &RecordingPlan,
    output: &RecordingOutput,
    title: Title<'_>,
) -> Result<Files, RequestError> {
    let file = |folder, ending: Option<&'static str>| {
        let file = |ending| recording::file(&plan.directory, output, title, (folder, ending));
        ending.map(file).transpose()
    };
    Ok(Files {
        pcap: file("pcaps", plan.packets.then_some("pcap"))?,
        audio: file("audio", plan.audio)?,
        vcon: file("vcon", plan.vcon.then_some("vcon"))?,
    })
}
