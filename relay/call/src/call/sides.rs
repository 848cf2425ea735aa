//! Which side of a call is WhatsApp, as far as descriptions tell: no request says it.
//!
//! Meta speaks SRTP, and ICE unless the number has SDES keys; a PBX usually speaks plain RTP. So the side with more of that is
//! WhatsApp, and whoever made the call says which way it went. Between two sides of a kind there is no telling.

use super::Call;
use crate::leg::{Leg, LegId};

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CallDirection {
    /// A WhatsApp user calls the business.
    UserInitiated,
    /// The business calls a WhatsApp user.
    BusinessInitiated,
    /// Both sides are of a kind, or there is only one.
    Other,
}

impl CallDirection {
    /// Every direction.
    pub const ALL: [Self; 3] = [Self::UserInitiated, Self::BusinessInitiated, Self::Other];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::UserInitiated => "user_initiated",
            Self::BusinessInitiated => "business_initiated",
            Self::Other => "other",
        }
    }
}

impl Call {
    /// Which way it goes, as of the descriptions so far.
    pub fn direction(&self) -> CallDirection {
        match self.sides() {
            (Some(caller), Some(callee)) if signs(caller) > signs(callee) => {
                CallDirection::UserInitiated
            }
            (Some(caller), Some(callee)) if signs(caller) < signs(callee) => {
                CallDirection::BusinessInitiated
            }
            _ => CallDirection::Other,
        }
    }

    /// The interface towards WhatsApp; towards the caller where no side is WhatsApp. Empty while there is nobody.
    pub fn trunk(&self) -> &str {
        let (caller, callee) = self.sides();
        let leg = match self.direction() {
            CallDirection::BusinessInitiated => callee,
            CallDirection::UserInitiated | CallDirection::Other => caller,
        };
        leg.map_or("", |leg| leg.interface.as_str())
    }

    /// The interface towards the party that events name so.
    pub fn interface_of(&self, name: &str) -> Option<&str> {
        let leg = self.legs.iter().find(|leg| leg.name() == name)?;
        Some(&leg.interface)
    }

    /// RTP and RTCP that have left for WhatsApp; `None` before the answer, and where no side is WhatsApp.
    pub fn sent_to_whatsapp(&self) -> Option<u64> {
        let (caller, callee) = self.sides();
        let leg = match self.direction() {
            CallDirection::UserInitiated => caller,
            CallDirection::BusinessInitiated => callee,
            CallDirection::Other => None,
        }?;
        let sections = self.live.sections.iter();
        let answered = sections.filter(|live| live.id.leg == leg.id && live.answered_at.is_some());
        answered
            .map(|live| live.rtp_out.packets + live.rtcp_out.packets)
            .reduce(|sum, packets| sum + packets)
    }

    /// What its parties are called, by SIP and by the operator: tags, labels, metadata.
    pub fn names(&self) -> Vec<String> {
        let named = self.legs.iter().flat_map(|leg| {
            let tag = leg.tag.as_ref().map(ToString::to_string);
            [tag, leg.label.clone(), leg.metadata.clone()]
        });
        let mut names: Vec<String> = named.flatten().collect();
        names.dedup();
        names
    }

    /// The first party, and whom it talks to.
    fn sides(&self) -> (Option<&Leg>, Option<&Leg>) {
        let caller = self.legs.get(LegId::CALLER);
        let caller = caller.or_else(|| self.legs.iter().next());
        let partner = caller.and_then(|leg| self.legs.subscriptions.current(leg.id));
        (caller, partner.and_then(|id| self.legs.get(id)))
    }
}

/// What makes a party look like WhatsApp, the stronger sign first: its media is SRTP, and it speaks ICE.
fn signs(leg: &Leg) -> (bool, bool) {
    let mut signs = (false, false);
    for section in leg.sections.iter().filter(|section| section.is_live()) {
        let remote = section.remote.as_ref();
        let has_ice = section.ice.offered || remote.is_some_and(|remote| remote.ice.is_some());
        signs.0 |= section.is_secure();
        signs.1 |= has_ice;
    }
    signs
}
