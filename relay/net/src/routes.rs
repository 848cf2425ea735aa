//! Which interface leads where, asked of the kernel (rtnetlink(7)), and word of it when that may have changed.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

use crate::interfaces::system_addresses;

// Messages and attributes of `linux/rtnetlink.h` and `linux/if_link.h`.
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const REQUEST: u16 = 1;
const ERROR: u16 = 2;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_SOURCE: u16 = 2;
const ROUTE_INTERFACE: u16 = 4;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
/// Links, addresses, routes and rules, of both families (`RTMGRP_*`, and 1 << 18 for the rules of IPv6).
const CHANGES: u32 = 0x01 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18;

/// `struct nlmsghdr`.
const MESSAGE: usize = 16;
/// `struct rtmsg`.
const ROUTE: usize = 12;
/// `struct ifinfomsg`.
const LINK: usize = 16;
/// The longest answer: of a network card with many virtual functions.
const ANSWER: usize = 32 * 1024;

/// An interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    /// The longest IP packet that it takes.
    pub(crate) mtu: u32,
    /// Its frames begin with a header of Ethernet; those of the loopback interface do, too.
    pub(crate) is_ethernet: bool,
}

/// A way to ask, and an ear for changes.
#[derive(Debug)]
pub(crate) struct Routes {
    questions: OwnedFd,
    changes: OwnedFd,
    answer: Vec<u8>,
}

impl Routes {
    /// Of the network namespace of this thread.
    pub(crate) fn open() -> io::Result<Self> {
        let open = |flags| {
            let kind = SocketType::RAW;
            socket_with(
                AddressFamily::NETLINK,
                kind,
                flags | SocketFlags::CLOEXEC,
                // NETLINK_ROUTE is zero.
                None,
            )
        };
        let changes = open(SocketFlags::NONBLOCK)?;
        bind(&changes, &SocketAddrNetlink::new(0, CHANGES))?;
        Ok(Self {
            questions: open(SocketFlags::empty())?,
            changes,
            answer: vec![0; ANSWER],
        })
    }

    /// Whether anything may lead elsewhere since this was last asked.
    pub(crate) fn have_changed(&mut self) -> bool {
        let mut changed = false;
        loop {
            match recv(&self.changes, &mut self.answer[..], RecvFlags::DONTWAIT) {
                Ok(_) => changed = true,
                Err(Errno::INTR) => {}
                // There was more to tell than fits.
                Err(Errno::NOBUFS) => changed = true,
                Err(_) => return changed,
            }
        }
    }

    /// The interface through which packets from one of our addresses leave for another.
    pub(crate) fn link_towards(&mut self, from: IpAddr, to: IpAddr) -> io::Result<Link> {
        let mut question = vec![0; ROUTE];
        question[0] = family(to);
        let bits = if to.is_ipv6() { 128 } else { 32 };
        (question[1], question[2]) = (bits, bits);
        push_attribute(&mut question, ROUTE_DESTINATION, &octets(to));
        push_attribute(&mut question, ROUTE_SOURCE, &octets(from));
        let answer = self.ask(GET_ROUTE, &question, NEW_ROUTE)?;
        let index = attribute(answer.get(ROUTE..).unwrap_or_default(), ROUTE_INTERFACE);
        let index = index.ok_or_else(|| io::Error::from(io::ErrorKind::NetworkUnreachable))?;
        let mut question = vec![0; LINK];
        question[4..8].copy_from_slice(&index.to_ne_bytes());
        self.link(&question)
    }

    /// Those interfaces that have addresses.
    pub(crate) fn links(&mut self) -> io::Result<Vec<Link>> {
        let addresses = system_addresses()?.into_iter();
        let names: BTreeSet<String> = addresses.map(|address| address.interface).collect();
        let links = names.into_iter().map(|name| {
            let mut question = vec![0; LINK];
            // An address may have a name of its own, after its interface and a colon.
            let name = name.split(':').next().unwrap_or_default();
            let mut name = name.as_bytes().to_vec();
            name.push(0);
            push_attribute(&mut question, LINK_NAME, &name);
            self.link(&question)
        });
        links.collect()
    }

    fn link(&mut self, question: &[u8]) -> io::Result<Link> {
        /// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`.
        const FRAMED: [u16; 2] = [1, 772];
        let answer = self.ask(GET_LINK, question, NEW_LINK)?;
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let header = answer.get(..LINK).ok_or_else(malformed)?;
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        let index = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
        Ok(Link {
            index,
            mtu: attribute(&answer[LINK..], LINK_MTU).ok_or_else(malformed)?,
            is_ethernet: FRAMED.contains(&kind),
        })
    }

    /// What the kernel says to a question, without the header.
    fn ask(&mut self, kind: u16, question: &[u8], expected: u16) -> io::Result<&[u8]> {
        let len = MESSAGE + question.len();
        let mut message = Vec::with_capacity(len);
        message.extend((len as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(REQUEST.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(question);
        send(&self.questions, &message, SendFlags::empty())?;
        let (taken, _) = recv(&self.questions, &mut self.answer[..], RecvFlags::empty())?;
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let answer = self.answer.get(..taken).ok_or_else(malformed)?;
        let header = answer.get(..MESSAGE).ok_or_else(malformed)?;
        let body = &answer[MESSAGE..];
        match u16::from_ne_bytes([header[4], header[5]]) {
            kind if kind == expected => Ok(body),
            ERROR => {
                let code = body
                    .first_chunk()
                    .map_or(0, |code| i32::from_ne_bytes(*code));
                Err(io::Error::from_raw_os_error(-code))
            }
            _ => Err(malformed()),
        }
    }
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv6() {
        libc::AF_INET6
    } else {
        libc::AF_INET
    };
    family as u8
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// rtnetlink(7): a length, a kind, the value, and up to three bytes so that the next one begins at a multiple of four.
fn push_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// The number that an attribute of this kind has.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<u32> {
    while let Some((&[a, b, c, d], rest)) = attributes.split_first_chunk() {
        let len = usize::from(u16::from_ne_bytes([a, b]));
        if u16::from_ne_bytes([c, d]) == wanted {
            return rest.first_chunk().map(|value| u32::from_ne_bytes(*value));
        }
        attributes = attributes.get(len.max(4).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::testing::{Setting, own_network, set_loopback};

    #[test]
    fn what_is_for_ourselves_leaves_by_the_loopback_interface() {
        let mut routes = Routes::open().unwrap();
        let ours = Ipv4Addr::LOCALHOST.into();
        let link = routes.link_towards(ours, ours).unwrap();
        assert!(link.is_ethernet);
        assert!(routes.links().unwrap().contains(&link));
    }

    #[test]
    fn nothing_leads_to_a_network_that_nobody_knows() {
        if !own_network() {
            return;
        }
        let mut routes = Routes::open().unwrap();
        let far = Ipv4Addr::new(192, 0, 2, 1).into();
        let error = routes.link_towards(Ipv4Addr::LOCALHOST.into(), far);
        assert!(error.is_err());
    }

    #[test]
    fn a_change_is_heard_of_once() {
        if !own_network() {
            return;
        }
        let mut routes = Routes::open().unwrap();
        assert!(!routes.have_changed());
        set_loopback(Setting::Mtu(1300));
        assert!(routes.have_changed());
        assert!(!routes.have_changed());
        let ours = Ipv4Addr::LOCALHOST.into();
        assert_eq!(routes.link_towards(ours, ours).unwrap().mtu, 1300);
    }
}
