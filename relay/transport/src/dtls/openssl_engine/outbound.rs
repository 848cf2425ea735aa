//! What OpenSSL has written, and what of it goes out.
//!
//! OpenSSL repeats a flight when it believes that a second is over; nobody has asked it. Messages go out in order, so whatever is
//! not further on than what has gone out before is such a repetition, and is left out. The last flight is kept as records; each
//! time it is sent they get new numbers (RFC 6347 section 4.1) and are packed into as few datagrams as the path allows.

use super::super::record::{
    ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, records, set_record_sequence,
};
use super::finished::FinishedSealer;

/// The sending side of one association.
#[derive(Debug)]
pub(super) struct Outbound {
    mtu: usize,
    /// The next record's number in epoch 0. It counts on when the association starts over, for a peer that did not.
    next_sequence: u32,
    /// The message and the offset in it that went out last, of epoch 0.
    newest: Option<(u16, usize)>,
    change_cipher_spec_sent: bool,
    finished_sent: bool,
    flight: Vec<Vec<u8>>,
    sealer: Option<FinishedSealer>,
}

/// What was new in a writing.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) is_new_flight: bool,
    /// An alert for the peer; it belongs to no flight.
    pub(super) alert: Option<Vec<u8>>,
}

impl Outbound {
    pub(super) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            next_sequence: 0,
            newest: None,
            change_cipher_spec_sent: false,
            finished_sent: false,
            flight: Vec::new(),
            sealer: None,
        }
    }

    /// The library begins again.
    pub(super) fn start_over(&mut self) {
        *self = Self {
            next_sequence: self.next_sequence,
            ..Self::new(self.mtu)
        };
    }

    /// Takes what the library has written since the last time. What is new replaces the last flight.
    pub(super) fn take(&mut self, written: &[Vec<u8>]) -> Taken {
        let mut taken = Taken::default();
        for record in written.iter().flat_map(|datagram| records(datagram)) {
            if record.content_type == ALERT {
                let mut alert = record.bytes.to_vec();
                self.number(&mut alert);
                taken.alert = Some(alert);
            } else if self.is_new(&record) {
                if !std::mem::replace(&mut taken.is_new_flight, true) {
                    self.flight.clear();
                    self.sealer = None;
                }
                self.flight.push(record.bytes.to_vec());
            } else if self.sealer.is_none() && record.epoch == 1 {
                // Not new, but sealed anew, which we cannot do ourselves.
                if let Some(finished) = self.flight.iter_mut().find(|record| is_sealed(record)) {
                    *finished = record.bytes.to_vec();
                }
            }
        }
        taken
    }

    fn is_new(&mut self, record: &Record<'_>) -> bool {
        match (record.content_type, record.epoch) {
            (HANDSHAKE, 0) => {
                let Some(fragment) = record.handshake_fragments().next() else {
                    return false;
                };
                let place = (fragment.message_seq, fragment.offset);
                let is_new = self.newest.is_none_or(|newest| newest < place);
                if is_new {
                    self.newest = Some(place);
                }
                is_new
            }
            (CHANGE_CIPHER_SPEC, 0) => !std::mem::replace(&mut self.change_cipher_spec_sent, true),
            (HANDSHAKE, 1) => !std::mem::replace(&mut self.finished_sent, true),
            _ => false,
        }
    }

    /// The encrypted Finished in the last flight.
    pub(super) fn finished(&self) -> Option<&[u8]> {
        self.flight
            .iter()
            .map(Vec::as_slice)
            .find(|record| is_sealed(record))
    }

    /// From now on the Finished is sealed anew for each repetition, if that is possible.
    pub(super) fn set_sealer(&mut self, sealer: Option<FinishedSealer>) {
        self.sealer = sealer;
    }

    /// Whether only the library can seal the Finished anew.
    pub(super) fn wants_fresh_finished(&self) -> bool {
        self.sealer.is_none() && self.finished().is_some()
    }

    pub(super) fn has_flight(&self) -> bool {
        !self.flight.is_empty()
    }

    /// The last flight, ready to be sent once more.
    pub(super) fn datagrams(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        for index in 0..self.flight.len() {
            let mut record = self.flight[index].clone();
            self.number(&mut record);
            match datagrams.last_mut() {
                Some(last) if last.len() + record.len() <= self.mtu => last.extend(&record),
                _ => datagrams.push(record),
            }
        }
        if let Some(sealer) = &mut self.sealer
            && let Some(finished) = self.flight.iter_mut().find(|record| is_sealed(record))
            && let Some(sealed) = sealer.seal()
        {
            *finished = sealed;
        }
        datagrams
    }

    fn number(&mut self, record: &mut [u8]) {
        if !is_sealed(record) {
            set_record_sequence(record, self.next_sequence);
            self.next_sequence = self.next_sequence.wrapping_add(1);
        }
    }
}

/// Whether a record is of an epoch with keys, in which its number is part of what is authentic.
fn is_sealed(record: &[u8]) -> bool {
    record.get(3..5).is_some_and(|epoch| epoch != [0, 0])
}

#[cfg(test)]
mod tests {
    use super::super::super::record::{CERTIFICATE, CHANGE_CIPHER_SPEC_RECORD, handshake_record};
    use super::*;

    fn message(message_seq: u16, len: usize) -> Vec<u8> {
        handshake_record(0, CERTIFICATE, message_seq, &vec![7; len])
    }

    fn sealed(mark: u8) -> Vec<u8> {
        vec![HANDSHAKE, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, mark, 0, 1, mark]
    }

    fn sequence(record: &[u8]) -> u8 {
        record[10]
    }

    #[test]
    fn what_openssl_repeats_does_not_go_out() {
        let mut outbound = Outbound::new(1200);
        let flight = [message(0, 10), message(1, 10)].concat();
        assert!(outbound.take(std::slice::from_ref(&flight)).is_new_flight);
        assert_eq!(outbound.datagrams().len(), 1);
        assert!(
            !outbound
                .take(&[flight.clone(), flight.clone()])
                .is_new_flight
        );
        // A repetition and the next flight in one writing: only the next flight is new.
        let written = [
            flight,
            message(2, 10),
            CHANGE_CIPHER_SPEC_RECORD.to_vec(),
            sealed(0),
        ];
        assert!(outbound.take(&written).is_new_flight);
        let sent = outbound.datagrams().concat();
        let kinds: Vec<_> = records(&sent)
            .map(|record| (record.content_type, record.epoch))
            .collect();
        assert_eq!(
            kinds,
            [(HANDSHAKE, 0), (CHANGE_CIPHER_SPEC, 0), (HANDSHAKE, 1)]
        );
    }

    #[test]
    fn every_repetition_has_new_numbers() {
        let mut outbound = Outbound::new(1200);
        outbound.take(&[message(0, 10), message(1, 10)]);
        let mut numbers = Vec::new();
        for _ in 0..3 {
            let sent = outbound.datagrams().concat();
            numbers.extend(records(&sent).map(|record| sequence(record.bytes)));
        }
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        outbound.start_over();
        outbound.take(&[message(0, 10)]);
        assert_eq!(sequence(&outbound.datagrams()[0]), 6);
    }

    #[test]
    fn datagrams_are_full_and_never_too_long() {
        let mut outbound = Outbound::new(300);
        let written: Vec<_> = (0..5).map(|seq| message(seq, 75)).collect();
        outbound.take(&written);
        let lengths: Vec<_> = outbound.datagrams().iter().map(Vec::len).collect();
        assert_eq!(lengths, [300, 200], "three and two records of 100 bytes");
    }

    #[test]
    fn without_a_sealer_the_librarys_own_repetition_replaces_the_finished() {
        let mut outbound = Outbound::new(1200);
        outbound.take(&[message(0, 10), sealed(0)]);
        assert!(outbound.wants_fresh_finished());
        assert!(!outbound.take(&[message(0, 10), sealed(9)]).is_new_flight);
        assert_eq!(outbound.finished(), Some(&sealed(9)[..]));
    }
}
