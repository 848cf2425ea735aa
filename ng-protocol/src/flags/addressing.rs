//! Where media comes from and goes to: interfaces, address families, the source address of the SIP message.

use std::net::IpAddr;

use crate::spelling::{Report, Spelled, keyword, text};
use crate::value::Value;

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
    /// Who is told when a timeout ends the call, where the configuration leaves that open.
    pub xmlrpc_callback: Option<IpAddr>,
    /// Whether to use [`Self::received_from`] instead of the addresses in the SDP:
    /// `SIP-source-address` says yes, `trust-address` says no, neither leaves it to the configuration.
    pub sip_source_address: Option<bool>,
    /// The type-of-service octet of this call's media (`TOS`, offers only).
    pub tos: Option<Tos>,
}

/// The values of `address-family`, in SDP's words (RFC 8866 section 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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

impl Addressing {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        match key {
            "received-from" => self.apply_received_from(value, report),
            "direction" => match value.as_list() {
                Some([from, rest @ ..]) => {
                    self.from_interface = text(from).map(Into::into);
                    if let Some(to) = rest.first() {
                        self.to_interface = text(to).map(Into::into);
                    }
                }
                // One string is what scripts write who expect it to work; it never did.
                _ => report.unknown(key, value),
            },
            "from-interface" => self.from_interface = name(key, value, report),
            "to-interface" => self.to_interface = name(key, value, report),
            "interface" => self.interface = name(key, value, report),
            "address-family" => match keyword(value).as_deref() {
                Some("ip4" | "ipv4" | "inet") => self.address_family = Some(AddressFamily::Ip4),
                Some("ip6" | "ipv6" | "inet6") => self.address_family = Some(AddressFamily::Ip6),
                _ => report.unknown(key, value),
            },
            "media-address" => match address(value) {
                Some(address) => self.media_address = Some(address),
                None => report.unknown(key, value),
            },
            "tos" => match value.as_integer() {
                Some(number) if number < 0 => self.tos = Some(Tos::Keep),
                Some(number) => self.tos = u8::try_from(number).ok().map(Tos::Octet),
                None => report.unknown(key, value),
            },
            "xmlrpc-callback" => match address(value) {
                Some(address) => self.xmlrpc_callback = Some(address),
                None => report.unknown(key, value),
            },
            "inbound-peer" | "outbound-peer" | "peer" => report.inert(key, value),
            _ => return false,
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        match word.canonical.as_ref() {
            "trust-address" => self.sip_source_address = Some(false),
            "sip-source-address" => self.sip_source_address = Some(true),
            "internal" | "external" => self.push_interface(word.original, report),
            _ => return false,
        }
        true
    }

    /// An interface named on its own: the first is that of the sender, the second that of the receiver.
    pub(crate) fn push_interface(&mut self, name: &str, report: &mut Report) {
        if self.from_interface.is_none() {
            self.from_interface = Some(name.to_owned());
        } else if self.to_interface.is_none() {
            self.to_interface = Some(name.to_owned());
        } else {
            report.unknown("direction", name);
        }
    }

    fn apply_received_from(&mut self, value: &Value<'_>, report: &mut Report) {
        match value.as_list() {
            // A request that belongs to no SIP message has an empty list.
            Some([]) => {}
            Some([.., last]) => match address(last) {
                Some(address) => self.received_from = Some(address),
                None => report.unknown("received-from", value),
            },
            None => match address(value) {
                Some(address) => self.received_from = Some(address),
                None => report.unknown("received-from", value),
            },
        }
    }
}

fn name(key: &str, value: &Value<'_>, report: &mut Report) -> Option<String> {
    let name = text(value);
    if name.is_none() {
        report.unknown(key, value);
    }
    name.map(Into::into)
}

/// An address, with or without the brackets of a URI.
pub(crate) fn address(value: &Value<'_>) -> Option<IpAddr> {
    let text = value.as_str()?.trim();
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text)
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, offer_of_string, unknown};

    #[test]
    fn the_source_of_the_message_comes_as_list_or_address() {
        for (keys, expected) in [
            (r#""received-from":["IP4","192.0.2.1"]"#, "192.0.2.1"),
            (r#""received from":["IP6","2001:db8::1"]"#, "2001:db8::1"),
            (r#""received-from":"192.0.2.1""#, "192.0.2.1"),
            (r#""received-from":"[2001:db8::1]""#, "2001:db8::1"),
        ] {
            let addressing = offer(keys).flags.addressing;
            assert_eq!(addressing.received_from, Some(expected.parse().unwrap()));
        }
    }

    #[test]
    fn a_request_without_a_message_has_an_empty_source() {
        let request = offer(r#""received-from":[]"#);
        assert_eq!(request.flags.addressing.received_from, None);
        assert_eq!(request.unknown, []);
    }

    #[test]
    fn a_list_of_one_interface_is_that_of_the_sender_and_a_third_has_no_meaning() {
        let addressing = offer(r#""direction":["priv"]"#).flags.addressing;
        assert_eq!(addressing.from_interface.as_deref(), Some("priv"));
        assert_eq!(addressing.to_interface, None);
        let addressing = offer(r#""direction":["priv","pub","x"]"#).flags.addressing;
        assert_eq!(addressing.to_interface.as_deref(), Some("pub"));
    }

    #[test]
    fn direction_is_a_list_of_two() {
        let addressing = offer(r#""direction":["priv","pub"]"#).flags.addressing;
        assert_eq!(addressing.from_interface.as_deref(), Some("priv"));
        assert_eq!(addressing.to_interface.as_deref(), Some("pub"));
        assert_eq!(
            offer(r#""from-interface":"priv","to-interface":"pub""#)
                .flags
                .addressing,
            addressing
        );
        assert_eq!(
            offer(r#""direction":"pub""#)
                .flags
                .addressing
                .from_interface,
            None
        );
        assert_eq!(unknown(r#""direction":"pub""#), ["direction=pub"]);
    }

    #[test]
    fn a_flags_string_names_the_interfaces_one_after_the_other() {
        let request = offer_of_string("direction=priv external direction=third");
        let addressing = &request.flags.addressing;
        assert_eq!(addressing.from_interface.as_deref(), Some("priv"));
        assert_eq!(addressing.to_interface.as_deref(), Some("external"));
        assert_eq!(request.unknown.len(), 1);
        assert_eq!(request.unknown[0].value, "third");
    }

    #[test]
    fn tos_is_an_octet_or_kept_or_the_default() {
        let tos = |keys| offer(keys).flags.addressing.tos;
        assert_eq!(tos(r#""TOS":184"#), Some(Tos::Octet(184)));
        assert_eq!(tos(r#""tos":"184""#), Some(Tos::Octet(184)));
        assert_eq!(tos(r#""TOS":-1"#), Some(Tos::Keep));
        assert_eq!(tos(r#""TOS":256"#), None);
        assert_eq!(tos(r#""TOS":"x""#), None);
    }

    #[test]
    fn families_and_addresses_are_read() {
        let addressing = offer(
            r#""address family":"IP6","media address":"10.11.12.13","flags":"SIP source address""#,
        )
        .flags
        .addressing;
        assert_eq!(addressing.address_family, Some(AddressFamily::Ip6));
        assert_eq!(
            addressing.media_address,
            Some("10.11.12.13".parse().unwrap())
        );
        assert_eq!(addressing.sip_source_address, Some(true));
        assert_eq!(unknown(r#""media-address":"pbx""#), ["media-address=pbx"]);
    }
}
