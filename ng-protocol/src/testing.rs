//! Requests written down briefly, for the tests of this crate.

use crate::request::Request;

/// An offer with these keys, written as the inside of a JSON object.
pub(crate) fn offer(keys: &str) -> Request {
    let comma = if keys.is_empty() { "" } else { "," };
    let text = format!(r#"{{"command":"offer"{comma}{keys}}}"#);
    Request::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// An offer with this flags string, and nothing in it unknown.
pub(crate) fn offer_of_string(flags: &str) -> Request {
    offer(&format!(r#""rtpp-flags":"{flags}""#))
}

/// The words that an offer with these keys reports as unknown.
pub(crate) fn unknown(keys: &str) -> Vec<String> {
    offer(keys)
        .unknown
        .iter()
        .map(|word| format!("{}={}", word.key, word.value))
        .collect()
}
