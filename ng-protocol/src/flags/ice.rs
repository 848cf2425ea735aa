//! ICE options (RFC 8445): whether the receiver is offered ICE, who is lite, trickling.

use crate::spelling::{Report, Spelled, canonical, keyword, names};
use crate::value::Value;

/// The ICE options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceFlags {
    /// The `ICE` key; absent means [`Ice::Default`].
    pub mode: Option<Ice>,
    /// On which sides we act as a lite agent (`ICE-lite`, offers only).
    pub lite: Option<IceLite>,
    /// Offer trickle ICE (RFC 8838).
    pub trickle: bool,
    /// Say that we follow RFC 8445 and not its predecessor (`a=ice-options:ice2`).
    pub ice2: bool,
    /// Treat the sender's ICE as not offered.
    pub reject: bool,
    /// The SDP is a trickle-ICE fragment (RFC 8840), not a session description.
    pub fragment: bool,
}

/// The values of `ICE`: what happens towards the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ice {
    /// ICE with our candidates if the sender offered ICE, otherwise none.
    #[default]
    Default,
    /// No ICE, whatever the sender offered.
    Remove,
    /// ICE with our candidates, whatever the sender offered.
    Force,
    /// The sender's candidates and ours, ours at lower priority.
    Optional,
    /// Only the sender's candidates and ours as relayed ones.
    ForceRelay,
}

/// The values of `ICE-lite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceLite {
    /// Lite towards the receiver.
    Forward,
    /// Lite towards the sender.
    Backward,
    /// Lite towards both.
    Both,
    /// A full agent on both sides.
    Off,
}

impl IceLite {
    /// Whether we act lite towards the receiver of the SDP.
    pub fn towards_receiver(self) -> bool {
        matches!(self, Self::Forward | Self::Both)
    }

    /// Whether we act lite towards the sender of the SDP.
    pub fn towards_sender(self) -> bool {
        matches!(self, Self::Backward | Self::Both)
    }
}

impl IceFlags {
    pub(crate) fn apply_key(&mut self, key: &str, value: &Value<'_>, report: &mut Report) -> bool {
        match key {
            "ice" => {
                for element in names(key, value, report) {
                    self.element(&element, report);
                }
            }
            "ice-lite" => match keyword(value).as_deref().and_then(IceLite::parse) {
                Some(lite) => self.lite = Some(lite),
                None => report.unknown(key, value),
            },
            _ => return false,
        }
        true
    }

    pub(crate) fn apply_word(&mut self, word: &Spelled<'_>, report: &mut Report) -> bool {
        match word.canonical.as_ref() {
            "trickle-ice" => self.trickle = true,
            "reject-ice" => self.reject = true,
            "fragment" => self.fragment = true,
            _ => match word.after("ice-") {
                Some(element) => self.element(element, report),
                None => return false,
            },
        }
        true
    }

    fn element(&mut self, element: &str, report: &mut Report) {
        match canonical(element.trim()).as_ref() {
            "default" => self.mode = Some(Ice::Default),
            "remove" => self.mode = Some(Ice::Remove),
            "force" => self.mode = Some(Ice::Force),
            "optional" => self.mode = Some(Ice::Optional),
            "force-relay" => self.mode = Some(Ice::ForceRelay),
            "trickle" => self.trickle = true,
            "reject" => self.reject = true,
            "lite" => self.lite = Some(IceLite::Forward),
            "ice2" => self.ice2 = true,
            other => match other.strip_prefix("lite-").and_then(IceLite::parse) {
                Some(lite) => self.lite = Some(lite),
                None => report.unknown("ICE", element),
            },
        }
    }
}

impl IceLite {
    /// Takes a canonical spelling.
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "forward" | "forwards" | "fwd" | "fw" | "offer" => Self::Forward,
            "backward" | "backwards" | "reverse" | "rev" | "bw" | "answer" => Self::Backward,
            "both" => Self::Both,
            "off" | "no" | "none" | "disable" | "disabled" => Self::Off,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{offer, unknown};

    #[test]
    fn the_mode_is_a_string_a_list_or_a_word() {
        for keys in [
            r#""ICE":"force-relay""#,
            r#""ice":"force_relay""#,
            r#""ICE":["force-relay"]"#,
            r#""flags":["ICE-force-relay"]"#,
            r#""ICE":"remove","ICE":"force-relay""#,
        ] {
            assert_eq!(offer(keys).flags.ice.mode, Some(Ice::ForceRelay), "{keys}");
        }
        assert_eq!(offer("").flags.ice.mode, None);
    }

    #[test]
    fn an_unknown_mode_leaves_the_mode_alone() {
        let request = offer(r#""ICE":"force","ICE":"bogus""#);
        assert_eq!(request.flags.ice.mode, Some(Ice::Force));
        assert_eq!(unknown(r#""ICE":"bogus""#), ["ice=bogus"]);
    }

    #[test]
    fn lite_can_be_asked_for_on_either_side() {
        let lite = |keys| offer(keys).flags.ice.lite;
        assert_eq!(lite(r#""ICE-lite":"forward""#), Some(IceLite::Forward));
        assert_eq!(
            lite(r#""flags":["ICE-lite-backward"]"#),
            Some(IceLite::Backward)
        );
        assert_eq!(lite(r#""ICE":["force","lite-both"]"#), Some(IceLite::Both));
        assert_eq!(lite(r#""ice lite":"off""#), Some(IceLite::Off));
        assert!(IceLite::Both.towards_sender() && IceLite::Both.towards_receiver());
        assert!(!IceLite::Forward.towards_sender());
    }

    #[test]
    fn rejecting_trickling_and_fragments_are_words() {
        let expected = IceFlags {
            reject: true,
            trickle: true,
            fragment: true,
            ..IceFlags::default()
        };
        for flags in [
            r#"["reject-ICE","trickle-ICE","fragment"]"#,
            r#"["ICE-reject","ICE-trickle","fragment"]"#,
        ] {
            let keys = format!(r#""flags":{flags}"#);
            assert_eq!(offer(&keys).flags.ice, expected);
        }
    }
}
