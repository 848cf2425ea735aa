//! Plays Meta's side of WhatsApp Business Calling: SIP over TLS with digest, ICE-lite, DTLS or SDES, Opus.

pub mod media;
pub mod sdp;
#[cfg(test)]
mod testing;
