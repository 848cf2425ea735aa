//! How names are spelt, and what is remembered of names that did nothing.
//!
//! Clients write the same name as `transport protocol`, `transport-protocol` or `transport_protocol`, `ICE` or `ice`.
//! Every key, flag word and keyword value is therefore compared in one canonical spelling: ASCII lower case, with `-`
//! in place of space and underscore. That is a superset of what any client is known to write.

use std::borrow::Cow;

use crate::rtpp_flags;
use crate::value::Value;

/// How many bytes of a word without effect are kept for the log.
const MAX_REPORTED: usize = 200;

/// How many words without effect are kept of one request; what comes after them is not worth a log line.
const MAX_WORDS: usize = 64;

/// The canonical spelling of a name. Its length is that of the name.
pub(crate) fn canonical(name: &str) -> Cow<'_, str> {
    let differs = |byte: &u8| matches!(byte, b'_' | b' ' | b'A'..=b'Z');
    // Most names come as they are compared, a dozen in every request.
    if !name.as_bytes().iter().any(differs) {
        return Cow::Borrowed(name);
    }
    let mut spelt = String::with_capacity(name.len());
    spelt.extend(name.chars().map(|c| match c {
        '_' | ' ' => '-',
        c => c.to_ascii_lowercase(),
    }));
    Cow::Owned(spelt)
}

/// A flag word, as written and in canonical spelling.
#[derive(Debug)]
pub(crate) struct Spelled<'a> {
    pub(crate) original: &'a str,
    pub(crate) canonical: Cow<'a, str>,
}

impl<'a> Spelled<'a> {
    pub(crate) fn new(original: &'a str) -> Self {
        Self {
            original,
            canonical: canonical(original),
        }
    }

    /// What follows a prefix given in canonical spelling, as it was written.
    pub(crate) fn after(&self, prefix: &str) -> Option<&'a str> {
        if self.canonical.starts_with(prefix) {
            // Both spellings have the same length, so the prefix ends at a character boundary in both.
            self.original.get(prefix.len()..)
        } else {
            None
        }
    }
}

/// A word of a request that did nothing, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// The key in canonical spelling, or `flags` for a flag word.
    pub key: String,
    /// The value, or the flag word.
    pub value: String,
}

/// Collects the words that did nothing.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) inert: Vec<Word>,
    pub(crate) unknown: Vec<Word>,
}

impl Report {
    /// A word that is known and has no effect.
    pub(crate) fn inert(&mut self, key: &str, value: impl ToString) {
        push(&mut self.inert, key, value.to_string());
    }

    /// A word nobody knows.
    pub(crate) fn unknown(&mut self, key: &str, value: impl ToString) {
        push(&mut self.unknown, key, value.to_string());
    }
}

fn push(words: &mut Vec<Word>, key: &str, value: String) {
    if words.len() >= MAX_WORDS {
        return;
    }
    let word = Word {
        key: cut(canonical(key).into_owned()),
        value: cut(value),
    };
    if !words.contains(&word) {
        words.push(word);
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_REPORTED {
        text.truncate(text.floor_char_boundary(MAX_REPORTED));
        text.push('…');
    }
    text
}

/// The text of a string or integer; bytes that are not UTF-8 become replacement characters.
pub(crate) fn text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::String(bytes) => Some(String::from_utf8_lossy(bytes)),
        Value::Integer(number) => Some(Cow::Owned(number.to_string())),
        Value::List(_) | Value::Dictionary(_) => None,
    }
}

/// The canonical spelling of a keyword value.
pub(crate) fn keyword(value: &Value<'_>) -> Option<String> {
    text(value).map(|text| canonical(text.trim()).into_owned())
}

/// The elements of a list of names.
///
/// A string stands for a list: it is split at commas, or unfolded if it is written in brackets.
/// Elements that are no names are reported; a value that is neither list nor string is reported whole.
pub(crate) fn names<'v>(key: &str, value: &'v Value<'_>, report: &mut Report) -> Vec<Cow<'v, str>> {
    match value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| {
                let name = text(item);
                if name.is_none() {
                    report.unknown(key, item);
                }
                name
            })
            .collect(),
        Value::String(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            match rtpp_flags::unfold(&text) {
                Some(list @ Value::List(_)) => {
                    let names = names(key, &list, report).into_iter();
                    names.map(|name| Cow::Owned(name.into_owned())).collect()
                }
                Some(other) => {
                    report.unknown(key, other);
                    Vec::new()
                }
                None => text
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(|name| Cow::Owned(name.to_owned()))
                    .collect(),
            }
        }
        Value::Integer(_) | Value::Dictionary(_) => {
            report.unknown(key, value);
            Vec::new()
        }
    }
}

/// The pairs of a dictionary with their keys in canonical spelling.
///
/// A string may stand for a dictionary if it is written in brackets. Anything else is reported, and there are no pairs.
pub(crate) fn pairs<'v>(
    key: &str,
    value: &'v Value<'v>,
    report: &mut Report,
) -> Vec<(String, Value<'v>)> {
    let unfolded = match value {
        Value::String(bytes) => std::str::from_utf8(bytes).ok().and_then(rtpp_flags::unfold),
        _ => None,
    };
    match unfolded.as_ref().unwrap_or(value) {
        Value::Dictionary(dictionary) => dictionary
            .iter()
            .map(|(name, value)| {
                let name = String::from_utf8_lossy(name);
                (canonical(&name).into_owned(), value.clone())
            })
            .collect(),
        other => {
            // An empty list is how some clients write an empty dictionary.
            if other.as_list() != Some(&[]) {
                report.unknown(key, other);
            }
            Vec::new()
        }
    }
}

/// A switch that is written as a value: `yes` or `no` in any of their forms.
pub(crate) fn switch(value: &Value<'_>) -> Option<bool> {
    match keyword(value)?.as_str() {
        "yes" | "on" | "true" | "1" | "enable" | "enabled" => Some(true),
        "no" | "off" | "false" | "0" | "disable" | "disabled" => Some(false),
        _ => None,
    }
}
