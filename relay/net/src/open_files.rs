//! How many descriptors the process may have: every media port is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as it may be raised without privileges, and gives it; `None` is no limit.
///
/// The usual limit of 1024 is meant for programs that use `select`, and would end a relay at 250 calls.
pub fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(_) => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_the_system_allows() {
        let raised = raise_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(raised, now.current);
        assert_eq!(now.current, now.maximum);
    }
}
