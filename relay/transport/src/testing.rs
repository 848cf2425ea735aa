//! What the tests of this crate share.

use std::time::Instant;

/// Where invented time begins. The one place of this crate that may ask for a real `Instant`.
pub(crate) fn epoch() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests need some Instant to start from"
    )]
    Instant::now()
}
