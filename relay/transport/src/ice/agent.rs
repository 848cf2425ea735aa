//! The agent: what signalling tells it, and what it can be asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::ChaCha12Rng;
use rand::{Rng, RngExt, SeedableRng};
use relay_packet::SocketId;

use super::candidate::{Candidate, CandidateKind, Component, is_routable, priority};
use super::check_list::{CheckList, LocalIndex, PairIndex};
use super::consent::Consent;
use super::credentials::IceCredentials;
use super::role::IceRole;
use super::schedule::{CheckPace, Schedule};
use super::status::{CheckCounts, IceEvent, IceStatus, SelectedPair};
use super::transaction::Transactions;
use crate::LocalSocket;
use crate::stun::IntegrityKey;

/// Checks that come before the peer's SDP: this many addresses are remembered.
pub(super) const MAX_EARLY: usize = 8;
/// Events that nobody has collected: more than this cannot come from one mutation.
const MAX_EVENTS: usize = 32;

/// The agent's settings; the defaults are those of a relay that wants the first word of a call to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IceConfig {
    /// How often rounds of checks leave.
    pub pace: CheckPace,
    /// Towards a full peer, the least time between two checks of one pair.
    pub full_peer_spacing: Duration,
    /// How long a better pair is waited for before one is nominated towards a full peer.
    pub nomination_delay: Duration,
    /// Without a valid pair for so long, [`IceEvent::Stalled`] is told.
    pub stalled_after: Duration,
    /// RFC 7675 section 5.1.
    pub consent_expiry: Duration,
}

impl Default for IceConfig {
    fn default() -> Self {
        Self {
            pace: CheckPace::default(),
            full_peer_spacing: Duration::from_millis(50),
            nomination_delay: Duration::from_millis(100),
            stalled_after: Duration::from_secs(5),
            consent_expiry: Duration::from_secs(30),
        }
    }
}

/// What the peer's SDP says about ICE.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RemoteIce {
    pub credentials: IceCredentials,
    /// Those of our component are used; the others, and those of a family without a socket, are counted and left alone.
    pub candidates: Vec<Candidate>,
    /// `a=ice-lite`.
    pub lite: bool,
    /// Whether the SDP of ours that this answers was an offer.
    pub we_offered: bool,
}

/// Our side of the credentials.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) credentials: IceCredentials,
    pub(super) key: IntegrityKey,
    pub(super) lite: bool,
}

/// The peer's side.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) credentials: IceCredentials,
    pub(super) key: IntegrityKey,
    pub(super) lite: bool,
}

/// A check of the peer with our credentials, before its SDP came.
#[derive(Clone, Copy, Debug)]
pub(super) struct EarlyCheck {
    pub(super) local: LocalIndex,
    pub(super) source: SocketAddr,
    pub(super) priority: u32,
    pub(super) use_candidate: bool,
}

/// Where the selected pair leads; outlives its session during an ICE restart (RFC 8445 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) socket: SocketId,
    pub(super) remote: SocketAddr,
}

impl From<(SocketId, SocketAddr)> for Path {
    fn from((socket, remote): (SocketId, SocketAddr)) -> Self {
        Self { socket, remote }
    }
}

/// The nomination that we are about to make (full peers only).
#[derive(Clone, Copy, Debug)]
pub(super) struct Nomination {
    pub(super) began_at: Instant,
    pub(super) next_at: Instant,
}

/// An ICE agent for one component of one data stream.
#[derive(Debug)]
pub struct IceAgent {
    pub(super) locals: Vec<LocalSocket>,
    pub(super) component: Component,
    pub(super) config: IceConfig,
    pub(super) rng: ChaCha12Rng,
    pub(super) tie_breaker: u64,
    pub(super) role: IceRole,
    pub(super) local: Local,
    /// The credentials before ours changed: the peer goes on using them until our SDP has reached it.
    pub(super) retired: Option<Local>,
    pub(super) remote: Option<Remote>,
    pub(super) check_list: CheckList,
    pub(super) transactions: Transactions,
    pub(super) schedule: Schedule,
    pub(super) nomination: Option<Nomination>,
    pub(super) consent: Option<Consent>,
    pub(super) selected: Option<PairIndex>,
    /// Where media goes, selected pair or not.
    pub(super) path: Option<Path>,
    pub(super) is_consent_lost: bool,
    pub(super) early: Vec<EarlyCheck>,
    pub(super) began_at: Option<Instant>,
    pub(super) stalled_at: Option<Instant>,
    pub(super) last_activity: Option<Instant>,
    pub(super) counts: CheckCounts,
    events: VecDeque<IceEvent>,
}

impl IceAgent {
    /// An agent on these sockets, the preferred one first. `lite`: we answer checks and send none.
    pub fn new(
        locals: Vec<LocalSocket>,
        component: Component,
        credentials: IceCredentials,
        lite: bool,
        config: IceConfig,
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        Self {
            locals,
            component,
            config,
            tie_breaker: rng.next_u64(),
            rng,
            role: IceRole::of(lite, false, true),
            local: Local {
                key: IntegrityKey::new(credentials.pwd()),
                credentials,
                lite,
            },
            retired: None,
            remote: None,
            check_list: CheckList::default(),
            transactions: Transactions::default(),
            schedule: Schedule::new(config.pace),
            nomination: None,
            consent: None,
            selected: None,
            path: None,
            is_consent_lost: false,
            early: Vec::new(),
            began_at: None,
            stalled_at: None,
            last_activity: None,
            counts: CheckCounts::default(),
            events: VecDeque::new(),
        }
    }

    /// Our candidates, for SDP.
    pub fn local_candidates(locals: &[LocalSocket], component: Component) -> Vec<Candidate> {
        let indices = 0..=u16::MAX;
        let host = |(socket, index): (&LocalSocket, u16)| {
            Candidate::host(index, component, socket.advertised_address())
        };
        locals.iter().zip(indices).map(host).collect()
    }

    /// Replaces our own credentials; the same ones again change nothing. The old ones are still answered to.
    pub fn set_local(&mut self, credentials: IceCredentials, lite: bool) {
        self.local.lite = lite;
        if self.local.credentials == credentials {
            return;
        }
        let local = Local {
            key: IntegrityKey::new(credentials.pwd()),
            credentials,
            lite,
        };
        self.retired = Some(std::mem::replace(&mut self.local, local));
    }

    /// What the peer's SDP says. The same again changes nothing, more candidates are added (trickle), and another ufrag or
    /// password is an ICE restart.
    pub fn set_remote(&mut self, now: Instant, remote: RemoteIce) {
        let is_same = |known: &Remote| known.credentials == remote.credentials;
        if !self.remote.as_ref().is_some_and(is_same) {
            self.role = IceRole::of(self.local.lite, remote.lite, remote.we_offered);
            self.begin_session(now);
            self.remote = Some(Remote {
                key: IntegrityKey::new(remote.credentials.pwd()),
                credentials: remote.credentials,
                lite: remote.lite,
            });
        }
        let before = self.check_list.len();
        for candidate in remote.candidates {
            self.add_candidate(candidate);
        }
        for early in std::mem::take(&mut self.early) {
            self.heard_from(now, early);
        }
        self.counts.pairs = self.check_list.len() as u32;
        if self.check_list.len() > before {
            self.schedule.wake(now);
        }
        self.select_between_lite_agents(now);
    }

    /// Our answer is on its way to the peer, or the peer's is here: from now on every millisecond counts. Without a valid pair
    /// the dense phase of the checks begins, again if it was there before.
    pub fn start(&mut self, now: Instant) {
        self.schedule.start(now);
        if self.remote.is_some() && self.selected.is_none() {
            self.began_at = Some(now);
            self.stalled_at = Some(now + self.config.stalled_after);
        }
    }

    /// Where media goes: from which socket, to which address. Nowhere while the peer's consent is lost (RFC 7675 section 5.1).
    pub fn destination(&self) -> Option<(SocketId, SocketAddr)> {
        let path = self.path.filter(|_| !self.is_consent_lost)?;
        Some((path.socket, path.remote))
    }

    /// Whether the peer has named this address or has proved from there that it knows our password.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.path.is_some_and(|path| path.remote == address)
            || self
                .check_list
                .remotes()
                .iter()
                .any(|remote| remote.address == address)
            || self.early.iter().any(|early| early.source == address)
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.schedule.round_at().filter(|_| self.is_checking()),
            self.nomination.map(|nomination| nomination.next_at),
            self.consent.as_ref().map(Consent::poll_timeout),
            self.stalled_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next event, until there is none.
    pub fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    /// When the peer last sent STUN with the right integrity.
    pub fn last_activity(&self) -> Option<Instant> {
        self.last_activity
    }

    /// A look at the agent.
    pub fn status(&self) -> IceStatus {
        IceStatus {
            role: self.role,
            is_lite: self.local.lite,
            is_remote_lite: self.is_remote_lite(),
            selected: self.selected.map(|pair| self.describe(pair)),
            counts: self.counts,
        }
    }

    pub(super) fn is_remote_lite(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.lite)
    }

    pub(super) fn tell(&mut self, event: IceEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    pub(super) fn describe(&self, index: PairIndex) -> SelectedPair {
        let pair = self.check_list.pair(index);
        let local = self.locals[pair.local.0];
        let remote = self.check_list.remote_of(index);
        SelectedPair {
            socket: local.id,
            local: local.advertised_address(),
            local_kind: match pair.seen_as {
                Some(_) => CandidateKind::PeerReflexive,
                None => CandidateKind::Host,
            },
            seen_as: pair.seen_as,
            remote: remote.address,
            remote_kind: remote.kind,
            is_nominated: pair.is_nominated,
            round_trip: pair.round_trip,
        }
    }

    /// Takes a candidate from signalling, if we have a socket that reaches it.
    fn add_candidate(&mut self, candidate: Candidate) {
        let is_ours = candidate.component == self.component.id() && is_routable(candidate.address);
        if !is_ours || !self.pair_up(candidate) {
            self.counts.ignored_candidates = self.counts.ignored_candidates.saturating_add(1);
        }
    }

    /// Pairs a candidate of the peer with our sockets of its family; `false` when there is none, or no room.
    pub(super) fn pair_up(&mut self, candidate: Candidate) -> bool {
        let address = candidate.address;
        let component = self.component;
        let mut locals = self
            .locals
            .iter()
            .enumerate()
            .filter(|(_, local)| local.reaches(address))
            .map(|(index, _)| {
                (
                    LocalIndex(index),
                    host_priority(LocalIndex(index), component),
                )
            })
            .peekable();
        locals.peek().is_some() && self.check_list.add(candidate, locals, self.role)
    }

    /// A new ICE session. Media stays on the path that the old one found, until this one has found its own.
    fn begin_session(&mut self, now: Instant) {
        self.check_list = CheckList::default();
        self.transactions.clear();
        self.nomination = None;
        self.consent = None;
        self.selected = None;
        self.is_consent_lost = false;
        self.counts = CheckCounts::default();
        self.began_at = Some(now);
        if self.schedule.is_started() {
            self.schedule.start(now);
            self.stalled_at = Some(now + self.config.stalled_after);
        } else {
            self.schedule.wake(now);
        }
    }

    /// Whether rounds of checks are going on.
    pub(super) fn is_checking(&self) -> bool {
        let is_settled = self
            .selected
            .is_some_and(|pair| self.check_list.pair(pair).is_nominated);
        !self.local.lite && self.remote.is_some() && !is_settled && self.check_list.has_unchecked()
    }

    pub(super) fn draw_spread(&mut self) -> super::consent::Spread {
        super::consent::Spread(self.rng.random_range(0.8..1.2))
    }
}

/// The priority of a socket's host candidate.
pub(super) fn host_priority(local: LocalIndex, component: Component) -> u32 {
    let index = u16::try_from(local.0).unwrap_or(u16::MAX);
    priority(CandidateKind::Host, index, component)
}
