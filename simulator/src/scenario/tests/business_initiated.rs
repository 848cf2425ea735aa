//! The business calls a WhatsApp user.

use std::time::Duration;

use super::business::{
    HOST, Line, NUMBER, PASSWORD, SBC_ROUTE, SDP, Stage, USER, assert_said, violations,
};
use crate::report::{CallReport, Ender};
use crate::scenario::business_initiated::{BusinessCalls, receive};
use crate::sip::digest::Challenge;
use crate::sip::identity::{EDGE_ROUTE, INNER_ROUTE};
use crate::sip::message::Response;
use crate::sip::uri::NameAddress;

const URI: &str = "sip:+4915112345678@wa.meta.vc;transport=tls";

/// A request of the business outside a dialog, or, with a To tag, inside it.
fn request(
    method: &str,
    uri: &str,
    routes: &[&str],
    to_tag: &str,
    cseq: &str,
    branch: &str,
) -> String {
    let routes: String = routes
        .iter()
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS {HOST}:5061;branch=z9hG4bK{branch};rport\r\n\
         {routes}Max-Forwards: 69\r\nFrom: <sip:{NUMBER}@{HOST}>;tag=biz\r\n\
         To: <sip:{USER}@wa.meta.vc>{to_tag}\r\nCall-ID: call-1\r\nCSeq: {cseq}\r\n"
    )
}

fn invite(cseq: u32, branch: &str, more: &str) -> String {
    let cseq = format!("{cseq} INVITE");
    request("INVITE", URI, &[], "", &cseq, branch)
        + &format!(
            "Record-Route: {SBC_ROUTE}\r\nContact: <sip:pbx@10.0.0.9:5060>\r\n\
             Content-Type: application/sdp\r\n{more}"
        )
}

/// INVITE, 407, ACK, INVITE with credentials; gives the final response.
async fn call(line: &mut Line, more: &str) -> Response {
    line.send(&invite(1, "a", more), SDP).await;
    let challenged = line.response().await;
    assert_eq!(challenged.status, 407);
    let challenge = challenged.headers.first("Proxy-Authenticate").unwrap();
    let credentials = Challenge::parse(challenge)
        .unwrap()
        .answer(NUMBER.trim_start_matches('+'), PASSWORD, "INVITE", URI)
        .unwrap();
    line.send(&request("ACK", URI, &[], ";tag=x", "1 ACK", "a"), "")
        .await;
    let more = format!("Proxy-Authorization: {credentials}\r\n{more}");
    line.send(&invite(2, "b", &more), SDP).await;
    loop {
        let response = line.response().await;
        if response.status >= 200 {
            return response;
        }
    }
}

struct Established {
    contact: String,
    to_tag: String,
}

fn established(response: &Response) -> Established {
    assert_eq!(response.status, 200, "{response:?}");
    let routes = response.headers.elements("Record-Route");
    assert_eq!(routes, [INNER_ROUTE, EDGE_ROUTE, SBC_ROUTE]);
    let contact = NameAddress::parse(response.headers.first("Contact").unwrap()).unwrap();
    assert!(contact.uri_text.contains("X-FB-Sip-Smc-Tier="));
    assert_eq!(contact.parameter("isfocus"), Some(""));
    Established {
        contact: contact.uri_text,
        to_tag: format!(";tag={}", response.to_tag().unwrap()),
    }
}

impl Established {
    fn request(&self, method: &str, routes: &[&str], sequence: u32) -> String {
        let cseq = format!("{sequence} {method}");
        let branch = format!("c{method}{sequence}");
        request(method, &self.contact, routes, &self.to_tag, &cseq, &branch)
    }
}

const ROUTES: [&str; 2] = [EDGE_ROUTE, INNER_ROUTE];

async fn meta(stage: &mut Stage, calls: &BusinessCalls) -> CallReport {
    let invitation = stage.invitations.recv().await.unwrap();
    receive(&stage.gateway, invitation, calls).await
}

#[tokio::test]
async fn a_call_that_the_business_ends_passes() {
    let mut stage = Stage::set().await;
    let mut calls = stage.business_calls();
    calls.settings.hang_up = Ender::Business;
    let mut line = stage.connect().await;
    let business = async {
        let dialog = established(&call(&mut line, "").await);
        line.send(&dialog.request("ACK", &ROUTES, 2), "").await;
        line.send(&dialog.request("BYE", &ROUTES, 3), "").await;
        assert_eq!(line.response().await.status, 200);
    };
    let (report, ()) = tokio::join!(meta(&mut stage, &calls), business);
    assert_eq!(violations(&report), Vec::<&str>::new());
    assert!(report.pass);
    assert_eq!(report.tls.server_name.as_deref(), Some("wa.meta.vc"));
}

#[tokio::test]
async fn metas_bye_comes_over_its_own_connection() {
    let mut stage = Stage::set().await;
    let calls = stage.business_calls();
    let mut line = stage.connect().await;
    let (sent, own) = tokio::sync::oneshot::channel();
    let business = async {
        let dialog = established(&call(&mut line, "").await);
        line.send(&dialog.request("ACK", &ROUTES, 2), "").await;
        // The listener is on the stage, which Meta's side holds: wait for its signal.
        let mut own: Line = own.await.unwrap();
        let bye = own.request("BYE").await;
        assert_eq!(bye.uri, "sip:pbx@10.0.0.9:5060");
        assert_eq!(bye.headers.elements("Route"), [SBC_ROUTE]);
        own.answer(&bye, "200 OK", "", "").await;
    };
    let invitation = async {
        let invitation = stage.invitations.recv().await.unwrap();
        let accept = async {
            assert!(sent.send(stage.accept().await).is_ok());
        };
        let (report, ()) = tokio::join!(receive(&stage.gateway, invitation, &calls), accept);
        report
    };
    let (report, ()) = tokio::join!(invitation, business);
    assert_eq!(violations(&report), Vec::<&str>::new());
    assert!(report.pass);
    assert_eq!(report.ended_by, Some(Ender::Meta));
}

#[tokio::test]
async fn an_ack_with_a_changed_route_set_is_ignored_and_the_call_ends() {
    let mut stage = Stage::set().await;
    let mut calls = stage.business_calls();
    calls.back = None;
    calls.settings.talk = Duration::from_secs(30);
    let mut line = stage.connect().await;
    let business = async {
        let dialog = established(&call(&mut line, "").await);
        line.send(&dialog.request("ACK", &[EDGE_ROUTE], 2), "")
            .await;
        let repeated = line.response().await;
        assert_eq!(repeated.status, 200, "the 200 OK is repeated");
        let bye = line.request("BYE").await;
        line.answer(&bye, "200 OK", "", "").await;
    };
    let (report, ()) = tokio::join!(meta(&mut stage, &calls), business);
    assert_said(&report, "ACK came back with a changed Route set: expected");
    assert_said(&report, "no ACK that Meta could route came within");
}

#[tokio::test]
async fn an_ack_with_the_number_of_the_first_invite_is_ignored() {
    let mut stage = Stage::set().await;
    let mut calls = stage.business_calls();
    calls.settings.hang_up = Ender::Business;
    let mut line = stage.connect().await;
    let business = async {
        let dialog = established(&call(&mut line, "").await);
        line.send(&dialog.request("ACK", &ROUTES, 1), "").await;
        line.send(&dialog.request("ACK", &ROUTES, 2), "").await;
        line.send(&dialog.request("BYE", &ROUTES, 3), "").await;
        assert_eq!(line.response().await.status, 200);
    };
    let (report, ()) = tokio::join!(meta(&mut stage, &calls), business);
    assert_said(&report, "the ACK has CSeq 1");
}

#[tokio::test]
async fn what_must_not_reach_meta_is_said() {
    let mut stage = Stage::set().await;
    let mut calls = stage.business_calls();
    calls.settings.hang_up = Ender::Business;
    let mut line = stage.connect().await;
    let business = async {
        let more = "Supported: timer, 100rel\r\nSession-Expires: 1800\r\nX-Tenant: 7\r\n";
        let dialog = established(&call(&mut line, more).await);
        line.send(&dialog.request("ACK", &ROUTES, 2), "").await;
        line.send(&dialog.request("INVITE", &ROUTES, 3), SDP).await;
        assert_eq!(line.response().await.status, 500);
        line.send(&dialog.request("BYE", &ROUTES, 4), "").await;
        assert_eq!(line.response().await.status, 200);
    };
    let (report, ()) = tokio::join!(meta(&mut stage, &calls), business);
    for words in [
        "Supported: timer",
        "Supported: 100rel",
        "Session-Expires: 1800",
        "internal header X-Tenant",
        "re-INVITE reached Meta",
    ] {
        assert_said(&report, words);
    }
}

#[tokio::test]
async fn a_refusal_carries_metas_words() {
    let mut stage = Stage::set().await;
    let mut calls = stage.business_calls();
    calls.refusal = Some(crate::sip::uas::Refusal::Permission);
    calls.settings.expected_status = 403;
    let mut line = stage.connect().await;
    let business = async {
        let response = call(&mut line, "").await;
        assert_eq!(response.status, 403);
        assert!(response.reason.contains("No approved call permission"));
        assert!(
            response
                .headers
                .first("Warning")
                .unwrap()
                .starts_with("399")
        );
        let to_tag = format!(";tag={}", response.to_tag().unwrap());
        line.send(&request("ACK", URI, &[], &to_tag, "2 ACK", "b"), "")
            .await;
    };
    let (report, ()) = tokio::join!(meta(&mut stage, &calls), business);
    assert_eq!(violations(&report), Vec::<&str>::new());
    assert!(report.pass);
}

#[tokio::test]
async fn a_cancel_that_fits_ends_the_ringing() {
    let mut stage = Stage::set().await;
    let mut calls = stage.business_calls();
    calls.answer_after = Duration::from_secs(20);
    calls.settings.expected_status = 487;
    let mut line = stage.connect().await;
    let business = async {
        line.send(&invite(1, "a", ""), SDP).await;
        let challenged = line.response().await;
        let challenge = challenged.headers.first("Proxy-Authenticate").unwrap();
        let credentials = Challenge::parse(challenge)
            .unwrap()
            .answer(NUMBER.trim_start_matches('+'), PASSWORD, "INVITE", URI)
            .unwrap();
        line.send(&request("ACK", URI, &[], ";tag=x", "1 ACK", "a"), "")
            .await;
        let more = format!("Proxy-Authorization: {credentials}\r\n");
        line.send(&invite(2, "b", &more), SDP).await;
        assert_eq!(line.response().await.status, 180);
        line.send(&request("CANCEL", URI, &[], "", "2 CANCEL", "b"), "")
            .await;
        let mut statuses = [line.response().await.status, line.response().await.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 487]);
        line.send(&request("ACK", URI, &[], ";tag=x", "2 ACK", "b"), "")
            .await;
    };
    let (report, ()) = tokio::join!(meta(&mut stage, &calls), business);
    assert_eq!(violations(&report), Vec::<&str>::new());
    assert!(report.pass);
}
