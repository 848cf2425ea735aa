//! What tests in invented time share.

use std::time::Instant;

/// An instant to count from. Only differences to it matter.
pub(crate) fn epoch() -> Instant {
    Instant::now()
}
