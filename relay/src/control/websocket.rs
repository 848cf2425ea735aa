//! NG, operators' commands and an echo over WebSocket (RFC 6455), one message each way.
//!
//! The subprotocol says which of them a connection speaks; the path does not matter.
//! Every reply is a binary message, as rtpengine's are: NG strings need not be UTF-8.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::connections::{LONGEST_MESSAGE, Peer, Place};
use super::exchange::{Control, Ends, Exchange, InOrder};

/// How often a client is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subprotocol {
    /// NG with cookies.
    Ng,
    /// NG without.
    NgPlain,
    /// Operators' commands.
    Cli,
    /// Every message is its own reply.
    Echo,
}

impl Subprotocol {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Ng, "ng.rtpengine.com"),
        (Self::NgPlain, "ng-plain.rtpengine.com"),
        (Self::Cli, "cli.rtpengine.com"),
        (Self::Echo, "echo.rtpengine.com"),
    ];

    /// The first one that the client names and we know.
    fn choose(headers: &HeaderMap) -> Option<(Self, &'static str)> {
        let named = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let named = named.filter_map(|value| value.to_str().ok());
        let mut names = named.flat_map(|value| value.split(',')).map(str::trim);
        names.find_map(|name| Self::ALL.into_iter().find(|(_, known)| *known == name))
    }
}

/// Whether a request wants to leave HTTP for the WebSocket.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers the request to change over, and serves the connection from then on.
pub(crate) fn open(
    mut request: Request<Incoming>,
    peer: Peer,
    control: Control,
    place: Place,
) -> Response<Full<Bytes>> {
    let refuse = |problem: &dyn std::fmt::Display| {
        control
            .dispatch()
            .note_undecodable(peer.client.ip(), problem);
        let mut refusal = Response::new(Full::from(format!("{problem}\n")));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        let text = HeaderValue::from_static("text/plain");
        refusal.headers_mut().insert(header::CONTENT_TYPE, text);
        refusal
    };
    let Some((subprotocol, name)) = Subprotocol::choose(request.headers()) else {
        let known = Subprotocol::ALL.map(|(_, name)| name).join(", ");
        return refuse(&format!(
            "no known WebSocket subprotocol; known are {known}"
        ));
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let mut accepted = match create_response(&Request::from_parts(head, ())) {
        Ok(accepted) => accepted.map(|()| Full::default()),
        Err(error) => return refuse(&error),
    };
    accepted.headers_mut().insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(name),
    );
    tokio::spawn(async move {
        // Without it the client has gone before the change was complete.
        let Ok(upgraded) = upgraded.await else {
            return;
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE))
            .max_write_buffer_size(usize::MAX);
        let stream = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        serve(socket, subprotocol, peer, control).await;
        drop(place);
    });
    accepted
}

async fn serve<S>(
    mut socket: WebSocketStream<S>,
    subprotocol: Subprotocol,
    peer: Peer,
    control: Control,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Err(problem) = talk(&mut socket, subprotocol, peer, &control).await else {
        return;
    };
    if let Some(code) = close_code(&problem) {
        let problem = match problem {
            // Without the library's words before ours.
            Error::Io(problem) => problem.to_string(),
            problem => problem.to_string(),
        };
        control
            .dispatch()
            .note_broken_connection("websocket", peer.client, &problem);
        let reason = CloseFrame {
            code,
            reason: short(&problem).into(),
        };
        // The client may be gone; then nobody misses the reason.
        let _ = socket.close(Some(reason)).await;
    }
}

async fn talk<S>(
    socket: &mut WebSocketStream<S>,
    subprotocol: Subprotocol,
    peer: Peer,
    control: &Control,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut replies = InOrder::default();
    let mut ping = interval_at(Instant::now() + PING, PING);
    let mut heard = true;
    loop {
        tokio::select! {
            biased;
            reply = replies.next() => {
                let reply = reply.ok_or_else(|| io::Error::other("the request met a defect of the relay"))?;
                socket.send(Message::Binary(Bytes::from_owner(reply))).await?;
            }
            message = socket.next(), if replies.has_room() => {
                heard = true;
                let message = match message {
                    None | Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) => return Ok(()),
                    Some(message) => message?,
                };
                let bytes = match message {
                    Message::Text(text) => Bytes::from(text),
                    Message::Binary(bytes) => bytes,
                    // The library answers pings itself.
                    _ => continue,
                };
                replies.push(take(subprotocol, peer, control, &bytes)?);
            }
            _ = ping.tick() => {
                if !heard {
                    return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                }
                heard = false;
                socket.send(Message::Ping(Bytes::new())).await?;
            }
        }
    }
}

fn take(
    subprotocol: Subprotocol,
    peer: Peer,
    control: &Control,
    bytes: &[u8],
) -> Result<Exchange, Error> {
    let client = peer.client.ip();
    Ok(match subprotocol {
        Subprotocol::Ng => {
            let ends = Ends {
                client,
                local: peer.local,
            };
            // Without a cookie nobody could match a reply, so the connection has to say it.
            let without = |problem| io::Error::new(io::ErrorKind::InvalidData, problem);
            control.take(ends, bytes).map_err(without)?
        }
        Subprotocol::NgPlain => control.take_plain(client, bytes),
        Subprotocol::Cli => {
            let text = String::from_utf8_lossy(bytes);
            control.take_command(text.lines().next().unwrap_or_default())
        }
        Subprotocol::Echo => Exchange::of(bytes),
    })
}

/// How to tell a client what it did wrong; `None` if it is gone.
fn close_code(problem: &Error) -> Option<CloseCode> {
    match problem {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Some(CloseCode::Policy),
        Error::Io(error) if error.kind() == io::ErrorKind::Other => Some(CloseCode::Error),
        _ => None,
    }
}

/// A close frame has room for 123 bytes of reason (RFC 6455 §5.5).
fn short(text: &str) -> String {
    let mut end = text.len().min(123);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_subprotocol_is_chosen() {
        let chosen = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_static(value);
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, value);
            }
            Subprotocol::choose(&headers).map(|(_, name)| name)
        };
        assert_eq!(chosen(&["ng.rtpengine.com"]), Some("ng.rtpengine.com"));
        assert_eq!(
            chosen(&["sip, echo.rtpengine.com,cli.rtpengine.com"]),
            Some("echo.rtpengine.com")
        );
        assert_eq!(
            chosen(&["sip", "cli.rtpengine.com"]),
            Some("cli.rtpengine.com")
        );
        assert_eq!(chosen(&["sip"]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_reason_for_closing_is_cut_between_characters() {
        assert_eq!(short("short"), "short");
        let long = "\u{20ac}".repeat(100);
        assert_eq!(short(&long).len(), 123);
        assert_eq!(short(&format!("x{long}")).len(), 121);
    }
}
