//! A dialog as Meta keeps it (RFC 3261 §12), and the check whether a request finds its way to it.
//!
//! Meta's edge routes a request of the business by its Route set and Request-URI alone: the two
//! proxies of Meta's `Record-Route` and Meta's `Contact`, exactly as they were sent. A bridge that
//! rewrites either loses the ACK without a word and gets 404 for its BYE, and the call dies after
//! half a minute.

use crate::report::Remark;

use super::headers::Headers;
use super::identity::{DOMAIN, USER_AGENT, route_set};
use super::message::{Method, Request, Response, name_address};
use super::random;
use super::uri::NameAddress;

/// Meta's end of an established call.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// The call.
    pub call_id: String,
    /// Meta's own `From`/`To` value, tag included.
    pub local: String,
    /// The business' `From`/`To` value, tag included.
    pub remote: String,
    /// Meta's `Contact` URI, as text.
    pub contact: String,
    /// The number of Meta's last request.
    pub local_sequence: u32,
    /// The number of the business' last request, once there was one.
    pub remote_sequence: Option<u32>,
    /// Where the business wants requests: its `Contact` URI.
    pub remote_target: String,
    /// The business' proxies, nearest first; Meta's own stand before them and are not sent.
    pub remote_routes: Vec<String>,
}

/// What becomes of a request of the business inside a dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It reaches the call.
    Routed,
    /// Meta's edge cannot route it: the ACK is ignored, anything else gets 404.
    Lost(Vec<String>),
    /// It is for another dialog: 481.
    Foreign(String),
    /// Its CSeq is not higher than the last one: 500 (RFC 3261 §12.2.2).
    Stale(String),
}

impl Dialog {
    /// Whether a request of the business finds this call.
    pub fn judge(&mut self, request: &Request) -> Standing {
        let lost = self.route_faults(request);
        if !lost.is_empty() {
            return Standing::Lost(lost);
        }
        if let Some(reason) = self.tag_fault(request) {
            return Standing::Foreign(reason);
        }
        if request.method == Method::Ack {
            return Standing::Routed;
        }
        let number = request.sequence();
        if let Some(last) = self.remote_sequence.filter(|last| number <= *last) {
            return Standing::Stale(format!(
                "{} has CSeq {number}, but {last} was there before",
                request.method
            ));
        }
        self.remote_sequence = Some(number);
        Standing::Routed
    }

    fn route_faults(&self, request: &Request) -> Vec<String> {
        let method = &request.method;
        let mut faults = Vec::new();
        let expected = uris(&route_set());
        let found = uris(&request.headers.elements("Route"));
        if found != expected {
            faults.push(format!(
                "{method} came back with a changed Route set: expected {}, got {}",
                in_words(&expected),
                in_words(&found)
            ));
        }
        if request.uri != self.contact {
            faults.push(format!(
                "{method} came back with a changed Contact as its Request-URI: expected {}, got {}",
                self.contact, request.uri
            ));
        }
        faults
    }

    fn tag_fault(&self, request: &Request) -> Option<String> {
        for (name, expected) in [("From", &self.remote), ("To", &self.local)] {
            let expected = NameAddress::parse(expected)?.tag()?.to_owned();
            let found = name_address(&request.headers, name)
                .and_then(|address| address.tag().map(str::to_owned));
            if found.as_deref() != Some(&expected) {
                return Some(format!(
                    "{} has the wrong tag in {name}: expected {expected}, got {}",
                    request.method,
                    found.as_deref().unwrap_or("none")
                ));
            }
        }
        None
    }

    /// A request of Meta's inside the dialog; CANCEL and ACK for a failure are not made here.
    pub fn request(&mut self, method: Method, via: Vec<String>) -> Request {
        if method != Method::Ack {
            self.local_sequence += 1;
        }
        let mut request = Request::new(method, self.remote_target.clone());
        let headers = &mut request.headers;
        for via in via {
            headers.push("Via", via);
        }
        for route in &self.remote_routes {
            headers.push("Route", route.clone());
        }
        headers.push("Max-Forwards", "69");
        headers.push("From", self.local.clone());
        headers.push("To", self.remote.clone());
        headers.push("Call-ID", self.call_id.clone());
        let sequence = format!("{} {}", self.local_sequence, request.method);
        let headers = &mut request.headers;
        headers.push("CSeq", sequence);
        headers.push("X-FB-External-Domain", DOMAIN);
        headers.push("User-Agent", USER_AGENT);
        request
    }

    /// Where Meta's next request goes: the first proxy of the business, or its contact.
    pub fn next_hop(&self) -> Option<NameAddress> {
        match self.remote_routes.first() {
            Some(route) => NameAddress::parse(route),
            None => NameAddress::parse(&format!("<{}>", self.remote_target)),
        }
    }
}

/// The three Vias of a request that leaves Meta: IPv6 literals that nothing can be sent to.
pub fn vias(branch: &str) -> Vec<String> {
    vec![
        format!(
            "SIP/2.0/TLS [2001:db8:e888:51aa:d4a4:c5e0:300:0]:33819;rport;branch={branch};alias"
        ),
        format!(
            "SIP/2.0/TLS [2001:db8:e8d0:75a2:6d6e:34a7:c400:0]:51109;rport=51109;\
             received=2001:db8:e8d0:75a2:6d6e:34a7:c400:0;branch={};alias",
            random::branch()
        ),
        format!(
            "SIP/2.0/TLS [2001:db8:c097:e0a2:face:b00c:0:1d]:5061;rport=45230;\
             received=2001:db8:c097:e0a2:face:b00c:0:1d;branch={};alias",
            random::branch()
        ),
    ]
}

/// Takes Meta's own proxies off a `Record-Route` list and gives back the business' route set.
///
/// `ours_last` is the caller's case (the list of a 200 OK ends with Meta's proxies), otherwise the
/// list is the one the business' INVITE brought and none of Meta's are in it yet.
pub fn business_routes(headers: &Headers, ours_last: bool) -> (Vec<String>, Vec<Remark>) {
    let mut list = headers.elements("Record-Route");
    let mut remarks = Vec::new();
    if ours_last {
        let ours = uris(&route_set());
        let found = uris(&list);
        if found.ends_with(&ours) {
            list.truncate(list.len() - ours.len());
        } else {
            remarks.push(Remark::violation(format!(
                "200 OK came back with changed Record-Route headers: it must end with {}, got {}",
                in_words(&ours),
                in_words(&found)
            )));
            list.retain(|entry| !ours.contains(&uri_text(entry)));
        }
        // RFC 3261 §12.1.2: the caller reverses the list.
        list.reverse();
    }
    for entry in &list {
        let Some(uri) = NameAddress::parse(entry).and_then(|address| address.uri()) else {
            remarks.push(Remark::violation(format!(
                "Record-Route holds something that is no SIP URI: {entry}"
            )));
            continue;
        };
        if uri.parameter("lr").is_none() {
            remarks.push(Remark::violation(format!(
                "Record-Route {entry} has no lr parameter (strict routing)"
            )));
        }
    }
    (list, remarks)
}

fn uri_text(entry: &str) -> String {
    NameAddress::parse(entry).map_or_else(|| entry.to_owned(), |address| address.uri_text)
}

fn uris(list: &[String]) -> Vec<String> {
    list.iter().map(|entry| uri_text(entry)).collect()
}

fn in_words(uris: &[String]) -> String {
    if uris.is_empty() {
        return "no Route at all".to_owned();
    }
    let bracketed: Vec<String> = uris.iter().map(|uri| format!("<{uri}>")).collect();
    bracketed.join(", ")
}

/// The URI of a response's or request's `Contact`, with what is wrong about it.
pub fn contact_of(headers: &Headers, what: &str) -> Result<String, String> {
    let mut contacts = headers.elements("Contact");
    let (Some(contact), true) = (contacts.pop(), contacts.is_empty()) else {
        return Err(format!(
            "{what} must have exactly one Contact (RFC 3261 §8.1.1.8)"
        ));
    };
    match NameAddress::parse(&contact) {
        Some(address) if address.uri().is_some() => Ok(address.uri_text),
        _ => Err(format!(
            "{what} has a Contact that is no SIP URI: {contact}"
        )),
    }
}

/// Takes a 2xx's `To` for the remote side of a dialog.
pub fn remote_of(response: &Response) -> String {
    response.headers.first("To").unwrap_or("").to_owned()
}

/// Takes an INVITE's `From` for the remote side of a dialog.
pub fn remote_of_invite(invite: &Request) -> String {
    invite.headers.first("From").unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    const CONTACT: &str = "sip:+4915@wa.meta.vc;transport=tls;ob";

    fn dialog() -> Dialog {
        Dialog {
            call_id: "outgoing:wacid.A==".to_owned(),
            local: "\"4915\" <sip:+4915@wa.meta.vc>;tag=meta".to_owned(),
            remote: "<sip:+1555@sbc.example.com>;tag=biz".to_owned(),
            contact: CONTACT.to_owned(),
            local_sequence: 10,
            remote_sequence: None,
            remote_target: "sip:pbx@10.0.0.1:5060".to_owned(),
            remote_routes: vec!["<sip:sbc.example.com:5061;transport=tls;lr>".to_owned()],
        }
    }

    fn bye(uri: &str, routes: &str, from_tag: &str, sequence: u32) -> Request {
        let text = format!(
            "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/TLS sbc;branch=z9hG4bK1\r\n{routes}\
             From: <sip:+1555@sbc.example.com>;tag={from_tag}\r\n\
             To: <sip:+4915@wa.meta.vc>;tag=meta\r\nCall-ID: outgoing:wacid.A==\r\n\
             CSeq: {sequence} BYE\r\n"
        );
        match Message::parse(text.as_bytes(), Vec::new()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("not a request"),
        }
    }

    fn good_routes() -> String {
        route_set()
            .iter()
            .map(|route| format!("Route: {route}\r\n"))
            .collect()
    }

    #[test]
    fn a_request_with_everything_as_sent_is_routed() {
        assert_eq!(
            dialog().judge(&bye(CONTACT, &good_routes(), "biz", 1)),
            Standing::Routed
        );
        let on_one_line = format!("Route: {}\r\n", route_set().join(","));
        assert_eq!(
            dialog().judge(&bye(CONTACT, &on_one_line, "biz", 1)),
            Standing::Routed
        );
    }

    #[test]
    fn a_changed_route_set_is_said_with_both_versions() {
        let mut reversed = route_set();
        reversed.reverse();
        let cases = [
            String::new(),
            "Route: <sip:wa.meta.vc;transport=tls;lr>\r\n".to_owned(),
            format!("Route: {}\r\n", reversed.join(", ")),
            format!("Route: <sip:10.0.0.1;lr>\r\n{}", good_routes()),
            good_routes().replace(":8191", ""),
        ];
        for routes in cases {
            let Standing::Lost(reasons) = dialog().judge(&bye(CONTACT, &routes, "biz", 1)) else {
                panic!("routed with {routes}");
            };
            assert!(
                reasons[0].starts_with(
                    "BYE came back with a changed Route set: expected \
                     <sip:wa.meta.vc;transport=tls;lr>, \
                     <sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>, got "
                ),
                "{reasons:?}"
            );
        }
    }

    #[test]
    fn a_rewritten_contact_is_said_with_both_versions() {
        for uri in [
            "sip:+4915@wa.meta.vc;transport=tls",
            "sip:+4915@192.0.2.1:40000;transport=tls;ob",
        ] {
            let Standing::Lost(reasons) = dialog().judge(&bye(uri, &good_routes(), "biz", 1))
            else {
                panic!("routed with {uri}");
            };
            assert!(reasons[0].contains("changed Contact"), "{reasons:?}");
            assert!(reasons[0].contains(uri), "{reasons:?}");
        }
    }

    #[test]
    fn wrong_tags_and_old_numbers_are_told_apart() {
        assert!(matches!(
            dialog().judge(&bye(CONTACT, &good_routes(), "other", 1)),
            Standing::Foreign(_)
        ));
        let mut dialog = dialog();
        dialog.remote_sequence = Some(5);
        assert!(matches!(
            dialog.judge(&bye(CONTACT, &good_routes(), "biz", 5)),
            Standing::Stale(_)
        ));
        assert_eq!(
            dialog.judge(&bye(CONTACT, &good_routes(), "biz", 6)),
            Standing::Routed
        );
    }

    #[test]
    fn the_callers_route_set_is_reversed_and_without_metas_proxies() {
        let mut headers = Headers::default();
        headers.push(
            "Record-Route",
            "<sip:10.0.0.2;lr>, <sip:sbc;transport=tls;lr>",
        );
        for route in route_set() {
            headers.push("Record-Route", route);
        }
        let (routes, remarks) = business_routes(&headers, true);
        assert_eq!(routes, ["<sip:sbc;transport=tls;lr>", "<sip:10.0.0.2;lr>"]);
        assert_eq!(remarks, []);
    }

    #[test]
    fn a_200_that_lost_metas_record_route_is_reported() {
        let mut headers = Headers::default();
        headers.push("Record-Route", "<sip:sbc;transport=tls;lr>");
        headers.push("Record-Route", "<sip:wa.meta.vc;transport=tls;lr>");
        let (routes, remarks) = business_routes(&headers, true);
        assert_eq!(routes, ["<sip:sbc;transport=tls;lr>"]);
        assert_eq!(remarks.len(), 1);
        assert!(remarks[0].text.contains("changed Record-Route"));
    }

    #[test]
    fn metas_requests_carry_the_business_routes_and_count_up() {
        let mut dialog = dialog();
        let bye = dialog.request(Method::Bye, vias("z9hG4bKa"));
        assert_eq!(bye.sequence(), 11);
        assert_eq!(bye.uri, "sip:pbx@10.0.0.1:5060");
        assert_eq!(bye.headers.elements("Route").len(), 1);
        assert_eq!(bye.headers.elements("Via").len(), 3);
        assert_eq!(bye.from_tag().as_deref(), Some("meta"));
        assert_eq!(bye.to_tag().as_deref(), Some("biz"));
    }
}
