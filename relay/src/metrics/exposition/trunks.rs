//! The part of the page that is about calls by interface and direction. Every configured interface is there from the start, so
//! that the first of anything is a step from zero.

use relay_call::{CallDirection, KeyWay, Silence};

use super::super::Snapshot;
use super::super::catalogue as names;
use super::Page;
use crate::worker::counters::WorkerCounters;
use crate::worker::meta_limits::MetaLimit;
use crate::worker::trunks::Trunk;

impl Page {
    pub(super) fn trunks(&mut self, snapshot: &Snapshot<'_>, sum: &WorkerCounters) {
        let unused = Trunk::default();
        for interface in snapshot.interfaces {
            let name = interface.name.as_str();
            self.trunk(name, sum.trunks.of(name).unwrap_or(&unused));
        }
    }

    fn trunk(&mut self, name: &str, trunk: &Trunk) {
        for direction in CallDirection::ALL {
            let (calls, direction) = (trunk.of(direction), direction.label());
            self.count(names::CALLS, &["offered", direction, name], calls.ringing);
            self.count(names::CALLS, &["answered", direction, name], calls.talking);
            let labels = [direction, name];
            self.count(names::CALLS_OFFERED, &labels, calls.offered_ever);
            self.count(names::CALLS_ANSWERED, &labels, calls.answered_ever);
        }
        for (metric, histogram) in [
            (names::ICE_SECONDS, &trunk.ice),
            (names::DTLS_SECONDS, &trunk.dtls),
            (names::CALL_MOS, &trunk.mos),
            (names::CALL_LOSS, &trunk.loss),
            (names::CALL_JITTER, &trunk.jitter),
            (names::CALL_CLIPPED, &trunk.clipped),
        ] {
            self.spread(metric, &[name], histogram);
        }
        for (leg, histogram) in [
            ("encrypted", &trunk.first_encrypted),
            ("plain", &trunk.first_plain),
        ] {
            self.spread(names::FIRST_PACKET_SECONDS, &[name, leg], histogram);
        }
        for (silence, count) in Silence::ALL.into_iter().zip(trunk.silent) {
            self.count(names::NO_MEDIA, &[silence.label(), name], count);
        }
        for (limit, count) in MetaLimit::ALL.into_iter().zip(trunk.at_risk) {
            self.count(names::AT_RISK, &[limit.label(), name], count);
        }
        for (way, count) in KeyWay::ALL.into_iter().zip(trunk.keys) {
            self.count(names::DTMF, &[way.label(), name], count);
        }
    }
}
