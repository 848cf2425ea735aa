//! What must not be in a message that reaches Meta.
//!
//! Meta's gateway refreshes no session (a re-INVITE gets 500), knows no reliable provisional
//! responses, and is no place for headers meant for the inside of the business' network.

use crate::report::Remark;

use super::headers::Headers;
use super::message::{Message, Request, Response};
use super::sdp_check::is_private;
use super::uri::NameAddress;

/// Headers of Meta's own that may come back.
const OWN_PREFIXES: [&str; 2] = ["x-fb-", "x-wa-meta-"];
/// Headers without the prefix `X-` or `P-` that tell about the inside of a network all the same.
const INTERNAL_NAMES: [&str; 3] = ["Remote-Party-ID", "Diversion", "History-Info"];

/// Looks through a message from the business. `allowed` lists header names an operator accepts.
pub fn inspect(message: &Message, allowed: &[String]) -> Vec<Remark> {
    let what = match message {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => response.status.to_string(),
    };
    let headers = message.headers();
    let mut remarks = Vec::new();
    inspect_internal(&what, headers, allowed, &mut remarks);
    inspect_extensions(&what, headers, &mut remarks);
    remarks
}

fn inspect_internal(what: &str, headers: &Headers, allowed: &[String], remarks: &mut Vec<Remark>) {
    for field in headers.iter() {
        let name = field.name.to_ascii_lowercase();
        let is_private = name.starts_with("x-") || name.starts_with("p-");
        let is_own = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let is_internal = (is_private && !is_own)
            || INTERNAL_NAMES
                .iter()
                .any(|internal| internal.eq_ignore_ascii_case(&name));
        let is_allowed = allowed
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&name));
        if is_internal && !is_allowed {
            remarks.push(Remark::violation(format!(
                "{what} reached Meta with the internal header {}: {}",
                field.name, field.value
            )));
        }
    }
}

fn inspect_extensions(what: &str, headers: &Headers, remarks: &mut Vec<Remark>) {
    for name in ["Session-Expires", "Min-SE"] {
        if let Some(value) = headers.first(name) {
            remarks.push(Remark::violation(format!(
                "{what} reached Meta with {name}: {value}; Meta refreshes no session and answers \
                 a re-INVITE with 500"
            )));
        }
    }
    for option in ["timer", "100rel"] {
        for name in ["Supported", "Require", "Proxy-Require"] {
            if headers.has_token(name, option) {
                remarks.push(Remark::violation(format!(
                    "{what} reached Meta with {name}: {option}; remove it towards Meta"
                )));
            }
        }
    }
    for option in headers.elements("Require") {
        if !["timer", "100rel"].contains(&option.to_ascii_lowercase().as_str()) {
            remarks.push(Remark::violation(format!(
                "{what} reached Meta with Require: {option}, which Meta is not known to support"
            )));
        }
    }
}

/// Checks that a response echoes what RFC 3261 §8.2.6.2 says it must.
pub fn inspect_echo(request: &Request, response: &Response) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let (sent, received) = (&request.headers, &response.headers);
    let status = response.status;
    let vias = |headers: &Headers| -> Vec<String> {
        headers
            .elements("Via")
            .iter()
            .map(|via| via.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let (sent_vias, received_vias) = (vias(sent), vias(received));
    let is_first_kept = match (sent_vias.first(), received_vias.first()) {
        // The first may gain received and a value for rport.
        (Some(sent), Some(received)) => is_same_via(sent, received),
        _ => false,
    };
    if !is_first_kept || sent_vias.get(1..) != received_vias.get(1..) {
        remarks.push(Remark::violation(format!(
            "{status} came back with changed Via headers: sent {sent_vias:?}, got {received_vias:?}"
        )));
    }
    for name in ["From", "Call-ID"] {
        let (sent, received) = (sent.first(name), received.first(name));
        if !is_same_address(sent, received) {
            remarks.push(Remark::violation(format!(
                "{status} came back with a changed {name}: sent {sent:?}, got {received:?}"
            )));
        }
    }
    if status > 100 && response.to_tag().is_none() {
        remarks.push(Remark::violation(format!(
            "{status} came without a tag in To (RFC 3261 §8.2.6.2)"
        )));
    }
    remarks
}

/// Looks for addresses of the inside of a network in the headers Meta stores for a call. They do
/// not harm the call, they tell strangers about the network.
pub fn inspect_topology(what: &str, headers: &Headers) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for name in ["Contact", "Record-Route"] {
        for entry in headers.elements(name) {
            let address = NameAddress::parse(&entry)
                .and_then(|entry| entry.uri())
                .and_then(|uri| uri.address());
            if address.is_some_and(is_private) {
                remarks.push(Remark::note(format!(
                    "{what} shows an address from inside the business' network in {name}: {entry}"
                )));
            }
        }
    }
    remarks
}

fn is_same_via(sent: &str, received: &str) -> bool {
    let strip = |text: &str| -> Vec<String> {
        text.split(';')
            .map(|part| part.trim().to_owned())
            .filter(|part| {
                let name = part.split('=').next().unwrap_or("");
                !name.eq_ignore_ascii_case("rport") && !name.eq_ignore_ascii_case("received")
            })
            .collect()
    };
    strip(sent) == strip(received)
}

fn is_same_address(sent: Option<&str>, received: Option<&str>) -> bool {
    if sent == received {
        return true;
    }
    match (
        sent.and_then(NameAddress::parse),
        received.and_then(NameAddress::parse),
    ) {
        (Some(sent), Some(received)) => {
            sent.uri_text == received.uri_text
                && sent.tag().is_some()
                && sent.tag() == received.tag()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(extra: &str) -> Message {
        let text = format!(
            "INVITE sip:+49@wa.meta.vc;transport=tls SIP/2.0\r\n\
             Via: SIP/2.0/TLS a;branch=z9hG4bK1;rport\r\nVia: SIP/2.0/TLS b;branch=z9hG4bK2\r\n\
             From: \"x\" <sip:+1@sbc.example.com>;tag=a\r\nTo: <sip:+49@wa.meta.vc>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\n{extra}"
        );
        Message::parse(text.as_bytes(), Vec::new()).unwrap()
    }

    fn texts(extra: &str, allowed: &[&str]) -> Vec<String> {
        let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        inspect(&invite(extra), &allowed)
            .into_iter()
            .map(|remark| remark.text)
            .collect()
    }

    #[test]
    fn internal_headers_are_reported_by_name() {
        for header in [
            "P-Asserted-Identity",
            "X-Tenant",
            "p-charging-vector",
            "Diversion",
        ] {
            let found = texts(&format!("{header}: secret\r\n"), &[]);
            assert_eq!(found.len(), 1, "{header}");
            assert!(found[0].contains(header), "{}", found[0]);
        }
        assert!(
            texts(
                "X-FB-External-Domain: wa.meta.vc\r\nx-wa-meta-wacid: a\r\n",
                &[]
            )
            .is_empty()
        );
        assert!(texts("X-Tenant: 1\r\n", &["x-tenant"]).is_empty());
    }

    #[test]
    fn session_timers_and_reliable_provisionals_are_reported() {
        assert_eq!(texts("Supported: replaces, timer\r\n", &[]).len(), 1);
        assert_eq!(texts("k: 100rel\r\n", &[]).len(), 1);
        assert_eq!(
            texts("Session-Expires: 1800\r\nMin-SE: 90\r\n", &[]).len(),
            2
        );
        assert_eq!(texts("Require: precondition\r\n", &[]).len(), 1);
        assert!(texts("Supported: replaces, outbound\r\n", &[]).is_empty());
    }

    #[test]
    fn addresses_from_inside_are_noted_and_names_are_not() {
        let mut headers = Headers::default();
        headers.push("Contact", "<sip:pbx@10.0.0.9:5060>");
        headers.push(
            "Record-Route",
            "<sip:sbc.example.com;lr>, <sip:192.168.1.1;lr>",
        );
        let remarks = inspect_topology("200 OK", &headers);
        assert_eq!(remarks.len(), 2, "{remarks:?}");
        assert!(remarks[0].text.contains("10.0.0.9"));
    }

    #[test]
    fn a_response_may_only_add_received_and_rport() {
        let Message::Request(request) = invite("") else {
            panic!("not a request");
        };
        let peer = "192.0.2.7:4000".parse().unwrap();
        let good = super::super::reply::reply(&request, peer, 200, "t");
        assert_eq!(inspect_echo(&request, &good), []);

        let mut stripped = good.clone();
        stripped.headers = Headers::default();
        for field in good.headers.iter() {
            if !field.value.contains("z9hG4bK2") {
                stripped.headers.push(&field.name, field.value.clone());
            }
        }
        let remarks = inspect_echo(&request, &stripped);
        assert_eq!(remarks.len(), 1);
        assert!(remarks[0].text.contains("changed Via"), "{remarks:?}");
    }
}
