//! What a media endpoint tells whoever runs it.

use std::net::SocketAddr;
use std::time::Duration;

/// The timers that end a call (Meta's troubleshooting guide).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTimer {
    /// Nothing came after the answer.
    Start,
    /// Media came and stopped.
    Silence,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The first connectivity check that was right (RFC 8445 §7.3).
    CheckAnswered {
        /// Where it came from.
        source: SocketAddr,
        /// How long after the answer.
        after: Duration,
    },
    /// The DTLS handshake is over and the fingerprint was the promised one.
    DtlsConnected {
        /// Protocol version in OpenSSL's words.
        version: String,
        /// Cipher suite in OpenSSL's words.
        cipher: String,
        /// SRTP profile in OpenSSL's words.
        profile: String,
        /// How long after the answer.
        after: Duration,
    },
    /// The DTLS handshake cannot succeed any more.
    DtlsFailed {
        /// What went wrong.
        reason: String,
    },
    /// The business closed the DTLS association.
    DtlsClosed,
    /// The first SRTP packet that authenticated.
    FirstPacket {
        /// Where it came from.
        source: SocketAddr,
        /// How long after the answer.
        after: Duration,
    },
    /// All requested digits were sent.
    DigitsSent,
    /// An RTCP BYE arrived; Meta does not end a call for it.
    RtcpBye,
    /// A media timer ran out: Meta's client hangs up.
    TimedOut(MediaTimer),
    /// The business did something Meta does not allow.
    Violation(String),
}
