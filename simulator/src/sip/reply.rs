//! Responses Meta writes (RFC 3261 §8.2.6).

use std::net::SocketAddr;

use super::headers::Headers;
use super::identity::{ALLOW, DOMAIN, USER_AGENT};
use super::message::{Method, Request, Response};
use super::uri::Via;

/// The standard phrase where Meta shows no wording of its own.
fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// A response with the standard phrase.
pub fn reply(request: &Request, peer: SocketAddr, status: u16, to_tag: &str) -> Response {
    reply_because(request, peer, status, phrase(status), to_tag)
}

/// A response with a phrase of its own.
pub fn reply_because(
    request: &Request,
    peer: SocketAddr,
    status: u16,
    reason: &str,
    to_tag: &str,
) -> Response {
    let mut headers = Headers::default();
    for (position, via) in request.headers.elements("Via").into_iter().enumerate() {
        if position == 0 {
            headers.push("Via", mark_via(via, peer));
        } else {
            headers.push("Via", via);
        }
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let value = request.headers.first(name).unwrap_or("");
        if name == "To" && status > 100 && request.to_tag().is_none() {
            headers.push(name, format!("{value};tag={to_tag}"));
        } else {
            headers.push(name, value);
        }
    }
    headers.push("Allow", ALLOW);
    headers.push("X-FB-External-Domain", DOMAIN);
    headers.push("User-Agent", USER_AGENT);
    Response {
        status,
        reason: reason.to_owned(),
        headers,
        body: Vec::new(),
    }
}

/// RFC 3261 §18.2.1 and RFC 3581 §4: tell the sender where the request really came from.
fn mark_via(text: String, peer: SocketAddr) -> String {
    let Some(via) = Via::parse(&text) else {
        return text;
    };
    if !via.wants_rport() {
        return text;
    }
    let head = text.split(';').next().unwrap_or("").trim_end();
    let mut marked = head.to_owned();
    for parameter in &via.parameters {
        marked.push(';');
        marked.push_str(&parameter.name);
        if parameter.name.eq_ignore_ascii_case("rport") {
            marked.push_str(&format!("={}", peer.port()));
        } else if let Some(value) = &parameter.value {
            marked.push_str(&format!("={value}"));
        }
    }
    format!("{marked};received={}", peer.ip())
}

/// What Meta answers to a request that is part of nothing, and what that says about the business.
///
/// `None` stands for silence: an ACK is never answered.
pub fn reply_to_stray(request: &Request, peer: SocketAddr, to_tag: &str) -> Option<Stray> {
    let violation = |status: u16, text: String| {
        Some(Stray {
            response: reply(request, peer, status, to_tag),
            violation: Some(text),
        })
    };
    let method = &request.method;
    match method {
        Method::Ack => None,
        Method::Register => violation(
            403,
            "REGISTER reached Meta, which knows no registrations; the business' SIP server is \
             configured with the number instead"
                .to_owned(),
        ),
        Method::Options => Some(Stray {
            response: reply(request, peer, 200, to_tag),
            violation: None,
        }),
        Method::Bye | Method::Cancel => violation(
            481,
            format!(
                "{method} for a call Meta does not know (Call-ID {:?}); the Call-ID must come \
                 back unchanged",
                request.headers.first("Call-ID").unwrap_or("")
            ),
        ),
        Method::Invite if request.to_tag().is_some() => {
            violation(481, "re-INVITE for a call Meta does not know".to_owned())
        }
        Method::Invite => Some(Stray {
            response: reply(request, peer, 480, to_tag),
            violation: None,
        }),
        Method::Notify => Some(Stray {
            response: reply(request, peer, 481, to_tag),
            violation: None,
        }),
        Method::Other(name) => violation(
            405,
            format!("{name} reached Meta, which allows only {ALLOW}"),
        ),
    }
}

/// An answer outside any call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The answer.
    pub response: Response,
    /// What is wrong with the request, if anything.
    pub violation: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn request(method: &str) -> Request {
        let text = format!(
            "{method} sip:+49@wa.meta.vc;transport=tls SIP/2.0\r\n\
             Via: SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bK1;rport, SIP/2.0/UDP 10.0.0.5\r\n\
             From: <sip:+1@sbc.example.com>;tag=a\r\nTo: <sip:+49@wa.meta.vc>\r\n\
             Call-ID: c\r\nCSeq: 1 {method}\r\n"
        );
        match Message::parse(text.as_bytes(), Vec::new()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("not a request"),
        }
    }

    fn peer() -> SocketAddr {
        "192.0.2.1:40000".parse().unwrap()
    }

    #[test]
    fn vias_come_back_with_the_source_in_the_first() {
        let response = reply(&request("INVITE"), peer(), 180, "t");
        assert_eq!(
            response.headers.elements("Via"),
            [
                "SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bK1;rport=40000;received=192.0.2.1",
                "SIP/2.0/UDP 10.0.0.5"
            ]
        );
        assert_eq!(response.to_tag().as_deref(), Some("t"));
        assert_eq!(reply(&request("INVITE"), peer(), 100, "t").to_tag(), None);
    }

    #[test]
    fn requests_outside_calls_get_metas_refusals() {
        for (method, status, is_violation) in [
            ("REGISTER", 403, true),
            ("OPTIONS", 200, false),
            ("BYE", 481, true),
            ("UPDATE", 405, true),
            ("PRACK", 405, true),
            ("INFO", 405, true),
            ("REFER", 405, true),
            ("MESSAGE", 405, true),
        ] {
            let stray = reply_to_stray(&request(method), peer(), "t").unwrap();
            assert_eq!(stray.response.status, status, "{method}");
            assert_eq!(stray.violation.is_some(), is_violation, "{method}");
        }
        assert_eq!(reply_to_stray(&request("ACK"), peer(), "t"), None);
    }
}
