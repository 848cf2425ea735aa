//! The lite half of ICE (RFC 8445 §2.5): answer checks, never send one.
//!
//! Meta lists one address per family, is always controlled, and takes checks from addresses it was never told of
//! (peer reflexive, RFC 8445 §7.3.1.3) as long as the integrity is right.

use std::net::SocketAddr;

use crate::media::stun::{Message, MessageType, Writer};

/// What a check led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Not for us: a response, another method, or damaged.
    Ignored,
    /// Wrong user name, wrong integrity or none. Not answered.
    Refused(&'static str),
    /// A controlled agent; the answer is error 487.
    RoleConflict { reply: Vec<u8> },
    /// A good check.
    Answered {
        reply: Vec<u8>,
        is_first: bool,
        selected_now: Option<SocketAddr>,
        shortcomings: Vec<&'static str>,
    },
}

/// Addresses that passed a check beyond this number are answered but not remembered.
const REMEMBERED: usize = 16;

/// Our credentials, the peer's, and what has passed.
#[derive(Debug)]
pub(crate) struct IceLite {
    ufrag: String,
    password: String,
    remote_ufrag: Option<String>,
    passed: Vec<SocketAddr>,
    selected: Option<SocketAddr>,
}

impl IceLite {
    pub(crate) fn new(ufrag: String, password: String) -> Self {
        Self {
            ufrag,
            password,
            remote_ufrag: None,
            passed: Vec::new(),
            selected: None,
        }
    }

    pub(crate) fn set_remote(&mut self, ufrag: &str) {
        self.remote_ufrag = Some(ufrag.to_owned());
    }

    /// Where media goes: the address nominated last (RFC 8445 §7.3.2).
    pub(crate) fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    pub(crate) fn has_passed(&self, source: SocketAddr) -> bool {
        self.passed.contains(&source)
    }

    /// Looks at a STUN datagram.
    pub(crate) fn handle(&mut self, source: SocketAddr, bytes: &[u8]) -> Checked {
        let Some(check) = Message::parse(bytes) else {
            return Checked::Ignored;
        };
        if check.message_type != MessageType::Request {
            return Checked::Ignored;
        }
        // RFC 8445 §7.2.2: the user name is ours first, theirs second.
        let expected = self
            .remote_ufrag
            .as_ref()
            .map(|remote| format!("{}:{remote}", self.ufrag));
        if expected.is_none() || check.username() != expected.as_deref() {
            return Checked::Refused("wrong user name");
        }
        if !check.is_authentic(&self.password) {
            return Checked::Refused("wrong or missing integrity");
        }
        if check.is_controlled() {
            let reply = Writer::new(MessageType::Error, check.transaction)
                .error(487, "Role Conflict")
                .seal(&self.password);
            return Checked::RoleConflict { reply };
        }

        let is_first = self.passed.is_empty();
        if !self.has_passed(source) && self.passed.len() < REMEMBERED {
            self.passed.push(source);
        }
        let is_new_selection = check.is_nominating() && self.selected != Some(source);
        if is_new_selection {
            self.selected = Some(source);
        }
        let reply = Writer::new(MessageType::Success, check.transaction)
            .xor_mapped_address(source)
            .seal(&self.password);
        Checked::Answered {
            reply,
            is_first,
            selected_now: is_new_selection.then_some(source),
            shortcomings: shortcomings(&check),
        }
    }
}

/// What RFC 8445 §7.1 demands of a check beyond its credentials.
fn shortcomings(check: &Message<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    if !check.has_fingerprint() {
        found.push("a check has no FINGERPRINT");
    }
    if !check.is_controlling() {
        found.push("a check says neither ICE-CONTROLLING nor ICE-CONTROLLED");
    }
    if !check.has_priority() {
        found.push("a check has no PRIORITY");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "AAECAwQFBgcICQoLDA0ODw==";

    fn agent() -> IceLite {
        let mut ice = IceLite::new("Qw3rTy6uIoP9aSdF".to_owned(), PASSWORD.to_owned());
        ice.set_remote("k2Zq");
        ice
    }

    fn source() -> SocketAddr {
        "198.51.100.7:30000".parse().expect("an address")
    }

    fn check() -> Writer {
        Writer::new(MessageType::Request, [9; 12])
            .username("Qw3rTy6uIoP9aSdF:k2Zq")
            .priority(1)
    }

    #[test]
    fn a_right_check_is_answered_and_a_nominating_one_selects() {
        let mut ice = agent();
        let Checked::Answered {
            is_first,
            selected_now,
            shortcomings,
            ..
        } = ice.handle(source(), &check().controlling(1).seal(PASSWORD))
        else {
            panic!("not answered");
        };
        assert!(is_first && selected_now.is_none() && shortcomings.is_empty());
        assert!(ice.has_passed(source()));
        let nominating = check().controlling(1).nominating().seal(PASSWORD);
        ice.handle(source(), &nominating);
        assert_eq!(ice.selected(), Some(source()));
    }

    #[test]
    fn a_controlled_peer_is_told_of_the_conflict() {
        let Checked::RoleConflict { reply } =
            agent().handle(source(), &check().controlled(1).seal(PASSWORD))
        else {
            panic!("no conflict");
        };
        let reply = Message::parse(&reply).expect("a whole message");
        assert_eq!(reply.error_code(), Some(487));
        assert!(reply.is_authentic(PASSWORD));
    }

    #[test]
    fn wrong_credentials_get_no_answer() {
        let mut ice = agent();
        let stranger =
            Writer::new(MessageType::Request, [9; 12]).username("Qw3rTy6uIoP9aSdF:other");
        assert!(matches!(
            ice.handle(source(), &stranger.controlling(1).seal(PASSWORD)),
            Checked::Refused("wrong user name")
        ));
        assert!(matches!(
            ice.handle(source(), &check().controlling(1).seal("another")),
            Checked::Refused("wrong or missing integrity")
        ));
        assert!(!ice.has_passed(source()));
    }

    #[test]
    fn before_the_description_came_no_check_is_right() {
        let mut ice = IceLite::new("Qw3rTy6uIoP9aSdF".to_owned(), PASSWORD.to_owned());
        assert!(matches!(
            ice.handle(source(), &check().controlling(1).seal(PASSWORD)),
            Checked::Refused(_)
        ));
    }
}
