//! Plays Meta's side of WhatsApp Business Calling: SIP over TLS with digest, ICE-lite, DTLS or SDES, Opus.

pub mod media;
#[allow(dead_code)] // Its reader comes with the endpoint.
pub mod sdp;
#[cfg(test)]
mod testing;
