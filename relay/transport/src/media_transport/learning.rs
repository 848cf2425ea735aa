//! Where the far end really sends from, without ICE.
//!
//! An address in SDP may be one that a NAT hides. For a few seconds after signalling, packets may correct it; then it is fixed,
//! so that nobody can pull a call away later. Where SRTP is terminated only packets whose tag was right are shown to this
//! module. With ICE it is not used at all: connectivity checks know better.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_packet::SocketId;

/// When a packet may move the address (rtpengine's `endpoint-learning`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LearningMode {
    /// During the window the most plausible source wins: exactly the signalled one, then one with the same IP address, then
    /// one with the same port, then any.
    #[default]
    Heuristic,
    /// The first packet decides.
    Immediate,
    /// The first packet after the window decides.
    Delayed,
    /// Never.
    Off,
}

/// How sources are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Learning {
    pub mode: LearningMode,
    /// Once the source is fixed, packets from elsewhere are dropped.
    pub strict_source: bool,
    /// Once the source is fixed, it may still change.
    pub media_handover: bool,
    /// The far end sends from another address than it receives on: learn for filtering, send to the signalled address.
    pub asymmetric: bool,
    /// Send nothing before something came: what goes out first could make a NAT shut its door.
    pub await_source: bool,
}

/// While the far end was heard within this time, what strangers send beside it cannot be the same stream.
const ALIVE: Duration = Duration::from_secs(2);

/// How well a source fits what was signalled; later is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plausibility {
    Stranger,
    SamePort,
    SameIp,
    Exact,
}

/// What a packet's source came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observation {
    /// The packet is welcome.
    Accepted,
    /// It is welcome and has moved the address.
    Moved {
        from: Option<SocketAddr>,
        to: SocketAddr,
    },
    /// It comes from the wrong place.
    Mismatch,
}

/// What is known about the far end's address.
#[derive(Debug)]
pub(super) struct SourceLearner {
    settings: Learning,
    window: Duration,
    window_ends: Option<Instant>,
    signalled: Option<SocketAddr>,
    learned: Option<(SocketId, SocketAddr)>,
    /// Of the learned source; `None` when the next packet may move it whatever it is.
    plausibility: Option<Plausibility>,
    is_fixed: bool,
    /// When the learned source was last heard.
    heard_at: Option<Instant>,
}

/// What is written down of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Learned {
    settings: Learning,
    signalled: Option<SocketAddr>,
    /// Our address and the far end's.
    source: Option<(SocketAddr, SocketAddr)>,
    is_fixed: bool,
}

impl SourceLearner {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            settings: Learning::default(),
            window,
            window_ends: None,
            signalled: None,
            learned: None,
            plausibility: None,
            is_fixed: false,
            heard_at: None,
        }
    }

    pub(super) fn set_settings(&mut self, settings: Learning) {
        self.settings = settings;
    }

    /// What SDP says. The same again changes nothing; another address is believed, unless it is the one learned already.
    pub(super) fn set_signalled(&mut self, now: Instant, address: Option<SocketAddr>) {
        let address =
            address.filter(|address| address.port() != 0 && !address.ip().is_unspecified());
        if self.signalled == address {
            return;
        }
        self.signalled = address;
        if self.learned.map(|(_, learned)| learned) != address {
            self.learned = None;
        }
        self.open_window(now);
    }

    /// What came in on a socket that was closed since has to be learned again.
    pub(super) fn keep_sockets(&mut self, is_left: impl Fn(SocketId) -> bool) {
        if self
            .learned
            .take_if(|(socket, _)| !is_left(*socket))
            .is_some()
        {
            self.plausibility = None;
            self.is_fixed = false;
        }
    }

    /// There was signalling: packets may move the address again for a while.
    pub(super) fn open_window(&mut self, now: Instant) {
        self.window_ends = Some(now + self.window);
        self.plausibility = None;
        self.is_fixed = false;
    }

    pub(super) fn signalled(&self) -> Option<SocketAddr> {
        self.signalled
    }

    /// Where to send, and from which socket if a packet has shown that.
    pub(super) fn destination(&self) -> Option<(Option<SocketId>, SocketAddr)> {
        let signalled = self.signalled.map(|address| (None, address));
        match self.learned {
            Some((socket, address)) if !self.settings.asymmetric && signalled.is_some() => {
                Some((Some(socket), address))
            }
            None if self.settings.await_source => None,
            _ => signalled,
        }
    }

    /// The far end's address and the socket it sends to, once no packet of it can move them.
    pub(super) fn fixed(&self) -> Option<(SocketId, SocketAddr)> {
        self.learned.filter(|_| self.is_fixed)
    }

    /// The learned source was heard by somebody else.
    pub(super) fn heard(&mut self, at: Instant) {
        self.heard_at = self.heard_at.max(Some(at));
    }

    /// Whether the far end is expected there.
    pub(super) fn knows(&self, source: SocketAddr) -> bool {
        self.signalled == Some(source) || self.learned.is_some_and(|(_, learned)| learned == source)
    }

    /// Whether the far end may turn out to be elsewhere.
    pub(super) fn is_open(&self) -> bool {
        self.signalled.is_some() && self.settings.mode != LearningMode::Off && !self.is_fixed
    }

    /// Whether `strict-source` lets a packet from there in.
    fn permits(&self, source: SocketAddr) -> bool {
        let is_off = self.settings.mode == LearningMode::Off;
        let expected = match self.learned {
            Some((_, learned)) if self.is_fixed => Some(learned),
            _ if is_off => self.signalled,
            _ => None,
        };
        !self.settings.strict_source || expected.is_none_or(|expected| expected == source)
    }

    /// A packet of the far end, authenticated where that is possible.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
    ) -> Observation {
        let Some(signalled) = self.signalled else {
            // Not answered yet: nobody knows who may speak.
            return Observation::Accepted;
        };
        if self.is_fixed {
            if self.learned == Some((socket, source)) {
                self.heard_at = Some(now);
                return Observation::Accepted;
            }
            if self.settings.media_handover {
                return self.learn(now, socket, source);
            }
            return if self.admits(now, source) {
                Observation::Accepted
            } else {
                Observation::Mismatch
            };
        }
        let in_window = self.window_ends.is_some_and(|end| now < end);
        match self.settings.mode {
            LearningMode::Off => {
                if self.permits(source) {
                    Observation::Accepted
                } else {
                    Observation::Mismatch
                }
            }
            LearningMode::Immediate => {
                self.is_fixed = true;
                self.learn(now, socket, source)
            }
            LearningMode::Delayed if in_window => Observation::Accepted,
            LearningMode::Delayed => {
                self.is_fixed = true;
                self.learn(now, socket, source)
            }
            LearningMode::Heuristic => {
                let plausibility = plausibility(source, signalled);
                self.is_fixed = !in_window || plausibility == Plausibility::Exact;
                // After the window what was learned stays; a far end that was silent until now is still learned.
                let is_better = self
                    .plausibility
                    .is_none_or(|known| in_window && plausibility > known);
                if is_better {
                    self.plausibility = Some(plausibility);
                    self.learn(now, socket, source)
                } else if self.permits(source) {
                    Observation::Accepted
                } else {
                    Observation::Mismatch
                }
            }
        }
    }

    /// Whether a packet that teaches nothing (RTCP on the RTP port, or anything once the source is fixed) may come from there.
    pub(super) fn admits(&self, now: Instant, source: SocketAddr) -> bool {
        self.permits(source) && !(self.is_fixed && self.is_stranger(now, source))
    }

    /// Whether somebody speaks into a stream whose far end is known and speaks itself. Another port of the same address may be
    /// a NAT that has changed its mind; another address, once the far end has fallen silent, a gateway that took over.
    fn is_stranger(&self, now: Instant, source: SocketAddr) -> bool {
        let known = self.learned.map(|(_, address)| address.ip());
        let alive = self
            .heard_at
            .is_some_and(|at| now.saturating_duration_since(at) < ALIVE);
        alive && known.is_some_and(|known| known != source.ip())
    }

    /// What was learned so far, with the address of the socket in place of its name.
    pub(super) fn snapshot(&self, address_of: impl Fn(SocketId) -> Option<SocketAddr>) -> Learned {
        let learned = self.learned;
        Learned {
            settings: self.settings,
            signalled: self.signalled,
            source: learned.and_then(|(socket, source)| Some((address_of(socket)?, source))),
            is_fixed: self.is_fixed,
        }
    }

    /// Goes on with it. What was not fixed may be corrected for a while, as after signalling; what was stays, so that nobody can
    /// use a restart to pull a call away.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        learned: &Learned,
        socket_at: impl Fn(SocketAddr) -> Option<SocketId>,
    ) {
        self.settings = learned.settings;
        self.signalled = learned.signalled;
        self.open_window(now);
        let source = learned.source;
        self.learned = source.and_then(|(local, source)| Some((socket_at(local)?, source)));
        self.is_fixed = learned.is_fixed && self.learned.is_some();
        if self.is_fixed {
            self.heard_at = Some(now);
            let known = self.signalled.zip(self.learned);
            self.plausibility =
                known.map(|(signalled, (_, source))| plausibility(source, signalled));
        }
    }

    fn learn(&mut self, now: Instant, socket: SocketId, source: SocketAddr) -> Observation {
        self.heard_at = Some(now);
        let from = self.learned.map(|(_, address)| address).or(self.signalled);
        self.learned = Some((socket, source));
        if from == Some(source) {
            Observation::Accepted
        } else {
            Observation::Moved { from, to: source }
        }
    }
}

fn plausibility(source: SocketAddr, signalled: SocketAddr) -> Plausibility {
    if source == signalled {
        Plausibility::Exact
    } else if source.ip() == signalled.ip() {
        Plausibility::SameIp
    } else if source.port() == signalled.port() {
        Plausibility::SamePort
    } else {
        Plausibility::Stranger
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    const SOCKET: SocketId = SocketId(1);
    const WINDOW: Duration = Duration::from_secs(3);

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn learner(settings: Learning) -> SourceLearner {
        let mut learner = SourceLearner::new(WINDOW);
        learner.set_settings(settings);
        learner.set_signalled(epoch_once(), Some(address("192.0.2.1:4000")));
        learner
    }

    /// Every test here counts from its own beginning.
    fn epoch_once() -> Instant {
        use std::sync::OnceLock;
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        *EPOCH.get_or_init(epoch)
    }

    fn after(seconds: u64) -> Instant {
        epoch_once() + Duration::from_secs(seconds)
    }

    fn goes_to(learner: &SourceLearner) -> SocketAddr {
        learner.destination().unwrap().1
    }

    #[test]
    fn the_most_plausible_source_of_the_window_wins() {
        let mut learner = learner(Learning::default());
        for (source, goes) in [
            ("203.0.113.5:1111", "203.0.113.5:1111"),
            ("203.0.113.6:2222", "203.0.113.5:1111"),
            ("203.0.113.7:4000", "203.0.113.7:4000"),
            ("192.0.2.1:5000", "192.0.2.1:5000"),
            ("203.0.113.7:4000", "192.0.2.1:5000"),
            ("192.0.2.1:4000", "192.0.2.1:4000"),
            ("192.0.2.1:5000", "192.0.2.1:4000"),
        ] {
            learner.observe(after(1), SOCKET, address(source));
            assert_eq!(goes_to(&learner), address(goes), "after {source}");
        }
    }

    #[test]
    fn after_the_window_the_address_is_fixed() {
        let mut learner = learner(Learning::default());
        let far = address("203.0.113.5:1111");
        assert_eq!(
            learner.observe(after(1), SOCKET, far),
            Observation::Moved {
                from: Some(address("192.0.2.1:4000")),
                to: far
            }
        );
        let better = address("192.0.2.1:5000");
        assert_eq!(
            learner.observe(after(4), SOCKET, better),
            Observation::Accepted
        );
        assert_eq!(goes_to(&learner), far);
    }

    #[test]
    fn a_far_end_that_was_silent_is_learned_late() {
        let mut learner = learner(Learning::default());
        let far = address("203.0.113.5:1111");
        learner.observe(after(60), SOCKET, far);
        assert_eq!(goes_to(&learner), far);
        learner.observe(after(61), SOCKET, address("203.0.113.6:1111"));
        assert_eq!(goes_to(&learner), far);
    }

    #[test]
    fn a_stranger_is_not_heard_while_the_far_end_speaks() {
        let far = address("203.0.113.5:1111");
        let stranger = address("203.0.113.66:6666");
        let mut learner = learner(Learning::default());
        learner.observe(after(4), SOCKET, far);
        assert_eq!(
            learner.observe(after(5), SOCKET, stranger),
            Observation::Mismatch
        );
        let rebound = address("203.0.113.5:2222");
        assert_eq!(
            learner.observe(after(5), SOCKET, rebound),
            Observation::Accepted
        );
        assert_eq!(
            learner.observe(after(7), SOCKET, stranger),
            Observation::Accepted,
            "a gateway that took over without a word is heard"
        );
        assert_eq!(goes_to(&learner), far, "and is never sent to");
    }

    #[test]
    fn with_nat_wait_nothing_goes_out_before_something_came_in() {
        let mut learner = learner(Learning {
            await_source: true,
            ..Learning::default()
        });
        assert_eq!(learner.destination(), None);
        let far = address("203.0.113.5:1111");
        learner.observe(after(1), SOCKET, far);
        assert_eq!(goes_to(&learner), far);
    }

    #[test]
    fn strict_source_drops_and_media_handover_follows() {
        let far = address("203.0.113.5:1111");
        let other = address("203.0.113.9:9");
        let mut strict = learner(Learning {
            strict_source: true,
            ..Learning::default()
        });
        strict.observe(after(5), SOCKET, far);
        assert_eq!(
            strict.observe(after(6), SOCKET, other),
            Observation::Mismatch
        );
        assert!(!strict.permits(other));

        let mut handover = learner(Learning {
            media_handover: true,
            ..Learning::default()
        });
        handover.observe(after(5), SOCKET, far);
        handover.observe(after(6), SOCKET, other);
        assert_eq!(goes_to(&handover), other);
    }

    #[test]
    fn the_other_modes_do_what_they_say() {
        let (first, second) = (address("203.0.113.5:1"), address("203.0.113.6:2"));
        let with = |mode| {
            learner(Learning {
                mode,
                ..Learning::default()
            })
        };
        let mut immediate = with(LearningMode::Immediate);
        immediate.observe(after(0), SOCKET, first);
        immediate.observe(after(1), SOCKET, address("192.0.2.1:4000"));
        assert_eq!(goes_to(&immediate), first);

        let mut delayed = with(LearningMode::Delayed);
        delayed.observe(after(1), SOCKET, first);
        assert_eq!(goes_to(&delayed), address("192.0.2.1:4000"));
        delayed.observe(after(4), SOCKET, second);
        assert_eq!(goes_to(&delayed), second);

        let mut off = with(LearningMode::Off);
        off.observe(after(1), SOCKET, first);
        assert_eq!(goes_to(&off), address("192.0.2.1:4000"));
    }

    #[test]
    fn an_asymmetric_far_end_is_answered_where_it_said() {
        let mut learner = learner(Learning {
            asymmetric: true,
            strict_source: true,
            ..Learning::default()
        });
        let far = address("203.0.113.5:1111");
        learner.observe(after(5), SOCKET, far);
        assert_eq!(goes_to(&learner), address("192.0.2.1:4000"));
        assert_eq!(
            learner.observe(after(6), SOCKET, address("192.0.2.1:4000")),
            Observation::Mismatch
        );
    }

    #[test]
    fn nothing_is_learned_before_there_is_an_answer() {
        let mut learner = SourceLearner::new(WINDOW);
        let far = address("203.0.113.5:1111");
        assert_eq!(
            learner.observe(after(0), SOCKET, far),
            Observation::Accepted
        );
        assert_eq!(learner.destination(), None);
        learner.set_signalled(after(1), Some(address("0.0.0.0:4000")));
        assert_eq!(learner.destination(), None);
    }

    #[test]
    fn the_same_signalling_again_changes_nothing() {
        let mut learner = learner(Learning::default());
        let far = address("203.0.113.5:1111");
        learner.observe(after(5), SOCKET, far);
        learner.set_signalled(after(6), Some(address("192.0.2.1:4000")));
        assert_eq!(goes_to(&learner), far);
        learner.set_signalled(after(7), Some(address("192.0.2.2:4000")));
        assert_eq!(goes_to(&learner), address("192.0.2.2:4000"));
    }
}
