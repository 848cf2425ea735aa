//! What stands behind the `?` of a path.

/// A longer search finds nothing.
const LONGEST: usize = 512;

/// The pairs of a query that mean something here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    search: String,
    id: Option<String>,
    started_ms: Option<u64>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = || {
                let mut value = crate::control::http::unescape(value);
                value.truncate(value.floor_char_boundary(LONGEST));
                value
            };
            match name {
                "search" => query.search = value().trim().to_lowercase(),
                "id" => query.id = Some(value()),
                "started" => query.started_ms = value().parse().ok(),
                _ => {}
            }
        }
        query
    }

    /// In lower case; empty if all calls are wanted.
    pub(super) fn search(&self) -> &str {
        &self.search
    }

    /// The Call-ID.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// When the call began, to tell it from others of its name.
    pub(super) fn started_ms(&self) -> Option<u64> {
        self.started_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_unescaped_and_bounded() {
        let query = Query::parse("search=+WaCid%2E+&id=a%26b%3d&started=17&other=1&lonely");
        assert_eq!(query.search(), "wacid.");
        assert_eq!(query.id(), Some("a&b="));
        assert_eq!(query.started_ms(), Some(17));
        assert_eq!(Query::parse(""), Query::default());
        let long = Query::parse(&format!("search={}", "\u{e4}".repeat(1000)));
        assert!(long.search().len() <= LONGEST);
        assert_eq!(Query::parse("started=x").started_ms(), None);
    }
}
