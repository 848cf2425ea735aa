//! What TLS clients and servers of the business can get wrong, with OpenSSL as the client.

use std::net::SocketAddr;
use std::path::PathBuf;

use openssl::ssl::{SslConnector, SslMethod};

use super::business::{Stage, assert_said};
use crate::scenario::user_initiated::place;

/// A handshake by OpenSSL, with or without ALPN; the error's text when it fails.
async fn handshake(
    address: SocketAddr,
    ca: PathBuf,
    alpn: Option<&'static [u8]>,
) -> Result<(), String> {
    tokio::task::spawn_blocking(move || {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_ca_file(ca).unwrap();
        if let Some(alpn) = alpn {
            builder.set_alpn_protos(alpn).unwrap();
        }
        let stream = std::net::TcpStream::connect(address).unwrap();
        builder
            .build()
            .connect("wa.meta.vc", stream)
            .map(|_| ())
            .map_err(|error| error.to_string())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_client_that_offers_alpn_sip_gets_alert_120() {
    let stage = Stage::set().await;
    let ca = || stage.certificates.0.join("ca.pem");
    let address = stage.gateway.local();
    let error = handshake(address, ca(), Some(b"\x03sip"))
        .await
        .unwrap_err();
    assert!(error.contains("no application protocol"), "{error}");
    assert!(
        stage.gateway.findings()[0]
            .text
            .contains("ALPN protocol sip"),
        "{:?}",
        stage.gateway.findings()
    );
    assert_eq!(handshake(address, ca(), None).await, Ok(()));
    assert_eq!(
        handshake(address, ca(), Some(b"\x08http/1.1")).await,
        Ok(())
    );
}

#[tokio::test]
async fn a_look_whether_the_port_is_open_is_no_violation() {
    let stage = Stage::set().await;
    drop(tokio::net::TcpStream::connect(stage.gateway.local()).await);
    // A whole handshake afterwards shows that the first connection was dealt with.
    stage.connect().await;
    assert_eq!(stage.gateway.findings(), []);
}

#[tokio::test]
async fn a_certificate_for_another_name_stops_the_call_before_the_invite() {
    let stage = Stage::set().await;
    let mut call = stage.user_call();
    call.server_name = "other.example.com".to_owned();
    let (report, ()) = tokio::join!(place(&stage.gateway, &call), stage.refuse());
    assert_eq!(report.status, 0);
    assert_said(&report, "Meta could not open TLS to other.example.com");
}

#[tokio::test]
async fn a_register_is_refused_and_remembered() {
    let stage = Stage::set().await;
    let mut line = stage.connect().await;
    line.send(
        "REGISTER sip:wa.meta.vc SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n",
        "",
    )
    .await;
    assert_eq!(line.response().await.status, 403);
    assert!(stage.gateway.findings()[0].text.contains("REGISTER"));
}

#[tokio::test]
async fn bytes_that_are_no_sip_close_the_connection_only() {
    let stage = Stage::set().await;
    let mut line = stage.connect().await;
    line.send("GET / HTTP/1.1\r\n", "").await;
    let mut other = stage.connect().await;
    other
        .send(
            "OPTIONS sip:wa.meta.vc SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n",
            "",
        )
        .await;
    assert_eq!(other.response().await.status, 200);
    assert!(stage.gateway.findings()[0].text.contains("no SIP"));
}
