//! Time for the tests of this crate.

use std::time::Instant;

/// Where invented time starts.
#[expect(
    clippy::disallowed_methods,
    reason = "an `Instant` can only be derived from a real one"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}
