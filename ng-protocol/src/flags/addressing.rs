//! Where media comes from and goes to: interfaces, address families, the source address of the SIP message.

use std::net::IpAddr;

/// The addressing options of a request.
///
/// *Sender* is the party whose SDP is in the request, *receiver* the one who gets the rewritten SDP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// The source address of the SIP message (`received-from`), used when [`Self::sip_source_address`] is on.
    pub received_from: Option<IpAddr>,
    /// The interface towards the sender: the first name of `direction`, or `from-interface`.
    pub from_interface: Option<String>,
    /// The interface towards the receiver: the second name of `direction`, or `to-interface`.
    pub to_interface: Option<String>,
    /// The only interface of commands with one party, such as `publish` and `subscribe request`.
    pub interface: Option<String>,
    /// The address family of the receiver's side.
    pub address_family: Option<AddressFamily>,
    /// An address to write into `c=`, candidates and `a=rtcp` instead of the interface's own.
    pub media_address: Option<IpAddr>,
    /// Whether to use [`Self::received_from`] instead of the addresses in the SDP:
    /// `SIP-source-address` says yes, `trust-address` says no, neither leaves it to the configuration.
    pub sip_source_address: Option<bool>,
    /// The type-of-service octet of this call's media (`TOS`, offers only).
    pub tos: Option<Tos>,
}

/// The values of `address-family`, in SDP's words (RFC 8866 section 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// `IP4`
    Ip4,
    /// `IP6`
    Ip6,
}

/// The meaning of a `TOS` number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tos {
    /// 0 to 255: the octet to put into the IP header.
    Octet(u8),
    /// Negative: leave it as it is.
    Keep,
}
