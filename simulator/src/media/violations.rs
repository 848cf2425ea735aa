//! What the business did wrong, in words, each kind once.

/// Towards an ICE-lite peer a full agent controls (RFC 8445 §6.1.1). Its own name, because a business that
/// mends its role after the 487 has only lost time.
pub(crate) const CONTROLLED: &str = "the business acts as controlled ICE agent";

/// More than this many kinds are not kept: the call is beyond repair by then.
const KEPT: usize = 64;

/// A list without repetitions, and what is new in it.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    texts: Vec<String>,
    told: usize,
}

impl Violations {
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.texts.len() < KEPT && !self.texts.contains(&text) {
            self.texts.push(text);
        }
    }

    /// The next one nobody was told of.
    pub(crate) fn poll(&mut self) -> Option<String> {
        let text = self.texts.get(self.told).cloned()?;
        self.told += 1;
        Some(text)
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_told_once() {
        let mut violations = Violations::default();
        violations.note("one");
        violations.note("one");
        violations.note(String::from("two"));
        assert_eq!(violations.poll().as_deref(), Some("one"));
        assert_eq!(violations.poll().as_deref(), Some("two"));
        assert_eq!(violations.poll(), None);
        assert_eq!(violations.texts(), ["one", "two"]);
    }
}
