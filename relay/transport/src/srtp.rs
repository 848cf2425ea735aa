//! SRTP and SRTCP (RFC 3711, RFC 7714, RFC 6188): keys, and what they do to a packet.
//!
//! A layer of our own, because its whole state must be plain data that survives a restart: rollover counters, replay windows
//! and SRTCP indices (see [`SrtpState`]).

mod cipher;
mod context;
mod key_derivation;
mod profile;
mod replay;
pub mod sdes;
mod snapshot;
mod state;

pub use context::SrtpContext;
pub use profile::{Mki, SrtpKey, SrtpKeyError, SrtpProfile};
pub use replay::ReplayWindow;
pub use state::{MAX_SSRCS, Skipped, SrtpState, StreamState};

/// The bytes of a test vector, spaces ignored.
#[cfg(test)]
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    digits
        .as_chunks()
        .0
        .iter()
        .map(|[high, low]| high << 4 | low)
        .collect()
}
