//! What the tests of this crate share.

use std::time::Instant;

/// A moment to count from.
#[expect(
    clippy::disallowed_methods,
    reason = "tests need one real instant to start from"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}
