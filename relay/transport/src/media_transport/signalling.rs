//! What signalling tells a transport. Every method may be called again with the same value and then changes nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use relay_packet::SocketId;

use super::association::Association;
use super::event::DropCounts;
use super::learning::{Learning, SourceLearner};
use super::tap::Tap;
use super::{MediaTransport, TransportConfig};
use crate::LocalSocket;
use crate::dtls::{DtlsIdentity, DtlsRole, Fingerprint};
use crate::ice::{Candidate, Component, IceAgent, IceCredentials, RemoteIce};
use crate::srtp::{SrtpContext, SrtpKey};

impl MediaTransport {
    /// A transport on these sockets, the preferred one first. It does nothing before it is told where the far end is.
    pub fn new(
        locals: Vec<LocalSocket>,
        component: Component,
        config: Arc<TransportConfig>,
        seed: u64,
    ) -> Self {
        Self {
            learner: SourceLearner::new(config.learning_window),
            locals,
            component,
            config,
            seed,
            ice: None,
            association: None,
            sdes: (None, None),
            outbound: None,
            inbound: None,
            started_at: None,
            was_writable: false,
            heard_media: false,
            opaque: false,
            last_packet_in: None,
            drops: DropCounts::default(),
            tap: Tap::default(),
            events: VecDeque::new(),
        }
    }

    /// The sockets.
    pub fn locals(&self) -> &[LocalSocket] {
        &self.locals
    }

    /// Some of the sockets were closed and these are left; nothing is sent from the others any more. Sockets become superfluous
    /// only where a peer does not speak ICE, so an agent that still knows them has come to its end.
    pub fn keep_locals(&mut self, left: &[LocalSocket]) {
        let is_left = |id: SocketId| left.iter().any(|local| local.id == id);
        let before = self.locals.len();
        self.locals.retain(|local| is_left(local.id));
        if self.locals.len() == before {
            return;
        }
        self.ice = None;
        self.learner.keep_sockets(is_left);
        if let Some(association) = &mut self.association {
            association.keep_sockets(is_left);
        }
        self.note_writable();
    }

    /// Our ICE candidates, for SDP: one host candidate a socket.
    pub fn local_candidates(&self) -> Vec<Candidate> {
        IceAgent::local_candidates(&self.locals, self.component)
    }

    /// The far end's address as SDP has it. Used without ICE only. An unspecified address or port 0 is no address.
    pub fn set_remote_address(&mut self, now: Instant, address: Option<SocketAddr>) {
        self.learner.set_signalled(now, address);
        self.note_writable();
    }

    /// How other sources than the signalled one are treated.
    pub fn set_learning(&mut self, learning: Learning) {
        self.learner.set_settings(learning);
        self.note_writable();
    }

    /// Uses ICE, with these credentials of ours. `lite`: we answer checks and send none. Other credentials than before belong
    /// to an ICE restart.
    pub fn enable_ice(&mut self, credentials: IceCredentials, lite: bool) {
        match &mut self.ice {
            Some(agent) => agent.set_local(credentials, lite),
            None => {
                self.ice = Some(Box::new(IceAgent::new(
                    self.locals.clone(),
                    self.component,
                    credentials,
                    lite,
                    self.config.ice,
                    self.seed,
                )));
            }
        }
        self.note_writable();
    }

    /// What the peer's SDP says about ICE; [`Self::enable_ice`] comes first. More candidates are trickle, another ufrag or
    /// password is an ICE restart.
    pub fn set_remote_ice(&mut self, now: Instant, remote: RemoteIce) {
        if let Some(agent) = &mut self.ice {
            agent.set_remote(now, remote);
        }
        self.collect_ice_events();
        self.note_writable();
    }

    /// No ICE (any more): the far end does not speak it.
    pub fn disable_ice(&mut self) {
        self.ice = None;
        self.note_writable();
    }

    /// The answer is here. The dense phase of the checks begins now, however long the telephone has been ringing, and packets
    /// may correct the far end's address again.
    pub fn start(&mut self, now: Instant) {
        self.started_at.get_or_insert(now);
        self.learner.open_window(now);
        if let Some(agent) = &mut self.ice {
            agent.start(now);
        }
    }

    /// What an association that begins from now on is made with.
    pub fn set_config(&mut self, config: Arc<TransportConfig>) {
        self.config = config;
    }

    /// Uses DTLS-SRTP. A transport keeps the identity that it began with, because its fingerprint is in the SDP.
    pub fn enable_dtls(&mut self, identity: Arc<DtlsIdentity>) {
        if self.association.is_some() {
            return;
        }
        self.association = Some(Box::new(Association::new(
            identity,
            self.config.dtls.clone(),
            self.config.dtls_restart_interval,
        )));
        self.outbound = None;
        self.inbound = None;
        self.note_writable();
    }

    /// What the peer's SDP says about DTLS: *our* role that follows from it, and the fingerprint. [`Self::enable_dtls`] comes
    /// first. Another fingerprint than before asks for a new handshake; until that is done the old keys stay in use.
    pub fn set_remote_dtls(&mut self, now: Instant, role: DtlsRole, fingerprint: Fingerprint) {
        if let Some(association) = &mut self.association {
            association.set_remote(now, role, fingerprint);
        }
    }

    /// The peer wants a new association although its fingerprint is the same (RFC 8842 section 4: `a=tls-id` has changed). What
    /// was agreed before stays in use until the new handshake is done.
    pub fn renew_dtls(&mut self, identity: Arc<DtlsIdentity>) {
        if self.association.is_some() {
            self.association = Some(Box::new(Association::new(
                identity,
                self.config.dtls.clone(),
                self.config.dtls_restart_interval,
            )));
        }
    }

    /// No DTLS (any more); SDES keys, if there are any, come into force.
    pub fn disable_dtls(&mut self) {
        if self.association.take().is_some() {
            self.outbound = self.sdes.0.as_deref().map(boxed);
            self.inbound = self.sdes.1.as_deref().map(boxed);
        }
        self.note_writable();
    }

    /// SDES keys (RFC 4568): ours for what we send, the peer's for what we receive. Without any, RTP is plain. A changed key
    /// keeps the rollover counters; while DTLS is enabled the keys only wait.
    pub fn set_sdes(&mut self, outbound: Option<SrtpKey>, inbound: Option<SrtpKey>) {
        let keys = (outbound.map(Box::new), inbound.map(Box::new));
        let before = std::mem::replace(&mut self.sdes, keys);
        if self.association.is_none() {
            if before.0.as_deref() != outbound.as_ref() {
                self.outbound = rekeyed(self.outbound.take(), outbound);
            }
            if before.1.as_deref() != inbound.as_ref() {
                self.inbound = rekeyed(self.inbound.take(), inbound);
            }
        }
        self.note_writable();
    }
}

/// The context for a key that has replaced another one, or none.
fn rekeyed(before: Option<Box<SrtpContext>>, key: Option<SrtpKey>) -> Option<Box<SrtpContext>> {
    let key = key?;
    Some(match before {
        Some(before) => Box::new(before.rekeyed(&key)),
        None => boxed(&key),
    })
}

fn boxed(key: &SrtpKey) -> Box<SrtpContext> {
    Box::new(SrtpContext::new(key))
}
