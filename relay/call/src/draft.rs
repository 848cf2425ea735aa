//! A request in work: a copy of the signalling state that becomes the call's own only if the request succeeds.

use std::time::Instant;

use rand::rngs::ChaCha12Rng;
use relay_packet::SocketId;

use crate::config::CallConfig;
use crate::event::SectionSummary;
use crate::leg::{LegId, Legs};
use crate::ports::PortLease;

/// What a request works on.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a CallConfig,
    pub(crate) legs: Legs,
    /// Of this request alone, so that a refused one leaves no trace.
    pub(crate) rng: ChaCha12Rng,
    pub(crate) lease: PortLease<'a>,
    /// Ports that the new state has no use for.
    pub(crate) released: Vec<SocketId>,
    /// Wishes that could not be followed.
    pub(crate) warnings: Vec<String>,
}

/// What an offer or an answer came to.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The description for the other party.
    pub(crate) body: Vec<u8>,
    /// The sender of the description that came in.
    pub(crate) sender: LegId,
    /// The party that gets [`Self::body`].
    pub(crate) receiver: LegId,
    /// The sections of the body, for the log; none of a description that has passed this relay before and stays as it is.
    pub(crate) sections: Vec<SectionSummary>,
}
