//! Telling a SIP server that a call has ended by a timeout, by XML-RPC over HTTP, so that it ends the dialog too (`b2b-url`).

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use ng_protocol::{CallId, Tag};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::config::{Teardown, TeardownFormat};

/// A server that does not answer within this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a reply no more than this is read.
const LONGEST_REPLY: usize = 64 * 1024;
/// Calls that the server hears of at the same time.
const AT_ONCE: usize = 16;
/// Calls that may wait for that: when a network is gone, all its calls end in the same minute.
const WAITING: usize = 4096;

/// A call that a timeout has ended.
#[derive(Debug)]
pub(crate) struct TimedOut {
    pub(crate) call_id: CallId,
    /// Its parties, the caller first.
    pub(crate) tags: Vec<Tag>,
    /// What stands for `%%` in the URL.
    pub(crate) callback: Option<IpAddr>,
}

/// Tells the server of one call after another, of some at the same time.
#[derive(Debug)]
pub(crate) struct Teller {
    queue: mpsc::Sender<TimedOut>,
    lost: u64,
}

impl Teller {
    /// Begins to tell, in tasks of its own: a server that hangs is in nobody's way.
    pub(crate) fn start(settings: Teardown) -> Self {
        let (queue, mut calls) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let settings = Arc::new(settings);
            let places = Arc::new(Semaphore::new(AT_ONCE));
            while let Some(call) = calls.recv().await {
                // The semaphore is never closed.
                let place = Arc::clone(&places).acquire_owned().await;
                let settings = Arc::clone(&settings);
                tokio::spawn(async move {
                    tell(&settings, call).await;
                    drop(place);
                });
            }
        });
        Self { queue, lost: 0 }
    }

    /// Has the server told of a call, unless too many wait for that.
    pub(crate) fn tell(&mut self, call: TimedOut) {
        if let Err(mpsc::error::TrySendError::Full(call)) = self.queue.try_send(call) {
            self.lost += 1;
            // The first one tells the operator; a server that is gone must not fill the log.
            if self.lost.is_power_of_two() {
                error!(
                    call = %call.call_id,
                    "b2b-url: {WAITING} calls wait to be told of; call number {} that the server never hears of",
                    self.lost
                );
            }
        }
    }
}

async fn tell(settings: &Teardown, call: TimedOut) {
    let TimedOut {
        call_id,
        tags,
        callback,
    } = call;
    let Some([host, path]) = target(settings, callback) else {
        warn!(call = %call_id, "b2b-url has %% and the request had no xmlrpc-callback: nobody is told of the timeout");
        return;
    };
    for body in bodies(settings.format, &call_id, &tags) {
        match timeout(PATIENCE, post(&host, &path, body)).await {
            Ok(Ok(StatusCode::OK)) => info!(call = %call_id, "{host} was told of the timeout"),
            Ok(Ok(status)) => {
                warn!(call = %call_id, "{host} answers {status} to the news of the timeout")
            }
            Ok(Err(error)) => {
                warn!(call = %call_id, "{host} cannot be told of the timeout: {error}")
            }
            Err(_) => warn!(call = %call_id, "{host} does not answer to the news of the timeout"),
        }
    }
}

/// Where to connect to, with its port, and what to ask for there.
fn target(settings: &Teardown, callback: Option<IpAddr>) -> Option<[String; 2]> {
    let both = [&settings.host, &settings.path].map(String::as_str);
    if !both.iter().any(|text| text.contains("%%")) {
        return Some(both.map(str::to_owned));
    }
    let callback = match callback? {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Some(both.map(|text| text.replace("%%", &callback)))
}

/// The method calls of a format, one after another.
fn bodies(format: TeardownFormat, call_id: &CallId, tags: &[Tag]) -> Vec<String> {
    let tag = |at: usize| tags.get(at).map(ToString::to_string).unwrap_or_default();
    let call_id = call_id.to_string();
    match format {
        TeardownFormat::Sems => tags
            .iter()
            .map(|tag| {
                method_call(
                    "di",
                    &["sbc", "postControlCmd", &tag.to_string(), "teardown"],
                )
            })
            .collect(),
        TeardownFormat::CallId => vec![method_call("teardown", &[&call_id])],
        TeardownFormat::Dialog => {
            vec![method_call(
                "dlg.terminate_dlg",
                &[&call_id, &tag(0), &tag(1)],
            )]
        }
    }
}

fn method_call(name: &str, parameters: &[&str]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodCall>\r\n<methodName>{name}</methodName>\r\n<params>\r\n"
    );
    for parameter in parameters {
        text.push_str("<param><value><string>");
        for character in parameter.chars() {
            match character {
                '&' => text.push_str("&amp;"),
                '<' => text.push_str("&lt;"),
                '>' => text.push_str("&gt;"),
                // XML 1.0 §2.2: no other control characters.
                c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => text.push('\u{fffd}'),
                c => text.push(c),
            }
        }
        text.push_str("</string></value></param>\r\n");
    }
    text.push_str("</params>\r\n</methodCall>\r\n");
    text
}

/// The status of the reply.
async fn post(
    host: &str,
    path: &str,
    body: String,
) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(host).await?;
    let (mut sender, connection) = http1::Builder::new()
        // Not all servers that are this old know that the case of names means nothing (RFC 9110 section 5.1).
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await?;
    let request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "text/xml")
        .header(USER_AGENT, "tandem")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async move {
        let reply = sender.send_request(request).await?;
        let status = reply.status();
        // Whatever it says, it is let speak out: some servers complain of those who hang up.
        let _ = Limited::new(reply.into_body(), LONGEST_REPLY)
            .collect()
            .await;
        Ok(status)
    };
    // What befalls the connection is told to the exchange.
    let (status, _) = tokio::join!(exchange, connection);
    status
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn said(format: TeardownFormat) -> Vec<String> {
        bodies(
            format,
            &CallId::from("b2b&<call>"),
            &["a".into(), "b".into()],
        )
    }

    /// Recorded from rtpengine 10.5.
    #[test]
    fn each_format_says_what_rtpengine_says() {
        let string =
            |text: &str| format!("<param><value><string>{text}</string></value></param>\r\n");
        let call = |method: &str, parameters: &[&str]| {
            let parameters: String = parameters.iter().map(|text| string(text)).collect();
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodCall>\r\n<methodName>{method}</methodName>\r\n\
                 <params>\r\n{parameters}</params>\r\n</methodCall>\r\n"
            )
        };
        let both = ["a", "b"].map(|tag| call("di", &["sbc", "postControlCmd", tag, "teardown"]));
        assert_eq!(said(TeardownFormat::Sems), both);
        let escaped = "b2b&amp;&lt;call&gt;";
        assert_eq!(said(TeardownFormat::CallId), [call("teardown", &[escaped])]);
        let dialog = call("dlg.terminate_dlg", &[escaped, "a", "b"]);
        assert_eq!(said(TeardownFormat::Dialog), [dialog]);
    }

    #[test]
    fn the_callback_address_of_a_call_completes_the_url() {
        let target = |host: &str, callback: Option<&str>| {
            let settings = Teardown {
                host: host.to_owned(),
                path: "/RPC2?for=%%".to_owned(),
                format: TeardownFormat::CallId,
            };
            super::target(&settings, callback.map(|ip| ip.parse().unwrap()))
        };
        let of = |host: &str, path: &str| Some([host.to_owned(), path.to_owned()]);
        let whole = target("%%:8080", Some("192.0.2.7"));
        assert_eq!(whole, of("192.0.2.7:8080", "/RPC2?for=192.0.2.7"));
        let whole = target("%%:80", Some("2001:db8::7"));
        assert_eq!(whole, of("[2001:db8::7]:80", "/RPC2?for=[2001:db8::7]"));
        assert_eq!(target("sip:80", None), None);
    }

    /// A server on a port of its own, and how to tell it of calls.
    async fn server() -> (TcpListener, Teardown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Teardown {
            host: listener.local_addr().unwrap().to_string(),
            path: "/RPC2".to_owned(),
            format: TeardownFormat::CallId,
        };
        (listener, settings)
    }

    /// What comes of a post to a server that answers so.
    async fn answered(reply: &'static [u8]) -> Result<u16, String> {
        let (listener, settings) = server().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(head.starts_with("POST /RPC2 HTTP/1.1\r\n"), "{head}");
            stream.write_all(reply).await.unwrap();
        });
        let posted = post(&settings.host, &settings.path, "x".to_owned()).await;
        posted
            .map(|status| status.as_u16())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_status_of_the_reply_counts_however_it_goes_on() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
        assert_eq!(answered(whole).await, Ok(200));
        assert_eq!(answered(b"HTTP/1.0 404 No\r\n\r\n").await, Ok(404));
        let cut_off = b"HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\nOK";
        assert_eq!(answered(cut_off).await, Ok(500));
        assert!(answered(b"SSH-2.0-OpenSSH\r\n").await.is_err());
        assert!(answered(b"").await.is_err());
    }

    fn timed_out() -> TimedOut {
        TimedOut {
            call_id: CallId::from("call"),
            tags: Vec::new(),
            callback: None,
        }
    }

    #[tokio::test]
    async fn a_server_that_hangs_has_a_bounded_number_of_connections() {
        let (listener, settings) = server().await;
        let mut teller = Teller::start(settings);
        for _ in 0..AT_ONCE + 2 {
            teller.tell(timed_out());
        }
        let mut connections = Vec::new();
        for _ in 0..AT_ONCE {
            connections.push(listener.accept().await.unwrap());
        }
        let more = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(more.is_err(), "one too many");
        // Where one is served, another one comes.
        drop(connections.pop());
        let next = timeout(PATIENCE / 2, listener.accept()).await;
        assert!(next.is_ok());
    }

    #[tokio::test]
    async fn calls_beyond_those_that_may_wait_are_lost_and_counted() {
        let (_listener, settings) = server().await;
        let mut teller = Teller::start(settings);
        // Nobody takes them out while this loop runs: there is one thread.
        for _ in 0..WAITING + 3 {
            teller.tell(timed_out());
        }
        assert_eq!(teller.lost, 3);
    }
}
