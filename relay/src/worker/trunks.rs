//! What is counted about calls by interface and direction: the view of somebody whose calls come through a trunk.
//!
//! An interface is a name of the configuration, so the number of labels is bounded; no number and no Call-ID is one.
//! A call counts for the interface towards WhatsApp, what is measured of one of its parties for the interface towards that party.

use relay_call::{Call, CallDirection, CallEvent, Figure, KeyWay, Silence, Tally};

use super::meta_limits::MetaLimit;
use crate::metrics::{Histogram, Scale};

/// Everything that is counted by interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trunks {
    /// There are as few as interfaces.
    by_name: Vec<(String, Trunk)>,
}

/// What is counted for one interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Calls, by [`CallDirection`].
    pub calls: [TrunkCalls; CallDirection::ALL.len()],
    /// From the first ICE check to the pair.
    pub ice: Histogram,
    /// From the start of the DTLS handshake to the keys.
    pub dtls: Histogram,
    /// From the answer to the first packet to an encrypted leg.
    pub first_encrypted: Histogram,
    /// From the answer to the first packet to a plain leg.
    pub first_plain: Histogram,
    /// Audio that could not be sent yet and was not kept, of each encrypted leg.
    pub clipped: Histogram,
    /// The mean opinion score of calls that ended.
    pub mos: Histogram,
    /// Their share of lost packets.
    pub loss: Histogram,
    /// Their jitter.
    pub jitter: Histogram,
    /// Parties that were not heard, by [`Silence`].
    pub silent: [u64; Silence::ALL.len()],
    /// Calls that came near a limit of Meta's, by [`MetaLimit`].
    pub at_risk: [u64; MetaLimit::ALL.len()],
    /// Pressed keys, by [`KeyWay`].
    pub keys: [u64; KeyWay::ALL.len()],
}

impl Default for Trunk {
    fn default() -> Self {
        Self {
            calls: Default::default(),
            ice: Histogram::default(),
            dtls: Histogram::default(),
            first_encrypted: Histogram::default(),
            first_plain: Histogram::default(),
            clipped: Histogram::default(),
            mos: Histogram::on(Scale::SCORES),
            loss: Histogram::on(Scale::SHARES),
            jitter: Histogram::default(),
            silent: Default::default(),
            at_risk: Default::default(),
            keys: Default::default(),
        }
    }
}

/// Calls of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunkCalls {
    /// Not answered yet.
    pub ringing: u64,
    /// Answered.
    pub talking: u64,
    /// Ever offered.
    pub offered_ever: u64,
    /// Ever answered.
    pub answered_ever: u64,
}

impl Trunk {
    fn add(&mut self, other: &Self) {
        for (sum, calls) in self.calls.iter_mut().zip(other.calls) {
            sum.ringing += calls.ringing;
            sum.talking += calls.talking;
            sum.offered_ever += calls.offered_ever;
            sum.answered_ever += calls.answered_ever;
        }
        for (sum, histogram) in [
            (&mut self.ice, &other.ice),
            (&mut self.dtls, &other.dtls),
            (&mut self.first_encrypted, &other.first_encrypted),
            (&mut self.first_plain, &other.first_plain),
            (&mut self.clipped, &other.clipped),
            (&mut self.mos, &other.mos),
            (&mut self.loss, &other.loss),
            (&mut self.jitter, &other.jitter),
        ] {
            sum.add(histogram);
        }
        add_each(&mut self.silent, &other.silent);
        add_each(&mut self.at_risk, &other.at_risk);
        add_each(&mut self.keys, &other.keys);
    }

    /// The calls of one direction.
    pub fn of(&self, direction: CallDirection) -> &TrunkCalls {
        &self.calls[direction as usize]
    }
}

fn add_each(sums: &mut [u64], counts: &[u64]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

impl Trunks {
    /// What is counted for an interface.
    pub fn of(&self, interface: &str) -> Option<&Trunk> {
        let mut trunks = self.by_name.iter();
        let (_, trunk) = trunks.find(|(name, _)| name == interface)?;
        Some(trunk)
    }

    /// The same, to be counted on.
    pub fn of_mut(&mut self, interface: &str) -> &mut Trunk {
        let place = self.by_name.iter().position(|(name, _)| name == interface);
        let place = place.unwrap_or_else(|| {
            self.by_name.push((interface.to_owned(), Trunk::default()));
            self.by_name.len() - 1
        });
        &mut self.by_name[place].1
    }

    /// Calls that there are now are counted anew from here.
    pub(super) fn forget_present(&mut self) {
        for calls in self
            .by_name
            .iter_mut()
            .flat_map(|(_, trunk)| &mut trunk.calls)
        {
            (calls.ringing, calls.talking) = (0, 0);
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        for (name, trunk) in &other.by_name {
            self.of_mut(name).add(trunk);
        }
    }

    /// Counts an event of a call, for the interface towards the party that it is about.
    pub(super) fn note(&mut self, call: &Call, event: &CallEvent) {
        let party = match event {
            CallEvent::PairSelected { leg, .. }
            | CallEvent::DtlsConnected { leg, .. }
            | CallEvent::FirstPacketOut { leg, .. }
            | CallEvent::Failure { leg, .. } => leg.clone(),
            CallEvent::Dtmf(report) => report.source_name(),
            _ => return,
        };
        let Some(interface) = call.interface_of(&party) else {
            return;
        };
        let trunk = self.of_mut(interface);
        match event {
            CallEvent::PairSelected { after, .. } => trunk.ice.note(*after),
            CallEvent::DtlsConnected { after, .. } => trunk.dtls.note(*after),
            CallEvent::FirstPacketOut {
                encrypted: true,
                after_answer,
                clipped,
                ..
            } => {
                trunk.first_encrypted.note(*after_answer);
                trunk.clipped.note(*clipped);
            }
            CallEvent::FirstPacketOut { after_answer, .. } => trunk.first_plain.note(*after_answer),
            CallEvent::Failure {
                silence: Some(silence),
                ..
            } => trunk.silent[*silence as usize] += 1,
            CallEvent::Dtmf(report) => trunk.keys[report.way as usize] += 1,
            _ => {}
        }
    }

    /// A call is over; this is what it counted on this interface.
    pub(super) fn note_quality(&mut self, interface: &str, tally: &Tally) {
        let mean = |figure| {
            let samples = tally.of(figure);
            (samples.count > 0).then(|| samples.average())
        };
        let trunk = self.of_mut(interface);
        if let Some(score) = mean(Figure::Mos) {
            trunk.mos.note_value(score);
        }
        if let Some(percent) = mean(Figure::PacketLoss) {
            trunk.loss.note_value(percent / 100.0);
        }
        if let Some(milliseconds) = mean(Figure::JitterMeasured) {
            trunk.jitter.note_value(milliseconds / 1e3);
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_call::Samples;

    use super::*;

    #[test]
    fn workers_add_up_and_calls_of_the_past_stay() {
        let mut trunks = Trunks::default();
        let trunk = trunks.of_mut("pub");
        trunk.calls[CallDirection::UserInitiated as usize] = TrunkCalls {
            ringing: 1,
            talking: 2,
            offered_ever: 3,
            answered_ever: 4,
        };
        trunk.silent[Silence::PbxSilent as usize] = 5;
        trunk.at_risk[MetaLimit::Silence as usize] = 6;
        trunk.keys[KeyWay::InBand as usize] = 7;
        let mut sum = Trunks::default();
        sum.add(&trunks);
        trunks.forget_present();
        sum.add(&trunks);
        let trunk = sum.of("pub").unwrap();
        assert_eq!(
            *trunk.of(CallDirection::UserInitiated),
            TrunkCalls {
                ringing: 1,
                talking: 2,
                offered_ever: 6,
                answered_ever: 8,
            }
        );
        assert_eq!(trunk.silent, [0, 0, 0, 10]);
        assert_eq!(trunk.at_risk, [0, 12]);
        assert_eq!(trunk.keys, [0, 14, 0]);
        assert_eq!(sum.of("priv"), None);
    }

    #[test]
    fn a_call_counts_with_its_means_and_not_at_all_without_a_judgement() {
        let mut trunks = Trunks::default();
        trunks.note_quality("pub", &Tally::default());
        let mut tally = Tally::default();
        for (figure, total) in [
            (Figure::Mos, 8.0),
            (Figure::PacketLoss, 3.0),
            (Figure::JitterMeasured, 30.0),
        ] {
            tally.samples[figure as usize] = Samples {
                total,
                squares: 0.0,
                count: 2,
            };
        }
        trunks.note_quality("pub", &tally);
        let trunk = trunks.of("pub").unwrap();
        for (histogram, value) in [
            (&trunk.mos, 4.0),
            (&trunk.loss, 0.015),
            (&trunk.jitter, 0.015),
        ] {
            assert_eq!(histogram.count(), 1);
            assert!((histogram.sum() - value).abs() < 1e-9, "{histogram:?}");
        }
    }
}
