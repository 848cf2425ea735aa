//! Music on hold on its way: opened by the thread of recordings, heard by whoever is on hold when it is open.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use ng_protocol::CallId;
use relay_call::Recording;
use relay_call::leg::LegId;
use relay_net::Waker;

use super::Worker;
use super::handle::WorkerCommand;
use crate::prompts::Prepared;

/// Who wants to hear what.
pub(super) struct HoldMusic {
    pub(super) call_id: CallId,
    /// The party that holds the other.
    pub(super) holder: LegId,
}

impl HoldMusic {
    /// Has the recording opened; the worker hears of it as of a command.
    pub(super) fn open(
        self,
        prepared: Prepared,
        (commands, waker): (SyncSender<WorkerCommand>, Waker),
    ) {
        prepared.open(move |recording| {
            let command = WorkerCommand::HoldMusic {
                call_id: self.call_id,
                holder: self.holder,
                recording,
            };
            // A worker that has ended needs no music.
            if commands.send(command).is_ok() {
                waker.wake();
            }
        });
    }
}

impl Worker {
    /// Lets whoever is on hold hear what was opened, if the call is still there.
    pub(super) fn play_hold_music(
        &mut self,
        now: Instant,
        call_id: &CallId,
        holder: LegId,
        recording: Result<Box<dyn Recording>, String>,
    ) {
        let Some(&number) = self.by_id.get(call_id) else {
            return;
        };
        self.with_call(number, now, |call, _| {
            call.play_hold_music(now, holder, recording);
        });
    }
}
