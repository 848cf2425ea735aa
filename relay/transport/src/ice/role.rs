//! Who nominates (RFC 8445 section 6.1.1), and what happens when both think that they do (section 7.3.1.1).

use crate::stun::RoleAttribute;

/// The controlling agent chooses the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum IceRole {
    /// We nominate.
    Controlling,
    /// The peer nominates.
    Controlled,
}

/// What a check of the peer says about the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoleVerdict {
    /// The roles differ, as they should.
    Fine,
    /// We give way.
    Switch,
    /// The peer must give way: answer 487.
    Conflict,
}

impl IceRole {
    /// The role at the beginning. A full agent controls a lite one, whoever offered; otherwise the offerer controls.
    pub(super) fn of(we_are_lite: bool, peer_is_lite: bool, we_offered: bool) -> Self {
        let controlling = match (we_are_lite, peer_is_lite) {
            (false, true) => true,
            (true, false) => false,
            _ => we_offered,
        };
        if controlling {
            Self::Controlling
        } else {
            Self::Controlled
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }

    /// The attribute that a check of ours carries.
    pub(super) fn attribute(self, tie_breaker: u64) -> RoleAttribute {
        match self {
            Self::Controlling => RoleAttribute::Controlling(tie_breaker),
            Self::Controlled => RoleAttribute::Controlled(tie_breaker),
        }
    }

    /// RFC 8445 section 7.3.1.1: the larger tie-breaker keeps, or takes, the controlling role.
    pub(super) fn verdict(self, ours: u64, theirs: Option<RoleAttribute>) -> RoleVerdict {
        match (self, theirs) {
            (Self::Controlling, Some(RoleAttribute::Controlling(theirs))) => {
                if ours >= theirs {
                    RoleVerdict::Conflict
                } else {
                    RoleVerdict::Switch
                }
            }
            (Self::Controlled, Some(RoleAttribute::Controlled(theirs))) => {
                if ours >= theirs {
                    RoleVerdict::Switch
                } else {
                    RoleVerdict::Conflict
                }
            }
            _ => RoleVerdict::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_agent_controls_a_lite_peer_whoever_offered() {
        assert_eq!(IceRole::of(false, true, false), IceRole::Controlling);
        assert_eq!(IceRole::of(true, false, true), IceRole::Controlled);
        assert_eq!(IceRole::of(false, false, true), IceRole::Controlling);
        assert_eq!(IceRole::of(false, false, false), IceRole::Controlled);
    }

    #[test]
    fn exactly_one_of_two_agents_in_conflict_gives_way() {
        for role in [IceRole::Controlling, IceRole::Controlled] {
            let here = role.verdict(7, Some(role.attribute(9)));
            let there = role.verdict(9, Some(role.attribute(7)));
            assert_ne!(here, there, "{role:?}");
            assert_ne!(here, RoleVerdict::Fine);
            assert_ne!(there, RoleVerdict::Fine);
        }
    }
}
