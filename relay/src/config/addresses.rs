//! Addresses with ports: where to listen, and where to send to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ConfigError;
use super::interface::Names;
use super::settings::{Settings, bad};

/// The values of a `listen-` option.
pub(super) fn listeners(
    settings: &Settings,
    option: &'static str,
    names: &dyn Names,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut listeners = Vec::new();
    for entry in settings.all(option) {
        let addresses =
            listen_addresses(&entry, names).map_err(|problem| bad(option, &entry, problem))?;
        listeners.extend(addresses);
    }
    Ok(listeners)
}

/// `ADDRESS:PORT` or `HOST:PORT`: where something is sent to.
pub(super) fn destination(
    settings: &Settings,
    option: &'static str,
    names: &dyn Names,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(entry) = settings.last(option) else {
        return Ok(None);
    };
    if !entry.contains(':') {
        let problem = "an address and a port are expected, such as 127.0.0.1:2226".to_owned();
        return Err(bad(option, entry, problem));
    }
    let addresses =
        listen_addresses(entry, names).map_err(|problem| bad(option, entry, problem))?;
    Ok(addresses.first().copied())
}

/// `PORT` listens on all addresses of both families, `ADDRESS:PORT` and `[ADDRESS]:PORT` on one, `HOST:PORT` on all of the host.
fn listen_addresses(entry: &str, names: &dyn Names) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let port_of = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("`{text}` is no port number"))
    };
    let Some((host, port)) = entry.rsplit_once(':') else {
        let port = port_of(entry)?;
        return Ok(vec![
            (Ipv4Addr::UNSPECIFIED, port).into(),
            (Ipv6Addr::UNSPECIFIED, port).into(),
        ]);
    };
    let port = port_of(port)?;
    let mut addresses: Vec<SocketAddr> = names
        .host(host)
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    // IPv4 first: a machine may know `::1` by name and have IPv6 switched off.
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(format!(
            "{host} is no address and no host name that resolves"
        ));
    }
    Ok(addresses)
}
