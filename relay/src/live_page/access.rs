//! Who may see the page.

use std::fs;

use hyper::header::{self, HeaderMap};

/// Calls remembered unless the option says otherwise.
const CALLS: usize = 200;

/// The options of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who may see it.
    pub access: Access,
    /// How many calls that are over are remembered.
    pub calls: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: Access::Open,
            calls: CALLS,
        }
    }
}

/// Who may see the page.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// Nobody: there is none.
    Off,
    /// Whoever reaches the port.
    Open,
    /// Whoever knows this.
    Token(String),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Open => "Open",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl Access {
    /// Reads `off`, `on`, `token:TEXT` or `token-file:PATH`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let token = match text {
            "off" | "no" => return Ok(Self::Off),
            "on" | "yes" => return Ok(Self::Open),
            _ => match text.split_once(':') {
                Some(("token", token)) => token.to_owned(),
                Some(("token-file", path)) => fs::read_to_string(path)
                    .map_err(|error| format!("{path}: {error}"))?
                    .trim()
                    .to_owned(),
                _ => return Err("off, on, token:TEXT or token-file:PATH is expected".to_owned()),
            },
        };
        if token.len() < 8 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "a token has eight characters or more, printable ASCII without spaces".to_owned(),
            );
        }
        Ok(Self::Token(token))
    }

    /// Whether a request with these headers may read (`Authorization: Bearer`).
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Off => false,
            Self::Open => true,
            Self::Token(token) => {
                let given = headers.get(header::AUTHORIZATION);
                let given = given.and_then(|value| value.to_str().ok());
                let given = given.and_then(|value| value.strip_prefix("Bearer "));
                given.is_some_and(|given| is_same(given.trim(), token))
            }
        }
    }
}

/// Compares every byte, so that the time it takes does not say how many were right.
fn is_same(one: &str, other: &str) -> bool {
    let difference = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    one.len() == other.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_page_is_off_or_open_or_behind_a_token() {
        assert_eq!(Access::parse("off"), Ok(Access::Off));
        assert_eq!(Access::parse("on"), Ok(Access::Open));
        let token = Access::Token("correct-horse".to_owned());
        assert_eq!(Access::parse("token:correct-horse"), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(..)");
        let path = std::env::temp_dir().join(format!("tandem-token-{}", std::process::id()));
        fs::write(&path, "correct-horse\n").unwrap();
        let from_file = Access::parse(&format!("token-file:{}", path.display()));
        assert_eq!(from_file, Ok(token));
        fs::remove_file(&path).unwrap();
        for wrong in [
            "",
            "maybe",
            "token:",
            "token:short",
            "token:with space",
            "token-file:/nowhere",
        ] {
            assert!(Access::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_right_token_opens() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            headers
        };
        let token = Access::Token("correct-horse".to_owned());
        assert!(token.admits(&with("Bearer correct-horse")));
        for wrong in [
            "Bearer correct-hors",
            "Bearer correct-horsE",
            "Basic correct-horse",
            "correct-horse",
            "",
        ] {
            assert!(!token.admits(&with(wrong)), "{wrong}");
        }
        assert!(!token.admits(&HeaderMap::new()));
        assert!(Access::Open.admits(&HeaderMap::new()));
        assert!(!Access::Off.admits(&with("Bearer correct-horse")));
    }
}
