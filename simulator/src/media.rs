//! Meta's media side of one call, without sockets and without a clock.
//!
//! [`MetaMedia`] plays the endpoint a business meets: ICE-lite, DTLS-SRTP or SDES, one Opus stream that stays
//! silent until the business has spoken. It holds no socket and reads no clock, so the same code serves real
//! calls (through [`driver`]) and calls in invented time. Nothing of the relay's crates is used here: two copies
//! of one mistake would agree with each other.
//!
//! ```text
//!   set_remote_sdp ──┐   deaf for D ms    check     handshake     first SRTP of the business
//!   (or the answer)  └──────────────────► ICE ────► DTLS ───────► Meta speaks, timers run
//! ```

mod agreement;
#[cfg(test)]
mod business;
#[cfg(test)]
mod calls;
pub mod config;
mod credentials;
pub mod driver;
mod dtls;
pub mod endpoint;
pub mod event;
mod g711;
mod ice_lite;
pub mod impairment;
pub mod prompt;
mod reception;
pub mod report;
mod rtcp;
mod rtp;
mod srtp;
mod stun;
mod tone;
mod violations;
mod voice;

pub use config::{CallDirection, MediaConfig};
pub use driver::{DriverConfig, MediaHandle};
pub use endpoint::MetaMedia;
pub use event::{MediaEvent, MediaTimer};
pub use report::MediaReport;
pub(crate) use violations::CONTROLLED;
