//! What the tests of this crate share: where time begins, and a network in memory.

mod network;

use std::time::Instant;

pub(crate) use network::{Endpoint, Link, Network};

/// Where invented time begins. The one place of this crate that may ask for a real `Instant`.
pub(crate) fn epoch() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests need some Instant to start from"
    )]
    Instant::now()
}
