//! Where a section lives on this machine: interface, address family, ports.

use std::net::IpAddr;

use ng_protocol::flags::AddressFamily;
use rand::RngExt;
use relay_transport::LocalSocket;
use relay_transport::rtp::Ssrc;

use crate::config::{Interface, InterfaceAddress};
use crate::draft::Draft;
use crate::error::RequestError;
use crate::leg::{LegId, SectionId};
use crate::ports::{LeaseError, LeasedPort, PortCount};
use crate::sdp::Protocol;
use crate::section::{MediaSection, SectionPorts, SectionState};

/// What ports a section needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// A port on every address of the interface, to be candidates; else on one.
    pub(crate) every_address: bool,
    /// At most one address of each family: an answer's candidates are checked against the peer's few.
    pub(crate) one_per_family: bool,
    /// RTP and RTCP share a port, that much is certain.
    pub(crate) shared: bool,
}

impl Draft<'_> {
    /// The name of the interface for a party: the one that was asked for, else the one it has, else the default.
    pub(crate) fn interface_name(&mut self, asked: Option<&str>, present: Option<&str>) -> String {
        let default = self.config.interfaces.first().map(|i| i.name.as_str());
        let fallback = present.or(default).unwrap_or_default().to_owned();
        match asked {
            None => fallback,
            Some(name) => {
                let meant = self.config.interfaces_of(name);
                let kept = meant.iter().find(|i| Some(i.name.as_str()) == present);
                if let Some(interface) = kept {
                    return interface.name.clone();
                }
                match meant.len() {
                    0 => {}
                    1 => return meant[0].name.clone(),
                    several => return meant[self.rng.random_range(0..several)].name.clone(),
                }
                let used = default.unwrap_or_default().to_owned();
                self.warnings.push(format!(
                    "direction names interface {name:?}, which is not configured; {used:?} is used"
                ));
                used
            }
        }
    }

    /// The name of the interface for a leg. One that ICE or DTLS binds to its ports stays where it is: a new place would be a
    /// new call to its far end, and a script that names the interfaces in the wrong order on a re-INVITE means none.
    pub(crate) fn interface_of_leg(&mut self, leg: LegId, asked: Option<&str>) -> String {
        let present = self.legs.get(leg).map(|leg| leg.interface.clone());
        let name = self.interface_name(asked, present.as_deref());
        let bound = self.legs.get(leg).is_some_and(|leg| {
            let mut live = leg.sections.iter().filter(|section| section.is_live());
            live.any(|section| section.ice.in_use || section.dtls.in_use())
        });
        match present {
            Some(present) if bound && present != name => {
                self.warnings.push(format!(
                    "direction names interface {name:?} for a party that ICE or DTLS binds to {present:?}; it stays there"
                ));
                present
            }
            _ => name,
        }
    }

    /// Makes sure that a leg has sections up to `index`; those in between are rejected.
    pub(crate) fn extend_sections(&mut self, leg: LegId, index: usize) {
        let Some(leg) = self.legs.get_mut(leg) else {
            return;
        };
        while leg.sections.len() <= index {
            let ssrc = Ssrc(self.rng.random());
            let mut section = MediaSection::new("audio", Protocol::parse("RTP/AVP"), ssrc);
            section.state = SectionState::Rejected;
            leg.sections.push(section);
        }
    }

    /// Opens the ports a section still lacks. What it has it keeps: a party is never told a second port for the same stream,
    /// unless the operator moves it to another interface.
    pub(crate) fn open_ports(&mut self, id: SectionId, need: Need) -> Result<(), RequestError> {
        let Some(leg) = self.legs.get(id.leg) else {
            return Ok(());
        };
        let (name, family) = (leg.interface.clone(), leg.family);
        let Some(section) = leg.sections.get(id.index) else {
            return Ok(());
        };
        let mut ports = section.ports.clone();
        let rtcp_shared = section.mux.in_use;
        let interface = self.config.interface(&name);
        let interface = interface.ok_or_else(|| no_interface(&name))?;
        let is_here = |ip| interface.addresses.iter().any(|a| a.address == ip);
        if ports.rtp.iter().any(|port| !is_here(port.address.ip())) {
            self.released.extend(ports.all().map(|port| port.id));
            ports = SectionPorts::default();
        }
        if ports.rtp.is_empty() {
            ports = self.open_all(interface, family, need)?;
        } else if !need.shared && ports.rtcp.is_empty() && !rtcp_shared {
            for rtp in &ports.rtp {
                let opened = self
                    .lease
                    .open(&name, rtp.address.ip(), PortCount::Single)?;
                ports
                    .rtcp
                    .extend(opened.iter().map(|port| local(port, rtp.advertised)));
            }
        }
        if let Some(section) = self.section_mut(id) {
            section.ports = ports;
        }
        Ok(())
    }

    fn open_all(
        &mut self,
        interface: &Interface,
        family: Option<AddressFamily>,
        need: Need,
    ) -> Result<SectionPorts, RequestError> {
        let count = if need.shared {
            PortCount::Single
        } else {
            PortCount::Pair
        };
        let mut ports = SectionPorts::default();
        for address in addresses(interface, family, need) {
            match self.lease.open(&interface.name, address.address, count) {
                Ok(opened) => {
                    let mut opened = opened.iter().map(|port| local(port, address.advertised));
                    ports.rtp.extend(opened.next());
                    ports.rtcp.extend(opened.next());
                }
                Err(error) if ports.rtp.is_empty() => return Err(error.into()),
                Err(error) => self.warnings.push(format!(
                    "no port on {} of interface {}, which is left out of the candidates: {error}",
                    address.address, interface.name
                )),
            }
        }
        if ports.rtp.is_empty() {
            return Err(no_interface(&interface.name).into());
        }
        Ok(ports)
    }

    /// Closes what a section has no use for once an answer has settled rtcp-mux and ICE.
    pub(crate) fn close_superfluous(&mut self, id: SectionId) {
        let Some(section) = self.section_mut(id) else {
            return;
        };
        let mut gone = Vec::new();
        if section.mux.in_use {
            gone.append(&mut section.ports.rtcp);
        }
        if !section.ice.in_use {
            if section.ports.rtp.len() > 1 {
                gone.extend(section.ports.rtp.drain(1..));
            }
            if section.ports.rtcp.len() > 1 {
                gone.extend(section.ports.rtcp.drain(1..));
            }
        }
        self.released.extend(gone.iter().map(|socket| socket.id));
    }

    /// Closes a section: its ports go back, what was agreed is forgotten.
    pub(crate) fn reject(&mut self, id: SectionId) {
        let Some(section) = self.section_mut(id) else {
            return;
        };
        let mut fresh = MediaSection::new(&section.kind, section.protocol.clone(), section.ssrc);
        fresh.state = SectionState::Rejected;
        fresh.mid = section.mid.take();
        fresh.remote = section.remote.take();
        fresh.hidden = section.hidden;
        let old = std::mem::replace(section, fresh);
        self.released
            .extend(old.ports.all().map(|socket| socket.id));
    }

    /// A section, to be changed.
    pub(crate) fn section_mut(&mut self, id: SectionId) -> Option<&mut MediaSection> {
        self.legs.section_mut(id)
    }

    /// A section.
    pub(crate) fn section(&self, id: SectionId) -> Option<&MediaSection> {
        self.legs.section(id)
    }
}

fn no_interface(name: &str) -> LeaseError {
    LeaseError::NoSuchAddress {
        interface: name.to_owned(),
        ip: IpAddr::from([0, 0, 0, 0]),
    }
}

fn local(port: &LeasedPort, advertised: IpAddr) -> LocalSocket {
    LocalSocket {
        id: port.socket,
        address: port.address,
        advertised,
    }
}

/// The addresses to open ports on, the one for `c=` first: the first of the wanted family, else the first of all.
fn addresses(
    interface: &Interface,
    family: Option<AddressFamily>,
    need: Need,
) -> Vec<InterfaceAddress> {
    let mut addresses = interface.addresses.clone();
    if let Some(family) = family {
        addresses.sort_by_key(|a| a.advertised.is_ipv4() != (family == AddressFamily::Ip4));
    }
    if need.one_per_family {
        let mut seen = [false; 2];
        addresses
            .retain(|a| !std::mem::replace(&mut seen[usize::from(a.advertised.is_ipv4())], true));
    }
    if !need.every_address {
        addresses.truncate(1);
    }
    addresses
}
