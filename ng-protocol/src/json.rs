//! JSON (RFC 8259) as a second spelling of the same values.
//!
//! Keys keep their order and their repetitions, as in bencode. What NG has no word for is mapped like this:
//! `true` and `false` are 1 and 0; `null` is an absent entry; a number that is no 64-bit integer is the string of its
//! digits, so that whoever expects an integer falls back to the default.
//!
//! JSON text is Unicode, NG strings are bytes. On output, bytes that are not UTF-8 become U+FFFD: a JSON client reads
//! a slightly damaged name instead of receiving nothing. Bencode clients always get the bytes as they are.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};

use crate::error::NgError;
use crate::value::{Dictionary, MAX_DEPTH, Value};

/// Reads an object. Nothing but white space may follow it.
pub fn decode(bytes: &[u8]) -> Result<Dictionary<'_>, NgError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Nested(0)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| {
            if error.is_data() {
                NgError::JsonContent(error.to_string())
            } else {
                NgError::Json(error.to_string())
            }
        })?;
    match value {
        Some(Value::Dictionary(dictionary)) => Ok(dictionary),
        _ => Err(NgError::JsonContent("not an object".to_owned())),
    }
}

/// Appends an object to `out`, its keys in their order.
pub fn encode(dictionary: &Dictionary<'_>, out: &mut Vec<u8>) {
    encode_pairs(dictionary.iter(), out);
}

/// Appends an object of these pairs to `out`.
pub fn encode_pairs<'d, 'v: 'd>(
    pairs: impl Iterator<Item = (&'d [u8], &'d Value<'v>)>,
    out: &mut Vec<u8>,
) {
    // unwrap: writing to a vector does not fail, and the Serialize implementations below give no errors of their own.
    write_pairs(pairs, &mut serde_json::Serializer::new(out)).expect("writing JSON to memory");
}

fn write_pairs<'d, 'v: 'd, S: Serializer>(
    pairs: impl Iterator<Item = (&'d [u8], &'d Value<'v>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (key, value) in pairs {
        map.serialize_entry(&String::from_utf8_lossy(key), value)?;
    }
    map.end()
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::String(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Dictionary(dictionary) => dictionary.serialize(serializer),
        }
    }
}

impl Serialize for Dictionary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_pairs(self.iter(), serializer)
    }
}

/// A value inside this many lists and dictionaries; `None` for `null`.
struct Nested(usize);

impl Nested {
    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.0 >= MAX_DEPTH {
            return Err(E::custom("lists and dictionaries are nested too deeply"));
        }
        Ok(self.0 + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Some(flag.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(match i64::try_from(number) {
            Ok(number) => Value::Integer(number),
            Err(_) => number.to_string().into(),
        }))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let depth = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Nested(depth))? {
            items.extend(item);
        }
        Ok(Some(Value::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let depth = self.inner()?;
        let mut dictionary = Dictionary::new();
        while let Some(key) = access.next_key_seed(Nested(depth))? {
            let Some(Value::String(key)) = key else {
                return Err(A::Error::custom("a key is not a string"));
            };
            if let Some(value) = access.next_value_seed(Nested(depth))? {
                dictionary.push(Cow::clone(&key), value);
            }
        }
        Ok(Some(Value::Dictionary(dictionary)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(dictionary: &Dictionary<'_>) -> String {
        let mut out = Vec::new();
        encode(dictionary, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn order_and_repetition_of_keys_survive() {
        let text = r#"{"z":1,"a":["x",{"y":-2}],"z":"last"}"#;
        assert_eq!(encoded(&decode(text.as_bytes()).unwrap()), text);
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let dictionary = decode(br#"{"sdp":"v=0","escaped":"a\r\n"}"#).unwrap();
        assert!(matches!(
            dictionary.get("sdp"),
            Some(Value::String(Cow::Borrowed(b"v=0")))
        ));
        assert_eq!(dictionary.get("escaped").unwrap().as_str(), Some("a\r\n"));
    }

    #[test]
    fn what_ng_has_no_word_for_is_mapped() {
        let dictionary = decode(
            br#"{"t":true,"f":false,"n":null,"r":2.7,"big":18446744073709551615,"l":[null,1]}"#,
        )
        .unwrap();
        assert_eq!(
            encoded(&dictionary),
            r#"{"t":1,"f":0,"r":"2.7","big":"18446744073709551615","l":[1]}"#
        );
        assert_eq!(dictionary.get("r").unwrap().as_integer(), None);
    }

    #[test]
    fn bytes_that_are_not_unicode_are_replaced_on_output() {
        let mut dictionary = Dictionary::new();
        dictionary.push(b"s".as_slice(), b"caf\xe9".as_slice());
        assert_eq!(encoded(&dictionary), "{\"s\":\"caf\u{fffd}\"}");
    }

    #[test]
    fn something_after_the_object_is_an_error() {
        assert!(matches!(
            decode(br#"{"command":"ping"} x"#),
            Err(NgError::Json(_))
        ));
        assert!(decode(b"{\"command\":\"ping\"}\r\n").is_ok());
    }

    #[test]
    fn broken_text_and_wrong_content_are_told_apart() {
        assert!(matches!(decode(b"{\"command\":"), Err(NgError::Json(_))));
        assert!(matches!(decode(b"[]"), Err(NgError::JsonContent(_))));
        assert!(matches!(decode(b"{\"a\":\"\xff\"}"), Err(NgError::Json(_))));
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        assert!(decode(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(matches!(
            decode(nested(MAX_DEPTH + 1).as_bytes()),
            Err(NgError::JsonContent(_))
        ));
        let hostile = format!("{{\"a\":{}", "[".repeat(65_000));
        assert!(decode(hostile.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\{[\\[\\]{}\",:0-9a-z\\\\u.-]{0,200}") {
            if let Ok(dictionary) = decode(text.as_bytes()) {
                let again = encoded(&dictionary);
                prop_assert_eq!(decode(again.as_bytes()).unwrap(), dictionary);
            }
        }
    }
}
