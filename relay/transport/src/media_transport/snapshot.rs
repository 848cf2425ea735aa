//! A transport written down, and one that goes on with it on the same port in another process.
//!
//! There are two parts. [`TransportSnapshot`] changes when signalling, ICE or DTLS get somewhere, a few times in a call.
//! [`TransportProgress`] changes with every packet; it is small, and may be older than the packets that were sent since. Whoever
//! resumes says how many those may be, and as many indices are skipped: an index of SRTP must never be used twice
//! (RFC 3711 section 9.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::MediaTransport;
use super::association::AssociationSnapshot;
use super::learning::Learned;
use crate::dtls::DtlsIdentity;
use crate::ice::{IceAgent, IceSnapshot};
use crate::srtp::{Skipped, SrtpContext, SrtpKey, SrtpState};

/// What somebody else needs to go on with a transport, but for what each packet changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportSnapshot {
    learned: Learned,
    opaque: bool,
    started: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ice: Option<IceSnapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dtls: Option<AssociationSnapshot>,
    /// Signalled keys, ours and the peer's.
    sdes: [Option<SrtpKey>; 2],
    /// The keys in use, likewise.
    keys: [Option<SrtpKey>; 2],
}

/// What the packets of a transport have changed: how far each stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportProgress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbound: Option<SrtpState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inbound: Option<SrtpState>,
}

impl TransportSnapshot {
    /// Whether keys come from DTLS, so that our certificate belongs to the call.
    pub fn has_dtls(&self) -> bool {
        self.dtls.is_some()
    }

    /// Whether anything that is sent is encrypted.
    pub fn encrypts(&self) -> bool {
        self.keys[0].is_some()
    }
}

impl MediaTransport {
    /// The transport as plain data, keys and all.
    pub fn snapshot(&self) -> TransportSnapshot {
        let address_of = |id| {
            let local = self.locals.iter().find(|local| local.id == id);
            local.map(|local| local.address)
        };
        let key = |context: &Option<Box<SrtpContext>>| context.as_deref().map(|c| *c.key());
        TransportSnapshot {
            learned: self.learner.snapshot(address_of),
            opaque: self.opaque,
            started: self.started_at.is_some(),
            ice: self.ice.as_deref().map(IceAgent::snapshot),
            dtls: self.association.as_ref().map(|dtls| dtls.snapshot()),
            sdes: [
                self.sdes.0.as_deref().copied(),
                self.sdes.1.as_deref().copied(),
            ],
            keys: [key(&self.outbound), key(&self.inbound)],
        }
    }

    /// How far its streams are.
    pub fn progress(&self) -> TransportProgress {
        TransportProgress {
            outbound: self.outbound.as_deref().map(SrtpContext::state),
            inbound: self.inbound.as_deref().map(SrtpContext::state),
        }
    }

    /// Goes on with what was written down, in place of whatever this transport knows. `skipped`: so many packets of each stream
    /// may have been sent since. No event tells of what was told before.
    pub fn resume(
        &mut self,
        now: Instant,
        snapshot: &TransportSnapshot,
        progress: &TransportProgress,
        identity: &Arc<DtlsIdentity>,
        skipped: Skipped,
    ) {
        let socket_at = |address: SocketAddr| {
            let local = self.locals.iter().find(|local| local.address == address);
            local.map(|local| local.id)
        };
        self.learner.resume(now, &snapshot.learned, socket_at);
        self.opaque = snapshot.opaque;
        self.started_at = snapshot.started.then_some(now);
        let agent = |ice: &IceSnapshot| {
            let (locals, config) = (self.locals.clone(), self.config.ice);
            IceAgent::resume(now, ice, locals, self.component, config, self.seed)
        };
        self.ice = snapshot.ice.as_ref().map(agent).map(Box::new);
        self.disable_dtls();
        self.sdes = (
            snapshot.sdes[0].map(Box::new),
            snapshot.sdes[1].map(Box::new),
        );
        if let Some(dtls) = &snapshot.dtls {
            self.enable_dtls(Arc::clone(identity));
            if let Some(association) = &mut self.association {
                association.resume(now, dtls);
            }
        }
        let [outbound, inbound] = &snapshot.keys;
        let sent = progress.outbound.clone().unwrap_or_default();
        let sent = sent.skip_ahead(skipped);
        let restored = |key: &SrtpKey, state| Box::new(SrtpContext::restore(key, state));
        self.outbound = outbound.as_ref().map(|key| restored(key, sent));
        let heard = progress.inbound.clone().unwrap_or_default();
        self.inbound = inbound.as_ref().map(|key| restored(key, heard));
        self.heard_media = true;
        self.events.clear();
        self.was_writable = self.is_writable();
    }
}
