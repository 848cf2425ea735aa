//! How parties leave and calls end: a deletion, now or after its delay, a timeout, the operator.

use std::time::{Duration, Instant};

use ng_protocol::{Request, Response, reason};
use relay_packet::SocketId;

use super::{Call, sockets};
use crate::command::delete::{self, Target};
use crate::event::{CallEvent, EndReason};
use crate::leg::Leg;
use crate::ports::PortLeaser;

impl Call {
    /// Ends the call at once, as the operator's `terminate` does; its ports come back as an event.
    pub fn terminate(&mut self, reason: EndReason) {
        let mut gone = self.legs.clear();
        self.finish(reason, &mut gone);
    }

    pub(super) fn delete(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Response {
        let target = delete::target(&self.legs, request);
        if target == Target::Nobody {
            return if request.flags.selection.fatal {
                Response::error(reason::CALL_ID_NOT_FOUND)
            } else {
                Response::warning(reason::CALL_ID_NOT_FOUND)
            };
        }
        let victims = delete::victims(&self.legs, &target);
        let delay = delete::delay(request, &self.timeouts);
        let response = if request.flags.selection.fast {
            Response::ok()
        } else {
            Response::from_body(self.reported().dictionary(Some(&victims)))
        };
        delete::schedule(&mut self.legs, &victims, now + delay);
        self.note_deletion(now, request);
        if delay == Duration::ZERO {
            let gone = self.remove_due(now);
            for socket in gone.iter().flat_map(sockets) {
                ports.release(socket);
            }
            self.finish_if_empty(&mut Vec::new());
        }
        self.deadlines.last_signal = now;
        response
    }

    pub(super) fn delete_due(&mut self, now: Instant) {
        let mut gone = self.remove_due(now);
        if self.legs.is_empty() && !gone.is_empty() {
            self.finish_if_empty(&mut gone);
        } else {
            self.release(&mut gone);
        }
    }

    /// Takes out the parties whose time has come.
    fn remove_due(&mut self, now: Instant) -> Vec<Leg> {
        let is_due = |leg: &&Leg| leg.delete_at.is_some_and(|at| at <= now);
        let mut gone = Vec::new();
        loop {
            let due = self.legs.iter().find(is_due).map(|leg| leg.id);
            let Some(id) = due else { break };
            gone.extend(self.legs.remove(id));
        }
        if !gone.is_empty() {
            self.live.follow(&self.legs, &self.config, self.seed, true);
        }
        gone
    }

    fn finish_if_empty(&mut self, gone: &mut Vec<Leg>) {
        if self.legs.is_empty() {
            self.finish(EndReason::Terminated, gone);
        }
    }

    pub(super) fn finish(&mut self, reason: EndReason, gone: &mut Vec<Leg>) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(reason);
        self.live.recorder.end(true, false);
        self.live.clear();
        self.release(gone);
        self.events.push_back(CallEvent::Ended(reason));
    }

    /// Gives the ports of parties that are gone back, by event.
    fn release(&mut self, gone: &mut Vec<Leg>) {
        let released: Vec<SocketId> = gone.drain(..).flat_map(|leg| sockets(&leg)).collect();
        if !released.is_empty() {
            self.events.push_back(CallEvent::PortsReleased(released));
        }
    }

    /// Ends the call if nothing has come from its parties for too long, or if it has lasted too long.
    pub(super) fn end_expired(&mut self, now: Instant) {
        let timeouts = &self.timeouts;
        let deadlines = &mut self.deadlines;
        if let Some(reason) = deadlines.expired(now, timeouts, &self.legs, &self.live) {
            if self.config.tells_timeouts {
                self.events.push_back(CallEvent::TimedOut {
                    tags: self.legs.iter().filter_map(|leg| leg.tag.clone()).collect(),
                    callback: self.callback,
                });
            }
            self.terminate(reason);
        }
    }
}
