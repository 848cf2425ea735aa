//! Which peers the library cannot serve, or may not be able to serve: seen in their hellos.

use super::super::hello::{ClientHello, ServerHello};
use super::outcome::PROFILES;

/// The cipher suites, the groups and the signature algorithms that the library can use, as numbers at IANA.
const CIPHER_SUITES: [u16; 3] = [0xc02b, 0xc02c, 0xcca9];
const GROUPS: [u16; 3] = [23, 24, 29];
const SIGNATURE_ALGORITHMS: [u16; 2] = [0x0403, 0x0503];
/// Key exchange with finite-field groups and RSA signatures (RFC 5288, RFC 5246). General-purpose TLS libraries offer it, which may
/// have an RSA certificate; browsers and WebRTC stacks, which never have one, do not.
const DHE_RSA: [u16; 7] = [0x009e, 0x009f, 0xccaa, 0x0033, 0x0039, 0x0067, 0x006b];

/// Why the library could not serve this client, or might not.
pub(in crate::dtls) fn objection(hello: &ClientHello) -> Option<&'static str> {
    let shares = |theirs: &[u16], ours: &[u16]| theirs.iter().any(|number| ours.contains(number));
    if !shares(&hello.cipher_suites, &CIPHER_SUITES) {
        return Some("no cipher suite with ECDSA");
    }
    if !hello.extended_master_secret {
        return Some("no extended master secret");
    }
    if !shares(&hello.srtp_profiles, &PROFILES) {
        return Some("no SRTP profile but the one with the short tag");
    }
    if !hello.groups.is_empty() && !shares(&hello.groups, &GROUPS) {
        return Some("no known group");
    }
    if !shares(&hello.signature_algorithms, &SIGNATURE_ALGORITHMS) {
        return Some("no signature algorithm with ECDSA");
    }
    shares(&hello.cipher_suites, &DHE_RSA).then_some("a certificate that may be RSA")
}

/// Whether the library could have gone on with what this server has agreed to.
pub(in crate::dtls) fn suits(hello: &ServerHello) -> bool {
    let profile = hello.srtp_profile;
    CIPHER_SUITES.contains(&hello.cipher_suite)
        && hello.extended_master_secret
        && profile.is_some_and(|profile| PROFILES.contains(&profile))
}
