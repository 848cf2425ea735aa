//! SIP URIs and name-addresses (RFC 3261 §19.1, §20.10).
//!
//! The text of a URI is kept beside its parts, because Meta compares texts: a URI that was taken
//! apart and put together again may be equal by the rules and still end a call.

use std::net::IpAddr;

use super::headers::split_outside;

/// A `sip:` or `sips:` URI taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipUri {
    /// Whether the scheme is `sips`.
    pub secure: bool,
    /// Everything before the `@`, user parameters (RFC 4904) included.
    pub user: Option<String>,
    /// Host name or address; brackets of an IPv6 literal are removed.
    pub host: String,
    /// The port, when one is written.
    pub port: Option<u16>,
    /// URI parameters in order, without URI headers.
    pub parameters: Vec<Parameter>,
}

/// One `name` or `name=value` behind a semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The name as written.
    pub name: String,
    /// The value, quotes kept.
    pub value: Option<String>,
}

impl SipUri {
    /// Reads a URI; `None` when it is not a SIP URI.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(':')?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "sip" => false,
            "sips" => true,
            _ => return None,
        };
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        // The user part may hold semicolons of its own, so the `@` decides first.
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host_port, parameters) = match rest.split_once(';') {
            Some((host_port, parameters)) => (host_port, parameters),
            None => (rest, ""),
        };
        let (host, port) = split_host_port(host_port)?;
        Some(Self {
            secure,
            user,
            host,
            port,
            parameters: parse_parameters(parameters),
        })
    }

    /// The user part without user parameters: the telephone number or other name.
    pub fn number(&self) -> Option<&str> {
        let user = self.user.as_deref()?;
        Some(user.split_once(';').map_or(user, |(number, _)| number))
    }

    /// The value of a URI parameter; an empty text when it is there without a value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find_parameter(&self.parameters, name)
    }

    /// Whether `;transport=tls` is there.
    pub fn is_transport_tls(&self) -> bool {
        self.parameter("transport")
            .is_some_and(|transport| transport.eq_ignore_ascii_case("tls"))
    }

    /// The host as an address, when it is a literal and not a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn split_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, rest.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return None;
    }
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    Some((host.to_owned(), port))
}

fn parse_parameters(text: &str) -> Vec<Parameter> {
    split_outside(text, ';')
        .into_iter()
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) => Parameter {
                name: name.trim().to_owned(),
                value: Some(value.trim().to_owned()),
            },
            None => Parameter {
                name: parameter,
                value: None,
            },
        })
        .collect()
}

fn find_parameter<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a str> {
    parameters
        .iter()
        .find(|parameter| parameter.name.eq_ignore_ascii_case(name))
        .map(|parameter| parameter.value.as_deref().unwrap_or(""))
}

/// A `From`, `To`, `Contact`, `Route` or `Record-Route` value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddress {
    /// The display name without its quotes.
    pub display: Option<String>,
    /// The URI exactly as written.
    pub uri_text: String,
    /// Header parameters behind the address.
    pub parameters: Vec<Parameter>,
}

impl NameAddress {
    /// Reads a name-address or a bare address; `None` when there is no URI in it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut quoted = false;
        let mut escaped = false;
        let open = text.char_indices().find_map(|(at, letter)| {
            match letter {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '<' if !quoted => return Some(at),
                _ => {}
            }
            None
        });
        if let Some(open) = open {
            let (display, rest) = (text[..open].trim(), &text[open + 1..]);
            let (uri, rest) = rest.split_once('>')?;
            let display = display.trim_matches('"');
            return Some(Self {
                display: (!display.is_empty()).then(|| display.to_owned()),
                uri_text: uri.trim().to_owned(),
                parameters: parse_parameters(rest),
            });
        }
        // RFC 3261 §20.10: without brackets the parameters belong to the header, not to the URI.
        let (uri, rest) = text.split_once(';').unwrap_or((text, ""));
        if uri.is_empty() {
            return None;
        }
        Some(Self {
            display: None,
            uri_text: uri.trim().to_owned(),
            parameters: parse_parameters(rest),
        })
    }

    /// The URI taken apart; `None` when it is no SIP URI.
    pub fn uri(&self) -> Option<SipUri> {
        SipUri::parse(&self.uri_text)
    }

    /// A header parameter; an empty text when it is there without a value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find_parameter(&self.parameters, name)
    }

    /// The `tag` of a `From` or `To`.
    pub fn tag(&self) -> Option<&str> {
        self.parameter("tag").filter(|tag| !tag.is_empty())
    }
}

/// A `Via` value (RFC 3261 §20.42).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `SIP/2.0/TLS`, spaces removed.
    pub protocol: String,
    /// Where the sender says it is.
    pub sent_by: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

impl Via {
    /// Reads one `Via` element.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut words = head.split_whitespace();
        // The slashes of the protocol may be surrounded by spaces, the sent-by is the last word.
        let sent_by = words.next_back()?.to_owned();
        let protocol: String = words.collect();
        if protocol.is_empty() {
            return None;
        }
        Some(Self {
            protocol,
            sent_by,
            parameters: parse_parameters(parameters),
        })
    }

    /// The transaction's branch.
    pub fn branch(&self) -> Option<&str> {
        find_parameter(&self.parameters, "branch").filter(|branch| !branch.is_empty())
    }

    /// Whether `rport` is asked for (RFC 3581).
    pub fn wants_rport(&self) -> bool {
        find_parameter(&self.parameters, "rport") == Some("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunk_parameters_belong_to_the_user_part() {
        let uri = SipUri::parse("sip:+155501;tgrp=a;trunk-context=b@sbc.example.com;transport=tls")
            .unwrap();
        assert_eq!(uri.number(), Some("+155501"));
        assert_eq!(uri.host, "sbc.example.com");
        assert!(uri.is_transport_tls());
    }

    #[test]
    fn addresses_in_brackets_keep_their_colons_and_port() {
        let uri = SipUri::parse("sips:[2001:db8::1]:5071").unwrap();
        assert!(uri.secure);
        assert_eq!(uri.address(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(uri.port, Some(5071));
        let name = SipUri::parse("sip:wa.meta.vc;transport=tls;ob").unwrap();
        assert_eq!(name.address(), None);
        assert_eq!(name.parameter("ob"), Some(""));
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "tel:+1",
            "sip:",
            "sip:a@",
            "sip:a@h:99999",
            "sip:[::1",
            "<>",
        ] {
            assert_eq!(SipUri::parse(text), None, "{text}");
        }
    }

    #[test]
    fn header_parameters_stand_outside_the_brackets() {
        let contact =
            NameAddress::parse(r#""A <b>; c" <sip:+4@wa.meta.vc;transport=tls;ob>;isfocus"#)
                .unwrap();
        assert_eq!(contact.display.as_deref(), Some("A <b>; c"));
        assert_eq!(contact.uri_text, "sip:+4@wa.meta.vc;transport=tls;ob");
        assert_eq!(contact.parameter("isfocus"), Some(""));
        let bare = NameAddress::parse("sip:a@b;tag=7").unwrap();
        assert_eq!((bare.uri_text.as_str(), bare.tag()), ("sip:a@b", Some("7")));
    }

    #[test]
    fn via_with_address_literal_gives_branch_and_sent_by() {
        let via =
            Via::parse("SIP / 2.0 / TLS [2001:db8::1]:33819;rport;branch=z9hG4bKx;alias").unwrap();
        assert_eq!(via.protocol, "SIP/2.0/TLS");
        assert_eq!(via.sent_by, "[2001:db8::1]:33819");
        assert_eq!(via.branch(), Some("z9hG4bKx"));
        assert!(via.wants_rport());
    }
}
