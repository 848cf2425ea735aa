//! Everything under one call-id: the five methods that the worker knows, and nothing else.
//!
//! [`Call::handle_request`] works a request out beside the present state and swaps it in when it succeeded; a refused request
//! leaves the call as it was. Datagrams run along paths that a request compiled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use ng_protocol::{CallId, Request, Response};
use relay_packet::{Outbox, Received};

use crate::config::CallConfig;
use crate::error::RequestError;
use crate::event::{CallEvent, EndReason};
use crate::ports::PortLeaser;

/// One call.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    config: Arc<CallConfig>,
    created: Instant,
    events: VecDeque<CallEvent>,
    ended: Option<EndReason>,
}

impl Call {
    /// A call without parties. `seed` decides all its random values.
    pub fn new(id: CallId, config: Arc<CallConfig>, now: Instant, _seed: u64) -> Self {
        Self {
            id,
            config,
            created: now,
            events: VecDeque::new(),
            ended: None,
        }
    }

    /// The name of the call.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// When the call was made.
    pub fn created(&self) -> Instant {
        self.created
    }

    /// What the call was configured with.
    pub fn config(&self) -> &CallConfig {
        &self.config
    }

    /// Carries out `offer`, `answer`, `delete` or `query`. After it: events, then [`Self::is_finished`].
    pub fn handle_request(
        &mut self,
        _now: Instant,
        request: &Request,
        _ports: &mut dyn PortLeaser,
    ) -> Response {
        RequestError::Unsupported(format!("{:?}", request.command)).into()
    }

    /// A datagram arrived on one of the call's ports.
    pub fn handle_datagram(&mut self, _now: Instant, received: Received, out: &mut Outbox) {
        out.recycle(received.packet);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, _now: Instant, _out: &mut Outbox) {}

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What happened; call until `None` after every other method.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    /// Ends the call at once, as the operator's `terminate` does; its ports come back as an event.
    pub fn terminate(&mut self, reason: EndReason) {
        if self.ended.is_none() {
            self.ended = Some(reason);
            self.events.push_back(CallEvent::Ended(reason));
        }
    }

    /// Whether the call is over and, its events drained, can be dropped.
    pub fn is_finished(&self) -> bool {
        self.ended.is_some()
    }
}
