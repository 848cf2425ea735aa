//! Plays Meta's side of WhatsApp Business Calling: SIP over TLS with digest, ICE-lite, DTLS or SDES, Opus.

pub mod certificates;
pub mod cli;
pub mod media;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sdp;
pub mod sip;
#[cfg(test)]
mod testing;
