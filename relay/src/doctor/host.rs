//! This machine: addresses, ports, limits, the way of moving packets, the clock.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use relay_net::{SocketOptions, clock, open_files};

use super::finding::{Report, Verdict};
use crate::config::{Config, Interface};

/// What the hub of a worker wants for its receive buffer, in octets.
const RECEIVE_BUFFER: u64 = 4 << 20;

pub(super) fn look_over<W: Write>(
    config: &Config,
    running: bool,
    unbindable: &[IpAddr],
    report: &mut Report<W>,
) {
    addresses(config, unbindable, report);
    ports(config, running, report);
    files(config, report);
    data_path(config, report);
    match clock::is_synchronised() {
        Ok(true) => report.add(Verdict::Good, "clock", "is kept in step", None),
        Ok(false) => report.add(
            Verdict::Doubtful,
            "clock",
            "nothing keeps it in step, or not yet",
            Some("logs, recordings and certificates go by it: install chrony or systemd-timesyncd"),
        ),
        Err(error) => {
            report.add(Verdict::Unknown, "clock", &error.to_string(), None);
        }
    }
}

/// Those that cannot be bound were told of already.
fn addresses<W: Write>(config: &Config, unbindable: &[IpAddr], report: &mut Report<W>) {
    let mut public = Vec::new();
    for interface in &config.interfaces {
        for address in &interface.addresses {
            let what = format!("interface {} ({})", interface.name, address.advertised);
            if unbindable.contains(&address.bound) {
                continue;
            }
            match unreachable_because(address.advertised) {
                None => public.push(address.advertised),
                Some(reason) => {
                    let found = format!("{reason}: for the PBX's side alone");
                    report.add(Verdict::Note, &what, &found, None);
                    continue;
                }
            }
            if address.bound == address.advertised {
                report.add(Verdict::Good, &what, "is bound here and public", None);
            } else {
                let ports = interface.media_ports(&config.ports);
                let found = format!("is the public face of {}", address.bound);
                let advice = format!(
                    "whatever translates addresses has to pass UDP ports {} to {} on, and leave their numbers",
                    ports.start(),
                    ports.end()
                );
                report.add(Verdict::Note, &what, &found, Some(&advice));
            }
        }
    }
    if public.is_empty() {
        report.add(
            Verdict::Wrong,
            "advertised address",
            "no interface has one that WhatsApp could reach",
            Some("write `interface = NAME/ADDRESS!PUBLIC-ADDRESS` for the one towards WhatsApp"),
        );
    }
}

/// Why nobody on the internet reaches this address; `None` if somebody may.
fn unreachable_because(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(ip) => match ip.octets() {
            _ if ip.is_loopback() => Some("this machine alone reaches it"),
            _ if ip.is_private() => Some("private (RFC 1918)"),
            _ if ip.is_link_local() => Some("link-local (RFC 3927)"),
            [100, 64..=127, ..] => Some("shared by a carrier's customers (RFC 6598)"),
            _ if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() => {
                Some("no address of a host")
            }
            _ if ip.is_documentation() => Some("of documentation (RFC 5737)"),
            _ => None,
        },
        IpAddr::V6(ip) => match ip.segments() {
            _ if ip.is_loopback() => Some("this machine alone reaches it"),
            _ if ip.is_unique_local() => Some("private (RFC 4193)"),
            _ if ip.is_unicast_link_local() => Some("link-local (RFC 4291)"),
            _ if ip.is_unspecified() || ip.is_multicast() => Some("no address of a host"),
            [0x2001, 0xdb8, ..] => Some("of documentation (RFC 3849)"),
            _ => None,
        },
    }
}

fn ports<W: Write>(config: &Config, running: bool, report: &mut Report<W>) {
    for interface in &config.interfaces {
        let ports = interface.media_ports(&config.ports);
        let what = format!(
            "ports {} to {} of interface {}",
            ports.start(),
            ports.end(),
            interface.name
        );
        let taken = taken(interface, ports);
        match &taken[..] {
            [] => report.add(Verdict::Good, &what, "are all free", None),
            _ if running => {
                let found = format!("{} are in use, and a relay is running", taken.len());
                report.add(Verdict::Note, &what, &found, None);
            }
            [first, ..] => {
                let found = format!(
                    "{} are taken by other programs, {first} the first",
                    taken.len()
                );
                let advice = "`ss -ulpn` says by which; the relay passes them over, and has so many ports less";
                report.add(Verdict::Doubtful, &what, &found, Some(advice));
            }
        }
        let ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let reserved = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports");
        if let (Ok(ephemeral), Ok(reserved)) = (ephemeral, reserved)
            && let Some(ephemeral) = range(&ephemeral)
            && overlap(&ephemeral, ports)
            && !is_reserved(&reserved, ports)
        {
            let found = format!(
                "the kernel gives ports {} to {} to programs that ask for any, and may give them yours",
                ephemeral.start(),
                ephemeral.end()
            );
            let advice = format!(
                "sysctl net.ipv4.ip_local_reserved_ports={}-{}",
                ports.start(),
                ports.end()
            );
            report.add(Verdict::Doubtful, &what, &found, Some(&advice));
        }
    }
}

/// Ports of an interface that somebody else has.
fn taken(interface: &Interface, ports: &RangeInclusive<u16>) -> Vec<u16> {
    let mut taken = Vec::new();
    for port in ports.clone() {
        if interface.excluded_ports.contains(&port) {
            continue;
        }
        let is_taken = interface.addresses.iter().any(|address| {
            let bound = relay_net::bind(
                SocketAddr::new(address.bound, port),
                &SocketOptions::default(),
            );
            bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
        });
        if is_taken {
            taken.push(port);
        }
    }
    taken
}

/// Two numbers with a blank between.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

fn overlap(one: &RangeInclusive<u16>, other: &RangeInclusive<u16>) -> bool {
    one.start() <= other.end() && other.start() <= one.end()
}

/// Whether one entry of the kernel's list, `8080,30000-39999`, holds all of them.
fn is_reserved(list: &str, ports: &RangeInclusive<u16>) -> bool {
    list.trim().split(',').any(|entry| {
        let (start, end) = entry.split_once('-').unwrap_or((entry, entry));
        let (start, end) = (start.parse::<u16>(), end.parse::<u16>());
        matches!((start, end), (Ok(start), Ok(end)) if start <= *ports.start() && end >= *ports.end())
    })
}

fn files<W: Write>(config: &Config, report: &mut Report<W>) {
    let wanted: usize = config
        .interfaces
        .iter()
        .map(|interface| {
            let ports = interface.media_ports(&config.ports);
            ports.len() * interface.addresses.len()
        })
        .sum();
    match open_files::raise_limit() {
        Some(limit) if limit < wanted as u64 => report.add(
            Verdict::Doubtful,
            "open files",
            &format!("{limit} are allowed here, and all ports together are {wanted}"),
            Some("the service may be allowed more: LimitNOFILE in its unit is what counts"),
        ),
        _ => report.add(
            Verdict::Good,
            "open files",
            "enough are allowed for all ports",
            None,
        ),
    }
}

fn data_path<W: Write>(config: &Config, report: &mut Report<W>) {
    // One that cannot be had was told of already.
    if let Ok(path) = crate::data_path(config) {
        let best = config.data_path.is_some() || !path.to_string().contains(';');
        let verdict = if best { Verdict::Good } else { Verdict::Note };
        report.add(verdict, "data path", &path.to_string(), None);
    }
    let most = std::fs::read_to_string("/proc/sys/net/core/rmem_max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(most) = most
        && most < RECEIVE_BUFFER
    {
        report.add(
            Verdict::Note,
            "receive buffer",
            &format!(
                "net.core.rmem_max is {most}: a hub without CAP_NET_ADMIN gets no more than that"
            ),
            Some("sysctl net.core.rmem_max=4194304"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_whatsapp_cannot_reach_are_told_apart() {
        let reason = |text: &str| unreachable_because(text.parse().unwrap());
        for address in [
            "10.1.2.3",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
            "::1",
        ] {
            assert!(reason(address).is_some(), "{address}");
        }
        for address in ["8.8.8.8", "100.63.255.255", "100.128.0.1", "2a03:2880::1"] {
            assert_eq!(reason(address), None, "{address}");
        }
    }

    #[test]
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        assert!(is_reserved("8080,30000-39999\n", &(30_000..=39_999)));
        assert!(!is_reserved(
            "30000-35000,35001-39999\n",
            &(30_000..=39_999)
        ));
        assert!(!is_reserved("\n", &(30_000..=39_999)));
        assert_eq!(range("32768\t60999\n"), Some(32_768..=60_999));
    }

    #[test]
    fn a_port_that_somebody_has_is_found() {
        let somebody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = somebody.local_addr().unwrap().port();
        let config = Config::on("127.0.0.1".parse().unwrap());
        assert_eq!(taken(&config.interfaces[0], &(port..=port)), [port]);
        drop(somebody);
        assert!(taken(&config.interfaces[0], &(port..=port)).is_empty());
    }
}
