//! How a call is written down, and how it goes on in another process.

use std::sync::Arc;
use std::time::Instant;

use relay_transport::dtls::{DtlsIdentity, IdentitySnapshot};

use super::Call;
use crate::config::{CallConfig, WallClock};
use crate::live::SectionSnapshot;
use crate::ports::{PortLease, PortLeaser};
use crate::snapshot::{CallProgress, CallSnapshot, LegsSnapshot, RestoreError, VERSION, moment};

impl Call {
    /// The call as plain data.
    pub fn snapshot(&self, now: Instant) -> CallSnapshot {
        let clock = &self.config.clock;
        let sections = self.live.snapshot();
        let has_dtls = sections.iter().any(SectionSnapshot::has_dtls);
        CallSnapshot {
            version: VERSION,
            id: self.id.clone(),
            seed: self.seed,
            requests: self.requests,
            created: clock.unix_at(self.deadlines.created),
            last_signal: clock.unix_at(self.deadlines.last_signal),
            identity: has_dtls.then(|| self.config.identity.snapshot()),
            legs: LegsSnapshot::of(&self.legs, clock),
            sections,
            learning: self.learning,
            drop_traffic: self.live.drop_traffic,
            dtmf_log: self.dtmf_log,
            callback: self.callback,
            tos: self.tos,
            recording: self.live.recorder.snapshot(),
            progress: self.progress(now),
        }
    }

    /// How far the call is.
    pub fn progress(&self, now: Instant) -> CallProgress {
        let clock = &self.config.clock;
        CallProgress {
            at: clock.unix_at(now),
            stopped: false,
            last_life: clock.unix_at(self.deadlines.last_life),
            sections: self.live.progress(clock),
        }
    }

    /// The call goes on with what was written down, on the same ports. Nothing is left open if it cannot. `written_by` is the
    /// clock that the times in it were taken from: that of the machine may have been set since.
    pub fn restore(
        snapshot: &CallSnapshot,
        written_by: WallClock,
        config: &Arc<CallConfig>,
        now: Instant,
        ports: &mut dyn PortLeaser,
    ) -> Result<Self, RestoreError> {
        let clock = written_by;
        let skip = snapshot.progress.skip(clock.unix_at(now))?;
        let config = with_identity(config, snapshot.identity.as_ref())?;
        let mut lease = PortLease::new(ports);
        let legs = snapshot.legs.resume(now, &clock, &mut lease)?;
        if snapshot.tos.is_some() {
            lease.set_tos_of_opened(snapshot.tos);
        }
        lease.keep(&[]);
        let mut call = Self::new(snapshot.id.clone(), Arc::clone(&config), now, snapshot.seed);
        call.requests = snapshot.requests;
        call.legs = legs;
        call.learning = snapshot.learning;
        call.dtmf_log = snapshot.dtmf_log;
        call.callback = snapshot.callback;
        call.tos = snapshot.tos;
        call.deadlines.created = moment(&clock, snapshot.created, now);
        call.deadlines.last_signal = moment(&clock, snapshot.last_signal, now);
        // Nobody could be heard meanwhile: whoever is silent has the whole time-out before him.
        call.deadlines.last_life = now;
        call.live.drop_traffic = snapshot.drop_traffic;
        call.live.follow(&call.legs, &config, call.seed, true);
        call.live.resume(
            now,
            &snapshot.sections,
            &snapshot.progress.sections,
            &clock,
            &call.legs,
            &config,
            call.learning,
            skip,
        );
        call.live.recorder.resume(&snapshot.recording);
        call.resume_hold_music();
        if snapshot.recording.runs {
            call.record_again(now);
        }
        call.wake_at = Some(now);
        Ok(call)
    }
}

/// The configuration with the certificate that the call's parties know.
fn with_identity(
    config: &Arc<CallConfig>,
    snapshot: Option<&IdentitySnapshot>,
) -> Result<Arc<CallConfig>, RestoreError> {
    let known = config.identity.snapshot();
    let Some(snapshot) = snapshot.filter(|snapshot| **snapshot != known) else {
        return Ok(Arc::clone(config));
    };
    let mut config = CallConfig::clone(config);
    config.identity = Arc::new(DtlsIdentity::resume(snapshot)?);
    Ok(Arc::new(config))
}
