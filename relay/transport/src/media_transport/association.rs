//! The DTLS association of a transport: when an engine is made, fed, replaced and believed.
//!
//! ```text
//! role and fingerprint known -> engine (client: when there is somewhere to send; server: at a ClientHello)
//!   -> Connected -> the certificate is the announced one -> keys
//!   -> Failed, or another certificate -> a fresh engine, not sooner than a while later
//! ```
//!
//! Who may send us DTLS is decided by the transport, before. After the handshake the engine stays, to answer the repeated
//! flights of a peer that has missed our last one. Once the peer's SRTP shows that it has not, the engine is given up with all
//! its buffers: nothing that comes by DTLS matters any more.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::{DropReason, Outbox, SocketId};

use super::event::DtlsStatus;
use crate::dtls::{
    DtlsConfig, DtlsEngine, DtlsEvent, DtlsIdentity, DtlsRole, Fingerprint, new_engine,
};
use crate::srtp::{SrtpKey, SrtpProfile};

/// A handshake that takes longer has a reason that an operator should look for.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// A handshake that keeps failing is tried less and less often; at most so many times the first interval.
const MAX_BACKOFF: u32 = 8;

/// A socket of ours and an address of the peer.
type Route = (SocketId, SocketAddr);

/// What came out of driving the association.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a call, moved once")]
pub(super) enum Outcome {
    Connected {
        status: DtlsStatus,
        inbound: SrtpKey,
        outbound: SrtpKey,
        handshake: Duration,
        /// Where the peer of the handshake is.
        peer: Option<Route>,
    },
    Failed {
        reason: String,
    },
    /// Too long without keys; told once.
    Stalled {
        role: DtlsRole,
        heard: bool,
        after: Duration,
    },
}

#[derive(Debug)]
struct Running {
    engine: Box<dyn DtlsEngine>,
    role: DtlsRole,
    created_at: Instant,
}

/// A finished handshake whose certificate nobody has compared yet.
#[derive(Debug)]
struct Unverified {
    status: DtlsStatus,
    inbound: SrtpKey,
    outbound: SrtpKey,
    certificate_der: Vec<u8>,
    handshake: Duration,
}

#[derive(Debug)]
pub(super) struct Association {
    identity: Arc<DtlsIdentity>,
    config: DtlsConfig,
    restart_interval: Duration,
    /// Our role and the fingerprint that the peer's SDP announces.
    remote: Option<(DtlsRole, Fingerprint)>,
    running: Option<Running>,
    /// From then on the next engine may be made, or a finished handshake be judged by a fingerprint that came later.
    ready_at: Option<Instant>,
    failures: u32,
    told_reason: Option<String>,
    unverified: Option<Unverified>,
    connected: Option<DtlsStatus>,
    /// Where the newest datagram came from; as server we answer there, whatever ICE thinks.
    peer: Option<Route>,
    is_peer_authenticated: bool,
    /// Since when the roles and an address of the peer have been known.
    possible_since: Option<Instant>,
    told_stalled: bool,
}

/// An association as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct AssociationSnapshot {
    remote: Option<(DtlsRole, Fingerprint)>,
    connected: Option<ConnectedSnapshot>,
}

/// What a handshake came to, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct ConnectedSnapshot {
    engine: String,
    role: DtlsRole,
    version: String,
    cipher: String,
    profile: SrtpProfile,
}

impl ConnectedSnapshot {
    fn of(status: &DtlsStatus) -> Self {
        Self {
            engine: status.engine.to_owned(),
            role: status.role,
            version: status.version.clone(),
            cipher: status.cipher.clone(),
            profile: status.profile,
        }
    }

    fn status(&self) -> DtlsStatus {
        let engines = ["dimpl", "openssl"];
        let engine = engines.into_iter().find(|name| *name == self.engine);
        DtlsStatus {
            engine: engine.unwrap_or("another"),
            role: self.role,
            version: self.version.clone(),
            cipher: self.cipher.clone(),
            profile: self.profile,
        }
    }
}

impl Association {
    pub(super) fn new(
        identity: Arc<DtlsIdentity>,
        config: DtlsConfig,
        restart_interval: Duration,
    ) -> Self {
        Self {
            identity,
            config,
            restart_interval,
            remote: None,
            running: None,
            ready_at: None,
            failures: 0,
            told_reason: None,
            unverified: None,
            connected: None,
            peer: None,
            is_peer_authenticated: false,
            possible_since: None,
            told_stalled: false,
        }
    }

    /// What the peer's SDP says. The same again changes nothing, and an established association survives a change of roles
    /// (RFC 8842 section 5.1: only a new fingerprint asks for a new association).
    pub(super) fn set_remote(&mut self, now: Instant, role: DtlsRole, fingerprint: Fingerprint) {
        match self.remote {
            Some((_, known)) if known != fingerprint => {
                *self = Self::new(
                    self.identity.clone(),
                    self.config.clone(),
                    self.restart_interval,
                );
            }
            Some((known, _)) if known == role || self.connected.is_some() => return,
            _ => {}
        }
        self.remote = Some((role, fingerprint));
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.role != role)
        {
            self.running = None;
            self.unverified = None;
        }
        if self.ready_at.is_none_or(|at| at < now) {
            self.ready_at = Some(now);
        }
    }

    /// A datagram of somebody who may be the peer.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        from: Route,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        if self.is_peer_authenticated {
            // A repeated flight that was under way still, or the farewell of a peer that hangs up.
            return Ok(());
        }
        if self.running.is_none() {
            // Before the answer nobody knows the roles; a peer that begins must be the client.
            let role = self.remote.map_or(DtlsRole::Server, |(role, _)| role);
            let may_begin = role == DtlsRole::Server
                && is_client_hello(datagram)
                && self.connected.is_none()
                && self.ready_at.is_none_or(|at| at <= now);
            if !may_begin {
                return Err(DropReason::DtlsUnexpected);
            }
            self.make_engine(now, role, Some(from.1.ip()));
        }
        self.peer = Some(from);
        if let Some(running) = &mut self.running {
            running.engine.handle_datagram(now, datagram);
        }
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(running) = &mut self.running
            && running.engine.poll_timeout().is_some_and(|at| at <= now)
        {
            running.engine.handle_timeout(now);
        }
    }

    /// When [`Self::handle_timeout`], or [`Self::drive`] with a destination, has something to do.
    pub(super) fn poll_timeout(&self, has_destination: bool) -> Option<Instant> {
        let can_verify = self.unverified.is_some() && self.remote.is_some();
        let can_begin = self.running.is_none() && has_destination && self.wants_to_begin();
        let engine = self
            .running
            .as_ref()
            .and_then(|running| running.engine.poll_timeout());
        let ours = self.ready_at.filter(|_| can_verify || can_begin);
        [engine, ours, self.stalled_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Begins the handshake if it is ours to begin, sends what the engine has to send, and says what has become of it.
    pub(super) fn drive(
        &mut self,
        now: Instant,
        destination: Option<Route>,
        out: &mut Outbox,
    ) -> Option<Outcome> {
        if self.running.is_none()
            && let Some((_, address)) = destination
            && self.wants_to_begin()
            && self.ready_at.is_some_and(|at| at <= now)
        {
            self.make_engine(now, DtlsRole::Client, Some(address.ip()))
                .handle_timeout(now);
        }
        self.flush(destination, out);
        while let Some(event) = self
            .running
            .as_mut()
            .and_then(|running| running.engine.poll_event())
        {
            match event {
                DtlsEvent::Connected {
                    engine,
                    version,
                    cipher,
                    profile,
                    inbound,
                    outbound,
                    peer_certificate_der,
                } => {
                    let Some(running) = &self.running else { break };
                    self.unverified = Some(Unverified {
                        status: DtlsStatus {
                            engine,
                            role: running.role,
                            version,
                            cipher,
                            profile,
                        },
                        inbound,
                        outbound,
                        certificate_der: peer_certificate_der,
                        handshake: now.saturating_duration_since(running.created_at),
                    });
                }
                DtlsEvent::Failed { reason } => return self.failed(now, reason),
            }
        }
        if destination.is_some() && self.remote.is_some() {
            self.possible_since.get_or_insert(now);
        }
        self.verify(now).or_else(|| self.note_stalled(now))
    }

    /// Where the newest datagram of the handshake came from.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer.map(|(_, address)| address)
    }

    /// Some of our sockets were closed.
    pub(super) fn keep_sockets(&mut self, is_left: impl Fn(SocketId) -> bool) {
        self.peer.take_if(|(socket, _)| !is_left(*socket));
    }

    /// An SRTP or SRTCP packet of the peer was authentic: it has the keys and needs no flight of ours again.
    pub(super) fn peer_authenticated(&mut self) {
        if !std::mem::replace(&mut self.is_peer_authenticated, true) {
            self.running = None;
        }
    }

    /// Whether the peer surely has the keys: a client has seen the server's Finished, a server only knows once it hears SRTP.
    pub(super) fn is_confirmed(&self) -> bool {
        let is_client = self
            .running
            .as_ref()
            .is_some_and(|running| running.role == DtlsRole::Client);
        is_client || self.is_peer_authenticated
    }

    /// What somebody else needs to go on with this: our role, whom the peer's certificate must belong to, and what the handshake
    /// came to, if it is done. An unfinished handshake is not carried on but begun again.
    pub(super) fn snapshot(&self) -> AssociationSnapshot {
        AssociationSnapshot {
            remote: self.remote,
            connected: self.connected.as_ref().map(ConnectedSnapshot::of),
        }
    }

    /// Goes on with what was written down. An association that was connected counts as heard of by the peer: there is no engine
    /// any more that could repeat the last flight.
    pub(super) fn resume(&mut self, now: Instant, snapshot: &AssociationSnapshot) {
        if let Some((role, fingerprint)) = snapshot.remote {
            self.set_remote(now, role, fingerprint);
        }
        self.connected = snapshot.connected.as_ref().map(ConnectedSnapshot::status);
        self.is_peer_authenticated = self.connected.is_some();
    }

    #[cfg(test)]
    pub(super) fn has_engine(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn connected(&self) -> Option<&DtlsStatus> {
        self.connected.as_ref()
    }

    fn wants_to_begin(&self) -> bool {
        let is_client = self
            .remote
            .is_some_and(|(role, _)| role == DtlsRole::Client);
        is_client && self.connected.is_none()
    }

    fn make_engine(
        &mut self,
        now: Instant,
        role: DtlsRole,
        peer: Option<IpAddr>,
    ) -> &mut dyn DtlsEngine {
        let running = Running {
            engine: new_engine(&self.config, &self.identity, role, peer, now),
            role,
            created_at: now,
        };
        &mut *self.running.insert(running).engine
    }

    /// Sends what the engine has ready. Without any address to send to it is lost, like any other packet.
    fn flush(&mut self, destination: Option<Route>, out: &mut Outbox) {
        let Some(running) = &mut self.running else {
            return;
        };
        let route = match running.role {
            DtlsRole::Client => destination.or(self.peer),
            DtlsRole::Server => self.peer.or(destination),
        };
        let mut packet = out.take();
        while running.engine.poll_datagram(&mut packet) {
            if let Some((socket, address)) = route {
                let next = out.take();
                out.send(socket, address, std::mem::replace(&mut packet, next));
            }
        }
        out.recycle(packet);
    }

    /// RFC 5763 section 5: the keys count only if the certificate is the one that SDP announced.
    fn verify(&mut self, now: Instant) -> Option<Outcome> {
        let (_, fingerprint) = self.remote?;
        let unverified = self.unverified.take()?;
        if !fingerprint.matches(&unverified.certificate_der) {
            let shown = Fingerprint::of(fingerprint.hash(), &unverified.certificate_der);
            let reason =
                format!("the peer's certificate is {shown}, its SDP announces {fingerprint}");
            return self.failed(now, reason);
        }
        self.connected = Some(unverified.status.clone());
        Some(Outcome::Connected {
            status: unverified.status,
            inbound: unverified.inbound,
            outbound: unverified.outbound,
            handshake: unverified.handshake,
            peer: self.peer,
        })
    }

    fn stalled_at(&self) -> Option<Instant> {
        let since = self.possible_since?;
        (!self.told_stalled && self.connected.is_none()).then(|| since + STALLED_AFTER)
    }

    fn note_stalled(&mut self, now: Instant) -> Option<Outcome> {
        let (role, _) = self.remote?;
        self.stalled_at().filter(|at| *at <= now)?;
        self.told_stalled = true;
        Some(Outcome::Stalled {
            role,
            heard: self.peer.is_some(),
            after: now.saturating_duration_since(self.possible_since?),
        })
    }

    /// The handshake is over without keys: the next one may begin a while after this one began. A reason is told once.
    fn failed(&mut self, now: Instant, reason: String) -> Option<Outcome> {
        if self.connected.is_some() {
            // The keys are there; the engine was only kept for a peer that repeats itself.
            return None;
        }
        let running = self.running.take();
        self.unverified = None;
        self.failures = self.failures.saturating_add(1);
        let pause = self.restart_interval * self.failures.min(MAX_BACKOFF);
        let began_at = running.map_or(now, |running| running.created_at);
        self.ready_at = Some(began_at + pause);
        if self.told_reason.as_ref() == Some(&reason) {
            return None;
        }
        self.told_reason = Some(reason.clone());
        Some(Outcome::Failed { reason })
    }
}

/// Whether a datagram begins with a ClientHello: a handshake record (22) of epoch 0 with handshake type 1
/// (RFC 6347 section 4.1 and 4.2.2).
fn is_client_hello(datagram: &[u8]) -> bool {
    matches!(datagram, [22, _, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_hello_begins_an_association() {
        let mut hello = [0; 40];
        hello[..3].copy_from_slice(&[22, 254, 253]);
        hello[13] = 1;
        assert!(is_client_hello(&hello));
        hello[4] = 1;
        assert!(!is_client_hello(&hello), "epoch 1 is encrypted");
        assert!(!is_client_hello(&[
            21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40
        ]));
        assert!(!is_client_hello(&hello[..13]));
    }
}
