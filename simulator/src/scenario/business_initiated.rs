//! A business-initiated call: the business calls a WhatsApp user.
//!
//! ```text
//!   business ── INVITE ──────────► Meta
//!            ◄── 407 ─────────────
//!            ── ACK, INVITE + digest ►
//!            ◄── 100, (180), 200 ──
//!            ── ACK ──────────────►   only if Route set and Contact came back untouched
//!            ◄═══════ media ══════►
//!            ◄── BYE ── either ── BYE ►
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::media::config::CallDirection;
use crate::media::driver::MediaHandle;
use crate::report::{CallReport, Ender};
use crate::sip::connection::Connection;
use crate::sip::dialog::Dialog;
use crate::sip::gateway::{Arrived, Gateway, Inbox, Invitation};
use crate::sip::identity::SDP_LIMIT;
use crate::sip::inspection::{inspect, inspect_topology};
use crate::sip::message::{Message, Method, Request};
use crate::sip::random;
use crate::sip::reply::{reply, reply_because};
use crate::sip::sdp_check::{self, Kind};
use crate::sip::uas::{self, Business, Challenging, Decision, Reception, Refusal};

use super::CallSettings;
use super::media_leg::next_event;
use super::record::Record;
use super::session::{Destination, Session, Unacknowledged};

/// How calls of a business are received.
#[derive(Debug, Clone)]
pub struct BusinessCalls {
    /// The numbers Meta knows.
    pub businesses: Vec<Business>,
    /// How it challenges.
    pub challenging: Challenging,
    /// Whether it says 180 before the answer.
    pub ringing: bool,
    /// How long the phone rings.
    pub answer_after: Duration,
    /// Refuse instead of answering.
    pub refusal: Option<Refusal>,
    /// Where Meta's BYE goes; without it, the business' own connection is used.
    pub back: Option<(SocketAddr, String)>,
    /// Everything else.
    pub settings: CallSettings,
}

/// Receives one call and says what became of it.
pub async fn receive(
    gateway: &Arc<Gateway>,
    invitation: Invitation,
    calls: &BusinessCalls,
) -> CallReport {
    let call_id = invitation.request.headers.first("Call-ID").unwrap_or("");
    let mut record = Record::new("bic", call_id);
    record.tls = invitation.connection.facts().clone();
    let mut media = None;
    let Invitation {
        request,
        connection,
        at,
        inbox,
    } = invitation;
    record.invited_at = Some(at);
    let arrival = Entry {
        gateway,
        calls,
        inbox,
        record: &mut record,
        media: &mut media,
        to_tag: random::hex::<16>(),
    };
    arrival.run(request, connection).await;
    record.into_report(&calls.settings, media).await
}

/// The call until its INVITE has a final response.
struct Entry<'a> {
    gateway: &'a Arc<Gateway>,
    calls: &'a BusinessCalls,
    inbox: Inbox,
    record: &'a mut Record,
    media: &'a mut Option<MediaHandle>,
    to_tag: String,
}

/// What a wait was interrupted by.
enum Interruption {
    /// It was not: the time has come.
    None,
    /// The business cancelled, or went away.
    Over,
}

impl Entry<'_> {
    async fn run(mut self, first: Request, connection: Connection) {
        let Some((invite, connection)) = self.admit(first, connection).await else {
            return;
        };
        self.answer_with(&invite, &connection, 100);
        let refusal = self.calls.refusal;
        if let Some(refusal) = refusal.filter(|refusal| !refusal.comes_after_ringing()) {
            let (status, phrase) = refusal.status();
            self.refuse(&invite, &connection, status, phrase).await;
            return;
        }
        let Some(answer) = self.start_media(&invite, &connection).await else {
            return;
        };
        if self.calls.ringing {
            self.answer_with(&invite, &connection, 180);
        }
        let ring_until = Instant::now() + self.calls.answer_after;
        if let Interruption::Over = self.ring(&invite, &connection, ring_until).await {
            return;
        }
        if let Some(refusal) = refusal {
            let (status, phrase) = refusal.status();
            self.refuse(&invite, &connection, status, phrase).await;
            return;
        }
        self.accept(invite, connection, answer).await;
    }

    fn inspect(&mut self, message: &Message) {
        let remarks = inspect(message, &self.calls.settings.allowed_headers);
        self.record.findings.extend(remarks);
    }

    fn answer_with(&self, request: &Request, connection: &Connection, status: u16) {
        connection.send_response(&reply(request, connection.peer(), status, &self.to_tag));
    }

    /// Challenges and checks; gives the INVITE that may ring the phone.
    async fn admit(
        &mut self,
        first: Request,
        connection: Connection,
    ) -> Option<(Request, Connection)> {
        let mut reception = Reception::new(self.calls.businesses.clone(), self.calls.challenging);
        let (mut invite, mut connection) = (first, connection);
        loop {
            let message = Message::Request(invite);
            self.inspect(&message);
            let Message::Request(request) = message else {
                return None;
            };
            let (decision, remarks) = reception.receive(&request);
            self.record.findings.extend(remarks);
            match decision {
                Decision::Accept => return Some((request, connection)),
                Decision::Refuse { status, phrase } => {
                    self.refuse(&request, &connection, status, &phrase).await;
                    return None;
                }
                Decision::Challenge(challenges) => {
                    let tag = random::hex::<8>();
                    let mut response = reply(&request, connection.peer(), 407, &tag);
                    for challenge in challenges {
                        response
                            .headers
                            .push("Proxy-Authenticate", challenge.to_string());
                    }
                    connection.send_response(&response);
                    let Some(next) = self.next_invite(&request).await else {
                        self.record.finish_setup(407, &response.reason);
                        self.record
                            .findings
                            .violation("the 407 was not answered with a second INVITE");
                        return None;
                    };
                    (invite, connection) = next;
                    self.record.invited_at = Some(Instant::now());
                }
            }
        }
    }

    /// Waits for the INVITE after the 407.
    async fn next_invite(&mut self, challenged: &Request) -> Option<(Request, Connection)> {
        let deadline = Instant::now() + self.calls.settings.patience.transaction;
        loop {
            let arrived = tokio::select! {
                arrived = self.inbox.next() => arrived?,
                () = sleep_until(deadline.into()) => return None,
            };
            let Message::Request(request) = arrived.message else {
                continue;
            };
            match request.method {
                Method::Ack if request.branch() != challenged.branch() => {
                    self.record.findings.violation(
                        "the ACK for the 407 has another branch than the INVITE (RFC 3261 \
                         §17.1.1.3)",
                    );
                }
                Method::Ack => {}
                Method::Invite => return Some((request, arrived.connection)),
                Method::Cancel => {
                    // Nothing is pending: the INVITE was answered with 407.
                    self.answer_with(&request, &arrived.connection, 481);
                }
                _ => self.answer_with(&request, &arrived.connection, 481),
            }
        }
    }

    /// Sends a final refusal and waits for its ACK.
    async fn refuse(
        &mut self,
        invite: &Request,
        connection: &Connection,
        status: u16,
        phrase: &str,
    ) {
        let mut response = reply_because(invite, connection.peer(), status, phrase, &self.to_tag);
        if status == 403 {
            response
                .headers
                .push("Warning", format!("399 wa.meta.vc \"{phrase}\""));
        }
        connection.send_response(&response);
        self.record.finish_setup(status, phrase);
        self.failure_acknowledged(invite, status).await;
    }

    async fn failure_acknowledged(&mut self, invite: &Request, status: u16) {
        let deadline = Instant::now() + self.calls.settings.patience.acknowledgement;
        loop {
            let arrived = tokio::select! {
                arrived = self.inbox.next() => arrived,
                () = sleep_until(deadline.into()) => None,
            };
            match arrived {
                None => {
                    self.record
                        .findings
                        .violation(format!("the {status} was never acknowledged with ACK"));
                    return;
                }
                Some(Arrived {
                    message: Message::Request(request),
                    ..
                }) if request.method == Method::Ack => {
                    if request.branch() != invite.branch() {
                        self.record.findings.violation(format!(
                            "the ACK for the {status} has another branch than the INVITE"
                        ));
                    }
                    return;
                }
                Some(_) => {}
            }
        }
    }

    /// Starts Meta's media; refuses the call when the offer is not to Meta's liking.
    async fn start_media(&mut self, invite: &Request, connection: &Connection) -> Option<String> {
        let offer = match std::str::from_utf8(&invite.body) {
            Ok(offer) if !offer.is_empty() && offer.len() <= SDP_LIMIT => offer.to_owned(),
            _ => {
                self.record
                    .findings
                    .violation("the INVITE has no readable session description");
                let (status, phrase) = Refusal::Sdp.status();
                self.refuse(invite, connection, status, phrase).await;
                return None;
            }
        };
        let settings = &self.calls.settings.media;
        self.record.findings.extend(sdp_check::check(
            &offer,
            Kind::Offer,
            settings.keys,
            settings.allow_private,
        ));
        match self.media_answer(&offer).await {
            Ok(answer) => Some(answer),
            Err(reason) => {
                self.record
                    .findings
                    .violation(format!("Meta refuses the SDP offer: {reason}"));
                let (status, phrase) = Refusal::Sdp.status();
                self.refuse(invite, connection, status, phrase).await;
                None
            }
        }
    }

    async fn media_answer(&mut self, offer: &str) -> Result<String, String> {
        let settings = &self.calls.settings.media;
        let handle = settings
            .start(CallDirection::BusinessInitiated)
            .await
            .map_err(|error| error.to_string())?;
        let answer = handle.local_sdp_answer(offer).await;
        let answer = answer
            .map_err(|error| error.to_string())?
            .map_err(|rejected| rejected.text)?;
        handle
            .set_remote_sdp(offer)
            .await
            .map_err(|error| error.to_string())?
            .map_err(|rejected| rejected.text)?;
        *self.media = Some(handle);
        Ok(answer)
    }

    /// Lets the phone ring, watching for CANCEL.
    async fn ring(
        &mut self,
        invite: &Request,
        connection: &Connection,
        until: Instant,
    ) -> Interruption {
        loop {
            let arrived = tokio::select! {
                arrived = self.inbox.next() => match arrived {
                    Some(arrived) => arrived,
                    None => return Interruption::Over,
                },
                event = next_event(self.media) => {
                    tracing::info!(?event, "media while ringing");
                    continue;
                }
                () = sleep_until(until.into()) => return Interruption::None,
            };
            self.inspect(&arrived.message);
            let Message::Request(request) = arrived.message else {
                continue;
            };
            match request.method {
                Method::Cancel => {
                    if self.cancelled(invite, connection, &request, &arrived.connection) {
                        self.failure_acknowledged(invite, 487).await;
                        return Interruption::Over;
                    }
                }
                Method::Ack => {}
                Method::Invite if request.branch() == invite.branch() => {
                    self.record
                        .findings
                        .note("the INVITE was repeated on a reliable connection");
                }
                ref other => {
                    self.record
                        .findings
                        .violation(format!("{other} came before the call was answered"));
                    self.answer_with(&request, &arrived.connection, 405);
                }
            }
        }
    }

    /// RFC 3261 §9.2: CANCEL belongs to the INVITE with the same branch and number.
    fn cancelled(
        &mut self,
        invite: &Request,
        connection: &Connection,
        cancel: &Request,
        cancel_connection: &Connection,
    ) -> bool {
        if cancel.branch() != invite.branch() || cancel.sequence() != invite.sequence() {
            self.record.findings.violation(format!(
                "CANCEL does not fit the INVITE: branch {:?} and CSeq {} instead of {:?} and {}",
                cancel.branch().unwrap_or_default(),
                cancel.sequence(),
                invite.branch().unwrap_or_default(),
                invite.sequence()
            ));
            self.answer_with(cancel, cancel_connection, 481);
            return false;
        }
        self.answer_with(cancel, cancel_connection, 200);
        self.answer_with(invite, connection, 487);
        self.record.finish_setup(487, "Request Terminated");
        self.record.end(Ender::Business, true);
        true
    }

    async fn accept(self, invite: Request, connection: Connection, answer: String) {
        let (response, dialog, remarks) =
            uas::accept(&invite, connection.peer(), &self.to_tag, answer);
        self.record.findings.extend(remarks);
        if !self.calls.settings.media.allow_private {
            let remarks = inspect_topology("INVITE", &invite.headers);
            self.record.findings.extend(remarks);
        }
        let Some(dialog) = dialog else {
            return;
        };
        connection.send_response(&response);
        if let Some(media) = &*self.media {
            // The media task only ends with the call.
            let _ = media.call_answered().await;
        }
        self.record.finish_setup(200, "OK");
        self.established(dialog, invite, response, connection).await;
    }

    async fn established(
        self,
        dialog: Dialog,
        invite: Request,
        response: crate::sip::message::Response,
        connection: Connection,
    ) {
        Session {
            gateway: self.gateway,
            settings: &self.calls.settings,
            inbox: self.inbox,
            record: self.record,
            media: self.media,
            dialog,
            connection: connection.clone(),
            destination: self
                .calls
                .back
                .clone()
                .map(|(address, name)| Destination { address, name }),
            unacknowledged: Some(Unacknowledged::new(invite, response, connection)),
            acknowledgement: None,
        }
        .talk()
        .await;
    }
}
