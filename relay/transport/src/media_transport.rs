//! One local port with everything that happens on it: ICE, DTLS, SRTP and source learning, composed.
//!
//! ```text
//! in:   first byte -> STUN to the ICE agent | DTLS to the association | (S)RTP, (S)RTCP: open, learn, hand up
//! out:  (S)RTP, (S)RTCP: seal -> the pair that ICE selected, or the address learned, or the one signalled
//! ```
//!
//! Signalling is idempotent: whoever sets the same value again changes nothing, so that a re-offer can be applied without
//! asking what is new in it. A changed value does what its RFC says and no more.

mod association;
mod event;
mod learning;
mod opaque;
mod plain;
mod signalling;
mod snapshot;
mod tap;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_packet::{DropReason, Outbox, PacketBuf, Received, SocketId};

use self::association::{Association, Outcome};
use self::learning::{Observation, SourceLearner};
use self::tap::Tap;
use crate::LocalSocket;
use crate::demux::{Kind, kind_of};
use crate::dtls::DtlsConfig;
use crate::ice::{Component, IceAgent, IceConfig, IceEvent};
use crate::srtp::{SrtpContext, SrtpKey};

pub use event::{DropCounts, DtlsStatus, TransportEvent, TransportStatus};
pub use learning::{Learning, LearningMode};
pub use snapshot::{TransportProgress, TransportSnapshot};
pub use tap::Sent;

/// Events that nobody has collected; far more than one mutation can cause.
const MAX_EVENTS: usize = 64;

/// Settings that all transports share.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    pub ice: IceConfig,
    pub dtls: DtlsConfig,
    /// A handshake that failed is begun again no sooner than this after it began.
    pub dtls_restart_interval: Duration,
    /// How long after signalling packets may move the far end's address.
    pub learning_window: Duration,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            ice: IceConfig::default(),
            // unwrap: the settings are constants, and the tests make the same ones.
            dtls: DtlsConfig::new().expect("constant DTLS settings"),
            dtls_restart_interval: Duration::from_millis(250),
            learning_window: Duration::from_secs(3),
        }
    }
}

/// What a datagram turned out to be.
#[derive(Debug)]
pub enum Incoming {
    /// RTP, authenticated and decrypted where SRTP is used.
    Rtp(PacketBuf),
    /// RTCP, likewise.
    Rtcp(PacketBuf),
    /// A datagram of a protocol that is passed on as it is ([`MediaTransport::set_opaque`]).
    Datagram(PacketBuf),
    /// STUN or DTLS; whatever there was to answer is in the outbox.
    Consumed,
    /// Counted and gone.
    Dropped(DropReason),
}

/// One local port (one ICE component), with a socket for each address that is offered for it.
#[derive(Debug)]
pub struct MediaTransport {
    locals: Vec<LocalSocket>,
    component: Component,
    config: Arc<TransportConfig>,
    seed: u64,
    // Boxed: a plain leg has none of these, and they are most of what a transport weighs.
    ice: Option<Box<IceAgent>>,
    association: Option<Box<Association>>,
    learner: SourceLearner,
    /// SDES keys, outbound and inbound. In use unless DTLS is enabled.
    sdes: (Option<Box<SrtpKey>>, Option<Box<SrtpKey>>),
    outbound: Option<Box<SrtpContext>>,
    inbound: Option<Box<SrtpContext>>,
    started_at: Option<Instant>,
    was_writable: bool,
    heard_media: bool,
    /// Datagrams are not looked into.
    opaque: bool,
    last_packet_in: Option<Instant>,
    drops: DropCounts,
    tap: Tap,
    events: VecDeque<TransportEvent>,
}

/// Media and time.
impl MediaTransport {
    /// A datagram came in on one of our sockets. What it answers is in `out`; a dropped datagram's buffer is there too.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        received: Received,
        out: &mut Outbox,
    ) -> Incoming {
        let Received {
            socket,
            source,
            mut packet,
        } = received;
        if self.passes_opaque(&packet) {
            return self.take_opaque(now, socket, source, packet, out);
        }
        let result = match kind_of(&packet) {
            Some(Kind::Rtp) => self.open_rtp(now, socket, source, &mut packet),
            Some(Kind::Rtcp) => self.open_rtcp(now, socket, source, &mut packet),
            Some(Kind::Stun) => self.handle_stun(now, socket, source, &packet, out),
            Some(Kind::Dtls) => self.handle_dtls(now, socket, source, &packet, out),
            None => Err(DropReason::UnknownKind),
        };
        match result {
            Ok(Kind::Rtp) => Incoming::Rtp(packet),
            Ok(Kind::Rtcp) => Incoming::Rtcp(packet),
            Ok(Kind::Stun | Kind::Dtls) => {
                out.recycle(packet);
                Incoming::Consumed
            }
            Err(reason) => {
                self.drops.add(reason);
                out.recycle(packet);
                Incoming::Dropped(reason)
            }
        }
    }

    /// Sends an RTP packet: sealed if there are keys, to wherever the far end is. On an error the buffer is in the outbox.
    pub fn send_rtp(&mut self, packet: PacketBuf, out: &mut Outbox) -> Result<(), DropReason> {
        self.send(packet, SrtpContext::protect_rtp, out)
    }

    /// Sends an RTCP packet, likewise.
    pub fn send_rtcp(&mut self, packet: PacketBuf, out: &mut Outbox) -> Result<(), DropReason> {
        self.send(packet, SrtpContext::protect_rtcp, out)
    }

    /// Whether a packet given to [`Self::send_rtp`] now would leave: there is somewhere to send, and keys where they are needed.
    pub fn is_writable(&self) -> bool {
        self.destination().is_some() && (!self.requires_keys() || self.outbound.is_some())
    }

    /// Whether the far end surely has the keys it needs to understand us. A DTLS server does not know that before it has heard
    /// SRTP: its last flight may be lost, and what it sends until that is repeated is lost too.
    pub fn is_confirmed(&self) -> bool {
        self.association
            .as_deref()
            .is_none_or(Association::is_confirmed)
    }

    /// Whether media has to be SRTP.
    pub fn requires_keys(&self) -> bool {
        self.association.is_some() || self.sdes.0.is_some() || self.sdes.1.is_some()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(agent) = &mut self.ice {
            agent.handle_timeout(now, out);
        }
        if let Some(association) = &mut self.association {
            association.handle_timeout(now);
        }
        self.advance(now, out);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ice = self.ice.as_deref().and_then(IceAgent::poll_timeout);
        let dtls = self
            .association
            .as_ref()
            .and_then(|association| association.poll_timeout(self.destination().is_some()));
        [ice, dtls].into_iter().flatten().min()
    }

    /// The next event, until there is none.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            // There are few in the life of a call: the room for them is not kept.
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// A look at the transport.
    pub fn status(&self) -> TransportStatus {
        TransportStatus {
            destination: self.destination().map(|(_, address)| address),
            signalled: self.learner.signalled(),
            ice: self.ice.as_deref().map(IceAgent::status),
            dtls: self
                .association
                .as_ref()
                .and_then(|dtls| dtls.connected().cloned()),
            inbound_profile: self.inbound.as_deref().map(SrtpContext::profile),
            outbound_profile: self.outbound.as_deref().map(SrtpContext::profile),
            last_packet_in: self.last_packet_in,
            last_ice_activity: self.ice.as_deref().and_then(IceAgent::last_activity),
            drops: self.drops,
        }
    }

    fn open_rtp(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf,
    ) -> Result<Kind, DropReason> {
        if self.component == Component::Rtcp {
            return Err(DropReason::NotWanted);
        }
        self.open(now, socket, source, packet, SrtpContext::unprotect_rtp)?;
        self.accept_source(now, socket, source, true)?;
        Ok(Kind::Rtp)
    }

    fn open_rtcp(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf,
    ) -> Result<Kind, DropReason> {
        self.open(now, socket, source, packet, SrtpContext::unprotect_rtcp)?;
        // RTCP on the RTP port tells nothing about where RTP goes.
        let teaches = self.component == Component::Rtcp;
        self.accept_source(now, socket, source, teaches)?;
        Ok(Kind::Rtcp)
    }

    fn open(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        packet: &mut PacketBuf,
        unprotect: impl FnOnce(&mut SrtpContext, &mut PacketBuf) -> Result<(), DropReason>,
    ) -> Result<(), DropReason> {
        if !self.requires_keys() {
            return Ok(());
        }
        let context = self.inbound.as_mut().ok_or(DropReason::SrtpNoKeys)?;
        unprotect(context, packet)?;
        if let Some(association) = &mut self.association
            // While an association is renewed, packets under the old keys say nothing about the new ones.
            && association.connected().is_some()
        {
            association.peer_authenticated();
        }
        if let Some(agent) = &mut self.ice
            && agent.peer_sent_media(now, socket, source)
        {
            self.collect_ice_events();
            self.note_writable();
        }
        Ok(())
    }

    /// The packet is as authentic as it can be; now, may it come from there, and what does that tell?
    fn accept_source(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        teaches: bool,
    ) -> Result<(), DropReason> {
        if self.ice.is_none() {
            let observation = if teaches {
                self.learner.observe(now, socket, source)
            } else if self.learner.admits(now, source) {
                Observation::Accepted
            } else {
                Observation::Mismatch
            };
            match observation {
                Observation::Accepted => {}
                Observation::Moved { from, to } => {
                    self.tell(TransportEvent::SourceLearned { from, to });
                }
                Observation::Mismatch => return Err(DropReason::SourceMismatch),
            }
            // A far end that was waited for (`NAT-wait`) can be sent to now.
            self.note_writable();
        }
        self.last_packet_in = Some(now);
        if !std::mem::replace(&mut self.heard_media, true) {
            self.tell(TransportEvent::FirstPacket { source });
        }
        Ok(())
    }

    fn handle_stun(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) -> Result<Kind, DropReason> {
        let agent = self.ice.as_mut().ok_or(DropReason::StunUnauthenticated)?;
        let result = agent.handle_datagram(now, socket, source, datagram, out);
        self.advance(now, out);
        result.map(|()| Kind::Stun)
    }

    fn handle_dtls(
        &mut self,
        now: Instant,
        socket: SocketId,
        source: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) -> Result<Kind, DropReason> {
        let association = self.association.as_mut();
        let association = association.ok_or(DropReason::DtlsUnexpected)?;
        let may_be_peer = match &self.ice {
            Some(agent) => agent.knows(source),
            None => {
                // Behind a NAT the peer may be anywhere; but whoever has begun a handshake is not to be disturbed.
                let is_other = association.peer().is_some_and(|peer| peer != source);
                self.learner.knows(source) || (self.learner.is_open() && !is_other)
            }
        };
        if !may_be_peer {
            return Err(DropReason::DtlsUnexpected);
        }
        let result = association.handle_datagram(now, (socket, source), datagram);
        self.advance(now, out);
        result.map(|()| Kind::Dtls)
    }

    fn send(
        &mut self,
        mut packet: PacketBuf,
        protect: impl FnOnce(&mut SrtpContext, &mut PacketBuf) -> Result<(), DropReason>,
        out: &mut Outbox,
    ) -> Result<(), DropReason> {
        let copy = self.tap.copy(&packet);
        match self.seal(&mut packet, protect) {
            Ok((socket, address)) => {
                self.tap.note(socket, address, copy);
                out.send(socket, address, packet);
                Ok(())
            }
            Err(reason) => {
                self.drops.add(reason);
                out.recycle(packet);
                Err(reason)
            }
        }
    }

    /// Where the packet goes, sealed. The address is looked up first: what goes nowhere must not use up an SRTP index.
    fn seal(
        &mut self,
        packet: &mut PacketBuf,
        protect: impl FnOnce(&mut SrtpContext, &mut PacketBuf) -> Result<(), DropReason>,
    ) -> Result<(SocketId, SocketAddr), DropReason> {
        let destination = self.destination().ok_or(DropReason::NoDestination)?;
        if self.requires_keys() {
            let context = self.outbound.as_mut().ok_or(DropReason::SrtpNoKeys)?;
            protect(context, packet)?;
        }
        Ok(destination)
    }

    /// From which socket to which address media goes.
    fn destination(&self) -> Option<(SocketId, SocketAddr)> {
        if let Some(agent) = &self.ice {
            return agent.destination();
        }
        let (socket, address) = self.learner.destination()?;
        let by_family = || {
            let mut locals = self.locals.iter();
            locals
                .find(|local| local.reaches(address))
                .map(|local| local.id)
        };
        Some((socket.or_else(by_family)?, address))
    }
}

/// How the parts tell each other what has happened.
impl MediaTransport {
    /// After STUN, DTLS or a timer: a pair may have become valid (the ClientHello leaves now), keys may be there.
    fn advance(&mut self, now: Instant, out: &mut Outbox) {
        self.collect_ice_events();
        let destination = self.destination();
        let outcome = self
            .association
            .as_mut()
            .and_then(|association| association.drive(now, destination, out));
        match outcome {
            Some(Outcome::Connected {
                status,
                inbound,
                outbound,
                handshake,
                peer,
            }) => {
                self.inbound = Some(Box::new(SrtpContext::new(&inbound)));
                self.outbound = Some(Box::new(SrtpContext::new(&outbound)));
                if let Some((socket, source)) = peer
                    && self.ice.is_none()
                    && let Observation::Moved { from, to } =
                        self.learner.observe(now, socket, source)
                {
                    self.tell(TransportEvent::SourceLearned { from, to });
                }
                let started_at = self.started_at.unwrap_or(now);
                self.tell(TransportEvent::DtlsConnected {
                    status,
                    after: now.saturating_duration_since(started_at),
                    handshake,
                });
            }
            Some(Outcome::Failed { reason }) => self.tell(TransportEvent::DtlsFailed { reason }),
            Some(Outcome::Stalled { role, heard, after }) => {
                self.tell(TransportEvent::DtlsStalled { role, heard, after });
            }
            None => {}
        }
        self.note_writable();
    }

    fn collect_ice_events(&mut self) {
        while let Some(event) = self.ice.as_deref_mut().and_then(IceAgent::poll_event) {
            self.tell(match event {
                IceEvent::PairSelected { pair, after } => {
                    TransportEvent::PairSelected { pair, after }
                }
                IceEvent::Stalled { counts, after } => TransportEvent::IceStalled { counts, after },
                IceEvent::ConsentLost => TransportEvent::ConsentLost,
                IceEvent::ConsentRestored => TransportEvent::ConsentRestored,
            });
        }
    }

    /// Tells once when packets can be sent, and again when they could not in between.
    fn note_writable(&mut self) {
        let is_writable = self.is_writable();
        if is_writable && !self.was_writable {
            self.tell(TransportEvent::Writable);
        }
        self.was_writable = is_writable;
    }

    fn tell(&mut self, event: TransportEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}
