//! A business made of text: it sends what a test tells it to and hands back what it gets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;

use crate::certificates::make_authority;
use crate::report::{CallReport, Ender, Severity};
use crate::scenario::business_initiated::BusinessCalls;
use crate::scenario::media_leg::MediaSettings;
use crate::scenario::user_initiated::UserCall;
use crate::scenario::{CallSettings, Patience};
use crate::sip::framing::{Frame, Framer};
use crate::sip::gateway::{Gateway, Invitation};
use crate::sip::message::{Message, Request, Response};
use crate::sip::sdp_check::Keys;
use crate::sip::tls::{Client, Identity, Server, TlsFacts};
use crate::sip::uac::Caller;
use crate::sip::uas::{Business, Challenging};

/// The host name of the business.
pub(super) const HOST: &str = "sbc.example.com";
/// Its number.
pub(super) const NUMBER: &str = "+15550001111";
/// The WhatsApp user.
pub(super) const USER: &str = "+4915112345678";
/// The password for the number.
pub(super) const PASSWORD: &str = "secret";
/// The business' own Record-Route.
pub(super) const SBC_ROUTE: &str = "<sip:sbc.example.com:5061;transport=tls;lr>";

/// An SDES description that answers Meta's offer, or is an offer itself.
pub(super) const SDP: &str = "v=0\r\no=- 42 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 30000 RTP/SAVP 111 126\r\nc=IN IP4 127.0.0.1\r\na=rtcp-mux\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=20;useinbandfec=1\r\n\
    a=rtpmap:126 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n";

/// A directory that goes away with the test.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the temporary directory hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Certificates, Meta's gateway, and a listening business.
pub(super) struct Stage {
    pub(super) certificates: Scratch,
    pub(super) gateway: Arc<Gateway>,
    pub(super) invitations: mpsc::Receiver<Invitation>,
    listener: TcpListener,
    server: Server,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let name = format!("simulator-test-{}", crate::sip::random::hex::<8>());
        let certificates = Scratch(std::env::temp_dir().join(name));
        let directory = &certificates.0;
        make_authority(directory, &[HOST.to_owned()]).unwrap();
        let identity = |name: &str| {
            Identity::from_files(
                &directory.join(format!("{name}.pem")),
                &directory.join(format!("{name}.key")),
            )
            .unwrap()
        };
        let client = Client::new(Some(&directory.join("ca.pem"))).unwrap();
        let meta = Server::new(identity("wa.meta.vc")).unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let (gateway, invitations) = Gateway::start(meta, local, client).await.unwrap();
        let listener = TcpListener::bind(local).await.unwrap();
        let server = Server::new(identity(HOST)).unwrap();
        Self {
            gateway: Arc::new(gateway),
            invitations,
            listener,
            server,
            certificates,
        }
    }

    /// Where the business listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes Meta's connection.
    pub(super) async fn accept(&self) -> Line {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut facts = TlsFacts::default();
        let stream = self.server.accept(stream, &mut facts).await.unwrap();
        assert_eq!(facts.server_name.as_deref(), Some(HOST), "Meta sends SNI");
        assert!(facts.alpn.is_empty(), "Meta offers no ALPN");
        Line::new(stream)
    }

    /// Takes a connection whose handshake must fail, because Meta does not like our certificate.
    pub(super) async fn refuse(&self) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut facts = TlsFacts::default();
        let outcome = self.server.accept(stream, &mut facts).await;
        // In TLS 1.3 the alert may come after our side is done.
        if let Ok(mut stream) = outcome {
            assert!(stream.read(&mut [0]).await.is_err());
        }
    }

    /// Opens a connection to Meta.
    pub(super) async fn connect(&self) -> Line {
        let client = Client::new(Some(&self.certificates.0.join("ca.pem"))).unwrap();
        let stream = TcpStream::connect(self.gateway.local()).await.unwrap();
        let mut facts = TlsFacts::default();
        let stream = client.connect(stream, "wa.meta.vc", &mut facts).await;
        assert!(!facts.asked_for_certificate);
        Line::new(stream.unwrap())
    }

    /// A call of a WhatsApp user to this business.
    pub(super) fn user_call(&self) -> UserCall {
        UserCall {
            caller: Caller {
                user: USER.to_owned(),
                display_name: None,
                business: NUMBER.to_owned(),
                host: HOST.to_owned(),
                port: None,
                user_parameters: None,
                preloaded_route: false,
                extra_headers: Vec::new(),
            },
            password: Some(PASSWORD.to_owned()),
            address: self.address(),
            server_name: HOST.to_owned(),
            cancel_after: None,
            duplicate_invite: false,
            settings: settings(),
        }
    }

    /// How Meta takes calls of this business.
    pub(super) fn business_calls(&self) -> BusinessCalls {
        BusinessCalls {
            businesses: vec![Business {
                number: NUMBER.to_owned(),
                password: PASSWORD.to_owned(),
                host: HOST.to_owned(),
            }],
            challenging: Challenging::Md5,
            ringing: true,
            answer_after: Duration::from_millis(50),
            refusal: None,
            back: Some((self.address(), HOST.to_owned())),
            settings: settings(),
        }
    }
}

pub(super) fn settings() -> CallSettings {
    CallSettings {
        media: MediaSettings {
            keys: Keys::Sdes,
            is_judged: false,
            ..MediaSettings::default()
        },
        hang_up: Ender::Meta,
        talk: Duration::from_millis(100),
        expected_status: 200,
        allowed_headers: Vec::new(),
        fresh_connections: false,
        patience: Patience {
            transaction: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            acknowledgement: Duration::from_millis(700),
            hang_up: Duration::from_secs(5),
        },
    }
}

/// The business' end of a TLS connection.
pub(super) struct Line {
    stream: TlsStream<TcpStream>,
    framer: Framer,
}

impl Line {
    fn new(stream: TlsStream<TcpStream>) -> Self {
        Self {
            stream,
            framer: Framer::default(),
        }
    }

    pub(super) async fn next(&mut self) -> Message {
        let read = async {
            loop {
                if let Some(Frame::Message(message)) = self.framer.next_frame().unwrap() {
                    return *message;
                }
                let mut chunk = [0; 4096];
                let length = self.stream.read(&mut chunk).await.unwrap();
                assert_ne!(length, 0, "Meta closed the connection");
                self.framer.push(&chunk[..length]);
            }
        };
        tokio::time::timeout(Duration::from_secs(15), read)
            .await
            .expect("a message within 15 s")
    }

    /// The next message, which must be this request.
    pub(super) async fn request(&mut self, method: &str) -> Request {
        match self.next().await {
            Message::Request(request) if request.method.as_str() == method => request,
            other => panic!("{method} was expected, got {other:?}"),
        }
    }

    /// The next response that is not provisional.
    pub(super) async fn response(&mut self) -> Response {
        loop {
            match self.next().await {
                Message::Response(response) if response.status >= 180 => return response,
                Message::Response(_) => {}
                Message::Request(request) => panic!("a response was expected, got {request:?}"),
            }
        }
    }

    pub(super) async fn send(&mut self, head: &str, body: &str) {
        let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Answers a request; `more` are further header lines.
    pub(super) async fn answer(&mut self, request: &Request, status: &str, more: &str, body: &str) {
        let mut head = format!("SIP/2.0 {status}\r\n");
        for field in request.headers.iter() {
            let name = field.name.as_str();
            if ["Via", "From", "Call-ID", "CSeq"].contains(&name) {
                head.push_str(&format!("{name}: {}\r\n", field.value));
            }
            if name == "To" {
                let tag = if request.to_tag().is_none() && !status.starts_with("100") {
                    ";tag=biz"
                } else {
                    ""
                };
                head.push_str(&format!("To: {}{tag}\r\n", field.value));
            }
        }
        self.send(&(head + more), body).await;
    }
}

/// The headers of a 200 OK that leaves Meta's Record-Route as it came.
pub(super) fn good_200(invite: &Request) -> String {
    let mut headers = format!("Record-Route: {SBC_ROUTE}\r\n");
    for route in invite.headers.all("Record-Route") {
        headers.push_str(&format!("Record-Route: {route}\r\n"));
    }
    headers + "Contact: <sip:pbx@10.0.0.9:5060>\r\nContent-Type: application/sdp\r\n"
}

/// The violations of a call.
pub(super) fn violations(report: &CallReport) -> Vec<&str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Violation)
        .map(|finding| finding.text.as_str())
        .collect()
}

/// Asserts that one of the violations contains these words.
pub(super) fn assert_said(report: &CallReport, words: &str) {
    assert!(!report.pass, "{report:?}");
    assert!(
        violations(report).iter().any(|text| text.contains(words)),
        "{words:?} is not among {:#?}",
        violations(report)
    );
}
