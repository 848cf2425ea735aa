//! A business-initiated call as Meta's gateway receives it: what it insists on before the user's
//! phone rings.
//!
//! ```text
//!   INVITE ── Request-URI ── 407 ── INVITE + credentials ── digest ── uri/To ── From ── 100, 180, 200
//!               404                                          403       403      400, 403
//! ```

use std::net::SocketAddr;

use crate::report::Remark;

use super::dialog::{Dialog, business_routes, contact_of, remote_of_invite};
use super::digest::{Algorithm, Challenge, Credentials};
use super::identity::{DOMAIN, EDGE_ROUTE, INNER_ROUTE};
use super::message::{Request, Response, name_address};
use super::random;
use super::reply::reply;
use super::uac::check_content_type;
use super::uri::SipUri;

/// The business as Meta's configuration knows it.
#[derive(Debug, Clone)]
pub struct Business {
    /// Its number with `+`.
    pub number: String,
    /// The password Meta generated for it.
    pub password: String,
    /// The configured host name.
    pub host: String,
}

/// How Meta challenges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Challenging {
    /// MD5 only, as in Meta's samples.
    Md5,
    /// SHA-256 only, as in a trace of May 2026.
    Sha256,
    /// Both, SHA-256 first (RFC 8760 §2.4).
    Both,
    /// No challenge at all, which Meta never does.
    None,
}

/// Why Meta refuses a call although nothing is wrong with its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Refusal {
    /// 400: the From number is not on the platform.
    AssetNotFound,
    /// 403: the From domain is not the configured server.
    ServerMismatch,
    /// 403: the user gave no permission to be called.
    Permission,
    /// 403: the app may not message for this number.
    App,
    /// 403: too many calls to this user today.
    DailyLimit,
    /// 403: a call between the two is up already.
    Duplicate,
    /// 403: the session description was not liked.
    Sdp,
    /// 408: the user's phone got no media.
    RtpTimeout,
    /// 480: nobody answered.
    NoAnswer,
    /// 486: the user declined.
    Declined,
    /// 500: something unexplained.
    Internal,
    /// 503: Meta is out of order.
    Unavailable,
}

impl Refusal {
    /// Status and reason phrase.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::AssetNotFound => (400, "Asset not found"),
            Self::ServerMismatch => (
                403,
                "SIP server from INVITE does not match any SIP server configured for the number",
            ),
            Self::Permission => (403, "No approved call permission from the recipient"),
            Self::App => (403, "App is not authorized for this phone number"),
            Self::DailyLimit => (403, "Limit of connected calls per day was reached"),
            Self::Duplicate => (403, "A call with this user is already in progress"),
            Self::Sdp => (403, "SDP Validation error"),
            Self::RtpTimeout => (408, "RTP Timeout"),
            Self::NoAnswer => (480, "Temporarily Unavailable"),
            Self::Declined => (486, "Busy Here"),
            Self::Internal => (500, "Server Internal Error"),
            Self::Unavailable => (503, "Service Unavailable"),
        }
    }

    /// Whether the user's phone rings before this happens.
    pub fn comes_after_ringing(self) -> bool {
        matches!(self, Self::RtpTimeout | Self::NoAnswer | Self::Declined)
    }
}

/// What to do with an INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send 407 with these challenges.
    Challenge(Vec<Challenge>),
    /// Refuse.
    Refuse {
        /// The status.
        status: u16,
        /// The reason phrase.
        phrase: String,
    },
    /// Let the phone ring.
    Accept,
}

/// One incoming call up to the point where it is let in.
#[derive(Debug)]
pub struct Reception {
    businesses: Vec<Business>,
    challenging: Challenging,
    challenged: Option<(Request, Vec<Challenge>)>,
}

impl Reception {
    /// Waits for the first INVITE of a call.
    pub fn new(businesses: Vec<Business>, challenging: Challenging) -> Self {
        Self {
            businesses,
            challenging,
            challenged: None,
        }
    }

    /// Decides about an INVITE without To tag.
    pub fn receive(&mut self, invite: &Request) -> (Decision, Vec<Remark>) {
        let mut remarks = Vec::new();
        let decision = self.decide(invite, &mut remarks);
        (decision, remarks)
    }

    fn decide(&mut self, invite: &Request, remarks: &mut Vec<Remark>) -> Decision {
        if let Err(refused) = check_request_uri(invite, remarks) {
            return refused;
        }
        if self.challenging != Challenging::None {
            let authorization = invite.headers.first("Proxy-Authorization");
            let (first, challenges) = match (&self.challenged, authorization) {
                (None, Some(_)) => {
                    remarks.push(Remark::note(
                        "the first INVITE came with credentials before anything was asked",
                    ));
                    return self.challenge(invite);
                }
                (None, None) => return self.challenge(invite),
                (Some(challenged), _) => challenged.clone(),
            };
            check_repetition(&first, invite, remarks);
            let Some(authorization) = authorization else {
                remarks.push(Remark::violation(
                    "the INVITE after the 407 came without Proxy-Authorization",
                ));
                return refuse(403, "Forbidden");
            };
            if let Err(refused) = self.check_digest(invite, authorization, &challenges, remarks) {
                return refused;
            }
        }
        self.check_caller(invite, remarks)
            .err()
            .unwrap_or(Decision::Accept)
    }

    fn challenge(&mut self, invite: &Request) -> Decision {
        let algorithms: &[Algorithm] = match self.challenging {
            Challenging::Md5 | Challenging::None => &[Algorithm::Md5],
            Challenging::Sha256 => &[Algorithm::Sha256],
            Challenging::Both => &[Algorithm::Sha256, Algorithm::Md5],
        };
        let challenges: Vec<Challenge> = algorithms
            .iter()
            .map(|&algorithm| Challenge::of_meta(DOMAIN, algorithm))
            .collect();
        self.challenged = Some((invite.clone(), challenges.clone()));
        Decision::Challenge(challenges)
    }

    fn business_of(&self, invite: &Request) -> Option<&Business> {
        let from = name_address(&invite.headers, "From")?.uri()?;
        let number = from.number()?.trim_start_matches('+').to_owned();
        self.businesses
            .iter()
            .find(|business| business.number.trim_start_matches('+') == number)
    }

    fn check_digest(
        &self,
        invite: &Request,
        authorization: &str,
        challenges: &[Challenge],
        remarks: &mut Vec<Remark>,
    ) -> Result<(), Decision> {
        let credentials = Credentials::parse(authorization).map_err(|reason| {
            remarks.push(Remark::violation(format!(
                "the credentials {reason}: {authorization}"
            )));
            refuse(403, "Forbidden")
        })?;
        check_uri_against_to(invite, &credentials.uri, remarks)?;
        let business = self.business_of(invite).ok_or_else(|| {
            remarks.push(Remark::violation(format!(
                "the From number is not one of the business' numbers: {}",
                invite.headers.first("From").unwrap_or("")
            )));
            let (status, phrase) = Refusal::AssetNotFound.status();
            refuse(status, phrase)
        })?;
        let expected = business.number.trim_start_matches('+');
        if credentials.username != expected {
            remarks.push(Remark::violation(format!(
                "the digest user name is {:?}; Meta expects {expected:?}, the From number without \
                 its +",
                credentials.username
            )));
            return Err(refuse(403, "Forbidden"));
        }
        let algorithm = credentials.algorithm.unwrap_or(Algorithm::Md5);
        // An algorithm that was not offered is judged against the first challenge, and fails.
        let challenge = challenges
            .iter()
            .find(|challenge| challenge.algorithm == algorithm)
            .or(challenges.first());
        let outcome = challenge.map_or(Err("nothing was asked".to_owned()), |challenge| {
            credentials.verify(challenge, &business.password, "INVITE")
        });
        outcome.map_err(|reason| {
            remarks.push(Remark::violation(format!("digest: {reason}")));
            refuse(403, "Forbidden")
        })?;
        if credentials.protection.is_none() {
            remarks.push(Remark::note(
                "the credentials use no qop although Meta offers qop=\"auth\"",
            ));
        }
        Ok(())
    }

    fn check_caller(&self, invite: &Request, remarks: &mut Vec<Remark>) -> Result<(), Decision> {
        let from = name_address(&invite.headers, "From").and_then(|address| address.uri());
        let Some((from, business)) = from.zip(self.business_of(invite)) else {
            remarks.push(Remark::violation(format!(
                "the From number is not one of the business' numbers: {}",
                invite.headers.first("From").unwrap_or("")
            )));
            let (status, phrase) = Refusal::AssetNotFound.status();
            return Err(refuse(status, phrase));
        };
        if !from.user.as_deref().unwrap_or("").starts_with('+') {
            remarks.push(Remark::violation(
                "the From number has no +; with Meta such calls fail now and then",
            ));
        }
        let is_configured = from.host.eq_ignore_ascii_case(&business.host)
            || business
                .host
                .to_ascii_lowercase()
                .ends_with(&format!(".{}", from.host.to_ascii_lowercase()));
        if !is_configured {
            remarks.push(Remark::violation(format!(
                "the From domain is {}; Meta expects the configured host name {}",
                from.host, business.host
            )));
            return Err(refuse(
                403,
                &format!(
                    "SIP server {} from INVITE does not match any SIP server configured for the \
                     number",
                    from.host
                ),
            ));
        }
        if let Err(reason) = contact_of(&invite.headers, "INVITE") {
            remarks.push(Remark::violation(reason));
            return Err(refuse(400, "Bad Request"));
        }
        check_content_type(&invite.headers, remarks);
        Ok(())
    }
}

fn refuse(status: u16, phrase: &str) -> Decision {
    Decision::Refuse {
        status,
        phrase: phrase.to_owned(),
    }
}

fn check_request_uri(invite: &Request, remarks: &mut Vec<Remark>) -> Result<(), Decision> {
    let mut not_found = |reason: String| {
        remarks.push(Remark::violation(reason));
        Err(refuse(404, "Not Found"))
    };
    let Some(uri) = invite.sip_uri() else {
        return not_found(format!("the Request-URI is no SIP URI: {}", invite.uri));
    };
    if uri.secure {
        return not_found(format!(
            "the Request-URI is sips: ({}); Meta wants sip: with ;transport=tls",
            invite.uri
        ));
    }
    if uri.address().is_some() {
        return not_found(format!(
            "the Request-URI holds an IP address ({}); Meta wants {DOMAIN}",
            invite.uri
        ));
    }
    if !uri.host.eq_ignore_ascii_case(DOMAIN) {
        return not_found(format!(
            "the Request-URI names {} instead of {DOMAIN}",
            uri.host
        ));
    }
    if !uri.is_transport_tls() {
        remarks.push(Remark::note(
            "the Request-URI has no ;transport=tls, which all of Meta's samples have",
        ));
    }
    let user = uri.user.as_deref().unwrap_or("");
    // A business-scoped user id looks like CC.digits and has no +.
    if !user.starts_with('+') && !user.contains('.') {
        remarks.push(Remark::violation(format!(
            "the called number {user:?} has no +; with Meta such calls fail now and then"
        )));
    }
    check_to(invite, &uri, remarks);
    Ok(())
}

fn check_to(invite: &Request, uri: &SipUri, remarks: &mut Vec<Remark>) {
    let to = name_address(&invite.headers, "To").and_then(|address| address.uri());
    let is_same = to.is_some_and(|to| {
        to.user == uri.user && to.host.eq_ignore_ascii_case(DOMAIN) && !to.secure
    });
    if !is_same {
        remarks.push(Remark::violation(format!(
            "To is {}; Meta wants <sip:{}@{DOMAIN}>, the called user at its domain",
            invite.headers.first("To").unwrap_or(""),
            uri.user.as_deref().unwrap_or("")
        )));
    }
}

/// Meta's 403 for a digest `uri` that does not fit the `To`.
///
/// No rule is published. Known to pass: To without and `uri` with `;transport=tls` (Meta's sample),
/// To with and `uri` without it (a trace). Known to fail: both with it.
fn check_uri_against_to(
    invite: &Request,
    digest_uri: &str,
    remarks: &mut Vec<Remark>,
) -> Result<(), Decision> {
    let to = name_address(&invite.headers, "To");
    let to_uri = to.as_ref().and_then(|address| address.uri());
    let uri = SipUri::parse(digest_uri);
    let is_same_user = match (&to_uri, &uri) {
        (Some(to), Some(uri)) => to.user == uri.user && to.host.eq_ignore_ascii_case(&uri.host),
        _ => false,
    };
    let to_says_tls = to_uri.is_some_and(|to| to.parameter("transport").is_some())
        || to.is_some_and(|to| to.parameter("transport").is_some());
    let uri_says_tls = uri.is_some_and(|uri| uri.parameter("transport").is_some());
    if is_same_user && !(to_says_tls && uri_says_tls) {
        return Ok(());
    }
    remarks.push(Remark::violation(format!(
        "the digest uri {digest_uri} does not fit To {}; write To as <sip:+number@{DOMAIN}> and \
         digest over the Request-URI",
        invite.headers.first("To").unwrap_or("")
    )));
    Err(refuse(403, "Proxy auth uri does not match SIP \"to\" uri"))
}

/// The INVITE with credentials is the first one again, CSeq + 1 (RFC 3261 §22.2).
fn check_repetition(first: &Request, second: &Request, remarks: &mut Vec<Remark>) {
    let (before, after) = (first.sequence(), second.sequence());
    if after != before.saturating_add(1) {
        remarks.push(Remark::violation(format!(
            "the INVITE with credentials has CSeq {after}, it must be {} (the first had {before})",
            before.saturating_add(1)
        )));
    }
    if first.from_tag() != second.from_tag() {
        remarks.push(Remark::violation(
            "the INVITE with credentials has another From tag than the first",
        ));
    }
    if first.branch() == second.branch() {
        remarks.push(Remark::violation(
            "the INVITE with credentials has the branch of the first: it is a new transaction",
        ));
    }
    if first.body != second.body {
        remarks.push(Remark::violation(
            "the INVITE with credentials has another session description than the first",
        ));
    }
}

/// The 200 OK for an INVITE and the dialog it makes.
pub fn accept(
    invite: &Request,
    peer: SocketAddr,
    to_tag: &str,
    sdp: String,
) -> (Response, Option<Dialog>, Vec<Remark>) {
    let user = invite
        .sip_uri()
        .and_then(|uri| uri.user)
        .unwrap_or_default();
    let contact = format!(
        "sip:{user}@{DOMAIN};transport=tls;ob;\
         X-FB-Sip-Smc-Tier=collaboration.sip_gateway.sip.prod"
    );
    let mut response = reply(invite, peer, 200, to_tag);
    let came = invite.headers.elements("Record-Route");
    let headers = &mut response.headers;
    headers.push("Record-Route", INNER_ROUTE);
    headers.push("Record-Route", EDGE_ROUTE);
    for route in came {
        headers.push("Record-Route", route);
    }
    headers.push("Contact", format!("<{contact}>;isfocus"));
    headers.push("Supported", "timer");
    headers.push("Content-Type", "application/sdp");
    response.body = sdp.into_bytes();

    let (remote_routes, mut remarks) = business_routes(&invite.headers, false);
    let dialog = match contact_of(&invite.headers, "INVITE") {
        Err(reason) => {
            remarks.push(Remark::violation(reason));
            None
        }
        Ok(remote_target) => Some(Dialog {
            call_id: invite.headers.first("Call-ID").unwrap_or("").to_owned(),
            local: format!("{};tag={to_tag}", invite.headers.first("To").unwrap_or("")),
            remote: remote_of_invite(invite),
            contact,
            local_sequence: random::sequence(),
            remote_sequence: Some(invite.sequence()),
            remote_target,
            remote_routes,
        }),
    };
    (response, dialog, remarks)
}

#[cfg(test)]
mod tests;
