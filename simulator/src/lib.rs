//! Plays Meta's side of WhatsApp Business Calling: SIP over TLS with digest, ICE-lite, DTLS or SDES, Opus.
