//! `[NAME/]ADDRESS[!ADVERTISED]`: the local addresses for media, by the names that proxies use for them.
//!
//! One name may have several addresses (IPv4 and IPv6, or several networks); they all become ICE candidates, the first of the
//! wanted family stands in `c=`.

use std::net::{IpAddr, ToSocketAddrs};
use std::ops::RangeInclusive;

use relay_net::interfaces::{SystemAddress, system_addresses};

use super::file::{Entry, Section};
use super::settings::bad;
use super::{ConfigError, Settings};
use crate::worker::ports::InterfacePorts;

/// A name for media addresses, as `direction` in a request says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name; `default` when none was written.
    pub name: String,
    /// Further names (`ALIAS=NAME`).
    pub aliases: Vec<String>,
    /// At least one address.
    pub addresses: Vec<MediaAddress>,
    /// Ports of its own, instead of `port-min` to `port-max`.
    pub ports: Option<RangeInclusive<u16>>,
    /// Ports that are never used.
    pub excluded_ports: Vec<u16>,
}

/// One local address, and what the world knows it as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaAddress {
    /// The address to bind.
    pub bound: IpAddr,
    /// The address to write to SDP and candidates.
    pub advertised: IpAddr,
}

impl Interface {
    /// The ports of its calls: its own, or `all`.
    pub fn media_ports<'a>(&'a self, all: &'a RangeInclusive<u16>) -> &'a RangeInclusive<u16> {
        self.ports.as_ref().unwrap_or(all)
    }

    /// The ports it has for itself, if it is not content with `all`.
    pub fn own_ports(&self, all: &RangeInclusive<u16>) -> Option<InterfacePorts> {
        if self.ports.is_none() && self.excluded_ports.is_empty() {
            return None;
        }
        Some(InterfacePorts {
            name: self.name.clone(),
            ports: self.media_ports(all).clone(),
            excluded: self.excluded_ports.clone(),
        })
    }
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
            Some(known) => {
                let bound = |of: &[MediaAddress]| of.iter().map(|a| a.bound).collect::<Vec<_>>();
                let (there, new) = (bound(&known.addresses), bound(&addresses));
                if let Some(twice) = new.iter().find(|address| there.contains(address)) {
                    return Err(wrong(format!("{name} has {twice} already")));
                }
                known.addresses.extend(addresses);
            }
            None => interfaces.push(Interface {
                name: name.to_owned(),
                aliases: Vec::new(),
                addresses,
                ports: None,
                excluded_ports: Vec::new(),
            }),
        }
    }
    Ok(interfaces)
}

/// Reads the sections `[PREFIX-NAME]` that `interfaces-config = PREFIX` refers to, after the interfaces of the command line.
pub(super) fn read_sections(
    settings: &Settings,
    names: &dyn Names,
    interfaces: &mut Vec<Interface>,
) -> Result<(), ConfigError> {
    let Some(prefix) = settings.last("interfaces-config") else {
        return Ok(());
    };
    let mut found = false;
    if let Some(file) = &settings.file {
        for (name, section) in file.sections_of(prefix) {
            found = true;
            read_section(name, section, names, interfaces).map_err(|(line, problem)| {
                ConfigError::Syntax {
                    place: file.place(line),
                    problem,
                }
            })?;
        }
    }
    if found {
        Ok(())
    } else {
        let problem = format!("there is no section [{prefix}-NAME] in the configuration file");
        Err(bad("interfaces-config", prefix, problem))
    }
}

/// Reads one section. An error comes with its line.
fn read_section(
    name: &str,
    section: &Section,
    names: &dyn Names,
    interfaces: &mut Vec<Interface>,
) -> Result<(), (usize, String)> {
    let (mut name, mut address, mut advertised) = (name.to_owned(), None, None);
    let (mut first, mut last, mut alias) = (None, None, None);
    let mut excluded = Vec::new();
    for Entry {
        name: key,
        value,
        line,
    } in &section.entries
    {
        let port = |text: &str| {
            let port = text.trim().parse::<u16>().ok().filter(|&port| port > 0);
            port.ok_or_else(|| {
                let problem = "a port from 1 to 65535 is expected";
                (*line, format!("{key}: `{text}`: {problem}"))
            })
        };
        match key.replace('_', "-").as_str() {
            "address" => address = Some((value, *line)),
            "advertised" => advertised = Some(value.as_str()),
            "name" => name.clone_from(value),
            "alias" => alias = Some((value.clone(), *line)),
            "port-min" => first = Some((port(value)?, *line)),
            "port-max" => last = Some((port(value)?, *line)),
            "exclude-ports" => {
                for text in value.split(';').filter(|text| !text.trim().is_empty()) {
                    excluded.push(port(text)?);
                }
            }
            _ => {
                let known = "address, advertised, name, alias, port-min, port-max, exclude-ports";
                let problem = format!("an interface has no `{key}`; it has {known}");
                return Err((*line, problem));
            }
        }
    }
    let section_says = |problem: String| (section.line, format!("[{}]: {problem}", section.name));
    if let Some((original, line)) = alias {
        let known = interfaces.iter_mut().find(|i| i.name == original);
        let known = known.ok_or_else(|| {
            (
                line,
                format!("alias: no interface before it is called {original}"),
            )
        })?;
        known.aliases.push(name);
        return Ok(());
    }
    let (address, line) =
        address.ok_or_else(|| section_says("the address is missing".to_owned()))?;
    let ports = match (first, last) {
        (None, None) => None,
        (Some((first, _)), Some((last, _))) if last > first => Some(first..=last),
        (Some(_), Some((last, line))) => {
            return Err((line, format!("port-max: `{last}`: must be above port-min")));
        }
        _ => {
            return Err(section_says(
                "port-min and port-max belong together".to_owned(),
            ));
        }
    };
    let mut addresses = Vec::new();
    for address in address.split(';').filter(|text| !text.trim().is_empty()) {
        let found = media_addresses(address, advertised, names);
        addresses.extend(found.map_err(|problem| (line, format!("address: {problem}")))?);
    }
    match interfaces.iter_mut().find(|i| i.name == name) {
        Some(known) => {
            known.addresses.extend(addresses);
            known.excluded_ports.extend(excluded);
            known.ports = known.ports.take().or(ports);
        }
        None => interfaces.push(Interface {
            name,
            aliases: Vec::new(),
            addresses,
            ports,
            excluded_ports: excluded,
        }),
    }
    Ok(())
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

    fn sections(text: &str) -> Result<Vec<Interface>, String> {
        let text = format!("[rtpengine]\ninterfaces-config = interface\n{text}");
        let settings = Settings::default().with_file(&text).unwrap();
        let mut interfaces = Vec::new();
        read_sections(&settings, &Invented, &mut interfaces).map_err(|error| error.to_string())?;
        Ok(interfaces)
    }

    #[test]
    fn sections_describe_interfaces() {
        let interfaces = sections(
            "[interface-pub]\naddress = 192.0.2.1\nadvertised = 198.51.100.1\nport-min = 50000\nport-max = 50100\n\
             exclude-ports = 50010;50012\n\
             [interface-two]\nname = priv\naddress = 10.0.0.1\n\
             [interface-world]\nalias = pub\n",
        )
        .unwrap();
        assert_eq!(interfaces.len(), 2);
        let public = &interfaces[0];
        assert_eq!(public.name, "pub");
        assert_eq!(public.aliases, ["world"]);
        assert_eq!(public.ports, Some(50_000..=50_100));
        assert_eq!(public.excluded_ports, [50_010, 50_012]);
        assert_eq!(public.addresses[0].advertised.to_string(), "198.51.100.1");
        assert_eq!(interfaces[1].name, "priv");
        assert_eq!(interfaces[1].ports, None);
    }

    #[test]
    fn a_section_that_means_nothing_is_refused_with_its_line() {
        for (text, words) in [
            (
                "[interface-a]\nport-min = 1",
                "line 3: [interface-a]: the address",
            ),
            (
                "[interface-a]\naddress = 192.0.2.1\nport-min = 9",
                "port-min and port-max belong together",
            ),
            (
                "[interface-a]\naddress = 192.0.2.1\nport-min = 9\nport-max = 8",
                "line 6: port-max: `8`: must be above",
            ),
            (
                "[interface-a]\nadress = 1",
                "line 4: an interface has no `adress`",
            ),
            (
                "[interface-a]\naddress = nowhere",
                "line 4: address: nowhere is no address",
            ),
            (
                "[interface-a]\nalias = b",
                "line 4: alias: no interface before it",
            ),
            (
                "[interface-a]\nexclude-ports = 7;x",
                "line 4: exclude-ports: `x`",
            ),
        ] {
            let error = sections(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
