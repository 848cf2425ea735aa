//! A user-initiated call: a WhatsApp user calls the business.
//!
//! ```text
//!   Meta ── INVITE ──────────────► business
//!        ◄───────────────── 407 ──
//!        ── ACK, INVITE + digest ►
//!        ◄──────── 100, (180), 200 ─
//!        ── ACK ─────────────────►
//!        ◄═══════════ media ══════►
//!        ◄── BYE ── either ── BYE ►
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::media::config::CallDirection;
use crate::media::driver::MediaHandle;
use crate::report::{CallReport, Ender};
use crate::sip::connection::Connection;
use crate::sip::dialog::{Dialog, vias};
use crate::sip::gateway::{Arrived, Gateway, Inbox};
use crate::sip::inspection::{inspect, inspect_echo, inspect_topology};
use crate::sip::message::{Message, Method, Response};
use crate::sip::random;
use crate::sip::reply::reply;
use crate::sip::sdp_check::{self, Kind};
use crate::sip::uac::{Caller, Invite};

use super::CallSettings;
use super::media_leg::next_event;
use super::record::Record;
use super::session::{Destination, Session};

/// One call of a WhatsApp user.
#[derive(Debug, Clone)]
pub struct UserCall {
    /// Who calls whom.
    pub caller: Caller,
    /// The password of the business' number; without one, a challenge ends the call.
    pub password: Option<String>,
    /// Where the business' TLS server is.
    pub address: SocketAddr,
    /// The name to send as SNI and to look for in its certificate.
    pub server_name: String,
    /// The user gives up this long after the first provisional response.
    pub cancel_after: Option<Duration>,
    /// Whether the INVITE with credentials is sent twice.
    pub duplicate_invite: bool,
    /// Everything else.
    pub settings: CallSettings,
}

/// Places the call and says what became of it.
pub async fn place(gateway: &Arc<Gateway>, call: &UserCall) -> CallReport {
    let mut record = Record::new("uic", "");
    let mut media = None;
    run(gateway, call, &mut record, &mut media).await;
    record.into_report(&call.settings, media).await
}

async fn run(
    gateway: &Arc<Gateway>,
    call: &UserCall,
    record: &mut Record,
    media: &mut Option<MediaHandle>,
) {
    let offer = match start_media(call, media).await {
        Ok(offer) => offer,
        Err(reason) => {
            record.reason = reason;
            return;
        }
    };
    let opened = gateway
        .connect(call.address, &call.server_name, &mut record.tls)
        .await;
    if record.tls.asked_for_certificate {
        record.findings.violation(
            "the business' TLS server asked for a client certificate; Meta sends one with an \
             internal name that nobody can verify: ask for none",
        );
    }
    let connection = match opened {
        Ok(connection) => connection,
        Err(error) => {
            record.reason = format!("no connection: {error}");
            record.findings.violation(format!(
                "Meta could not open TLS to {} ({}): {error}; Meta would drop the user's call \
                 without sending an INVITE",
                call.server_name, call.address
            ));
            return;
        }
    };
    let invite = Invite::new(call.caller.clone(), offer.clone());
    record.call_id = invite.call_id().to_owned();
    let inbox = gateway.open_call(invite.call_id());
    let opened = connection.clone();
    let setup = Setup {
        call,
        connection,
        invite,
        inbox,
        record,
        media,
        offer,
        authenticated: false,
        provisional_at: None,
        cancelled_at: None,
    };
    setup.run(gateway).await;
    // Each call has opened its own: `serve` would collect them for days, and the server with it.
    opened.close_soon();
}

async fn start_media(call: &UserCall, media: &mut Option<MediaHandle>) -> Result<String, String> {
    let handle = call
        .settings
        .media
        .start(CallDirection::UserInitiated)
        .await
        .map_err(|error| error.to_string())?;
    let offer = handle
        .local_sdp_offer()
        .await
        .map_err(|error| error.to_string())?;
    *media = Some(handle);
    Ok(offer)
}

/// The call until its INVITE has a final response.
struct Setup<'a> {
    call: &'a UserCall,
    connection: Connection,
    invite: Invite,
    inbox: Inbox,
    record: &'a mut Record,
    media: &'a mut Option<MediaHandle>,
    offer: String,
    authenticated: bool,
    provisional_at: Option<Instant>,
    cancelled_at: Option<Instant>,
}

impl Setup<'_> {
    async fn run(mut self, gateway: &Arc<Gateway>) {
        if !self.send_invite() {
            return;
        }
        let Some(dialog) = self.until_final().await else {
            return;
        };
        let mut dialog = dialog;
        let ack = dialog.request(Method::Ack, vias(&random::branch()));
        self.connection.send_request(&ack);
        let hang_up_at_once = self.cancelled_at.is_some();
        let settings = if hang_up_at_once {
            // CANCEL and 200 crossed: the call is up and has to be ended.
            CallSettings {
                talk: Duration::ZERO,
                hang_up: Ender::Meta,
                ..self.call.settings.clone()
            }
        } else {
            self.call.settings.clone()
        };
        Session {
            gateway,
            settings: &settings,
            inbox: self.inbox,
            record: self.record,
            media: self.media,
            dialog,
            connection: self.connection,
            destination: Some(Destination {
                address: self.call.address,
                name: self.call.server_name.clone(),
            }),
            unacknowledged: None,
            acknowledgement: Some(ack),
        }
        .talk()
        .await;
    }

    fn send_invite(&mut self) -> bool {
        self.record.invited_at = Some(Instant::now());
        let is_sent = self.connection.send_request(self.invite.request());
        if !is_sent {
            self.record.reason = "the connection was closed".to_owned();
            self.record
                .findings
                .violation("the business closed the connection before the INVITE");
        }
        is_sent
    }

    /// Waits for the final response; gives the dialog when it was a 200.
    async fn until_final(&mut self) -> Option<Dialog> {
        let patience = self.call.settings.patience;
        loop {
            let began = self.record.invited_at.unwrap_or_else(Instant::now);
            let deadline = match (self.cancelled_at, self.provisional_at) {
                (Some(cancelled), _) => cancelled + patience.transaction,
                (None, Some(_)) => began + patience.answer,
                (None, None) => began + patience.transaction.min(patience.answer),
            };
            let cancel_at = match (
                self.cancelled_at,
                self.provisional_at,
                self.call.cancel_after,
            ) {
                (None, Some(rang), Some(after)) => Some(rang + after),
                _ => None,
            };
            let wake_at = cancel_at.map_or(deadline, |cancel| cancel.min(deadline));
            tokio::select! {
                arrived = self.inbox.next() => {
                    if let Some(outcome) = self.receive(arrived?).await {
                        return outcome;
                    }
                }
                event = next_event(self.media) => {
                    tracing::info!(call_id = self.invite.call_id(), ?event, "media while ringing");
                }
                () = sleep_until(wake_at.into()) => {}
            }
            let now = Instant::now();
            if cancel_at.is_some_and(|at| at <= now) {
                self.cancel();
            } else if now >= deadline && !self.give_up() {
                return None;
            }
        }
    }

    fn cancel(&mut self) {
        self.cancelled_at = Some(Instant::now());
        self.connection.send_request(&self.invite.cancel());
    }

    /// Nothing came in time; `false` when there is nothing left to wait for.
    fn give_up(&mut self) -> bool {
        if self.cancelled_at.is_some() {
            self.record
                .findings
                .violation("no final response to the INVITE came after CANCEL");
            self.record.reason = "no final response after CANCEL".to_owned();
            return false;
        }
        if self.provisional_at.is_none() {
            self.record.reason = "no response to the INVITE at all".to_owned();
            if !self.connection.is_open() {
                self.record
                    .findings
                    .violation("the business closed the connection instead of answering");
            }
            return false;
        }
        self.record
            .findings
            .note("nobody answered in time: the user sees \"Not answered\" and Meta cancels");
        self.cancel();
        true
    }

    /// Takes a message; `Some` when the setup is over.
    async fn receive(&mut self, arrived: Arrived) -> Option<Option<Dialog>> {
        let remarks = inspect(&arrived.message, &self.call.settings.allowed_headers);
        self.record.findings.extend(remarks);
        let response = match arrived.message {
            Message::Response(response) => response,
            Message::Request(request) => {
                self.record.findings.violation(format!(
                    "{} came for a call that is not answered yet",
                    request.method
                ));
                if request.method != Method::Ack {
                    let peer = arrived.connection.peer();
                    arrived.connection.send_response(&reply(
                        &request,
                        peer,
                        481,
                        &random::hex::<8>(),
                    ));
                }
                return None;
            }
        };
        if arrived.connection.id() != self.connection.id() {
            self.record.findings.violation(
                "a response came on another connection than the INVITE went out on (RFC 3261 \
                 §18.2.2)",
            );
        }
        let sequence = response.sequence()?;
        if sequence.method == Method::Cancel {
            self.cancel_answered(&response);
            return None;
        }
        if response.branch() != self.invite.request().branch() {
            // A late repetition for the INVITE without credentials.
            return None;
        }
        let remarks = inspect_echo(self.invite.request(), &response);
        self.record.findings.extend(remarks);
        match response.status {
            100..=199 => {
                self.provisional(&response);
                None
            }
            401 | 407 => self.challenged(&response),
            200..=299 => Some(self.answered(&response).await),
            _ => {
                let ack = self.invite.acknowledge_failure(&response);
                self.connection.send_request(&ack);
                self.record.finish_setup(response.status, &response.reason);
                if self.cancelled_at.is_some() {
                    self.record.end(Ender::Meta, response.status == 487);
                }
                Some(None)
            }
        }
    }

    fn cancel_answered(&mut self, response: &Response) {
        if response.status != 200 {
            self.record.findings.violation(format!(
                "CANCEL got {} {} instead of 200",
                response.status, response.reason
            ));
        }
    }

    fn provisional(&mut self, response: &Response) {
        self.provisional_at.get_or_insert_with(Instant::now);
        if !response.body.is_empty() {
            self.record.findings.note(format!(
                "{} {} carried a session description; nobody knows what Meta makes of it, the \
                 user hears Meta's own ringing anyway",
                response.status, response.reason
            ));
        }
        if response.status == 183 {
            self.record
                .findings
                .note("183 was sent; 180 or nothing is enough, the user already hears ringing");
        }
    }

    fn challenged(&mut self, response: &Response) -> Option<Option<Dialog>> {
        let ack = self.invite.acknowledge_failure(response);
        self.connection.send_request(&ack);
        let failed = |setup: &mut Self, reason: Option<String>| {
            if let Some(reason) = reason {
                setup.record.findings.violation(reason);
            }
            setup.record.finish_setup(response.status, &response.reason);
            Some(None)
        };
        if self.authenticated {
            let reason = (self.call.settings.expected_status != response.status).then(|| {
                format!(
                    "{} came again after correct-looking credentials; is the password the one \
                     of this number?",
                    response.status
                )
            });
            return failed(self, reason);
        }
        let Some(password) = &self.call.password else {
            let reason = (self.call.settings.expected_status != response.status).then(|| {
                "the business asked for credentials and no password was given to the simulator"
                    .to_owned()
            });
            return failed(self, reason);
        };
        match self.invite.authenticate(response, password) {
            Err(reason) => failed(self, Some(format!("Meta cannot answer: {reason}"))),
            Ok(remarks) => {
                self.record.findings.extend(remarks);
                self.authenticated = true;
                self.provisional_at = None;
                if !self.send_invite() {
                    return Some(None);
                }
                if self.call.duplicate_invite {
                    self.connection.send_request(self.invite.request());
                }
                None
            }
        }
    }

    async fn answered(&mut self, response: &Response) -> Option<Dialog> {
        self.record.finish_setup(response.status, &response.reason);
        if self.call.password.is_some() && !self.authenticated {
            self.record.findings.violation(
                "the INVITE was accepted without credentials: anybody who finds this server can \
                 call in as any WhatsApp user",
            );
        }
        let sdp = String::from_utf8_lossy(&response.body).into_owned();
        let media_settings = &self.call.settings.media;
        self.record.findings.extend(sdp_check::check(
            &sdp,
            Kind::AnswerTo(&self.offer),
            media_settings.keys,
            media_settings.allow_private,
        ));
        if let Some(media) = &*self.media {
            if let Ok(Err(rejected)) = media.set_remote_sdp(&sdp).await {
                self.record
                    .findings
                    .violation(format!("Meta refuses the SDP answer: {}", rejected.text));
            }
            // The media task only ends with the call.
            let _ = media.call_answered().await;
        }
        if !media_settings.allow_private {
            let remarks = inspect_topology("200 OK", &response.headers);
            self.record.findings.extend(remarks);
        }
        let (dialog, remarks) = self.invite.establish(response);
        self.record.findings.extend(remarks);
        dialog
    }
}
