//! An NG client over UDP that speaks JSON, and bencode for those who measure the cost of a request.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// Where requests go.
#[derive(Debug)]
pub(crate) struct NgClient {
    socket: UdpSocket,
    sent: u64,
}

impl NgClient {
    pub(crate) fn new(relay: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(relay)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self { socket, sent: 0 })
    }

    /// Sends a request and waits for its reply, repeating it like the proxies do.
    pub(crate) fn request(
        &mut self,
        request: &Value,
    ) -> Result<Map<String, Value>, Box<dyn Error>> {
        self.sent += 1;
        // Some relays share their cache of cookies between clients.
        let cookie = format!("{}_{}", self.socket.local_addr()?.port(), self.sent);
        let datagram = format!("{cookie} {request}");
        let mut buffer = vec![0; 65_536];
        for _attempt in 0..10 {
            self.socket.send(datagram.as_bytes())?;
            let Ok(length) = self.socket.recv(&mut buffer) else {
                // Refused at once while the relay is still starting: give it time.
                thread::sleep(Duration::from_millis(200));
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..length]);
            let Some(body) = text.strip_prefix(&cookie) else {
                continue;
            };
            let reply: Map<String, Value> = serde_json::from_str(body.trim_start())?;
            return match reply.get("result").and_then(Value::as_str) {
                Some("ok" | "pong") => Ok(reply),
                _ => Err(format!("the relay refused {request}: {reply:?}").into()),
            };
        }
        Err(format!("the relay does not answer {}", request["command"]).into())
    }

    /// `offer` or `answer`; gives the rewritten SDP.
    pub(crate) fn exchange(
        &mut self,
        command: &str,
        call_id: &str,
        sdp: &str,
        flags: &Value,
    ) -> Result<String, Box<dyn Error>> {
        let mut request = flags.clone();
        request["command"] = json!(command);
        request["call-id"] = json!(call_id);
        request["from-tag"] = json!("caller");
        request["sdp"] = json!(sdp);
        request["replace"] = json!(["origin"]);
        if command == "answer" {
            request["to-tag"] = json!("callee");
        }
        let reply = self.request(&request)?;
        let sdp = reply.get("sdp").and_then(Value::as_str);
        Ok(sdp.ok_or("a reply without sdp")?.to_owned())
    }
}

/// Appends, as the proxies write it, what NG has: numbers, strings, lists and dictionaries.
pub(crate) fn bencode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(entries) => {
            out.push(b'd');
            for (key, value) in entries {
                bencode(&json!(key), out);
                bencode(value, out);
            }
            out.push(b'e');
        }
        Value::Array(items) => {
            out.push(b'l');
            for item in items {
                bencode(item, out);
            }
            out.push(b'e');
        }
        Value::String(text) => out.extend(format!("{}:{text}", text.len()).into_bytes()),
        other => out.extend(format!("i{other}e").into_bytes()),
    }
}

/// The first media address of an SDP that the relay wrote.
pub(crate) fn media_address(sdp: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let port = sdp
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "))
        .and_then(|rest| rest.split(' ').next());
    let address = sdp.lines().find_map(|line| line.strip_prefix("c=IN IP4 "));
    match (address, port) {
        (Some(address), Some(port)) => Ok(SocketAddr::new(address.trim().parse()?, port.parse()?)),
        _ => Err(format!("no media address in {sdp:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bencoded_as_the_proxies_write_them() {
        let mut out = Vec::new();
        bencode(&json!({ "a": ["x", 1], "s": "v=0\r\n" }), &mut out);
        assert_eq!(out, b"d1:al1:xi1ee1:s5:v=0\r\ne");
    }
}
