//! An established call at Meta: who may do what in it, and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::media::driver::MediaHandle;
use crate::media::{MediaEvent, MediaTimer};
use crate::report::Ender;
use crate::sip::connection::{Connection, Opener};
use crate::sip::dialog::{Dialog, Standing, vias};
use crate::sip::gateway::{Arrived, Gateway, Inbox};
use crate::sip::identity::ALLOW;
use crate::sip::inspection::{inspect, inspect_echo};
use crate::sip::message::{Message, Method, Request, Response};
use crate::sip::random;
use crate::sip::reply::{reply, reply_because};
use crate::sip::tls::TlsFacts;

use super::media_leg::next_event;
use super::record::Record;
use super::{CallSettings, T1, T2};

/// Where Meta's requests of this call go.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// The business' TLS server.
    pub(super) address: std::net::SocketAddr,
    /// The name its certificate must carry.
    pub(super) name: String,
}

/// A 200 OK that waits for its ACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) invite: Request,
    pub(super) response: Response,
    pub(super) connection: Connection,
    pub(super) sent_at: Instant,
    repeat_at: Instant,
    interval: Duration,
}

impl Unacknowledged {
    pub(super) fn new(invite: Request, response: Response, connection: Connection) -> Self {
        let now = Instant::now();
        Self {
            invite,
            response,
            connection,
            sent_at: now,
            repeat_at: now + T1,
            interval: T1,
        }
    }

    /// RFC 3261 §13.3.1.4: repeated on reliable transports too.
    fn repeat(&mut self) {
        self.connection.send_response(&self.response);
        self.interval = (self.interval * 2).min(T2);
        self.repeat_at = Instant::now() + self.interval;
    }
}

/// An established call.
pub(super) struct Session<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) settings: &'a CallSettings,
    pub(super) inbox: Inbox,
    pub(super) record: &'a mut Record,
    pub(super) media: &'a mut Option<MediaHandle>,
    pub(super) dialog: Dialog,
    /// The connection the call was set up on.
    pub(super) connection: Connection,
    /// Where else Meta's requests can go.
    pub(super) destination: Option<Destination>,
    /// The 200 OK of a business-initiated call until its ACK comes.
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// The ACK of a user-initiated call, for repeated 200s.
    pub(super) acknowledgement: Option<Request>,
}

/// Why the talking stopped.
enum Stop {
    /// The business hung up; everything is answered.
    Business,
    /// Meta hangs up.
    Meta { reason: Option<&'static str> },
}

impl Session<'_> {
    /// Talks until somebody hangs up.
    pub(super) async fn talk(mut self) {
        let answered_at = Instant::now();
        match self.until_hang_up(answered_at).await {
            Stop::Business => {}
            Stop::Meta { reason } => self.hang_up(answered_at, reason).await,
        }
    }

    async fn until_hang_up(&mut self, answered_at: Instant) -> Stop {
        let CallSettings {
            talk,
            hang_up,
            patience,
            ..
        } = *self.settings;
        let over_at = match hang_up {
            Ender::Meta => answered_at + talk,
            Ender::Business => answered_at + talk + patience.hang_up,
        };
        let mut digits_at = self
            .settings
            .media
            .digits
            .as_ref()
            .map(|_| answered_at + Duration::from_secs(1));
        loop {
            let ack_at = self.unacknowledged.as_ref().map(|waiting| {
                waiting
                    .repeat_at
                    .min(waiting.sent_at + patience.acknowledgement)
            });
            let next = [Some(over_at), ack_at, digits_at]
                .into_iter()
                .flatten()
                .min();
            let wake_at = next.unwrap_or(over_at);
            tokio::select! {
                arrived = self.inbox.next() => match arrived {
                    None => return Stop::Meta { reason: None },
                    Some(arrived) => if self.receive(arrived) {
                        return Stop::Business;
                    },
                },
                event = next_event(self.media) => if let Some(reason) = self.media_event(event) {
                    return Stop::Meta { reason: Some(reason) };
                },
                () = sleep_until(wake_at.into()) => {}
            }
            let now = Instant::now();
            if digits_at.is_some_and(|due| due <= now) {
                digits_at = None;
                if let (Some(media), Some(digits)) = (&*self.media, &self.settings.media.digits) {
                    // The media task only ends with the call.
                    let _ = media.send_digits(digits).await;
                }
            }
            if let Some(waiting) = &mut self.unacknowledged {
                if now >= waiting.sent_at + patience.acknowledgement {
                    self.unacknowledged = None;
                    self.record.findings.violation(format!(
                        "no ACK that Meta could route came within {} s: Meta ends the call",
                        patience.acknowledgement.as_secs_f32()
                    ));
                    return Stop::Meta { reason: None };
                }
                if now >= waiting.repeat_at {
                    waiting.repeat();
                }
            }
            if now >= over_at {
                if hang_up == Ender::Business {
                    self.record.findings.violation(format!(
                        "the business did not hang up within {} s",
                        (talk + patience.hang_up).as_secs_f32()
                    ));
                }
                return Stop::Meta { reason: None };
            }
        }
    }

    /// Gives the reason for a hang-up when the media demands one.
    fn media_event(&mut self, event: Option<MediaEvent>) -> Option<&'static str> {
        let event = event?;
        tracing::info!(call_id = self.dialog.call_id, ?event, "media");
        let MediaEvent::TimedOut(timer) = event else {
            return None;
        };
        if !self.settings.media.is_judged {
            return None;
        }
        self.record.findings.violation(match timer {
            MediaTimer::Start => {
                "no media came after the answer: Meta's client gave up (20 s in real life)"
            }
            MediaTimer::Silence => {
                "media stopped, RTCP included: Meta's client gave up (30 s in real life)"
            }
        });
        Some("SIP;cause=408;text=\"RTP Timeout\"")
    }

    /// Takes a message of the business; `true` when it ended the call.
    fn receive(&mut self, arrived: Arrived) -> bool {
        let remarks = inspect(&arrived.message, &self.settings.allowed_headers);
        self.record.findings.extend(remarks);
        match arrived.message {
            Message::Request(request) => self.request(&request, &arrived.connection),
            Message::Response(response) => {
                self.late_response(&response);
                false
            }
        }
    }

    /// A 200 OK for the INVITE may be repeated until our ACK reaches its sender.
    fn late_response(&mut self, response: &Response) {
        let is_repeated_200 = response.status == 200
            && response
                .sequence()
                .is_some_and(|sequence| sequence.method == Method::Invite);
        let Some(ack) = self.acknowledgement.clone().filter(|_| is_repeated_200) else {
            return;
        };
        let expected = crate::sip::uri::NameAddress::parse(&self.dialog.remote)
            .and_then(|address| address.tag().map(str::to_owned));
        if response.to_tag() != expected {
            self.record.findings.violation(
                "a second 200 OK with another To tag came: one INVITE must make one call",
            );
            return;
        }
        self.record
            .findings
            .note("the 200 OK was repeated; Meta's ACK was sent again");
        self.connection.send_request(&ack);
    }

    fn request(&mut self, request: &Request, connection: &Connection) -> bool {
        let peer = connection.peer();
        // A reply inside a dialog copies the To tag, so none is made up here.
        let answer = |status: u16| reply(request, peer, status, "");
        let findings = &mut self.record.findings;
        let method = &request.method;
        if let (Method::Invite, Some(waiting)) = (method, &self.unacknowledged)
            && request.branch() == waiting.invite.branch()
        {
            findings.note("the INVITE was repeated although it was answered");
            connection.send_response(&waiting.response);
            return false;
        }
        if *method == Method::Cancel {
            findings.note("CANCEL came after the answer and changes nothing");
            connection.send_response(&answer(481));
            return false;
        }
        let standing = self.dialog.judge(request);
        match standing {
            Standing::Lost(reasons) => {
                for reason in reasons {
                    findings.violation(reason);
                }
                if *method == Method::Ack {
                    findings.violation("the ACK is ignored: Meta cannot route it");
                } else {
                    findings.violation(format!("{method} gets 404: Meta cannot route it"));
                    connection.send_response(&answer(404));
                }
                return false;
            }
            Standing::Foreign(reason) => {
                findings.violation(reason);
                if *method != Method::Ack {
                    connection.send_response(&answer(481));
                }
                return false;
            }
            Standing::Stale(reason) => {
                findings.violation(reason);
                connection.send_response(&answer(500));
                return false;
            }
            Standing::Routed => {}
        }
        match method {
            Method::Ack => self.acknowledged(request),
            Method::Bye => {
                connection.send_response(&answer(200));
                self.business_hung_up();
                return true;
            }
            Method::Invite => {
                findings.violation(
                    "a re-INVITE reached Meta, which answers 500: hold, transfer and session \
                     refresh must end at the business' side",
                );
                connection.send_response(&answer(500));
            }
            Method::Options | Method::Notify => {
                connection.send_response(&answer(200));
            }
            other => {
                findings.violation(format!(
                    "{other} reached Meta inside a call; it allows only {ALLOW}"
                ));
                connection.send_response(&reply_because(
                    request,
                    peer,
                    405,
                    "Method Not Allowed",
                    "",
                ));
            }
        }
        false
    }

    fn acknowledged(&mut self, ack: &Request) {
        let findings = &mut self.record.findings;
        let Some(waiting) = &self.unacknowledged else {
            if self.acknowledgement.is_some() {
                findings.violation("an ACK came in a call that Meta began; Meta sends the ACK");
            }
            return;
        };
        let (expected, found) = (waiting.invite.sequence(), ack.sequence());
        if expected == found {
            self.unacknowledged = None;
        } else {
            findings.violation(format!(
                "the ACK has CSeq {found}, the INVITE it belongs to had {expected}; it is ignored"
            ));
        }
    }

    fn business_hung_up(&mut self) {
        if self.record.ended_by.is_some() {
            // The two BYEs crossed, which is nobody's fault.
            self.record.clean_end = true;
            return;
        }
        self.record.end(Ender::Business, true);
        if self.unacknowledged.is_some() {
            self.record
                .findings
                .violation("the business hung up without ever sending an ACK");
        }
        if self.settings.hang_up == Ender::Meta {
            self.record
                .findings
                .violation("the business hung up although the user was to");
        }
    }

    /// Sends BYE and waits until it is answered, whatever crosses it.
    async fn hang_up(&mut self, answered_at: Instant, reason: Option<&'static str>) {
        let branch = random::branch();
        let mut bye = self.dialog.request(Method::Bye, vias(&branch));
        let seconds = answered_at.elapsed().as_secs();
        bye.headers
            .push("x-wa-meta-call-duration", seconds.to_string());
        let wacid = self.dialog.call_id.trim_start_matches("outgoing:");
        bye.headers.push("x-wa-meta-wacid", wacid.to_owned());
        if let Some(reason) = reason {
            bye.headers.push("Reason", reason);
        }
        self.record.end(Ender::Meta, false);
        let Some(connection) = self.connection_to_business().await else {
            return;
        };
        if !connection.send_request(&bye) {
            self.record
                .findings
                .violation("Meta's BYE could not be sent: the business closed the connection");
            return;
        }
        let deadline = Instant::now() + self.settings.patience.transaction;
        loop {
            let arrived = tokio::select! {
                arrived = self.inbox.next() => arrived,
                () = sleep_until(deadline.into()) => None,
            };
            let Some(arrived) = arrived else {
                self.record.findings.violation(format!(
                    "Meta's BYE was not answered within {} s",
                    self.settings.patience.transaction.as_secs_f32()
                ));
                return;
            };
            if self.answers_bye(&bye, &branch, &arrived) {
                return;
            }
            // A BYE that crosses ours ends the call as well.
            if self.receive(arrived) {
                return;
            }
        }
    }

    /// Whether this is the final response to our BYE.
    fn answers_bye(&mut self, bye: &Request, branch: &str, arrived: &Arrived) -> bool {
        let Message::Response(response) = &arrived.message else {
            return false;
        };
        if response.branch().as_deref() != Some(branch) || response.status < 200 {
            return false;
        }
        let findings = &mut self.record.findings;
        findings.extend(inspect(&arrived.message, &self.settings.allowed_headers));
        findings.extend(inspect_echo(bye, response));
        if response.status == 200 {
            self.record.clean_end = true;
        } else {
            findings.violation(format!(
                "Meta's BYE got {} {} instead of 200",
                response.status, response.reason
            ));
        }
        true
    }

    /// The connection for Meta's own requests: the one it opened, a new one, or at last the one
    /// the business opened.
    async fn connection_to_business(&mut self) -> Option<Connection> {
        let is_own = self.connection.opener() == Opener::Meta && self.connection.is_open();
        if is_own && !self.settings.fresh_connections {
            return Some(self.connection.clone());
        }
        let Some(destination) = self.destination.clone() else {
            if !self.connection.is_open() {
                self.record.findings.violation(
                    "the business closed the connection and Meta was told no other way to it",
                );
                return None;
            }
            return Some(self.connection.clone());
        };
        let mut facts = TlsFacts::default();
        let opened = self
            .gateway
            .connect(destination.address, &destination.name, &mut facts)
            .await;
        match opened {
            Ok(connection) => Some(connection),
            Err(error) => {
                self.record.findings.violation(format!(
                    "Meta could not open a connection to {} ({}) for its BYE: {error}",
                    destination.name, destination.address
                ));
                None
            }
        }
    }
}
