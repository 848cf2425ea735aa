//! Typed readings of single lines and attributes.

use std::fmt;
use std::net::IpAddr;

/// Who sends, from the point of view of the party that wrote it (RFC 8866 §6.7, RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The writer only sends.
    SendOnly,
    /// The writer only receives.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// Reads the attribute's name.
    pub fn parse(name: &str) -> Option<Self> {
        const ALL: [Direction; 4] = [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ];
        ALL.into_iter()
            .find(|d| d.name().eq_ignore_ascii_case(name))
    }

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The direction in which the writer sends and receives as told.
    pub fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer wants to receive.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// A `c=` line (RFC 8866 §5.7). Only literal addresses are of use to a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The address.
    pub address: IpAddr,
}

impl Connection {
    /// Reads `IN IP4 192.0.2.1` and `IN IP6 2001:db8::1`, with or without TTL.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let _network = words.next().filter(|w| w.eq_ignore_ascii_case("IN"))?;
        let _family = words.next()?;
        let address = words.next()?;
        let address = address.split('/').next()?.parse().ok()?;
        Some(Self { address })
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = ["IN ", family_word(self.address), " "];
        words.into_iter().try_for_each(|word| f.write_str(word))?;
        f.write_str(&address_text(self.address))
    }
}

/// An address as everybody writes it. A set-up writes twenty, and the formatter of the standard library takes five times as long
/// for the octets of IPv4.
pub(crate) fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

/// `IP4` or `IP6` (RFC 8866 §9, `addrtype`).
pub fn family_word(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

/// An `o=` line (RFC 8866 §5.2). The address is no address of anything: Meta writes 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// User name, `-` when there is none.
    pub username: String,
    /// Session id, a decimal number by the book.
    pub session_id: String,
    /// Version, a decimal number by the book.
    pub version: String,
    /// Network type, address type and address, as written.
    pub address: String,
}

impl Origin {
    /// Reads the line; `None` unless it has the six fields.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let mut word = || words.next();
        let (username, session_id, version) = (word()?, word()?, word()?);
        let address = [word()?, word()?, word()?];
        word().is_none().then(|| Self {
            username: username.to_owned(),
            session_id: session_id.to_owned(),
            version: version.to_owned(),
            address: address.join(" "),
        })
    }

    /// Puts an address of ours in.
    pub fn set_address(&mut self, address: IpAddr) {
        self.address = Connection { address }.to_string();
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in [&self.username, &self.session_id, &self.version] {
            f.write_str(word)?;
            f.write_str(" ")?;
        }
        f.write_str(&self.address)
    }
}

/// Who opens the DTLS association (RFC 4145 §4, RFC 5763 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Setup {
    /// Either; the answerer chooses.
    ActPass,
    /// The writer is the client.
    Active,
    /// The writer is the server.
    Passive,
    /// Not now.
    HoldConn,
}

impl Setup {
    /// Reads the attribute's value.
    pub fn parse(value: &str) -> Option<Self> {
        const ALL: [Setup; 4] = [
            Setup::ActPass,
            Setup::Active,
            Setup::Passive,
            Setup::HoldConn,
        ];
        ALL.into_iter()
            .find(|s| s.name().eq_ignore_ascii_case(value.trim()))
    }

    /// The attribute's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
            Self::HoldConn => "holdconn",
        }
    }
}

/// An `a=rtcp` attribute (RFC 3605 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RtcpAttribute {
    /// The port for RTCP.
    pub port: u16,
    /// The address for RTCP, when it is written.
    pub address: Option<IpAddr>,
}

impl RtcpAttribute {
    /// Reads `53020` and `53020 IN IP4 126.16.64.4`.
    pub fn parse(value: &str) -> Option<Self> {
        let (port, connection) = match value.trim().split_once(' ') {
            Some((port, connection)) => (port, Some(connection)),
            None => (value.trim(), None),
        };
        Some(Self {
            port: port.parse().ok()?,
            address: connection.and_then(Connection::parse).map(|c| c.address),
        })
    }
}

impl fmt::Display for RtcpAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        match self.address {
            Some(address) => write!(f, " {}", Connection { address }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for address in [
            "0.0.0.0",
            "9.10.99.100",
            "255.255.255.255",
            "2001:db8::1",
            "::ffff:192.0.2.1",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(address_text(address), address.to_string());
        }
    }

    #[test]
    fn rtcp_attribute_with_and_without_address() {
        let bare = RtcpAttribute::parse("53020").unwrap();
        assert_eq!((bare.port, bare.address), (53020, None));
        let full = RtcpAttribute::parse("9 IN IP4 0.0.0.0").unwrap();
        assert_eq!(full.to_string(), "9 IN IP4 0.0.0.0");
        assert!(RtcpAttribute::parse("x").is_none());
    }

    #[test]
    fn an_origin_with_a_field_missing_is_none() {
        assert!(Origin::parse("- 1 1 IN IP4").is_none());
        let mut origin = Origin::parse("pbx 1 2 IN IP4 192.0.2.55").unwrap();
        origin.set_address("2001:db8::1".parse().unwrap());
        assert_eq!(origin.to_string(), "pbx 1 2 IN IP6 2001:db8::1");
    }

    #[test]
    fn a_connection_may_carry_a_ttl_but_no_host_name() {
        assert!(Connection::parse("IN IP4 224.2.1.1/127").is_some());
        assert!(Connection::parse("IN IP4 host.example.com").is_none());
    }
}
