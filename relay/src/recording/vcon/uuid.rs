//! The names of vCons: UUIDs of version 8 as draft-ietf-vcon-vcon-core section 4.1.2 makes them.
//!
//! They are those of version 7 (RFC 9562 section 5.7) with the maker's domain in place of the last random bits.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Draws UUIDs, each later than the one before.
#[derive(Debug)]
pub(super) struct Uuids {
    /// The high 62 bits of the domain's SHA-1.
    domain: u64,
    /// Milliseconds since 1970, and below them twelve bits of fraction.
    last: u64,
}

impl Uuids {
    /// Of this domain, which nobody else draws UUIDs of.
    pub(super) fn of(domain: &str) -> Self {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, domain.as_bytes());
        let high = hash.as_ref().first_chunk().copied().unwrap_or_default();
        Self {
            domain: u64::from_be_bytes(high) >> 2,
            last: 0,
        }
    }

    /// The next one, at this time since 1970.
    pub(super) fn draw(&mut self, now: Duration) -> String {
        // RFC 9562 section 6.2, method 3: the bits behind the milliseconds are a finer clock; two at once count on.
        let fraction = u64::from(now.subsec_nanos() % 1_000_000) * 4096 / 1_000_000;
        let milliseconds = now.as_secs() * 1000 + u64::from(now.subsec_millis());
        self.last = (milliseconds << 12 | fraction).max(self.last + 1);
        let (milliseconds, fraction) = (self.last >> 12, self.last & 0xfff);
        let domain = 0b10 << 62 | self.domain;
        format!(
            "{:08x}-{:04x}-8{fraction:03x}-{:04x}-{:012x}",
            milliseconds >> 16,
            milliseconds & 0xffff,
            domain >> 48,
            domain & 0xffff_ffff_ffff,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_time_version_8_and_domain() {
        // `printf sbc.example.com | sha1sum` begins with 3ae61e2fe2716775: two bits to the right, and the variant before it.
        let mut uuids = Uuids::of("sbc.example.com");
        let now = Duration::from_nanos(1_795_330_304_881_500_000);
        assert_eq!(uuids.draw(now), "01a20206-6b71-8800-8eb9-878bf89c59dd");
    }

    #[test]
    fn no_two_are_the_same_and_each_is_later() {
        let mut uuids = Uuids::of("a");
        let now = Duration::from_secs(1_795_330_304);
        let mut drawn: Vec<String> = (0..10_000).map(|_| uuids.draw(now)).collect();
        drawn.push(uuids.draw(now - Duration::from_secs(5)));
        assert!(drawn.is_sorted());
        drawn.dedup();
        assert_eq!(drawn.len(), 10_001);
        assert_ne!(Uuids::of("b").draw(now)[19..], drawn[0][19..]);
    }
}
