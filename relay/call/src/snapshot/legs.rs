//! The parties of a call, written down: all that signalling has settled, with times of day in place of our own.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ng_protocol::flags::AddressFamily;
use ng_protocol::request::HoldMusic;
use ng_protocol::{Tag, ViaBranch};
use serde::{Deserialize, Serialize};

use super::moment;
use crate::config::WallClock;
use crate::leg::{Echo, Leg, LegId, Legs, Printed};
use crate::ports::{LeaseError, PortLease};
use crate::restriction::{Restrictions, RestrictionsSnapshot};
use crate::section::MediaSection;
use crate::subscription::Subscriptions;

/// Everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LegsSnapshot {
    legs: Vec<LegSnapshot>,
    count_ever: u32,
    subscriptions: Subscriptions,
    restrictions: RestrictionsSnapshot,
}

/// One party; see [`Leg`] for what everything means. The one thing that is missing is a choice of DTLS engine (`dtls-engine`),
/// which matters for the next handshake only.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LegSnapshot {
    id: LegId,
    tag: Option<Tag>,
    aliases: Vec<Tag>,
    via_branch: Option<ViaBranch>,
    label: Option<String>,
    metadata: Option<String>,
    created: Duration,
    interface: String,
    family: Option<AddressFamily>,
    media_address: Option<IpAddr>,
    sections: Vec<MediaSection>,
    bundle_accepted: bool,
    bundle_offered: bool,
    has_spoken: bool,
    generates_rtcp: bool,
    holds: bool,
    hold_music: Option<HoldMusic>,
    plays_hold_music: bool,
    echo: Option<Echo>,
    printed: Printed,
    delete_at: Option<Duration>,
}

impl LegsSnapshot {
    pub(crate) fn of(legs: &Legs, clock: &WallClock) -> Self {
        Self {
            legs: legs.iter().map(|leg| LegSnapshot::of(leg, clock)).collect(),
            count_ever: legs.count_ever(),
            subscriptions: legs.subscriptions.clone(),
            restrictions: legs.restrictions.snapshot(),
        }
    }

    /// Our addresses that they have ports of.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let sections = self.legs.iter().flat_map(|leg| &leg.sections);
        sections.flat_map(|section| section.ports.all().map(|socket| socket.address))
    }

    /// The parties again, on the same ports, which are opened.
    pub(crate) fn resume(
        &self,
        now: Instant,
        clock: &WallClock,
        lease: &mut PortLease<'_>,
    ) -> Result<Legs, LeaseError> {
        let legs = self.legs.iter();
        let legs = legs.map(|leg| leg.clone().resume(now, clock, lease));
        Ok(Legs::resumed(
            legs.collect::<Result<_, _>>()?,
            self.count_ever,
            self.subscriptions.clone(),
            Restrictions::resume(now, self.restrictions.clone()),
        ))
    }
}

impl LegSnapshot {
    fn of(leg: &Leg, clock: &WallClock) -> Self {
        let Leg {
            id,
            tag,
            aliases,
            via_branch,
            label,
            metadata,
            created,
            interface,
            family,
            media_address,
            sections,
            bundle_accepted,
            bundle_offered,
            has_spoken,
            transport: _,
            generates_rtcp,
            holds,
            hold_music,
            plays_hold_music,
            echo,
            printed,
            delete_at,
        } = leg.clone();
        Self {
            id,
            tag,
            aliases,
            via_branch,
            label,
            metadata,
            created: clock.unix_at(created),
            interface,
            family,
            media_address,
            sections,
            bundle_accepted,
            bundle_offered,
            has_spoken,
            generates_rtcp,
            holds,
            hold_music,
            plays_hold_music,
            echo,
            printed,
            delete_at: delete_at.map(|at| clock.unix_at(at)),
        }
    }

    fn resume(
        self,
        now: Instant,
        clock: &WallClock,
        lease: &mut PortLease<'_>,
    ) -> Result<Leg, LeaseError> {
        let mut sections = self.sections;
        for section in &mut sections {
            let ports = &mut section.ports;
            for socket in ports.rtp.iter_mut().chain(&mut ports.rtcp) {
                socket.id = lease.reopen(&self.interface, socket.address)?.socket;
            }
        }
        Ok(Leg {
            id: self.id,
            tag: self.tag,
            aliases: self.aliases,
            via_branch: self.via_branch,
            label: self.label,
            metadata: self.metadata,
            created: moment(clock, self.created, now),
            interface: self.interface,
            family: self.family,
            media_address: self.media_address,
            sections,
            bundle_accepted: self.bundle_accepted,
            bundle_offered: self.bundle_offered,
            has_spoken: self.has_spoken,
            transport: None,
            generates_rtcp: self.generates_rtcp,
            holds: self.holds,
            hold_music: self.hold_music,
            plays_hold_music: self.plays_hold_music,
            echo: self.echo,
            printed: self.printed,
            // A time to come.
            delete_at: self.delete_at.map(|at| clock.instant_at(at).unwrap_or(now)),
        })
    }
}
