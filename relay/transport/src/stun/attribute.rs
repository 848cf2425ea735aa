//! The attributes that we read or write, and their values (RFC 8489 section 14, RFC 8445 section 16.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::message::{MAGIC_COOKIE, TransactionId};

/// The registered number of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeKind(pub u16);

impl AttributeKind {
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    pub const USERNAME: Self = Self(0x0006);
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    pub const ERROR_CODE: Self = Self(0x0009);
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000a);
    pub const REALM: Self = Self(0x0014);
    pub const NONCE: Self = Self(0x0015);
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001c);
    pub const PASSWORD_ALGORITHM: Self = Self(0x001d);
    pub const USERHASH: Self = Self(0x001e);
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    pub const PRIORITY: Self = Self(0x0024);
    pub const USE_CANDIDATE: Self = Self(0x0025);
    pub const FINGERPRINT: Self = Self(0x8028);
    pub const ICE_CONTROLLED: Self = Self(0x8029);
    pub const ICE_CONTROLLING: Self = Self(0x802a);

    /// RFC 8489 section 14: an attribute below 0x8000 that the receiver does not know makes the message unusable.
    pub fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether we know the attribute, if only well enough to skip it with a good conscience.
    pub(super) fn is_known(self) -> bool {
        matches!(
            self,
            Self::MAPPED_ADDRESS
                | Self::USERNAME
                | Self::MESSAGE_INTEGRITY
                | Self::ERROR_CODE
                | Self::UNKNOWN_ATTRIBUTES
                | Self::REALM
                | Self::NONCE
                | Self::MESSAGE_INTEGRITY_SHA256
                | Self::PASSWORD_ALGORITHM
                | Self::USERHASH
                | Self::XOR_MAPPED_ADDRESS
                | Self::PRIORITY
                | Self::USE_CANDIDATE
                | Self::FINGERPRINT
                | Self::ICE_CONTROLLED
                | Self::ICE_CONTROLLING
        )
    }
}

/// The number of an ERROR-CODE attribute (RFC 8489 section 14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    pub const BAD_REQUEST: Self = Self(400);
    pub const UNAUTHENTICATED: Self = Self(401);
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// RFC 8445 section 7.3.1.1.
    pub const ROLE_CONFLICT: Self = Self(487);

    /// The text that goes with the number. Short: a reply to a stranger should not be longer than what the stranger sent.
    fn reason(self) -> &'static str {
        match self {
            Self::BAD_REQUEST => "Bad Request",
            Self::UNAUTHENTICATED => "Unauthenticated",
            Self::UNKNOWN_ATTRIBUTE => "Unknown Attribute",
            Self::ROLE_CONFLICT => "Role Conflict",
            _ => "",
        }
    }

    /// The value of the attribute: class, number and reason. At most 32 bytes.
    pub(super) fn write(self, value: &mut [u8; 32]) -> usize {
        let reason = self.reason().as_bytes();
        value[2] = (self.0 / 100) as u8 & 7;
        value[3] = (self.0 % 100) as u8;
        value[4..4 + reason.len()].copy_from_slice(reason);
        4 + reason.len()
    }

    /// Reads the number; the reason is somebody's prose and not looked at.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let [_, _, class, number, ..] = *value else {
            return None;
        };
        let class = u16::from(class & 7);
        ((3..=6).contains(&class) && number < 100).then(|| Self(class * 100 + u16::from(number)))
    }
}

const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

/// Writes the value of XOR-MAPPED-ADDRESS (RFC 8489 section 14.2); returns its length, 8 or 20.
pub(super) fn write_xor_address(
    address: SocketAddr,
    transaction: TransactionId,
    value: &mut [u8; 20],
) -> usize {
    let mask = mask_of(transaction);
    value[2..4].copy_from_slice(&(address.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            value[1] = FAMILY_IPV4;
            apply(&mut value[4..8], &ip.octets(), &mask);
            8
        }
        IpAddr::V6(ip) => {
            value[1] = FAMILY_IPV6;
            apply(&mut value[4..20], &ip.octets(), &mask);
            20
        }
    }
}

/// Reads the value of XOR-MAPPED-ADDRESS.
pub(super) fn read_xor_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let mask = mask_of(transaction);
    let (head, masked) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2], head[3]]) ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match (head[1], masked.len()) {
        (FAMILY_IPV4, 4) => {
            let mut octets = [0; 4];
            apply(&mut octets, masked, &mask);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        (FAMILY_IPV6, 16) => {
            let mut octets = [0; 16];
            apply(&mut octets, masked, &mask);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What an address is XORed with: the magic cookie, and for IPv6 the transaction id behind it.
fn mask_of(transaction: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction.0);
    mask
}

fn apply(target: &mut [u8], source: &[u8], mask: &[u8; 16]) {
    for ((target, source), mask) in target.iter_mut().zip(source).zip(mask) {
        *target = source ^ mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_survive_the_mask() {
        let transaction = TransactionId(*b"abcdefghijkl");
        for text in ["192.0.2.1:32853", "[2001:db8::1]:65535"] {
            let address = text.parse().unwrap();
            let mut value = [0; 20];
            let len = write_xor_address(address, transaction, &mut value);
            assert_eq!(read_xor_address(&value[..len], transaction), Some(address));
            assert_eq!(read_xor_address(&value[..len - 1], transaction), None);
        }
    }

    #[test]
    fn an_error_code_has_a_class_and_a_number() {
        let mut value = [0; 32];
        let len = ErrorCode::ROLE_CONFLICT.write(&mut value);
        assert_eq!(
            ErrorCode::read(&value[..len]),
            Some(ErrorCode::ROLE_CONFLICT)
        );
        assert_eq!(ErrorCode::read(&[0, 0, 4]), None);
        assert_eq!(ErrorCode::read(&[0, 0, 7, 0]), None);
        assert_eq!(ErrorCode::read(&[0, 0, 4, 100]), None);
    }
}
