//! The control side: what proxies ask, and who answers it.
//!
//! A message arrives over UDP, TCP, HTTP or a WebSocket and goes through `exchange` (cookie, retransmission) and `dispatch` (which
//! worker, limits, the commands that need no call); the reply comes back the same way.
//! `listeners` says which threads that happens on; requests over UDP are read by the media workers themselves.

mod connections;
pub mod directory;
pub mod dispatch;
pub mod exchange;
pub(crate) mod http;
pub mod listeners;
pub mod load;
mod patience;
pub mod retransmission;
mod tcp;
pub(crate) mod tls;
pub mod udp;
mod websocket;

pub(crate) use tls::HttpsCertificate;
pub use tls::TlsError;
