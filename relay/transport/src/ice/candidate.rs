//! A candidate: an address where an agent may be reached (RFC 8445 section 5.1, RFC 8839 section 5.1).
//!
//! Our own candidates are host candidates, one a socket, with the advertised address. The parser takes what the world sends:
//! unknown key and value pairs at the end (`generation 0 network-cost 50 ufrag x`) are skipped.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// More candidates of one peer than this are not looked at.
pub const MAX_REMOTE_CANDIDATES: usize = 100;

/// RFC 8445 section 5.1.1: RTP is component 1, RTCP without multiplexing is component 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// RTP, and RTCP when it is multiplexed (RFC 5761).
    Rtp,
    /// RTCP on a port of its own.
    Rtcp,
}

impl Component {
    /// The component id that stands in a candidate line.
    pub fn id(self) -> u16 {
        match self {
            Self::Rtp => 1,
            Self::Rtcp => 2,
        }
    }
}

/// How a candidate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum CandidateKind {
    /// An address of the agent itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the other agent saw in a check.
    PeerReflexive,
    /// An address at a TURN server.
    Relayed,
}

impl CandidateKind {
    /// The word behind `typ`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

/// One candidate of ours or of the peer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Candidate {
    /// Equal for candidates of the same kind and base address.
    pub foundation: String,
    /// 1 for RTP, 2 for RTCP. Kept as a number, because a peer may list components that we do not have.
    pub component: u16,
    /// RFC 8445 section 5.1.2.
    pub priority: u32,
    /// Where to send.
    pub address: SocketAddr,
    /// How it was found.
    pub kind: CandidateKind,
}

/// Why a candidate line is of no use to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    /// The line does not have the fields of RFC 8839 section 5.1.
    #[error("the candidate line is not of the form of RFC 8839")]
    Malformed,
    /// A transport other than UDP; TCP candidates (RFC 6544) are common in browsers.
    #[error("the candidate's transport is not UDP")]
    NotUdp,
    /// A host name: mDNS names of browsers, which only their own network can resolve.
    #[error("the candidate has a host name and not an address")]
    HostName,
    /// The unspecified or a multicast address, or port 0.
    #[error("nothing can be sent to the candidate's address")]
    Unroutable,
}

impl Candidate {
    /// A host candidate of ours. `index` counts the addresses of this component, the preferred one first.
    pub fn host(index: u16, component: Component, address: SocketAddr) -> Self {
        Self {
            foundation: foundation_of(address.ip()),
            component: component.id(),
            priority: priority(CandidateKind::Host, index, component),
            address,
            kind: CandidateKind::Host,
        }
    }

    /// Parses the value of `a=candidate`, with or without the word `candidate:` in front.
    pub fn parse(value: &str) -> Result<Self, CandidateError> {
        let value = value.trim();
        let value = value.strip_prefix("a=").unwrap_or(value);
        let value = value.strip_prefix("candidate:").unwrap_or(value);
        let mut words = value.split_ascii_whitespace();
        let mut next = || words.next().ok_or(CandidateError::Malformed);

        let foundation = next()?;
        let component = next()?.parse().map_err(|_| CandidateError::Malformed)?;
        let transport = next()?;
        let priority = next()?.parse().map_err(|_| CandidateError::Malformed)?;
        let host = next()?;
        let port: u16 = next()?.parse().map_err(|_| CandidateError::Malformed)?;
        if !next()?.eq_ignore_ascii_case("typ") {
            return Err(CandidateError::Malformed);
        }
        let kind = next()?;
        // RFC 8839 section 5.1: a foundation has at most 32 characters. It is echoed nowhere, so a longer one is cut.
        let foundation = foundation.chars().take(32).collect();

        if !transport.eq_ignore_ascii_case("udp") {
            return Err(CandidateError::NotUdp);
        }
        let ip: IpAddr = host.parse().map_err(|_| CandidateError::HostName)?;
        let kind = match kind {
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            // RFC 8839 lets the list of types grow; an unknown one is as good as a host candidate to whoever checks it.
            _ => CandidateKind::Host,
        };
        let address = SocketAddr::new(ip, port);
        if !is_routable(address) {
            return Err(CandidateError::Unroutable);
        }
        Ok(Self {
            foundation,
            component,
            priority,
            address,
            kind,
        })
    }

    /// A candidate that was learned from a check of the peer (RFC 8445 section 7.3.1.3).
    pub(super) fn peer_reflexive(component: Component, priority: u32, address: SocketAddr) -> Self {
        Self {
            foundation: "prflx".into(),
            component: component.id(),
            priority,
            address,
            kind: CandidateKind::PeerReflexive,
        }
    }
}

/// What stands behind `a=candidate:` in SDP.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} UDP {} {} {} typ {}",
            self.foundation,
            self.component,
            self.priority,
            self.address.ip(),
            self.address.port(),
            self.kind.word()
        )
    }
}

/// RFC 8445 section 5.1.2.1, with the local preference counting down from 65535 by address.
pub(super) fn priority(kind: CandidateKind, index: u16, component: Component) -> u32 {
    let preference: u32 = match kind {
        CandidateKind::Host => 126,
        CandidateKind::PeerReflexive => 110,
        CandidateKind::ServerReflexive => 100,
        CandidateKind::Relayed => 0,
    };
    (preference << 24) | (u32::from(u16::MAX - index) << 8) | (256 - u32::from(component.id()))
}

/// Whether a datagram can be sent there at all.
pub(super) fn is_routable(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

/// RFC 8445 section 5.1.1.3: the same base address gives the same foundation. FNV-1a over the address, as 16 hex digits.
fn foundation_of(ip: IpAddr) -> String {
    let feed = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let start = 0xcbf2_9ce4_8422_2325;
    let hash = match ip {
        IpAddr::V4(ip) => ip.octets().into_iter().fold(start, feed),
        IpAddr::V6(ip) => ip.octets().into_iter().fold(start, feed),
    };
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_s_lines_are_understood() {
        let line = "candidate:987654321 1 udp 2122262783 2001:db8:f312:131:face:b00c:0:699c 3480 typ host generation 0 network-cost 50 ufrag Qw3r";
        let candidate = Candidate::parse(line).unwrap();
        assert_eq!(candidate.priority, 2_122_262_783);
        assert_eq!(
            candidate.address,
            "[2001:db8:f312:131:face:b00c:0:699c]:3480".parse().unwrap()
        );
        assert_eq!(candidate.kind, CandidateKind::Host);
    }

    #[test]
    fn related_addresses_are_skipped() {
        let line = "1 1 UDP 1686052607 192.0.2.9 5000 typ srflx raddr 10.0.0.1 rport 4000";
        let candidate = Candidate::parse(line).unwrap();
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(candidate.address, "192.0.2.9:5000".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let parse = |line| Candidate::parse(line).unwrap_err();
        assert_eq!(
            parse("1 1 tcp 1 192.0.2.9 9 typ host tcptype active"),
            CandidateError::NotUdp
        );
        assert_eq!(
            parse("1 1 udp 1 6f0c.local 5000 typ host"),
            CandidateError::HostName
        );
        assert_eq!(
            parse("1 1 udp 1 0.0.0.0 5000 typ host"),
            CandidateError::Unroutable
        );
        assert_eq!(
            parse("1 1 udp 1 192.0.2.9 0 typ host"),
            CandidateError::Unroutable
        );
        for line in [
            "",
            "1 1 udp",
            "1 1 udp x 192.0.2.9 5 typ host",
            "1 1 udp 1 192.0.2.9 5 type host",
        ] {
            assert_eq!(parse(line), CandidateError::Malformed, "{line}");
        }
    }

    #[test]
    fn priorities_count_down_by_address() {
        let address = "198.51.100.7:30000".parse().unwrap();
        assert_eq!(
            Candidate::host(0, Component::Rtp, address).priority,
            2_130_706_431
        );
        assert_eq!(
            Candidate::host(1, Component::Rtp, address).priority,
            2_130_706_175
        );
        assert_eq!(
            Candidate::host(0, Component::Rtcp, address).priority,
            2_130_706_430
        );
    }

    #[test]
    fn what_we_write_we_can_read() {
        let address = "198.51.100.7:30000".parse().unwrap();
        let candidate = Candidate::host(0, Component::Rtp, address);
        assert_eq!(candidate.foundation.len(), 16);
        assert_eq!(Candidate::parse(&candidate.to_string()).unwrap(), candidate);
    }
}
