//! Candidates that come after the description they belong to (trickle ICE, RFC 8838, RFC 8840), or before it.
//!
//! A fragment names an ICE session by its ufrag and a media section by its mid. One that fits nothing yet may have overtaken its
//! description on the way through the proxy; it waits a few seconds for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ng_protocol::Tag;
use relay_transport::ice::MAX_REMOTE_CANDIDATES;

use crate::leg::{Legs, SectionId};
use crate::sdp::FragmentSection;

/// How long a fragment waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many sections of fragments wait at most; the oldest give way.
const MOST: usize = 64;

/// What a party said about one section.
#[derive(Clone, Debug)]
struct Waiting {
    tag: Tag,
    until: Instant,
    section: FragmentSection,
}

/// The fragments that have not found their place.
#[derive(Debug, Default)]
pub(crate) struct Trickle {
    waiting: Vec<Waiting>,
}

impl Trickle {
    /// Takes in a fragment of the party with this tag.
    pub(crate) fn receive(&mut self, now: Instant, tag: &Tag, sections: Vec<FragmentSection>) {
        self.waiting
            .extend(sections.into_iter().map(|section| Waiting {
                tag: tag.clone(),
                until: now + PATIENCE,
                section,
            }));
        let surplus = self.waiting.len().saturating_sub(MOST);
        self.waiting.drain(..surplus);
    }

    /// Adds what fits to what the parties have said, and names the sections that have changed.
    pub(crate) fn deliver(&mut self, legs: &mut Legs) -> Vec<SectionId> {
        let mut changed = Vec::new();
        self.waiting.retain(|waiting| {
            let found = place(legs, waiting);
            changed.extend(found);
            found.is_none()
        });
        changed
    }

    /// When the first fragment has waited long enough.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// Gives up on fragments that have waited long enough; each is told in a sentence.
    pub(crate) fn give_up(&mut self, now: Instant) -> Vec<String> {
        let due = |waiting: &mut Waiting| waiting.until <= now;
        self.waiting
            .extract_if(.., due)
            .map(|waiting| {
                let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
                format!(
                    "trickled candidates of {} fit no media section: ufrag {}, mid {}",
                    waiting.tag,
                    name(&waiting.section.ufrag),
                    name(&waiting.section.mid)
                )
            })
            .collect()
    }
}

/// Adds candidates to the section that they are meant for, if it is there and in that ICE session.
fn place(legs: &mut Legs, waiting: &Waiting) -> Option<SectionId> {
    let said = &waiting.section;
    let leg = legs.by_tag(&waiting.tag)?;
    let sections = &mut legs.get_mut(leg)?.sections;
    let index = match &said.mid {
        Some(mid) => sections.iter().position(|section| {
            let remote = section.remote.as_ref();
            remote.is_some_and(|remote| remote.mid.as_ref() == Some(mid))
        })?,
        None => said.index,
    };
    let remote = sections.get_mut(index)?.remote.as_mut()?;
    let ice = Arc::make_mut(remote).ice.as_mut()?;
    if said.ufrag.as_ref().is_some_and(|ufrag| *ufrag != ice.ufrag) {
        return None;
    }
    for candidate in &said.candidates {
        if ice.candidates.len() < MAX_REMOTE_CANDIDATES && !ice.candidates.contains(candidate) {
            ice.candidates.push(candidate.clone());
        }
    }
    Some(SectionId { leg, index })
}
