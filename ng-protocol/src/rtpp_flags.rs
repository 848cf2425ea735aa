//! The options of a request written as one string (`rtpp-flags`, and the templates of a configuration file).
//!
//! Tokens are separated by spaces. A token is a flag word, or `key=value`, where the value may be a list `[a b]` or a
//! dictionary `[k=v k=[x y]]`, nested as needed; the first element decides which of the two it is.
//! This file only takes the string apart. The words then go the same way as those of a dictionary, so that both
//! spellings give the same request.

use std::collections::BTreeMap;

use crate::spelling::canonical;
use crate::value::{Dictionary, MAX_DEPTH, Value};

/// One token of a flags string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A flag word.
    Word(&'a str),
    /// A key and its value.
    Pair(&'a str, Value<'a>),
}

/// Takes a flags string apart.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, after) = next_token(rest)?;
        rest = after;
        Some(match token.split_once('=') {
            // A word that begins with '=' has no key; let it be reported as it stands.
            Some((key, value)) if !key.is_empty() && !key.contains('[') => {
                Token::Pair(key, value_of(value, 1))
            }
            _ => Token::Word(token),
        })
    })
}

/// Reads a string that is one pair of brackets from end to end as the list or dictionary that it stands for.
///
/// Proxies that do not know brackets pass them on as they are.
pub(crate) fn unfold(text: &str) -> Option<Value<'static>> {
    let text = text.trim();
    inside_brackets(text).map(|inside| collection(inside, 2).into_owned())
}

/// The next token up to a space outside of brackets, and what follows it.
fn next_token(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_space);
    if text.is_empty() {
        return None;
    }
    let mut open = 0_usize;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            match c {
                '[' => open += 1,
                ']' => open = open.saturating_sub(1),
                _ => {}
            }
            open == 0 && is_space(*c)
        })
        .map_or(text.len(), |(index, _)| index);
    Some(text.split_at(end))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// What stands between the bracket that opens a text and the one that closes it at its very end.
fn inside_brackets(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut open = 0_usize;
    for c in inside.chars() {
        match c {
            '[' => open += 1,
            ']' => open = open.checked_sub(1)?,
            _ => {}
        }
    }
    (open == 0).then_some(inside)
}

/// A value: a collection if it is written in brackets and not nested too deeply, otherwise the text as it stands.
fn value_of(text: &str, depth: usize) -> Value<'_> {
    match inside_brackets(text) {
        Some(inside) if depth < MAX_DEPTH => collection(inside, depth + 1),
        _ => text.into(),
    }
}

fn collection(inside: &str, depth: usize) -> Value<'_> {
    let mut rest = inside;
    let mut elements = std::iter::from_fn(move || {
        let (element, after) = next_token(rest)?;
        rest = after;
        Some(element)
    })
    .peekable();
    let is_dictionary = elements
        .peek()
        .is_some_and(|first| !first.starts_with('[') && first.contains('='));
    if is_dictionary {
        let mut dictionary = Dictionary::new();
        for element in elements {
            let (key, value) = element.split_once('=').unwrap_or((element, ""));
            dictionary.push(key.as_bytes(), value_of(value, depth));
        }
        Value::Dictionary(dictionary)
    } else {
        elements.map(|element| value_of(element, depth)).collect()
    }
}

/// Flags strings that operators keep in the configuration under a name.
///
/// A template named like a command applies to every request of that command, one named `default` to every request;
/// both come before the request's own keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    strings: BTreeMap<String, String>,
}

impl Templates {
    /// Adds a template; a later one of the same name replaces the earlier.
    pub fn insert(&mut self, name: &str, flags: impl Into<String>) {
        let name = canonical(name.trim()).into_owned();
        self.strings.insert(name, flags.into());
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.strings
            .get(canonical(name.trim()).as_ref())
            .map(String::as_str)
    }
}

impl std::fmt::Display for Templates {
    /// Their names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, name) in self.strings.keys().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

impl<K: AsRef<str>, V: Into<String>> FromIterator<(K, V)> for Templates {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut templates = Self::default();
        for (name, flags) in pairs {
            templates.insert(name.as_ref(), flags);
        }
        templates
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only_token(text: &str) -> Token<'_> {
        let mut all = tokens(text);
        let first = all.next().unwrap();
        assert_eq!(all.next(), None);
        first
    }

    fn list(items: &[&'static str]) -> Value<'static> {
        items.iter().copied().collect()
    }

    #[test]
    fn words_and_pairs_are_separated_by_spaces() {
        let all: Vec<_> = tokens("  replace-origin ICE=remove\tDTLS=off ").collect();
        assert_eq!(
            all,
            [
                Token::Word("replace-origin"),
                Token::Pair("ICE", "remove".into()),
                Token::Pair("DTLS", "off".into()),
            ]
        );
    }

    #[test]
    fn brackets_make_lists() {
        assert_eq!(
            only_token("SDES=[only-AES_CM_128_HMAC_SHA1_80 pad]"),
            Token::Pair("SDES", list(&["only-AES_CM_128_HMAC_SHA1_80", "pad"]))
        );
        assert_eq!(only_token("flags=[]"), Token::Pair("flags", list(&[])));
    }

    #[test]
    fn an_equals_sign_in_the_first_element_makes_a_dictionary() {
        let expected = Dictionary::new()
            .with("strip", list(&["PCMA"]))
            .with("transcode", list(&["G722", "opus"]))
            .with("set", "opus/48000");
        assert_eq!(
            only_token("codec=[strip=[PCMA] transcode=[G722 opus] set=opus/48000]"),
            Token::Pair("codec", expected.into())
        );
    }

    #[test]
    fn lists_nest() {
        let expected = Value::List(vec![list(&["a", "b"]), list(&["c", "d=e"])]);
        assert_eq!(
            only_token("substitute=[[a b] [c d=e]]"),
            Token::Pair("substitute", expected)
        );
    }

    #[test]
    fn brackets_that_do_not_match_are_text() {
        assert_eq!(
            only_token("codec=[transcode=[PCMU"),
            Token::Pair("codec", "[transcode=[PCMU".into())
        );
        assert_eq!(only_token("PCMA]"), Token::Word("PCMA]"));
        assert_eq!(unfold("[opus]]"), None);
        assert_eq!(unfold("[a][b]"), None);
        assert_eq!(unfold("[a [b] c]").unwrap().to_string(), "[a [b] c]");
    }

    #[test]
    fn nesting_beyond_the_limit_is_text() {
        let deep = format!("k={}{}", "[".repeat(10_000), "]".repeat(10_000));
        let Token::Pair("k", mut value) = only_token(&deep) else {
            panic!("expected a pair");
        };
        let mut depth = 0;
        while let Value::List(mut items) = value {
            depth += 1;
            value = items.remove(0);
        }
        assert_eq!(depth, MAX_DEPTH - 1);
        assert!(value.as_bytes().is_some());
    }

    #[test]
    fn templates_are_found_in_any_spelling() {
        let templates = Templates::from_iter([("WebRTC", "ICE=force")]);
        assert_eq!(templates.get("webrtc"), Some("ICE=force"));
        assert_eq!(templates.get("other"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_strings_never_panic(text in "[\\[\\] =a-cé-]{0,100}") {
            for token in tokens(&text) {
                if let Token::Pair(_, value) = token {
                    let _ = value.to_string();
                }
            }
            let _ = unfold(&text);
        }
    }
}
