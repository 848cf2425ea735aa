//! Meta's SIP gateway: what it sends, what it insists on, and what it makes of what it gets.
//!
//! ```text
//!   tls ── connection ── framing ── message          bytes to messages, with limits
//!                │
//!             gateway                                connections and calls find each other
//!                │
//!        uac (user-initiated)   uas (business-initiated)      what to send, what to answer
//!                └──── dialog, digest, inspection, sdp_check   what can be wrong, in words
//! ```
//!
//! Everything below `gateway` in this picture is plain functions over messages; only `connection`,
//! `gateway` and `tls` touch the network.

pub mod connection;
pub mod dialog;
pub mod digest;
pub mod framing;
pub mod gateway;
pub mod headers;
#[cfg(test)]
mod hostile;
pub mod identity;
pub mod inspection;
pub mod message;
pub mod random;
pub mod reply;
pub mod sdp_check;
pub mod tls;
pub mod uac;
pub mod uas;
pub mod uri;
