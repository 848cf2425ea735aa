//! A WhatsApp user calls the business.

use std::time::Duration;

use super::business::{
    HOST, Line, NUMBER, PASSWORD, SBC_ROUTE, SDP, Stage, assert_said, good_200, violations,
};
use crate::report::Ender;
use crate::scenario::user_initiated::place;
use crate::sip::digest::{Algorithm, Challenge, Credentials};
use crate::sip::identity::{EDGE_ROUTE, INNER_ROUTE};
use crate::sip::message::Request;

/// Challenges Meta's INVITE and gives the one with credentials.
async fn challenge(line: &mut Line, algorithm: Algorithm) -> Request {
    let first = line.request("INVITE").await;
    let challenge = Challenge::of_meta(HOST, algorithm);
    let header = format!("Proxy-Authenticate: {challenge}\r\n");
    line.answer(&first, "407 Proxy Authentication Required", &header, "")
        .await;
    let ack = line.request("ACK").await;
    assert_eq!(ack.branch(), first.branch());
    let second = line.request("INVITE").await;
    let credentials = second.headers.first("Proxy-Authorization").unwrap();
    let credentials = Credentials::parse(credentials).unwrap();
    assert_eq!(credentials.username, NUMBER.trim_start_matches('+'));
    assert_eq!(credentials.verify(&challenge, PASSWORD, "INVITE"), Ok(()));
    assert_eq!(second.sequence(), first.sequence() + 1);
    second
}

/// Answers 100, 180, 200 and takes the ACK.
async fn answer(line: &mut Line, invite: &Request) -> Request {
    line.answer(invite, "100 Trying", "", "").await;
    line.answer(invite, "180 Ringing", "", "").await;
    line.answer(invite, "200 OK", &good_200(invite), SDP).await;
    line.request("ACK").await
}

/// A BYE of the business as it has to look at Meta's edge.
fn bye(invite: &Request, uri: &str, routes: &[&str], sequence: u32) -> String {
    let routes: String = routes
        .iter()
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    format!(
        "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/TLS {HOST}:5061;branch=z9hG4bKbye{sequence}\r\n{routes}\
         Max-Forwards: 69\r\nFrom: {};tag=biz\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {sequence} BYE\r\n",
        invite.headers.first("To").unwrap(),
        invite.headers.first("From").unwrap(),
        invite.headers.first("Call-ID").unwrap(),
    )
}

const CONTACT: &str = "sip:+4915112345678@wa.meta.vc;transport=tls;ob";

#[tokio::test]
async fn a_call_that_meta_ends_passes() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let stage = Stage::set().await;
        let call = stage.user_call();
        let business = async {
            let mut line = stage.accept().await;
            let invite = challenge(&mut line, algorithm).await;
            let ack = answer(&mut line, &invite).await;
            assert_eq!(ack.uri, "sip:pbx@10.0.0.9:5060");
            assert_eq!(ack.headers.elements("Route"), [SBC_ROUTE]);
            let bye = line.request("BYE").await;
            assert_eq!(bye.headers.elements("Route"), [SBC_ROUTE]);
            assert!(bye.headers.first("x-wa-meta-call-duration").is_some());
            assert!(
                invite
                    .headers
                    .first("Call-ID")
                    .unwrap()
                    .ends_with(bye.headers.first("x-wa-meta-wacid").unwrap())
            );
            line.answer(&bye, "200 OK", "", "").await;
        };
        let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
        assert_eq!(violations(&report), Vec::<&str>::new());
        assert!(report.pass && report.clean_end);
        assert_eq!(report.ended_by, Some(Ender::Meta));
        assert_eq!(report.tls.version, "TLS 1.3");
    }
}

#[tokio::test]
async fn the_business_hangs_up_over_a_connection_of_its_own() {
    let stage = Stage::set().await;
    let mut call = stage.user_call();
    call.settings.hang_up = Ender::Business;
    let business = async {
        let mut line = stage.accept().await;
        let invite = challenge(&mut line, Algorithm::Md5).await;
        answer(&mut line, &invite).await;
        let mut own = stage.connect().await;
        own.send(&bye(&invite, CONTACT, &[EDGE_ROUTE, INNER_ROUTE], 1), "")
            .await;
        assert_eq!(own.response().await.status, 200);
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_eq!(violations(&report), Vec::<&str>::new());
    assert!(report.pass);
    assert_eq!(report.ended_by, Some(Ender::Business));
}

#[tokio::test]
async fn a_bye_with_another_route_set_or_contact_gets_404() {
    let stage = Stage::set().await;
    let mut call = stage.user_call();
    call.settings.hang_up = Ender::Business;
    let business = async {
        let mut line = stage.accept().await;
        let invite = challenge(&mut line, Algorithm::Md5).await;
        answer(&mut line, &invite).await;
        let mut own = stage.connect().await;
        own.send(&bye(&invite, CONTACT, &[EDGE_ROUTE], 1), "").await;
        assert_eq!(own.response().await.status, 404);
        let rewritten = "sip:+4915112345678@127.0.0.1:40000;transport=tls";
        own.send(&bye(&invite, rewritten, &[EDGE_ROUTE, INNER_ROUTE], 2), "")
            .await;
        assert_eq!(own.response().await.status, 404);
        own.send(&bye(&invite, CONTACT, &[EDGE_ROUTE, INNER_ROUTE], 3), "")
            .await;
        assert_eq!(own.response().await.status, 200);
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_said(&report, "BYE came back with a changed Route set: expected");
    assert_said(&report, "BYE came back with a changed Contact");
    assert!(report.clean_end);
}

#[tokio::test]
async fn a_200_without_metas_record_route_is_said() {
    let stage = Stage::set().await;
    let call = stage.user_call();
    let business = async {
        let mut line = stage.accept().await;
        let invite = challenge(&mut line, Algorithm::Md5).await;
        let headers = good_200(&invite)
            .replace(INNER_ROUTE, "<sip:10.1.1.1;lr>")
            .replace("Contact:", "P-Asserted-Identity: <sip:x@y>\r\nContact:");
        line.answer(&invite, "200 OK", &headers, SDP).await;
        line.request("ACK").await;
        let bye = line.request("BYE").await;
        line.answer(&bye, "200 OK", "", "").await;
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_said(&report, "changed Record-Route");
    assert_said(&report, "internal header P-Asserted-Identity");
}

#[tokio::test]
async fn an_invite_that_is_accepted_without_credentials_is_said() {
    let stage = Stage::set().await;
    let call = stage.user_call();
    let business = async {
        let mut line = stage.accept().await;
        let invite = line.request("INVITE").await;
        answer(&mut line, &invite).await;
        let bye = line.request("BYE").await;
        line.answer(&bye, "200 OK", "", "").await;
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_said(&report, "without credentials");
}

#[tokio::test]
async fn a_user_who_gives_up_cancels() {
    let stage = Stage::set().await;
    let mut call = stage.user_call();
    call.cancel_after = Some(Duration::from_millis(50));
    call.settings.expected_status = 487;
    let business = async {
        let mut line = stage.accept().await;
        let invite = challenge(&mut line, Algorithm::Md5).await;
        line.answer(&invite, "180 Ringing", "", "").await;
        let cancel = line.request("CANCEL").await;
        assert_eq!(cancel.branch(), invite.branch());
        assert_eq!(cancel.sequence(), invite.sequence());
        line.answer(&cancel, "200 OK", "", "").await;
        line.answer(&invite, "487 Request Terminated", "", "").await;
        line.request("ACK").await;
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_eq!(violations(&report), Vec::<&str>::new());
    assert!(report.pass);
    assert_eq!(report.status, 487);
}

#[tokio::test]
async fn a_second_407_means_a_wrong_password() {
    let stage = Stage::set().await;
    let call = stage.user_call();
    let business = async {
        let mut line = stage.accept().await;
        let invite = challenge(&mut line, Algorithm::Md5).await;
        let again = Challenge::of_meta(HOST, Algorithm::Md5);
        let header = format!("Proxy-Authenticate: {again}\r\n");
        line.answer(&invite, "407 Proxy Authentication Required", &header, "")
            .await;
        line.request("ACK").await;
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_said(&report, "407 came again");
}

#[tokio::test]
async fn requests_meta_does_not_know_are_refused_in_a_call() {
    let stage = Stage::set().await;
    let call = stage.user_call();
    let business = async {
        let mut line = stage.accept().await;
        let invite = challenge(&mut line, Algorithm::Md5).await;
        answer(&mut line, &invite).await;
        let mut own = stage.connect().await;
        for (sequence, (method, status)) in [("INVITE", 500), ("UPDATE", 405), ("INFO", 405)]
            .into_iter()
            .enumerate()
        {
            let request = bye(
                &invite,
                CONTACT,
                &[EDGE_ROUTE, INNER_ROUTE],
                u32::try_from(sequence).unwrap() + 1,
            )
            .replace("BYE", method);
            own.send(&request, "").await;
            assert_eq!(own.response().await.status, status, "{method}");
        }
        let bye = line.request("BYE").await;
        line.answer(&bye, "200 OK", "", "").await;
    };
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), business);
    assert_said(&report, "re-INVITE reached Meta");
    assert_said(&report, "UPDATE reached Meta");
    assert_said(&report, "INFO reached Meta");
}
