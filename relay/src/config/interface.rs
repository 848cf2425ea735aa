//! `[NAME/]ADDRESS[!ADVERTISED]`: the local addresses for media, by the names that proxies use for them.
//!
//! One name may have several addresses (IPv4 and IPv6, or several networks); they all become ICE candidates, the first of the
//! wanted family stands in `c=`.

use std::net::{IpAddr, ToSocketAddrs};

use relay_net::interfaces::{SystemAddress, system_addresses};

/// A name for media addresses, as `direction` in a request says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name; `default` when none was written.
    pub name: String,
    /// Further names (`ALIAS=NAME`).
    pub aliases: Vec<String>,
    /// At least one address.
    pub addresses: Vec<MediaAddress>,
}

/// One local address, and what the world knows it as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaAddress {
    /// The address to bind.
    pub bound: IpAddr,
    /// The address to write to SDP and candidates.
    pub advertised: IpAddr,
}

/// What a name on this machine stands for.
pub trait Names {
    /// The addresses of this machine.
    fn system(&self) -> Vec<SystemAddress>;
    /// The addresses of a host.
    fn host(&self, name: &str) -> Vec<IpAddr>;
}

/// The kernel and the resolver.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Names for Machine {
    fn system(&self) -> Vec<SystemAddress> {
        // An empty list makes every name unknown, and that is reported with the name.
        system_addresses().unwrap_or_default()
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        let addresses = (name, 0).to_socket_addrs();
        addresses.map_or_else(|_| Vec::new(), |list| list.map(|a| a.ip()).collect())
    }
}

/// Reads all entries; the result keeps their order.
/// An error is the offending entry and what is wrong with it.
pub fn parse(entries: &[String], names: &dyn Names) -> Result<Vec<Interface>, (String, String)> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in entries {
        let wrong = |problem: String| (entry.clone(), problem);
        if let Some((alias, name)) = entry.split_once('=') {
            let original = interfaces
                .iter_mut()
                .find(|interface| interface.name == name)
                .ok_or_else(|| wrong(format!("no interface before it is called {name}")))?;
            original.aliases.push(alias.to_owned());
            continue;
        }
        let (name, rest) = entry.split_once('/').unwrap_or(("default", entry));
        let (address, advertised) = match rest.split_once('!') {
            Some((address, advertised)) => (address, Some(advertised)),
            None => (rest, None),
        };
        let addresses = media_addresses(address, advertised, names).map_err(wrong)?;
        match interfaces.iter_mut().find(|i| i.name == name) {
            Some(known) => known.addresses.extend(addresses),
            None => interfaces.push(Interface {
                name: name.to_owned(),
                aliases: Vec::new(),
                addresses,
            }),
        }
    }
    Ok(interfaces)
}

fn media_addresses(
    address: &str,
    advertised: Option<&str>,
    names: &dyn Names,
) -> Result<Vec<MediaAddress>, String> {
    let bound = resolve(address, names)?;
    let advertised = match advertised {
        Some(advertised) => resolve(advertised, names)?,
        None => Vec::new(),
    };
    // An address without a public counterpart of its family is its own.
    let public = |bound: IpAddr| {
        let counterpart = advertised.iter().find(|a| a.is_ipv4() == bound.is_ipv4());
        counterpart.copied().unwrap_or(bound)
    };
    if let ([only], [foreign]) = (&bound[..], &advertised[..]) {
        // One address each, even of different families: the operator knows why.
        return Ok(vec![MediaAddress {
            bound: *only,
            advertised: *foreign,
        }]);
    }
    let pairs = bound.iter().map(|&bound| MediaAddress {
        bound,
        advertised: public(bound),
    });
    Ok(pairs.collect())
}

/// A literal address, `any`, a network interface, or a host, tried in this order.
fn resolve(text: &str, names: &dyn Names) -> Result<Vec<IpAddr>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("an address is missing".to_owned());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
        if address.is_unspecified() {
            return Err("write `any` for all addresses, or name one".to_owned());
        }
        return Ok(vec![address]);
    }
    let system = names.system();
    let usable = system.iter().filter(|a| !is_link_local(a.address));
    let found: Vec<IpAddr> = if text == "any" {
        usable
            .filter(|a| !a.address.is_loopback())
            .map(|a| a.address)
            .collect()
    } else {
        usable
            .filter(|a| a.interface == text)
            .map(|a| a.address)
            .collect()
    };
    if !found.is_empty() {
        return Ok(found);
    }
    if text == "any" {
        return Err("this machine has no address besides loopback".to_owned());
    }
    let mut found = names.host(text);
    found.dedup();
    if found.is_empty() {
        return Err(format!(
            "{text} is no address, no network interface of this machine and no host name that resolves"
        ));
    }
    Ok(found)
}

/// Link-local addresses mean nothing without the interface they belong to, and SDP cannot say that.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Invented;

    impl Names for Invented {
        fn system(&self) -> Vec<SystemAddress> {
            [
                ("lo", "127.0.0.1"),
                ("eth0", "192.0.2.1"),
                ("eth0", "2001:db8::1"),
                ("eth0", "fe80::1"),
                ("eth1", "10.0.0.1"),
            ]
            .map(|(interface, address)| SystemAddress {
                interface: interface.to_owned(),
                address: address.parse().unwrap(),
            })
            .to_vec()
        }

        fn host(&self, name: &str) -> Vec<IpAddr> {
            match name {
                "relay.example" => vec!["198.51.100.7".parse().unwrap()],
                _ => Vec::new(),
            }
        }
    }

    fn read(entries: &[&str]) -> Result<Vec<String>, String> {
        let entries: Vec<String> = entries.iter().map(|&e| e.to_owned()).collect();
        let interfaces =
            parse(&entries, &Invented).map_err(|(entry, problem)| format!("{entry}: {problem}"))?;
        let describe = |interface: Interface| {
            let addresses: Vec<String> = interface
                .addresses
                .iter()
                .map(|a| format!("{}>{}", a.bound, a.advertised))
                .collect();
            format!(
                "{} {}",
                [vec![interface.name], interface.aliases].concat().join("="),
                addresses.join(" ")
            )
        };
        Ok(interfaces.into_iter().map(describe).collect())
    }

    #[test]
    fn a_bare_address_is_the_default_interface() {
        assert_eq!(
            read(&["192.0.2.1"]).unwrap(),
            ["default 192.0.2.1>192.0.2.1"]
        );
    }

    #[test]
    fn a_name_an_advertised_address_and_an_alias() {
        assert_eq!(
            read(&["pub/10.0.0.1!198.51.100.1", "priv/10.0.0.1", "world=pub"]).unwrap(),
            ["pub=world 10.0.0.1>198.51.100.1", "priv 10.0.0.1>10.0.0.1"]
        );
    }

    #[test]
    fn one_name_collects_its_addresses() {
        assert_eq!(
            read(&["pub/192.0.2.1", "pub/2001:db8::1"]).unwrap(),
            ["pub 192.0.2.1>192.0.2.1 2001:db8::1>2001:db8::1"]
        );
        assert_eq!(
            read(&["p/[2001:db8::1]"]).unwrap(),
            ["p 2001:db8::1>2001:db8::1"]
        );
    }

    #[test]
    fn network_interfaces_hosts_and_any_are_resolved() {
        assert_eq!(
            read(&["eth0!relay.example"]).unwrap(),
            ["default 192.0.2.1>198.51.100.7 2001:db8::1>2001:db8::1"]
        );
        assert_eq!(
            read(&["any"]).unwrap(),
            ["default 192.0.2.1>192.0.2.1 2001:db8::1>2001:db8::1 10.0.0.1>10.0.0.1"]
        );
        assert_eq!(
            read(&["x/relay.example"]).unwrap(),
            ["x 198.51.100.7>198.51.100.7"]
        );
    }

    #[test]
    fn an_error_names_the_entry() {
        for (entry, words) in [
            ("pub/nowhere.example", "no host name that resolves"),
            ("a=b", "no interface before it is called b"),
            ("pub/", "an address is missing"),
            ("0.0.0.0", "write `any`"),
        ] {
            let error = read(&[entry]).unwrap_err();
            assert!(error.starts_with(entry) && error.contains(words), "{error}");
        }
    }
}
