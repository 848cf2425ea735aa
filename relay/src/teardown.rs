//! Telling a SIP server that a call has ended by a timeout, by XML-RPC over HTTP, so that it ends the dialog too (`b2b-url`).

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ng_protocol::{CallId, Tag};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::{Teardown, TeardownFormat};

/// A server that does not answer within this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a reply no more than this is read.
const LONGEST_REPLY: u64 = 64 * 1024;

/// Tells of a call that ended by a timeout. `callback` stands for `%%` in the URL.
pub(crate) async fn tell(
    settings: Teardown,
    call_id: CallId,
    tags: Vec<Tag>,
    callback: Option<IpAddr>,
) {
    let Some([host, path]) = target(&settings, callback) else {
        warn!(call = %call_id, "b2b-url has %% and the request had no xmlrpc-callback: nobody is told of the timeout");
        return;
    };
    for body in bodies(settings.format, &call_id, &tags) {
        match timeout(PATIENCE, post(&host, &path, &body)).await {
            Ok(Ok(200)) => info!(call = %call_id, "{host} was told of the timeout"),
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
async fn post(host: &str, path: &str, body: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml\r\nUser-Agent: tandem\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.take(LONGEST_REPLY).read_to_end(&mut reply).await?;
    status(&reply).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the reply is no HTTP"))
}

fn status(reply: &[u8]) -> Option<u16> {
    let line = reply.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.split(' ').next()?;
    version.starts_with("HTTP/1.").then(|| code.parse().ok())?
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_status_is_read_from_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 404\r\n"), Some(404));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
