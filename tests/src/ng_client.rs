//! A proxy's side of the NG protocol: asks over UDP and waits for the answer.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ng_protocol::{Dictionary, Encoding, Response, Value, frame};

/// As the proxies do it: wait for a second, and ask again under the same cookie, five times in all.
const PATIENCE: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 5;

/// One proxy.
#[derive(Debug)]
pub struct NgClient {
    socket: UdpSocket,
    relay: SocketAddr,
    encoding: Encoding,
    requests: u32,
}

impl NgClient {
    /// A proxy on `address` that asks the relay at `relay`.
    pub fn new(address: IpAddr, relay: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0)).expect("a port for the client");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout for the client");
        Self {
            socket,
            relay,
            encoding: Encoding::Bencode,
            requests: 0,
        }
    }

    /// The same proxy, speaking JSON.
    #[must_use]
    pub fn with_json(mut self) -> Self {
        self.encoding = Encoding::Json;
        self
    }

    /// Asks, and gives the answer.
    pub fn ask(&mut self, request: &Dictionary<'_>) -> Response {
        self.requests += 1;
        let cookie = format!("{}_{}", std::process::id(), self.requests);
        self.ask_as(cookie.as_bytes(), request)
    }

    /// Asks under a cookie of the caller's choice.
    pub fn ask_as(&mut self, cookie: &[u8], request: &Dictionary<'_>) -> Response {
        let datagram = frame::encode(cookie, request, self.encoding);
        let mut answers = (0..ATTEMPTS).filter_map(|_| {
            self.send(&datagram);
            self.receive()
        });
        let answer = answers
            .next()
            .unwrap_or_else(|| panic!("no answer to {request:?}"));
        let (back, payload) = split(&answer);
        assert_eq!(back, cookie, "the answer carries another cookie");
        Response::decode(payload).expect("an answer that can be decoded")
    }

    /// Asks, expects success, and gives the rewritten SDP.
    pub fn sdp_of(&mut self, request: &Dictionary<'_>) -> String {
        let response = self.ask(request);
        let sdp = response.sdp_body();
        let sdp = sdp.unwrap_or_else(|| panic!("no SDP in {response:?}"));
        String::from_utf8_lossy(sdp).into_owned()
    }

    /// Sends bytes as they are.
    pub fn send(&self, datagram: &[u8]) {
        self.socket
            .send_to(datagram, self.relay)
            .expect("a datagram to the relay");
    }

    /// The next answer as it is; `None` when none comes.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let (len, from) = self.socket.recv_from(&mut buffer).ok()?;
        assert_eq!(from, self.relay, "answered from another address");
        buffer.truncate(len);
        Some(buffer)
    }

    /// Waits at most this long for answers from now on.
    pub fn be_patient_for(&self, patience: Duration) {
        self.socket
            .set_read_timeout(Some(patience))
            .expect("a timeout for the client");
    }
}

/// Cookie and payload of a datagram.
pub fn split(datagram: &[u8]) -> (&[u8], &[u8]) {
    let space = datagram.iter().position(|&byte| byte == b' ');
    let space = space.expect("a cookie before the answer");
    (&datagram[..space], &datagram[space + 1..])
}

/// `command` about `call_id`, to be completed with further keys.
pub fn command<'a>(command: &'a str, call_id: &'a str) -> Dictionary<'a> {
    Dictionary::new()
        .with("command", command)
        .with("call-id", call_id)
}

/// An `offer` of the party `from`.
pub fn offer<'a>(call_id: &'a str, from: &'a str, sdp: &'a str) -> Dictionary<'a> {
    command("offer", call_id)
        .with("from-tag", from)
        .with("sdp", sdp)
}

/// The `answer` of the party `to` to the offer of `from`.
pub fn answer<'a>(call_id: &'a str, from: &'a str, to: &'a str, sdp: &'a str) -> Dictionary<'a> {
    command("answer", call_id)
        .with("from-tag", from)
        .with("to-tag", to)
        .with("sdp", sdp)
}

/// A list of words.
pub fn words<'a>(words: &[&'a str]) -> Value<'a> {
    Value::List(words.iter().map(|&word| Value::from(word)).collect())
}
