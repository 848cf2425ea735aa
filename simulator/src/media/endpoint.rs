//! Meta's media endpoint: the verbs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::media::config::MediaConfig;
use crate::media::event::MediaEvent;
use crate::media::report::MediaReport;
use crate::sdp::SdpRejected;

/// The endpoint could not be made: OpenSSL or Opus refused.
#[derive(Debug, thiserror::Error)]
#[error("the media endpoint cannot be set up: {0}")]
pub struct SetupError(pub String);

/// One call's media at Meta.
#[derive(Debug)]
pub struct MetaMedia {
    config: MediaConfig,
}

impl MetaMedia {
    /// An endpoint whose credentials, SSRC and numbers follow from the seed.
    pub fn new(config: MediaConfig, seed: u64) -> Result<Self, SetupError> {
        let _ = seed;
        Ok(Self { config })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &MediaConfig {
        &self.config
    }

    /// The offer of a user-initiated call; the same each time.
    pub fn local_sdp_offer(&self) -> String {
        String::new()
    }

    /// The answer to the offer of a business-initiated call. Follow it with [`Self::set_remote_sdp`].
    pub fn local_sdp_answer(&self, remote_offer: &str) -> Result<String, SdpRejected> {
        let _ = remote_offer;
        Ok(String::new())
    }

    /// Takes the description of the business. In a user-initiated call the deafness of D ms begins now.
    pub fn set_remote_sdp(&mut self, now: Instant, sdp: &str) -> Result<(), SdpRejected> {
        let _ = (now, sdp);
        Ok(())
    }

    /// The 200 OK arrived (user-initiated) or is being sent (business-initiated, where deafness begins now).
    pub fn call_answered(&mut self, now: Instant) {
        let _ = now;
    }

    /// The moment the far side began to speak its prompt, from which lateness counts.
    pub fn prompt_started(&mut self, at: Instant) {
        let _ = at;
    }

    /// Sends digits as telephone-events (RFC 4733) in place of the tone.
    pub fn send_digits(&mut self, digits: &str) {
        let _ = digits;
    }

    /// A datagram came in on one of the two addresses.
    pub fn handle_datagram(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        let _ = (now, source, bytes);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next datagram to send, from the address of the destination's family.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        None
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        None
    }

    /// The call so far.
    pub fn report(&self, now: Instant) -> MediaReport {
        let _ = (now, Duration::ZERO);
        MediaReport::default()
    }
}
