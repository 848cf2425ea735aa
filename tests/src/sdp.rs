//! Session descriptions for tests, and what is read out of the relay's.

use std::net::{IpAddr, SocketAddr};

/// A plain phone's description: PCMU, PCMA and telephone-event at `address`.
pub fn phone(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\n\
         o=phone 1 1 IN {family} {ip}\r\n\
         s=-\r\n\
         c=IN {family} {ip}\r\n\
         t=0 0\r\n\
         m=audio {port} RTP/AVP 0 8 101\r\n\
         a=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\n\
         a=sendrecv\r\n",
        ip = address.ip(),
        port = address.port()
    )
}

/// The same with one SDES key (RFC 4568).
pub fn encrypted_phone(address: SocketAddr, suite: &str, key: &str) -> String {
    phone(address).replace("RTP/AVP", "RTP/SAVP") + &format!("a=crypto:1 {suite} inline:{key}\r\n")
}

/// Where the first audio section of a description wants its media.
pub fn audio_address(sdp: &str) -> SocketAddr {
    let lines: Vec<&str> = sdp.lines().collect();
    let media = lines
        .iter()
        .position(|line| line.starts_with("m=audio "))
        .unwrap_or_else(|| panic!("no audio in {sdp}"));
    let port = lines[media].split(' ').nth(1).and_then(|p| p.parse().ok());
    let port: u16 = port.unwrap_or_else(|| panic!("no port in {sdp}"));
    let in_section = lines[media + 1..]
        .iter()
        .take_while(|line| !line.starts_with("m="))
        .find(|line| line.starts_with("c="));
    let in_session = lines[..media].iter().find(|line| line.starts_with("c="));
    let connection = in_section.or(in_session);
    let ip = connection.and_then(|line| line.split(' ').nth(2)?.parse().ok());
    let ip: IpAddr = ip.unwrap_or_else(|| panic!("no address in {sdp}"));
    SocketAddr::new(ip, port)
}

/// Tag, suite and key of each `a=crypto` line.
pub fn crypto_lines(sdp: &str) -> Vec<(u32, String, String)> {
    let lines = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=crypto:"));
    let parsed = lines.filter_map(|line| {
        let mut parts = line.split(' ');
        let tag = parts.next()?.parse().ok()?;
        let suite = parts.next()?.to_owned();
        let key = parts.next()?.strip_prefix("inline:")?;
        let key = key.split('|').next()?.to_owned();
        Some((tag, suite, key))
    });
    parsed.collect()
}
