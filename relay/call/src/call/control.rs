//! What the controller asks of a running call beside offer and answer: who may be heard, who listens, which keys are pressed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::{Request, Response};

use super::{Call, sockets};
use crate::command::{connect, play_dtmf, publish, restrict, subscribe};
use crate::dtmf::{DtmfReport, KeyWay};
use crate::error::RequestError;
use crate::event::{CallEvent, EndReason};
use crate::leg::LegId;
use crate::live::Pressed;
use crate::ports::PortLeaser;

impl Call {
    pub(super) fn restrict(&mut self, request: &Request) -> Response {
        match restrict::restrict(&mut self.legs, request) {
            Ok(warning) => {
                self.live.compile(&self.legs, false);
                let warning = warning.map(|text| CallEvent::Warning(text.into()));
                self.events.extend(warning);
                Response::ok()
            }
            Err(error) => error.into(),
        }
    }

    pub(super) fn connect(&mut self, now: Instant, request: &Request) -> Response {
        match connect::connect(&mut self.legs, request) {
            Ok(warning) => {
                self.live.compile(&self.legs, true);
                self.deadlines.last_signal = now;
                self.events.extend(warning.map(CallEvent::Warning));
                Response::ok()
            }
            Err(error) => error.into(),
        }
    }

    pub(super) fn play_dtmf(&mut self, now: Instant, request: &Request) -> Response {
        let (parties, key) = match play_dtmf::play(&self.legs, request) {
            Ok(asked) => asked,
            Err(error) => return error.into(),
        };
        let mut refused = None;
        let mut pressed = false;
        for party in parties {
            match self.live.press(party, &key) {
                Ok(()) => {
                    pressed = true;
                    let duration_ms = u32::try_from(key.duration.as_millis()).unwrap_or(u32::MAX);
                    let key = Pressed {
                        event: key.event,
                        duration_ms,
                        volume: key.volume,
                        way: KeyWay::Request,
                    };
                    self.tell_key(now, party, key);
                }
                Err(reason) => refused = Some(reason),
            }
        }
        self.wake_at = Some(now);
        match refused.filter(|_| !pressed) {
            Some(reason) => RequestError::Selection(reason).into(),
            None => Response::ok(),
        }
    }

    pub(super) fn subscribe_request(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Response {
        let config = Arc::clone(&self.config);
        let mut draft = self.draft(now, &config, ports);
        match subscribe::request(&mut draft, request) {
            Ok(subscribed) => {
                self.adopt(draft, None);
                self.take_effect(now, None);
                self.events.push_back(CallEvent::Subscribed {
                    subscriber: subscribed.subscriber.to_string(),
                    sources: subscribed.sources,
                    sections: subscribed.sections,
                });
                subscribed.response
            }
            Err(error) => error.into(),
        }
    }

    pub(super) fn subscribe_answer(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Response {
        let config = Arc::clone(&self.config);
        let mut draft = self.draft(now, &config, ports);
        match subscribe::answer(&mut draft, request) {
            Ok(subscriber) => {
                self.adopt(draft, None);
                self.take_effect(now, Some([subscriber; 2]));
                Response::ok()
            }
            Err(error) => error.into(),
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Response {
        let alone = match subscribe::unsubscribe(&mut self.legs, request) {
            Ok(alone) => alone,
            Err(error) => return error.into(),
        };
        let gone = alone.map(|leg| self.legs.remove(leg)).unwrap_or_default();
        self.live.follow(&self.legs, &self.config, self.seed, false);
        for socket in gone.iter().flat_map(sockets) {
            ports.release(socket);
        }
        self.deadlines.last_signal = now;
        Response::ok()
    }

    pub(super) fn publish(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Response {
        let config = Arc::clone(&self.config);
        let mut draft = self.draft(now, &config, ports);
        match publish::publish(&mut draft, request) {
            Ok((exchange, tag)) => {
                self.adopt(draft, None);
                self.note_learning(request);
                self.take_effect(now, Some([exchange.sender; 2]));
                self.tell(true, exchange.sender, exchange.sections);
                Response::sdp(exchange.body).with("from-tag", tag.as_bytes().to_vec())
            }
            Err(error) => {
                if self.legs.is_empty() {
                    self.finish(EndReason::Refused, &mut Vec::new());
                }
                error.into()
            }
        }
    }

    /// Tells of keys that the party of this section pressed.
    pub(super) fn tell_pressed(&mut self, now: Instant, position: usize) {
        let Some(live) = self.live.sections.get_mut(position) else {
            return;
        };
        if live.pressed.is_empty() {
            return;
        }
        let party = live.id.leg;
        let mut switched = false;
        for key in std::mem::take(&mut live.pressed) {
            self.live.delay(now, position, key);
            self.tell_key(now, party, key);
            switched |= self.legs.restrictions.press(now, party, key.event);
        }
        if switched {
            self.live.compile(&self.legs, false);
        }
    }

    fn tell_key(&mut self, now: Instant, party: LegId, key: Pressed) {
        if !self.legs.restrictions.withhold_events(party) {
            let held = Duration::from_millis(key.duration_ms.into());
            self.live.recorder.key(now, party, key.event, held);
        }
        let leg = self.legs.get(party);
        let live = self.live.sections.iter().find(|live| live.id.leg == party);
        let source = live.and_then(|live| live.rtp.status().destination);
        self.events.push_back(CallEvent::Dtmf(DtmfReport {
            source_tag: leg.and_then(|leg| leg.tag.clone()),
            source_label: leg.and_then(|leg| leg.label.clone()),
            source_ip: source.map(|address| address.ip()),
            tags: self.legs.iter().filter_map(|leg| leg.tag.clone()).collect(),
            at: self.config.clock.unix_at(now),
            event: key.event,
            duration_ms: key.duration_ms,
            volume: key.volume,
            way: key.way,
            destination: self.dtmf_log.or(self.config.dtmf_log),
        }));
        if let Some(order) = self.live.recorder.codes.press(now, party, key.event) {
            self.order_recording(now, order);
        }
    }
}
