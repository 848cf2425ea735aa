//! HTTP beside NG: the same requests as `POST`, operators' commands, the pages for Prometheus and for people, and the door to the
//! WebSocket.
//!
//! Paths, types and texts are rtpengine's.
//! A browser may ask from any page, as there (`Access-Control-Allow-Origin: *`), so the port belongs where only friends can reach it.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ng_protocol::Encoding;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connections::{LONGEST_MESSAGE, PATIENCE, Peer, Place};
use super::exchange::{Control, Ends, Exchange};
use super::websocket;

/// The type of an NG message.
const NG: &str = "application/x-rtpengine-ng";
/// The type of an NG dictionary in JSON.
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
/// Without the version newer Prometheus servers refuse the page.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The most that hyper keeps of a connection besides a body: head lines, mostly.
const HEAD: usize = 16 * 1024;

/// Serves one connection to its end, or until it becomes a WebSocket.
pub(crate) async fn serve<S>(stream: S, peer: Peer, control: Control, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = |request| {
        let (control, place) = (control.clone(), Place::clone(&place));
        async move { Ok::<_, Infallible>(answer(request, peer, control, place).await) }
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also the time between two requests of one connection.
        .header_read_timeout(PATIENCE)
        .half_close(true)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .with_upgrades()
        .await;
    if let Err(error) = served
        && (error.is_parse() || error.is_incomplete_message() || error.is_body_write_aborted())
    {
        control
            .dispatch()
            .note_broken_connection("http", peer.client, &error);
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    control: Control,
    place: Place,
) -> Response<Full<Bytes>> {
    let answer = if websocket::is_asked_for(request.headers()) {
        websocket::open(request, peer, control, place)
    } else {
        let dispatch = control.dispatch();
        // Other sites may not read it, so it goes out without their permission.
        if let Some(answer) = dispatch.live_page().answer(&request, dispatch).await {
            return answer;
        }
        match route(request, peer, &control).await {
            Ok(answer) => answer,
            Err(refusal) => {
                control
                    .dispatch()
                    .note_undecodable(peer.client.ip(), &refusal);
                refusal.response()
            }
        }
    };
    with_cors(answer)
}

async fn route(
    request: Request<Incoming>,
    peer: Peer,
    control: &Control,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let client = peer.client.ip();
    match (&head.method, path) {
        (&Method::OPTIONS, _) => Ok(Response::new(Full::default())),
        (&Method::GET | &Method::HEAD, "/ping") => Ok(reply(TEXT, "pong\n")),
        (&Method::GET | &Method::HEAD, "/metrics") => {
            Ok(reply(METRICS, control.dispatch().prometheus_text()))
        }
        (&Method::GET, _) if path.starts_with("/cli/") => {
            let words = unescape(&path["/cli/".len()..]);
            finished(control.take_command(&words), TEXT).await
        }
        (&Method::POST, "/cli") => {
            expect_type(&head.headers, &[TEXT])?;
            let line = read(&head.headers, body).await?;
            let line = String::from_utf8_lossy(&line);
            let line = line.lines().next().unwrap_or_default();
            finished(control.take_command(line), TEXT).await
        }
        (&Method::POST, "/ng") => {
            expect_type(&head.headers, &[NG, JSON])?;
            let message = read(&head.headers, body).await?;
            let ends = Ends {
                client,
                local: peer.local,
            };
            let exchange = control
                .take(ends, &message)
                .map_err(|problem| Refusal::new(StatusCode::BAD_REQUEST, problem.to_string()))?;
            finished(exchange, NG).await
        }
        (&Method::POST, "/ng-plain") => {
            expect_type(&head.headers, &[NG, JSON])?;
            let payload = read(&head.headers, body).await?;
            let kind = match Encoding::of_reply_to(&payload) {
                Encoding::Json => JSON,
                Encoding::Bencode => NG,
            };
            finished(control.take_plain(client, &payload), kind).await
        }
        (&Method::GET | &Method::HEAD | &Method::POST, _) => {
            let mut missing = reply(TEXT, "not found\n");
            *missing.status_mut() = StatusCode::NOT_FOUND;
            Ok(missing)
        }
        (method, _) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not understood here; GET, POST and OPTIONS are"),
        )),
    }
}

/// Why a request is not carried out.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = reply(TEXT, format!("{}\n", self.text));
        *response.status_mut() = self.status;
        // Part of the body may not have been read.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {}: {}", self.status.as_u16(), self.text)
    }
}

fn reply(kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn finished(
    mut exchange: Exchange,
    kind: &'static str,
) -> Result<Response<Full<Bytes>>, Refusal> {
    match exchange.reply().await {
        Some(bytes) => Ok(reply(kind, Bytes::from_owner(bytes))),
        None => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request met a defect of the relay",
        )),
    }
}

/// The whole body, if it is not too long and comes in time.
async fn read(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Refusal> {
    let announced = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING);
    if !announced {
        return Err(Refusal::new(
            StatusCode::LENGTH_REQUIRED,
            "the header Content-Length is missing",
        ));
    }
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, LONGEST_MESSAGE).collect());
    match whole.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body of more than {LONGEST_MESSAGE} bytes is not accepted"),
        )),
        Ok(Err(error)) => Err(Refusal::new(StatusCode::BAD_REQUEST, error.to_string())),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        )),
    }
}

/// The body must have one of these types, whatever its parameters.
fn expect_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE);
    let essence = given
        .and_then(|kind| kind.to_str().ok())
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    match essence {
        Some(kind) if types.iter().any(|known| known.eq_ignore_ascii_case(kind)) => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the Content-Type must be {}", types.join(" or ")),
        )),
    }
}

/// The words of a path: `+` is a space, `%` is followed by two hexadecimal digits.
pub(crate) fn unescape(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hexadecimal = || {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            digits
                .bytes()
                .all(|digit| digit.is_ascii_hexdigit())
                .then(|| u8::from_str_radix(digits, 16).ok())?
        };
        match (first, hexadecimal()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn with_cors(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_path_are_unescaped() {
        for (path, words) in [
            ("list+totals", "list totals"),
            ("list%20sessions%20own", "list sessions own"),
            ("list+sessions+a%2Bb%40c", "list sessions a+b@c"),
            ("odd%", "odd%"),
            ("odd%4", "odd%4"),
            ("odd%+1", "odd% 1"),
            ("%zz%41", "%zzA"),
            ("", ""),
        ] {
            assert_eq!(unescape(path), words);
        }
    }

    #[test]
    fn the_type_of_a_body_may_have_parameters() {
        let headers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            headers
        };
        assert!(expect_type(&headers("application/json; charset=utf-8"), &[NG, JSON]).is_ok());
        assert!(expect_type(&headers("Text/Plain"), &[TEXT]).is_ok());
        assert!(expect_type(&headers("text/html"), &[TEXT]).is_err());
        assert!(expect_type(&HeaderMap::new(), &[TEXT]).is_err());
    }
}
