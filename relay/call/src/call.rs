//! Everything under one call-id: the five methods that the worker knows, and little else.
//!
//! [`Call::handle_request`] works a request out beside the present state and swaps it in when it succeeded; a refused request
//! leaves the call as it was. Datagrams run along paths that a request compiled.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ng_protocol::flags::{EndpointLearning as WantedLearning, Tos};
use ng_protocol::{CallId, Command, Request, Response, reason};
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;
use relay_packet::{DropReason, Outbox, Received, SocketId};
use relay_transport::{Learning, LearningMode};

use crate::command::{answer, dtmf_security, offer, query, unsupported};
use crate::config::{CallConfig, Timeouts};
use crate::deadline::Deadlines;
use crate::draft::Draft;
use crate::error::RequestError;
use crate::event::{CallEvent, EndReason, ReceivedRtcp, SectionSummary};
use crate::leg::{Leg, LegId, Legs};
use crate::live::{Arrival, Live};
use crate::ports::{PortLease, PortLeaser};
use crate::restriction::Scope;
use crate::sdp::FragmentSection;
use crate::stats::report::Reported;
use crate::stats::{Chain, Counter, Place, Tally, Transcoded};
use crate::trickle::Trickle;

mod bypass;
mod control;
mod ending;
mod hold_music;
mod playback;
mod recording;
mod sides;
mod snapshot;

pub use sides::CallDirection;

/// One call.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    config: Arc<CallConfig>,
    seed: u64,
    requests: u64,
    legs: Legs,
    live: Live,
    learning: Learning,
    /// Who is told of pressed keys (`DTMF-log-dest`).
    dtmf_log: Option<SocketAddr>,
    /// Who is told of a timeout, if the address is not fixed (`xmlrpc-callback`).
    callback: Option<IpAddr>,
    /// The type-of-service octet of the call's packets, if it is not the daemon's.
    tos: Option<u8>,
    trickle: Trickle,
    deadlines: Deadlines,
    /// Those of the configuration, until the operator says otherwise.
    timeouts: Timeouts,
    /// A request has changed something that needs an outbox to take effect.
    wake_at: Option<Instant>,
    events: VecDeque<CallEvent>,
    ended: Option<EndReason>,
}

impl Call {
    /// A call without parties. `seed` decides all its random values but the keys.
    pub fn new(id: CallId, config: Arc<CallConfig>, now: Instant, seed: u64) -> Self {
        Self {
            id,
            seed,
            requests: 0,
            legs: Legs::default(),
            live: Live::new(config.tells_rtcp),
            learning: Learning {
                mode: config.endpoint_learning,
                ..Learning::default()
            },
            dtmf_log: None,
            callback: None,
            tos: None,
            trickle: Trickle::default(),
            deadlines: Deadlines::new(now),
            timeouts: config.timeouts,
            config,
            wake_at: None,
            events: VecDeque::new(),
            ended: None,
        }
    }

    /// Carries out `offer`, `answer`, `delete` or `query`. After it: events, then [`Self::is_finished`].
    pub fn handle_request(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Response {
        match request.command {
            Command::Offer if request.flags.ice.fragment => match self.fragment(now, request) {
                Ok(()) => Response::ok(),
                Err(error) => error.into(),
            },
            Command::Offer | Command::Answer => match self.exchange(now, request, ports) {
                Ok(body) => self.reply_recorded(now, request, body),
                Err(error) => {
                    if self.legs.is_empty() {
                        self.finish(EndReason::Refused, &mut Vec::new());
                    }
                    error.into()
                }
            },
            Command::Delete => self.delete(now, request, ports),
            Command::Query if !self.legs.is_empty() => query::query(&self.reported(), request),
            Command::Publish => self.publish(now, request, ports),
            _ if self.legs.is_empty() => RequestError::UnknownCall.into(),
            Command::BlockMedia
            | Command::UnblockMedia
            | Command::SilenceMedia
            | Command::UnsilenceMedia
            | Command::BlockDtmf
            | Command::UnblockDtmf => self.restrict(request),
            Command::PlayDtmf => self.play_dtmf(now, request),
            Command::SubscribeRequest => self.subscribe_request(now, request, ports),
            Command::SubscribeAnswer => self.subscribe_answer(now, request, ports),
            Command::Unsubscribe => self.unsubscribe(now, request, ports),
            Command::Connect => self.connect(now, request),
            Command::StartRecording | Command::StopRecording | Command::PauseRecording => {
                self.switch_recording(now, request)
            }
            // Whoever drives the call opens the file and calls `play_media`.
            Command::PlayMedia => self.play_media(now, request, Err("it was not opened".into())),
            Command::StopMedia => self.stop_media(now, request),
            _ => unsupported::refusal(&self.legs, request).into(),
        }
    }

    /// A datagram arrived on one of the call's ports.
    pub fn handle_datagram(&mut self, now: Instant, received: Received, out: &mut Outbox) {
        let arrival = self.live.handle_datagram(now, received, out);
        for (source, local, packet) in self.live.rtcp_to_tell.drain(..) {
            let at = self.config.clock.unix_at(now);
            self.events
                .push_back(CallEvent::Rtcp(Box::new(ReceivedRtcp {
                    source,
                    local,
                    at,
                    packet,
                })));
        }
        match arrival {
            Arrival::Media(position) => {
                if self.keeps_alive(position) {
                    self.deadlines.media(now);
                }
                self.settle(now, position, out);
                // What came in here may have been the first packet that left there.
                let mut at = 0;
                while let Some(listener) = self.live.listener(position, at) {
                    self.settle(now, listener, out);
                    at += 1;
                }
            }
            Arrival::Other(position) => self.settle(now, position, out),
            Arrival::Nobody => {}
        }
        self.live.record_sent(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.wake_at = None;
        self.live.open_gates(now, out);
        for position in 0..self.live.sections.len() {
            self.live.handle_timeout(now, position, &self.config, out);
            self.settle(now, position, out);
        }
        self.live.record_sent(now);
        if self.legs.restrictions.handle_timeout(now) {
            self.live.compile(&self.legs, false);
        }
        self.live.note_silence(now, &self.legs, &mut self.events);
        let given_up = self.trickle.give_up(now);
        if self.legs.is_empty() && self.trickle.poll_timeout().is_none() {
            // Nothing but fragments ever came, and the offer did not follow.
            self.finish(EndReason::Refused, &mut Vec::new());
            return;
        }
        self.events
            .extend(given_up.into_iter().map(CallEvent::Warning));
        self.delete_due(now);
        self.end_expired(now);
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended.is_some() {
            return None;
        }
        let deletion = self.legs.iter().filter_map(|leg| leg.delete_at).min();
        let own = self.deadlines.next(&self.timeouts, &self.legs, &self.live);
        let live = self.live.poll_timeout();
        let trickle = self.trickle.poll_timeout();
        let triggers = self.legs.restrictions.poll_timeout();
        [self.wake_at, deletion, own, live, trickle, triggers]
            .into_iter()
            .flatten()
            .min()
    }

    /// What happened; call until `None` after every other method.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            // There are few in the life of a call: the room for them is not kept.
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// Other timeouts hold from now on, as the operator's `set timeout` does. After it [`Self::poll_timeout`] may be earlier.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = timeouts;
    }

    /// Whether the call is over and, its events drained, can be dropped.
    pub fn is_finished(&self) -> bool {
        self.ended.is_some()
    }
}

/// What can be asked of a call.
impl Call {
    /// The name of the call.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// When the call was made.
    pub fn created(&self) -> Instant {
        self.deadlines.created
    }

    /// What the call was configured with.
    pub fn config(&self) -> &CallConfig {
        &self.config
    }

    /// The same, for others to share.
    pub fn shared_config(&self) -> Arc<CallConfig> {
        Arc::clone(&self.config)
    }

    /// Whether the call was deleted and only waits for its delay.
    pub fn is_deleted(&self) -> bool {
        !self.legs.is_empty() && self.legs.iter().all(|leg| leg.delete_at.is_some())
    }

    /// Whether an offer was ever answered.
    pub fn is_answered(&self) -> bool {
        self.legs.subscriptions.any_answered()
    }

    /// RTP and RTCP that came in.
    pub fn totals(&self) -> (Counter, Counter) {
        let tally = self.live.tally();
        (tally.rtp_in, tally.rtcp_in)
    }

    /// What the call has counted so far, by interface and address. It stays when the call is over.
    pub fn tallies(&self) -> Vec<(Place, Tally)> {
        self.live.tallies()
    }

    /// What the call has transcoded so far. It stays when the call is over.
    pub fn transcoded(&self) -> &[Transcoded] {
        &self.live.transcoded
    }

    /// What is transcoded now, once for each stream.
    pub fn transcoding(&self) -> impl Iterator<Item = Chain> + '_ {
        self.live.transcoding()
    }

    /// Media sections that were heard and are open.
    pub fn heard_sections(&self) -> usize {
        self.live.heard_sections()
    }

    /// The parties that were heard, as logs call them.
    pub fn heard_legs(&self) -> Vec<String> {
        let heard = |leg: &&Leg| {
            let mut sections = self.live.sections.iter();
            sections.any(|live| live.id.leg == leg.id && live.last_rtp.is_some())
        };
        self.legs.iter().filter(heard).map(Leg::name).collect()
    }

    /// Packets that went nowhere, by reason.
    pub fn drops(&self) -> Vec<(DropReason, u64)> {
        let counted = DropReason::ALL.into_iter().zip(self.live.tally().drops);
        counted.filter(|(_, count)| *count > 0).collect()
    }

    fn reported(&self) -> Reported<'_> {
        Reported {
            legs: &self.legs,
            live: &self.live,
            clock: self.config.clock,
            quality: self.config.quality,
            created: self.deadlines.created,
            last_signal: self.deadlines.last_signal,
        }
    }
}

/// How requests take effect.
impl Call {
    fn exchange(
        &mut self,
        now: Instant,
        request: &Request,
        ports: &mut dyn PortLeaser,
    ) -> Result<Vec<u8>, RequestError> {
        let answers = request.command == Command::Answer;
        check_keys(request)?;
        self.may_record(request)?;
        if answers && self.legs.is_empty() {
            return Err(RequestError::UnknownCall);
        }
        let config = Arc::clone(&self.config);
        let mut draft = self.draft(now, &config, ports);
        let exchange = if answers {
            answer::answer(&mut draft, request)?
        } else {
            offer::offer(&mut draft, request)?
        };
        // From here on nothing can fail.
        self.adopt(draft, Some(request));
        let scope = Scope::From(exchange.sender);
        let warning = dtmf_security::apply_to_sender(&mut self.legs, request, scope);
        self.events
            .extend(warning.map(|text| CallEvent::Warning(text.into())));
        self.note_learning(request);
        self.dtmf_log = request.flags.media.dtmf_log_destination.or(self.dtmf_log);
        self.callback = request.flags.addressing.xmlrpc_callback.or(self.callback);
        let parties = [exchange.sender, exchange.receiver];
        self.take_effect(now, answers.then_some(parties));
        if answers {
            self.note_holds(now, parties);
        }
        self.tell(answers, parties[0], exchange.sections);
        Ok(exchange.body)
    }

    /// A copy of the present state for a request to work on.
    fn draft<'a>(
        &mut self,
        now: Instant,
        config: &'a CallConfig,
        ports: &'a mut dyn PortLeaser,
    ) -> Draft<'a> {
        self.requests += 1;
        Draft {
            now,
            config,
            legs: self.legs.clone(),
            rng: ChaCha12Rng::seed_from_u64(self.seed ^ self.requests.rotate_left(32)),
            lease: PortLease::new(ports),
            released: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The request succeeded: its state is the call's own. An exchange may also have set the mark of the call's packets.
    fn adopt(&mut self, mut draft: Draft<'_>, exchange: Option<&Request>) {
        self.legs = draft.legs;
        if let Some(request) = exchange {
            self.mark(request, &mut draft.lease);
        } else if self.tos.is_some() {
            draft.lease.set_tos_of_opened(self.tos);
        }
        draft.lease.keep(&draft.released);
        let warnings = draft.warnings.into_iter().map(CallEvent::Warning);
        self.events.extend(warnings);
    }

    /// Brings the packet side up to date; parties that have agreed with us or with each other begin.
    fn take_effect(&mut self, now: Instant, agreed: Option<[LegId; 2]>) {
        let config = Arc::clone(&self.config);
        self.trickle.deliver(&mut self.legs);
        self.live
            .follow(&self.legs, &config, self.seed, agreed.is_some());
        if let Some(parties) = agreed {
            self.live
                .activate(now, &self.legs, parties, &config, self.learning);
        }
        self.deadlines.signalled(now, agreed.is_some());
        self.wake_at = Some(now);
    }

    /// Further candidates of a party (RFC 8840). A call that is not there yet waits for its offer as long as they do.
    fn fragment(&mut self, now: Instant, request: &Request) -> Result<(), RequestError> {
        let body = request
            .sdp
            .as_deref()
            .ok_or(RequestError::Missing(reason::NO_SDP))?;
        let tag = request
            .from_tag
            .as_ref()
            .ok_or(RequestError::Missing(reason::NO_FROM_TAG))?;
        let sections = FragmentSection::read_all(body)?;
        self.trickle.receive(now, tag, sections);
        for id in self.trickle.deliver(&mut self.legs) {
            if let Some(section) = self.legs.section(id) {
                self.live.trickle(now, id, section);
            }
        }
        self.wake_at = Some(now);
        Ok(())
    }

    /// Marks the call's sockets as an offer wants it (`TOS`); an offer without the key goes back to the daemon's own mark.
    fn mark(&mut self, request: &Request, lease: &mut PortLease<'_>) {
        let before = self.tos;
        if request.command == Command::Offer {
            self.tos = match request.flags.addressing.tos {
                Some(Tos::Octet(octet)) => Some(octet),
                Some(Tos::Keep) => before,
                None => None,
            };
        }
        if self.tos != before {
            let sockets = self.legs.iter().flat_map(sockets);
            sockets.for_each(|socket| lease.set_tos(socket, self.tos));
        } else if self.tos.is_some() {
            lease.set_tos_of_opened(self.tos);
        }
    }

    fn note_learning(&mut self, request: &Request) {
        let media = &request.flags.media;
        self.live.drop_traffic = media.drop_traffic.unwrap_or(self.live.drop_traffic);
        let learning = &mut self.learning;
        learning.strict_source |= media.strict_source;
        learning.media_handover |= media.media_handover;
        if let Some(wanted) = media.endpoint_learning {
            learning.mode = match wanted {
                WantedLearning::Off => LearningMode::Off,
                WantedLearning::Immediate => LearningMode::Immediate,
                WantedLearning::Delayed => LearningMode::Delayed,
                WantedLearning::Heuristic => LearningMode::Heuristic,
            };
        }
    }

    fn tell(&mut self, answers: bool, sender: LegId, sections: Vec<SectionSummary>) {
        let name = self.legs.get(sender).map_or_else(String::new, Leg::name);
        self.events.push_back(if answers {
            CallEvent::Answered {
                by: name,
                towards_offerer: sections,
            }
        } else {
            CallEvent::Offered {
                from: name,
                towards_receiver: sections,
            }
        });
    }

    /// Whether what a section receives shows that the call goes on. A recorder's reports do not.
    fn keeps_alive(&self, position: usize) -> bool {
        let live = self.live.sections.get(position);
        live.is_some_and(|live| !self.legs.subscriptions.is_subscriber(live.id.leg))
    }

    fn settle(&mut self, now: Instant, position: usize, out: &mut Outbox) {
        self.live
            .settle(now, position, &self.legs, out, &mut self.events);
        self.tell_pressed(now, position);
    }
}

/// Keys that an exchange cannot do without, in the order in which their absence is reported.
fn check_keys(request: &Request) -> Result<(), RequestError> {
    let missing = |present: bool, text| {
        if present {
            Ok(())
        } else {
            Err(RequestError::Missing(text))
        }
    };
    missing(request.sdp.is_some(), reason::NO_SDP)?;
    missing(request.call_id.is_some(), reason::NO_CALL_ID)?;
    missing(request.from_tag.is_some(), reason::NO_FROM_TAG)?;
    let wants_to_tag = request.command == Command::Answer;
    missing(!wants_to_tag || request.to_tag.is_some(), reason::NO_TO_TAG)
}

fn sockets(leg: &Leg) -> Vec<SocketId> {
    let ports = leg.sections.iter().flat_map(|section| section.ports.all());
    ports.map(|socket| socket.id).collect()
}
