//! The value model that bencode and JSON share: integers, byte strings, lists and dictionaries.
//!
//! Strings borrow from the datagram, because a request is mostly one SDP body that nobody wants to copy twice.
//! A dictionary is a list of pairs: NG clients neither sort their keys nor keep them unique, and both the order and
//! the repetition carry meaning (a later key overwrites an earlier one).

use std::borrow::Cow;
use std::fmt;

/// How deeply lists and dictionaries may nest, in either encoding.
///
/// The deepest message known (the statistics inside a `query` reply) needs nine levels.
pub const MAX_DEPTH: usize = 16;

/// One NG value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A 64-bit signed integer.
    Integer(i64),
    /// A string of bytes, which need not be UTF-8: tags, call-ids and SDP are opaque.
    String(Cow<'a, [u8]>),
    /// A list.
    List(Vec<Value<'a>>),
    /// Pairs in the order in which they were written.
    Dictionary(Dictionary<'a>),
}

impl<'a> Value<'a> {
    /// The bytes, if this is a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text, if this is a string of valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The number, whether written as an integer or as a decimal string; both occur on the wire for every number.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::String(_) => self.as_str()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs, if this is a dictionary.
    pub fn as_dictionary(&self) -> Option<&Dictionary<'a>> {
        match self {
            Self::Dictionary(dictionary) => Some(dictionary),
            _ => None,
        }
    }

    /// The same value, independent of the datagram it was decoded from.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::String(bytes) => Value::String(Cow::Owned(bytes.into_owned())),
            Self::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Self::Dictionary(dictionary) => Value::Dictionary(dictionary.into_owned()),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// For people: collections in the bracket syntax of flags strings, strings as far as they are UTF-8.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::String(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{item}")?;
                }
                f.write_str("]")
            }
            Self::Dictionary(dictionary) => {
                f.write_str("[")?;
                for (index, (key, value)) in dictionary.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{}={value}", String::from_utf8_lossy(key))?;
                }
                f.write_str("]")
            }
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::String(Cow::Borrowed(bytes))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::String(Cow::Owned(bytes))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for Value<'_> {
    /// A counter beyond the 64-bit signed range stays at its end.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Value<'_> {
    /// NG writes booleans as 0 and 1.
    fn from(flag: bool) -> Self {
        Self::Integer(flag.into())
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(items: Vec<Value<'a>>) -> Self {
        Self::List(items)
    }
}

impl<'a> From<Dictionary<'a>> for Value<'a> {
    fn from(dictionary: Dictionary<'a>) -> Self {
        Self::Dictionary(dictionary)
    }
}

impl<'a, T: Into<Value<'a>>> FromIterator<T> for Value<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// Pairs in the order in which they were written, repetitions included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary<'a> {
    entries: Vec<(Cow<'a, [u8]>, Value<'a>)>,
}

impl<'a> Dictionary<'a> {
    /// A dictionary without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// A dictionary with room for so many pairs.
    pub fn with_capacity(pairs: usize) -> Self {
        Self {
            entries: Vec::with_capacity(pairs),
        }
    }

    /// Appends a pair; an earlier pair of the same key stays.
    pub fn push(&mut self, key: impl Into<Cow<'a, [u8]>>, value: impl Into<Value<'a>>) {
        self.entries.push((key.into(), value.into()));
    }

    /// Appends a pair, for building in one expression.
    #[must_use]
    pub fn with(mut self, key: &'a str, value: impl Into<Value<'a>>) -> Self {
        self.push(key.as_bytes(), value);
        self
    }

    /// Appends a pair if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'a str, value: Option<impl Into<Value<'a>>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Appends all pairs of another dictionary.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The value of the first pair with exactly this key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.iter()
            .find(|(name, _)| *name == key.as_bytes())
            .map(|(_, value)| value)
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Value<'a>)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same dictionary, independent of the datagram it was decoded from.
    pub fn into_owned(self) -> Dictionary<'static> {
        Dictionary {
            entries: self
                .entries
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                .collect(),
        }
    }
}
