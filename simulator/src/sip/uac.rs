//! A user-initiated call as Meta's gateway writes it: INVITE, answer to the challenge, ACK, CANCEL.
//!
//! The shape is that of the sample messages of Meta's SIP guide: a Call-ID that holds `:` and `=`,
//! two `Record-Route`s, three `Via`s with IPv6 literals that nothing can be sent to, a `Contact`
//! with `;ob` and `;isfocus`. Stacks trip over each of them.

use crate::report::Remark;

use super::dialog::{Dialog, business_routes, contact_of, remote_of, vias};
use super::digest::Challenge;
use super::headers::Headers;
use super::identity::{ALLOW, DOMAIN, INNER_ROUTE, USER_AGENT, route_set};
use super::message::{Method, Request, Response};
use super::random;
use super::uri::NameAddress;

/// Who calls whom, and with which peculiarities.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The calling user: a number with `+`, or a business-scoped id such as `US.13491208655302741`.
    pub user: String,
    /// The display name; digits of the number when absent.
    pub display_name: Option<String>,
    /// The called number with `+`.
    pub business: String,
    /// The business' configured host name: in Request-URI and To.
    pub host: String,
    /// A port behind the host name, when the business listens elsewhere than on 5061.
    pub port: Option<u16>,
    /// User parameters of the Request-URI, `tgrp=..;trunk-context=..`.
    pub user_parameters: Option<String>,
    /// Whether a `Route` header naming Meta's inner proxy is left in, as one published sample has.
    pub preloaded_route: bool,
    /// `x-wa-meta-*` headers beyond the wacid, name and value.
    pub extra_headers: Vec<(String, String)>,
}

/// One call's INVITE as long as it has no final answer.
#[derive(Debug, Clone)]
pub struct Invite {
    caller: Caller,
    sdp: String,
    call_id: String,
    from: String,
    sequence: u32,
    request: Request,
}

impl Invite {
    /// The first INVITE of a new call.
    pub fn new(caller: Caller, sdp: String) -> Self {
        let call_id = format!("outgoing:{}", random::wacid(&caller.user));
        let digits = caller.user.trim_start_matches('+');
        let from = format!(
            "\"{}\" <sip:{}@{DOMAIN}>;tag={}",
            caller.display_name.as_deref().unwrap_or(digits),
            caller.user,
            random::hex::<16>()
        );
        let mut invite = Self {
            caller,
            sdp,
            call_id,
            from,
            sequence: random::sequence(),
            request: Request::new(Method::Invite, ""),
        };
        invite.request = invite.write(None);
        invite
    }

    /// The INVITE to send now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The call.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The call's name at Meta, which is the Call-ID without its first word.
    pub fn wacid(&self) -> &str {
        self.call_id.trim_start_matches("outgoing:")
    }

    fn request_uri(&self) -> String {
        let Caller {
            business,
            host,
            port,
            user_parameters,
            ..
        } = &self.caller;
        let parameters = user_parameters
            .as_ref()
            .map_or_else(String::new, |parameters| format!(";{parameters}"));
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("sip:{business}{parameters}@{host}{port};transport=tls")
    }

    /// Meta's `Contact` URI in this call.
    fn contact(&self) -> String {
        format!("sip:{}@{DOMAIN};transport=tls;ob", self.caller.user)
    }

    fn write(&self, authorization: Option<(&str, String)>) -> Request {
        let mut request = Request::new(Method::Invite, self.request_uri());
        let headers = &mut request.headers;
        for route in route_set() {
            headers.push("Record-Route", route);
        }
        for via in vias(&random::branch()) {
            headers.push("Via", via);
        }
        if self.caller.preloaded_route {
            headers.push("Route", INNER_ROUTE);
        }
        headers.push("Max-Forwards", "69");
        headers.push("From", self.from.clone());
        headers.push(
            "To",
            format!("<sip:{}@{}>", self.caller.business, self.caller.host),
        );
        headers.push("Contact", format!("<{}>;isfocus", self.contact()));
        headers.push("Call-ID", self.call_id.clone());
        headers.push("CSeq", format!("{} INVITE", self.sequence));
        if let Some((name, value)) = authorization {
            headers.push(name, value);
        }
        headers.push("Allow", ALLOW);
        headers.push("X-FB-External-Domain", DOMAIN);
        headers.push("User-Agent", USER_AGENT);
        headers.push("x-wa-meta-wacid", self.wacid().to_owned());
        for (name, value) in &self.caller.extra_headers {
            headers.push(name, value.clone());
        }
        headers.push("Content-Type", "application/sdp");
        request.body = self.sdp.clone().into_bytes();
        request
    }

    /// Answers a 401 or 407 as Meta does: user name without `+`, `uri` without `;transport=tls`,
    /// CSeq + 1, new branch, same Call-ID, From tag and SDP.
    pub fn authenticate(
        &mut self,
        response: &Response,
        password: &str,
    ) -> Result<Vec<Remark>, String> {
        let (asking, answering) = match response.status {
            401 => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let status = response.status;
        let challenges: Vec<&str> = response.headers.all(asking).collect();
        if challenges.is_empty() {
            return Err(format!("{status} came without {asking}"));
        }
        let mut remarks = Vec::new();
        let mut readable = Vec::new();
        for challenge in challenges {
            match Challenge::parse(challenge) {
                Ok(challenge) => readable.push(challenge),
                Err(reason) => remarks.push(Remark::violation(format!(
                    "{asking} in the {status} {reason}: {challenge}"
                ))),
            }
        }
        // RFC 8760 §2.4: the topmost challenge that is understood.
        let Some(challenge) = readable.into_iter().next() else {
            return Err(format!("{status} came without a usable {asking}"));
        };
        if challenge.offers_auth != Some(true) {
            remarks.push(Remark::note(format!(
                "{asking} in the {status} has no qop=\"auth\", which Meta is documented to use"
            )));
        }
        self.sequence += 1;
        let username = self.caller.business.trim_start_matches('+');
        let uri = format!("sip:{}@{}", self.caller.business, self.caller.host);
        let credentials = challenge
            .answer(username, password, "INVITE", &uri)
            .ok_or_else(|| {
                format!(
                    "this system's policy forbids {}",
                    challenge.algorithm.as_str()
                )
            })?;
        self.request = self.write(Some((answering, credentials.to_string())));
        Ok(remarks)
    }

    /// The ACK for a failure, which belongs to the INVITE's transaction (RFC 3261 §17.1.1.3).
    pub fn acknowledge_failure(&self, response: &Response) -> Request {
        let mut ack = self.same_transaction(Method::Ack);
        let to = response.headers.first("To").unwrap_or("").to_owned();
        ack.headers.push("To", to);
        ack
    }

    /// The CANCEL for the INVITE (RFC 3261 §9.1).
    pub fn cancel(&self) -> Request {
        let mut cancel = self.same_transaction(Method::Cancel);
        let to = self.request.headers.first("To").unwrap_or("").to_owned();
        cancel.headers.push("To", to);
        cancel
    }

    fn same_transaction(&self, method: Method) -> Request {
        let mut request = Request::new(method, self.request.uri.clone());
        let sent = &self.request.headers;
        let headers = &mut request.headers;
        // Each hop of Meta's makes these anew, so only the topmost Via is the same.
        for via in sent.all("Via") {
            headers.push("Via", via.to_owned());
        }
        for route in sent.all("Route") {
            headers.push("Route", route.to_owned());
        }
        headers.push("Max-Forwards", "69");
        headers.push("From", self.from.clone());
        headers.push("Call-ID", self.call_id.clone());
        headers.push("CSeq", format!("{} {}", self.sequence, request.method));
        let headers = &mut request.headers;
        headers.push("User-Agent", USER_AGENT);
        request
    }

    /// The dialog a 200 OK makes, with what is wrong about that 200 OK.
    pub fn establish(&self, response: &Response) -> (Option<Dialog>, Vec<Remark>) {
        let (remote_routes, mut remarks) = business_routes(&response.headers, true);
        let remote_target = match contact_of(&response.headers, "200 OK") {
            Ok(contact) => contact,
            Err(reason) => {
                remarks.push(Remark::violation(reason));
                return (None, remarks);
            }
        };
        if response.to_tag().is_none() {
            // inspect_echo has said so already.
            return (None, remarks);
        }
        check_content_type(&response.headers, &mut remarks);
        let dialog = Dialog {
            call_id: self.call_id.clone(),
            local: self.from.clone(),
            remote: remote_of(response),
            contact: self.contact(),
            local_sequence: self.sequence,
            remote_sequence: None,
            remote_target,
            remote_routes,
        };
        self.check_next_hop(&dialog, &mut remarks);
        (Some(dialog), remarks)
    }

    fn check_next_hop(&self, dialog: &Dialog, remarks: &mut Vec<Remark>) {
        let Some(uri) = dialog.next_hop().as_ref().and_then(NameAddress::uri) else {
            return;
        };
        if !uri.secure && !uri.is_transport_tls() {
            remarks.push(Remark::violation(format!(
                "the first hop of the business' route set ({}) is not transport=tls: Meta's ACK \
                 and BYE cannot reach it",
                uri.host
            )));
        }
        if !uri.host.eq_ignore_ascii_case(&self.caller.host) {
            remarks.push(Remark::note(format!(
                "the first hop of the business' route set is {} and not {}: should Meta open a \
                 new connection, the certificate will not fit that name",
                uri.host, self.caller.host
            )));
        }
    }
}

/// A body must say what it is.
pub fn check_content_type(headers: &Headers, remarks: &mut Vec<Remark>) {
    let content_type = headers.first("Content-Type").unwrap_or("none");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    if !media_type.eq_ignore_ascii_case("application/sdp") {
        remarks.push(Remark::violation(format!(
            "the session description came as Content-Type {content_type}"
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::digest::{Algorithm, Credentials};
    use crate::sip::message::Message;
    use crate::sip::reply::reply;
    use crate::sip::uri::{SipUri, Via};

    fn caller() -> Caller {
        Caller {
            user: "+4915112345678".to_owned(),
            display_name: None,
            business: "+15550001111".to_owned(),
            host: "sbc.example.com".to_owned(),
            port: None,
            user_parameters: None,
            preloaded_route: false,
            extra_headers: Vec::new(),
        }
    }

    fn peer() -> std::net::SocketAddr {
        "192.0.2.1:5061".parse().unwrap()
    }

    #[test]
    fn the_invite_has_the_shape_of_metas_samples() {
        let invite = Invite::new(caller(), "v=0\r\n".to_owned());
        let request = invite.request();
        assert_eq!(
            request.uri,
            "sip:+15550001111@sbc.example.com;transport=tls"
        );
        let headers = &request.headers;
        assert!(invite.call_id().starts_with("outgoing:wacid."));
        assert!(invite.call_id().ends_with("=="));
        assert_eq!(headers.elements("Record-Route"), route_set());
        let vias = headers.elements("Via");
        assert_eq!(vias.len(), 3);
        for via in &vias {
            let via = Via::parse(via).unwrap();
            assert!(via.sent_by.starts_with("[2001:db8:"));
            assert!(via.parameters.iter().any(|known| known.name == "alias"));
        }
        assert!(Via::parse(&vias[0]).unwrap().wants_rport());
        assert_eq!(
            headers.first("Contact"),
            Some("<sip:+4915112345678@wa.meta.vc;transport=tls;ob>;isfocus")
        );
        assert_eq!(headers.first("User-Agent"), Some("Facebook SipGateway"));
        assert_eq!(headers.first("X-FB-External-Domain"), Some("wa.meta.vc"));
        assert_eq!(headers.first("Route"), None);
    }

    #[test]
    fn switches_change_user_part_route_and_caller() {
        let invite = Invite::new(
            Caller {
                user: "US.13491208655302741".to_owned(),
                user_parameters: Some("tgrp=a;trunk-context=b.example.com".to_owned()),
                preloaded_route: true,
                ..caller()
            },
            String::new(),
        );
        let request = invite.request();
        let uri = SipUri::parse(&request.uri).unwrap();
        assert_eq!(uri.number(), Some("+15550001111"));
        assert!(
            request
                .uri
                .contains(";tgrp=a;trunk-context=b.example.com@sbc")
        );
        assert_eq!(request.headers.first("Route"), Some(INNER_ROUTE));
        let from = request.headers.first("From").unwrap();
        assert!(
            from.contains("<sip:US.13491208655302741@wa.meta.vc>"),
            "{from}"
        );
    }

    #[test]
    fn a_challenge_is_answered_the_way_meta_does() {
        for (status, asking, answering) in [
            (407, "Proxy-Authenticate", "Proxy-Authorization"),
            (401, "WWW-Authenticate", "Authorization"),
        ] {
            let mut invite = Invite::new(caller(), "v=0\r\n".to_owned());
            let first = invite.request().clone();
            let challenge = Challenge::of_meta("sbc.example.com", Algorithm::Sha256);
            let mut response = reply(&first, peer(), status, "t");
            response.headers.push(asking, challenge.to_string());
            assert_eq!(invite.authenticate(&response, "secret"), Ok(Vec::new()));

            let second = invite.request();
            assert_eq!(second.sequence(), first.sequence() + 1);
            assert_ne!(second.branch(), first.branch());
            assert_eq!(second.from_tag(), first.from_tag());
            assert_eq!(
                second.headers.first("Call-ID"),
                first.headers.first("Call-ID")
            );
            assert_eq!(second.body, first.body);
            let credentials = Credentials::parse(second.headers.first(answering).unwrap()).unwrap();
            assert_eq!(credentials.username, "15550001111");
            assert_eq!(credentials.uri, "sip:+15550001111@sbc.example.com");
            assert_eq!(credentials.verify(&challenge, "secret", "INVITE"), Ok(()));
        }
    }

    #[test]
    fn a_407_with_the_header_of_a_401_cannot_be_answered() {
        let mut invite = Invite::new(caller(), String::new());
        let mut response = reply(invite.request(), peer(), 407, "t");
        let challenge = Challenge::of_meta("x", Algorithm::Md5);
        response
            .headers
            .push("WWW-Authenticate", challenge.to_string());
        assert!(invite.authenticate(&response, "secret").is_err());
    }

    #[test]
    fn ack_for_failures_and_cancel_stay_in_the_transaction() {
        let invite = Invite::new(
            Caller {
                preloaded_route: true,
                ..caller()
            },
            String::new(),
        );
        let response = reply(invite.request(), peer(), 486, "biz");
        let ack = invite.acknowledge_failure(&response);
        let cancel = invite.cancel();
        for request in [&ack, &cancel] {
            assert_eq!(request.branch(), invite.request().branch());
            assert_eq!(request.sequence(), invite.request().sequence());
            assert_eq!(request.uri, invite.request().uri);
            assert_eq!(request.headers.first("Route"), Some(INNER_ROUTE));
        }
        assert_eq!(ack.to_tag().as_deref(), Some("biz"));
        assert_eq!(cancel.to_tag(), None);
        let text = String::from_utf8(cancel.to_bytes()).unwrap();
        let head = text.strip_suffix("\r\n\r\n").unwrap();
        assert!(Message::parse(head.as_bytes(), Vec::new()).is_ok());
    }

    #[test]
    fn a_200_makes_a_dialog_with_the_business_routes() {
        let invite = Invite::new(caller(), String::new());
        let mut response = reply(invite.request(), peer(), 200, "biz");
        response.headers.push(
            "Record-Route",
            "<sip:sbc.example.com:5061;transport=tls;lr>",
        );
        for route in route_set() {
            response.headers.push("Record-Route", route);
        }
        response.headers.push("Contact", "<sip:pbx@10.0.0.9>");
        response.headers.push("Content-Type", "application/sdp");
        let (dialog, remarks) = invite.establish(&response);
        assert_eq!(remarks, []);
        let mut dialog = dialog.unwrap();
        let ack = dialog.request(Method::Ack, vias(&random::branch()));
        assert_eq!(ack.sequence(), invite.request().sequence());
        assert_eq!(ack.uri, "sip:pbx@10.0.0.9");
        assert_eq!(ack.headers.elements("Route").len(), 1);
    }
}
