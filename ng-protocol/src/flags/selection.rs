//! Which party, branch or flow a command is about, and how `delete` behaves.

use std::net::IpAddr;

use super::addressing::address;
use crate::identity::CallId;
use crate::spelling::{Report, Spelled, keyword, text};
use crate::value::Value;

/// The words that select a party or modify a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectionFlags {
    /// Act on everything, or on flows of one origin.
    pub all: Option<All>,
    /// Honour `from-tag` in block and forward commands.
    pub directional: bool,
    /// Honour `to-tag` in `delete`.
    pub to_tag: bool,
    /// Name of the party whose SDP is in the request (`label`, `from-label`).
    pub label: Option<String>,
    /// A new name for the selected party.
    pub set_label: Option<String>,
    /// Name of the other party.
    pub to_label: Option<String>,
    /// The media address by which to find the party.
    pub address: Option<IpAddr>,
    /// Whether `address` was written but is no address; commands that select a party then fail.
    pub address_unreadable: bool,
    /// Block and silence commands: what goes to the party, not what comes from it (`egress`, `block-egress`).
    pub egress: bool,
    /// `connect`: the call that the other party is in.
    pub to_call_id: Option<CallId>,
    /// Free text that is passed on to recordings and statistics.
    pub metadata: Option<String>,
    /// `delete`: an unknown call or tag is an error.
    pub fatal: bool,
    /// `delete`: no statistics in the reply.
    pub fast: bool,
    /// `delete`, `stop recording`: drop what was recorded.
    pub discard_recording: bool,
    /// `stop recording`: only pause.
    pub pause: bool,
    /// The answer belongs to a new branch, whatever its tag says.
    pub new_branch: bool,
    /// The answer is not final: a changed to-tag renames the party.
    pub provisional: bool,
}

/// The values of `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum All {
    /// Everything.
    All,
    /// Flows that offer and answer made.
    OfferAnswer,
    /// Flows that offer and answer did not make.
    ExceptOfferAnswer,
    /// Every flow, singly.
    Flows,
}

impl SelectionFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        match key {
            "all" => match keyword(value).as_deref() {
                Some("all" | "yes" | "on" | "true" | "1") => self.all = Some(All::All),
                Some("offer-answer") => self.all = Some(All::OfferAnswer),
                Some("except-offer-answer" | "not-offer-answer") => {
                    self.all = Some(All::ExceptOfferAnswer);
                }
                Some("flows") => self.all = Some(All::Flows),
                Some("no" | "off" | "false" | "0" | "none") => self.all = None,
                _ => report.unknown(key, value),
            },
            "label" | "from-label" => self.label = word(key, value, report),
            "set-label" => self.set_label = word(key, value, report),
            "to-label" => self.to_label = word(key, value, report),
            "to-call-id" => match value.as_bytes() {
                Some(id) => self.to_call_id = (!id.is_empty()).then(|| CallId::from(id)),
                None => report.unknown(key, value),
            },
            "metadata" => self.metadata = word(key, value, report),
            "address" => {
                self.address = address(value);
                self.address_unreadable = self.address.is_none();
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>) -> bool {
        match word.canonical.as_ref() {
            "all" => self.all = Some(All::All),
            "directional" => self.directional = true,
            "egress" => self.egress = true,
            "to-tag" => self.to_tag = true,
            "fatal" => self.fatal = true,
            "fast" => self.fast = true,
            "discard-recording" => self.discard_recording = true,
            "pause" => self.pause = true,
            "new-branch" => self.new_branch = true,
            "provisional" => self.provisional = true,
            _ => return false,
        }
        true
    }
}

fn word(key: &str, value: &Value<'_>, report: &mut Report) -> Option<String> {
    let word = text(value);
    if word.is_none() {
        report.unknown(key, value);
    }
    word.map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, unknown};

    #[test]
    fn all_is_a_word_or_has_a_value() {
        let all = |keys| offer(keys).flags.selection.all;
        assert_eq!(all(r#""flags":["all"]"#), Some(All::All));
        assert_eq!(all(r#""all":"all""#), Some(All::All));
        assert_eq!(
            all(r#""all":"except-offer-answer""#),
            Some(All::ExceptOfferAnswer)
        );
        assert_eq!(unknown(r#""all":"some""#), ["all=some"]);
    }

    #[test]
    fn labels_and_addresses_select() {
        let selection =
            offer(r#""label":"wa","set label":5,"address":"192.0.2.7","metadata":"a|b""#)
                .flags
                .selection;
        assert_eq!(selection.label.as_deref(), Some("wa"));
        assert_eq!(selection.set_label.as_deref(), Some("5"));
        assert_eq!(selection.address, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(selection.metadata.as_deref(), Some("a|b"));
        let selection = offer(r#""address":"nowhere""#).flags.selection;
        assert!(selection.address.is_none() && selection.address_unreadable);
    }
}
