//! STUN as ICE uses it (RFC 8489, RFC 8445 section 7): the Binding method with short-term credentials.
//!
//! A message is read in place and written straight into a packet buffer. There are no transactions here, no retransmission
//! and no addresses of servers; [`crate::ice`] does the asking.

mod attribute;
mod integrity;
mod message;
#[cfg(test)]
mod tests;

pub use attribute::{AttributeKind, ErrorCode};
pub use integrity::IntegrityKey;
pub use message::{Class, Message, MessageWriter, ParseError, RoleAttribute, TransactionId};
