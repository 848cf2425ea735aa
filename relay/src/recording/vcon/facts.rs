//! What the controller knows about a call, for a vCon: pairs in the key `metadata`, and the names of parties (`label`).
//!
//! The form is that of rtpengine's recording daemon: `caller:+15551112222|callee:sip:desk@example.com|wacid:wacid.HBg...`.
//! These keys have a meaning here, all others are passed on:
//!
//! ```text
//!  caller, callee             the addresses of who made the call and of the other: a number, a SIP address, or a name
//!  caller-name, callee-name   their names
//!  subject                    what it is about
//!  wacid                      WhatsApp's name of the call, by which a call is known to be one
//! ```

use std::collections::BTreeMap;

use relay_call::recording::Party;
use serde::Serialize;

/// The pairs of a controller's text.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pairs: BTreeMap<&'a str, &'a str>,
    /// What is no pair.
    text: Vec<&'a str>,
}

impl<'a> Facts<'a> {
    /// Takes a text apart. Of two values of a key the last counts.
    pub(super) fn read(metadata: &'a str) -> Self {
        let mut facts = Self::default();
        for entry in metadata.split('|').map(str::trim) {
            match entry.split_once(':') {
                Some((key, value)) if !key.is_empty() => {
                    // Proxies write keys of which they have no value.
                    if !value.trim().is_empty() {
                        facts.pairs.insert(key.trim(), value.trim());
                    }
                }
                _ if entry.is_empty() => {}
                _ => facts.text.push(entry),
            }
        }
        facts
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs.get(key).copied()
    }

    /// What is passed on as it is: nothing of it has another place in a vCon.
    pub(super) fn others(&self) -> impl Iterator<Item = (String, String)> {
        const PLACED: [&str; 5] = ["caller", "callee", "caller-name", "callee-name", "subject"];
        let others = self.pairs.iter();
        let others = others.filter(|(key, _)| !PLACED.contains(*key));
        let text = (!self.text.is_empty()).then(|| ("text".to_owned(), self.text.join("|")));
        others
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .chain(text)
    }

    /// A party: the number says which, from 0, and the first made the call.
    pub(super) fn party(&self, number: usize, known: Option<&'a Party>) -> PartyObject<'a> {
        let mut party = PartyObject::default();
        if let Some(label) = known.and_then(|known| known.label.as_deref()) {
            party.address(label);
        }
        let (address, name) = match number {
            0 => ("caller", "caller-name"),
            1 => ("callee", "callee-name"),
            _ => return party,
        };
        if let Some(address) = self.get(address) {
            party.address(address);
        }
        party.name = self.get(name).or(party.name);
        party
    }
}

/// A party, as the draft's section 4.2 has it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct PartyObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
}

impl<'a> PartyObject<'a> {
    /// Puts a word where its form says that it belongs.
    fn address(&mut self, word: &'a str) {
        let after = |scheme: &str| {
            let (before, rest) = word.split_at_checked(scheme.len())?;
            before.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        if let Some(number) = after("tel:") {
            self.tel = Some(number);
        } else if after("sip:").is_some() || after("sips:").is_some() {
            self.sip = Some(word);
        } else if is_number(word) {
            self.tel = Some(word);
        } else {
            self.name = Some(word);
        }
    }
}

/// Whether this is a telephone number: digits with what people write between them (RFC 3966 section 3, E.164).
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('+').unwrap_or(word);
    let number = digits.bytes().filter(u8::is_ascii_digit).count();
    let written = |byte: u8| byte.is_ascii_digit() || b"-.() ".contains(&byte);
    (3..=15).contains(&number) && digits.bytes().all(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_where_their_form_says() {
        for (word, tel, sip, name) in [
            ("+15551112222", Some("+15551112222"), None, None),
            ("tel:+1-555", Some("+1-555"), None, None),
            ("101", Some("101"), None, None),
            ("sip:a@b.example", None, Some("sip:a@b.example"), None),
            ("SIPS:a@b", None, Some("SIPS:a@b"), None),
            (
                "US.13491208655302741",
                None,
                None,
                Some("US.13491208655302741"),
            ),
            ("agent 7", None, None, Some("agent 7")),
            ("12", None, None, Some("12")),
            ("é", None, None, Some("é")),
        ] {
            let mut party = PartyObject::default();
            party.address(word);
            assert_eq!((party.tel, party.sip, party.name), (tel, sip, name));
        }
    }

    #[test]
    fn a_party_is_its_label_and_what_the_text_says() {
        let facts = Facts::read(
            "caller:+15551112222|caller-name:Ann|note|wacid:w.1:2| a : b |more|c: |subject:",
        );
        let label = |label: &str| Party {
            label: Some(label.to_owned()),
        };
        let (whatsapp, desk) = (label("whatsapp"), label("sip:desk@pbx"));
        let caller = facts.party(0, Some(&whatsapp));
        assert_eq!(
            (caller.tel, caller.name),
            (Some("+15551112222"), Some("Ann"))
        );
        let callee = facts.party(1, Some(&desk));
        assert_eq!((callee.sip, callee.name), (Some("sip:desk@pbx"), None));
        assert_eq!(facts.party(2, None), PartyObject::default());
        assert_eq!(facts.get("wacid"), Some("w.1:2"));
        assert_eq!(facts.get("subject"), None);
        let others: Vec<(String, String)> = facts.others().collect();
        let others: Vec<(&str, &str)> = others.iter().map(|(k, v)| (&k[..], &v[..])).collect();
        assert_eq!(
            others,
            [("a", "b"), ("wacid", "w.1:2"), ("text", "note|more")]
        );
    }
}
