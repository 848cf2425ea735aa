//! An agent written down, and an agent that goes on with it in another process.
//!
//! The pair that carries media is kept and needs no check to be used: the peer does not know that we were away, and a lite peer
//! would never check by itself. Consent (RFC 7675) begins anew, so that the peer has its full time to answer again. Other pairs
//! are found again by checks, as far as they are needed.

use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::agent::{IceAgent, IceConfig, Path, RemoteIce};
use super::candidate::{Candidate, Component};
use super::check_list::LocalIndex;
use super::consent::Consent;
use super::credentials::IceCredentials;
use super::role::IceRole;
use crate::LocalSocket;

/// What somebody else needs to go on with an ICE session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceSnapshot {
    local: IceCredentials,
    lite: bool,
    /// Still answered to: the peer may not have heard of the present ones yet.
    retired: Option<IceCredentials>,
    remote: Option<RemoteIce>,
    role: IceRole,
    tie_breaker: u64,
    started: bool,
    /// Our address and the peer's, where media goes.
    path: Option<(SocketAddr, SocketAddr)>,
}

impl IceAgent {
    /// The agent as plain data.
    pub fn snapshot(&self) -> IceSnapshot {
        let address_of = |path: Path| {
            let local = self.locals.iter().find(|local| local.id == path.socket)?;
            Some((local.address, path.remote))
        };
        IceSnapshot {
            local: self.local.credentials.clone(),
            lite: self.local.lite,
            retired: self.retired.as_ref().map(|local| local.credentials.clone()),
            remote: self.remote.as_ref().map(|remote| RemoteIce {
                credentials: remote.credentials.clone(),
                candidates: self.check_list.remotes().to_vec(),
                lite: remote.lite,
                we_offered: self.role == IceRole::Controlling,
            }),
            role: self.role,
            tie_breaker: self.tie_breaker,
            started: self.schedule.is_started(),
            path: self.path.and_then(address_of),
        }
    }

    /// An agent that goes on with what was written down, on sockets that are bound where those before were.
    pub fn resume(
        now: Instant,
        snapshot: &IceSnapshot,
        locals: Vec<LocalSocket>,
        component: Component,
        config: IceConfig,
        seed: u64,
    ) -> Self {
        let lite = snapshot.lite;
        let first = snapshot.retired.as_ref().unwrap_or(&snapshot.local);
        let mut agent = Self::new(locals, component, first.clone(), lite, config, seed);
        agent.set_local(snapshot.local.clone(), lite);
        agent.tie_breaker = snapshot.tie_breaker;
        if snapshot.started {
            agent.schedule.start(now);
        }
        let Some(remote) = &snapshot.remote else {
            return agent;
        };
        agent.set_remote(now, remote.clone());
        if agent.role != snapshot.role {
            agent.role = snapshot.role;
            agent
                .check_list
                .recompute_priorities(snapshot.role, |local| {
                    super::agent::host_priority(local, component)
                });
        }
        if let Some((local, remote)) = snapshot.path {
            agent.resume_path(now, local, remote);
        }
        // Nobody is to be told again of what was told before.
        while agent.poll_event().is_some() {}
        agent
    }

    fn resume_path(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr) {
        let position = self
            .locals
            .iter()
            .position(|socket| socket.address == local);
        let Some(at) = position else {
            return;
        };
        let index = LocalIndex(at);
        if self.check_list.find(index, remote).is_none() {
            let priority = super::agent::host_priority(index, self.component);
            self.pair_up(Candidate::peer_reflexive(self.component, priority, remote));
        }
        let Some(pair) = self.check_list.find(index, remote) else {
            return;
        };
        let known = self.check_list.pair_mut(pair);
        known.is_valid = true;
        known.is_nominated = true;
        known.nominated_at = Some(now);
        self.selected = Some(pair);
        self.stalled_at = None;
        self.path = Some(Path {
            socket: self.locals[at].id,
            remote,
        });
        if !self.local.lite {
            let spread = self.draw_spread();
            self.consent = Some(Consent::granted(now, self.config.consent_expiry, spread));
        }
    }
}
