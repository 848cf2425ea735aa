//! One party of a call, known by its tag (rtpengine calls it a monologue), and the list of all parties.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ng_protocol::flags::AddressFamily;
use ng_protocol::request::HoldMusic;
use ng_protocol::{Tag, ViaBranch};
use relay_transport::TransportConfig;

use crate::restriction::Restrictions;
use crate::sdp::Origin;
use crate::section::MediaSection;
use crate::subscription::Subscriptions;

/// Names a leg inside its call, for the life of the call.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct LegId(pub u32);

impl LegId {
    /// The first party: whoever made the call.
    pub const CALLER: Self = Self(1);
}

/// Names a media section inside its call.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct SectionId {
    /// Whose.
    pub leg: LegId,
    /// Which, from 0.
    pub index: usize,
}

/// One party.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Its name inside the call.
    pub id: LegId,
    /// Its SIP tag; absent until an answer names it.
    pub tag: Option<Tag>,
    /// Earlier tags of the same party: replies of several forks that were all told the same port.
    pub aliases: Vec<Tag>,
    /// The branch of the offer that made it.
    pub via_branch: Option<ViaBranch>,
    /// The operator's name for it.
    pub label: Option<String>,
    /// The operator's text about it.
    pub metadata: Option<String>,
    /// When it appeared.
    pub created: Instant,
    /// The interface towards it, by name.
    pub interface: String,
    /// The address family wanted towards it.
    pub family: Option<AddressFamily>,
    /// The address to write instead of the interface's.
    pub media_address: Option<IpAddr>,
    /// Its media.
    pub sections: Vec<MediaSection>,
    /// Its bundle is to be answered with a bundle (`bundle=accept`).
    pub bundle_accepted: bool,
    /// What it was last offered is a bundle (`bundle=offer`).
    pub bundle_offered: bool,
    /// Whether it has sent a description.
    pub has_spoken: bool,
    /// What its transports are made with, if it is not what its interface says (`dtls-engine`).
    pub transport: Option<Arc<TransportConfig>>,
    /// It gets reports of ours instead of its partner's (`generate-RTCP`).
    pub generates_rtcp: bool,
    /// It holds its partner, as of the last answer.
    pub holds: bool,
    /// What its partner hears while it holds it (`moh`).
    pub hold_music: Option<HoldMusic>,
    /// Its partner is to hear that now.
    pub plays_hold_music: bool,
    /// It hears itself, or nobody (`media-echo`).
    pub echo: Option<Echo>,
    /// What it was last sent.
    pub printed: Printed,
    /// When a scheduled `delete` takes effect.
    pub delete_at: Option<Instant>,
}

/// What becomes of a party's media in an echo test, in place of a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Echo {
    /// It comes back.
    Back,
    /// It goes nowhere.
    Nowhere,
}

/// What a party has been sent, for the options that keep parts of it constant.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Printed {
    /// `o=` of the first description.
    #[serde(with = "crate::snapshot::shared::optional")]
    pub first_origin: Option<Arc<Origin>>,
    /// `o=` of the last one.
    #[serde(with = "crate::snapshot::shared::optional")]
    pub last_origin: Option<Arc<Origin>>,
    /// `s=` of the first description.
    #[serde(with = "crate::snapshot::shared::optional")]
    pub first_name: Option<Arc<str>>,
    /// By this the last description is known again, but for its `o=` line.
    pub last_body: Option<u64>,
}

impl Leg {
    /// A party without media.
    pub fn new(id: LegId, tag: Option<Tag>, interface: String, created: Instant) -> Self {
        Self {
            id,
            tag,
            aliases: Vec::new(),
            via_branch: None,
            label: None,
            metadata: None,
            created,
            interface,
            family: None,
            media_address: None,
            sections: Vec::new(),
            bundle_accepted: false,
            bundle_offered: false,
            has_spoken: false,
            transport: None,
            generates_rtcp: false,
            holds: false,
            hold_music: None,
            plays_hold_music: false,
            echo: None,
            printed: Printed::default(),
            delete_at: None,
        }
    }

    /// Whether this is the party of that tag.
    pub fn has_tag(&self, tag: &Tag) -> bool {
        self.tag.as_ref() == Some(tag) || self.aliases.contains(tag)
    }

    /// Whether it holds its partner: it takes no audio.
    pub fn is_holding(&self) -> bool {
        let mut audio = self
            .sections
            .iter()
            .filter(|section| section.is_live() && section.kind.eq_ignore_ascii_case("audio"));
        audio.any(|section| section.remote.as_ref().is_some_and(|remote| remote.holds()))
    }

    /// What to call it in logs.
    pub fn name(&self) -> String {
        match (&self.label, &self.tag) {
            (Some(label), _) => label.clone(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => format!("<untagged {}>", self.id.0),
        }
    }
}

/// All parties of a call, and who hears whom.
#[derive(Clone, Debug, Default)]
pub struct Legs {
    legs: Vec<Leg>,
    next: u32,
    /// Who hears whom.
    pub subscriptions: Subscriptions,
    /// What the controller keeps from passing.
    pub restrictions: Restrictions,
}

impl Legs {
    /// Parties as they were before, the next to come getting this number.
    pub(crate) fn resumed(
        legs: Vec<Leg>,
        next: u32,
        subscriptions: Subscriptions,
        restrictions: Restrictions,
    ) -> Self {
        Self {
            legs,
            next,
            subscriptions,
            restrictions,
        }
    }

    /// How many parties there ever were.
    pub(crate) fn count_ever(&self) -> u32 {
        self.next
    }

    /// Every party, in the order of appearance.
    pub fn iter(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter()
    }

    /// Every party, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Leg> {
        self.legs.iter_mut()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// The party of that name.
    pub fn get(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    /// The party of that name, to be changed.
    pub fn get_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    /// A media section.
    pub fn section(&self, id: SectionId) -> Option<&MediaSection> {
        self.get(id.leg)?.sections.get(id.index)
    }

    /// A media section, to be changed.
    pub fn section_mut(&mut self, id: SectionId) -> Option<&mut MediaSection> {
        self.get_mut(id.leg)?.sections.get_mut(id.index)
    }

    /// The party of that tag.
    pub fn by_tag(&self, tag: &Tag) -> Option<LegId> {
        let exact = self.legs.iter().find(|leg| leg.tag.as_ref() == Some(tag));
        exact
            .or_else(|| self.legs.iter().find(|leg| leg.has_tag(tag)))
            .map(|leg| leg.id)
    }

    /// The party that an offer with this branch made.
    pub fn by_branch(&self, branch: &ViaBranch) -> Option<LegId> {
        self.legs
            .iter()
            .find(|leg| leg.via_branch.as_ref() == Some(branch))
            .map(|leg| leg.id)
    }

    /// A new party.
    pub fn add(&mut self, tag: Option<Tag>, interface: String, now: Instant) -> LegId {
        self.next += 1;
        let id = LegId(self.next);
        self.legs.push(Leg::new(id, tag, interface, now));
        id
    }

    /// Takes a party out, and with it every party that has nobody left to talk to.
    pub fn remove(&mut self, id: LegId) -> Vec<Leg> {
        let mut gone = vec![id];
        let mut next = 0;
        while let Some(&leg) = gone.get(next) {
            next += 1;
            let mut others = self.subscriptions.partners(leg);
            others.extend(self.subscriptions.subscribers(leg));
            self.subscriptions.remove(leg);
            others.retain(|&other| self.subscriptions.is_alone(other) && !gone.contains(&other));
            gone.extend(others);
        }
        let (removed, kept) = std::mem::take(&mut self.legs)
            .into_iter()
            .partition(|leg| gone.contains(&leg.id));
        self.legs = kept;
        for leg in &removed {
            self.restrictions.remove(leg.id);
        }
        removed
    }

    /// Who was there, and is gone now: everybody.
    pub fn clear(&mut self) -> Vec<Leg> {
        self.subscriptions = Subscriptions::default();
        self.restrictions = Restrictions::default();
        std::mem::take(&mut self.legs)
    }
}
