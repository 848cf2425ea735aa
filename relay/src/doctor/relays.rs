//! Do relays answer: our own, and those that a proxy was told of?

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::finding::{Report, Verdict};
use super::proxy_configs;
use crate::config::Config;

/// A relay on the same network answers within a millisecond; a proxy waits about as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks where our relay would listen; gives the addresses where nobody answers.
pub(super) fn own<W: Write>(config: &Config, report: &mut Report<W>) -> Vec<SocketAddr> {
    let mut silent = Vec::new();
    for address in config.listen_ng.iter().copied().map(reachable) {
        let what = format!("control address {address}");
        match ping(address) {
            Ok(()) => report.add(Verdict::Good, &what, "a relay answers there", None),
            Err(problem) => {
                silent.push(address);
                let found = format!("nobody answers: {problem}");
                let advice = "to be expected before the relay is started";
                report.add(Verdict::Note, &what, &found, Some(advice));
            }
        }
    }
    silent
}

/// Asks every relay that the files of proxies name; our own may not have been started yet.
pub(super) fn of_proxies<W: Write>(
    asked: Option<&[PathBuf]>,
    not_started: &[SocketAddr],
    report: &mut Report<W>,
) {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for path in proxy_configs(asked) {
        let file = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                for (line, relay) in relays_in(&text) {
                    named.entry(relay).or_insert(format!("{file} line {line}"));
                }
            }
            Err(error) => report.add(Verdict::Wrong, &file, &error.to_string(), None),
        }
    }
    if named.is_empty() {
        let found = "no file of a proxy was found that names one";
        let advice = "give --proxy-config=FILE where Kamailio or OpenSIPS is told of its relays";
        report.add(Verdict::Unknown, "relays of the proxy", found, Some(advice));
    }
    for (relay, place) in named {
        let what = format!("relay {relay} ({place})");
        let Some(address) = relay.strip_prefix("udp:") else {
            let found = "only relays over UDP are asked from here";
            report.add(Verdict::Unknown, &what, found, None);
            continue;
        };
        let address = address_of(address);
        if let Ok(address) = &address
            && not_started.contains(address)
        {
            let found = "is ours, which nobody has started";
            report.add(Verdict::Note, &what, found, None);
            continue;
        }
        match address.and_then(ping) {
            Ok(()) => report.add(Verdict::Good, &what, "answers", None),
            Err(problem) => {
                let advice = "the proxy will pass it over, and refuse calls if there is no other: is it \
                              running, does its listen-ng say the same, is there a firewall between?";
                report.add(Verdict::Wrong, &what, &problem, Some(advice));
            }
        }
    }
}

/// Sockets of relays with their lines, in lines that are about relays and are no comments.
fn relays_in(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        // `#!` begins a directive of Kamailio.
        let is_comment =
            (line.starts_with('#') && !line.starts_with("#!")) || line.starts_with("//");
        let lower = line.to_ascii_lowercase();
        if is_comment || !(lower.contains("rtpengine") || lower.contains("relay")) {
            continue;
        }
        for word in
            line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ',' | ';'))
        {
            // In a shared variable of OpenSIPS the value stands behind `s:`.
            let word = word.strip_prefix("s:").unwrap_or(word);
            let is_socket = ["udp:", "tcp:", "ws:", "wss:"]
                .iter()
                .any(|transport| word.starts_with(transport));
            if is_socket {
                found.push((number, word.to_owned()));
            }
        }
    }
    found
}

fn address_of(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}

/// Where to ask somebody who listens on all addresses.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Sends `ping` and waits for `pong`, as a proxy does.
fn ping(address: SocketAddr) -> Result<(), String> {
    let any: IpAddr = if address.is_ipv6() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let exchange = || -> std::io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(b"doctor d7:command4:pinge")?;
        let mut reply = vec![0; 1500];
        let len = socket.recv(&mut reply)?;
        reply.truncate(len);
        Ok(reply)
    };
    match exchange() {
        Ok(reply) if reply == b"doctor d6:result4:ponge" => Ok(()),
        Ok(reply) => Err(format!(
            "it says `{}`",
            String::from_utf8_lossy(&reply).escape_debug()
        )),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(format!("silent for {} s", PATIENCE.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_found_where_both_proxies_write_them() {
        let text = "listen=udp:10.0.0.7:5060\n\
            #!define RELAYS \"udp:127.0.0.1:2223\"\n\
            # modparam(\"rtpengine\", \"rtpengine_sock\", \"udp:10.0.0.9:2223\")\n\
            modparam(\"rtpengine\", \"rtpengine_sock\", \"1 == udp:10.0.0.8:2223 ws:10.0.0.9:8080\")\n\
            modparam(\"cfgutils\", \"shvset\", \"relays=s:udp:127.0.0.1:2225\")\n";
        let found = relays_in(text);
        let expected = [
            (2, "udp:127.0.0.1:2223"),
            (4, "udp:10.0.0.8:2223"),
            (4, "ws:10.0.0.9:8080"),
            (5, "udp:127.0.0.1:2225"),
        ];
        assert_eq!(
            found,
            expected.map(|(line, relay)| (line, relay.to_owned()))
        );
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        let address = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(address("0.0.0.0:2223"), "127.0.0.1:2223");
        assert_eq!(address("[::]:2223"), "[::1]:2223");
        assert_eq!(address("10.0.0.7:2223"), "10.0.0.7:2223");
    }
}
